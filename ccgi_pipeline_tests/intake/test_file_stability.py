"""Settling: what may be taken for whole, after any history of looks."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccgi_pipeline.intake.checksums import parse_checksums
from ccgi_pipeline.intake.file_stability import (
    Sighting,
    attempt_number,
    select_stable_files,
    update_sightings,
)
from ccgi_pipeline.intake.inbox import InboxFile

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
QUIET = timedelta(minutes=5)


def file(name: str, stamp: str = "1", folder: str = "3367173/transcript") -> InboxFile:
    return InboxFile(f"{folder}/{name}", "3367173", "transcript", stamp)


_GROWTH = st.lists(
    st.tuples(st.integers(1, 600), st.lists(st.integers(0, 3), min_size=3, max_size=3)),
    min_size=1,
    max_size=25,
)
"""Looks so many seconds apart, and by how much each of three files grew before the look."""


@given(_GROWTH)
def test_a_file_is_taken_exactly_when_all_of_its_folder_stood_still_long_enough(
    history: list[tuple[int, list[int]]],
) -> None:
    sightings: dict[str, Sighting] = {}
    now = NOON
    sizes = [0, 0, 0]
    first_seen_so = [NOON] * 3
    times_seen_so = [0] * 3
    for seconds, growth in history:
        now += timedelta(seconds=seconds)
        for n, by in enumerate(growth):
            if by or not times_seen_so[n]:
                first_seen_so[n], times_seen_so[n] = now, 0
            sizes[n] += by
            times_seen_so[n] += 1
        files = [file(f"{n}.csv", str(size)) for n, size in enumerate(sizes)]
        sightings = update_sightings(files, sightings, now)
        rest = [
            times_seen_so[n] >= 2 and now - first_seen_so[n] >= QUIET for n in range(len(files))
        ]
        long = [
            times_seen_so[n] >= 2 and now - first_seen_so[n] >= 12 * QUIET
            for n in range(len(files))
        ]
        expected = [f for f, alone in zip(files, long, strict=True) if all(rest) or alone]
        assert select_stable_files(files, [], sightings, now, QUIET) == expected


def _looks(now: datetime, *files: InboxFile) -> dict[str, Sighting]:
    return {file.shown: Sighting(file.stamp, now - timedelta(minutes=30), 9) for file in files}


def test_somebody_writing_under_a_partial_name_keeps_the_folder_waiting() -> None:
    whole, part = file("a.csv"), file("b.csv.filepart", "7")
    sightings = {**_looks(NOON, whole), **update_sightings([part], {}, NOON)}
    assert select_stable_files([whole], [part], sightings, NOON, QUIET) == []


def test_a_partial_name_that_was_left_behind_keeps_nobody_waiting() -> None:
    whole, part = file("a.csv"), file("b.csv.filepart", "7")
    assert select_stable_files([whole], [part], _looks(NOON, whole, part), NOON, QUIET) == [whole]


def test_other_folders_are_waited_for_by_nobody() -> None:
    whole, other = file("a.csv"), file("a.csv", folder="3367173/oneroster")
    sightings = {**_looks(NOON, whole), **update_sightings([other], {}, NOON)}
    assert select_stable_files([whole, other], [], sightings, NOON, QUIET) == [whole]


def test_a_look_from_the_future_counts_for_nothing() -> None:
    whole = file("a.csv")
    sightings = update_sightings(
        [whole], {whole.shown: Sighting("1", NOON + timedelta(days=1), 9)}, NOON
    )
    assert sightings[whole.shown] == Sighting("1", NOON, 1)


def test_a_night_is_asked_for_again_each_time_that_the_wait_has_doubled() -> None:
    whole = file("a.csv")
    sightings = {whole.shown: Sighting("1", NOON, 2)}
    hours = [
        attempt_number([whole], sightings, NOON + timedelta(minutes=m))
        for m in (5, 19, 20, 39, 40, 160)
    ]
    assert hours == [0, 0, 1, 1, 2, 4]


_SHA = "ab" * 32


@pytest.mark.parametrize(
    "content",
    [
        f"{_SHA}  a.csv\n",
        f"{_SHA} *a.csv\r\n",
        f"\ufeff{_SHA.upper()}  ./folder/a.csv\n",
        f"{_SHA}  folder\\a.csv\n\n",
    ],
)
def test_a_list_of_checksums_is_read_as_tools_write_it(content: str) -> None:
    assert parse_checksums(content.encode()) == {"a.csv": _SHA}


@pytest.mark.parametrize(
    "content", ["", f"{_SHA}  a.csv", f"{_SHA}  a.csv\nabc", "a.csv\n", f"{_SHA[:-1]}  a.csv\n"]
)
def test_a_list_that_is_not_whole_vouches_for_nothing(content: str) -> None:
    assert parse_checksums(content.encode()) == {}


@given(st.binary(max_size=200))
def test_any_bytes_can_be_read_as_a_list(content: bytes) -> None:
    assert all(len(sha256) == 64 for sha256 in parse_checksums(content).values())
