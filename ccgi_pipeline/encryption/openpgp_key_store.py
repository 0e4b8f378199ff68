"""The file that holds the OpenPGP keys of a warehouse.

Belongs here: its tables, reading and changing them. Does not belong here: which key may be kept
(``openpgp_keys``), who may change keys (``ccgi keys`` records it in the audit log).

A private key is kept protected by the installation's passphrase, which is in no file of the
warehouse (``gnupg.PASSPHRASE``); in an encrypted warehouse the file is encrypted besides.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

from ccgi_pipeline.common.errors import PermanentError
from ccgi_pipeline.encryption.openpgp import (
    format_fingerprint,
    normalize_fingerprint,
    parse_keys,
)
from ccgi_pipeline.encryption.openpgp_keys import (
    FOR_DELIVERY,
    INSTALLATION,
    CheckedKey,
    KeyRing,
    KeyUse,
    StoredKey,
)
from ccgi_pipeline.encryption.sqlite import open_database, transaction

FILE_NAME = "openpgp.sqlite"


class UnknownKeyError(PermanentError):
    """No key, or more than one, has a fingerprint that ends or begins with the given digits."""


_SCHEMA = """
CREATE TABLE IF NOT EXISTS keys (
    owner TEXT NOT NULL, fingerprint TEXT NOT NULL, use TEXT NOT NULL, block BLOB NOT NULL,
    listing TEXT NOT NULL, secret BLOB, added TEXT NOT NULL, added_by TEXT NOT NULL, until TEXT,
    PRIMARY KEY (owner, fingerprint)
);
CREATE TABLE IF NOT EXISTS encryption_required (owner TEXT PRIMARY KEY, since TEXT NOT NULL);
"""


def key_store_exists(warehouse: Path) -> bool:
    """Returns whether a key was ever kept for the warehouse in this folder."""
    return (warehouse / FILE_NAME).exists()


@contextmanager
def open_key_store(warehouse: Path) -> Iterator[KeyStore]:
    """Opens the keys of a warehouse; makes their file if it is missing."""
    with closing(open_database(warehouse / FILE_NAME, _SCHEMA, "FULL")) as database:
        yield KeyStore(database)


def read_key_ring(warehouse: Path) -> KeyRing:
    """Returns all keys of a warehouse; none if none was ever kept."""
    if not key_store_exists(warehouse):
        return KeyRing()
    with open_key_store(warehouse) as store:
        return store.read_ring()


@dataclass(frozen=True, slots=True)
class KeyStore:
    """The open file of keys."""

    database: sqlite3.Connection

    def read_ring(self) -> KeyRing:
        """Returns all keys, the oldest first."""
        rows = self.database.execute(
            "SELECT owner, listing, use, block, secret, added, added_by, until FROM keys "
            "ORDER BY rowid"
        ).fetchall()
        required = self.database.execute("SELECT owner FROM encryption_required").fetchall()
        keys = [
            StoredKey(
                owner,
                parse_keys(listing)[0],
                KeyUse(use),
                block,
                listing,
                secret,
                added,
                by,
                date.fromisoformat(until) if until else None,
            )
            for owner, listing, use, block, secret, added, by, until in rows
        ]
        return KeyRing(tuple(keys), frozenset(owner for (owner,) in required))

    def find_key(self, digits: str, owner: str | None = None) -> StoredKey:
        """Returns the key whose fingerprint begins or ends with ``digits``."""
        asked = normalize_fingerprint(digits)
        found = [
            key
            for key in self.read_ring().keys
            if owner in {None, key.owner}
            and asked
            and (key.fingerprint.startswith(asked) or key.fingerprint.endswith(asked))
        ]
        if len(found) != 1:
            msg = (
                f"{len(found)} keys have a fingerprint that begins or ends with {asked}: "
                "ccgi keys list shows the keys; --district tells apart those of one fingerprint"
            )
            raise UnknownKeyError(msg)
        return found[0]

    def find_district_key(self, fingerprint: str) -> StoredKey:
        """Returns a key that is pinned for a sender, by its whole fingerprint."""
        for key in self.read_ring().keys:
            if key.fingerprint == fingerprint and key.owner != INSTALLATION:
                return key
        msg = (
            f"no key with the fingerprint {format_fingerprint(fingerprint)} is kept: a new key is "
            "added with ccgi keys add, once the district has confirmed its fingerprint"
        )
        raise UnknownKeyError(msg)

    def add_key(self, owner: str, checked: CheckedKey, use: KeyUse, *, by: str) -> None:
        """Keeps a key; a key for delivery makes encryption required for its owner."""
        now = datetime.now(UTC).isoformat(timespec="seconds")
        with transaction(self.database):
            self.database.execute(
                "INSERT OR REPLACE INTO keys VALUES (?, ?, ?, ?, ?, ?, ?, ?, NULL)",
                [
                    *(owner, checked.key.fingerprint, use.value, checked.block, checked.listing),
                    *(checked.secret, now, by),
                ],
            )
            if use in FOR_DELIVERY:
                self.database.execute(
                    "INSERT OR IGNORE INTO encryption_required VALUES (?, ?)", [owner, now]
                )

    def replace_block(self, checked: CheckedKey) -> None:
        """Keeps a newer state of a key, wherever the key is pinned."""
        with transaction(self.database):
            self.database.execute(
                "UPDATE keys SET block = ?, listing = ? WHERE fingerprint = ?",
                [checked.block, checked.listing, checked.key.fingerprint],
            )

    def retire_key(self, stored: StoredKey, until: date) -> None:
        """Lets a key count until the end of a day. A private key stays, for files of before."""
        with transaction(self.database):
            self.database.execute(
                "UPDATE keys SET until = ? WHERE owner = ? AND fingerprint = ?",
                [until.isoformat(), stored.owner, stored.fingerprint],
            )

    def allow_plain(self, owner: str) -> bool:
        """Lets files go to ``owner`` unencrypted again, until it gets a key; whether it changed."""
        with transaction(self.database):
            changed = self.database.execute(
                "DELETE FROM encryption_required WHERE owner = ?", [owner]
            ).rowcount
            self.database.execute(
                "UPDATE keys SET until = ? WHERE owner = ? AND use IN (?, ?) AND until IS NULL",
                ["0001-01-01", owner, *map(str, sorted(FOR_DELIVERY))],
            )
        return bool(changed)
