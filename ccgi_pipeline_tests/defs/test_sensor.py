"""The sensor: files that stood still start a night; a server that refuses turns the tick red."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from ccgi_pipeline.defs.automation import ServersRefuseError, new_drops, night_job
from ccgi_pipeline.defs.resources import NightFolders
from ccgi_pipeline.intake.file_stability import Clock
from ccgi_pipeline.nightly.paths import PipelinePaths
from ccgi_pipeline.nightly.receive import WaitMode, poll_inboxes, receive_drops
from ccgi_pipeline.reports.outbox import sha256_of
from ccgi_pipeline_tests.nightly.inboxes import (
    HAYWARD,
    HAYWARD_HIGH,
    PALM_SPRINGS,
    PALM_SPRINGS_HIGH,
    put_roster,
    students,
)
from ccgi_pipeline_tests.nightly.nights import folders_in, run_night, writing

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


class Looks:
    """Looks into one inbox, a minute apart."""

    def __init__(self, folders: PipelinePaths) -> None:
        self.folders = folders
        self.minutes = 0

    def look(self, after: int = 1) -> str | None:
        """The key under which a night is asked for ``after`` further minutes, if one is."""
        self.minutes += after
        now = NOON + timedelta(minutes=self.minutes)
        return poll_inboxes(self.folders, Clock(lambda: now)).due

    def say(self) -> str:
        """Why no night is asked for a minute later."""
        self.minutes += 1
        now = NOON + timedelta(minutes=self.minutes)
        return poll_inboxes(self.folders, Clock(lambda: now)).reason

    def until_due(self, most: int = 30) -> int:
        """How many minutes pass until a night is asked for."""
        began = self.minutes
        while self.look() is None:
            assert self.minutes - began < most, "no night is asked for"
        return self.minutes - began


@pytest.fixture
def looks(tmp_path: Path) -> Looks:
    return Looks(folders_in(tmp_path))


def _put(looks: Looks, *ssids: str) -> Path:
    return put_roster(looks.folders.inbox, HAYWARD, students([*ssids], HAYWARD_HIGH))


def test_a_night_is_asked_for_when_files_stood_still_for_five_minutes(looks: Looks) -> None:
    _put(looks, "1000000001")
    assert looks.look() is None
    assert looks.until_due() == 5


def test_a_tick_says_when_the_night_begins(looks: Looks) -> None:
    assert looks.say() == "no new file"
    path = _put(looks, "1000000001")
    told = [looks.say() for _ in range(5)]
    wait = "2 new files; the night begins in about {}, if nothing more arrives"
    assert told == [wait.format(f"{left} minutes") for left in (5, 4, 3, 2)] + [
        wait.format("1 minute")
    ]
    assert looks.look() is not None
    (path.parent / "TestGrade_20261122.csv").write_bytes(b"StateID\n")
    looks.look()
    assert looks.say().startswith("3 new files; the night begins in about 4 minutes")


def test_a_tick_says_the_first_time_of_several_folders(looks: Looks) -> None:
    _list_checksums(_put(looks, "1000000001").parent)
    put_roster(looks.folders.inbox, PALM_SPRINGS, students(["2"], PALM_SPRINGS_HIGH))
    assert "in about 1 minute," in looks.say()


def test_the_quiet_period_is_a_setting(looks: Looks) -> None:
    looks.folders.warehouse.mkdir()
    (looks.folders.warehouse / "profiles.toml").write_text("[intake]\nquiet_minutes = 2\n")
    _put(looks, "1000000001")
    assert looks.look() is None
    assert looks.until_due() == 2


def test_a_growing_file_is_waited_for_with_all_that_lies_beside_it(looks: Looks) -> None:
    path = _put(looks, "1000000001")
    for _ in range(8):
        assert looks.look() is None
        path.write_bytes(path.read_bytes() + b"more")
    looks.look()
    assert looks.until_due() == 5


def test_the_same_files_ask_again_under_another_key_only_after_a_while(looks: Looks) -> None:
    _put(looks, "1000000001")
    looks.look()
    looks.until_due()
    keys = [looks.look() for _ in range(60)]
    assert all(keys)
    assert 2 <= len(dict.fromkeys(keys)) <= 4


def test_a_file_that_changed_asks_under_another_key(looks: Looks) -> None:
    path = _put(looks, "1000000001")
    looks.look()
    looks.until_due()
    first = looks.look()
    os.utime(path, (1, 1))
    looks.look()
    looks.until_due()
    assert looks.look() != first


def test_after_the_night_nothing_is_asked_for(looks: Looks) -> None:
    _put(looks, "1000000001")
    looks.look()
    looks.until_due()
    run_night(looks.folders)
    assert looks.look() is None
    assert looks.look(after=60) is None


def test_a_file_of_nobody_starts_no_night(looks: Looks) -> None:
    (looks.folders.inbox / "stray.csv").write_bytes(b"a,b\n1,2\n")
    looks.look()
    assert looks.look(after=60) is None


def test_files_with_their_checksums_are_taken_at_the_second_look(looks: Looks) -> None:
    path = _put(looks, "1000000001")
    _list_checksums(path.parent)
    assert looks.look() is None
    assert looks.look() is not None


def test_a_file_that_its_checksums_do_not_name_keeps_all_waiting(looks: Looks) -> None:
    path = _put(looks, "1000000001")
    _list_checksums(path.parent)
    (path.parent / "CourseGrade_20261122.csv").write_bytes(b"StateID\n")
    looks.look()
    assert looks.look() is None


def test_what_is_not_as_its_checksum_says_is_not_taken(looks: Looks) -> None:
    path = _put(looks, "1000000001")
    _list_checksums(path.parent)
    path.write_bytes(path.read_bytes()[:-5])
    with writing(looks.folders) as connection:
        for minute in range(2):
            clock = Clock(lambda m=minute: NOON + timedelta(minutes=m))  # type: ignore[misc]
            received = receive_drops(
                connection, looks.folders, NOON.date(), taking=WaitMode.SETTLED, clock=clock
            )
    assert received.drops == ()
    assert {file.name for file in received.postponed} == {f.name for f in _files(path.parent)}


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in folder.iterdir() if path.suffix == ".csv")


def _list_checksums(folder: Path) -> None:
    lines = [f"{sha256_of(path.read_bytes())}  {path.name}\n" for path in _files(folder)]
    (folder / "SHA256SUMS").write_text("".join(lines))


def test_a_night_that_waits_takes_what_comes_to_rest_meanwhile(looks: Looks) -> None:
    path = _put(looks, "1000000001")
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) < 3:
            path.write_bytes(path.read_bytes() + b"\n")

    clock = Clock(lambda: NOON + timedelta(seconds=sum(slept)), sleep)
    with writing(looks.folders) as connection:
        received = receive_drops(
            connection, looks.folders, NOON.date(), taking=WaitMode.WAIT, clock=clock
        )
    assert len(received.drops) == 1
    assert 300 <= sum(slept) < 400


# --- in Dagster -----------------------------------------------------------------------------------


class Ticks:
    """Ticks of the sensor with an instance of its own."""

    def __init__(self, folders: PipelinePaths, instance: dg.DagsterInstance) -> None:
        self.folders, self.instance = folders, instance

    def tick(self) -> list[dg.RunRequest]:
        """The runs that this tick asks for."""
        paths = {
            name: str(getattr(self.folders, name)) for name in ("inbox", "outbox", "warehouse")
        }
        context = dg.build_sensor_context(
            self.instance, resources={"folders": NightFolders(**paths)}
        )
        answer = new_drops(context)
        assert context.cursor is None, "names of files are no cursor"
        return [] if isinstance(answer, dg.SkipReason) else [*(answer.run_requests or [])]


@pytest.fixture
def ticks(looks: Looks) -> Iterator[Ticks]:
    looks.folders.warehouse.mkdir()
    (looks.folders.warehouse / "profiles.toml").write_text("[intake]\nquiet_minutes = 0\n")
    with dg.DagsterInstance.ephemeral() as instance:
        yield Ticks(looks.folders, instance)


def test_the_run_takes_only_what_is_at_rest(looks: Looks, ticks: Ticks) -> None:
    _put(looks, "1000000001")
    assert ticks.tick() == []
    (request,) = ticks.tick()
    assert request.run_config["resources"]["night"]["config"]["take"] == "settled"
    assert "StudentTemplate" not in str(request)


def test_while_a_night_is_under_way_no_other_is_asked_for(looks: Looks, ticks: Ticks) -> None:
    _put(looks, "1000000001")
    ticks.tick()
    ticks.instance.create_run_for_job(another_night, status=dg.DagsterRunStatus.STARTED)
    assert ticks.tick() == []


@dg.op
def nothing() -> None:
    """The only step of a job that counts by its name."""


@dg.job(name=night_job.name)
def another_night() -> None:
    """A night, for who looks at names."""
    nothing()


_NOWHERE = """
[intake]
quiet_minutes = 0
[sftp.uploads]
host = "127.0.0.1"
port = {port}
user = "nobody"
host_keys = ["SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"]
inbox = "/"
"""


def test_a_server_that_is_away_is_told_of_and_the_tick_is_skipped(
    ticks: Ticks, monkeypatch: pytest.MonkeyPatch
) -> None:
    (ticks.folders.warehouse / "profiles.toml").write_text(_NOWHERE.format(port=1))
    monkeypatch.setenv("CCGI_SFTP_UPLOADS_PASSWORD", "secret")
    assert ticks.tick() == []
    assert "uploads" in poll_inboxes(ticks.folders).reason


def test_a_server_without_credentials_turns_the_tick_red(ticks: Ticks) -> None:
    (ticks.folders.warehouse / "profiles.toml").write_text(_NOWHERE.format(port=1))
    with pytest.raises(ServersRefuseError, match="CCGI_SFTP_UPLOADS_KEY_FILE"):
        ticks.tick()


def test_a_server_that_refuses_keeps_nobody_else_waiting(looks: Looks, ticks: Ticks) -> None:
    (ticks.folders.warehouse / "profiles.toml").write_text(_NOWHERE.format(port=1))
    _put(looks, "1000000001")
    with pytest.raises(ServersRefuseError):
        ticks.tick()
    assert len(ticks.tick()) == 1
