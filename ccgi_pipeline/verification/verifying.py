"""A night's files of one family, verified together: the three gates in their order.

Belongs here: which lines of which file are accepted, and each file's and drop's verdict. The
command ``ccgi check`` and the nightly job both call ``verify`` and so cannot disagree. Does not
belong here: what loading does with accepted lines.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from functools import partial
from pathlib import PurePosixPath

import polars as pl

from ccgi_pipeline.feeds import file_rules, foster_focus
from ccgi_pipeline.feeds.registry import FAMILIES, FEEDS, FEEDS_BY_NAME, RULES
from ccgi_pipeline.feeds.spec import (
    CALENDAR,
    FILE,
    ROW,
    SENDER,
    FeedSpec,
    Lifecycle,
    Relation,
    Requirement,
    Rule,
    Severity,
    fold,
)
from ccgi_pipeline.feeds.transcript import FILES_OF_DROP, MANIFEST, STUDENT
from ccgi_pipeline.findings import FINDINGS_SCHEMA, Finding, findings_frame
from ccgi_pipeline.intake.inbox import Drop, InboxFile
from ccgi_pipeline.intake.packages import is_zip, members
from ccgi_pipeline.intake.reader import LINE, SPAN, Reading, read
from ccgi_pipeline.profiles import Profiles
from ccgi_pipeline.verification.facts import FACTS_SCHEMA, calendars, facts
from ccgi_pipeline.verification.judging import Judgement, judge, judge_cells, relation_column
from ccgi_pipeline.verification.parsing import typed_lines
from ccgi_pipeline.verification.police import mentions_police


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
    "removed": pl.UInt32,
    "complete": pl.Boolean,
    "verdict": pl.String,
}
"""One row a file. ``lines`` = ``accepted`` + ``rejected`` + ``removed`` physical lines (the last
mention police involvement). ``complete``: every line's key could be read, so that what is not in
the file is known to be gone."""


@dataclass(frozen=True, slots=True)
class Verification:
    """What verification made of a set of files.

    ``files``: a frame of ``FILES_SCHEMA``. ``findings``: ``FINDINGS_SCHEMA`` with ``_file`` first.
    ``accepted``: per feed its typed lines with ``_file``, ``_sender``, ``_line``, ``_span``.
    ``kept_keys``: per snapshot feed (and of foster youth) the keys of lines that were rejected
    yet name a record: that record is not gone.
    """

    files: pl.DataFrame
    findings: pl.DataFrame
    accepted: Mapping[str, pl.DataFrame]
    kept_keys: Mapping[str, pl.DataFrame]

    def named(self, feed: str, columns: tuple[str, ...]) -> pl.DataFrame:
        """The senders and cells of columns in lines that were accepted or name a record."""
        found = [
            frame.select(SENDER, *columns)
            for frames in (self.accepted, self.kept_keys)
            if (frame := frames.get(feed)) is not None and set(columns) <= set(frame.columns)
        ]
        return pl.concat([nothing_known(feed, columns), *found])


Known = Callable[[str, tuple[str, ...], Sequence[str] | None], pl.DataFrame]
"""What is known before: of a feed, columns of it and some senders (all if None), a frame of
``_sender`` and those columns, each combination once."""


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


def nothing_known(
    feed: str, columns: tuple[str, ...], _senders: Sequence[str] | None = None
) -> pl.DataFrame:
    """The knowledge of someone who has no warehouse."""
    declared = FEEDS_BY_NAME[feed].columns
    return pl.DataFrame(
        schema={SENDER: pl.String, **{name: declared[name].dtype for name in columns}}
    )


def verify(
    files: Sequence[FileToVerify],
    on: date,
    known: Known = nothing_known,
    profiles: Profiles | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> Verification:
    """Verifies ``files`` as of the date ``on``; ``progress`` hears each file's name when read."""
    profiles = profiles or Profiles()
    readings: dict[int, Reading] = {}
    for file in files:
        readings[file.number] = _read(file, profiles)
        progress(file.name)
    findings = [
        reading.findings.select(pl.lit(number, dtype=pl.UInt32).alias(FILE), pl.all())
        for number, reading in readings.items()
    ]
    judged = _Judged(files, readings, on, known, profiles)
    for feed in FEEDS:
        judged.take(feed)
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


def _read(file: FileToVerify, profiles: Profiles) -> Reading:
    if file.refused is not None:
        refusal = findings_frame([Finding(file.refused)])
        return Reading(None, "", 0, None, 0, refusal)
    candidates = FAMILIES.get(file.family, ())
    named = _named_by_profile(file, profiles)
    return read(file.content(), file.name, [named] if named else candidates)


def _named_by_profile(file: FileToVerify, profiles: Profiles) -> FeedSpec | None:
    """The extract whose file has this name by the district's profile."""
    if file.family != foster_focus.FAMILY:
        return None
    stem = fold(PurePosixPath(file.name).stem)
    for extract, name in profiles.of(file.sender).foster_focus.file_names.items():
        if fold(PurePosixPath(name).stem) == stem:
            return FEEDS_BY_NAME[f"{foster_focus.FAMILY}_{extract}"]
    return None


class _Judged:
    """Feed after feed, first the cells of all lines, then what lines of several feeds must be."""

    def __init__(
        self,
        files: Sequence[FileToVerify],
        readings: Mapping[int, Reading],
        on: date,
        known: Known,
        profiles: Profiles,
    ) -> None:
        self._files = {file.number: file for file in files}
        self._readings = readings
        self._on = on
        self._known = known
        self._profiles = profiles
        self._facts = facts(profiles, {file.sender for file in files}, on)
        self._typed: dict[str, Judgement] = {}
        self._set_aside: dict[str, pl.DataFrame] = {}
        self.removed: dict[int, int] = {}
        self.accepted: dict[str, pl.DataFrame] = {}
        self.kept_keys: dict[str, pl.DataFrame] = {}
        self.findings: list[pl.DataFrame] = []

    def take(self, feed: FeedSpec) -> None:
        """Types all lines of ``feed`` in one pass, without those that may not be kept."""
        records = self._records(feed)
        if records is None:
            return
        if feed is foster_focus.BEHAVIOR:
            records = self._without_police(feed, records)
        typed = judge_cells(feed, records)
        # A column that the file does not have is told once, not once a line.
        failures = typed.failures.with_columns(typed.lines[FILE].gather(typed.failures[ROW]))
        failures = failures.join(self._absent_columns(feed), on=[FILE, "column"], how="anti")
        lines = typed.lines
        if feed.knows_profile:
            lines = lines.join(self._facts, on=SENDER, how="left", maintain_order="left")
        self._typed[feed.name] = Judgement(lines, failures.drop(FILE))

    def _without_police(self, feed: FeedSpec, records: pl.DataFrame) -> pl.DataFrame:
        words = self._profiles.foster_focus.police_words
        if not words:
            return records
        mentioned = mentions_police(("PenaltyTypeCode", "PenaltyTypeDesc"), words)
        removed = records.filter(mentioned)
        self.removed.update(removed.group_by(FILE).agg(pl.col(SPAN).sum()).iter_rows())
        # Other extracts may speak of the same day: that no incident explains it would be untrue,
        # and a hint at what was removed.
        self._set_aside[feed.name] = typed_lines(feed, removed)
        return records.filter(~mentioned)

    def _absent_columns(self, feed: FeedSpec) -> pl.DataFrame:
        absent = [
            reading.findings.filter(pl.col("rule") == file_rules.COLUMN_ABSENT.id).select(
                pl.lit(number, dtype=pl.UInt32).alias(FILE), "column"
            )
            for number, reading in self._readings.items()
            if reading.feed is feed
        ]
        return pl.concat(absent)

    def judge(self, feed: FeedSpec) -> None:
        """Judges all lines of ``feed`` in one pass."""
        if feed.name not in self._typed:
            return
        judgement = judge(feed, self._typed[feed.name], self._related, self._seen, self._on)
        failures = judgement.failures.with_columns(
            pl.col("rule").replace_strict(_SEVERITY, return_dtype=pl.String).alias("severity"),
        )
        errors = failures.filter(pl.col("severity") == Severity.ERROR)[ROW].unique().implode()
        lines = judgement.lines.drop([*FACTS_SCHEMA.keys() - {SENDER}], strict=False)
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
        if feed.lifecycle is Lifecycle.SNAPSHOT or feed is foster_focus.DEMOGRAPHICS:
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

    def _related(self, relation: Relation, lines: pl.DataFrame) -> pl.DataFrame:
        columns = (relation.target_column,)
        if relation.target == FILES_OF_DROP:
            targets = [self._names_in_drop()]
        else:
            targets = [self._known(relation.target, columns, None)]
            if relation.target in self._typed:
                targets.append(self._typed[relation.target].lines.select(SENDER, *columns))
        return relation_column(relation, lines, targets)

    def _seen(self, feed: str, columns: tuple[str, ...], lines: pl.DataFrame) -> pl.DataFrame:
        """What the senders of ``lines`` send of ``feed`` now, or sent before if they do not."""
        senders = lines[SENDER].unique().to_list()
        if feed == CALENDAR:
            return calendars(self._profiles, senders)
        now = {
            self._files[number].sender
            for number, reading in self._readings.items()
            if reading.feed is FEEDS_BY_NAME[feed] and _has_records(reading)
        }
        frames = []
        if feed in self._typed:
            frames.append(self._typed[feed].lines.select(SENDER, *columns))
        if feed in self._set_aside:
            frames.append(self._set_aside[feed].select(SENDER, *columns))
        before = sorted(set(senders) - now)
        if before:
            frames.append(self._known(feed, columns, before))
        seen = pl.concat(frames).unique() if frames else nothing_known(feed, columns)
        return seen.join(self._facts, on=SENDER, how="left")

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


def _has_records(reading: Reading) -> bool:
    """What a sender sent before stands where a file has no line that could be read."""
    return reading.records is not None and not reading.records.is_empty()


_SEVERITY = {rule.id: str(rule.severity) for rule in RULES.values()}


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
        loaded, removed = accepted.get(file.number, 0), judged.removed.get(file.number, 0)
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
                reading.lines - loaded - removed,
                removed,
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
