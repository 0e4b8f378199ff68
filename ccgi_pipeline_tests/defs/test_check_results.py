"""Checks that count: a night in CI ends with status 1 if one does not pass, and is done anyway.

``dg launch`` runs the same job with the setting ``fail_on``.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from ccgi_pipeline.cli import main
from ccgi_pipeline.defs.check_results import (
    CheckResult,
    ChecksFailedError,
    Weight,
    format_markdown,
    refuse_failed,
)
from ccgi_pipeline.defs.feeds import RULES_ARE_MET
from ccgi_pipeline.defs.receipts import ALL_GET_REPORTS, FILES_ARE_GOOD
from ccgi_pipeline.nightly.paths import PipelinePaths
from ccgi_pipeline.runtime.dagster_instance import build_folder_variables
from ccgi_pipeline_tests.nightly.inboxes import (
    HAYWARD,
    HAYWARD_HIGH,
    PALM_SPRINGS,
    put_roster,
    students,
)
from ccgi_pipeline_tests.nightly.nights import ON, folders_in

PROJECT = Path(__file__).parents[2]
PASSED = CheckResult("a_table", "sound", None)
YELLOW = CheckResult("a_table", "rules", Weight.WARNING, "2 rules are broken.")
RED = CheckResult("receipts", "reports", Weight.ERROR)


@pytest.mark.parametrize(
    ("results", "weight", "told"),
    [
        ([PASSED], Weight.WARNING, None),
        ([PASSED, YELLOW], Weight.ERROR, None),
        ([PASSED, YELLOW], Weight.WARNING, r"1 of 2 checks .* rules of a_table \(warning\)$"),
        ([PASSED, RED], Weight.ERROR, r"1 of 2 checks .* reports of receipts \(error\)$"),
        ([YELLOW, RED], Weight.WARNING, r"2 of 2 checks"),
    ],
)
def test_a_result_counts_if_it_is_heavy_enough(
    results: list[CheckResult], weight: Weight, told: str | None
) -> None:
    if told is None:
        refuse_failed(results, weight)
    else:
        with pytest.raises(ChecksFailedError, match=told):
            refuse_failed(results, weight)


def test_a_summary_has_the_heaviest_results_first() -> None:
    assert format_markdown([PASSED]) == "1 checks passed, 0 with warnings, 0 with errors."
    counts, blank, _, _, *rows = format_markdown([PASSED, YELLOW, RED]).splitlines()
    assert (counts, blank) == ("1 checks passed, 1 with warnings, 1 with errors.", "")
    page = "docs/when-something-is-red.md"
    assert rows == [
        f"| error | receipts | `reports` |  | {page}#reports |",
        f"| warning | a_table | `rules` | 2 rules are broken. | {page}#rules |",
    ]


@dataclass
class Project:
    """Folders, and ``ccgi run`` over them."""

    folders: PipelinePaths

    def run(self, *options: str) -> Result:
        names = ("inbox", "outbox", "warehouse")
        places = [f"--{name}={getattr(self.folders, name)}" for name in names]
        return CliRunner().invoke(main, ["run", *places, f"--date={ON}", *options])


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A good district, and one whose only roster cannot be read, so that it gets no reports."""
    folders = folders_in(tmp_path_factory.mktemp("checks"))
    put_roster(folders.inbox, HAYWARD, students(["1000000001"], HAYWARD_HIGH))
    broken = folders.inbox / PALM_SPRINGS / "transcript" / "StudentTemplate_20261122.csv"
    broken.parent.mkdir(parents=True)
    broken.write_bytes(b"this,is,no,header\n1,2,3,4\n")
    return Project(folders)


@pytest.mark.slow
def test_a_red_check_ends_the_command_with_status_1_after_the_night(
    project: Project, tmp_path: Path
) -> None:
    summary = tmp_path / "summary.md"
    summary.write_text("Before.\n")
    ended = project.run("--fail-on=error", f"--checks-file={summary}")
    assert ended.exit_code == 1
    assert f"{ALL_GET_REPORTS} of receipts (error)" in ended.stderr
    assert RULES_ARE_MET not in ended.stderr
    assert list((project.folders.outbox / "HaywardUnified").glob("*/*/*_Detail.csv"))
    told = summary.read_text()
    assert told.startswith(f"Before.\n## Checks after the night of {ON}\n\n")
    assert ", 1 with errors.\n" in told
    assert f"| error | receipts | `{ALL_GET_REPORTS}` |" in told
    assert f"| warning | transcript_student | `{RULES_ARE_MET}` | 1 rules of weight error" in told


@pytest.mark.slow
def test_a_night_that_is_not_run_again_has_the_checks_of_the_last_one(project: Project) -> None:
    project.run()
    assert project.run().exit_code == 0, "without the option, checks do not count"
    ended = project.run("--fail-on=warning")
    assert ended.exit_code == 1
    assert f"{FILES_ARE_GOOD} of district_night (warning)" in ended.stderr
    assert f"{RULES_ARE_MET} of transcript_student (warning)" in ended.stderr


@pytest.mark.slow
def test_dg_launch_fails_on_the_same_checks_after_the_whole_night(tmp_path: Path) -> None:
    folders = folders_in(tmp_path)
    put_roster(folders.inbox, HAYWARD, students(["1000000001"], HAYWARD_HIGH))
    stranger = folders.inbox / HAYWARD / "transcript" / "Notes.csv"
    stranger.write_bytes(b"this,is,no,header\n1,2,3,4\n")
    codes = {fail_on: _launch(folders, fail_on) for fail_on in ("warning", "error")}
    assert codes["error"] == (0, "")
    assert codes["warning"][0] == 1
    assert f"{FILES_ARE_GOOD} of district_night (warning)" in codes["warning"][1]
    assert list((folders.outbox / "HaywardUnified").glob("*/*/*_Detail.csv"))


def _launch(folders: PipelinePaths, fail_on: str) -> tuple[int, str]:
    night = {"date": f"{ON}", "fail_on": fail_on}
    done = subprocess.run(
        [
            *(Path(sys.executable).with_name("dg"), "launch", "--job", "night"),
            *("--config-json", json.dumps({"resources": {"night": {"config": night}}})),
        ],
        cwd=PROJECT,
        env={
            **os.environ,
            **build_folder_variables(folders),
            "HOME": f"{folders.warehouse.parent}",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, "" if done.returncode == 0 else done.stdout + done.stderr
