"""Checking files offline: the same verification as the night's, over paths, changing nothing.

Belongs here: from paths that somebody names to files to verify. Does not belong here: printing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from tempfile import gettempdir

import polars as pl

from ccgi_pipeline.districts import shipped_directory
from ccgi_pipeline.encryption.openpgp import BEGINNING
from ccgi_pipeline.encryption.openpgp_keys import KeyRing
from ccgi_pipeline.feeds.registry import FAMILIES, FEEDS_BY_NAME, STATEWIDE_SENDERS
from ccgi_pipeline.feeds.spec import FILE, SENDER
from ccgi_pipeline.intake.contents import Content
from ccgi_pipeline.intake.file_names import (
    is_litter,
    is_marker,
    is_unfinished,
    is_unfinished_folder,
)
from ccgi_pipeline.intake.inbox import (
    NO_SENDER,
    UNKNOWN_FAMILY,
    InboxFile,
    group_drops,
    is_cd_code,
    sender_and_family,
)
from ccgi_pipeline.intake.openpgp_messages import MessageOpener, OpenedFile, SentFile
from ccgi_pipeline.intake.recognition import detect_family
from ccgi_pipeline.profiles import Profiles
from ccgi_pipeline.verification.cells import read_cells
from ccgi_pipeline.verification.drop_files import (
    FileToVerify,
    Messages,
    SizeLimit,
    files_to_verify,
)
from ccgi_pipeline.verification.gates import verify
from ccgi_pipeline.verification.outcomes import (
    KnownRecords,
    Verdict,
    Verification,
    judge_drop,
    nothing_known,
)
from ccgi_pipeline.verification.receipts import FileReport


@dataclass(frozen=True, slots=True)
class CheckResult:
    """The verdict on everything that was checked, and on each file."""

    verdict: Verdict
    files: tuple[FileReport, ...]

    @property
    def everything_loads(self) -> bool:
        """Whether every line of every file can be loaded."""
        return self.verdict is not Verdict.REJECTED and not any(
            file.verdict == Verdict.REJECTED or file.fates.get("rejected") for file in self.files
        )

    @property
    def nothing_recognised(self) -> bool:
        """Whether there was nothing to judge."""
        return all(file.feed is None for file in self.files)


def check(  # noqa: PLR0913 - all but the first two are named
    paths: Sequence[Path],
    on: date,
    family: str | None = None,
    known: KnownRecords | None = None,
    profiles: Profiles | None = None,
    *,
    show_values: bool = False,
    progress: Callable[[str], None] = lambda _: None,
    ring: KeyRing | None = None,
    sender: str | None = None,
) -> CheckResult:
    """Verifies the files at ``paths`` (files, zips, folders) as of ``on``, as the night would.

    Sender and family are read from the path where it has them (``.../3367173/transcript/...``);
    ``family`` overrides. ``known`` is what a warehouse knows; without one, the shipped directory.
    ``profiles`` are the districts' settings; that a file must come encrypted is not asked here.
    ``show_values`` puts the cell into each finding about one: for the person who corrects the file,
    on their own screen. ``ring``: the keys that open encrypted files. ``sender``: whose files they
    are, whatever the path says.
    """
    with _open_messages(ring or KeyRing()) as messages:
        found = [_as_received(path, family, sender, messages) for path in _plain_files(paths)]
        drops = group_drops([(file, file.path) for file in found])
        profiles = profiles or Profiles()
        limit = SizeLimit(profiles.intake.largest_drop)
        files = files_to_verify(drops, _as_sent, limit, messages)
        verified = verify(files, on, known or shipped_knowledge, profiles, progress)
        if verified.files.is_empty():
            return CheckResult(Verdict.REJECTED, ())
        if show_values:
            verified = replace(verified, findings=_with_values(verified, files))
        return CheckResult(judge_drop(verified.files), tuple(_reports(verified)))


@contextmanager
def _open_messages(ring: KeyRing) -> Iterator[Messages]:
    """Gives a function that opens encrypted files with these keys."""
    opener = MessageOpener(ring, Path(gettempdir()))

    def opened(file: InboxFile, _: str) -> OpenedFile | None:
        sent = _as_sent(file)
        start = sent.read_start(BEGINNING)
        return opener.open(
            SentFile(file.sender, file.content_name, "", sent.size, start, sent.read_pieces)
        )

    try:
        yield opened
    finally:
        opener.close()


def _as_sent(file: InboxFile, _: str = "") -> Content:
    return Content.of_path(Path(file.path))


def _with_values(verified: Verification, files: Sequence[FileToVerify]) -> pl.DataFrame:
    """The findings with the cell that each is about in its detail."""
    findings = verified.findings
    feeds = dict(verified.files.select(FILE, "feed").drop_nulls().iter_rows())
    cells = [
        read_cells(
            findings.filter(pl.col(FILE) == file.number),
            file,
            feeds[file.number],
        ).select(pl.lit(file.number, dtype=pl.UInt32).alias(FILE), pl.all())
        for file in files
        if file.number in feeds
    ]
    if not cells:
        return findings
    values = pl.concat(cells).drop_nulls("value")
    shown = pl.concat_str("detail", pl.concat_str(pl.lit("the cell is: "), "value"), separator="; ",
                          ignore_nulls=True)  # fmt: skip
    detail = pl.when(pl.col("value").is_not_null()).then(shown).otherwise("detail").alias("detail")
    place = [FILE, "line", "column"]
    joined = findings.join(values, on=place, how="left", maintain_order="left")
    return joined.with_columns(detail).drop("value")


def _plain_files(paths: Sequence[Path]) -> Iterator[Path]:
    for path in paths:
        if path.is_dir():
            yield from sorted(
                inner
                for inner in path.rglob("*")
                if inner.is_file() and not _is_passed_over(inner.relative_to(path))
            )
        else:
            yield path


def _is_passed_over(path: Path) -> bool:
    """Returns whether a night would not take the file: it is not whole, or no delivery."""
    folders = path.parts[:-1]
    return (
        is_marker(path.name)
        or is_unfinished(path.name)
        or any(map(is_unfinished_folder, folders))
        or any(map(is_litter, path.parts))
    )


def unfinished_files(paths: Sequence[Path]) -> list[Path]:
    """Returns the files in folders that are passed over since their names are temporary."""
    return [
        inner
        for path in paths
        if path.is_dir()
        for inner in sorted(path.rglob("*"))
        if inner.is_file() and is_unfinished(inner.name) and not inner.name.startswith(".")
    ]


def _as_received(
    path: Path, family: str | None, sender: str | None, messages: Messages
) -> InboxFile:
    """The file as if it lay in an inbox; stamps do not matter here."""
    parts = path.absolute().parts if sender is None else (sender, path.name)
    senders = [
        n for n, part in enumerate(parts[:-1]) if is_cd_code(part) or part in STATEWIDE_SENDERS
    ]
    if senders:
        sender, placed = sender_and_family("/".join(parts[senders[-1] :]))
    else:
        named = [part.lower() for part in parts[:-1] if part.lower() in FAMILIES]
        sender, placed = NO_SENDER, named[-1] if named else UNKNOWN_FAMILY
    if family is None and placed == UNKNOWN_FAMILY:
        placed = _detect_family(InboxFile(str(path), sender, placed, ""), messages)
    return InboxFile(path=str(path), sender=sender, family=family or placed, stamp="")


def _detect_family(file: InboxFile, messages: Messages) -> str:
    """The family that the file's content says."""
    opened = messages(file, "")
    content = _as_sent(file) if opened is None else opened.content
    return detect_family(content, file.content_name, file.sender)


def _reports(verified: Verification) -> Iterator[FileReport]:
    findings = verified.findings.partition_by(FILE, as_dict=True, maintain_order=True)
    none = verified.findings.clear()
    causes: dict[int, dict[str, str]] = {}
    for number, cause, evidence in verified.causes.iter_rows():
        causes.setdefault(number, {})[cause] = evidence
    for row in verified.files.iter_rows(named=True):
        yield FileReport(
            path=row["path"],
            family=row["family"],
            feed=row["feed"],
            verdict=row["verdict"],
            encoding=row["encoding"],
            lines=row["lines"],
            fates={
                "accepted": row["accepted"],
                "rejected": row["rejected"],
                **{fate: row[fate] for fate in ("removed", "left_alone") if row[fate]},
            },
            findings=findings.get((row[FILE],), none),
            causes=causes.get(row[FILE], {}),
        )


def shipped_knowledge(
    feed: str, columns: tuple[str, ...], senders: Sequence[str] | None = None
) -> pl.DataFrame:
    """What is known without a warehouse: the directory that comes with the project."""
    if FEEDS_BY_NAME[feed].shipped:
        return shipped_directory().select(pl.lit("cde").alias(SENDER), *columns)
    return nothing_known(feed, columns, senders)
