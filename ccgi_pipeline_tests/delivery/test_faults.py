"""Whatever goes wrong with a server, in whichever direction: nothing lost, nothing twice.

Belongs here: taking files and delivering files, over an SFTP server that fails in each of the ways
that servers fail. How one connection tells each fault is tested with the transport.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from ccgi_pipeline.delivery.ledger import DeliveryState, FileKind, MadeFile, open_ledger
from ccgi_pipeline.intake.archive import Archive
from ccgi_pipeline.intake.arrivals import (
    DropHistory,
    RememberedFile,
    ScanTerms,
    receive_files,
    scan_inboxes,
)
from ccgi_pipeline.intake.file_stability import Sighting
from ccgi_pipeline.intake.sources import open_inboxes
from ccgi_pipeline.nightly.deliver import deliver_outbox
from ccgi_pipeline.nightly.paths import PipelinePaths
from ccgi_pipeline.profiles import read_profiles
from ccgi_pipeline.reports.outbox import sha256_of
from ccgi_pipeline_tests.delivery.exchange import PRIVATE_KEY
from ccgi_pipeline_tests.nightly.nights import folders_in
from ccgi_pipeline_tests.sftp.faulty_server import Direction, Fault, FaultyServer

pytestmark = pytest.mark.slow

NIGHT = date(2026, 11, 22)
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
_ROUNDS = 3
CONTENTS = {
    "0161192/transcript/StudentTemplate.csv": bytes(range(256)) * 400,
    "0161192/transcript/CourseGrade.csv": b"SSID\n" * 7,
    "3367173/foster_focus/Demographics.txt": b"x" * 70_000,
    "3367173/foster_focus/empty.txt": b"",
}
LOUD_WHEN_TAKING = {
    Fault.NOT_PERMITTED,
    Fault.WRONG_CREDENTIALS,
    Fault.HOST_KEY_CHANGED,
    Fault.NO_SFTP,
}
LOUD_WHEN_READING_BACK = {*LOUD_WHEN_TAKING, Fault.NO_RENAME}
LOUD_WHEN_SENDING = {*LOUD_WHEN_READING_BACK, Fault.NO_SPACE, Fault.QUOTA}
"""What stays until somebody acts. All else goes away by itself, or does no harm at all."""


def _settings(folders: PipelinePaths, server: FaultyServer) -> None:
    at = server.as_server()
    folders.warehouse.mkdir(exist_ok=True)
    (folders.warehouse / "profiles.toml").write_text(
        f"""
[intake]
quiet_minutes = 0
[sftp.ccgi]
host = "{at.host}"
port = {at.port}
user = "{at.user}"
host_keys = ["{at.host_keys[0].strip()}"]
stall_seconds = 2
inbox = "uploads"
outbox = "reports"
[defaults.delivery]
server = "ccgi"
"""
    )


@contextmanager
def _serving(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    fault: Fault,
    direction: Direction,
    *,
    for_ever: bool = False,
) -> Iterator[tuple[PipelinePaths, FaultyServer]]:
    """Folders whose profiles name a server that fails once, or for ever."""
    root = tmp_path / "server"
    for name in ("uploads", "reports"):
        (root / name).mkdir(parents=True)
    times = None if for_ever else 1
    largest = max(map(len, CONTENTS.values()))
    with FaultyServer(root, fault, direction, times=times, upload_size=largest) as server:
        folders = folders_in(tmp_path)
        _settings(folders, server)
        monkeypatch.setenv(PRIVATE_KEY, server.credentials().private_key or "")
        yield folders, server


def _prepare(root: Path, fault: Fault) -> None:
    """What lies on the server so that the fault has something to strike."""
    if fault is Fault.SYMLINK:
        (root / "uploads" / "0161192" / "transcript" / "link.csv").symlink_to("/etc/hostname")
        (root / "uploads" / "0161192" / "more").symlink_to(root / "uploads")
    if fault is Fault.NAMES_BUT_FOR_CASE:
        folder = root / "uploads" / "0161192" / "transcript"
        (folder / "studenttemplate.CSV").write_bytes(b"another")
    if fault is Fault.MANY_ENTRIES:
        folder = root / "uploads" / "nobody"
        folder.mkdir()
        for number in range(10_000):
            (folder / f"{number}.csv").touch()


@dataclass
class Taker:
    """Looks and takes, round after round, and remembers as a warehouse would."""

    folders: PipelinePaths
    looks: dict[str, Sighting] = field(default_factory=dict)
    remembered: dict[str, RememberedFile] = field(default_factory=dict)
    taken: list[tuple[str, str]] = field(default_factory=list)
    loud: list[str] = field(default_factory=list)
    minutes: int = 0

    def round(self) -> None:
        """Two scans over one connection, and taking the files that are ready."""
        profiles = read_profiles(self.folders.warehouse)
        with open_inboxes(self.folders.inbox, profiles) as inboxes:
            for _ in range(2):
                self.minutes += 1
                terms = ScanTerms(
                    NOON + timedelta(minutes=self.minutes), timedelta(), wait_for_local=True
                )
                scan, self.looks = scan_inboxes(inboxes, self.remembered, self.looks, terms)
            archive = Archive(self.folders.warehouse / "archive")
            received = receive_files(inboxes, scan, archive, self.remembered, DropHistory())
            self.loud += [problem.reason for problem in inboxes.problems if problem.permanent]
        for drop in (*received.drops, *received.duplicates):
            for file, sha256 in drop.files:
                assert sha256_of(archive.read(sha256)) == sha256
                self.taken.append((file.path.removeprefix("ccgi:"), sha256))
                self.remembered[file.shown] = RememberedFile(file.stamp, sha256)


@pytest.mark.parametrize("fault", Fault)
def test_taking_loses_nothing_and_takes_nothing_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: Fault
) -> None:
    for_ever = fault in LOUD_WHEN_TAKING
    with _serving(tmp_path, monkeypatch, fault, Direction.DOWN, for_ever=for_ever) as served:
        folders, server = served
        for path, content in CONTENTS.items():
            (server.root / "uploads" / path).parent.mkdir(parents=True, exist_ok=True)
            (server.root / "uploads" / path).write_bytes(content)
        _prepare(server.root, fault)
        sent = {path: sha256_of(content) for path, content in CONTENTS.items()}
        if fault is Fault.NAMES_BUT_FOR_CASE:
            sent["0161192/transcript/studenttemplate.CSV"] = sha256_of(b"another")
        taker = Taker(folders)
        for _ in range(_ROUNDS):
            taker.round()
            time.sleep(server.seconds)
        assert bool(taker.loud) is (for_ever or fault is Fault.QUOTA)
        # A name that no folder can hold keeps its folder waiting for an hour, and no longer.
        if fault is Fault.ODD_NAMES:
            taker.minutes += 90
            taker.round()
        if for_ever:
            assert not any(name in why for why in taker.loud for name in ("Student", "Demo"))
            server.fault = Fault.NONE
            taker.round()
        assert sorted(taker.taken) == sorted(sent.items())


def test_a_file_that_may_not_be_read_keeps_no_other_district_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with _serving(tmp_path, monkeypatch, Fault.NONE, Direction.DOWN) as (folders, server):
        for path, content in CONTENTS.items():
            (server.root / "uploads" / path).parent.mkdir(parents=True, exist_ok=True)
            (server.root / "uploads" / path).write_bytes(content)
        gone = server.root / "uploads" / "0161192" / "transcript" / "StudentTemplate.csv"
        taker = Taker(folders)
        gone.unlink()
        gone.mkdir()
        taker.round()
        assert {path[:7] for path, _ in taker.taken} == {"0161192", "3367173"}


@pytest.mark.parametrize("direction", Direction)
@pytest.mark.parametrize("fault", Fault)
def test_delivering_loses_nothing_and_sends_nothing_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: Fault, direction: Direction
) -> None:
    down = direction is Direction.DOWN
    for_ever = fault in (LOUD_WHEN_READING_BACK if down else LOUD_WHEN_SENDING)
    with _serving(tmp_path, monkeypatch, fault, direction, for_ever=for_ever) as served:
        folders, server = served
        _make(folders, {path: content for path, content in CONTENTS.items() if content})
        if fault is Fault.TARGET_EXISTS:
            _put_former(server.root / "reports")
        outcomes = []
        for _ in range(_ROUNDS):
            outcomes += deliver_outbox(folders, NIGHT)
            _only_whole_files(server.root / "reports")
        loud = [outcome for outcome in outcomes if outcome.permanent]
        assert bool(loud) is (for_ever or fault is Fault.QUOTA)
        assert all(outcome.why for outcome in loud)
        if loud:
            server.fault = Fault.NONE
            outcomes += deliver_outbox(folders, NIGHT)
        found = _only_whole_files(server.root / "reports")
        assert found.keys() == {_remote(path) for path, content in CONTENTS.items() if content}
        assert not [*server.root.rglob("*.part")]
        assert sum(outcome.arrived for outcome in outcomes) == len(found)
        with open_ledger(folders.warehouse) as ledger:
            states = [
                [state for state, _ in ledger.read_history(d.id)] for d in ledger.find_deliveries()
            ]
        assert all(history.count("delivered") == 1 for history in states)
        assert outcomes[-1].waiting == 0


def _remote(path: str) -> str:
    cd, *rest = path.split("/")
    return "/".join([f"District{cd}", "_receipts", *rest[1:]])


def _make(folders: PipelinePaths, contents: dict[str, bytes]) -> None:
    made = []
    for path, content in contents.items():
        file = folders.outbox / _remote(path)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
        made.append(
            MadeFile(
                path=_remote(path),
                sha256=sha256_of(content),
                owner=path[:7],
                kind=FileKind.RECEIPT,
                name="",
                part="",
                night=NIGHT,
                snapshot=0,
                settings="",
            )
        )
    with open_ledger(folders.warehouse) as ledger:
        ledger.record_made(made)


def _put_former(reports: Path) -> None:
    """Whole files of a former day lie where the new ones go."""
    for path, content in CONTENTS.items():
        if content:
            (reports / _remote(path)).parent.mkdir(parents=True, exist_ok=True)
            (reports / _remote(path)).write_bytes(content)


def _only_whole_files(reports: Path) -> dict[str, bytes]:
    """What districts see: nothing but whole files."""
    wanted = {_remote(path): content for path, content in CONTENTS.items()}
    found = {
        file.relative_to(reports).as_posix(): file.read_bytes()
        for file in reports.rglob("*")
        if file.is_file() and not file.name.startswith(".")
    }
    assert all(wanted[path] == content for path, content in found.items())
    return found


# --- what becomes of delivered files --------------------------------------------------------------


@pytest.fixture
def delivered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[PipelinePaths, FaultyServer]]:
    """Two files that were delivered."""
    with _serving(tmp_path, monkeypatch, Fault.NONE, Direction.UP) as (folders, server):
        _make(folders, {"0161192/t/a.csv": b"one", "3367173/t/b.csv": b"two"})
        deliver_outbox(folders, NIGHT)
        yield folders, server


def _states(folders: PipelinePaths) -> dict[str, DeliveryState]:
    with open_ledger(folders.warehouse) as ledger:
        return {
            delivery.remote.rpartition("/")[2]: delivery.state
            for delivery in ledger.find_deliveries()
        }


def test_what_was_delivered_is_not_sent_again(
    delivered: tuple[PipelinePaths, FaultyServer],
) -> None:
    folders, _ = delivered
    assert [outcome.arrived for outcome in deliver_outbox(folders, NIGHT)] == [0]


def test_nothing_goes_into_a_folder_that_has_another_districts_name(
    delivered: tuple[PipelinePaths, FaultyServer],
) -> None:
    folders, server = delivered
    profiles = folders.warehouse / "profiles.toml"
    profiles.write_text(
        f"{profiles.read_text()}\n[districts.0161192.delivery]\n"
        'folder = "/reports/district3367173"\n'
    )
    _make(folders, {"0161192/t/a.csv": b"one", "3367173/t/c.csv": b"three"})
    (outcome,) = deliver_outbox(folders, NIGHT)
    reports = server.root / "reports"
    assert {path.name for path in reports.rglob("*.csv")} == {"a.csv", "b.csv", "c.csv"}
    assert not list(reports.glob("district3367173/**/*.*"))
    assert outcome.permanent
    (why,) = outcome.why
    assert "districts.0161192.delivery.folder in profiles.toml is the folder of 3367173" in why


def test_a_file_that_is_gone_was_picked_up_and_is_not_sent_again(
    delivered: tuple[PipelinePaths, FaultyServer],
) -> None:
    folders, server = delivered
    (server.root / "reports" / "District0161192" / "_receipts" / "a.csv").unlink(missing_ok=True)
    for file in server.root.rglob("a.csv"):
        file.unlink()
    (outcome,) = deliver_outbox(folders, NIGHT)
    assert (outcome.arrived, outcome.noticed[DeliveryState.PICKED_UP]) == (0, 1)
    assert _states(folders) == {"a.csv": DeliveryState.PICKED_UP, "b.csv": DeliveryState.DELIVERED}


def test_a_file_that_somebody_changed_is_noticed_and_left(
    delivered: tuple[PipelinePaths, FaultyServer],
) -> None:
    folders, server = delivered
    (file,) = server.root.rglob("a.csv")
    file.write_bytes(b"one, mended by hand")
    (outcome,) = deliver_outbox(folders, NIGHT)
    assert outcome.noticed[DeliveryState.CHANGED] == 1
    assert file.read_bytes() == b"one, mended by hand"
    assert deliver_outbox(folders, NIGHT)[0].noticed[DeliveryState.CHANGED] == 0


def test_new_content_of_the_same_name_takes_its_place_and_back(
    delivered: tuple[PipelinePaths, FaultyServer],
) -> None:
    folders, server = delivered
    (file,) = server.root.rglob("a.csv")
    for content in (b"corrected", b"one"):
        _make(folders, {"0161192/t/a.csv": content})
        (outcome,) = deliver_outbox(folders, NIGHT)
        assert (outcome.arrived, file.read_bytes()) == (1, content)


def test_what_was_made_anew_before_it_could_be_sent_is_sent_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refusing = Fault.WRONG_CREDENTIALS
    with _serving(tmp_path, monkeypatch, refusing, Direction.UP, for_ever=True) as served:
        folders, server = served
        for content in (b"one", b"two"):
            _make(folders, {"0161192/t/a.csv": content})
            (outcome,) = deliver_outbox(folders, NIGHT)
        assert (outcome.permanent, outcome.waiting) == (True, 1)
        server.fault = Fault.NONE
        assert deliver_outbox(folders, NIGHT)[0].arrived == 1
        (file,) = server.root.rglob("a.csv")
        assert file.read_bytes() == b"two"


def test_a_file_that_is_no_longer_in_the_outbox_is_told_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with _serving(tmp_path, monkeypatch, Fault.NONE, Direction.UP) as (folders, _):
        _make(folders, {"0161192/t/a.csv": b"one"})
        (file,) = folders.outbox.rglob("a.csv")
        file.write_bytes(b"not what was made")
        (outcome,) = deliver_outbox(folders, NIGHT)
        assert (outcome.arrived, outcome.missing, outcome.waiting) == (0, 1, 1)
