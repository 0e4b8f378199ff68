"""Lists and reads the places where senders put files: a local folder and folders on SFTP servers.

Belongs here: one interface for both kinds. A server that cannot be reached becomes a problem to
report and does not stop the others. Does not belong here: when a file is complete (file_stability),
the SFTP protocol (sftp).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Protocol

from ccgi_pipeline.common.errors import PermanentError, PipelineError, TransientError
from ccgi_pipeline.common.failpoints import failpoint
from ccgi_pipeline.intake.archive import Archive
from ccgi_pipeline.intake.checksums import LIST_SIZE_LIMIT, parse_checksums
from ccgi_pipeline.intake.file_names import is_unfinished
from ccgi_pipeline.intake.inbox import (
    DEPTH_LIMIT,
    InboxFile,
    Listing,
    folder_of,
    scan_folder,
    sender_and_family,
    sender_of,
    sorted_listing,
)
from ccgi_pipeline.intake.listed_files import (
    FileNotReadableError,
    FileStillGrowingError,
    open_listed_file,
)
from ccgi_pipeline.profiles import Profiles, SftpServer

if TYPE_CHECKING:
    from ccgi_pipeline.sftp.connection import Connection, RemoteFile


class Source(Protocol):
    """A place where senders put files.

    ``resending_counts``: whether the same bytes with a new stamp are a new delivery. In a local
    folder a copying tool may have changed the stamp. ``parallel_reads``: how many files to read at
    the same time.
    """

    @property
    def name(self) -> str:
        """The name that people know it by."""

    @property
    def parallel_reads(self) -> int:
        """How many files to read at the same time."""

    @property
    def resending_counts(self) -> bool:
        """Whether the same bytes with a new stamp are a new delivery."""

    def listing(self) -> Listing:
        """Lists the files that lie there."""

    def store(self, file: InboxFile, archive: Archive) -> str:
        """Stores the file's bytes in ``archive``; returns their SHA-256.

        Raises FileStillGrowingError if the file changes meanwhile, FileNotFoundError if it is gone,
        and another PipelineError if it cannot be read.
        """

    def read_small(self, file: InboxFile) -> bytes:
        """Returns the bytes of a file, or none if it is larger than a list of checksums may be."""

    def locked_folders_message(self, senders: Sequence[str]) -> str:
        """Returns what to do about unreadable folders; ``senders`` has one entry for each."""

    def answers(self) -> bool:
        """Returns whether the source still works, so that a fault concerned one file only."""

    def remove(self, file: InboxFile) -> None:
        """Removes the file."""


@dataclass(frozen=True, slots=True)
class LocalInbox:
    """A folder of this machine."""

    root: Path
    name: str = "the local inbox"
    resending_counts: bool = False
    parallel_reads: int = 2  # one file waits for the disk while another is hashed

    def listing(self) -> Listing:
        """Lists the files of the folder."""
        return scan_folder(self.root)

    def store(self, file: InboxFile, archive: Archive) -> str:
        """Stores the file's bytes in ``archive``; returns their SHA-256."""
        try:
            return archive.store_listed(self.root, file.path, file.stamp)
        except FileNotReadableError:
            msg = f"{self.name}: files of {file.sender} may not be read. {_GRANT_READ_ACCESS}"
            raise FileNotReadableError(msg) from None

    def read_small(self, file: InboxFile) -> bytes:
        """Returns the bytes of a file, or none if it is too large."""
        with open_listed_file(self.root, file.path) as opened:
            content = opened.read(LIST_SIZE_LIMIT + 1)
        return content if len(content) <= LIST_SIZE_LIMIT else b""

    def locked_folders_message(self, senders: Sequence[str]) -> str:
        """Returns what to do about unreadable folders."""
        return (
            f"{self.name}: folders that may not be read: {len(senders)} "
            f"(of {_name_senders(senders)}). "
            f"{_GRANT_READ_ACCESS}"
        )

    def answers(self) -> bool:
        """Returns True: a fault in a local folder always concerns one file only."""
        return True

    def remove(self, file: InboxFile) -> None:
        """Does nothing: files of the local inbox belong to the operator."""


_GRANT_READ_ACCESS = "Give the account that runs the pipeline the right to read them"


@dataclass(frozen=True, slots=True)
class RemoteInbox:
    """A folder of an SFTP server, laid out like the local inbox or like one sender's folder."""

    name: str
    server: SftpServer
    connection: Connection
    resending_counts: bool = True
    parallel_reads: int = 1  # a connection handles one request at a time

    def listing(self) -> Listing:
        """Lists the files of the folder."""
        locked: list[str] = []
        found = [
            self._measured(self._below(file.path), file)
            for file in self.connection.walk(self._folder, _hidden, locked.append)
        ]
        files = [
            InboxFile(
                f"{self.name}:{file.path}",
                *sender_and_family(
                    f"{self.server.sender}/{file.path}" if self.server.sender else file.path
                ),
                _make_stamp(file),
            )
            for file in found
        ]
        return sorted_listing(files, [self.server.sender or sender_of(path) for path in locked])

    @property
    def _folder(self) -> str:
        return self.server.inbox or "."

    def _path(self, file: InboxFile) -> str:
        return self._below(file.path.removeprefix(f"{self.name}:"))

    def _below(self, path: str) -> str:
        return f"{self._folder.rstrip('/')}/{path}"

    def store(self, file: InboxFile, archive: Archive) -> str:
        """Stores the file's bytes in ``archive``; returns their SHA-256."""

        def fetched(part: BinaryIO) -> str:
            with failpoint("inbox: downloaded"):
                size, sha256 = self.connection.fetch(self._path(file), part, file.size)
            now = self.connection.stat(self._path(file))
            if now is None or not _is_stamp_of(file.stamp, replace(now, size=size)):
                msg = "the file changed while it was fetched"
                raise FileStillGrowingError(msg)
            return sha256

        return archive.store_output(fetched)

    def _measured(self, path: str, file: RemoteFile) -> RemoteFile:
        """Returns the file with its size: without it, one that still grows would look complete."""
        if file.size is not None:
            return file
        with suppress(PipelineError):  # whoever fetches the file is told
            return replace(file, size=self.connection.measure(path))
        return file

    def locked_folders_message(self, senders: Sequence[str]) -> str:
        """Returns what to do about unreadable folders."""
        return (
            f"{self.name}: folders of the inbox that may not be read: {len(senders)}. "
            "Ask the server's operator for the right to read them"
        )

    def answers(self) -> bool:
        """Returns whether the server still answers, so that a fault concerned one file only."""
        try:
            return self.connection.stat(self._folder) is not None
        except PipelineError:
            return False

    def read_small(self, file: InboxFile) -> bytes:
        """Returns the bytes of a file, or none if it is too large."""
        if file.size > LIST_SIZE_LIMIT:
            return b""
        content = BytesIO()
        self.connection.fetch(self._path(file), content, LIST_SIZE_LIMIT)
        return content.getvalue()

    def remove(self, file: InboxFile) -> None:
        """Removes the file, if it has not changed since it was taken."""
        path = self._path(file)
        now = self.connection.stat(path)
        if now is not None and _is_stamp_of(file.stamp, self._measured(path, now)):
            with failpoint("inbox: removed"):
                self.connection.remove(path)


def _make_stamp(file: RemoteFile) -> str:
    """Returns size and time as far as the server tells them."""
    size, mtime = ("" if fact is None else str(fact) for fact in (file.size, file.mtime))
    return f"{size}-{mtime}"


def _is_stamp_of(stamp: str, file: RemoteFile) -> bool:
    """Returns whether the file is as its listing had it, by what the server tells both times."""
    pairs = zip(stamp.split("-"), _make_stamp(file).split("-"), strict=True)
    return all(before == now or not before or not now for before, now in pairs)


def _hidden(name: str) -> bool:
    """Returns whether a folder or file is left out of a listing; partial names stay in it."""
    return name.startswith(".") and is_unfinished(name)


@dataclass(frozen=True, slots=True)
class InboxProblem:
    """A server that could not be asked, or an inbox that cannot be read in full, and why.

    ``permanent``: it lasts until somebody acts.
    """

    server: str
    reason: str
    permanent: bool


@dataclass(slots=True)
class Inboxes:
    """All open sources, and the problems met so far.

    ``largest``: the bytes of a file above which it is not copied.
    """

    sources: list[Source]
    problems: list[InboxProblem] = field(default_factory=list)
    largest: float = math.inf

    def list_all(self) -> list[tuple[Source, Listing]]:
        """Lists every source; a source that fails is left out and added to ``problems``."""
        found = []
        for source in list(self.sources):
            try:
                listing = source.listing()
            except PipelineError as error:
                self.record_failure(source, error)
                continue
            found.append((source, listing))
            if listing.locked:
                reason = source.locked_folders_message(listing.locked)
                self._add_problem(InboxProblem(source.name, reason, permanent=True))
            if listing.faulty:
                reason = _faulty_folders_message(source.name, listing.faulty)
                self._add_problem(InboxProblem(source.name, reason, permanent=True))
        return found

    def record_failure(self, source: Source, error: PipelineError) -> None:
        """Adds a problem of ``source``, and closes the source if it has stopped answering."""
        self._add_problem(problem_from_error(source.name, error))
        if not source.answers():
            self.sources.remove(source)

    def _add_problem(self, problem: InboxProblem) -> None:
        if problem not in self.problems:
            self.problems.append(problem)


def _faulty_folders_message(name: str, senders: Sequence[str]) -> str:
    return (
        f"{name}: folders that cannot be read: {len(senders)} (of {_name_senders(senders)}). More "
        f"than {DEPTH_LIMIT} folders lie within each other, or the path is too long: ask the "
        "sender to put the files into fewer folders, and remove these"
    )


def _name_senders(senders: Sequence[str]) -> str:
    return ", ".join(sorted({sender or "no sender" for sender in senders}))


def problems_by_server(problems: Iterable[InboxProblem]) -> dict[str, str]:
    """Returns the reasons of all problems of each server, joined."""
    by_server: dict[str, list[str]] = {}
    for problem in problems:
        by_server.setdefault(problem.server, []).append(problem.reason)
    return {server: "; ".join(reasons) for server, reasons in by_server.items()}


def problem_from_error(server: str, error: PipelineError) -> InboxProblem:
    """Returns the problem that an error of a server stands for."""
    return InboxProblem(server, str(error), isinstance(error, PermanentError))


@contextmanager
def open_inboxes(inbox: Path, profiles: Profiles) -> Iterator[Inboxes]:
    """Opens the local inbox and the inbox of every SFTP server, with one connection a server."""
    with ExitStack() as stack:
        opened = Inboxes([LocalInbox(inbox)], largest=profiles.intake.largest_drop)
        for name, server in profiles.sftp.items():
            if server.inbox is None:
                continue
            try:
                connection = stack.enter_context(connect_to_server(name, server))
            except (TransientError, PermanentError) as error:
                opened.problems.append(problem_from_error(name, error))
            else:
                opened.sources.append(RemoteInbox(name, server, connection))
        yield opened


@contextmanager
def connect_to_server(name: str, server: SftpServer) -> Iterator[Connection]:
    """Connects to a server of the profiles, with the secrets of the environment."""
    # paramiko takes a quarter of a second to load, and many installations have no server.
    from ccgi_pipeline.sftp.connection import connect  # noqa: PLC0415
    from ccgi_pipeline.sftp.servers import SftpAccount, read_credentials  # noqa: PLC0415

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


def read_checksum_lists(source: Source, listing: Listing) -> dict[str, dict[str, str]]:
    """Returns SHA-256 by folder and file name, for each folder whose listed files are all there.

    A folder counts only if its lists name all its files and no others.
    """
    names: dict[str, set[str]] = {}
    for file in listing.files:
        names.setdefault(folder_of(file), set()).add(file.name)
    lists: dict[str, dict[str, str]] = {}
    for file in listing.checksums:
        listed = parse_checksums(source.read_small(file))
        lists[folder_of(file)] = {**lists.get(folder_of(file), {}), **listed}
    return {
        folder: listed
        for folder, listed in lists.items()
        if listed and names.get(folder, set()) <= set(listed) and set(listed) <= names[folder]
    }
