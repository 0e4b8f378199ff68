"""Purging: all that is known of a district, or of what is too old, taken out and proven to be gone.

Belongs here: the order of the places from which it goes, the search that proves it, the certificate
that says so. Does not belong here: which rows of the warehouse go (warehouse.purging).

Whatever stops a purge, doing it again brings it to its end: rows go last, so until then it is known
what is to go, and the values that are searched for lie in a file until the proof is made.
"""

from __future__ import annotations

import io
import json
import re
import shutil
import zipfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path

import duckdb
import polars as pl

from ccgi_pipeline.common.errors import value_free
from ccgi_pipeline.common.failpoints import failpoint
from ccgi_pipeline.common.progress import ProgressCounter
from ccgi_pipeline.delivery.ledger import ledger_exists, open_ledger
from ccgi_pipeline.districts import districts
from ccgi_pipeline.encryption.sealed_files import seal, unseal
from ccgi_pipeline.encryption.sqlite import dump_cells, vacuum_files
from ccgi_pipeline.intake.inbox_state import read_sightings, save_sightings
from ccgi_pipeline.nightly.paths import PipelinePaths
from ccgi_pipeline.operations import audit_log
from ccgi_pipeline.reports.outbox import sha256_of
from ccgi_pipeline.ssid_lookup.backlog import Backlog
from ccgi_pipeline.warehouse.load import erasure as tables
from ccgi_pipeline.warehouse.load.erasure import PurgeSelection
from ccgi_pipeline.warehouse.queries.directory import read_directory
from ccgi_pipeline.warehouse.storage.connection import open_warehouse
from ccgi_pipeline.warehouse.storage.location import ENCRYPTED_CATALOG, TABLES
from ccgi_pipeline.warehouse.storage.schema import create_missing_tables
from ccgi_pipeline.warehouse.storage.staging import Staging
from ccgi_pipeline.warehouse.storage.writers import READER_CATALOG, exclusive_writer

CERTIFICATES = "certificates"
_SOUGHT = "purge_under_way.json"
"""The values searched for, until it is proven that they are gone. Pupils' data."""
_LEFT_OF_THE_STEPS = ("staging", "spill", "preview")
"""What a night leaves between its steps; it can be made again of what stays."""

KEPT = (
    "what others sent of the same children: child welfare's register, applications, identities",
    "files that were delivered: they are the receiver's",
    "backups: they are to be purged where they lie",
)
"""What a purge of a district leaves alone. The certificate says so."""


@dataclass(frozen=True, slots=True)
class PurgePlan:
    """What would go: rows by table, and how many files of each place."""

    wish: PurgeSelection
    rows: Mapping[str, int]
    files: Mapping[str, int]
    snapshots: bool = True

    @property
    def empty(self) -> bool:
        """Whether there is nothing to do."""
        return not self.rows and not any(self.files.values())


@dataclass(frozen=True, slots=True)
class PurgeProof:
    """A search over everything that stays: for how many values, where, and what was found.

    ``found``: in how many files, or rows of a table, a value still stands, by place.
    """

    values: int
    files: int
    bytes: int
    found: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class PurgeCertificate:
    """What was removed by whom and why, and the proof that it is gone."""

    purged: str
    by: str
    reason: str
    began: str
    ended: str
    rows: Mapping[str, int]
    files: Mapping[str, int]
    snapshots: int
    proof: PurgeProof
    audit_entry: str
    kept: Sequence[str] = field(default=KEPT)

    @property
    def proven(self) -> bool:
        """Whether nothing was found any more."""
        return not self.proof.found


@value_free
def plan_purge(folders: PipelinePaths, wish: PurgeSelection) -> PurgePlan:
    """What a purge would take out. Nothing is changed."""
    with open_warehouse(folders.warehouse, read_only=True) as connection:
        with tables.mark_rows_to_purge(connection, wish):
            rows = tables.count_rows(connection, wish)
            archived = tables.read_archived_files(connection)
        files = {
            "archive": sum(1 for sha256 in archived if folders.archive.has(sha256)),
            "outbox": len(_of_outbox(connection, folders, wish)),
            "inbox": len(_of_inbox(folders, wish)),
        }
    return PurgePlan(wish, rows, files)


@value_free
def run_purge(
    folders: PipelinePaths,
    wish: PurgeSelection,
    *,
    by: str,
    reason: str,
    forget_runs: Callable[[PurgeSelection], int] = lambda _: 0,
) -> PurgeCertificate:
    """Takes everything out and proves it. ``forget_runs``: removes what Dagster remembers of it.

    Raises WarehouseBusyError where a night is on.
    """
    began = _now()
    warehouse = folders.warehouse
    about = {"of": str(wish)}
    with (
        exclusive_writer(warehouse),
        audit_log.recorded_act(
            warehouse, audit_log.Act.PURGED, about, by=by, reason=reason
        ) as entry,
        open_warehouse(warehouse) as connection,
    ):
        create_missing_tables(connection)
        with tables.mark_rows_to_purge(connection, wish):
            sought = _sought(warehouse, tables.read_search_values(connection, wish))
            rows = tables.count_rows(connection, wish)
            files = _remove_files(connection, folders, wish, sought)
            files["runs"] = forget_runs(wish)
            with failpoint("purge: rows"):
                tables.delete_rows(connection, wish)
        with failpoint("purge: history"):
            snapshots = tables.delete_history(connection, warehouse)
        vacuum_files(warehouse)
        proof = _proof(connection, folders, sought)
        certificate = PurgeCertificate(
            purged=str(wish),
            by=entry.who,
            reason=reason.strip(),
            began=began,
            ended=_now(),
            rows=rows,
            files=files,
            snapshots=snapshots,
            proof=proof,
            audit_entry=str(audit_log.Head(entry.number, entry.hash)),
        )
        _keep(warehouse, certificate, entry.number)
        (warehouse / _SOUGHT).unlink(missing_ok=True)
    return certificate


def _now() -> str:
    return datetime.now(tz=UTC).isoformat(timespec="seconds")


def _sought(warehouse: Path, witnesses: pl.Series) -> pl.Series:
    """The witnesses, and those of a purge that was stopped; kept until the proof is made."""
    path, key = warehouse / _SOUGHT, Staging.of(warehouse).key
    former: list[str] = []
    if path.exists():
        content = path.read_bytes()
        former = json.loads(unseal(content, key) if key else content)
    sought = sorted({*witnesses, *former})
    content = json.dumps(sought).encode()
    unfinished = path.with_suffix(".part")
    unfinished.write_bytes(seal(content, key) if key else content)
    unfinished.replace(path)
    return pl.Series("value", sought, dtype=pl.String)


def _keep(warehouse: Path, certificate: PurgeCertificate, number: int) -> None:
    folder = warehouse / CERTIFICATES
    folder.mkdir(exist_ok=True)
    path = folder / f"purge-{number}.json"
    path.write_text(json.dumps(asdict(certificate), indent=2) + "\n")


# --- files ----------------------------------------------------------------------------------------


def _remove_files(
    connection: duckdb.DuckDBPyConnection,
    folders: PipelinePaths,
    wish: PurgeSelection,
    sought: pl.Series,
) -> dict[str, int]:
    """Removes the files that go; returns how many of each place."""
    archive = folders.archive
    doomed = [archive.path(sha256) for sha256 in tables.read_archived_files(connection)]
    outbox = _of_outbox(connection, folders, wish)
    if wish.district:
        # A county office's files, or the state's, have lines of this district's students.
        theirs = {*doomed, *outbox}
        doomed += _holding(folders, sought, (p for p in archive.files() if p not in theirs))
        outbox += _holding(folders, sought, (p for p in _below(folders.outbox) if p not in theirs))
    inbox = _of_inbox(folders, wish)
    if wish.district:
        # What nobody has taken yet stays, and is told: its other lines are in no table.
        inbox += [
            path
            for path in _holding(folders, sought, _below(folders.inbox))
            if path not in inbox and archive.has(sha256_of(path.read_bytes()))
        ]
    removed = {
        "inbox": _unlink(inbox, "purge: inbox"),
        "archive": _unlink(doomed, "purge: archive"),
        "outbox": _unlink(outbox, "purge: outbox"),
    }
    for name in _LEFT_OF_THE_STEPS:
        shutil.rmtree(folders.warehouse / name, ignore_errors=True)
    if wish.district:
        looks = read_sightings(folders.warehouse)
        theirs_of_inbox = {path for path in looks if wish.district in re.split("[/:]", path)}
        save_sightings(
            folders.warehouse, {p: look for p, look in looks.items() if p not in theirs_of_inbox}
        )
    if ledger_exists(folders.warehouse):
        with open_ledger(folders.warehouse) as ledger:
            removed["deliveries"] = ledger.delete_records(wish.district, wish.before)
    backlog = folders.warehouse / "lookups"
    if wish.before and backlog.exists():
        removed["look-ups"] = Backlog(backlog).forget(wish.before)
    return removed


def _unlink(paths: Iterable[Path], told: str) -> int:
    removed = 0
    with failpoint(told):
        for path in paths:
            if path.exists():
                path.unlink()
                removed += 1
    return removed


def _of_outbox(
    connection: duckdb.DuckDBPyConnection, folders: PipelinePaths, wish: PurgeSelection
) -> list[Path]:
    """The files of the outbox that are the district's, or of a night of before."""
    if wish.district:
        named = districts(read_directory(connection), pl.Series("cd", [wish.district]))
        return [path for folder in named["folder"] for path in _below(folders.outbox / folder)]
    return [path for path in _below(folders.outbox) if _is_older(path, wish.before)]


_NIGHT = re.compile(r"(?<!\d)(\d{4})-?(\d{2})-?(\d{2})(?!\d)")


def _is_older(path: Path, before: date | None) -> bool:
    """Whether the name of a file of the outbox has a date, and one before that day."""
    found = _NIGHT.search(path.name)
    if found is None or before is None:
        return False
    try:
        return date(*map(int, found.groups())) < before
    except ValueError:
        return False


def _of_inbox(folders: PipelinePaths, wish: PurgeSelection) -> list[Path]:
    """The district's files in the local inbox, or those that came before."""
    if wish.district:
        return _below(folders.inbox / wish.district)
    begins = datetime.combine(wish.before or date.min, datetime.min.time(), UTC).timestamp()
    return [path for path in _below(folders.inbox) if path.stat().st_mtime < begins]


def _below(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]


# --- the search -----------------------------------------------------------------------------------


def _proof(
    connection: duckdb.DuckDBPyConnection, folders: PipelinePaths, sought: pl.Series
) -> PurgeProof:
    """Searches everything that stays for every value."""
    left = [
        path
        for root in (folders.warehouse, folders.outbox, folders.inbox)
        for path in _below(root)
        if path.name != _SOUGHT
    ]
    found: Counter[str] = Counter(
        {
            f"table {table}": rows
            for table, rows in tables.count_values_in_tables(connection, sought).items()
        }
    )
    files, size = len(left), sum(path.stat().st_size for path in left)

    def elsewhere() -> Iterator[tuple[Path, bytes]]:
        nonlocal files, size
        for path, content in tables.read_outside_folder(connection, folders.warehouse):
            files, size = files + 1, size + len(content)
            yield path, content

    for path in _searched(sought, elsewhere()):
        found[path.parts[0]] += 1
    for path in _holding(folders, sought, left):
        root = next(
            root
            for root in (folders.warehouse, folders.outbox, folders.inbox)
            if path.is_relative_to(root)
        )
        found[f"{root.name}/{path.relative_to(root).parts[0]}"] += 1
    return PurgeProof(len(sought), files, size, dict(found))


_BATCH = 64 << 20
"""Bytes that are searched together: the automaton of the values is built once for each batch."""
_PIECE = 1 << 20
_OVERLAP = 256
"""A value on the border of two pieces is whole in one of them; values are shorter than this."""


def _holding(folders: PipelinePaths, sought: pl.Series, paths: Iterable[Path]) -> list[Path]:
    """The files that hold one of the values ``sought`` as a word: plain, in UTF-16 or in a zip."""
    return _searched(sought, ((path, _plain(folders, path)) for path in paths))


def _searched(sought: pl.Series, files: Iterable[tuple[Path, bytes]]) -> list[Path]:
    """The same of contents, by their names."""
    if sought.is_empty():
        return []
    patterns = pl.Series([value.encode().decode("latin-1") for value in sought]).implode()
    step = ProgressCounter("searching", 0)
    holding: dict[Path, None] = {}
    batch: list[tuple[Path, bytes]] = []
    size = 0
    for path, whole in files:
        for content in _contents(whole):
            batch.append((path, content))
            size += len(content)
        step.advance()
        if size > _BATCH:
            holding |= dict.fromkeys(_hits(batch, patterns))
            batch, size = [], 0
    holding |= dict.fromkeys(_hits(batch, patterns))
    return list(holding)


def _plain(folders: PipelinePaths, path: Path) -> bytes:
    """What a file says to who has the keys. The tables are searched by their rows."""
    archive = folders.archive
    if archive.key is None or not path.is_relative_to(folders.warehouse):
        return path.read_bytes()
    if path.is_relative_to(archive.root):
        return archive.read(path.name)
    if path.parent.name != "dagster" and path.suffix == ".sqlite":
        return dump_cells(path)
    if path.name in _DUCKDB or path.is_relative_to(folders.warehouse / TABLES):
        return b""
    return path.read_bytes()


_DUCKDB = (ENCRYPTED_CATALOG, READER_CATALOG)
"""Opening these would let go of DuckDB's lock on them."""


def _hits(batch: Sequence[tuple[Path, bytes]], patterns: pl.Series) -> Iterator[Path]:
    pieces = [
        (number, content[begin : begin + _PIECE + _OVERLAP].decode("latin-1"))
        for number, (_, content) in enumerate(batch)
        for begin in range(0, len(content), _PIECE)
    ]
    frame = pl.DataFrame(pieces, schema={"number": pl.Int64, "text": pl.String}, orient="row")
    found = (
        frame.filter(pl.col("text").str.contains_any(patterns))
        .with_columns(pl.col("text").str.extract_many(patterns, overlapping=True).alias("values"))
        .select("number", "values")
        .explode("values")
        .unique(maintain_order=True)
    )
    for number, value in found.iter_rows():
        path, content = batch[number]
        word = re.escape(value.encode("latin-1"))
        if re.search(rb"(?<![0-9A-Za-z])" + word + rb"(?![0-9A-Za-z])", content):
            yield path


def _contents(content: bytes) -> list[bytes]:
    """The bytes, as text where they are UTF-16, and what is in them where they are a zip."""
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return [content.decode("utf-16", errors="replace").encode()]
    if not content.startswith(b"PK\x03\x04"):
        return [content]
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as package:
            entries = [entry for entry in package.infolist() if not entry.flag_bits & 1]
            return [content, *(part for e in entries for part in _contents(package.read(e)))]
    except (zipfile.BadZipFile, NotImplementedError, EOFError, OSError, ValueError):
        return [content]
