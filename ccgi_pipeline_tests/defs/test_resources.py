"""What a run is handed: the warehouse, and its events kept open meanwhile."""

import sqlite3
from pathlib import Path
from types import SimpleNamespace

import dagster as dg
import pytest

from ccgi_pipeline.defs.resources import Warehouse
from ccgi_pipeline_tests.nightly.nights import folders_in


def _files_in_a_run(tmp_path: Path, *, told: int) -> dict[str, bool]:
    """Whether SQLite's log of each database of events is there, after so many events of a run."""
    folders = folders_in(tmp_path)
    places = {name: f"{getattr(folders, name)}" for name in ("inbox", "outbox", "warehouse")}
    found: dict[str, bool] = {}

    @dg.asset
    def looking(context: dg.AssetExecutionContext, warehouse: dg.ResourceParam[Warehouse]) -> None:
        warehouse.connection.execute("SELECT 1")
        for _ in range(told):
            context.log_event(dg.AssetObservation("looking"))
        events = tmp_path / "dagster" / "history" / "runs"
        for shard in ("index", context.run.run_id):
            found[shard] = (events / f"{shard}.db-wal").exists()

    (tmp_path / "dagster").mkdir()
    with dg.DagsterInstance.local_temp(str(tmp_path / "dagster")) as instance:
        done = dg.materialize(
            [looking], instance=instance, resources={"warehouse": Warehouse(**places)}
        )
        assert len(instance.all_logs(done.run_id, dg.DagsterEventType.ASSET_OBSERVATION)) == told
    return found


def test_sqlite_does_not_write_its_log_back_after_each_event_of_a_run(tmp_path: Path) -> None:
    assert [*_files_in_a_run(tmp_path, told=3).values()] == [True, True]
    assert not [*tmp_path.glob("dagster/history/runs/*-wal")]


def test_a_run_goes_on_where_its_events_cannot_be_kept_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object, **__: object) -> sqlite3.Connection:
        raise sqlite3.OperationalError

    sqlite = SimpleNamespace(connect=refused, Error=sqlite3.Error)
    monkeypatch.setattr("ccgi_pipeline.defs.resources.sqlite3", sqlite)
    assert [*_files_in_a_run(tmp_path, told=1).values()] == [False, False]
