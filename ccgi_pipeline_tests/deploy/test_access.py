"""The example of a login as it is shipped: no access without it, viewers can only read."""

from __future__ import annotations

import base64
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from ccgi_pipeline.runtime.dagster_instance import prepare_dagster_home
from ccgi_pipeline_tests.nightly.nights import folders_in

pytestmark = pytest.mark.slow

PROJECT = Path(__file__).parents[2]
OPERATOR, LOOKER = ("olga", "operators-password"), ("lou", "lookers-password")
PATIENCE = 120
"""Seconds: two webservers import a lot."""

_SENSOR = {
    "repositoryLocationName": "ccgi_pipeline",
    "repositoryName": "__repository__",
    "sensorName": "new_drops",
}
SWITCH_ON = (
    "mutation S($sensor: SensorSelector!) { startSensor(sensorSelector: $sensor) { __typename } }"
)
_JOB = {
    "repositoryLocationName": "ccgi_pipeline",
    "repositoryName": "__repository__",
    "jobName": "night",
}
LAUNCH = (
    "mutation L($job: JobOrPipelineSelector!) "
    "{ launchRun(executionParams: {selector: $job, runConfigData: {}}) { __typename } }"
)


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


@dataclass
class Doors:
    """The addresses behind a login."""

    operators: str
    lookers: str
    operators_ui: str
    """The UI itself, behind the operators' login."""


@contextmanager
def running(command: list[str | Path], environment: dict[str, str], log: Path) -> Iterator[None]:
    """A program and all that it starts, until the end of the block."""
    with log.open("wb") as output:
        started = subprocess.Popen(
            command,
            env={**os.environ, **environment},
            stdout=output,
            stderr=output,
            cwd=PROJECT,
            start_new_session=True,
        )
        try:
            yield
        finally:
            started.terminate()
            started.wait()
            end_of_group(started.pid)


def end_of_group(group: int) -> None:
    """Waits until all that a program started has ended; code servers need their next heartbeat."""
    end = time.monotonic() + PATIENCE
    with suppress(ProcessLookupError):
        while time.monotonic() < end:
            os.killpg(group, 0)
            time.sleep(0.2)
        os.killpg(group, signal.SIGKILL)
        pytest.fail("it left processes running")


def wait_for(url: str) -> None:
    end = time.monotonic() + PATIENCE
    while True:
        try:
            if httpx.get(url, timeout=5).status_code < httpx.codes.BAD_GATEWAY:
                return
        except httpx.TransportError:
            pass
        assert time.monotonic() < end, url
        time.sleep(0.2)


@pytest.fixture(scope="module")
def doors(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Doors]:
    """The UI, the one for viewers, and the shipped Caddyfile before both."""
    root = tmp_path_factory.mktemp("access")
    folders = folders_in(root)
    prepare_dagster_home(folders.warehouse)
    ccgi = [sys.executable, Path(sys.executable).with_name("ccgi"), "ui"]
    at = ["--inbox", folders.inbox, "--outbox", folders.outbox, "--warehouse", folders.warehouse]
    ports = [free_port() for _ in range(4)]
    environment = {
        "CCGI_UI_PORT": f"{ports[0]}",
        "CCGI_UI_LOOK_PORT": f"{ports[1]}",
        "CCGI_UI_ADDRESS": f"http://127.0.0.1:{ports[2]}",
        "CCGI_UI_LOOK_ADDRESS": f"http://127.0.0.1:{ports[3]}",
        "CCGI_UI_OPERATOR": OPERATOR[0],
        "CCGI_UI_OPERATOR_HASH": hashed(OPERATOR[1]),
        "CCGI_UI_LOOKER": LOOKER[0],
        "CCGI_UI_LOOKER_HASH": hashed(LOOKER[1]),
        "XDG_DATA_HOME": f"{root}",
        "XDG_CONFIG_HOME": f"{root}",
    }
    caddyfile = PROJECT / "deploy" / "auth" / "Caddyfile"
    with (
        running([*ccgi, *at, "--port", f"{ports[0]}"], {}, root / "ui.log"),
        running([*ccgi, *at, "--read-only", "--port", f"{ports[1]}"], {}, root / "look.log"),
        running(["caddy", "run", "--config", caddyfile], environment, root / "caddy.log"),
    ):
        for port in ports:
            wait_for(f"http://127.0.0.1:{port}/server_info")
        yield Doors(
            environment["CCGI_UI_ADDRESS"],
            environment["CCGI_UI_LOOK_ADDRESS"],
            f"http://127.0.0.1:{ports[0]}",
        )
    log = (root / "caddy.log").read_text()
    assert "/graphql" in log
    assert "Authorization" not in log
    for user, password in (OPERATOR, LOOKER):
        assert password not in log
        assert base64.b64encode(f"{user}:{password}".encode()).decode() not in log


def hashed(password: str) -> str:
    made = subprocess.run(
        ["caddy", "hash-password"],
        input=f"{password}\n",
        capture_output=True,
        text=True,
        check=True,
    )
    return made.stdout.strip()


def ask(
    door: str,
    login: tuple[str, str] | None,
    query: str,
    variables: dict[str, Any] | None = None,
    **headers: str,
) -> httpx.Response:
    body = {"query": query, "variables": variables or {}}
    return httpx.post(f"{door}/graphql", auth=login, json=body, headers=headers, timeout=60)


def kind(answer: httpx.Response) -> str:
    """The type of what a mutation came to."""
    (came_to,) = answer.raise_for_status().json()["data"].values()
    name: str = came_to["__typename"]
    return name


@pytest.mark.parametrize("path", ["/", "/runs", "/server_info", "/graphql?query={version}"])
def test_without_a_login_nothing_is_shown(doors: Doors, path: str) -> None:
    for door in (doors.operators, doors.lookers):
        assert httpx.get(f"{door}{path}").status_code == 401
        wrong = (OPERATOR[0], LOOKER[1])
        assert httpx.get(f"{door}{path}", auth=wrong).status_code == 401


def test_without_a_login_graphql_answers_nobody(doors: Doors) -> None:
    for door in (doors.operators, doors.lookers):
        assert ask(door, None, "{ version }").status_code == 401


def test_with_a_login_pages_and_graphql_answer(doors: Doors) -> None:
    for door, login in ((doors.operators, OPERATOR), (doors.lookers, LOOKER)):
        page = httpx.get(f"{door}/", auth=login)
        assert page.status_code == 200
        assert "Dagster" in page.text
        assert ask(door, login, "{ version }").json()["data"]["version"]


def test_an_operator_may_look_on_and_a_looker_on_may_not_operate(doors: Doors) -> None:
    assert ask(doors.lookers, OPERATOR, "{ version }").status_code == 200
    assert ask(doors.operators, LOOKER, "{ version }").status_code == 401


def test_a_looker_on_starts_and_changes_nothing(doors: Doors) -> None:
    for mutation, variables in ((LAUNCH, {"job": _JOB}), (SWITCH_ON, {"sensor": _SENSOR})):
        answer = ask(doors.lookers, LOOKER, mutation, variables)
        assert kind(answer) == "UnauthorizedError"


def test_an_operator_changes_what_there_is(doors: Doors) -> None:
    assert kind(ask(doors.operators, OPERATOR, SWITCH_ON, {"sensor": _SENSOR})) == "Sensor"


def test_another_sites_page_cannot_act_with_an_operators_login(doors: Doors) -> None:
    foreign = {"Sec-Fetch-Site": "cross-site"}
    answer = ask(doors.operators, OPERATOR, SWITCH_ON, {"sensor": _SENSOR}, **foreign)
    assert answer.status_code == 403
    for url, login in ((doors.operators, OPERATOR), (doors.operators_ui, None)):
        typed = ask(url, login, SWITCH_ON, {"sensor": _SENSOR}, **{"Sec-Fetch-Site": "none"})
        assert typed.status_code == 403
        other = ask(url, login, SWITCH_ON, {"sensor": _SENSOR}, Origin="https://evil.example")
        assert other.status_code == 403
        by_link = httpx.get(f"{url}/graphql", auth=login, params={"query": "{ version }"})
        assert by_link.status_code == 405
        forged = httpx.post(
            f"{url}/report_asset_check/deliveries",
            auth=login,
            json={"check_name": "all_sent", "passed": True},
        )
        assert forged.status_code == 403
    rebound = ask(doors.operators_ui, None, "{ version }", Host="evil.example")
    assert rebound.status_code == 421
    own = {"Sec-Fetch-Site": "same-origin"}
    assert ask(doors.operators, OPERATOR, "{ version }", **own).status_code == 200
