"""The table of how many students share a key, its renderings, and CDE's own figures in it.

Belongs here: counting. Does not belong here: the synthetic state that reproduces it (synthetic).
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Iterator
from datetime import date
from unicodedata import normalize

import duckdb
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ccgi_pipeline.ssid_lookup.research.uniqueness import (
    KEYS,
    NAME_COUNT,
    PERCENT,
    RESULT_COUNT,
    RUNNING,
    TABLE_SCHEMA,
    LookupKey,
    add_percentages,
    count_uniqueness,
    draw_svg,
    format_csv,
    format_rows,
    format_text,
    percent_unique,
)
from ccgi_pipeline.synthetic.identities import PUBLISHED

COLUMNS = {
    "SSID": pl.String,
    "FirstName": pl.String,
    "LastName": pl.String,
    "AliasFirstName": pl.String,
    "AliasLastName": pl.String,
    "BirthDate": pl.Date,
    "CDSCode": pl.String,
}
Row = tuple[str, str | None, str | None, str | None, str | None, date | None, str | None]

BORN = date(2008, 3, 7)
STATE: list[Row] = [
    ("1", "Ana", "Ruiz", None, None, BORN, "A"),
    ("1", "Ana", "Ruiz", None, None, BORN, "B"),
    ("2", "Ana", "Ruiz", None, None, BORN, "B"),
    ("3", "Alma", "Ruiz", "Ana", None, BORN, "C"),
    ("4", "Ben", "Ruiz", None, "Sosa", BORN, "A"),
    ("5", "Ben", "Sosa", None, None, BORN, "A"),
    ("6", "Ben", None, None, None, BORN, "A"),
]

PUBLISHED_PERCENTAGES = """\
Result Count,Name Count,% of total,Running %
1,11080627,93.789%,93.789%
2,603303,5.106%,98.896%
3,92121,0.780%,99.675%
4,25139,0.213%,99.888%
5,8504,0.072%,99.960%
6,3072,0.026%,99.986%
7,1112,0.009%,99.995%
8,363,0.003%,99.999%
9,119,0.001%,100.000%
10,44,0.000%,100.000%
11,6,0.000%,100.000%
12,5,0.000%,100.000%
13,1,0.000%,100.000%
14,1,0.000%,100.000%
"""


@pytest.fixture
def published() -> pl.DataFrame:
    return add_percentages(
        pl.DataFrame({RESULT_COUNT: list(PUBLISHED), NAME_COUNT: list(PUBLISHED.values())})
    )


def state(rows: list[Row]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=COLUMNS, orient="row")


def counts(table: pl.DataFrame) -> dict[int, int]:
    return dict(table.select(RESULT_COUNT, NAME_COUNT).iter_rows())


# --- what is counted ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        # Ana Ruiz twice; Alma Ruiz, Ben Ruiz and Ben Sosa once each.
        ("name_and_birth", {1: 3, 2: 1}),
        # A. Ruiz three times; B. Ruiz and B. Sosa once each.
        ("initial_and_birth", {1: 2, 3: 1}),
        # Ana Ruiz at A, twice at B; Alma Ruiz at C; Ben Ruiz at A; Ben Sosa at A.
        ("name_birth_and_school", {1: 4, 2: 1}),
        ("initial_birth_and_school", {1: 4, 2: 1}),
        # Alma counts as Ana too, and Ben Ruiz as Ben Sosa too.
        ("name_and_birth_with_aliases", {1: 2, 2: 1, 3: 1}),
        # An alias with the same initial is no other combination.
        ("initial_and_birth_with_aliases", {1: 1, 2: 1, 3: 1}),
    ],
)
def test_students_are_counted_by_what_they_share(key: str, expected: dict[int, int]) -> None:
    assert counts(count_uniqueness(state(STATE), KEYS[key])) == expected


def test_a_student_with_two_schools_is_one_student() -> None:
    assert counts(count_uniqueness(state(STATE[:2]), KEYS["name_and_birth"])) == {1: 1}


def test_a_name_is_the_same_with_its_accents_apart() -> None:
    rows: list[Row] = [
        (ssid, normalize(form, "Émile"), normalize(form, "Núñez"), None, None, BORN, "A")
        for ssid, form in (("1", "NFC"), ("2", "NFD"))
    ]
    for key in ("name_and_birth", "initial_and_birth"):
        assert counts(count_uniqueness(state(rows), KEYS[key])) == {2: 1}


def test_whoever_lacks_a_part_of_the_key_is_not_counted() -> None:
    assert count_uniqueness(state(STATE[-1:]), KEYS["name_and_birth"]).is_empty()
    assert counts(count_uniqueness(state(STATE[-1:]), LookupKey(("first_name", "birth_date")))) == {
        1: 1
    }


def test_any_parts_make_a_key_and_others_are_refused() -> None:
    assert counts(count_uniqueness(state(STATE), LookupKey(("birth_year",)))) == {6: 1}
    with pytest.raises(ValueError, match="not of shoe_size"):
        LookupKey(("last_name", "shoe_size"))
    with pytest.raises(ValueError, match="not of nothing"):
        LookupKey(())


def test_a_table_of_a_database_is_counted_as_a_frame_is() -> None:
    with duckdb.connect() as connection:
        connection.from_arrow(state(STATE).to_arrow()).create("calpads_identity")
        for key in KEYS.values():
            of_table = count_uniqueness(connection.table("calpads_identity"), key)
            assert of_table.equals(count_uniqueness(state(STATE), key))


def test_nobody_makes_an_empty_table_with_its_columns() -> None:
    table = count_uniqueness(state([]), KEYS["name_and_birth"])
    assert table.schema == pl.Schema(TABLE_SCHEMA)
    assert table.is_empty()
    assert percent_unique(table) == 0


def names_of(row: Row) -> Iterator[tuple[str | None, str | None]]:
    _, first, last, alias_first, alias_last, *_ = row
    yield first, last
    yield alias_first or first, alias_last or last


def counted_by_hand(rows: list[Row], key: LookupKey) -> dict[int, int]:
    holders: dict[tuple[object, ...], set[str]] = {}
    for row in rows:
        for first, last in list(names_of(row))[: 2 if key.with_aliases else 1]:
            born = row[5]
            parts = {
                "first_name": first,
                "first_initial": first and first[0],
                "last_name": last,
                "birth_date": born,
                "cds_code": row[6],
            }
            combination = tuple(parts[part] for part in key.parts)
            if None not in combination:
                holders.setdefault(combination, set()).add(row[0])
    return dict(Counter(len(students) for students in holders.values()))


ROWS = st.lists(
    st.tuples(
        st.sampled_from("123456789"),
        st.sampled_from(["Ana", "Alma", "Ángel", "Ben", None]),
        st.sampled_from(["Ruiz", "Sosa", "De León", None]),
        st.sampled_from([None, "Ana", "Bo"]),
        st.sampled_from([None, "Sosa"]),
        st.sampled_from([BORN, date(2009, 1, 1), None]),
        st.sampled_from(["A", "B", None]),
    ),
    max_size=30,
)


@settings(max_examples=60, deadline=None)
@given(rows=ROWS, key=st.sampled_from(list(KEYS.values())))
def test_the_count_agrees_with_counting_by_hand(rows: list[Row], key: LookupKey) -> None:
    table = count_uniqueness(state(rows), key)
    assert counts(table) == counted_by_hand(rows, key)
    if rows and not table.is_empty():
        assert table[PERCENT].sum() == pytest.approx(100)
        assert table[RUNNING].last() == pytest.approx(100)
        assert table[RUNNING].is_sorted()


# --- CDE's figures ------------------------------------------------------------------------------


def test_the_published_percentages_follow_from_the_published_counts(
    published: pl.DataFrame,
) -> None:
    assert format_csv(published) == PUBLISHED_PERCENTAGES


def test_the_published_percentages_are_of_combinations_and_fewer_students_are_alone(
    published: pl.DataFrame,
) -> None:
    assert published[NAME_COUNT].sum() == 11_814_417
    assert (published[RESULT_COUNT] * published[NAME_COUNT]).sum() == 12_737_456
    assert percent_unique(published) == pytest.approx(86.992, abs=0.001)


# --- renderings ---------------------------------------------------------------------------------


def test_the_text_stands_in_columns(published: pl.DataFrame) -> None:
    lines = format_text(published).splitlines()
    assert len(lines) == 15
    assert len({len(line) for line in lines}) == 1
    assert lines[1].split() == ["1", "11080627", "93.789%", "93.789%"]


def test_the_chart_is_one_element_with_a_bar_for_each_row(published: pl.DataFrame) -> None:
    svg = draw_svg(published, "First initial & last name <and birth date>")
    root = ET.fromstring(svg)  # noqa: S314 - our own text
    space = "{http://www.w3.org/2000/svg}"
    assert root.tag == f"{space}svg"
    (bars,) = [mark for mark in root.iter(f"{space}g") if "mark-rect" in mark.get("class", "")]
    lengths = [float(bar.attrib["d"].split("h")[1].split("v")[0]) for bar in bars]
    assert len(lengths) == 14
    assert lengths == sorted(lengths, reverse=True)
    assert min(lengths) > 0
    texts = "".join(root.itertext())
    assert "First initial & last name <and birth date>" in texts
    assert all(f"({row[2]})" in texts for row in format_rows(published)[1:])
    assert "href" not in svg


def test_a_chart_of_nothing_is_still_a_chart() -> None:
    empty = count_uniqueness(state([]), KEYS["name_and_birth"])
    assert ET.fromstring(draw_svg(empty, "nothing")) is not None  # noqa: S314 - our own text
