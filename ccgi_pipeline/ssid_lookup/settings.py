"""The SSID look-up service that the environment names, and how often it may be asked.

Belongs here: reading these environment variables. Does not belong here: asking (client, batch).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from ccgi_pipeline.common.errors import PermanentError
from ccgi_pipeline.ssid_lookup.client_registry import ClientScope

if TYPE_CHECKING:
    from ccgi_pipeline.ssid_lookup.client import LookupClient

ADDRESS, CLIENT = "CCGI_LOOKUP_ADDRESS", "CCGI_LOOKUP_CLIENT"
SECRET, CERTIFICATE = "CCGI_LOOKUP_SECRET", "CCGI_LOOKUP_CERTIFICATE"
LIMIT = "CCGI_LOOKUP_HOURLY_LIMIT"
"""Environment variables: the service's address, the client and its secret, the hourly limit."""

USUAL_LIMIT = 5000
"""Requests an hour, by the agreement (Scope of Data Sharing: SSID Data Lookup)."""


class ExchangeError(PermanentError):
    """The look-up is not set up correctly; the message says what to set."""


def open_lookup_client(
    environment: Mapping[str, str] = os.environ, scope: ClientScope = ClientScope.LOOKUP
) -> LookupClient | None:
    """Returns a client of the service that the environment names, or None if it names none.

    Raises ExchangeError if some of the variables are missing.
    """
    names = (ADDRESS, CLIENT, SECRET)
    missing = [name for name in names if not environment.get(name)]
    if len(missing) == len(names):
        return None
    if missing:
        msg = f"set {', '.join(missing)} too: address, client and secret of the look-up"
        raise ExchangeError(msg)
    # The client takes a third of a second to load, and many installations have no service.
    from ccgi_pipeline.ssid_lookup.client import LookupClient  # noqa: PLC0415

    certificate = environment.get(CERTIFICATE)
    return LookupClient(
        environment[ADDRESS],
        environment[CLIENT],
        environment[SECRET],
        certificate=Path(certificate) if certificate else None,
        scope=scope,
    )


def read_hourly_limit(environment: Mapping[str, str] = os.environ) -> int:
    """Returns how many requests an hour the service allows."""
    written = environment.get(LIMIT, str(USUAL_LIMIT))
    if not written.isdigit() or not int(written):
        msg = f"{LIMIT} must be a whole number of requests an hour"
        raise ExchangeError(msg)
    return int(written)
