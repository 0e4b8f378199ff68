"""The folders of districts and other senders in the outbox, remembered by CD code.

Belongs here: remembering a folder, and an operator's approval of another one. Does not belong here:
a folder's name by the directory (districts), the files in it (reports.outbox).

A directory can be wrong: if it exchanges two names, reports would go into the other district's
folder. So the folder of a district stays, whatever the directory says, until an operator approves.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import duckdb
import polars as pl

from ccgi_pipeline.common.errors import PermanentError
from ccgi_pipeline.districts import districts
from ccgi_pipeline.warehouse.queries.directory import read_directory, read_outbox_folders
from ccgi_pipeline.warehouse.storage.schema import transaction


class FolderError(PermanentError):
    """A district's folder in the outbox cannot be changed in this way; the message says why."""


@dataclass(frozen=True, slots=True)
class FolderChange:
    """A district whose folder would have another name by the directory in force.

    ``held_by``: the district that has, or once had, a folder of that name.
    """

    cd: str
    folder: str
    wanted: str
    held_by: str | None


def remember_folders(connection: duckdb.DuckDBPyConnection, named: pl.DataFrame, on: date) -> None:
    """Remembers the folders of ``named`` (``cd``, ``folder``) that are not remembered yet."""
    known = read_outbox_folders(connection).filter(pl.col("current"))
    new = named.select("cd", "folder").join(known, on="cd", how="anti")
    if new.is_empty():
        return
    rows = new.with_columns(current=pl.lit(value=True), since=pl.lit(on))
    connection.register("new_folders", rows.to_arrow())
    try:
        with transaction(connection):
            connection.execute("INSERT INTO outbox_folders BY NAME SELECT * FROM new_folders")
    finally:
        connection.unregister("new_folders")


def read_folder_changes(connection: duckdb.DuckDBPyConnection) -> list[FolderChange]:
    """Returns the districts whose folder would have another name by the directory in force."""
    remembered = read_outbox_folders(connection)
    now = remembered.filter(pl.col("current"))
    wanted = districts(read_directory(connection), now["cd"]).select("cd", wanted="folder")
    owners = {folder.lower(): cd for cd, folder in remembered.select("cd", "folder").iter_rows()}
    return [
        FolderChange(
            cd, folder, wish, held if (held := owners.get(wish.lower())) not in {None, cd} else None
        )
        for cd, folder, wish in now.join(wanted, on="cd")
        .filter(pl.col("folder") != pl.col("wanted"))
        .sort("cd")
        .select("cd", "folder", "wanted")
        .iter_rows()
    ]


def approve_folder(connection: duckdb.DuckDBPyConnection, cd: str, on: date) -> FolderChange:
    """Gives a district the folder that the directory in force names. Raises FolderError.

    A folder that another district has, or once had, is refused: its files may still be there.
    """
    change = next((one for one in read_folder_changes(connection) if one.cd == cd), None)
    if change is None:
        msg = f"the folder of {cd} has the name that the directory gives: nothing is to be changed"
        raise FolderError(msg)
    if change.held_by is not None:
        msg = (
            f"{change.wanted} is or was the folder of {change.held_by}, and may hold its files. "
            "Correct the directory, or name a folder in the profile (delivery.folder)"
        )
        raise FolderError(msg)
    with transaction(connection):
        connection.execute("UPDATE outbox_folders SET current = false WHERE cd = ?", [cd])
        connection.execute(
            "INSERT INTO outbox_folders (cd, folder, current, since) VALUES (?, ?, true, ?)",
            [cd, change.wanted, on],
        )
    return change
