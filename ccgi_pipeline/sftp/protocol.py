"""SFTP, version 3: what is asked, and what comes back, over a stream of bytes.

Belongs here: the messages as the draft lays them down (draft-ietf-secsh-filexfer-02), OpenSSH's
extensions, requests that are under way together. Does not belong here: SSH underneath; what is
done with the files.

paramiko has a client of its own for it. That one gives up a whole listing for a single name that is
not UTF-8, forgets what the server said it can do, tells "no room" and "cannot do that" by the
server's own words alone, writes file names into its log, and takes twice as long.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import Protocol

VERSION = 3


class Kind(IntEnum):
    """What a message is."""

    INIT = 1
    VERSION = 2
    OPEN = 3
    CLOSE = 4
    READ = 5
    WRITE = 6
    LSTAT = 7
    FSTAT = 8
    OPENDIR = 11
    READDIR = 12
    REMOVE = 13
    MKDIR = 14
    STAT = 17
    RENAME = 18
    STATUS = 101
    HANDLE = 102
    DATA = 103
    NAME = 104
    ATTRS = 105
    EXTENDED = 200
    EXTENDED_REPLY = 201


class Status(IntEnum):
    """How a request went. Version 3 knows the first nine; servers use later ones all the same."""

    OK = 0
    EOF = 1
    NO_SUCH_FILE = 2
    PERMISSION_DENIED = 3
    FAILURE = 4
    BAD_MESSAGE = 5
    NO_CONNECTION = 6
    CONNECTION_LOST = 7
    UNSUPPORTED = 8
    NO_SUCH_PATH = 10
    ALREADY_EXISTS = 11
    WRITE_PROTECTED = 12
    NO_SPACE = 14
    QUOTA_EXCEEDED = 15
    LOCKED = 17


class Flag(IntEnum):
    """How a file is opened."""

    READ = 0x01
    WRITE = 0x02
    CREATE = 0x08
    TRUNCATE = 0x10


class RefusedError(Exception):
    """The server did not do what it was asked. Its words are not kept: they name files.

    ``no_room``: its words were about space or quota.
    """

    def __init__(self, code: int, *, no_room: bool = False) -> None:
        super().__init__(code)
        self.code, self.no_room = code, no_room


class GarbledError(Exception):
    """What came is no SFTP."""


@dataclass(frozen=True, slots=True)
class Attributes:
    """What a server says about a file; None where it does not."""

    size: int | None
    mode: int | None
    atime: int | None
    mtime: int | None


@dataclass(frozen=True, slots=True)
class Entry:
    """A file, folder or other thing in a folder. ``listed``: its line, as ``ls -l`` has it."""

    name: bytes
    listed: bytes
    attributes: Attributes


class Stream(Protocol):
    """What carries the messages; paramiko's channel is one."""

    def send(self, data: bytes, /) -> int:
        """Sends some of ``data``, and says how much."""

    def recv(self, size: int, /) -> bytes:
        """Some bytes; none at the end."""


class Reply:
    """The body of an answer, read from front to back. Raises GarbledError where it is too short."""

    __slots__ = ("_at", "_body", "kind")

    def __init__(self, message: memoryview) -> None:
        self.kind, self._body, self._at = message[0], message, 1

    def number(self) -> int:
        """A number of 32 bits."""
        return int.from_bytes(self._take(4))

    def long(self) -> int:
        """A number of 64 bits."""
        return int.from_bytes(self._take(8))

    def text(self) -> bytes:
        """Bytes with their length before them."""
        return bytes(self.data())

    def data(self) -> memoryview:
        """The same, not copied."""
        return self._take(self.number())

    def _take(self, size: int) -> memoryview:
        taken = self._body[self._at : self._at + size]
        if len(taken) < size:
            msg = "an answer is too short"
            raise GarbledError(msg)
        self._at += size
        return taken

    @property
    def left(self) -> bool:
        """Whether anything has not been read yet."""
        return self._at < len(self._body)

    def expect(self, kind: Kind) -> Reply:
        """This answer, if it is of that kind. Raises RefusedError for a status that is not OK."""
        if self.kind == Kind.STATUS:
            code = self.number()
            if code != Status.OK:
                # Some servers say no more than the code.
                words = self.text().lower() if self.left else b""
                raise RefusedError(code, no_room=any(word in words for word in _NO_ROOM))
        if self.kind != kind:
            msg = f"an answer of kind {self.kind} where {kind.name} was due"
            raise GarbledError(msg)
        return self

    def attributes(self) -> Attributes:
        """What follows about a file."""
        flags = self.number()
        size = self.long() if flags & _HAS_SIZE else None
        if flags & _HAS_OWNER:
            self._take(8)
        mode = self.number() if flags & _HAS_MODE else None
        atime, mtime = (self.number(), self.number()) if flags & _HAS_TIMES else (None, None)
        if flags & _HAS_MORE:
            for _ in range(self.number()):
                self.text()
                self.text()
        return Attributes(size, mode, atime, mtime)

    def entries(self) -> Iterator[Entry]:
        """What follows about a folder."""
        for _ in range(self.number()):
            yield Entry(self.text(), self.text(), self.attributes())


_NO_ROOM = (b"quota", b"no space", b"disk full", b"insufficient", b"exceed", b"not enough space")
_HAS_SIZE, _HAS_OWNER, _HAS_MODE, _HAS_TIMES, _HAS_MORE = 0x1, 0x2, 0x4, 0x8, 0x80000000


def text(data: bytes) -> bytes:
    """Bytes with their length before them."""
    return len(data).to_bytes(4) + data


def number(value: int) -> bytes:
    """A number of 32 bits."""
    return value.to_bytes(4)


def long(value: int) -> bytes:
    """A number of 64 bits."""
    return value.to_bytes(8)


def flags(*ways: Flag) -> bytes:
    """How a file is to be opened."""
    return number(sum(ways))


NO_ATTRIBUTES = bytes(4)

POSIX_RENAME = b"posix-rename@openssh.com"
LIMITS = b"limits@openssh.com"

_LARGEST_MESSAGE = 1 << 24
"""No server sends more in one; a longer one is a shell's greeting read as a length."""

_AT_ONCE = 1 << 20
"""Bytes that are taken over at once, at most."""


class Session:
    """An SFTP session over a stream. Not thread-safe.

    Requests can be under way together: ``ask`` only notes one down, ``answer`` sends what is noted
    and waits for the answer of one. Answers may come in any order.
    """

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._received = memoryview(b"")
        self._noted: list[bytes] = []
        self._number = 0
        self._early: dict[int, Reply] = {}
        self._awaited: set[int] = set()
        self._unwanted: set[int] = set()
        self.extensions = self._start()

    def _start(self) -> dict[bytes, bytes]:
        self._noted.append(struct.pack(">IBI", 5, Kind.INIT, VERSION))
        self.send()
        reply = self._message().expect(Kind.VERSION)
        reply.number()
        extensions = {}
        while reply.left:
            name = reply.text()
            extensions[name] = reply.text()
        return extensions

    def ask(self, kind: Kind, *parts: bytes) -> int:
        """Notes a request down; the number by which its answer is asked for."""
        self._number = (self._number + 1) & 0xFFFFFFFF
        size = 5 + sum(map(len, parts))
        self._noted.append(struct.pack(">IBI", size, kind, self._number))
        self._noted += parts
        self._awaited.add(self._number)
        return self._number

    def send(self) -> None:
        """Sends what is noted. Raises EOFError where nobody takes it any more."""
        data = memoryview(b"".join(self._noted))
        self._noted.clear()
        while data:
            sent = self._stream.send(bytes(data[:_PART]))
            if sent == 0:
                raise EOFError
            data = data[sent:]

    def answer(self, request: int) -> Reply:
        """The answer to a request."""
        if self._noted:
            self.send()
        while request not in self._early:
            reply = self._message()
            answered = reply.number()
            if answered in self._awaited:
                self._early[answered] = reply
            elif answered not in self._unwanted:
                msg = "an answer that nobody asked for"
                raise GarbledError(msg)
            self._awaited.discard(answered)
            self._unwanted.discard(answered)
        return self._early.pop(request)

    def drop(self, numbers: Iterable[int]) -> None:
        """Nobody waits for these any more, as far as they have not been answered."""
        for request in numbers:
            self._early.pop(request, None)
            if request in self._awaited:
                self._awaited.discard(request)
                self._unwanted.add(request)

    def do(self, kind: Kind, *parts: bytes, expect: Kind = Kind.STATUS) -> Reply:
        """Asks, and waits for an answer of this kind. Raises RefusedError."""
        return self.answer(self.ask(kind, *parts)).expect(expect)

    def _message(self) -> Reply:
        size = int.from_bytes(self._take(4))
        if not 0 < size <= _LARGEST_MESSAGE:
            msg = "a message of an impossible length"
            raise GarbledError(msg)
        return Reply(self._take(size))

    def _take(self, size: int) -> memoryview:
        if len(self._received) < size:
            parts, missing = [self._received], size - len(self._received)
            while missing > 0:
                part = self._stream.recv(_AT_ONCE)
                if not part:
                    raise EOFError
                parts.append(memoryview(part))
                missing -= len(part)
            self._received = memoryview(b"".join(parts))
        taken = self._received[:size]
        self._received = self._received[size:]
        return taken


_PART = 32_768 - 64
"""So much fits into one packet of SSH: paramiko keeps 64 bytes of the usual 32 KiB for itself."""
