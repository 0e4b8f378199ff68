"""An installation's OpenPGP keys in a warehouse of a test.

Belongs here: keeping keys as ``ccgi keys`` does. Does not belong here: the district's side
(gnupg_peer).
"""

from __future__ import annotations

import os
from datetime import date
from functools import cache
from pathlib import Path

from ccgi_pipeline.encryption.gnupg import PASSPHRASE
from ccgi_pipeline.encryption.openpgp_key_store import open_key_store
from ccgi_pipeline.encryption.openpgp_keys import (
    INSTALLATION,
    CheckedKey,
    KeyUse,
    check_public_key,
    create_pair,
)
from ccgi_pipeline_tests.gnupg_peer import GnupgPeer

SECRET = "the passphrase of the tests' installation"  # noqa: S105


def pair(number: int = 1, use: KeyUse = KeyUse.INTAKE) -> CheckedKey:
    """A pair of the installation, made once in a process; RSA-2048 is quicker than 4096."""
    return _made(number, use)


@cache
def _made(number: int, use: KeyUse) -> CheckedKey:
    return create_pair(SECRET, f"CCGI {number}", bits=2048, expires="2y", use=use)


def keep_intake_key(warehouse: Path, number: int = 1) -> CheckedKey:
    """Gives a warehouse an intake key, and this process its passphrase."""
    os.environ[PASSPHRASE] = SECRET
    warehouse.mkdir(parents=True, exist_ok=True)
    with open_key_store(warehouse) as store:
        store.add_key(INSTALLATION, pair(number), KeyUse.INTAKE, by="a test")
    return pair(number)


def pin_key(
    warehouse: Path, cd: str, peer: GnupgPeer, fingerprint: str, use: KeyUse = KeyUse.BOTH
) -> None:
    """Pins a district's key."""
    warehouse.mkdir(parents=True, exist_ok=True)
    must_encrypt = use is not KeyUse.SIGNATURES
    checked = check_public_key(peer.export(fingerprint), must_encrypt=must_encrypt)
    with open_key_store(warehouse) as store:
        store.add_key(cd, checked, use, by="a test")


def retire(warehouse: Path, cd: str, fingerprint: str, until: str) -> None:
    """Retires a key."""
    with open_key_store(warehouse) as store:
        store.retire_key(store.find_key(fingerprint, cd), date.fromisoformat(until))
