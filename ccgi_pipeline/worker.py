"""The process of a worker: it takes steps of nights from Celery's broker.

Belongs here: Celery's settings, and the program that ``ccgi worker`` becomes. It imports nothing
else of ours: the process that waits for steps is forked for each that works, and what they use of
polars and DuckDB must begin in those. Does not belong here: what a step does.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

BROKER, RESULTS = "CCGI_BROKER", "CCGI_BROKER_RESULTS"
"""Environment variables: Celery's broker, and where its results go if not there too."""
_FOLDER = "filesystem://"
_DAY = 24 * 3600


def app_settings(broker: str, results: str | None = None) -> dict[str, Any]:
    """Broker, backend and further settings as Celery wants them.

    A broker may be a folder that all machines share, ``filesystem:///folder``: no server is needed.
    """
    settings: dict[str, Any] = {"worker_prefetch_multiplier": 1, "result_expires": _DAY}
    if not broker.startswith(_FOLDER):
        results = results or (broker if broker.startswith("redis") else "rpc://")
        return {"broker": broker, "backend": results, "config_source": settings}
    places = {
        name: Path(broker.removeprefix(_FOLDER)) / name
        for name in ("messages", "control", "results")
    }
    for place in places.values():
        place.mkdir(parents=True, exist_ok=True)
    settings["broker_transport_options"] = {
        "data_folder_in": str(places["messages"]),
        "data_folder_out": str(places["messages"]),
        "control_folder": str(places["control"]),
        "polling_interval": 0.1,
    }
    results = results or f"file://{places['results'].absolute()}"
    return {"broker": _FOLDER, "backend": results, "config_source": settings}


def main(processes: str) -> None:
    """Works until it is ended."""
    from dagster_celery.config import DEFAULT_CONFIG, dict_wrapper  # noqa: PLC0415 - an extra
    from dagster_celery.make_app import make_app  # noqa: PLC0415
    from dagster_celery.tasks import create_task  # noqa: PLC0415

    settings = app_settings(os.environ[BROKER], os.environ.get(RESULTS))
    settings["config_source"] = dict_wrapper({**DEFAULT_CONFIG, **settings["config_source"]})  # type: ignore[no-untyped-call]
    app = make_app(settings)  # type: ignore[no-untyped-call]
    create_task(app)  # type: ignore[no-untyped-call]
    app.worker_main(
        [
            "worker",
            "--queues=dagster",
            f"--concurrency={processes}",
            "--hostname=ccgi@%h",
            "--loglevel=WARNING",
            # Workers that tell each other of themselves: nobody listens.
            *("--without-gossip", "--without-mingle"),
        ]
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
