"""Sealed files: they give back what went in, or say that they cannot."""

from __future__ import annotations

import io
import secrets
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ccgi_pipeline.encryption.sealed_files import (
    SealBrokenError,
    SealedReader,
    SealedWriter,
    plain_size,
    read_pieces,
    seal,
    unseal,
)
from ccgi_pipeline.intake.archive import Archive, ArchiveDamagedError
from ccgi_pipeline.intake.contents import Content

KEY = secrets.token_bytes(32)
PIECE = 1 << 20
HEADER, TAG = 30, 16
SIZES = (0, 1, 1000, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE, 3 * PIECE + 5)


@pytest.mark.parametrize("size", SIZES)
def test_a_sealed_file_gives_back_what_went_in_and_tells_its_size(size: int):
    content = secrets.token_bytes(size)
    sealed = seal(content, KEY)
    assert unseal(sealed, KEY) == content
    assert plain_size(len(sealed)) == size


@pytest.mark.parametrize("step", [1000, PIECE - 1, PIECE, PIECE + 1, 5 * PIECE])
def test_it_does_not_matter_in_which_portions_it_is_written(step: int):
    content = secrets.token_bytes(3 * PIECE + 5)
    written = io.BytesIO()
    sealer = SealedWriter(written, KEY)
    for start in range(0, len(content), step):
        sealer.write(memoryview(content)[start : start + step])
    sealer.finish()
    assert unseal(written.getvalue(), KEY) == content


def test_the_same_content_is_never_sealed_to_the_same_bytes():
    one, other = seal(b"content", KEY), seal(b"content", KEY)
    assert one != other
    assert one[HEADER:] != other[HEADER:]


def _second_piece() -> slice:
    start = HEADER + PIECE + TAG
    return slice(start, start + PIECE + TAG)


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "a bit flipped in the first piece": lambda sealed: _flipped(sealed, HEADER + 7),
    "a bit flipped in the last piece": lambda sealed: _flipped(sealed, len(sealed) - 20),
    "a bit flipped in the salt": lambda sealed: _flipped(sealed, HEADER - 1),
    "a bit flipped in the name of the form": lambda sealed: _flipped(sealed, 2),
    "cut off in a piece": lambda sealed: sealed[:-3],
    "cut off between pieces": lambda sealed: sealed[: HEADER + 2 * (PIECE + TAG)],
    "only the header": lambda sealed: sealed[:HEADER],
    "empty": lambda _: b"",
    "a piece left out": lambda sealed: (
        sealed[: _second_piece().start] + sealed[_second_piece().stop :]
    ),
    "two pieces exchanged": lambda sealed: (
        sealed[:HEADER]
        + sealed[_second_piece()]
        + sealed[HEADER : HEADER + PIECE + TAG]
        + sealed[_second_piece().stop :]
    ),
    "something added": lambda sealed: sealed + b"x",
    "a piece added": lambda sealed: sealed + sealed[_second_piece()],
    "not sealed at all": lambda _: b"StateID\n0000000001\n",
}


def _flipped(sealed: bytes, place: int) -> bytes:
    return sealed[:place] + bytes([sealed[place] ^ 1]) + sealed[place + 1 :]


@pytest.mark.parametrize("damage", DAMAGE)
def test_damage_to_an_archived_file_is_noticed(tmp_path: Path, damage: str):
    archive = Archive(tmp_path / "archive", KEY)
    source = tmp_path / "received.csv"
    source.write_bytes(secrets.token_bytes(2 * PIECE + 5))
    sha256 = archive.store(source)
    path = archive.path(sha256)
    whole = path.read_bytes()
    path.chmod(0o644)
    path.write_bytes(DAMAGE[damage](whole))
    with pytest.raises(SealBrokenError):
        unseal(path.read_bytes(), KEY)
    with pytest.raises(ArchiveDamagedError, match=sha256):
        archive.read(sha256)
    path.write_bytes(whole)
    assert archive.read(sha256) == source.read_bytes()


def test_a_whole_sealed_file_in_the_place_of_another_is_noticed(tmp_path: Path):
    archive = Archive(tmp_path / "archive", KEY)
    kept = []
    for content in (b"one", b"other"):
        (tmp_path / "received.csv").write_bytes(content)
        kept.append(archive.store(tmp_path / "received.csv"))
    archive.path(kept[1]).replace(archive.path(kept[0]))
    with pytest.raises(ArchiveDamagedError):
        archive.read(kept[0])


def test_another_key_opens_nothing():
    sealed = seal(b"content", KEY)
    with pytest.raises(SealBrokenError):
        unseal(sealed, secrets.token_bytes(32))


def test_an_archived_file_lies_there_sealed_from_its_first_byte_on(tmp_path: Path):
    archive = Archive(tmp_path / "archive", KEY)
    content = b"StateID\n" + b"0000000001\n" * 200_000
    seen = []

    def fill(part: io.RawIOBase) -> str:
        part.write(content)
        (written,) = archive.root.glob(".part-*")
        seen.append(written.read_bytes())
        return "ab12"

    assert archive.store_output(fill) == "ab12"
    assert len(seen[0]) > PIECE
    assert not any(b"0000000001" in there for there in (*seen, archive.path("ab12").read_bytes()))


def test_the_beginning_and_the_size_of_an_archived_file_are_those_of_its_content(tmp_path: Path):
    source = tmp_path / "received.csv"
    source.write_bytes(secrets.token_bytes(2 * PIECE + 5))
    for archive in (Archive(tmp_path / "plain"), Archive(tmp_path / "sealed", KEY)):
        sha256 = archive.store(source)
        assert archive.has(sha256)
        assert archive.size(sha256) == 2 * PIECE + 5
        assert archive.read_start(sha256, 100) == source.read_bytes()[:100]
        assert archive.read_start(sha256, PIECE + 100) == source.read_bytes()[: PIECE + 100]


def test_reading_a_sealed_file_takes_no_second_copy_of_it_in_memory(tmp_path: Path):
    archive = Archive(tmp_path / "archive", KEY)
    source = tmp_path / "received.csv"
    source.write_bytes(bytes(64 * PIECE))
    sha256 = archive.store(source)
    tracemalloc.start()
    content = archive.read(sha256)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(content) == 64 * PIECE
    assert peak < 80 * PIECE


_PLACES = st.tuples(st.sampled_from([0, 1, 2]), st.integers(-3 * PIECE, 3 * PIECE))


@settings(max_examples=40, deadline=None)
@given(
    size=st.sampled_from([0, 1, PIECE - 1, PIECE, PIECE + 1, 2 * PIECE, 3 * PIECE - 7]),
    steps=st.lists(st.tuples(_PLACES, st.integers(0, PIECE + 5)), max_size=8),
)
def test_a_sealed_file_is_read_from_any_place_as_a_plain_one_is(
    size: int, steps: list[tuple[tuple[int, int], int]]
):
    content = (bytes(range(251)) * (size // 251 + 1))[:size]
    plain = io.BytesIO(content)
    sealed = io.BufferedReader(SealedReader(io.BytesIO(seal(content, KEY)), KEY))
    for (whence, offset), length in steps:
        origin = {0: 0, 1: plain.tell(), 2: size}[whence]
        assert sealed.seek(max(-origin, offset), whence) == plain.seek(max(-origin, offset), whence)
        assert sealed.read(length) == plain.read(length)


def test_a_reader_notices_a_changed_piece_and_a_missing_end():
    sealed = bytearray(seal(bytes(3 * PIECE), KEY))
    cut_off = SealedReader(io.BytesIO(bytes(sealed[: HEADER + 2 * (PIECE + TAG)])), KEY)
    cut_off.seek(PIECE)
    with pytest.raises(SealBrokenError):
        cut_off.read(1)
    sealed[HEADER + PIECE + TAG + 5] ^= 1
    changed = SealedReader(io.BytesIO(bytes(sealed)), KEY)
    assert changed.read(10) == bytes(10)
    changed.seek(PIECE)
    with pytest.raises(SealBrokenError):
        changed.read(1)


@pytest.mark.parametrize("key", [None, KEY], ids=["plain", "sealed"])
def test_an_archived_file_is_opened_at_any_place_unless_it_is_damaged(
    tmp_path: Path, key: bytes | None
):
    archive = Archive(tmp_path / "archive", key)
    source = tmp_path / "received.csv"
    source.write_bytes(secrets.token_bytes(2 * PIECE + 5))
    sha256 = archive.store(source)
    content = archive.content(sha256)
    assert content.size == 2 * PIECE + 5
    assert _read_end(content) == source.read_bytes()[-9:]
    path = archive.path(sha256)
    path.chmod(0o600)
    with path.open("r+b") as stored:
        stored.seek(-30, io.SEEK_END)
        stored.write(b"x")
    with pytest.raises(ArchiveDamagedError):
        _read_end(content)


def _read_end(content: Content) -> bytes:
    with content.open() as file:
        file.seek(-9, io.SEEK_END)
        return file.read()


def test_pieces_are_given_one_by_one():
    sealed = io.BytesIO(seal(bytes(5 * PIECE), KEY))
    read_start = next(read_pieces(sealed, KEY))
    assert len(read_start) == PIECE
    assert sealed.tell() <= HEADER + 2 * (PIECE + TAG)
