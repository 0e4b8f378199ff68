"""The Dagster UI and its daemon on this machine."""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import dagster as dg

from ccgi_pipeline.defs.code_location import NAME
from ccgi_pipeline.nightly.paths import PipelinePaths
from ccgi_pipeline.runtime.dagster_instance import (
    PROJECT_ROOT,
    build_folder_variables,
    fail_dead_runs,
    prepare_dagster_home,
)
from ccgi_pipeline.warehouse.storage.connection import upgrade_tables, warehouse_exists
from ccgi_pipeline.warehouse.storage.writers import exclusive_writer


def serve_ui(folders: PipelinePaths, port: int, *, read_only: bool = False) -> int:
    """Serves the UI on 127.0.0.1 until it is stopped by Ctrl-C or SIGTERM; the exit status.

    A daemon runs beside it; not where it is ``read_only``: then nothing can be started or changed.
    """
    home = prepare_dagster_home(folders.warehouse)
    variables = {
        **os.environ,
        **build_folder_variables(folders),
        "DAGSTER_HOME": str(home.absolute()),
    }
    workspace = f"{_write_workspace(home)}"
    scripts = Path(sys.executable).parent
    server = [
        sys.executable,
        "-m",
        "ccgi_pipeline.runtime.web_server",
        "-h",
        "127.0.0.1",
        "-p",
        f"{port}",
        "-w",
        workspace,
    ]
    if read_only:
        return _serve([[*server, "--read-only"]], variables)
    with dg.DagsterInstance.from_config(str(home)) as instance, exclusive_writer(folders.warehouse):
        fail_dead_runs(instance)
        if warehouse_exists(folders.warehouse):
            upgrade_tables(folders.warehouse)  # the sensor reads it before any night
    daemon = [f"{scripts / 'dagster-daemon'}", "run", "-w", workspace]
    return _serve([server, daemon], variables)


def _write_workspace(home: Path) -> Path:
    """Returns the workspace; of a named warehouse one whose code location bears its name."""
    project = PROJECT_ROOT / "workspace.yaml"
    if NAME is None:
        return project
    workspace = home / "workspace.yaml"
    workspace.write_text(
        project.read_text().replace("location_name: ccgi_pipeline", f"location_name: {NAME}")
    )
    return workspace


def _serve(programs: Sequence[Sequence[str]], variables: Mapping[str, str]) -> int:
    """Runs programs until the first one ends or this process is stopped; ends all of them."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    running = [subprocess.Popen(program, env=variables) for program in programs]
    try:
        return running[0].wait()
    except KeyboardInterrupt:
        return 0
    finally:
        for program in running:
            program.terminate()
        for program in running:
            program.wait()
