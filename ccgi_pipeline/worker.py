"""The process of a worker: it takes steps of nights from Celery's broker.

Belongs here: Celery's settings, and the program that ``ccgi worker`` becomes. It imports nothing
else of ours: the process that waits for steps is forked for each that works, and what they use of
polars and DuckDB must begin in those. Does not belong here: what a step does.
"""

from __future__ import annotations

import os
import sys
from typing import Any

BROKER, RESULTS = "CCGI_BROKER", "CCGI_BROKER_RESULTS"
"""Environment variables: Celery's broker, and where its results go if not there too."""
_POSTGRESQL = "postgresql://"
_DAY = 24 * 3600


def app_settings(broker: str, results: str | None = None) -> dict[str, Any]:
    """Broker, backend and further settings as Celery wants them.

    A broker may be a database, ``postgresql://user:password@host/name``: no further server is
    needed then.
    """
    settings: dict[str, Any] = {"worker_prefetch_multiplier": 1, "result_expires": _DAY}
    if broker.startswith(_POSTGRESQL):
        database = f"postgresql+psycopg2://{broker.removeprefix(_POSTGRESQL)}"
        broker, results = f"sqla+{database}", results or f"db+{database}"
    elif broker.startswith("redis"):
        results = results or broker
    return {"broker": broker, "backend": results or "rpc://", "config_source": settings}


_LOOKS = 0.2
"""Seconds between two looks for work into a database, which tells nobody that there is some."""


def main(processes: str) -> None:
    """Works until it is ended."""
    from dagster_celery.config import DEFAULT_CONFIG, dict_wrapper  # noqa: PLC0415 - an extra
    from dagster_celery.make_app import make_app  # noqa: PLC0415
    from dagster_celery.tasks import create_task  # noqa: PLC0415
    from kombu.transport import sqlalchemy  # noqa: PLC0415

    sqlalchemy.Transport.polling_interval = _LOOKS
    settings = app_settings(os.environ[BROKER], os.environ.get(RESULTS))
    settings["config_source"] = dict_wrapper({**DEFAULT_CONFIG, **settings["config_source"]})  # type: ignore[no-untyped-call]
    app = make_app(settings)  # type: ignore[no-untyped-call]
    create_task(app)  # type: ignore[no-untyped-call]
    app.worker_main(
        [
            *("--quiet", "worker"),
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
