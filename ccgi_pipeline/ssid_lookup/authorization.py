"""OAuth 2.0 over HTTP: token requests (RFC 6749) and bearer tokens (RFC 6750).

Belongs here: Authlib's server core for the client credentials grant, connected to the client
registry; reading the ``Authorization`` header; the errors of the RFCs. Does not belong here:
clients and tokens (``client_registry``), and HTTP responses (``service``).

Authlib decides a token request. This module first refuses what Authlib would accept or repeat to
the client: parameters in the address, repeated parameters, and two ways to authenticate at once.
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

from ccgi_pipeline.http_service.refusals import Refusal
from ccgi_pipeline.ssid_lookup import refusals
from ccgi_pipeline.ssid_lookup.client_registry import SCOPES, ClientRegistry, ClientScope, Token

REALM = "ssid-lookup"

_TOKEN_CHARACTERS = re.compile(r"[A-Za-z0-9._~+/-]+=*")
"""RFC 6750, section 2.1."""

# At lower levels Authlib logs tokens and the client ids of requests.
logging.getLogger("authlib").setLevel(logging.WARNING)


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """The parts of an HTTP response; ``client_id``: the authenticated client.

    ``claimed``: the registered client that the request named, whether its secret is right or not.
    Its ``repr`` shows no token.
    """

    status: int
    body: Mapping[str, Any] = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    client_id: str | None = None
    claimed: str | None = None


class BearerError(Exception):
    """A request lacks a valid token; ``error`` is None if it has none at all (RFC 6750, 3.1).

    ``known``: the valid token, if only its scope is wrong.
    """

    def __init__(
        self,
        status: int,
        error: str | None = None,
        description: str = "",
        scope: str = "",
        known: Token | None = None,
    ) -> None:
        super().__init__(error or "no token")
        self.status, self.error = status, error
        self.description, self.scope = description, scope
        self.client_id = known.client_id if known else None

    @property
    def challenge(self) -> str:
        """The value of ``WWW-Authenticate``."""
        attributes = {
            "realm": REALM,
            "error": self.error,
            "error_description": self.description,
            "scope": self.scope,
        }
        return "Bearer " + ", ".join(
            f'{name}="{text}"' for name, text in attributes.items() if text
        )

    @property
    def body(self) -> dict[str, str]:
        """The body of the response."""
        if self.error is None:
            return refusals.NO_TOKEN.body
        return Refusal(self.status, self.error, self.description).body


def read_bearer_token(authorizations: list[str], query: str) -> str:
    """Returns the token of a request, which may be in the header only; raises BearerError."""
    if "access_token" in dict(parse_qsl(query, keep_blank_values=True)):
        description = "The token must not be in the address."
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


def check_token(clients: ClientRegistry, token: str, scope: ClientScope) -> Token:
    """Returns what a valid token allows; raises BearerError if ``scope`` is not in it."""
    known = clients.find_token(token)
    if known is None:
        unknown = refusals.INVALID_TOKEN
        raise BearerError(unknown.status, unknown.error, unknown.message)
    if scope not in known.scopes:
        wrong = refusals.WRONG_SCOPE
        raise BearerError(wrong.status, wrong.error, wrong.message, scope, known)
    return known


class TokenEndpoint:
    """Answers token requests."""

    def __init__(self, clients: ClientRegistry, seconds: int) -> None:
        self._clients = clients
        self._server = _TokenServer(clients, seconds)

    def respond(
        self, headers: list[tuple[str, str]], query: str, body: bytes, *, secure: bool
    ) -> HttpAnswer:
        """Answers a POST; ``secure``: whether it came over TLS."""
        try:
            payload = _parse_payload(headers, query, body)
        except OAuth2Error as error:
            return _refuse(error)
        request = _Request(dict(headers), payload, secure=secure)
        answer: HttpAnswer = self._server.create_token_response(request)
        if request.client:
            return replace(answer, client_id=request.client.client_id)
        claimed = _find_claimed_client(headers, payload)
        # Another word may be a secret in the wrong place, and is not repeated in any log.
        is_registered = claimed is not None and self._clients.find_client(claimed) is not None
        return replace(answer, claimed=claimed if is_registered else None)


def _find_claimed_client(headers: list[tuple[str, str]], payload: Mapping[str, str]) -> str | None:
    """Returns the client id of a well-formed request."""
    for name, value in headers:
        if name == "authorization":
            return _parse_basic_client_id(value)
    return payload.get("client_id")


def _refuse(error: OAuth2Error) -> HttpAnswer:
    status, body, _ = error()
    return _build_answer(status, body)


def _build_answer(status: int, body: Mapping[str, Any]) -> HttpAnswer:
    if "error" in body:
        body = _describe_error(body)
    headers = {"Cache-Control": "no-store", "Pragma": "no-cache"}
    if status == 401:  # noqa: PLR2004 - Unauthorized
        headers["WWW-Authenticate"] = f'Basic realm="{REALM}"'
    return HttpAnswer(status, body, headers)


def _describe_error(body: Mapping[str, Any]) -> dict[str, str]:
    """Returns an error of the RFC in the form of all errors of the service."""
    usual = {refusal.error: refusal.message for refusal in refusals.OAUTH_REFUSALS}
    error = str(body["error"])
    words = str(body.get("error_description") or usual.get(error, "The request was refused."))
    return {"error": error, "message": words, "error_description": words}


def _parse_payload(headers: list[tuple[str, str]], query: str, body: bytes) -> dict[str, str]:
    """Returns the parameters of a well-formed token request; raises Authlib's errors."""
    if query:
        msg = "Parameters must be in the body, not in the address."
        raise InvalidRequestError(msg)
    content_types = [value for name, value in headers if name == "content-type"]
    form = "application/x-www-form-urlencoded"
    if [value.split(";")[0].strip().lower() for value in content_types] != [form]:
        msg = f"The body must be {form}."
        raise InvalidRequestError(msg)
    # RFC 6749, section 3.2: a parameter without a value counts as omitted.
    pairs = [(name, value) for name, value in _parse_pairs(body) if value]
    if any(count > 1 for count in Counter(name for name, _ in pairs).values()):
        msg = "A parameter is given more than once."
        raise InvalidRequestError(msg)
    payload = dict(pairs)
    _check_credentials([value for name, value in headers if name == "authorization"], payload)
    if not payload.get("grant_type"):
        msg = "The parameter grant_type is missing."
        raise InvalidRequestError(msg)
    return payload


def _parse_pairs(body: bytes) -> list[tuple[str, str]]:
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
    """Checks that a request authenticates in one way only, well formed (RFC 6749, 2.3)."""
    if not authorizations:
        return
    if len(authorizations) > 1 or "client_secret" in payload:
        msg = "There is more than one way to authenticate."
        raise InvalidRequestError(msg)
    client_id = _parse_basic_client_id(authorizations[0])
    if payload.get("client_id", client_id) != client_id:
        msg = "There is more than one client id."
        raise InvalidRequestError(msg)


def _parse_basic_client_id(authorization: str) -> str | None:
    """Returns the client id of HTTP Basic; None without one, which Authlib then refuses."""
    scheme, _, encoded = authorization.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        return base64.b64decode(encoded.strip(), validate=True).decode().partition(":")[0]
    except (binascii.Error, ValueError):
        msg = "The Authorization header is malformed."
        raise InvalidRequestError(msg) from None


class _Request(OAuth2Request):  # type: ignore[misc]
    """A token request in the form that Authlib reads."""

    def __init__(self, headers: dict[str, str], payload: dict[str, str], *, secure: bool) -> None:
        # Without TLS the service listens on loopback only, which Authlib accepts as secure.
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


class _OAuthClient(ClientMixin):  # type: ignore[misc]
    """A client in the form that Authlib uses; an unregistered client behaves like any other."""

    def __init__(self, clients: ClientRegistry, client_id: str) -> None:
        self._clients = clients
        self.client_id = client_id

    def get_client_id(self) -> str:
        return self.client_id

    def check_client_secret(self, client_secret: str) -> bool:
        return self._clients.check_secret(self.client_id, client_secret)

    def check_endpoint_auth_method(self, method: str, _endpoint: str) -> bool:
        return method in _Grant.TOKEN_ENDPOINT_AUTH_METHODS

    def check_grant_type(self, grant_type: str) -> bool:
        return bool(grant_type == _Grant.GRANT_TYPE)

    def get_allowed_scope(self, scope: str | None) -> str:
        """Returns the requested scopes, or all if none is requested; raises InvalidScopeError."""
        client = self._clients.find_client(self.client_id)
        allowed = client.scopes if client else frozenset()
        if scope is None:
            return " ".join(sorted(allowed))
        requested = frozenset(scope.split(" "))
        if not requested <= allowed:
            raise InvalidScopeError
        return " ".join(sorted(requested))


class _Grant(ClientCredentialsGrant):  # type: ignore[misc]
    TOKEN_ENDPOINT_AUTH_METHODS = ("client_secret_basic", "client_secret_post")


class _TokenServer(AuthorizationServer):  # type: ignore[misc]
    def __init__(self, clients: ClientRegistry, seconds: int) -> None:
        super().__init__(scopes_supported=[str(scope) for scope in SCOPES])
        self._clients, self._seconds = clients, seconds
        self.register_grant(_Grant)
        generator = BearerTokenGenerator(self._issue, expires_generator=seconds)
        self.register_token_generator("default", generator)

    def _issue(self, *, client: _OAuthClient, scope: str, **_: object) -> str:
        scopes = [ClientScope(name) for name in scope.split()]
        return self._clients.issue_token(client.client_id, scopes, self._seconds)

    def query_client(self, client_id: str) -> _OAuthClient:
        return _OAuthClient(self._clients, client_id)

    def create_oauth2_request(self, request: _Request) -> _Request:
        return request

    def save_token(self, token: Mapping[str, Any], request: _Request) -> None:
        """Does nothing: the token was stored when it was issued."""

    def send_signal(self, name: str, *args: object, **kwargs: object) -> None:
        """Does nothing: there are no listeners."""

    def handle_response(
        self, status: int, body: Mapping[str, Any], _headers: list[tuple[str, str]]
    ) -> HttpAnswer:
        return _build_answer(status, body)
