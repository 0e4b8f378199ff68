"""The refusals that every service has: status, code and words.

Belongs here: the form of a refusal, and those of what is no proper request. Does not belong here:
what a single service refuses.
"""

from __future__ import annotations

import json
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Refusal:
    """An error of a service."""

    status: int
    error: str
    message: str

    @property
    def body(self) -> dict[str, str]:
        """The body of the response as an object."""
        return {"error": self.error, "message": self.message}


def render_json(refusal: Refusal) -> tuple[bytes, bytes]:
    """Returns the content type and the body of a refusal for programs."""
    return b"application/json", json.dumps(refusal.body).encode()


def render_text(refusal: Refusal) -> tuple[bytes, bytes]:
    """Returns the content type and the body of a refusal for people."""
    return b"text/plain; charset=utf-8", f"{refusal.message}\n".encode()


NO_HTTP = Refusal(
    400, "bad_request", "The request is no HTTP, or its address and headers are too long."
)
TOO_SLOW = Refusal(408, "too_slow", "The request took too long to arrive.")
TOO_LARGE = Refusal(413, "too_large", "The request is larger than any that the service takes.")
