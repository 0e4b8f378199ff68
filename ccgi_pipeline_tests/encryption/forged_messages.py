"""Messages that no GnuPG of today writes, made of the packets of a good one.

Belongs here: encrypting packets by hand (RFC 4880, sections 5.7, 5.13 and 13.9) with the session
key of a message. Does not belong here: GnuPG (gnupg_peer).
"""

from __future__ import annotations

import hashlib

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES256

from ccgi_pipeline.encryption.gnupg import GnupgHome
from ccgi_pipeline.encryption.openpgp import read_packets

try:
    from cryptography.hazmat.decrepit.ciphers.modes import CFB
except ImportError:
    from cryptography.hazmat.primitives.ciphers.modes import CFB

_BLOCK = 16


def take_session_key(message: bytes, secret: bytes, passphrase: str) -> tuple[bytes, bytes]:
    """The packet with the session key of a message, and the session key itself."""
    with GnupgHome(passphrase) as home:
        home.import_key(secret)
        said = home._call("--show-session-key", "--decrypt", feed=[message], secret=True).status
    (told,) = [line for line in said if line.startswith("SESSION_KEY")]
    (begins,) = [found for found in read_packets(message) if found.tag == 1]
    return packet(1, begins.body), bytes.fromhex(told.split(":")[1])


def packet(tag: int, body: bytes) -> bytes:
    """A packet in the new form, with a length of five bytes."""
    return bytes([0xC0 | tag, 0xFF]) + len(body).to_bytes(4) + body


def literal(content: bytes) -> bytes:
    """A packet with data, without a name and a date."""
    return packet(11, b"b\0" + bytes(4) + content)


def with_integrity(session_key: bytes, packets: bytes) -> bytes:
    """Encrypted data with a good MDC around whatever packets (tag 18)."""
    prefix = bytes(range(_BLOCK)) + bytes([_BLOCK - 2, _BLOCK - 1])
    whole = prefix + packets + b"\xd3\x14"
    digest = hashlib.sha1(whole).digest()  # noqa: S324 - what the form asks for
    return packet(18, b"\1" + _encrypt(session_key, bytes(_BLOCK), whole + digest))


def without_integrity(session_key: bytes, packets: bytes) -> bytes:
    """Encrypted data as programs wrote it before 2001 (tag 9)."""
    prefix = bytes(range(_BLOCK)) + bytes([_BLOCK - 2, _BLOCK - 1])
    begins = _encrypt(session_key, bytes(_BLOCK), prefix)
    return packet(9, begins + _encrypt(session_key, begins[2:], packets))


def _encrypt(key: bytes, start: bytes, content: bytes) -> bytes:
    encryptor = Cipher(AES256(key), CFB(start)).encryptor()
    return encryptor.update(content) + encryptor.finalize()
