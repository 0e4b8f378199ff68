"""The basis of a report: a digest of all that its files show, for each district.

Belongs here: what a report depends on. Its query says which tables it reads; of the roster, of the
platform's events and of the course evaluation only the district's own rows count. Does not belong
here: what is done with an unchanged basis (nightly.unchanged_reports).

The day itself is no part of it. A query reads the day nowhere (a test says so): time changes a
report only where the views end at the day, and then another event is in the digest.

A digest is the number of rows and the sum of their hashes of 64 bits, so the order of rows does not
count. Two states of a district's rows that differ have the same one by chance once in 10^19 nights.
Who chose rows on purpose for it could only keep old rows in the reports of the own district.
"""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Iterable, Sequence
from dataclasses import fields
from importlib.metadata import version
from pathlib import Path

import duckdb

import ccgi_pipeline
from ccgi_pipeline.feeds.registry import EVENT_FEEDS
from ccgi_pipeline.profiles import Profiles
from ccgi_pipeline.reports.queries import DIGESTS, ELIGIBILITY, LEFT_OUT, find_small_cells_rule
from ccgi_pipeline.reports.query_tables import find_common_tables, find_table_names
from ccgi_pipeline.reports.spec import ReportSpec
from ccgi_pipeline.reports.suppression import MARKS
from ccgi_pipeline.warehouse.storage.schema import all_tables, quote_identifier

ROSTER = "roster"
_EVENTS = frozenset(feed.view for feed in EVENT_FEEDS)
_LIBRARIES = ("duckdb", "polars", "numpy", "xlsxwriter")
"""The libraries that make the rows and the bytes of files."""


def _digest_code() -> str:
    """Returns a digest of this package's files, and of the versions of what they use."""
    versions = [platform.python_version(), *(version(name) for name in _LIBRARIES)]
    digest = hashlib.sha256("\n".join(versions).encode())
    package = Path(ccgi_pipeline.__file__).parent
    for path in sorted(package.rglob("*")):
        if path.is_file() and path.parent.name != "__pycache__":
            digest.update(f"\n{path.relative_to(package).as_posix()}\n".encode())
            digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


# Computed when the code is loaded: where files change later, this process still has the old code.
_CODE = _digest_code()


def compute_bases(
    connection: duckdb.DuckDBPyConnection,
    spec: ReportSpec,
    profiles: Profiles,
    reports: Iterable[ReportSpec],
    cds: Sequence[str],
) -> dict[str, str]:
    """Returns by CD code the basis of a report's files; ``create_report_views`` came first.

    ``reports`` are all reports: with small cells hidden, a report depends on its linked one, too.
    """
    linked = [other for other in reports if other.name == spec.tables.linked_to]
    alone = _describe(connection, [spec])
    together = _describe(connection, [spec, *linked]) if linked else alone
    settings = profiles.reports.model_dump_json(exclude={"unchanged"})
    bases = {}
    for cd in cds:
        rule = find_small_cells_rule(profiles, cd) if "Agg" in spec.files else None
        words, digests = together if rule in MARKS else alone
        of_district = [digest.get(cd, digest.get(None, "")) for digest in digests]
        content = "\n".join([_CODE, settings, str(rule), words, *of_district])
        bases[cd] = hashlib.sha256(content.encode()).hexdigest()[:_LENGTH]
    return bases


_LENGTH = 32
"""Hexadecimal digits of a basis."""


def _describe(
    connection: duckdb.DuckDBPyConnection, specs: Sequence[ReportSpec]
) -> tuple[str, list[dict[str | None, str]]]:
    """Returns the declarations of reports in words, and the digest of each of their sources."""
    sources = sorted({source for spec in specs for source in list_sources(spec)})
    words = [
        f"{[getattr(spec, part.name) for part in fields(spec) if part.name not in _NOT_IN_WORDS]}"
        f"{spec.query.read_text()}"
        for spec in specs
    ]
    return "\n".join([*words, *sources]), [_read_digests(connection, it) for it in sources]


_NOT_IN_WORDS = ("query", "only_for")
"""Where the query lies, and the other districts that get the report, change nothing in it."""


def list_sources(spec: ReportSpec) -> list[str]:
    """Lists the tables and views that a report's rows are made of."""
    query = spec.query.read_text()
    declared = {*all_tables(), *_EVENTS}
    names = find_table_names(query)
    read = {name for name in names if name in declared or name not in find_common_tables(query)}
    return sorted({ROSTER, LEFT_OUT, *read})


def _read_digests(connection: duckdb.DuckDBPyConnection, source: str) -> dict[str | None, str]:
    """Returns the digests of a source by CD code; one without a code is that of every district.

    They are computed for the first report that asks, and kept until the views are made again.
    """
    kept = f"SELECT cd, digest FROM {DIGESTS} WHERE source = $source"
    found = connection.execute(kept, {"source": source}).fetchall()
    if not found:
        connection.execute(
            f"INSERT INTO {DIGESTS} SELECT $source, * FROM ({_digest_query(source)}) "
            "UNION ALL SELECT $source, '', ''",  # also an empty source is computed once only
            {"source": source},
        )
        found = connection.execute(kept, {"source": source}).fetchall()
    return dict(found)


def _digest_query(source: str) -> str:
    name = quote_identifier(source)
    rows = f"count(*) || ' ' || sum(hash({name})::HUGEINT)"
    if source in {ROSTER, LEFT_OUT}:
        return f"SELECT cd, {rows} FROM {name} GROUP BY cd"
    if source == ELIGIBILITY:
        return f"SELECT _sender, {rows} FROM {name} GROUP BY _sender"
    if source in _EVENTS:
        # The record's hash is kept beside it: most columns of the events need not be read.
        kept = "_active, _sender, _drop, _line"
        rows = f"count(*) || ' ' || sum(hash(_hash, {kept})::HUGEINT)"
        return (
            f"SELECT cd, {rows} FROM {name} JOIN (SELECT cd, SSID FROM {ROSTER}) USING (SSID) "
            "GROUP BY cd"
        )
    return f"SELECT NULL, coalesce({rows}, '') FROM {name}"
