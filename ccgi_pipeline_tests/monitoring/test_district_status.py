"""Standing: what the operator sees of each sender after nights of good and of bad files."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from ccgi_pipeline.cli import main
from ccgi_pipeline.intake.inbox_state import save_refusing_servers
from ccgi_pipeline.monitoring.district_status import DistrictStatus, format_markdown, read_statuses
from ccgi_pipeline.nightly.paths import PipelinePaths
from ccgi_pipeline_tests.nightly.inboxes import (
    HAYWARD,
    HAYWARD_HIGH,
    PALM_SPRINGS,
    PALM_SPRINGS_HIGH,
    numbered,
    put,
    put_roster,
    student,
    students,
)
from ccgi_pipeline_tests.nightly.nights import ON, folders_in, load_and_answer
from ccgi_pipeline_tests.tiers import slow_but


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> PipelinePaths:
    """One district whose line is kept out; another whose newest file cannot be read."""
    made = folders_in(tmp_path_factory.mktemp("standing"))
    bad = student("0000000009", HAYWARD_HIGH, DateOfBirth="yesterday")
    put_roster(made.inbox, HAYWARD, [*students(numbered(1000, 4), HAYWARD_HIGH), bad])
    put_roster(made.inbox, PALM_SPRINGS, students(numbered(2000, 4), PALM_SPRINGS_HIGH))
    load_and_answer(made, ON)
    put(made.inbox, f"{PALM_SPRINGS}/transcript/StudentTemplate_20261123.csv", b"no,header\n1,2\n")
    load_and_answer(made, ON + timedelta(days=1))
    return made


def _of(folders: PipelinePaths, cd: str) -> DistrictStatus:
    (standing,) = read_statuses(folders.warehouse, ON + timedelta(days=3), cd)
    return standing


def test_a_district_stands_with_its_newest_drop_and_its_age(folders: PipelinePaths) -> None:
    hayward = _of(folders, HAYWARD)
    assert (hayward.name, hayward.verdict) == ("Hayward Unified", "accepted_with_findings")
    assert (hayward.days, hayward.kept_out, hayward.needs_attention) == (3, 1, False)


def test_a_district_whose_newest_file_was_refused_is_to_be_looked_at(
    folders: PipelinePaths,
) -> None:
    palm_springs = _of(folders, PALM_SPRINGS)
    assert (palm_springs.verdict, palm_springs.days, palm_springs.needs_attention) == (
        "rejected",
        2,
        True,
    )


def test_the_command_shows_everybody_or_only_who_is_to_be_looked_at(folders: PipelinePaths) -> None:
    everybody = CliRunner().invoke(main, ["status", "--warehouse", str(folders.warehouse)])
    assert everybody.exit_code == 1
    assert HAYWARD in everybody.output
    bad = CliRunner().invoke(main, ["status", "--bad", "--warehouse", str(folders.warehouse)])
    assert PALM_SPRINGS in bad.output
    assert HAYWARD not in bad.output


def test_who_is_well_ends_with_status_zero(folders: PipelinePaths) -> None:
    one = ["status", "--warehouse", str(folders.warehouse), "--district", HAYWARD]
    assert CliRunner().invoke(main, one).exit_code == 0


def test_nothing_of_a_pupil_is_shown(folders: PipelinePaths) -> None:
    shown = CliRunner().invoke(main, ["status", "--warehouse", str(folders.warehouse)]).output
    assert not any(word in shown for word in ("yesterday", "0000000009", "First", "Last0"))


def test_an_empty_warehouse_says_so(tmp_path: Path) -> None:
    folders = folders_in(tmp_path)
    load_and_answer(folders)
    shown = CliRunner().invoke(main, ["status", "--warehouse", str(folders.warehouse)])
    assert (shown.exit_code, shown.output.strip()) == (0, "Nobody has sent anything yet.")


@pytest.mark.parametrize("flag", slow_but([], [[], ["--bad"]]))
def test_a_server_that_refuses_is_to_be_looked_at(tmp_path: Path, flag: list[str]) -> None:
    folders = folders_in(tmp_path)
    load_and_answer(folders)
    reason = "uploads: the password is not accepted"
    save_refusing_servers(folders.warehouse, {"uploads": reason})
    command = ["status", *flag, "--warehouse", str(folders.warehouse)]
    shown = CliRunner().invoke(main, command)
    assert shown.exit_code == 1
    assert reason in shown.output
    assert "Nothing to look at" not in shown.output
    save_refusing_servers(folders.warehouse, {})
    assert CliRunner().invoke(main, command).exit_code == 0


# --- as the UI shows it ---------------------------------------------------------------------------

REFUSED = DistrictStatus("3367173", "A | B", "oneroster", ON, 2, "rejected", 10, 10, None, 0)
WAITING = DistrictStatus(
    "0161192", "B", "transcript", ON, 9, "accepted", 5, 0, "2026-11-20T09:30:00.1+00:00", 3
)
WELL = DistrictStatus("cde", "cde", "cde_directory", ON, 40, "accepted", 5, 0, None, 0)


def test_the_worst_come_first_and_names_stay_in_their_cells() -> None:
    _, _, *rows = format_markdown([WELL, WAITING, REFUSED], 10).splitlines()
    assert rows == [
        "| A / B (3367173) | oneroster | rejected | 2026-11-22 | 2 | 10 of 10 |  | 0 |",
        "| B (0161192) | transcript | accepted | 2026-11-22 | 9 | 0 of 5 | 2026-11-20 09:30 | 3 |",
        "| cde | cde_directory | accepted | 2026-11-22 | 40 | 0 of 5 |  | 0 |",
    ]


def test_of_many_the_rest_is_counted() -> None:
    shown = format_markdown([WELL, WAITING, REFUSED], 1)
    assert "A / B" in shown
    assert "0161192" not in shown
    assert shown.endswith("2 more: `ccgi status`")
