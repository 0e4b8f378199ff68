"""What the command line's way into Dagster does to the process that it runs in."""

from __future__ import annotations

import os
from datetime import date
from pathlib import Path
from urllib.parse import quote

import dagster as dg
import pytest

from ccgi_pipeline.common.environment import INBOX, OUTBOX, WAREHOUSE
from ccgi_pipeline.nightly.paths import PipelinePaths
from ccgi_pipeline.runtime.dagster_instance import (
    DAGSTER_DATABASE,
    DagsterStorageError,
    check_health_from_outside,
    folders_in_environment,
    prepare_dagster_home,
)
from ccgi_pipeline.runtime.night_run import run_night
from ccgi_pipeline_tests.nightly.nights import folders_in
from ccgi_pipeline_tests.postgresql import USER, PostgreSql


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


# --- where Dagster keeps its runs -----------------------------------------------------------------


def test_dagsters_runs_lie_where_the_environment_says(
    tmp_path: Path, database_server: PostgreSql, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = database_server.new_database()
    word = quote(database_server.password)
    address = f"postgresql://{USER}:{word}@127.0.0.1:{database_server.port}/{runs}"
    secret = tmp_path / "secret"
    secret.write_text(address)
    monkeypatch.delenv(DAGSTER_DATABASE, raising=False)
    monkeypatch.setenv(f"{DAGSTER_DATABASE}_FILE", str(secret))
    home = prepare_dagster_home(tmp_path / "warehouse")
    assert word not in (home / "dagster.yaml").read_text()
    with dg.DagsterInstance.from_config(str(home)) as instance:
        instance.add_dynamic_partitions("district", ["3367173"])
    kept = database_server.execute(runs, "SELECT partition FROM dynamic_partitions")
    assert kept == [("3367173",)]
    assert [path.name for path in home.rglob("*.db")] == []


def test_a_database_of_runs_that_is_none_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(DAGSTER_DATABASE, "mysql://somewhere")
    with pytest.raises(DagsterStorageError, match="names no database"):
        prepare_dagster_home(tmp_path)
