"""The archive's files as they are read: encrypted ones are opened.

Belongs here: reading what an archived file holds. Does not belong here: storing files (archive),
opening messages (openpgp_messages).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from functools import partial

from ccgi_pipeline.encryption.keys import KeyPurpose, load_keys
from ccgi_pipeline.encryption.openpgp import BEGINNING
from ccgi_pipeline.encryption.openpgp_key_store import read_key_ring
from ccgi_pipeline.intake.archive import Archive
from ccgi_pipeline.intake.contents import Content
from ccgi_pipeline.intake.inbox import InboxFile
from ccgi_pipeline.intake.openpgp_messages import MessageOpener, OpenedFile, SentFile
from ccgi_pipeline.profiles import Profiles


@dataclass(frozen=True, slots=True)
class ReceivedFiles:
    """The files of an archive, and what opens them."""

    archive: Archive
    opener: MessageOpener

    def open(self, file: InboxFile, sha256: str) -> OpenedFile | None:
        """Returns an encrypted file opened or refused; None for a plain file that may be one."""
        return self.opener.open(self._sent(file.sender, file.content_name, sha256))

    def as_sent(self, _: InboxFile, sha256: str) -> Content:
        """Returns what was sent, decrypted or not."""
        return self.archive.content(sha256)

    def content(self, file: InboxFile, sha256: str) -> Content:
        """Returns what the file holds, decrypted; nothing if it is refused."""
        opened = self.open(file, sha256)
        return self.archive.content(sha256) if opened is None else opened.content

    def read_clear(self, sha256: str) -> bytes:
        """Returns the content of an archived file; an unopened message is returned as it is."""
        opened = self.opener.open(self._sent("", "", sha256))
        if opened is None or opened.refused is not None:
            return self.archive.read(sha256)
        return opened.content.read()

    def _sent(self, sender: str, name: str, sha256: str) -> SentFile:
        return SentFile(
            sender,
            name,
            sha256,
            self.archive.size(sha256),
            self.archive.read_start(sha256, BEGINNING),
            partial(self.archive.read_pieces, sha256),
        )


@contextmanager
def open_received_files(
    archive: Archive, profiles: Profiles | None = None, on: date | None = None
) -> Iterator[ReceivedFiles]:
    """Opens the archive of a warehouse for reading what its files hold.

    ``profiles`` and ``on``: as ``MessageOpener`` takes them.
    """
    warehouse = archive.root.parent
    keys = load_keys(warehouse) if archive.key is not None else None
    seal = keys.of(KeyPurpose.STAGING) if keys else None
    opener = MessageOpener(read_key_ring(warehouse), warehouse, seal, profiles, on)
    try:
        yield ReceivedFiles(archive, opener)
    finally:
        opener.close()
