"""OneRoster's JSON objects, made of a CSV set as both bindings of the specification describe them.

Belongs here: reading a set, the fields of each object in 1.1 and 1.2, and what a change of the set
changes. Does not belong here: questions about objects (queries), HTTP (server). Nothing of the
product is used, so that its client is judged by the specification and not by its own reading of it.
"""

from __future__ import annotations

import csv
import io
import json
import re
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

Row = dict[str, str]
Json = dict[str, Any]
Files = dict[str, dict[str, Row]]
"""The lines of each file, by their ids."""

VERSIONS = ("1.1", "1.2")
SINGLE: Mapping[str, str] = {
    "academicSessions": "academicSession",
    "orgs": "org",
    "courses": "course",
    "classes": "class",
    "users": "user",
    "enrollments": "enrollment",
    "demographics": "demographics",
}
"""The kinds of objects, in the order in which they refer to each other: the key of a collection,
and the key of a single object."""
_FILES = (*SINGLE, "roles", "userProfiles")
GONE, HERE = "tobedeleted", "active"
COMMON = ("sourcedId", "status", "dateLastModified")


@dataclass(frozen=True)
class _Field:
    """A field of an object, the column of the file with its value, and the value's shape.

    ``refers``: the kind of object to which it refers. ``many``: a list.
    """

    name: str
    column: str
    refers: str = ""
    many: bool = False


def _text(*names: str) -> tuple[_Field, ...]:
    return tuple(_Field(name, name) for name in names)


def _list(*names: str) -> tuple[_Field, ...]:
    return tuple(_Field(name, name, many=True) for name in names)


_USER = (
    *_text("enabledUser", "username", "givenName", "familyName", "middleName", "identifier"),
    *_text("email", "sms", "phone", "password"),
    _Field("agents", "agentSourcedIds", "users", many=True),
    *_list("grades"),
)
_SHAPES: Mapping[str, tuple[_Field, ...]] = {
    "academicSessions": (
        *_text("title", "type", "startDate", "endDate", "schoolYear"),
        _Field("parent", "parentSourcedId", "academicSessions"),
    ),
    "orgs": (*_text("name", "type", "identifier"), _Field("parent", "parentSourcedId", "orgs")),
    "courses": (
        *_text("title", "courseCode"),
        _Field("schoolYear", "schoolYearSourcedId", "academicSessions"),
        *_list("grades"),
        _Field("org", "orgSourcedId", "orgs"),
        *_list("subjects", "subjectCodes"),
    ),
    "classes": (
        *_text("title", "classCode", "classType", "location"),
        *_list("grades"),
        _Field("course", "courseSourcedId", "courses"),
        _Field("school", "schoolSourcedId", "orgs"),
        _Field("terms", "termSourcedIds", "academicSessions", many=True),
        *_list("subjects", "subjectCodes", "periods"),
    ),
    "users": _USER,
    "enrollments": (
        _Field("user", "userSourcedId", "users"),
        _Field("class", "classSourcedId", "classes"),
        _Field("school", "schoolSourcedId", "orgs"),
        *_text("role", "primary", "beginDate", "endDate"),
    ),
    "demographics": _text(
        "birthDate", "sex", "americanIndianOrAlaskaNative", "asian", "blackOrAfricanAmerican",
        "nativeHawaiianOrOtherPacificIslander", "white", "demographicRaceTwoOrMoreRaces",
        "hispanicOrLatinoEthnicity", "countryOfBirthCode", "stateOfBirthAbbreviation",
        "cityOfBirth", "publicSchoolResidenceStatus",
    ),
}  # fmt: skip
_USER_1_1 = (*_text("role"), _Field("orgs", "orgSourcedIds", "orgs", many=True))
_USER_1_2 = (
    *_text("userMasterIdentifier", "pronouns"),
    _Field("preferredFirstName", "preferredGivenName"),
    _Field("preferredMiddleName", "preferredMiddleName"),
    _Field("preferredLastName", "preferredFamilyName"),
    _Field("primaryOrg", "primaryOrgSourcedId", "orgs"),
)
_MADE = {
    ("academicSessions", "1.1"): ("children",),
    ("academicSessions", "1.2"): ("children",),
    ("orgs", "1.1"): ("children",),
    ("orgs", "1.2"): ("children",),
    ("users", "1.1"): ("userIds",),
    ("users", "1.2"): ("userIds", "roles", "userProfiles"),
}
"""Fields that are made of more than one cell."""
_TO_1_2 = {"administrator": "siteAdministrator"}
_TO_1_1 = {
    "counselor": "aide",
    "districtAdministrator": "administrator",
    "principal": "administrator",
    "siteAdministrator": "administrator",
    "systemAdministrator": "administrator",
}


def fields_of(kind: str, version: str) -> frozenset[str]:
    """The names of all fields that an object of the kind may have."""
    shape = (*_SHAPES[kind], *_users_own(version)) if kind == "users" else _SHAPES[kind]
    made = _MADE.get((kind, version), ())
    return frozenset((*COMMON, "metadata", *(field.name for field in shape), *made))


def _users_own(version: str) -> tuple[_Field, ...]:
    return _USER_1_1 if version == "1.1" else _USER_1_2


# --- the files of a set -----------------------------------------------------------------------


def _texts(path: Path) -> Iterator[tuple[str, str]]:
    """The name and text of each CSV file of a folder or zip."""
    if path.is_dir():
        for file in sorted(path.rglob("*.csv")):
            yield file.stem, file.read_text(encoding="utf-8-sig")
        for packed in sorted(path.rglob("*.zip")):
            yield from _texts(packed)
        return
    with zipfile.ZipFile(path) as packed:
        for name in packed.namelist():
            if name.endswith(".csv"):
                yield Path(name).stem, packed.read(name).decode("utf-8-sig")


def read_set(path: Path) -> dict[str, list[Row]]:
    """The lines of each file of a CSV set, in a folder or a zip."""
    return {
        name: list(csv.DictReader(io.StringIO(text, newline=""))) for name, text in _texts(path)
    }


def taken_in(files: Files, received: Mapping[str, list[Row]]) -> Files:
    """The files after a set: a bulk file replaces the former one, a delta file changes it."""
    manifest = {row["propertyName"]: row["value"] for row in received.get("manifest", [])}
    after = dict(files)
    for name in _FILES:
        lines = received.get(name)
        if lines is None:
            continue
        delta = manifest.get(f"file.{name}") == "delta"
        kept = dict(after.get(name, {})) if delta else {}
        for line in lines:
            if delta and line["status"] == GONE:
                kept.pop(line["sourcedId"], None)
            else:
                kept[line["sourcedId"]] = line
        after[name] = kept
    return after


# --- the objects of a set ---------------------------------------------------------------------


class _Maker:
    """Makes objects of lines; ``base`` is the address below which they are found."""

    def __init__(self, version: str, base: str) -> None:
        self.version = version
        self.base = base

    def reference(self, kind: str, sourced_id: str) -> Json:
        return {
            "href": f"{self.base}/{kind}/{sourced_id}",
            "sourcedId": sourced_id,
            "type": SINGLE[kind],
        }

    def _value(self, field: _Field, cell: str) -> Any:  # noqa: ANN401 - JSON is of any type
        if not field.many:
            return self.reference(field.refers, cell) if field.refers else cell
        items = [item.strip() for item in cell.split(",")]
        return [self.reference(field.refers, item) for item in items] if field.refers else items

    def plain(self, shape: Iterable[_Field], line: Row) -> Json:
        """The fields whose cells are not blank."""
        made = {
            field.name: self._value(field, line[field.column])
            for field in shape
            if line.get(field.column)
        }
        metadata = {
            name.removeprefix("metadata."): cell
            for name, cell in line.items()
            if name.startswith("metadata.") and cell
        }
        return {**made, "metadata": metadata} if metadata else made

    def objects(self, files: Files) -> dict[str, dict[str, Json]]:
        made = {
            kind: {
                sourced_id: self.plain(_SHAPES[kind], line)
                for sourced_id, line in files.get(kind, {}).items()
            }
            for kind in SINGLE
        }
        for kind in ("academicSessions", "orgs"):
            self._add_children(kind, files.get(kind, {}), made[kind])
        self._finish_users(files, made["users"])
        return made

    def _add_children(self, kind: str, lines: Mapping[str, Row], made: dict[str, Json]) -> None:
        for sourced_id, line in lines.items():
            parent = line.get("parentSourcedId")
            if parent and parent in made:
                made[parent].setdefault("children", []).append(self.reference(kind, sourced_id))

    def _finish_users(self, files: Files, users: dict[str, Json]) -> None:
        roles = _grouped(files.get("roles", {}).values())
        profiles = _grouped(files.get("userProfiles", {}).values())
        for sourced_id, user in users.items():
            line = files["users"][sourced_id]
            held = roles.get(sourced_id) or list(_roles_of_1_1(line))
            if line.get("userIds"):
                user["userIds"] = [
                    {"type": kind, "identifier": own}
                    for kind, own in re.findall(r"\{([^:{}]*):([^{}]*)\}", line["userIds"])
                ]
            if self.version == "1.1":
                held.sort(key=lambda role: role["roleType"])
                own = {
                    "role": _TO_1_1.get(held[0]["role"], held[0]["role"]),
                    "orgSourcedIds": ",".join(dict.fromkeys(role["orgSourcedId"] for role in held)),
                }
                user.update(self.plain(_USER_1_1, own))
                continue
            primary = line.get("primaryOrgSourcedId") or held[0]["orgSourcedId"]
            user.update(self.plain(_USER_1_2, {**line, "primaryOrgSourcedId": primary}))
            user["roles"] = [self._role(role) for role in held]
            if sourced_id in profiles:
                user["userProfiles"] = [_profile(line) for line in profiles[sourced_id]]

    def _role(self, line: Row) -> Json:
        own = ("roleType", "role", "beginDate", "endDate")
        made: Json = {name: line[name] for name in own if line.get(name)}
        made["org"] = self.reference("orgs", line["orgSourcedId"])
        if line.get("userProfileSourcedId"):
            made["userProfile"] = line["userProfileSourcedId"]
        return made


def _grouped(lines: Iterable[Row]) -> dict[str, list[Row]]:
    groups: dict[str, list[Row]] = {}
    for line in lines:
        groups.setdefault(line["userSourcedId"], []).append(line)
    return groups


def _roles_of_1_1(line: Row) -> Iterator[Row]:
    """The roles of a user of version 1.1: the same one at each of the user's organizations."""
    orgs = line.get("orgSourcedIds") or line.get("primaryOrgSourcedId") or ""
    for place, org in enumerate(orgs.split(",")):
        yield {
            "roleType": "secondary" if place else "primary",
            "role": _TO_1_2.get(line["role"], line["role"]),
            "orgSourcedId": org.strip(),
        }


def _profile(line: Row) -> Json:
    own = ("profileType", "vendorId", "applicationId", "description")
    made: Json = {"profileId": line["sourcedId"]}
    made.update({name: line[name] for name in own if line.get(name)})
    credential = {
        name: line[column]
        for name, column in (
            ("type", "credentialType"),
            ("username", "username"),
            ("password", "password"),
        )
        if line.get(column)
    }
    return {**made, "credentials": [credential]} if credential else made


# --- records, over time -----------------------------------------------------------------------


@dataclass(frozen=True)
class Record:
    """An object with what every object says of itself."""

    sourced_id: str
    status: str
    modified: str
    own: Json

    @cached_property
    def object(self) -> Json:
        """The whole object. Nobody may change it."""
        return {
            "sourcedId": self.sourced_id,
            "status": self.status,
            "dateLastModified": self.modified,
            **self.own,
        }

    @cached_property
    def text(self) -> bytes:
        """The object as JSON, rendered once."""
        return json.dumps(self.object, ensure_ascii=False).encode()


def stamp(at: datetime) -> str:
    """A time as the specification writes it."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Catalog:
    """All records of a district's student system, as they are now.

    ``files``: the lines of the sets taken in. A record that is gone stays, marked as such.
    """

    def __init__(self, version: str, base: str) -> None:
        self._maker = _Maker(version, base)
        self.files: Files = {}
        self.version = version
        self.records: dict[str, dict[str, Record]] = {kind: {} for kind in SINGLE}

    def take_in(self, path: Path, at: datetime) -> None:
        """Takes the next set in; what differs was modified ``at`` that time."""
        self.files = taken_in(self.files, read_set(path))
        for kind, objects in self._maker.objects(self.files).items():
            self.records[kind] = _changed(self.records[kind], objects, stamp(at))

    def listed(self, kind: str) -> list[Record]:
        """The records of a kind in the order of their ids, which is the server's own order."""
        records = self.records[kind]
        return [records[sourced_id] for sourced_id in sorted(records)]

    def active(self, kind: str) -> dict[str, Json]:
        """The objects of a kind that are not gone: the truth that a receiver should know."""
        return {
            sourced_id: record.own
            for sourced_id, record in self.records[kind].items()
            if record.status == HERE
        }


def _changed(before: Mapping[str, Record], now: Mapping[str, Json], at: str) -> dict[str, Record]:
    after = {}
    for sourced_id, own in now.items():
        known = before.get(sourced_id)
        same = known is not None and known.status == HERE and known.own == own
        after[sourced_id] = known if same else Record(sourced_id, HERE, at, own)
    for sourced_id, record in before.items():
        if sourced_id not in now:
            gone = record.status == GONE
            after[sourced_id] = record if gone else Record(sourced_id, GONE, at, record.own)
    return after
