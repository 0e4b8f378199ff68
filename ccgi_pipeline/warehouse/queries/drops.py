"""Drops as they were received: the files of each, so that it can be loaded again.

Belongs here: reading a drop from the pipeline's own tables. Does not belong here: which drops are
to be loaded again, and what becomes of them (load).
"""

from __future__ import annotations

from collections.abc import Sequence

import duckdb

from ccgi_pipeline.intake.inbox import Drop, InboxFile, drop_id


def read_received_drops(
    connection: duckdb.DuckDBPyConnection, drop_ids: Sequence[str]
) -> dict[str, Drop]:
    """Returns these drops by their ids, in the order of loading, with their files.

    A file that is no longer in the inbox as it was received has no stamp. Drops whose files are
    not known any more are left out.
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
    """Returns drops of warehouses without ``drop_files``, as far as ``received_files`` has them.

    A path may hold another file by now, and the same drop may have come under several paths: the
    drop's id shows whether the files are its own.
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
            if drop.id.partition("-")[0] == identity:  # the rest counts how often it came
                found[drop.id] = Drop(drop.id, drop.sender, drop.family, files)
    return found
