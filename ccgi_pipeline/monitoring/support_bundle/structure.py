"""The structure of an installation: versions, settings, tables, counts. No cell of any file.

Belongs here: what is read from the warehouse folder and from this machine. Does not belong here:
Dagster's runs (runs), the zip file (bundle).
"""

from __future__ import annotations

import os
import platform
import re
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from importlib.metadata import requires, version
from pathlib import Path
from typing import Any

import duckdb

from ccgi_pipeline.common.errors import PipelineError
from ccgi_pipeline.delivery import ledger as deliveries
from ccgi_pipeline.profile_tables import SettingsTable
from ccgi_pipeline.profiles import FILE_NAME as PROFILES
from ccgi_pipeline.profiles import read_profiles
from ccgi_pipeline.warehouse.queries import health as health_queries
from ccgi_pipeline.warehouse.storage.location import CATALOG, ENCRYPTED_CATALOG, TABLES
from ccgi_pipeline.warehouse.storage.schema import quote_identifier

_PACKAGE = "ccgi-pipeline"


def read_versions() -> dict[str, str]:
    """Returns the versions of this project, Python, the system and the project's libraries."""
    named = [re.match(r"[\w.-]+", wanted) for wanted in requires(_PACKAGE) or []]
    libraries = {found[0]: _installed(found[0]) for found in named if found}
    return {
        _PACKAGE: version(_PACKAGE),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        **{name: number for name, number in libraries.items() if number},
    }


def _installed(library: str) -> str:
    try:
        return version(library)
    except ModuleNotFoundError:  # wanted for tests only
        return ""


_NAMES = {name for kind in SettingsTable.__subclasses__() for name in kind.model_fields}
"""Every name that a setting may have."""
_OPEN_TEXTS = re.compile(r"[a-z_]{1,20}[0-9]{0,2}|\d{2}-\d{2}")
_OPEN_SETTINGS = {
    *("small_cells", "daily_reporting", "legacy_reporting", "weekday", "outside"),
    *("percent_of", "bulk", "mode", "dates", "year_starts", "unchanged"),
}
"""Settings whose values are words of the project: of all other texts only the length is shown."""


def describe_settings(warehouse: Path) -> dict[str, Any]:
    """Returns the settings as they are nested: numbers, true and false, and of texts the length."""
    path = warehouse / PROFILES
    if not path.exists():
        return {"profiles": "none"}
    try:
        read_profiles(warehouse)
    except PipelineError as error:
        return {"profiles": f"cannot be read: {type(error).__name__}"}
    return {"profiles": _structure(tomllib.loads(path.read_text()))}


def _structure(given: Mapping[str, Any]) -> dict[str, Any]:
    told: dict[str, Any] = {}
    for number, (name, value) in enumerate(given.items(), start=1):
        # Settings' names and CD codes; a server's name, say, is an operator's word.
        shown = name if name in _NAMES or re.fullmatch(r"[0-9]{7}", name) else f"name {number}"
        told[shown] = _structure(value) if isinstance(value, Mapping) else _told(name, value)
    return told


def _told(name: str, value: object) -> object:
    if isinstance(value, bool | int | float):
        return value
    if isinstance(value, list):
        return f"a list of {len(value)}"
    if name in _OPEN_SETTINGS and isinstance(value, str) and _OPEN_TEXTS.fullmatch(value):
        return value
    return f"a text of {len(str(value))} characters"


def describe_tables(connection: duckdb.DuckDBPyConnection) -> list[dict[str, Any]]:
    """Returns every table with its columns, their types, and its number of rows."""
    rows = connection.execute(
        "SELECT table_name, list(column_name || ' ' || data_type ORDER BY column_index) "
        "FROM duckdb_columns() SEMI JOIN duckdb_tables() "
        "USING (database_name, schema_name, table_name) WHERE database_name = 'lake' "
        "GROUP BY 1 ORDER BY 1"
    ).fetchall()
    return [
        {
            "table": table,
            "rows": _count(connection, f"lake.{quote_identifier(table)}"),
            "columns": of_it,
        }
        for table, of_it in rows
    ]


def _count(connection: duckdb.DuckDBPyConnection, relation: str) -> int:
    row = connection.execute(f"SELECT count(*) FROM {relation}").fetchone()
    return int(row[0]) if row else 0


_COUNTED: Mapping[str, str] = {
    "drops": "SELECT family, verdict, night::VARCHAR AS night, correction, count(*) AS drops "
    "FROM lake.drops GROUP BY ALL ORDER BY ALL",
    "ledger": "SELECT feed, fate, count(*) AS files, sum(lines)::BIGINT AS lines FROM lake.ledger "
    "GROUP BY ALL ORDER BY ALL",
    "files": "SELECT feed, encoding, verdict, complete, count(*) AS files, "
    "sum(lines)::BIGINT AS lines FROM lake.files GROUP BY ALL ORDER BY ALL",
    "findings": "SELECT rule, severity, count(*) AS findings, "
    "count(DISTINCT drop_id) AS drops FROM lake.findings GROUP BY ALL ORDER BY 3 DESC, 1, 2",
    "holds": "SELECT feed, count(DISTINCT drop_id) AS drops, sum(would_end)::BIGINT AS would_end, "
    "sum(would_add)::BIGINT AS would_add, "
    "sum(active)::BIGINT AS active FROM lake.held_for GROUP BY ALL ORDER BY ALL",
    "answers to holds": "SELECT answer, count(*) AS drops FROM lake.hold_answers "
    "GROUP BY ALL ORDER BY ALL",
    "replays": "SELECT night::VARCHAR AS night, feed, fate, sum(before)::BIGINT AS before, "
    "sum(after)::BIGINT AS after FROM lake.replays GROUP BY ALL ORDER BY ALL",
    "look-ups": "SELECT answer, count(*) AS applications FROM lake.application_ssids "
    "GROUP BY ALL ORDER BY ALL",
    "eligibility": "SELECT system, status, count(*) AS students FROM lake.eligibility "
    "GROUP BY ALL ORDER BY ALL",
    "snapshots": "SELECT count(*) AS snapshots, min(snapshot_id) AS first, "
    "max(snapshot_id) AS newest FROM ducklake_snapshots('lake')",
}
"""What is counted: codes, the project's own words, nights and numbers."""


def count_records(connection: duckdb.DuckDBPyConnection) -> dict[str, list[dict[str, Any]]]:
    """Counts drops, lines, findings, holds, replays and answers by kind, never by sender."""
    return {name: connection.execute(query).pl().to_dicts() for name, query in _COUNTED.items()}


def count_faults(connection: duckdb.DuckDBPyConnection) -> dict[str, int]:
    """Counts files whose ledger does not add up, by feed; a sound warehouse has none."""
    return health_queries.count_unbalanced_files(connection)


def count_deliveries(warehouse: Path) -> dict[str, int]:
    """Counts deliveries by state; servers are not named."""
    if not deliveries.ledger_exists(warehouse):
        return {}
    states: dict[str, int] = {}
    with deliveries.open_ledger(warehouse) as ledger:
        for _, state, count in ledger.count_by_state():
            states[state] = states.get(state, 0) + count
    return states


def measure_sizes(warehouse: Path) -> dict[str, dict[str, int]]:
    """Counts files and bytes of each part of the warehouse folder that the pipeline made."""
    told = {}
    for name in (*_FOLDERS, *_FILES):
        path = warehouse / name
        found = [path.stat().st_size] if path.is_file() else [*_sizes_below(path)]
        if found:
            told[name] = {"files": len(found), "bytes": sum(found)}
    return told


def _sizes_below(folder: Path) -> Iterator[int]:
    """Yields the size of each file. A file that a running night deletes meanwhile is left out."""
    for place, _, names in os.walk(folder):
        for name in names:
            with suppress(FileNotFoundError):
                yield Path(place, name).stat().st_size


_FOLDERS = ("archive", TABLES, "staging", "spill", "lookups", "dagster")
_FILES = (CATALOG, ENCRYPTED_CATALOG, "deliveries.sqlite", "inbox_state.sqlite", PROFILES)
