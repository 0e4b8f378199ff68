"""One warehouse that the tests of this room share: each test has senders of its own in it."""

from __future__ import annotations

from collections.abc import Iterator

import duckdb
import pytest

from ccgi_pipeline.warehouse import lake


@pytest.fixture(scope="session")
def connection(tmp_path_factory: pytest.TempPathFactory) -> Iterator[duckdb.DuckDBPyConnection]:
    """A prepared warehouse, open for writing."""
    with lake.connect(tmp_path_factory.mktemp("warehouse")) as opened:
        lake.prepare(opened)
        yield opened
