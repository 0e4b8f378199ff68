"""The OpenPGP keys that the installation knows: districts' public keys, and its own pairs.

Belongs here: checking a key before it is kept, which keys count on a day, what ends soon. Does not
belong here: the file that holds the keys (``openpgp_key_store``), what makes a key usable
(``openpgp``).

A district's key is pinned by its full fingerprint, never found by a name or an address. From its
first key on, what is sent to the district is encrypted: without a usable key, nothing is sent.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum

from ccgi_pipeline.encryption.gnupg import GnupgError, GnupgHome
from ccgi_pipeline.encryption.openpgp import (
    KeyRefusedError,
    PublicKey,
    check_key_block,
    check_key_strength,
    find_recipient_fault,
    format_fingerprint,
    normalize_fingerprint,
    parse_keys,
)

INSTALLATION = "installation"
"""The owner of the installation's own keys; the others' owners are CD codes and senders."""


class KeyUse(StrEnum):
    """What a key is for.

    DELIVERY: what is sent to its owner is encrypted to it. SIGNATURES: its owner signs with it.
    BOTH: both. INTAKE and SIGNING are for the installation's pairs: senders encrypt to the first,
    and the second signs what is delivered.
    """

    DELIVERY = "delivery"
    SIGNATURES = "signatures"
    BOTH = "both"
    INTAKE = "intake"
    SIGNING = "signing"


@dataclass(frozen=True, slots=True)
class StoredKey:
    """A key that is kept. ``until``: the last day on which it counts, once it was retired.

    ``block`` is the public key as GnuPG exports it, ``listing`` what GnuPG says of it, ``secret``
    the private key, which its passphrase protects.
    """

    owner: str
    key: PublicKey
    use: KeyUse
    block: bytes
    listing: str
    secret: bytes | None
    added: str
    by: str
    until: date | None = None

    @property
    def fingerprint(self) -> str:
        """The primary key's fingerprint: 40 digits."""
        return self.key.fingerprint

    def counts(self, on: date) -> bool:
        """Returns whether it is used on a day."""
        return self.until is None or on <= self.until


@dataclass(frozen=True, slots=True)
class CheckedKey:
    """A public key that was found good: what ``StoredKey`` keeps of it."""

    key: PublicKey
    block: bytes
    listing: str
    secret: bytes | None = None


FOR_DELIVERY = frozenset({KeyUse.DELIVERY, KeyUse.BOTH})
"""Uses of a key to which files are encrypted."""
_FOR_SIGNATURES = {KeyUse.SIGNATURES, KeyUse.BOTH}


@dataclass(frozen=True, slots=True)
class KeyRing:
    """All keys at one moment. ``required``: owners whose deliveries must be encrypted."""

    keys: tuple[StoredKey, ...] = ()
    required: frozenset[str] = frozenset()

    def recipients(self, owner: str, on: date) -> list[StoredKey]:
        """Returns the keys that what is sent to ``owner`` is encrypted to."""
        return [
            key
            for key in self.keys
            if key.owner == owner and key.use in FOR_DELIVERY and key.counts(on)
        ]

    def signers(self, owner: str, on: date) -> list[StoredKey]:
        """Returns the keys with which ``owner`` may sign."""
        return [
            key
            for key in self.keys
            if key.owner == owner and key.use in _FOR_SIGNATURES and key.counts(on)
        ]

    @property
    def intake(self) -> list[StoredKey]:
        """The installation's pairs that open messages, also retired ones; the newest first."""
        own = [key for key in self.keys if key.use is KeyUse.INTAKE]
        return sorted(own, key=lambda one: one.key.primary.created, reverse=True)

    def signing(self, on: date) -> StoredKey | None:
        """Returns the newest pair that signs what is delivered, if there is one."""
        own = [key for key in self.keys if key.use is KeyUse.SIGNING and key.counts(on)]
        return max(own, key=lambda one: one.key.primary.created, default=None)

    def find_delivery_fault(
        self, owner: str, now: datetime, grace: timedelta, *, sign: bool = False
    ) -> str | None:
        """Returns why nothing may be sent to ``owner``, and what to do; None if it may."""
        recipients = self.recipients(owner, now.date())
        if not recipients:
            return (
                "has no OpenPGP key any more, and its files are sent encrypted only. Get a key "
                "from the district: ccgi keys add"
            )
        for stored in recipients:
            fault = find_recipient_fault(stored.key, now, grace)
            if fault is not None:
                return (
                    f"OpenPGP key {stored.key.primary.key_id} {fault}. Get a renewed key from the "
                    "district: ccgi keys update, or ccgi keys add and ccgi keys retire"
                )
        if not sign:
            return None
        signer = self.signing(now.date())
        if signer is None:
            return (
                "is to be sent signed files, and there is no signing key: ccgi keys create --for "
                "signing"
            )
        if signer.key.primary.revoked or signer.key.primary.ends_before(now):
            return "the signing key has ended: make another one, ccgi keys create --for signing"
        return None


# --- checking and making keys ---------------------------------------------------------------------


def check_public_key(content: bytes, *, must_encrypt: bool, former: bytes = b"") -> CheckedKey:
    """Returns the one key in a file that a district sent. Raises KeyRefusedError.

    ``former``: the state of the key that is kept, with which the file is merged.
    """
    check_key_block(content)
    with GnupgHome() as home:
        if former:
            home.import_key(former)
        try:
            home.import_key(content)
        except GnupgError as error:
            raise KeyRefusedError(str(error)) from None
        listing = home.list_keys()
        keys = parse_keys(listing)
        if len(keys) != 1:
            msg = (
                "this file does not hold the key that is to be updated, but another one: a new key "
                "is added with ccgi keys add, once the district has confirmed its fingerprint"
            )
            raise KeyRefusedError(msg)
        block = home.export_key(keys[0].fingerprint)
    check_key_strength(keys[0], block, must_encrypt=must_encrypt)
    if must_encrypt and not former:
        fault = find_recipient_fault(keys[0], datetime.now(UTC), timedelta(0))
        if fault is not None:
            msg = f"this key {fault}: have a key sent that can be used"
            raise KeyRefusedError(msg)
    return CheckedKey(keys[0], block, listing)


def read_fingerprint(content: bytes) -> str:
    """Returns the fingerprint of the one key in a file. Raises KeyRefusedError."""
    check_key_block(content)
    with GnupgHome() as home:
        try:
            home.import_key(content)
        except GnupgError as error:
            raise KeyRefusedError(str(error)) from None
        return home.read_keys()[0].fingerprint


def require_fingerprint(key: PublicKey, confirmed: str | None) -> None:
    """Raises KeyRefusedError unless the district confirmed the fingerprint of this very key."""
    told = normalize_fingerprint(confirmed or "")
    if told == key.fingerprint:
        return
    shown = format_fingerprint(key.fingerprint)
    if told:
        msg = (
            f"this is not the key whose fingerprint was confirmed: the file's key has {shown}. If "
            "the digits were read out correctly, somebody exchanged the file: do not use it"
        )
    else:
        msg = (
            f"the key in the file has the fingerprint {shown}. Call the district on a number that "
            "you know, have it read out its fingerprint (gpg --fingerprint), and give what you "
            "heard with --fingerprint"
        )
    raise KeyRefusedError(msg)


def create_pair(passphrase: str, name: str, *, bits: int, expires: str, use: KeyUse) -> CheckedKey:
    """Makes a pair of the installation's own. ``expires`` is in GnuPG's form, such as ``2y``."""
    with GnupgHome(passphrase) as home:
        made = home.create_key(name, bits=bits, expires=expires, encrypts=use is KeyUse.INTAKE)
        return CheckedKey(
            made,
            home.export_key(made.fingerprint),
            home.list_keys(),
            home.export_secret_key(made.fingerprint),
        )


# --- what ends soon -------------------------------------------------------------------------------

WARNED_DAYS = (60, 30, 14, 7, 1)
"""Days before a key's end on which an operator is told."""


@dataclass(frozen=True, slots=True)
class KeyWarning:
    """A key that ends soon. ``days``: the number of ``WARNED_DAYS`` that has begun; 0: it ended."""

    stored: StoredKey
    days: int
    words: str


def find_key_warnings(ring: KeyRing, now: datetime) -> list[KeyWarning]:
    """Returns the keys in use of which a part ends within ``WARNED_DAYS``, or has ended."""
    return [
        warning
        for stored in ring.keys
        if stored.counts(now.date())
        if (warning := _warn_of(stored, now)) is not None
    ]


def _warn_of(stored: StoredKey, now: datetime) -> KeyWarning | None:
    key = stored.key
    whose = "the installation" if stored.owner == INSTALLATION else stored.owner
    name = f"OpenPGP key {key.primary.key_id} of {whose} ({stored.use})"
    if key.primary.revoked:
        return KeyWarning(stored, 0, f"{name} is revoked")
    encrypts = stored.use in {*FOR_DELIVERY, KeyUse.INTAKE}
    ends = key.usable_until(now) if encrypts and key.encryption_parts else key.primary.expires
    live = [p for p in key.encryption_parts if not p.revoked and not p.ends_before(now)]
    if key.primary.ends_before(now) or (encrypts and not live):
        return KeyWarning(stored, 0, f"{name} has ended")
    if ends is None:
        return None
    left = (ends - now).days
    begun = [days for days in WARNED_DAYS if left < days]
    if not begun:
        return None
    return KeyWarning(stored, min(begun), f"{name} ends on {ends:%Y-%m-%d}, in {left} days")
