"""The SFTP protocol, version 3: requests and replies over a stream of bytes.

Belongs here: the messages of draft-ietf-secsh-filexfer-02, OpenSSH's extensions, and several
requests under way at once. Does not belong here: SSH (``session``) and what is done with files
(``connection``).

paramiko's own SFTP client is not used: it fails on a listing with one name that is not UTF-8,
forgets the server's extensions, reports "no room" and "cannot do that" only in the server's words,
writes file names into its log, and takes twice as long.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import Protocol

VERSION = 3


class MessageType(IntEnum):
    """The types of messages."""

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
    READLINK = 19
    STATUS = 101
    HANDLE = 102
    DATA = 103
    NAME = 104
    ATTRS = 105
    EXTENDED = 200
    EXTENDED_REPLY = 201


class StatusCode(IntEnum):
    """The results of a request. Version 3 has the first nine, but servers use later ones too."""

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


class OpenFlag(IntEnum):
    """The flags for opening a file."""

    READ = 0x01
    WRITE = 0x02
    CREATE = 0x08
    TRUNCATE = 0x10


class RefusedError(Exception):
    """The server refused a request. Its message is not kept, because it may name files.

    ``no_room``: the message was about space or quota.
    """

    def __init__(self, code: int, *, no_room: bool = False) -> None:
        super().__init__(code)
        self.code, self.no_room = code, no_room


class GarbledError(Exception):
    """The server sent something that is not SFTP."""


@dataclass(frozen=True, slots=True)
class Attributes:
    """The attributes of a file; None where the server does not tell one."""

    size: int | None
    mode: int | None
    atime: int | None
    mtime: int | None


@dataclass(frozen=True, slots=True)
class RemoteEntry:
    """A file, folder or other entry of a folder. ``listed``: its line in the form of ``ls -l``."""

    name: bytes
    listed: bytes
    attributes: Attributes


class Stream(Protocol):
    """The stream that carries the messages, for example paramiko's channel."""

    def send(self, data: bytes, /) -> int:
        """Sends some of ``data``; returns how many bytes."""

    def recv(self, size: int, /) -> bytes:
        """Returns at most ``size`` bytes; none at the end of the stream."""


class Reply:
    """The body of a reply, read from front to back. Raises GarbledError if it is too short."""

    __slots__ = ("_at", "_body", "kind")

    def __init__(self, message: memoryview) -> None:
        self.kind, self._body, self._at = message[0], message, 1

    def read_uint32(self) -> int:
        """Reads a number of 32 bits."""
        return int.from_bytes(self._take(4))

    def read_uint64(self) -> int:
        """Reads a number of 64 bits."""
        return int.from_bytes(self._take(8))

    def read_bytes(self) -> bytes:
        """Reads bytes that follow their length."""
        return bytes(self.read_view())

    def read_view(self) -> memoryview:
        """Reads bytes that follow their length, without copying them."""
        return self._take(self.read_uint32())

    def _take(self, size: int) -> memoryview:
        taken = self._body[self._at : self._at + size]
        if len(taken) < size:
            msg = "a reply is too short"
            raise GarbledError(msg)
        self._at += size
        return taken

    @property
    def has_more(self) -> bool:
        """Whether something of the reply is not read yet."""
        return self._at < len(self._body)

    def expect(self, kind: MessageType) -> Reply:
        """Returns this reply if it is of type ``kind``.

        Raises RefusedError for a status other than OK, and GarbledError for another type.
        """
        if self.kind == MessageType.STATUS:
            code = self.read_uint32()
            if code != StatusCode.OK:
                # Some servers send no message after the code.
                words = self.read_bytes().lower() if self.has_more else b""
                raise RefusedError(code, no_room=any(word in words for word in _NO_ROOM))
        if self.kind != kind:
            msg = f"a reply of type {self.kind} came instead of {kind.name}"
            raise GarbledError(msg)
        return self

    def read_attributes(self) -> Attributes:
        """Reads the attributes of a file."""
        flags = self.read_uint32()
        size = self.read_uint64() if flags & _HAS_SIZE else None
        if flags & _HAS_OWNER:
            self._take(8)
        mode = self.read_uint32() if flags & _HAS_MODE else None
        atime, mtime = (
            (self.read_uint32(), self.read_uint32()) if flags & _HAS_TIMES else (None, None)
        )
        if flags & _HAS_MORE:
            for _ in range(self.read_uint32()):
                self.read_bytes()
                self.read_bytes()
        return Attributes(size, mode, atime, mtime)

    def read_entries(self) -> Iterator[RemoteEntry]:
        """Reads the entries of a folder."""
        for _ in range(self.read_uint32()):
            yield RemoteEntry(self.read_bytes(), self.read_bytes(), self.read_attributes())


_NO_ROOM = (b"quota", b"no space", b"disk full", b"insufficient", b"exceed", b"not enough space")
_HAS_SIZE, _HAS_OWNER, _HAS_MODE, _HAS_TIMES, _HAS_MORE = 0x1, 0x2, 0x4, 0x8, 0x80000000


def encode_bytes(data: bytes) -> bytes:
    """Returns bytes after their length."""
    return len(data).to_bytes(4) + data


def encode_uint32(value: int) -> bytes:
    """Returns a number as 32 bits."""
    return value.to_bytes(4)


def encode_uint64(value: int) -> bytes:
    """Returns a number as 64 bits."""
    return value.to_bytes(8)


def encode_flags(*open_flags: OpenFlag) -> bytes:
    """Returns the flags for opening a file."""
    return encode_uint32(sum(open_flags))


NO_ATTRIBUTES = bytes(4)

POSIX_RENAME = b"posix-rename@openssh.com"
LIMITS = b"limits@openssh.com"

_LARGEST_MESSAGE = 1 << 24
"""No server sends a longer message: a greater length is a shell's greeting read as a number."""

_RECEIVE_SIZE = 1 << 20
"""How many bytes are received at once, at most."""


class SftpSession:
    """An SFTP session over a stream. Not thread-safe.

    Several requests can be under way at once: ``queue`` only queues a request, ``wait`` sends the
    queue and waits for the reply to one. Replies may come in any order.
    """

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._received = memoryview(b"")
        self._queued: list[bytes] = []
        self._number = 0
        self._answers: dict[int, Reply] = {}
        self._awaited: set[int] = set()
        self._abandoned: set[int] = set()
        self.extensions = self._handshake()

    def _handshake(self) -> dict[bytes, bytes]:
        self._queued.append(struct.pack(">IBI", 5, MessageType.INIT, VERSION))
        self.send()
        reply = self._receive().expect(MessageType.VERSION)
        reply.read_uint32()
        extensions = {}
        while reply.has_more:
            name = reply.read_bytes()
            extensions[name] = reply.read_bytes()
        return extensions

    def queue(self, kind: MessageType, *parts: bytes) -> int:
        """Queues a request; returns the number that ``wait`` takes."""
        self._number = (self._number + 1) & 0xFFFFFFFF
        size = 5 + sum(map(len, parts))
        self._queued.append(struct.pack(">IBI", size, kind, self._number))
        self._queued += parts
        self._awaited.add(self._number)
        return self._number

    def send(self) -> None:
        """Sends the queue. Raises EOFError if the stream is closed."""
        data = memoryview(b"".join(self._queued))
        self._queued.clear()
        while data:
            sent = self._stream.send(bytes(data[:_SEND_SIZE]))
            if sent == 0:
                raise EOFError
            data = data[sent:]

    def wait(self, request: int) -> Reply:
        """Waits for the reply to a request."""
        if self._queued:
            self.send()
        while request not in self._answers:
            reply = self._receive()
            answered = reply.read_uint32()
            if answered in self._awaited:
                self._answers[answered] = reply
            elif answered not in self._abandoned:
                msg = "a reply came that no request asked for"
                raise GarbledError(msg)
            self._awaited.discard(answered)
            self._abandoned.discard(answered)
        return self._answers.pop(request)

    def abandon(self, numbers: Iterable[int]) -> None:
        """Ignores the replies to these requests that have not been waited for."""
        for request in numbers:
            self._answers.pop(request, None)
            if request in self._awaited:
                self._awaited.discard(request)
                self._abandoned.add(request)

    def call(
        self, kind: MessageType, *parts: bytes, expect: MessageType = MessageType.STATUS
    ) -> Reply:
        """Sends a request and waits for its reply. Raises RefusedError."""
        return self.wait(self.queue(kind, *parts)).expect(expect)

    def _receive(self) -> Reply:
        size = int.from_bytes(self._take(4))
        if not 0 < size <= _LARGEST_MESSAGE:
            msg = "a message has an impossible length"
            raise GarbledError(msg)
        return Reply(self._take(size))

    def _take(self, size: int) -> memoryview:
        if len(self._received) < size:
            parts, missing = [self._received], size - len(self._received)
            while missing > 0:
                part = self._stream.recv(_RECEIVE_SIZE)
                if not part:
                    raise EOFError
                parts.append(memoryview(part))
                missing -= len(part)
            self._received = memoryview(b"".join(parts))
        taken = self._received[:size]
        self._received = self._received[size:]
        return taken


_SEND_SIZE = 32_768 - 64
"""How much fits into one packet of SSH: paramiko takes 64 bytes of the usual 32 KiB for itself."""
