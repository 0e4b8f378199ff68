"""An extension is verified once in a process, and none with a bad signature is ever loaded."""

from __future__ import annotations

import shutil
from pathlib import Path

import duckdb
import pytest

from ccgi_pipeline.common import extensions
from ccgi_pipeline.common.extensions import connect, load_extension, refuse_unsigned
from ccgi_pipeline.warehouse.storage.connection import open_warehouse

_NAME = "sqlite_scanner"
_OTHER = "postgres_scanner"
"""One that a warehouse in a folder does not load."""


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of an extension in the place of the installed one."""
    copied = tmp_path / f"{_NAME}.duckdb_extension"
    shutil.copy(extensions._find_file(_NAME), copied)
    monkeypatch.setattr(extensions, "_find_file", lambda _: copied)
    return copied


def _forge_signature(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.unlink()
    file.write_bytes(content)


def test_a_forged_signature_is_refused(file: Path) -> None:
    _forge_signature(file)
    with connect() as connection, pytest.raises(duckdb.IOException, match="signature"):
        load_extension(connection, _NAME)


def test_a_file_that_was_exchanged_after_it_was_verified_is_refused(file: Path) -> None:
    with connect() as connection:
        load_extension(connection, _NAME)
    _forge_signature(file)
    with connect() as connection, pytest.raises(duckdb.IOException, match="signature"):
        load_extension(connection, _NAME)


def test_duckdb_itself_would_take_it(file: Path) -> None:
    _forge_signature(file)
    with connect() as connection:
        connection.load_extension(str(file))


def test_a_file_that_was_verified_is_not_verified_again(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert file.exists()
    with connect() as first:
        load_extension(first, _NAME)
    with connect() as second:
        monkeypatch.setattr(duckdb, "connect", None)
        load_extension(second, _NAME)


@pytest.mark.parametrize("how", ["refuse_unsigned", "open_warehouse"])
def test_a_connection_in_use_takes_no_unsigned_extension(tmp_path: Path, how: str) -> None:
    file = tmp_path / f"{_OTHER}.duckdb_extension"
    shutil.copy(extensions._find_file(_OTHER), file)
    _forge_signature(file)
    if how == "open_warehouse":
        connection = open_warehouse(tmp_path / "warehouse")
    else:
        connection = connect()
        refuse_unsigned(connection)
    with connection:
        with pytest.raises(duckdb.IOException, match="signature"):
            connection.load_extension(str(file))
        with pytest.raises(duckdb.Error, match="Cannot change allow_unsigned_extensions"):
            connection.execute("SET allow_unsigned_extensions = true")
