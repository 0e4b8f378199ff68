"""The drill: the daemon is killed, the sensor is switched off. From outside it is seen at once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from ccgi_pipeline.intake.inbox_state import read_last_scan
from ccgi_pipeline.nightly.paths import PipelinePaths
from ccgi_pipeline.runtime.dagster_instance import build_folder_variables, prepare_dagster_home
from ccgi_pipeline_tests.drills.looking import pages, tick
from ccgi_pipeline_tests.monitoring.alerts.receivers import Webhook
from ccgi_pipeline_tests.nightly.nights import folders_in

pytestmark = pytest.mark.slow

PROJECT = Path(__file__).parents[2]
SCRIPTS = Path(sys.executable).parent
WORKSPACE = ("-w", str(PROJECT / "workspace.yaml"))
PATIENCE = 90
"""Seconds: a daemon imports a lot before its first look."""


def until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < end
        time.sleep(0.2)


def settings(folders: PipelinePaths, minutes: float) -> None:
    (folders.warehouse / "profiles.toml").write_text(
        f"[heartbeat]\nsensor_minutes = {minutes}\ndaemon_minutes = {minutes}\n"
        'ignore = ["night_late", "disk_low"]\n'
    )


def test_a_killed_daemon_and_a_stopped_sensor_are_told_by_the_next_look_from_outside(
    tmp_path: Path, hook: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = folders_in(tmp_path)
    home = prepare_dagster_home(folders.warehouse)
    for name, value in {**build_folder_variables(folders), "DAGSTER_HOME": str(home)}.items():
        monkeypatch.setenv(name, value)
    settings(folders, 10)

    def switch(way: str) -> None:
        command = [SCRIPTS / "dagster", "sensor", way, "new_drops", *WORKSPACE]
        subprocess.run(command, check=True, capture_output=True, cwd=PROJECT)

    switch("start")
    daemon = subprocess.Popen(
        [SCRIPTS / "dagster-daemon", "run", *WORKSPACE],
        cwd=PROJECT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        until(lambda: read_last_scan(folders.warehouse) is not None)
        assert pages(folders) == {}
    finally:
        os.killpg(daemon.pid, signal.SIGKILL)
        daemon.wait()
    settings(folders, 0.02)
    time.sleep(1.5)
    found = pages(folders)
    assert set(found) == {"daemon_silent", "sensor_silent"}
    assert "SENSOR" in found["daemon_silent"]
    assert "no night starts by itself" in hook.posted[0]["text"]
    links = {notice["runbook"].partition("#")[2] for notice in hook.posted[0]["notices"]}
    assert links == {"daemon_silent", "sensor_silent"}
    switch("stop")
    assert set(pages(folders)) == {"daemon_silent", "sensor_stopped"}
    assert [*hook.events[2:]] == [("began", "heartbeat"), ("over", "heartbeat")]
    _the_one_inside_sees_it_too(folders)


def _the_one_inside_sees_it_too(folders: PipelinePaths) -> None:
    """As it would in a daemon of which only the sensor's thread hangs."""
    with dg.DagsterInstance.from_config(str(prepare_dagster_home(folders.warehouse))) as instance:
        red, words = tick(folders, instance)
    assert red
    assert "the sensor new_drops is switched off" in words
    assert "#sensor_stopped" in words
    assert datetime.now(UTC) - timedelta(minutes=5) < (
        look.at if (look := read_last_scan(folders.warehouse)) else datetime.min.replace(tzinfo=UTC)
    )
