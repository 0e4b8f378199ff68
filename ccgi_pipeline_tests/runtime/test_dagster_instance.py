"""What the command line's way into Dagster does to the process that it runs in."""

from __future__ import annotations

import multiprocessing
import os
from datetime import date
from pathlib import Path
from typing import Any
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


@pytest.mark.slow
def test_a_night_and_a_look_from_outside_leave_no_variable(
    folders: PipelinePaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(WAREHOUSE, "elsewhere")
    before = dict(os.environ)
    run_night(folders, date(2026, 11, 2))
    check_health_from_outside(folders, notify=False)
    assert {name: os.environ.get(name) for name in before} == before
    assert OUTBOX not in os.environ.keys() - before.keys()


def _open_storage(start: Any, warehouse: Path, answers: Any) -> None:  # noqa: ANN401 - of a context
    start.wait()
    try:
        with dg.DagsterInstance.from_config(str(prepare_dagster_home(warehouse))) as instance:
            instance.get_runs_count()
            instance.get_asset_records()
            instance.all_instigator_state()
    except Exception as error:  # noqa: BLE001 - whatever it is, the test shows it
        answers.put(repr(error)[:200])
    else:
        answers.put("")


def test_commands_at_once_on_a_new_warehouse_make_dagsters_storage_once(tmp_path: Path) -> None:
    context, processes = multiprocessing.get_context("fork"), 6
    for attempt in range(3):
        start, answers = context.Barrier(processes), context.Queue()
        warehouse = tmp_path / f"warehouse {attempt}"
        running = [
            context.Process(target=_open_storage, args=(start, warehouse, answers))
            for _ in range(processes)
        ]
        for process in running:
            process.start()
        assert [answers.get(timeout=100) for _ in running] == [""] * processes
        for process in running:
            process.join()
        assert sorted(path.name for path in warehouse.iterdir()) == ["dagster", "dagster.lock"]


def test_a_storage_that_was_begun_and_not_completed_is_made_anew(tmp_path: Path) -> None:
    begun = tmp_path / "dagster.part" / "history"
    begun.mkdir(parents=True)
    (begun / "runs.db").write_bytes(b"no database")
    with dg.DagsterInstance.from_config(str(prepare_dagster_home(tmp_path))) as instance:
        assert instance.get_runs_count() == 0


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
