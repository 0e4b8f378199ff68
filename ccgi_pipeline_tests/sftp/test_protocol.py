"""The messages themselves, with a server that is only a list of what it says."""

from __future__ import annotations

import hashlib
import struct
from io import BytesIO

import pytest

from ccgi_pipeline.sftp.connection import Connection
from ccgi_pipeline.sftp.errors import SftpTransientError
from ccgi_pipeline.sftp.protocol import (
    GarbledError,
    MessageType,
    RefusedError,
    SftpSession,
    StatusCode,
    encode_bytes,
    encode_uint32,
    encode_uint64,
)


def message(kind: MessageType, *parts: bytes) -> bytes:
    body = bytes([kind]) + b"".join(parts)
    return encode_uint32(len(body)) + body


def status(request: int, code: StatusCode, words: bytes = b"") -> bytes:
    return message(
        MessageType.STATUS,
        encode_uint32(request),
        encode_uint32(code),
        encode_bytes(words),
        encode_bytes(b"en"),
    )


HELLO = message(MessageType.VERSION, encode_uint32(3))


class Script:
    """A server that says its lines, byte by byte if wanted, and listens to nothing."""

    def __init__(self, *said: bytes, at_once: int = 1 << 20) -> None:
        self._said = b"".join(said)
        self._at_once = at_once
        self.heard = b""

    def send(self, data: bytes, /) -> int:
        part = data[: self._at_once]
        self.heard += part
        return len(part)

    def recv(self, size: int, /) -> bytes:
        size = min(size, self._at_once)
        said, self._said = self._said[:size], self._said[size:]
        return said


@pytest.mark.parametrize("at_once", [1, 7, 1 << 20])
def test_messages_arrive_in_whatever_pieces(at_once: int):
    hello = message(
        MessageType.VERSION,
        encode_uint32(3),
        encode_bytes(b"a@b"),
        encode_bytes(b"1"),
        encode_bytes(b"c"),
        encode_bytes(b""),
    )
    session = SftpSession(Script(hello, status(1, StatusCode.OK), at_once=at_once))
    assert session.extensions == {b"a@b": b"1", b"c": b""}
    session.call(MessageType.REMOVE, encode_bytes(b"f"))


def test_answers_may_come_in_any_order():
    said = [status(number, StatusCode.OK) for number in (3, 1, 2)]
    session = SftpSession(Script(HELLO, *said))
    asked = [session.queue(MessageType.REMOVE, encode_bytes(b"f")) for _ in range(3)]
    for request in asked:
        session.wait(request).expect(MessageType.STATUS)


def test_an_answer_that_is_no_longer_wanted_is_not_kept():
    session = SftpSession(Script(HELLO, status(1, StatusCode.OK), status(2, StatusCode.OK)))
    session.abandon([session.queue(MessageType.CLOSE, encode_bytes(b"h"))])
    session.call(MessageType.REMOVE, encode_bytes(b"f"))
    assert not session._answers
    assert not session._abandoned


@pytest.mark.parametrize(
    "said",
    [
        b"This account is currently not available.\n",
        encode_uint32(0),
        encode_uint32(1 << 30),
        HELLO + message(MessageType.STATUS, encode_uint32(9), encode_uint32(0)),
        HELLO + message(MessageType.STATUS, encode_uint32(1)),
        HELLO + message(MessageType.DATA, encode_uint32(1), encode_uint32(500), b"short"),
        HELLO + message(MessageType.HANDLE, encode_uint32(1), encode_bytes(b"h")),
    ],
)
def test_what_is_no_sftp_is_garbled(said: bytes):
    with pytest.raises(GarbledError):
        SftpSession(Script(said)).call(
            MessageType.FSTAT, encode_bytes(b"h"), expect=MessageType.ATTRS
        )


@pytest.mark.parametrize("length", range(9))
def test_whatever_breaks_off_ends(length: int):
    with pytest.raises(EOFError):
        SftpSession(Script(HELLO[:length]))


def test_a_refusal_keeps_no_word_of_the_server_but_whether_it_was_about_room():
    said = [
        status(1, StatusCode.FAILURE, b"quota exceeded for /inbox/Quetzalli.csv"),
        status(2, StatusCode.FAILURE, b"cannot open /inbox/Quetzalli.csv"),
        message(
            MessageType.STATUS, encode_uint32(3), encode_uint32(StatusCode.FAILURE)
        ),  # as old servers answer
    ]
    session = SftpSession(Script(HELLO, *said))
    for no_room in (True, False, False):
        with pytest.raises(RefusedError) as error:
            session.call(MessageType.REMOVE, encode_bytes(b"f"))
        assert error.value.no_room is no_room
        assert "Quetzalli" not in f"{error.value!r} {error.value}"


def file_of(size: int) -> bytes:
    """Attributes with everything that a server may say."""
    return (
        struct.pack(">IQIIIIII", 0x8000000F, size, 7, 7, 0o100644, 5, 6, 1) + encode_bytes(b"a") * 2
    )


def test_attributes_are_read_whatever_stands_between():
    session = SftpSession(Script(HELLO, message(MessageType.ATTRS, encode_uint32(1), file_of(3))))
    known = session.call(
        MessageType.STAT, encode_bytes(b"f"), expect=MessageType.ATTRS
    ).read_attributes()
    assert (known.size, known.mode, known.atime, known.mtime) == (3, 0o100644, 5, 6)


def test_a_server_that_gives_less_than_asked_is_asked_for_the_rest():
    data = bytes(range(256)) * 200
    said = [
        message(MessageType.HANDLE, encode_uint32(1), encode_bytes(b"h")),
        message(MessageType.ATTRS, encode_uint32(2), file_of(len(data))),
        # 32,768 bytes were asked for; then all the others.
        message(MessageType.DATA, encode_uint32(3), encode_bytes(data[:20_000])),
        message(MessageType.ATTRS, encode_uint32(4), file_of(len(data))),
        message(MessageType.DATA, encode_uint32(5), encode_bytes(data[20_000:30_000])),
        message(MessageType.DATA, encode_uint32(6), encode_bytes(data[30_000:])),
        message(MessageType.ATTRS, encode_uint32(7), file_of(len(data))),
    ]
    connection = Connection("partner", SftpSession(Script(HELLO, *said)))
    assert connection.read_back("f") == (len(data), hashlib.sha256(data).hexdigest())


def test_a_file_of_a_server_that_hides_sizes_is_read_to_its_end():
    nothing = encode_uint32(0)
    said = [
        message(MessageType.HANDLE, encode_uint32(1), encode_bytes(b"h")),
        message(MessageType.ATTRS, encode_uint32(2), nothing),
        message(MessageType.DATA, encode_uint32(3), encode_bytes(b"1234")),
        message(MessageType.ATTRS, encode_uint32(4), nothing),
        message(MessageType.DATA, encode_uint32(5), encode_bytes(b"56")),  # less than asked for
        status(6, StatusCode.EOF),
        message(MessageType.ATTRS, encode_uint32(7), nothing),
    ]
    connection = Connection("partner", SftpSession(Script(HELLO, *said)))
    assert connection.read_back("f") == (6, hashlib.sha256(b"123456").hexdigest())


def test_a_file_that_arrived_with_another_size_is_transient():
    short = [message(MessageType.ATTRS, encode_uint32(request), file_of(2)) for request in (4, 5)]
    said = [
        message(MessageType.HANDLE, encode_uint32(1), encode_bytes(b"h")),
        status(2, StatusCode.OK),
        status(3, StatusCode.OK),
        *short,
    ]
    script = Script(HELLO, *said)
    connection = Connection("partner", SftpSession(script))
    with pytest.raises(SftpTransientError, match="another number of bytes"):
        connection.upload(BytesIO(b"1234"), "f.part")
    assert encode_uint64(0) + encode_bytes(b"1234") in script.heard


def test_a_server_that_counts_late_is_asked_again():
    said = [
        message(MessageType.HANDLE, encode_uint32(1), encode_bytes(b"h")),
        status(2, StatusCode.OK),
        status(3, StatusCode.OK),
        message(MessageType.ATTRS, encode_uint32(4), file_of(0)),
        message(MessageType.ATTRS, encode_uint32(5), file_of(4)),
    ]
    connection = Connection("partner", SftpSession(Script(HELLO, *said)))
    assert connection.upload(BytesIO(b"1234"), "f.part") == 4


def test_a_server_that_tells_kinds_only_to_the_eye_is_understood():
    def entry(name: bytes, listed: bytes) -> bytes:
        return encode_bytes(name) + encode_bytes(listed) + encode_uint32(0)

    listed = [
        (b"file", b"-rw-r--r--   1 ccgi ccgi 7 file"),
        (b"link", b"lrwxrwxrwx"),
        (b"data.csv", b"data.csv"),  # no line, but the name once more: it is no folder by its "d"
    ]
    entries = b"".join(entry(*one) for one in listed)
    said = [
        message(MessageType.HANDLE, encode_uint32(1), encode_bytes(b"h")),
        message(MessageType.NAME, encode_uint32(2), encode_uint32(len(listed)), entries),
        # Two parts of the folder were asked for, then eight, then the facts of two entries.
        *(status(number, StatusCode.EOF) for number in range(3, 11)),
        *(status(number, StatusCode.UNSUPPORTED) for number in range(11, 15)),
    ]
    connection = Connection("partner", SftpSession(Script(HELLO, *said)))
    found = [file.path for file in connection.walk("", lambda _: False)]
    assert found == ["data.csv", "file"]


def test_a_stream_that_takes_nothing_more_ends():
    script = Script(HELLO)
    session = SftpSession(script)
    script.send = lambda _: 0  # type: ignore[method-assign]
    with pytest.raises(EOFError):
        session.call(MessageType.REMOVE, encode_bytes(b"f"))
