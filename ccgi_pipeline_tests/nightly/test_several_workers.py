"""Four workers load forty districts at once: nothing is lost, nothing twice, whoever is killed."""

from __future__ import annotations

import signal
from contextlib import ExitStack
from pathlib import Path

import pytest

from ccgi_pipeline.common.failpoints import Side
from ccgi_pipeline.nightly.load import load_family
from ccgi_pipeline.warehouse.queries import health as health_queries
from ccgi_pipeline.warehouse.storage.connection import open_warehouse
from ccgi_pipeline.warehouse.storage.locks import WarehouseBusyError
from ccgi_pipeline.warehouse.storage.writers import exclusive_writer
from ccgi_pipeline_tests.nightly.nights import ON, folders_in, lake_rows, writing
from ccgi_pipeline_tests.nightly.workers import (
    DISTRICTS,
    FAMILY,
    Waiting,
    conflicts_of,
    go,
    stage,
    started,
)
from ccgi_pipeline_tests.postgresql import PostgreSql

pytestmark = pytest.mark.slow

Rows = dict[str, list[tuple[object, ...]]]


def _rows_in(warehouse: Path) -> Rows:
    """All rows; of received files without their stamps: each warehouse has an inbox of its own."""
    rows = lake_rows(warehouse)
    received = [(path, *rest) for path, _, *rest in rows["received_files"]]
    return {**rows, "received_files": received}


@pytest.fixture(scope="module")
def one_after_the_other(tmp_path_factory: pytest.TempPathFactory) -> Rows:
    """What the embedded warehouse has in the end, where batch follows on batch."""
    folders = folders_in(tmp_path_factory.mktemp("embedded"))
    stage(folders)
    with writing(folders) as connection:
        load_family(connection, folders, FAMILY, ON)
    return _rows_in(folders.warehouse)


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory, database_server: PostgreSql) -> Waiting:
    """The same before the second rosters are loaded, its catalog in PostgreSQL."""
    environment = database_server.environment(database_server.new_database())
    folders = folders_in(tmp_path_factory.mktemp("served"))
    with pytest.MonkeyPatch.context() as patched:
        for variable, value in environment.items():
            patched.setenv(variable, value)
        stage(folders)
    return Waiting(folders, environment)


@pytest.fixture
def waiting(
    before: Waiting,
    database_server: PostgreSql,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Waiting:
    """A copy of it for one test."""
    copy = before.copied_to(tmp_path, database_server)
    for variable, value in copy.environment.items():
        monkeypatch.setenv(variable, value)
    return copy


def test_workers_at_once_come_to_what_one_after_the_other_comes_to(
    waiting: Waiting, one_after_the_other: Rows
):
    warehouse = waiting.folders.warehouse
    with ExitStack() as running:
        workers = [running.enter_context(started(waiting, share, 4)) for share in range(4)]
        with pytest.raises(WarehouseBusyError), exclusive_writer(warehouse):
            pass
        for worker in workers:
            go(worker)
        conflicts = [conflicts_of(worker) for worker in workers]
    assert sum(conflicts) > 0, "they did not meet: the test proves nothing"
    rows = _rows_in(warehouse)
    assert rows == one_after_the_other
    assert len({drop[5] for drop in rows["drops"]}) == len(rows["drops"]) == 2 * DISTRICTS
    with open_warehouse(warehouse, read_only=True) as connection:
        assert not health_queries.count_unbalanced_files(connection)


@pytest.mark.parametrize("side", ["before", "after"])
def test_what_a_killed_worker_had_is_taken_again_and_nothing_twice(
    waiting: Waiting, one_after_the_other: Rows, side: Side
):
    with started(waiting, 0, 2, side) as killed, started(waiting, 1, 2) as other:
        go(killed)
        go(other)
        conflicts_of(other)
        assert killed.wait() == -signal.SIGKILL
    with started(waiting, 0, 2) as again:
        go(again)
        conflicts_of(again)
    assert _rows_in(waiting.folders.warehouse) == one_after_the_other
