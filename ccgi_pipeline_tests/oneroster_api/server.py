"""A OneRoster server of the tests: it serves any CSV set as REST 1.1 or 1.2, and can be at fault.

Belongs here: paths, the stages of an answer, and HTTP. Does not belong here: objects, queries,
authorization and the faults, which have modules of their own. It is written from the
specification (rostering binding 1.2 and its OpenAPI file, version 1.1), not from the client.

    with serve_oneroster(folder, version="1.2", faults=[Fault.PAGE_REPEATED]) as server:
        fetch(server.url, server.token_url, server.client_id, server.client_secret, server.ca_file)
        server.change(next_folder)
"""

from __future__ import annotations

import json
import tempfile
import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from ccgi_pipeline_tests.oneroster_api import (
    access_faults,
    answer_faults,
    content_faults,
    paging_faults,
)
from ccgi_pipeline_tests.oneroster_api.authorization import (
    BASIC,
    Asked,
    Authorization,
    TokenError,
    scopes_of,
)
from ccgi_pipeline_tests.oneroster_api.certificates import LOCAL, Authority
from ccgi_pipeline_tests.oneroster_api.connections import (
    Handler,
    HttpServer,
    StrangerHandler,
)
from ccgi_pipeline_tests.oneroster_api.exchanges import (
    JSON_TYPE,
    Answer,
    Exchange,
    as_error,
    as_json,
)
from ccgi_pipeline_tests.oneroster_api.faults import EFFECTS, Fault, Stage
from ccgi_pipeline_tests.oneroster_api.objects import SINGLE, Catalog, Record
from ccgi_pipeline_tests.oneroster_api.queries import (
    RefusedError,
    cells,
    links,
    parse_query,
    select,
)

assert all((access_faults, answer_faults, content_faults, paging_faults))

PREFIX = "/district"
SERVICES = {"1.1": "/ims/oneroster/v1p1", "1.2": "/ims/oneroster/rostering/v1p2"}
DISCOVERY = "onerosterv1p2rostersservice_openapi3_v1p0.json"
FIRST_CHANGE = datetime(2026, 11, 20, 2, 30, tzinfo=UTC)
"""When the first set was changed; each one after it a day later, unless the test says when."""

_CORE = ("roster.readonly", "roster-core.readonly")
_DEMOGRAPHICS = ("roster-demographics.readonly",)


@dataclass(frozen=True)
class _Path:
    """What a path lists: a kind of object, or those whose ``field`` is one of ``words``."""

    kind: str
    field: str = ""
    words: tuple[str, ...] = ()

    def has(self, record: Record, version: str) -> bool:
        if not self.field:
            return True
        field = "roles.role" if (self.field, version) == ("role", "1.2") else self.field
        return any(word in self.words for word in cells(record.object, field))


PATHS: Mapping[str, _Path] = {
    **{kind: _Path(kind) for kind in SINGLE},
    "schools": _Path("orgs", "type", ("school",)),
    "terms": _Path("academicSessions", "type", ("term",)),
    "gradingPeriods": _Path("academicSessions", "type", ("gradingPeriod",)),
    "students": _Path("users", "role", ("student",)),
    "teachers": _Path("users", "role", ("teacher",)),
}


@dataclass(frozen=True)
class Seen:
    """A request, and the status with which it was answered (0: not at all)."""

    method: str
    path: str
    query: Mapping[str, str]
    status: int


class RosterServer:
    """A running server. ``catalog``: what it knows. ``requests``: what it was asked, in order.

    ``elsewhere``: the address of another host, without TLS, to which faults lead; ``strangers``:
    the requests that came there, with their headers. A sound client never goes there.
    """

    def __init__(self, folder: Path, version: str, authorization: Authorization) -> None:
        self.version = version
        self.authorization = authorization
        self.client_id, self.client_secret = authorization.client_id, authorization.client_secret
        self.requests: list[Seen] = []
        self.strangers: list[Asked] = []
        self.errors: list[BaseException] = []
        self.last_token: dict[str, object] = {}
        self.closing = threading.Event()
        self.lock = threading.RLock()
        self._folder = folder
        self._authority = Authority(folder)
        self._counts: Counter[tuple[Fault, str]] = Counter()
        self._faults: tuple[Fault, ...] = ()
        self._changes = 0
        self._http = HttpServer(self, Handler)
        self._elsewhere = HttpServer(self, StrangerHandler)
        self.ca_file = self._authority.file
        self.scheme = "http"

    # --- for tests ---

    @property
    def origin(self) -> str:
        """Scheme, host and port."""
        return f"{self.scheme}://localhost:{self._http.server_port}"

    @property
    def url(self) -> str:
        """The address to which paths of collections are added."""
        return f"{self.origin}{PREFIX}{SERVICES[self.version]}"

    @property
    def token_url(self) -> str:
        """Where tokens are given."""
        return f"{self.origin}{PREFIX}/oauth/token"

    @property
    def elsewhere(self) -> str:
        """The address of the other host."""
        return f"http://127.0.0.1:{self._elsewhere.server_port}"

    @property
    def scopes(self) -> list[str]:
        """All scopes of the version."""
        return list(scopes_of(self.version).values())

    @property
    def faults(self) -> tuple[Fault, ...]:
        """What the server does wrong from now on. Setting it counts "once" from the beginning."""
        return self._faults

    @faults.setter
    def faults(self, faults: Iterable[Fault]) -> None:
        with self.lock:
            self._faults = tuple(faults)
            self._counts.clear()
            granted = tuple(scopes_of(self.version).values())
            less = Fault.SCOPE_LESS in self._faults
            self.authorization.granted = granted[:2] if less else granted
            if self.scheme == "https":
                self._http.tls = self._context()

    def change(self, folder: Path, at: datetime | None = None) -> None:
        """Serves the next set: a bulk file replaces the former one, a delta file changes it."""
        with self.lock:
            self.catalog.take_in(folder, at or FIRST_CHANGE + timedelta(days=self._changes))
            self._changes += 1

    # --- for faults ---

    def count(self, fault: Fault | None, what: str) -> int:
        """How often it was called before with the same."""
        with self.lock:
            self._counts[fault, what] += 1
            return self._counts[fault, what] - 1

    def address_of(self, asked: Asked) -> str:
        """The address of a request without its parameters."""
        return f"{self.origin}{urlsplit(asked.url).path}"

    def _context(self) -> Any:  # noqa: ANN401 - ssl's own type
        if Fault.CERTIFICATE_OTHER_HOST in self._faults:
            return self._authority.context(["other.example"])
        if Fault.CERTIFICATE_EXPIRED in self._faults:
            return self._authority.context(expired=True)
        if Fault.CERTIFICATE_UNKNOWN in self._faults:
            return Authority(self._folder, "Unknown authority").context()
        return self._authority.context(LOCAL)

    # --- answers ---

    def answer(self, asked: Asked) -> Answer:
        """The answer to a request."""
        parts = urlsplit(asked.url)
        parameters = dict(parse_qsl(parts.query, keep_blank_values=True))
        try:
            answer = self._answer(asked, parts.path, parameters)
        except RefusedError as refused:
            answer = as_error(self.version, refused.status, refused.code, refused.words)
        status = 0 if answer.silent or answer.cut == -1 else answer.status
        self.requests.append(Seen(asked.method, parts.path, parameters, status))
        return answer

    def _answer(self, asked: Asked, path: str, parameters: Mapping[str, str]) -> Answer:
        if path == urlsplit(self.token_url).path:
            return self._token(asked, parameters)
        service = urlsplit(self.url).path
        name, _, sourced_id = path.removeprefix(service).strip("/").partition("/")
        if not path.startswith(service) or asked.method != "GET":
            raise RefusedError(404, "unknownobject", "there is nothing here")
        if self.version == "1.2" and path == f"{service}/discovery/{DISCOVERY}":
            return as_json(200, self._discovery())
        if name not in PATHS:
            raise RefusedError(404, "unknownobject", "there is no such collection")
        if sourced_id:
            return self._single(asked, PATHS[name], unquote(sourced_id))
        kind = PATHS[name].kind
        exchange = Exchange(self, asked, parameters, kind=kind, key=kind)
        return self._collection(exchange, PATHS[name])

    def _through(self, stage: Stage, exchange: Exchange, value: Any) -> Any:  # noqa: ANN401
        """What the faults make of a value, one after the other."""
        effects = EFFECTS[stage]
        for fault in self._faults:
            if fault in effects:
                exchange.fault = fault
                value = effects[fault](exchange, value)
        return value

    def _token(self, asked: Asked, parameters: Mapping[str, str]) -> Answer:
        exchange = Exchange(self, asked, parameters)
        if Fault.GRANT_ENDS_OTHERS in self._faults:
            self.authorization.end_tokens()
        try:
            self.last_token = self.authorization.grant(asked)
            answer = as_json(200, self.last_token)
        except TokenError as refused:
            answer = as_json(refused.status, {"error": refused.code})
        return self._through(Stage.GRANT, exchange, answer)

    def _check(self, asked: Asked, kind: str) -> None:
        self.authorization.check(asked, _DEMOGRAPHICS if kind == "demographics" else _CORE)

    def _single(self, asked: Asked, path: _Path, sourced_id: str) -> Answer:
        self._check(asked, path.kind)
        record = self.catalog.records[path.kind].get(sourced_id)
        if record is None or not path.has(record, self.version):
            raise RefusedError(404, "unknownobject", "there is no such object")
        return as_json(200, {SINGLE[path.kind]: record.object})

    def _collection(self, exchange: Exchange, path: _Path) -> Answer:
        early = self._through(Stage.BEFORE, exchange, None)
        if early is not None:
            return early
        self._check(exchange.asked, path.kind)
        query = parse_query(exchange.parameters, path.kind, self.version)
        with self.lock:
            exchange.query = query = self._through(Stage.ASK, exchange, query)
            records = [
                record
                for record in self.catalog.listed(path.kind)
                if path.has(record, self.version)
            ]
            chosen = select(records, query, path.kind, self.version)
            exchange.chosen = chosen = self._through(Stage.CHOOSE, exchange, chosen)
        page = chosen[query.offset : query.offset + query.limit]
        page = self._through(Stage.PAGE, exchange, page)
        answer = Answer(200, self._headers(exchange), self._body(exchange, page))
        return self._through(Stage.ANSWER, exchange, answer)

    def _headers(self, exchange: Exchange) -> dict[str, str]:
        assert exchange.query is not None
        total = len(exchange.chosen)
        address = self.address_of(exchange.asked)
        return {
            "Content-Type": JSON_TYPE,
            "X-Total-Count": str(total),
            "Link": links(address, exchange.parameters, exchange.query, total),
        }

    def _body(self, exchange: Exchange, page: Iterable[Record]) -> bytes:
        assert exchange.query is not None
        fields, warned = exchange.query.fields, exchange.query.warned
        said = b""
        if warned and self.version == "1.1":
            info = {"imsx_codeMajor": "success", "imsx_severity": "warning"}
            info["imsx_CodeMinor"] = warned
            said = b', "statusInfoSet": %s' % json.dumps([info]).encode()
        altered = fields is not None or any(fault in EFFECTS[Stage.ROWS] for fault in self._faults)
        if not altered:
            items = b", ".join(record.text for record in page)
            return b'{"%s": [%s]%s}' % (exchange.key.encode(), items, said)
        rows = [dict(record.object) for record in page]
        if fields is not None:
            rows = [{name: row[name] for name in fields if name in row} for row in rows]
        rows = self._through(Stage.ROWS, exchange, rows)
        return b'{"%s": %s%s}' % (exchange.key.encode(), json.dumps(rows).encode(), said)

    def _discovery(self) -> dict[str, object]:
        """The part of the service's own description that a client looks at."""
        scopes = dict.fromkeys(self.scopes, "")
        flow = {"clientCredentials": {"tokenUrl": self.token_url, "scopes": scopes}}
        return {
            "openapi": "3.0.1",
            "info": {"title": "OneRoster Rostering Service", "version": "1.2"},
            "servers": [{"url": self.url}],
            "components": {"securitySchemes": {"OAuth2CC": {"type": "oauth2", "flows": flow}}},
            "paths": {f"/{name}": {} for name in PATHS},
        }

    # --- running ---

    def start(self, *, tls: bool) -> None:
        """Begins to answer."""
        if tls:
            self.scheme = "https"
            self._http.tls = self._context()
        self.catalog = Catalog(self.version, self.url)
        for http in (self._http, self._elsewhere):
            threading.Thread(target=http.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self) -> None:
        """Ends all connections and both hosts."""
        self.closing.set()
        for http in (self._http, self._elsewhere):
            http.end()


@contextmanager
def serve_oneroster(
    folder: Path,
    *,
    version: str = "1.1",
    authentication: str = BASIC,
    faults: Iterable[Fault] = (),
    tls: bool = True,
) -> Iterator[RosterServer]:
    """Serves a CSV set (a folder or a zip) until the end of the block, on a port of this machine.

    An exception of the server itself, which no fault explains, is raised at the end.
    """
    with tempfile.TemporaryDirectory(prefix="oneroster-server-") as own:
        server = RosterServer(Path(own), version, Authorization(authentication, version))
        server.start(tls=tls)
        try:
            server.change(folder)
            server.faults = tuple(faults)
            yield server
        finally:
            server.stop()
        if server.errors:
            raise server.errors[0]
