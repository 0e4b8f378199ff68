"""The registered clients of the service, their secrets, scopes and tokens.

Belongs here: registering, rotating and disabling clients; issuing and checking tokens. Does not
belong here: OAuth over HTTP (``authorization``) and the hourly limit (``limits``).

Secrets and tokens are 256 random bits, made here and shown once. Only their plain SHA-256 is
stored: a slow password hash protects secrets that people choose and others can guess, but nobody
can guess 256 bits.

Tokens are opaque, not signed. So they end at once when a client is disabled or its secret is
rotated, all workers find them in the same file, also after a restart, and there is no signing key.
Finding a token takes about 10 microseconds.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from ccgi_pipeline.common.errors import PermanentError
from ccgi_pipeline.encryption.sqlite import open_database, transaction


class ClientScope(StrEnum):
    """The scopes of clients and tokens: what a client may do."""

    LOOKUP = "ssid:lookup"
    VERIFY = "enrollment:verify"


SCOPES = {
    ClientScope.LOOKUP: "Ask for students' SSIDs",
    ClientScope.VERIFY: "Send verifications of enrollment",
}

_SCHEMA = """
    CREATE TABLE IF NOT EXISTS clients (
        client_id TEXT PRIMARY KEY, secret_hash BLOB NOT NULL, scopes TEXT NOT NULL,
        enabled INTEGER NOT NULL, hourly_limit INTEGER, registered_at REAL NOT NULL,
        rotated_at REAL
    ) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS tokens (
        token_hash BLOB PRIMARY KEY, client_id TEXT NOT NULL, scopes TEXT NOT NULL,
        expires_at REAL NOT NULL
    ) WITHOUT ROWID;
    CREATE INDEX IF NOT EXISTS tokens_by_end ON tokens (expires_at);
"""

_CLIENT_ID = re.compile("[A-Za-z0-9._-]{1,64}")
"""Client ids are written into logs and HTTP Basic, where a colon separates id and secret."""

_SECRET_BYTES = 32

LONGEST_TOKEN = 3600
"""The most seconds for which a token is issued. A token that ends later was issued by a clock that
was ahead, and is not valid: else it would be for as long as the clock was wrong."""


class UnknownClientError(PermanentError):
    """No client of this id is registered."""


class ClientExistsError(PermanentError):
    """A client of this id is registered already."""


@dataclass(frozen=True, slots=True)
class Client:
    """A registered client; ``hourly_limit`` None: the service's default."""

    client_id: str
    scopes: frozenset[ClientScope]
    enabled: bool
    hourly_limit: int | None


@dataclass(frozen=True, slots=True)
class Token:
    """A valid token: its client, scopes and hourly limit."""

    client_id: str
    scopes: frozenset[ClientScope]
    hourly_limit: int | None


class ClientRegistry:
    """The clients in ``clients.sqlite``, shared by all workers."""

    def __init__(self, folder: Path, clock: Callable[[], float] = time.time) -> None:
        self._database = open_database(folder / "clients.sqlite", _SCHEMA, "NORMAL")
        self._clock = clock

    def close(self) -> None:
        """Closes the file."""
        self._database.close()

    def register(
        self, client_id: str, scopes: Iterable[ClientScope], hourly_limit: int | None = None
    ) -> str:
        """Registers a client and returns its secret, which is not stored."""
        if _CLIENT_ID.fullmatch(client_id) is None:
            msg = "a client id is 1 to 64 letters, digits, dots, underscores or hyphens"
            raise PermanentError(msg)
        if hourly_limit is not None and hourly_limit < 1:
            msg = "an hourly limit is at least 1"
            raise PermanentError(msg)
        secret = secrets.token_urlsafe(_SECRET_BYTES)
        with transaction(self._database):
            if self.find_client(client_id) is not None:
                msg = f"the client {client_id} is registered already"
                raise ClientExistsError(msg)
            self._database.execute(
                "INSERT INTO clients VALUES (?, ?, ?, 1, ?, ?, NULL)",
                (client_id, _hash(secret), _join_scopes(scopes), hourly_limit, self._clock()),
            )
        return secret

    def rotate_secret(self, client_id: str) -> str:
        """Returns a new secret for the client; the old one and all tokens end."""
        secret = secrets.token_urlsafe(_SECRET_BYTES)
        self._change(
            client_id,
            "UPDATE clients SET secret_hash = ?, rotated_at = ? WHERE client_id = ?",
            (_hash(secret), self._clock()),
        )
        return secret

    def disable(self, client_id: str) -> None:
        """Ends the client's tokens, and refuses it new ones."""
        self._change(client_id, "UPDATE clients SET enabled = 0 WHERE client_id = ?")

    def enable(self, client_id: str) -> None:
        """Allows a disabled client to get tokens again."""
        self._change(client_id, "UPDATE clients SET enabled = 1 WHERE client_id = ?")

    def set_hourly_limit(self, client_id: str, hourly_limit: int | None) -> None:
        """Sets the client's hourly limit; None: the service's default."""
        self._change(
            client_id,
            "UPDATE clients SET hourly_limit = ? WHERE client_id = ?",
            (hourly_limit,),
            ends_tokens=False,
        )

    def _change(
        self,
        client_id: str,
        statement: str,
        values: tuple[object, ...] = (),
        *,
        ends_tokens: bool = True,
    ) -> None:
        with transaction(self._database):
            changed = self._database.execute(statement, (*values, client_id)).rowcount
            if not changed:
                msg = f"no client {client_id} is registered"
                raise UnknownClientError(msg)
            if ends_tokens:
                self._database.execute("DELETE FROM tokens WHERE client_id = ?", (client_id,))

    def list_clients(self) -> list[Client]:
        """Returns all clients, sorted by id."""
        rows = self._database.execute(
            "SELECT client_id, scopes, enabled, hourly_limit FROM clients ORDER BY client_id"
        )
        return [_parse_client(row) for row in rows]

    def find_client(self, client_id: str) -> Client | None:
        """Returns the client, enabled or not, or None."""
        row = self._database.execute(
            "SELECT client_id, scopes, enabled, hourly_limit FROM clients WHERE client_id = ?",
            (client_id,),
        ).fetchone()
        return _parse_client(row) if row else None

    def check_secret(self, client_id: str, secret: str) -> bool:
        """Tells whether this is the secret of this enabled client.

        The check takes as long for a client that does not exist.
        """
        row = self._database.execute(
            "SELECT secret_hash, enabled FROM clients WHERE client_id = ?", (client_id,)
        ).fetchone()
        known, enabled = row or (bytes(_SECRET_BYTES), 0)
        return secrets.compare_digest(_hash(secret), known) and bool(enabled)

    def issue_token(self, client_id: str, scopes: Iterable[ClientScope], seconds: int) -> str:
        """Returns a new token, and deletes ended ones."""
        if seconds > LONGEST_TOKEN:
            msg = f"a token is issued for {LONGEST_TOKEN} seconds at most"
            raise PermanentError(msg)
        token = secrets.token_urlsafe(_SECRET_BYTES)
        now = self._clock()
        with transaction(self._database):
            self._database.execute(
                "DELETE FROM tokens WHERE expires_at <= ? OR expires_at > ?",
                (now, now + LONGEST_TOKEN),
            )
            self._database.execute(
                "INSERT INTO tokens VALUES (?, ?, ?, ?)",
                (_hash(token), client_id, _join_scopes(scopes), now + seconds),
            )
        return token

    def find_token(self, token: str) -> Token | None:
        """Returns a valid token; None if it has ended, was revoked or is unknown."""
        now = self._clock()
        row = self._database.execute(
            """
            SELECT client_id, tokens.scopes, clients.scopes, hourly_limit
            FROM tokens JOIN clients USING (client_id)
            WHERE token_hash = ? AND expires_at > ? AND expires_at <= ? AND enabled
            """,
            (_hash(token), now, now + LONGEST_TOKEN),
        ).fetchone()
        if row is None:
            return None
        client_id, granted, still_allowed, hourly_limit = row
        return Token(client_id, _split_scopes(granted) & _split_scopes(still_allowed), hourly_limit)


def _hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode(errors="surrogateescape")).digest()


def _join_scopes(scopes: Iterable[ClientScope]) -> str:
    return " ".join(sorted(ClientScope(scope) for scope in scopes))


def _split_scopes(scopes: str) -> frozenset[ClientScope]:
    return frozenset(ClientScope(scope) for scope in scopes.split())


def _parse_client(row: tuple[str, str, int, int | None]) -> Client:
    client_id, scopes, enabled, hourly_limit = row
    return Client(client_id, _split_scopes(scopes), bool(enabled), hourly_limit)
