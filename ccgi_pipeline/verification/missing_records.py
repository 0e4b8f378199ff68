"""Missing records: each is one finding, with a count of the lines that depend on it.

Belongs here: following references from records that are missing, or were kept out, to the lines
that need them. Feeds are taken in the order in which they refer to each other. Does not belong
here: whether a reference holds (validation).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import polars as pl

from ccgi_pipeline.common.packed_frames import Rows, frames_of
from ccgi_pipeline.feeds.rules import Relation, Severity
from ccgi_pipeline.feeds.spec import FILE, ROW, SENDER, FeedSpec
from ccgi_pipeline.intake.findings import FINDINGS_SCHEMA
from ccgi_pipeline.intake.record_lines import LINE
from ccgi_pipeline.verification.severities import Severities

MISSING_SCHEMA = {ROW: pl.UInt32, "rule": pl.String, "target": pl.String, "item": pl.String}
"""A line (``_row``) that breaks ``rule`` because ``target`` has no record ``item``."""

_FINDINGS = {FILE: pl.UInt32, **FINDINGS_SCHEMA}
_PLACES = {"root": pl.String, "feed": pl.Int32, FILE: pl.UInt32, LINE: pl.UInt32}
_TOLD = {**_PLACES, SENDER: pl.String, "rule": pl.String, "column": pl.String}


def items_of(relation: Relation, lines: pl.DataFrame) -> pl.DataFrame:
    """``_row``, ``_sender`` and each record that the lines' cells name (``item``)."""
    cells = lines.select(ROW, SENDER, pl.col(relation.column).alias("item")).drop_nulls("item")
    if not relation.many:
        return cells
    listed = pl.col("item").str.split(",")
    items = cells.with_columns(listed).explode("item")
    return items.with_columns(pl.col("item").str.strip_chars()).filter(pl.col("item") != "")


def _places(feed: FeedSpec, lines: Rows, dependent: pl.Series, rejected: pl.Series) -> pl.DataFrame:
    """The place and key of lines: of a large file only lines that matter for missing records.

    Those are the ``dependent`` and the ``rejected`` ones, and others with a key of the latter.
    """
    columns = [ROW, SENDER, FILE, LINE, feed.keys[0]]
    named = pl.col(feed.keys[0]).alias("key")
    if isinstance(lines, pl.DataFrame):
        return lines.select(*columns[:-1], named)
    concerned = pl.concat([dependent, rejected]).unique()
    if concerned.is_empty():
        return next(lines.frames(columns)).clear().select(*columns[:-1], named)
    is_concerned = pl.col(ROW).is_in(concerned.implode())
    kept_out = (
        pl.concat(
            frame.filter(pl.col(ROW).is_in(rejected.implode())) for frame in lines.frames(columns)
        )
        .select(SENDER, feed.keys[0])
        .unique()
    )
    return pl.concat(
        pl.concat(
            [
                frame.filter(is_concerned),
                frame.filter(~is_concerned).join(
                    kept_out.unique(), on=kept_out.columns, how="semi"
                ),
            ]
        )
        for frame in lines.frames(columns)
    ).select(*columns[:-1], named)


class MissingRecords:
    """Collects the lines that depend on records which are missing or were kept out."""

    def __init__(self, severities: Severities) -> None:
        self._severities = severities
        self._hanging: dict[str, pl.DataFrame] = {}
        self._lines: list[pl.DataFrame] = [pl.DataFrame(schema=_PLACES)]
        self._told: list[pl.DataFrame] = [pl.DataFrame(schema=_TOLD)]
        self._feeds: list[str] = []

    def add(self, feed: FeedSpec, lines: Rows, missing: pl.DataFrame, rejected: pl.Series) -> None:
        """Adds a judged feed: its lines, those that miss something, the rows kept out."""
        number = len(self._feeds)
        self._feeds.append(feed.name)
        inherited = self._inherited(feed, lines)
        places = _places(feed, lines, pl.concat([missing[ROW], inherited[ROW]]), rejected)
        direct = missing.join(places, on=ROW).with_columns(
            root=pl.concat_str(pl.lit("missing"), SENDER, "target", "item", separator="\n"),
        )
        if not direct.is_empty():
            columns = {rule.id: rule.column for rule in feed.rules}
            column = pl.col("rule").replace_strict(columns, return_dtype=pl.String)
            feed_number = pl.lit(number, dtype=pl.Int32).alias("feed")
            self._told.append(
                direct.with_columns(feed_number, column.alias("column")).select(_TOLD.keys())
            )
        kept_out = places.filter(pl.col(ROW).is_in(rejected.implode()))
        alone = kept_out
        if not kept_out.is_empty():
            # Where another line has the record, nothing depends on the one that was kept out.
            others = places.join(kept_out, on=[SENDER, "key"], how="semi")
            others = others.join(kept_out, on=ROW, how="anti")
            alone = kept_out.join(others, on=[SENDER, "key"], how="anti")
        own = alone.join(direct, on=ROW, how="anti").with_columns(
            root=pl.concat_str(pl.lit("line"), FILE, LINE, separator="\n")
        )
        hanging = [frame.select(ROW, "root") for frame in (direct, inherited)]
        on_others = pl.concat(hanging).unique().join(places, on=ROW)
        passed_on = (
            pl.concat([direct.select(ROW, "root").join(kept_out, on=ROW, how="semi"), inherited])
            .unique()
            .join(places, on=ROW)
        )
        self._lines.append(
            on_others.with_columns(pl.lit(number, dtype=pl.Int32).alias("feed")).select(
                _PLACES.keys()
            )
        )
        roots = [frame.select(SENDER, "key", "root") for frame in (passed_on, own)]
        found = pl.concat(roots).drop_nulls().unique()
        if not found.is_empty():
            self._hanging[feed.name] = found

    def _inherited(self, feed: FeedSpec, lines: Rows) -> pl.DataFrame:
        """Finds lines that refer to a record which is wrong, or depends on a missing one."""
        found = [pl.DataFrame(schema={ROW: pl.UInt32, "root": pl.String})]
        for relation in feed.relations:
            above = self._hanging.get(relation.target)
            if above is not None and relation.target_is is None:
                for piece in frames_of(lines, [ROW, SENDER, relation.column]):
                    named = items_of(relation, piece)
                    hanging = named.join(above, left_on=[SENDER, "item"], right_on=[SENDER, "key"])
                    found.append(hanging.select(ROW, "root"))
        return pl.concat(found)

    def findings(self) -> pl.DataFrame:
        """Makes one finding for each missing record, at the first line that names it (``_file``).

        If lines were kept out for it, the finding is at the first of those.
        """
        told = self._severities.weigh(pl.concat(self._told))
        lighter = pl.col("severity") != Severity.ERROR
        first = told.sort(lighter, "feed", FILE, LINE)
        first = first.unique("root", keep="first", maintain_order=True)
        counted = first.join(self._counts(), on="root", how="left", maintain_order="left")
        several = pl.col("lines") > 1
        return counted.select(
            FILE,
            "rule",
            pl.col(LINE).alias("line"),
            "column",
            pl.when(several).then("words").alias("detail"),
        ).select(pl.col(name).cast(dtype) for name, dtype in _FINDINGS.items())

    def details(self) -> pl.DataFrame:
        """Counts the lines that depend on lines which were kept out for a reason of their own.

        ``_file``, ``line`` and ``dependent``, which says it in words.
        """
        of_lines = self._counts().filter(pl.col("root").str.starts_with("line\n"))
        place = pl.col("root").str.split("\n")
        return of_lines.select(
            place.list.get(1).cast(pl.UInt32).alias(FILE),
            place.list.get(2).cast(pl.UInt32).alias("line"),
            pl.col("words").alias("dependent"),
        )

    def _counts(self) -> pl.DataFrame:
        """``root``, ``lines`` and ``words``: how many lines of which files depend on it."""
        counted = (
            pl.concat(self._lines).unique().group_by("root", "feed").len().sort("root", "feed")
        )
        rows = [
            (root, sum(counts), _in_words(self._feeds, feeds, counts))
            for root, feeds, counts in counted.group_by("root", maintain_order=True)
            .agg("feed", "len")
            .iter_rows()
        ]
        schema = {"root": pl.String, "lines": pl.Int64, "words": pl.String}
        return pl.DataFrame(rows, schema=schema, orient="row")


def _in_words(names: Sequence[str], feeds: Iterable[int], counts: Sequence[int]) -> str:
    each = [
        f"{names[feed].split('_', 1)[-1]} {count:,}"
        for feed, count in zip(feeds, counts, strict=True)
    ]
    hang = "1 line hangs" if sum(counts) == 1 else f"{sum(counts):,} lines hang"
    return f"{hang} on it: {', '.join(each)}"
