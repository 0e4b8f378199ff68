"""The service as a process with workers: its limits against who means harm, and what is left.

Belongs here: sockets, processes, folders and the output of a real service. What it answers to whole
requests is tested in ``test_service``.
"""

from __future__ import annotations

import io
import os
import signal
import socket
import stat
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from ccgi_pipeline.check_service import refusals
from ccgi_pipeline.check_service.upload_folders import UploadFolderError, open_upload_root
from ccgi_pipeline.feeds.transcript import STUDENT
from ccgi_pipeline_tests.check_service.services import (
    Service,
    is_over,
    running,
    started,
    wait_until,
)
from ccgi_pipeline_tests.files import DISTRICT, as_bytes, good_file, good_lines
from ccgi_pipeline_tests.privacy.canaries import canaries_in, good
from ccgi_pipeline_tests.tiers import slow_but
from ccgi_pipeline_tests.verification.causes.samples import SAMPLES, name_of

GOOD = {"StudentTemplate.csv": good_file(STUDENT)}
LIMITS = {"request_seconds": 1.5, "idle_seconds": 5, "connections": 30, "body_seconds": 20}
SETTINGS = {"largest": 30_000_000, "grace": 1, "at_once": 1, "receiving": 2, "patience": 0.5}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service with small limits."""
    with running(tmp_path_factory.mktemp("service"), LIMITS, **SETTINGS) as served:
        yield served
        wait_until(lambda: not served.uploads())
    assert [*served.folder.iterdir()] == []


def is_fine(service: Service) -> bool:
    """Whether a good file is accepted, and nothing is left."""
    answer = service.check(GOOD)
    assert answer.status_code == 200, answer.text
    return "Send the files." in answer.text and not service.uploads()


def dial(service: Service) -> socket.socket:
    return socket.create_connection(("127.0.0.1", service.port), 5)


def head(length: int | str, *more: str) -> bytes:
    lines = [
        "POST /check HTTP/1.1",
        "Host: 127.0.0.1",
        "Content-Type: multipart/form-data; boundary=limit",
        f"Content-Length: {length}",
        *more,
    ]
    return "\r\n".join([*lines, "", ""]).encode()


PART = b'--limit\r\nContent-Disposition: form-data; name="files"; filename="a.csv"\r\n\r\n'


def read_to_end(one: socket.socket, seconds: float = 15) -> bytes:
    """All that comes until the service closes the connection; fails if it does not."""
    answer, ends = b"", time.monotonic() + seconds
    one.settimeout(seconds)
    while time.monotonic() < ends:
        try:
            piece = one.recv(65536)
        except ConnectionError:
            return answer
        if not piece:
            return answer
        answer += piece
    pytest.fail("the connection is still open")


# --- receipts -------------------------------------------------------------------------------------


def test_files_are_judged_by_a_process_that_ends_with_them(service: Service) -> None:
    wait_until(lambda: len(service.workers()) == 1)
    (before,) = service.workers()
    assert is_fine(service)
    wait_until(lambda: is_over(before))
    wait_until(lambda: len(service.workers()) == 1)


@pytest.mark.slow
def test_files_of_many_causes_are_judged_one_after_the_other(tmp_path: Path) -> None:
    """Every sixth: each takes a process; ``test_service`` has all of them."""
    with running(tmp_path) as service:
        for id_ in [*SAMPLES][::6]:
            sample, _ = SAMPLES[id_]
            answer = service.check({name_of(sample): sample.content}, district=DISTRICT)
            assert answer.status_code == 200
            assert f"cause <code>{id_}</code>" in answer.text or id_ == "CAUSE-PGP"
            assert not service.uploads()
        assert service.refused() == {}


# --- bytes and seconds ----------------------------------------------------------------------------


def test_what_is_declared_too_large_is_refused_at_once(service: Service) -> None:
    with dial(service) as one:
        one.sendall(head(10_000_000_000) + PART)
        one.settimeout(5)
        assert one.recv(65536).startswith(b"HTTP/1.1 413")
    assert is_fine(service)


def send_endlessly(service: Service, first: bytes, piece: bytes) -> int:
    """Sends until the service closes the connection; returns how many bytes that were."""
    sent, ends = 0, time.monotonic() + 15
    with dial(service) as one:
        try:
            one.sendall(first)
            while time.monotonic() < ends:
                sent += one.send(piece)
        except OSError:
            return sent
    pytest.fail(f"the connection is still open after {sent:,} bytes")


PLAIN = head(10_000_000_000)
CHUNKED = PLAIN.replace(b"Content-Length: 10000000000", b"Transfer-Encoding: chunked")
CHUNK = b"10000\r\n" + b"a" * 65536 + b"\r\n"
ENDLESS = {
    "a body with a length": (PLAIN, b"a" * 65536),
    "a file without a length": (CHUNKED + b"%x\r\n%b\r\n" % (len(PART), PART), CHUNK),
    "a body that nobody reads": (PLAIN.replace(b"POST /check", b"GET /"), b"a" * 65536),
    "a head": (PLAIN[:-2], b"X-More: and more\r\n" * 4000),
}


@pytest.mark.parametrize("what", slow_but("a file without a length", ENDLESS))
def test_what_is_sent_without_end_is_cut_off(what: str, service: Service) -> None:
    """What is on its way in the system's buffers has some megabytes."""
    assert send_endlessly(service, *ENDLESS[what]) < 60_000_000
    assert is_fine(service)


def test_an_upload_that_comes_too_slowly_is_ended_and_removed(service: Service) -> None:
    with dial(service) as silent, dial(service) as slow:
        for one in (silent, slow):
            one.sendall(head(9_000_000) + PART)
        wait_until(lambda: len(service.uploads()) >= 4)
        ends = time.monotonic() + 10
        silent.settimeout(0)
        answer = b""
        while not answer and time.monotonic() < ends:
            slow.sendall(b"a")
            time.sleep(0.05)
            try:
                answer = silent.recv(65536)
            except BlockingIOError:
                continue
        assert answer.startswith(b"HTTP/1.1 408")
        answer += read_to_end(silent)  # the body may come by itself
        slow.settimeout(5)
        assert slow.recv(65536).startswith(b"HTTP/1.1 408")
        assert refusals.TOO_SLOW.message.encode() in answer
        assert not service.uploads()
    assert is_fine(service)


@pytest.mark.slow
def test_a_head_that_comes_too_slowly_is_ended(service: Service) -> None:
    with dial(service) as one:
        one.sendall(b"POST /check HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: ")
        assert b"408" in read_to_end(one)


@pytest.mark.slow
def test_many_connections_shut_nobody_out(service: Service) -> None:
    with ExitStack() as stack:
        for _ in range(200):
            stack.enter_context(dial(service)).sendall(b"POST /check HTTP/1.1\r\n")
        assert service.is_healthy()
        assert is_fine(service)


def test_who_comes_while_others_send_is_told_to_come_again(service: Service) -> None:
    with ExitStack() as stack:
        for _ in range(2):
            stack.enter_context(dial(service)).sendall(head(9_000_000) + PART)
        wait_until(lambda: len(service.uploads()) >= 4)
        answer = service.check(GOOD)
        assert answer.status_code == 503
        assert int(answer.headers["Retry-After"]) > 0
        assert refusals.BUSY.message in answer.text
    wait_until(lambda: not service.uploads())
    assert is_fine(service)


# --- hostile files --------------------------------------------------------------------------------


def bomb(members: int, size: int) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as package:
        for number in range(members):
            package.writestr(f"StudentTemplate_{number}.csv", bytes(size))
    return packed.getvalue()


@pytest.mark.slow
def test_a_zip_bomb_is_refused_by_its_receipt(service: Service) -> None:
    for content in (bomb(1, 50_000_000), bomb(150, 1_500_000)):
        answer = service.check({"package.zip": content}, format="json").json()
        assert answer["verdict"] == "rejected"
    assert is_fine(service)


def test_markup_in_names_and_cells_is_shown_as_text(service: Service) -> None:
    name = "<script>alert(1)</script><b>StudentTemplate.csv"
    line = {**good_lines(STUDENT)[0], "StateID": "<script>alert(2)</script>"}
    answer = service.check({name: as_bytes(STUDENT, [line])}, show_values="1")
    assert answer.status_code == 200
    assert "<script" not in answer.text
    assert "&lt;script&gt;alert(2)" in answer.text


def many_lines(count: int) -> bytes:
    content = good_file(STUDENT)
    first, *others = content.splitlines(keepends=True)
    return first + b"".join(others) * (count // len(others))


@pytest.mark.slow
def test_a_file_that_needs_too_much_memory_ends_its_own_worker_only(tmp_path: Path) -> None:
    with running(tmp_path, memory=600_000_000, seconds=60) as service:
        answer = service.check({"StudentTemplate.csv": many_lines(320_000)})
        assert answer.status_code == 422
        assert refusals.OUT_OF_MEMORY.message in answer.text
        assert not service.uploads()
        assert service.refused() == {"out_of_memory": 1}
        assert is_fine(service)


@pytest.mark.slow
def test_a_file_that_takes_too_long_ends_its_own_worker_only(tmp_path: Path) -> None:
    with running(tmp_path, seconds=1.5) as service:
        wait_until(lambda: len(service.workers()) == 1)
        answer = service.check({"StudentTemplate.csv": many_lines(250_000)})
        assert answer.status_code == 422
        assert refusals.OUT_OF_TIME.message in answer.text
        assert not service.uploads()
        time.sleep(2)  # the next worker is ready
        assert is_fine(service)


# --- nothing is left ------------------------------------------------------------------------------


@pytest.mark.slow
def test_who_goes_away_ends_the_work(tmp_path: Path) -> None:
    with running(tmp_path) as service:
        wait_until(lambda: len(service.workers()) == 1)
        (worker,) = service.workers()
        with dial(service) as one:
            body = PART + many_lines(250_000) + b"\r\n--limit--\r\n"
            one.sendall(head(len(body)) + body)
        wait_until(lambda: is_over(worker), 3)
        wait_until(lambda: not service.uploads(), 3)
        assert is_fine(service)


@pytest.mark.slow
def test_a_service_that_is_told_to_stop_ends_its_workers_within_seconds(tmp_path: Path) -> None:
    with started(tmp_path) as service, dial(service) as one, dial(service) as other:
        wait_until(lambda: len(service.workers()) == 1)
        other.sendall(head(9_000_000) + PART)
        body = PART + many_lines(250_000) + b"\r\n--limit--\r\n"
        one.sendall(head(len(body)) + body)
        wait_until(lambda: len(service.uploads()) >= 3)
        workers = service.workers()
        began = time.monotonic()
        service.process.send_signal(signal.SIGTERM)
        service.process.wait(20)
        assert time.monotonic() - began < 10
        assert service.process.returncode == 0
        wait_until(lambda: all(map(is_over, workers)), 3)
        assert [*service.folder.iterdir()] == []


def test_what_a_killed_service_leaves_is_removed_by_the_next(tmp_path: Path) -> None:
    with started(tmp_path) as service, dial(service) as one, dial(service) as other:
        wait_until(lambda: len(service.workers()) == 1)
        (worker,) = service.workers()
        one.sendall(head(9_000_000) + PART + b"canary")
        body = PART + many_lines(250_000) + b"\r\n--limit--\r\n"
        other.sendall(head(len(body)) + body)
        wait_until(lambda: Path(f"/proc/{worker}/cwd").resolve().is_relative_to(service.folder))
        workers = service.workers()
        service.process.kill()
        service.process.wait(5)
        assert len(service.uploads()) >= 4
        # Also the one that judges, which would take longer.
        wait_until(lambda: all(map(is_over, workers)), 3)
    with running(tmp_path) as again:
        assert not again.uploads()
        assert is_fine(again)


@pytest.mark.slow
def test_two_services_leave_each_others_uploads_alone(tmp_path: Path) -> None:
    with running(tmp_path) as first, dial(first) as one:
        one.sendall(head(9_000_000) + PART)
        wait_until(lambda: len(first.uploads()) >= 2)
        with open_upload_root(first.folder):
            assert len([path for path in first.uploads() if path.name == "a.csv"]) == 1


def test_only_the_owner_can_read_an_upload(service: Service) -> None:
    with dial(service) as one:
        one.sendall(head(9_000_000) + PART)
        wait_until(lambda: len(service.uploads()) >= 2)
        for path in [*service.folder.iterdir(), *service.uploads()]:
            assert not stat.S_IMODE(path.stat().st_mode) & 0o077


def test_a_folder_that_somebody_else_has_put_there_is_not_used(tmp_path: Path) -> None:
    place = tmp_path / f"ccgi-check-{os.geteuid()}"
    place.mkdir()
    place.chmod(0o755)
    with pytest.raises(UploadFolderError, match="not a folder of this account alone"):
        open_upload_root(tmp_path).__enter__()
    place.rmdir()
    place.symlink_to("/tmp")  # noqa: S108 - what an attacker would do
    with pytest.raises(UploadFolderError, match="not a folder of this account alone"):
        open_upload_root(tmp_path).__enter__()


def test_no_value_and_no_name_gets_anywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", f"{temporary}")
    content = as_bytes(STUDENT, good(STUDENT))
    broken = content.replace(b",", b"\t", 3) + b'"'
    with running(tmp_path, memory=600_000_000) as service:
        for name, sent, form in (
            ("Canaryname.csv", broken, "json"),
            ("Canaryname.zip", content, "html"),
            ("StudentTemplate.csv", content * 3000, "html"),
        ):
            answer = service.check({name: sent}, format=form)
            assert answer.status_code in {200, 422}
            assert not canaries_in(answer.content)
        with dial(service) as one:
            one.sendall(head(9_000_000) + PART + content)
        with dial(service) as one:
            one.sendall(b"GET /?name=Canaryname HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            one.recv(100)
        assert service.check(GOOD, family="Canaryname").status_code == 400
        wait_until(lambda: not service.uploads())
    written = service.output.read_bytes()
    assert b"judged" in written
    assert not canaries_in(written)
    assert b"Canaryname" not in written
    assert b"127.0.0.1:" + b"%d" % service.port in written
    assert written.count(b"127.0.0.1") == 1  # where it listens; no address of who asked
    assert [*temporary.rglob("*")] == []
    assert [*service.folder.iterdir()] == []


# --- the command ----------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_port_that_is_taken_is_named_in_one_line(service: Service) -> None:
    ccgi = Path(sys.executable).with_name("ccgi")
    done = subprocess.run(
        [ccgi, "check", "serve", "--port", f"{service.port}"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert f"port {service.port} of 127.0.0.1 cannot be used" in done.stderr


@pytest.mark.slow
def test_the_command_serves_until_it_is_stopped(tmp_path: Path, service: Service) -> None:
    port = service.port + 1
    ccgi = Path(sys.executable).with_name("ccgi")
    command = [ccgi, "check", "serve", "--port", f"{port}", "--folder", tmp_path]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert process.stderr.readline() == f"serving on http://127.0.0.1:{port}\n"
        wait_until(lambda: _answers(port))
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
        assert process.stderr.read() == ""
    assert [*tmp_path.iterdir()] == []


def _answers(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/health").status_code == httpx.codes.OK
    except httpx.TransportError:
        return False
