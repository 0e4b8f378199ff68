"""Where a pupil's value might get to, and must not.

Belongs here: one function a place, which gives what stands there by name. To search another place,
write its function and name it in ``PLACES``. Does not belong here: what is searched for (canaries).
"""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import sqlite3
import tempfile
import warnings
import zipfile
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path

import dagster as dg
import polars as pl
import pytest
from click.testing import CliRunner
from dagster._core.test_utils import in_process_test_workspace
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from dagster_graphql.test.utils import execute_dagster_graphql

from ccgi_pipeline.cli import main
from ccgi_pipeline.defs.recorded_runs import read_last_runs
from ccgi_pipeline.feeds.registry import FEEDS
from ccgi_pipeline.intake.archive import ArchiveDamagedError
from ccgi_pipeline.monitoring.support_bundle import bundle
from ccgi_pipeline.reports.registry import REPORTS
from ccgi_pipeline.runtime.dagster_instance import build_folder_variables
from ccgi_pipeline.warehouse.storage.connection import open_warehouse
from ccgi_pipeline_tests.nightly.nights import bytes_below
from ccgi_pipeline_tests.privacy.nights import Nights

Parts = Mapping[str, bytes]


def dagster_files(nights: Nights) -> Parts:
    """Every file of the instance as it lies on disk: logs, run storage, schedules, pickles."""
    return bytes_below(_home(nights))


def dagster_databases(nights: Nights) -> Parts:
    """Every cell of every table of the instance: events, runs, tags, configurations, ticks."""
    return {
        f"{path.name} {table}.{column}": content
        for path in sorted(_home(nights).rglob("*.db"))
        for (table, column), content in cells_of(path).items()
    }


def _home(nights: Nights) -> Path:
    return nights.folders.warehouse / "dagster"


def cells_of(database: Path) -> dict[tuple[str, str], bytes]:
    """The cells of each column of an SQLite file; of a changed cell, as it is now."""
    cells: dict[tuple[str, str], bytes] = {}
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        for (table,) in tables.fetchall():
            rows = connection.execute(f'SELECT * FROM "{table}"')  # noqa: S608 - its own tables
            names = [column[0] for column in rows.description]
            for number, row in enumerate(rows):
                for name, cell in zip(names, row, strict=True):
                    if isinstance(cell, bytes):
                        cells[table, f"{name} {number}"] = cell  # packed, each by itself
                    elif isinstance(cell, str):
                        cells[table, name] = cells.get((table, name), b"") + cell.encode() + b"\n"
    return cells


def notices(nights: Nights) -> Parts:
    """The mails that the operator got, and what waits to be told."""
    book = nights.folders.warehouse / "notices.sqlite"
    stored = {f"{table}.{column}": cells for (table, column), cells in cells_of(book).items()}
    return {"mails": nights.said["mails"], **stored}


def said(nights: Nights) -> Parts:
    """All that the commands said on standard output and error."""
    return nights.said


def receipts(nights: Nights) -> Parts:
    """What senders get back, as JSON, CSV and page; the child match reports are their pupils'."""
    return {
        path: content
        for path, content in bytes_below(nights.folders.outbox).items()
        if "/_receipts/" in path and "child_match" not in path
    }


def pages(nights: Nights) -> Parts:
    """The pages of districts and of the state, and the pictures that are kept for the next night.

    A page of the outbox is also searched as a receipt.
    """
    warehouse = nights.folders.warehouse
    charts = {path.name: gzip.decompress(path.read_bytes()) for path in warehouse.glob("*.json.gz")}
    return {
        **_outbox(nights, "/index.html"),
        **bytes_below(warehouse / "pages"),
        **charts,
    }


def aggregates(nights: Nights) -> Parts:
    """The reports that count."""
    return _outbox(nights, "_Agg.csv")


def spreadsheets(nights: Nights) -> Parts:
    """The same as spreadsheets, unpacked."""
    return {
        f"{path}/{part}": content
        for path, packed in _outbox(nights, "_Agg.xlsx").items()
        for part, content in _unzipped(packed).items()
    }


def _unzipped(packed: bytes) -> Parts:
    with zipfile.ZipFile(io.BytesIO(packed)) as package:
        return {name: package.read(name) for name in package.namelist()}


def exports(nights: Nights) -> Parts:
    """What an operator exports who names no class: every table and report, in each form."""
    return exported(nights)


def exported(nights: Nights, *more: str) -> Parts:
    """Exports of all tables that can be exported and of all reports; ``more``: options."""
    tables = [
        feed.name
        for feed in FEEDS
        if not feed.manifest
        and any(not column.personal for column in feed.columns.values())
        and (feed.ssid or not any(column.personal for column in feed.columns.values()))
    ]
    whole = [*(f"--table={name}" for name in tables), *(f"--report={r.name}" for r in REPORTS)]
    few = ["--table=students", "--report=applications_and_launches"]
    parts: dict[str, bytes] = {}
    with tempfile.TemporaryDirectory() as folder:
        for form, chosen in (("csv", whole), ("xlsx", few), ("parquet", few)):
            words = [
                "--format",
                form,
                "--out",
                folder,
                "--warehouse",
                f"{nights.folders.warehouse}",
            ]
            done = CliRunner().invoke(main, ["export", *chosen, *words, *more])
            assert done.exit_code == 0, done.output
            parts[f"said of {form}"] = done.output.encode()
        for name, content in bytes_below(Path(folder)).items():
            if name.endswith(".xlsx"):
                parts |= _unzipped(content)
            elif name.endswith(".parquet"):
                parts[name] = pl.read_parquet(content).write_csv().encode()
            else:
                parts[name] = content
    return parts


def _outbox(nights: Nights, end: str) -> Parts:
    outbox = bytes_below(nights.folders.outbox)
    return {path: content for path, content in outbox.items() if path.endswith(end)}


def names_in_the_outbox(nights: Nights) -> Parts:
    """The names of all files that were made."""
    return {"names": "\n".join(bytes_below(nights.folders.outbox)).encode()}


def names_on_the_server(nights: Nights) -> Parts:
    """The names of all files that were delivered."""
    return {"names": "\n".join(bytes_below(nights.delivered)).encode()}


def beside_the_tables(nights: Nights) -> Parts:
    """Databases and notes of the warehouse folder; its tables and its archive hold pupils' data."""
    warehouse = nights.folders.warehouse
    parts = {
        f"{path.name} {table}.{column}": content
        for path in sorted(warehouse.glob("*.sqlite"))
        if path.name not in _OF_THE_TABLES
        for (table, column), content in cells_of(path).items()
    }
    notes = [path for path in sorted(warehouse.iterdir()) if path.is_file()]
    return parts | {
        path.name: path.read_bytes() for path in notes if not path.name.startswith(_SQLITE)
    }


_OF_THE_TABLES = {"catalog.sqlite", "inbox_state.sqlite"}
"""The catalog has the least and greatest value of each column; looks are names of files."""
_SQLITE = ("catalog.sqlite", "inbox_state.sqlite", "deliveries.sqlite")


def support_bundle(nights: Nights) -> Parts:
    """What an operator sends to who helps, with the shape of every drop's files."""
    warehouse = nights.folders.warehouse
    built = bundle.build_support_bundle(warehouse, read_last_runs(warehouse / "dagster"))
    with zipfile.ZipFile(io.BytesIO(built)) as packed:
        parts = {name: packed.read(name) for name in packed.namelist()}
    if not nights.folders.archive.root.exists():
        return parts
    with open_warehouse(warehouse, read_only=True) as connection:
        for (drop,) in connection.execute("SELECT drop_id FROM drops").fetchall():
            with contextlib.suppress(ArchiveDamagedError):
                shapes = bundle.describe_drop_shapes(connection, warehouse, drop)
                parts[f"shapes of {drop}"] = json.dumps(shapes).encode()
    return parts


_ASKED = """
{
  runsOrError { ... on Runs { results {
    id status runConfigYaml tags { key value } assets { key { path } }
    stepStats { stepKey status }
    eventConnection(limit: 5000) { events {
      __typename
      ... on MessageEvent { message stepKey level eventType }
      ... on MaterializationEvent { partition label description metadataEntries { ...Metadata } }
      ... on ObservationEvent { partition label description metadataEntries { ...Metadata } }
      ... on AssetCheckEvaluationEvent { evaluation {
        checkName description success partition metadataEntries { ...Metadata }
      } }
      ... on ErrorEvent { error { ...Trace } }
    } }
  } } }
  runTagsOrError { ... on RunTags { tags { key values } } }
  assetNodes {
    description metadataEntries { ...Metadata } tags { key value } partitionKeys
    assetMaterializations { metadataEntries { ...Metadata } tags { key value } }
  }
  schedulesOrError(repositorySelector: SELECTOR) { ... on Schedules { results {
    name scheduleState { ticks { status skipReason runKeys cursor error { ...Trace } } }
  } } }
  sensorsOrError(repositorySelector: SELECTOR) { ... on Sensors { results {
    name sensorState { ticks { status skipReason runKeys cursor error { ...Trace } } }
  } } }
}
fragment Trace on PythonError {
  message stack className errorChain { error { message stack className } }
}
fragment Metadata on MetadataEntry {
  __typename label description
  ... on TextMetadataEntry { text }
  ... on UrlMetadataEntry { url }
  ... on PathMetadataEntry { path }
  ... on JsonMetadataEntry { jsonString }
  ... on MarkdownMetadataEntry { mdStr }
  ... on IntMetadataEntry { intRepr }
  ... on FloatMetadataEntry { floatValue }
  ... on TableMetadataEntry { table { records } }
}
"""
_SELECTOR = '{repositoryName: "__repository__", repositoryLocationName: "<<in_process>>"}'


def graphql(nights: Nights) -> Parts:
    """All that the UI can ask: runs, events, configurations, tags, assets, checks, ticks."""
    origin = LoadableTargetOrigin(
        module_name="ccgi_pipeline.definitions",
        attribute="defs",
        working_directory=str(Path(__file__).parents[2]),
    )
    with (
        dg.DagsterInstance.from_config(str(_home(nights))) as instance,
        pytest.MonkeyPatch.context() as patch,
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")  # Dagster tells itself what it is about to change
        for name, value in build_folder_variables(nights.folders).items():
            patch.setenv(name, value)
        with in_process_test_workspace(instance, origin) as workspace:
            answer = execute_dagster_graphql(workspace, _ASKED.replace("SELECTOR", _SELECTOR))
    assert not answer.errors, answer.errors
    return {name: json.dumps(part).encode() for name, part in answer.data.items()}


PLACES: Mapping[str, Callable[[Nights], Parts]] = {
    "Dagster's files": dagster_files,
    "Dagster's databases": dagster_databases,
    "GraphQL": graphql,
    "support bundle": support_bundle,
    "what commands say": said,
    "receipts": receipts,
    "notices": notices,
    "pages": pages,
    "aggregates": aggregates,
    "spreadsheets": spreadsheets,
    "exports": exports,
    "names in the outbox": names_in_the_outbox,
    "names on the server": names_on_the_server,
    "beside the tables": beside_the_tables,
}
