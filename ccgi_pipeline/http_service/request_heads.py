"""The head of a request, as far as it says where the request comes from.

Belongs here: headers, and the names by which a service is reached. Does not belong here: which
requests a service refuses.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

_LOCAL_NAMES = frozenset({"localhost"})


@dataclass(frozen=True, slots=True)
class RequestHead:
    """What is judged of a request. ``headers``: in lower case, the values of each."""

    method: str
    path: str
    headers: Mapping[str, tuple[str, ...]]
    websocket: bool = False

    def header(self, name: str) -> str | None:
        """Returns the value of a header; if it was sent twice, all values, which fit nothing."""
        values = self.headers.get(name)
        return ", ".join(values) if values else None


def read_head(scope: Mapping[str, Any]) -> RequestHead:
    """Returns the head of a request from its ASGI scope."""
    headers: dict[str, tuple[str, ...]] = {}
    for name, value in scope["headers"]:
        key = name.decode("latin-1").lower()
        headers[key] = (*headers.get(key, ()), value.decode("latin-1").strip())
    return RequestHead(
        scope.get("method", "GET"), scope["path"], headers, websocket=scope["type"] == "websocket"
    )


def is_known_host(host: str, hosts: Collection[str]) -> bool:
    """Returns whether a Host header names this machine's loopback or one of ``hosts``.

    Otherwise a foreign name that resolves to 127.0.0.1 would make a foreign page the same origin.
    """
    try:
        name = (urlsplit(f"//{host}").hostname or "").rstrip(".")
    except ValueError:
        return False
    if name in _LOCAL_NAMES or {name, host.lower()} & {known.lower() for known in hosts}:
        return True
    return is_loopback(name)


def is_loopback(address: str) -> bool:
    """Returns whether an address or name is this machine's own."""
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return address in _LOCAL_NAMES
