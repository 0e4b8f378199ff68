"""Who may ask: tokens of OAuth 2.0 client credentials, and signatures of OAuth 1.0a.

Belongs here: RFC 6749 section 4.4, RFC 6750 and RFC 5849 as a server of the specification does
them, with the scopes of versions 1.1 and 1.2. Does not belong here: wrong behaviour (faults).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
import secrets
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from ccgi_pipeline_tests.oneroster_api.queries import RefusedError

BASIC, BODY, OAUTH_1 = "oauth2_basic", "oauth2_body", "oauth1"
WAYS = (BASIC, BODY, OAUTH_1)
_LASTS = 3600
_CLOCKS_DIFFER = 600
_HASHES = {"HMAC-SHA1": hashlib.sha1, "HMAC-SHA256": hashlib.sha256}


@dataclass(frozen=True)
class Asked:
    """A request as the server got it; ``url`` has the parameters, as they were sent."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes = b""


def scopes_of(version: str) -> dict[str, str]:
    """The scopes of a version, by their last words."""
    path = f"https://purl.imsglobal.org/spec/or/v{version.replace('.', 'p')}/scope/"
    names = ("roster-core.readonly", "roster.readonly", "roster-demographics.readonly")
    return {name: path + name for name in names}


class TokenError(Exception):
    """A request for a token that is refused: status and code of RFC 6749."""

    def __init__(self, status: int, code: str) -> None:
        super().__init__(code)
        self.status, self.code = status, code


@dataclass
class Authorization:
    """The one client of the server, and the tokens that it has.

    ``granted``: the scopes that it may have. ``lasts``: seconds of a token.
    """

    way: str
    version: str
    client_id: str = "district-client"
    client_secret: str = field(default_factory=lambda: f"s+/ %{secrets.token_hex(12)}")
    granted: tuple[str, ...] = ()
    lasts: float = _LASTS
    _tokens: dict[str, tuple[float, frozenset[str]]] = field(default_factory=dict)
    _nonces: set[tuple[str, str]] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self.granted = self.granted or tuple(scopes_of(self.version).values())

    # --- OAuth 2.0 ---

    def grant(self, asked: Asked) -> dict[str, object]:
        """The answer to a request for a token. Raises TokenError."""
        form = dict(parse_qsl(asked.body.decode(errors="replace")))
        if asked.method != "POST" or form.get("grant_type") != "client_credentials":
            raise TokenError(400, "unsupported_grant_type")
        if self._credentials(asked, form) != (self.client_id, self.client_secret):
            raise TokenError(401, "invalid_client")
        wanted = form.get("scope", "").split()
        if self.version == "1.2" and not wanted:
            raise TokenError(400, "invalid_scope")
        given = [scope for scope in wanted or self.granted if scope in self.granted]
        if not given:
            raise TokenError(400, "invalid_scope")
        token = secrets.token_urlsafe(24)
        with self._lock:
            self._tokens[token] = time.monotonic() + self.lasts, frozenset(given)
        return {
            "access_token": token,
            "token_type": "Bearer",
            "expires_in": int(self.lasts),
            "scope": " ".join(given),
        }

    def _credentials(self, asked: Asked, form: Mapping[str, str]) -> tuple[str, str]:
        if self.way == BODY:
            return form.get("client_id", ""), form.get("client_secret", "")
        kind, _, packed = asked.headers.get("Authorization", "").partition(" ")
        try:
            client, _, secret = base64.b64decode(packed, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return "", ""
        if kind.lower() != "basic":
            return "", ""
        # RFC 6749, 2.3.1 has both encoded first; many clients and servers do not.
        if secret == self.client_secret:
            return client, secret
        return unquote(client), unquote(secret.replace("+", "%20"))

    def end_tokens(self) -> None:
        """Makes all tokens worthless."""
        with self._lock:
            self._tokens.clear()

    # --- each request ---

    def check(self, asked: Asked, any_of: Sequence[str]) -> None:
        """Raises RefusedError unless the client may ask; ``any_of``: last words of scopes."""
        if self.way == OAUTH_1:
            self._check_signature(asked)
            return
        kind, _, token = asked.headers.get("Authorization", "").partition(" ")
        ends, scopes = self._tokens.get(token, (0.0, frozenset()))
        if kind.lower() != "bearer" or time.monotonic() >= ends:
            raise RefusedError(401, "unauthorisedrequest", "there is no valid token")
        known = scopes_of(self.version)
        if not scopes.intersection(known[name] for name in any_of):
            raise RefusedError(403, "forbidden", "the token has no scope for this")

    # --- OAuth 1.0a ---

    def _check_signature(self, asked: Asked) -> None:
        header = asked.headers.get("Authorization", "")
        said = {
            name: unquote(value) for name, value in re.findall(r'(oauth_\w+)="([^"]*)"', header)
        }
        digest = _HASHES.get(said.get("oauth_signature_method", ""))
        if digest is None or said.get("oauth_consumer_key") != self.client_id:
            raise RefusedError(401, "unauthorisedrequest", "the request is not signed")
        key = f"{_encode(self.client_secret)}&".encode()
        made = hmac.new(key, signature_base(asked, said).encode(), digest).digest()
        if not hmac.compare_digest(
            base64.b64encode(made).decode(), said.get("oauth_signature", "")
        ):
            raise RefusedError(401, "unauthorisedrequest", "the signature is wrong")
        at = said.get("oauth_timestamp", "")
        once = at, said.get("oauth_nonce", "")
        with self._lock:
            again = once in self._nonces
            self._nonces.add(once)
        if again or not at.isdigit() or abs(int(at) - time.time()) > _CLOCKS_DIFFER:
            raise RefusedError(401, "unauthorisedrequest", "the signature is not of now")


def _encode(text: str) -> str:
    return quote(text, safe="-._~")


def signature_base(asked: Asked, said: Mapping[str, str]) -> str:
    """The text that is signed: method, address, and every parameter (RFC 5849, section 3.4.1)."""
    parts = urlsplit(asked.url)
    pairs = [
        *parse_qsl(parts.query, keep_blank_values=True),
        *((name, value) for name, value in said.items() if name != "oauth_signature"),
    ]
    encoded = sorted((_encode(name), _encode(value)) for name, value in pairs)
    parameters = "&".join(f"{name}={value}" for name, value in encoded)
    address = f"{parts.scheme}://{parts.netloc.lower()}{parts.path}"
    return "&".join(map(_encode, (asked.method, address, parameters)))
