"""Judges rules that have a step of their own: each fault is told once, with a count of its lines.

Belongs here: the table of steps (``Rule.step``), and those steps. Does not belong here: rules that
are judged line by line (validation).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import polars as pl

from ccgi_pipeline.common.packed_frames import Rows, distinct, frames_of, unpacked
from ccgi_pipeline.eligibility.history import find_unread_lines
from ccgi_pipeline.feeds.registry import FEEDS
from ccgi_pipeline.feeds.spec import FILE, SENDER
from ccgi_pipeline.feeds.transcript import COURSE_CATALOG, COURSE_GRADE
from ccgi_pipeline.intake.findings import FINDINGS_SCHEMA
from ccgi_pipeline.intake.record_lines import LINE

Accepted = Mapping[str, Rows]
"""The accepted lines of each feed."""

_FAULTS_SCHEMA = {FILE: pl.UInt32, "line": pl.UInt32, "lines": pl.UInt32}
"""One row a fault: the first line that has it, and how many lines have it."""


def find_faults_by_steps(accepted: Accepted) -> pl.DataFrame:
    """Returns the findings (with ``_file``) of all rules that have a step of their own."""
    found = [pl.DataFrame(schema={FILE: pl.UInt32, **FINDINGS_SCHEMA})]
    found += [
        STEPS[rule.step](accepted).select(
            FILE,
            pl.lit(rule.id).alias("rule"),
            "line",
            pl.lit(rule.column, dtype=pl.String).alias("column"),
            _in_words(pl.col("lines")).alias("detail"),
        )
        for feed in FEEDS
        for rule in feed.rules
        if rule.step is not None and feed.name in accepted
    ]
    return pl.concat(found)


def _in_words(lines: pl.Expr) -> pl.Expr:
    several = pl.concat_str(lines.cast(pl.String), pl.lit(" lines of the file"))
    return pl.when(lines > 1).then(several).otherwise(pl.lit("one line of the file"))


_NAMED = ("SubjectArea", "TranscriptAbbreviation", "GradeLevel")


def find_unread_course_names(accepted: Accepted) -> pl.DataFrame:
    """Finds the names of courses whose kind is not known and could change a student's result.

    A name counts once for each area that it has in a file. State course codes are those of the
    catalog that was sent with it.
    """
    rows = accepted[COURSE_GRADE.name]
    names = distinct(rows, _NAMED).drop_nulls("TranscriptAbbreviation").unique()
    names = names.filter(find_unread_lines(names))
    if names.is_empty():
        return pl.DataFrame(schema=_FAULTS_SCHEMA)
    columns = [FILE, SENDER, LINE, "CDSCode", "LocalCourseID", *_NAMED]
    unread = pl.concat(
        frame.join(names, on=_NAMED, how="semi", maintain_order="left")
        for frame in frames_of(rows, columns)
    )
    catalog = accepted.get(COURSE_CATALOG.name)
    if catalog is not None:
        codes = unpacked(catalog).select(SENDER, "CDSCode", "CourseNumber", "StateCourseCode")
        codes = codes.unique([SENDER, "CDSCode", "CourseNumber"], keep="last", maintain_order=True)
        unread = unread.join(
            codes,
            left_on=[SENDER, "CDSCode", "LocalCourseID"],
            right_on=[SENDER, "CDSCode", "CourseNumber"],
            how="left",
            maintain_order="left",
        )
        unread = unread.filter(find_unread_lines(unread))
    return (
        unread.group_by(FILE, "SubjectArea", "TranscriptAbbreviation", maintain_order=True)
        .agg(pl.col(LINE).min().alias("line"), pl.len().alias("lines"))
        .select(pl.col(name).cast(dtype) for name, dtype in _FAULTS_SCHEMA.items())
    )


STEPS: Mapping[str, Callable[[Accepted], pl.DataFrame]] = {
    "unread_course_names": find_unread_course_names,
}
"""The steps by the names under which rules declare them."""
