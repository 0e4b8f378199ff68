"""Sources: the places where senders put files, a local folder and folders on SFTP servers.

Belongs here: listing them all alike and taking a file's bytes from either. A server that cannot be
reached is told of and stops nobody else. Does not belong here: when a file is whole (settling),
SFTP itself (transport).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, Protocol

from ccgi_pipeline.common.errors import PermanentError, PipelineError, TransientError
from ccgi_pipeline.common.failpoints import failpoint
from ccgi_pipeline.intake.archive import Archive, FileNotReadableError, FileStillGrowingError
from ccgi_pipeline.intake.checksums import LARGEST, checksums_in
from ccgi_pipeline.intake.inbox import (
    InboxFile,
    Listing,
    folder_of,
    look_into,
    owner_of,
    passed_over,
    sender_of,
    sorted_listing,
)
from ccgi_pipeline.profiles import Profiles, SftpServer
from ccgi_pipeline.sftp.connection import Connection, connect
from ccgi_pipeline.sftp.servers import SftpAccount, read_credentials


class Source(Protocol):
    """A place where senders put files.

    ``resending_counts``: the same bytes under the same name again were sent again; elsewhere a
    copying tool may just have touched them. ``at_once``: files that it is well to ask for together.
    """

    @property
    def name(self) -> str:
        """By which people know it."""

    @property
    def at_once(self) -> int:
        """How many those are."""

    @property
    def resending_counts(self) -> bool:
        """Whether they were."""

    def listing(self) -> Listing:
        """What lies there."""

    def store(self, file: InboxFile, archive: Archive) -> str:
        """Puts the file's bytes into ``archive``; returns their SHA-256.

        Raises FileStillGrowingError where it changed meanwhile, FileNotFoundError where it is gone,
        and another PipelineError where it cannot be had.
        """

    def small(self, file: InboxFile) -> bytes:
        """The bytes of a small file."""

    def told_locked(self, senders: Sequence[str]) -> str:
        """What to do about folders of ``senders`` that may not be looked into, one a folder."""

    def answers(self) -> bool:
        """Whether it can still be asked: if so, a fault was one file's own."""

    def remove(self, file: InboxFile) -> None:
        """Takes the file away."""


@dataclass(frozen=True, slots=True)
class LocalInbox:
    """A folder of this machine."""

    root: Path
    name: str = "the local inbox"
    resending_counts: bool = False
    at_once: int = 2  # one waits for the disk while the digest of another is made

    def listing(self) -> Listing:
        """What lies there."""
        return look_into(self.root)

    def store(self, file: InboxFile, archive: Archive) -> str:
        """Puts the file's bytes into ``archive``; returns their SHA-256."""
        try:
            return archive.store(self.root / file.path)
        except FileNotReadableError:
            msg = f"{self.name}: files of {file.sender} may not be read. {_GIVE_THE_RIGHT}"
            raise FileNotReadableError(msg) from None

    def small(self, file: InboxFile) -> bytes:
        """The bytes of a small file."""
        path = self.root / file.path
        return path.read_bytes() if path.stat().st_size <= LARGEST else b""

    def told_locked(self, senders: Sequence[str]) -> str:
        """What to do about folders that may not be looked into."""
        whose = ", ".join(sorted({sender or "no sender" for sender in senders}))
        return (
            f"{self.name}: folders that may not be looked into: {len(senders)} (of {whose}). "
            f"{_GIVE_THE_RIGHT}"
        )

    def answers(self) -> bool:
        """It does, whatever is wrong with one file in it."""
        return True

    def remove(self, file: InboxFile) -> None:
        """Never: what lies here is the operator's."""


_GIVE_THE_RIGHT = "Give the account that runs the pipeline the right to read there"


@dataclass(frozen=True, slots=True)
class RemoteInbox:
    """A folder of an SFTP server, laid out as the local inbox or one sender's own."""

    name: str
    server: SftpServer
    connection: Connection
    resending_counts: bool = True
    at_once: int = 1  # a connection does one thing after the other

    def listing(self) -> Listing:
        """What lies there."""
        locked: list[str] = []
        found = self.connection.walk(self._folder, _hidden, locked.append)
        files = [
            InboxFile(
                f"{self.name}:{file.path}",
                *owner_of(f"{self.server.sender}/{file.path}" if self.server.sender else file.path),
                f"{file.size}-{file.mtime}",
            )
            for file in found
        ]
        return sorted_listing(files, [self.server.sender or sender_of(path) for path in locked])

    @property
    def _folder(self) -> str:
        return self.server.inbox or "."

    def _path(self, file: InboxFile) -> str:
        return f"{self._folder.rstrip('/')}/{file.path.removeprefix(f'{self.name}:')}"

    def store(self, file: InboxFile, archive: Archive) -> str:
        """Puts the file's bytes into ``archive``; returns their SHA-256."""

        def fetched(part: BinaryIO) -> str:
            with failpoint("inbox: downloaded"):
                size, sha256 = self.connection.fetch(self._path(file), part)
            if file.stamp != f"{size}-{self._mtime(file)}":
                msg = "the file changed while it was fetched"
                raise FileStillGrowingError(msg)
            return sha256

        return archive.keep(fetched)

    def _mtime(self, file: InboxFile) -> int | None:
        facts = self.connection.stat(self._path(file))
        return facts.mtime if facts else None

    def told_locked(self, senders: Sequence[str]) -> str:
        """What to do about folders that may not be looked into."""
        return (
            f"{self.name}: folders of the inbox that may not be looked into: {len(senders)}. "
            "Ask the server's operator for the right to read them"
        )

    def answers(self) -> bool:
        """Whether the server still answers: if so, a fault was one file's own."""
        try:
            return self.connection.stat(self._folder) is not None
        except PipelineError:
            return False

    def small(self, file: InboxFile) -> bytes:
        """The bytes of a small file."""
        if int(file.stamp.split("-", 1)[0]) > LARGEST:
            return b""
        content = BytesIO()
        self.connection.fetch(self._path(file), content)
        return content.getvalue()

    def remove(self, file: InboxFile) -> None:
        """Takes the file away, if it is still the one that was taken."""
        if file.stamp.split("-", 1)[1] == str(self._mtime(file)):
            with failpoint("inbox: removed"):
                self.connection.remove(self._path(file))


def _hidden(name: str) -> bool:
    """Folders with a partial name are not looked into; files with one tell that someone writes."""
    return name.startswith(".") and passed_over(name)


@dataclass(frozen=True, slots=True)
class Unreachable:
    """A server that could not be asked, or a place in an inbox that we may not read, and why.

    ``permanent``: somebody must act.
    """

    server: str
    why: str
    permanent: bool


@dataclass(slots=True)
class Inboxes:
    """All open sources, and the servers that could not be opened."""

    sources: list[Source]
    unreachable: list[Unreachable] = field(default_factory=list)

    def look(self) -> list[tuple[Source, Listing]]:
        """What lies in each source; one that fails is out, and told of in ``unreachable``."""
        found = []
        for source in list(self.sources):
            try:
                listing = source.listing()
            except PipelineError as error:
                self.failed(source, error)
                continue
            found.append((source, listing))
            if listing.locked:
                why = source.told_locked(listing.locked)
                self._tell(Unreachable(source.name, why, permanent=True))
        return found

    def failed(self, source: Source, error: PipelineError) -> None:
        """Notes what went wrong at ``source``, and asks it no more if it has stopped answering."""
        self._tell(unreachable(source.name, error))
        if not source.answers():
            self.sources.remove(source)

    def _tell(self, told: Unreachable) -> None:
        if told not in self.unreachable:
            self.unreachable.append(told)


def reasons(unreachable: Iterable[Unreachable]) -> dict[str, str]:
    """By server, all that is wrong with it."""
    by_server: dict[str, list[str]] = {}
    for told in unreachable:
        by_server.setdefault(told.server, []).append(told.why)
    return {server: "; ".join(why) for server, why in by_server.items()}


def unreachable(server: str, error: PipelineError) -> Unreachable:
    """A server, and what went wrong with it."""
    return Unreachable(server, str(error), isinstance(error, PermanentError))


@contextmanager
def open_inboxes(inbox: Path, profiles: Profiles) -> Iterator[Inboxes]:
    """The local inbox, and that of every SFTP server that has one; one connection a server."""
    with ExitStack() as stack:
        opened = Inboxes([LocalInbox(inbox)])
        for name, server in profiles.sftp.items():
            if server.inbox is None:
                continue
            try:
                connection = stack.enter_context(connection_to(name, server))
            except (TransientError, PermanentError) as error:
                opened.unreachable.append(unreachable(name, error))
            else:
                opened.sources.append(RemoteInbox(name, server, connection))
        yield opened


@contextmanager
def connection_to(name: str, server: SftpServer) -> Iterator[Connection]:
    """A connection to a server of the profiles, with the secrets that the environment has."""
    at = SftpAccount(
        name=name,
        host=server.host,
        user=server.user,
        host_keys=server.host_keys,
        port=server.port,
        stall_timeout=server.stall_seconds,
    )
    with connect(at, read_credentials(name)) as connection:
        yield connection


def checked_folders(source: Source, listing: Listing) -> dict[str, dict[str, str]]:
    """SHA-256 by file name of each folder that has a list of checksums whose files are all there.

    Keys are folders as ``place`` names them.
    """
    names: dict[str, set[str]] = {}
    for file in listing.files:
        names.setdefault(folder_of(file), set()).add(file.name)
    lists: dict[str, dict[str, str]] = {}
    for file in listing.checksums:
        listed = checksums_in(source.small(file))
        lists[folder_of(file)] = {**lists.get(folder_of(file), {}), **listed}
    return {
        folder: listed
        for folder, listed in lists.items()
        if listed and names.get(folder, set()) <= set(listed) and set(listed) <= names[folder]
    }
