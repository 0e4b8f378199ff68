"""The records of drops: which files arrived, which drop they belong to, the order of loading.

Belongs here: the tables drops, drop_files, duplicates, received_files and receipts. Does not belong
here: what became of a drop's lines (ledger), reading drops to load them again (queries.drops).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import date

import duckdb
import polars as pl

from ccgi_pipeline.common.failpoints import failpoint
from ccgi_pipeline.feeds.file_rules import FAULT
from ccgi_pipeline.feeds.registry import FAMILIES, FAMILY_OF_STRAYS
from ccgi_pipeline.intake.arrivals import DropHistory, ReceivedDrops, RememberedFile
from ccgi_pipeline.intake.inbox import UNKNOWN_FAMILY, Drop, InboxFile
from ccgi_pipeline.verification.outcomes import Verdict, judge_drop
from ccgi_pipeline.warehouse.load import approvals
from ccgi_pipeline.warehouse.queries.drops import read_received_drops
from ccgi_pipeline.warehouse.queries.receipts import Receipt
from ccgi_pipeline.warehouse.storage.schema import transaction


def read_remembered_files(connection: duckdb.DuckDBPyConnection) -> dict[str, RememberedFile]:
    """Returns the last known file of each path."""
    rows = connection.execute("SELECT path, stamp, sha256, drop_id FROM received_files").fetchall()
    return {path: RememberedFile(*known) for path, *known in rows}


_LINKS = ", ".join(
    f"('{family.name}', '{family.link.register}')" for family in FAMILIES.values() if family.link
)
_UNMATCHED = f"""
    SELECT drop_id, sender, family, position, false AS faulty
    FROM drops JOIN (VALUES {_LINKS}) AS links(family, register) USING (family)
    LEFT JOIN (SELECT drop_id, max(last_drop) AS asked FROM replays GROUP BY ALL) USING (drop_id)
    SEMI JOIN (FROM ledger WHERE fate = 'unmatched') USING (drop_id)
    WHERE list_contains($registers, register) OR greatest(position, coalesce(asked, 0))
        < (SELECT max(position) FROM drops AS newer WHERE newer.family = register)
"""
_FAULTY = f"SELECT drop_id FROM findings WHERE rule = '{FAULT.id}'"
_TO_LOAD_AGAIN = f"""
    WITH older AS (
        {_UNMATCHED}
        UNION
        SELECT drop_id, sender, family, position, true
        FROM drops SEMI JOIN ({_FAULTY}) USING (drop_id)
    ), newest AS (
        SELECT sender, family, feed, max(position) AS newest_position
        FROM drops JOIN files USING (drop_id)
        WHERE drops.verdict <> '{Verdict.REJECTED}' GROUP BY ALL
    )
    SELECT drop_id FROM older ANTI JOIN (
        SELECT older.drop_id FROM older JOIN files AS older_file USING (drop_id)
        JOIN newest USING (sender, family)
        WHERE newest_position > older.position
            AND (newest.feed = older_file.feed OR older.faulty)
    ) USING (drop_id)
    UNION
    SELECT drop_id FROM ({approvals.PENDING})
"""
"""Newer drops are grouped by feed: the time does not grow with the square of the drops."""


def read_drops_to_load_again(
    connection: duckdb.DuckDBPyConnection, new_registers: Collection[str] = ()
) -> list[Drop]:
    """Returns the drops that a night loads again, from the archive, in the order of loading.

    These are drops with lines that found no counterpart in an older register, drops that met a
    fault of this software, and held drops that an operator has approved. ``new_registers``: the
    families of registers that this night loads first. It makes no difference whether the night has
    loaded them already. A drop is left out once its sender has a newer one with a file of the same
    feed, because loading it again would undo the newer one: ``ccgi replay`` can do that.
    """
    rows = connection.execute(_TO_LOAD_AGAIN, {"registers": [*new_registers]}).fetchall()
    return [*read_received_drops(connection, [drop_id for (drop_id,) in rows]).values()]


def find_loaded_drops(
    connection: duckdb.DuckDBPyConnection, drops: Sequence[Drop]
) -> frozenset[str]:
    """Returns the ids of those of a night's ``drops`` that it has loaded.

    A drop that is loaded again has a new position.
    """
    rows = connection.execute(
        "SELECT drop_id, position FROM drops WHERE list_contains($ids, drop_id)",
        {"ids": [drop.id for drop in drops]},
    ).fetchall()
    loaded = {*rows}
    return frozenset(drop.id for drop in drops if (drop.id, drop.position) in loaded)


def read_drop_history(connection: duckdb.DuckDBPyConnection) -> DropHistory:
    """Returns all drops, and each sender's newest of a family."""
    rows = connection.execute(
        "SELECT drop_id, sender, family FROM drops ORDER BY position"
    ).fetchall()
    return DropHistory(
        frozenset(drop_id for drop_id, *_ in rows),
        {(sender, family): drop_id for drop_id, sender, family in rows},
    )


def record_arrivals(
    connection: duckdb.DuckDBPyConnection, received: ReceivedDrops, night: date
) -> None:
    """Records duplicates and touched files; new drops are recorded when they are loaded."""
    if not received.duplicates and not received.touched:
        return
    with transaction(connection):
        _restamp(connection, [file for file, _ in received.touched])
        for drop in received.duplicates:
            remember_files(connection, [(file, sha, drop.id) for file, sha in drop.files])
            came = {"drop_id": [drop.id], "path": [drop.files[0][0].shown], "night": [night]}
            append_rows(connection, "duplicates", pl.DataFrame(came))


def number_drops(connection: duckdb.DuckDBPyConnection, drops: Sequence[Drop]) -> list[Drop]:
    """Returns ``drops`` with their positions in the order of loading, after all loaded drops.

    The order is that of the families, then the given one. A night numbers its drops once, when it
    has received them. Numbered drops keep their number.
    """
    order = {family: place for place, family in enumerate((UNKNOWN_FAMILY, *FAMILIES))}
    # Files that no family claims are loaded with the first one.
    order[UNKNOWN_FAMILY] = order[FAMILY_OF_STRAYS]
    without = sorted((d for d in drops if d.position is None), key=lambda d: order[d.family])
    if not without:
        return [*drops]
    latest = connection.execute("SELECT coalesce(max(position), 0) FROM drops").fetchone()
    first = latest[0] + 1 if latest else 1
    places = {id(drop): place for place, drop in enumerate(without, start=first)}
    return [replace(drop, position=places.get(id(drop), drop.position)) for drop in drops]


def delete_drops(connection: duckdb.DuckDBPyConnection, drop_ids: Sequence[str]) -> None:
    """Deletes what an earlier night recorded about drops that are loaded again."""
    ids = {"ids": list(drop_ids)}
    recorded = "drop_id IN (SELECT unnest($ids))"
    if connection.execute(f"SELECT 1 FROM drops WHERE {recorded} LIMIT 1", ids).fetchone() is None:
        return  # all of them are new, and each delete takes time
    for table in ("drops", "drop_files", "files", "ledger", "findings", "causes", "receipts"):
        connection.execute(f"DELETE FROM {table} WHERE {recorded}", ids)


Answer = tuple[str, date, str]
"""A drop, the night of its receipt, and what the receipt says was kept out."""


def read_answers(connection: duckdb.DuckDBPyConnection, drop_ids: Sequence[str]) -> list[Answer]:
    """Returns the receipts of these drops that were written, for ``keep_receipts``."""
    return connection.execute(
        f"SELECT drop_id, night, kept_out FROM receipts JOIN ({_KEPT_OUT}) USING (drop_id)",
        {"ids": [*drop_ids]},
    ).fetchall()


_KEPT_OUT = """
    SELECT drop_id, concat_ws(' ', verdict, (
        SELECT string_agg(line, ', ' ORDER BY line)
        FROM (SELECT drop_id, concat_ws(' ', file_number, fate, lines) AS line FROM ledger
              WHERE fate IN ('rejected', 'unmatched', 'held')) AS kept
        WHERE kept.drop_id = drops.drop_id
    )) AS kept_out
    FROM drops WHERE list_contains($ids, drop_id)
"""


def keep_receipts(connection: duckdb.DuckDBPyConnection, answers: Sequence[Answer]) -> None:
    """Records the receipts of drops that were loaded again with the same lines kept out.

    Their senders know the result already, so they get no second receipt.
    """
    if not answers:
        return
    ids = [drop_id for drop_id, *_ in answers]
    now = dict(connection.execute(_KEPT_OUT, {"ids": ids}).fetchall())
    rows = [(drop_id, night) for drop_id, night, before in answers if now.get(drop_id) == before]
    if rows:
        frame = pl.DataFrame(rows, schema={"drop_id": pl.String, "night": pl.Date}, orient="row")
        append_rows(connection, "receipts", frame)


def insert_drops(
    connection: duckdb.DuckDBPyConnection,
    drops: Sequence[Drop],
    files: pl.DataFrame,
    night: date,
) -> None:
    """Records loaded drops with their verdicts and their files."""
    by_drop = {
        str(name): judge_drop(group)
        for (name,), group in files.group_by("drop", maintain_order=True)
    }
    rows = [
        (
            *(drop.id, drop.sender, drop.family, str(by_drop.get(drop.id, Verdict.REJECTED))),
            *(night, drop.position, drop.correction),
        )
        for drop in drops
    ]
    columns = ["drop_id", "sender", "family", "verdict", "night", "position", "correction"]
    append_rows(connection, "drops", pl.DataFrame(rows, schema=columns, orient="row"))
    made_of = [
        (drop.id, file.shown, sha256, place)
        for drop in drops
        for place, (file, sha256) in enumerate(drop.files, start=1)
    ]
    columns = ["drop_id", "path", "sha256", "place"]
    append_rows(connection, "drop_files", pl.DataFrame(made_of, schema=columns, orient="row"))


def append_rows(connection: duckdb.DuckDBPyConnection, table: str, rows: pl.DataFrame) -> None:
    """Appends ``rows``, whose columns have the names of the table's columns."""
    connection.register("new_rows", rows.to_arrow())
    with failpoint(f"warehouse: {table} written"):
        connection.execute(f"INSERT INTO {table} BY NAME SELECT * FROM new_rows")
    connection.unregister("new_rows")


def _restamp(connection: duckdb.DuckDBPyConnection, files: Sequence[InboxFile]) -> None:
    """Records the new stamps of known files; their drop stays the same."""
    rows = [(file.shown, file.stamp) for file in files]
    stamps = pl.DataFrame(rows, schema={"path": pl.String, "stamp": pl.String}, orient="row")
    connection.register("stamps", stamps.to_arrow())
    connection.execute(
        "UPDATE received_files SET stamp = stamps.stamp FROM stamps "
        "WHERE received_files.path = stamps.path"
    )
    connection.unregister("stamps")


def clear_stamps(connection: duckdb.DuckDBPyConnection, paths: Sequence[str]) -> None:
    """Clears the stamps of files that are gone, so that they count as new if they come back."""
    if paths:
        connection.execute(
            "UPDATE received_files SET stamp = '' WHERE list_contains($paths, path)",
            {"paths": [*paths]},
        )


def remember_files(
    connection: duckdb.DuckDBPyConnection, files: Sequence[tuple[InboxFile, str, str]]
) -> None:
    """Records path, stamp and content of loaded files, in place of what the paths held before."""
    # A file of an approved drop has no stamp if its path is empty now or holds another file.
    rows = [(file.shown, file.stamp, sha, drop_id) for file, sha, drop_id in files if file.stamp]
    if not rows:
        return
    frame = pl.DataFrame(rows, schema=["path", "stamp", "sha256", "drop_id"], orient="row")
    connection.register("taken", frame.to_arrow())
    connection.execute("DELETE FROM received_files WHERE path IN (SELECT path FROM taken)")
    connection.unregister("taken")
    append_rows(connection, "received_files", frame)


def record_receipts(
    connection: duckdb.DuckDBPyConnection, receipts: Sequence[Receipt], on: date
) -> None:
    """Records that these receipts were written."""
    rows = [
        (f"{receipt.drop_id}_duplicate", receipt.night) if receipt.again else (receipt.drop_id, on)
        for receipt in receipts
    ]
    frame = pl.DataFrame(rows, schema={"drop_id": pl.String, "night": pl.Date}, orient="row")
    append_rows(connection, "receipts", frame)
