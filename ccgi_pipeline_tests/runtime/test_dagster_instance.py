"""What the command line's way into Dagster does to the process that it runs in."""

from __future__ import annotations

import os
from datetime import date
from pathlib import Path

import pytest

from ccgi_pipeline.common.environment import INBOX, OUTBOX, WAREHOUSE
from ccgi_pipeline.nightly.paths import PipelinePaths
from ccgi_pipeline.runtime.dagster_instance import check_health_from_outside, folders_in_environment
from ccgi_pipeline.runtime.night_run import run_night
from ccgi_pipeline_tests.nightly.nights import folders_in


@pytest.fixture
def folders(tmp_path: Path) -> PipelinePaths:
    return folders_in(tmp_path)


def test_the_folders_are_named_for_a_while_only(
    folders: PipelinePaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(INBOX, "elsewhere")
    monkeypatch.delenv(OUTBOX, raising=False)
    with pytest.raises(FileNotFoundError), folders_in_environment(folders):
        (folders.inbox / "missing").stat()
    with folders_in_environment(folders):
        assert os.environ[INBOX] == str(folders.inbox.absolute())
        assert os.environ[OUTBOX] == str(folders.outbox.absolute())
    assert os.environ[INBOX] == "elsewhere"
    assert OUTBOX not in os.environ


def test_a_night_and_a_look_from_outside_leave_no_variable(
    folders: PipelinePaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(WAREHOUSE, "elsewhere")
    before = dict(os.environ)
    run_night(folders, date(2026, 11, 2))
    check_health_from_outside(folders, notify=False)
    assert {name: os.environ.get(name) for name in before} == before
    assert OUTBOX not in os.environ.keys() - before.keys()
