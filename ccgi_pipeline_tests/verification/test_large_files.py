"""A large file is judged and loaded in pieces, and nothing tells where one ends.

Belongs here: that verification and load come to the same for every size of the pieces. Does not
belong here: how a file is read in pieces (``intake/test_piece_reader``).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from ccgi_pipeline.common.packed_frames import PackedFrame, unpacked
from ccgi_pipeline.feeds.columns import ColumnType
from ccgi_pipeline.feeds.foster_focus import BEHAVIOR, DEMOGRAPHICS
from ccgi_pipeline.feeds.registry import FAMILIES
from ccgi_pipeline.intake.contents import Content
from ccgi_pipeline.intake.inbox import Drop
from ccgi_pipeline.verification.drop_files import SizeLimit, files_to_verify
from ccgi_pipeline.verification.gates import verify
from ccgi_pipeline.verification.offline_check import shipped_knowledge
from ccgi_pipeline.verification.outcomes import Verification
from ccgi_pipeline.warehouse.load.ledger import load_drops
from ccgi_pipeline.warehouse.storage.connection import open_warehouse
from ccgi_pipeline.warehouse.storage.schema import create_missing_tables
from ccgi_pipeline_tests.files import ON, as_bytes, delivered, good_lines, usual_name
from ccgi_pipeline_tests.intake.changes import CHANGES, PROFILE, Change, mutated
from ccgi_pipeline_tests.nightly.nights import lake_rows

_FAMILIES = ["transcript", "foster_focus", "oneroster"]


def _sent(family: str, repeats: int, damage: Mapping[int, list[Change]]) -> dict[str, bytes]:
    """A file of each feed, whose lines come ``repeats`` times; those of ``damage`` are changed."""
    feeds = FAMILIES[family].feeds
    files = {
        usual_name(feed): as_bytes(
            feed, [*good_lines(feed)] * repeats, separator=feed.separators[0]
        )
        for feed in feeds
    }
    for place, changes in damage.items():
        name = usual_name(feeds[place % len(feeds)])
        files[name] = mutated(files[name], changes)
    return {name: content for name, content in files.items() if content}


def _judged(
    sent: Mapping[str, bytes], family: str, piece: int | None
) -> tuple[list[Drop], Verification]:
    """The drop and its verification, every file in pieces of ``piece`` bytes or none."""
    drops = delivered(sent, family)
    limit = SizeLimit(1e9, large=0 if piece else 1 << 30, piece=piece or 1)
    files = files_to_verify(drops, lambda _, name: _in_parts(sent[name]), limit)
    return drops, verify(files, ON, shipped_knowledge)


def _in_parts(sent: bytes) -> Content:
    """A content that comes 64 bytes at a time."""
    return Content.of_pieces(
        len(sent), lambda: (sent[at : at + 64] for at in range(0, len(sent), 64))
    )


def _assert_same(whole: Verification, pieces: Verification) -> None:
    assert_frame_equal(whole.files, pieces.files)
    assert_frame_equal(whole.findings, pieces.findings)
    assert_frame_equal(whole.causes, pieces.causes)
    for part in ("accepted", "kept_keys", "unread"):
        one, other = getattr(whole, part), getattr(pieces, part)
        assert one.keys() == other.keys()
        for feed, rows in one.items():
            assert_frame_equal(unpacked(rows), unpacked(other[feed]), check_row_order=False)


@pytest.mark.slow
@settings(PROFILE, max_examples=12)
@given(
    family=st.sampled_from(_FAMILIES),
    repeats=st.integers(1, 3),
    damage=st.dictionaries(st.integers(0, 30), CHANGES, max_size=4),
    piece=st.sampled_from([1, 200, 1000]),
)
def test_a_drop_judged_in_pieces_is_judged_as_it_would_be_whole(
    family: str, repeats: int, damage: dict[int, list[Change]], piece: int
) -> None:
    sent = _sent(family, repeats, damage)
    _, whole = _judged(sent, family, None)
    _, pieces = _judged(sent, family, piece)
    _assert_same(whole, pieces)


def test_lines_that_mention_police_are_removed_from_every_piece() -> None:
    lines = [
        {**line, "UniqueID": f"B{number}", "PenaltyTypeDesc": words}
        for number, words in enumerate(["Detention", "Police", "Suspension"] * 4)
        for line in [good_lines(BEHAVIOR)[0]]
    ]
    sent = {usual_name(BEHAVIOR): as_bytes(BEHAVIOR, lines, separator="\t")}
    _, whole = _judged(sent, "foster_focus", None)
    _, pieces = _judged(sent, "foster_focus", 1)
    _assert_same(whole, pieces)
    assert whole.files["removed"].sum() == 4


def test_the_form_of_most_dates_is_that_of_the_whole_file() -> None:
    form = DEMOGRAPHICS.columns["Birthdate"].formats
    assert len(form) > 1
    good = good_lines(DEMOGRAPHICS, 5)
    lines = [
        {
            name: _turned(cell) if declared.type is ColumnType.DATE and number < 2 else cell
            for (name, cell), declared in zip(
                line.items(), DEMOGRAPHICS.columns.values(), strict=True
            )
        }
        for number, line in enumerate(good)
    ]
    sent = {usual_name(DEMOGRAPHICS): as_bytes(DEMOGRAPHICS, lines, separator="\t")}
    _, whole = _judged(sent, "foster_focus", None)
    _, pieces = _judged(sent, "foster_focus", 1)
    _assert_same(whole, pieces)
    told = pieces.findings["rule"].to_list()
    assert "FF-DEM-TYPE-Birthdate" in told


def _turned(date_cell: str) -> str:
    """A date in the other of the two forms."""
    if "/" in date_cell:
        month, day, year = date_cell.split("/")
        return f"{year}-{month:0>2}-{day:0>2}"
    year, _, rest = date_cell.partition("-")
    return f"{rest.replace('-', '/')}/{year}" if rest else date_cell


@pytest.mark.slow
@pytest.mark.parametrize("family", _FAMILIES)
def test_a_drop_loaded_in_pieces_is_loaded_as_it_would_be_whole(
    tmp_path: Path, family: str
) -> None:
    first = _sent(family, 2, {3: [("replace", 700, b'"'), ("delete", 900, b"12")]})
    second = _sent(family, 1, {5: [("replace", 600, b"x1")], 2: [("delete", 500, b"12345")]})
    tables = []
    for piece in (None, 150):
        folder = tmp_path / f"{piece}"
        with open_warehouse(folder) as connection:
            create_missing_tables(connection)
            for sent in (first, second):
                drops, verification = _judged(sent, family, piece)
                if piece:
                    accepted = verification.accepted.values()
                    assert any(isinstance(rows, PackedFrame) for rows in accepted)
                load_drops(connection, drops, verification, ON)
        tables.append(lake_rows(folder))
    assert tables[0] == tables[1]
