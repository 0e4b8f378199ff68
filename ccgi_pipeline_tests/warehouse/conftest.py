"""One warehouse that the tests of this room share: each test has senders of its own in it."""

from __future__ import annotations

from collections.abc import Iterator

import duckdb
import pytest

from ccgi_pipeline.warehouse.storage.connection import open_warehouse
from ccgi_pipeline.warehouse.storage.schema import create_missing_tables


@pytest.fixture(scope="session")
def connection(tmp_path_factory: pytest.TempPathFactory) -> Iterator[duckdb.DuckDBPyConnection]:
    """A prepared warehouse, open for writing."""
    with open_warehouse(tmp_path_factory.mktemp("warehouse")) as opened:
        create_missing_tables(opened)
        yield opened
