"""The number of cores that a process uses, from the environment."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from ccgi_pipeline.common.environment import THREADS, ThreadsError, read_threads
from ccgi_pipeline.warehouse.storage.connection import open_warehouse
from ccgi_pipeline.warehouse.storage.history import delete_history
from ccgi_pipeline.warehouse.storage.schema import create_missing_tables


@pytest.mark.parametrize(("written", "read"), [("1", 1), (" 12 ", 12), ("", None)])
def test_a_number_of_cores_is_read(written: str, read: int | None) -> None:
    assert read_threads({THREADS: written}) == read


@pytest.mark.parametrize("written", ["0", "-1", "two", "1.5", "²", "٣", " "])
def test_what_is_no_number_of_cores_is_refused(written: str) -> None:
    with pytest.raises(ThreadsError, match="CCGI_THREADS is not a number of cores: write 1, 2"):
        read_threads({THREADS: written})


def _threads(connection: duckdb.DuckDBPyConnection) -> object:
    return connection.execute("SELECT current_setting('threads')").fetchone()


def test_a_warehouse_is_read_and_written_with_so_many(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(THREADS, "3")
    with open_warehouse(tmp_path) as connection:
        create_missing_tables(connection)
        assert _threads(connection) == (3,)
        delete_history(connection, tmp_path)
        assert _threads(connection) == (3,)
    with open_warehouse(tmp_path, read_only=True) as connection:
        assert _threads(connection) == (3,)
