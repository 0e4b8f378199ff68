"""The process that takes steps of a night from a broker."""

import os
import sys

from ccgi_pipeline.defs.workers import WorkersError, workers
from ccgi_pipeline.nightly.paths import PipelinePaths
from ccgi_pipeline.runtime.dagster_instance import dagster_home, folder_variables
from ccgi_pipeline.worker import BROKER, RESULTS


def run_worker(folders: PipelinePaths, processes: int) -> None:
    """Becomes a worker with so many processes at once, until it is ended; does not return.

    Raises WorkersError where the environment names no broker.
    """
    settings = workers()
    if settings.broker is None or not settings.several:
        msg = (
            "a worker takes steps from a broker: set CCGI_WORKERS, CCGI_EXECUTOR=celery and "
            "CCGI_BROKER as for the night itself"
        )
        raise WorkersError(msg)
    dagster_home(folders.warehouse)  # has the variable name the database, not a file
    addresses = {BROKER: settings.broker, RESULTS: settings.results or ""}
    variables = {**os.environ, **folder_variables(folders), **addresses}
    for name in addresses:
        variables.pop(f"{name}_FILE", None)
    program = [sys.executable, "-m", "ccgi_pipeline.worker", f"{processes}"]
    sys.stdout.flush()
    os.execve(sys.executable, program, variables)
