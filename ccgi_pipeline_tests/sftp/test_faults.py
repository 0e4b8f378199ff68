"""Every fault, both ways: told as what it is, nothing partial left, the next try gets through."""

from __future__ import annotations

import errno
import logging
import os
import random
import socket
import time
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import paramiko
import pytest

from ccgi_pipeline.common.errors import PipelineError
from ccgi_pipeline.sftp import connection as connection_module
from ccgi_pipeline.sftp.connection import Connection, RemoteFile, connect
from ccgi_pipeline.sftp.faults import (
    Operation,
    SftpError,
    SftpMissingError,
    SftpPermanentError,
    SftpTransientError,
    to_sftp_error,
)
from ccgi_pipeline.sftp.protocol import GarbledError, RefusedError, StatusCode
from ccgi_pipeline_tests.sftp.faulty_server import (
    CUTS,
    HOSTILE_NAMES,
    Direction,
    Fault,
    FaultyServer,
)

NAME = "Quetzalli Ybarra.csv"
"""A name that must stand in no message."""

DIRECTIONS = list(Direction)
SEEDS = [1, 2]

GOES_AWAY = [
    Fault.CUT_AT_0,
    Fault.CUT_AT_1,
    Fault.CUT_AT_32768,
    Fault.CUT_AT_HALF,
    Fault.CUT_BEFORE_LAST,
    Fault.RESTART,
]

HARMLESS = [
    Fault.NONE,
    Fault.NO_POSIX_RENAME,
    Fault.POSIX_RENAME_ONLY_PROMISED,
    Fault.TARGET_EXISTS,
    Fault.MTIME_OF_ONE_SECOND,
    Fault.MTIME_OF_TWO_SECONDS,
    Fault.CLOCK_A_DAY_AHEAD,
    Fault.CLOCK_A_DAY_BEHIND,
    Fault.SYMLINK,
    Fault.ODD_NAMES,
    Fault.NAMES_BUT_FOR_CASE,
    Fault.NO_TYPES,
    Fault.NO_TIMES,
    Fault.TIMES_ARE_ZERO,
    Fault.NO_SIZES,
    Fault.NO_FACTS,
    Fault.NO_FACTS_IN_LISTINGS,
    Fault.REKEY,
    Fault.SLOW_BANNER,
]


def all_names(_: str) -> bool:
    return False


def random_bytes(seed: int) -> bytes:
    """More than one request, and never a round number of them."""
    numbers = random.Random(seed)  # noqa: S311
    return numbers.randbytes(numbers.randrange(70_000, 400_000))


class Exchange:
    """A file that is to be fetched, or delivered in place of an older one, as the night does it."""

    def __init__(self, root: Path, direction: Direction, seed: int) -> None:
        self.root, self.direction = root, direction
        self.data, self.older = random_bytes(seed), b"older"
        self.final = root / "district/daily" / NAME
        self.final.parent.mkdir(parents=True)
        self.final.write_bytes(self.data if direction is Direction.DOWN else self.older)

    def server(self, kind: Fault, **settings: int | float | None) -> FaultyServer:
        return FaultyServer(
            self.root,
            kind,
            self.direction,
            upload_size=len(self.data) if self.direction is Direction.UP else 0,
            **settings,
        )

    def go(self, server: FaultyServer, **timeouts: float) -> None:
        """Raises SftpTransientError, SftpPermanentError; otherwise all arrived."""
        at = server.as_server(**timeouts)
        with connect(at, server.credentials()) as connection:
            if self.direction is Direction.DOWN:
                self._fetch(connection)
            else:
                self._deliver(connection)

    def _fetch(self, connection: Connection) -> None:
        (file,) = [f for f in connection.walk("district", all_names) if f.path.endswith(NAME)]
        into = BytesIO()
        connection.fetch(f"district/{file.path}", into)
        assert into.getvalue() == self.data

    def _deliver(self, connection: Connection) -> None:
        connection.make_folders("district/daily")
        part, final = f"district/daily/{NAME}.part", f"district/daily/{NAME}"
        connection.upload(BytesIO(self.data), part)
        assert connection.read_back(part)[0] == len(self.data)
        connection.rename(part, final)
        assert self.final.read_bytes() == self.data

    def nothing_partial_shows(self) -> bool:
        return self.final.read_bytes() in {self.data, self.older}


def until_it_gets_through(go: Callable[[], None], seconds: float = 10) -> None:
    ends = time.monotonic() + seconds
    while True:
        try:
            go()
        except SftpTransientError:
            assert time.monotonic() < ends
            time.sleep(0.05)
        else:
            return


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("kind", GOES_AWAY)
def test_a_connection_that_breaks_is_transient_and_the_next_try_gets_through(
    tmp_path: Path, kind: Fault, direction: Direction, seed: int
):
    exchange = Exchange(tmp_path, direction, seed)
    with exchange.server(kind, times=1, seconds=0.3) as server:
        with pytest.raises(SftpTransientError) as error:
            exchange.go(server)
        assert server.struck == 1
        assert exchange.nothing_partial_shows()
        assert "Quetzalli" not in str(error.value)
        until_it_gets_through(lambda: exchange.go(server))


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_a_server_that_falls_silent_is_given_up_in_time(tmp_path: Path, direction: Direction):
    exchange = Exchange(tmp_path, direction, seed=3)
    with exchange.server(Fault.STALL, times=1) as server:
        started = time.monotonic()
        with pytest.raises(SftpTransientError, match="did not answer in time"):
            exchange.go(server, stall_timeout=0.5)
        assert 0.5 <= time.monotonic() - started < 9
        assert exchange.nothing_partial_shows()
        until_it_gets_through(lambda: exchange.go(server), seconds=30)


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("kind", HARMLESS)
def test_what_servers_do_differently_changes_no_byte(
    tmp_path: Path, kind: Fault, direction: Direction
):
    exchange = Exchange(tmp_path, direction, seed=4)
    if kind is Fault.REKEY:
        exchange.data *= 8
        exchange.final.write_bytes(exchange.data if direction is Direction.DOWN else exchange.older)
    if kind is Fault.SYMLINK:
        (tmp_path / "district/loop").symlink_to(tmp_path)
    if kind is Fault.NAMES_BUT_FOR_CASE:
        exchange.final.with_name(NAME.upper()).write_bytes(b"another")
    with exchange.server(kind, seconds=0.2) as server:
        exchange.go(server)


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("kind", [Fault.NOT_PERMITTED, Fault.WRONG_CREDENTIALS])
def test_a_refusal_is_loud_until_somebody_has_acted(
    tmp_path: Path, kind: Fault, direction: Direction
):
    exchange = Exchange(tmp_path, direction, seed=5)
    with exchange.server(kind, times=1) as server:
        with pytest.raises(SftpPermanentError) as error:
            exchange.go(server)
        assert "Quetzalli" not in str(error.value)
        assert exchange.nothing_partial_shows()
        exchange.go(server)


@pytest.mark.parametrize(
    ("kind", "words"),
    [(Fault.NO_SPACE, "says only that it failed"), (Fault.QUOTA, "no room left")],
)
def test_a_full_disk_is_loud_and_leaves_the_older_file(tmp_path: Path, kind: Fault, words: str):
    exchange = Exchange(tmp_path, Direction.UP, seed=6)
    with exchange.server(kind, times=1) as server:
        with connect(server.as_server(), server.credentials()) as connection:
            with pytest.raises(SftpPermanentError, match=words):
                connection.upload(BytesIO(exchange.data), "district/f.part")
            connection.remove("district/f.part")
        assert exchange.final.read_bytes() == exchange.older
        assert not (tmp_path / "district/f.part").exists()
        exchange.go(server)


def test_a_server_that_cannot_rename_is_loud_and_shows_no_partial_file(tmp_path: Path):
    exchange = Exchange(tmp_path, Direction.UP, seed=7)
    with (
        exchange.server(Fault.NO_RENAME) as server,
        pytest.raises(SftpPermanentError, match="cannot do this at all"),
    ):
        exchange.go(server)
    assert exchange.final.read_bytes() == exchange.older


def test_a_changed_host_key_is_loud_and_nothing_is_shown_to_the_server(tmp_path: Path):
    exchange = Exchange(tmp_path, Direction.UP, seed=8)
    with exchange.server(Fault.HOST_KEY_CHANGED) as server:
        with pytest.raises(SftpPermanentError, match=r"ssh-ed25519 SHA256:.*Nothing was sent"):
            exchange.go(server)
        assert exchange.final.read_bytes() == exchange.older
        assert server.shown == 0


def test_a_greeting_that_comes_too_late_is_transient(tmp_path: Path):
    exchange = Exchange(tmp_path, Direction.DOWN, seed=9)
    with exchange.server(Fault.SLOW_BANNER, times=1, seconds=30) as server:
        started = time.monotonic()
        with pytest.raises(SftpTransientError, match="did not answer in time"):
            exchange.go(server, handshake_timeout=0.5)
        assert time.monotonic() - started < 9
        exchange.go(server)


def test_a_server_that_never_starts_sftp_is_given_up_in_time(tmp_path: Path):
    exchange = Exchange(tmp_path, Direction.DOWN, seed=11)
    with exchange.server(Fault.SFTP_NEVER_STARTS, times=1) as server:
        started = time.monotonic()
        with pytest.raises(SftpTransientError):
            exchange.go(server, handshake_timeout=1)
        assert time.monotonic() - started < 9
        exchange.go(server)


def test_whatever_is_opened_is_closed_again_also_after_a_failure(tmp_path: Path):
    exchange = Exchange(tmp_path, Direction.UP, seed=12)
    with (
        exchange.server(Fault.QUOTA, times=1) as server,
        connect(server.as_server(), server.credentials()) as connection,
    ):
        with pytest.raises(SftpPermanentError):
            connection.upload(BytesIO(exchange.data), "district/f.part")
        connection.upload(BytesIO(exchange.data), "district/f.part")
        connection.read_back("district/f.part")
        connection.walk("", all_names)
        connection.stat(".")  # what was sent before has been taken by now
        assert server.open_handles == 0


def test_a_reset_within_a_listing_is_transient(tmp_path: Path):
    for number in range(100):
        (tmp_path / f"{number:03}.csv").touch()
    with FaultyServer(tmp_path, Fault.RESET_IN_LISTING, times=1) as server:
        with (
            pytest.raises(SftpTransientError),
            connect(server.as_server(), server.credentials()) as connection,
        ):
            connection.walk("", all_names)
        with connect(server.as_server(), server.credentials()) as connection:
            assert len(connection.walk("", all_names)) == 100


def test_a_folder_that_may_not_be_listed_is_loud_unless_somebody_wants_to_know_which(
    tmp_path: Path,
):
    for folder in ("one", "two/locked", "three"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "f.csv").touch()
    with (
        FaultyServer(tmp_path, Fault.FOLDER_NOT_PERMITTED) as server,
        connect(server.as_server(), server.credentials()) as connection,
    ):
        with pytest.raises(SftpPermanentError, match="may not"):
            connection.walk("", all_names)
        refused: list[str] = []
        found = connection.walk("", all_names, refused.append)
        assert [file.path for file in found] == ["one/f.csv", "three/f.csv"]
        assert refused == ["two/locked"]
        with pytest.raises(SftpPermanentError, match="may not"):
            connection.walk("two/locked", all_names, refused.append)


def test_ten_thousand_files_of_a_server_with_small_answers_are_listed(tmp_path: Path):
    for number in range(10_000):
        (tmp_path / f"{number:05}.csv").touch()
    with (
        FaultyServer(tmp_path, Fault.MANY_ENTRIES) as server,
        connect(server.as_server(), server.credentials()) as connection,
    ):
        found = connection.walk("", all_names)
    assert [file.path for file in found] == [f"{number:05}.csv" for number in range(10_000)]


@pytest.mark.parametrize(
    ("kind", "size", "mtime"),
    [
        (Fault.NONE, 100_000, 5),
        (Fault.NO_TYPES, 100_000, 5),
        (Fault.NO_TIMES, 100_000, None),
        (Fault.TIMES_ARE_ZERO, 100_000, None),
        (Fault.NO_SIZES, None, 5),
        (Fault.NO_FACTS, None, None),
        (Fault.NO_FACTS_IN_LISTINGS, 100_000, 5),
    ],
)
def test_a_server_that_leaves_facts_out_is_listed_and_fetched_all_the_same(
    tmp_path: Path, kind: Fault, size: int | None, mtime: int | None
):
    data = random.Random(kind.name).randbytes(100_000)  # noqa: S311
    for path in ("0161192/transcript/f.csv", "top.csv"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(data)
        os.utime(tmp_path / path, (4, 5))
    (tmp_path / "0161192" / "empty").mkdir()
    (tmp_path / "link.csv").symlink_to(tmp_path / "top.csv")
    (tmp_path / "loop").symlink_to(tmp_path)
    with (
        FaultyServer(tmp_path, kind) as server,
        connect(server.as_server(), server.credentials()) as connection,
    ):
        found = connection.walk("", all_names)
        assert [(file.path, file.size, file.mtime) for file in found] == [
            ("0161192/transcript/f.csv", size, mtime),
            ("top.csv", size, mtime),
        ]
        assert [file.path for file in connection.walk("0161192", all_names)] == ["transcript/f.csv"]
        into = BytesIO()
        assert connection.fetch(found[0].path, into)[0] == len(data)
        assert into.getvalue() == data
        (tmp_path / "top.csv").write_bytes(b"")
        assert connection.read_back("top.csv")[0] == 0


@pytest.mark.parametrize(
    ("limit", "value", "error"),
    [
        ("_MAX_FILES", 20, SftpPermanentError),
        ("_MAX_ALL_FOLDERS", 3, SftpPermanentError),
        ("_LISTING_SECONDS", -1.0, SftpTransientError),
    ],
)
def test_a_listing_without_end_is_given_up(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    limit: str,
    value: float,
    error: type[PipelineError],
):
    monkeypatch.setattr(connection_module, limit, value)
    for number in range(30):
        (tmp_path / f"folder{number % 5}").mkdir(exist_ok=True)
        (tmp_path / f"folder{number % 5}" / f"{number:05}.csv").touch()
    with (
        FaultyServer(tmp_path, Fault.MANY_ENTRIES) as server,
        connect(server.as_server(), server.credentials()) as connection,
        pytest.raises(error, match="its listing"),
    ):
        connection.walk("", all_names)


@pytest.mark.parametrize(("most", "seconds"), [(99, 600.0), (100, -1.0)])
def test_a_file_that_is_larger_than_it_was_listed_or_takes_too_long_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int, seconds: float
):
    monkeypatch.setattr(connection_module, "_FETCH_SECONDS", seconds)
    monkeypatch.setattr(connection_module, "_SLOWEST", seconds)
    (tmp_path / "f.csv").write_bytes(bytes(100))
    with (
        FaultyServer(tmp_path) as server,
        connect(server.as_server(), server.credentials()) as connection,
    ):
        with pytest.raises(SftpTransientError):
            connection.fetch("f.csv", BytesIO(), most)
        monkeypatch.undo()
        assert connection.fetch("f.csv", BytesIO(), 100)[0] == 100


def test_names_that_lead_elsewhere_are_not_even_told(tmp_path: Path):
    (tmp_path / "real.csv").write_bytes(b"x")
    (tmp_path / os.fsdecode(b"caf\xe9.csv")).write_bytes(b"latin")
    with (
        FaultyServer(tmp_path, Fault.ODD_NAMES) as server,
        connect(server.as_server(), server.credentials()) as connection,
    ):
        found = [os.fsencode(file.path) for file in connection.walk("", all_names)]
        into = BytesIO()
        connection.fetch(os.fsdecode(b"caf\xe9.csv"), into)
    assert into.getvalue() == b"latin"
    fetchable = [name for name in HOSTILE_NAMES if len(name) == 300]
    assert found == sorted([b"real.csv", b"caf\xe9.csv", *fetchable])


@pytest.mark.parametrize(
    ("kind", "off"),
    [(Fault.CLOCK_A_DAY_AHEAD, 86_400), (Fault.CLOCK_A_DAY_BEHIND, -86_400)],
)
def test_times_are_the_servers_own(tmp_path: Path, kind: Fault, off: int):
    file = tmp_path / "f.csv"
    file.write_bytes(b"123")
    os.utime(file, (1_700_000_001, 1_700_000_003))
    with (
        FaultyServer(tmp_path, kind) as server,
        connect(server.as_server(), server.credentials()) as connection,
    ):
        told = connection.stat("f.csv")
    assert told == RemoteFile("f.csv", 3, mtime=1_700_000_003 + off, atime=1_700_000_001 + off)


@pytest.mark.parametrize("kind", [Fault.MTIME_OF_ONE_SECOND, Fault.MTIME_OF_TWO_SECONDS])
def test_a_file_that_grows_is_noticed_whatever_the_clock_shows(tmp_path: Path, kind: Fault):
    file = tmp_path / "f.csv"
    file.write_bytes(random_bytes(1))
    os.utime(file, (1, 1))

    class Writer(BytesIO):
        def write(self, data: bytes) -> int:
            with file.open("ab") as growing:
                growing.write(b"more")
            os.utime(file, (1, 1))
            return super().write(data)

    with (
        FaultyServer(tmp_path, kind) as server,
        connect(server.as_server(), server.credentials()) as connection,
        pytest.raises(SftpTransientError, match="changed"),
    ):
        connection.fetch("f.csv", Writer())


def test_a_connection_that_broke_stays_broken(tmp_path: Path):
    (tmp_path / "f.csv").write_bytes(random_bytes(1))
    with (
        FaultyServer(tmp_path, Fault.CUT_AT_HALF, times=1) as server,
        connect(server.as_server(), server.credentials()) as connection,
    ):
        for _ in range(3):
            with pytest.raises(SftpTransientError, match="broke off"):
                connection.fetch("f.csv", BytesIO())


def test_no_file_name_is_logged_or_told(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.DEBUG)
    told = []
    for kind in CUTS:
        for direction in DIRECTIONS:
            folder = tmp_path / kind.name / direction
            exchange = Exchange(folder, direction, seed=10)
            with exchange.server(kind, times=1, seconds=0) as server:
                with pytest.raises((SftpTransientError, SftpPermanentError)) as error:
                    exchange.go(server, stall_timeout=0.5)
                told.append(str(error.value))
    assert "Quetzalli" not in "\n".join([*told, caplog.text])
    assert not [record for record in caplog.records if record.name.startswith("paramiko")]


# --- which error is which -------------------------------------------------------------------------

FOR_NOW, LOUD = SftpTransientError, SftpPermanentError
KINDS: list[tuple[Exception, Operation, type[SftpError]]] = [
    (TimeoutError(), Operation.READING, FOR_NOW),
    (ConnectionRefusedError(), Operation.CONNECTING, FOR_NOW),
    (ConnectionResetError(), Operation.WRITING, FOR_NOW),
    (OSError(errno.EHOSTUNREACH, "No route to host"), Operation.CONNECTING, FOR_NOW),
    (EOFError(), Operation.LISTING, FOR_NOW),
    (paramiko.SSHException("Error reading SSH protocol banner"), Operation.CONNECTING, FOR_NOW),
    (socket.gaierror(socket.EAI_AGAIN, "Try again"), Operation.CONNECTING, FOR_NOW),
    (socket.gaierror(socket.EAI_NONAME, "Not known"), Operation.CONNECTING, LOUD),
    (paramiko.AuthenticationException(), Operation.CONNECTING, LOUD),
    (paramiko.BadAuthenticationType("", ["password"]), Operation.CONNECTING, LOUD),
    (paramiko.IncompatiblePeer(), Operation.CONNECTING, LOUD),
    (paramiko.MessageOrderError(), Operation.CONNECTING, LOUD),
    (paramiko.ChannelException(1, "prohibited"), Operation.CONNECTING, LOUD),
    (paramiko.ChannelException(4, "shortage"), Operation.CONNECTING, FOR_NOW),
    (GarbledError(), Operation.CONNECTING, LOUD),
    (ZeroDivisionError(), Operation.CONNECTING, LOUD),
    (RefusedError(StatusCode.NO_SUCH_FILE), Operation.READING, SftpMissingError),
    (RefusedError(StatusCode.NO_SUCH_PATH), Operation.WRITING, SftpMissingError),
    (RefusedError(StatusCode.PERMISSION_DENIED), Operation.LISTING, LOUD),
    (RefusedError(StatusCode.NO_SPACE), Operation.WRITING, LOUD),
    (RefusedError(StatusCode.QUOTA_EXCEEDED), Operation.WRITING, LOUD),
    (RefusedError(StatusCode.WRITE_PROTECTED), Operation.WRITING, LOUD),
    (RefusedError(StatusCode.UNSUPPORTED), Operation.RENAMING, LOUD),
    (RefusedError(StatusCode.BAD_MESSAGE), Operation.READING, LOUD),
    (RefusedError(StatusCode.CONNECTION_LOST), Operation.READING, FOR_NOW),
    (RefusedError(StatusCode.LOCKED), Operation.READING, FOR_NOW),
    (RefusedError(StatusCode.LOCKED), Operation.WRITING, FOR_NOW),
    (RefusedError(StatusCode.FAILURE), Operation.READING, FOR_NOW),
    (RefusedError(StatusCode.FAILURE), Operation.LISTING, FOR_NOW),
    (RefusedError(StatusCode.FAILURE), Operation.WRITING, LOUD),
    (RefusedError(StatusCode.FAILURE), Operation.MAKING_FOLDERS, LOUD),
    (RefusedError(StatusCode.FAILURE, no_room=True), Operation.WRITING, LOUD),
]


@pytest.mark.parametrize(
    ("error", "doing", "kind"),
    KINDS,
    ids=[f"{error!r:.40} {doing}" for error, doing, _ in KINDS],
)
def test_each_error_is_of_one_kind_and_says_where(
    error: Exception, doing: Operation, kind: type[SftpError]
):
    told = to_sftp_error(error, "partner", doing)
    assert type(told) is kind
    assert str(told).startswith(f"partner, {doing}: ")


def test_a_channel_that_was_closed_before_broke_off_like_one_that_closes_now(tmp_path: Path):
    with (
        FaultyServer(tmp_path) as server,
        connect(server.as_server(), server.credentials()) as connection,
    ):
        connection._session._stream.close()  # type: ignore[attr-defined]
        with pytest.raises(SftpTransientError, match="broke off"):
            connection.fetch("f.csv", BytesIO())


def test_no_words_of_a_library_are_repeated():
    words = "/inbox/Quetzalli Ybarra.csv"
    for error in (
        OSError(errno.ENOENT, words, words),
        paramiko.SSHException(words),
        paramiko.AuthenticationException(words),
        EOFError(words),
        GarbledError(words),
        ValueError(words),
    ):
        assert "Quetzalli" not in str(to_sftp_error(error, "partner", Operation.READING))
