"""The messages themselves, with a server that is only a list of what it says."""

from __future__ import annotations

import hashlib
import struct
from io import BytesIO

import pytest

from ccgi_pipeline.sftp.connection import Connection
from ccgi_pipeline.sftp.faults import SftpPermanentError, SftpTransientError
from ccgi_pipeline.sftp.protocol import (
    GarbledError,
    Kind,
    RefusedError,
    Session,
    Status,
    long,
    number,
    text,
)


def message(kind: Kind, *parts: bytes) -> bytes:
    body = bytes([kind]) + b"".join(parts)
    return number(len(body)) + body


def status(request: int, code: Status, words: bytes = b"") -> bytes:
    return message(Kind.STATUS, number(request), number(code), text(words), text(b"en"))


HELLO = message(Kind.VERSION, number(3))


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
    hello = message(Kind.VERSION, number(3), text(b"a@b"), text(b"1"), text(b"c"), text(b""))
    session = Session(Script(hello, status(1, Status.OK), at_once=at_once))
    assert session.extensions == {b"a@b": b"1", b"c": b""}
    session.do(Kind.REMOVE, text(b"f"))


def test_answers_may_come_in_any_order():
    said = [status(number, Status.OK) for number in (3, 1, 2)]
    session = Session(Script(HELLO, *said))
    asked = [session.ask(Kind.REMOVE, text(b"f")) for _ in range(3)]
    for request in asked:
        session.answer(request).expect(Kind.STATUS)


def test_an_answer_that_is_no_longer_wanted_is_not_kept():
    session = Session(Script(HELLO, status(1, Status.OK), status(2, Status.OK)))
    session.drop([session.ask(Kind.CLOSE, text(b"h"))])
    session.do(Kind.REMOVE, text(b"f"))
    assert not session._early
    assert not session._unwanted


@pytest.mark.parametrize(
    "said",
    [
        b"This account is currently not available.\n",
        number(0),
        number(1 << 30),
        HELLO + message(Kind.STATUS, number(9), number(0)),
        HELLO + message(Kind.STATUS, number(1)),
        HELLO + message(Kind.DATA, number(1), number(500), b"short"),
        HELLO + message(Kind.HANDLE, number(1), text(b"h")),
    ],
)
def test_what_is_no_sftp_is_garbled(said: bytes):
    with pytest.raises(GarbledError):
        Session(Script(said)).do(Kind.FSTAT, text(b"h"), expect=Kind.ATTRS)


@pytest.mark.parametrize("length", range(9))
def test_whatever_breaks_off_ends(length: int):
    with pytest.raises(EOFError):
        Session(Script(HELLO[:length]))


def test_a_refusal_keeps_no_word_of_the_server_but_whether_it_was_about_room():
    said = [
        status(1, Status.FAILURE, b"quota exceeded for /inbox/Quetzalli.csv"),
        status(2, Status.FAILURE, b"cannot open /inbox/Quetzalli.csv"),
        message(Kind.STATUS, number(3), number(Status.FAILURE)),  # as old servers answer
    ]
    session = Session(Script(HELLO, *said))
    for no_room in (True, False, False):
        with pytest.raises(RefusedError) as error:
            session.do(Kind.REMOVE, text(b"f"))
        assert error.value.no_room is no_room
        assert "Quetzalli" not in f"{error.value!r} {error.value}"


def file_of(size: int) -> bytes:
    """Attributes with everything that a server may say."""
    return struct.pack(">IQIIIIII", 0x8000000F, size, 7, 7, 0o100644, 5, 6, 1) + text(b"a") * 2


def test_attributes_are_read_whatever_stands_between():
    session = Session(Script(HELLO, message(Kind.ATTRS, number(1), file_of(3))))
    known = session.do(Kind.STAT, text(b"f"), expect=Kind.ATTRS).attributes()
    assert (known.size, known.mode, known.atime, known.mtime) == (3, 0o100644, 5, 6)


def test_a_server_that_gives_less_than_asked_is_asked_for_the_rest():
    data = bytes(range(256)) * 200
    said = [
        message(Kind.HANDLE, number(1), text(b"h")),
        message(Kind.ATTRS, number(2), file_of(len(data))),
        # 32,768 bytes were asked for; then all the others.
        message(Kind.DATA, number(3), text(data[:20_000])),
        message(Kind.ATTRS, number(4), file_of(len(data))),
        message(Kind.DATA, number(5), text(data[20_000:30_000])),
        message(Kind.DATA, number(6), text(data[30_000:])),
        message(Kind.ATTRS, number(7), file_of(len(data))),
    ]
    connection = Connection("partner", Session(Script(HELLO, *said)))
    assert connection.read_back("f") == (len(data), hashlib.sha256(data).hexdigest())


def test_a_server_that_hides_sizes_is_told_as_such():
    said = [
        message(Kind.HANDLE, number(1), text(b"h")),
        message(Kind.ATTRS, number(2), number(0)),
        status(3, Status.EOF),
        message(Kind.ATTRS, number(4), number(0)),
    ]
    connection = Connection("partner", Session(Script(HELLO, *said)))
    with pytest.raises(SftpPermanentError):
        connection.read_back("f")


def test_a_file_that_arrived_with_another_size_is_transient():
    short = [message(Kind.ATTRS, number(request), file_of(2)) for request in (4, 5)]
    said = [
        message(Kind.HANDLE, number(1), text(b"h")),
        status(2, Status.OK),
        status(3, Status.OK),
        *short,
    ]
    script = Script(HELLO, *said)
    connection = Connection("partner", Session(script))
    with pytest.raises(SftpTransientError, match="another number of bytes"):
        connection.upload(BytesIO(b"1234"), "f.part")
    assert long(0) + text(b"1234") in script.heard


def test_a_server_that_counts_late_is_asked_again():
    said = [
        message(Kind.HANDLE, number(1), text(b"h")),
        status(2, Status.OK),
        status(3, Status.OK),
        message(Kind.ATTRS, number(4), file_of(0)),
        message(Kind.ATTRS, number(5), file_of(4)),
    ]
    connection = Connection("partner", Session(Script(HELLO, *said)))
    assert connection.upload(BytesIO(b"1234"), "f.part") == 4


def test_a_server_that_tells_kinds_only_to_the_eye_is_understood():
    def entry(name: bytes, listed: bytes) -> bytes:
        return text(name) + text(listed) + number(0)

    listed = [(b"file", b"-rw-r--r--"), (b"link", b"lrwxrwxrwx"), (b"something", b"")]
    entries = b"".join(entry(*one) for one in listed)
    said = [
        message(Kind.HANDLE, number(1), text(b"h")),
        message(Kind.NAME, number(2), number(len(listed)), entries),
        status(3, Status.EOF),
    ]
    connection = Connection("partner", Session(Script(HELLO, *said)))
    assert [file.path for file in connection.walk("", lambda _: False)] == ["file"]


def test_a_stream_that_takes_nothing_more_ends():
    script = Script(HELLO)
    session = Session(script)
    script.send = lambda _: 0  # type: ignore[method-assign]
    with pytest.raises(EOFError):
        session.do(Kind.REMOVE, text(b"f"))
