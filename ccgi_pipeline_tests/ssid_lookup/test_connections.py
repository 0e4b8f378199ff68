"""Connections that send without end, too slowly or not at all, against a real service.

Belongs here: what one client can take from the others, on sockets without an HTTP library. Does not
belong here: what is answered to whole requests (test_service).
"""

from __future__ import annotations

import json
import resource
import select
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from http.client import HTTPResponse
from pathlib import Path

import pytest

from ccgi_pipeline.http_service.addresses import group_address
from ccgi_pipeline.http_service.connections import ConnectionLimits
from ccgi_pipeline.ssid_lookup.service import HEALTH_PATH, PAGE_PATH, TOKEN_PATH
from ccgi_pipeline.ssid_lookup.store import load_identities
from ccgi_pipeline_tests.ssid_lookup.people import frame, identity
from ccgi_pipeline_tests.ssid_lookup.services import Service, running
from ccgi_pipeline_tests.tiers import slow_but

LIMITS = ConnectionLimits(
    connections=40,
    per_address=20,
    request_seconds=1.5,
    idle_seconds=1.5,
    head_bytes=16 * 1024,
    request_bytes=48 * 1024,
)
_LATE = 10.0
"""Seconds after which what should have been closed is not. The limits and two sweeps take four."""
GET = f"GET {HEALTH_PATH} HTTP/1.1\r\nHost: lookup\r\n\r\n".encode()
CHUNKED = b"Host: lookup\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service that closes slow connections after a second."""
    folder = tmp_path_factory.mktemp("connections")
    load_identities(folder, [frame([identity("9000000001")])])
    with running(folder, limits=LIMITS) as started:
        yield started


@pytest.fixture(scope="module")
def patient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service that closes connections only to make room."""
    folder = tmp_path_factory.mktemp("patient")
    load_identities(folder, [frame([identity("9000000001")])])
    with running(folder, limits=replace(LIMITS, request_seconds=300, idle_seconds=300)) as started:
        yield started


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The same with TLS."""
    folder = tmp_path_factory.mktemp("secured")
    load_identities(folder, [frame([identity("9000000001")])])
    with running(folder, limits=LIMITS, tls=True) as started:
        yield started


def dial(service: Service, source: str = "127.0.0.1") -> socket.socket:
    """A connection without TLS yet; ``source`` is one of the loopback's many addresses."""
    return socket.create_connection(("127.0.0.1", service.port), 5, source_address=(source, 0))


@contextmanager
def dialled(service: Service) -> Iterator[socket.socket]:
    """A connection on which requests can be sent."""
    with dial(service) as plain:
        if service.certificate is None:
            yield plain
            return
        trust = ssl.create_default_context(cafile=str(service.certificate.certificate))
        with trust.wrap_socket(plain, server_hostname="localhost") as secure:
            yield secure


def healthy(service: Service) -> bool:
    """Whether a newcomer is answered."""
    with dialled(service) as one:
        one.settimeout(_LATE)
        one.sendall(GET)
        return one.recv(4096).startswith(b"HTTP/1.1 200")


def read_to_end(one: socket.socket) -> bytes:
    """All that comes until the service closes the connection; fails if it does not."""
    answer = b""
    ends = time.monotonic() + _LATE
    one.settimeout(_LATE)
    while time.monotonic() < ends:
        try:
            part = one.recv(65536)
        except ConnectionResetError:
            return answer
        if not part:
            return answer
        answer += part
    msg = "the connection is still open"
    raise AssertionError(msg)


def send_endlessly(one: socket.socket, head: bytes, piece: bytes) -> int:
    """Sends until the service closes the connection; returns how many bytes that were."""
    sent, ends = 0, time.monotonic() + _LATE
    one.settimeout(_LATE)
    try:
        one.sendall(head)
        while time.monotonic() < ends:
            sent += one.send(piece)
    except OSError:
        return sent
    msg = f"the connection is still open after {sent:,} bytes"
    raise AssertionError(msg)


def memory(service: Service) -> int:
    """The resident bytes of the service."""
    status = Path(f"/proc/{service.process.pid}/status").read_text()
    (line,) = [line for line in status.splitlines() if line.startswith("VmRSS")]
    return int(line.split()[1]) * 1024


def told(answer: bytes) -> tuple[int, str]:
    """Status and code of an error, which has the form of all errors."""
    head, _, body = answer.partition(b"\r\n\r\n")
    told = json.loads(body)
    assert set(told) == {"error", "message"}
    assert b"application/json" in head
    return int(head.split()[1]), told["error"]


ENDLESS = {
    "headers": (b"GET /health HTTP/1.1\r\nHost: lookup\r\n", b"X-More: and more\r\n" * 4000),
    "a header": (b"GET /health HTTP/1.1\r\nX-Long: ", b"a" * 65536),
    "an address": (b"GET /health?", b"a" * 65536),
    "a method": (b"", b"A" * 65536),
    "trailers": (
        b"POST /oauth/token HTTP/1.1\r\n" + CHUNKED + b"0\r\n",
        b"X-More: and more\r\n" * 4000,
    ),
    "the extension of a chunk": (b"POST /oauth/token HTTP/1.1\r\n" + CHUNKED + b"1;", b"a" * 65536),
    "chunks that are read": (
        b"POST /oauth/token HTTP/1.1\r\n" + CHUNKED,
        b"1000\r\n" + b"a" * 4096 + b"\r\n",
    ),
    "chunks that nobody reads": (
        b"GET /health HTTP/1.1\r\n" + CHUNKED,
        b"1000\r\n" + b"a" * 4096 + b"\r\n",
    ),
    "chunks of a byte": (b"GET /health HTTP/1.1\r\n" + CHUNKED, b"1\r\na\r\n" * 10_000),
    "a body of 10 GB": (
        b"POST /oauth/token HTTP/1.1\r\nHost: lookup\r\nContent-Length: 10000000000\r\n\r\n",
        b"a" * 65536,
    ),
    "requests whose answers nobody reads": (b"", GET * 1000),
    "requests for another protocol": (
        b"",
        b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n" * 99,
    ),
    "what is no HTTP": (b"", b"\x16\x03\x01" * 20_000),
}


@pytest.mark.parametrize("name", ENDLESS)
def test_what_is_sent_without_end_is_cut_off_soon_and_costs_no_memory(service: Service, name: str):
    head, piece = ENDLESS[name]
    assert healthy(service)
    before = memory(service)
    with dialled(service) as one:
        # What is on its way in the system's buffers has some megabytes, whatever the service reads.
        assert send_endlessly(one, head, piece) < 20_000_000
    assert memory(service) - before < 8_000_000
    assert healthy(service)
    assert service.output.read_text() == ""


SLOW = {
    "nothing": (b"", b""),
    "a head byte by byte": (b"GET /health HTTP/1.1\r\nX-Slow: ", b"a"),
    "a body byte by byte": (
        b"POST /oauth/token HTTP/1.1\r\nHost: lookup\r\nContent-Length: 9999\r\n\r\n",
        b"a",
    ),
    "the body of a refused request": (
        b"POST /ssid-lookup HTTP/1.1\r\nHost: lookup\r\nContent-Length: 9999\r\n\r\n",
        b"a",
    ),
    "nothing after an answer": (GET, b""),
    "blank lines after an answer": (GET, b"\r\n"),
    "half a request after an answer": (GET + GET[:-2], b"a"),
    "a promise of a body": (
        b"POST /oauth/token HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nExpect: 100-continue"
        + b"\r\n" * 2,
        b"",
    ),
}


def test_what_is_sent_too_slowly_is_closed(service: Service):
    with ExitStack() as stack:
        slow = {name: stack.enter_context(dialled(service)) for name in SLOW}
        for name, one in slow.items():
            one.sendall(SLOW[name][0])
        ends = time.monotonic() + _LATE
        while slow and time.monotonic() < ends:
            time.sleep(0.3)
            for name, one in list(slow.items()):
                if is_closed(one, SLOW[name][1]):
                    del slow[name]
        assert slow == {}
    assert healthy(service)


def is_closed(one: socket.socket, byte: bytes) -> bool:
    """Sends another byte; tells whether the service has closed the connection."""
    try:
        if byte:
            one.send(byte)
        while select.select([one], [], [], 0)[0]:
            if not one.recv(4096):
                return True
    except OSError:
        return True
    return False


def test_a_client_is_told_why_its_request_is_refused(service: Service):
    post = b"POST /oauth/token HTTP/1.1\r\nHost: lookup\r\nContent-Length: 9\r\n\r\n"
    cases = {
        b"GET /health HTTP/1.1\r\nX-Long: " + b"a" * 21_000: (400, "bad_request"),
        b"no HTTP at all\r\n\r\n": (400, "bad_request"),
        b"GET /health HTTP/1.1\r\nX-Slow: a": (408, "too_slow"),
        post + b"a": (408, "too_slow"),
    }
    with ExitStack() as stack:
        ones = [(stack.enter_context(dialled(service)), request) for request in cases]
        for one, request in ones:
            one.sendall(request)
        assert {request: told(read_to_end(one)) for one, request in ones} == cases


def answered(one: socket.socket, request: bytes) -> int:
    """The status of the whole answer to a request."""
    one.sendall(request)
    answer = HTTPResponse(one)
    answer.begin()
    answer.read()
    return answer.status


def test_a_head_of_usual_size_and_requests_one_after_the_other_are_answered(service: Service):
    cookie = b"Cookie: " + b"a" * 8000 + b"\r\n\r\n"
    with dialled(service) as one:
        assert [answered(one, GET[:-2] + cookie) for _ in range(50)] == [200] * 50


def test_who_does_not_read_its_answers_is_closed(service: Service):
    """The answers fill the buffers of both sides; then the service waits no longer than allowed."""
    page = f"GET {PAGE_PATH} HTTP/1.1\r\nHost: lookup\r\n\r\n".encode()
    with socket.socket() as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        one.connect(("127.0.0.1", service.port))
        started = time.monotonic()
        # A request at a time: two at once are refused without that.
        while not is_closed_unread(one, page):
            assert time.monotonic() < started + 3 * _LATE
    assert healthy(service)


def is_closed_unread(one: socket.socket, request: bytes) -> bool:
    """Sends a request and reads nothing; tells whether the service has closed the connection."""
    time.sleep(0.005)
    try:
        one.send(request, socket.MSG_DONTWAIT)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return False


@contextmanager
def held_open(
    service: Service, number: int, source: str = "127.0.0.1", first: bytes = b""
) -> Iterator[list[socket.socket]]:
    """So many connections on which nothing more is sent."""
    with ExitStack() as stack:
        held = []
        for _ in range(number):
            held.append(stack.enter_context(dial(service, source)))
            if first:
                held[-1].sendall(first)
        yield held


def open_ones(connections: Sequence[socket.socket], most: int = 0) -> int:
    """How many of them the service has not closed, as soon as they are no more than ``most``."""
    ends = time.monotonic() + (_LATE if most else 0)
    while True:
        number = sum(not is_closed(one, b"") for one in connections)
        if number <= most or time.monotonic() >= ends:
            return number
        time.sleep(0.05)


@pytest.mark.parametrize("first", slow_but(GET[:-2], [b"", GET[:-2], GET]))
def test_connections_that_are_held_open_shut_nobody_out(service: Service, first: bytes):
    with held_open(service, 300, first=first) as held:
        assert healthy(service)
        assert open_ones(held, LIMITS.per_address) <= LIMITS.per_address
        ends = time.monotonic() + _LATE
        while open_ones(held) and time.monotonic() < ends:
            time.sleep(0.2)
        assert open_ones(held) == 0


def test_connections_without_a_tls_handshake_shut_nobody_out(secured: Service):
    assert healthy(secured)
    before = memory(secured)
    with ExitStack() as stack:
        held = []
        for first in (b"", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc", b"GET / HTTP/1.1\r\n\r\n"):
            held += stack.enter_context(held_open(secured, 300, first=first))
            assert healthy(secured)
        assert open_ones(held, LIMITS.per_address) <= LIMITS.per_address
        ends = time.monotonic() + _LATE
        while open_ones(held) and time.monotonic() < ends:
            time.sleep(0.2)
        assert open_ones(held) == 0
    # 900 handshakes that were given up would have 45 MB.
    assert memory(secured) - before < 25_000_000
    assert secured.output.read_text() == ""


def test_with_tls_requests_are_limited_as_without(secured: Service):
    before = memory(secured)
    for name in ("headers", "chunks that nobody reads"):
        with dialled(secured) as one:
            assert send_endlessly(one, *ENDLESS[name]) < 20_000_000
    assert memory(secured) - before < 8_000_000
    with dialled(secured) as one:
        one.sendall(b"GET /health HTTP/1.1\r\nX-Slow: a")
        assert told(read_to_end(one)) == (408, "too_slow")
    assert healthy(secured)


def test_one_address_cannot_take_the_place_of_another(patient: Service):
    with held_open(patient, 5, "127.0.0.2", GET[:-2]) as others, held_open(patient, 200):
        assert healthy(patient)
        assert open_ones(others) == 5


def test_many_addresses_cannot_take_the_place_of_all_others(patient: Service):
    """When the service is full, who has most connections gives way."""
    with held_open(patient, 3, "127.0.0.2", GET[:-2]) as few, ExitStack() as stack:
        held = [
            one
            for number in range(3, 8)
            for one in stack.enter_context(held_open(patient, 15, f"127.0.0.{number}"))
        ]
        assert open_ones(held, LIMITS.connections) <= LIMITS.connections
        assert healthy(patient)
        assert open_ones(few) == 3


@pytest.mark.slow
def test_behind_a_proxy_there_is_no_limit_for_its_address(tmp_path: Path):
    limits = ConnectionLimits(connections=40, per_address=0)
    with running(tmp_path, limits=limits) as service, held_open(service, 35) as held:
        with dialled(service) as one:
            one.sendall(GET)
            assert one.recv(4096).startswith(b"HTTP/1.1 503")
        assert open_ones(held) == 35


def test_the_operator_is_told_what_was_closed_and_where_it_came_from(service: Service):
    with dialled(service) as one:
        one.sendall(b"no HTTP\r\n\r\n")
        read_to_end(one)
    log = service.folder / "logs/operator.jsonl"
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    told = [line for line in lines if line["what"] == "connection"]
    assert "bad_request" in {line["reason"] for line in told}
    assert {line["address"] for line in told} <= {f"127.0.0.{n}" for n in range(1, 9)}
    # Hundreds were closed since the service began; a line a minute tells of each kind.
    assert len(told) < 50


def test_a_service_that_may_open_few_files_takes_fewer_connections():
    """So a flood cannot use up its files, of which accepting a connection needs one."""
    program = (
        "import resource, sys; from ccgi_pipeline.http_service.connections import *;"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (int(sys.argv[1]), int(sys.argv[2])));"
        "print(reserve_files(ConnectionLimits()).connections,"
        " resource.getrlimit(resource.RLIMIT_NOFILE)[0])"
    )

    def fitted(soft: int, hard: int) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", program, str(soft), str(hard)],
            capture_output=True,
            text=True,
            check=False,
        )

    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert fitted(256, hard).stdout.split() == ["500", "692"]
    assert fitted(256, 256).stdout.split() == ["64", "256"]
    assert "too few for the service" in fitted(100, 100).stderr


def test_an_address_is_counted_with_its_site():
    assert group_address("127.0.0.1") == "127.0.0.1"
    assert group_address("::ffff:10.0.0.7") == "10.0.0.7"
    assert group_address("2001:db8:1:2:3::4") == group_address("2001:db8:1:2:ffff::1%eth0")
    assert group_address("2001:db8:1:3::1") != group_address("2001:db8:1:2::1")
    assert group_address("testclient") == "testclient"


def test_a_token_request_with_its_body_in_pieces_is_answered(service: Service):
    """The limits are of what is too slow, not of what comes in parts."""
    body = b"grant_type=client_credentials"
    with dialled(service) as one:
        one.sendall(f"POST {TOKEN_PATH} HTTP/1.1\r\nHost: lookup\r\n".encode())
        time.sleep(0.2)
        one.sendall(b"Content-Type: application/x-www-form-urlencoded\r\n")
        one.sendall(b"Content-Length: %d\r\n\r\n" % len(body))
        for start in range(0, len(body), 10):
            time.sleep(0.1)
            one.sendall(body[start : start + 10])
        assert one.recv(4096).startswith(b"HTTP/1.1 401")
