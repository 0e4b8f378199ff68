"""The collections of the API, and which field of a record becomes which column. Pure.

Belongs here: what differs between the JSON binding and the CSV binding. All else follows from the
columns that ``feeds.oneroster`` declares. Does not belong here: reading answers (``pages``),
writing files (``csv_files``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from functools import cache

from ccgi_pipeline.feeds import oneroster
from ccgi_pipeline.feeds.columns import Column, ColumnType
from ccgi_pipeline.feeds.spec import FeedSpec
from ccgi_pipeline.profile_oneroster_api import OneRosterApiProfile

VERSION_1_1, VERSION_1_2 = "1.1", "1.2"
USERS, DEMOGRAPHICS = "users", "demographics"
ID, STATUS, MODIFIED = "sourcedId", "status", "dateLastModified"
COMMON = (ID, STATUS, MODIFIED)


class FieldKind(Enum):
    """How a field says its value.

    REFERENCE: an object with the sourcedId of another record; REFERENCES: a list of them. LIST: a
    list of texts. IDS: a list of objects with type and identifier. NEVER: the column stays blank.
    """

    TEXT = auto()
    DATE = auto()
    MOMENT = auto()
    REFERENCE = auto()
    REFERENCES = auto()
    LIST = auto()
    IDS = auto()
    NEVER = auto()


@dataclass(frozen=True, slots=True)
class ApiField:
    """The field of a record that becomes a column.

    ``names``: its name in the JSON binding, then others that servers are known to use. The column's
    own name is understood, too: some servers send the CSV binding as JSON.
    """

    column: str
    kind: FieldKind
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ApiCollection:
    """A collection: its path below the server's address, and the files that its records become.

    The list in an answer has the same name: that of the records' type.
    """

    name: str
    fields: tuple[ApiField, ...]

    @property
    def feed(self) -> FeedSpec:
        """The feed of its file."""
        return _feed_of(self.name)


_NEVER = frozenset({"password", "resourceSourcedIds"})
"""Passwords are legal in answers and really sent. They go no further than the archive."""
_IDS = "userIds"
_OTHER_NAMES: Mapping[str, tuple[str, ...]] = {
    "preferredGivenName": ("preferredFirstName",),
    "preferredFamilyName": ("preferredLastName",),
    "agentSourcedIds": ("agents", "agentSourceIds"),
    "birthDate": ("birthDate", "birthdate"),
}
"""Where the JSON binding, or a server that is in use, has another name than follows."""
_REFERENCE, _REFERENCES = "SourcedId", "SourcedIds"
_LISTS = frozenset({"subjectCodes", "periods"})
"""Lists that CCGI's page declares as texts."""


@cache
def _feed_of(name: str) -> FeedSpec:
    return next(feed for feed in oneroster.FEEDS if feed.name == f"{oneroster.NAME}_{name}")


def list_collections(profile: OneRosterApiProfile, version: str) -> tuple[ApiCollection, ...]:
    """Returns the collections that a district's profile asks for, in the order of reference."""
    wanted = [*profile.collections, *([DEMOGRAPHICS] if profile.demographics else [])]
    order = [feed.name.removeprefix(f"{oneroster.NAME}_") for feed in oneroster.FEEDS]
    return tuple(
        build_collection(name, version, profile.demographics if name == DEMOGRAPHICS else None)
        for name in order
        if name in wanted
    )


def build_collection(name: str, version: str, only: Sequence[str] | None = None) -> ApiCollection:
    """Returns a collection; ``only``: its columns besides the common ones, if not all are read."""
    return ApiCollection(
        name,
        tuple(
            _field(column, read=only is None or column.name in {*COMMON, *only})
            for column in _feed_of(name).columns.values()
            if column.expected_in(version)
        ),
    )


def _field(column: Column, *, read: bool) -> ApiField:
    name = column.name
    if not read or name in _NEVER:
        return ApiField(name, FieldKind.NEVER, ())
    kind, own = _kind_and_name(column)
    return ApiField(name, kind, tuple(dict.fromkeys((*_OTHER_NAMES.get(name, (own,)), own))))


def _kind_and_name(column: Column) -> tuple[FieldKind, str]:
    name = column.name
    if name == _IDS:
        return FieldKind.IDS, name
    if name.endswith(_REFERENCES):
        return FieldKind.REFERENCES, f"{name.removesuffix(_REFERENCES)}s"
    if name.endswith(_REFERENCE):
        return FieldKind.REFERENCE, name.removesuffix(_REFERENCE)
    if column.listed or name in _LISTS or column.names_with_commas:
        return FieldKind.LIST, name
    kinds = {ColumnType.DATE: FieldKind.DATE, ColumnType.TIMESTAMP: FieldKind.MOMENT}
    return kinds.get(column.type, FieldKind.TEXT), name


# --- what version 1.2 nests in users --------------------------------------------------------------

ROLES, USER_PROFILES = "roles", "userProfiles"
NESTED: Mapping[str, tuple[ApiField, ...]] = {
    ROLES: (
        ApiField("roleType", FieldKind.TEXT, ("roleType",)),
        ApiField("role", FieldKind.TEXT, ("role",)),
        ApiField("beginDate", FieldKind.DATE, ("beginDate",)),
        ApiField("endDate", FieldKind.DATE, ("endDate",)),
        ApiField("orgSourcedId", FieldKind.REFERENCE, ("org",)),
        ApiField("userProfileSourcedId", FieldKind.REFERENCE, ("userProfile",)),
    ),
    USER_PROFILES: (
        ApiField("sourcedId", FieldKind.TEXT, ("profileId",)),
        ApiField("profileType", FieldKind.TEXT, ("profileType",)),
        ApiField("vendorId", FieldKind.TEXT, ("vendorId",)),
        ApiField("applicationId", FieldKind.TEXT, ("applicationId",)),
        ApiField("description", FieldKind.TEXT, ("description",)),
    ),
}
"""Lists in the users of version 1.2 that become files of their own, with the fields of an entry.
They have no id, no status and no date of their own."""
CREDENTIALS = "credentials"
CREDENTIAL_FIELDS = (
    ApiField("credentialType", FieldKind.TEXT, ("type",)),
    ApiField("username", FieldKind.TEXT, ("username",)),
)
"""What is read of a profile's credentials: never the password."""


def nested_files(
    collection: ApiCollection, profile: OneRosterApiProfile, version: str
) -> list[str]:
    """Returns the files, besides its own, that a collection's records become."""
    if collection.name != USERS or version != VERSION_1_2:
        return []
    return [ROLES, *([USER_PROFILES] if profile.user_profiles else [])]


def asked_fields(collection: ApiCollection, nested: Sequence[str]) -> list[str]:
    """Returns the names of the fields that are read, as the query ``fields`` lists them."""
    return [*(field.names[0] for field in collection.fields if field.names), *nested]
