"""Choosing: which files of the outbox go to which server, under which path. Pure.

Belongs here: what the profiles say of it. Does not belong here: sending (delivering).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath

from ccgi_pipeline.delivery.ledger import Kind, Made
from ccgi_pipeline.profiles import Profiles

_WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


def to_be_sent(made: Iterable[Made], profiles: Profiles) -> Iterator[tuple[Made, str, str]]:
    """Those of ``made`` that are sent, each with the name of its server and its path there."""
    for file in made:
        place = _place(file.owner, profiles)
        if place is None:
            continue
        server, folder = place
        district, _, rest = file.path.partition("/")
        if _is_wanted(file, rest, profiles):
            yield file, server, f"{folder or f'{_outbox(server, profiles)}/{district}'}/{rest}"


def folders_on(server: str, profiles: Profiles) -> list[str]:
    """The folders of a server below which deliveries lie."""
    own = {
        district.delivery.folder.rstrip("/")
        for district in [profiles.defaults, *profiles.districts.values()]
        if district.delivery.server == server and district.delivery.folder
    }
    return sorted({_outbox(server, profiles), *own})


def _outbox(server: str, profiles: Profiles) -> str:
    return (profiles.sftp[server].outbox or "").rstrip("/")


def _place(owner: str, profiles: Profiles) -> tuple[str, str] | None:
    """The owner's server, and its folder there if that is not named after the district."""
    for name, server in profiles.sftp.items():
        if server.sender == owner and server.outbox is not None:
            return name, _outbox(name, profiles)
    delivery = profiles.of(owner).delivery
    if delivery.server is None or not owner.isdigit():
        return None
    return delivery.server, (delivery.folder or "").rstrip("/")


def _is_wanted(file: Made, rest: str, profiles: Profiles) -> bool:
    delivery = profiles.of(file.owner).delivery
    if file.kind == Kind.DOWNLOAD:
        return True
    if PurePosixPath(rest).parts[0] not in delivery.send:
        return False
    weekly = file.kind == Kind.REPORT and delivery.every == "week"
    return not weekly or _WEEKDAYS[file.night.weekday()] == delivery.weekday
