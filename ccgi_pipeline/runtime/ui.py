"""The Dagster UI and its daemon on this machine."""

import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import dagster as dg

from ccgi_pipeline.nightly.paths import PipelinePaths
from ccgi_pipeline.runtime.dagster_instance import (
    PROJECT_ROOT,
    dagster_home,
    end_dead_runs,
    folder_variables,
)
from ccgi_pipeline.warehouse.storage.connection import upgrade_tables, warehouse_exists
from ccgi_pipeline.warehouse.storage.writers import exclusive_writer


def serve_ui(folders: PipelinePaths, port: int, *, read_only: bool = False) -> int:
    """Serves the UI on 127.0.0.1 until interrupted; the exit status.

    A daemon runs beside it; not where it is ``read_only``: then nothing can be started or changed.
    """
    home = dagster_home(folders.warehouse)
    variables = {**os.environ, **folder_variables(folders), "DAGSTER_HOME": str(home.absolute())}
    workspace = str(PROJECT_ROOT / "workspace.yaml")
    scripts = Path(sys.executable).parent
    server = [
        f"{scripts / 'dagster-webserver'}",
        "-h",
        "127.0.0.1",
        "-p",
        f"{port}",
        "-w",
        workspace,
    ]
    if read_only:
        with suppress(KeyboardInterrupt):
            return subprocess.call([*server, "--read-only"], env=variables)
        return 0
    with dg.DagsterInstance.from_config(str(home)) as instance, exclusive_writer(folders.warehouse):
        end_dead_runs(instance)
        if warehouse_exists(folders.warehouse):
            upgrade_tables(folders.warehouse)  # the sensor reads it before any night
    daemon = subprocess.Popen([scripts / "dagster-daemon", "run", "-w", workspace], env=variables)
    try:
        return subprocess.call(server, env=variables)
    except KeyboardInterrupt:
        return 0
    finally:
        daemon.terminate()
        daemon.wait()
