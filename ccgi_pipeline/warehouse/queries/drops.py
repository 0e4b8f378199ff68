"""Drops as they came: of which bytes each was made, so that it can be taken once more.

Belongs here: making a drop again from our own tables. Does not belong here: which drops are to be
taken again, and what becomes of them.
"""

from __future__ import annotations

from collections.abc import Sequence

import duckdb

from ccgi_pipeline.intake.inbox import Drop, InboxFile, drop_id


def read_received_drops(
    connection: duckdb.DuckDBPyConnection, drop_ids: Sequence[str]
) -> dict[str, Drop]:
    """These drops by their ids, in the order of loading, with the files that they were made of.

    A file that no longer lies in the inbox as it was taken has no stamp. Drops are left out of
    which it is not known any more what they were made of.
    """
    rows = connection.execute(
        """
        SELECT drop_id, sender, family, drop_files.path, coalesce(stamp, ''), drop_files.sha256
        FROM drops JOIN drop_files USING (drop_id)
        LEFT JOIN received_files AS there
            ON there.drop_id = drops.drop_id AND there.path = drop_files.path
            AND there.sha256 = drop_files.sha256
        WHERE list_contains($ids, drops.drop_id)
        ORDER BY position, place
        """,
        {"ids": list(drop_ids)},
    ).fetchall()
    made = {drop.id: drop for drop in _drops(rows)}
    others = [id_ for id_ in drop_ids if id_ not in made]
    if not others:
        return made
    made |= _of_older_warehouses(connection, others)
    in_order = connection.execute(
        "SELECT drop_id FROM drops WHERE list_contains($ids, drop_id) ORDER BY position",
        {"ids": list(made)},
    ).fetchall()
    return {id_: made[id_] for (id_,) in in_order}


Row = tuple[str, str, str, str, str, str]
"""Drop, sender, family, path, stamp, SHA-256."""


def _drops(rows: Sequence[Row]) -> list[Drop]:
    files: dict[tuple[str, str, str], list[tuple[InboxFile, str]]] = {}
    for id_, sender, family, path, stamp, sha256 in rows:
        file = InboxFile(path, sender, family, stamp)
        files.setdefault((id_, sender, family), []).append((file, sha256))
    return [Drop(*drop, tuple(of_drop)) for drop, of_drop in files.items()]


def _of_older_warehouses(
    connection: duckdb.DuckDBPyConnection, drop_ids: Sequence[str]
) -> dict[str, Drop]:
    """Drops that were loaded before their files were noted, as far as the memory of paths has them.

    A path may hold another file by now, and the same drop may have come under several paths: the
    identity tells whether the files are the drop's.
    """
    rows = connection.execute(
        """
        SELECT drop_id, sender, family, path, stamp, sha256
        FROM drops JOIN received_files USING (drop_id)
        WHERE list_contains($ids, drop_id) ORDER BY position, path
        """,
        {"ids": list(drop_ids)},
    ).fetchall()
    found = {}
    for drop in _drops(rows):
        one_of_each = {sha256: (file, sha256) for file, sha256 in reversed(drop.files)}
        for files in (drop.files, tuple(sorted(one_of_each.values()))):
            contents = [sha256 for _, sha256 in files]
            correction = any(file.correction for file, _ in files)
            identity = drop_id(drop.sender, drop.family, contents, correction=correction)
            if drop.id.partition("-")[0] == identity:  # what follows counts its comings
                found[drop.id] = Drop(drop.id, drop.sender, drop.family, files)
    return found
