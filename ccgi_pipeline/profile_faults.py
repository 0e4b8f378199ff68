"""Faults of the settings file in words: where, what is allowed, what was found.

Belongs here: the translation of pydantic's errors, and the check of names that refer to something
else (servers, rules, extracts). Does not belong here: the settings themselves (``profiles``).

No message repeats a text that the file holds, unless it resembles an allowed one: it may be a
secret, or a student's value.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from datetime import date, datetime, time
from difflib import get_close_matches
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

CD_CODE, SERVER_NAME, NOT_BLANK = "^[0-9]{7}$", "^[a-z][a-z0-9_]*$", r"\S"
_PATTERNS: Mapping[str, str] = {
    CD_CODE: "is no CD code: name districts by their 7-digit CD code",
    SERVER_NAME: "is no name of a server: use small letters, digits and underscores",
    NOT_BLANK: "must not be blank",
}
_WANTED: Mapping[str, str] = {
    "string_type": "a text",
    "bool_type": "true or false",
    "int_type": "a whole number",
    "float_type": "a number",
    "date_type": "a date such as 2026-08-17, without quotation marks",
    "tuple_type": "a list",
    "mapping_type": "a table",
    "dict_type": "a table",
    "model_type": "a table",
}
"""What pydantic asks for, by the type of its error."""
_FOUND: Mapping[type, str] = {
    str: "a text",
    bool: "true or false",
    int: "a whole number",
    float: "a number with a decimal point",
    date: "a date",
    datetime: "a date with a time",
    time: "a time",
    list: "a list",
    dict: "a table",
}
"""What TOML can hold."""
_KEY = "[key]"
"""The end of a place where pydantic means a key, not its value."""

Place = tuple[int | str, ...]

_FORMER: Mapping[tuple[str, str], str] = {
    ("delivery", name): "moved to the table `cadence`, which decides what is written: see "
    "`daily_reporting`, `legacy_reporting` and `weekday` there"
    for name in ("every", "weekday")
}
"""Settings of districts that there once were, by table and name, and where they are now."""


def without_former_settings(file: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the file without settings that no longer exist."""
    districts = {cd: _without_former(own) for cd, own in table_at(file, "districts").items()}
    return {
        **file,
        **({"defaults": _without_former(file["defaults"])} if "defaults" in file else {}),
        **({"districts": districts} if districts else {}),
    }


def _without_former(profile: Any) -> Any:  # noqa: ANN401 - whatever TOML holds
    if not isinstance(profile, dict):
        return profile
    return {
        table: {name: one for name, one in own.items() if (table, name) not in _FORMER}
        if isinstance(own, dict)
        else own
        for table, own in profile.items()
    }


def of_validation(
    error: ValidationError, file: Mapping[str, Any], model: type[BaseModel]
) -> list[str]:
    """Returns the faults that pydantic found, a line each.

    ``file`` is the file as it was written. Pydantic read it with the defaults in every district: a
    fault of the defaults is reported only once, in its own place.
    """
    found = error.errors(include_url=False)
    return [
        f"{_spelled(one['loc'])} {_words(one, model)}"
        for one in found
        if one["loc"][0] != "districts" or _is_written(_place_in_file(one), file)
    ]


def of_references(file: Mapping[str, Any]) -> list[str]:
    """Returns the names in the file that refer to nothing, or contradict each other, a line each.

    The file need not be valid: whatever has another shape is passed over.
    """
    tables = [("defaults",), *(("districts", cd) for cd in table_at(file, "districts"))]
    outboxes = _outboxes(file)
    return [
        fault
        for place in tables
        for fault in (
            *_server_faults((*place, "delivery"), file, outboxes),
            *_idle_cadence((*place, "cadence"), file),
            *_unknown_rules((*place, "severities"), file),
            *_unknown_extracts((*place, "foster_focus", "file_names"), file),
        )
    ] + [*_folder_faults(file, outboxes)]


def table_at(file: Mapping[str, Any], *place: str) -> Mapping[str, Any]:
    """Returns the table at a place; an empty one if the file has none there."""
    found: Any = file
    for key in place:
        found = found.get(key) if isinstance(found, dict) else None
    return found if isinstance(found, dict) else {}


def _outboxes(file: Mapping[str, Any]) -> dict[str, str]:
    """The outbox of each server that has one."""
    outboxes = {name: table_at(file, "sftp", name).get("outbox") for name in table_at(file, "sftp")}
    return {name: outbox for name, outbox in outboxes.items() if outbox and type(outbox) is str}


def _server_faults(
    place: tuple[str, ...], file: Mapping[str, Any], outboxes: Collection[str]
) -> Iterator[str]:
    server = table_at(file, *place).get("server")
    if isinstance(server, str) and server not in outboxes:
        hint = f"found {_found(server, outboxes)}" if outboxes else "the file has none"
        yield (
            f"{_spelled((*place, 'server'))} must be the name of an [sftp] server with an outbox"
            f"{': ' if outboxes else ''}{_listed(outboxes)}; {hint}"
        )


def _folder_faults(file: Mapping[str, Any], outboxes: Mapping[str, str]) -> Iterator[str]:
    """A server of the district's own decides where its files go: its profile must not differ."""
    for name, outbox in outboxes.items():
        sender = table_at(file, "sftp", name).get("sender")
        if not isinstance(sender, str):
            continue
        place = ("districts", sender, "delivery")
        own = table_at(file, *place)
        folder, server = own.get("folder"), own.get("server")
        ignored = {
            "folder": isinstance(folder, str) and folder.rstrip("/") != outbox.rstrip("/"),
            "server": isinstance(server, str) and server in outboxes and server != name,
        }
        for key in (key for key, is_ignored in ignored.items() if is_ignored):
            yield (
                f"{_spelled((*place, key))} contradicts [sftp.{name}], whose sender is this "
                f"district: its files go to the outbox of that server. Remove {key} here, or "
                f"sender or outbox of [sftp.{name}]"
            )


def _idle_cadence(place: tuple[str, ...], file: Mapping[str, Any]) -> Iterator[str]:
    """A cadence outside the academic years says nothing where none are named."""
    calendars = [table_at(file, "defaults", "cadence"), table_at(file, *place)]
    if place[0] == "defaults":  # a district may name its years
        districts = table_at(file, "districts")
        calendars += [table_at(file, "districts", cd, "cadence") for cd in districts]
    if "outside" in table_at(file, *place) and not any(c.get("academic_years") for c in calendars):
        yield (
            f"{_spelled((*place, 'outside'))} has no effect without academic_years: name them, or "
            "remove outside"
        )


def _unknown_rules(place: tuple[str, ...], file: Mapping[str, Any]) -> Iterator[str]:
    named = table_at(file, *place)
    if named:
        from ccgi_pipeline.feeds.registry import RULES  # noqa: PLC0415 - it takes its time to import

        for rule in (name for name in named if name not in RULES):
            hint = _nearest(rule, RULES) or "the data dictionary has all rules"
            yield f"{_spelled((*place, rule))} is no rule; {hint}"


def _unknown_extracts(place: tuple[str, ...], file: Mapping[str, Any]) -> Iterator[str]:
    named = table_at(file, *place)
    if named:
        from ccgi_pipeline.feeds.registry import FEEDS  # noqa: PLC0415 - it takes its time to import

        extracts = [feed.name_in_profile for feed in FEEDS if feed.name_in_profile]
        for extract in (name for name in named if name not in extracts):
            hint = _nearest(extract, extracts) or f"there are {', '.join(extracts)}"
            yield f"{_spelled((*place, extract))} is no extract of Foster Focus; {hint}"


def _words(error: ErrorDetails, model: type[BaseModel]) -> str:
    """What is wrong, after the place."""
    kind, value, context = error["type"], error["input"], error.get("ctx", {})
    match kind:
        case "extra_forbidden":
            *table, key = error["loc"]
            if (former := _FORMER.get((str(table[-1]) if table else "", str(key)))) is not None:
                return f"is no setting any more; {former}"
            known = _keys_of(table, model)
            hint = _nearest(str(key), known) or f"there are {', '.join(known)}"
            words = f"is no setting; {hint}"
        case "missing":
            words = "is missing"
        case "too_short":
            words = "must not be empty"
        case "literal_error":
            allowed = re.findall("'([^']*)'", context["expected"])
            words = f"must be one of {_listed(allowed)}; found {_found(value, allowed)}"
        case "greater_than_equal" | "less_than_equal":
            limit = "at least" if "ge" in context else "at most"
            found = f"{value:g}" if abs(value) < _LONG else "a number of many digits"
            words = f"must be {limit} {context.get('ge', context.get('le')):g}; found {found}"
        case "string_pattern_mismatch":
            words = _PATTERNS[context["pattern"]]
        case "value_error":
            words = str(context["error"])
        case _:
            words = f"must be {_WANTED.get(kind, 'something else')}; found {_found(value)}"
    return words


_LONG = 1e6
"""A number with so many digits may be a student's, written into the wrong place."""


def _listed(names: Collection[str]) -> str:
    return ", ".join(map(repr, names))


def _found(value: object, allowed: Collection[str] = ()) -> str:
    """What the file has, by its type; a text itself only if it resembles an allowed one."""
    if isinstance(value, str) and get_close_matches(value, allowed, n=1):
        return repr(value)
    return str(value).lower() if isinstance(value, bool) else _FOUND.get(type(value), "another")


def _nearest(written: str, known: Collection[str]) -> str:
    near = get_close_matches(written, known, n=1)
    return f"did you mean `{near[0]}`?" if near else ""


def _keys_of(place: Collection[int | str], model: type[BaseModel]) -> list[str]:
    """The settings of the table at a place: its path leads through tables and named tables."""
    kind: Any = model
    for key in place:
        fields = getattr(kind, "model_fields", None)
        # Entries of a list are counted; of a mapping's types the second is that of its values.
        kind = fields[key].annotation if fields else get_args(kind)[not isinstance(key, int)]
    return sorted(kind.model_fields)


def _place_in_file(error: ErrorDetails) -> Place:
    """What is missing is not in the file, but its table is."""
    return error["loc"][:-1] if error["type"] == "missing" else error["loc"]


def _is_written(place: Place, file: Any) -> bool:  # noqa: ANN401 - whatever TOML holds
    """Whether the file itself has a value there."""
    for key in place:
        if key == _KEY:
            break
        try:
            file = file[key]
        except (KeyError, IndexError, TypeError):
            return False
    return True


def _spelled(place: Place) -> str:
    """A place as TOML spells keys; entries of a list are counted from 1."""
    names = [key for key in place if isinstance(key, str) and key != _KEY]
    entries = [f" (entry {key + 1})" for key in place if isinstance(key, int)]
    bare = (key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else f'"{key}"' for key in names)
    return ".".join(bare) + "".join(entries)
