"""What the pipeline writes is its owner's alone, whatever the umask.

Belongs here: whole commands under an open umask, and folders that an older version left open.
"""

from __future__ import annotations

import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from ccgi_pipeline.common.owner_only import mend_folder
from ccgi_pipeline.ssid_lookup.store import IdentityStore, load_identities
from ccgi_pipeline.warehouse.storage.connection import open_warehouse
from ccgi_pipeline_tests.nightly.inboxes import (
    PALM_SPRINGS,
    PALM_SPRINGS_HIGH,
    put_roster,
    students,
)
from ccgi_pipeline_tests.nightly.nights import folders_in, run_night
from ccgi_pipeline_tests.ssid_lookup.people import frame, identity, request_for

_RUN = "from ccgi_pipeline.cli import main; main()"


def open_to_others(root: Path) -> list[str]:
    """What below a folder somebody else may read, write or enter."""
    return [
        f"{path.relative_to(root)} {stat.S_IMODE(path.lstat().st_mode):o}"
        for path in sorted([root, *root.rglob("*")])
        if not path.is_symlink() and path.lstat().st_mode & 0o077
    ]


def open_all(root: Path) -> None:
    """Makes everything as an open umask would have left it."""
    for path in [root, *root.rglob("*")]:
        path.chmod(0o755 if path.is_dir() else 0o644)


@pytest.mark.slow
def test_a_night_under_an_open_umask_leaves_nothing_to_others(tmp_path: Path) -> None:
    folders = folders_in(tmp_path)
    put_roster(folders.inbox, PALM_SPRINGS, students(["9000000001"], PALM_SPRINGS_HIGH))
    where = [f"--{name}={getattr(folders, name)}" for name in ("inbox", "outbox", "warehouse")]
    subprocess.run(
        [sys.executable, "-c", _RUN, "run", *where, "--date", "2026-11-22"],
        check=True,
        umask=0o022,
        capture_output=True,
    )
    assert list(folders.outbox.rglob("*_Detail.csv"))
    assert list(folders.warehouse.rglob("*.parquet"))
    assert open_to_others(folders.warehouse) == []
    assert open_to_others(folders.outbox) == []


def test_dagsters_processes_have_the_umask_too() -> None:
    script = "import os, ccgi_pipeline.definitions; print(oct(os.umask(0)))"
    ran = subprocess.run(
        [sys.executable, "-c", script], check=True, umask=0o022, capture_output=True, text=True
    )
    assert ran.stdout.split()[-1] == "0o77"


def test_what_an_older_version_left_open_is_mended_when_it_is_opened(tmp_path: Path) -> None:
    folders = folders_in(tmp_path)
    put_roster(folders.inbox, PALM_SPRINGS, students(["9000000001"], PALM_SPRINGS_HIGH))
    run_night(folders)
    open_all(folders.warehouse)
    open_all(folders.outbox)
    with open_warehouse(folders.warehouse, read_only=True):
        assert open_to_others(folders.warehouse) == []
    run_night(folders)
    for district in folders.outbox.iterdir():
        assert open_to_others(district) == []


def test_the_look_ups_folder_is_mended_when_it_is_opened(tmp_path: Path) -> None:
    folder = tmp_path / "lookup"
    known = identity("9000000001")
    load_identities(folder, [frame([known])])
    open_all(folder)
    with closing(IdentityStore(folder)) as store:
        assert store.look_up(request_for(known)) == "9000000001"
    assert open_to_others(folder) == []


@pytest.mark.parametrize("mode", [0o1777, 0o777])
def test_a_folder_that_all_accounts_share_stays_as_it_is(tmp_path: Path, mode: int) -> None:
    tmp_path.chmod(mode)
    (tmp_path / "theirs").write_text("x")
    (tmp_path / "theirs").chmod(0o644)
    mend_folder(tmp_path)
    assert stat.S_IMODE(tmp_path.stat().st_mode) == mode
    assert stat.S_IMODE((tmp_path / "theirs").stat().st_mode) == 0o644


def test_links_are_not_followed(tmp_path: Path) -> None:
    outside, folder = tmp_path / "outside", tmp_path / "folder"
    for made in (outside, folder):
        made.mkdir()
        made.chmod(0o755)
    (folder / "link").symlink_to(outside)
    mend_folder(folder)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(outside.stat().st_mode) == 0o755
