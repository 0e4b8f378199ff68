"""The three gates of verification in their order: bytes, columns, rows and files."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date

import numpy as np
import polars as pl

from ccgi_pipeline.feeds import file_rules, foster_focus, oneroster
from ccgi_pipeline.feeds.columns import Requirement
from ccgi_pipeline.feeds.oneroster import package_rules
from ccgi_pipeline.feeds.registry import FEEDS, FEEDS_BY_NAME
from ccgi_pipeline.feeds.rules import Relation, Severity
from ccgi_pipeline.feeds.spec import CALENDAR, FILE, ROW, SENDER, FeedSpec, Lifecycle
from ccgi_pipeline.feeds.transcript import FILES_OF_DROP, MANIFEST, STUDENT
from ccgi_pipeline.intake.findings import FINDINGS_SCHEMA, WEIGHED_SCHEMA
from ccgi_pipeline.intake.inbox import Drop
from ccgi_pipeline.intake.reader import LINE, SPAN, Reading
from ccgi_pipeline.profiles import Profiles
from ccgi_pipeline.verification.drop_files import FileToVerify, file_of_drop, read_files
from ccgi_pipeline.verification.missing_records import Causes
from ccgi_pipeline.verification.oneroster_sets import FACTS_SCHEMA as SET_FACTS_SCHEMA
from ccgi_pipeline.verification.oneroster_sets import OF_WHOLE_FILES, Sets
from ccgi_pipeline.verification.outcomes import (
    FILES_SCHEMA,
    SEVERITY_RANK,
    KnownRecords,
    Verification,
    file_verdict,
    nothing_known,
)
from ccgi_pipeline.verification.police_rule import mentions_police
from ccgi_pipeline.verification.profile_columns import FACTS_SCHEMA, calendars, facts
from ccgi_pipeline.verification.severities import Severities
from ccgi_pipeline.verification.typed_cells import FORM_OF_SENDER, typed_lines
from ccgi_pipeline.verification.validation import (
    ValidationResult,
    named_key,
    named_records,
    relation_column,
    validate,
    validate_cells,
)


def refused(drops: Sequence[Drop]) -> Verification:
    """The verification of drops over which our own code stumbled: nothing loaded, all answered."""
    files = [
        file_of_drop(drop, number, file.shown, bytes, file_rules.FAULT)
        for number, (drop, file) in enumerate((d, file) for d in drops for file, _ in d.files)
    ]
    return verify(files, date.min)


def verify(
    files: Sequence[FileToVerify],
    on: date,
    known: KnownRecords = nothing_known,
    profiles: Profiles | None = None,
    progress: Callable[[str], None] = lambda _: None,
    readings: Mapping[int, Reading] | None = None,
) -> Verification:
    """Verifies ``files`` as of the date ``on``; ``progress`` hears each file's name when read.

    ``readings``: theirs, as of ``read_files``, if they were read already.
    """
    profiles = profiles or Profiles()
    severities = Severities.of_profiles(profiles, {file.sender for file in files})
    if readings is None:
        readings = read_files(files, profiles, progress=progress)
    sets = Sets(files, readings, profiles)
    senders = _senders(files)
    found = pl.concat(
        [
            _reader_findings(sets.readings),
            sets.findings,
            _package_findings(files, sets.readings),
            _correction_findings(files, sets.readings),
        ]
    )
    refuse = severities.weigh(found.join(senders, on=FILE)).filter(
        pl.col("rule").is_in(OF_WHOLE_FILES) & (pl.col("severity") == Severity.ERROR)
    )
    sets.refuse(refuse[FILE].unique())
    judged = _Validation(files, sets, on, known, profiles, severities)
    for feed in FEEDS:
        judged.take(feed)
    for feed in FEEDS:
        judged.judge(feed)
    found = pl.concat([found, *judged.findings, judged.causes.findings(), judged.unreferred()])
    findings = severities.weigh(
        found.join(senders, on=FILE, how="left", maintain_order="left")
    ).select(FILE, *WEIGHED_SCHEMA)
    findings = _with_what_hangs(findings, judged.causes.details())
    findings = findings.sort(FILE, "line", "rule", "column", nulls_last=False)
    return Verification(
        _outcomes(files, sets.readings, judged, findings),
        findings,
        judged.accepted,
        judged.kept_keys,
    )


def _senders(files: Sequence[FileToVerify]) -> pl.DataFrame:
    rows = [(file.number, file.sender) for file in files]
    return pl.DataFrame(rows, schema={FILE: pl.UInt32, SENDER: pl.String}, orient="row")


def _reader_findings(readings: Mapping[int, Reading]) -> pl.DataFrame:
    found = {number: reading.findings for number, reading in readings.items()}
    nothing = pl.DataFrame(schema=FINDINGS_SCHEMA)
    return pl.concat([nothing, *found.values()]).select(_numbers(found), pl.all())


def _numbers(frames: Mapping[int, pl.DataFrame]) -> pl.Series:
    """The number of its file for each row of ``frames``, one after the other."""
    heights = [frame.height for frame in frames.values()]
    return pl.Series(FILE, np.repeat(np.array([*frames], dtype=np.uint32), heights))


def _with_what_hangs(findings: pl.DataFrame, hanging: pl.DataFrame) -> pl.DataFrame:
    """The findings of lines that were kept out, with a count of the lines that need them."""
    if hanging.is_empty():
        return findings
    joined = findings.join(hanging, on=[FILE, "line"], how="left", maintain_order="left")
    weighty = (pl.col("severity") == Severity.ERROR) & pl.col("detail").is_null()
    told = pl.when(weighty).then("hanging").otherwise("detail").alias("detail")
    return joined.with_columns(told).drop("hanging")


class _Validation:
    """Feed after feed, first the cells of all lines, then what lines of several feeds must be."""

    def __init__(
        self,
        files: Sequence[FileToVerify],
        sets: Sets,
        on: date,
        known: KnownRecords,
        profiles: Profiles,
        severities: Severities,
    ) -> None:
        self._files = {file.number: file for file in files}
        self._readings = sets.readings
        self._of_sets = sets.facts
        self._severities = severities
        self._on = on
        self._known = known
        self._profiles = profiles
        self._facts = facts(profiles, {file.sender for file in files}, on)
        self._typed: dict[str, ValidationResult] = {}
        self._set_aside: dict[str, pl.DataFrame] = {}
        self._unreferred: list[tuple[int, str]] = []
        self.causes = Causes(severities)
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
        typed = validate_cells(feed, self._with_date_forms(feed, records))
        # A column that the file does not have is told once, not once a line.
        failures = typed.failures.with_columns(typed.lines[FILE].gather(typed.failures[ROW]))
        failures = failures.join(self._absent_columns(feed), on=[FILE, "column"], how="anti")
        lines = typed.lines
        if feed.knows_profile:
            lines = lines.join(self._facts, on=SENDER, how="left", maintain_order="left")
        if feed.may_be_changes:
            lines = lines.join(self._of_sets, on=FILE, how="left", maintain_order="left")
        self._typed[feed.name] = ValidationResult(lines, failures.drop(FILE))

    def _with_date_forms(self, feed: FeedSpec, records: pl.DataFrame) -> pl.DataFrame:
        """The records with another form of dates beside them, where a sender's profile has one."""
        senders: list[str] = records[SENDER].unique().to_list() if feed.may_be_changes else []
        american = [s for s in senders if self._profiles.of(s).oneroster.date_form == "MM/DD/YYYY"]
        if not american:
            return records
        form = pl.when(pl.col(SENDER).is_in(american)).then(pl.lit("%m/%d/%Y"))
        return records.with_columns(form.alias(FORM_OF_SENDER))

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
        found = _reader_findings(
            {number: read for number, read in self._readings.items() if read.feed is feed}
        )
        absent = pl.col("rule") == file_rules.COLUMN_ABSENT.id
        return found.filter(absent).select(FILE, "column")

    def judge(self, feed: FeedSpec) -> None:
        """Judges all lines of ``feed`` in one pass."""
        if feed.name not in self._typed:
            return
        judgement = validate(
            feed, self._typed[feed.name], self._related, self._seen, self._severe, self._on
        )
        lines = judgement.lines
        errors = self._severe(judgement.failures, lines).unique()
        if any(relation.replaces for relation in feed.relations) or feed.may_be_changes:
            self.causes.add(feed, lines, judgement.missing, errors)
        of_files = {*FACTS_SCHEMA, *SET_FACTS_SCHEMA} - {SENDER, FILE}
        lines = lines.drop([*of_files], strict=False)
        self.accepted[feed.name] = lines.filter(~pl.col(ROW).is_in(errors.implode())).drop(ROW)
        told = judgement.failures.join(judgement.missing, on=[ROW, "rule"], how="anti")
        self.findings.append(
            told.select(
                lines[FILE].gather(told[ROW]).alias(FILE),
                "rule",
                lines[LINE].gather(told[ROW]).alias("line"),
                "column",
                pl.lit(None, dtype=pl.String).alias("detail"),
            )
        )
        if feed.lifecycle is Lifecycle.SNAPSHOT or feed is foster_focus.DEMOGRAPHICS:
            rejected = lines.filter(pl.col(ROW).is_in(errors.implode()))
            self.kept_keys[feed.name] = rejected.select(FILE, SENDER, SPAN, *feed.keys)

    def _severe(self, failures: pl.DataFrame, lines: pl.DataFrame) -> pl.Series:
        """The rows of ``lines`` that a failure keeps out."""
        senders = lines[SENDER].gather(failures[ROW]).alias(SENDER)
        weighed = self._severities.weigh(failures.with_columns(senders))
        return weighed.filter(pl.col("severity") == Severity.ERROR)[ROW]

    def _records(self, feed: FeedSpec) -> pl.DataFrame | None:
        """The text records of all files of ``feed``, in the order of the files."""
        frames = {
            number: reading.records
            for number, reading in self._readings.items()
            if reading.feed is feed and reading.records is not None
        }
        if not frames:
            return None
        numbers = _numbers(frames)
        senders = [self._files[number].sender for number in frames]
        heights = [frame.height for frame in frames.values()]
        of_rows = pl.Series(np.repeat(np.arange(len(frames)), heights))
        sender = pl.Series(SENDER, senders, dtype=pl.String).gather(of_rows)
        return pl.concat(frames.values()).select(numbers, sender, pl.all())

    def _related(self, relation: Relation, lines: pl.DataFrame) -> pl.DataFrame:
        columns = relation.target_columns
        if relation.target == FILES_OF_DROP:
            return relation_column(relation, lines, [self._names_in_drop()])
        before = self._known(relation.target, columns, None)
        now = self._typed.get(relation.target)
        if not relation.replaces:
            targets = [before] if now is None else [before, now.lines.select(SENDER, *columns)]
            return relation_column(relation, lines, targets)
        target = FEEDS_BY_NAME[relation.target]
        senders = [before[SENDER]]
        if now is not None:
            senders.append(now.lines[SENDER])
            before = before.filter(~pl.col(SENDER).is_in(self._senders_of_full(target)))
            before = before.join(now.lines, on=[SENDER, *target.keys], how="anti")
            before = pl.concat([before, now.lines.filter(~_is_gone(target)).select(before.columns)])
        # A record that is no more needs no counterpart.
        kept = pl.when(~_is_gone(target)).then(relation.column).alias(relation.column)
        lines = lines.with_columns(kept)
        related = named_records(relation, lines, before, pl.concat(senders).unique())
        self._note_unreferred(relation, lines, related)
        return related

    def _note_unreferred(
        self, relation: Relation, lines: pl.DataFrame, related: pl.DataFrame
    ) -> None:
        """Remembers files whose lines refer to what nobody ever sent."""
        unknown = related[relation.name].is_null() & lines[relation.column].is_not_null()
        target = relation.target
        self._unreferred += [(number, target) for number in lines[FILE].filter(unknown).unique()]

    def unreferred(self) -> pl.DataFrame:
        """Findings of drops that refer to a file which is not there: one for each such file."""
        sent = {
            (self._files[number].drop, reading.feed.name)
            for number, reading in self._readings.items()
            if reading.feed is not None
        }
        first: dict[tuple[str, str], int] = {}
        for number, target in sorted(set(self._unreferred)):
            place = self._files[number].drop, target
            if place not in sent:  # a file that was refused has findings of its own
                first.setdefault(place, number)
        rule = package_rules.NOTHING_TO_REFER_TO
        rows = [
            (number, rule.id, None, None, f"{FEEDS_BY_NAME[target].stems[0]}.csv")
            for (_, target), number in first.items()
        ]
        return pl.DataFrame(rows, schema={FILE: pl.UInt32, **FINDINGS_SCHEMA}, orient="row")

    def _senders_of_full(self, feed: FeedSpec) -> list[str]:
        """Senders of whom what was known of ``feed`` is replaced by what they send now."""
        some_of_many = self._some_of_many()
        return sorted(
            {
                self._files[number].sender
                for number, reading in self._readings.items()
                if reading.feed is feed and _has_records(reading) and number not in some_of_many
            }
        )

    def _some_of_many(self) -> set[int]:
        """Files that say by themselves that they are no full sets: changes and corrections."""
        corrections = {number for number, file in self._files.items() if file.correction}
        return corrections | set(self._of_sets.filter("_delta")[FILE])

    def _seen(self, feed: str, columns: tuple[str, ...], lines: pl.DataFrame) -> pl.DataFrame:
        """What the senders of ``lines`` send of ``feed`` now, or sent before if they do not."""
        senders = lines[SENDER].unique().to_list()
        if feed == CALENDAR:
            return calendars(self._profiles, senders)
        now = self._senders_of_full(FEEDS_BY_NAME[feed])
        frames = []
        if feed in self._typed:
            frames.append(self._typed[feed].lines.select(SENDER, *columns))
        if feed in self._set_aside:
            frames.append(self._set_aside[feed].select(SENDER, *columns))
        before = set(senders) - set(now)
        corrected = before & self._senders_of_corrections(FEEDS_BY_NAME[feed])
        if before - corrected:
            frames.append(self._known(feed, columns, sorted(before - corrected)))
        if corrected:
            frames.append(self._standing(FEEDS_BY_NAME[feed], columns, sorted(corrected)))
        seen = pl.concat(frames).unique() if frames else nothing_known(feed, columns)
        return seen.join(self._facts, on=SENDER, how="left")

    def _standing(
        self, feed: FeedSpec, columns: tuple[str, ...], senders: Sequence[str]
    ) -> pl.DataFrame:
        """What ``senders`` sent of ``feed`` before, but for records that they correct now."""
        by_id = self._facts.select(SENDER, "_by_id")
        key = named_key(feed)
        now = self._typed[feed.name].lines.drop("_by_id", strict=False)
        corrected = now.join(by_id, on=SENDER, how="left").select(SENDER, *key)
        known = self._known(feed.name, with_identity(feed, columns), senders)
        before = known.join(by_id, on=SENDER, how="left").with_columns(key)
        standing = before.join(corrected, on=corrected.columns, how="anti", nulls_equal=True)
        return standing.select(SENDER, *columns)

    def _senders_of_corrections(self, feed: FeedSpec) -> set[str]:
        """Senders who correct lines of ``feed`` now."""
        return {
            file.sender
            for number, file in self._files.items()
            if file.correction
            and (reading := self._readings[number]).feed is feed
            and _has_records(reading)
        }

    def partial_files(self) -> set[int]:
        """Files from which nothing may be concluded about records that are not in them."""
        adds_only = {
            number
            for number, file in self._files.items()
            if self._profiles.of(file.sender).oneroster.adds_only and file.family == oneroster.NAME
        }
        return adds_only | self._some_of_many()

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


def with_identity(feed: FeedSpec, columns: tuple[str, ...]) -> tuple[str, ...]:
    """``columns`` and those by which a record of ``feed`` is known again."""
    unique_id = (feed.unique_id,) if feed.unique_id else ()
    return tuple(dict.fromkeys((*columns, *feed.keys, *unique_id)))


def _is_gone(feed: FeedSpec) -> pl.Expr:
    """Whether a line says that its record is no more."""
    if feed.gone is None:
        return pl.lit(value=False)
    column, value = feed.gone
    return (pl.col(column) == value).fill_null(value=False)


def _has_records(reading: Reading) -> bool:
    """What a sender sent before stands where a file has no line that could be read."""
    return reading.records is not None and not reading.records.is_empty()


def _package_findings(
    files: Iterable[FileToVerify], readings: Mapping[int, Reading]
) -> pl.DataFrame:
    """What is missing from a transcript package, said at its first file."""
    feeds_of_drop: dict[str, tuple[int, list[FeedSpec | None]]] = {}
    for file in files:
        if file.family == STUDENT.family and not file.correction:
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


def _correction_findings(
    files: Iterable[FileToVerify], readings: Mapping[int, Reading]
) -> pl.DataFrame:
    """That a file was taken as some of many lines, said at each such file."""
    rows = [
        (file.number, file_rules.CORRECTION.id, None, None, None)
        for file in files
        if file.correction and readings[file.number].feed is not None
    ]
    return pl.DataFrame(rows, schema={FILE: pl.UInt32, **FINDINGS_SCHEMA}, orient="row")


def _outcomes(
    files: Sequence[FileToVerify],
    readings: Mapping[int, Reading],
    judged: _Validation,
    findings: pl.DataFrame,
) -> pl.DataFrame:
    """One row of ``FILES_SCHEMA`` for each file."""
    accepted: dict[int, int] = {}
    for lines in judged.accepted.values():
        accepted.update(lines.group_by(FILE).agg(pl.col(SPAN).sum()).iter_rows())
    keyless: set[int] = set()
    keyed = dict(accepted)
    for name, keys in judged.kept_keys.items():
        unreadable = _key_is_unreadable(name)
        keyless.update(keys.filter(unreadable)[FILE].unique())
        for number, lines in keys.filter(~unreadable).group_by(FILE).agg(pl.col(SPAN).sum()).rows():
            keyed[number] = keyed.get(number, 0) + lines
    weight = pl.col("severity").replace_strict(SEVERITY_RANK, return_dtype=pl.Int8)
    worst = dict(findings.group_by(FILE).agg(weight.max()).iter_rows())
    partial = judged.partial_files()
    rows = []
    for file in files:
        reading = readings[file.number]
        loaded, removed = accepted.get(file.number, 0), judged.removed.get(file.number, 0)
        changes = file.number in partial
        unread = reading.unreadable or file.number in keyless or changes
        complete = bool(loaded) and not unread
        kept_out = reading.lines - loaded - removed - reading.left_alone
        weight_of_file = SEVERITY_RANK[Severity.ERROR] if kept_out else worst.get(file.number, 0)
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
                kept_out,
                removed,
                reading.left_alone,
                keyed.get(file.number, 0),
                changes,
                complete,
                file_verdict(weight_of_file, loaded),
            )
        )
    return pl.DataFrame(rows, schema=FILES_SCHEMA, orient="row")


def _key_is_unreadable(feed_name: str) -> pl.Expr:
    feed = next(feed for feed in FEEDS if feed.name == feed_name)
    required = [n for n in feed.keys if feed.columns[n].requirement is Requirement.REQUIRED]
    return pl.any_horizontal(pl.col(name).is_null() for name in required)
