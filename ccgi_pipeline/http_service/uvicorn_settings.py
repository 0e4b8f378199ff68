"""How the project's own HTTP services use uvicorn.

Belongs here: what holds for each of them. Does not belong here: their apps, and starting them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast

import uvicorn

from ccgi_pipeline.http_service.connections import BACKLOG, ConnectionGate

_WORKER_SECONDS = 30
"""How long a worker may take to start or to answer, on a busy machine, before it is replaced."""


def configure(
    create_app: Callable[[], Any],
    gate: ConnectionGate,
    host: str,
    port: int,
    *,
    stop_seconds: int,
    workers: int = 1,
) -> uvicorn.Config:
    """Returns the settings of a server; ``stop_seconds``: for requests under way when it stops."""
    return uvicorn.Config(
        create_app,
        factory=True,
        host=host,
        port=port,
        workers=workers,
        # It makes the protocol of each connection, which is all that uvicorn asks of a class.
        http=cast("type[asyncio.Protocol]", gate),
        # uvloop may read a client's first bytes before the protocol can begin TLS.
        loop="asyncio",
        backlog=BACKLOG,
        h11_max_incomplete_event_size=gate.limits.head_bytes,
        timeout_keep_alive=int(gate.limits.idle_seconds),
        # The services write their own logs, because an address may contain students' data; and
        # anybody can make uvicorn warn, as often as they like.
        access_log=False,
        log_level="error",
        # A proxy's headers are not trusted.
        proxy_headers=False,
        server_header=False,
        ws="none",
        timeout_graceful_shutdown=stop_seconds,
        timeout_worker_healthcheck=_WORKER_SECONDS,
    )
