"""What may be asked of a collection: limit, offset, sort, orderBy, filter and fields.

Belongs here: the rules of the specification for these parameters, and the answers to wrong ones.
Does not belong here: HTTP (server), and wrong behaviour (faults).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from operator import eq, ge, gt, le, lt, ne
from typing import Any
from urllib.parse import quote, urlencode

from ccgi_pipeline_tests.oneroster_api.objects import Json, Record, fields_of

DEFAULT_LIMIT = 100
Predicate = Callable[[Json], bool]


class RefusedError(Exception):
    """A request that the specification has a server refuse: HTTP status, code and words."""

    def __init__(self, status: int, code: str, words: str) -> None:
        super().__init__(words)
        self.status, self.code, self.words = status, code, words


@dataclass(frozen=True)
class Query:
    """The question of a request; ``warned`` is a code for what the server passed over."""

    limit: int
    offset: int
    sort: str | None
    descending: bool
    filter: str | None
    fields: tuple[str, ...] | None
    warned: str | None = None


def parse_query(parameters: Mapping[str, str], kind: str, version: str) -> Query:
    """The question in a request's parameters. Raises RefusedError."""
    known = fields_of(kind, version)
    warned = None
    fields = _fields(parameters.get("fields"))
    if fields is not None and not known.issuperset(fields):
        fields, warned = None, "invalid_selection_field"
    sort = parameters.get("sort")
    if sort is not None and sort.split(".")[0] not in known:
        sort, warned = None, "invalid_sort_field"
    return Query(
        limit=_number(parameters, "limit", DEFAULT_LIMIT, least=1),
        offset=_number(parameters, "offset", 0, least=0),
        sort=sort,
        descending=_order(parameters.get("orderBy")),
        filter=parameters.get("filter"),
        fields=fields,
        warned=warned,
    )


def _number(parameters: Mapping[str, str], name: str, otherwise: int, *, least: int) -> int:
    said = parameters.get(name)
    if said is None:
        return otherwise
    if not re.fullmatch(r"\d{1,9}", said) or int(said) < least:
        raise RefusedError(422, "invaliddata", f"{name} must be a number of at least {least}")
    return int(said)


def _order(said: str | None) -> bool:
    if said not in {None, "asc", "desc"}:
        raise RefusedError(422, "invaliddata", "orderBy must be asc or desc")
    return said == "desc"


def _fields(said: str | None) -> tuple[str, ...] | None:
    if said is None:
        return None
    names = tuple(name.strip() for name in said.split(","))
    if not all(names):
        raise RefusedError(400, "invalid_selection_field", "a name in fields is blank")
    return names


# --- filters ----------------------------------------------------------------------------------

_CLAUSE = r"\s*([A-Za-z][\w.]*)\s*(!=|>=|<=|=|>|<|~)\s*'([^']*)'\s*"
_ONE, _TWO = re.compile(_CLAUSE), re.compile(rf"{_CLAUSE}\b(AND|OR)\b{_CLAUSE}")
_COMPARED: Mapping[str, Callable[[Any, Any], bool]] = {
    "=": eq,
    "!=": ne,
    ">": gt,
    ">=": ge,
    "<": lt,
    "<=": le,
    "~": lambda cell, value: value in cell,
}


def parse_filter(said: str, kind: str, version: str) -> Predicate:
    """The test that a filter makes of each object: one clause, or two with AND or OR."""
    one, two = _ONE.fullmatch(said), _TWO.fullmatch(said)
    if one:
        return _clause(*one.groups(), known=fields_of(kind, version))
    if two is None:
        raise RefusedError(400, "invalid_filter_field", "the filter cannot be read")
    first, word, second = two.groups()[:3], two[4], two.groups()[4:]
    known = fields_of(kind, version)
    left, right = _clause(*first, known=known), _clause(*second, known=known)
    if word == "AND":
        return lambda made: left(made) and right(made)
    return lambda made: left(made) or right(made)


def _clause(field: str, sign: str, value: str, *, known: frozenset[str]) -> Predicate:
    if field.split(".", maxsplit=1)[0] not in known:
        raise RefusedError(400, "invalid_filter_field", f"there is no field {field}")
    compared = _COMPARED[sign]
    if field == "dateLastModified" and sign != "~":
        moment = _moment(value)
        return lambda made: compared(_moment(made[field]), moment)
    return lambda made: any(compared(str(cell), value) for cell in cells(made, field))


def _moment(said: str) -> datetime:
    try:
        read = datetime.fromisoformat(said)
    except ValueError:
        raise RefusedError(400, "invalid_filter_field", "the time cannot be read") from None
    return read if read.tzinfo else read.replace(tzinfo=UTC)


def cells(made: Json, field: str) -> list[Any]:
    """The values of a field (``org.sourcedId`` looks into it), each item of a list by itself."""
    found: list[Any] = [made]
    for name in field.split("."):
        inner = [one.get(name) for one in found if isinstance(one, dict)]
        found = [
            item
            for one in inner
            if one is not None
            for item in (one if isinstance(one, list) else [one])
        ]
    return found


# --- answers ----------------------------------------------------------------------------------


def select(records: Iterable[Record], query: Query, kind: str, version: str) -> Sequence[Record]:
    """The records that a query asks for, in its order, of all pages. ``records`` are sorted."""
    chosen = list(records)
    if query.filter is not None:
        fits = parse_filter(query.filter, kind, version)
        chosen = [record for record in chosen if fits(record.object)]
    field = query.sort
    if field not in {None, "sourcedId"}:
        chosen.sort(key=lambda record: "".join(map(str, cells(record.object, field or ""))))
    if query.descending:
        chosen.reverse()
    return chosen


def links(address: str, parameters: Mapping[str, str], query: Query, total: int) -> str:
    """The Link header of a page: first and last, and next and prev where there is one."""
    last = max(0, (total - 1) // query.limit * query.limit)
    pages = {"first": 0, "last": last}
    if query.offset + query.limit < total:
        pages["next"] = query.offset + query.limit
    if query.offset > 0:
        pages["prev"] = max(0, query.offset - query.limit)
    return ", ".join(
        f'<{page_address(address, parameters, query.limit, offset)}>; rel="{name}"'
        for name, offset in pages.items()
    )


def page_address(address: str, parameters: Mapping[str, str], limit: int, offset: int) -> str:
    """The address of another page of the same question."""
    asked = {**parameters, "limit": str(limit), "offset": str(offset)}
    return f"{address}?{urlencode(asked, quote_via=quote)}"
