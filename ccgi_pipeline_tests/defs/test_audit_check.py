"""The check on the audit log, by which a log that was written anew is found out."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import pytest

from ccgi_pipeline.defs.district_status import AUDITED, DISTRICT_STATUS, district_status
from ccgi_pipeline.defs.resources import NightDate, NightFolders, build_folder_resources
from ccgi_pipeline.nightly.paths import PipelinePaths
from ccgi_pipeline.operations import audit_log
from ccgi_pipeline_tests.nightly.inboxes import (
    HAYWARD,
    HAYWARD_HIGH,
    numbered,
    put_roster,
    students,
)
from ccgi_pipeline_tests.nightly.nights import ON, folders_in, load_and_answer


@pytest.fixture
def folders(tmp_path: Path) -> PipelinePaths:
    """A night of one district, and two acts of an operator."""
    made = folders_in(tmp_path)
    put_roster(made.inbox, HAYWARD, students(numbered(1000, 2), HAYWARD_HIGH))
    load_and_answer(made)
    for name in ("A. Name", "B. Name"):
        audit_log.record_act(made.warehouse, audit_log.Act.REBUILT, {"path": "a file"}, by=name)
    return made


def _look(folders: PipelinePaths, instance: dg.DagsterInstance) -> dg.AssetCheckEvaluation:
    places = {name: f"{getattr(folders, name)}" for name in ("inbox", "outbox", "warehouse")}
    done = dg.materialize(
        [district_status],
        instance=instance,
        resources={
            "night": NightDate(date=ON.isoformat()),
            **build_folder_resources(NightFolders(**places)),
        },
    )
    checks = done.get_asset_check_evaluations()
    (check,) = [check for check in checks if check.check_name == AUDITED]
    assert check.asset_key == dg.AssetKey(DISTRICT_STATUS)
    return check


def test_the_check_is_green_while_the_log_only_grows(folders: PipelinePaths) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        assert _look(folders, instance).passed
        audit_log.record_act(folders.warehouse, audit_log.Act.REBUILT, {"path": "another"})
        assert _look(folders, instance).passed


def test_the_check_is_red_when_the_log_was_written_anew(folders: PipelinePaths) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        assert _look(folders, instance).passed
        (folders.warehouse / audit_log.FILE_NAME).unlink()
        audit_log.record_act(
            folders.warehouse, audit_log.Act.REBUILT, {"path": "a file"}, by="A. Name"
        )
        check = _look(folders, instance)
    assert not check.passed
    assert "entry 2 is missing" in str(check.metadata["what is wrong"].value)
