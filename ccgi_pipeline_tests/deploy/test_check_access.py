"""The examples of a login before ``ccgi check serve``, as they are shipped."""

from __future__ import annotations

import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from ccgi_pipeline.cli.check_serve import serve
from ccgi_pipeline_tests.check_service.services import ON, Service, running
from ccgi_pipeline_tests.deploy.test_access import PROJECT, free_port, hashed, wait_for
from ccgi_pipeline_tests.deploy.test_access import running as running_program
from ccgi_pipeline_tests.verification.causes.samples import GOOD

EXAMPLES = PROJECT / "deploy" / "auth"
LEAD = ("dana", "a-data-leads-password")


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with running(tmp_path_factory.mktemp("behind")) as served:
        yield served


@pytest.fixture(scope="module")
def door(service: Service, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the shipped Caddyfile before the service."""
    root = tmp_path_factory.mktemp("door")
    address = f"http://127.0.0.1:{free_port()}"
    environment = {
        "CCGI_CHECK_ADDRESS": address,
        "CCGI_CHECK_PORT": f"{service.port}",
        "CCGI_CHECK_USER": LEAD[0],
        "CCGI_CHECK_USER_HASH": hashed(LEAD[1]),
        "CCGI_CHECK_LARGEST": "1MB",
        "XDG_DATA_HOME": f"{root}",
        "XDG_CONFIG_HOME": f"{root}",
    }
    command: list[str | Path] = ["caddy", "run", "--config", EXAMPLES / "Caddyfile.check"]
    with running_program(command, environment, root / "caddy.log"):
        wait_for(f"{address}/health")
        yield address
    log = (root / "caddy.log").read_text()
    assert "StudentTemplate" not in log
    assert '"request"' not in log
    assert LEAD[0] not in log


def send(door: str, login: tuple[str, str] | None = LEAD, **headers: str) -> httpx.Response:
    files = [("files", ("StudentTemplate.csv", GOOD))]
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx.post(
        f"{door}/check", files=files, data={"date": ON}, auth=login, headers=named, timeout=60
    )


@pytest.mark.slow
def test_without_a_login_nothing_is_shown_or_taken(door: str, service: Service) -> None:
    for path in ("/", "/health"):
        assert httpx.get(f"{door}{path}", timeout=60).status_code == 401
    assert send(door, None).status_code == 401
    assert send(door, (LEAD[0], "another")).status_code == 401
    assert httpx.get(f"{service.url}/health").json()["judged"] == {}


@pytest.mark.slow
def test_with_a_login_files_are_judged(door: str) -> None:
    page = httpx.get(f"{door}/", auth=LEAD, timeout=60)
    assert "Check files before you send them" in page.text
    answer = send(door, Sec_Fetch_Site="same-origin", Origin=door)
    assert answer.status_code == 200
    assert "Send the files." in answer.text
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")
    assert "server" not in answer.headers


@pytest.mark.slow
def test_another_sites_page_cannot_send_files_with_a_login(door: str, service: Service) -> None:
    assert send(door, Sec_Fetch_Site="cross-site").status_code == 403
    assert send(door, Origin="https://evil.example").status_code == 403
    before = service.refused()
    assert before.get("other_site") == 1, "the one without Sec-Fetch-Site came as far as here"
    too_large = httpx.post(
        f"{door}/check", files=[("files", ("a.csv", bytes(2_000_000)))], auth=LEAD, timeout=60
    )
    assert too_large.status_code in {400, 413, 502}


def test_the_examples_name_what_there_is() -> None:
    """Options of the command, its port, and settings that oauth2-proxy.cfg has, too."""
    unit = (EXAMPLES / "ccgi-check.service").read_text()
    (started,) = [line for line in unit.splitlines() if line.startswith("ExecStart=")]
    options = {name for param in serve.params for name in param.opts}
    assert {word for word in started.split() if word.startswith("--")} <= options
    variables = {param.envvar for param in serve.params}
    assert "CCGI_CHECK_HOSTS" in variables
    assert "Environment=CCGI_CHECK_HOSTS=" in unit
    (port,) = [param.default for param in serve.params if param.name == "port"]
    assert f"{{$CCGI_CHECK_PORT:{port}}}" in (EXAMPLES / "Caddyfile.check").read_text()
    proxy = tomllib.loads((EXAMPLES / "oauth2-proxy-check.cfg").read_text())
    assert proxy["upstreams"] == [f"http://127.0.0.1:{port}"]
    assert proxy["pass_host_header"]
    known = tomllib.loads((EXAMPLES / "oauth2-proxy.cfg").read_text())
    new = {"request_logging", "pass_basic_auth", "pass_user_headers"}
    assert proxy.keys() - known.keys() == new
    assert proxy["http_address"] != known["http_address"]


@pytest.mark.slow
def test_the_caddyfile_is_in_the_usual_form() -> None:
    command = ["caddy", "fmt", "--diff", EXAMPLES / "Caddyfile.check"]
    said = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    assert not [line for line in said.splitlines() if line.startswith(("-", "+"))]
