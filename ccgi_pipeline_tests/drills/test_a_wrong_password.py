"""The drill: a server's password is changed. It is told at the first look, and when it is over."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import pytest

from ccgi_pipeline.defs.automation import ServersRefuseError, new_drops
from ccgi_pipeline.defs.resources import NightFolders
from ccgi_pipeline.nightly.paths import PipelinePaths
from ccgi_pipeline.runtime.dagster_instance import prepare_dagster_home
from ccgi_pipeline_tests.delivery.exchange import PRIVATE_KEY
from ccgi_pipeline_tests.drills.looking import tick
from ccgi_pipeline_tests.monitoring.alerts.receivers import Webhook
from ccgi_pipeline_tests.nightly.nights import folders_in
from ccgi_pipeline_tests.sftp.faulty_server import Direction, Fault, FaultyServer

pytestmark = pytest.mark.slow


def look(folders: PipelinePaths, instance: dg.DagsterInstance) -> None:
    """One tick of the sensor ``new_drops``."""
    paths = {name: str(getattr(folders, name)) for name in ("inbox", "outbox", "warehouse")}
    new_drops(dg.build_sensor_context(instance, resources={"folders": NightFolders(**paths)}))


def test_a_server_that_no_longer_takes_our_login_is_told_at_once_and_once(
    tmp_path: Path, hook: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "server"
    (root / "uploads").mkdir(parents=True)
    folders = folders_in(tmp_path)
    with (
        FaultyServer(root, Fault.WRONG_CREDENTIALS, Direction.DOWN, times=None) as server,
        dg.DagsterInstance.from_config(str(prepare_dagster_home(folders.warehouse))) as instance,
    ):
        at = server.as_server()
        monkeypatch.setenv(PRIVATE_KEY, server.credentials().private_key or "")
        (folders.warehouse / "profiles.toml").write_text(
            f"""
[heartbeat]
ignore = ["night_late", "disk_low"]
[sftp.ccgi]
host = "{at.host}"
port = {at.port}
user = "{at.user}"
host_keys = ["{at.host_keys[0].strip()}"]
inbox = "uploads"
"""
        )
        with pytest.raises(ServersRefuseError, match="does not take the credentials"):
            look(folders, instance)
        for _ in range(2):
            red, words = tick(folders, instance)
            assert not red  # the machinery is well; a server is not
            assert "ccgi, connecting: the server does not take the credentials" in words
            assert "docs/when-something-is-red.md#server_refuses" in words
        assert hook.events == [("began", "server_refuses")]
        server.fault = Fault.NONE
        look(folders, instance)
        assert tick(folders, instance) == (False, "all is well")
    assert hook.events == [("began", "server_refuses"), ("over", "server_refuses")]
