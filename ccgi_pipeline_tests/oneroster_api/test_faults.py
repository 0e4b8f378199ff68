"""Each fault of the tests' OneRoster server can be noticed: one that does nothing tests nothing."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator

import httpx
import pytest

from ccgi_pipeline_tests.oneroster_api.conftest import Districts
from ccgi_pipeline_tests.oneroster_api.faults import Fault
from ccgi_pipeline_tests.oneroster_api.plain_client import PlainClient
from ccgi_pipeline_tests.oneroster_api.server import RosterServer, serve_oneroster

_LIMIT = 900
"""Rows of a page: enrollments have three or four of them."""
_PATIENCE = 0.3
_ENOUGH = 2**18
"""Bytes of an answer after which nobody reads on."""
_PATHS = ("orgs", "academicSessions", "courses", "classes", "users", "enrollments", "demographics")
_OF_CERTIFICATES = {fault for fault in Fault if fault.name.startswith("CERTIFICATE_")}


@pytest.fixture(scope="module")
def server(districts: Districts) -> Iterator[RosterServer]:
    """A server of 1.2 after its first night, so that it has deleted records."""
    nights = districts.of_1_2
    with serve_oneroster(nights[0], version="1.2") as running:
        running.change(nights[1])
        yield running


@pytest.fixture(scope="module")
def clean(server: RosterServer) -> list[object]:
    """What is heard of the server without a fault."""
    server.faults = ()
    return _hear(server)


def _hear(server: RosterServer) -> list[object]:
    """All answers to the questions that a client asks, as far as anybody reads them."""
    with PlainClient(server, timeout=_PATIENCE) as asking:
        heard: list[object] = [_token(asking)]
        for path in _PATHS:
            for offset in (0, _LIMIT, _LIMIT * 2, _LIMIT * 3):
                asked = {"limit": _LIMIT, "offset": offset, "sort": "sourcedId"}
                heard.append(_answer(asking, path, **asked))
                if path not in {"users", "enrollments"}:
                    break
        heard += [
            _answer(asking, "users", filter="dateLastModified>'2026-11-21'", limit=_LIMIT),
            _answer(asking, "users", fields="sourcedId,status,role", limit=_LIMIT),
            _answer(asking, "users", limit=_LIMIT),
            _answer(asking, "users", limit=_LIMIT, offset=1),
            _answer(asking, "users", limit=_LIMIT, offset=2),
        ]
        return heard


def _token(asking: PlainClient) -> object:
    try:
        first, second = asking.take_token(), asking.take_token()
    except (httpx.HTTPError, ValueError) as wrong:
        return type(wrong).__name__
    return [(answer.status_code, sorted(_content(answer).items())) for answer in (first, second)]


def _content(answer: httpx.Response) -> dict[str, object]:
    """The members of an answer about a token, without the token itself."""
    try:
        content = answer.json()
    except ValueError:
        return {"": answer.text}
    return {name: own for name, own in content.items() if name != "access_token"}


def _answer(asking: PlainClient, path: str, **parameters: str | int) -> object:
    body, status, headers = b"", 0, {}
    url = f"{asking.server.url}/{path}"
    if asking.token is None:
        return "no token"
    bearer = {"Authorization": f"Bearer {asking.token}"}
    ends = time.monotonic() + 3 * _PATIENCE
    try:
        with asking.stream("GET", url, params=parameters, headers=bearer) as answer:
            status, headers = answer.status_code, {**answer.headers, "date": ""}
            for part in answer.iter_raw():
                body += part
                if len(body) > _ENOUGH * 8 or time.monotonic() > ends:
                    break
    except httpx.HTTPError as wrong:
        return type(wrong).__name__, status, headers, len(body)
    return status, headers, body


@pytest.mark.parametrize("fault", sorted(set(Fault) - _OF_CERTIFICATES, key=lambda own: own.name))
def test_a_fault_is_heard(server: RosterServer, clean: list[object], fault: Fault):
    before = server.catalog.records
    records = {kind: dict(own) for kind, own in before.items()}
    with server.lock:
        server.authorization.end_tokens()
    server.faults = (fault,)
    if fault is Fault.GRANT_ENDS_OTHERS:
        with PlainClient(server) as one, PlainClient(server) as other:
            one.take_token()
            other.take_token()
            assert [one.ask("orgs").status_code, other.ask("orgs").status_code] == [401, 200]
        return
    try:
        assert _hear(server) != clean
    finally:
        server.catalog.records.update(records)


def test_a_server_without_a_fault_says_the_same_twice(server: RosterServer, clean: list[object]):
    server.faults = ()
    assert _hear(server) == clean
    statuses = Counter(one[0] for one in clean[1:] if isinstance(one, tuple))
    assert set(statuses) == {200}


@pytest.mark.parametrize("fault", sorted(_OF_CERTIFICATES, key=lambda own: own.name))
def test_a_wrong_certificate_is_not_trusted(server: RosterServer, fault: Fault):
    server.faults = (fault,)
    try:
        with PlainClient(server) as asking, pytest.raises(httpx.ConnectError, match="certificate"):
            asking.take_token()
    finally:
        server.faults = ()


def test_faults_that_happen_once_are_over_then(server: RosterServer):
    server.faults = (Fault.ERROR_500_ONCE, Fault.EMPTY_PAGE_ONCE)
    try:
        with PlainClient(server) as asking:
            asking.take_token()
            statuses = [asking.ask("enrollments", limit=9).status_code for _ in range(3)]
            assert statuses == [500, 200, 200]
            rows = [len(asking.listed("enrollments", limit=9, offset=9)) for _ in range(3)]
            assert rows == [0, 9, 9]
    finally:
        server.faults = ()


def test_the_other_host_notes_who_comes(server: RosterServer):
    server.faults = (Fault.REDIRECT_TO_LOGIN,)
    try:
        with PlainClient(server) as asking:
            asking.take_token()
            answer = asking.ask("users", offset=1)
            assert answer.status_code == 302
            assert not server.strangers
            asking.get(answer.headers["Location"])
            assert [asked.url for asked in server.strangers] == [f"{server.elsewhere}/login"]
    finally:
        server.faults = ()
        server.strangers.clear()


def test_there_are_many_faults_and_each_has_a_sentence_of_its_own():
    sentences = [fault.value for fault in Fault]
    assert len(Fault.__members__) == len(set(sentences)) > 100
    assert all(sentence.endswith(".") and len(sentence) < 100 for sentence in sentences)
    assert json.dumps(sentences).isascii()
