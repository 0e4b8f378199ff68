"""A night that is killed before or after any change of state, and run again, loses nothing.

Belongs here: SIGKILL at every milestone of taking, loading, reporting and delivering over a real
SFTP server. After it: the ledger is whole, each district finds one whole file of each name, none
was delivered twice, and nothing is left half done.
"""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from ccgi_pipeline.nightly.paths import PipelinePaths
from ccgi_pipeline_tests.delivery.exchange import (
    deliveries,
    milestones_of,
    run_exchange,
    use_server,
)
from ccgi_pipeline_tests.nightly.inboxes import (
    HAYWARD,
    HAYWARD_HIGH,
    PALM_SPRINGS,
    PALM_SPRINGS_HIGH,
    application,
    numbered,
    put_events,
    put_roster,
    students,
)
from ccgi_pipeline_tests.nightly.nights import ON, bytes_below, folders_in, lake_rows
from ccgi_pipeline_tests.sftp.openssh import OpenSsh

_PROJECT = Path(__file__).parents[2]
_SECOND = ON + timedelta(days=1)

MILESTONES = (
    "archive: fetched",
    "archive: kept",
    "delivery: delivered noted",
    "delivery: folder made",
    "delivery: made noted",
    "delivery: picked_up noted",
    "delivery: prepared",
    "delivery: read back",
    "delivery: renamed",
    "delivery: uploaded",
    "delivery: uploaded noted",
    "delivery: verified noted",
    "inbox state: saved",
    "inbox: downloaded",
    "inbox: removed",
    "outbox: begun",
    "outbox: linked",
    "outbox: written",
    "receipts: noted",
    "staging: batch forgotten",
    "staging: batch written",
    "staging: drops written",
    "staging: emptied",
    "warehouse: committed",
    "warehouse: drop_files written",
    "warehouse: drops written",
    "warehouse: duplicates written",
    "warehouse: files written",
    "warehouse: findings written",
    "warehouse: ledger written",
    "warehouse: receipts written",
    "warehouse: received_files written",
)
"""Every change of state of the night below; a test says that there is no other."""


@dataclass(frozen=True)
class Before:
    """The state before the second night, and what that night comes to when nobody disturbs it."""

    server: OpenSsh
    folders: PipelinePaths
    undisturbed: Outcome
    passed: Counter[str]

    def copied_to(self, below: str, root: Path, unchanged: str = "link") -> PipelinePaths:
        """The same state over again, with folders of its own on the server."""
        for kind in ("outbox", "warehouse"):
            shutil.copytree(self.folders.inbox.parent / kind, root / kind)
        shutil.copytree(self.server.files / "before", self.server.files / below, symlinks=True)
        folders = folders_in(root, self.folders.inbox)
        _settings(folders, self.server, below, unchanged)
        return folders


@dataclass(frozen=True)
class Outcome:
    """What a night leaves behind.

    Rows, outbox, archive, what districts find, and how often each file was delivered.
    """

    rows: dict[str, list[tuple[object, ...]]]
    outbox: dict[str, bytes]
    archive: dict[str, bytes]
    on_server: dict[str, bytes]
    delivered: dict[str, int]


def _outcome(folders: PipelinePaths, server: OpenSsh, below: str) -> Outcome:
    prefix = f"{below}/reports/"
    return Outcome(
        _but_for_stamps(lake_rows(folders.warehouse)),
        bytes_below(folders.outbox),
        _archived(folders),
        bytes_below(server.files / below / "reports"),
        {
            remote.removeprefix(prefix): states.count("delivered")
            for remote, states in deliveries(folders.warehouse).items()
        },
    )


def _archived(folders: PipelinePaths) -> dict[str, bytes]:
    """What was received; the settings, which are there too, name folders of their own."""
    settings = (folders.warehouse / "profiles.toml").read_bytes()
    kept = bytes_below(folders.archive.root)
    return {path: content for path, content in kept.items() if content != settings}


def _but_for_stamps(
    rows: dict[str, list[tuple[object, ...]]],
) -> dict[str, list[tuple[object, ...]]]:
    """A file that was taken is removed at the next look, and a killed night had one look more."""
    files = [(path, sha256, drop) for path, _, sha256, drop in rows["received_files"]]
    return {**rows, "received_files": sorted(files)}


def _settings(folders: PipelinePaths, server: OpenSsh, below: str, unchanged: str = "link") -> None:
    # Fewer files than usual: each is another round of the same milestones.
    sent = 'send = ["daily reporting", "_receipts"]\n'
    own = f"{sent}[districts.{HAYWARD}.delivery]\nremove_taken = true\n"
    own += f'[reports]\nunchanged = "{unchanged}"\n'
    use_server(folders, server, below, own)


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory, sshd: OpenSsh) -> Before:
    """Two districts and the platform; the second night has leavers, a duplicate, a pick-up."""
    root = tmp_path_factory.mktemp("before")
    folders = folders_in(root)
    _settings(folders, sshd, "before")
    uploads = sshd.files / "before" / "uploads"
    put_roster(uploads, HAYWARD, students(numbered(1000, 4), HAYWARD_HIGH), "20261121")
    put_roster(uploads, PALM_SPRINGS, students(numbered(2000, 4), PALM_SPRINGS_HIGH), "20261121")
    put_events(folders.inbox, [application("0000001000", "CCCApply", "Launched", "A")], "20261121")
    run_exchange(folders, ON)
    put_roster(uploads, HAYWARD, students(numbered(1001, 4), HAYWARD_HIGH, "12"), "20261122")
    packages = uploads / PALM_SPRINGS / "transcript"
    shutil.copytree(packages, packages / "again")
    put_events(folders.inbox, [application("0000002000", "UC", "Submitted", "B")], "20261122")
    fetched = next(iter((sshd.files / "before" / "reports").rglob("*_Detail.csv")))
    fetched.unlink()
    nothing = Outcome({}, {}, {}, {}, {})
    state = Before(sshd, folders, nothing, Counter())
    undisturbed = state.copied_to("undisturbed", root / "undisturbed")
    passed = milestones_of(undisturbed, _SECOND)
    return Before(sshd, folders, _outcome(undisturbed, sshd, "undisturbed"), passed)


def test_the_undisturbed_night_passes_every_milestone_and_no_other(before: Before) -> None:
    assert sorted(before.passed) == [*MILESTONES]
    assert set(before.undisturbed.delivered.values()) == {1}
    assert not [path for path in before.undisturbed.on_server if path.endswith(".part")]


def test_a_night_killed_in_each_part_in_turn_comes_to_the_same(
    before: Before, tmp_path: Path
) -> None:
    folders = before.copied_to("in_turn", tmp_path / "state")
    firsts: dict[str, str] = {}
    for name in before.passed:  # in the order in which a night passes them
        firsts.setdefault(name.partition(":")[0], name)
    for name in firsts.values():
        assert _killed(folders, name, "before", 1), name
    _finish(before, folders, "in_turn")


@pytest.mark.slow
@pytest.mark.parametrize("side", ["before", "after"])
@pytest.mark.parametrize("name", MILESTONES)
def test_a_night_killed_at_a_milestone_and_run_again_comes_to_the_same(
    before: Before, tmp_path: Path, name: str, side: str
) -> None:
    below = f"{name}-{side}".replace(" ", "_").replace(":", "")
    folders = before.copied_to(below, tmp_path / "state")
    # The first time on one side, one in the middle on the other.
    count = 1 if side == "before" else before.passed[name] // 2 + 1
    assert _killed(folders, name, side, count)
    _finish(before, folders, below)


@pytest.mark.slow
@pytest.mark.parametrize("side", ["before", "after"])
def test_a_night_killed_while_it_copies_unchanged_reports_comes_to_the_same(
    before: Before, tmp_path: Path, side: str
) -> None:
    below = f"copied-{side}"
    folders = before.copied_to(below, tmp_path / "state", unchanged="copy")
    assert _killed(folders, "outbox: copied", side, 3)
    _finish(before, folders, below)
    assert {path.stat().st_nlink for path in folders.outbox.rglob("*.csv")} == {1}


def _killed(folders: PipelinePaths, name: str, side: str, count: int) -> bool:
    """Whether a night that is to be killed there was killed."""
    command = [sys.executable, "-m", "ccgi_pipeline_tests.delivery.exchange"]
    places = [folders.inbox, folders.outbox, folders.warehouse]
    night = subprocess.run(
        [*command, *map(str, places), _SECOND.isoformat(), name, side, str(count)],
        cwd=_PROJECT,
        check=False,
    )
    return night.returncode == -signal.SIGKILL


def _finish(before: Before, folders: PipelinePaths, below: str) -> None:
    """Runs the night once more, undisturbed: it must leave what it would have left at once."""
    outcomes = run_exchange(folders, _SECOND)
    assert [outcome.why for outcome in outcomes] == [[]]
    after = _outcome(folders, before.server, below)
    assert after.delivered == before.undisturbed.delivered
    assert _differing(after.on_server, before.undisturbed.on_server) == []
    assert _differing(after.archive, before.undisturbed.archive) == []
    assert _differing(after.outbox, before.undisturbed.outbox) == []
    assert _differing(after.rows, before.undisturbed.rows) == []


def _differing(found: Mapping[str, object], wanted: Mapping[str, object]) -> list[str]:
    """The names under which there is not the same."""
    return [key for key in {**found, **wanted} if found.get(key) != wanted.get(key)]
