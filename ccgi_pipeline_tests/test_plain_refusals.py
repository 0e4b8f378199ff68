"""Options that cannot be meant are refused in one plain line, before anything is done."""

from __future__ import annotations

import socket
from datetime import date, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from ccgi_pipeline.cli import main
from ccgi_pipeline.cli.common import today
from ccgi_pipeline.monitoring.district_status import read_statuses
from ccgi_pipeline_tests.nightly.inboxes import HAYWARD, HAYWARD_HIGH, put_roster, students
from ccgi_pipeline_tests.nightly.nights import ON, folders_in, load_and_answer


def _asked(*arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(main, [*arguments])
    assert "Traceback" not in done.output
    return done.exit_code, done.output.splitlines()[-1]


@pytest.mark.parametrize("command", [["run"], ["replay"], ["hold", "approve", "3f2a"]])
@pytest.mark.parametrize(
    ("day", "words"),
    [("9999-12-31", "the year must be between"), ("0001-01-01", "the year must be between")],
)
def test_a_day_that_no_night_can_have_is_refused_at_the_option(
    command: list[str], day: str, words: str
) -> None:
    status, line = _asked(*command, "--date", day)
    assert (status, words in line) == (2, True)


def test_a_night_of_a_day_to_come_is_refused_and_one_of_today_is_not() -> None:
    folders = ["--inbox", "gone", "--outbox", "gone", "--warehouse", "gone"]
    status, line = _asked("run", "--date", f"{today() + timedelta(days=2)}", *folders)
    assert (status, "has not come yet" in line) == (2, True)
    for day in (today(), date(2020, 1, 1)):
        assert "there is no inbox" in _asked("run", "--date", f"{day}", *folders)[1]


@pytest.mark.parametrize("command", ["replay", "status", "deliveries list", "purge", "explain"])
@pytest.mark.parametrize("code", ["123", "33671730000000", "3367 73", ""])
def test_what_is_no_cd_code_is_refused(command: str, code: str) -> None:
    status, line = _asked(*command.split(), "--district", code)
    assert (status, "is no CD code: 7 digits" in line) == (2, True)


def test_a_taken_port_is_named(tmp_path: Path) -> None:
    (tmp_path / "inbox").mkdir()
    (tmp_path / "warehouse").mkdir()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        folders = [f"--{name}={tmp_path / name}" for name in ("inbox", "warehouse")]
        status, line = _asked("ui", "--port", port, *folders)
    assert (status, f"port {port} cannot be used" in line) == (1, True)
    assert not [*(tmp_path / "warehouse").iterdir()]


def test_an_empty_folder_has_nothing_to_judge(tmp_path: Path) -> None:
    assert _asked("check", str(tmp_path)) == (2, f"nothing to judge: no file in {tmp_path}")


def test_a_drop_of_a_later_night_has_no_negative_age(tmp_path: Path) -> None:
    folders = folders_in(tmp_path)
    put_roster(folders.inbox, HAYWARD, students(["1000000001"], HAYWARD_HIGH))
    load_and_answer(folders)
    (standing,) = read_statuses(folders.warehouse, ON - timedelta(days=1))
    assert standing.age == "later"
