"""The archive: content under its own hash, whole or not at all.

Belongs here: storing and reading back, and what a crash, a damaged disk or a growing file does.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from ccgi_pipeline.intake import listed_files
from ccgi_pipeline.intake.archive import Archive, ArchiveDamagedError
from ccgi_pipeline.intake.listed_files import FileStillGrowingError

CONTENT = b"StateID\n0000000001\n"


def let_files_grow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes senders add bytes to each file just after the pipeline has opened it."""
    opened_below = listed_files._open_below

    def open_below(root: Path, parts: tuple[str, ...]) -> int:
        opened = opened_below(root, parts)
        with root.joinpath(*parts).open("ab") as sender:
            sender.write(b"0000000002\n")
        return opened

    monkeypatch.setattr(listed_files, "_open_below", open_below)


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    return Archive(tmp_path / "archive")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "received.csv"
    path.write_bytes(CONTENT)
    return path


def _stored(archive: Archive) -> list[Path]:
    return [path for path in archive.root.rglob("*") if path.is_file()]


def test_content_is_stored_under_its_hash_and_read_back(archive: Archive, source: Path):
    sha256 = archive.store(source)
    assert sha256 == hashlib.sha256(CONTENT).hexdigest()
    assert archive.read(sha256) == CONTENT
    assert _stored(archive) == [archive.path(sha256)]


def test_the_received_file_stays_as_it_is(archive: Archive, source: Path):
    archive.store(source)
    assert source.read_bytes() == CONTENT


def test_the_same_content_under_two_names_is_stored_once(archive: Archive, source: Path):
    other = source.with_name("again.csv")
    other.write_bytes(CONTENT)
    assert archive.store(source) == archive.store(other)
    assert len(_stored(archive)) == 1


def test_a_file_larger_than_one_piece_is_stored_whole(archive: Archive, source: Path):
    content = bytes(range(256)) * (3 << 12)
    source.write_bytes(content)
    assert archive.read(archive.store(source)) == content


def test_stored_content_cannot_be_written_to_by_accident(archive: Archive, source: Path):
    assert archive.path(archive.store(source)).stat().st_mode & 0o222 == 0


def test_damaged_content_is_never_handed_out(archive: Archive, source: Path):
    path = archive.path(archive.store(source))
    path.chmod(0o644)
    path.write_bytes(CONTENT.replace(b"1", b"2"))
    with pytest.raises(ArchiveDamagedError) as refused:
        archive.read(path.name)
    assert "0000000002" not in str(refused.value)
    with pytest.raises(ArchiveDamagedError):
        list(archive.read_pieces(path.name))


def test_damaged_content_is_mended_when_the_same_file_comes_again(archive: Archive, source: Path):
    path = archive.path(archive.store(source))
    path.chmod(0o644)
    path.write_bytes(b"")
    assert archive.read(archive.store(source)) == CONTENT


def test_a_file_that_grows_while_it_is_read_is_not_stored(
    archive: Archive, source: Path, monkeypatch: pytest.MonkeyPatch
):
    facts = source.stat()
    let_files_grow(monkeypatch)
    with pytest.raises(FileStillGrowingError):
        archive.store_listed(source.parent, source.name, listed_files.make_stamp(facts))
    assert _stored(archive) == []


def test_what_a_crash_left_is_swept_and_nothing_else(archive: Archive, source: Path):
    sha256 = archive.store(source)
    (archive.root / ".part-x1y2").write_bytes(CONTENT[:5])
    archive.remove_partial_files()
    assert _stored(archive) == [archive.path(sha256)]


def test_an_archive_that_does_not_exist_yet_can_be_swept(archive: Archive):
    archive.remove_partial_files()
    assert not archive.root.exists()
