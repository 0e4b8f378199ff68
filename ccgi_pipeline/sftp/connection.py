"""A connection to one SFTP server: listing, fetching, uploading, renaming, removing.

Belongs here: the operations on a server's files; after a failure, no partial file can be mistaken
for a complete one. Does not belong here: SSH (``session``), when to try again, and which files are
wanted.

Paths are the server's; one without a leading ``/`` starts in the account's folder. A name that is
not UTF-8 is decoded with surrogates, as by ``os.fsdecode``, and is sent back as the same bytes. No
name gets into a log or an error.
"""

from __future__ import annotations

import hashlib
import re
import stat
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import BinaryIO

import paramiko  # type: ignore[import-untyped]

from ccgi_pipeline.sftp.errors import SftpPermanentError, SftpTransientError
from ccgi_pipeline.sftp.faults import MISSING, Operation, to_sftp_error
from ccgi_pipeline.sftp.protocol import (
    LIMITS,
    NO_ATTRIBUTES,
    POSIX_RENAME,
    Attributes,
    GarbledError,
    MessageType,
    OpenFlag,
    RefusedError,
    RemoteEntry,
    SftpSession,
    StatusCode,
    encode_bytes,
    encode_flags,
    encode_uint32,
    encode_uint64,
)
from ccgi_pipeline.sftp.servers import Credentials, SftpAccount
from ccgi_pipeline.sftp.session import open_session

_MAX_UNDER_WAY = 1 << 22
"""Bytes of a file that are requested or sent before the first reply. Measured at a distance of
40 ms: 2 MiB fetch 50 MB/s, 4 MiB 86, 8 MiB 145, OpenSSH's own program 33. On a near server 4 MiB
cost nothing, but 16 MiB a fifth of the speed, because they wait in memory."""

_DEFAULT_CHUNK = 1 << 15
"""Bytes in one request; every server accepts this many."""

_MAX_CHUNK = 255 << 10
"""OpenSSH's limit for one request; more would not be faster."""

_MAX_FOLDERS = 32
"""Folders that are listed at once. A folder takes three replies in sequence: at a distance of
40 ms, a thousand folders one by one would take two minutes."""

_MAX_LISTS = 8
"""Parts of a folder (of 100 names each, with OpenSSH) that are requested at once."""

_MAX_DEPTH = 32
"""Levels of folders. No drop is as deep, and a folder that contains itself would have no end."""

_LARGEST_FILE, _PROBES = 1 << 40, 32
"""Where the end of a file is looked for, and in how many places at once."""

_MAX_FILES, _MAX_ALL_FOLDERS = 200_000, 20_000
"""Files and folders of one listing. The inbox of a state has some ten thousand files."""

_LISTING_SECONDS = 600.0
"""How long a listing may take. A server may invent names, or send empty lists, without end."""

_FETCH_SECONDS, _SLOWEST = 600.0, 50_000
"""How long a file may take to arrive, and how many bytes a second a larger one must have. A byte
now and then would keep a night waiting without being silent."""


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file on the server; times are seconds since 1970, by the server's clock.

    What the server does not tell is None.
    """

    path: str
    size: int | None
    mtime: int | None
    atime: int | None

    @property
    def shown(self) -> str:
        """The path for display, without the bytes that are not UTF-8."""
        return self.path.encode(errors="replace").decode()


@contextmanager
def connect(server: SftpAccount, credentials: Credentials) -> Iterator[Connection]:
    """Opens a connection, and closes it at the end of the block.

    Raises SftpTransientError, SftpPermanentError, and ServerSettingsError if the private key
    cannot be read.
    """
    with open_session(server, credentials) as session:
        yield Connection(server.name, session)


class Connection:
    """An open connection to the files of one server. Not thread-safe: each thread needs its own.

    Every method raises SftpTransientError and SftpPermanentError, and no other error. A broken
    connection stays broken: connect again.
    """

    def __init__(self, server: str, session: SftpSession) -> None:
        self._server = server
        self._session = session
        self._broken = False
        with self._translate_errors(Operation.CONNECTING):
            self._read_chunk, self._write_chunk = self._read_limits()

    def walk(
        self,
        folder: str,
        is_ignored: Callable[[str], bool],
        refused: Callable[[str], object] | None = None,
    ) -> list[RemoteFile]:
        """Returns the files below a folder, sorted by path; paths are relative to the folder.

        The folder must exist. Left out are files and folders whose name ``is_ignored``, links and
        other special files, and folders that vanish during the walk. ``refused`` is called with
        the path of each subfolder without permission; without it, such a folder raises
        SftpPermanentError.
        """
        with self._translate_errors(Operation.LISTING):
            walk = _Walk(self._session, _encode_path(folder), is_ignored, refused)
            return sorted(walk.list_files(), key=lambda file: file.path)

    def stat(self, path: str) -> RemoteFile | None:
        """Returns the attributes of a file, folder or link; None if there is none."""
        with self._translate_errors(Operation.LOOKING):
            known = self._find_attributes(_encode_path(path))
        return None if known is None else _remote_file(path, known)

    def fetch(self, path: str, into: BinaryIO, most: int | None = None) -> tuple[int, str]:
        """Copies a file's content into ``into``; returns its size and SHA-256.

        Raises SftpTransientError if the file changes while it is read, has more than ``most`` bytes
        or takes too long, and SftpMissingError if there is none (any more). After an error the
        content of ``into`` is of no use.
        """
        digest, received = hashlib.sha256(), 0
        until = time.monotonic() + max(_FETCH_SECONDS, (most or 0) / _SLOWEST)

        def take(data: memoryview) -> None:
            nonlocal received
            received += len(data)
            if most is not None and received > most:
                msg = f"a file has more than the {most:,} bytes that were listed"
                raise SftpTransientError(msg)
            if time.monotonic() > until:
                msg = "a file takes too long to arrive: it is tried again later"
                raise SftpTransientError(msg)
            digest.update(data)
            try:
                into.write(data)
            except OSError:
                msg = "a fetched file cannot be written here: check the room on our own disk"
                raise SftpPermanentError(msg) from None

        with self._translate_errors(Operation.READING):
            size = self._read(_encode_path(path), take)
        return size, digest.hexdigest()

    def measure(self, path: str) -> int:
        """Finds out how many bytes a file has, for servers that do not tell.

        Bytes here and there are read, many at once, to see which of them exist.
        """
        with self._translate_errors(Operation.READING):
            handle = self._open(_encode_path(path), OpenFlag.READ)
            with self._close_later(handle):
                there, end = -1, _LARGEST_FILE
                tried = [0, *(1 << power for power in range(end.bit_length() - 1))]
                while there + 1 < end:
                    exists = self._find_bytes(handle, tried)
                    there = max((at for at in tried if exists[at]), default=there)
                    end = min((at for at in tried if at > there and not exists[at]), default=end)
                    step = max(1, (end - there) // _PROBES)
                    tried = [*range(there + 1, end, step)]
                return end

    def _find_bytes(self, handle: bytes, offsets: Sequence[int]) -> dict[int, bool]:
        asked = {
            at: self._session.queue(MessageType.READ, handle, encode_uint64(at), encode_uint32(1))
            for at in offsets
        }
        exists = dict.fromkeys(offsets, False)
        for at, request in asked.items():
            with suppress(RefusedError):  # beyond the end
                exists[at] = bool(self._receive_data(request))
        return exists

    def read_back(self, path: str) -> tuple[int, str]:
        """Reads a file back from the server; returns its size and SHA-256."""
        digest = hashlib.sha256()
        with self._translate_errors(Operation.READING):
            return self._read(_encode_path(path), digest.update), digest.hexdigest()

    def upload(self, content: Path | BinaryIO, path: str) -> int:
        """Writes a file, replacing one of this path; returns its size.

        The file is visible while it grows: use a temporary name, then ``rename``. After a failure
        the caller removes or overwrites the partial file.
        """
        with self._translate_errors(Operation.WRITING):
            if not isinstance(content, Path):
                return self._write(_LocalFile(content), _encode_path(path))
            with _open_local(content) as file:
                return self._write(_LocalFile(file), _encode_path(path))

    def rename(self, part: str, final: str) -> None:
        """Renames a file, replacing a file of the final name.

        On a server with OpenSSH's posix-rename, a complete file has the final name at every
        moment. On others the former file is removed first, so that for a moment there is none.
        A partial file never has the final name.
        """
        with self._translate_errors(Operation.RENAMING):
            former, to = encode_bytes(_encode_path(part)), encode_bytes(_encode_path(final))
            if POSIX_RENAME in self._session.extensions:
                try:
                    self._session.call(MessageType.EXTENDED, encode_bytes(POSIX_RENAME), former, to)
                except RefusedError as refused:
                    # Some servers announce the extension and do not support it.
                    if refused.code != StatusCode.UNSUPPORTED:
                        raise
                else:
                    return
            self._rename_in_two_steps(former, to)

    def make_folders(self, path: str) -> None:
        """Makes a folder and its parent folders, as far as they are missing."""
        with self._translate_errors(Operation.MAKING_FOLDERS):
            missing = []
            for folder in (PurePosixPath(path), *PurePosixPath(path).parents):
                if self._is_folder(folder):
                    break
                missing.append(folder)
            for folder in reversed(missing):
                self._make_folder(folder)

    def remove(self, path: str) -> None:
        """Removes a file if it exists."""
        with self._translate_errors(Operation.REMOVING):
            try:
                self._session.call(MessageType.REMOVE, encode_bytes(_encode_path(path)))
            except RefusedError as refused:
                if refused.code not in MISSING:
                    raise

    @contextmanager
    def _translate_errors(self, operation: Operation) -> Iterator[None]:
        """Turns every error of the block into SftpTransientError or SftpPermanentError."""
        if self._broken:
            msg = f"{self._server}, {operation}: the connection broke off before"
            raise SftpTransientError(msg)
        try:
            yield
        except RefusedError as refused:
            raise to_sftp_error(refused, self._server, operation) from None
        except _BROKEN as error:
            self._broken = True
            raise to_sftp_error(error, self._server, operation) from None
        except _ChangedError:
            msg = f"{self._server}, {operation}: the file changed while it was read"
            raise SftpTransientError(msg) from None
        except _IncompleteError:
            msg = (
                f"{self._server}, {operation}: the server has another number of bytes than were "
                "sent"
            )
            raise SftpTransientError(msg) from None

    def _read_limits(self) -> tuple[int, int]:
        """Returns how many bytes one request may read and write."""
        if LIMITS not in self._session.extensions:
            return _DEFAULT_CHUNK, _DEFAULT_CHUNK
        limits = self._session.call(
            MessageType.EXTENDED, encode_bytes(LIMITS), expect=MessageType.EXTENDED_REPLY
        )
        limits.read_uint64()  # the limit of a message, which is not needed
        # Zero means that the server does not tell its limit.
        read, write = limits.read_uint64() or _DEFAULT_CHUNK, limits.read_uint64() or _DEFAULT_CHUNK
        return min(read, _MAX_CHUNK), min(write, _MAX_CHUNK)

    def _find_attributes(
        self, path: bytes, kind: MessageType = MessageType.LSTAT
    ) -> Attributes | None:
        try:
            return self._session.call(
                kind, encode_bytes(path), expect=MessageType.ATTRS
            ).read_attributes()
        except RefusedError as refused:
            if refused.code in MISSING:
                return None
            raise

    def _open(self, path: bytes, *open_flags: OpenFlag) -> bytes:
        """Opens a file; returns its handle in the form in which requests take it."""
        opened = self._session.call(
            MessageType.OPEN,
            encode_bytes(path),
            encode_flags(*open_flags),
            NO_ATTRIBUTES,
            expect=MessageType.HANDLE,
        )
        return encode_bytes(opened.read_bytes())

    @contextmanager
    def _close_later(self, handle: bytes) -> Iterator[None]:
        """Closes a handle at the end of the block, without waiting for the reply."""
        try:
            yield
        finally:
            with suppress(*_BROKEN):
                self._session.abandon([self._session.queue(MessageType.CLOSE, handle)])
                self._session.send()

    def _read(self, path: bytes, take: Callable[[memoryview], object]) -> int:
        session = self._session
        handle = self._open(path, OpenFlag.READ)
        with self._close_later(handle):
            # Requested at once, so that a small file takes no more than two round trips.
            asked = [
                session.queue(MessageType.FSTAT, handle),
                session.queue(
                    MessageType.READ, handle, encode_uint64(0), encode_uint32(self._read_chunk)
                ),
                session.queue(MessageType.FSTAT, handle),
            ]
            try:
                before = session.wait(asked[0]).expect(MessageType.ATTRS).read_attributes()
                first = self._receive_data(asked[1])
                after = session.wait(asked[2]).expect(MessageType.ATTRS).read_attributes()
            finally:
                session.abandon(asked)
            take(first)
            received = len(first)
            more = received > 0 if before.size is None else before.size > received
            if more:
                received = self._read_rest(handle, received, before.size, take)
                after = session.call(
                    MessageType.FSTAT, handle, expect=MessageType.ATTRS
                ).read_attributes()
            if (after.size, after.mtime) != (before.size, before.mtime):
                raise _ChangedError
            if before.size not in {None, received}:
                raise _ChangedError
            return received

    def _receive_data(self, asked: int) -> memoryview:
        """Returns the data of a READ; nothing at the end of the file."""
        try:
            return self._session.wait(asked).expect(MessageType.DATA).read_view()
        except RefusedError as refused:
            if refused.code == StatusCode.EOF:
                return memoryview(b"")
            raise

    def _read_rest(
        self, handle: bytes, start: int, end: int | None, take: Callable[[memoryview], object]
    ) -> int:
        """Reads the bytes from ``start`` to ``end``, with many requests at once; returns the end.

        Where the end is not known, there are no more requests at once than there were answers.
        """
        session = self._session
        under_way: deque[tuple[int, int, int]] = deque()
        asked = start
        try:
            while end is None or start < end:
                most = _MAX_UNDER_WAY if end is not None else min(start, _MAX_UNDER_WAY)
                while (end is None or asked < end) and asked - start < most:
                    size = min(self._read_chunk, end - asked) if end else self._read_chunk
                    request = session.queue(
                        MessageType.READ, handle, encode_uint64(asked), encode_uint32(size)
                    )
                    under_way.append((request, asked, size))
                    asked += size
                request, offset, size = under_way.popleft()
                data = self._receive_data(request)
                if not data and end is None:
                    return start
                if not data:
                    raise _ChangedError
                take(data)
                start += len(data)
                if len(data) < size:
                    # A server may send less than was requested; the rest is requested next.
                    rest = session.queue(
                        MessageType.READ,
                        handle,
                        encode_uint64(offset + len(data)),
                        encode_uint32(size - len(data)),
                    )
                    under_way.appendleft((rest, offset + len(data), size - len(data)))
            return start
        finally:
            session.abandon(request for request, _, _ in under_way)

    def _write(self, content: _LocalFile, path: bytes) -> int:
        session = self._session
        handle = self._open(path, OpenFlag.WRITE, OpenFlag.CREATE, OpenFlag.TRUNCATE)
        under_way: deque[int] = deque()
        written = 0
        closed = False
        try:
            while data := content.read(self._write_chunk):
                under_way.append(
                    session.queue(
                        MessageType.WRITE, handle, encode_uint64(written), encode_bytes(data)
                    )
                )
                session.send()
                written += len(data)
                if len(under_way) * self._write_chunk > _MAX_UNDER_WAY:
                    session.wait(under_way.popleft()).expect(MessageType.STATUS)
            under_way.append(session.queue(MessageType.CLOSE, handle))
            closed = True
            size_request = session.queue(MessageType.STAT, encode_bytes(path))
            while under_way:
                session.wait(under_way.popleft()).expect(MessageType.STATUS)
            arrived = session.wait(size_request).expect(MessageType.ATTRS).read_attributes().size
        finally:
            session.abandon(under_way)
            if not closed:
                with self._close_later(handle):
                    pass
        if arrived != written:
            # A server may work on several requests at once and reply before the last write.
            # One that tells no size is believed: what was sent is read back before it is renamed.
            again = self._find_attributes(path, MessageType.STAT)
            if again is None or again.size not in {None, written}:
                raise _IncompleteError
        return written

    def _rename_in_two_steps(self, former: bytes, to: bytes) -> None:
        try:
            self._session.call(MessageType.RENAME, former, to)
        except RefusedError as refused:
            in_the_way = refused.code in {StatusCode.FAILURE, StatusCode.ALREADY_EXISTS}
            if not in_the_way or self._find_attributes(to[4:]) is None:
                raise
        else:
            return
        self._session.call(MessageType.REMOVE, to)
        self._session.call(MessageType.RENAME, former, to)

    def _is_folder(self, path: PurePosixPath) -> bool:
        known = self._find_attributes(_encode_path(str(path)), MessageType.STAT)
        return known is not None and _type_bits(known) in {0, stat.S_IFDIR}

    def _make_folder(self, path: PurePosixPath) -> None:
        try:
            self._session.call(
                MessageType.MKDIR, encode_bytes(_encode_path(str(path))), NO_ATTRIBUTES
            )
        except RefusedError:
            # Another process may have made it in the meantime.
            if not self._is_folder(path):
                raise


_BROKEN = (GarbledError, EOFError, OSError, paramiko.SSHException)
"""Errors after which a connection cannot be used."""


class _ChangedError(Exception):
    """A file changed while it was read."""


class _IncompleteError(Exception):
    """The file on the server has another size than what was sent."""


class _LocalFile:
    """A local file; its errors are not told as the server's."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def read(self, size: int) -> bytes:
        """Returns the next bytes. Raises SftpPermanentError if the disk fails."""
        try:
            return self._file.read(size)
        except OSError:
            msg = "a file to upload cannot be read here: check our own disk"
            raise SftpPermanentError(msg) from None


@contextmanager
def _open_local(path: Path) -> Iterator[BinaryIO]:
    try:
        file = path.open("rb")
    except OSError:
        msg = "a file to upload is not here, or it cannot be read: check the outbox"
        raise SftpPermanentError(msg) from None
    with file:
        yield file


@dataclass(slots=True, eq=False)
class _Folder:
    """A folder that is being listed.

    ``path``: relative to the top folder; empty for the top folder itself. ``unknown``: the entry,
    if the server does not tell whether it is a folder or a file.
    """

    path: bytes
    level: int
    unknown: RemoteEntry | None = None
    handle: bytes | None = None
    requests: set[int] = field(default_factory=set)


class _Walk:
    """A listing of a folder and all below it, many folders at once."""

    def __init__(
        self,
        session: SftpSession,
        top: bytes,
        is_ignored: Callable[[str], bool],
        refused: Callable[[str], object] | None,
    ) -> None:
        self._session, self._top = session, top
        self._is_ignored, self._refused = is_ignored, refused
        self._waiting = deque([_Folder(b"", 0)])
        self._open_count = 0
        self._files, self._folders = 0, 1
        self._until = time.monotonic() + _LISTING_SECONDS
        self._under_way: deque[tuple[int, _Folder]] = deque()

    def list_files(self) -> Iterator[RemoteFile]:
        """Yields the files."""
        try:
            while self._waiting or self._under_way:
                while self._waiting and self._open_count < _MAX_FOLDERS:
                    self._open_folder(self._waiting.popleft())
                self._stop_if_endless()
                request, folder = self._under_way.popleft()
                if request in folder.requests:
                    folder.requests.discard(request)
                    yield from self._handle_reply(request, folder)
        finally:
            self._session.abandon(request for request, _ in self._under_way)

    def _stop_if_endless(self) -> None:
        if self._files > _MAX_FILES or self._folders > _MAX_ALL_FOLDERS:
            msg = (
                f"its listing has more than {_MAX_FILES:,} files or {_MAX_ALL_FOLDERS:,} folders: "
                "remove old files from the server, or ask its operator what is wrong"
            )
            raise SftpPermanentError(msg)
        if time.monotonic() > self._until:
            msg = f"its listing did not end within {_LISTING_SECONDS:.0f} seconds"
            raise SftpTransientError(msg)

    def _queue(self, folder: _Folder, kind: MessageType, what: bytes) -> None:
        request = self._session.queue(kind, what)
        folder.requests.add(request)
        self._under_way.append((request, folder))

    def _open_folder(self, folder: _Folder) -> None:
        self._queue(folder, MessageType.OPENDIR, encode_bytes(self._full_path(folder.path)))
        self._open_count += 1

    def _handle_reply(self, request: int, folder: _Folder) -> Iterator[RemoteFile]:
        """Handles a reply about a folder: yields its files and queues the next requests."""
        reply = self._session.wait(request)
        try:
            if folder.handle is None:
                self._folders += folder.unknown is not None
                folder.handle = encode_bytes(reply.expect(MessageType.HANDLE).read_bytes())
                self._queue(folder, MessageType.READDIR, folder.handle)
                self._queue(folder, MessageType.READDIR, folder.handle)
                return
            entries = list(reply.expect(MessageType.NAME).read_entries())
        except RefusedError as refused:
            if folder.handle is None and folder.unknown is not None:
                self._files += 1
                yield _remote_file(_decode_name(folder.path), folder.unknown.attributes)
            elif refused.code != StatusCode.EOF and not self._is_skipped(folder, refused):
                raise
            self._close_folder(folder)
            return
        while len(folder.requests) < _MAX_LISTS:
            self._queue(folder, MessageType.READDIR, folder.handle)
        for entry in self._complete_entries(filter(self._is_wanted, entries), folder):
            yield from self._handle_entry(entry, folder)

    def _is_skipped(self, folder: _Folder, why: RefusedError) -> bool:
        if folder.level == 0:
            return False
        if why.code == StatusCode.PERMISSION_DENIED and self._refused is not None:
            self._refused(_decode_name(folder.path))
            return True
        return why.code in MISSING

    def _close_folder(self, folder: _Folder) -> None:
        # Replies to the other requests about it would only say the same.
        self._session.abandon(folder.requests)
        folder.requests.clear()
        if folder.handle is not None:
            self._session.abandon([self._session.queue(MessageType.CLOSE, folder.handle)])
        self._open_count -= 1

    def _is_wanted(self, entry: RemoteEntry) -> bool:
        # A name with a slash could lead out of the folder, and none of these can be fetched.
        if entry.name in {b"", b".", b".."} or b"/" in entry.name or b"\0" in entry.name:
            return False
        return not self._is_ignored(_decode_name(entry.name))

    def _complete_entries(
        self, entries: Iterable[RemoteEntry], folder: _Folder
    ) -> list[RemoteEntry]:
        """Asks for what a listing leaves out of some entries: type, size or time.

        Some servers answer that only about a single file.
        """
        asked: list[tuple[RemoteEntry, int | None, int | None]] = []
        for entry in entries:
            at, kind = encode_bytes(self._full_path(_join(folder, entry))), _file_type(entry)
            known, link = None, None
            if kind is None or (kind == stat.S_IFREG and _lacks_facts(entry.attributes)):
                known = self._session.queue(MessageType.LSTAT, at)
            if kind is None:
                link = self._session.queue(MessageType.READLINK, at)
            asked.append((entry, known, link))
        try:
            return [self._complete_entry(*one) for one in asked]
        finally:
            self._session.abandon(
                request for _, *both in asked for request in both if request is not None
            )

    def _complete_entry(
        self, entry: RemoteEntry, known: int | None, link: int | None
    ) -> RemoteEntry:
        attributes = entry.attributes
        if known is not None:
            with suppress(RefusedError):
                told = self._session.wait(known).expect(MessageType.ATTRS).read_attributes()
                attributes = _merge(attributes, told)
        if link is not None and not _type_bits(attributes):
            with suppress(RefusedError):  # it is none, or the server does not know links
                self._session.wait(link).expect(MessageType.NAME)
                attributes = replace(attributes, mode=stat.S_IFLNK)
        return replace(entry, attributes=attributes)

    def _full_path(self, path: bytes) -> bytes:
        joined = b"/".join(part for part in (self._top.rstrip(b"/"), path) if part)
        if self._top.startswith(b"/") and not joined:
            return b"/"
        return joined or b"."

    def _handle_entry(self, entry: RemoteEntry, folder: _Folder) -> Iterator[RemoteFile]:
        path, kind = _join(folder, entry), _file_type(entry)
        if kind == stat.S_IFREG:
            self._files += 1
            yield _remote_file(_decode_name(path), entry.attributes)
        elif folder.level >= _MAX_DEPTH:
            return
        elif kind == stat.S_IFDIR:
            self._folders += 1
            self._waiting.append(_Folder(path, folder.level + 1))
        elif kind is None:
            # Only a folder can be opened as one.
            self._waiting.append(_Folder(path, folder.level + 1, entry))


def _join(folder: _Folder, entry: RemoteEntry) -> bytes:
    return folder.path + b"/" + entry.name if folder.path else entry.name


def _file_type(entry: RemoteEntry) -> int | None:
    """Returns the entry's type as ``stat`` has it; None if the server does not tell it."""
    if kind := _type_bits(entry.attributes):
        return kind
    # Some servers tell the type only in the line for display. On others that is the bare name.
    listed = _LISTED.match(entry.listed)
    return _LISTED_TYPES.get(listed[1], stat.S_IFSOCK) if listed else None


def _type_bits(known: Attributes) -> int:
    return stat.S_IFMT(known.mode or 0)


_LISTED = re.compile(rb"([-a-zA-Z])[-r][-w][-xsSlL][-r][-w][-xsSlL][-r][-w][-xtT][+.@]?(?: |$)")
_LISTED_TYPES = {b"-": stat.S_IFREG, b"d": stat.S_IFDIR, b"l": stat.S_IFLNK}


def _lacks_facts(known: Attributes) -> bool:
    # No file is from the first second of 1970: a server that says so does not know.
    return known.size is None or not known.mtime


def _merge(known: Attributes, told: Attributes) -> Attributes:
    """Returns the attributes with those in place of what is missing that another answer has."""
    return Attributes(
        told.size if known.size is None else known.size,
        known.mode if _type_bits(known) else told.mode,
        known.atime or told.atime,
        known.mtime or told.mtime,
    )


def _remote_file(path: str, known: Attributes) -> RemoteFile:
    return RemoteFile(path, known.size, known.mtime or None, known.atime or None)


def _encode_path(path: str) -> bytes:
    """Encodes a path for the server."""
    return path.encode(errors="surrogateescape")


def _decode_name(name: bytes) -> str:
    """Decodes a name from the server."""
    return name.decode(errors="surrogateescape")
