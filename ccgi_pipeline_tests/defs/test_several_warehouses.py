"""Three warehouses under one Dagster deployment: nights side by side, one of them killed.

Belongs here: a code location, a catalog and a folder for each, one daemon with one queue, all over
one real PostgreSQL, with ``deploy/dagster.yaml``. Dagster's own launcher stands for that of
Kubernetes: it starts each night as a process of its own below its code location. Does not belong
here: warehouses that run by themselves (nightly).
"""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from urllib.parse import quote

import dagster as dg
import pytest
import yaml

from ccgi_pipeline.common.environment import WAREHOUSE_NAME
from ccgi_pipeline.defs.code_location import WAREHOUSE_TAG
from ccgi_pipeline.nightly.paths import PipelinePaths
from ccgi_pipeline.runtime.dagster_instance import DAGSTER_DATABASE, build_folder_variables
from ccgi_pipeline_tests.nightly.inboxes import (
    HAYWARD,
    HAYWARD_HIGH,
    application,
    numbered,
    put_events,
    put_roster,
    students,
)
from ccgi_pipeline_tests.nightly.nights import ON, bytes_below, folders_in, lake_rows, run_night
from ccgi_pipeline_tests.object_storage import ObjectStorage
from ccgi_pipeline_tests.postgresql import USER, PostgreSql

pytestmark = pytest.mark.slow

PROJECT = Path(__file__).parents[2]
SCRIPTS = Path(sys.executable).parent
KILLED, OTHERS = "alameda", ("butte", "colusa")
KILLS = int(os.environ.get("CCGI_TEST_KILLS", "3"))
"""How often the night is killed: seldom in the complete run, since each time costs half a minute;
with ``CCGI_TEST_KILLS=10`` before Dagster or the definitions change."""
STEPS = 22
"""A kill comes after fewer steps than this; a night has some more."""
PATIENCE = 240
"""Seconds until a night that hangs is given up; a busy machine takes its time."""


@dataclass(frozen=True)
class Tenant:
    """A warehouse of the deployment, and the embedded one that it is compared with."""

    name: str
    folders: PipelinePaths
    embedded: PipelinePaths
    environment: dict[str, str]
    port: int

    def send(self, on: date) -> None:
        """Puts a day's files into the inbox: leavers, newcomers, changes, activity."""
        day = (on - ON).days
        ssids = numbered(1000 * (1 + ord(self.name[0])) + day, 8)
        put_roster(
            self.folders.inbox,
            HAYWARD,
            students(ssids, HAYWARD_HIGH, f"{11 + day % 2}"),
            f"{on:%Y%m%d}",
        )
        steps = [application(ssid, "UC", "Launched", "UC Merced") for ssid in ssids]
        put_events(self.folders.inbox, steps, f"{on:%Y%m%d}")


@dataclass(frozen=True)
class Deployment:
    """A running daemon and a code location for each tenant."""

    tenants: dict[str, Tenant]
    servers: dict[str, subprocess.Popen[bytes]]
    instance: dg.DagsterInstance
    workspace: Path
    environment: dict[str, str]

    def launch(self, on: date, *names: str) -> None:
        """Puts the night of a day into the queue, for each of these warehouses."""
        launching = [self._launching(name, on) for name in names]
        for process in launching:
            told, _ = process.communicate(timeout=PATIENCE)
            assert process.returncode == 0, told

    def _launching(self, name: str, on: date) -> subprocess.Popen[str]:
        config = f'{{"resources": {{"night": {{"config": {{"date": "{on}"}}}}}}}}'
        command = ["job", "launch", "-w", str(self.workspace), "-l", name, "-j", "night"]
        return subprocess.Popen(
            [SCRIPTS / "dagster", *command, "--config-json", config],
            env=self.environment,
            cwd=PROJECT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def newest(self, name: str) -> dg.RunRecord | None:
        """The newest run of a warehouse."""
        of_it = dg.RunsFilter(tags={WAREHOUSE_TAG: name})
        return next(iter(self.instance.get_run_records(of_it, limit=1)), None)

    def count(self, name: str, status: dg.DagsterRunStatus) -> int:
        """How many runs of a warehouse have this status."""
        of_it = dg.RunsFilter(tags={WAREHOUSE_TAG: name}, statuses=[status])
        return self.instance.get_runs_count(of_it)

    def first(self, name: str) -> dg.RunRecord:
        """The first run of a warehouse."""
        of_it = dg.RunsFilter(tags={WAREHOUSE_TAG: name})
        return self.instance.get_run_records(of_it, limit=1, ascending=True)[0]

    def run(self, run_id: str) -> dg.DagsterRun:
        """A run as it stands now."""
        run = self.instance.get_run_by_id(run_id)
        assert run is not None
        return run

    def wait(self, name: str, status: dg.DagsterRunStatus, runs: int = 1) -> None:
        """Waits until so many runs of a warehouse have this status."""
        end = time.monotonic() + PATIENCE
        while self.count(name, status) < runs:
            assert time.monotonic() < end, [
                (record.dagster_run.tags, record.dagster_run.status)
                for record in self.instance.get_run_records()
            ]
            time.sleep(0.1)

    def processes(self, name: str) -> list[int]:
        """The processes of a warehouse's nights."""
        threads = Path(f"/proc/{self.servers[name].pid}/task").glob("*/children")
        children = [int(pid) for thread in threads for pid in thread.read_text().split()]
        return [pid for pid in children if b"spawn_main" in _command_line(pid)]


def _command_line(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _tenant(name: str, root: Path, server: PostgreSql, store: ObjectStorage) -> Tenant:
    folders = folders_in(root / name)
    environment = {
        **server.environment(server.new_database()),
        **store.environment(f"tenants/{name}"),
        **build_folder_variables(folders),
        WAREHOUSE_NAME: name,
    }
    embedded = folders_in(root / f"embedded_{name}", folders.inbox)
    return Tenant(name, folders, embedded, environment, _free_port())


@contextmanager
def _running(command: list[str], environment: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        [f"{SCRIPTS / command[0]}", *command[1:]],
        env=environment,
        cwd=PROJECT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.fixture(scope="module")
def deployment(
    tmp_path_factory: pytest.TempPathFactory, database_server: PostgreSql, store: ObjectStorage
) -> Iterator[Deployment]:
    """Daemon, queue and three code locations."""
    root = tmp_path_factory.mktemp("deployment")
    home = root / "dagster"
    home.mkdir()
    settings = yaml.safe_load((PROJECT / "deploy" / "dagster.yaml").read_text())
    settings["run_retries"]["max_retries"] = KILLS
    (home / "dagster.yaml").write_text(yaml.safe_dump(settings))
    word = quote(database_server.password)
    runs = database_server.new_database()
    address = f"postgresql+psycopg2://{USER}:{word}@127.0.0.1:{database_server.port}/{runs}"
    common = {**os.environ, "DAGSTER_HOME": str(home), DAGSTER_DATABASE: address}
    tenants = {name: _tenant(name, root, database_server, store) for name in (KILLED, *OTHERS)}
    workspace = root / "workspace.yaml"
    locations = [
        {"grpc_server": {"host": "127.0.0.1", "port": one.port, "location_name": one.name}}
        for one in tenants.values()
    ]
    workspace.write_text(yaml.safe_dump({"load_from": locations}))
    api = ["dagster", "api", "grpc", "--module-name", "ccgi_pipeline.definitions"]
    with ExitStack() as running, pytest.MonkeyPatch.context() as patched:
        patched.setenv(DAGSTER_DATABASE, address)
        instance = running.enter_context(dg.DagsterInstance.from_config(str(home)))
        servers = {
            one.name: running.enter_context(
                _running(
                    [*api, "--host", "127.0.0.1", "--port", f"{one.port}"],
                    {**common, **one.environment},
                )
            )
            for one in tenants.values()
        }
        for one in tenants.values():
            _wait_for_port(one.port)
        running.enter_context(_running(["dagster-daemon", "run", "-w", f"{workspace}"], common))
        yield Deployment(tenants, servers, instance, workspace, common)


def _wait_for_port(port: int) -> None:
    end = time.monotonic() + PATIENCE
    while True:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        assert time.monotonic() < end
        time.sleep(0.2)


def _kill_next(deployment: Deployment, after: int, seen: set[str]) -> bool:
    """Kills the next run of the first warehouse some steps after it began; whether it still ran.

    ``seen``: the runs that were waited for already.
    """
    of_it = dg.RunsFilter(tags={WAREHOUSE_TAG: KILLED})
    instance, end = deployment.instance, time.monotonic() + PATIENCE
    while (run := instance.get_runs(of_it, limit=1)[0]).run_id in seen:
        assert time.monotonic() < end, "no run was retried"
        time.sleep(0.1)
    seen.add(run.run_id)
    while not run.is_finished and instance.get_run_stats(run.run_id).steps_succeeded < after:
        assert time.monotonic() < end, "the run does not get on"
        time.sleep(0.1)
        run = deployment.run(run.run_id)
    while not run.is_finished:
        for pid in deployment.processes(KILLED):
            os.kill(pid, signal.SIGKILL)
        assert time.monotonic() < end
        time.sleep(0.1)
        run = deployment.run(run.run_id)
    return run.status is dg.DagsterRunStatus.FAILURE


def test_nights_of_three_warehouses_side_by_side_one_killed_again_and_again(
    deployment: Deployment,
) -> None:
    success, tenants = dg.DagsterRunStatus.SUCCESS, deployment.tenants
    for tenant in tenants.values():
        tenant.send(ON)
    deployment.launch(ON, *tenants)
    chance, on, seen = random.Random(5), ON, set[str]()  # noqa: S311 - no secret
    kills = 0
    while kills < KILLS:
        if _kill_next(deployment, chance.randrange(STEPS), seen):
            kills += 1
            continue
        # That night had ended: the next one is killed.
        run_night(tenants[KILLED].embedded, on)
        on += timedelta(days=1)
        tenants[KILLED].send(on)
        deployment.launch(on, KILLED)
    for name, tenant in tenants.items():
        run_night(tenant.embedded, on if name == KILLED else ON)
        deployment.wait(name, success, 1 + ((on - ON).days if name == KILLED else 0))

    first = {name: deployment.first(name) for name in tenants}
    starts = [run.start_time for run in first.values() if run.start_time]
    ends = [end for name in OTHERS if (end := first[name].end_time)]
    assert (len(starts), len(ends)) == (len(tenants), len(OTHERS))
    assert max(starts) < min(ends), "they did not run side by side"
    for tenant in tenants.values():
        # Pages are an asset of their own, which the embedded nights do not run.
        made = {
            path: content
            for path, content in bytes_below(tenant.folders.outbox).items()
            if not path.endswith("/index.html")
        }
        assert len(made) > 20
        assert made == bytes_below(tenant.embedded.outbox)
    retried = [
        record.dagster_run
        for record in deployment.instance.get_run_records()
        if record.dagster_run.root_run_id
    ]
    assert len(retried) == KILLS
    assert {run.tags[WAREHOUSE_TAG] for run in retried} == {KILLED}
    assert not [name for name in OTHERS if deployment.count(name, dg.DagsterRunStatus.FAILURE)]
    _keep_apart(deployment)


def _keep_apart(deployment: Deployment) -> None:
    """No warehouse's assets, partitions or rows are another's."""
    for name, tenant in deployment.tenants.items():
        assert deployment.instance.get_dynamic_partitions(f"{name}_district") == [
            f"{HAYWARD} HaywardUnified"
        ]
        newest = deployment.instance.get_latest_materialization_event(
            dg.AssetKey([name, "receipts"])
        )
        run = deployment.newest(name)
        assert newest is not None
        assert run is not None
        assert newest.run_id == run.dagster_run.run_id
        with pytest.MonkeyPatch.context() as patched:
            for variable, value in tenant.environment.items():
                patched.setenv(variable, value)
            rows = lake_rows(tenant.folders.warehouse)
        expected = lake_rows(tenant.embedded.warehouse)
        assert rows["transcript_student"] == expected["transcript_student"] != []
