"""Rebuilding files of the outbox from the warehouse and the settings as they were then.

Belongs here: making the bytes of a recorded file again, with the functions that the night used.
Does not belong here: how a file is made (reports, warehouse.queries), where it is written (cli).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from operator import attrgetter
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import duckdb
import polars as pl

from ccgi_pipeline.common.errors import (
    PermanentError,
    PipelineError,
    describe_without_values,
    library_errors,
)
from ccgi_pipeline.delivery.ledger import FileKind, MadeFile
from ccgi_pipeline.feeds.cccapply import APPLICATIONS
from ccgi_pipeline.intake.archive import Archive
from ccgi_pipeline.profiles import FILE_NAME as PROFILES
from ccgi_pipeline.profiles import Profiles, profiles_from, read_profiles
from ccgi_pipeline.reports.college_download import COLUMNS, render_download
from ccgi_pipeline.reports.outbox import render_report_files, sha256_of, split_by_district
from ccgi_pipeline.reports.queries import (
    build_sent_aggregate_rows,
    create_report_views,
    read_detail_rows,
)
from ccgi_pipeline.reports.registry import REPORTS
from ccgi_pipeline.reports.spreadsheets import SUFFIX, render_spreadsheets
from ccgi_pipeline.verification.receipts import build_child_match_rows
from ccgi_pipeline.warehouse.queries import applications
from ccgi_pipeline.warehouse.queries import receipts as receipt_queries
from ccgi_pipeline.warehouse.storage.connection import (
    SnapshotGoneError,
    open_warehouse,
    warehouse_exists,
)

SPECS = {spec.name: spec for spec in REPORTS}


class NotRebuiltError(PermanentError):
    """A file cannot be made again as it was; the message says the likely cause."""


def rebuild_file(warehouse: Path, made: MadeFile) -> bytes:
    """Returns the content of one file, as it was. Raises NotRebuiltError."""
    ((_, content),) = rebuild_files(warehouse, [made])
    check_rebuilt(made, content)
    return content


def check_rebuilt(made: MadeFile, content: bytes) -> None:
    """Raises NotRebuiltError unless ``content`` has the recorded SHA-256 of ``made``."""
    if sha256_of(content) != made.sha256:
        raise NotRebuiltError(_not_made(made, "comes out with another content"))


def rebuild_files(warehouse: Path, made: Sequence[MadeFile]) -> Iterator[tuple[MadeFile, bytes]]:
    """Yields each of these files with its content, made again.

    Files of one night, snapshot and settings are made together. Raises NotRebuiltError if a file
    cannot be made at all; the caller checks with ``check_rebuilt`` that a content is as it was.
    """
    groups: defaultdict[tuple[date, int, str], list[MadeFile]] = defaultdict(list)
    for file in made:
        if file.kind == FileKind.PAGE:
            msg = (
                f"{file.path} is a page, which shows the state of today: `ccgi pages` writes it "
                "again. Reports and receipts can be made again as they were"
            )
            raise NotRebuiltError(msg)
        groups[file.night, file.snapshot, file.settings].append(file)
    for _, group in sorted(groups.items()):
        try:
            yield from _made_again(warehouse, group)
        except PipelineError:
            raise
        except library_errors() as error:
            why = f"cannot be made any more: {describe_without_values(error)}"
            raise NotRebuiltError(_not_made(group[0], why)) from None


def _not_made(made: MadeFile, why: str) -> str:
    return (
        f"{made.path} of {made.night}, snapshot {made.snapshot}, {why}\n"
        "The snapshot and the settings of that night are there. So most likely the code was changed"
        " since, or the directory of schools that is shipped with it; or the warehouse was restored"
        " from a copy and then went another way."
    )


@contextmanager
def open_past_warehouse(
    warehouse: Path, made: MadeFile
) -> Iterator[tuple[duckdb.DuckDBPyConnection, Profiles]]:
    """Opens the warehouse and reads the profiles as they were when ``made`` was written."""
    if not warehouse_exists(warehouse):
        msg = f"there is no warehouse in {warehouse}"
        raise NotRebuiltError(msg)
    profiles = _profiles(warehouse, made.settings)
    with _open_snapshot(warehouse, made) as connection:
        yield connection, profiles


def _open_snapshot(warehouse: Path, made: MadeFile) -> duckdb.DuckDBPyConnection:
    """Opens the state that a file was made from. Raises SnapshotGoneError, which says why."""
    try:
        return open_warehouse(warehouse, snapshot=made.snapshot)
    except SnapshotGoneError as gone:
        days = read_profiles(warehouse).housekeeping.keep_snapshots_days
        msg = (
            f"{made.path} of {made.night} cannot be made again: {gone}. Housekeeping keeps the "
            f"states of the last {days} days (keep_snapshots_days in [housekeeping] of {PROFILES})."
            " A backup from that time has the state"
        )
        raise SnapshotGoneError(msg) from None


def _profiles(warehouse: Path, settings: str) -> Profiles:
    """Returns the profiles with this SHA-256. Raises NotRebuiltError if the archive lacks them."""
    if not settings:
        return Profiles()
    archive = Archive.of(warehouse)
    if not archive.has(settings):
        msg = f"the settings of that night are no longer in the archive (SHA-256 {settings})"
        raise NotRebuiltError(msg)
    return profiles_from(archive.read(settings), warehouse / PROFILES, of_past_night=True)


class _Key(NamedTuple):
    """What identifies a file within a night."""

    kind: str
    name: str
    part: str
    owner: str


_key = attrgetter("kind", "name", "part", "owner")


def _made_again(warehouse: Path, group: Sequence[MadeFile]) -> Iterator[tuple[MadeFile, bytes]]:
    """Yields the files of one night, snapshot and settings with their contents."""
    wanted: defaultdict[_Key, list[MadeFile]] = defaultdict(list)
    for file in group:
        wanted[_Key(*_key(file))].append(file)
    with open_past_warehouse(warehouse, group[0]) as (connection, profiles):
        archive = Archive.of(warehouse)
        for key, content in _contents(connection, profiles, archive, group[0].night, {*wanted}):
            for file in wanted.pop(key, ()):
                yield file, content
    for files in wanted.values():
        raise NotRebuiltError(_not_made(files[0], "is none of the files that are made of it today"))


def _contents(
    connection: duckdb.DuckDBPyConnection,
    profiles: Profiles,
    archive: Archive,
    on: date,
    wanted: Collection[_Key],
) -> Iterator[tuple[_Key, bytes]]:
    kinds = {key.kind for key in wanted}
    if FileKind.REPORT in kinds:
        yield from _reports(connection, profiles, on, wanted)
    if FileKind.CHILD_MATCH in kinds:
        cds, students = receipt_queries.read_unmatched_students(connection, on)
        for cd, content in split_by_district(build_child_match_rows(students), cds):
            yield _Key(FileKind.CHILD_MATCH, "", "", cd), content
    if FileKind.RECEIPT in kinds:
        yield from _receipts(connection, profiles, archive, wanted)
    if FileKind.DOWNLOAD in kinds:
        rows = applications.read_applications_for_colleges(connection, COLUMNS)
        yield _Key(FileKind.DOWNLOAD, "", "", APPLICATIONS.family), render_download(rows)


def _reports(
    connection: duckdb.DuckDBPyConnection,
    profiles: Profiles,
    on: date,
    wanted: Collection[_Key],
) -> Iterator[tuple[_Key, bytes]]:
    named = create_report_views(connection, on, profiles.reports)
    parts: defaultdict[str, defaultdict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for key in wanted:
        if key.kind == FileKind.REPORT and key.name in SPECS:
            parts[key.name][key.part].append(key.owner)
    for name, owners_of in parts.items():
        spec = SPECS[name]
        detail = read_detail_rows(connection, spec)
        for part, owners in owners_of.items():
            rows = detail
            file = part.removesuffix(SUFFIX)
            if file == "Agg":
                rows = build_sent_aggregate_rows(connection, spec, profiles, REPORTS).drop("place")
            theirs = pl.col("cd").is_in(owners)
            rows, districts = rows.filter(theirs), named.filter(theirs)
            files = (
                render_report_files(spec, rows, districts)
                if part == file
                else render_spreadsheets(spec, rows, districts)
            )
            for cd, _, content in files:
                yield _Key(FileKind.REPORT, name, part, cd), content


def _receipts(
    connection: duckdb.DuckDBPyConnection,
    profiles: Profiles,
    archive: Archive,
    wanted: Collection[_Key],
) -> Iterator[tuple[_Key, bytes]]:
    # A receipt is recorded only after it was written, so all receipts are searched.
    given = receipt_queries.read_receipts_by_stem(connection)
    stems = sorted({key.name for key in wanted if key.kind == FileKind.RECEIPT} & set(given))
    answers = [given[stem] for stem in stems]
    for answer, files in receipt_queries.build_receipts(connection, answers, archive, profiles):
        for name, content in files:
            suffix = PurePosixPath(name).suffix
            yield _Key(FileKind.RECEIPT, answer.stem, suffix, answer.sender), content
