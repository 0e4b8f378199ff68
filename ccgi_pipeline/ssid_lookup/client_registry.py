"""Registered clients and their tokens: who may ask, and for what.

Belongs here: registering, rotating, disabling; issuing tokens and recognising them. Does not belong
here: OAuth's words on the wire (authorization), how often somebody may ask (limits).

Secrets and tokens are 256 random bits, made here and shown once. What is stored of them is a plain
SHA-256: a slow password hash protects what people choose and others can guess; nobody guesses 256
bits, however quick each guess is.

Tokens are opaque rather than signed: they end the moment a client is disabled or its secret is
rotated, every worker and every restart knows them by the same file, and there is no signing key to
keep. Looking one up costs about 10 microseconds.
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


class Scope(StrEnum):
    """What a client may do."""

    LOOKUP = "ssid:lookup"
    VERIFY = "enrollment:verify"


SCOPES = {
    Scope.LOOKUP: "Ask for students' SSIDs",
    Scope.VERIFY: "Send verifications of enrollment",
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
"""Client ids stand in logs and in HTTP Basic, which has its own use for a colon."""

_SECRET_BYTES = 32


class UnknownClientError(PermanentError):
    """No client of this id is registered."""


class ClientExistsError(PermanentError):
    """A client of this id is registered already."""


@dataclass(frozen=True, slots=True)
class Client:
    """A registered client; ``hourly_limit`` None: what the service gives everybody."""

    client_id: str
    scopes: frozenset[Scope]
    enabled: bool
    hourly_limit: int | None


@dataclass(frozen=True, slots=True)
class Token:
    """What a valid token allows, and to whom."""

    client_id: str
    scopes: frozenset[Scope]
    hourly_limit: int | None


class Clients:
    """The clients in ``clients.sqlite``, shared by all workers."""

    def __init__(self, folder: Path, clock: Callable[[], float] = time.time) -> None:
        self._database = open_database(folder / "clients.sqlite", _SCHEMA, "NORMAL")
        self._clock = clock

    def close(self) -> None:
        """Lets go of the file."""
        self._database.close()

    def register(
        self, client_id: str, scopes: Iterable[Scope], hourly_limit: int | None = None
    ) -> str:
        """Registers a client and returns its secret, which is told this once."""
        if _CLIENT_ID.fullmatch(client_id) is None:
            msg = "a client id is 1 to 64 letters, digits, dots, underscores or hyphens"
            raise PermanentError(msg)
        if hourly_limit is not None and hourly_limit < 1:
            msg = "an hourly limit is at least 1"
            raise PermanentError(msg)
        secret = secrets.token_urlsafe(_SECRET_BYTES)
        with transaction(self._database):
            if self.find(client_id) is not None:
                msg = f"the client {client_id} is registered already"
                raise ClientExistsError(msg)
            self._database.execute(
                "INSERT INTO clients VALUES (?, ?, ?, 1, ?, ?, NULL)",
                (client_id, _hash(secret), _written(scopes), hourly_limit, self._clock()),
            )
        return secret

    def rotate_secret(self, client_id: str) -> str:
        """Gives the client a new secret; the old one and all tokens end with it."""
        secret = secrets.token_urlsafe(_SECRET_BYTES)
        self._change(
            client_id,
            "UPDATE clients SET secret_hash = ?, rotated_at = ? WHERE client_id = ?",
            (_hash(secret), self._clock()),
        )
        return secret

    def disable(self, client_id: str) -> None:
        """Ends the client's tokens; it gets no new ones."""
        self._change(client_id, "UPDATE clients SET enabled = 0 WHERE client_id = ?")

    def enable(self, client_id: str) -> None:
        """Lets a disabled client ask for tokens again."""
        self._change(client_id, "UPDATE clients SET enabled = 1 WHERE client_id = ?")

    def set_hourly_limit(self, client_id: str, hourly_limit: int | None) -> None:
        """Changes how often the client may ask; None: what the service gives everybody."""
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

    def all(self) -> list[Client]:
        """All clients, by their ids."""
        rows = self._database.execute(
            "SELECT client_id, scopes, enabled, hourly_limit FROM clients ORDER BY client_id"
        )
        return [_client(row) for row in rows]

    def find(self, client_id: str) -> Client | None:
        """The client, enabled or not."""
        row = self._database.execute(
            "SELECT client_id, scopes, enabled, hourly_limit FROM clients WHERE client_id = ?",
            (client_id,),
        ).fetchone()
        return _client(row) if row else None

    def is_secret_of(self, client_id: str, secret: str) -> bool:
        """Whether this is the secret of this client, if there is such a client and it is enabled.

        Takes as long for a client that does not exist.
        """
        row = self._database.execute(
            "SELECT secret_hash, enabled FROM clients WHERE client_id = ?", (client_id,)
        ).fetchone()
        known, enabled = row or (bytes(_SECRET_BYTES), 0)
        return secrets.compare_digest(_hash(secret), known) and bool(enabled)

    def issue_token(self, client_id: str, scopes: Iterable[Scope], seconds: int) -> str:
        """A new token; ended ones are forgotten on the way."""
        token = secrets.token_urlsafe(_SECRET_BYTES)
        now = self._clock()
        with transaction(self._database):
            self._database.execute("DELETE FROM tokens WHERE expires_at <= ?", (now,))
            self._database.execute(
                "INSERT INTO tokens VALUES (?, ?, ?, ?)",
                (_hash(token), client_id, _written(scopes), now + seconds),
            )
        return token

    def token(self, token: str) -> Token | None:
        """What the token allows; None for one that ended, was revoked or never was."""
        row = self._database.execute(
            """
            SELECT client_id, tokens.scopes, clients.scopes, hourly_limit
            FROM tokens JOIN clients USING (client_id)
            WHERE token_hash = ? AND expires_at > ? AND enabled
            """,
            (_hash(token), self._clock()),
        ).fetchone()
        if row is None:
            return None
        client_id, granted, still_allowed, hourly_limit = row
        return Token(client_id, _read(granted) & _read(still_allowed), hourly_limit)


def _hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode(errors="surrogateescape")).digest()


def _written(scopes: Iterable[Scope]) -> str:
    return " ".join(sorted(Scope(scope) for scope in scopes))


def _read(scopes: str) -> frozenset[Scope]:
    return frozenset(Scope(scope) for scope in scopes.split())


def _client(row: tuple[str, str, int, int | None]) -> Client:
    client_id, scopes, enabled, hourly_limit = row
    return Client(client_id, _read(scopes), bool(enabled), hourly_limit)
