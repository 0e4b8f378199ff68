"""A listed file is opened as it was listed: no link, pipe or other file in its place is read."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from ccgi_pipeline.intake.listed_files import (
    FileStillGrowingError,
    make_stamp,
    open_listed_file,
)

PATH = "3367173/transcript/Student.csv"


def _link(path: Path, secret: Path) -> None:
    path.unlink()
    path.symlink_to(secret)


def _hard_link(path: Path, secret: Path) -> None:
    path.unlink()
    path.hardlink_to(secret)


def _link_of_a_folder(path: Path, secret: Path) -> None:
    path.parent.rename(path.parent.with_name("before"))
    path.parent.symlink_to(secret.parent)


def _pipe(path: Path, secret: Path) -> None:
    del secret
    path.unlink()
    os.mkfifo(path)


def _folder(path: Path, secret: Path) -> None:
    del secret
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize("exchange", [_link, _hard_link, _link_of_a_folder, _pipe, _folder])
def test_what_was_put_in_the_place_of_a_listed_file_is_not_read(
    tmp_path: Path, exchange: Callable[[Path, Path], None]
) -> None:
    path, secret = tmp_path / "inbox" / PATH, tmp_path / "keys" / "Student.csv"
    for file in (path, secret):
        file.parent.mkdir(parents=True)
        file.write_bytes(b"same size")
    stamp = make_stamp(path.stat())
    with open_listed_file(tmp_path / "inbox", PATH, stamp) as opened:
        assert opened.read() == b"same size"
    exchange(path, secret)
    with (
        pytest.raises(FileStillGrowingError),
        open_listed_file(tmp_path / "inbox", PATH, stamp),
    ):
        pass


def test_an_inbox_that_is_a_link_itself_is_the_operators_wish(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "a.csv").write_bytes(b"a")
    (tmp_path / "inbox").symlink_to(tmp_path / "real")
    with open_listed_file(tmp_path / "inbox", "a.csv") as opened:
        assert opened.read() == b"a"
