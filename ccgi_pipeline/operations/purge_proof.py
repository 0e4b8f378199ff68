"""The search that proves that purged values are gone from every file and table that stays.

Belongs here: the values searched for, and finding them in plain, sealed, zipped and UTF-16 files.
Does not belong here: which values identify purged rows (warehouse.load.erasure).
"""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb
import polars as pl

from ccgi_pipeline.common.progress import ProgressCounter
from ccgi_pipeline.encryption.sealed_files import seal, unseal
from ccgi_pipeline.encryption.sqlite import dump_cells
from ccgi_pipeline.intake.received_files import ReceivedFiles, open_received_files
from ccgi_pipeline.nightly.paths import PipelinePaths
from ccgi_pipeline.oneroster_api.district_fetch import PAGES, page_archive
from ccgi_pipeline.warehouse.queries.value_search import count_values_in_tables, read_outside_folder
from ccgi_pipeline.warehouse.storage.location import ENCRYPTED_CATALOG, TABLES
from ccgi_pipeline.warehouse.storage.staging import Staging
from ccgi_pipeline.warehouse.storage.writers import READER_CATALOG

SEARCH_FILE = "purge_under_way.json"
"""The values searched for, until it is proven that they are gone. This is students' data."""
_BATCH = 64 << 20
"""Bytes that are searched together: the automaton of the values is built once for each batch."""
_PIECE = 1 << 20
_OVERLAP = 256
"""Values are shorter, so a value on the border of two pieces is whole in one of them."""
_DUCKDB = (ENCRYPTED_CATALOG, READER_CATALOG)
"""Files that must not be opened here: closing them would release DuckDB's lock on them."""


@dataclass(frozen=True, slots=True)
class PurgeProof:
    """A search over everything that stays: how many values, files and bytes, and what was found.

    ``found``: how many files, or rows of a table, still contain a value, by place.
    """

    values: int
    files: int
    bytes: int
    found: Mapping[str, int]


def save_search_values(warehouse: Path, values_to_purge: pl.Series) -> pl.Series:
    """Saves the values to search for; returns them with those of a purge that was stopped."""
    path, key = warehouse / SEARCH_FILE, Staging.of(warehouse).key
    former: list[str] = []
    if path.exists():
        content = path.read_bytes()
        former = json.loads(unseal(content, key) if key else content)
    values = sorted({*values_to_purge, *former})
    content = json.dumps(values).encode()
    unfinished = path.with_suffix(".part")
    unfinished.write_bytes(seal(content, key) if key else content)
    unfinished.replace(path)
    return pl.Series("value", values, dtype=pl.String)


def search_for_values(
    connection: duckdb.DuckDBPyConnection, folders: PipelinePaths, values: pl.Series
) -> PurgeProof:
    """Searches everything that stays for every value."""
    left = [
        path
        for root in (folders.warehouse, folders.outbox, folders.inbox)
        for path in list_files(root)
        if path.name != SEARCH_FILE
    ]
    found: Counter[str] = Counter(
        {
            f"table {table}": rows
            for table, rows in count_values_in_tables(connection, values).items()
        }
    )
    files, size = len(left), sum(path.stat().st_size for path in left)

    def elsewhere() -> Iterator[tuple[Path, bytes]]:
        nonlocal files, size
        for path, content in read_outside_folder(connection, folders.warehouse):
            files, size = files + 1, size + len(content)
            yield path, content

    for path in _search(values, elsewhere()):
        found[path.parts[0]] += 1
    for path in find_files_with_values(folders, values, left):
        root = next(
            root
            for root in (folders.warehouse, folders.outbox, folders.inbox)
            if path.is_relative_to(root)
        )
        found[f"{root.name}/{path.relative_to(root).parts[0]}"] += 1
    return PurgeProof(len(values), files, size, dict(found))


def find_files_with_values(
    folders: PipelinePaths, values: pl.Series, paths: Iterable[Path]
) -> list[Path]:
    """Returns the files that contain one of ``values`` as a word: plain, in UTF-16 or in a zip."""
    with open_received_files(folders.archive) as received:
        return _search(values, ((path, _read_plain(folders, path, received)) for path in paths))


def _search(values: pl.Series, files: Iterable[tuple[Path, bytes]]) -> list[Path]:
    """Returns the names of the contents that contain one of ``values`` as a word."""
    if values.is_empty():
        return []
    patterns = pl.Series([value.encode().decode("latin-1") for value in values]).implode()
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
            holding |= dict.fromkeys(_find_hits(batch, patterns))
            batch, size = [], 0
    holding |= dict.fromkeys(_find_hits(batch, patterns))
    return list(holding)


def _read_plain(folders: PipelinePaths, path: Path, received: ReceivedFiles) -> bytes:
    """Returns the decrypted content of a file; nothing of tables, which are searched by rows."""
    archive = received.archive
    if path.is_relative_to(archive.root) and archive.has(path.name):
        return received.read_clear(path.name)
    if path.is_relative_to(folders.warehouse / PAGES):
        return page_archive(folders.warehouse).read(path.name)
    if archive.key is None or not path.is_relative_to(folders.warehouse):
        return path.read_bytes()
    if path.parent.name != "dagster" and path.suffix == ".sqlite":
        return dump_cells(path)
    if path.name in _DUCKDB or path.is_relative_to(folders.warehouse / TABLES):
        return b""
    return path.read_bytes()


def _find_hits(batch: Sequence[tuple[Path, bytes]], patterns: pl.Series) -> Iterator[Path]:
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
    """Returns the bytes to search: UTF-16 as text, and the files of a zip besides the zip."""
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


def list_files(folder: Path) -> list[Path]:
    """Returns all files below ``folder``, without links."""
    return [path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]
