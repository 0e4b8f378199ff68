"""Digests of the tables and views that reports are made of, for each district.

Belongs here: computing them, and keeping them from night to night, since the digest of a table is
the same as long as the table has the same files. Does not belong here: which sources a report has,
and what it depends on besides (basis).

A digest is the number of rows and the sum of their hashes of 64 bits, so the order of rows does not
count. Two states of a district's rows that differ have the same one by chance once in 10^19 nights.
Who chose rows on purpose for it could only keep old rows in the reports of the own district.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path

import duckdb
import polars as pl

from ccgi_pipeline.common.kept_frames import keep_frame, read_kept_frame
from ccgi_pipeline.feeds.registry import EVENT_FEEDS
from ccgi_pipeline.profiles import ReportSettings
from ccgi_pipeline.reports.queries import (
    DIGESTS,
    ELIGIBILITY,
    LEFT_OUT,
    ROSTER,
    hold_roster,
    left_out_query,
    roster_query,
)
from ccgi_pipeline.reports.query_tables import find_table_names
from ccgi_pipeline.warehouse.storage.schema import quote_identifier, read_table_versions

EVENT_VIEWS: Mapping[str, str] = {feed.view: feed.name for feed in EVENT_FEEDS}
"""By the view of a feed's events, the feed's table."""
_FILE = "report_digests.parquet"
"""A file of the warehouse folder. It can be deleted at any time."""
_SCHEMA = {"source": pl.String, "version": pl.String, "cd": pl.String, "digest": pl.String}


def read_digests(connection: duckdb.DuckDBPyConnection, source: str) -> dict[str | None, str]:
    """Returns the digests of a source by CD code; one without a code is that of every district.

    They are computed for the first report that asks, and kept until the views are made again.
    """
    kept = f"SELECT cd, digest FROM {DIGESTS} WHERE source = $source"
    found = connection.execute(kept, {"source": source}).fetchall()
    if not found:
        if source == ROSTER or source in EVENT_VIEWS:
            hold_roster(connection)
        connection.execute(
            f"INSERT INTO {DIGESTS} SELECT $source, * FROM ({_digest_query(source)}) "
            "UNION ALL SELECT $source, '', ''",  # also an empty source is computed once only
            {"source": source},
        )
        found = connection.execute(kept, {"source": source}).fetchall()
    return dict(found)


def count_roster_students(connection: duckdb.DuckDBPyConnection) -> pl.DataFrame:
    """Returns ``cd`` and ``students`` of each roster as the reports count it."""
    digests = read_digests(connection, ROSTER)
    counts = {cd: int(digest.split()[0]) for cd, digest in sorted(digests.items()) if cd}
    return pl.DataFrame(
        {"cd": [*counts], "students": [*counts.values()]},
        schema={"cd": pl.String, "students": pl.Int64},
    )


def _digest_query(source: str) -> str:
    name = quote_identifier(source)
    rows = f"count(*) || ' ' || sum(hash({name})::HUGEINT)"
    if source in {ROSTER, LEFT_OUT}:
        return f"SELECT cd, {rows} FROM {name} GROUP BY cd"
    if source == ELIGIBILITY:
        return f"SELECT _sender, {rows} FROM {name} GROUP BY _sender"
    if source in EVENT_VIEWS:
        # The record's hash is kept beside it: most columns of the events need not be read.
        kept = "_active, _sender, _drop, _line"
        rows = f"count(*) || ' ' || sum(hash(_hash, {kept})::HUGEINT)"
        return (
            f"SELECT cd, {rows} FROM {name} JOIN (SELECT cd, SSID FROM {ROSTER}) USING (SSID) "
            "GROUP BY cd"
        )
    return f"SELECT NULL, coalesce({rows}, '') FROM {name}"


# --- from night to night --------------------------------------------------------------------------


def refresh_digests(
    connection: duckdb.DuckDBPyConnection,
    warehouse: Path,
    settings: ReportSettings,
    sources: Iterable[str],
    code: str,
) -> None:
    """Takes over the digests of ``sources`` that were computed before, and computes the others.

    ``create_report_views`` came first. ``code``: a digest of the code, since other code may make
    other rows of the same tables.
    """
    asked = [*dict.fromkeys(sources)]
    tables = read_table_versions(connection)
    if not tables:
        return
    versions = _describe_versions(connection, settings, asked, code, tables)
    current = pl.DataFrame([*versions.items()], _SCHEMA_OF_VERSIONS, orient="row")
    known = read_kept_frame(warehouse / _FILE, _SCHEMA).join(
        current, on=["source", "version"], how="semi"
    )
    connection.register("kept_digests", known.to_arrow())
    connection.execute(f"INSERT INTO {DIGESTS} SELECT source, cd, digest FROM kept_digests")
    connection.unregister("kept_digests")
    if {*known["source"]} == {*asked}:
        return
    for source in asked:
        read_digests(connection, source)
    found = connection.execute(f"FROM {DIGESTS}").pl()
    keep_frame(warehouse / _FILE, found.join(current, on="source").select(*_SCHEMA))


_SCHEMA_OF_VERSIONS = {"source": pl.String, "version": pl.String}


def _describe_versions(
    connection: duckdb.DuckDBPyConnection,
    settings: ReportSettings,
    sources: Iterable[str],
    code: str,
    tables: Mapping[str, str],
) -> dict[str, str]:
    """Returns for each source all that its rows depend on, as a digest.

    The tables' versions, the names of the districts, the settings and, of events, the end of the
    day if any happened after it. ``tables``: by name their versions.
    """
    names = connection.execute("SELECT cd, County, District FROM district_names ORDER BY cd").pl()
    directory = connection.execute("SELECT sum(hash(directory)::HUGEINT) FROM directory").fetchone()
    read = find_table_names(roster_query(settings)) | find_table_names(left_out_query(settings))
    of_roster = [*(tables.get(name, "") for name in sorted(read)), f"{directory}{names.rows()}"]
    described = {}
    for source in sources:
        table = EVENT_VIEWS.get(source, source)
        depends = [code, settings.model_dump_json(), tables.get(table, "")]
        if source not in tables:
            depends += of_roster
        if source in EVENT_VIEWS:
            depends.append(_describe_end(connection, source))
        elif source not in tables and source not in {ROSTER, LEFT_OUT}:
            depends.append(f"{tables}")  # a view of another kind may read any table
        described[source] = hashlib.sha256("\n".join(depends).encode()).hexdigest()
    return described


def _describe_end(connection: duckdb.DuckDBPyConnection, view: str) -> str:
    """Returns how many events the view shows if it does not show all; else nothing."""
    every, shown = (
        connection.execute(f"SELECT count(*) FROM {name}").fetchone()
        for name in (f"lake.{quote_identifier(EVENT_VIEWS[view])}", quote_identifier(view))
    )
    return "" if every == shown else f"{shown}"
