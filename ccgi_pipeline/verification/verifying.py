"""A night's files of one family, verified together: the three gates in their order.

Belongs here: which lines of which file are accepted, and each file's and drop's verdict. The
command ``ccgi check`` and the nightly job both call ``verify`` and so cannot disagree. Does not
belong here: what loading does with accepted lines.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from enum import StrEnum
from functools import partial
from pathlib import PurePosixPath

import polars as pl

from ccgi_pipeline.feeds import file_rules
from ccgi_pipeline.feeds.registry import FAMILIES, FEEDS, RULES
from ccgi_pipeline.feeds.spec import FeedSpec, Lifecycle, Relation, Requirement, Rule, Severity
from ccgi_pipeline.feeds.transcript import FILES_OF_DROP, MANIFEST, STUDENT
from ccgi_pipeline.findings import FINDINGS_SCHEMA, Finding, findings_frame
from ccgi_pipeline.intake.inbox import Drop, InboxFile
from ccgi_pipeline.intake.packages import is_zip, members
from ccgi_pipeline.intake.reader import LINE, SPAN, Reading, read
from ccgi_pipeline.profiles import Profiles
from ccgi_pipeline.verification.judging import FILE, ROW, SENDER, judge, relation_column


class Verdict(StrEnum):
    """What became of a file or a drop as a whole."""

    ACCEPTED = "accepted"
    ACCEPTED_WITH_FINDINGS = "accepted_with_findings"
    HELD = "held"
    REJECTED = "rejected"
    DUPLICATE = "duplicate"


@dataclass(frozen=True, slots=True)
class FileToVerify:
    """One file of a drop. ``number`` tells the files of one verification apart, in load order.

    ``path`` is where the sender put it, a zip's member behind its zip.
    """

    number: int
    drop: str
    sender: str
    family: str
    path: str
    content: Callable[[], bytes]
    refused: Rule | None = None

    @property
    def name(self) -> str:
        """The name without folders."""
        return PurePosixPath(self.path).name


FILES_SCHEMA = {
    FILE: pl.UInt32,
    "drop": pl.String,
    SENDER: pl.String,
    "family": pl.String,
    "path": pl.String,
    "feed": pl.String,
    "encoding": pl.String,
    "lines": pl.UInt32,
    "accepted": pl.UInt32,
    "rejected": pl.UInt32,
    "complete": pl.Boolean,
    "verdict": pl.String,
}
"""One row a file. ``lines`` = ``accepted`` + ``rejected`` physical lines. ``complete``: every
line's key could be read, so that what is not in the file is known to be gone."""


@dataclass(frozen=True, slots=True)
class Verification:
    """What verification made of a set of files.

    ``files``: a frame of ``FILES_SCHEMA``. ``findings``: ``FINDINGS_SCHEMA`` with ``_file`` first.
    ``accepted``: per feed its typed lines with ``_file``, ``_sender``, ``_line``, ``_span``.
    ``kept_keys``: per snapshot feed the keys of lines that were rejected yet name a record: that
    record is not gone.
    """

    files: pl.DataFrame
    findings: pl.DataFrame
    accepted: Mapping[str, pl.DataFrame]
    kept_keys: Mapping[str, pl.DataFrame]

    def named(self, feed: str, column: str) -> pl.DataFrame:
        """The senders and cells of a column in lines that were accepted or name a record."""
        found = [
            frame.select(SENDER, column).drop_nulls()
            for frames in (self.accepted, self.kept_keys)
            if (frame := frames.get(feed)) is not None and column in frame.columns
        ]
        return pl.concat([nothing_known(feed, column), *found])

    def with_consent_as_meant(self, profiles: Profiles) -> Verification:
        """ParentConsent as consent, also of districts whose Y says that the parent opted out."""
        students = self.accepted.get(STUDENT.name)
        if students is None:
            return self
        opting_out = [
            sender
            for sender in students[SENDER].unique().sort()
            if profiles.of(sender).parent_consent_means == "opt_out"
        ]
        meant = pl.col("ParentConsent").xor(pl.col(SENDER).is_in(opting_out))
        accepted = {**self.accepted, STUDENT.name: students.with_columns(meant)}
        return replace(self, accepted=accepted)


Known = Callable[[str, str], pl.DataFrame]
"""What is known before: for a feed and a column of it, a frame of ``_sender`` and that column."""


def files_to_verify(
    drops: Sequence[Drop], content_of: Callable[[InboxFile, str], bytes]
) -> list[FileToVerify]:
    """The files of ``drops`` in order, zips opened; ``content_of`` reads a file's bytes."""
    files: list[FileToVerify] = []
    for drop in drops:
        for file, sha256 in drop.files:
            if is_zip(file.name):
                for member in members(file.name, content_of(file, sha256)):
                    path = f"{file.shown}/{member.name}" if member.name != file.name else file.shown
                    content = partial(_same, member.content)
                    files.append(_of_drop(drop, len(files), path, content, member.refused))
            else:
                content = partial(content_of, file, sha256)
                files.append(_of_drop(drop, len(files), file.shown, content, None))
    return files


def _same(content: bytes) -> bytes:
    return content


def _of_drop(
    drop: Drop, number: int, path: str, content: Callable[[], bytes], refused: Rule | None
) -> FileToVerify:
    return FileToVerify(number, drop.id, drop.sender, drop.family, path, content, refused)


def refused(drops: Sequence[Drop]) -> Verification:
    """The verification of drops over which our own code stumbled: nothing loaded, all answered."""
    files = [
        _of_drop(drop, number, file.shown, bytes, file_rules.FAULT)
        for number, (drop, file) in enumerate((d, file) for d in drops for file, _ in d.files)
    ]
    return verify(files, date.min)


def nothing_known(_feed: str, column: str) -> pl.DataFrame:
    """The knowledge of someone who has no warehouse."""
    return pl.DataFrame(schema={SENDER: pl.String, column: pl.String})


def verify(
    files: Sequence[FileToVerify],
    on: date,
    known: Known = nothing_known,
    progress: Callable[[str], None] = lambda _: None,
) -> Verification:
    """Verifies ``files`` as of the date ``on``; ``progress`` hears each file's name when read."""
    readings: dict[int, Reading] = {}
    for file in files:
        readings[file.number] = _read(file)
        progress(file.name)
    findings = [
        reading.findings.select(pl.lit(number, dtype=pl.UInt32).alias(FILE), pl.all())
        for number, reading in readings.items()
    ]
    judged = _Judged(files, readings, on, known)
    for feed in FEEDS:
        judged.judge(feed)
    findings += [*judged.findings, _package_findings(files, readings)]
    all_findings = pl.concat(findings).sort(FILE, "line", "rule", "column", nulls_last=False)
    return Verification(
        _outcomes(files, readings, judged, all_findings),
        all_findings,
        judged.accepted,
        judged.kept_keys,
    )


def _read(file: FileToVerify) -> Reading:
    if file.refused is not None:
        refusal = findings_frame([Finding(file.refused)])
        return Reading(None, "", 0, None, 0, refusal)
    return read(file.content(), file.name, FAMILIES.get(file.family, ()))


class _Judged:
    """Feed after feed: the lines that later feeds' relations look at are kept on the way."""

    def __init__(
        self,
        files: Sequence[FileToVerify],
        readings: Mapping[int, Reading],
        on: date,
        known: Known,
    ) -> None:
        self._files = {file.number: file for file in files}
        self._readings = readings
        self._on = on
        self._known = known
        self._lines: dict[str, pl.DataFrame] = {}
        self.accepted: dict[str, pl.DataFrame] = {}
        self.kept_keys: dict[str, pl.DataFrame] = {}
        self.findings: list[pl.DataFrame] = []

    def judge(self, feed: FeedSpec) -> None:
        """Judges all lines of ``feed`` in one pass."""
        records = self._records(feed)
        if records is None:
            return
        judgement = judge(feed, records, self._relation, self._on)
        failures = judgement.failures.with_columns(
            pl.col("rule").replace_strict(_SEVERITY, return_dtype=pl.String).alias("severity"),
            pl.col("rule").replace_strict(_COLUMN, return_dtype=pl.String).alias("column"),
        )
        errors = failures.filter(pl.col("severity") == Severity.ERROR)[ROW].unique().implode()
        lines = judgement.lines
        self._lines[feed.name] = lines
        self.accepted[feed.name] = lines.filter(~pl.col(ROW).is_in(errors)).drop(ROW)
        self.findings.append(
            failures.select(
                lines[FILE].gather(failures[ROW]).alias(FILE),
                "rule",
                lines[LINE].gather(failures[ROW]).alias("line"),
                "column",
                pl.lit(None, dtype=pl.String).alias("detail"),
            )
        )
        if feed.lifecycle is Lifecycle.SNAPSHOT:
            rejected = lines.filter(pl.col(ROW).is_in(errors))
            self.kept_keys[feed.name] = rejected.select(FILE, SENDER, SPAN, *feed.keys)

    def _records(self, feed: FeedSpec) -> pl.DataFrame | None:
        """The text records of all files of ``feed``, in the order of the files."""
        frames = [
            reading.records.select(
                pl.lit(number, dtype=pl.UInt32).alias(FILE),
                pl.lit(self._files[number].sender).alias(SENDER),
                pl.all(),
            )
            for number, reading in self._readings.items()
            if reading.feed is feed and reading.records is not None
        ]
        return pl.concat(frames) if frames else None

    def _relation(self, relation: Relation, lines: pl.DataFrame) -> pl.DataFrame:
        column = relation.target_column
        if relation.target == FILES_OF_DROP:
            targets = [self._names_in_drop()]
        else:
            targets = [self._known(relation.target, column)]
            if relation.target in self._lines:
                targets.append(self._lines[relation.target].select(SENDER, column).drop_nulls())
        return relation_column(relation, lines, targets)

    def _names_in_drop(self) -> pl.DataFrame:
        rows = [
            (file.number, other.name)
            for file in self._files.values()
            if (reading := self._readings[file.number]).feed is MANIFEST
            and reading.records is not None
            for other in self._files.values()
            if other.drop == file.drop
        ]
        return pl.DataFrame(rows, schema={FILE: pl.UInt32, "FileName": pl.String}, orient="row")


_SEVERITY = {rule.id: str(rule.severity) for rule in RULES.values()}
_COLUMN = {rule.id: rule.column for rule in RULES.values()}


def _package_findings(
    files: Iterable[FileToVerify], readings: Mapping[int, Reading]
) -> pl.DataFrame:
    """What is missing from a transcript package, said at its first file."""
    feeds_of_drop: dict[str, tuple[int, list[FeedSpec | None]]] = {}
    for file in files:
        if file.family == STUDENT.family:
            _, feeds = feeds_of_drop.setdefault(file.drop, (file.number, []))
            feeds.append(readings[file.number].feed)
    rows = [
        (number, rule.id, None, None, None)
        for number, feeds in feeds_of_drop.values()
        if any(feeds)
        for feed, rule in (
            (MANIFEST, file_rules.PACKAGE_MANIFEST),
            (STUDENT, file_rules.PACKAGE_ROSTER),
        )
        if feed not in feeds
    ]
    return pl.DataFrame(rows, schema={FILE: pl.UInt32, **FINDINGS_SCHEMA}, orient="row")


def _outcomes(
    files: Sequence[FileToVerify],
    readings: Mapping[int, Reading],
    judged: _Judged,
    findings: pl.DataFrame,
) -> pl.DataFrame:
    """One row of ``FILES_SCHEMA`` for each file."""
    accepted: dict[int, int] = {}
    for lines in judged.accepted.values():
        accepted.update(lines.group_by(FILE).agg(pl.col(SPAN).sum()).iter_rows())
    keyless: set[int] = set()
    for name, keys in judged.kept_keys.items():
        keyless.update(keys.filter(_key_is_unreadable(name))[FILE].unique())
    worst = dict(
        findings.group_by(FILE)
        .agg(pl.col("rule").replace_strict(_WEIGHT, return_dtype=pl.Int8).max())
        .iter_rows()
    )
    rows = []
    for file in files:
        reading = readings[file.number]
        loaded = accepted.get(file.number, 0)
        complete = bool(loaded) and not reading.unreadable and file.number not in keyless
        rows.append(
            (
                file.number,
                file.drop,
                file.sender,
                file.family,
                file.path,
                reading.feed.name if reading.feed else None,
                reading.encoding,
                reading.lines,
                loaded,
                reading.lines - loaded,
                complete,
                _file_verdict(worst.get(file.number, 0), loaded),
            )
        )
    return pl.DataFrame(rows, schema=FILES_SCHEMA, orient="row")


_WEIGHT = {
    rule.id: {Severity.INFO: 0, Severity.WARNING: 1, Severity.ERROR: 2}[rule.severity]
    for rule in RULES.values()
}


def _key_is_unreadable(feed_name: str) -> pl.Expr:
    feed = next(feed for feed in FEEDS if feed.name == feed_name)
    required = [n for n in feed.keys if feed.columns[n].requirement is Requirement.REQUIRED]
    return pl.any_horizontal(pl.col(name).is_null() for name in required)


def _file_verdict(worst: int, accepted: int) -> Verdict:
    """``worst`` is the weight of the file's worst finding: 2 for an error, 1 for a warning."""
    if worst == _WEIGHT[file_rules.EMPTY.id] and not accepted:
        return Verdict.REJECTED
    return Verdict.ACCEPTED_WITH_FINDINGS if worst else Verdict.ACCEPTED


def drop_verdict(files: pl.DataFrame) -> Verdict:
    """The verdict of the drop (or of everything checked) that ``files`` of ``FILES_SCHEMA`` make.

    A drop is rejected if the file without which it means nothing is, or if every file is.
    """
    verdicts = files["verdict"].to_list()
    required = {feed.name for feed in FEEDS if feed.required}
    rejected = files.filter(pl.col("verdict") == Verdict.REJECTED)
    if len(rejected) == len(verdicts) or rejected["feed"].is_in(required).any():
        return Verdict.REJECTED
    if set(verdicts) == {Verdict.ACCEPTED}:
        return Verdict.ACCEPTED
    return Verdict.ACCEPTED_WITH_FINDINGS
