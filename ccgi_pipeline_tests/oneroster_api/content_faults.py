"""What faults of types, ids, references, statuses and repeated rows do.

Belongs here: effects on the objects of a page. Does not belong here: their names (faults), and
which records are on a page (paging_faults).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from ccgi_pipeline_tests.oneroster_api.exchanges import Answer, Exchange
from ccgi_pipeline_tests.oneroster_api.faults import Fault, Stage, at
from ccgi_pipeline_tests.oneroster_api.objects import GONE, HERE, Json, fields_of

Rows = list[Any]
_TRUE, _FALSE = "true", "false"
_DATES = ("startDate", "endDate", "beginDate", "birthDate")
STRANGER = "nobody-of-this-set"
"""The id of a user whom no list has."""


def _walk(value: Any, change: Callable[[Any], Any]) -> Any:  # noqa: ANN401 - JSON is of any type
    """The value with each of its texts changed, however deep; names of fields stay."""
    if isinstance(value, dict):
        return {name: _walk(own, change) for name, own in value.items()}
    if isinstance(value, list):
        return [_walk(own, change) for own in value]
    return change(value) if isinstance(value, str) else value


def _number(text: str) -> Any:  # noqa: ANN401
    return int(text) if text.isascii() and text.isdigit() and str(int(text)) == text else text


# --- types ------------------------------------------------------------------------------------


@at(Stage.ROWS, Fault.NUMBERS_FOR_TEXT)
def _numbers(_exchange: Exchange, rows: Rows) -> Rows:
    return [_walk(row, _number) for row in rows]


@at(Stage.ROWS, Fault.NUMBERS_WITH_POINT)
def _points(_exchange: Exchange, rows: Rows) -> Rows:
    for row in rows:
        if isinstance(row.get("schoolYear"), str):
            row["schoolYear"] = float(row["schoolYear"])
    return rows


@at(Stage.ROWS, Fault.BOOLEANS_REAL)
def _booleans(_exchange: Exchange, rows: Rows) -> Rows:
    words = {_TRUE: True, _FALSE: False}
    return [_walk(row, lambda text: words.get(text, text)) for row in rows]


@at(Stage.ROWS, Fault.BOOLEANS_AS_NUMBERS)
def _ones(_exchange: Exchange, rows: Rows) -> Rows:
    words = {_TRUE: 1, _FALSE: 0}
    return [_walk(row, lambda text: words.get(text, text)) for row in rows]


_OWN_SHAPES = {"metadata", "status", "dateLastModified", "sourcedId"}


def _absent(exchange: Exchange, row: Json) -> list[str]:
    names = fields_of(exchange.kind, exchange.server.version)
    return sorted(names - row.keys() - _OWN_SHAPES)


@at(Stage.ROWS, Fault.NULLS)
def _nulls(exchange: Exchange, rows: Rows) -> Rows:
    return [{**row, **dict.fromkeys(_absent(exchange, row))} for row in rows]


@at(Stage.ROWS, Fault.EMPTY_STRINGS)
def _blanks(exchange: Exchange, rows: Rows) -> Rows:
    return [{**row, **dict.fromkeys(_absent(exchange, row), "")} for row in rows]


@at(Stage.ROWS, Fault.EMPTY_REFERENCES)
def _no_references(exchange: Exchange, rows: Rows) -> Rows:
    names = {"academicSessions": "parent", "orgs": "parent", "courses": "schoolYear"}
    name = names.get(exchange.kind)
    return [{name: {}, **row} if name else row for row in rows]


@at(Stage.ROWS, Fault.LISTS_AS_TEXT)
def _as_text(_exchange: Exchange, rows: Rows) -> Rows:
    def texts(value: Any) -> Any:  # noqa: ANN401
        plain = isinstance(value, list) and all(isinstance(item, str) for item in value)
        return ",".join(value) if plain else value

    return [{name: texts(own) for name, own in row.items()} for row in rows]


@at(Stage.ROWS, Fault.TEXTS_AS_LISTS)
def _as_lists(_exchange: Exchange, rows: Rows) -> Rows:
    return [{**row, "role": [row["role"]]} if "role" in row else row for row in rows]


@at(Stage.ROWS, Fault.UNKNOWN_FIELDS)
def _unknown(_exchange: Exchange, rows: Rows) -> Rows:
    extra = {"login": {"password": "hunter2", "tries": 3}, "x-rank": [1, None, {"deep": []}]}
    return [{**row, **extra} for row in rows]


# --- dates and statuses -----------------------------------------------------------------------


def _redated(rows: Rows, time: str) -> Rows:
    return [
        {name: f"{own}{time}" if name in _DATES and own else own for name, own in row.items()}
        for row in rows
    ]


@at(Stage.ROWS, Fault.DATES_WITH_TIMES)
def _midnight(_exchange: Exchange, rows: Rows) -> Rows:
    return _redated(rows, "T00:00:00.000Z")


@at(Stage.ROWS, Fault.DATES_AT_NIGHT)
def _evening(_exchange: Exchange, rows: Rows) -> Rows:
    return _redated(rows, "T17:00:00.000-07:00")


@at(Stage.ROWS, Fault.MODIFIED_WITH_OFFSET)
def _offset(_exchange: Exchange, rows: Rows) -> Rows:
    for row in rows:
        said = str(row.get("dateLastModified", ""))
        row["dateLastModified"] = said.replace("T", " ").replace("Z", "+00:00")
    return rows


@at(Stage.ROWS, Fault.MODIFIED_WITHOUT_ZONE)
def _no_zone(_exchange: Exchange, rows: Rows) -> Rows:
    for row in rows:
        row["dateLastModified"] = str(row.get("dateLastModified", "")).removesuffix("Z")
    return rows


@at(Stage.ROWS, Fault.MODIFIED_IN_FUTURE)
def _in_future(_exchange: Exchange, rows: Rows) -> Rows:
    if rows:
        rows[0]["dateLastModified"] = "2099-01-01T00:00:00.000Z"
    return rows


@at(Stage.ROWS, Fault.MODIFIED_ABSENT)
def _no_moment(_exchange: Exchange, rows: Rows) -> Rows:
    return [{name: own for name, own in row.items() if name != "dateLastModified"} for row in rows]


@at(Stage.ROWS, Fault.MODIFIED_UNREADABLE)
def _yesterday(_exchange: Exchange, rows: Rows) -> Rows:
    return [{**row, "dateLastModified": "yesterday"} for row in rows]


@at(Stage.ROWS, Fault.STATUS_ABSENT)
def _no_status(_exchange: Exchange, rows: Rows) -> Rows:
    return [{name: own for name, own in row.items() if name != "status"} for row in rows]


@at(Stage.ROWS, Fault.STATUS_INACTIVE)
def _inactive(_exchange: Exchange, rows: Rows) -> Rows:
    return [{**row, "status": "inactive"} if row.get("status") == GONE else row for row in rows]


@at(Stage.ROWS, Fault.STATUS_CAPITALS)
def _capitals(_exchange: Exchange, rows: Rows) -> Rows:
    return [{**row, "status": str(row.get("status", "")).upper()} for row in rows]


# --- rows too many, and rows that are none ----------------------------------------------------


@at(Stage.ROWS, Fault.DUPLICATE_IN_PAGE)
def _again_in_page(_exchange: Exchange, rows: Rows) -> Rows:
    return [*rows, *rows[-1:]]


@at(Stage.CHOOSE, Fault.DUPLICATE_ACROSS_PAGES)
def _again_at_end(exchange: Exchange, chosen: Rows) -> Rows:
    return [*chosen, *chosen[:1]] if exchange.kind == "enrollments" else chosen


def _is_last(exchange: Exchange) -> bool:
    """Whether it is the last page of enrollments that has rows."""
    end = exchange.offset + exchange.limit
    return exchange.kind == "enrollments" and exchange.offset < len(exchange.chosen) <= end


@at(Stage.ROWS, Fault.DUPLICATE_DIFFERENT)
def _same_id(exchange: Exchange, rows: Rows) -> Rows:
    if not _is_last(exchange) or not rows:
        return rows
    user = {**rows[0].get("user", {}), "sourcedId": STRANGER}
    return [*rows, {**rows[0], "user": user}]


@at(Stage.ROWS, Fault.DANGLING_REFERENCE)
def _dangling(exchange: Exchange, rows: Rows) -> Rows:
    here = [place for place, row in enumerate(rows) if row.get("status") == HERE]
    if exchange.kind == "enrollments" and here and not exchange.later:
        row = rows[here[0]]
        rows[here[0]] = {**row, "user": {**row.get("user", {}), "sourcedId": STRANGER}}
    return rows


_NO_ROWS = {Fault.ROW_NULL: b"null", Fault.ROW_TEXT: b'"see page 4"'}


@at(Stage.ANSWER, *_NO_ROWS)
def _no_row(exchange: Exchange, answer: Answer) -> Answer:
    if not exchange.later or b"[{" not in answer.body:
        return answer
    odd = b"[%s, {" % _NO_ROWS[exchange.fault]
    return replace(answer, body=answer.body.replace(b"[{", odd, 1))


@at(Stage.ROWS, Fault.ROW_WITHOUT_ID)
def _no_id(exchange: Exchange, rows: Rows) -> Rows:
    if exchange.later and rows:
        rows[0].pop("sourcedId", None)
    return rows


# --- ids and references -----------------------------------------------------------------------

_FLAT = {
    "parent": "parentSourcedId",
    "org": "orgSourcedId",
    "orgs": "orgSourcedIds",
    "course": "courseSourcedId",
    "school": "schoolSourcedId",
    "terms": "termSourcedIds",
    "user": "userSourcedId",
    "class": "classSourcedId",
    "agents": "agentSourcedIds",
    "primaryOrg": "primaryOrgSourcedId",
}


def _is_reference(value: Any) -> bool:  # noqa: ANN401
    return isinstance(value, dict) and value.keys() == {"href", "sourcedId", "type"}


def _flat(value: Any) -> Any:  # noqa: ANN401
    if isinstance(value, list):
        return ",".join(item["sourcedId"] for item in value)
    return value["sourcedId"]


@at(Stage.ROWS, Fault.REFERENCES_FLAT)
def _flatten(_exchange: Exchange, rows: Rows) -> Rows:
    def flat(name: str, own: Any) -> tuple[str, Any]:  # noqa: ANN401
        some = own[0] if isinstance(own, list) and own else own
        if name == "schoolYear" and _is_reference(own):
            return "schoolYearSourcedId", _flat(own)
        return (_FLAT[name], _flat(own)) if name in _FLAT and _is_reference(some) else (name, own)

    return [dict(flat(name, own) for name, own in row.items()) for row in rows]


def _references(value: Any, change: Callable[[Json], Json]) -> Any:  # noqa: ANN401
    """The value with each reference in it changed."""
    if _is_reference(value):
        return change(value)
    if isinstance(value, dict):
        return {name: _references(own, change) for name, own in value.items()}
    return [_references(own, change) for own in value] if isinstance(value, list) else value


@at(Stage.ROWS, Fault.REFERENCES_ELSEWHERE)
def _elsewhere(exchange: Exchange, rows: Rows) -> Rows:
    base = exchange.server.elsewhere
    return _references(rows, lambda own: {**own, "href": f"{base}/{own['sourcedId']}"})


@at(Stage.ROWS, Fault.REFERENCES_OTHER_CASE)
def _other_case(exchange: Exchange, rows: Rows) -> Rows:
    def swapped(own: Json) -> Json:
        users = own["type"] == "user"
        return {**own, "sourcedId": own["sourcedId"].swapcase()} if users else own

    return _references(rows, swapped) if exchange.kind == "enrollments" else rows


def _renamed(rows: Rows, end: str) -> Iterator[Json]:
    for row in _references(rows, lambda own: {**own, "sourcedId": own["sourcedId"] + end}):
        yield {**row, "sourcedId": row["sourcedId"] + end} if "sourcedId" in row else row


@at(Stage.ROWS, Fault.IDS_ALL_NEW)
def _new_ids(_exchange: Exchange, rows: Rows) -> Rows:
    return list(_renamed(rows, "-2027"))


@at(Stage.ROWS, Fault.IDS_ILLEGAL)
def _illegal_ids(_exchange: Exchange, rows: Rows) -> Rows:
    return list(_renamed(rows, " x"))


# --- texts ------------------------------------------------------------------------------------


def _in_names(rows: Rows, end: str) -> Rows:
    for row in rows:
        for name in ("familyName", "title", "name"):
            if isinstance(row.get(name), str):
                row[name] += end
    return rows


@at(Stage.ROWS, Fault.CONTROL_CHARACTERS)
def _control(_exchange: Exchange, rows: Rows) -> Rows:
    return _in_names(rows, '\r\n"\t\x00\x1b[2J')


@at(Stage.ROWS, Fault.LONE_SURROGATE)
def _surrogate(_exchange: Exchange, rows: Rows) -> Rows:
    return _in_names(rows, "\ud83d")


@at(Stage.ROWS, Fault.COMMA_IN_ITEM)
def _comma(_exchange: Exchange, rows: Rows) -> Rows:
    return [
        {**row, "subjects": [f"{item}, and more" for item in row["subjects"]]}
        if isinstance(row.get("subjects"), list)
        else row
        for row in rows
    ]
