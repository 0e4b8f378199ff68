"""The records to which rules compare lines: what senders send now, and what they sent before.

Belongs here: which of the two counts for a relation or a comparison. Does not belong here: the
judgment itself (validation), reading the warehouse (the given ``KnownRecords``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import polars as pl

from ccgi_pipeline.common.packed_frames import Rows, distinct, unpacked
from ccgi_pipeline.feeds.columns import ColumnType
from ccgi_pipeline.feeds.registry import FAMILIES, FEEDS_BY_NAME
from ccgi_pipeline.feeds.rules import Relation, Rule, Scope
from ccgi_pipeline.feeds.spec import CALENDAR, FILE, FILES_OF_DROP, SENDER, FeedSpec
from ccgi_pipeline.intake.findings import FINDINGS_SCHEMA
from ccgi_pipeline.intake.reader import Reading
from ccgi_pipeline.profiles import Profiles
from ccgi_pipeline.verification.drop_files import FileToVerify
from ccgi_pipeline.verification.oneroster_sets import OneRosterSets
from ccgi_pipeline.verification.outcomes import KnownRecords, nothing_known
from ccgi_pipeline.verification.profile_columns import calendars
from ccgi_pipeline.verification.validation import named_key, named_records, relation_column


class RecordLookup:
    """Finds records of other feeds, among typed lines (``add``) and those known before.

    ``facts``: the columns that senders' profiles put beside lines.
    """

    def __init__(
        self,
        files: Sequence[FileToVerify],
        sets: OneRosterSets,
        known: KnownRecords,
        profiles: Profiles,
        facts: pl.DataFrame,
    ) -> None:
        self._files = {file.number: file for file in files}
        self._sets = sets
        self._known = known
        self._profiles = profiles
        self._facts = facts
        self._senders = sorted({file.sender for file in files})
        self._before: dict[tuple[str, tuple[str, ...]], pl.DataFrame] = {}
        self._lines: dict[str, Rows] = {}
        self._removed: dict[str, Rows] = {}
        self._unanswered: list[tuple[int, str]] = []

    def add(self, feed: FeedSpec, lines: Rows) -> None:
        """Adds the typed lines of all files of a feed."""
        self._lines[feed.name] = lines

    def add_removed(self, feed: FeedSpec, lines: pl.DataFrame) -> None:
        """Adds lines that are not kept, and are there to be compared with."""
        before = self._removed.get(feed.name)
        added = lines if before is None else pl.concat([unpacked(before), lines])
        self._removed[feed.name] = added

    def related(self, relation: Relation, lines: pl.DataFrame) -> pl.DataFrame:
        """Finds the counterparts of ``lines``: a relation's columns, line by line."""
        columns = relation.target_columns
        if relation.target == FILES_OF_DROP:
            return relation_column(relation, lines, [self._names_in_drops(lines[FILE].unique())])
        before = self._known_before(relation)
        now = self._sent_now(relation)
        unreadable = self._unreadable_records(relation).select(before.columns)
        if not relation.replaces:
            targets = [before, unreadable]
            targets += [] if now is None else [now.select(SENDER, *columns)]
            return relation_column(relation, lines, targets)
        target = FEEDS_BY_NAME[relation.target]
        senders = [before[SENDER]]
        if now is not None:
            senders.append(now[SENDER])
            # A record that is not there may stand in a line that could not be read.
            replaced = set(self._senders_of_full_sets(target)) - self._senders_of_damaged(target)
            before = before.filter(~pl.col(SENDER).is_in(sorted(replaced)))
            before = before.join(now, on=[SENDER, *target.keys], how="anti")
            before = pl.concat([before, now.filter(~_is_gone(target)).select(before.columns)])
        before = pl.concat([before, unreadable])
        # A record that is gone needs no counterpart.
        kept = pl.when(~_is_gone(target)).then(relation.column).alias(relation.column)
        lines = lines.with_columns(kept)
        related = named_records(relation, lines, before, pl.concat(senders).unique())
        unknown = related[relation.name].is_null() & lines[relation.column].is_not_null()
        self._unanswered += [
            (number, relation.target) for number in lines[FILE].filter(unknown).unique()
        ]
        return related

    def _known_before(self, relation: Relation) -> pl.DataFrame:
        """Returns the known records among which a relation looks for its counterpart."""
        asked = relation.target, relation.target_columns
        if relation.scope is Scope.STATE:
            return self._known(*asked, None)
        if asked not in self._before:  # several rules look up the same columns
            self._before[asked] = self._known(*asked, self._senders)
        return self._before[asked]

    def _sent_now(self, relation: Relation) -> pl.DataFrame | None:
        """Finds what is sent now of the target: the columns that a relation may need."""
        rows = self._lines.get(relation.target)
        if rows is None:
            return None
        target = FEEDS_BY_NAME[relation.target]
        gone = target.gone[:1] if target.gone else ()
        return distinct(rows, (SENDER, *relation.target_columns, *target.keys, *gone))

    def nothing_sent_findings(self) -> pl.DataFrame:
        """Finds drops that refer to a feed of which nothing was ever sent: one for each feed."""
        sent = {
            (self._files[number].drop, reading.feed.name)
            for number, reading in self._sets.readings.items()
            if reading.feed is not None
        }
        first: dict[tuple[str, str], int] = {}
        for number, target in sorted(set(self._unanswered)):
            place = self._files[number].drop, target
            if place not in sent:  # a file that was refused has findings of its own
                first.setdefault(place, number)
        rows = [
            (number, rule.id, None, None, f"{FEEDS_BY_NAME[target].stems[0]}.csv")
            for (_, target), number in first.items()
            if (rule := self._rule_of_nothing_sent(number)) is not None
        ]
        return pl.DataFrame(rows, schema={FILE: pl.UInt32, **FINDINGS_SCHEMA}, orient="row")

    def _rule_of_nothing_sent(self, number: int) -> Rule | None:
        family = FAMILIES[self._files[number].family]
        return family.changes_refer if number in self.partial_files() else family.nothing_sent

    def seen(self, feed: str, columns: tuple[str, ...], lines: pl.DataFrame) -> pl.DataFrame:
        """Finds what the senders of ``lines`` send of ``feed`` now, or else sent before."""
        senders = lines.select(pl.col(SENDER).unique()).to_series().to_list()
        if feed == CALENDAR:
            return calendars(self._profiles, senders)
        now = self._senders_of_full_sets(FEEDS_BY_NAME[feed])
        sent = [
            rows for rows in (self._lines.get(feed), self._removed.get(feed)) if rows is not None
        ]
        frames = [distinct(rows, (SENDER, *columns)) for rows in sent]
        before = set(senders) - set(now)
        corrected = before & self._senders_of_corrections(FEEDS_BY_NAME[feed])
        if before - corrected:
            frames.append(self._known(feed, columns, sorted(before - corrected)))
        if corrected:
            frames.append(self._uncorrected(FEEDS_BY_NAME[feed], columns, sorted(corrected)))
        seen = pl.concat(frames).unique() if frames else nothing_known(feed, columns)
        return seen.join(self._facts, on=SENDER, how="left")

    def partial_files(self) -> set[int]:
        """Finds files that say themselves that they are no full sets: changes and corrections."""
        corrections = {number for number, file in self._files.items() if file.correction}
        return corrections | set(self._sets.facts.filter("_delta")[FILE])

    def _senders_of_full_sets(self, feed: FeedSpec) -> list[str]:
        """Finds senders whose earlier records of ``feed`` are replaced by what they send now."""
        partial = self.partial_files()
        return sorted(
            {
                self._files[number].sender
                for number, reading in self._sets.readings_of(feed).items()
                if _has_records(reading) and number not in partial
            }
        )

    def _senders_of_damaged(self, feed: FeedSpec) -> set[str]:
        """Finds senders who send lines of ``feed`` now that could not be read."""
        return {
            self._files[number].sender
            for number, reading in self._sets.readings_of(feed).items()
            if reading.unreadable
        }

    def _unreadable_records(self, relation: Relation) -> pl.DataFrame:
        """Finds the records of the target whose lines show their id and nothing else.

        They are there, so that lines which name them are not to blame; of which kind they are
        cannot be known.
        """
        target, column = FEEDS_BY_NAME[relation.target], relation.target_column
        found = [nothing_known(relation.target, relation.target_columns)]
        for number, reading in self._sets.readings_of(target).items():
            if reading.columns[:1] != (column,):
                continue
            if target.columns[column].type is not ColumnType.STRING:
                continue
            shown = reading.unread_lines.select(
                pl.lit(self._files[number].sender).alias(SENDER),
                pl.col("cells").list.first().alias(column),
            ).filter(pl.col(column) != "")
            if relation.target_is is not None:
                kind, value = relation.target_is
                shown = shown.with_columns(pl.lit(value).alias(kind))
            found.append(shown.select(found[0].columns))
        return pl.concat(found)

    def _senders_of_corrections(self, feed: FeedSpec) -> set[str]:
        """Finds senders who correct lines of ``feed`` now."""
        return {
            self._files[number].sender
            for number, reading in self._sets.readings_of(feed).items()
            if self._files[number].correction and _has_records(reading)
        }

    def _uncorrected(
        self, feed: FeedSpec, columns: tuple[str, ...], senders: Sequence[str]
    ) -> pl.DataFrame:
        """Finds what ``senders`` sent of ``feed`` before, without records that they correct now."""
        by_id = self._facts.select(SENDER, "_by_id")
        key = named_key(feed)
        unique_id = (feed.unique_id,) if feed.unique_id else ()
        now = distinct(self._lines[feed.name], (SENDER, *feed.keys, *unique_id))
        corrected = now.join(by_id, on=SENDER, how="left").select(SENDER, *key)
        known = self._known(feed.name, with_identity(feed, columns), senders)
        before = known.join(by_id, on=SENDER, how="left").with_columns(key)
        uncorrected = before.join(corrected, on=corrected.columns, how="anti", nulls_equal=True)
        return uncorrected.select(SENDER, *columns)

    def _names_in_drops(self, numbers: pl.Series) -> pl.DataFrame:
        """Lists for each of these files the names of all files of its drop."""
        rows = [
            (number, other.name)
            for number in numbers
            for other in self._files.values()
            if other.drop == self._files[number].drop
        ]
        return pl.DataFrame(rows, schema={FILE: pl.UInt32, "FileName": pl.String}, orient="row")


def numbers_of_rows(frames: Mapping[int, pl.DataFrame]) -> pl.Series:
    """The number of its file for each row of ``frames``, one after the other."""
    heights = {number: frame.height for number, frame in frames.items() if frame.height}
    counted = pl.DataFrame(
        {FILE: [*heights], "height": [*heights.values()]},
        schema={FILE: pl.UInt32, "height": pl.UInt32},
    )
    return counted.select(pl.col(FILE).repeat_by("height").explode()).to_series()


def with_identity(feed: FeedSpec, columns: tuple[str, ...]) -> tuple[str, ...]:
    """``columns``, and those by which a record of ``feed`` is recognised."""
    unique_id = (feed.unique_id,) if feed.unique_id else ()
    return tuple(dict.fromkeys((*columns, *feed.keys, *unique_id)))


def _is_gone(feed: FeedSpec) -> pl.Expr:
    """Whether a line says that its record is gone."""
    if feed.gone is None:
        return pl.lit(value=False)
    column, value = feed.gone
    return (pl.col(column) == value).fill_null(value=False)


def _has_records(reading: Reading) -> bool:
    """Whether a line could be read: what the sender sent before counts where none could be."""
    return reading.records is not None and not reading.records.is_empty()
