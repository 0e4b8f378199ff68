"""What analysts find in the warehouse: views with plain names, and comments from the declarations.

Belongs here: a view of the current records of each feed, a view of each report's rows, the
functions that these call, and the comments on tables and columns. They are made when a declaration
or a setting has changed, not every night. Does not belong here: the rows that districts get
(queries, outbox), the page about them (docs).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence

import duckdb

from ccgi_pipeline.common.time_zone import CALIFORNIA
from ccgi_pipeline.districts import DIRECTORY_SCHEMA, shipped_directory
from ccgi_pipeline.feeds.codes import COUNTY_NAMES
from ccgi_pipeline.feeds.columns import ColumnClass
from ccgi_pipeline.feeds.registry import EVENT_FEEDS, FEEDS
from ccgi_pipeline.feeds.spec import FeedSpec
from ccgi_pipeline.profiles import ReportSettings
from ccgi_pipeline.reports.queries import (
    ELIGIBILITY,
    define_macros,
    district_filter,
    group_columns,
    groups_query,
    left_out_query,
    race_categories,
    roster_query,
)
from ccgi_pipeline.reports.query_tables import find_table_names
from ccgi_pipeline.reports.registry import REPORTS
from ccgi_pipeline.reports.spec import ReportSpec
from ccgi_pipeline.warehouse.storage.schema import (
    INTERNAL,
    PIPELINE_TABLE_COMMENTS,
    all_tables,
    qualify_table,
    quote_identifier,
    quote_literal,
    transaction,
)

_PREFIXES = ("current_", "report_")
"""The names of the views in ``main`` begin with one of these."""
_DIGEST = "analyst_views_digest"
"""The view that holds the digest of the statements by which the others were made."""

_HELPERS_IN_MAIN = {
    "report_day": "The night that the reports' views are as of: the newest that loaded something. "
    "`until` is the end of its day in California, in UTC.",
    "report_roster": "The students that the reports are about: those of each district's newest "
    "roster, with the names of county, district and school.",
}
_CLASS_WORDS = {
    ColumnClass.PII: "identifies a person",
    ColumnClass.RESTRICTED: "restricted",
    ColumnClass.FOSTER: "tells of foster youth",
}
TRACKING_COMMENTS = {
    "_sender": "CD code of the district that sent the record, or the state-wide sender.",
    "_drop": "The drop that last changed the record (internal.drops).",
    "_line": "Its line in that drop's file.",
    "_active": "Whether the sender's newest full set has the record.",
    "_hash": "A hash of the feed's columns.",
}


def report_view(spec: ReportSpec, file: str) -> str:
    """Returns the name of the view of one of a report's files: ``report_goals_detail``."""
    return f"report_{spec.name}_{file.lower()}"


def refresh_analyst_views(connection: duckdb.DuckDBPyConnection, settings: ReportSettings) -> bool:
    """Makes views and comments again if a declaration or setting has changed; returns whether."""
    statements = [*_build_statements(settings)]
    digest = hashlib.sha256("\n".join(statements).encode()).hexdigest()
    made = connection.execute(
        "SELECT schema_name, view_name, contains(sql, ?) FROM duckdb_views() "
        "WHERE database_name = 'lake'",
        [digest],
    ).fetchall()
    if (INTERNAL, _DIGEST, True) in made:
        return False
    views = {name for schema, name, _ in made if schema == "main" and name.startswith(_PREFIXES)}
    with transaction(connection):
        for name in sorted(views - {*list_views()}):
            connection.execute(f"DROP VIEW lake.main.{quote_identifier(name)}")
        for statement in statements:
            connection.execute(statement)
        connection.execute(
            f"CREATE OR REPLACE VIEW lake.{INTERNAL}.{_DIGEST} AS SELECT '{digest}' AS digest"
        )
    return True


def list_views() -> list[str]:
    """Returns the names of all views for analysts."""
    reports = [report_view(spec, file) for spec in REPORTS for file in spec.files]
    return [*(feed.current_view for feed in FEEDS), *reports, *_HELPERS_IN_MAIN]


def _build_statements(settings: ReportSettings) -> Iterator[str]:
    for macro in define_macros(settings):
        yield f"CREATE OR REPLACE MACRO lake.main.{macro}"
    for name, query in _helper_views(settings):
        yield f"CREATE OR REPLACE VIEW lake.{name} AS {query}"
    for name, text in _HELPERS_IN_MAIN.items():
        yield _comment("VIEW", name, text)
    for feed in FEEDS:
        yield f"CREATE OR REPLACE VIEW lake.main.{feed.current_view} AS {_current_query(feed)}"
        yield _comment("VIEW", feed.current_view, _describe_current(feed))
    for spec in REPORTS:
        for file in spec.files:
            query = (
                _detail_query(spec, settings) if file != "Agg" else _aggregate_query(spec, settings)
            )
            name = report_view(spec, file)
            yield f"CREATE OR REPLACE VIEW lake.main.{name} AS {query}"
            yield _comment("VIEW", name, _describe_report(spec, file))
    yield from _table_comments()


def _comment(kind: str, name: str, text: str) -> str:
    return f"COMMENT ON {kind} lake.main.{name} IS {quote_literal(text)}"


# --- current records ------------------------------------------------------------------------------


def _current_query(feed: FeedSpec) -> str:
    columns = ", ".join(map(quote_identifier, feed.columns))
    return f"SELECT _sender AS sender, {columns} FROM {qualify_table(feed.name)} WHERE _active"


def _describe_current(feed: FeedSpec) -> str:
    return (
        f"{feed.title}: the records in force. Its columns are described at the table {feed.name}; "
        f"`sender` is the CD code of the district, or the state-wide sender."
    )


def _table_comments() -> Iterator[str]:
    for table, text in PIPELINE_TABLE_COMMENTS.items():
        yield f"COMMENT ON TABLE lake.{qualify_table(table)} IS {quote_literal(text)}"
    for feed in FEEDS:
        about = (
            f"{feed.title}: all records, also former ones. The current ones: {feed.current_view}."
        )
        yield _comment("TABLE", feed.name, about)
        texts = {name: describe_column(feed, name) for name in feed.columns}
        for name, text in {**texts, **TRACKING_COMMENTS}.items():
            yield _comment("COLUMN", f"{feed.name}.{quote_identifier(name)}", text)


def describe_column(feed: FeedSpec, name: str) -> str:
    """Returns a column's description, with its classes in brackets."""
    column = feed.columns[name]
    classes = [word for of_class, word in _CLASS_WORDS.items() if of_class in column.classes]
    return f"{column.description} [{', '.join(classes)}]" if classes else column.description


# --- reports --------------------------------------------------------------------------------------


def _helper_views(settings: ReportSettings) -> Iterator[tuple[str, str]]:
    """Yields what the reports' queries read besides tables, as of the newest loaded night."""
    day = f"timezone('{CALIFORNIA.key}', CAST(max(night) + 1 AS TIMESTAMP))"
    until = f"timezone('UTC', {day}) AS until"
    yield "main.report_day", f"SELECT max(night) AS night, {until} FROM {INTERNAL}.drops"
    columns = ", ".join(DIRECTORY_SCHEMA)
    yield (
        f"{INTERNAL}.report_directory",
        f"""
        WITH received AS (SELECT {columns} FROM main.cde_directory WHERE _active)
        FROM received UNION ALL FROM ({_values(shipped_directory().rows(), columns)}) AS shipped
        WHERE left(CDSCode, 7) NOT IN (SELECT left(CDSCode, 7) FROM received)
        """,
    )
    counties = _values([*COUNTY_NAMES.items()], "code, County")
    yield (
        f"{INTERNAL}.report_district_names",
        f"""
        WITH listed AS (
            SELECT left(CDSCode, 7) AS cd, County, District FROM {INTERNAL}.report_directory
            QUALIFY row_number() OVER (
                PARTITION BY left(CDSCode, 7) ORDER BY right(CDSCode, 7) <> '0000000', CDSCode
            ) = 1
        ),
        unlisted AS (
            SELECT DISTINCT _sender AS cd FROM main.transcript_student
            WHERE _active AND _sender NOT IN (SELECT cd FROM listed)
        )
        FROM listed UNION ALL
        SELECT cd, coalesce(counties.County, 'Unknown'), cd
        FROM unlisted LEFT JOIN ({counties}) AS counties ON counties.code = left(cd, 2)
        """,
    )
    races = _values(race_categories(), "code, name, in_group")
    yield f"{INTERNAL}.report_race_categories", races
    roster = roster_query(settings)
    yield "main.report_roster", f"{_with_relations(roster)} SELECT * FROM ({roster}\n)"


def _values(rows: Sequence[tuple[str | None, ...]], columns: str) -> str:
    given = ", ".join(
        f"({', '.join('NULL' if cell is None else quote_literal(cell) for cell in row)})"
        for row in rows
    )
    return f"SELECT * FROM (VALUES {given}) AS given ({columns})"


def _relations() -> dict[str, str]:
    """Returns what stands behind each name that a report's query reads."""
    relations = {table: f"FROM {qualify_table(table)}" for table in all_tables()}
    until = "(SELECT until FROM main.report_day)"
    for feed in EVENT_FEEDS:
        relations[feed.view] = f"FROM {qualify_table(feed.name)} WHERE OccurredAt < {until}"
    for name in ("directory", "district_names", "race_categories"):
        relations[name] = f"FROM {INTERNAL}.report_{name}"
    relations["roster"] = "FROM main.report_roster"
    relations[ELIGIBILITY] = f"FROM {qualify_table(ELIGIBILITY)}"
    return relations


def _with_relations(query: str, *named: str) -> str:
    """Returns the WITH clause of the relations that ``query`` reads, and of those ``named``.

    A view finds the tables of its own schema only, and the queries name tables without a schema.
    """
    read = find_table_names(query) | {*named}
    found = {name: relation for name, relation in _relations().items() if name in read}
    return "WITH " + ", ".join(f"{name} AS ({relation})" for name, relation in found.items())


def _detail_query(spec: ReportSpec, settings: ReportSettings) -> str:
    query = spec.query.read_text()
    names = ", ".join(quote_identifier(column.name) for column in spec.detail_columns)
    return (
        f"{_with_relations(query)} SELECT cd, {names} FROM ({query}\n) AS detail "
        f"ANTI JOIN ({left_out_query(settings)}) USING (cd, SSID) {district_filter(spec)}"
    )


def _aggregate_query(spec: ReportSpec, settings: ReportSettings) -> str:
    query = spec.query.read_text()
    scale = 10**settings.percent_decimals
    shown = ", ".join(_labelled(name, spec.labels.get(name, {})) for name in group_columns(spec))
    return f"""
        {_with_relations(query, "roster")}, detail AS ({query}
        )
        SELECT cd, {shown}, counted AS "# of Students",
            ((counted * {200 * scale} + students) // (2 * students)) / {scale} AS "% of Students"
        FROM ({groups_query(spec, settings)})
    """


def _labelled(name: str, labels: Mapping[str, str]) -> str:
    quoted = quote_identifier(name)
    if not labels:
        return quoted
    cases = " ".join(
        f"WHEN {quote_literal(given)} THEN {quote_literal(shown)}"
        for given, shown in labels.items()
    )
    return f"CASE {quoted} {cases} ELSE {quoted} END AS {quoted}"


def _describe_report(spec: ReportSpec, file: str) -> str:
    columns = " ".join(f"{column.name}: {column.description}" for column in spec.columns_of(file))
    return (
        f"{spec.title}, {file}, of all districts as of the newest loaded night. "
        f"{' '.join(spec.rules)} {columns}"
    )
