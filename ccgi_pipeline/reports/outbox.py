"""Writes reports and receipts into the outbox, one file per district and report.

Belongs here: paths, file names, CSV (RFC 4180, UTF-8, CRLF). A file appears complete or not at all,
and is not written again if it would not change. Files of several nights may be names of the same
bytes, so nothing writes into a file that is there. Does not belong here: what the rows are
(queries).
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from types import MappingProxyType

import numpy as np
import polars as pl

from ccgi_pipeline.common.failpoints import failpoint
from ccgi_pipeline.common.owner_only import mend_folder
from ccgi_pipeline.reports.spec import ReportSpec

_UNFINISHED = ".writing"
_NO_LINKS = frozenset(
    {errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS}
)
"""Errors by which a file system says that it does not link a file: that file is copied."""


@dataclass(frozen=True, slots=True)
class OutboxFile:
    """A file of the outbox: its relative path, its district, the SHA-256 of its content.

    ``rows``: data rows of a report. ``size`` and ``mtime_ns`` are those of the file as it was
    written; None if nobody asks whether it stayed so. ``since``: the night that wrote these bytes;
    None for tonight.
    """

    path: str
    owner: str
    sha256: str
    rows: int | None = None
    size: int | None = None
    mtime_ns: int | None = None
    since: date | None = None


@dataclass(frozen=True, slots=True)
class Outbox:
    """The folder from which districts' reports and receipts are delivered.

    ``copies``: whether a file that is carried over gets bytes of its own.
    """

    root: Path
    copies: bool = False

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

    def put(
        self,
        path: Path,
        owner: str,
        content: bytes,
        rows: int | None = None,
        former: OutboxFile | None = None,
    ) -> OutboxFile:
        """Writes a file, or carries ``former`` over if that has the same content; returns it."""
        sha256 = sha256_of(content)
        if former is not None and former.sha256 == sha256:
            carried = self.carry_over([(former, path)])
            if carried:
                return carried[0]
        self.write(path, content)
        stat = (self.root / path).stat()
        return OutboxFile(path.as_posix(), owner, sha256, rows, stat.st_size, stat.st_mtime_ns)

    def carry_over(self, files: Sequence[tuple[OutboxFile, Path]]) -> list[OutboxFile]:
        """Gives files another name as well, and returns them; none unless all are as written.

        The new name belongs to the same bytes, unless the file system refuses that or ``copies``.
        """
        root = f"{self.root}{os.sep}"  # texts: a state has tens of thousands of files
        if not all(_is_as_written(f"{root}{file.path}", file) for file, _ in files):
            return []
        try:
            return [self._carry_over(root, file, path) for file, path in files]
        except FileNotFoundError:  # somebody removed it just now
            return []

    def _carry_over(self, root: str, file: OutboxFile, path: Path) -> OutboxFile:
        target = path.as_posix()
        if target == file.path:
            return file
        if self._link(f"{root}{file.path}", f"{root}{target}"):
            return replace(file, path=target)
        stat = (self.root / path).stat()
        return replace(file, path=target, size=stat.st_size, mtime_ns=stat.st_mtime_ns)

    def _link(self, source: str, target: str) -> bool:
        """Makes ``target`` a name of the same bytes; returns False if it became a copy instead."""
        if not self.copies:
            try:
                with failpoint("outbox: linked"):
                    _make_link(source, target)
            except FileExistsError:
                if Path(source).samefile(target):
                    return True  # by this night, before it was killed
            except OSError as error:
                if error.errno not in _NO_LINKS:
                    raise
            else:
                return True
        unfinished = self.unfinished() / Path(target).name
        _copy(Path(source), unfinished)
        Path(target).parent.mkdir(parents=True, exist_ok=True)
        with failpoint("outbox: copied"):
            unfinished.replace(target)
        return False

    def unfinished(self) -> Path:
        """Returns the folder of files that are being written; it exists."""
        folder = self.root / _UNFINISHED
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def remove_unfinished_files(self) -> None:
        """Removes the files that an interrupted night left unfinished."""
        shutil.rmtree(self.root / _UNFINISHED, ignore_errors=True)

    def mend(self) -> None:
        """Takes the rights of others from the folders of districts and other senders."""
        if self.root.is_dir():
            for folder in self.root.iterdir():
                mend_folder(folder)


def _is_as_written(path: str, file: OutboxFile) -> bool:
    """Returns whether a file has the size and the time with which it was written."""
    try:
        stat = os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    return (stat.st_size, stat.st_mtime_ns) == (file.size, file.mtime_ns)


def _make_link(source: str, target: str) -> None:
    try:
        os.link(source, target, follow_symlinks=False)
    except FileNotFoundError:
        Path(target).parent.mkdir(parents=True, exist_ok=True)
        os.link(source, target, follow_symlinks=False)


def _copy(source: Path, target: Path) -> None:
    """Copies the bytes; a file system that can share them between files does so."""
    with source.open("rb") as read, target.open("wb") as written:
        if sys.platform == "linux":
            with suppress(OSError):
                while os.copy_file_range(read.fileno(), written.fileno(), _AT_ONCE):
                    pass
        shutil.copyfileobj(read, written)  # what the kernel did not copy


_AT_ONCE = 1 << 30


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
    former: Mapping[tuple[str, str], OutboxFile] = MappingProxyType({}),
) -> list[OutboxFile]:
    """Writes and returns one file for each district of ``named`` that gets this report.

    ``rows`` are the rows of all districts (``cd`` first); a district without rows gets the header.
    ``former``: by CD code and part, the newest file that was written before.
    """
    written = []
    for cd, folder, content in render_report_files(spec, rows, named):
        path = report_path(spec, folder, file, on)
        height = content.count(b"\n") - 1  # no cell has a line break: split_by_district
        written.append(outbox.put(path, cd, content, height, former.get((cd, file))))
        progress()
    return written


def render_report_files(
    spec: ReportSpec, rows: pl.DataFrame, named: pl.DataFrame
) -> Iterator[tuple[str, str, bytes]]:
    """Yields CD code, folder and content for each district of ``named`` that gets this report."""
    folders = {
        cd: folder
        for cd, folder in named.select("cd", "folder").iter_rows()
        if spec.only_for is None or cd in spec.only_for
    }
    for cd, content in split_by_district(rows, folders):
        yield cd, folders[cd], content


def split_by_district(rows: pl.DataFrame, cds: Iterable[str]) -> Iterator[tuple[str, bytes]]:
    """Yields the file of each district; ``rows`` are grouped by ``cd``, which no file has.

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
    places = {cd: (begin, end) for cd, begin, end in zip(districts, starts, ends, strict=False)}
    for cd in cds:
        begin, end = places.get(cd, (0, 0))
        yield cd, content[: line_ends[0]] + lines[begin:end]


def sha256_of(content: bytes) -> str:
    """Returns the SHA-256 of a file's content, in hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()


def to_csv(rows: pl.DataFrame) -> bytes:
    """Returns rows as the bytes of a CSV file of the outbox."""
    return rows.write_csv(line_terminator="\r\n", quote_style="necessary").encode()
