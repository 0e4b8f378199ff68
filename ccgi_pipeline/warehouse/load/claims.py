"""Claims: SSIDs that districts list under different identities, and whose student it is.

Belongs here: which listings of one SSID agree, which district sees the student, findings about it,
and operators' decisions. Does not belong here: reports, which leave out the listings that
do not see (reports/sql/roster.sql).

Two listings agree if first name, last name and birth date are equal, compared without case, accents
and punctuation: a transfer or a concurrent enrollment. Otherwise it is decided, in this order: by
an operator; by the state's identities, where they are loaded; by who listed the SSID first. If
nobody did, because both came in the same night, neither sees the student.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date

import duckdb
import polars as pl

from ccgi_pipeline.common.errors import PermanentError
from ccgi_pipeline.common.packed_frames import frames_of
from ccgi_pipeline.feeds.calpads_identity import FEED as REGISTER
from ccgi_pipeline.feeds.spec import FILE, SENDER
from ccgi_pipeline.feeds.transcript import CLAIMED, CONTESTED, STUDENT
from ccgi_pipeline.intake.findings import FINDINGS_SCHEMA
from ccgi_pipeline.intake.record_lines import LINE
from ccgi_pipeline.verification.outcomes import Verdict, Verification
from ccgi_pipeline.warehouse.storage.schema import (
    drop_temporary_tables,
    table_exists,
    transaction,
)

OPERATOR, BY_REGISTER, FIRST, SAME_NIGHT = "operator", "register", "first", "same night"
"""What decides whether a district sees the student (``claims.basis``)."""

_SURELY_ANOTHER = 2
"""If fewer of first name, last name and birth date agree, the register knows another student."""


class ClaimError(PermanentError):
    """There is no such claim, or it cannot be decided in this way; the message says why."""


def find_claim_findings(
    connection: duckdb.DuckDBPyConnection, verification: Verification
) -> pl.DataFrame:
    """Returns the findings about lines whose SSID is claimed: ``_file``, ``FINDINGS_SCHEMA``."""
    lines = verification.accepted.get(STUDENT.name)
    rules = _read_rules(connection) if lines is not None else None
    if lines is None or rules is None or rules.is_empty():
        return pl.DataFrame(schema={FILE: pl.UInt32, **FINDINGS_SCHEMA})
    found = pl.concat(
        frame.join(rules, left_on=[SENDER, "StateID"], right_on=[SENDER, "SSID"])
        for frame in frames_of(lines, [FILE, SENDER, LINE, "StateID"])
    )
    return found.select(
        FILE,
        "rule",
        pl.col(LINE).cast(FINDINGS_SCHEMA["line"]).alias("line"),
        pl.lit(CLAIMED.column).alias("column"),
        pl.lit(None, dtype=pl.String).alias("detail"),
    )


def _read_rules(connection: duckdb.DuckDBPyConnection) -> pl.DataFrame:
    """Returns ``_sender``, ``SSID`` and the ``rule`` to report, of listings that are claimed."""
    return connection.execute(
        f"""
        SELECT _sender, SSID, CASE WHEN sees THEN '{CONTESTED.id}' ELSE '{CLAIMED.id}' END AS rule
        FROM claims WHERE NOT sees OR SSID IN (
            SELECT SSID FROM claims WHERE NOT sees AND basis <> '{OPERATOR}')
        """
    ).pl()


def update_claims(
    connection: duckdb.DuckDBPyConnection, on: date, before: int | None = None
) -> None:
    """Judges all SSIDs that several districts list, or that the register knows otherwise.

    ``before``: the snapshot before the night's rosters were loaded, which tells who had listed an
    SSID before; without it, nobody had. Adds findings about new claims to the drops of the night
    ``on`` that have no receipt yet. One commit; none if nothing changed.
    """
    try:
        _find_shared(connection, before)
        _judge_listings(connection)
        changed = connection.execute(
            """
            SELECT 1 FROM ((FROM new_shared EXCEPT FROM lake.shared_ssids)
                UNION ALL (FROM lake.shared_ssids EXCEPT FROM new_shared))
            UNION ALL
            SELECT 1 FROM ((FROM judged EXCEPT SELECT SSID, _sender, sees, basis FROM lake.claims)
                UNION ALL (SELECT SSID, _sender, sees, basis FROM lake.claims EXCEPT FROM judged))
            LIMIT 1
            """
        ).fetchone()
        if changed is None:
            return
        connection.execute(
            """
            CREATE OR REPLACE TEMP TABLE new_claims AS
            WITH ids AS (
                SELECT SSID, coalesce(any_value(claims.claim),
                    left(replace(uuid()::VARCHAR, '-', ''), 12)) AS claim
                FROM judged LEFT JOIN lake.claims USING (SSID) GROUP BY SSID
            )
            SELECT ids.claim, judged.SSID, judged._sender, judged.sees, judged.basis,
                coalesce(claims.since, $on) AS since
            FROM judged JOIN ids USING (SSID)
            LEFT JOIN lake.claims ON claims.SSID = judged.SSID AND claims._sender = judged._sender
                AND claims.sees = judged.sees AND claims.basis = judged.basis
            """,
            {"on": on},
        )
        with transaction(connection):
            known = _read_rules(connection)
            connection.execute("DELETE FROM shared_ssids")
            connection.execute("INSERT INTO shared_ssids BY NAME FROM new_shared")
            connection.execute("DELETE FROM claims")
            connection.execute("INSERT INTO claims BY NAME FROM new_claims")
            told = _read_rules(connection).join(known, on=[SENDER, "SSID", "rule"], how="anti")
            _add_findings(connection, told, on)
    finally:
        drop_temporary_tables(
            connection, "several", "new_shared", "listings", "register", "judged", "new_claims"
        )


def _find_shared(connection: duckdb.DuckDBPyConnection, before: int | None) -> None:
    """Stores the listings of SSIDs that several districts have, with their places, in order.

    Listings have the same place if they came in the same night.
    """
    connection.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE several AS
        SELECT _sender, "StateID" AS SSID FROM lake.{STUDENT.name} SEMI JOIN (
            SELECT "StateID" FROM lake.{STUDENT.name} GROUP BY ALL
            HAVING min(_sender) <> max(_sender)
        ) USING ("StateID")
        """
    )
    new = "(FROM several ANTI JOIN lake.shared_ssids USING (_sender, SSID))"
    known = "SELECT NULL::VARCHAR AS _sender, NULL::VARCHAR AS SSID WHERE false"
    if before is not None and connection.execute(f"SELECT 1 FROM {new} LIMIT 1").fetchone():
        known = (
            f'SELECT _sender, "StateID" AS SSID FROM lake.{STUDENT.name} '
            f"AT (VERSION => {before}) WHERE StateID IN (SELECT SSID FROM several)"
        )
    connection.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE new_shared AS
        WITH kept AS (FROM lake.shared_ssids SEMI JOIN several USING (_sender, SSID)),
        earlier AS ({known}),
        fresh AS (
            SELECT new._sender, new.SSID, earlier.SSID IS NOT NULL AS was_there
            FROM {new} AS new LEFT JOIN earlier USING (_sender, SSID)
        ),
        last AS (SELECT SSID, max(place) AS place FROM kept GROUP BY SSID)
        SELECT _sender, SSID, place FROM kept
        UNION ALL
        SELECT fresh._sender, fresh.SSID, coalesce(last.place, 0) + CASE
            WHEN was_there OR NOT bool_or(was_there) OVER (PARTITION BY fresh.SSID) THEN 1
            ELSE 2 END AS place
        FROM fresh LEFT JOIN last USING (SSID)
        """
    )


def _plain(column: str) -> str:
    """Returns SQL for a name's letters and digits alone, without case and accents."""
    bare = f"translate(lower(strip_accents({column})), 'øłđðı', 'olddi')"
    return f"regexp_replace({bare}, '[^\\p{{L}}\\p{{N}}]', '', 'g')"


def _judge_listings(connection: duckdb.DuckDBPyConnection) -> None:
    """Stores in ``judged`` all listings of the SSIDs of which some listing does not see."""
    connection.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE listings AS
        SELECT student._sender, "StateID" AS SSID, place,
            {_plain('"FirstName"')} AS first_name, {_plain('"LastName"')} AS last_name,
            "DateOfBirth" AS born
        FROM lake.{STUDENT.name} AS student
        JOIN new_shared ON new_shared._sender = student._sender AND SSID = "StateID"
        """
    )
    if connection.execute(f"SELECT 1 FROM lake.{REGISTER.name} LIMIT 1").fetchone():
        connection.execute(_UNKNOWN_TO_THE_REGISTER)
        register = f"SELECT * FROM lake.{REGISTER.name} WHERE _active"
    else:
        register = f"SELECT * FROM lake.{REGISTER.name} WHERE false"
    connection.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE register AS
        SELECT DISTINCT SSID, {_plain("first_name")} AS first_name,
            {_plain("last_name")} AS last_name, born
        FROM (
            SELECT SSID, unnest(["FirstName", "AliasFirstName"]) AS first_name,
                "LastName", "AliasLastName", "BirthDate" AS born
            FROM ({register}) SEMI JOIN listings USING (SSID)
        ), LATERAL (SELECT unnest(["LastName", "AliasLastName"]) AS last_name)
        WHERE first_name IS NOT NULL AND last_name IS NOT NULL
        """
    )
    connection.execute(_JUDGED)


_IDENTITY = "first_name, last_name, born"
_UNKNOWN_TO_THE_REGISTER = f"""
    INSERT INTO listings
    WITH doubtful AS (
        SELECT student._sender, "StateID" AS SSID, {_plain('"FirstName"')} AS first_name,
            {_plain('"LastName"')} AS last_name, "DateOfBirth" AS born
        FROM lake.{STUDENT.name} AS student
        ANTI JOIN (FROM lake.{REGISTER.name} WHERE _active) AS same
            ON same.SSID = student."StateID" AND same."BirthDate" = student."DateOfBirth"
                AND lower(same."LastName") = lower(student."LastName")
        WHERE _active AND ("StateID") NOT IN (SELECT SSID FROM listings)
    )
    SELECT doubtful._sender, doubtful.SSID, 1, any_value(first_name), any_value(last_name),
        any_value(born)
    FROM doubtful JOIN lake.{REGISTER.name} AS known ON known.SSID = doubtful.SSID AND known._active
    GROUP BY ALL
    HAVING max(
        list_contains(
            [{_plain('known."FirstName"')}, {_plain('known."AliasFirstName"')}], first_name)::INT
        + list_contains(
            [{_plain('known."LastName"')}, {_plain('known."AliasLastName"')}], last_name)::INT
        + coalesce(born = known."BirthDate", false)::INT
    ) < {_SURELY_ANOTHER}
"""
"""Adds students whom one district lists and of whom the register knows hardly anything alike. The
join leaves few students, so that their names are compared letter by letter."""

_JUDGED = f"""
    CREATE OR REPLACE TEMP TABLE judged AS
    WITH decided AS (
        SELECT listings._sender, SSID, sees, {_IDENTITY}
        FROM listings JOIN lake.claim_decisions USING (_sender, SSID)
    ),
    first AS (
        SELECT SSID, arg_min(({_IDENTITY}), place) AS identity FROM listings
        SEMI JOIN (
            SELECT SSID, min(place) AS place FROM listings GROUP BY SSID
        ) AS earliest USING (SSID, place)
        GROUP BY SSID HAVING count(DISTINCT ({_IDENTITY})) = 1
    ),
    seen AS (
        SELECT _sender, SSID, CASE
            WHEN mine.sees IS NOT NULL THEN mine.sees
            WHEN SSID IN (SELECT SSID FROM decided) THEN
                (SSID, {_IDENTITY}) IN (SELECT SSID, {_IDENTITY} FROM decided WHERE sees)
            WHEN SSID IN (SELECT SSID FROM register) THEN
                (SSID, {_IDENTITY}) IN (SELECT SSID, {_IDENTITY} FROM register)
            ELSE coalesce(({_IDENTITY}) = first.identity, false)
        END AS sees, CASE
            WHEN mine.sees IS NOT NULL THEN '{OPERATOR}'
            WHEN SSID IN (SELECT SSID FROM decided) THEN '{FIRST}'
            WHEN SSID IN (SELECT SSID FROM register) THEN '{BY_REGISTER}'
            WHEN first.identity IS NULL THEN '{SAME_NIGHT}'
            ELSE '{FIRST}'
        END AS basis
        FROM listings
        LEFT JOIN (SELECT _sender, SSID, sees FROM decided) AS mine USING (_sender, SSID)
        LEFT JOIN first USING (SSID)
    )
    SELECT SSID, _sender, sees, basis FROM seen
    WHERE SSID IN (SELECT SSID FROM seen WHERE NOT sees)
"""


def _add_findings(connection: duckdb.DuckDBPyConnection, told: pl.DataFrame, on: date) -> None:
    """Adds findings to the night's drops that have no receipt yet; part of a transaction.

    The line is known where the drop wrote the record. A line that repeats a record is not stored.
    """
    if told.is_empty():
        return
    connection.register("told", told.to_arrow())
    try:
        connection.execute(
            f"""
            CREATE OR REPLACE TEMP TABLE told_drops AS
            WITH newest AS (
                SELECT sender, arg_max(drop_id, position) AS drop_id FROM drops
                WHERE night = $on AND family = $family
                    AND verdict IN ('{Verdict.ACCEPTED}', '{Verdict.ACCEPTED_WITH_FINDINGS}')
                    AND drop_id NOT IN (SELECT drop_id FROM receipts)
                GROUP BY sender
            )
            SELECT told.rule, told.SSID, newest.drop_id, min(files.file_number) AS file_number,
                any_value(CASE WHEN student._drop = newest.drop_id THEN student._line END) AS line
            FROM told JOIN newest ON newest.sender = told._sender
            JOIN files ON files.drop_id = newest.drop_id AND files.feed = $feed
            JOIN {STUDENT.name} AS student
                ON student._sender = told._sender AND student."StateID" = told.SSID
            WHERE student._active GROUP BY told.rule, told.SSID, newest.drop_id
            """,
            {"family": STUDENT.family, "feed": STUDENT.name, "on": on},
        )
        connection.execute(
            f"""
            INSERT INTO findings BY NAME
            SELECT drop_id, file_number, rule, line, '{CLAIMED.column}' AS "column",
                NULL AS detail, '{CLAIMED.severity}' AS severity
            FROM told_drops ORDER BY drop_id, file_number, line, rule
            """
        )
        for table, same in (
            ("files", "(drop_id, file_number) IN (SELECT (drop_id, file_number) FROM told_drops)"),
            ("drops", "drop_id IN (SELECT drop_id FROM told_drops)"),
        ):
            connection.execute(
                f"UPDATE {table} SET verdict = '{Verdict.ACCEPTED_WITH_FINDINGS}' "
                f"WHERE verdict = '{Verdict.ACCEPTED}' AND {same}"
            )
    finally:
        drop_temporary_tables(connection, "told_drops")
        connection.unregister("told")


# --- operators ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Listing:
    """A district's listing of a claimed SSID: where it is, and what differs from the others.

    ``differs``: the columns in which it differs from another listing.
    """

    cd: str
    sees: bool
    basis: str
    active: bool
    drop: str
    line: int
    differs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Claim:
    """An SSID that districts list under different identities."""

    id: str
    since: date
    listings: tuple[Listing, ...]
    decided_by: str | None
    reason: str | None

    @property
    def claimants(self) -> list[str]:
        """The districts that list the SSID and do not see the student."""
        return [one.cd for one in self.listings if one.active and not one.sees]

    @property
    def waits(self) -> bool:
        """Whether it waits for an operator: somebody does not see, and nothing sure decides."""
        undecided = [one for one in self.listings if one.cd in self.claimants]
        sure = any(one.sees for one in self.listings)
        return any(
            one.basis not in {OPERATOR, BY_REGISTER} or (one.basis == BY_REGISTER and not sure)
            for one in undecided
        )

    @property
    def state(self) -> str:
        """Who sees the student, and why, in words."""
        see = ", ".join(one.cd for one in self.listings if one.sees) or "nobody"
        if self.waits:
            return f"waits for an answer; meanwhile seen by {see}"
        why = f"decided by {self.decided_by}" if self.decided_by else "by the state's identities"
        return f"seen by {see}: {why}"


_DIFFERS = ("FirstName", "LastName", "DateOfBirth")


def read_claims(connection: duckdb.DuckDBPyConnection, claim: str = "") -> list[Claim]:
    """Returns the claims whose id begins with ``claim``, the newest first.

    A warehouse of an older version has none until the next night.
    """
    if not table_exists(connection, "claims"):
        return []
    differs = ", ".join(
        f"min({value}) OVER same IS DISTINCT FROM max({value}) OVER same AS {name}"
        for name, value in zip(
            _DIFFERS,
            (_plain('"FirstName"'), _plain('"LastName"'), '"DateOfBirth"'),
            strict=True,
        )
    )
    rows = connection.execute(
        f"""
        SELECT claims.claim, claims.since, claims._sender, claims.sees, claims.basis,
            coalesce(student._active, false), student._drop, student._line, decided_by, reason,
            {differs}
        FROM claims
        LEFT JOIN {STUDENT.name} AS student
            ON student._sender = claims._sender AND "StateID" = claims.SSID
        LEFT JOIN claim_decisions AS answer
            ON answer._sender = claims._sender AND answer.SSID = claims.SSID
        WHERE starts_with(claims.claim, $claim)
        WINDOW same AS (PARTITION BY claims.SSID)
        ORDER BY claims.since DESC, claims.claim, claims._sender
        """,
        {"claim": claim},
    ).fetchall()
    found: dict[str, list[tuple[date, Listing, str | None, str | None]]] = {}
    for id_, since, cd, sees, basis, active, drop, line, by, reason, *differing in rows:
        names = tuple(name for name, differs in zip(_DIFFERS, differing, strict=True) if differs)
        listing = Listing(cd, sees, basis, active, drop or "", line or 0, names)
        found.setdefault(id_, []).append((since, listing, by, reason))
    return [
        Claim(
            id_,
            min(since for since, *_ in parts),
            tuple(listing for _, listing, *_ in parts),
            next((by for *_, by, _ in parts if by), None),
            next((reason for *_, reason in parts if reason), None),
        )
        for id_, parts in found.items()
    ]


def find_claim(connection: duckdb.DuckDBPyConnection, claim: str) -> Claim:
    """Returns the claim whose id begins with ``claim``. Raises ClaimError unless there is one."""
    found = read_claims(connection, claim)
    if len(found) != 1:
        msg = f"{len(found)} claims begin with {claim}: see `ccgi claims list`"
        raise ClaimError(msg)
    return found[0]


def count_waiting_claims(claims: Sequence[Claim]) -> dict[str, int]:
    """Returns by district how many SSIDs of its roster wait for an operator."""
    counts: dict[str, int] = {}
    for claim in claims:
        for cd in claim.claimants if claim.waits else ():
            counts[cd] = counts.get(cd, 0) + 1
    return dict(sorted(counts.items()))


def decide_claim(
    connection: duckdb.DuckDBPyConnection,
    claim: str,
    see: Collection[str],
    *,
    by: str,
    reason: str,
    on: date,
) -> None:
    """Records an operator's decision: only the districts ``see`` see the student. At once.

    It can be decided again as long as somebody does not see. Raises ClaimError.
    """
    found = find_claim(connection, claim)
    if not by.strip() or not reason.strip():
        msg = "an answer needs a name and a reason"
        raise ClaimError(msg)
    strangers = sorted(set(see) - {listing.cd for listing in found.listings})
    if strangers:
        msg = f"{', '.join(strangers)} does not list this SSID: see `ccgi claims show {claim}`"
        raise ClaimError(msg)
    with transaction(connection):
        connection.execute(
            "DELETE FROM claim_decisions WHERE SSID IN (SELECT SSID FROM claims WHERE claim = ?)",
            [found.id],
        )
        connection.execute(
            """
            INSERT INTO claim_decisions BY NAME
            SELECT SSID, _sender, list_contains($see, _sender) AS sees, $by AS decided_by,
                $reason AS reason, $on AS decided_on
            FROM claims WHERE claim = $claim
            """,
            {"see": list(see), "by": by, "reason": reason, "on": on, "claim": found.id},
        )
    update_claims(connection, on)


def read_claimed_identities(
    connection: duckdb.DuckDBPyConnection, claim: Claim
) -> dict[str, dict[str, str]]:
    """Returns by district the SSID, names and birth date of a claim: a student's data."""
    rows = connection.execute(
        f"""
        SELECT student._sender, "StateID", "FirstName", "LastName", "DateOfBirth"::VARCHAR
        FROM {STUDENT.name} AS student
        JOIN claims ON claims.SSID = "StateID" AND claims._sender = student._sender
        WHERE claims.claim = ? ORDER BY ALL
        """,
        [claim.id],
    ).fetchall()
    names = ("SSID", *_DIFFERS)
    return {cd: dict(zip(names, values, strict=True)) for cd, *values in rows}
