"""Files to and from a real OpenSSH server."""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import stat
import threading
from collections.abc import Callable
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import paramiko
import pytest

from ccgi_pipeline.sftp import connection as connections
from ccgi_pipeline.sftp.connection import Connection, RemoteFile, connect
from ccgi_pipeline.sftp.errors import SftpMissingError, SftpPermanentError, SftpTransientError
from ccgi_pipeline_tests.sftp.openssh import ACCOUNT, ROOT, OpenSsh, openssh


def all_names(_: str) -> bool:
    return False


def content(size: int, seed: int = 1) -> bytes:
    return random.Random(seed).randbytes(size)  # noqa: S311


def sum_of(data: bytes) -> tuple[int, str]:
    return len(data), hashlib.sha256(data).hexdigest()


def fetched(connection: Connection, path: str) -> bytes:
    into = BytesIO()
    told = connection.fetch(path, into)
    assert told == sum_of(into.getvalue())
    return into.getvalue()


def put(server: OpenSsh, path: str, data: bytes = b"x") -> Path:
    file = server.files / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(data)
    return file


SIZES = [0, 1, 32_767, 32_768, 32_769, (255 << 10) - 1, 255 << 10, (255 << 10) + 1, 9_000_000]


@pytest.mark.parametrize("size", SIZES)
def test_a_file_goes_there_and_comes_back_byte_for_byte(
    server: OpenSsh, connection: Connection, size: int, tmp_path: Path
):
    data = content(size)
    local = tmp_path / "local"
    local.write_bytes(data)
    assert connection.upload(local, "there.part") == size
    assert connection.read_back("there.part") == sum_of(data)
    connection.rename("there.part", "there")
    assert (server.files / "there").read_bytes() == data
    assert not (server.files / "there.part").exists()
    assert fetched(connection, "there") == data


def test_an_upload_replaces_what_is_there_wholly(server: OpenSsh, connection: Connection):
    file = put(server, "long.part", content(100_000))
    connection.upload(BytesIO(b"short"), "long.part")
    assert file.read_bytes() == b"short"


def test_a_server_that_takes_little_at_once_gets_the_same_bytes(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(connection, "_write_chunk", 1000)
    monkeypatch.setattr(connection, "_read_chunk", 700)
    monkeypatch.setattr(connections, "_MAX_UNDER_WAY", 5000)
    data = content(123_456)
    connection.upload(BytesIO(data), "little")
    assert fetched(connection, "little") == data


@pytest.mark.parametrize("who", ["server", "client"])
def test_new_session_keys_under_way_change_no_byte(who: str, monkeypatch: pytest.MonkeyPatch):
    limit = 700_000
    if who == "client":
        monkeypatch.setattr(paramiko.packet.Packetizer, "REKEY_BYTES", limit)
    data = content(9_000_000)
    with (
        openssh(*([f"RekeyLimit {limit}"] if who == "server" else [])) as server,
        connect(server.as_server(), server.credentials()) as connection,
    ):
        connection.upload(BytesIO(data), "rekeyed")
        assert fetched(connection, "rekeyed") == data


def test_renaming_replaces_a_whole_file_by_a_whole_file_for_every_reader(
    server: OpenSsh, connection: Connection
):
    versions = [content(200_000, seed) for seed in range(2)]
    final = put(server, "final", versions[0])
    seen, done = set(), threading.Event()

    def read_all_the_time() -> None:
        while not done.is_set():
            seen.add(sum_of(final.read_bytes()))

    reader = threading.Thread(target=read_all_the_time)
    reader.start()
    for turn in range(20):
        connection.upload(BytesIO(versions[turn % 2]), "final.part")
        connection.rename("final.part", "final")
    done.set()
    reader.join()
    assert seen <= {sum_of(version) for version in versions}


def test_a_walk_finds_every_file_below_a_folder(server: OpenSsh, connection: Connection):
    put(server, "walk/a.csv", b"12345")
    put(server, "walk/b/c/d.csv")
    (server.files / "walk/empty").mkdir()
    os.utime(server.files / "walk/a.csv", (1_700_000_000, 1_700_000_001))
    found = connection.walk("walk", all_names)
    assert [file.path for file in found] == ["a.csv", "b/c/d.csv"]
    assert found[0] == RemoteFile("a.csv", 5, mtime=1_700_000_001, atime=1_700_000_000)
    assert connection.walk("walk/", all_names) == found
    assert connection.walk("walk/empty", all_names) == []


@pytest.mark.parametrize("folder", ["", ".", "/files" if ROOT else "."])
def test_the_accounts_own_folder_is_walked_too(
    server: OpenSsh, connection: Connection, folder: str
):
    put(server, "own/f.csv")
    assert "own/f.csv" in [file.path for file in connection.walk(folder, all_names)]


def test_what_is_passed_over_is_not_even_looked_into(server: OpenSsh, connection: Connection):
    for path in ("some/a.csv", "some/b.part", "some/.hidden/c.csv", "some/d.part/e.csv"):
        put(server, path)
    asked = []

    def partial(name: str) -> bool:
        asked.append(name)
        return name.endswith(".part") or name.startswith(".")

    assert [file.path for file in connection.walk("some", partial)] == ["a.csv"]
    assert sorted(asked) == [".hidden", "a.csv", "b.part", "d.part"]


def test_links_and_pipes_are_not_files(server: OpenSsh, connection: Connection):
    put(server, "odd/real.csv")
    (server.files / "odd/link.csv").symlink_to("real.csv")
    (server.files / "odd/loop").symlink_to(".")
    os.mkfifo(server.files / "odd/pipe")
    assert [file.path for file in connection.walk("odd", all_names)] == ["real.csv"]


def test_a_walk_through_many_folders_finds_each_file_once(server: OpenSsh, connection: Connection):
    wanted = {f"{a}/{b}/{a}-{b}.csv" for a in range(40) for b in range(5)}
    for path in wanted:
        put(server, f"many/{path}")
    found = [file.path for file in connection.walk("many", all_names)]
    assert found == sorted(wanted)


def test_a_folder_of_many_answers_is_listed(server: OpenSsh, connection: Connection):
    folder = server.files / "large"
    folder.mkdir()
    for number in range(2_500):
        (folder / f"{number:05}.csv").touch()
    found = connection.walk("large", all_names)
    assert [file.path for file in found] == [f"{number:05}.csv" for number in range(2_500)]


def test_a_folder_that_vanishes_meanwhile_is_left_out(server: OpenSsh, connection: Connection):
    for number in range(3):
        put(server, f"going/{number}/f.csv")

    def vanishing(name: str) -> bool:
        if name == "1":
            (server.files / "going/1/f.csv").unlink()
            (server.files / "going/1").rmdir()
        return False

    found = [file.path for file in connection.walk("going", vanishing)]
    assert found == ["0/f.csv", "2/f.csv"]


ODD_NAMES = [
    b"caf\xe9.csv",  # Latin-1
    "café.csv".encode(),
    b"\xff\xfe",
    b"new\nline.csv",
    b"tab\tand \x07bell",
    b" blanks ",
    b"-rf",
    b"back\\slash",
    b"*?[a]",
    b"\xed\xa0\x80",  # half a character
    b"n" * 255,
]


@pytest.mark.parametrize("name", ODD_NAMES)
def test_a_file_of_any_name_is_listed_and_fetched(
    server: OpenSsh, connection: Connection, name: bytes
):
    folder = server.files / "names" / hashlib.sha256(name).hexdigest()[:8]
    folder.mkdir(parents=True)
    (folder / os.fsdecode(name)).write_bytes(b"content")
    path = folder.relative_to(server.files).as_posix()
    (file,) = connection.walk(path, all_names)
    assert os.fsencode(file.path) == name
    assert fetched(connection, f"{path}/{file.path}") == b"content"
    assert file.shown.encode()


def test_facts_tell_size_and_time_and_follow_no_link(server: OpenSsh, connection: Connection):
    file = put(server, "facts/f.csv", b"123")
    os.utime(file, (5, 7))
    (server.files / "facts/link").symlink_to("f.csv")
    assert connection.stat("facts/f.csv") == RemoteFile("facts/f.csv", 3, mtime=7, atime=5)
    assert connection.stat("facts/nothing") is None
    assert connection.stat("nowhere/nothing") is None
    assert connection.stat("facts") is not None
    link = connection.stat("facts/link")
    assert link is not None
    assert link.size == len("f.csv")


def test_folders_are_made_as_far_as_they_are_missing(server: OpenSsh, connection: Connection):
    (server.files / "made").mkdir()
    for path in ("made/a/b/c", "made/a/b/d", "made", "", ".", "made/a/b/c"):
        connection.make_folders(path)
    assert (server.files / "made/a/b/c").is_dir()
    assert (server.files / "made/a/b/d").is_dir()


def test_a_file_in_the_way_of_a_folder_is_told_loudly(server: OpenSsh, connection: Connection):
    put(server, "way")
    with pytest.raises(SftpPermanentError):
        connection.make_folders("way/further")


def test_removing_twice_is_fine(server: OpenSsh, connection: Connection):
    file = put(server, "removed")
    connection.remove("removed")
    connection.remove("removed")
    assert not file.exists()


def test_what_is_not_there_has_an_error_of_its_own(connection: Connection, tmp_path: Path):
    for asked in (
        lambda: connection.walk("nowhere", all_names),
        lambda: connection.fetch("nothing", BytesIO()),
        lambda: connection.read_back("nothing"),
        lambda: connection.upload(BytesIO(), "nowhere/f.part"),
        lambda: connection.rename("nothing", "something"),
    ):
        with pytest.raises(SftpMissingError):
            asked()
    with pytest.raises(SftpPermanentError, match="not here"):
        connection.upload(tmp_path / "nothing", "f.part")
    assert connection.stat("f.part") is None


def test_a_refusal_does_not_end_the_connection(server: OpenSsh, connection: Connection):
    put(server, "after", b"still")
    with pytest.raises(SftpMissingError):
        connection.fetch("nothing", BytesIO())
    assert fetched(connection, "after") == b"still"


def test_what_the_account_may_not_do_is_permanent(server: OpenSsh):
    # Root may do everything, so it is another account there.
    account = "nobody" if ROOT else ACCOUNT
    (server.files / "locked").mkdir(mode=stat.S_IRUSR | stat.S_IXUSR)
    shutil.copyfile(server.keys / ACCOUNT, server.keys / "nobody")
    at = replace(server.as_server(), user=account)
    with (
        connect(at, server.credentials()) as connection,
        pytest.raises(SftpPermanentError, match="may not"),
    ):
        connection.upload(BytesIO(b"x"), "locked/f.part")


def grow(file: Path) -> None:
    with file.open("ab") as growing:
        growing.write(b"more")


def shrink(file: Path) -> None:
    os.truncate(file, 100)


def rewrite(file: Path) -> None:
    file.write_bytes(content(file.stat().st_size, seed=9))
    os.utime(file, (9, 9))


@pytest.mark.parametrize("change", [grow, shrink, rewrite])
def test_a_file_that_changes_while_it_is_read_is_not_taken(
    server: OpenSsh, connection: Connection, change: Callable[[Path], None]
):
    file = put(server, "changing", content(8_000_000))

    class Writer(BytesIO):
        """Changes the file as soon as its first bytes arrive."""

        def write(self, data: bytes) -> int:
            if not self.tell():
                change(file)
            return super().write(data)

    with pytest.raises(SftpTransientError, match="changed while it was read"):
        connection.fetch("changing", Writer())
    # Once it rests, it is taken.
    assert fetched(connection, "changing") == file.read_bytes()


def test_our_own_disk_is_not_blamed_on_the_server(server: OpenSsh, connection: Connection):
    class Full(BytesIO):
        def write(self, _: bytes) -> int:
            raise OSError(28, "No space left on device", "Quetzalli.csv")

        def read(self, _: int = -1) -> bytes:
            raise OSError(5, "Input/output error", "Quetzalli.csv")

    put(server, "fine", content(1_000_000))
    with pytest.raises(SftpPermanentError, match="our own disk") as full:
        connection.fetch("fine", Full())
    with pytest.raises(SftpPermanentError, match="our own disk") as broken:
        connection.upload(Full(), "f.part")
    assert "Quetzalli" not in f"{full.value}{broken.value}"
    assert len(fetched(connection, "fine")) == 1_000_000


def test_several_servers_are_talked_to_at_a_time(server: OpenSsh, connection: Connection):
    with connect(replace(server.as_server(), name="other"), server.credentials()) as other:
        for number in range(10):
            connection.upload(BytesIO(b"%d" % number), f"{number}.one")
            other.upload(BytesIO(b"%d" % number), f"{number}.two")
    assert connection.read_back("9.one") == sum_of(b"9")


def test_nothing_stays_open_at_the_server(server: OpenSsh, connection: Connection):
    put(server, "closed/f.csv")
    for _ in range(300):  # more than a process may have open, were they not closed
        connection.walk("closed", all_names)
        connection.fetch("closed/f.csv", BytesIO())
        connection.upload(BytesIO(b"x"), "closed/g.csv")
    assert not connection._session._answers
    assert not connection._session._awaited
