"""Proves to a server who asks: OAuth 2.0 client credentials, or OAuth 1.0a signatures.

Belongs here: the secret, tokens and their renewal, signatures. Does not belong here: asking for
records (``client``). No message holds a secret or a token.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import math
import os
from collections.abc import Callable, Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote, urlsplit

import httpx
import pydantic_core
from authlib.oauth1 import ClientAuth  # type: ignore[import-untyped]
from authlib.oauth1.rfc5849.signature import (  # type: ignore[import-untyped]
    generate_signature_base_string,
)

from ccgi_pipeline.common.environment import read_variable
from ccgi_pipeline.common.errors import PermanentError
from ccgi_pipeline.oneroster_api.collections import VERSION_1_1, VERSION_1_2
from ccgi_pipeline.profile_oneroster_api import OneRosterApiProfile

_SCOPES: Mapping[str, str] = {
    VERSION_1_1: "https://purl.imsglobal.org/spec/or/v1p1/scope/",
    VERSION_1_2: "https://purl.imsglobal.org/spec/or/v1p2/scope/",
}
_RENEWED_AT = 0.8
"""The part of a token's life after which another one is fetched."""


class OneRosterApiRefusedError(PermanentError):
    """A district's OneRoster API gives no roster until somebody acts: the message says why."""


def read_secret(profile: OneRosterApiProfile, environment: Mapping[str, str] | None = None) -> str:
    """Returns the secret that a profile names. Raises OneRosterApiRefusedError."""
    if profile.secret_file is not None:
        try:
            secret = Path(profile.secret_file).read_text()
        except (OSError, UnicodeError):
            msg = "the file named by secret_file cannot be read: check its path and permissions"
            raise OneRosterApiRefusedError(msg) from None
    else:
        name = profile.secret_variable or ""
        found = read_variable(
            os.environ if environment is None else environment, name, OneRosterApiRefusedError
        )
        if found is None:
            msg = f"the variable {name}, which secret_variable names, is not set"
            raise OneRosterApiRefusedError(msg)
        secret = found
    if not secret.strip():
        msg = "the secret is blank: put it into the variable or file that the profile names"
        raise OneRosterApiRefusedError(msg)
    return secret.strip("\r\n")


def version_in_path(address: str) -> str | None:
    """Returns the version that an address shows; None if it shows none."""
    parts = urlsplit(address).path.casefold().split("/")
    shown = {"v1p1": VERSION_1_1, "v1p2": VERSION_1_2}
    return next((shown[part] for part in reversed(parts) if part in shown), None)


def default_scope(profile: OneRosterApiProfile) -> str:
    """Returns the scopes to ask for: those of the profile, or those that are needed."""
    if profile.scope is not None:
        return profile.scope
    version = profile.version
    if version == "found_out":
        found = version_in_path(profile.server or "")
        root = _SCOPES[found or VERSION_1_2]
    else:
        root = _SCOPES[version]
    demographics = [f"{root}roster-demographics.readonly"] if profile.demographics else []
    return " ".join([f"{root}roster.readonly", *demographics])


class Authorization(Protocol):
    """How requests are authorized."""

    def make_headers(self, url: str) -> dict[str, str]:
        """Returns the headers that authorize a GET of ``url``."""

    def renew(self) -> bool:
        """Forgets what a server refused; returns whether a further attempt may succeed."""


class BearerTokens:
    """OAuth 2.0 client credentials: one token, fetched when it is needed."""

    def __init__(
        self,
        profile: OneRosterApiProfile,
        secret: str,
        post: Callable[[str, Mapping[str, str], Mapping[str, str]], httpx.Response],
        seconds: Callable[[], float],
    ) -> None:
        """Prepares; nothing is sent.

        ``post``: sends a form with headers to an address, with patience. ``seconds``: the time.
        """
        self._profile, self._secret, self._post, self._seconds = profile, secret, post, seconds
        self._token, self._ends = "", -math.inf

    def make_headers(self, url: str) -> dict[str, str]:
        """Returns the header with the token. Raises OneRosterApiRefusedError without one."""
        del url
        if self._seconds() >= self._ends:
            self._fetch()
        return {"Authorization": f"Bearer {self._token}"}

    def renew(self) -> bool:
        """Forgets the token, so that the next request fetches another."""
        self._ends = -math.inf
        return True

    def _fetch(self) -> None:
        profile = self._profile
        form = {"grant_type": "client_credentials"}
        if scope := default_scope(profile):
            form["scope"] = scope
        headers: dict[str, str] = {}
        client = profile.client_id or ""
        if profile.authentication == "oauth2_basic":
            # As they are: few servers decode what RFC 6749 would have encoded, and secrets often
            # end with an equals sign.
            pair = f"{client}:{self._secret}".encode()
            headers["Authorization"] = f"Basic {base64.b64encode(pair).decode()}"
        else:
            form |= {"client_id": client, "client_secret": self._secret}
        now = self._seconds()
        response = self._post(profile.token_url or "", form, headers)
        body = _parse_object(response.content)
        token = body.get("access_token")
        if response.status_code != HTTPStatus.OK or not isinstance(token, str) or not token:
            raise OneRosterApiRefusedError(_explain(response.status_code, body))
        self._token = token
        self._ends = now + _RENEWED_AT * _as_seconds(body.get("expires_in"))


_FOR_ALL = 3600.0
"""Seconds of life of a token whose server does not tell."""


def _as_seconds(value: object) -> float:
    try:
        seconds = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return _FOR_ALL
    return seconds if seconds > 0 else _FOR_ALL


_TOKEN_REFUSALS = {
    "invalid_client": "client id and secret are not accepted: check both, and authentication",
    "invalid_scope": "the scopes are not accepted: set scope to those that the vendor names",
    "unauthorized_client": "the client may not use client credentials: ask the vendor",
    "unsupported_grant_type": "the token address knows no client credentials: check token_url",
}
"""By the error codes of RFC 6749. The server's own words are not repeated."""


def _explain(status: int, body: Mapping[str, Any]) -> str:
    known = _TOKEN_REFUSALS.get(str(body.get("error")))
    if known is None and status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
        known = _TOKEN_REFUSALS["invalid_client"]
    if status // 100 == _REDIRECTION:
        known = "the token address redirects, and the secret is sent nowhere else: check token_url"
    return f"{known or 'the token address gives no token: check token_url'} (HTTP {status})"


_REDIRECTION = 3
"""The first digit of a status that names another address."""


def _parse_object(content: bytes) -> Mapping[str, Any]:
    try:
        body = pydantic_core.from_json(content)
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


# --- OAuth 1.0a -----------------------------------------------------------------------------------


def _sign_with_sha256(client: Any, request: Any) -> str:  # noqa: ANN401 - authlib's types
    """Returns an HMAC-SHA256 signature, which authlib does not have (its HMAC-SHA1 is alike)."""
    key = f"{quote(client.client_secret, safe='~')}&"
    text = generate_signature_base_string(request)
    digest = hmac.new(key.encode(), text.encode(), hashlib.sha256).digest()
    return base64.b64encode(digest).decode()


ClientAuth.register_signature_method("HMAC-SHA256", _sign_with_sha256)


class Signatures:
    """OAuth 1.0a without tokens: each request is signed, with all parameters of its query."""

    def __init__(self, profile: OneRosterApiProfile, secret: str) -> None:
        """Prepares the signatures of a district's client."""
        self._auth = ClientAuth(
            profile.client_id, client_secret=secret, signature_method=profile.signature
        )

    def make_headers(self, url: str) -> dict[str, str]:
        """Returns the header with the signature of a GET of ``url``."""
        _, headers, _ = self._auth.sign("GET", url, {}, "")
        return dict(headers)

    def renew(self) -> bool:
        """Returns False: another signature is no better."""
        return False
