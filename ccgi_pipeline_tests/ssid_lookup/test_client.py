"""The client against the real service: in processes of its own, and over hours in this one.

Belongs here: what is asked, how often and when; that nothing is lost and nothing asked twice,
whatever stops, is killed or is cut off. Does not belong here: what is kept (test_backlog).

Run as a program, it is a client in a process of its own, which tests may kill; it reads the
client's secret from its standard input::

    python test_asking.py FOLDER ADDRESS APPLICATIONS
"""

from __future__ import annotations

import gzip
import json
import logging
import math
import random
import re
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from datetime import date
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import polars as pl
import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal

from ccgi_pipeline.common.progress import observe_progress
from ccgi_pipeline.ssid_lookup.backlog import (
    APPLICATION_SCHEMA,
    Backlog,
    FaultReply,
    MatchedReply,
    NoStudentReply,
    build_questions,
)
from ccgi_pipeline.ssid_lookup.batch import (
    BatchOutcome,
    LookupPace,
    Remaining,
    _Pause,
    estimate_finish,
    look_up_all,
)
from ccgi_pipeline.ssid_lookup.client import (
    ContractBrokenError,
    LookupClient,
    LookupRefusedError,
    LookupUnavailableError,
    TooManyRequestsError,
    explain_request_error,
    parse_rate_status,
    parse_retry_after,
)
from ccgi_pipeline.ssid_lookup.client_registry import ClientRegistry, ClientScope
from ccgi_pipeline.ssid_lookup.limits import HOUR
from ccgi_pipeline.ssid_lookup.server import InsecureError
from ccgi_pipeline.ssid_lookup.service import LOOKUP_PATH, TOKEN_PATH, ServiceSettings, create_app
from ccgi_pipeline.ssid_lookup.store import load_identities
from ccgi_pipeline_tests.raw_server import serving
from ccgi_pipeline_tests.ssid_lookup.people import HAYWARD_HIGH, frame, identity
from ccgi_pipeline_tests.ssid_lookup.services import Service, registered, running

_PROJECT = Path(__file__).parents[2]
_START = 1_800_000_000.0
BORN = date(2008, 4, 9)
STUDENTS = 3
CLIENT = "cccapply"


def applications(number: int, first: int = 0) -> pl.DataFrame:
    """Every tenth is of a student, the others are of nobody."""
    rows = [
        (
            f"app-{place}",
            f"A{place:06d}",
            f"Marisol{place // 10 % STUDENTS}" if place % 10 == 0 else "Nobody",
            "de la Cruz",
            BORN,
            HAYWARD_HIGH,
        )
        for place in range(first, first + number)
    ]
    return pl.DataFrame(rows, schema=APPLICATION_SCHEMA, orient="row")


def application(app_id: str, **others: object) -> pl.DataFrame:
    """An application of a student, with anything else in it that is given."""
    one = applications(1).with_columns(app_id=pl.lit(app_id))
    return one.with_columns(
        **{name: pl.lit(value, APPLICATION_SCHEMA[name]) for name, value in others.items()}
    )


def load(folder: Path) -> Path:
    """A folder in which some students are known."""
    people = [identity(f"900000000{n}", first=f"Marisol{n}") for n in range(STUDENTS)]
    load_identities(folder, [frame(people)])
    return folder


class Clock:
    """A time that moves when somebody sleeps, and a little with every request."""

    def __init__(self) -> None:
        self.now = _START
        self.slept: list[float] = []
        self._lock = threading.Lock()

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.move(seconds)

    def move(self, seconds: float) -> None:
        with self._lock:
            self.now += seconds


@dataclass
class Asker:
    """A client of a service; its clock is its own, so that its pauses take no time."""

    lookup: LookupClient
    backlog: Backlog
    clock: Clock
    etas: list[float] = field(default_factory=list)

    def ask_all(self, frame: pl.DataFrame, **pace: Any) -> BatchOutcome:  # noqa: ANN401
        return look_up_all(
            frame,
            self.lookup,
            self.backlog,
            LookupPace(**pace),
            clock=self.clock,
            sleep=self.clock.sleep,
            jitter=lambda: 1.0,
            report_eta=self.etas.append,
        )


@contextmanager
def asking(folder: Path, address: str, secret: str, **options: Any) -> Iterator[Asker]:  # noqa: ANN401
    clock = options.pop("its_clock", None) or Clock()
    lookup = LookupClient(address, CLIENT, secret, **options)
    with closing(lookup), closing(Backlog(folder / "backlog", clock)) as backlog:
        yield Asker(lookup, backlog, clock)


@pytest.fixture(scope="module")
def running_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Service, str]]:
    folder = load(tmp_path_factory.mktemp("service"))
    secret = registered(folder, CLIENT, hourly_limit=10**6)
    with running(folder) as service:
        yield service, secret


@pytest.fixture
def service(running_service: tuple[Service, str]) -> Service:
    return running_service[0]


@pytest.fixture
def secret(running_service: tuple[Service, str]) -> str:
    return running_service[1]


@pytest.fixture
def asker(service: Service, secret: str, tmp_path: Path) -> Iterator[Asker]:
    with asking(tmp_path, service.url, secret) as one:
        yield one


def access(folder: Path, path: str = LOOKUP_PATH) -> Counter[int]:
    """How often the service answered with which status."""
    log = folder / "logs/access.jsonl"
    lines = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
    return Counter(line["status"] for line in lines if line["path"] == path)


def asked(folder: Path) -> int:
    """How many look-ups the service answered: what it refused before looking does not count."""
    counts = access(folder)
    return counts[200] + counts[400] + counts[422]


# What is asked and answered.


def test_matches_misses_faults_and_what_cannot_be_asked_are_told_apart(
    asker: Asker, service: Service
):
    before = asked(service.folder)
    given = pl.concat(
        [
            application("a student"),
            application("blanks", firstname=" Marisol1\t"),
            application("nobody", firstname="Nobody"),
            application("bad school", hs_cds_full="123", lastname="x" * 51),
            application("bad cccid", ccc_id="ABC-1234"),
            application("no school", hs_cds_full=None),
            application("no name", firstname=" ", birthdate=None),
        ]
    )
    outcome = asker.ask_all(given)
    assert outcome == BatchOutcome(matched=2, no_student=1, faults=2, not_asked=2, waiting=0)
    answers = asker.backlog.read_answers(given).drop("answered_at")
    assert answers.rows() == [
        ("a student", "matched", "9000000000", []),
        ("blanks", "matched", "9000000001", []),
        ("nobody", "no_student", None, []),
        ("bad school", "fault", None, ["LastName", "CDSCode"]),
        ("bad cccid", "fault", None, ["CCCID"]),
        ("no school", "not_asked", None, ["CDSCode"]),
        ("no name", "not_asked", None, ["FirstName", "BirthDate"]),
    ]
    assert asked(service.folder) - before == 5


def test_one_request_has_one_of_three_answers(asker: Asker):
    known, nobody, bad = (
        build_questions(application("one", **others))[0].request
        for others in ({}, {"firstname": "Nobody"}, {"hs_cds_full": "1"})
    )
    assert asker.lookup.look_up(known) == MatchedReply("9000000000")
    assert asker.lookup.look_up(nobody) == NoStudentReply()
    assert asker.lookup.look_up(bad) == FaultReply(("CDSCode",))
    assert asker.lookup.rate_status is not None


def test_an_answered_application_is_never_asked_for_again_but_a_changed_one_is(
    asker: Asker, service: Service
):
    first = asker.ask_all(applications(30))
    before = asked(service.folder)
    assert asker.ask_all(applications(30)) == first
    assert asked(service.folder) == before
    changed = applications(30).with_columns(
        firstname=pl.when(pl.col("app_id") == "app-7")
        .then(pl.lit("Marisol1"))
        .otherwise("firstname")
    )
    assert asker.ask_all(changed).matched == first.matched + 1
    assert asked(service.folder) == before + 1


def test_an_application_that_is_given_twice_is_asked_for_once(asker: Asker, service: Service):
    before = asked(service.folder)
    outcome = asker.ask_all(pl.concat([applications(10), applications(10)]))
    assert (outcome.matched, outcome.no_student, outcome.waiting) == (2, 18, 0)
    assert asked(service.folder) - before == 10


def test_progress_is_told_with_every_answer(asker: Asker):
    heard: list[tuple[str, int, int]] = []
    asker.ask_all(applications(5))
    with observe_progress(lambda *told: heard.append(told)):
        asker.ask_all(applications(20))
    assert heard == [("SSID look-ups", done, 15) for done in range(16)]


def test_nothing_is_asked_of_nobody(asker: Asker, service: Service):
    before = asked(service.folder)
    assert asker.ask_all(applications(0)) == BatchOutcome(0, 0, 0, 0, 0)
    assert asked(service.folder) == before


# Stopped, killed, cut off.


class Wire:
    """The network between client and service, which a test may cut, redirect or let hang."""

    def __init__(self) -> None:
        self.to: int | None = None
        self.swallow = 0
        self._open: list[socket.socket] = []
        self._door = socket.create_server(("127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{self._door.getsockname()[1]}"
        self._threads = [threading.Thread(target=self._take_calls)]
        self._threads[0].start()

    def close(self) -> None:
        self._door.shutdown(socket.SHUT_RDWR)
        self._threads[0].join()
        self.cut()
        for thread in self._threads:
            thread.join()
        for end in (self._door, *self._open):
            end.close()

    def cut(self) -> None:
        """Ends all connections, and there will be no new ones."""
        self.to = None
        for end in self._open:
            with ExitStack() as whatever:
                whatever.push(lambda *_: True)  # it may have ended before
                end.shutdown(socket.SHUT_RDWR)

    def _take_calls(self) -> None:
        while True:
            try:
                near, _ = self._door.accept()
            except OSError:
                return
            self._open.append(near)
            if self.swallow:
                self.swallow -= 1
            elif self.to is None:
                near.shutdown(socket.SHUT_RDWR)
            else:
                far = socket.create_connection(("127.0.0.1", self.to))
                self._open.append(far)
                for ends in ((near, far), (far, near)):
                    self._threads.append(threading.Thread(target=self._carry, args=ends))
                    self._threads[-1].start()

    @staticmethod
    def _carry(source: socket.socket, target: socket.socket) -> None:
        with ExitStack() as whatever:
            whatever.push(lambda kind, *_: kind is None or issubclass(kind, OSError))
            while received := source.recv(65536):
                target.sendall(received)
            target.shutdown(socket.SHUT_WR)


@pytest.fixture
def wire() -> Iterator[Wire]:
    with closing(Wire()) as one:
        yield one


def test_a_service_that_restarts_in_the_middle_is_waited_for(tmp_path: Path, wire: Wire):
    secret = registered(load(tmp_path), CLIENT)
    with ExitStack() as first, ExitStack() as second, asking(tmp_path, wire.address, secret) as one:
        wire.to = first.enter_context(running(tmp_path)).port

        def stop(_step: str, done: int, _total: int) -> None:
            if done == 100:
                wire.cut()
                first.close()

        def start_again(seconds: float) -> None:
            if len(one.clock.slept) == 2:
                wire.to = second.enter_context(running(tmp_path)).port
            Clock.sleep(one.clock, seconds)

        one.clock.sleep = start_again  # type: ignore[method-assign]
        with observe_progress(stop):
            outcome = one.ask_all(applications(300))
        assert outcome == BatchOutcome(matched=30, no_student=270, faults=0, not_asked=0, waiting=0)
        # What was under way when the wire was cut may have been answered unheard.
        assert 300 <= asked(tmp_path) <= 300 + 8
        # Nobody else can tell how long a restart takes: the pauses grow.
        assert one.clock.slept[:3] == pytest.approx([1, 2, 4], abs=0.01)


def test_a_client_that_is_killed_again_and_again_loses_nothing_and_asks_nothing_twice(
    service: Service, secret: str, tmp_path: Path
):
    number = 400
    asked_before = asked(service.folder)
    arguments = [str(tmp_path), service.url, str(number)]
    with closing(Backlog(tmp_path / "backlog")) as backlog:
        for until in (80, 200):
            with subprocess.Popen(
                [sys.executable, "-m", __name__, *arguments], cwd=_PROJECT, stdin=subprocess.PIPE
            ) as process:
                assert process.stdin is not None
                process.stdin.write(f"{secret}\n".encode())
                process.stdin.flush()
                while sum(backlog.count_answers().values()) < until:
                    assert process.poll() is None
                    time.sleep(0.002)
                process.kill()
        killed = sum(backlog.count_answers().values())
        assert killed < number
        time.sleep(0.1)  # what was under way is answered, though nobody hears it
        unheard = asked(service.folder) - asked_before - killed
        assert 0 <= unheard <= 2 * LookupPace().in_flight
    with asking(tmp_path, service.url, secret) as last:
        outcome = last.ask_all(applications(number))
        assert outcome == BatchOutcome(matched=40, no_student=360, faults=0, not_asked=0, waiting=0)
        assert asked(service.folder) - asked_before - unheard == number
        assert last.backlog.read_answers(applications(number)).height == number


def test_askers_at_the_same_time_share_the_work_and_the_hour(
    service: Service, secret: str, tmp_path: Path
):
    before = asked(service.folder)

    def ask(limit: int) -> BatchOutcome:
        with asking(tmp_path, service.url, secret) as one:
            return one.ask_all(applications(300), hourly_limit=limit, patience=0)

    with ThreadPoolExecutor(3) as threads:
        list(threads.map(ask, [200] * 3))
        assert asked(service.folder) - before == 200
        outcomes = list(threads.map(ask, [1000] * 3))
    assert asked(service.folder) - before == 300
    assert outcomes == [BatchOutcome(30, 270, 0, 0, 0)] * 3


def test_what_hangs_is_given_up_and_asked_again(
    service: Service, secret: str, wire: Wire, tmp_path: Path
):
    wire.to, wire.swallow = service.port, 2
    with asking(tmp_path, wire.address, secret, timeout=1) as one:
        outcome = one.ask_all(applications(20), in_flight=1)
    assert outcome == BatchOutcome(2, 18, 0, 0, 0)
    assert one.clock.slept == pytest.approx([1, 2], abs=0.01)


def test_a_service_that_stays_away_leaves_the_rest_waiting(
    service: Service, secret: str, wire: Wire, tmp_path: Path
):
    wire.to = service.port
    with asking(tmp_path, wire.address, secret) as one:
        assert one.ask_all(applications(10)).waiting == 0
        wire.cut()
        outcome = one.ask_all(applications(100), tries=5)
        assert (outcome.waiting, outcome.left) == (90, Remaining.SERVICE_UNAVAILABLE)
        assert one.clock.slept == pytest.approx([1, 2, 4, 8], abs=0.01)
        wire.to = service.port
        assert one.ask_all(applications(100)) == BatchOutcome(10, 90, 0, 0, 0)


def test_pauses_are_spread_and_have_a_longest_one(secret: str, wire: Wire, tmp_path: Path):
    chance = random.Random(7)  # noqa: S311 - no secret
    with asking(tmp_path, wire.address, secret) as one:
        look_up_all(
            applications(1),
            one.lookup,
            one.backlog,
            LookupPace(tries=9, longest_pause=20),
            clock=one.clock,
            sleep=one.clock.sleep,
            jitter=chance.random,
        )
    full = [1, 2, 4, 8, 16, 20, 20, 20]
    assert len(one.clock.slept) == len(full)
    assert all(
        most / 2 <= slept <= most + 0.1 for slept, most in zip(one.clock.slept, full, strict=True)
    )
    assert len({slept / most for slept, most in zip(one.clock.slept, full, strict=True)}) == len(
        full
    )


def test_a_token_that_ends_in_the_middle_is_fetched_again_once(asker: Asker, service: Service):
    tokens, refused = access(service.folder, TOKEN_PATH)[200], access(service.folder)[401]

    def revoke(_step: str, done: int, _total: int) -> None:
        if done == 50:
            with closing(ClientRegistry(service.folder)) as clients:
                clients.disable(CLIENT)
                clients.enable(CLIENT)

    with observe_progress(revoke):
        outcome = asker.ask_all(applications(100))
    assert outcome == BatchOutcome(10, 90, 0, 0, 0)
    assert access(service.folder, TOKEN_PATH)[200] - tokens == 2
    assert 1 <= access(service.folder)[401] - refused <= LookupPace().in_flight


# Loud and permanent.


def refused_with(asker: Asker, *never: str) -> str:
    """The words with which asking is refused at once; nothing is lost by it."""
    with pytest.raises((LookupRefusedError, ContractBrokenError)) as refused:
        asker.ask_all(applications(20))
    assert asker.clock.slept == []
    assert asker.backlog.select_pending(applications(20)).height == 20
    error: BaseException | None = refused.value
    while error is not None:
        for value in ("Marisol", "Cruz", "A000000", HAYWARD_HIGH, "2008-04-09", *never):
            assert value not in f"{error} {error!r}"
        assert not isinstance(error, httpx.HTTPError)
        error = error.__context__
    return str(refused.value)


def test_a_wrong_secret_is_permanent(service: Service, tmp_path: Path):
    with asking(tmp_path, service.url, "not-the-secret") as one:
        assert "rotate" in refused_with(one, "not-the-secret")


def test_a_client_without_the_scope_is_told_which_one_it_needs(tmp_path: Path):
    secret = registered(load(tmp_path), CLIENT, ClientScope.VERIFY)
    with running(tmp_path) as service, asking(tmp_path, service.url, secret) as one:
        assert "ssid:lookup" in refused_with(one, secret)


def test_a_client_that_is_disabled_in_the_middle_keeps_what_was_answered(tmp_path: Path):
    secret = registered(load(tmp_path), CLIENT)

    def disable(_step: str, done: int, _total: int) -> None:
        if done == 50:
            with closing(ClientRegistry(tmp_path)) as clients:
                clients.disable(CLIENT)

    with running(tmp_path) as service, asking(tmp_path, service.url, secret) as one:
        with observe_progress(disable), pytest.raises(LookupRefusedError):
            one.ask_all(applications(100))
        answered = one.backlog.read_answers(applications(100)).height
    assert 50 <= answered <= 50 + LookupPace().in_flight
    assert asked(tmp_path) == answered


def test_another_address_of_the_same_host_has_no_look_up(
    service: Service, secret: str, tmp_path: Path
):
    with asking(tmp_path, f"{service.url}/elsewhere", secret) as one:
        assert "404" in refused_with(one, secret)


def test_the_certificate_must_be_trusted_and_be_of_the_host(tmp_path: Path):
    secret = registered(load(tmp_path), CLIENT)
    with running(tmp_path, tls=True) as service:
        assert service.certificate is not None
        trusted = service.certificate.certificate
        with asking(tmp_path, service.url, secret) as stranger:
            assert "not trusted" in refused_with(stranger, secret)
        # The same machine by a name that is not in the certificate.
        elsewhere = f"https://127.1:{service.port}"
        with asking(tmp_path, elsewhere, secret, certificate=trusted) as elsewhere_asker:
            assert "mismatch" in refused_with(elsewhere_asker, secret)
        with asking(tmp_path, service.url, secret, certificate=trusted) as one:
            assert one.ask_all(applications(20)) == BatchOutcome(2, 18, 0, 0, 0)


def test_a_service_without_tls_is_no_service(service: Service, secret: str, tmp_path: Path):
    with asking(tmp_path, service.url.replace("http:", "https:"), secret) as one:
        assert "no TLS" in refused_with(one, secret)


def test_an_address_that_is_none_or_in_the_clear_is_refused_before_anything_is_sent():
    for address in (
        "",
        "lookup.example.org",
        "ftp://lookup.example.org",
        "https://",
        "https://me:secret-word@lookup.example.org",
        "https://lookup.example.org?token=secret-word",
        "https://lookup.example.org:none",
    ):
        with pytest.raises(LookupRefusedError) as refused:
            LookupClient(address, CLIENT, "secret")
        assert "secret-word" not in str(refused.value)
    with pytest.raises(InsecureError):
        LookupClient("http://lookup.example.org", CLIENT, "secret")


def test_a_certificate_that_cannot_be_read_is_named(tmp_path: Path):
    (tmp_path / "empty.pem").write_text("")
    for name in ("absent.pem", "empty.pem"):
        with pytest.raises(LookupRefusedError, match=name):
            LookupClient("https://localhost", CLIENT, "secret", certificate=tmp_path / name)


def caused_by(cause: BaseException) -> Exception:
    error = httpx.ConnectError("words of a library")
    error.__cause__ = cause
    return explain_request_error(error)


def test_a_host_that_nobody_knows_is_permanent_and_a_silent_name_server_is_not():
    unknown = caused_by(socket.gaierror(socket.EAI_NONAME, "Name or service not known"))
    assert isinstance(unknown, LookupRefusedError)
    for passing in (
        socket.gaierror(socket.EAI_AGAIN, "Temporary failure"),
        ssl.SSLEOFError("in the middle"),
        ConnectionResetError(),
    ):
        error = caused_by(passing)
        assert isinstance(error, LookupUnavailableError)
        assert "words of a library" not in str(error)


# A service that is not this project's. It speaks the contract, or should.


@contextmanager
def rogue(folder: Path, answer: Callable[[httpx.Request], httpx.Response]) -> Iterator[Asker]:
    """Tokens are given; look-ups are answered by ``answer``."""

    def either(request: httpx.Request) -> httpx.Response:
        if request.url.path == TOKEN_PATH:
            return httpx.Response(200, json={"access_token": "t", "token_type": "Bearer"})
        return answer(request)

    transport = httpx.MockTransport(either)
    with asking(folder, "https://lookup", "secret", transport=transport) as one:
        yield one


@pytest.mark.parametrize(
    "body",
    [
        {"SSID": "123456789", "CCCID": "A000000"},
        {"SSID": 9000000001, "CCCID": "A000000"},
        {"SSID": "900000000\u0661", "CCCID": "A000000"},
        {"SSID": "9000000001", "CCCID": "B000000"},
        {"SSID": "9000000001"},
        ["9000000001"],
        {},
    ],
)
def test_a_match_that_is_not_the_contracts_is_not_believed(tmp_path: Path, body: object):
    with rogue(tmp_path, lambda _: httpx.Response(200, json=body)) as one:
        refused_with(one, "9000000001", "B000000")


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(400, html="<h1>The plain HTTP request was sent to HTTPS port</h1>"),
        httpx.Response(400, json={"error": "invalid_request"}, headers={"WWW-Authenticate": "B"}),
        httpx.Response(302, headers={"Location": "https://elsewhere"}),
        httpx.Response(405, json={"error": "method_not_allowed"}),
        httpx.Response(413, json={"error": "too_large"}),
        httpx.Response(403, json={"error": "insufficient_scope"}),
        httpx.Response(401, json={"error": "invalid_token"}),
        httpx.Response(200, text="<h1>Maintenance</h1>"),
    ],
)
def test_an_answer_that_is_about_no_application_is_no_answer(
    tmp_path: Path, answer: httpx.Response
):
    with rogue(tmp_path, lambda _: answer) as one:
        refused_with(one)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (400, {"error": "bad_birth_date"}),
        (400, {"error": "invalid", "fields": "none"}),
        (422, {"error": "invalid_request", "fields": [{"field": None}, {"field": "Marisol"}, 7]}),
    ],
)
def test_other_400s_are_faults_that_repeat_no_words_of_the_service(
    tmp_path: Path, status: int, body: Mapping[str, object]
):
    with rogue(tmp_path, lambda _: httpx.Response(status, json=body)) as one:
        assert one.ask_all(applications(3)) == BatchOutcome(0, 0, 3, 0, 0)
        assert one.backlog.read_answers(applications(3))["fields"].to_list() == [[], [], []]


def test_no_student_found_may_be_said_in_plain_text(tmp_path: Path):
    with rogue(tmp_path, lambda _: httpx.Response(400, text="No student found")) as one:
        assert one.ask_all(applications(3)) == BatchOutcome(0, 3, 0, 0, 0)


ENDLESS_ANSWERS = {
    "a length": b"Content-Length: 400000000\r\n\r\n",
    "no length": b"\r\n",
    "chunks": b"Transfer-Encoding: chunked\r\n\r\n",
}


@pytest.mark.parametrize("form", ENDLESS_ANSWERS)
@pytest.mark.parametrize(
    ("status", "error"),
    [(200, ContractBrokenError), (400, LookupRefusedError), (503, LookupUnavailableError)],
)
def test_of_an_answer_without_end_no_more_is_read_than_allowed(
    tmp_path: Path, form: str, status: int, error: type[Exception]
):
    sent = 0

    def answer(connection: socket.socket) -> None:
        nonlocal sent
        connection.sendall(b"HTTP/1.1 %d X\r\n" % status + ENDLESS_ANSWERS[form])
        piece = b"1000\r\n" + b"9" * 4096 + b"\r\n" if form == "chunks" else b"9" * 65536
        while sent < 400_000_000:
            sent += connection.send(piece)

    with (
        serving(answer) as address,
        asking(tmp_path, address, "secret") as one,
        pytest.raises(error),
    ):
        one.lookup.look_up(build_questions(applications(1))[0].request)
    assert sent < 20_000_000


def test_a_packed_answer_is_not_unpacked(tmp_path: Path):
    """Not even a good one: nobody asked for it, and a gigabyte of blanks packs to a megabyte."""
    good = json.dumps({"SSID": "9000000001", "CCCID": "A000000"}).encode()
    headers = {"Content-Encoding": "gzip"}
    packed = httpx.Response(200, content=gzip.compress(good), headers=headers)
    with rogue(tmp_path, lambda _: packed) as one, pytest.raises(ContractBrokenError):
        one.lookup.look_up(build_questions(applications(1))[0].request)


def test_one_application_that_always_fails_does_not_hold_up_the_others(tmp_path: Path):
    def answer(request: httpx.Request) -> httpx.Response:
        status = 500 if b"A000003" in request.content else 400
        return httpx.Response(status, text="No student found")

    with rogue(tmp_path, answer) as one:
        outcome = one.ask_all(applications(50))
        assert (outcome.no_student, outcome.waiting) == (49, 1)
        assert outcome.left is Remaining.SERVICE_UNAVAILABLE
        assert one.backlog.select_pending(applications(50))["app_id"].to_list() == ["app-3"]


def test_failures_between_answers_do_not_stop_the_run(tmp_path: Path):
    def answer(request: httpx.Request) -> httpx.Response:
        status = 500 if b"Marisol" in request.content else 400
        return httpx.Response(status, text="No student found")

    with rogue(tmp_path, answer) as one:
        outcome = one.ask_all(applications(50), in_flight=1, tries=3)
        assert (outcome.no_student, outcome.waiting) == (45, 5)


def test_what_is_answered_while_another_request_is_refused_is_kept(tmp_path: Path):
    def answer(request: httpx.Request) -> httpx.Response:
        if b"Marisol" in request.content:
            return httpx.Response(403)
        time.sleep(0.3)
        return httpx.Response(400, text="No student found")

    with rogue(tmp_path, answer) as one:
        with pytest.raises(LookupRefusedError):
            one.ask_all(applications(8))
        assert one.backlog.select_pending(applications(8))["app_id"].to_list() == ["app-0"]


def test_aparse_retry_after_may_be_seconds_a_date_or_missing():
    def seconds(now: float = _START, **headers: str) -> float:
        told = {name.replace("_", "-"): value for name, value in headers.items()}
        return parse_retry_after(httpx.Response(429, headers=told), now)

    assert seconds(Retry_After="2000") == 2000
    # Nobody waits for years because of a service whose clock is wrong.
    assert seconds(Retry_After="999999999") == HOUR + 60
    assert seconds(Retry_After="Fri, 15 Jan 2037 09:00:00 GMT") == HOUR + 60
    assert seconds(RateLimit='"hour";r=0;t=315360000') == HOUR + 60
    later = "Fri, 15 Jan 2027 09:00:00 GMT"  # an hour after _START
    assert seconds(Retry_After=later) == HOUR
    # By the service's own clock, which is a minute behind ours.
    assert seconds(Retry_After=later, Date="Fri, 15 Jan 2027 08:59:00 GMT") == 60
    assert seconds(Retry_After=later, now=_START + 2 * HOUR) == 0
    assert seconds(Retry_After="soon", RateLimit='"hour";r=0;t=17') == 17
    assert seconds() == 60


def test_of_several_limits_the_tightest_counts():
    told = '"day";r=900;t=80000, "hour";r=0;t=120, "minute"; r=0; t=20'
    standing = parse_rate_status(httpx.Response(200, headers={"RateLimit": told}))
    assert standing is not None
    assert (standing.remaining, standing.seconds) == (0, 120)
    assert parse_rate_status(httpx.Response(200)) is None


def test_a_clock_that_is_set_back_does_not_make_a_batch_wait_for_years(tmp_path: Path):
    """A refusal under a clock ahead: its pause ends when the clock is right again."""
    years = 10 * 365 * 24 * HOUR
    with rogue(tmp_path, lambda _: httpx.Response(400, text="No student found")) as one:
        pause = _Pause(one.clock)
        one.clock.move(years)
        pause.extend(60)
        assert pause.seconds_left() == 60
        one.clock.move(-years)
        assert pause.seconds_left() == 0
        pause.extend(30)
        assert pause.seconds_left() == 30
        pause.extend(10)
        assert pause.seconds_left() == 30
        # Its own count of the hour is in a file, and outlives the wrong clock.
        one.clock.move(years)
        assert one.ask_all(applications(2), hourly_limit=2).no_student == 2
        one.clock.move(-years)
        left = one.ask_all(applications(4), hourly_limit=2, patience=0)
        assert (left.waiting, left.seconds_left <= HOUR + 60) == (2, True)
        one.clock.move(HOUR + 60)
        assert one.ask_all(applications(4), hourly_limit=2).no_student == 4


# Hours go by: the app itself, in this process, with the client's clock.


@dataclass(frozen=True)
class Answered:
    """When the service answered a look-up, how, and for how many seconds it wants to be left."""

    at: float
    status: int
    wait: int


def _told_to_wait(headers: httpx.Headers) -> int:
    if "Retry-After" in headers:
        return int(headers["Retry-After"])
    spent = re.search("r=0;t=([0-9]+)", headers.get("RateLimit", ""))
    return int(spent[1]) if spent else 0


class InProcess(httpx.BaseTransport):
    """Hands requests to the app; each look-up takes so many seconds of the clock."""

    def __init__(self, app: Any, portal: BlockingPortal, clock: Clock) -> None:  # noqa: ANN401
        self._transport = httpx.ASGITransport(app)
        self._portal, self._clock = portal, clock
        self.seconds = 0.01
        self.hidden: set[str] = set()
        self.answers: list[Answered] = []

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if request.url.path == LOOKUP_PATH:
            self._clock.move(self.seconds)
        at = self._clock.now
        status, headers, body = self._portal.call(self._answer, request)
        shown = [(name, value) for name, value in headers if name.lower() not in self.hidden]
        response = httpx.Response(status, headers=shown, content=body)
        if request.url.path == LOOKUP_PATH:
            self.answers.append(Answered(at, status, _told_to_wait(response.headers)))
        return response

    async def _answer(self, request: httpx.Request) -> tuple[int, list[tuple[str, str]], bytes]:
        response = await self._transport.handle_async_request(request)
        return response.status_code, response.headers.multi_items(), await response.aread()


@contextmanager
def hours(folder: Path, hourly_limit: int) -> Iterator[tuple[Asker, InProcess]]:
    """A client and a service that share a clock."""
    # Which is not here: httpx looks for it with each request, through all of the path.
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "sniffio", None)
        yield from _hours(folder, hourly_limit)


def _hours(folder: Path, hourly_limit: int) -> Iterator[tuple[Asker, InProcess]]:
    secret = registered(load(folder), CLIENT)
    clock = Clock()
    app = create_app(ServiceSettings(folder, hourly_limit=hourly_limit), clock)
    with start_blocking_portal() as portal:
        transport = InProcess(app, portal, clock)
        # The token's end by the service's clock, too, is known in advance.
        options = {"its_clock": clock, "clock": clock, "transport": transport}
        with asking(folder, "https://lookup", secret, **options) as one:
            yield one, transport
        portal.call(_close, app)


async def _close(app: Any) -> None:  # noqa: ANN401
    app.state.resources.close()


@pytest.mark.slow
def test_15000_applications_of_one_hour_are_drained_in_three_hours_and_a_minute(tmp_path: Path):
    with hours(tmp_path, 5000) as (one, transport):
        outcome = one.ask_all(applications(15_000), patience=math.inf)
        assert outcome == BatchOutcome(1500, 13_500, 0, 0, 0)
        assert one.backlog.read_answers(applications(15_000)).height == 15_000
        statuses = Counter(answer.status for answer in transport.answers)
        # Submitted within an hour, and not one asked for before that hour was over.
        assert HOUR + (one.clock.now - _START) <= 3 * HOUR + 60
    assert (statuses[200], statuses[400]) == (1500, 13_500)
    # The service says how many are left, so it hardly ever has to refuse.
    assert statuses[429] <= 3 * LookupPace().in_flight
    assert asked(tmp_path) == 15_000
    assert access(tmp_path)[401] == 0
    assert one.etas[0] == pytest.approx(2 * HOUR, abs=60)


def test_applications_that_come_in_over_an_hour_are_asked_for_as_they_come(tmp_path: Path):
    """A run each five minutes; none of them waits longer than for the next one."""
    given = applications(1500)
    with hours(tmp_path, 500) as (one, _):
        for submitted in range(0, 1501, 125):
            known = given.head(submitted)
            outcome = one.ask_all(known, patience=0)
            assert outcome.waiting == max(0, submitted - 500)
            assert outcome.left is (Remaining.FOR_THE_HOUR if outcome.waiting else None)
            one.clock.now = _START + 300 * (submitted // 125 + 1)
        one.ask_all(given, patience=math.inf)
        assert one.backlog.select_pending(given).is_empty()
        assert one.clock.now - _START <= 3 * HOUR + 60
    assert asked(tmp_path) == 1500


@pytest.mark.parametrize("hidden", [set(), {"ratelimit"}])
def test_the_service_is_obeyed_to_the_second(tmp_path: Path, hidden: set[str]):
    """It allows less than we think; it says so with every answer, or with its refusals alone."""
    with hours(tmp_path, 10) as (one, transport):
        transport.seconds, transport.hidden = 1.0, hidden
        outcome = one.ask_all(applications(25), in_flight=1, patience=3 * HOUR)
        assert outcome.waiting == 0
        statuses = Counter(answer.status for answer in transport.answers)
        assert statuses[200] + statuses[400] == 25
        assert bool(statuses[429]) == bool(hidden)
        for earlier, later in pairwise(transport.answers):
            # The look-up itself takes a second.
            assert later.at == pytest.approx(earlier.at + earlier.wait + 1, abs=0.001)
        assert sum(answer.wait > 0 for answer in transport.answers) == 2
        assert one.etas == sorted(one.etas, reverse=True)
    assert asked(tmp_path) == 25


def test_nobody_waits_longer_than_patience(tmp_path: Path):
    with hours(tmp_path, 10) as (one, _):
        outcome = one.ask_all(applications(25), patience=600)
        assert (outcome.waiting, outcome.left) == (15, Remaining.FOR_THE_HOUR)
        assert outcome.seconds_left == pytest.approx(HOUR * 1.4, rel=0.4)
        assert one.clock.now - _START < 600
        one.clock.move(HOUR)
        assert one.ask_all(applications(25), patience=600).waiting == 5


def test_a_token_is_used_until_shortly_before_its_end(tmp_path: Path):
    with hours(tmp_path, 5000) as (one, transport):
        transport.seconds = 10.0
        one.ask_all(applications(200), in_flight=1)
        # 2,000 seconds with tokens that last 600, of which the last 30 are not used.
        assert access(tmp_path, TOKEN_PATH)[200] == 4
        assert access(tmp_path)[401] == 0


def test_the_time_that_is_left_follows_from_the_hour():
    assert estimate_finish(100, 5000, 100, 3600) == 0
    assert estimate_finish(0, 5000, 0, 3600) == 0
    # All of the hour is there, then nothing for an hour, and so on.
    assert estimate_finish(15_000, 5000, 5000, 3600) == 2 * HOUR
    assert estimate_finish(5001, 5000, 5000, 3600) == HOUR
    # What was used up evenly comes back evenly.
    assert estimate_finish(5000, 5000, 0, 0) == pytest.approx(HOUR, abs=1)
    assert estimate_finish(1, 5000, 0, 10) == 10
    assert estimate_finish(2501, 5000, 0, 0) == pytest.approx(HOUR / 2)


def test_no_log_holds_a_value_a_token_or_the_secret(
    asker: Asker, service: Service, secret: str, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.DEBUG)
    asker.ask_all(applications(20))
    token = asker.lookup._tokens.get()
    assert token
    written = caplog.text + service.everything_written() + repr(vars(asker.lookup))
    for value in ("Marisol", "Cruz", "A000000", HAYWARD_HIGH, "2008-04-09", "90000000"):
        assert value not in written
    for hidden in (token, secret):
        assert hidden not in written


def test_a_refusal_of_too_many_tells_for_how_long():
    error = TooManyRequestsError(1999.6)
    assert error.seconds == 1999.6
    assert "2000 seconds" in str(error)


def main() -> None:
    """Asks with the standard pace; slowly enough to be killed in the middle."""
    folder, address, number = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    secret = sys.stdin.readline().strip()
    with asking(folder, address, secret) as one, observe_progress(lambda *_: time.sleep(0.002)):
        one.ask_all(applications(number))


if __name__ == "__main__":
    main()
