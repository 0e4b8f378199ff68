"""Links between students and the children of Foster Focus: lines without a child are not loaded.

Belongs here: which accepted lines of the foster_focus family have a child, which have none, and the
findings about those. Does not belong here: how a student is compared with a child
(verification.child_match).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date
from functools import partial

import duckdb
import polars as pl

from ccgi_pipeline.common.packed_frames import frames_of, map_rows
from ccgi_pipeline.feeds.foster_focus import DEMOGRAPHICS, FEEDS, link_rules
from ccgi_pipeline.feeds.foster_focus.comparisons import CHILD
from ccgi_pipeline.feeds.foster_focus_cps import FEED as CHILDREN
from ccgi_pipeline.feeds.spec import FILE, SENDER
from ccgi_pipeline.intake.record_lines import LINE, SPAN
from ccgi_pipeline.profiles import FosterFocusSettings
from ccgi_pipeline.verification.child_match import FIELDS, child_match
from ccgi_pipeline.verification.outcomes import Verification
from ccgi_pipeline.warehouse.load.drop_records import append_rows
from ccgi_pipeline.warehouse.storage.schema import quote_identifier

STUDENT_COLUMNS = (SENDER, *CHILD)


@dataclass(frozen=True, slots=True)
class LinkResult:
    """A verification in which only lines with a child are accepted, and what was left out.

    - ``fates``: the other lines by file (``_file``, ``fate``, ``lines``).
    - ``findings``: the reasons (``_file``, ``rule``, ``line``, ``column``, ``detail``).
    - ``unmatched``: the students without a child (``_sender``, ``SystemID``, ``SISLocalID``,
      ``drop_id``, ``line``, ``rule``, ``field``).
    - ``matched``: the students with a child (``_sender``, ``SystemID``, ``SISLocalID``,
      ``ChildID``).
    - ``senders_with_demographics``: senders whose students are all in these two frames, because
      they sent full demographics and no mere corrections.
    - ``sent``: by drop its ``students`` and those of them who are ``unknown`` to the register
      (``drop``, ``_sender``, ``_file``); empty as long as there is no register.
    """

    verification: Verification
    fates: pl.DataFrame
    findings: pl.DataFrame
    unmatched: pl.DataFrame
    matched: pl.DataFrame
    senders_with_demographics: list[str]
    sent: pl.DataFrame


def link_children(
    connection: duckdb.DuckDBPyConnection,
    verification: Verification,
    on: date,
    settings: FosterFocusSettings,
) -> LinkResult:
    """Keeps the accepted lines whose student has a child, and reports the others."""
    children = connection.sql(f"SELECT * FROM lake.{CHILDREN.name} WHERE _active").pl()
    senders = _senders_with_demographics(verification)
    students = _students(connection, verification, senders)
    known = students.hstack(child_match(students, children, on, settings))
    with_child = known.filter(pl.col("ChildID").is_not_null()).select(*STUDENT_COLUMNS, "ChildID")
    without = known.filter(pl.col("ChildID").is_null())
    accepted = dict(verification.accepted)
    fates = [pl.DataFrame(schema={FILE: pl.UInt32, "fate": pl.String, "lines": pl.Int64})]
    for feed in FEEDS:
        if feed.name not in accepted:
            continue
        lines = accepted[feed.name]
        accepted[feed.name] = map_rows(lines, partial(_linked, with_child))
        columns = [FILE, SPAN, *STUDENT_COLUMNS]
        lost = pl.concat(
            frame.join(with_child, on=STUDENT_COLUMNS, how="anti")
            for frame in frames_of(lines, columns)
        ).group_by(FILE, maintain_order=True)
        fates.append(
            lost.agg(
                pl.lit("unmatched").alias("fate"), pl.col(SPAN).sum().cast(pl.Int64).alias("lines")
            )
        )
    reported = without.filter(pl.col(FILE).is_not_null())
    drops = verification.files.select(FILE, "drop")
    return LinkResult(
        verification=replace(verification, accepted=accepted),
        fates=pl.concat(fates),
        findings=reported.select(
            FILE,
            pl.col("reason").alias("rule"),
            pl.col(LINE).alias("line"),
            pl.lit("SISLocalID").alias("column"),
            pl.col("field").alias("detail"),
        ),
        unmatched=without.join(drops, on=FILE, how="left").select(
            *STUDENT_COLUMNS,
            pl.col("drop").alias("drop_id"),
            pl.col(LINE).alias("line"),
            pl.col("reason").alias("rule"),
            "field",
        ),
        matched=with_child.unique(STUDENT_COLUMNS, keep="first", maintain_order=True),
        senders_with_demographics=senders,
        sent=known.filter(pl.col(FILE).is_not_null() & pl.lit(not children.is_empty()))
        .join(drops, on=FILE)
        .group_by("drop", SENDER, maintain_order=True)
        .agg(
            pl.col(FILE).min(),
            pl.len().alias("students"),
            pl.col("reason").is_in([rule.id for rule in link_rules.UNKNOWN]).sum().alias("unknown"),
        ),
    )


def record_links(connection: duckdb.DuckDBPyConnection, linked: LinkResult) -> None:
    """Records which students have a child and which have none, in place of what was known of them.

    A student without a child is in no table of a feed: until the next demographics, this is what is
    known of them.
    """
    answered = pl.concat(
        [frame.select(STUDENT_COLUMNS) for frame in (linked.matched, linked.unmatched)]
    )
    for table, rows in (("child_links", linked.matched), ("unmatched", linked.unmatched)):
        connection.register("answered", answered.to_arrow())
        connection.execute(
            f"""
            DELETE FROM {table} WHERE list_contains($senders, _sender)
                OR (_sender, "SystemID", "SISLocalID") IN (FROM answered)
            """,
            {"senders": linked.senders_with_demographics},
        )
        connection.unregister("answered")
        append_rows(connection, table, rows)


def _linked(with_child: pl.DataFrame, lines: pl.DataFrame) -> pl.DataFrame:
    return lines.join(with_child, on=STUDENT_COLUMNS, how="semi", maintain_order="left")


def _senders_with_demographics(verification: Verification) -> list[str]:
    """Returns the senders with an accepted line of demographics now that is no mere correction."""
    of_students = (pl.col("feed") == DEMOGRAPHICS.name) & (pl.col("accepted") > 0)
    of_students &= ~pl.col("changes")
    return verification.files.filter(of_students)[SENDER].unique().sort().to_list()


def _students(
    connection: duckdb.DuckDBPyConnection, verification: Verification, senders: list[str]
) -> pl.DataFrame:
    """Returns the students by the demographics sent now, or else by those that were loaded last.

    The loaded demographics count if a sender sends none now, or only corrections, or if a student's
    line was kept out. That is no reason to lose the rest of what was sent about the student.
    """
    columns = [*STUDENT_COLUMNS, *FIELDS]
    place = {FILE: pl.UInt32, LINE: pl.UInt32}
    stored = connection.execute(
        f"SELECT {', '.join(map(quote_identifier, columns))} FROM lake.{DEMOGRAPHICS.name} "
        "WHERE _active AND list_contains($senders, _sender)",
        {"senders": verification.files[SENDER].unique().to_list()},
    ).pl()
    stored = stored.with_columns(pl.lit(None, dtype=t).alias(name) for name, t in place.items())
    sends_now = pl.col(SENDER).is_in(senders)
    frames = [stored.filter(~sends_now)]
    now = verification.accepted.get(DEMOGRAPHICS.name)
    if now is not None:
        frames.insert(0, now.select(*columns, *place))
    kept_out = verification.kept_keys.get(DEMOGRAPHICS.name)
    if kept_out is not None:
        frames.append(stored.filter(sends_now).join(kept_out, on=STUDENT_COLUMNS, how="semi"))
    students = pl.concat(frame.select(*columns, *place) for frame in frames)
    return students.unique(STUDENT_COLUMNS, keep="first", maintain_order=True)
