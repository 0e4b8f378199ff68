"""What of the inbox may not be read is told of, and costs no other district its night.

Belongs here: nights of an account that is let into some folders only.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from ccgi_pipeline.nightly.paths import PipelinePaths
from ccgi_pipeline_tests.nightly.inboxes import (
    BERKELEY,
    BERKELEY_HIGH,
    HAYWARD,
    HAYWARD_HIGH,
    PALM_SPRINGS,
    PALM_SPRINGS_HIGH,
    put_roster,
    students,
)
from ccgi_pipeline_tests.nightly.nights import folders_in
from ccgi_pipeline_tests.sftp.openssh import ROOT

pytestmark = pytest.mark.slow

_FREE_OF_RIGHTS = "-dac_override,-dac_read_search"
_AS_AN_ACCOUNT = (  # root may read whatever it likes, unless it gives that up
    ("setpriv", f"--bounding-set={_FREE_OF_RIGHTS}", f"--inh-caps={_FREE_OF_RIGHTS}")
    if ROOT
    else ()
)


@pytest.fixture
def folders(tmp_path: Path) -> PipelinePaths:
    """Three districts have sent their rosters; what two of them sent may not be read.

    Neither may a folder be looked into that is nobody's; its name is nobody's business.
    """
    made = folders_in(tmp_path)
    put_roster(made.inbox, HAYWARD, students(["0000001000"], HAYWARD_HIGH))
    put_roster(made.inbox, PALM_SPRINGS, students(["0000002000"], PALM_SPRINGS_HIGH))
    put_roster(made.inbox, BERKELEY, students(["0000003000"], BERKELEY_HIGH))
    (made.inbox / "Somebody's own").mkdir(mode=0)
    (made.inbox / HAYWARD / "transcript").chmod(0)
    for file in _files_of(made, BERKELEY):
        file.chmod(0)
    return made


def test_the_others_are_served_and_the_operator_is_told_whose_rights_to_mend(
    folders: PipelinePaths,
):
    told = _told_by_a_night(folders)
    assert f"folders that may not be read: 2 (of {HAYWARD}, no sender)" in told
    assert f"files of {BERKELEY} may not be read" in told
    assert "Give the account that runs the pipeline the right to read them" in told
    assert _with_receipts(folders) == {"PalmSpringsUnified"}


def test_what_could_not_be_read_is_taken_once_it_can_be(folders: PipelinePaths):
    _told_by_a_night(folders)
    (folders.inbox / "Somebody's own").rmdir()
    (folders.inbox / HAYWARD / "transcript").chmod(0o755)
    for file in _files_of(folders, BERKELEY):
        file.chmod(0o644)
    told = _told_by_a_night(folders)
    assert "Not fetched" not in told
    assert "3 districts with a roster, 3 students" in told
    assert _with_receipts(folders) == {"PalmSpringsUnified", "HaywardUnified", "BerkeleyUnified"}


def _files_of(folders: PipelinePaths, sender: str) -> list[Path]:
    return [path for path in (folders.inbox / sender).rglob("*") if path.is_file()]


def _told_by_a_night(folders: PipelinePaths) -> str:
    """What the command says after a night of an account that has no more rights than others."""
    night = subprocess.run(
        [
            *_AS_AN_ACCOUNT,
            str(Path(sys.executable).with_name("ccgi")),
            "run",
            *("--inbox", str(folders.inbox)),
            *("--outbox", str(folders.outbox)),
            *("--warehouse", str(folders.warehouse)),
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    return " ".join(night.stdout.split())


def _with_receipts(folders: PipelinePaths) -> set[str]:
    receipts = folders.outbox.glob("*/_receipts/*.json")
    return {path.parents[1].name for path in receipts if json.loads(path.read_bytes())}
