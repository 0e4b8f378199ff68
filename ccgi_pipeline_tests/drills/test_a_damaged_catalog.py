"""The drill: the warehouse's catalog is damaged, or gone. It is said so, and nothing is written."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from ccgi_pipeline.cli import main
from ccgi_pipeline.common.errors import CatalogDamagedError
from ccgi_pipeline.nightly.paths import PipelinePaths
from ccgi_pipeline.runtime.night_run import NightFailedError, run_night
from ccgi_pipeline.warehouse.storage import location
from ccgi_pipeline.warehouse.storage.catalog_health import find_catalog_fault
from ccgi_pipeline_tests.drills.looking import pages
from ccgi_pipeline_tests.monitoring.alerts.receivers import Webhook
from ccgi_pipeline_tests.nightly.inboxes import HAYWARD, HAYWARD_HIGH, put_roster, students
from ccgi_pipeline_tests.nightly.nights import (
    ON,
    bytes_below,
    folders_in,
    lake_rows,
    load_and_answer,
)

PAGE = 4096


def overwritten(at: int, pages_: int = 1) -> Callable[[Path], None]:
    def damage(catalog: Path) -> None:
        content = bytearray(catalog.read_bytes())
        content[at * PAGE : (at + pages_) * PAGE] = b"\xa5" * PAGE * pages_
        catalog.write_bytes(content)

    return damage


DAMAGES: dict[str, Callable[[Path], None]] = {
    "its beginning": overwritten(0),
    "its middle": overwritten(3, 40),
    "cut short": lambda catalog: catalog.write_bytes(catalog.read_bytes()[: 5 * PAGE]),
    "empty": lambda catalog: catalog.write_bytes(b""),
    "gone": lambda catalog: catalog.unlink(),
}


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> PipelinePaths:
    """A warehouse after a night."""
    folders = folders_in(tmp_path_factory.mktemp("sound"))
    put_roster(folders.inbox, HAYWARD, students(["1000000001", "1000000002"], HAYWARD_HIGH))
    load_and_answer(folders)
    return folders


@pytest.fixture
def folders(loaded: PipelinePaths, tmp_path: Path) -> PipelinePaths:
    """A copy of it, to be damaged."""
    copied = PipelinePaths(loaded.inbox, tmp_path / "outbox", tmp_path / "warehouse")
    shutil.copytree(loaded.warehouse, copied.warehouse)
    return copied


def test_a_sound_catalog_has_no_fault_nor_has_one_that_is_not_there_yet(
    folders: PipelinePaths, tmp_path: Path
) -> None:
    assert find_catalog_fault(folders.warehouse) is None
    assert find_catalog_fault(tmp_path / "nothing") is None


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_catalog_is_told_and_nothing_takes_its_place(
    folders: PipelinePaths, damage: str
) -> None:
    catalog = folders.warehouse / location.CATALOG
    DAMAGES[damage](catalog)
    damaged = catalog.read_bytes() if catalog.exists() else None
    assert "from a backup" in (find_catalog_fault(folders.warehouse) or "")
    shown = CliRunner().invoke(main, ["status", "--warehouse", str(folders.warehouse)])
    assert (shown.exit_code, "from a backup" in shown.output) == (1, True)
    assert (catalog.read_bytes() if catalog.exists() else None) == damaged


@pytest.mark.slow
@pytest.mark.parametrize("damage", ["its beginning", "gone"])
def test_a_night_over_a_damaged_catalog_is_told_and_the_backup_brings_all_back(
    loaded: PipelinePaths, folders: PipelinePaths, hook: Webhook, damage: str
) -> None:
    DAMAGES[damage](folders.warehouse / location.CATALOG)
    with pytest.raises((CatalogDamagedError, NightFailedError), match="from a backup"):
        run_night(folders, ON + timedelta(days=1))
    assert not folders.outbox.exists() or not bytes_below(folders.outbox)
    assert "restore the whole warehouse" in pages(folders)["catalog_unreadable"]
    assert "#catalog_unreadable" in str(hook.posted)
    shutil.rmtree(folders.warehouse)
    shutil.copytree(loaded.warehouse, folders.warehouse)
    assert len(lake_rows(folders.warehouse)["transcript_student"]) == 2
    assert "catalog_unreadable" not in pages(folders)
