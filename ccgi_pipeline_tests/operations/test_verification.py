"""`ccgi warehouse verify`: whatever is damaged in a warehouse is told by its name.

Belongs here: the command over a real warehouse. What each writer compares is tested with storage.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from ccgi_pipeline.cli import main
from ccgi_pipeline.nightly.paths import PipelinePaths
from ccgi_pipeline.operations.audit_log import Act, record_act
from ccgi_pipeline.warehouse.storage.locks import folder_lock
from ccgi_pipeline_tests.nightly.inboxes import HAYWARD, HAYWARD_HIGH, put_roster, students
from ccgi_pipeline_tests.nightly.nights import folders_in, load_and_answer

ON = date(2026, 11, 22)


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> PipelinePaths:
    """Folders after a night, with something in the audit log."""
    folders = folders_in(tmp_path_factory.mktemp("sound"))
    put_roster(folders.inbox, HAYWARD, students(["1000000001", "1000000002"], HAYWARD_HIGH))
    load_and_answer(folders, ON)
    record_act(folders.warehouse, Act.APPROVED, {"drop": "3f2a"})
    return folders


@pytest.fixture
def folders(loaded: PipelinePaths, tmp_path: Path) -> PipelinePaths:
    """A copy of them, to be damaged."""
    return folders_in(shutil.copytree(loaded.inbox.parent, tmp_path / "copy"))


def verify(folders: PipelinePaths) -> Result:
    where = ["--warehouse", str(folders.warehouse), "--outbox", str(folders.outbox)]
    return CliRunner().invoke(main, ["warehouse", "verify", *where])


def test_a_sound_warehouse_is_said_to_be_sound(folders: PipelinePaths) -> None:
    told = verify(folders)
    assert (told.exit_code, "What to do" in told.output) == (0, False)
    rows = [line.split() for line in told.output.splitlines()]
    checked = {row[0]: int(row[1]) for row in rows if row[-1:] == ["0"] and len(row) == 3}
    assert [*checked] == ["catalog", "tables", "archive", "databases", "outbox"]
    assert all(checked.values())


def _one(folder: Path, pattern: str) -> Path:
    return max(
        (path for path in folder.rglob(pattern) if path.is_file()),
        key=lambda path: path.stat().st_size,
    )


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content)


DAMAGES: dict[str, tuple[Callable[[PipelinePaths], Path], Callable[[Path], None]]] = {
    "a flip in a table": (lambda f: _one(f.warehouse / "tables", "*.parquet"), _flip),
    "a table's file that is gone": (
        lambda f: _one(f.warehouse / "tables", "*.parquet"),
        Path.unlink,
    ),
    "a flip in the archive": (lambda f: _one(f.warehouse / "archive", "*"), _flip),
    "a flip in a receipt": (lambda f: _one(f.outbox, "*.html"), _flip),
    "a flip in the catalog": (lambda f: f.warehouse / "catalog.sqlite", _flip),
    "a database cut short": (
        lambda f: f.warehouse / "deliveries.sqlite",
        lambda path: path.write_bytes(path.read_bytes()[:5_000]),
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_is_damaged_is_named_with_what_to_do(folders: PipelinePaths, damage: str) -> None:
    choose, harm = DAMAGES[damage]
    path = choose(folders)
    harm(path)
    told = verify(folders)
    assert told.exit_code == 1
    assert path.name in told.output
    assert "when-something-is-red.md#tablesdamagederror" in told.output


def test_an_entry_of_the_audit_log_that_was_changed_is_told(folders: PipelinePaths) -> None:
    log = folders.warehouse / "audit.sqlite"
    content = log.read_bytes()
    assert content.count(b"3f2a") == 1
    log.write_bytes(content.replace(b"3f2a", b"3f2b"))
    told = verify(folders)
    assert "the audit log is not what it was: entry 1 was changed" in told.output


def test_it_works_while_a_night_writes(folders: PipelinePaths) -> None:
    with folder_lock(folders.warehouse):
        assert verify(folders).exit_code == 0
