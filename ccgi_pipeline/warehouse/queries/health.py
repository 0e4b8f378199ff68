"""The health of the warehouse and of the senders' newest files, in counts.

Belongs here: queries for checks and summaries that return counts, district codes and rule ids, and
no student's data. Does not belong here: whether the catalog can be read (storage.catalog_health).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import TypedDict

import duckdb
import polars as pl

from ccgi_pipeline.feeds.file_rules import KEPT
from ccgi_pipeline.feeds.registry import EVENT_FEEDS, RULES
from ccgi_pipeline.feeds.spec import FeedSpec
from ccgi_pipeline.feeds.transcript import STUDENT as ROSTER
from ccgi_pipeline.intake.inbox import is_cd_code
from ccgi_pipeline.profiles import Profiles
from ccgi_pipeline.verification.outcomes import Verdict
from ccgi_pipeline.warehouse.load.upsert import Key
from ccgi_pipeline.warehouse.storage.schema import feed_table_columns


class NightCounts(TypedDict):
    """Counts of one run of the night."""

    districts: int
    students: int
    verdicts: list[tuple[str, str, int]]
    fates: list[tuple[str, str, int]]
    findings: list[tuple[str, str, int, str]]
    events_outside_rosters: int
    kept: list[KeptRecords]


_LINES_TOLD = 10


@dataclass(frozen=True, slots=True)
class KeptRecords:
    """Records that a newest file lacks, and that stay active because lines could not be read.

    ``since``: the first night from which on the sender has had such records in this feed.
    """

    sender: str
    path: str
    records: int
    since: date
    lines: tuple[int, ...]

    @property
    def words(self) -> str:
        """The message for an operator: how many records, since when, and which lines to mend."""
        what = "1 record" if self.records == 1 else f"{self.records:,} records"
        stay = "stays active: it" if self.records == 1 else "stay active: they"
        lines = ", ".join(map(str, self.lines[:_LINES_TOLD]))
        more = " and others" if len(self.lines) > _LINES_TOLD else ""
        return (
            f"{what} missing from {self.path} {stay} may belong to lines that could not be read "
            f"({lines}{more}). This has been so since {self.since}."
        )


NO_FATES = pl.DataFrame(schema={"feed": pl.String, "fate": pl.String, "lines": pl.Int64})
"""The ledger of a load without lines."""


def count_active_records(connection: duckdb.DuckDBPyConnection, feed: FeedSpec) -> int:
    """Returns how many records of the feed are active."""
    return _count(connection, f"SELECT count(*) FROM lake.{feed.name} WHERE _active")


def read_districts_with_roster(connection: duckdb.DuckDBPyConnection) -> list[str]:
    """Returns the CD codes of the districts that have active students, in order."""
    rows = connection.execute(
        "SELECT DISTINCT _sender FROM lake.transcript_student WHERE _active ORDER BY 1"
    ).fetchall()
    return [cd for (cd,) in rows]


def count_rosters(connection: duckdb.DuckDBPyConnection) -> tuple[int, int]:
    """Returns how many students are on rosters, and of how many districts."""
    found = connection.execute(
        "SELECT count(*), count(DISTINCT _sender) FROM lake.transcript_student WHERE _active"
    ).fetchone()
    return (int(found[0]), int(found[1])) if found else (0, 0)


def count_events_outside_rosters(
    connection: duckdb.DuckDBPyConnection, feeds: Iterable[FeedSpec]
) -> dict[str, int]:
    """Counts by feed the events of students who are in no district's roster.

    They are in no report. Of feeds that have no events nothing is counted.
    """
    counted = {feed.name: 0 for feed in feeds if feed.event_time is not None}
    if counted:
        events = " UNION ALL ".join(
            f"SELECT '{name}' AS feed, SSID FROM lake.{name}" for name in counted
        )
        outside = connection.execute(
            f"""
            SELECT feed, count(*) FROM ({events}) ANTI JOIN (
                SELECT StateID AS SSID FROM lake.transcript_student WHERE _active
            ) USING (SSID) GROUP BY feed
            """
        ).fetchall()
        counted.update(outside)
    return counted


def count_unbalanced_files(connection: duckdb.DuckDBPyConnection) -> dict[str, int]:
    """Returns by feed how many files have fates that do not add up to their lines, if any.

    One query serves all feeds, because every query to the warehouse has a fixed cost.
    """
    rows = connection.execute(
        """
        SELECT feed, count(*) FROM (
            SELECT files.feed
            FROM lake.files LEFT JOIN lake.ledger USING (drop_id, file_number)
            WHERE files.feed IS NOT NULL
            GROUP BY drop_id, file_number, files.feed, files.lines
            HAVING coalesce(sum(ledger.lines), 0) <> files.lines
        ) GROUP BY feed
        """
    ).fetchall()
    return dict(rows)


def find_table_faults(
    connection: duckdb.DuckDBPyConnection,
    feed: FeedSpec,
    changed: Collection[str] = (),
    profiles: Profiles | None = None,
) -> list[str]:
    """Returns what is wrong with the feed's table.

    ``changed``: the senders whose records changed; their keys are checked, too.
    """
    wanted = feed_table_columns(feed)
    present = dict(
        connection.execute(
            f"SELECT column_name, column_type FROM (DESCRIBE lake.{feed.name})"
        ).fetchall()
    )
    faults = [
        f"column {name} is {present.get(name, 'missing')}, not {kind}"
        for name, kind in wanted.items()
        if present.get(name, "").replace(" ", "") != kind.replace(" ", "")
    ]
    if changed:
        repeated = _repeated_keys(connection, feed, changed, profiles or Profiles())
        if repeated:
            faults.append(f"{repeated} keys occur more than once")
    return faults


def _repeated_keys(
    connection: duckdb.DuckDBPyConnection,
    feed: FeedSpec,
    senders: Collection[str],
    profiles: Profiles,
) -> int:
    """Returns how many keys belong to more than one record, by each sender's kind of key."""
    by_unique_id = [] if feed.unique_id is None else profiles.with_permanent_ids(senders)
    by_columns = sorted({*senders}.difference(by_unique_id))
    groups = [(Key.of_columns(feed), by_columns)] if by_columns else []
    if by_unique_id:
        groups.append((Key.of_unique_id(feed), by_unique_id))
    return sum(
        _count_groups(
            connection,
            f"lake.{feed.name} AS record WHERE list_contains($senders, _sender)",
            f"_sender, {', '.join(key.of('record'))}",
            senders=of_key,
        )
        for key, of_key in groups
    )


def _count_groups(
    connection: duckdb.DuckDBPyConnection, records: str, key: str, **values: object
) -> int:
    """Returns how many keys several of the records have.

    Hashes of the keys are compared first, which takes half the time, and little memory: keys are
    long. Only if two are alike, the keys themselves are.
    """
    repeated = f"SELECT 1 FROM {records} GROUP BY {{}} HAVING count(*) > 1"
    if not _count(connection, f"{repeated.format(f'hash({key})')} LIMIT 1", **values):
        return 0
    return _count(connection, f"SELECT count(*) FROM ({repeated.format(key)})", **values)


_NEWEST = """
    SELECT drop_id, sender, family, verdict FROM lake.drops
    QUALIFY row_number() OVER (PARTITION BY sender, family ORDER BY position DESC) = 1
"""


def count_broken_rules(connection: duckdb.DuckDBPyConnection) -> pl.DataFrame:
    """Counts the rules (errors and warnings) that the senders' newest files break, by feed.

    Returns ``feed``, ``rule``, ``severity``, ``lines``, ``districts``, ``what is wrong``,
    ``what to change``.
    """
    counted = connection.execute(
        f"""
        SELECT files.feed, rule, severity, count(*) AS lines, count(DISTINCT sender) AS districts
        FROM lake.findings JOIN lake.files USING (drop_id, file_number)
        JOIN ({_NEWEST}) AS newest USING (drop_id)
        WHERE files.feed IS NOT NULL AND severity <> 'info'
        GROUP BY ALL ORDER BY files.feed, lines DESC, rule, severity
        """
    ).fetchall()
    rows = [
        (feed, rule, severity, lines, senders, RULES[rule].text, RULES[rule].fix)
        for feed, rule, severity, lines, senders in counted
    ]
    schema = {
        "feed": pl.String,
        "rule": pl.String,
        "severity": pl.String,
        "lines": pl.Int64,
        "districts": pl.Int64,
        "what is wrong": pl.String,
        "what to change": pl.String,
    }
    return pl.DataFrame(rows, schema=schema, orient="row")


def find_districts_without_roster(
    connection: duckdb.DuckDBPyConnection, feed: FeedSpec
) -> list[str]:
    """Returns the CD codes of districts that once sent students and have no active student now."""
    rows = connection.execute(
        f"SELECT _sender FROM lake.{feed.name} GROUP BY _sender HAVING NOT bool_or(_active) "
        "ORDER BY _sender"
    ).fetchall()
    return [sender for (sender,) in rows]


def _count(connection: duckdb.DuckDBPyConnection, query: str, **values: object) -> int:
    row = connection.execute(query, values or None).fetchone()
    return int(row[0]) if row else 0


def read_refused_drops(connection: duckdb.DuckDBPyConnection) -> pl.DataFrame:
    """Returns ``sender``, ``family``, ``verdict`` of newest drops that were rejected or held."""
    return connection.execute(
        f"""
        SELECT sender, family, verdict FROM ({_NEWEST}) AS newest
        WHERE verdict IN ('{Verdict.REJECTED}', '{Verdict.HELD}') ORDER BY ALL
        """
    ).pl()


def read_newest_drops(connection: duckdb.DuckDBPyConnection) -> pl.DataFrame:
    """Returns every sender's newest drop of each family.

    The columns are ``sender``, ``family``, ``night``, ``verdict``, ``lines`` and ``kept_out``.
    """
    return connection.execute(
        f"""
        SELECT sender, family, night, newest.verdict, coalesce(sum(lines), 0)::BIGINT AS lines,
               coalesce(sum(lines) FILTER (fate IN ('rejected', 'unmatched', 'held')), 0)::BIGINT
                   AS kept_out
        FROM ({_NEWEST}) AS newest JOIN lake.drops USING (drop_id, sender, family)
        LEFT JOIN lake.ledger USING (drop_id)
        GROUP BY ALL ORDER BY sender, family
        """
    ).pl()


@dataclass(frozen=True, slots=True)
class VerdictSummary:
    """The status of a district's newest drops.

    ``good``: none was rejected or held, and no line was rejected. ``reported``: the district has a
    roster, and so gets reports. ``words``: verdict and counts by family.
    """

    cd: str
    good: bool
    reported: bool
    words: Mapping[str, str]


def read_district_statuses(
    connection: duckdb.DuckDBPyConnection, senders: Iterable[str]
) -> list[VerdictSummary]:
    """Returns the status of each of ``senders`` that is a district, in the order of CD codes."""
    asked = sorted({sender for sender in senders if is_cd_code(sender)})
    rows = connection.execute(
        f"""
        SELECT sender, family, verdict, coalesce(sum(lines), 0)::BIGINT,
               coalesce(sum(lines) FILTER (fate = 'rejected'), 0)::BIGINT
        FROM ({_NEWEST}) AS newest LEFT JOIN lake.ledger USING (drop_id)
        WHERE list_contains($asked, sender)
        GROUP BY ALL ORDER BY ALL
        """,
        {"asked": asked},
    ).fetchall()
    words: dict[str, dict[str, str]] = {cd: {} for cd in asked}
    refused: set[str] = set()
    lost: set[str] = set()
    for cd, family, verdict, lines, rejected in rows:
        said = verdict.replace("_", " ")
        words[cd][family] = f"{said}; {rejected:,} of {lines:,} lines kept out"
        if verdict in {Verdict.REJECTED, Verdict.HELD}:
            refused.add(cd)
        if rejected:
            lost.add(cd)
    rosters = {*read_districts_with_roster(connection)}
    return [VerdictSummary(cd, cd not in refused | lost, cd in rosters, words[cd]) for cd in asked]


def find_districts_without_reports(
    connection: duckdb.DuckDBPyConnection,
) -> dict[str, list[str]]:
    """Returns the districts that sent something and have no roster, and so get no reports.

    ``refused``: those whose rosters were rejected or are held. ``not sent``: those that have sent
    no roster yet.
    """
    rows = connection.execute(
        "SELECT sender, bool_or(family = $family) FROM lake.drops WHERE sender NOT IN "
        "(SELECT _sender FROM lake.transcript_student WHERE _active) GROUP BY ALL ORDER BY ALL",
        {"family": ROSTER.family},
    ).fetchall()
    districts = [(sender, sent) for sender, sent in rows if is_cd_code(sender)]
    return {
        "refused": [cd for cd, sent in districts if sent],
        "not sent": [cd for cd, sent in districts if not sent],
    }


def read_last_position(connection: duckdb.DuckDBPyConnection) -> int:
    """Returns the position of the drop that was loaded last; 0 before the first."""
    return _count(connection, "SELECT coalesce(max(position), 0) FROM lake.drops")


def read_kept_records(connection: duckdb.DuckDBPyConnection) -> list[KeptRecords]:
    """Returns for each newest file of a sender and feed what unread lines keep active."""
    rows = connection.execute(
        """
        WITH newest AS (
            FROM lake.files JOIN lake.drops USING (drop_id) WHERE kept IS NOT NULL
            QUALIFY rank() OVER (PARTITION BY sender, feed ORDER BY position DESC) = 1
        )
        SELECT sender, path, kept, kept_since, list(DISTINCT line ORDER BY line)
        FROM newest JOIN lake.findings USING (drop_id, file_number)
        WHERE kept > 0 AND rule = ? GROUP BY ALL ORDER BY ALL
        """,
        [KEPT.id],
    ).fetchall()
    return [
        KeptRecords(sender, path, records, since, tuple(lines))
        for sender, path, records, since, lines in rows
    ]


def count_since(connection: duckdb.DuckDBPyConnection, position: int) -> NightCounts:
    """Returns the counts of the drops after ``position``, and of the rosters now."""
    students, districts = count_rosters(connection)
    verdicts = connection.execute(
        "SELECT family, verdict, count(*) FROM lake.drops WHERE position > ? "
        "GROUP BY ALL ORDER BY ALL",
        [position],
    ).fetchall()
    fates = connection.execute(
        """
        SELECT coalesce(feed, 'not recognised'), fate, sum(lines)::BIGINT
        FROM lake.ledger JOIN lake.drops USING (drop_id) WHERE position > ?
        GROUP BY ALL ORDER BY ALL
        """,
        [position],
    ).fetchall()
    findings = connection.execute(
        """
        SELECT rule, severity, count(*) FROM lake.findings JOIN lake.drops USING (drop_id)
        WHERE position > ? GROUP BY ALL ORDER BY 3 DESC, 1, 2
        """,
        [position],
    ).fetchall()
    return {
        "districts": districts,
        "students": students,
        "verdicts": verdicts,
        "fates": fates,
        "findings": [
            (rule, severity, lines, RULES[rule].text) for rule, severity, lines in findings
        ],
        "events_outside_rosters": sum(
            count_events_outside_rosters(connection, EVENT_FEEDS).values()
        ),
        "kept": read_kept_records(connection),
    }
