"""The Foster Focus look-ups of the profiles: what a district's own codes mean.

Belongs here: the table of look-ups, and the views that join records with them. The records keep
the district's codes, so a look-up can be corrected at any time. Does not belong here: the look-ups'
declaration (profiles).
"""

from __future__ import annotations

import duckdb
import polars as pl

from ccgi_pipeline.feeds import foster_focus
from ccgi_pipeline.feeds.foster_focus.standard_tests import WORDS
from ccgi_pipeline.profiles import Profiles
from ccgi_pipeline.warehouse.storage.schema import qualify_table

LOOKUP_NAMES = ("sites", "gpa_types", "score_types", "tests")
_SCHEMA = {"_sender": pl.String, "kind": pl.String, "code": pl.String, "meaning": pl.String}


def refresh_foster_lookups(
    connection: duckdb.DuckDBPyConnection, profiles: Profiles, senders: list[str]
) -> None:
    """Replaces the look-ups of ``senders`` with those of their profiles; part of a load."""
    rows = [
        (sender, kind, code, meaning)
        for sender in senders
        for kind in LOOKUP_NAMES
        for code, meaning in getattr(profiles.of(sender).foster_focus, kind).items()
    ]
    # An unneeded change would add a snapshot and files for nothing.
    theirs = {"senders": senders}
    known = connection.execute(
        f"SELECT {', '.join(_SCHEMA)} FROM foster_lookups WHERE list_contains($senders, _sender)",
        theirs,
    ).fetchall()
    if sorted(known) != sorted(rows):
        connection.execute(
            "DELETE FROM foster_lookups WHERE list_contains($senders, _sender)", theirs
        )
        if rows:
            connection.register("lookups", pl.DataFrame(rows, _SCHEMA, orient="row").to_arrow())
            connection.execute("INSERT INTO foster_lookups BY NAME SELECT * FROM lookups")
            connection.unregister("lookups")
    made = dict(
        connection.execute(
            "SELECT view_name, sql FROM duckdb_views() WHERE database_name = 'lake'"
        ).fetchall()
    )
    for name, query in VIEWS.items():
        if made.get(name) != _stored_view(connection, name, query):
            connection.execute(f"CREATE OR REPLACE VIEW {name} AS {query}")


def _stored_view(connection: duckdb.DuckDBPyConnection, name: str, query: str) -> str | None:
    """Returns the statement of a view in the form in which DuckDB stores it."""
    connection.execute(f"CREATE OR REPLACE TEMP VIEW {name} AS {query}")
    kept = connection.execute(
        "SELECT sql FROM duckdb_views() WHERE temporary AND view_name = ?", [name]
    ).fetchone()
    connection.execute(f"DROP VIEW temp.{name}")
    return str(kept[0]).replace("CREATE TEMP VIEW", "CREATE VIEW") if kept else None


def _meaning(kind: str, code: str) -> str:
    """Returns SQL for the meaning of a record's ``code``, or null."""
    return f"""(
        SELECT any_value(meaning) FROM {qualify_table("foster_lookups")} AS known
        WHERE known._sender = record._sender AND known.kind = '{kind}'
            AND nfc_normalize(known.code) = nfc_normalize({code})
    )"""


def _standard_test() -> str:
    """Returns SQL for the standard test that a score's own words name, or null."""
    named = "upper(concat_ws(' ', record.TestSubType, record.TestType, record.TestDescription))"
    cases = " ".join(
        f"WHEN regexp_matches({named}, '\\b(?:{words})\\b') THEN '{test}'"
        for test, words in WORDS.items()
    )
    return f"CASE {cases} END"


VIEWS = {
    f"{foster_focus.ENROLLMENT_HISTORY.name}_by_site": f"""
        SELECT record.*,
            coalesce({_meaning("sites", "record.SISSchoolCode")}, record.SchoolName) AS Site
        FROM {foster_focus.ENROLLMENT_HISTORY.name} AS record WHERE record._active
    """,
    f"{foster_focus.GPA.name}_by_type": f"""
        SELECT record.*,
            coalesce({_meaning("gpa_types", "record.GPATypeDescript")}, record.GPATypeDescript)
                AS GPAType
        FROM {foster_focus.GPA.name} AS record WHERE record._active
    """,
    f"{foster_focus.TEST_SCORES.name}_by_test": f"""
        SELECT record.*,
            coalesce(
                {_meaning("tests", "record.TestSubType")}, {_meaning("tests", "record.TestType")},
                {_standard_test()}
            ) AS StandardTest,
            {_meaning("score_types", "record.TestScoreType")} AS ScoreType
        FROM {foster_focus.TEST_SCORES.name} AS record WHERE record._active
    """,
}
"""Views over the active records: each enrollment with its site (several may share a CDS code),
each average with its kind, each score with its standard test and the kind of score."""
