"""What faults of paging, totals, links, order and filters do.

Belongs here: effects on which rows are sent when. Does not belong here: their names (faults), and
what is within a row (content_faults).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ccgi_pipeline_tests.oneroster_api.exchanges import Answer, Exchange, as_error
from ccgi_pipeline_tests.oneroster_api.faults import Fault, Stage, at
from ccgi_pipeline_tests.oneroster_api.objects import GONE, HERE, Record
from ccgi_pipeline_tests.oneroster_api.queries import Query, page_address

_TOTAL = "X-Total-Count"
_CLAMPED = 70
_ALL = 10**9
INSERTED = "--inserted-"
"""How ids of rows begin that come in between: before all others."""

Records = Sequence[Record]


# --- which rows are on a page -----------------------------------------------------------------


@at(Stage.PAGE, Fault.PAGE_MISSING)
def _skip(exchange: Exchange, page: Records) -> Records:
    if exchange.offset < exchange.limit:
        return page
    start = exchange.offset + exchange.limit
    return exchange.chosen[start : start + exchange.limit]


@at(Stage.PAGE, Fault.PAGE_REPEATED)
def _repeat(exchange: Exchange, page: Records) -> Records:
    return exchange.chosen[: exchange.limit] if exchange.second else page


@at(Stage.PAGE, Fault.PAGES_OVERLAP)
def _overlap(exchange: Exchange, page: Records) -> Records:
    if not exchange.offset:
        return page
    return exchange.chosen[exchange.offset - 1 : exchange.offset - 1 + exchange.limit]


@at(Stage.PAGE, Fault.EMPTY_PAGE)
def _empty(exchange: Exchange, page: Records) -> Records:
    return () if exchange.second else page


@at(Stage.PAGE, Fault.EMPTY_PAGE_ONCE)
def _empty_once(exchange: Exchange, page: Records) -> Records:
    once = exchange.second and not exchange.count()
    return () if once else page


@at(Stage.ASK, Fault.ROW_INSERTED)
def _insert(exchange: Exchange, query: Query) -> Query:
    if exchange.kind == "enrollments" and query.offset:
        number = exchange.count()
        records = exchange.server.catalog.records[exchange.kind]
        here = [one for one in records.values() if one.status == HERE]
        if not number and here:
            added = replace(here[0], sourced_id=f"{INSERTED}{number}")
            exchange.server.catalog.records[exchange.kind] = {**records, added.sourced_id: added}
    return query


@at(Stage.ASK, Fault.ROW_DELETED)
def _delete(exchange: Exchange, query: Query) -> Query:
    if exchange.kind == "enrollments" and query.offset and not exchange.count():
        records = dict(exchange.server.catalog.records[exchange.kind])
        here = sorted(own for own, record in records.items() if record.status == HERE)
        del records[here[0]]
        exchange.server.catalog.records[exchange.kind] = records
    return query


@at(Stage.CHOOSE, Fault.ROWS_NEVER_REST)
def _flap(exchange: Exchange, chosen: Records) -> Records:
    return chosen[exchange.count() % 2 :]


@at(Stage.CHOOSE, Fault.COLLECTION_EMPTY, Fault.ALL_EMPTY)
def _none(exchange: Exchange, chosen: Records) -> Records:
    every = exchange.fault is Fault.ALL_EMPTY
    return () if every or exchange.kind == "enrollments" else chosen


@at(Stage.CHOOSE, Fault.TOMBSTONES_DROPPED)
def _drop(_exchange: Exchange, chosen: Records) -> Records:
    return [record for record in chosen if record.status != GONE]


# --- 404 and 400 ------------------------------------------------------------------------------


def _unknown(exchange: Exchange) -> Answer:
    return as_error(exchange.server.version, 404, "unknownobject", "there is no such object")


@at(Stage.ANSWER, Fault.EMPTY_IS_404)
def _empty_is_404(exchange: Exchange, answer: Answer) -> Answer:
    return _unknown(exchange) if answer.body.endswith(b"[]}") else answer


@at(Stage.ANSWER, Fault.COLLECTION_404)
def _collection_404(exchange: Exchange, answer: Answer) -> Answer:
    return _unknown(exchange) if exchange.kind == "enrollments" else answer


@at(Stage.ANSWER, Fault.PAGE_404)
def _page_404(exchange: Exchange, answer: Answer) -> Answer:
    return _unknown(exchange) if exchange.second else answer


def _refuse(exchange: Exchange, parameter: str, code: str) -> Answer | None:
    if parameter not in exchange.parameters:
        return None
    return as_error(exchange.server.version, 400, code, f"{parameter} is not supported")


@at(Stage.BEFORE, Fault.SORT_REFUSED)
def _refuse_sort(exchange: Exchange, _none_yet: None) -> Answer | None:
    return _refuse(exchange, "sort", "invalid_sort_field")


@at(Stage.BEFORE, Fault.FILTER_REFUSED)
def _refuse_filter(exchange: Exchange, _none_yet: None) -> Answer | None:
    return _refuse(exchange, "filter", "invalid_filter_field")


@at(Stage.BEFORE, Fault.FIELDS_REFUSED)
def _refuse_fields(exchange: Exchange, _none_yet: None) -> Answer | None:
    return _refuse(exchange, "fields", "invalid_selection_field")


@at(Stage.BEFORE, Fault.LIMIT_REFUSED)
def _refuse_limit(exchange: Exchange, before: Answer | None) -> Answer | None:
    if int(exchange.parameters.get("limit", "0")) <= _CLAMPED:
        return before
    return as_error(exchange.server.version, 400, "invaliddata", "limit is too large")


# --- limit, offset, filter, order -------------------------------------------------------------


@at(Stage.ASK, Fault.LIMIT_IGNORED)
def _no_limit(_exchange: Exchange, query: Query) -> Query:
    return replace(query, limit=_ALL)


@at(Stage.ASK, Fault.LIMIT_CLAMPED)
def _clamp(_exchange: Exchange, query: Query) -> Query:
    return replace(query, limit=min(query.limit, _CLAMPED))


@at(Stage.ASK, Fault.OFFSET_IGNORED)
def _no_offset(_exchange: Exchange, query: Query) -> Query:
    return replace(query, offset=0)


@at(Stage.ASK, Fault.OFFSET_IS_PAGE)
def _page_number(_exchange: Exchange, query: Query) -> Query:
    return replace(query, offset=query.offset * query.limit)


@at(Stage.ASK, Fault.FILTER_IGNORED)
def _no_filter(_exchange: Exchange, query: Query) -> Query:
    return replace(query, filter=None)


@at(Stage.CHOOSE, Fault.SORT_IGNORED)
def _own_order(exchange: Exchange, chosen: Records) -> Records:
    return exchange.shuffled(chosen, 0)


@at(Stage.CHOOSE, Fault.SORT_CHANGES)
def _new_order(exchange: Exchange, chosen: Records) -> Records:
    return exchange.shuffled(chosen, exchange.count())


@at(Stage.PAGE, Fault.SORT_WITHIN_PAGE)
def _sort_page(exchange: Exchange, _page: Records) -> Records:
    own = exchange.shuffled(exchange.chosen, 0)
    page = own[exchange.offset : exchange.offset + exchange.limit]
    return sorted(page, key=lambda record: record.sourced_id)


# --- totals -----------------------------------------------------------------------------------


def _with(answer: Answer, **headers: str | None) -> Answer:
    """The answer with other headers; None takes one away."""
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    changed = {**answer.headers, **names}
    kept = {name: value for name, value in changed.items() if value is not None}
    return replace(answer, headers=kept)


@at(Stage.ANSWER, Fault.TOTAL_HIGH, Fault.TOTAL_LOW)
def _wrong_total(exchange: Exchange, answer: Answer) -> Answer:
    if _TOTAL not in answer.headers:
        return answer
    more = 3 if exchange.fault is Fault.TOTAL_HIGH else -3
    return _with(answer, X_Total_Count=str(max(0, len(exchange.chosen) + more)))


@at(Stage.ANSWER, Fault.TOTAL_ABSENT)
def _no_total(_exchange: Exchange, answer: Answer) -> Answer:
    return _with(answer, X_Total_Count=None, Link=None)


@at(Stage.ANSWER, Fault.TOTAL_TEXT)
def _total_text(_exchange: Exchange, answer: Answer) -> Answer:
    return _with(answer, X_Total_Count="many")


@at(Stage.ANSWER, Fault.TOTAL_NEGATIVE)
def _total_negative(_exchange: Exchange, answer: Answer) -> Answer:
    return _with(answer, X_Total_Count="-1")


@at(Stage.ANSWER, Fault.TOTAL_MOVES)
def _total_moves(exchange: Exchange, answer: Answer) -> Answer:
    moved = len(exchange.chosen) + exchange.count()
    return _with(answer, X_Total_Count=str(moved))


@at(Stage.ANSWER, Fault.TOTAL_OF_PAGE)
def _total_of_page(exchange: Exchange, answer: Answer) -> Answer:
    rest = max(0, len(exchange.chosen) - exchange.offset)
    return _with(answer, X_Total_Count=str(min(rest, exchange.limit)))


# --- links ------------------------------------------------------------------------------------


def _link(exchange: Exchange, answer: Answer, address: str, offset: int) -> Answer:
    to = page_address(address, exchange.parameters, exchange.limit, offset)
    return _with(answer, Link=f'<{to}>; rel="next"')


@at(Stage.ANSWER, Fault.LINK_ABSENT)
def _no_link(_exchange: Exchange, answer: Answer) -> Answer:
    return _with(answer, Link=None)


@at(Stage.ANSWER, Fault.LINK_MALFORMED)
def _bad_link(_exchange: Exchange, answer: Answer) -> Answer:
    return _with(answer, Link='next: <http//[::1; rel=">;,,"')


@at(Stage.ANSWER, Fault.LINK_ENDLESS)
def _endless_link(exchange: Exchange, answer: Answer) -> Answer:
    address = exchange.server.address_of(exchange.asked)
    return _link(exchange, answer, address, exchange.offset + exchange.limit)


@at(Stage.ANSWER, Fault.LINK_LOOP)
def _loop_link(exchange: Exchange, answer: Answer) -> Answer:
    return _link(exchange, answer, exchange.server.address_of(exchange.asked), exchange.offset)


@at(Stage.ANSWER, Fault.LINK_ELSEWHERE)
def _foreign_link(exchange: Exchange, answer: Answer) -> Answer:
    address = f"{exchange.server.elsewhere}/{exchange.kind}"
    return _link(exchange, answer, address, exchange.offset + exchange.limit)
