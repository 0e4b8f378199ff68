"""A large roster as JSON, and a server that only hands out its pages.

Belongs here: records of OneRoster 1.1 in files, in the order of their ids, and a server on this
machine that answers limit and offset, as fast as can be. Does not belong here: filters, errors and
all else that servers do (the tests have a server that follows the specification).
"""

from __future__ import annotations

import base64
import json
import os
import secrets
import ssl
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing import get_context
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import numpy as np
import polars as pl

from ccgi_pipeline.bench.local_ports import find_free_port, wait_for_server
from ccgi_pipeline.ssid_lookup.server import make_self_signed

SPAWN = get_context("spawn")
_HOST = "localhost"
_BASE = "/ims/oneroster/v1p1"
_TOKEN_PATH = "/oauth/token"  # noqa: S105 - a path
_AT_ONCE = 100_000
"""Records that are made at once, so that memory is not the larger the more there are."""

_SCHOOLS, _COURSES, _STUDENTS_OF_A_CLASS = 40, 200, 28
_TEACHERS_ONE_IN = 20
_SESSIONS = 2


@dataclass(frozen=True, slots=True)
class RunningServer:
    """Where a roster is served, and to whom."""

    url: str
    token_url: str
    client_id: str
    client_secret: str
    ca_file: Path
    collections: tuple[str, ...]


# --- the roster -------------------------------------------------------------------------------


def write_roster(folder: Path, users: int, enrollments: int) -> Path:
    """Writes the records of each collection to a file of ``folder``, and where each begins."""
    folder.mkdir(parents=True)
    classes = max(1, enrollments // _STUDENTS_OF_A_CLASS)
    sizes: Mapping[str, tuple[int, Callable[[pl.Expr], pl.Expr]]] = {
        "academicSessions": (_SESSIONS, _session),
        "orgs": (_SCHOOLS + 1, _org),
        "courses": (_COURSES, _course),
        "classes": (classes, _class),
        "users": (users, _user),
        "enrollments": (enrollments, lambda number: _enrollment(number, users, classes)),
    }
    for name, (count, record) in sizes.items():
        starts = [np.zeros(1, dtype=np.int64)]
        with (folder / f"{name}.json").open("wb") as file:
            for first in range(0, count, _AT_ONCE):
                number = pl.int_range(first, min(first + _AT_ONCE, count), dtype=pl.Int64)
                texts = pl.select(record(number).alias("text"))["text"]
                lengths = texts.str.len_bytes().cast(pl.Int64).to_numpy() + 1
                starts.append(starts[-1][-1] + np.cumsum(lengths))
                file.write("".join(f"{text}," for text in texts).encode())
        np.save(folder / f"{name}.npy", np.concatenate(starts))
    return folder


_COMMON = '{"sourcedId":"{}","status":"active","dateLastModified":"2026-11-20T02:30:00.000Z",'


def _id(letter: str, number: pl.Expr) -> pl.Expr:
    """Returns ids that are in the order of their numbers."""
    return pl.concat_str(pl.lit(letter), number.cast(pl.String).str.zfill(8))


def _reference(kind: str, collection: str, own: pl.Expr) -> pl.Expr:
    address = f"https://roster.example{_BASE}/{collection}/"
    return pl.concat_str(
        pl.lit(f'{{"href":"{address}'), own, pl.lit('","sourcedId":"'), own,
        pl.lit(f'","type":"{kind}"}}'),
    )  # fmt: skip


def _record(own: pl.Expr, *fields: tuple[str, pl.Expr | str]) -> pl.Expr:
    """Returns JSON objects; a field's text is a string, an expression is JSON itself."""
    before, after = _COMMON.split("{}")
    parts: list[pl.Expr] = [pl.lit(before), own, pl.lit(after.removesuffix(","))]
    for name, value in fields:
        parts.append(pl.lit(f',"{name}":'))
        parts.append(pl.lit(json.dumps(value)) if isinstance(value, str) else value)
    return pl.concat_str(*parts, pl.lit("}"))


def _quoted(text: pl.Expr) -> pl.Expr:
    return pl.concat_str(pl.lit('"'), text, pl.lit('"'))


def _listed(item: pl.Expr) -> pl.Expr:
    return pl.concat_str(pl.lit("["), item, pl.lit("]"))


def _session(number: pl.Expr) -> pl.Expr:
    return _record(
        _id("Y", number),
        ("title", "Semester"),
        ("type", "semester"),
        ("startDate", "2026-08-15"),
        ("endDate", "2027-06-06"),
        ("schoolYear", "2027"),
    )


def _org(number: pl.Expr) -> pl.Expr:
    kind = pl.when(number == 0).then(pl.lit('"district"')).otherwise(pl.lit('"school"'))
    return _record(_id("O", number), ("name", _quoted(_id("School ", number))), ("type", kind))


def _course(number: pl.Expr) -> pl.Expr:
    return _record(
        _id("C", number),
        ("title", _quoted(_id("Course ", number))),
        ("courseCode", _quoted(_id("", number))),
        ("org", _reference("org", "orgs", _id("O", number * 0))),
    )


def _school_of(number: pl.Expr) -> pl.Expr:
    return _reference("org", "orgs", _id("O", 1 + number % _SCHOOLS))


def _class(number: pl.Expr) -> pl.Expr:
    return _record(
        _id("K", number),
        ("title", _quoted(_id("Class ", number))),
        ("classType", "scheduled"),
        ("course", _reference("course", "courses", _id("C", number % _COURSES))),
        ("school", _school_of(number)),
        ("terms", _listed(_reference("academicSession", "academicSessions", _id("Y", number % 2)))),
    )


def _user(number: pl.Expr) -> pl.Expr:
    teacher = number % _TEACHERS_ONE_IN == 0
    return _record(
        _id("U", number),
        ("username", _quoted(_id("u", number))),
        ("enabledUser", "true"),
        ("givenName", _quoted(pl.concat_str(pl.lit("First"), number % 700))),
        ("familyName", _quoted(pl.concat_str(pl.lit("Last"), number % 1000))),
        ("identifier", _quoted(_id("", number))),
        ("email", _quoted(pl.concat_str(_id("u", number), pl.lit("@students.example")))),
        ("role", pl.when(teacher).then(pl.lit('"teacher"')).otherwise(pl.lit('"student"'))),
        ("orgs", _listed(_school_of(number))),
        ("grades", pl.when(teacher).then(pl.lit("[]")).otherwise(pl.lit('["09"]'))),
    )


def _enrollment(number: pl.Expr, users: int, classes: int) -> pl.Expr:
    class_ = number // _STUDENTS_OF_A_CLASS % classes
    user = (number * 2_654_435_761) % users
    teacher = user % _TEACHERS_ONE_IN == 0
    return _record(
        _id("E", number),
        ("user", _reference("user", "users", _id("U", user))),
        ("class", _reference("class", "classes", _id("K", class_))),
        ("school", _school_of(class_)),
        ("role", pl.when(teacher).then(pl.lit('"teacher"')).otherwise(pl.lit('"student"'))),
        ("primary", "false"),
        ("beginDate", "2026-08-15"),
    )


# --- the server -------------------------------------------------------------------------------


@contextmanager
def serve_roster(folder: Path, roster: Path) -> Iterator[RunningServer]:
    """Serves a roster in a process of its own until the end of the block; certificate included."""
    made = make_self_signed(folder)
    port = find_free_port(_HOST)
    client, secret = "bench", secrets.token_urlsafe(16)
    process = SPAWN.Process(
        target=_serve, args=(roster, port, made.certificate, made.key, (client, secret))
    )
    process.start()
    try:
        wait_for_server(_HOST, port)
        yield RunningServer(
            url=f"https://{_HOST}:{port}{_BASE}",
            token_url=f"https://{_HOST}:{port}{_TOKEN_PATH}",
            client_id=client,
            client_secret=secret,
            ca_file=made.certificate,
            collections=tuple(sorted(path.stem for path in roster.glob("*.json"))),
        )
    finally:
        process.terminate()
        process.join()


def _serve(
    roster: Path, port: int, certificate: Path, key: Path, credentials: tuple[str, str]
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    basic = base64.b64encode(":".join(credentials).encode()).decode()
    token = secrets.token_urlsafe(24)
    pages = {path.stem: Pages(path) for path in roster.glob("*.json")}

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Says nothing."""

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            if self.headers.get("Authorization") != f"Basic {basic}":
                self._answer(401, b'{"error": "invalid_client"}')
                return
            granted = {"access_token": token, "token_type": "Bearer", "expires_in": 3600}
            self._answer(200, json.dumps(granted).encode())

        def do_GET(self) -> None:
            asked = urlsplit(self.path)
            found = pages.get(asked.path.rpartition("/")[2])
            if self.headers.get("Authorization") != f"Bearer {token}":
                self._answer(401, b"{}")
            elif found is None:
                self._answer(404, b"{}")
            else:
                said = {name: int(own[0]) for name, own in _numbers(asked.query)}
                self._answer(200, *found.read(said.get("offset", 0), said.get("limit", 100)))

        def _answer(self, status: int, body: bytes, total: int | None = None) -> None:
            self.send_response_only(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            if total is not None:
                self.send_header("X-Total-Count", str(total))
            self.end_headers()
            self.wfile.write(body)

    server = ThreadingHTTPServer((_HOST, port), Handler)
    server.socket = context.wrap_socket(
        server.socket, server_side=True, do_handshake_on_connect=False
    )
    server.serve_forever()


def _numbers(query: str) -> Iterator[tuple[str, list[str]]]:
    for name, own in parse_qs(query).items():
        if name in {"limit", "offset"}:
            yield name, own


class Pages:
    """The records of a collection in a file, of which a page is a part."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_RDONLY)
        self._starts = np.load(path.with_suffix(".npy"))
        self._head = f'{{"{path.stem}":['.encode()

    def read(self, offset: int, limit: int) -> tuple[bytes, int]:
        """Returns a page, and how many records there are."""
        total = len(self._starts) - 1
        start, end = (int(self._starts[min(at, total)]) for at in (offset, offset + limit))
        records = os.pread(self._file, max(0, end - start - 1), start)
        return self._head + records + b"]}", total
