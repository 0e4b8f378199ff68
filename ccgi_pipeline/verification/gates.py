"""The three gates of verification in their order: bytes, columns, rows and files.

Belongs here: the order in which files, feeds and drops are judged, and what that comes to for each
file. Does not belong here: how a file is read (drop_files), how a line is judged (validation), to
which records lines are compared (record_lookup).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date
from itertools import chain

import numpy as np
import polars as pl

from ccgi_pipeline.common.packed_frames import PackedFrame, Rows, frames_of
from ccgi_pipeline.feeds import file_rules
from ccgi_pipeline.feeds.registry import FAMILIES, FEEDS
from ccgi_pipeline.feeds.rules import Severity
from ccgi_pipeline.feeds.spec import FILE, ROW, SENDER, FeedSpec, Lifecycle
from ccgi_pipeline.intake.findings import FINDINGS_SCHEMA, WEIGHED_SCHEMA, findings_frame
from ccgi_pipeline.intake.inbox import Drop
from ccgi_pipeline.intake.reader import Reading
from ccgi_pipeline.intake.record_lines import LINE, SPAN
from ccgi_pipeline.profiles import Profiles
from ccgi_pipeline.verification.causes.search import explain_findings
from ccgi_pipeline.verification.drop_files import FileToVerify, file_of_drop, read_files
from ccgi_pipeline.verification.missing_records import MissingRecords
from ccgi_pipeline.verification.oneroster_sets import FACTS_SCHEMA as SET_FACTS_SCHEMA
from ccgi_pipeline.verification.oneroster_sets import OF_WHOLE_FILES, OneRosterSets
from ccgi_pipeline.verification.outcomes import (
    FILES_SCHEMA,
    SEVERITY_RANK,
    KnownRecords,
    Verification,
    judge_file,
    nothing_known,
)
from ccgi_pipeline.verification.police_rule import mentions_police
from ccgi_pipeline.verification.profile_columns import FACTS_SCHEMA, facts
from ccgi_pipeline.verification.record_lookup import RecordLookup, numbers_of_rows
from ccgi_pipeline.verification.repeated_files import decide_repeated_files
from ccgi_pipeline.verification.rule_steps import find_faults_by_steps
from ccgi_pipeline.verification.severities import Severities
from ccgi_pipeline.verification.typed_cells import (
    FORM_OF_FILE,
    FORM_OF_SENDER,
    date_form_of,
    typed_lines,
)
from ccgi_pipeline.verification.unread_lines import MOST_LINES, find_unread_lines
from ccgi_pipeline.verification.validation import (
    TypedLines,
    ValidationResult,
    is_required,
    places_in,
    validate,
    validate_cells,
)


def refuse_drops(drops: Sequence[Drop]) -> Verification:
    """Verifies drops on which the pipeline's own code failed: nothing is loaded, all answered."""
    files = [
        file_of_drop(drop, number, file.shown, refused=file_rules.FAULT)
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
    """Verifies ``files`` as of the date ``on``; ``progress`` is called with each file's name.

    ``readings``: what ``read_files`` made of them, if they were read already.
    """
    profiles = profiles or Profiles()
    severities = Severities.of_profiles(profiles, {file.sender for file in files})
    if readings is None:
        readings = read_files(files, profiles, progress=progress)
    repeated = decide_repeated_files(files, readings)
    sets = OneRosterSets(files, repeated.readings, profiles)
    senders = _senders(files)
    found = pl.concat(
        [
            _reader_findings(sets.readings),
            sets.findings,
            repeated.findings,
            _opening_findings(files),
            _required_file_findings(files, sets.readings),
            _correction_findings(files, sets.readings),
        ]
    )
    refuse = severities.weigh(found.join(senders, on=FILE)).filter(
        pl.col("rule").is_in(OF_WHOLE_FILES) & (pl.col("severity") == Severity.ERROR)
    )
    sets.refuse(refuse[FILE].unique())
    lines = _LineJudgment(files, sets, on, known, profiles, severities)
    for feed in FEEDS:
        lines.type_cells(feed)
    for feed in FEEDS:
        lines.judge(feed)
    found = pl.concat(
        [
            found,
            *lines.findings,
            lines.missing.findings(),
            lines.lookup.nothing_sent_findings(),
            find_faults_by_steps(lines.accepted),
        ]
    )
    findings = severities.weigh(
        found.join(senders, on=FILE, how="left", maintain_order="left")
    ).select(FILE, *WEIGHED_SCHEMA)
    findings = _with_dependent_lines(findings, lines.missing.details())
    findings = findings.sort(FILE, "line", "rule", "column", nulls_last=False)
    outcomes = _file_outcomes(files, sets, lines, findings)
    findings, causes = explain_findings(files, _as_read(readings, sets), findings, on)
    return Verification(outcomes, findings, causes, lines.accepted, lines.kept_keys, lines.unread)


def _as_read(readings: Mapping[int, Reading], sets: OneRosterSets) -> dict[int, Reading]:
    """The readings, with the records also of files that were refused as wholes."""
    return {
        number: judged
        if judged.records is not None or judged.feed is None
        else replace(judged, records=readings[number].records)
        for number, judged in sets.readings.items()
    }


def _senders(files: Sequence[FileToVerify]) -> pl.DataFrame:
    rows = [(file.number, file.sender) for file in files]
    return pl.DataFrame(rows, schema={FILE: pl.UInt32, SENDER: pl.String}, orient="row")


# --- findings about whole files -------------------------------------------------------------------


def _reader_findings(readings: Mapping[int, Reading]) -> pl.DataFrame:
    return _of_files({number: reading.findings for number, reading in readings.items()})


def _of_files(found: Mapping[int, pl.DataFrame]) -> pl.DataFrame:
    """The findings of all files, with the number of each."""
    nothing = pl.DataFrame(schema=FINDINGS_SCHEMA)
    return pl.concat([nothing, *found.values()]).select(numbers_of_rows(found), pl.all())


def _required_file_findings(
    files: Iterable[FileToVerify], readings: Mapping[int, Reading]
) -> pl.DataFrame:
    """The files that their family requires and a drop lacks, reported at the drop's first file."""
    feeds_of_drop: dict[str, tuple[FileToVerify, set[str]]] = {}
    for file in files:
        if file.family in FAMILIES and not file.correction:
            _, feeds = feeds_of_drop.setdefault(file.drop, (file, set()))
            if (feed := readings[file.number].feed) is not None:
                feeds.add(feed.name)
    rows = [
        (first.number, rule.id, None, None, None)
        for first, feeds in feeds_of_drop.values()
        if feeds
        for feed, rule in FAMILIES[first.family].required_files.items()
        if feed not in feeds
    ]
    return pl.DataFrame(rows, schema={FILE: pl.UInt32, **FINDINGS_SCHEMA}, orient="row")


def _opening_findings(files: Iterable[FileToVerify]) -> pl.DataFrame:
    """Returns the findings about opening encrypted files, with ``_file`` first."""
    found = {file.number: findings_frame(file.told) for file in files if file.told}
    return _of_files(found or {0: findings_frame([])})


def _correction_findings(
    files: Iterable[FileToVerify], readings: Mapping[int, Reading]
) -> pl.DataFrame:
    """Reports of each file that holds corrections that it was taken as such."""
    rows = [
        (file.number, file_rules.CORRECTION.id, None, None, None)
        for file in files
        if file.correction and readings[file.number].feed is not None
    ]
    return pl.DataFrame(rows, schema={FILE: pl.UInt32, **FINDINGS_SCHEMA}, orient="row")


def _with_dependent_lines(findings: pl.DataFrame, dependent: pl.DataFrame) -> pl.DataFrame:
    """The findings of lines that were kept out, with a count of the lines that depend on them."""
    if dependent.is_empty():
        return findings
    joined = findings.join(dependent, on=[FILE, "line"], how="left", maintain_order="left")
    is_error = (pl.col("severity") == Severity.ERROR) & pl.col("detail").is_null()
    detail = pl.when(is_error).then("dependent").otherwise("detail").alias("detail")
    return joined.with_columns(detail).drop("dependent")


# --- lines, feed after feed -----------------------------------------------------------------------


class _LineJudgment:
    """Judges feed after feed: first the cells of all lines, then lines against each other.

    ``accepted`` and ``kept_keys`` are those of a ``Verification``; ``removed``: by file how many
    lines mention police.
    """

    def __init__(
        self,
        files: Sequence[FileToVerify],
        sets: OneRosterSets,
        on: date,
        known: KnownRecords,
        profiles: Profiles,
        severities: Severities,
    ) -> None:
        self._sets = sets
        self._senders = {file.number: file.sender for file in files}
        self._severities = severities
        self._on = on
        self._profiles = profiles
        self._facts = facts(profiles, set(self._senders.values()), on)
        self._typed: dict[str, TypedLines] = {}
        self.lookup = RecordLookup(files, sets, known, profiles, self._facts)
        self.missing = MissingRecords(severities)
        self.removed: dict[int, int] = {}
        self.accepted: dict[str, Rows] = {}
        self.kept_keys: dict[str, pl.DataFrame] = {}
        self.unread: dict[str, pl.DataFrame] = {}
        self.findings: list[pl.DataFrame] = []

    def type_cells(self, feed: FeedSpec) -> None:
        """Types all lines of ``feed`` in one pass, without those that may not be kept."""
        absent = self._absent_columns(feed)
        failures: list[pl.DataFrame] = []

        def typed_pieces() -> Iterator[pl.DataFrame]:
            first = 0
            for records in self._records(feed):
                typed = self._type_piece(feed, self._without_police(feed, records), first, absent)
                first += typed.lines.height
                failures.append(typed.failures)
                yield typed.lines

        pieces = typed_pieces()
        first = next(pieces, None)
        if first is None:
            return
        second = next(pieces, None)
        several = None if second is None else PackedFrame.pack(chain([first, second], pieces))
        rows: Rows = first if several is None else several
        self._typed[feed.name] = TypedLines(rows, failures)
        self.lookup.add(feed, rows)

    def _type_piece(
        self, feed: FeedSpec, records: pl.DataFrame, first: int, absent: pl.DataFrame
    ) -> ValidationResult:
        """Types a piece of the lines of ``feed``; ``absent``: columns that files do not have."""
        typed = validate_cells(feed, self._with_date_forms(feed, records), first)
        # A column that the file does not have is reported once, not once a line.
        places = places_in(typed.lines, typed.failures[ROW])
        failures = typed.failures.with_columns(typed.lines[FILE].gather(places))
        failures = failures.join(absent, on=[FILE, "column"], how="anti")
        lines = typed.lines
        if feed.knows_profile:
            lines = _beside(lines, self._facts, SENDER)
        if feed.may_be_changes:
            lines = _beside(lines, self._sets.facts, FILE)
            failures = _with_free_codes(feed, failures, lines)
        return ValidationResult(lines, failures.drop(FILE))

    def _records(self, feed: FeedSpec) -> Iterator[pl.DataFrame]:
        """Yields the text records of all files of ``feed``: all small ones, pieces of large ones.

        Beside those of a large file stands what only all its lines tell.
        """
        small: dict[int, pl.DataFrame] = {}
        large: dict[int, PackedFrame] = {}
        for number, reading in self._sets.readings_of(feed).items():
            if isinstance(reading.records, PackedFrame):
                large[number] = reading.records
            elif reading.records is not None:
                small[number] = reading.records
        if small:
            yield self._numbered(small)
        for number, records in large.items():
            form = None
            if feed.one_date_form:
                police = self._mentions_police(feed)
                kept = pl.lit(value=True) if police is None else ~police
                pieces = (frame.filter(kept) for frame in records.frames())
                form = pl.lit(date_form_of(feed, pieces), dtype=pl.String).alias(FORM_OF_FILE)
            for frame in records.frames():
                numbered = self._numbered({number: frame})
                yield numbered if form is None else numbered.with_columns(form)

    def _numbered(self, frames: Mapping[int, pl.DataFrame]) -> pl.DataFrame:
        """Returns the text records of files, with number and sender, in the order of the files."""
        if len(frames) == 1:
            ((number, frame),) = frames.items()
            sender = pl.lit(self._senders[number]).alias(SENDER)
            return frame.select(pl.lit(number, dtype=pl.UInt32).alias(FILE), sender, pl.all())
        senders = pl.Series(SENDER, [self._senders[number] for number in frames], dtype=pl.String)
        places = np.repeat(np.arange(len(frames)), [frame.height for frame in frames.values()])
        return pl.concat(frames.values()).select(
            numbers_of_rows(frames), senders.gather(places), pl.all()
        )

    def _without_police(self, feed: FeedSpec, records: pl.DataFrame) -> pl.DataFrame:
        mentioned = self._mentions_police(feed)
        if mentioned is None:
            return records
        removed = records.filter(mentioned)
        for number, lines in removed.group_by(FILE).agg(pl.col(SPAN).sum()).iter_rows():
            self.removed[number] = self.removed.get(number, 0) + lines
        # Other files may be about the same day: a finding that no incident explains it would be
        # untrue, and a hint at what was removed.
        self.lookup.add_removed(feed, typed_lines(feed, removed))
        return records.filter(~mentioned)

    def _mentions_police(self, feed: FeedSpec) -> pl.Expr | None:
        """Matches lines of ``feed`` that may not be kept; None if there can be none."""
        words = self._profiles.foster_focus.police_words
        return (
            mentions_police(feed.police_columns, words) if feed.police_columns and words else None
        )

    def _with_date_forms(self, feed: FeedSpec, records: pl.DataFrame) -> pl.DataFrame:
        """The records with another form of dates beside them, where a sender's profile has one."""
        if not feed.may_be_changes:
            return records
        american = self._sets.senders_with_american_dates(
            records.select(pl.col(SENDER).unique()).to_series()
        )
        if not american:
            return records
        form = pl.when(pl.col(SENDER).is_in(american)).then(pl.lit("%m/%d/%Y"))
        return records.with_columns(form.alias(FORM_OF_SENDER))

    def _absent_columns(self, feed: FeedSpec) -> pl.DataFrame:
        found = _reader_findings(self._sets.readings_of(feed))
        absent = pl.col("rule") == file_rules.COLUMN_ABSENT.id
        return found.filter(absent).select(FILE, "column")

    def judge(self, feed: FeedSpec) -> None:
        """Judges all lines of ``feed``."""
        typed = self._typed.pop(feed.name, None)
        if typed is None:
            return
        judgment = validate(
            feed, typed, self.lookup.related, self.lookup.seen, self._error_rows, self._on
        )
        pieces = zip(frames_of(typed.lines), judgment.failures, strict=True)
        errors = [self._error_rows(failures, lines).unique() for lines, failures in pieces]
        if any(relation.replaces for relation in feed.relations) or feed.may_be_changes:
            self.missing.add(feed, typed.lines, judgment.missing, pl.concat(errors))
        kept_keys: list[pl.DataFrame] = []
        keyless: list[pl.DataFrame] = []

        def accepted() -> Iterator[pl.DataFrame]:
            for frame, failures, rows in zip(
                frames_of(typed.lines), judgment.failures, errors, strict=True
            ):
                self._tell(frame, failures.join(judgment.missing, on=[ROW, "rule"], how="anti"))
                of_files = {*FACTS_SCHEMA, *SET_FACTS_SCHEMA} - {SENDER, FILE}
                lines = frame.drop([*of_files], strict=False)
                rejected, loaded = _split_rows(lines, rows)
                unreadable = _key_is_unreadable(feed)
                kept_keys.append(
                    rejected.filter(~unreadable).select(FILE, SENDER, SPAN, *feed.keys)
                )
                keyless.append(rejected.filter(unreadable))
                yield loaded.drop(ROW)

        self.accepted[feed.name] = (
            PackedFrame.pack(accepted())
            if isinstance(typed.lines, PackedFrame)
            else next(accepted())
        )
        if feed.lifecycle is Lifecycle.SNAPSHOT or feed.decides_links:
            self.kept_keys[feed.name] = pl.concat(kept_keys)
            if feed.lifecycle is Lifecycle.SNAPSHOT:
                self.unread[feed.name] = find_unread_lines(
                    feed, self._sets.readings_of(feed), self._senders, pl.concat(keyless)
                )

    def _tell(self, lines: pl.DataFrame, failures: pl.DataFrame) -> None:
        """Makes findings of the failures of a piece of the lines."""
        places = places_in(lines, failures[ROW])
        self.findings.append(
            failures.select(
                lines[FILE].gather(places).alias(FILE),
                "rule",
                lines[LINE].gather(places).alias("line"),
                "column",
                pl.lit(None, dtype=pl.String).alias("detail"),
            )
        )

    def _error_rows(self, failures: pl.DataFrame, lines: pl.DataFrame) -> pl.Series:
        """The rows of ``lines`` that a failure keeps out."""
        senders = lines[SENDER].gather(places_in(lines, failures[ROW])).alias(SENDER)
        weighed = self._severities.weigh(failures.with_columns(senders))
        return weighed.filter(pl.col("severity") == Severity.ERROR)[ROW]


def _split_rows(lines: pl.DataFrame, rows: pl.Series) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Returns the lines that are among ``rows``, and the others."""
    if rows.is_empty():
        return lines.clear(), lines
    among = pl.col(ROW).is_in(rows.implode())
    return lines.filter(among), lines.filter(~among)


def _beside(lines: pl.DataFrame, facts: pl.DataFrame, on: str) -> pl.DataFrame:
    """The ``lines`` with the facts of their file or sender; ``facts`` has a row for each.

    Where all lines are of one, its facts are not copied for each line.
    """
    named = lines.select(pl.col(on).unique()).to_series()
    present = facts.filter(pl.col(on).is_in(named.implode()))
    if present.height == 1:
        row = present.drop(on)
        return lines.with_columns(pl.lit(fact).first().alias(fact.name) for fact in row)
    return lines.join(facts, on=on, how="left", maintain_order="left")


def _with_free_codes(feed: FeedSpec, failures: pl.DataFrame, lines: pl.DataFrame) -> pl.DataFrame:
    """The failures; of codes that the edition of a file leaves to the sender by another rule."""
    for name, declared in feed.columns.items():
        if declared.codes_in and not failures.is_empty():
            edition = lines["_edition"].gather(places_in(lines, failures[ROW]))
            is_free = ~edition.is_in(list(declared.codes_in))
            is_form = failures["rule"] == feed.column_rule_id("FORM", name)
            told = pl.Series([feed.column_rule_id("AGREED", name)])
            rule = pl.select(pl.when(is_free & is_form).then(told).otherwise(failures["rule"]))
            failures = failures.with_columns(rule.to_series().alias("rule"))
    return failures


# --- what each file comes to ----------------------------------------------------------------------


def _file_outcomes(
    files: Sequence[FileToVerify],
    sets: OneRosterSets,
    judged: _LineJudgment,
    findings: pl.DataFrame,
) -> pl.DataFrame:
    """One row of ``FILES_SCHEMA`` for each file."""
    accepted: dict[int, int] = {}
    for typed in judged.accepted.values():
        for lines in frames_of(typed, [FILE, SPAN]):
            for number, count in lines.group_by(FILE).agg(pl.col(SPAN).sum()).iter_rows():
                accepted[number] = accepted.get(number, 0) + count
    keyed = dict(accepted)
    for keys in judged.kept_keys.values():
        for number, lines in keys.group_by(FILE).agg(pl.col(SPAN).sum()).rows():
            keyed[number] = keyed.get(number, 0) + lines
    cut_off = set(findings.filter(pl.col("rule") == file_rules.TRUNCATED.id)[FILE])
    for lines in judged.unread.values():
        counted = lines.group_by(FILE).len().filter(pl.col("len") > MOST_LINES)
        cut_off.update(counted[FILE])
    weight = pl.col("severity").replace_strict(SEVERITY_RANK, return_dtype=pl.Int8)
    worst = dict(findings.group_by(FILE).agg(weight.max()).iter_rows())
    partial = sets.files_that_only_add() | judged.lookup.partial_files()
    rows = []
    for file in files:
        reading = sets.readings[file.number]
        loaded, removed = accepted.get(file.number, 0), judged.removed.get(file.number, 0)
        changes = file.number in partial
        complete = bool(loaded) and not changes and file.number not in cut_off
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
                judge_file(weight_of_file, loaded),
            )
        )
    return pl.DataFrame(rows, schema=FILES_SCHEMA, orient="row")


def _key_is_unreadable(feed: FeedSpec) -> pl.Expr:
    required = [name for name in feed.keys if is_required(feed, name)]
    return pl.any_horizontal(pl.col(name).is_null() for name in required)
