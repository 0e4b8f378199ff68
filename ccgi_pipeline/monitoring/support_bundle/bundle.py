"""The support bundle: a zip of JSON files, with a page to read before sending it.

Belongs here: what goes into it. No cell of a received file, no name of one, and no words that
somebody typed.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb

from ccgi_pipeline.common.errors import PermanentError, value_free
from ccgi_pipeline.feeds.registry import FEEDS_BY_NAME
from ccgi_pipeline.intake.archive import Archive
from ccgi_pipeline.intake.received_files import open_received_files
from ccgi_pipeline.monitoring.support_bundle import runs, structure
from ccgi_pipeline.monitoring.support_bundle.file_shapes import RARE, describe_shape
from ccgi_pipeline.verification.drop_files import files_to_verify
from ccgi_pipeline.warehouse.queries.drops import read_received_drops
from ccgi_pipeline.warehouse.storage.connection import open_warehouse, warehouse_exists


class UnknownDropError(PermanentError):
    """No drop, or several, have an id that begins like that; or its files are not known."""


@value_free
def build_support_bundle(
    warehouse: Path, last_runs: Sequence[runs.RecordedRun], drop: str | None = None
) -> bytes:
    """Builds the zip. ``drop``: the beginning of the id of a drop whose files' shapes are added.

    Raises UnknownDropError, and ArchiveDamagedError if a file of the drop is damaged.
    """
    parts: dict[str, Any] = {
        "versions.json": structure.read_versions(),
        "settings.json": structure.describe_settings(warehouse),
        "sizes.json": structure.measure_sizes(warehouse),
        "deliveries.json": structure.count_deliveries(warehouse),
        "runs.json": [runs.describe_run(run) for run in last_runs],
    }
    if warehouse_exists(warehouse):
        with open_warehouse(warehouse, read_only=True) as connection:
            parts["tables.json"] = structure.describe_tables(connection)
            parts["counts.json"] = structure.count_records(connection)
            parts["faults.json"] = structure.count_faults(connection)
            if drop is not None:
                parts["shapes.json"] = describe_drop_shapes(connection, warehouse, drop)
    elif drop is not None:
        msg = "there is no warehouse in this folder, and so no drop"
        raise UnknownDropError(msg)
    return _zipped({"READ_ME_FIRST.md": _page(parts)} | {n: _json(p) for n, p in parts.items()})


def describe_drop_shapes(
    connection: duckdb.DuckDBPyConnection, warehouse: Path, begins: str
) -> list[dict[str, Any]]:
    """Returns the shape of each file of the drop, by its number in it; no name."""
    found = connection.execute(
        "SELECT drop_id FROM lake.drops WHERE starts_with(drop_id, ?)", [begins]
    ).fetchall()
    if len(found) != 1:
        msg = f"{len(found)} drops have an id that begins like that"
        raise UnknownDropError(msg)
    ((identity,),) = found
    drops = read_received_drops(connection, [identity])
    if identity not in drops:
        msg = "it is not known any more of which files this drop was made"
        raise UnknownDropError(msg)
    feeds = dict(
        connection.execute(
            "SELECT file_number, feed FROM lake.files WHERE drop_id = ?", [identity]
        ).fetchall()
    )
    archive = Archive.of(warehouse)
    with open_received_files(archive) as received:
        files = files_to_verify([drops[identity]], received.as_sent, messages=received.open)
        return [
            {"file": number, "feed": feeds.get(number)}
            | (
                {"refused by": file.refused.id}
                if file.refused
                else describe_shape(file.content, FEEDS_BY_NAME.get(feeds.get(number) or ""))
            )
            for number, file in enumerate(files, start=1)
        ]


def _json(part: object) -> bytes:
    return (json.dumps(part, indent=1, ensure_ascii=False) + "\n").encode()


_HEAD = f"""# Support bundle

Read this before you send it on. It says how an installation of the CCGI pipeline stands: versions,
settings, tables, counts and errors.

**What is not in it:** no cell of a received file, no name of a file or folder that a sender chose,
no SSID, no name, no date of birth; no password, key, address of a server or of a person; nothing
that an operator typed (reasons, names). Texts of the settings are told by their length. Of an
error there are its kind, the lines of code and those words that our own code has. A shape of
cells (`9{{10}}` is ten digits, `A{{2,12}}` two to twelve letters) is told where {RARE} lines or
more have it.

Districts are counted, or named by their CD code where a profile names them.
"""


def _page(parts: Mapping[str, Any]) -> bytes:
    """Describes the content of the bundle on a page."""
    made = f"{datetime.now(tz=UTC):%Y-%m-%d %H:%M} UTC"
    lines = [_HEAD, f"Made {made}.", "", "## What is in it", ""]
    lines += [f"* `{name}`: {_WHAT[name]}" for name in parts]
    lines += ["", "## At a glance", ""]
    of_runs: Sequence[Mapping[str, Any]] = parts["runs.json"]
    for run in of_runs:
        failed = [str(error.get("kind")) for error in run["errors"]]
        why = f": {', '.join(failed)}" if failed else ""
        lines.append(f"* run of {run['began']}: {run['job']}, {run['status'].lower()}{why}")
    if "counts.json" in parts:
        by_verdict: dict[str, int] = {}
        for row in parts["counts.json"]["drops"]:
            by_verdict[row["verdict"]] = by_verdict.get(row["verdict"], 0) + row["drops"]
        lines += [f"* drops {verdict}: {count}" for verdict, count in sorted(by_verdict.items())]
        lines += [f"* files whose ledger does not add up: {sum(parts['faults.json'].values())}"]
    for file in parts.get("shapes.json", []):
        lines.append(f"* file {file['file']} of the drop: {file['feed'] or 'not recognised'}")
    return ("\n".join(lines) + "\n").encode()


_WHAT = {
    "versions.json": "this project, Python, the system, libraries",
    "settings.json": "which settings are set, with numbers and yes or no",
    "sizes.json": "files and bytes of each part of the warehouse folder",
    "deliveries.json": "deliveries by state",
    "runs.json": "the last runs: steps, seconds, errors, checks that failed",
    "tables.json": "tables, their columns and how many rows",
    "counts.json": "drops, lines, findings, holds, replays and answers by kind",
    "faults.json": "files whose ledger does not add up",
    "shapes.json": "the shape of each file of one drop",
}


def _zipped(parts: Mapping[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as bundle:
        for name, content in parts.items():
            bundle.writestr(name, content)
    return packed.getvalue()
