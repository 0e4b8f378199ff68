"""Opens received files that are encrypted with OpenPGP, before anything else looks into them.

Belongs here: what becomes of an encrypted file by its sender's settings, and where its content is
until it is proven whole. Does not belong here: GnuPG (encryption.gnupg), the archive's files
(received_files), what the content is (recognition, zip_files, reader).

A file is known by its bytes, not by its name. The archive keeps it as it was sent; whoever needs
its content opens it again. The content goes into a file that has no name, on the disk of the
warehouse, sealed if the warehouse is encrypted: no other program can open it, and it is gone when
this process ends, however it ends. Nobody reads it before the message is proven whole.
"""

from __future__ import annotations

import codecs
import io
import logging
import os
import tempfile
import threading
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

from ccgi_pipeline.common.errors import PermanentError
from ccgi_pipeline.encryption.gnupg import GnupgHome, Writer, read_passphrase
from ccgi_pipeline.encryption.openpgp import (
    BEGINNING,
    Form,
    MessageFault,
    MessageStatus,
    SignatureState,
    detect_form,
)
from ccgi_pipeline.encryption.openpgp_keys import KeyRing, StoredKey
from ccgi_pipeline.feeds import file_rules
from ccgi_pipeline.feeds.rules import Rule
from ccgi_pipeline.intake.contents import EMPTY, Content
from ccgi_pipeline.intake.findings import Finding
from ccgi_pipeline.intake.zip_files import RATIO_FROM, RATIO_LIMIT
from ccgi_pipeline.profiles import OpenPgpProfile, Profiles

if TYPE_CHECKING:
    from ccgi_pipeline.encryption.sealed_files import SealedWriter

_LOG = logging.getLogger(__name__)

_IN_MEMORY = 8 << 20
"""Bytes of content that are held in memory; more go to the disk."""


@dataclass(frozen=True, slots=True)
class SentFile:
    """A file as it was sent. ``beginning``: its first bytes; ``pieces`` yields all of it."""

    sender: str
    content_name: str
    sha256: str
    size: int
    beginning: bytes
    pieces: Callable[[], Iterator[bytes]]


@dataclass(frozen=True, slots=True)
class OpenedFile:
    """What became of a file that is encrypted, or should have been.

    ``refused``: why it is not read; ``told``: further findings for its sender. ``content`` is empty
    if the file is refused.
    """

    refused: Finding | None = None
    told: tuple[Finding, ...] = ()
    content: Content = EMPTY


_RULES: dict[MessageFault, Rule] = {
    MessageFault.OTHER_KEY: file_rules.PGP_OTHER_KEY,
    MessageFault.DAMAGED: file_rules.PGP_DAMAGED,
    MessageFault.NO_INTEGRITY: file_rules.PGP_NO_INTEGRITY,
    MessageFault.NEWER_FORM: file_rules.PGP_NEWER_FORM,
    MessageFault.PASSWORD: file_rules.PGP_PASSWORD,
    MessageFault.NOT_ENCRYPTED: file_rules.PGP_NOT_ENCRYPTED,
    MessageFault.NESTED: file_rules.PGP_NESTED,
    MessageFault.JOINED: file_rules.PGP_JOINED,
    MessageFault.BAD_SIGNATURE: file_rules.PGP_BAD_SIGNATURE,
    MessageFault.TOO_LARGE: file_rules.PGP_TOO_LARGE,
    MessageFault.OWN_FAULT: file_rules.FAULT,
}
_NO_MESSAGE = {
    Form.PUBLIC_KEY: file_rules.PGP_NO_MESSAGE,
    Form.SECRET_KEY: file_rules.PGP_PRIVATE_KEY,
    Form.SIGNATURE: file_rules.PGP_DETACHED,
}


class MessageOpener:
    """Opens messages with the installation's keys, in one home of GnuPG that is made when needed.

    ``folder``: on whose disk large contents lie, sealed with ``seal`` if it is given. ``profiles``:
    the senders' settings. ``on``: the day on which the files arrive: a retired key may count no
    longer, and what was agreed with a sender is asked for. Without a day, whatever can be opened is
    opened: it came on another day, or an operator decides.
    """

    def __init__(
        self,
        ring: KeyRing,
        folder: Path,
        seal: bytes | None = None,
        profiles: Profiles | None = None,
        on: date | None = None,
    ) -> None:
        self._ring, self._folder, self._seal, self._on = ring, folder, seal, on
        self._profiles, self._judges = profiles or Profiles(), on is not None
        self._home: GnupgHome | None = None
        self._fault: str | None = None
        self._signers: set[str] = set()
        self._lock = threading.Lock()

    def close(self) -> None:
        """Removes the home of GnuPG."""
        if self._home is not None:
            self._home.close()
            self._home = None

    def open(self, sent: SentFile) -> OpenedFile | None:
        """Returns the file, opened or refused; None if it is a plain file and may be one."""
        sent = _without_utf_16(sent)
        form = detect_form(sent.beginning)
        policy = self._profiles.of(sent.sender).openpgp
        if form is None:
            return self._judge_plain(policy)
        if form is not Form.MESSAGE:
            return _refuse(_NO_MESSAGE[form])
        if not self._ring.intake:
            return _refuse(file_rules.PGP_NO_KEY)
        home = self._ready_home(sent.sender)
        if home is None:
            return _refuse(file_rules.FAULT)
        largest = self._profiles.intake.largest_drop
        limit = min(largest, max(RATIO_FROM, sent.size * RATIO_LIMIT))
        opened = _MessageContent(self._folder, self._seal)
        status = home.decrypt(sent.pieces(), opened.writer, limit)
        content = opened.finish() if status.fault is None else EMPTY
        return self._judge_message(sent, status, content, policy)

    def _judge_plain(self, policy: OpenPgpProfile) -> OpenedFile | None:
        if not self._judges:
            return None
        if policy.received == "required":
            return _refuse(file_rules.PGP_REQUIRED)
        if policy.signatures == "require":
            return _refuse(file_rules.PGP_SIGNATURE, "not encrypted and not signed")
        return None

    def _ready_home(self, sender: str) -> GnupgHome | None:
        """Returns the home with the installation's keys and the sender's; None if there is none."""
        with self._lock:
            try:
                if self._fault is not None:
                    return None
                if self._home is None:
                    self._home = GnupgHome(read_passphrase())
                    for own in self._ring.intake:
                        self._home.import_key(own.secret or b"")
                if sender not in self._signers:
                    self._signers.add(sender)
                    for key in self._ring.keys:
                        if key.owner == sender:
                            self._home.import_key(key.block)
            except PermanentError as error:
                self._fault = str(error)
                _LOG.error("encrypted files cannot be opened: %s", self._fault)
                return None
            return self._home

    def _judge_message(
        self, sent: SentFile, status: MessageStatus, content: Content, policy: OpenPgpProfile
    ) -> OpenedFile:
        if status.fault is MessageFault.OWN_FAULT:
            _LOG.error("an encrypted file could not be opened: check the passphrase of the keys")
        if status.fault is not None:
            return _refuse(_RULES[status.fault], self._describe_keys(status))
        inside = detect_form(content.read_start(BEGINNING))
        if inside is not None:
            return _refuse(_NO_MESSAGE.get(inside, file_rules.PGP_NESTED))
        used = next((k for k in self._ring.intake if k.fingerprint == status.opened_by), None)
        if used is not None and self._on is not None and not used.counts(self._on):
            return _refuse(file_rules.PGP_RETIRED_KEY, self._describe_keys(status))
        if self._judges and policy.signatures == "require":
            why = self._find_signature_fault(sent.sender, status)
            if why is not None:
                return _refuse(file_rules.PGP_SIGNATURE, why)
        told = tuple(self._tell(sent, status, used, policy))
        return OpenedFile(None, told, content)

    def _describe_keys(self, status: MessageStatus) -> str | None:
        """Returns which keys the message names, and which are the installation's, by their ids."""
        if status.fault not in {None, MessageFault.OTHER_KEY}:
            return None
        hidden = "a hidden key"
        named = [hidden if not key.strip("0") else key for key in status.encrypted_to]
        return f"encrypted to {', '.join(named)}; CCGI's key is {self._present_keys()}"

    def _present_keys(self) -> str:
        present = [key for key in self._ring.intake if key.until is None]
        return ", ".join(
            f"{key.key.primary.key_id} (subkey {part.key_id})"
            for key in present or self._ring.intake[:1]
            for part in key.key.encryption_parts[-1:]
        )

    def _find_signature_fault(self, sender: str, status: MessageStatus) -> str | None:
        allowed = {key.fingerprint for key in self._ring.signers(sender, self._on or date.max)}
        fault: str | None = None
        if status.signature is SignatureState.NONE:
            fault = "it is not signed"
        elif status.signature is not SignatureState.GOOD:
            fault = f"signed by {status.signer[-16:]}: the signature is {status.signature}"
        elif status.signer not in allowed:
            fault = f"signed by {status.signer[-16:]}, which is not an agreed key"
        return fault

    def _tell(
        self, sent: SentFile, status: MessageStatus, used: StoredKey | None, policy: OpenPgpProfile
    ) -> Iterator[Finding]:
        detail = f"SHA-256 as sent: {sent.sha256}" if sent.sha256 else "opened by the warehouse"
        if policy.signatures != "off":
            signed = {
                SignatureState.NONE: "not signed",
                SignatureState.GOOD: f"good signature of {status.signer[-16:]}",
            }.get(status.signature, f"signature of {status.signer[-16:]}: {status.signature}")
            detail = f"{detail}; {signed}"
        yield Finding(file_rules.PGP_OPENED, detail=detail)
        if used is not None and used.until is not None:
            detail = (
                f"accepted until {used.until:%Y-%m-%d}; the present key: {self._present_keys()}"
            )
            yield Finding(file_rules.PGP_FORMER_KEY, detail=detail)
        if status.weak_cipher:
            yield Finding(file_rules.PGP_OLD_CIPHER)
        if status.name and status.name.replace("%20", " ") != sent.content_name:
            yield Finding(file_rules.PGP_NAME)


def _without_utf_16(sent: SentFile) -> SentFile:
    """Returns the file; armor in UTF-16, as PowerShell's ``>`` writes it, in ASCII."""
    if not sent.beginning.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return sent
    beginning = b"".join(_transcode(iter([sent.beginning])))
    if detect_form(beginning) is None:
        return sent
    return replace(sent, beginning=beginning, pieces=lambda: _transcode(sent.pieces()))


def _transcode(pieces: Iterator[bytes]) -> Iterator[bytes]:
    decoder = codecs.getincrementaldecoder("utf-16")("replace")
    for piece in pieces:
        yield decoder.decode(piece).encode("ascii", "replace")


def _refuse(rule: Rule, detail: str | None = None) -> OpenedFile:
    return OpenedFile(Finding(rule, detail=detail))


class _MessageContent:
    """The content of a message, in memory or in a file without a name, until nobody needs it."""

    def __init__(self, folder: Path, seal: bytes | None) -> None:
        file = tempfile.SpooledTemporaryFile(_IN_MEMORY, dir=str(folder))  # noqa: SIM115
        weakref.finalize(self, file.close)
        self._file, self._seal = file, seal
        self._sealer = _open_sealer(cast("BinaryIO", file), seal) if seal else None
        self.writer = _Counter(self._sealer or cast("BinaryIO", file))

    def finish(self) -> Content:
        """Ends the writing, and returns what was written."""
        if self._sealer is not None:
            self._sealer.finish()
        size = self.writer.count
        if size <= _IN_MEMORY:
            self._file.seek(0)
            written = self._file.read()
            return Content.of_bytes(_unseal(written, self._seal) if self._seal else written)
        self._file.flush()
        return Content(size, self._read, self._read_pieces, self._open)

    def _open(self) -> BinaryIO:
        # Others read the same file at the same time: each from a place of its own.
        plain = io.BufferedReader(_PlacedReader(self))
        return plain if self._seal is None else _open_unsealed(plain, self._seal)

    def _read(self) -> bytes:
        with self._open() as file:
            return file.read()

    def _read_pieces(self) -> Iterator[bytes]:
        with self._open() as file:
            while piece := file.read(_PIECE):
                yield piece

    def fileno(self) -> int:
        """Returns the number of the open file."""
        return self._file.fileno()


_PIECE = 1 << 20


class _PlacedReader(io.RawIOBase):
    """Reads an open file from a place of its own, and keeps its owner as long."""

    def __init__(self, owner: _MessageContent) -> None:
        super().__init__()
        self._owner, self._place = owner, 0

    def readable(self) -> bool:
        """Returns True."""
        return True

    def seekable(self) -> bool:
        """Returns True."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Moves to a place of the file, and returns it."""
        end = os.fstat(self._owner.fileno()).st_size
        self._place = {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: end}[whence] + offset
        return self._place

    def readinto(self, buffer: object) -> int:
        """Reads what there is."""
        into = memoryview(buffer).cast("B")  # type: ignore[arg-type] # whatever has bytes
        read = os.pread(self._owner.fileno(), len(into), self._place)
        into[: len(read)] = read
        self._place += len(read)
        return len(read)


# Sealing takes its time to import, and `ccgi check` never needs it.


def _open_sealer(file: BinaryIO, seal: bytes) -> SealedWriter:
    from ccgi_pipeline.encryption.sealed_files import SealedWriter  # noqa: PLC0415

    return SealedWriter(file, seal)


def _open_unsealed(file: BinaryIO, seal: bytes) -> BinaryIO:
    from ccgi_pipeline.encryption.sealed_files import SealedReader  # noqa: PLC0415

    return io.BufferedReader(SealedReader(file, seal))


def _unseal(sealed: bytes, seal: bytes) -> bytes:
    from ccgi_pipeline.encryption.sealed_files import unseal  # noqa: PLC0415

    return unseal(sealed, seal)


class _Counter:
    """Writes into a file and counts."""

    def __init__(self, file: Writer) -> None:
        self._file, self.count = file, 0

    def write(self, data: bytes, /) -> None:
        """Writes all of ``data``."""
        self._file.write(data)
        self.count += len(data)
