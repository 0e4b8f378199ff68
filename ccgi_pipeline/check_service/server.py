"""The server: starts and stops the service.

Belongs here: its socket, its folder, and uvicorn. Does not belong here: the service's answers
(``service``).
"""

from __future__ import annotations

import logging
import resource
import signal
import socket
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial

import uvicorn

from ccgi_pipeline.check_service.counts import Counts
from ccgi_pipeline.check_service.service import create_app
from ccgi_pipeline.check_service.settings import CheckSettings
from ccgi_pipeline.check_service.upload_folders import open_upload_root
from ccgi_pipeline.check_service.uploads import largest_request
from ccgi_pipeline.check_service.worker_pool import WorkerPool
from ccgi_pipeline.common.errors import PermanentError
from ccgi_pipeline.http_service.connections import (
    BACKLOG,
    ConnectionGate,
    ConnectionLimits,
    reserve_files,
)
from ccgi_pipeline.http_service.refusals import render_text
from ccgi_pipeline.http_service.uvicorn_settings import configure

_STOP_SECONDS = 2
"""How long uploads under way may take when the service stops."""

LIMITS = ConnectionLimits(connections=100, per_address=0, body_seconds=600)
"""All connections come from the server with the login, so there is no limit by address."""


class PortInUseError(PermanentError):
    """Nothing can listen at the address."""


def serve(
    settings: CheckSettings,
    host: str,
    port: int,
    write: Callable[[str], None],
    limits: ConnectionLimits = LIMITS,
) -> None:
    """Serves until SIGTERM or SIGINT; ``write`` gets a line with the counts now and then.

    ``settings.folder``: where folders for uploads are made. Raises PortInUseError,
    UploadFolderError, TooFewFilesError.
    """
    # What is in memory may be a student's: it never gets into a core file or a log.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    logging.disable()
    counts = Counts(write)
    limits = reserve_files(
        replace(limits, request_bytes=largest_request(settings) + BACKLOG * 1024)
    )
    gate = ConnectionGate(limits, counts, render=render_text)
    with _listen(host, port) as listener, open_upload_root(settings.folder) as root:
        workers = WorkerPool()
        app = partial(create_app, replace(settings, folder=root), workers, counts)
        config = configure(app, gate, host, port, stop_seconds=_STOP_SECONDS)
        write(f"serving on http://{host}:{port}")
        # uvicorn raises the signal again that has stopped it, after its own handler is gone.
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        try:
            with suppress(KeyboardInterrupt):
                uvicorn.Server(config).run(sockets=[listener])
        finally:
            workers.end_all()
            counts.write()


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError:
        msg = (
            f"port {port} of {host} cannot be used: most often another program listens there. End "
            "it, or name another port with --port"
        )
        raise PortInUseError(msg) from None
