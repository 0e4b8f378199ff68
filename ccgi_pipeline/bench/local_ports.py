"""Ports of this machine on which a benchmark starts a server.

Belongs here: finding a free port, and waiting for a server. Does not belong here: the servers.
"""

from __future__ import annotations

import socket
import time

from ccgi_pipeline.common.errors import PermanentError

_START_SECONDS = 60


def find_free_port(host: str) -> int:
    """Returns a port on which nothing listens now."""
    with socket.socket() as free:
        free.bind((host, 0))
        return int(free.getsockname()[1])


def wait_for_server(host: str, port: int) -> None:
    """Waits until something listens. Raises PermanentError if nothing does within a minute."""
    ends = time.monotonic() + _START_SECONDS
    while time.monotonic() < ends:
        try:
            socket.create_connection((host, port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    msg = f"no server listens at {host}:{port} after {_START_SECONDS} seconds"
    raise PermanentError(msg)
