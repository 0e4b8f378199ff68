"""OpenPGP without GnuPG: what bytes are, what GnuPG's status words mean, which keys may be used.

Belongs here: pure decisions, so that each can be tested without a process. Does not belong here:
running GnuPG (``gnupg``), the keys that are kept (``openpgp_keys``).

GnuPG's exit status says too little: it is 2 for a good message of an unknown signer, and 0 for a
good message whose signature is of an expired key. So only its status words decide (``doc/DETAILS``
of GnuPG). The packets are those of RFC 4880, which every program writes and reads.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from ccgi_pipeline.common.errors import PermanentError

# --- what bytes are -------------------------------------------------------------------------------


class Form(StrEnum):
    """What a file of OpenPGP is."""

    MESSAGE = "message"
    PUBLIC_KEY = "public key"
    SECRET_KEY = "secret key"  # noqa: S105 - a form of file
    SIGNATURE = "signature"


_ARMOR = re.compile(
    rb"(?:^|[\r\n\xbf])[ \t]*-----BEGIN PGP (MESSAGE|PUBLIC KEY BLOCK|PRIVATE KEY BLOCK"
    rb"|SECRET KEY BLOCK|SIGNED MESSAGE|SIGNATURE)[^\r\n]*-----"
)
_ARMORED_FORMS = {
    b"MESSAGE": Form.MESSAGE,
    b"SIGNED MESSAGE": Form.MESSAGE,
    b"PUBLIC KEY BLOCK": Form.PUBLIC_KEY,
    b"PRIVATE KEY BLOCK": Form.SECRET_KEY,
    b"SECRET KEY BLOCK": Form.SECRET_KEY,
    b"SIGNATURE": Form.SIGNATURE,
}
BEGINNING = 4096
"""Bytes that show what a file is: programs and mailers put some lines before an armored block."""

_SESSION_KEY, _SIGNATURE, _PASSWORD, _ONE_PASS, _SECRET_KEY, _PUBLIC_KEY = 1, 2, 3, 4, 5, 6
_SECRET_SUBKEY, _COMPRESSED, _OLD_ENCRYPTED, _MARKER = 7, 8, 9, 10
_ENCRYPTED, _OCB_ENCRYPTED = 18, 20
_FIRST_BYTES: dict[int, tuple[int, ...]] = {
    _SESSION_KEY: (2, 3, 6),
    _SIGNATURE: (3, 4, 6),
    _PASSWORD: (4, 5, 6),
    _ONE_PASS: (3, 6),
    _SECRET_KEY: (2, 3, 4, 5, 6),
    _PUBLIC_KEY: (2, 3, 4, 5, 6),
    _COMPRESSED: (1, 2, 3),
    _ENCRYPTED: (1, 2),
    _OCB_ENCRYPTED: (1,),
}
"""What the first byte of a packet's body can be, by the packet's tag: nearly always its version."""
_FORMS = {
    _SIGNATURE: Form.SIGNATURE,
    _SECRET_KEY: Form.SECRET_KEY,
    _PUBLIC_KEY: Form.PUBLIC_KEY,
}


def detect_form(beginning: bytes) -> Form | None:
    """Returns what a file is by its first bytes (``BEGINNING``); None if it is not of OpenPGP."""
    armored = find_armor(beginning)
    if armored is not None:
        return _ARMORED_FORMS[armored[1]]
    header = _read_header(beginning, 0)
    if header is None:
        return None
    tag, body, length, _ = header
    if tag == _MARKER:
        return Form.MESSAGE if beginning[body : body + 3] == b"PGP" else None
    first = beginning[body : body + 1]
    if not first or first[0] not in _FIRST_BYTES.get(tag, ()):
        return None
    if tag in {_SESSION_KEY, _PASSWORD} and length is not None and not _SHORT <= length <= _LONG:
        return None
    return _FORMS.get(tag, Form.MESSAGE)


_SHORT, _LONG = 4, 1100
"""Bytes of a packet with a session key; one for an RSA key of 8192 bits has 1,036."""


def find_armor(content: bytes) -> tuple[int, bytes] | None:
    """Returns where the first armored block begins, and its kind; None if there is none."""
    found = _ARMOR.search(content)
    return (content.index(b"-----BEGIN", found.start()), found[1]) if found else None


def _read_header(content: bytes, at: int) -> tuple[int, int, int | None, bool] | None:
    """Returns a packet's tag, where its body begins, its length, and whether it is in parts.

    The length is None if only the end of the file shows it. None if no packet begins here.
    """
    head = content[at : at + 6]
    if len(head) < 2 or not head[0] & 0x80:  # noqa: PLR2004 - a tag and a length
        return None
    if head[0] & 0x40:
        return _read_new_length(head, head[0] & 0x3F, at)
    size = (1, 2, 4, 0)[head[0] & 3]
    if len(head) < 1 + size:
        return None
    length = int.from_bytes(head[1 : 1 + size]) if size else None
    return (head[0] >> 2) & 0x0F, at + 1 + size, length, False


def _read_new_length(head: bytes, tag: int, at: int) -> tuple[int, int, int | None, bool]:
    """Returns the same of a header in the new form (RFC 4880, section 4.2.2)."""
    first = head[1]
    if first < 192:  # noqa: PLR2004
        return tag, at + 2, first, False
    if first < 224 and len(head) > 2:  # noqa: PLR2004
        return tag, at + 3, ((first - 192) << 8) + head[2] + 192, False
    if first == 255 and len(head) > 5:  # noqa: PLR2004
        return tag, at + 6, int.from_bytes(head[2:6]), False
    return tag, at + 2, 1 << (first & 0x1F), True


@dataclass(frozen=True, slots=True)
class Packet:
    """A packet: its tag and its body, or as much of the body as there is."""

    tag: int
    body: bytes


def read_packets(content: bytes) -> Iterator[Packet]:
    """Yields the packets of binary OpenPGP until the first that is in parts, or broken."""
    at = 0
    while at < len(content):
        header = _read_header(content, at)
        if header is None:
            return
        tag, body, length, in_parts = header
        end = len(content) if length is None else body + length
        yield Packet(tag, content[body:end])
        if in_parts or length is None:
            return
        at = end


class MessageWalk:
    """Finds out, while a binary message passes, whether another one follows it.

    GnuPG takes the second for damage of the first.
    """

    def __init__(self) -> None:
        self.another = False
        self._rest, self._skip, self._in_parts = b"", 0, False
        self._data_began = self._lost = False

    def feed(self, piece: bytes) -> None:
        """Looks at the next piece."""
        data, at = self._rest + piece, 0
        self._rest = b""
        while at < len(data) and not self._is_done:
            passed = min(self._skip, len(data) - at)
            self._skip -= passed
            at += passed
            if self._skip or at == len(data):
                return
            if len(data) - at < _LONGEST_HEADER:
                self._rest = data[at:]
                return
            at = self._read_next(data, at)

    @property
    def _is_done(self) -> bool:
        return self._lost or self.another

    def _read_next(self, data: bytes, at: int) -> int:
        """Reads a header, or the length of a further part; returns where its body begins."""
        if self._in_parts:  # a length alone: it is read like that of a header
            inner = _read_header(b"\xff" + data[at : at + _LONGEST_HEADER], 0)
            header = (inner[0], inner[1] + at - 1, inner[2], inner[3]) if inner else None
        else:
            header = _read_header(data, at)
            self.another = self._data_began and bool(header) and detect_form(data[at:]) is not None
        if header is None or header[2] is None:
            self._lost = True
            return at
        tag, body, self._skip, self._in_parts = header[0], header[1], header[2], header[3]
        self._data_began |= tag in {_OLD_ENCRYPTED, _ENCRYPTED, _OCB_ENCRYPTED}
        return body


_LONGEST_HEADER = 6


def read_recipients(beginning: bytes) -> list[str]:
    """Returns the key ids (16 digits) that a binary message is encrypted to; zeros if hidden."""
    return [
        packet.body[1:9].hex().upper()
        for packet in read_packets(beginning)
        if packet.tag == _SESSION_KEY
    ]


def is_newer_form(beginning: bytes) -> bool:
    """Returns whether a binary message is of a form that was made after RFC 4880.

    Those are RFC 9580 (version 6 of a session key, version 2 of encrypted data) and LibrePGP's
    packet 20. Not every version of GnuPG reads the latter, and none reads the former.
    """
    newer = {_SESSION_KEY: b"\x06", _PASSWORD: b"\x06", _ENCRYPTED: b"\x02"}
    return any(
        packet.tag == _OCB_ENCRYPTED or packet.body[:1] == newer.get(packet.tag)
        for packet in read_packets(beginning)
    )


def strip_armor(content: bytes) -> bytes:
    """Returns the packets of all armored blocks in ``content``, or ``content`` if it is binary."""
    if find_armor(content) is None:
        return content
    packets = b""
    for block in re.split(rb"-----BEGIN PGP [^\r\n]*-----", content)[1:]:
        text = block.partition(b"-----END")[0].replace(b"\r", b"")
        _, found, body = text.partition(b"\n\n")
        lines = (body if found else text).split(b"\n")
        data = b"".join(line.strip() for line in lines if not line.startswith(b"="))
        try:
            packets += base64.b64decode(data, validate=True)
        except binascii.Error:
            return b""
    return packets


# --- what became of a message ---------------------------------------------------------------------


class MessageFault(StrEnum):
    """Why the content of a message may not be used."""

    OTHER_KEY = "encrypted to another key"
    DAMAGED = "damaged or cut short"
    NO_INTEGRITY = "without integrity protection"
    NEWER_FORM = "of a form that cannot be read here"
    PASSWORD = "encrypted with a password only"  # noqa: S105 - a fault
    NOT_ENCRYPTED = "signed, not encrypted"
    NESTED = "a message in a message"
    JOINED = "several messages"
    NO_MESSAGE = "a key or a signature, not a message"
    BAD_SIGNATURE = "a wrong signature"
    TOO_LARGE = "too large when it is opened"
    OWN_FAULT = "a fault of this installation"


class SignatureState(StrEnum):
    """What is known of a message's signature."""

    NONE = "none"
    GOOD = "good"
    UNKNOWN = "of an unknown key"
    UNUSABLE = "of an expired or revoked key, or expired"


@dataclass(frozen=True, slots=True)
class MessageStatus:
    """What GnuPG said of a message.

    ``fault``: why nothing of it may be used. ``encrypted_to``: the key ids in it. ``opened_by``:
    the fingerprint of the primary key that opened it. ``signer``: the fingerprint of the signer's
    primary key, or the key id of an unknown one. ``name``: the name in the message, which is never
    used. ``weak_cipher``: it is encrypted with a cipher of blocks of 64 bits.
    """

    fault: MessageFault | None
    encrypted_to: tuple[str, ...] = ()
    opened_by: str = ""
    signature: SignatureState = SignatureState.NONE
    signer: str = ""
    name: str = ""
    weak_cipher: bool = False


_WEAK_CIPHERS = {"1", "2", "3", "4"}
"""IDEA, 3DES, CAST5, Blowfish."""
_DAMAGE = {"BADMDC", "DECRYPTION_FAILED", "BADARMOR", "UNEXPECTED", "NODATA"}


def judge_message(
    lines: Sequence[str], own_keys: Collection[str], *, killed: bool = False
) -> MessageStatus:
    """Returns what GnuPG's status lines (without the prefix) say of one message.

    ``own_keys``: ids of the private keys that were at hand. ``killed``: the process did not end by
    itself. The content may be used only if it was decrypted once, was proven whole, and is one
    plaintext.
    """
    words = [line.split(" ") for line in lines if line]
    said = {word[0] for word in words}
    encrypted_to = tuple(word[1] for word in words if word[0] == "ENC_TO")
    is_own = any(key_id in own_keys for key_id in encrypted_to)
    signature, signer = _judge_signature(words)
    return MessageStatus(
        MessageFault.OWN_FAULT if killed else _find_fault(words, said, is_own=is_own),
        encrypted_to,
        next((w[2] for w in words if w[0] == "DECRYPTION_KEY" and len(w) > 2), ""),  # noqa: PLR2004
        signature,
        signer,
        next((w[3] for w in words if w[0] == "PLAINTEXT" and len(w) > 3), ""),  # noqa: PLR2004
        any(
            w[0] == "DECRYPTION_INFO" and len(w) > 2 and w[2] in _WEAK_CIPHERS  # noqa: PLR2004
            for w in words
        ),
    )


def _find_fault(
    words: Sequence[Sequence[str]], said: set[str], *, is_own: bool
) -> MessageFault | None:
    def count(word: str) -> int:
        return sum(one[0] == word for one in words)

    errors = [" ".join(word[1:]) for word in words if word[0] in {"ERROR", "FAILURE"}]
    no_key = "DECRYPTION_KEY" not in said and "DECRYPTION_INFO" not in said
    fault: MessageFault | None = None
    if count("PLAINTEXT") > 1 or any("early_plaintext" in error for error in errors):
        fault = MessageFault.JOINED
    elif any("nomdc" in error for error in errors) or _lacks_integrity(words):
        fault = MessageFault.NO_INTEGRITY
    elif count("BEGIN_DECRYPTION") > 1:
        fault = MessageFault.NESTED
    elif "BADSIG" in said:
        fault = MessageFault.BAD_SIGNATURE
    elif "ENC_TO" in said and no_key:
        fault = MessageFault.DAMAGED if is_own else MessageFault.OTHER_KEY
    elif "NEED_PASSPHRASE_SYM" in said and "ENC_TO" not in said:
        fault = MessageFault.PASSWORD
    elif "BEGIN_DECRYPTION" not in said:
        signed = {"PLAINTEXT", "NEWSIG", "GOODSIG", "ERRSIG"} & said
        fault = MessageFault.NOT_ENCRYPTED if signed else MessageFault.DAMAGED
    elif _DAMAGE & said or not _is_proven_whole(words, said) or count("PLAINTEXT") != 1:
        fault = MessageFault.DAMAGED
    return fault


def _lacks_integrity(words: Sequence[Sequence[str]]) -> bool:
    """Returns whether the data were decrypted, and had neither an MDC nor AEAD."""
    return any(
        word[0] == "DECRYPTION_INFO" and word[1] == "0" and (len(word) < 4 or word[3] == "0")  # noqa: PLR2004
        for word in words
        if len(word) > 1
    )


def _is_proven_whole(words: Sequence[Sequence[str]], said: set[str]) -> bool:
    if "DECRYPTION_OKAY" not in said:
        return False
    # GOODMDC is also said of AEAD since GnuPG 2.3; the method is in DECRYPTION_INFO.
    aead = any(w[0] == "DECRYPTION_INFO" and len(w) > 3 and w[3] not in {"", "0"} for w in words)  # noqa: PLR2004
    return "GOODMDC" in said or aead


def _judge_signature(words: Sequence[Sequence[str]]) -> tuple[SignatureState, str]:
    """Returns the state of the signature, and who signed; of several, the worst counts."""
    said = {word[0]: word for word in words}
    valid = said.get("VALIDSIG", [])
    signer = valid[-1] if len(valid) > 2 else ""  # noqa: PLR2004
    if unusable := said.keys() & {"EXPSIG", "EXPKEYSIG", "REVKEYSIG"}:
        return SignatureState.UNUSABLE, signer or said[sorted(unusable)[0]][1]
    if "ERRSIG" in said:
        return SignatureState.UNKNOWN, said["ERRSIG"][1]
    if "GOODSIG" in said and signer:
        return SignatureState.GOOD, signer
    return SignatureState.NONE, ""


# --- keys -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class KeyPart:
    """A primary key or a subkey. ``can``: e, s, c, a as GnuPG lists them. Times are UTC."""

    fingerprint: str
    algorithm: int
    bits: int
    created: datetime
    expires: datetime | None
    revoked: bool
    can: str

    def ends_before(self, moment: datetime) -> bool:
        """Returns whether it has expired at ``moment``."""
        return self.expires is not None and self.expires <= moment

    @property
    def key_id(self) -> str:
        """The last 16 digits of the fingerprint, as messages name it."""
        return self.fingerprint[-16:]


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A primary key, its subkeys, and the names that its owner gave it."""

    primary: KeyPart
    subkeys: tuple[KeyPart, ...]
    names: tuple[str, ...]

    @property
    def fingerprint(self) -> str:
        """The fingerprint of the primary key, which is the key's identity: 40 digits."""
        return self.primary.fingerprint

    @property
    def encryption_parts(self) -> list[KeyPart]:
        """The parts that may encrypt, whether they are live or not."""
        return [part for part in (self.primary, *self.subkeys) if "e" in part.can]

    def usable_until(self, now: datetime) -> datetime | None:
        """Returns when the last of its parts that encrypt today ends; None if none ever ends."""
        live = [p for p in self.encryption_parts if not p.revoked and not p.ends_before(now)]
        ends = [part.expires for part in live]
        last = None if None in ends or not ends else max(end for end in ends if end)
        known = [end for end in (self.primary.expires, last) if end is not None]
        return min(known, default=None)


def format_fingerprint(fingerprint: str) -> str:
    """Returns a fingerprint in groups of four, as it is read out on the telephone."""
    return " ".join(fingerprint[at : at + 4] for at in range(0, len(fingerprint), 4))


def normalize_fingerprint(written: str) -> str:
    """Returns a fingerprint without blanks and colons, in capitals."""
    return re.sub(r"[\s:]", "", written).upper().removeprefix("0X")


_PUBLIC, _SECRET = ("pub", "sub"), ("sec", "ssb")


def parse_keys(listing: str) -> list[PublicKey]:
    """Returns the keys of a listing that GnuPG wrote ``--with-colons``."""
    keys: list[tuple[list[KeyPart], list[str]]] = []
    waiting: list[str] | None = None
    for line in listing.splitlines():
        cells = line.split(":")
        kind = cells[0]
        if kind in {*_PUBLIC, *_SECRET}:
            waiting = cells
            if kind in {"pub", "sec"}:
                keys.append(([], []))
        elif kind == "fpr" and waiting is not None:
            keys[-1][0].append(_parse_part(waiting, cells[9]))
            waiting = None
        elif kind == "uid" and keys and cells[1] != "r":
            keys[-1][1].append(cells[9])
    return [PublicKey(parts[0], tuple(parts[1:]), tuple(names)) for parts, names in keys if parts]


def _parse_part(cells: Sequence[str], fingerprint: str) -> KeyPart:
    can = "".join(letter for letter in cells[11] if letter.islower())
    return KeyPart(
        fingerprint,
        int(cells[3] or 0),
        int(cells[2] or 0),
        _parse_time(cells[5]) or datetime.fromtimestamp(0, UTC),
        _parse_time(cells[6]),
        cells[1] == "r",
        can,
    )


def _parse_time(written: str) -> datetime | None:
    return datetime.fromtimestamp(int(written), UTC) if written.isdecimal() else None


def find_recipient_fault(key: PublicKey, now: datetime, grace: timedelta) -> str | None:
    """Returns why nothing may be encrypted to ``key``, now or at the end of ``grace``; or None."""
    until = now + grace
    live = [part for part in key.encryption_parts if not part.revoked]
    fault = None
    if key.primary.revoked:
        fault = "was revoked by its owner"
    elif key.primary.ends_before(now):
        fault = f"expired on {key.primary.expires:%Y-%m-%d}"
    elif not key.encryption_parts:
        fault = "has no encryption subkey"
    elif not live:
        fault = "has no encryption subkey that is not revoked"
    elif all(part.ends_before(now) for part in live):
        last = max(part.expires for part in live if part.expires)
        fault = f"has an encryption subkey that expired on {last:%Y-%m-%d}"
    elif key.primary.ends_before(until) or all(part.ends_before(until) for part in live):
        fault = f"expires on {key.usable_until(now):%Y-%m-%d}, within the days of grace"
    return fault


class KeyRefusedError(PermanentError):
    """A file holds no key that may be used; the message says what its sender has to do."""


_RSA, _DSA = (1, 2, 3), 17
WEAKEST_RSA = 2048
"""Bits. NIST SP 800-57 allows no shorter keys since 2014."""
_WEAK_DIGESTS = {1, 2, 3}
"""MD5, SHA-1, RIPEMD-160."""
_BINDING, _CERTIFICATIONS = 0x18, range(0x10, 0x14)
_READABLE_VERSION, _DIGEST_AT = 4, 3


def check_key_block(content: bytes) -> bytes:
    """Returns the packets of a file that a district sent as its public key.

    Raises KeyRefusedError if it is not one public key of version 4.
    """
    packets = [*read_packets(strip_armor(content))]
    tags = [packet.tag for packet in packets]
    if {_SECRET_KEY, _SECRET_SUBKEY} & {*tags}:
        msg = (
            "this file holds a private key, which only its owner may have. Destroy the file and "
            "have its owner revoke the key, make a new one, and send the public key only "
            "(gpg --armor --export)"
        )
        raise KeyRefusedError(msg)
    primaries = [packet for packet in packets if packet.tag == _PUBLIC_KEY]
    if not primaries or tags[0] != _PUBLIC_KEY:
        msg = (
            "there is no OpenPGP public key in this file: have it made with "
            "gpg --armor --export FINGERPRINT"
        )
        raise KeyRefusedError(msg)
    if len(primaries) > 1:
        msg = (
            f"this file holds {len(primaries)} keys: have one key exported by its fingerprint, not "
            "by a name (gpg --armor --export FINGERPRINT)"
        )
        raise KeyRefusedError(msg)
    version = primaries[0].body[:1]
    if version != bytes([_READABLE_VERSION]):
        msg = (
            f"this key is of version {version[0] if version else '?'}, which not every program "
            "reads: have a key of version 4 made (GnuPG: gpg --full-generate-key; others: choose "
            "RFC 4880)"
        )
        raise KeyRefusedError(msg)
    return strip_armor(content)


def check_key_strength(key: PublicKey, packets: bytes, *, must_encrypt: bool) -> None:
    """Raises KeyRefusedError if a key is too weak, or cannot do what it is for.

    ``packets``: the key with its owner's own signatures only, as GnuPG exports it minimally.
    """
    for part in (key.primary, *(p for p in key.encryption_parts if not p.revoked)):
        if part.algorithm in _RSA and part.bits < WEAKEST_RSA:
            msg = (
                f"this RSA key has {part.bits} bits; it needs {WEAKEST_RSA} or more. Have a new "
                "key made, of 3072 or 4096 bits"
            )
            raise KeyRefusedError(msg)
        if part.algorithm == _DSA and part.bits < WEAKEST_RSA:
            msg = f"this DSA key has {part.bits} bits, which is too weak: have an RSA key made"
            raise KeyRefusedError(msg)
    if must_encrypt and not key.encryption_parts:
        msg = (
            "this key has no encryption subkey, so nothing can be encrypted to it. Have one added "
            "(gpg --quick-add-key FINGERPRINT rsa3072 encr), and the key exported again"
        )
        raise KeyRefusedError(msg)
    certified, bound = _find_digests(packets)
    if (certified and certified <= _WEAK_DIGESTS) or (
        must_encrypt and bound and bound <= _WEAK_DIGESTS
    ):
        msg = (
            "this key is held together by SHA-1 or MD5 only, which can be forged. Its owner renews "
            "it with a present-day GnuPG (gpg --quick-set-expire FINGERPRINT 2y, and the same with "
            "'*' for the subkeys), or makes a new key"
        )
        raise KeyRefusedError(msg)


def _find_digests(packets: bytes) -> tuple[set[int], set[int]]:
    """Returns the digests of the signatures that certify names, and of those that bind subkeys."""
    certified: set[int] = set()
    bound: set[int] = set()
    for packet in read_packets(packets):
        if packet.tag != _SIGNATURE or len(packet.body) <= _DIGEST_AT or packet.body[0] != 4:  # noqa: PLR2004
            continue
        kind, digest = packet.body[1], packet.body[_DIGEST_AT]
        if kind in _CERTIFICATIONS:
            certified.add(digest)
        elif kind == _BINDING:
            bound.add(digest)
    return certified, bound
