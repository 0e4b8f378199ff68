"""The process that takes steps of a night from a broker."""

import os
import sys

from ccgi_pipeline.defs.workers import WorkersError, workers
from ccgi_pipeline.nightly.paths import PipelinePaths
from ccgi_pipeline.runtime.dagster_instance import build_folder_variables, prepare_dagster_home
from ccgi_pipeline.worker import BROKER, RESULTS


def run_worker(folders: PipelinePaths, processes: int) -> None:
    """Turns this process into a worker that runs ``processes`` steps at once; does not return.

    Raises WorkersError where the environment names no broker.
    """
    settings = workers()
    if settings.broker is None or not settings.several:
        msg = (
            "a worker gets its steps from a broker: set CCGI_WORKERS, CCGI_EXECUTOR=celery and "
            "CCGI_BROKER as for the night itself"
        )
        raise WorkersError(msg)
    prepare_dagster_home(
        folders.warehouse
    )  # the worker gets the address itself, not the name of a file
    addresses = {BROKER: settings.broker, RESULTS: settings.results or ""}
    variables = {**os.environ, **build_folder_variables(folders), **addresses}
    for name in addresses:
        variables.pop(f"{name}_FILE", None)
    program = [sys.executable, "-m", "ccgi_pipeline.worker", f"{processes}"]
    sys.stdout.flush()
    os.execve(sys.executable, program, variables)
