"""How many students a look-up by a key would find: the table of CDE's change request.

Belongs here: counting, for any ``Key``, how many combinations are held by one student, by two, by
three; the table as text, as CSV and as a chart. Does not belong here: looking anybody up (service,
store), or what widening the look-up would bring (rules_of_matching).

The columns are CDE's, and mean what its figures mean. "Name Count" combinations are held by
"Result Count" students each; "% of total" is of all combinations, not of all students. CDE's text
says "93.789% of the records are unique" where its table says that 93.789 % of 11,814,417
combinations are; of its 12,737,456 students only 86.992 % are alone (``students_alone``), and that
is the share whom a look-up by first initial, last name and birth date could find.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from html import escape

import duckdb
import polars as pl

from ccgi_pipeline.encryption.duckdb_spill import encrypt_spill

PARTS = {
    "first_name": "FirstName",
    "first_initial": "left(FirstName, 1)",
    "middle_name": "MiddleName",
    "last_name": "LastName",
    "birth_date": "BirthDate",
    "birth_year": "year(BirthDate)",
    "cds_code": "CDSCode",
}
"""What a key can be made of, as DuckDB reads it off an identity."""

RESULT_COUNT, NAME_COUNT = "Result Count", "Name Count"
PERCENT, RUNNING = "% of total", "Running %"
TABLE_SCHEMA = {
    RESULT_COUNT: pl.Int64,
    NAME_COUNT: pl.Int64,
    PERCENT: pl.Float64,
    RUNNING: pl.Float64,
}

_DECIMALS = 3
"""As CDE prints its percentages."""


@dataclass(frozen=True)
class Key:
    """What students are looked up by: names of ``PARTS``.

    ``with_aliases``: a student counts under the alias too, the alias standing for the first name,
    the last name or both, as the state has it.
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
    "name_and_birth": Key(_FULL),
    "initial_and_birth": Key(_INITIAL),
    "name_birth_and_school": Key((*_FULL, "cds_code")),
    "initial_birth_and_school": Key((*_INITIAL, "cds_code")),
    "name_and_birth_with_aliases": Key(_FULL, with_aliases=True),
    "initial_and_birth_with_aliases": Key(_INITIAL, with_aliases=True),
    "name_birth_and_school_with_aliases": Key((*_FULL, "cds_code"), with_aliases=True),
}
"""The keys that CDE and the Chancellor's Office spoke about, by name."""


def uniqueness(identities: duckdb.DuckDBPyRelation | pl.DataFrame, key: Key) -> pl.DataFrame:
    """The table of ``key`` (``TABLE_SCHEMA``), one row for each Result Count that there is.

    Args:
        identities: rows with ``SSID`` and the columns that the key needs, any number of rows to a
            student (one for each school); a DuckDB table, view or file at any size, or a frame.
        key: what students are looked up by. Whoever lacks a part of it cannot be looked up so, and
            is not counted.
    """
    if isinstance(identities, pl.DataFrame):
        with duckdb.connect() as connection:
            encrypt_spill(connection)
            return uniqueness(connection.from_arrow(identities.to_arrow()), key)
    counted = identities.query("identities", _counting(key)).pl()
    return with_percentages(counted)


def _counting(key: Key) -> str:
    parts = [PARTS[part] for part in key.parts]
    held = " AND ".join(f"({part}) IS NOT NULL" for part in parts)
    # Identifiers and expressions are those declared above; no value is in them.
    return f"""
        WITH combinations AS (
            SELECT count(DISTINCT SSID) AS students
            FROM ({_names(key)}) WHERE {held} GROUP BY {", ".join(parts)}
        )
        SELECT students AS "{RESULT_COUNT}", count(*) AS "{NAME_COUNT}"
        FROM combinations GROUP BY students
    """  # noqa: S608


def _names(key: Key) -> str:
    """The rows under every name that counts."""
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


def with_percentages(counted: pl.DataFrame) -> pl.DataFrame:
    """The whole table, from its first two columns in any order."""
    names = pl.col(NAME_COUNT)
    return (
        counted.sort(RESULT_COUNT)
        .with_columns(
            (100 * names / names.sum()).alias(PERCENT),
            # From the counts, not from the rounded percentages: 93.789 and 5.106 make 98.896.
            (100 * names.cum_sum() / names.sum()).alias(RUNNING),
        )
        .select(pl.col(name).cast(dtype) for name, dtype in TABLE_SCHEMA.items())
    )


def students_alone(table: pl.DataFrame) -> float:
    """The share (percent) of students, not of combinations, who share theirs with nobody.

    Under a key with a school or with aliases, of a student's schools or names.
    """
    students = pl.col(RESULT_COUNT) * pl.col(NAME_COUNT)
    alone = students.filter(pl.col(RESULT_COUNT) == 1).sum()
    return float(table.select((100 * alone / students.sum()).fill_nan(0.0)).item())


# --- as people read it ------------------------------------------------------------------------


def as_rows(table: pl.DataFrame) -> list[tuple[str, ...]]:
    """The table's cells as CDE writes them, the header first."""
    cells = [
        (str(result), str(names), _percent(share), _percent(running))
        for result, names, share, running in table.iter_rows()
    ]
    return [tuple(table.columns), *cells]


def as_csv(table: pl.DataFrame) -> str:
    """The table as comma-separated lines."""
    return "".join(",".join(row) + "\n" for row in as_rows(table))


def as_text(table: pl.DataFrame) -> str:
    """The table in columns of figures, for a terminal."""
    rows = as_rows(table)
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    lines = (
        "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True))
        for row in rows
    )
    return "".join(line + "\n" for line in lines)


def _percent(share: float) -> str:
    return f"{share:.{_DECIMALS}f}%"


_WIDTH, _MARGIN = 720, 20
_ROW_HEIGHT, _HEAD_HEIGHT = 26, 64
_BAR_FROM, _BAR_WIDTH = 110, 400
_LEAST_BAR = 0.04
"""Of the full width: what a single combination still shows."""


def as_svg(table: pl.DataFrame, title: str) -> str:
    """The table as a bar chart in one SVG element, which needs nothing beside it.

    Bars grow with the logarithm of the count: next to 94 in a hundred, one in a million would
    otherwise not be seen.
    """
    lengths = [math.log1p(names) for names in table[NAME_COUNT]]
    bars = "\n".join(
        _bar(number, row, max(_LEAST_BAR, length / max(lengths)))
        for number, (row, length) in enumerate(zip(as_rows(table)[1:], lengths, strict=True))
    )
    height = _HEAD_HEIGHT + _ROW_HEIGHT * table.height + _MARGIN
    return f"""\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" role="img" \
width="{_WIDTH}" height="{height}" font-family="sans-serif" font-size="13">
<title>{escape(title)}</title>
<rect width="100%" height="100%" fill="#ffffff"/>
<text x="{_MARGIN}" y="26" font-size="16" fill="#1f2933">{escape(title)}</text>
<text x="{_MARGIN}" y="50" fill="#52606d">students</text>
<text x="{_BAR_FROM}" y="50" fill="#52606d">combinations that so many students share \
(logarithmic)</text>
{bars}
</svg>
"""


def _bar(number: int, row: tuple[str, ...], share: float) -> str:
    result, names, percent, _ = row
    top = _HEAD_HEIGHT + _ROW_HEIGHT * number
    width = share * _BAR_WIDTH
    middle = top + _ROW_HEIGHT / 2 + 2
    return (
        f'<text x="{_BAR_FROM - 14}" y="{middle:.0f}" text-anchor="end" fill="#1f2933">{result}'
        f'</text><rect x="{_BAR_FROM}" y="{top}" width="{width:.1f}" height="{_ROW_HEIGHT - 8}" '
        f'rx="2" fill="#2f6f9f"/><text x="{_BAR_FROM + width + 8:.1f}" y="{middle:.0f}" '
        f'fill="#1f2933">{int(names):,} ({percent})</text>'
    )
