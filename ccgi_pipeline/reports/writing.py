"""Writing: rows into the tree of the seed, one file a district and report, byte for byte.

Belongs here: paths, file names, CSV (RFC 4180, UTF-8, CRLF). A file appears whole or not at all;
one that would not change is not touched. Does not belong here: what the rows are (building).
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import polars as pl

from ccgi_pipeline.milestones import milestone
from ccgi_pipeline.reports.spec import ReportSpec

_UNFINISHED = ".writing"


@dataclass(frozen=True, slots=True)
class Outbox:
    """The folder from which districts' reports and receipts are delivered."""

    root: Path

    def write(self, path: Path, content: bytes) -> bool:
        """Puts ``content`` at ``path`` (relative) whole or not at all; says whether it changed."""
        final = self.root / path
        if final.is_file() and final.read_bytes() == content:
            return False
        unfinished = self.root / _UNFINISHED / path.name
        unfinished.parent.mkdir(parents=True, exist_ok=True)
        with milestone("outbox: begun"):
            unfinished.write_bytes(content)
        final.parent.mkdir(parents=True, exist_ok=True)
        with milestone("outbox: written"):
            unfinished.replace(final)
        return True

    def sweep(self) -> None:
        """Removes what an interrupted night left unfinished."""
        shutil.rmtree(self.root / _UNFINISHED, ignore_errors=True)


@dataclass(frozen=True, slots=True)
class OutboxFile:
    """A file that lies in the outbox: its relative path, whose it is, its content's SHA-256."""

    path: str
    owner: str
    sha256: str


def report_path(spec: ReportSpec, folder: str, file: str, on: date) -> Path:
    """Where a district's file of a report lies in the outbox: ``file`` is ``Agg`` or ``Detail``."""
    return Path(folder, *spec.folder, f"{folder}_{on:%Y%m%d}_{file}.csv")


def write_report(  # noqa: PLR0913, PLR0917 - the rows, whose they are, and where they go
    outbox: Outbox,
    spec: ReportSpec,
    file: str,
    rows: pl.DataFrame,
    named: pl.DataFrame,
    on: date,
    progress: Callable[[], None] = lambda: None,
) -> list[OutboxFile]:
    """Writes one file for each district of ``named`` that gets this report; returns them.

    ``rows`` are those of all districts (``cd`` first); a district without any gets the header.
    """
    written = []
    for cd, folder, content in report_files(spec, rows, named):
        path = report_path(spec, folder, file, on)
        outbox.write(path, content)
        written.append(OutboxFile(path.as_posix(), cd, sha256_of(content)))
        progress()
    return written


def report_files(
    spec: ReportSpec, rows: pl.DataFrame, named: pl.DataFrame
) -> Iterator[tuple[str, str, bytes]]:
    """CD code, folder and content for each district of ``named`` that gets this report."""
    header = as_csv(pl.DataFrame(schema=dict.fromkeys(rows.columns[1:], pl.String)))
    by_district = {
        str(cd): group.drop("cd")
        for (cd,), group in rows.partition_by("cd", as_dict=True, maintain_order=True).items()
    }
    for cd, folder in named.select("cd", "folder").iter_rows():
        if spec.only_for is not None and cd not in spec.only_for:
            continue
        yield cd, folder, as_csv(by_district[cd]) if cd in by_district else header


def sha256_of(content: bytes) -> str:
    """The SHA-256 of a file's content, in hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()


def as_csv(rows: pl.DataFrame) -> bytes:
    """Rows as a file of the outbox."""
    return rows.write_csv(line_terminator="\r\n", quote_style="necessary").encode()
