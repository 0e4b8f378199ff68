"""OAuth 2.0 on the wire: token requests (RFC 6749) and bearer tokens (RFC 6750).

Belongs here: Authlib's server core for the client credentials grant, around our own clients; what
a request's ``Authorization`` says; the errors, spelled as the RFCs spell them. Does not belong
here: clients and tokens themselves, HTTP responses.

Authlib decides a token request. What it would let pass or would repeat to the client is refused
before it is asked: parameters in the address, sent twice, or two ways to authenticate at once.
"""

from __future__ import annotations

import base64
import binascii
import logging
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import parse_qsl

from authlib.oauth2.rfc6749 import (  # type: ignore[import-untyped]
    AuthorizationServer,
    ClientMixin,
    InvalidRequestError,
    InvalidScopeError,
    OAuth2Error,
    OAuth2Payload,
    OAuth2Request,
)
from authlib.oauth2.rfc6749.grants import (  # type: ignore[import-untyped]
    ClientCredentialsGrant,
)
from authlib.oauth2.rfc6750 import BearerTokenGenerator  # type: ignore[import-untyped]

from ccgi_pipeline.ssid_lookup.client_registry import SCOPES, Clients, Scope, Token

REALM = "ssid-lookup"

_TOKEN_CHARACTERS = re.compile(r"[A-Za-z0-9._~+/-]+=*")
"""RFC 6750, section 2.1."""

# At that level Authlib writes tokens and what was given as a client id into the log.
logging.getLogger("authlib").setLevel(logging.WARNING)


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer in parts; ``client_id``: who authenticated for it. ``repr`` tells no token."""

    status: int
    body: Mapping[str, Any] = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    client_id: str | None = None


class BearerError(Exception):
    """A request without the token it needs; ``error`` None: nothing was tried (RFC 6750, 3.1)."""

    def __init__(
        self, status: int, error: str | None = None, description: str = "", scope: str = ""
    ) -> None:
        super().__init__(error or "no token")
        self.status, self.error = status, error
        self.description, self.scope = description, scope

    @property
    def challenge(self) -> str:
        """The value of ``WWW-Authenticate``."""
        told = {
            "realm": REALM,
            "error": self.error,
            "error_description": self.description,
            "scope": self.scope,
        }
        return "Bearer " + ", ".join(f'{name}="{text}"' for name, text in told.items() if text)

    @property
    def body(self) -> dict[str, str]:
        """The body of the answer."""
        return {
            "error": self.error or "unauthorized",
            "error_description": self.description or "A bearer token is needed.",
        }


def bearer_token(authorizations: list[str], query: str) -> str:
    """The token that a request carries in its header, the one place where it may stand."""
    if "access_token" in dict(parse_qsl(query, keep_blank_values=True)):
        description = "The token must not stand in the address."
        raise BearerError(400, "invalid_request", description)
    if len(authorizations) > 1:
        raise BearerError(400, "invalid_request", "There is more than one Authorization header.")
    scheme, _, token = (authorizations or [""])[0].partition(" ")
    if scheme.lower() != "bearer":
        raise BearerError(401)
    token = token.strip(" ")
    if _TOKEN_CHARACTERS.fullmatch(token) is None:
        raise BearerError(400, "invalid_request", "The Authorization header is malformed.")
    return token


def admitted(clients: Clients, token: str, scope: Scope) -> Token:
    """What the token allows, if it is valid and allows ``scope``; raises BearerError."""
    known = clients.token(token)
    if known is None:
        description = "The token has ended, was revoked or never was."
        raise BearerError(401, "invalid_token", description)
    if scope not in known.scopes:
        description = "The token does not allow this."
        raise BearerError(403, "insufficient_scope", description, scope)
    return known


class TokenEndpoint:
    """Answers token requests."""

    def __init__(self, clients: Clients, seconds: int) -> None:
        self._server = _Server(clients, seconds)

    def answer(
        self, headers: list[tuple[str, str]], query: str, body: bytes, *, secure: bool
    ) -> Answer:
        """The answer to a POST; ``secure``: whether it came by TLS."""
        try:
            payload = _payload(headers, query, body)
        except OAuth2Error as error:
            return _refusal(error)
        request = _Request(dict(headers), payload, secure=secure)
        answer: Answer = self._server.create_token_response(request)
        client = request.client
        return replace(answer, client_id=client.client_id) if client else answer


def _refusal(error: OAuth2Error) -> Answer:
    status, body, _ = error()
    return _answer(status, body)


def _answer(status: int, body: Mapping[str, Any]) -> Answer:
    headers = {"Cache-Control": "no-store", "Pragma": "no-cache"}
    if status == 401:  # noqa: PLR2004 - Unauthorized
        headers["WWW-Authenticate"] = f'Basic realm="{REALM}"'
    return Answer(status, body, headers)


def _payload(headers: list[tuple[str, str]], query: str, body: bytes) -> dict[str, str]:
    """The parameters of a token request that is in order; raises Authlib's errors."""
    if query:
        msg = "Parameters belong into the body, not into the address."
        raise InvalidRequestError(msg)
    content_types = [value for name, value in headers if name == "content-type"]
    form = "application/x-www-form-urlencoded"
    if [value.split(";")[0].strip().lower() for value in content_types] != [form]:
        msg = f"The body must be {form}."
        raise InvalidRequestError(msg)
    pairs = _pairs(body)
    if any(count > 1 for count in Counter(name for name, _ in pairs).values()):
        msg = "A parameter is given more than once."
        raise InvalidRequestError(msg)
    payload = dict(pairs)
    _check_credentials([value for name, value in headers if name == "authorization"], payload)
    if not payload.get("grant_type"):
        msg = "The parameter grant_type is missing."
        raise InvalidRequestError(msg)
    return payload


def _pairs(body: bytes) -> list[tuple[str, str]]:
    try:
        return parse_qsl(
            body.decode("ascii"),
            keep_blank_values=True,
            strict_parsing=bool(body),
            errors="strict",
            max_num_fields=16,
        )
    except ValueError:
        msg = "The body is malformed."
        raise InvalidRequestError(msg) from None


def _check_credentials(authorizations: list[str], payload: Mapping[str, str]) -> None:
    """RFC 6749, 2.3: one way to authenticate in a request, and that one well formed."""
    if not authorizations:
        return
    if len(authorizations) > 1 or "client_secret" in payload:
        msg = "There is more than one way to authenticate."
        raise InvalidRequestError(msg)
    client_id = _basic_client_id(authorizations[0])
    if payload.get("client_id", client_id) != client_id:
        msg = "There is more than one client id."
        raise InvalidRequestError(msg)


def _basic_client_id(authorization: str) -> str | None:
    """The client id of HTTP Basic; None where there is none, which Authlib then refuses."""
    scheme, _, encoded = authorization.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        return base64.b64decode(encoded.strip(), validate=True).decode().partition(":")[0]
    except (binascii.Error, ValueError):
        msg = "The Authorization header is malformed."
        raise InvalidRequestError(msg) from None


class _Request(OAuth2Request):  # type: ignore[misc]
    """A token request as Authlib reads it."""

    def __init__(self, headers: dict[str, str], payload: dict[str, str], *, secure: bool) -> None:
        # Without TLS the service listens on loopback only, which Authlib takes for secure, too.
        super().__init__(
            "POST",
            "https://localhost/" if secure else "http://localhost/",
            headers={name.title(): value for name, value in headers.items()},
        )
        self.payload = _Payload(payload)

    @property
    def form(self) -> dict[str, str]:
        data: dict[str, str] = self.payload.data
        return data


class _Payload(OAuth2Payload):  # type: ignore[misc]
    def __init__(self, data: dict[str, str]) -> None:
        self._data = data

    @property
    def data(self) -> dict[str, str]:
        return self._data


class _KnownClient(ClientMixin):  # type: ignore[misc]
    """A client as Authlib asks for it. One that is not registered answers like any other."""

    def __init__(self, clients: Clients, client_id: str) -> None:
        self._clients = clients
        self.client_id = client_id

    def get_client_id(self) -> str:
        return self.client_id

    def check_client_secret(self, client_secret: str) -> bool:
        return self._clients.is_secret_of(self.client_id, client_secret)

    def check_endpoint_auth_method(self, method: str, _endpoint: str) -> bool:
        return method in _Grant.TOKEN_ENDPOINT_AUTH_METHODS

    def check_grant_type(self, grant_type: str) -> bool:
        return bool(grant_type == _Grant.GRANT_TYPE)

    def get_allowed_scope(self, scope: str | None) -> str:
        """The scopes asked for, or all; one that is not allowed refuses the request."""
        client = self._clients.find(self.client_id)
        allowed = client.scopes if client else frozenset()
        if scope is None:
            return " ".join(sorted(allowed))
        asked = frozenset(scope.split(" "))
        if not asked <= allowed:
            raise InvalidScopeError
        return " ".join(sorted(asked))


class _Grant(ClientCredentialsGrant):  # type: ignore[misc]
    TOKEN_ENDPOINT_AUTH_METHODS = ("client_secret_basic", "client_secret_post")


class _Server(AuthorizationServer):  # type: ignore[misc]
    def __init__(self, clients: Clients, seconds: int) -> None:
        super().__init__(scopes_supported=[str(scope) for scope in SCOPES])
        self._clients, self._seconds = clients, seconds
        self.register_grant(_Grant)
        generator = BearerTokenGenerator(self._issue, expires_generator=seconds)
        self.register_token_generator("default", generator)

    def _issue(self, *, client: _KnownClient, scope: str, **_: object) -> str:
        scopes = [Scope(name) for name in scope.split()]
        return self._clients.issue_token(client.client_id, scopes, self._seconds)

    def query_client(self, client_id: str) -> _KnownClient:
        return _KnownClient(self._clients, client_id)

    def create_oauth2_request(self, request: _Request) -> _Request:
        return request

    def save_token(self, token: Mapping[str, Any], request: _Request) -> None:
        """Nothing is left to do: it was stored when it was made."""

    def send_signal(self, name: str, *args: object, **kwargs: object) -> None:
        """Nobody listens."""

    def handle_response(
        self, status: int, body: Mapping[str, Any], _headers: list[tuple[str, str]]
    ) -> Answer:
        return _answer(status, body)
