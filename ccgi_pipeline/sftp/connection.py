"""A connection to one server: listing, fetching, uploading.

Belongs here: what is done with files of a server, each so that a failure leaves nothing that could
be taken for a whole file. Does not belong here: SSH underneath (``opening``), when to try again,
which files are wanted, what they hold.

Paths are as the server has them; one that does not begin with ``/`` starts in the account's folder.
Names that are no UTF-8 are letters with surrogates, as Python's own ``os.fsdecode`` has them, and
go back to the server as the bytes that they were. No name gets into a log or an error.
"""

from __future__ import annotations

import hashlib
import stat
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import BinaryIO

import paramiko  # type: ignore[import-untyped]

from ccgi_pipeline.sftp.faults import MISSING, Doing, SftpPermanentError, SftpTransientError, fault
from ccgi_pipeline.sftp.protocol import (
    LIMITS,
    NO_ATTRIBUTES,
    POSIX_RENAME,
    Attributes,
    Entry,
    Flag,
    GarbledError,
    Kind,
    RefusedError,
    Session,
    Status,
    flags,
    long,
    number,
    text,
)
from ccgi_pipeline.sftp.servers import Credentials, Server
from ccgi_pipeline.sftp.session import open_session

_UNDER_WAY = 1 << 22
"""Bytes of a file that are asked for, or sent, before the first of them is answered. Measured: at
40 ms to the server 2 MiB fetch 50 MB/s, 4 MiB 86, 8 MiB 145, and OpenSSH's own program 33; without
such a way 4 MiB cost nothing, 16 MiB a fifth of the speed (they wait in memory)."""

_USUAL_CHUNK = 1 << 15
"""Every server takes so much in one request."""

_LARGEST_CHUNK = 255 << 10
"""OpenSSH says that it takes so much; more would not be faster."""

_FOLDERS_AT_ONCE = 32
"""A folder costs three answers one after the other: at 40 ms to the server, a thousand folders
would take two minutes one by one."""

_LISTS_AT_ONCE = 8
"""Parts of a folder (100 names each, with OpenSSH) that are asked for at once."""

_DEEPEST = 32
"""Levels of folders. No drop is so deep, and a server that shows a folder in itself has no end."""


@dataclass(frozen=True, slots=True, order=True)
class RemoteFile:
    """A file on the server; times are seconds since 1970, by the server's clock."""

    path: str
    size: int
    mtime: int
    atime: int

    @property
    def shown(self) -> str:
        """The path in letters: a name may be bytes that are none."""
        return self.path.encode(errors="replace").decode()


@contextmanager
def connect(server: Server, credentials: Credentials) -> Iterator[Connection]:
    """A connection, closed at the end of the block. Raises SftpTransientError, SftpPermanentError.

    Raises ServerSettingsError where the private key cannot be read.
    """
    with open_session(server, credentials) as session:
        yield Connection(server.name, session)


class Connection:
    """Files of one server. Not thread-safe: one thread, one connection.

    Every method raises SftpTransientError and SftpPermanentError, and no other error. Once the
    connection broke off, it stays so: connect again.
    """

    def __init__(self, server: str, session: Session) -> None:
        self._server = server
        self._session = session
        self._broken = False
        with self._faults(Doing.CONNECTING):
            self._read_chunk, self._write_chunk = self._limits()

    def walk(
        self,
        folder: str,
        passed_over: Callable[[str], bool],
        refused: Callable[[str], object] | None = None,
    ) -> list[RemoteFile]:
        """The files in a folder and below it, sorted by path; paths begin below the folder.

        ``passed_over``: whether a file or folder of this name is left out. Links and what is
        neither file nor folder are left out, and so is a folder that vanished meanwhile; the first
        one must be there. ``refused``: is told the path of each folder below that may not be
        listed, and the walk goes on; without it, such a folder is an SftpPermanentError.
        """
        with self._faults(Doing.LISTING):
            return sorted(_Walk(self._session, _bytes_of(folder), passed_over, refused).found())

    def facts(self, path: str) -> RemoteFile | None:
        """What the server says about a file (or a folder, or a link); None where nothing is."""
        with self._faults(Doing.LOOKING):
            known = self._looked_up(_bytes_of(path))
        return None if known is None else _remote_file(path, known)

    def fetch(self, path: str, into: BinaryIO) -> tuple[int, str]:
        """Copies a file's content; how many bytes it has, and its SHA-256.

        Raises SftpTransientError where the file changed while it was read, SftpMissingError where
        there is none (any more). What was written into ``into`` until then is worth nothing.
        """
        digest = hashlib.sha256()

        def take(data: memoryview) -> None:
            digest.update(data)
            try:
                into.write(data)
            except OSError:
                msg = "a fetched file cannot be written here. Look for room on our own disk"
                raise SftpPermanentError(msg) from None

        with self._faults(Doing.READING):
            size = self._read(_bytes_of(path), take)
        return size, digest.hexdigest()

    def read_back(self, path: str) -> tuple[int, str]:
        """How many bytes a file has, and their SHA-256, as the server gives them back."""
        digest = hashlib.sha256()
        with self._faults(Doing.READING):
            return self._read(_bytes_of(path), digest.update), digest.hexdigest()

    def upload(self, content: Path | BinaryIO, path: str) -> int:
        """Writes a file of exactly this path, in place of what is there; how many bytes it has.

        It is visible while it grows: give it a name that says so, and rename it. What a failure
        leaves under that name is to be removed, or overwritten.
        """
        with self._faults(Doing.WRITING):
            if not isinstance(content, Path):
                return self._write(_Local(content), _bytes_of(path))
            with _opened(content) as file:
                return self._write(_Local(file), _bytes_of(path))

    def rename(self, part: str, final: str) -> None:
        """Renames a file, in place of what has that name.

        With a server that can (OpenSSH's posix-rename) there is a whole file of the final name at
        every moment. With others the former one is removed first, so that for a moment there is
        none; never is there a part of one.
        """
        with self._faults(Doing.RENAMING):
            former, to = text(_bytes_of(part)), text(_bytes_of(final))
            if POSIX_RENAME in self._session.extensions:
                try:
                    self._session.do(Kind.EXTENDED, text(POSIX_RENAME), former, to)
                except RefusedError as refused:
                    # Servers have been seen to promise it and not to know it.
                    if refused.code != Status.UNSUPPORTED:
                        raise
                else:
                    return
            self._rename_in_two_steps(former, to)

    def make_folders(self, path: str) -> None:
        """Makes a folder and those above it, as far as they are not there."""
        with self._faults(Doing.MAKING_FOLDERS):
            missing = []
            for folder in (PurePosixPath(path), *PurePosixPath(path).parents):
                if self._is_folder(folder):
                    break
                missing.append(folder)
            for folder in reversed(missing):
                self._make_folder(folder)

    def remove(self, path: str) -> None:
        """Removes a file; one that is not there is fine."""
        with self._faults(Doing.REMOVING):
            try:
                self._session.do(Kind.REMOVE, text(_bytes_of(path)))
            except RefusedError as refused:
                if refused.code not in MISSING:
                    raise

    @contextmanager
    def _faults(self, doing: Doing) -> Iterator[None]:
        """Has whatever goes wrong told as one of our two errors."""
        if self._broken:
            msg = f"{self._server}, {doing}: the connection broke off before"
            raise SftpTransientError(msg)
        try:
            yield
        except RefusedError as refused:
            raise fault(refused, self._server, doing) from None
        except _BROKEN as error:
            self._broken = True
            raise fault(error, self._server, doing) from None
        except _ChangedError:
            msg = f"{self._server}, {doing}: the file changed while it was read"
            raise SftpTransientError(msg) from None
        except _NotAllArrivedError:
            msg = (
                f"{self._server}, {doing}: the server holds another number of bytes than were sent"
            )
            raise SftpTransientError(msg) from None

    def _limits(self) -> tuple[int, int]:
        """How many bytes one request may read, and write."""
        if LIMITS not in self._session.extensions:
            return _USUAL_CHUNK, _USUAL_CHUNK
        told = self._session.do(Kind.EXTENDED, text(LIMITS), expect=Kind.EXTENDED_REPLY)
        told.long()
        # Zero: the server does not say.
        read, write = told.long() or _USUAL_CHUNK, told.long() or _USUAL_CHUNK
        return min(read, _LARGEST_CHUNK), min(write, _LARGEST_CHUNK)

    def _looked_up(self, path: bytes, kind: Kind = Kind.LSTAT) -> Attributes | None:
        try:
            return self._session.do(kind, text(path), expect=Kind.ATTRS).attributes()
        except RefusedError as refused:
            if refused.code in MISSING:
                return None
            raise

    def _open(self, path: bytes, *ways: Flag) -> bytes:
        """The handle of an opened file, as requests have it."""
        opened = self._session.do(
            Kind.OPEN, text(path), flags(*ways), NO_ATTRIBUTES, expect=Kind.HANDLE
        )
        return text(opened.text())

    @contextmanager
    def _closing(self, handle: bytes) -> Iterator[None]:
        """Has a handle closed in the end, without waiting for it, whatever happens."""
        try:
            yield
        finally:
            with suppress(*_BROKEN):
                self._session.drop([self._session.ask(Kind.CLOSE, handle)])
                self._session.send()

    def _read(self, path: bytes, take: Callable[[memoryview], object]) -> int:
        session = self._session
        handle = self._open(path, Flag.READ)
        with self._closing(handle):
            # Together: at 40 ms to the server, a small file takes no longer than two answers.
            asked = [
                session.ask(Kind.FSTAT, handle),
                session.ask(Kind.READ, handle, long(0), number(self._read_chunk)),
                session.ask(Kind.FSTAT, handle),
            ]
            try:
                before = session.answer(asked[0]).expect(Kind.ATTRS).attributes()
                first = self._data(asked[1])
                after = session.answer(asked[2]).expect(Kind.ATTRS).attributes()
            finally:
                session.drop(asked)
            if before.size is None:
                msg = "the server does not tell a file's size"
                raise GarbledError(msg)
            take(first)
            if before.size > len(first):
                self._read_on(handle, len(first), before.size, take)
                after = session.do(Kind.FSTAT, handle, expect=Kind.ATTRS).attributes()
            elif before.size < len(first):
                raise _ChangedError
            if (after.size, after.mtime) != (before.size, before.mtime):
                raise _ChangedError
            return before.size

    def _data(self, asked: int) -> memoryview:
        """What a READ gave; nothing at the end of the file."""
        try:
            return self._session.answer(asked).expect(Kind.DATA).data()
        except RefusedError as refused:
            if refused.code == Status.EOF:
                return memoryview(b"")
            raise

    def _read_on(
        self, handle: bytes, start: int, end: int, take: Callable[[memoryview], object]
    ) -> None:
        """The bytes from ``start`` to ``end``, many requests at once."""
        session = self._session
        under_way: deque[tuple[int, int, int]] = deque()
        asked = start
        try:
            while start < end:
                while asked < end and asked - start < _UNDER_WAY:
                    size = min(self._read_chunk, end - asked)
                    request = session.ask(Kind.READ, handle, long(asked), number(size))
                    under_way.append((request, asked, size))
                    asked += size
                request, offset, size = under_way.popleft()
                data = self._data(request)
                if not data:
                    raise _ChangedError
                take(data)
                start += len(data)
                if len(data) < size:
                    # A server may give less than asked; the rest is next.
                    rest = session.ask(
                        Kind.READ, handle, long(offset + len(data)), number(size - len(data))
                    )
                    under_way.appendleft((rest, offset + len(data), size - len(data)))
        finally:
            session.drop(request for request, _, _ in under_way)

    def _write(self, content: _Local, path: bytes) -> int:
        session = self._session
        handle = self._open(path, Flag.WRITE, Flag.CREATE, Flag.TRUNCATE)
        under_way: deque[int] = deque()
        written = 0
        closed = False
        try:
            while data := content.read(self._write_chunk):
                under_way.append(session.ask(Kind.WRITE, handle, long(written), text(data)))
                session.send()
                written += len(data)
                if len(under_way) * self._write_chunk > _UNDER_WAY:
                    session.answer(under_way.popleft()).expect(Kind.STATUS)
            under_way.append(session.ask(Kind.CLOSE, handle))
            closed = True
            looked = session.ask(Kind.STAT, text(path))
            while under_way:
                session.answer(under_way.popleft()).expect(Kind.STATUS)
            arrived = session.answer(looked).expect(Kind.ATTRS).attributes().size
        finally:
            session.drop(under_way)
            if not closed:
                with self._closing(handle):
                    pass
        if arrived != written:
            # A server that works on several requests at once may have looked too early.
            again = self._looked_up(path, Kind.STAT)
            if again is None or again.size != written:
                raise _NotAllArrivedError
        return written

    def _rename_in_two_steps(self, former: bytes, to: bytes) -> None:
        try:
            self._session.do(Kind.RENAME, former, to)
        except RefusedError as refused:
            in_the_way = refused.code in {Status.FAILURE, Status.ALREADY_EXISTS}
            if not in_the_way or self._looked_up(to[4:]) is None:
                raise
        else:
            return
        self._session.do(Kind.REMOVE, to)
        self._session.do(Kind.RENAME, former, to)

    def _is_folder(self, path: PurePosixPath) -> bool:
        known = self._looked_up(_bytes_of(str(path)), Kind.STAT)
        return known is not None and stat.S_ISDIR(known.mode or stat.S_IFDIR)

    def _make_folder(self, path: PurePosixPath) -> None:
        try:
            self._session.do(Kind.MKDIR, text(_bytes_of(str(path))), NO_ATTRIBUTES)
        except RefusedError:
            # Somebody else may have made it in between.
            if not self._is_folder(path):
                raise


_BROKEN = (GarbledError, EOFError, OSError, paramiko.SSHException)
"""What ends a connection."""


class _ChangedError(Exception):
    """A file is not what it was when its reading began."""


class _NotAllArrivedError(Exception):
    """The server's file has another size than what was sent."""


class _Local:
    """A file here, whose faults are not the server's."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def read(self, size: int) -> bytes:
        """The next bytes. Raises SftpPermanentError where the disk does not give them."""
        try:
            return self._file.read(size)
        except OSError:
            msg = "a file that is to be uploaded cannot be read here. Look at our own disk"
            raise SftpPermanentError(msg) from None


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    try:
        file = path.open("rb")
    except OSError:
        msg = "a file that is to be uploaded is not here, or cannot be read"
        raise SftpPermanentError(msg) from None
    with file:
        yield file


@dataclass(slots=True, eq=False)
class _Folder:
    """A folder that is being listed."""

    path: bytes
    """Below the first one; empty for that one."""
    level: int
    handle: bytes | None = None
    asked: set[int] = field(default_factory=set)


class _Walk:
    """A listing of a folder and all below it, many folders at once."""

    def __init__(
        self,
        session: Session,
        top: bytes,
        passed_over: Callable[[str], bool],
        refused: Callable[[str], object] | None,
    ) -> None:
        self._session, self._top = session, top
        self._passed_over, self._refused = passed_over, refused
        self._waiting = deque([_Folder(b"", 0)])
        self._open = 0
        self._under_way: deque[tuple[int, _Folder]] = deque()

    def found(self) -> Iterator[RemoteFile]:
        """The files."""
        try:
            while self._waiting or self._under_way:
                while self._waiting and self._open < _FOLDERS_AT_ONCE:
                    self._begin(self._waiting.popleft())
                request, folder = self._under_way.popleft()
                if request in folder.asked:
                    folder.asked.discard(request)
                    yield from self._took(request, folder)
        finally:
            self._session.drop(request for request, _ in self._under_way)

    def _ask(self, folder: _Folder, kind: Kind, what: bytes) -> None:
        request = self._session.ask(kind, what)
        folder.asked.add(request)
        self._under_way.append((request, folder))

    def _begin(self, folder: _Folder) -> None:
        path = b"/".join(part for part in (self._top.rstrip(b"/"), folder.path) if part)
        if self._top.startswith(b"/") and not path:
            path = b"/"
        self._ask(folder, Kind.OPENDIR, text(path or b"."))
        self._open += 1

    def _took(self, request: int, folder: _Folder) -> Iterator[RemoteFile]:
        """What an answer about a folder brings, and the next requests."""
        reply = self._session.answer(request)
        try:
            if folder.handle is None:
                folder.handle = text(reply.expect(Kind.HANDLE).text())
                self._ask(folder, Kind.READDIR, folder.handle)
                self._ask(folder, Kind.READDIR, folder.handle)
                return
            entries = list(reply.expect(Kind.NAME).entries())
        except RefusedError as refused:
            if refused.code != Status.EOF and not self._is_left_out(folder, refused):
                raise
            self._end(folder)
            return
        while len(folder.asked) < _LISTS_AT_ONCE:
            self._ask(folder, Kind.READDIR, folder.handle)
        for entry in entries:
            yield from self._sorted_out(entry, folder)

    def _is_left_out(self, folder: _Folder, why: RefusedError) -> bool:
        if folder.level == 0:
            return False
        if why.code == Status.PERMISSION_DENIED and self._refused is not None:
            self._refused(_text_of(folder.path))
            return True
        return why.code in MISSING

    def _end(self, folder: _Folder) -> None:
        # What else was asked for about it only says the same: nobody waits for it.
        self._session.drop(folder.asked)
        folder.asked.clear()
        if folder.handle is not None:
            self._session.drop([self._session.ask(Kind.CLOSE, folder.handle)])
        self._open -= 1

    def _sorted_out(self, entry: Entry, folder: _Folder) -> Iterator[RemoteFile]:
        # A name with a slash would lead out of the folder; none of these can be fetched.
        if entry.name in {b"", b".", b".."} or b"/" in entry.name or b"\0" in entry.name:
            return
        if self._passed_over(_text_of(entry.name)):
            return
        path = folder.path + b"/" + entry.name if folder.path else entry.name
        kind = _kind(entry)
        if kind == stat.S_IFDIR and folder.level < _DEEPEST:
            self._waiting.append(_Folder(path, folder.level + 1))
        elif kind == stat.S_IFREG:
            yield _remote_file(_text_of(path), entry.attributes)


def _kind(entry: Entry) -> int:
    """Whether it is a file, a folder or something else, in ``stat``'s words."""
    if entry.attributes.mode is not None:
        return stat.S_IFMT(entry.attributes.mode)
    # Some servers tell it only to the eye.
    return {b"-": stat.S_IFREG, b"d": stat.S_IFDIR}.get(entry.listed[:1], 0)


def _remote_file(path: str, known: Attributes) -> RemoteFile:
    return RemoteFile(path, known.size or 0, known.mtime or 0, known.atime or 0)


def _bytes_of(path: str) -> bytes:
    """A path as it goes to the server."""
    return path.encode(errors="surrogateescape")


def _text_of(name: bytes) -> str:
    """A name as it came from the server."""
    return name.decode(errors="surrogateescape")
