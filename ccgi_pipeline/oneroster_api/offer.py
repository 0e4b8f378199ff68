"""What a server offers, and whether it is sound: the dry run of a fetch.

Belongs here: finding out the version, and trying paging, order, filter and totals on a few records
of each collection. Nothing is kept. Does not belong here: the fetch itself (``district_fetch``).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import polars as pl

from ccgi_pipeline.oneroster_api.authorization import OneRosterApiRefusedError, version_in_path
from ccgi_pipeline.oneroster_api.client import OneRosterClient, PageAnswer, QueryRefused
from ccgi_pipeline.oneroster_api.collections import (
    ID,
    MODIFIED,
    USERS,
    VERSION_1_1,
    VERSION_1_2,
    ApiCollection,
    list_collections,
    nested_files,
)
from ccgi_pipeline.oneroster_api.csv_files import make_lines
from ccgi_pipeline.oneroster_api.fetching import SORTED, CollectionTerms
from ccgi_pipeline.oneroster_api.pages import PageFault, build_shape, find_records, read_page
from ccgi_pipeline.profile_oneroster_api import OneRosterApiProfile

_PATHS = {
    VERSION_1_2: "/ims/oneroster/rostering/v1p2",
    VERSION_1_1: "/ims/oneroster/v1p1",
}
"""Where the specification has the collections below a vendor's own path."""
_FIRST = "orgs"
_SAMPLE = 100


def find_server(client: OneRosterClient, profile: OneRosterApiProfile) -> str:
    """Returns the version that a server speaks; makes ``client`` use the address that has it.

    An address that names no version is asked as it is, and then with the specification's paths.
    Raises OneRosterApiRefusedError if there is no OneRoster at any of them.
    """
    written = client.base
    shown = version_in_path(written)
    if shown is not None:
        return _settle(client, profile, shown)
    for path, version in [("", None), *((path, version) for version, path in _PATHS.items())]:
        if profile.version not in {"found_out", version or profile.version}:
            continue
        client.base = f"{written}{path}"
        try:
            answer = client.get_page(_FIRST, 0, 1, {})
            if answer.found:
                find_records(answer.body, _FIRST)
                return _settle(client, profile, version)
        except (QueryRefused, PageFault):
            continue
    msg = "there is no OneRoster at the address: write the whole one, as the vendor gives it"
    raise OneRosterApiRefusedError(msg)


def _settle(client: OneRosterClient, profile: OneRosterApiProfile, shown: str | None) -> str:
    """Returns the profile's version, or that of the users' form, or that of the address."""
    if profile.version != "found_out":
        return profile.version
    try:
        answer = client.get_page(USERS, 0, 1, {})
        users = find_records(answer.body, USERS) if answer.found else []
    except (QueryRefused, PageFault):
        users = []
    return tell_version(users, shown)


def tell_version(users: list[object], shown: str | None) -> str:
    """Returns the version by which a user is written: 1.2 has roles, 1.1 one role.

    ``shown``: that of the address, for users who show none.
    """
    user = users[0] if users else None
    if isinstance(user, dict):
        if user.get("roles"):
            return VERSION_1_2
        if user.get("role") or user.get("orgs"):
            return VERSION_1_1
    return shown or VERSION_1_1


@dataclass(frozen=True, slots=True)
class CollectionOffer:
    """What a server says of a collection, and what it does with a query.

    ``fault``: why it cannot be fetched; None if it can. ``sorts``, ``pages``, ``filters``: None if
    there are too few records to tell. ``gone``: deleted records among the first.
    """

    name: str
    fault: str | None = None
    total: int | None = None
    sample: int = 0
    sorts: bool | None = None
    pages: bool | None = None
    filters: bool | None = None
    gone: int = 0


@dataclass(frozen=True, slots=True)
class Offer:
    """What a server offers."""

    address: str
    version: str
    collections: tuple[CollectionOffer, ...]

    @property
    def sound(self) -> bool:
        """Whether a fetch can succeed."""
        return all(one.fault is None and one.pages is not False for one in self.collections)


def look_at_offer(client: OneRosterClient, profile: OneRosterApiProfile) -> Offer:
    """Asks for a few records of each collection of a profile. Raises as ``get_page``."""
    version = find_server(client, profile)
    return Offer(
        client.base,
        version,
        tuple(
            _look_at(client, collection, profile, version)
            for collection in list_collections(profile, version)
        ),
    )


def _look_at(
    client: OneRosterClient, collection: ApiCollection, profile: OneRosterApiProfile, version: str
) -> CollectionOffer:
    name = collection.name
    terms = CollectionTerms(collection, nested_files(collection, profile, version))
    shape = build_shape(collection, terms.nested)

    def read(answer: PageAnswer) -> pl.DataFrame:
        if not answer.found:
            return pl.DataFrame(schema=dict(shape.fields))
        return read_page(answer.body, shape)

    try:
        try:
            answer = client.get_page(name, 0, _SAMPLE, SORTED)
        except QueryRefused:
            answer = client.get_page(name, 0, _SAMPLE, {})
        first = read(answer)
        if not answer.found:
            return CollectionOffer(name, fault="the server has no such collection (HTTP 404)")
        if first.is_empty():
            return CollectionOffer(name, total=answer.total)
        ids = first[ID]
        half = len(ids) // 2
        follows = read(client.get_page(name, half, _SAMPLE, SORTED)) if half else None
        lines = make_lines(first, collection, terms.nested, delta=True)
        return CollectionOffer(
            name,
            total=answer.total,
            sample=len(ids),
            sorts=ids.is_sorted() if half else None,
            pages=None if follows is None else _begins_with(follows[ID], ids[half]),
            filters=_try_filter(client, name, read, lines.newest),
            gone=lines.gone,
        )
    except (OneRosterApiRefusedError, QueryRefused, PageFault) as fault:
        return CollectionOffer(name, fault=str(fault))


def _begins_with(ids: pl.Series, first: object) -> bool:
    return not ids.is_empty() and ids[0] == first


def _try_filter(
    client: OneRosterClient,
    name: str,
    read: Callable[[PageAnswer], pl.DataFrame],
    newest: str | None,
) -> bool | None:
    """Returns whether a filter by dateLastModified leaves out what was not changed since."""
    if newest is None:
        return None
    try:
        answer = client.get_page(name, 0, _SAMPLE, {"filter": f"{MODIFIED}>'{newest}'"})
        later = read(answer)
    except (QueryRefused, PageFault):
        return False
    earliest = later[MODIFIED].drop_nulls().min()
    return earliest is None or str(earliest) > newest
