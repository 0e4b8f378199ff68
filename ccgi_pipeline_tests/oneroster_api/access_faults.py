"""What faults of tokens, rights, redirects, connections and patience do.

Belongs here: effects that give no answer, a late one, or a refusal. Does not belong here: their
names (faults); certificates, which the server chooses when a connection begins.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

from ccgi_pipeline_tests.oneroster_api.exchanges import (
    Answer,
    Exchange,
    as_error,
    as_html,
    as_json,
)
from ccgi_pipeline_tests.oneroster_api.faults import Fault, Stage, at

_THREE_YEARS = 3 * 365 * 86_400
_REQUESTS_OF_A_TOKEN = 3
_DRIP = 0.2


# --- busy, broken, silent ---------------------------------------------------------------------


def _error(exchange: Exchange, status: int) -> Answer:
    code = "server_busy" if status == 429 else "internal_server_error"
    return as_error(exchange.server.version, status, code, "not now")


def _busy(exchange: Exchange, retry_after: str) -> Answer:
    answer = _error(exchange, 429)
    return replace(answer, headers={**answer.headers, "Retry-After": retry_after})


@at(
    Stage.BEFORE,
    Fault.BUSY_SECONDS,
    Fault.BUSY_DATE,
    Fault.BUSY_ABSURD,
    Fault.BUSY_HTML,
    Fault.ERROR_500_ONCE,
    Fault.ERROR_502_ONCE,
    Fault.ERROR_503_ONCE,
)
def _not_now(exchange: Exchange, before: Answer | None) -> Answer | None:
    if exchange.count():
        return before
    soon = datetime.now(tz=UTC) + timedelta(seconds=1)
    return {
        Fault.BUSY_SECONDS: lambda: _busy(exchange, "1"),
        Fault.BUSY_DATE: lambda: _busy(exchange, format_datetime(soon, usegmt=True)),
        Fault.BUSY_ABSURD: lambda: _busy(exchange, str(_THREE_YEARS)),
        Fault.BUSY_HTML: lambda: as_html(429),
        Fault.ERROR_500_ONCE: lambda: _error(exchange, 500),
        Fault.ERROR_502_ONCE: lambda: as_html(502),
        Fault.ERROR_503_ONCE: lambda: _error(exchange, 503),
    }[exchange.fault]()


_ALWAYS = {Fault.BUSY_ALWAYS: 429, Fault.ERROR_500_ALWAYS: 500, Fault.ERROR_503_ALWAYS: 503}


@at(Stage.BEFORE, *_ALWAYS)
def _never(exchange: Exchange, before: Answer | None) -> Answer | None:
    return _error(exchange, _ALWAYS[exchange.fault]) if exchange.later else before


@at(Stage.BEFORE, Fault.SILENCE_ONCE)
def _silent_once(exchange: Exchange, before: Answer | None) -> Answer | None:
    if exchange.kind != "enrollments" or exchange.count():
        return before
    return Answer(200, silent=True)


@at(Stage.BEFORE, Fault.SILENCE_ALWAYS)
def _silent(exchange: Exchange, before: Answer | None) -> Answer | None:
    silent = exchange.kind == "enrollments" and exchange.later
    return Answer(200, silent=True) if silent else before


@at(Stage.ANSWER, Fault.SLOW_DRIP)
def _drip(exchange: Exchange, answer: Answer) -> Answer:
    slow = exchange.kind == "enrollments" and exchange.later
    return replace(answer, drip=_DRIP) if slow else answer


@at(Stage.ANSWER, Fault.RESET_ONCE, Fault.RESET_ALWAYS)
def _reset(exchange: Exchange, answer: Answer) -> Answer:
    if not exchange.later or (exchange.fault is Fault.RESET_ONCE and exchange.count()):
        return answer
    return replace(answer, cut=len(answer.body) // 2)


@at(Stage.ANSWER, Fault.CLOSED_ONCE)
def _close(exchange: Exchange, answer: Answer) -> Answer:
    return answer if exchange.count() else replace(answer, cut=-1)


# --- tokens and rights ------------------------------------------------------------------------


@at(Stage.BEFORE, Fault.GRANT_EXPIRES)
def _expire(exchange: Exchange, before: Answer | None) -> Answer | None:
    if exchange.kind == "enrollments" and exchange.later and not exchange.count():
        exchange.server.authorization.end_tokens()
    return before


@at(Stage.BEFORE, Fault.GRANT_SHORT)
def _expire_soon(exchange: Exchange, before: Answer | None) -> Answer | None:
    if exchange.count(of_all=True) % (_REQUESTS_OF_A_TOKEN + 1) == _REQUESTS_OF_A_TOKEN:
        exchange.server.authorization.end_tokens()
    return before


@at(Stage.BEFORE, Fault.GRANT_NEVER_GOOD)
def _unauthorized(exchange: Exchange, _before: Answer | None) -> Answer:
    return as_error(exchange.server.version, 401, "unauthorisedrequest", "not with this token")


@at(Stage.BEFORE, Fault.FORBIDDEN)
def _forbid(exchange: Exchange, before: Answer | None) -> Answer | None:
    if exchange.kind != "enrollments":
        return before
    return as_error(exchange.server.version, 403, "forbidden", "not for this client")


@at(Stage.GRANT, Fault.GRANT_REFUSED)
def _refuse_token(_exchange: Exchange, _answer: Answer) -> Answer:
    return as_json(401, {"error": "invalid_client"})


@at(Stage.GRANT, Fault.SCOPE_REFUSED)
def _refuse_scope(_exchange: Exchange, _answer: Answer) -> Answer:
    return as_json(400, {"error": "invalid_scope"})


@at(Stage.GRANT, Fault.GRANT_HTML)
def _token_html(_exchange: Exchange, _answer: Answer) -> Answer:
    return as_html(200)


@at(Stage.GRANT, Fault.GRANT_500_ONCE)
def _token_500(exchange: Exchange, answer: Answer) -> Answer:
    return answer if exchange.count() else as_json(500, {"error": "server_error"})


@at(Stage.GRANT, Fault.GRANT_REDIRECTED)
def _token_elsewhere(exchange: Exchange, _answer: Answer) -> Answer:
    return Answer(307, {"Location": f"{exchange.server.elsewhere}/token"})


def _granted(answer: Answer, exchange: Exchange, changes: Mapping[str, object]) -> Answer:
    """The answer with other members; None takes one away."""
    given = {**exchange.server.last_token, **changes}
    kept = {name: own for name, own in given.items() if own is not None}
    return as_json(200, kept) if answer.status == 200 else answer


@at(Stage.GRANT, Fault.GRANT_LOWER_CASE)
def _lower_case(exchange: Exchange, answer: Answer) -> Answer:
    return _granted(answer, exchange, {"token_type": "bearer", "expires_in": "3600", "scope": None})


@at(Stage.GRANT, Fault.GRANT_ENDLESS)
def _endless(exchange: Exchange, answer: Answer) -> Answer:
    return _granted(answer, exchange, {"expires_in": None})


# --- redirects --------------------------------------------------------------------------------


@at(Stage.ANSWER, Fault.REDIRECT_TO_LOGIN)
def _to_login(exchange: Exchange, answer: Answer) -> Answer:
    if not exchange.later:
        return answer
    return Answer(302, {"Location": f"{exchange.server.elsewhere}/login"})
