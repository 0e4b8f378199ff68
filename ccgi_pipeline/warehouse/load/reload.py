"""Loading an older drop again, at its old position among the later drops of its sender.

Belongs here: what of a drop is loaded again, what is recorded, and the comparison of before and
after. Does not belong here: which drops are replayed and judging them again (operations.replay).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from enum import StrEnum
from pathlib import PurePosixPath
from typing import TypeVar

import duckdb
import polars as pl

from ccgi_pipeline.feeds.foster_focus.link_rules import CORRECTION
from ccgi_pipeline.feeds.spec import FILE
from ccgi_pipeline.feeds.transcript import CLAIMED, CONTESTED
from ccgi_pipeline.intake.findings import EXPLAINED_SCHEMA
from ccgi_pipeline.verification.outcomes import Verification, judge_drop
from ccgi_pipeline.warehouse.load.drop_records import append_rows
from ccgi_pipeline.warehouse.load.ledger import (
    LoadOutcome,
    LoadTerms,
    load_files,
    number_files,
    record_outcome,
)
from ccgi_pipeline.warehouse.load.roster_guard import ADDS_ONLY, APPROVED
from ccgi_pipeline.warehouse.queries.quarantine import (
    KEPT_OUT_FATES,
    PLACE_COLUMNS,
    LaterDrops,
    QuarantinedDrop,
)
from ccgi_pipeline.warehouse.storage.schema import transaction

_PASSING = [CORRECTION.id, CLAIMED.id, CONTESTED.id]
"""Rules of findings that depend on what else is known when a line is loaded."""


class ReloadState(StrEnum):
    """The result of replaying a drop, in words for the operator."""

    CHANGED = "changes"
    SAME = "as it was"
    SUPERSEDED = "superseded by a later full set"
    HELD = "the guard would hold it"
    FAULT = "could not be judged: a fault of this software, see the log"
    LOST = "its files are no longer known"


@dataclass(frozen=True, slots=True)
class Signature:
    """Who replays drops, and why."""

    by: str
    reason: str = ""


BeforeAndAfter = tuple[int, int]
"""A count before and after."""


@dataclass(frozen=True, slots=True)
class FileChange:
    """One file of a replayed drop: lines by fate, findings by rule and severity; before and after.

    ``superseded_by``: the later full set because of which the file was not loaded again.
    """

    name: str
    feed: str | None
    fates: Mapping[str, BeforeAndAfter]
    rules: Mapping[tuple[str, str], BeforeAndAfter]
    superseded_by: str | None = None


@dataclass(frozen=True, slots=True)
class ReloadResult:
    """The result of replaying a drop. ``explanation`` has counts and no values."""

    of: QuarantinedDrop
    state: ReloadState
    files: tuple[FileChange, ...] = ()
    explanation: str = ""


@dataclass(frozen=True, slots=True)
class _DropState:
    """The files, ledger and findings of a drop, by the number of the file in the drop."""

    files: pl.DataFrame
    ledger: pl.DataFrame
    findings: pl.DataFrame

    @classmethod
    def recorded(cls, connection: duckdb.DuckDBPyConnection, drop: str) -> _DropState:
        """Returns what the warehouse has recorded."""

        def rows(table: str) -> pl.DataFrame:
            query = f"SELECT * EXCLUDE (drop_id) FROM {table} WHERE drop_id = ? ORDER BY ALL"
            return connection.execute(query, [drop]).pl()

        return cls(rows("files"), rows("ledger"), _cast_findings(rows("findings")))

    @classmethod
    def reloaded(cls, outcome: LoadOutcome, numbers: pl.DataFrame) -> _DropState:
        """Returns the outcome of loading again."""
        files, ledger, findings = (
            part.join(numbers, on=FILE, maintain_order="left")
            for part in (outcome.files, outcome.ledger, outcome.findings)
        )
        return cls(files, ledger, _cast_findings(findings))

    def fates(self, number: int) -> dict[str, int]:
        """Returns the lines of a file by fate."""
        of_file = self.ledger.filter(pl.col("file_number") == number)
        return dict(of_file.group_by("fate").agg(pl.col("lines").sum()).iter_rows())

    def rules(self, number: int) -> dict[tuple[str, str], int]:
        """Returns the findings of a file by rule and severity."""
        of_file = self.findings.filter(pl.col("file_number") == number)
        counted = of_file.group_by("rule", "severity").len()
        return {(rule, severity): count for rule, severity, count in counted.iter_rows()}

    def feed_of(self, number: int) -> str | None:
        """Returns the feed of a file, if it is recognised."""
        feeds: list[str | None] = self.files.filter(pl.col("file_number") == number)[
            "feed"
        ].to_list()
        return next(iter(feeds), None)

    @property
    def comparable(self) -> tuple[object, ...]:
        """What is equal before and after if a replay changes nothing.

        Whether an accepted line is new or known depends on when it is loaded, and so does the hint
        that a new line may be a correction, or that its SSID is claimed. All are left out.
        """
        kept_out = self.ledger.filter(pl.col("fate").is_in(KEPT_OUT_FATES))
        lasting = self.findings.filter(~pl.col("rule").is_in(_PASSING)).select(PLACE_COLUMNS)
        return (
            sorted(self.files.select("file_number", "feed").rows(), key=repr),
            sorted(kept_out.select("file_number", "fate", "lines").rows()),
            sorted(lasting.rows(), key=repr),
        )


def _cast_findings(findings: pl.DataFrame) -> pl.DataFrame:
    types = {"file_number": pl.Int32, **EXPLAINED_SCHEMA}
    return findings.select(pl.col(name).cast(dtype) for name, dtype in types.items())


class _Undone(Exception):  # noqa: N818 - no error: it rolls a transaction back
    """Nothing of this replay is to be stored."""

    def __init__(self, state: ReloadState, explanation: str = "") -> None:
        super().__init__(state)
        self.state = state
        self.explanation = explanation


def reload_drop(
    connection: duckdb.DuckDBPyConnection,
    old: QuarantinedDrop,
    verification: Verification,
    later: LaterDrops,
    terms: LoadTerms,
    signature: Signature,
) -> ReloadResult:
    """Loads a drop again at its old position: one commit, or none if nothing would change.

    Files that a later full set has superseded stay as they were. The others are loaded on the given
    terms; if the guard would hold the drop, none of them is.
    """
    numbers = number_files(verification.files)
    before = _DropState.recorded(connection, old.drop)
    superseded = verification.files.filter(pl.col("feed").is_in([*later.full_sets]))[FILE]
    if not superseded.is_empty() and not _same_files(before, verification.files):
        return ReloadResult(
            old, ReloadState.LOST, explanation="its zip now has other files than before"
        )
    if len(superseded) == verification.files.height:
        return ReloadResult(old, ReloadState.SUPERSEDED)
    again = _leave_out(verification, superseded, [*later.overtaken])
    before_again = _without_files(before, numbers, superseded)
    state, explanation = ReloadState.CHANGED, ""
    after = before_again
    terms = replace(terms, approvals=_read_approval(connection, old.drop))
    try:
        with transaction(connection):
            outcome = load_files(connection, old.family, again, terms)
            _refuse_if_held(outcome)
            after = _DropState.reloaded(outcome, numbers)
            _refuse_if_same(outcome, before_again, after)
            _replace_records(connection, old.drop, outcome, numbers, before, terms.night)
            _record_verdict(connection, old.drop, terms, before, after)
            _record_replay(connection, old.drop, terms, signature, before_again, after)
    except _Undone as undone:
        state, explanation = undone.state, undone.explanation
    return ReloadResult(
        old, state, tuple(_compare_files(before, after, numbers, later, superseded)), explanation
    )


def _refuse_if_held(outcome: LoadOutcome) -> None:
    if not outcome.losses.is_empty():
        raise _Undone(ReloadState.HELD, _describe_losses(outcome.losses))


def _refuse_if_same(outcome: LoadOutcome, before: _DropState, after: _DropState) -> None:
    if not _changes_records(outcome) and after.comparable == before.comparable:
        raise _Undone(ReloadState.SAME)


def _same_files(before: _DropState, files: pl.DataFrame) -> bool:
    return before.files["path"].to_list() == files["path"].to_list()


def _read_approval(connection: duckdb.DuckDBPyConnection, drop: str) -> dict[str, str]:
    """Returns the approval that the drop once got when it was held: it is still valid."""
    rows = connection.execute(
        "SELECT drop_id, answer FROM hold_answers WHERE drop_id = ? AND answer IN (?, ?)",
        [drop, APPROVED, ADDS_ONLY],
    ).fetchall()
    return dict(rows)


def _leave_out(
    verification: Verification, left_out: pl.Series, overtaken: Sequence[str]
) -> Verification:
    """Returns ``verification`` without some files; files of overtaken feeds end no record."""
    there = ~pl.col(FILE).is_in(left_out.implode())
    older = pl.col("feed").is_in(list(overtaken)).fill_null(value=False)
    return replace(
        verification,
        files=verification.files.filter(there).with_columns(
            changes=pl.col("changes") | older, complete=pl.col("complete") & ~older
        ),
        findings=verification.findings.filter(there),
        causes=verification.causes.filter(there),
        accepted={feed: lines.filter(there) for feed, lines in verification.accepted.items()},
        kept_keys={feed: keys.filter(there) for feed, keys in verification.kept_keys.items()},
        unread={feed: lines.filter(there) for feed, lines in verification.unread.items()},
    )


def _without_files(before: _DropState, numbers: pl.DataFrame, left_out: pl.Series) -> _DropState:
    """Returns the part of ``before`` about the files that are not left out."""
    numbers_left_out = numbers.filter(pl.col(FILE).is_in(left_out.implode()))["file_number"]
    there = ~pl.col("file_number").is_in(numbers_left_out.implode())
    return _DropState(
        before.files.filter(there), before.ledger.filter(there), before.findings.filter(there)
    )


def _describe_losses(losses: pl.DataFrame) -> str:
    return "; ".join(
        f"{would_add:,} records would be added to {active:,} active ones of {feed}"
        if would_add
        else f"{would_end:,} of {active:,} active records of {feed} would end"
        if would_end
        else cause
        for feed, would_end, would_add, active, cause in losses.select(
            "feed", "would_end", "would_add", "active", "cause"
        ).iter_rows()
    )


def _changes_records(outcome: LoadOutcome) -> bool:
    """Returns whether some record has changed."""
    written = outcome.ledger["fate"].is_in(["inserted", "updated"]).any()
    return bool(written) or int(outcome.files["no_longer_active"].sum()) > 0


def _replace_records(
    connection: duckdb.DuckDBPyConnection,
    drop: str,
    outcome: LoadOutcome,
    numbers: pl.DataFrame,
    before: _DropState,
    night: date,
) -> None:
    """Replaces what is recorded of the files that were loaded again."""
    again = outcome.files.select(FILE).join(numbers, on=FILE)["file_number"].to_list()
    whole = len(again) == numbers.height
    for table in ("files", "ledger", "findings", "causes"):
        connection.execute(
            f"DELETE FROM {table} WHERE drop_id = $drop "
            "AND ($whole OR list_contains($numbers, file_number))",
            {"drop": drop, "whole": whole, "numbers": again},
        )
    # Records that the file ended when it was the newest stay ended; it was a full set then.
    once = before.files.select("file_number", was_complete="complete", had_ended="no_longer_active")
    files = (
        outcome.files.join(numbers, on=FILE)
        .join(once, on="file_number", how="left")
        .with_columns(
            complete=pl.col("complete") | pl.col("was_complete").fill_null(value=False),
            no_longer_active=pl.col("no_longer_active") + pl.col("had_ended").fill_null(0),
        )
        .select(outcome.files.columns)
    )
    record_outcome(connection, replace(outcome, files=files), numbers, night)


def _record_verdict(
    connection: duckdb.DuckDBPyConnection,
    drop: str,
    terms: LoadTerms,
    before: _DropState,
    after: _DropState,
) -> None:
    """Records the drop's verdict of tonight, and that its sender needs a new receipt."""
    others = before.files.join(after.files, on="file_number", how="anti")
    files = pl.concat([part.select("feed", "verdict") for part in (after.files, others)])
    connection.execute(
        "UPDATE drops SET verdict = ?, night = ? WHERE drop_id = ?",
        [str(judge_drop(files)), terms.night, drop],
    )
    connection.execute("DELETE FROM receipts WHERE drop_id = ?", [drop])


def _record_replay(
    connection: duckdb.DuckDBPyConnection,
    drop: str,
    terms: LoadTerms,
    signature: Signature,
    before: _DropState,
    after: _DropState,
) -> None:
    """Records who replayed the drop and why, and its lines by fate before and after."""
    counted = [
        drop_state.ledger.group_by("feed", "fate").agg(
            pl.col("lines").sum().cast(pl.Int64).alias(name)
        )
        for name, drop_state in (("before", before), ("after", after))
    ]
    rows = counted[0].join(
        counted[1], on=["feed", "fate"], how="full", coalesce=True, nulls_equal=True
    )
    last = connection.execute(
        "SELECT (SELECT coalesce(max(replay), 0) + 1 FROM replays), max(position) FROM drops"
    ).fetchone()
    number, last_drop = last or (1, 0)
    signed = {
        "drop_id": drop,
        "replay": number,
        "night": terms.night,
        "replayed_by": signature.by,
        "reason": signature.reason,
        "last_drop": last_drop,
    }
    rows_to_add = rows.select(
        *(pl.lit(value).alias(name) for name, value in signed.items()),
        "feed",
        "fate",
        pl.col("before", "after").fill_null(0),
    )
    append_rows(connection, "replays", rows_to_add.sort("feed", "fate"))


def _compare_files(
    before: _DropState,
    after: _DropState,
    numbers: pl.DataFrame,
    later: LaterDrops,
    superseded: pl.Series,
) -> list[FileChange]:
    left = set(numbers.filter(pl.col(FILE).is_in(superseded.implode()))["file_number"])
    paths = {
        number: path
        for drop_state in (before, after)
        for number, path in drop_state.files.select("file_number", "path").iter_rows()
    }
    changes = []
    for number, path in sorted(paths.items()):
        now = before if number in left else after
        feed = now.feed_of(number)
        changes.append(
            FileChange(
                PurePosixPath(path).name,
                feed,
                _pair_counts(before.fates(number), now.fates(number)),
                _pair_counts(before.rules(number), now.rules(number)),
                later.full_sets.get(feed or "") if number in left else None,
            )
        )
    return changes


Named = TypeVar("Named", str, tuple[str, str])


def _pair_counts(
    before: Mapping[Named, int], after: Mapping[Named, int]
) -> dict[Named, BeforeAndAfter]:
    names: list[Named] = sorted(set(before) | set(after))
    return {name: (before.get(name, 0), after.get(name, 0)) for name in names}
