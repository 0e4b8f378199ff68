"""A client for tests of the server alone: it asks one question, and takes any answer.

Belongs here: asking, with a token or a signature. Does not belong here: judging answers.
"""

from __future__ import annotations

import secrets
import ssl
import time
from base64 import b64encode
from collections.abc import Mapping
from hashlib import sha1, sha256
from hmac import digest
from typing import Any
from urllib.parse import quote, urlencode

import httpx

from ccgi_pipeline_tests.oneroster_api.authorization import BODY, OAUTH_1, Asked, signature_base
from ccgi_pipeline_tests.oneroster_api.server import RosterServer

GRANT = {"grant_type": "client_credentials"}
_HASHES = {"HMAC-SHA1": sha1, "HMAC-SHA256": sha256}


class PlainClient(httpx.Client):
    """Asks ``server``; ``token`` is None until one is taken."""

    def __init__(self, server: RosterServer, timeout: float = 5.0) -> None:
        context = ssl.create_default_context(cafile=server.ca_file)
        super().__init__(verify=context, timeout=timeout)
        self.server = server
        self.token: str | None = None

    def take_token(self, **form: str) -> httpx.Response:
        """Asks for a token in the server's way, and keeps it if there is one."""
        server = self.server
        own = (server.client_id, server.client_secret)
        asked = {**GRANT, "scope": " ".join(server.scopes), **form}
        if server.authorization.way == BODY:
            said = {"client_id": own[0], "client_secret": own[1], **asked}
            answer = self.post(server.token_url, data=said)
        else:
            answer = self.post(server.token_url, data=asked, auth=own)
        if answer.status_code == 200:
            self.token = answer.json()["access_token"]
        return answer

    def ask(self, path: str, **parameters: str | int) -> httpx.Response:
        """The answer to a question about a path."""
        query = urlencode({name: str(own) for name, own in parameters.items()}, quote_via=quote)
        url = f"{self.server.url}/{path}" + (f"?{query}" if query else "")
        return self.get(url, headers=self._allowed(url))

    def _allowed(self, url: str) -> Mapping[str, str]:
        if self.server.authorization.way == OAUTH_1:
            return {"Authorization": sign(self.server, url)}
        return {"Authorization": f"Bearer {self.token}"} if self.token else {}

    def listed(self, path: str, **parameters: str | int) -> list[dict[str, Any]]:
        """The objects of an answer, whatever the name of their list."""
        content = self.ask(path, **parameters).json()
        (objects,) = (own for own in content.values() if isinstance(own, list))
        return objects


def sign(server: RosterServer, url: str, method: str = "HMAC-SHA1", **other: str) -> str:
    """The Authorization header of OAuth 1.0a; ``other`` replaces what it says."""
    said = {
        "oauth_consumer_key": server.client_id,
        "oauth_nonce": secrets.token_hex(8),
        "oauth_signature_method": method,
        "oauth_timestamp": str(int(time.time())),
        "oauth_version": "1.0",
        **other,
    }
    base = signature_base(Asked("GET", url, {}), said).encode()
    key = f"{quote(server.client_secret, safe='-._~')}&".encode()
    said["oauth_signature"] = b64encode(digest(key, base, _HASHES[method])).decode()
    pairs = (f'{name}="{quote(own, safe="-._~")}"' for name, own in said.items())
    return f"OAuth {', '.join(pairs)}"
