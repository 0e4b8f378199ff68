"""What tests of several rooms use, and what is dear to start."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from ccgi_pipeline_tests.object_storage import ObjectStorage, object_storage
from ccgi_pipeline_tests.postgresql import PostgreSql, postgresql


@pytest.fixture(scope="session")
def database_server() -> Iterator[PostgreSql]:
    """A PostgreSQL server for all tests of one process; each takes databases of its own."""
    with postgresql() as running:
        yield running


@pytest.fixture
def catalog_in_postgresql(database_server: PostgreSql, monkeypatch: pytest.MonkeyPatch) -> str:
    """Has warehouses that are begun have their catalog in a new database, whose name it is."""
    name = database_server.new_database()
    for variable, value in database_server.environment(name).items():
        monkeypatch.setenv(variable, value)
    return name


@pytest.fixture(scope="session")
def store() -> Iterator[ObjectStorage]:
    """An object store for all tests of one process; each takes a prefix of its own."""
    with object_storage() as running:
        yield running


@pytest.fixture(autouse=True)
def _environment_as_it_was() -> Iterator[None]:
    """Has no test leave a variable to the next: a night's own code sets some for its children."""
    before = dict(os.environ)
    yield
    for name in os.environ.keys() - before.keys():
        del os.environ[name]
    os.environ.update(before)
