"""Envelopes: to which keys a district's files are encrypted, and encrypting them.

Belongs here: whether an owner's files are encrypted at all, and why nothing may be sent to it.
Does not belong here: the keys (encryption.openpgp_keys), sending (``upload``).

From an owner's first key on, its files leave encrypted or not at all. Only
``ccgi keys allow-plain`` changes that.
"""

from __future__ import annotations

import hashlib
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import BinaryIO, cast

from ccgi_pipeline.common.errors import PermanentError
from ccgi_pipeline.encryption.gnupg import GnupgHome, find_gpg, read_passphrase
from ccgi_pipeline.encryption.openpgp_key_store import read_key_ring
from ccgi_pipeline.encryption.openpgp_keys import KeyRing
from ccgi_pipeline.profiles import Profiles

_PIECE = 1 << 20
_PACKED = frozenset({".zip", ".xlsx"})
"""Files that are compressed already."""


class DeliveryHeldError(PermanentError):
    """Nothing may be sent to a district, because its OpenPGP keys do not allow it."""


class Envelopes:
    """What each owner's files are encrypted to, as of ``now`` (UTC).

    ``folder``: on whose disk encrypted files are until they are sent.
    """

    def __init__(self, ring: KeyRing, profiles: Profiles, folder: Path, now: datetime) -> None:
        self._ring, self._profiles, self._folder, self._now = ring, profiles, folder, now
        self._faults: dict[str, str | None] = {}
        self._home: GnupgHome | None = None
        self._imported: set[str] = set()
        self._lock = threading.Lock()

    def close(self) -> None:
        """Removes the home of GnuPG."""
        if self._home is not None:
            self._home.close()

    def recipients_of(self, owner: str) -> str:
        """Returns the fingerprints of the keys of ``owner``; empty if its files leave plain.

        Of an owner whose files must be encrypted it is never empty, even without a key.
        """
        if owner not in self._ring.required:
            return ""
        keys = self._ring.recipients(owner, self._now.date())
        return f"openpgp:{','.join(sorted(key.fingerprint for key in keys))}"

    def require_usable(self, owner: str) -> None:
        """Raises DeliveryHeldError if nothing may be sent to ``owner``."""
        if owner not in self._ring.required:
            return
        if owner not in self._faults:
            self._faults[owner] = find_owner_fault(owner, self._ring, self._profiles, self._now)
        fault = self._faults[owner]
        if fault is not None:
            msg = f"{owner}: {fault}. Nothing is sent to it until then"
            raise DeliveryHeldError(msg)

    @contextmanager
    def encrypt(self, owner: str, file: Path) -> Iterator[tuple[BinaryIO, str]]:
        """Gives the encrypted ``file``, ready to be read, and its SHA-256.

        Raises DeliveryHeldError if it cannot be encrypted.
        """
        policy = self._profiles.of(owner).openpgp
        recipients = [key.key for key in self._ring.recipients(owner, self._now.date())]
        signer = self._ring.signing(self._now.date()) if policy.sign else None
        with tempfile.TemporaryFile(dir=self._folder) as out:
            try:
                self._ready_home(owner).encrypt(
                    _read_pieces(file),
                    cast("BinaryIO", out),
                    recipients,
                    armor=policy.armor,
                    compress=file.suffix.lower() not in _PACKED,
                    signer=signer.fingerprint if signer else None,
                )
            except PermanentError as error:
                msg = f"{owner}: {error}"
                raise DeliveryHeldError(msg) from None
            out.seek(0)
            sha256 = hashlib.file_digest(out, "sha256").hexdigest()
            out.seek(0)
            yield cast("BinaryIO", out), sha256

    def _ready_home(self, owner: str) -> GnupgHome:
        """Returns the home with the keys to which the owner's files are encrypted."""
        today = self._now.date()
        with self._lock:
            if self._home is None:
                self._home = GnupgHome(read_passphrase())
                if (signer := self._ring.signing(today)) is not None:
                    self._home.import_key(signer.secret or signer.block)
            if owner not in self._imported:
                for key in self._ring.recipients(owner, today):
                    self._home.import_key(key.block)
                self._imported.add(owner)
            return self._home


def find_owner_fault(owner: str, ring: KeyRing, profiles: Profiles, now: datetime) -> str | None:
    """Returns why nothing may be sent to an owner whose files must be encrypted; None if it may."""
    try:
        find_gpg()
    except PermanentError as error:
        return str(error)
    grace = timedelta(days=profiles.openpgp.grace_days)
    sign = profiles.of(owner).openpgp.sign
    return ring.find_delivery_fault(owner, now, grace, sign=sign)


def find_held_owners(ring: KeyRing, profiles: Profiles, now: datetime) -> dict[str, str]:
    """Returns the owners to whom nothing may be sent, each with the reason and what to do."""
    faults = {o: find_owner_fault(o, ring, profiles, now) for o in sorted(ring.required)}
    return {owner: fault for owner, fault in faults.items() if fault is not None}


def _read_pieces(file: Path) -> Iterator[bytes]:
    with file.open("rb") as opened:
        while piece := opened.read(_PIECE):
            yield piece


@contextmanager
def open_envelopes(warehouse: Path, profiles: Profiles) -> Iterator[Envelopes]:
    """Opens the keys of a warehouse for one round of deliveries."""
    envelopes = Envelopes(read_key_ring(warehouse), profiles, warehouse, datetime.now(UTC))
    try:
        yield envelopes
    finally:
        envelopes.close()
