"""The basis of a report: a digest of all that its files show, for each district.

Belongs here: what a report depends on. Its query says which tables it reads; of the roster, of the
platform's events and of the course evaluation only the district's own rows count. Does not belong
here: what is done with an unchanged basis (nightly.unchanged_reports), the
digests of its sources (digests).

The day itself is no part of it. A query reads the day nowhere (a test says so): time changes a
report only where the views end at the day, and then another event is in the digest.
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
from ccgi_pipeline.profiles import Profiles
from ccgi_pipeline.reports.digests import EVENT_VIEWS, read_digests, refresh_digests
from ccgi_pipeline.reports.queries import LEFT_OUT, ROSTER, find_small_cells_rule
from ccgi_pipeline.reports.query_tables import find_common_tables, find_table_names
from ccgi_pipeline.reports.spec import ReportSpec
from ccgi_pipeline.reports.suppression import MARKS
from ccgi_pipeline.warehouse.storage.schema import all_tables

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


def prepare_bases(
    connection: duckdb.DuckDBPyConnection,
    warehouse: Path,
    profiles: Profiles,
    reports: Iterable[ReportSpec],
) -> None:
    """Finds the digests of all that ``reports`` read; keeps them in the warehouse's folder."""
    sources = sorted({source for spec in reports for source in list_sources(spec)})
    refresh_digests(connection, warehouse, profiles.reports, sources, _CODE)


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
    return "\n".join([*words, *sources]), [read_digests(connection, it) for it in sources]


_NOT_IN_WORDS = ("query", "only_for")
"""Where the query lies, and the other districts that get the report, change nothing in it."""


def list_sources(spec: ReportSpec) -> list[str]:
    """Lists the tables and views that a report's rows are made of."""
    query = spec.query.read_text()
    declared = {*all_tables(), *EVENT_VIEWS}
    names = find_table_names(query)
    read = {name for name in names if name in declared or name not in find_common_tables(query)}
    return sorted({ROSTER, LEFT_OUT, *read})
