"""Routing: which files of the outbox go to which server and path, as the profiles say. Pure.

Does not belong here: sending the files (``upload``).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import PurePosixPath

from ccgi_pipeline.delivery.ledger import FileKind, MadeFile
from ccgi_pipeline.profile_folders import comparable_folder, holds
from ccgi_pipeline.profiles import Profiles


def route_files(
    made: Iterable[MadeFile], profiles: Profiles
) -> Iterator[tuple[MadeFile, str, str]]:
    """Yields the files to send, each with the name of its server and its path there."""
    for file in made:
        destination = _find_destination(file.owner, profiles)
        if destination is None:
            continue
        server, folder = destination
        district, _, rest = file.path.partition("/")
        if _is_wanted(file, rest, profiles):
            yield (
                file,
                server,
                f"{folder or f'{_server_outbox(server, profiles)}/{district}'}/{rest}",
            )


def find_shared_folders(
    made: Sequence[MadeFile], profiles: Profiles
) -> dict[str, list[tuple[str, str]]]:
    """Returns by server the districts whose folder there is also that of another district.

    Each with the other. The settings cannot tell: a district's folder may have its name, which only
    the outbox knows. Of two, the one is returned whose folder the settings name.
    """
    named: list[tuple[str, str, str]] = []
    by_name: list[tuple[str, str, str]] = []
    for owner, district in sorted({(file.owner, file.path.partition("/")[0]) for file in made}):
        if (found := _find_destination(owner, profiles)) is not None:
            server, folder = found
            places = named if folder else by_name
            folder = folder or f"{_server_outbox(server, profiles)}/{district}"
            places.append((server, owner, comparable_folder(folder)))
    shared: dict[str, list[tuple[str, str]]] = {}
    for server, owner, folder in named:
        for beside, other, theirs in by_name:
            if server == beside and (holds(folder, theirs) or holds(theirs, folder)):
                shared.setdefault(server, []).append((owner, other))
    return shared


def list_folders(server: str, profiles: Profiles) -> list[str]:
    """Returns the folders of a server that deliveries go into."""
    own = {
        district.delivery.folder.rstrip("/")
        for district in [profiles.defaults, *profiles.districts.values()]
        if district.delivery.server == server and district.delivery.folder
    }
    return sorted({_server_outbox(server, profiles), *own})


def _server_outbox(server: str, profiles: Profiles) -> str:
    return (profiles.sftp[server].outbox or "").rstrip("/")


def _find_destination(owner: str, profiles: Profiles) -> tuple[str, str] | None:
    """Returns the owner's server, and its folder there if the profile names one."""
    for name, server in profiles.sftp.items():
        if server.sender == owner and server.outbox is not None:
            return name, _server_outbox(name, profiles)
    delivery = profiles.of(owner).delivery
    if delivery.server is None or not owner.isdigit():
        return None
    return delivery.server, (delivery.folder or "").rstrip("/")


def _is_wanted(file: MadeFile, rest: str, profiles: Profiles) -> bool:
    delivery = profiles.of(file.owner).delivery
    if file.kind == FileKind.DOWNLOAD:
        return True
    return PurePosixPath(rest).parts[0] in delivery.send
