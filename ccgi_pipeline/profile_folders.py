"""Folders on servers that the settings file gives to two senders.

Belongs here: comparing folders as a server might, and the words for folders that two senders would
share. Does not belong here: other faults of the settings file (``profile_faults``), the path of a
single file (``delivery.routing``).

Whoever may read a folder may read everything below it. So folders of two senders must not be equal,
and none may be inside the other.
"""

from __future__ import annotations

import posixpath
import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

_CD_CODE = re.compile("[0-9]{7}")
_SSH_PORT = 22


@dataclass(frozen=True, slots=True)
class _Place:
    """A folder of ``owner`` on a server (host, port and account), as the setting ``key`` says."""

    owner: str
    key: str
    server: tuple[str, int, str]
    folder: str


def comparable_folder(folder: str) -> str:
    """Returns ``folder`` as it is compared: two folders of one name may be the same on a server.

    Many accounts begin in ``/`` and many servers ignore upper and lower case, so neither makes a
    difference. ``..`` and repeated slashes are resolved.
    """
    plain = unicodedata.normalize("NFC", folder.replace("\\", "/")).casefold()
    resolved = posixpath.normpath(f"/{plain}")
    return f"/{resolved.strip('/')}"


def holds(outer: str, inner: str) -> bool:
    """Returns whether a folder is another one or contains it; both are comparable folders."""
    return outer in {"/", inner} or inner.startswith(f"{outer}/")


def find_shared_folders(
    servers: Mapping[str, Mapping[str, Any]],
    defaults: Mapping[str, Any],
    deliveries: Mapping[str, Mapping[str, Any]],
) -> Iterator[str]:
    """Yields the faults of folders that two senders would share, a line each.

    ``servers``: the servers' tables by name. ``defaults`` and ``deliveries``: the table
    ``delivery`` of the defaults, and that of each district with the defaults in it, by CD code. The
    tables need not be valid: whatever has another shape is passed over.
    """
    known = {name: _identity(table) for name, table in servers.items()}
    if _text(defaults, "folder") and defaults.get("server", "") in known:
        yield (
            "defaults.delivery.folder sends the files of all districts into one folder: remove it, "
            "and name a folder in the tables of single districts ([districts.<CD code>.delivery])"
        )
        return
    own = {sender for table in servers.values() if (sender := _sender_with_outbox(table))}
    named = [*_own_outboxes(servers, known), *_districts_folders(deliveries, known, own)]
    for one, other in _overlaps(named):
        how = "are the same folder" if one.folder == other.folder else "are one inside the other"
        yield (
            f"{one.key} and {other.key} {how}: {one.owner} and {other.owner} would read each "
            "other's files. Give each a folder of its own"
        )
    by_name = {
        server
        for server in (defaults.get("server"), *_servers_by_name(deliveries, own))
        if isinstance(server, str)
    }
    for name in sorted(by_name & known.keys()):
        outbox = comparable_folder(_text(servers[name], "outbox"))
        for place in named:
            if place.server == known[name] and holds(place.folder, outbox):
                yield (
                    f"{place.key} contains the folders of other districts: they are below "
                    f"sftp.{name}.outbox. Name a folder that only {place.owner} can read"
                )
    yield from _foreign_inboxes(servers, known, named)


def _overlaps(places: list[_Place]) -> Iterator[tuple[_Place, _Place]]:
    """Yields pairs of different owners whose folders are equal, or one inside the other."""
    around: list[_Place] = []
    for place in sorted(places, key=lambda one: (one.server, one.folder.split("/"), one.owner)):
        around = [
            outer
            for outer in around
            if outer.server == place.server and holds(outer.folder, place.folder)
        ]
        yield from ((outer, place) for outer in around if outer.owner != place.owner)
        around.append(place)


def _own_outboxes(
    servers: Mapping[str, Mapping[str, Any]], known: Mapping[str, tuple[str, int, str]]
) -> Iterator[_Place]:
    """Yields the outboxes of servers that belong to one sender."""
    for name, table in servers.items():
        if sender := _sender_with_outbox(table):
            folder = comparable_folder(_text(table, "outbox"))
            yield _Place(sender, f"sftp.{name}.outbox", known[name], folder)


def _districts_folders(
    deliveries: Mapping[str, Mapping[str, Any]],
    known: Mapping[str, tuple[str, int, str]],
    own: set[str],
) -> Iterator[_Place]:
    """Yields the folders that districts' tables name."""
    for cd, delivery in deliveries.items():
        server, folder = _text(delivery, "server"), _text(delivery, "folder")
        if folder and server in known and cd not in own:
            key = f"districts.{cd}.delivery.folder"
            yield _Place(cd, key, known[server], comparable_folder(folder))


def _servers_by_name(
    deliveries: Mapping[str, Mapping[str, Any]], own: set[str]
) -> Iterator[object]:
    """Yields the servers on which a district's folder has the district's name."""
    for cd, delivery in deliveries.items():
        if cd not in own and not _text(delivery, "folder"):
            yield delivery.get("server")


def _foreign_inboxes(
    servers: Mapping[str, Mapping[str, Any]],
    known: Mapping[str, tuple[str, int, str]],
    named: list[_Place],
) -> Iterator[str]:
    """Yields the folders that are in the inbox of another sender, who can read them there."""
    for name, table in servers.items():
        if not _text(table, "inbox"):
            continue
        inbox, sender = comparable_folder(_text(table, "inbox")), _text(table, "sender")
        for place in named:
            if place.server != known[name] or not holds(inbox, place.folder):
                continue
            below = place.folder.removeprefix(inbox.rstrip("/")).strip("/").split("/")[0]
            whose = sender or (below if _CD_CODE.fullmatch(below) else place.owner)
            if whose != place.owner:
                yield (
                    f"{place.key} is in the inbox of {whose} (sftp.{name}.inbox), who would read "
                    f"the files of {place.owner}. Name another folder"
                )


def _sender_with_outbox(table: Mapping[str, Any]) -> str:
    return _text(table, "sender") if _text(table, "outbox") else ""


def _identity(table: Mapping[str, Any]) -> tuple[str, int, str]:
    """Returns what tells servers apart: two tables may name one server and account."""
    port = table.get("port", _SSH_PORT)
    host = _text(table, "host").casefold().rstrip(".")
    return host, port if isinstance(port, int) else _SSH_PORT, _text(table, "user")


def _text(table: Mapping[str, Any], key: str) -> str:
    found = table.get(key)
    return found if isinstance(found, str) else ""
