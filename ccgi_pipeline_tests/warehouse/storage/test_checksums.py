"""Bits that flip, files that are gone or cut: told by name before anything is read.

Belongs here: what a writer compares when it begins. The command that checks everything is tested
with the operations.
"""

from __future__ import annotations

import random
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from ccgi_pipeline.common.errors import CatalogDamagedError, TablesDamagedError
from ccgi_pipeline.defs.resources import NightFolders, open_for_run
from ccgi_pipeline.warehouse.storage import checksums
from ccgi_pipeline.warehouse.storage.connection import open_warehouse, write_warehouse
from ccgi_pipeline.warehouse.storage.history import delete_history
from ccgi_pipeline.warehouse.storage.location import CATALOG, TABLES
from ccgi_pipeline.warehouse.storage.writers import exclusive_writer

FLIPS = 20


def _insert(folder: Path, first: int, count: int) -> None:
    with write_warehouse(folder) as connection:
        connection.execute(
            "INSERT INTO receipts SELECT 'drop ' || i, DATE '2026-11-22' FROM range(?, ?) AS r(i)",
            [first, first + count],
        )


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A warehouse with two files of a table, each with one of deleted rows."""
    folder = tmp_path_factory.mktemp("sound") / "warehouse"
    _insert(folder, 0, 500)
    _insert(folder, 500, 500)
    with write_warehouse(folder) as connection:
        connection.execute("DELETE FROM receipts WHERE drop_id LIKE '%7'")
    return folder


@pytest.fixture
def folder(sound: Path, tmp_path: Path) -> Path:
    """A copy of it, to be damaged."""
    return shutil.copytree(sound, tmp_path / "warehouse")


def _rows(folder: Path) -> int:
    with open_warehouse(folder, read_only=True) as connection:
        (count,) = connection.execute("SELECT count(*) FROM receipts").fetchone() or (0,)
    return int(count)


def _flipped(path: Path, count: int = 1) -> Iterator[int]:
    """Flips a bit at random, ``count`` times; afterwards the file is as it was."""
    content = path.read_bytes()
    chance = random.Random(path.name)  # noqa: S311
    for _ in range(count):
        at = chance.randrange(len(content))
        damaged = bytearray(content)
        damaged[at] ^= 1 << chance.randrange(8)
        path.write_bytes(damaged)
        yield at
        path.write_bytes(content)


def test_every_flipped_bit_of_a_tables_file_is_told_by_the_files_name(folder: Path):
    with open_warehouse(folder, read_only=True) as connection:
        files = checksums.list_files(connection)
    assert len([file for file in files if file.live]) == 4
    tables = folder / TABLES
    for file in files:
        for _ in _flipped(tables / file.path, FLIPS):
            found = checksums.find_damaged_files(folder, tables, files)
            assert found == {file.path: checksums.FileFault.CHANGED}
    assert checksums.find_damaged_files(folder, tables, files) == {}


DAMAGES: dict[str, Callable[[Path], object]] = {
    "changed": lambda path: next(_flipped(path)),
    "of another size": lambda path: path.write_bytes(path.read_bytes()[:-1]),
    "missing": lambda path: path.unlink(),
}


@pytest.mark.parametrize("fault", DAMAGES)
def test_no_writer_begins_over_a_damaged_file(folder: Path, sound: Path, fault: str):
    path = max((folder / TABLES).rglob("*.parquet"))
    name = str(path.relative_to(folder / TABLES))
    DAMAGES[fault](path)
    before = (folder / CATALOG).read_bytes()
    with pytest.raises(TablesDamagedError) as error:
        _insert(folder, 1_000, 1)
    assert f"{name} ({fault})" in str(error.value)
    assert "from a backup" in str(error.value)
    with (
        pytest.raises(TablesDamagedError, match="not as they were written"),
        open_for_run(NightFolders(warehouse=str(folder)).paths),
    ):
        pass
    assert (folder / CATALOG).read_bytes() == before
    # What the message says brings it back.
    shutil.copy(sound / TABLES / name, path)
    _insert(folder, 1_000, 1)
    assert _rows(folder) == 901


def test_every_flipped_bit_of_the_catalog_is_told(folder: Path):
    for at in _flipped(folder / CATALOG, FLIPS):
        with pytest.raises(CatalogDamagedError, match="from a backup"), exclusive_writer(folder):
            pytest.fail(f"the bit at {at} was not noticed")
    _insert(folder, 1_000, 1)
    assert _rows(folder) == 901


def test_a_catalog_of_another_time_is_told(folder: Path):
    former = (folder / CATALOG).read_bytes()
    _insert(folder, 1_000, 1)
    (folder / CATALOG).write_bytes(former)
    with pytest.raises(CatalogDamagedError, match="not as the last writer left it"):
        _insert(folder, 1_001, 1)


def test_after_a_writer_that_was_killed_the_catalog_is_taken_as_it_is(folder: Path):
    # It committed, and did not come to note what it left.
    checksums.begin_writing(folder)
    with open_warehouse(folder) as connection:
        connection.execute("INSERT INTO receipts VALUES ('drop x', DATE '2026-11-22')")
    _insert(folder, 1_000, 1)
    assert _rows(folder) == 902
    assert _noted(folder) == _listed(folder)


def test_after_a_killed_writer_a_catalog_that_cannot_be_read_is_told(folder: Path):
    checksums.begin_writing(folder)
    content = (folder / CATALOG).read_bytes()
    (folder / CATALOG).write_bytes(content[: len(content) // 2])
    with pytest.raises(CatalogDamagedError, match="cannot be read"):
        _insert(folder, 1_000, 1)


@contextmanager
def _reading(catalog: Path) -> Iterator[None]:
    """Another process reads the catalog: within one, locks of two SQLite libraries do not hold."""
    program = (
        "import sqlite3, sys; reader = sqlite3.connect(sys.argv[1]); reader.execute('BEGIN'); "
        "reader.execute('SELECT * FROM ducklake_snapshot').fetchone(); print('reads', flush=True); "
        "sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(catalog)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as reader:
        assert reader.stdout is not None
        assert reader.stdout.readline() == b"reads\n"
        yield
        reader.communicate()


def test_commits_that_are_still_in_the_catalogs_log_belong_to_it(folder: Path):
    with _reading(folder / CATALOG):
        _insert(folder, 1_000, 1)  # cannot be written back while the reader reads
        assert Path(f"{folder / CATALOG}-wal").stat().st_size > 0
        _insert(folder, 1_001, 1)
    _insert(folder, 1_002, 1)
    assert _rows(folder) == 903


def test_a_warehouse_of_an_older_version_is_noted_as_it_is(folder: Path):
    for name in folder.glob(f"{checksums.FILE_NAME}*"):
        name.unlink()
    _insert(folder, 1_000, 1)
    assert _noted(folder) == _listed(folder)


def test_what_a_purge_removes_is_forgotten(folder: Path):
    before = _noted(folder)
    with write_warehouse(folder) as connection:
        delete_history(connection, folder)
    assert _noted(folder) == _listed(folder)
    assert not before <= _noted(folder)
    assert _rows(folder) == 900


def test_notes_that_are_damaged_themselves_are_told_as_such(folder: Path):
    (folder / checksums.FILE_NAME).write_bytes(b"no database" * 1_000)
    with pytest.raises(TablesDamagedError, match=r"checksums\.sqlite is damaged"):
        _insert(folder, 1_000, 1)


def _noted(folder: Path) -> set[str]:
    with closing(sqlite3.connect(folder / checksums.FILE_NAME)) as notes:
        return {path for (path,) in notes.execute("SELECT path FROM files")}


def _listed(folder: Path) -> set[str]:
    with open_warehouse(folder, read_only=True) as connection:
        return {file.path for file in checksums.list_files(connection)}
