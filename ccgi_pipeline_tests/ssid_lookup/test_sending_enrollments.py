"""Sending verifications of enrollment: a file, the command and the real service over loopback.

Belongs here: what becomes of each line, batches that are stopped, limits, refusals. Does not belong
here: what the service stores of one verification (test_enrollments), the client's patience in
general (test_client).
"""

from __future__ import annotations

import csv
import itertools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner, Result

from ccgi_pipeline.cli import main
from ccgi_pipeline.encryption.sqlite import open_database
from ccgi_pipeline.ssid_lookup import settings
from ccgi_pipeline.ssid_lookup.batch import LookupPace, Remaining
from ccgi_pipeline.ssid_lookup.client import LookupClient, LookupRefusedError
from ccgi_pipeline.ssid_lookup.client_registry import ClientScope
from ccgi_pipeline.ssid_lookup.enrollment_batch import SendOutcome, send_enrollments
from ccgi_pipeline.ssid_lookup.enrollment_files import (
    FIELDS,
    EnrollmentFileError,
    read_enrollments,
)
from ccgi_pipeline.ssid_lookup.enrollments import VerificationFate
from ccgi_pipeline_tests.ssid_lookup.services import Service, registered, running

INSERTED, UPDATED, UNCHANGED = VerificationFate
_NUMBERS = itertools.count(1)
"""Clients of the one service: each test has its own."""
Line = Mapping[str, str]


def enrollment(number: int, **others: str) -> Line:
    """A line of a file: the enrollment of one student."""
    usual = {
        "CCCID": f"ABC{number:04d}",
        "SSID": f"9{number:09d}",
        "College": "021",
        "Term": "267",
        "Status": "enrolled",
        "Date": "2026-08-24",
    }
    return {**usual, **others}


def put(path: Path, lines: Sequence[Line], header: Sequence[str] = FIELDS) -> Path:
    """Writes a file of enrollments."""
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, header)
        writer.writeheader()
        writer.writerows(lines)
    return path


def stored_at(service: Service) -> list[tuple[str, ...]]:
    """All that the service has, but for when it came."""
    with closing(open_database(service.folder / "exchange.sqlite", "", "FULL")) as database:
        rows = database.execute(
            "SELECT cccid, ssid, college, term, status, date FROM enrollment ORDER BY 1, 2, 3, 4"
        ).fetchall()
    return [tuple(row) for row in rows]


def cells(lines: Sequence[Line]) -> list[tuple[str, ...]]:
    """Lines as the service stores them."""
    return sorted(tuple(line[name] for name in FIELDS) for line in lines)


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with running(tmp_path_factory.mktemp("service")) as service:
        yield service


@pytest.fixture
def service(started: Service) -> Service:
    """The service with nothing in it."""
    with closing(open_database(started.folder / "exchange.sqlite", "", "FULL")) as database:
        database.execute("DELETE FROM enrollment")
    return started


@pytest.fixture
def named(service: Service, monkeypatch: pytest.MonkeyPatch) -> Service:
    """The service, named by the environment to a client that may only verify."""
    client = f"college-{next(_NUMBERS)}"
    secret = registered(service.folder, client, ClientScope.VERIFY)
    monkeypatch.setenv(settings.ADDRESS, service.url)
    monkeypatch.setenv(settings.CLIENT, client)
    monkeypatch.setenv(settings.SECRET, secret)
    monkeypatch.delenv(settings.LIMIT, raising=False)
    return service


def send(tmp_path: Path, file: Path, *more: str) -> Result:
    """Runs the command."""
    arguments = ["lookup", "enrollments", "send", str(file), "--backlog", str(tmp_path / "backlog")]
    return CliRunner().invoke(main, [*arguments, *more])


def counts(result: Result) -> dict[str, int]:
    """The table that the command prints."""
    rows = (line.rsplit(maxsplit=1) for line in result.output.splitlines())
    return {
        row[0].strip(): int(row[1].replace(",", ""))
        for row in rows
        if len(row) == 2 and row[1].replace(",", "").isdigit() and not row[0].endswith(":")
    }


# --- the command ----------------------------------------------------------------------------------


def test_a_file_is_sent_and_a_second_time_it_is_there(named: Service, tmp_path: Path):
    lines = [enrollment(n) for n in range(30)]
    file = put(tmp_path / "enrollments.csv", lines)
    first = send(tmp_path, file)
    assert (first.exit_code, counts(first)) == (0, {"new at the service": 30}), first.output
    assert stored_at(named) == cells(lines)
    again = send(tmp_path, file)
    assert again.exit_code == 0
    assert counts(again) == {"sent by an earlier run, and there since": 30}
    assert stored_at(named) == cells(lines)
    forced = send(tmp_path, file, "--again")
    assert counts(forced) == {"already there": 30}
    assert stored_at(named) == cells(lines)
    received = CliRunner().invoke(main, ["lookup", "enrollments", "--store", str(named.folder)])
    assert received.output.split()[-5:] == ["021", "267", "enrolled", "30", "0"]


def test_the_last_status_stands_and_a_return_to_an_earlier_one_is_sent(
    named: Service, tmp_path: Path
):
    enrolled = [enrollment(n) for n in range(3)]
    left = [enrollment(n, Status="withdrawn", Date="2026-10-01") for n in range(3)]
    first = put(tmp_path / "first.csv", enrolled)
    assert counts(send(tmp_path, first)) == {"new at the service": 3}
    assert counts(send(tmp_path, put(tmp_path / "then.csv", left))) == {"changed at the service": 3}
    assert counts(send(tmp_path, first)) == {"changed at the service": 3}
    assert stored_at(named) == cells(enrolled)
    both = put(tmp_path / "both.csv", [*enrolled, *left])
    assert counts(send(tmp_path, both)) == {
        "changed at the service": 3,
        "a later line is about the same enrollment": 3,
    }
    assert stored_at(named) == cells(left)


def test_refused_lines_are_written_with_the_reason_for_the_sender_alone(
    named: Service, tmp_path: Path
):
    good = [enrollment(n) for n in range(4)]
    bad = [
        enrollment(10, CCCID="ABC 1"),
        enrollment(11, SSID="123"),
        enrollment(12, Status="Enrolled"),
        enrollment(13, Date="2026-02-30"),
        enrollment(14, College=""),
        enrollment(15, Term="2026"),
    ]
    file = put(tmp_path / "enrollments.csv", [*good, *bad])
    with file.open("a") as more:
        more.write("ABC0099,9000000099,021\r\n")
    old = os.umask(0)
    try:
        result = send(tmp_path, file)
    finally:
        os.umask(old)
    assert result.exit_code == 1
    assert counts(result) == {"new at the service": 4, "refused": 7}
    assert stored_at(named) == cells(good)
    refused = tmp_path / "backlog" / "refused_enrollments.csv"
    assert f"{refused}" in result.output.replace("\n", "")
    assert refused.stat().st_mode & 0o777 == 0o600
    with refused.open(newline="") as written:
        rows = list(csv.DictReader(written))
    assert [(row["line"], row["rule"]) for row in rows] == [
        ("6", "EN-TYPE-CCCID"),
        ("7", "EN-TYPE-SSID"),
        ("8", "EN-CODE-Status"),
        ("9", "EN-TYPE-Date"),
        ("10", "EN-REQ-College"),
        ("11", "EN-TYPE-Term"),
        ("12", "FILE-FIELDS"),
    ]
    assert all(row["what is wrong"] and row["what to change"] for row in rows)
    assert [{name: row[name] for name in FIELDS} for row in rows[:-1]] == bad
    told = result.output + named.everything_written()
    assert not any(line["SSID"] in told or line["CCCID"] in told for line in [*good, *bad[2:]])

    # The file can be corrected and sent as it is.
    corrected = [{**row, **enrollment(20 + n)} for n, row in enumerate(rows)]
    mended = put(tmp_path / "mended.csv", corrected, list(rows[0]))
    assert counts(send(tmp_path, mended)) == {"new at the service": 7}
    assert not refused.exists()


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "its first line must be CCCID,SSID,College,Term,Status,Date"),
        (b"first,last\r\nMarisol,Vega\r\n", "its first line must be CCCID,SSID"),
        (b"CCCID,SSID,College,Term,Status\r\nABC1234,9000000001,021,267,enrolled\r\n", "Date"),
    ],
)
def test_what_is_no_file_of_enrollments_is_told_and_nothing_is_sent(
    named: Service, tmp_path: Path, content: bytes, told: str
):
    file = tmp_path / "enrollments.csv"
    file.write_bytes(content)
    result = send(tmp_path, file)
    assert result.exit_code == 1
    words = " ".join(f"{result.output} {result.exception}".split())
    assert told in words
    assert "Vega" not in words
    assert "9000000001" not in words
    assert stored_at(named) == []


def test_without_a_service_the_command_says_what_to_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.delenv(settings.ADDRESS, raising=False)
    result = send(tmp_path, put(tmp_path / "enrollments.csv", [enrollment(1)]))
    assert result.exit_code == 1
    assert settings.ADDRESS in f"{result.output} {result.exception}"


def test_a_client_without_the_scope_is_told_and_the_batch_stops(
    service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv(settings.ADDRESS, service.url)
    monkeypatch.setenv(settings.CLIENT, "asker")
    monkeypatch.setenv(settings.SECRET, registered(service.folder, "asker", ClientScope.LOOKUP))
    file = put(tmp_path / "enrollments.csv", [enrollment(n) for n in range(50)])
    result = send(tmp_path, file)
    assert result.exit_code == 1
    assert "enrollment:verify" in f"{result.output} {result.exception}"
    assert "verification" not in [
        line["what"] for line in service.operator_lines(1) if line["client"] == "asker"
    ]
    assert stored_at(service) == []


# --- stopped, limited, failing --------------------------------------------------------------------


def test_a_batch_that_is_killed_goes_on_where_it_was(named: Service, tmp_path: Path):
    lines = [enrollment(n) for n in range(400)]
    file = put(tmp_path / "enrollments.csv", lines)
    command = [
        sys.executable,
        "-c",
        "from ccgi_pipeline.cli import main; main()",
        "lookup",
        "enrollments",
        "send",
        str(file),
    ]
    process = subprocess.Popen(
        [*command, "--backlog", str(tmp_path / "backlog")],
        env=os.environ,
        stdout=subprocess.DEVNULL,
    )
    ends = time.monotonic() + 60
    while len(stored_at(named)) < 40 and time.monotonic() < ends:
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    there = len(stored_at(named))
    assert 40 <= there < 400
    result = send(tmp_path, file)
    assert result.exit_code == 0, result.output
    told = counts(result)
    assert stored_at(named) == cells(lines)
    assert sum(told.values()) == 400
    # Those that were under way when it was killed arrive all the same, and are sent again.
    assert 400 - there - 16 <= told["new at the service"] <= 400 - there
    assert told.get("already there", 0) <= 8 + 8
    assert told["sent by an earlier run, and there since"] >= there - 16


def _client(service: Service, client_id: str, **options: Any) -> LookupClient:  # noqa: ANN401
    known = (service.folder, client_id)
    if known not in _SECRETS:
        _SECRETS[known] = registered(service.folder, client_id, ClientScope.VERIFY)
    secret = _SECRETS[known]
    return LookupClient(service.url, client_id, secret, scope=ClientScope.VERIFY, **options)


_SECRETS: dict[tuple[Path, str], str] = {}


def _send(file: Path, client: LookupClient, tmp_path: Path, **options: Any) -> SendOutcome:  # noqa: ANN401
    folder = tmp_path / "backlog"
    folder.mkdir(exist_ok=True)
    with closing(client):
        return send_enrollments(read_enrollments(file), client, folder, **options)


def test_the_hourly_limit_leaves_lines_for_later_and_retry_after_is_kept(tmp_path: Path):
    folder = tmp_path / "service"
    folder.mkdir()
    file = put(tmp_path / "enrollments.csv", [enrollment(n) for n in range(12)])
    with running(folder, hourly_limit=5) as service:
        # The client believes in more than the service grants.
        outcome = _send(
            file,
            _client(service, "eager"),
            tmp_path,
            pace=LookupPace(hourly_limit=5000, patience=0),
            sleep=lambda _: None,
        )
        assert outcome.sent == {INSERTED: 5}
        assert (outcome.waiting, outcome.left) == (7, Remaining.FOR_THE_HOUR)
        assert 0 < outcome.seconds_left <= 2 * 3600
        assert len(stored_at(service)) == 5


class _Failing(httpx.BaseTransport):
    """A network in which the first requests fail in some way."""

    def __init__(self, failures: Sequence[Callable[[httpx.Request], httpx.Response]]) -> None:
        self.failures = list(failures)
        self.asked: list[str] = []
        self.network = httpx.HTTPTransport()

    def close(self) -> None:
        self.network.close()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/enrollment-verifications"):
            self.asked.append(request.url.path)
            if self.failures:
                return self.failures.pop(0)(request)
        return self.network.handle_request(request)


def _answer(status: int, **headers: str) -> Callable[[httpx.Request], httpx.Response]:
    return lambda _: httpx.Response(status, headers=headers, json={"error": "no", "message": "no"})


def _broken_off(request: httpx.Request) -> httpx.Response:
    msg = "the connection was reset"
    raise httpx.ReadError(msg, request=request)


def test_failures_that_pass_are_tried_again_and_the_wait_is_what_the_service_says(
    service: Service, tmp_path: Path
):
    network = _Failing([_answer(503), _broken_off, _answer(429, **{"Retry-After": "17"})])
    lines = [enrollment(n) for n in range(6)]
    now, slept = [1_800_000_000.0], []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        now[0] += seconds

    outcome = _send(
        put(tmp_path / "enrollments.csv", lines),
        _client(service, "patient", transport=network),
        tmp_path,
        pace=LookupPace(in_flight=1, patience=3600),
        clock=lambda: now[0],
        sleep=sleep,
    )
    assert outcome.sent == {INSERTED: 6}
    assert outcome.waiting == 0
    assert max(slept) == pytest.approx(17, abs=0.5)
    assert len(network.asked) == 9
    assert stored_at(service) == cells(lines)


def test_an_answer_that_was_lost_is_asked_for_again_and_was_there(service: Service, tmp_path: Path):
    network = _Failing([])
    there = network.network.handle_request

    def lose(request: httpx.Request) -> httpx.Response:
        there(request).close()
        return _broken_off(request)

    network.failures = [lose]
    outcome = _send(
        put(tmp_path / "enrollments.csv", [enrollment(1)]),
        _client(service, "unlucky", transport=network),
        tmp_path,
        sleep=lambda _: None,
        pace=LookupPace(in_flight=1, first_pause=0),
    )
    assert outcome.sent == {UNCHANGED: 1}
    assert stored_at(service) == cells([enrollment(1)])


def test_what_does_not_pass_stops_the_batch_and_keeps_what_was_sent(
    service: Service, tmp_path: Path
):
    network = _Failing([])
    file = put(tmp_path / "enrollments.csv", [enrollment(n) for n in range(20)])

    def later(request: httpx.Request) -> httpx.Response:
        return (
            _answer(403)(request)
            if len(network.asked) > 5
            else network.network.handle_request(request)
        )

    network.failures = [later] * 20
    client = _client(service, "closed", transport=network)
    with pytest.raises(LookupRefusedError, match="enrollment:verify"):
        _send(file, client, tmp_path, pace=LookupPace(in_flight=1))
    assert len(network.asked) == 6
    assert len(stored_at(service)) == 5
    outcome = _send(file, _client(service, "closed"), tmp_path)
    assert (outcome.already_sent, outcome.sent) == (5, {INSERTED: 15})


def test_a_line_that_the_service_refuses_is_refused_with_its_fields(
    service: Service, tmp_path: Path
):
    refusal = httpx.Response(
        422,
        json={
            "error": "invalid_request",
            "message": "no",
            "fields": [
                {"field": "Term", "problem": "format", "message": "9000000001"},
                {"field": "9000000001", "problem": "format", "message": "x"},
            ],
        },
    )
    outcome = _send(
        put(tmp_path / "enrollments.csv", [enrollment(1), enrollment(2)]),
        _client(service, "refused", transport=_Failing([lambda _: refusal])),
        tmp_path,
        pace=LookupPace(in_flight=1),
    )
    assert outcome.sent == {INSERTED: 1}
    (row,) = outcome.refused.to_dicts()
    assert (row["line"], row["rule"]) == (2, "EN-SERVICE")
    assert row["what is wrong"] == "The service does not accept the line: Term."
    # It is asked again the next time: the service may have learned.
    assert _send(tmp_path / "enrollments.csv", _client(service, "refused"), tmp_path).sent == {
        INSERTED: 1
    }


# --- the file -------------------------------------------------------------------------------------


def test_every_line_of_a_file_is_an_enrollment_or_refused(tmp_path: Path):
    file = put(tmp_path / "enrollments.csv", [enrollment(n) for n in range(5)])
    with file.open("a") as more:
        more.write('ABC0001,9000000001\r\n"ABC0002,9,021,267,enrolled,2026-08-24\r\n,,,,,\r\n\r\n')
    read = read_enrollments(file)
    assert read.enrollments.height == 5
    assert read.enrollments.height + read.refused.height == read.lines


def test_names_in_another_order_or_case_and_a_byte_order_mark_are_read(tmp_path: Path):
    names = ["date", "status", "TERM", "college", "ssid", "cccid", "remark"]
    given = {name.lower(): cell for name, cell in enrollment(1).items()}
    lines = [{name: given.get(name.lower(), "x") for name in names}]
    file = put(tmp_path / "enrollments.csv", lines, names)
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes())
    read = read_enrollments(file)
    assert read.enrollments.select(FIELDS).row(0) == tuple(enrollment(1).values())


def test_an_error_about_a_file_has_no_value(tmp_path: Path):
    file = tmp_path / "enrollments.csv"
    file.write_text("9000000001,Vega\n")
    with pytest.raises(EnrollmentFileError) as told:
        read_enrollments(file)
    assert "Vega" not in str(told.value)
    assert "9000000001" not in str(told.value)
