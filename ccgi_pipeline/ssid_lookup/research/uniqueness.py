"""How many students a look-up by a key would find: the table of CDE's change request.

Belongs here: counting for a ``LookupKey`` how many combinations one student has, two students
have, and so on; the table as text, CSV and chart. Does not belong here: the look-up itself
(``service``, ``store``) and what wider rules would find (``matching_rules``).

The columns are CDE's. "Name Count" combinations belong to "Result Count" students each; "% of
total" is the share of all combinations, not of all students. CDE's text says "93.789% of the
records are unique", but its table says that 93.789 % of 11,814,417 combinations are. Of its
12,737,456 students only 86.992 % are unique (``percent_unique``): those whom a look-up by first
initial, last name and birth date could find.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass

import duckdb
import polars as pl

from ccgi_pipeline.encryption.duckdb_spill import encrypt_spill

PARTS = {
    "first_name": "nfc_normalize(FirstName)",
    "first_initial": "left(nfc_normalize(FirstName), 1)",
    "middle_name": "nfc_normalize(MiddleName)",
    "last_name": "nfc_normalize(LastName)",
    "birth_date": "BirthDate",
    "birth_year": "year(BirthDate)",
    "cds_code": "CDSCode",
}
"""The parts of a key, each with the SQL that takes it from an identity. A letter with an accent is
one sign, as in a look-up."""

RESULT_COUNT, NAME_COUNT = "Result Count", "Name Count"
PERCENT, RUNNING = "% of total", "Running %"
TABLE_SCHEMA = {
    RESULT_COUNT: pl.Int64,
    NAME_COUNT: pl.Int64,
    PERCENT: pl.Float64,
    RUNNING: pl.Float64,
}

_DECIMALS = 3
"""Decimals of a percentage, as in CDE's table."""


@dataclass(frozen=True)
class LookupKey:
    """The parts (names of ``PARTS``) that students are looked up by.

    ``with_aliases``: a student counts under the alias as well, which replaces the first name, the
    last name or both, as the state has it.
    """

    parts: tuple[str, ...]
    with_aliases: bool = False

    def __post_init__(self) -> None:
        unknown = [part for part in self.parts if part not in PARTS]
        if unknown or not self.parts:
            msg = f"a key is made of {', '.join(PARTS)}, not of {', '.join(unknown) or 'nothing'}"
            raise ValueError(msg)


_FULL = ("first_name", "last_name", "birth_date")
_INITIAL = ("first_initial", "last_name", "birth_date")

KEYS = {
    "name_and_birth": LookupKey(_FULL),
    "initial_and_birth": LookupKey(_INITIAL),
    "name_birth_and_school": LookupKey((*_FULL, "cds_code")),
    "initial_birth_and_school": LookupKey((*_INITIAL, "cds_code")),
    "name_and_birth_with_aliases": LookupKey(_FULL, with_aliases=True),
    "initial_and_birth_with_aliases": LookupKey(_INITIAL, with_aliases=True),
    "name_birth_and_school_with_aliases": LookupKey((*_FULL, "cds_code"), with_aliases=True),
}
"""The keys that CDE and the Chancellor's Office discussed, by name."""


def count_uniqueness(
    identities: duckdb.DuckDBPyRelation | pl.DataFrame, key: LookupKey
) -> pl.DataFrame:
    """Returns the table of ``key`` (``TABLE_SCHEMA``), one row for each Result Count.

    Args:
        identities: rows with ``SSID`` and the columns that the key needs, one or more for each
            student; a DuckDB table, view or file of any size, or a frame.
        key: what students are looked up by. A student without one of its parts is not counted.
    """
    if isinstance(identities, pl.DataFrame):
        with duckdb.connect() as connection:
            encrypt_spill(connection)
            return count_uniqueness(connection.from_arrow(identities.to_arrow()), key)
    counted = identities.query("identities", _build_count_query(key)).pl()
    return add_percentages(counted)


def _build_count_query(key: LookupKey) -> str:
    parts = [PARTS[part] for part in key.parts]
    held = " AND ".join(f"({part}) IS NOT NULL" for part in parts)
    # Identifiers and expressions are those declared above; no value is in them.
    return f"""
        WITH combinations AS (
            SELECT count(DISTINCT SSID) AS students
            FROM ({_select_names(key)}) WHERE {held} GROUP BY {", ".join(parts)}
        )
        SELECT students AS "{RESULT_COUNT}", count(*) AS "{NAME_COUNT}"
        FROM combinations GROUP BY students
    """  # noqa: S608


def _select_names(key: LookupKey) -> str:
    """Returns the SQL for the rows under every name that counts."""
    if not key.with_aliases:
        return "FROM identities"
    return """
        FROM identities
        UNION ALL BY NAME
        SELECT * REPLACE (
            coalesce(AliasFirstName, FirstName) AS FirstName,
            coalesce(AliasLastName, LastName) AS LastName
        )
        FROM identities WHERE AliasFirstName IS NOT NULL OR AliasLastName IS NOT NULL
    """


def add_percentages(counted: pl.DataFrame) -> pl.DataFrame:
    """Returns the complete table from its first two columns, whose rows may have any order."""
    names = pl.col(NAME_COUNT)
    return (
        counted.sort(RESULT_COUNT)
        .with_columns(
            (100 * names / names.sum()).alias(PERCENT),
            # From the counts, because rounded percentages add up to others.
            (100 * names.cum_sum() / names.sum()).alias(RUNNING),
        )
        .select(pl.col(name).cast(dtype) for name, dtype in TABLE_SCHEMA.items())
    )


def percent_unique(table: pl.DataFrame) -> float:
    """Returns the percentage of students, not of combinations, who are alone with theirs.

    For a key with a school or with aliases, a student counts once for each school or name.
    """
    students = pl.col(RESULT_COUNT) * pl.col(NAME_COUNT)
    alone = students.filter(pl.col(RESULT_COUNT) == 1).sum()
    return float(table.select((100 * alone / students.sum()).fill_nan(0.0)).item())


# --- output -----------------------------------------------------------------------------------


def format_rows(table: pl.DataFrame) -> list[tuple[str, ...]]:
    """Returns the table's cells in CDE's form, with the header first."""
    cells = [
        (str(result), str(names), _format_percent(share), _format_percent(running))
        for result, names, share, running in table.iter_rows()
    ]
    return [tuple(table.columns), *cells]


def format_csv(table: pl.DataFrame) -> str:
    """Returns the table as CSV."""
    return "".join(",".join(row) + "\n" for row in format_rows(table))


def format_text(table: pl.DataFrame) -> str:
    """Returns the table in aligned columns, for a terminal."""
    rows = format_rows(table)
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    lines = (
        "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True))
        for row in rows
    )
    return "".join(line + "\n" for line in lines)


def _format_percent(share: float) -> str:
    return f"{share:.{_DECIMALS}f}%"


def draw_svg(table: pl.DataFrame, title: str) -> str:
    """Returns the table as a bar chart: one SVG element without references to other files.

    The length of a bar follows the logarithm of the count, so that a small count is visible too.
    """
    import altair as alt  # noqa: PLC0415 - slow to import, and only this draws
    import vl_convert  # noqa: PLC0415

    bars = [
        {
            "students": int(result),
            "length": math.log1p(int(names)),
            "words": f"{int(names):,} ({percent})",
        }
        for result, names, percent, _ in format_rows(table)[1:]
    ]
    base = alt.Chart({"values": bars}, width=_WIDTH, height=alt.Step(_ROW_HEIGHT), title=title)
    base = base.encode(
        x=alt.X(
            "length:Q",
            axis=alt.Axis(labels=False, ticks=False, grid=False),
            title="combinations that so many students share (logarithmic)",
        ),
        y=alt.Y("students:O", title="students"),
    )
    words = base.mark_text(align="left", dx=6).encode(text="words:N")
    picture = alt.layer(base.mark_bar(), words).configure(background="white", font="sans-serif")
    picture = picture.configure_view(stroke=None)
    return str(vl_convert.vegalite_to_svg(json.dumps(picture.to_dict()))) + "\n"


_WIDTH, _ROW_HEIGHT = 460, 22
"""Of the bars, in pixels."""
