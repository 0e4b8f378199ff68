"""Writes reports and receipts into the outbox, one file per district and report.

Belongs here: paths, file names, CSV (RFC 4180, UTF-8, CRLF). A file appears complete or not at all,
and is not written again if it would not change. Does not belong here: what the rows are (queries).
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
import polars as pl

from ccgi_pipeline.common.failpoints import failpoint
from ccgi_pipeline.common.owner_only import mend_folder
from ccgi_pipeline.reports.spec import ReportSpec

_UNFINISHED = ".writing"


@dataclass(frozen=True, slots=True)
class Outbox:
    """The folder from which districts' reports and receipts are delivered."""

    root: Path

    def write(self, path: Path, content: bytes) -> bool:
        """Writes a file (``path`` is relative) atomically; returns whether it changed."""
        final = self.root / path
        if final.is_file() and final.read_bytes() == content:
            return False
        unfinished = self.unfinished() / path.name
        with failpoint("outbox: begun"):
            unfinished.write_bytes(content)
        final.parent.mkdir(parents=True, exist_ok=True)
        with failpoint("outbox: written"):
            unfinished.replace(final)
        return True

    def unfinished(self) -> Path:
        """Returns the folder of files that are being written; it exists."""
        folder = self.root / _UNFINISHED
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def files_on(self, on: date) -> Iterator[os.DirEntry[str]]:
        """Yields the reports and receipts of that day, in no order."""
        day = f"{on:%Y%m%d}"
        folders = [str(self.root)] if self.root.is_dir() else []
        # A state has a hundred thousand files, and ``Path.glob`` takes five times as long.
        while folders:
            with os.scandir(folders.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(entry.path)
                    elif f"_{day}_" in entry.name or entry.name.startswith(f"{day}_"):
                        yield entry

    def remove_unfinished_files(self) -> None:
        """Removes the files that an interrupted night left unfinished."""
        shutil.rmtree(self.root / _UNFINISHED, ignore_errors=True)

    def mend(self) -> None:
        """Takes the rights of others from the folders of districts and other senders."""
        if self.root.is_dir():
            for folder in self.root.iterdir():
                mend_folder(folder)


@dataclass(frozen=True, slots=True)
class OutboxFile:
    """A file of the outbox: its relative path, its district, the SHA-256 of its content.

    ``rows``: data rows of a report.
    """

    path: str
    owner: str
    sha256: str
    rows: int | None = None


def report_path(spec: ReportSpec, folder: str, file: str, on: date) -> Path:
    """Returns the path of a district's report in the outbox; ``file`` is ``Agg`` or ``Detail``."""
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
    """Writes and returns one file for each district of ``named`` that gets this report.

    ``rows`` are the rows of all districts (``cd`` first); a district without rows gets the header.
    """
    written = []
    for cd, folder, content in render_report_files(spec, rows, named):
        path = report_path(spec, folder, file, on)
        outbox.write(path, content)
        height = content.count(b"\n") - 1  # no cell has a line break: _split_by_district
        written.append(OutboxFile(path.as_posix(), cd, sha256_of(content), height))
        progress()
    return written


def render_report_files(
    spec: ReportSpec, rows: pl.DataFrame, named: pl.DataFrame
) -> Iterator[tuple[str, str, bytes]]:
    """Yields CD code, folder and content for each district of ``named`` that gets this report."""
    header, of_districts = _split_by_district(rows)
    for cd, folder in named.select("cd", "folder").iter_rows():
        if spec.only_for is not None and cd not in spec.only_for:
            continue
        yield cd, folder, header + of_districts.get(cd, b"")


def _split_by_district(rows: pl.DataFrame) -> tuple[bytes, dict[str, memoryview]]:
    """Returns the header, and the lines of each district; ``rows`` are grouped by ``cd``.

    All rows are written at once and then cut apart, which is faster than a thousand small writes.
    """
    content = to_csv(rows.drop("cd"))
    line_ends = np.flatnonzero(np.frombuffer(content, dtype=np.uint8) == ord("\n")) + 1
    if len(line_ends) != rows.height + 1:
        msg = f"wrote {len(line_ends) - 1} lines for {rows.height} rows"
        raise AssertionError(msg)
    runs = rows["cd"].rle().struct.unnest()
    last = runs["len"].cast(pl.Int64).cum_sum().to_numpy()
    ends = line_ends[last].tolist()
    starts = [int(line_ends[0]), *ends[:-1]]
    lines = memoryview(content)
    districts = runs["value"].to_list()
    if len(set(districts)) != len(districts):
        msg = "the rows are not grouped by district"
        raise AssertionError(msg)
    cut = zip(districts, starts, ends, strict=False)
    return content[: line_ends[0]], {cd: lines[start:end] for cd, start, end in cut}


def sha256_of(content: bytes) -> str:
    """Returns the SHA-256 of a file's content, in hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()


def to_csv(rows: pl.DataFrame) -> bytes:
    """Returns rows as the bytes of a CSV file of the outbox."""
    return rows.write_csv(line_terminator="\r\n", quote_style="necessary").encode()
