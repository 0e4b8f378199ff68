"""The audit log: what is noted, by whom, and that nothing in it can be changed unseen."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner

from ccgi_pipeline.cli import main
from ccgi_pipeline.nightly.paths import PipelinePaths
from ccgi_pipeline.operations import audit_log
from ccgi_pipeline.operations.audit_log import EMPTY, Act, AuditBrokenError, Head, NotAuditedError
from ccgi_pipeline_tests.nightly.inboxes import (
    PALM_SPRINGS,
    PALM_SPRINGS_HIGH,
    numbered,
    put_roster,
    students,
)
from ccgi_pipeline_tests.nightly.nights import folders_in, run_night


def _three(folder: Path) -> list[audit_log.Entry]:
    return [
        audit_log.record_act(folder, Act.REBUILT, {"path": f"file {number}"}, by="A. Name")
        for number in range(3)
    ]


def _change(folder: Path, statement: str) -> None:
    """Does to the log what somebody with the file in hand can do."""
    with closing(sqlite3.connect(folder / audit_log.FILE_NAME)) as database:
        database.execute("DROP TRIGGER entries_stay")
        database.execute("DROP TRIGGER no_entry_goes")
        database.execute(statement)
        database.commit()


def test_an_entry_says_who_did_what_when_and_why(tmp_path: Path) -> None:
    audit_log.record_act(
        tmp_path, Act.APPROVED, {"drop": "3f2a"}, by=" A. Name ", reason="new year"
    )
    (entry,) = audit_log.read_entries(tmp_path)
    assert (entry.number, entry.act, entry.who) == (1, "hold approved", "A. Name")
    assert (entry.reason, entry.about) == ("new year", {"drop": "3f2a"})
    assert entry.account
    assert entry.at.endswith("+00:00")


def test_who_gives_no_name_is_told_by_the_account(tmp_path: Path) -> None:
    entry = audit_log.record_act(tmp_path, Act.EXPLAINED, {})
    assert entry.who == entry.account


def test_a_log_that_nobody_touched_is_found_whole(tmp_path: Path) -> None:
    *_, last = _three(tmp_path)
    assert audit_log.verify_log(tmp_path) == Head(3, last.hash) == audit_log.read_head(tmp_path)
    assert audit_log.verify_log(tmp_path, [Head(3, last.hash), EMPTY]).number == 3


def test_an_empty_log_is_whole(tmp_path: Path) -> None:
    assert audit_log.verify_log(tmp_path) == EMPTY


@pytest.mark.parametrize(
    ("statement", "told"),
    [
        ("UPDATE entries SET who = 'B. Other' WHERE number = 2", "entry 2 was changed"),
        ("UPDATE entries SET at = '2026-01-01' WHERE number = 1", "entry 1 was changed"),
        ("UPDATE entries SET about = '{}' WHERE number = 3", "entry 3 was changed"),
        ("DELETE FROM entries WHERE number = 2", "entry 2 is missing"),
        ("DELETE FROM entries WHERE number = 1", "entry 1 is missing"),
        ("UPDATE entries SET previous = '' WHERE number = 3", "entry 3 does not follow"),
    ],
)
def test_a_changed_log_is_found_out_with_the_entry(
    tmp_path: Path, statement: str, told: str
) -> None:
    _three(tmp_path)
    _change(tmp_path, statement)
    with pytest.raises(AuditBrokenError, match=told):
        audit_log.verify_log(tmp_path)


def test_a_log_that_was_cut_is_found_out_by_a_head_kept_elsewhere(tmp_path: Path) -> None:
    _three(tmp_path)
    kept = audit_log.read_head(tmp_path)
    _change(tmp_path, "DELETE FROM entries WHERE number = 3")
    assert audit_log.verify_log(tmp_path).number == 2
    with pytest.raises(AuditBrokenError, match="entry 3 is missing"):
        audit_log.verify_log(tmp_path, [kept])


def test_a_log_that_was_written_anew_is_found_out_by_a_head_kept_elsewhere(tmp_path: Path) -> None:
    _three(tmp_path)
    kept = audit_log.read_head(tmp_path)
    (tmp_path / audit_log.FILE_NAME).unlink()
    for number in range(3):
        audit_log.record_act(
            tmp_path, Act.REBUILT, {"path": f"another file {number}"}, by="A. Name"
        )
    assert audit_log.verify_log(tmp_path).number == 3
    with pytest.raises(AuditBrokenError, match="entry 3 is not the one that was kept"):
        audit_log.verify_log(tmp_path, [kept])


@pytest.mark.parametrize("statement", ["UPDATE entries SET who = 'B'", "DELETE FROM entries"])
def test_no_statement_changes_an_entry_by_mistake(tmp_path: Path, statement: str) -> None:
    _three(tmp_path)
    with (
        closing(sqlite3.connect(tmp_path / audit_log.FILE_NAME)) as database,
        pytest.raises(sqlite3.IntegrityError, match="not changed"),
    ):
        database.execute(statement)


def test_many_at_once_make_one_chain(tmp_path: Path) -> None:
    def note(number: int) -> None:
        audit_log.record_act(tmp_path, Act.LOOKED_UP, {"number": number})

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(note, range(80)))
    assert audit_log.verify_log(tmp_path).number == 80
    assert {entry.about["number"] for entry in audit_log.read_entries(tmp_path)} == set(range(80))


def test_what_was_noted_is_there_after_a_kill(tmp_path: Path) -> None:
    script = (
        "import os, sys; from pathlib import Path; from ccgi_pipeline.operations import audit_log\n"
        "for n in range(5): "
        "audit_log.record_act(Path(sys.argv[1]), audit_log.Act.REBUILT, {'n': n})\n"
        "os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", script, f"{tmp_path}"], check=False)
    assert audit_log.verify_log(tmp_path).number == 5


def test_a_failure_is_noted_with_the_entry_that_it_is_of(tmp_path: Path) -> None:
    with (
        pytest.raises(RuntimeError),
        audit_log.recorded_act(tmp_path, Act.PURGED, {"district": "3367173"}),
    ):
        raise RuntimeError
    first, second = audit_log.read_entries(tmp_path)
    assert (first.act, second.act) == ("records purged", "failed")
    assert second.about == {"entry": 1, "act": "records purged"}


def test_nothing_is_done_that_cannot_be_noted(tmp_path: Path) -> None:
    (tmp_path / audit_log.FILE_NAME).mkdir()
    done = []
    with pytest.raises(NotAuditedError), audit_log.recorded_act(tmp_path, Act.PURGED, {}):
        done.append("purged")
    assert done == []


def test_a_student_is_told_by_a_pseudonym_of_this_log_alone(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    ssid = "8123456789"
    name = audit_log.make_pseudonym(here, ssid)
    assert name == audit_log.make_pseudonym(here, ssid)
    assert name != audit_log.make_pseudonym(here, "8123456788")
    assert name != audit_log.make_pseudonym(there, ssid)
    for file in here.iterdir():
        assert ssid.encode() not in file.read_bytes()


# --- the commands that note -----------------------------------------------------------------------


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> PipelinePaths:
    """A night of one district."""
    made = folders_in(tmp_path_factory.mktemp("audited"))
    put_roster(made.inbox, PALM_SPRINGS, students(numbered(2000, 4), PALM_SPRINGS_HIGH))
    run_night(made)
    return made


def _ccgi(*arguments: str | Path) -> str:
    result = CliRunner().invoke(main, [*map(str, arguments)])
    assert result.exit_code == 0, result.output
    return result.output


def _rebuild(folders: PipelinePaths, at: Path) -> None:
    report = next(folders.outbox.glob("*/daily reporting/**/*_Detail.csv"))
    path = report.relative_to(folders.outbox)
    _ccgi(*("rebuild", "--path", path, "--warehouse", folders.warehouse, "--out", at / "again.csv"))


def _explain(folders: PipelinePaths, _: Path) -> None:
    _ccgi("explain", numbered(2000, 4)[0], "--warehouse", folders.warehouse)


def _replay(folders: PipelinePaths, _: Path) -> None:
    _ccgi("replay", "--warehouse", folders.warehouse, "--apply", "--by", "A. Name")


@pytest.mark.parametrize(
    ("command", "act"),
    [
        (_rebuild, Act.REBUILT),
        (_explain, Act.EXPLAINED),
        (_replay, Act.REPLAYED),
    ],
)
def test_a_command_that_shows_or_changes_records_is_noted(
    folders: PipelinePaths, tmp_path: Path, command: Callable[[PipelinePaths, Path], None], act: Act
) -> None:
    before = audit_log.read_head(folders.warehouse).number
    command(folders, tmp_path)
    (entry,) = audit_log.read_entries(folders.warehouse)[before:]
    assert entry.act == act
    audit_log.verify_log(folders.warehouse)


def test_the_log_is_shown_and_proven_by_a_command(folders: PipelinePaths) -> None:
    ssid = numbered(2000, 4)[1]
    _ccgi("explain", ssid, "--warehouse", folders.warehouse)
    listed = _ccgi("audit", "list", "--warehouse", folders.warehouse)
    assert "student explained" in listed
    assert ssid not in listed
    about = _ccgi(
        *("audit", "list", "--student", ssid, "--format", "json"),
        *("--warehouse", folders.warehouse),
    )
    (entry,) = json.loads(about)
    assert entry["act"] == "student explained"
    head = str(audit_log.read_head(folders.warehouse))
    told = _ccgi("audit", "verify", "--warehouse", folders.warehouse, "--head", head)
    assert head in told


def test_a_wrong_head_is_refused(folders: PipelinePaths) -> None:
    command = ["audit", "verify", "--warehouse", f"{folders.warehouse}", "--head"]
    assert CliRunner().invoke(main, [*command, "nonsense"]).exit_code == 2
    other = CliRunner().invoke(main, [*command, f"1:{'a' * 64}"])
    assert other.exit_code == 1
