"""A district's folder in the outbox stays its own, whatever the directory says.

Belongs here: nights with directories whose names change, and operators' approvals.
"""

from __future__ import annotations

import shutil
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from ccgi_pipeline.cli import main
from ccgi_pipeline.delivery.ledger import open_ledger
from ccgi_pipeline.delivery.routing import route_files
from ccgi_pipeline.nightly.paths import PipelinePaths
from ccgi_pipeline.operations.audit_log import read_entries
from ccgi_pipeline.profiles import profiles_from
from ccgi_pipeline_tests.nightly.inboxes import (
    BERKELEY,
    BERKELEY_HIGH,
    HAYWARD,
    HAYWARD_HIGH,
    PALM_SPRINGS,
    PALM_SPRINGS_HIGH,
    directory_entry,
    put_directory,
    put_roster,
    student,
)
from ccgi_pipeline_tests.nightly.nights import OF_ACCOUNTS, ON, folders_in, run_night

TOMORROW = ON + timedelta(days=1)
PUPIL = {PALM_SPRINGS: "9000000001", HAYWARD: "9000000002"}
PALM, HAY = "PalmSpringsUnified", "HaywardUnified"
_SERVER = b"""
[sftp.reports]
host = "reports.example.org"
user = "pipeline"
host_keys = ["SHA256:x"]
outbox = "/districts"
[defaults.delivery]
server = "reports"
"""


def put_names(folders: PipelinePaths, palm_springs: str, hayward: str) -> None:
    """A directory with these names of the two districts."""
    put_directory(
        folders.inbox,
        [
            directory_entry(PALM_SPRINGS_HIGH, "Riverside", palm_springs, "High"),
            directory_entry(HAYWARD_HIGH, "Alameda", hayward, "High"),
        ],
    )


@pytest.fixture(scope="module")
def yesterday(tmp_path_factory: pytest.TempPathFactory) -> PipelinePaths:
    """Two districts that have reports in the folders of their names."""
    made = folders_in(tmp_path_factory.mktemp("yesterday"))
    for cd, school in ((PALM_SPRINGS, PALM_SPRINGS_HIGH), (HAYWARD, HAYWARD_HIGH)):
        put_roster(made.inbox, cd, [student(PUPIL[cd], school)])
    run_night(made, reports=OF_ACCOUNTS)
    return made


@pytest.fixture
def folders(yesterday: PipelinePaths, tmp_path: Path) -> PipelinePaths:
    """A copy of the folders after the first night."""
    return folders_in(shutil.copytree(yesterday.inbox.parent, tmp_path / "copy"))


def folders_of(folders: PipelinePaths, cd: str) -> set[str]:
    """The folders whose reports or receipts have the pupil of a district."""
    return {
        path.relative_to(folders.outbox).parts[0]
        for path in folders.outbox.rglob("*.csv")
        if PUPIL[cd] in path.read_text()
    }


def ccgi(folders: PipelinePaths, *arguments: str, exit_code: int = 0) -> str:
    """The output of ``ccgi folders``."""
    where = ("--warehouse", str(folders.warehouse))
    result = CliRunner().invoke(main, ["folders", *arguments, *where], catch_exceptions=False)
    assert result.exit_code == exit_code, result.output
    return result.output


WHO = ("--by", "A. Name", "--reason", "by phone")


@pytest.mark.parametrize(
    ("palm_springs", "hayward"),
    [
        pytest.param("Hayward Unified", "Palm Springs Unified", id="exchanged"),
        pytest.param(
            "Hayward Unified",
            "Other Unified",
            id="one takes the other's",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_no_name_in_the_directory_moves_a_district_into_anothers_folder(
    folders: PipelinePaths, palm_springs: str, hayward: str
) -> None:
    put_names(folders, palm_springs, hayward)
    run_night(folders, TOMORROW, reports=OF_ACCOUNTS)
    assert folders_of(folders, PALM_SPRINGS) == {PALM}
    assert folders_of(folders, HAYWARD) == {HAY}
    with open_ledger(folders.warehouse) as ledger:
        routed = route_files(
            ledger.list_made(TOMORROW), profiles_from(_SERVER, Path("profiles.toml"))
        )
        remote = {(file.owner, place.split("/")[2]) for file, _, place in routed}
    assert remote >= {(PALM_SPRINGS, PALM), (HAYWARD, HAY)}
    assert not {(PALM_SPRINGS, HAY), (HAYWARD, PALM)} & remote
    assert HAY in ccgi(folders, "list")
    refused = ccgi(folders, "approve", PALM_SPRINGS, *WHO, exit_code=1)
    assert f"{HAY} is or was the folder of {HAYWARD}" in refused


def test_a_new_name_changes_the_folder_once_it_is_approved(folders: PipelinePaths) -> None:
    put_names(folders, "Desert Unified", "Hayward Unified")
    run_night(folders, TOMORROW, reports=OF_ACCOUNTS)
    assert folders_of(folders, PALM_SPRINGS) == {PALM}
    ccgi(folders, "approve", PALM_SPRINGS, *WHO)
    assert "Every folder" in ccgi(folders, "list")
    run_night(folders, TOMORROW + timedelta(days=1), reports=OF_ACCOUNTS)
    assert folders_of(folders, PALM_SPRINGS) == {PALM, "DesertUnified"}
    *_, entry = read_entries(folders.warehouse)
    assert (entry.act, entry.who, entry.about) == (
        "outbox folder changed",
        "A. Name",
        {"district": PALM_SPRINGS},
    )
    # What was a district's folder is never another's: its old files lie there.
    put_names(folders, "Desert Unified", "Palm Springs Unified")
    run_night(folders, TOMORROW + timedelta(days=2), reports=OF_ACCOUNTS)
    assert folders_of(folders, HAYWARD) == {HAY}
    ccgi(folders, "approve", HAYWARD, *WHO, exit_code=1)


def test_a_new_district_with_a_known_name_gets_a_folder_of_its_own(
    folders: PipelinePaths,
) -> None:
    put_names(folders, "Other Unified", "Hayward Unified")
    put_directory(
        folders.inbox,
        [
            directory_entry(PALM_SPRINGS_HIGH, "Riverside", "Other Unified", "High"),
            directory_entry(BERKELEY_HIGH, "Alameda", "Palm Springs Unified", "High"),
        ],
    )
    put_roster(folders.inbox, BERKELEY, [student("9000000003", BERKELEY_HIGH)], "20261123")
    run_night(folders, TOMORROW, reports=OF_ACCOUNTS)
    assert not [p for p in (folders.outbox / PALM).rglob("*.csv") if "9000000003" in p.read_text()]
    assert (folders.outbox / f"{PALM}{BERKELEY}").is_dir()
