"""The command ``keys``: OpenPGP keys of districts, and the installation's own.

Belongs here: its arguments and what it prints. No private key and no passphrase is printed. Every
change is in the audit log.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ccgi_pipeline.cli.common import (
    EXAMPLE,
    Day,
    Sender,
    echo,
    print_table,
    today,
    warehouse_option,
)
from ccgi_pipeline.operations.audit_log import Act, recorded_act

if TYPE_CHECKING:
    from ccgi_pipeline.encryption.openpgp_keys import StoredKey

_by = click.option("--by", required=True, help="Your name.")
_reason = click.option("--reason", required=True, help="Why.")
_district = click.option(
    "--district", type=Sender(), required=True, help="The owner's CD code, or a state-wide sender."
)
_file = click.argument("file", type=click.Path(dir_okay=False, exists=True, path_type=Path))
_LARGEST = 1 << 20
"""Bytes of a file with a key."""


@click.group()
def keys() -> None:
    """Manages OpenPGP keys: districts' and the installation's own.

    From its first key on, what is sent to a district is encrypted to its keys.
    """


@keys.command("list", epilog=EXAMPLE.format("ccgi keys list"))
@warehouse_option()
@click.option("--district", type=Sender(), help="Only the keys of one owner.")
def list_(warehouse: Path, district: str | None) -> None:
    """Shows all keys, and those that end soon."""
    from ccgi_pipeline.encryption.openpgp_key_store import read_key_ring
    from ccgi_pipeline.encryption.openpgp_keys import find_key_warnings

    ring = read_key_ring(warehouse)
    shown = [key for key in ring.keys if district in {None, key.owner}]
    if not shown:
        echo("No key is kept.")
        return
    now = datetime.now(UTC)
    print_table(
        ("owner", "for", "ends", "counts", "since", "by", "fingerprint"),
        [
            (
                key.owner,
                key.use,
                _describe_end(key, now),
                _describe_state(key),
                key.added[:10],
                key.by,
                key.fingerprint,
            )
            for key in shown
        ],
    )
    for warning in find_key_warnings(ring, now):
        if warning.stored in shown:
            echo(warning.words)
    for owner in sorted(ring.required):
        if district in {None, owner} and not ring.recipients(owner, now.date()):
            echo(f"{owner}: {ring.find_delivery_fault(owner, now, timedelta(0))}")


def _describe_end(stored: StoredKey, now: datetime) -> str:
    if stored.key.primary.revoked:
        return "revoked"
    ends = stored.key.usable_until(now)
    return f"{ends:%Y-%m-%d}" if ends else "never"


def _describe_state(stored: StoredKey) -> str:
    if stored.until is None:
        return "yes"
    return f"until {stored.until}" if stored.until >= today() else "no more"


@keys.command(epilog=EXAMPLE.format("ccgi keys show 3F2A9C41D0B7E865 --public > intake.asc"))
@click.argument("fingerprint")
@warehouse_option()
@click.option("--district", type=Sender(), help="Whose key, where two have the same.")
@click.option("--public", is_flag=True, help="Print the public key itself, to be handed on.")
def show(fingerprint: str, warehouse: Path, district: str | None, *, public: bool) -> None:
    """Shows one key. FINGERPRINT: its first or last digits."""
    from ccgi_pipeline.encryption.gnupg import GnupgHome
    from ccgi_pipeline.encryption.openpgp import format_fingerprint
    from ccgi_pipeline.encryption.openpgp_key_store import open_key_store

    with open_key_store(warehouse) as store:
        found = store.find_key(fingerprint, district)
    if public:
        with GnupgHome() as home:
            home.import_key(found.block)
            echo(home.export_key(found.fingerprint, armor=True).decode(), nl=False)
        return
    echo(f"{found.owner}, for {found.use}, since {found.added} by {found.by}")
    echo(f"fingerprint: {format_fingerprint(found.fingerprint)}")
    echo(f"names: {'; '.join(found.key.names) or 'none'}")
    echo(f"counts: {_describe_state(found)}")
    print_table(
        ("part", "algorithm", "bits", "can", "made", "ends", "revoked"),
        [
            (
                part.key_id,
                _ALGORITHMS.get(part.algorithm, f"{part.algorithm}"),
                part.bits,
                part.can,
                f"{part.created:%Y-%m-%d}",
                f"{part.expires:%Y-%m-%d}" if part.expires else "never",
                "yes" if part.revoked else "no",
            )
            for part in (found.key.primary, *found.key.subkeys)
        ],
    )


_ALGORITHMS = {1: "RSA", 16: "Elgamal", 17: "DSA", 18: "ECDH", 19: "ECDSA", 22: "EdDSA"}
"""RFC 4880, section 9.1, and GnuPG's."""


@keys.command(
    epilog=EXAMPLE.format(
        'ccgi keys add palmsprings.asc --district 3367173 --fingerprint "3F2A ..." --by "A. Name"'
    )
)
@_file
@_district
@click.option("--fingerprint", help="The fingerprint that the district read out: 40 digits.")
@click.option(
    "--for",
    "use",
    type=click.Choice(["delivery", "signatures", "both"]),
    default="both",
    show_default=True,
    help="Encrypt to it, accept its signatures, or both.",
)
@_by
@click.option("--reason", default="", help="Why.")
@warehouse_option()
def add(  # noqa: PLR0913, PLR0917 - click passes one for each option
    file: Path,
    district: str,
    fingerprint: str | None,
    use: str,
    by: str,
    reason: str,
    warehouse: Path,
) -> None:
    """Adds a district's public key, after its fingerprint was confirmed.

    Files that are sent to the district are encrypted from now on. With several keys, each can open
    them.
    """
    from ccgi_pipeline.encryption.openpgp_key_store import open_key_store
    from ccgi_pipeline.encryption.openpgp_keys import KeyUse, check_public_key, require_fingerprint

    wanted = KeyUse(use)
    checked = check_public_key(_read(file), must_encrypt=wanted is not KeyUse.SIGNATURES)
    require_fingerprint(checked.key, fingerprint)
    about = {"district": district, "key": checked.key.fingerprint, "for": use}
    with (
        recorded_act(warehouse, Act.KEY_ADDED, about, by=by, reason=reason),
        open_key_store(warehouse) as store,
    ):
        store.add_key(district, checked, wanted, by=by)
    echo(f"{district}: key {checked.key.fingerprint} is kept, for {use}.")
    if wanted is not KeyUse.SIGNATURES:
        echo("What is sent to it is encrypted from now on.")


def _read(file: Path) -> bytes:
    with file.open("rb") as opened:
        content = opened.read(_LARGEST + 1)
    if len(content) > _LARGEST:
        msg = f"{file} is no file with one key: it has more than {_LARGEST:,} bytes"
        raise click.ClickException(msg)
    return content


@keys.command(epilog=EXAMPLE.format('ccgi keys update palmsprings.asc --by "A. Name"'))
@_file
@_by
@click.option("--reason", default="", help="Why.")
@warehouse_option()
def update(file: Path, by: str, reason: str, warehouse: Path) -> None:
    """Takes over a renewed state of a key that is kept: a new end, a new subkey, a revocation."""
    from ccgi_pipeline.encryption.openpgp_key_store import open_key_store
    from ccgi_pipeline.encryption.openpgp_keys import KeyUse, check_public_key, read_fingerprint

    content = _read(file)
    with open_key_store(warehouse) as store:
        kept = store.find_district_key(read_fingerprint(content))
        must_encrypt = kept.use is not KeyUse.SIGNATURES
        checked = check_public_key(content, must_encrypt=must_encrypt, former=kept.block)
        about = {"district": kept.owner, "key": kept.fingerprint}
        with recorded_act(warehouse, Act.KEY_UPDATED, about, by=by, reason=reason):
            store.replace_block(checked)
        renewed = store.find_key(kept.fingerprint, kept.owner)
    ends = _describe_end(renewed, datetime.now(UTC))
    echo(f"{kept.owner}: key {kept.fingerprint} is renewed; it ends: {ends}")


@keys.command(
    epilog=EXAMPLE.format('ccgi keys retire 3F2A9C41D0B7E865 --by "A. Name" --reason "replaced"')
)
@click.argument("fingerprint")
@click.option("--district", type=Sender(), help="Whose key, where two have the same.")
@click.option(
    "--until",
    type=Day(),
    help="The last day on which it counts [yesterday; an intake key: in 90 days].",
)
@_by
@_reason
@warehouse_option()
def retire(
    fingerprint: str,
    district: str | None,
    until: date | None,
    by: str,
    reason: str,
    warehouse: Path,
) -> None:
    """Lets a key count no longer. FINGERPRINT: its first or last digits.

    A private key of the installation stays, so that files of its time can be opened again.
    """
    from ccgi_pipeline.encryption.openpgp_key_store import open_key_store
    from ccgi_pipeline.encryption.openpgp_keys import KeyUse

    with open_key_store(warehouse) as store:
        found = store.find_key(fingerprint, district)
        days = _OVERLAP if found.use is KeyUse.INTAKE else timedelta(days=-1)
        last = until or today() + days
        about = {"owner": found.owner, "key": found.fingerprint, "until": last.isoformat()}
        with recorded_act(warehouse, Act.KEY_RETIRED, about, by=by, reason=reason):
            store.retire_key(found, last)
        ring = store.read_ring()
    echo(f"{found.owner}: key {found.fingerprint} counts until the end of {last}.")
    if found.owner in ring.required and not ring.recipients(found.owner, last + timedelta(days=1)):
        echo(
            "It is the last key of this district: after that day nothing is sent to it until "
            "another key is added (ccgi keys add)."
        )


_OVERLAP = timedelta(days=90)
"""How long senders have to change to a new intake key."""


@keys.command(epilog=EXAMPLE.format('ccgi keys create --by "A. Name"'))
@click.option(
    "--for",
    "use",
    type=click.Choice(["intake", "signing"]),
    default="intake",
    show_default=True,
    help="Open what senders encrypt, or sign what is sent.",
)
@click.option("--name", default="CCGI", show_default=True, help="The name in the key.")
@click.option("--expires", default="3y", show_default=True, help="As GnuPG takes it.")
@_by
@click.option("--reason", default="", help="Why.")
@warehouse_option()
def create(use: str, name: str, expires: str, by: str, reason: str, warehouse: Path) -> None:
    """Makes a pair of the installation's own, and prints its public key.

    The private key is kept in the warehouse's folder, protected by the passphrase in
    CCGI_OPENPGP_PASSPHRASE (or in the file that CCGI_OPENPGP_PASSPHRASE_FILE names). Two intake
    keys can be in use at once.
    """
    from ccgi_pipeline.encryption.gnupg import PASSPHRASE, read_passphrase
    from ccgi_pipeline.encryption.openpgp import format_fingerprint
    from ccgi_pipeline.encryption.openpgp_key_store import open_key_store
    from ccgi_pipeline.encryption.openpgp_keys import INSTALLATION, KeyUse, create_pair

    passphrase = read_passphrase()
    if passphrase is None:
        msg = (
            f"{PASSPHRASE} is not set: set it, or {PASSPHRASE}_FILE, to a long random passphrase "
            "(ccgi encryption new-key prints one), and keep it where your other secrets are"
        )
        raise click.ClickException(msg)
    made = create_pair(passphrase, name, bits=_BITS, expires=expires, use=KeyUse(use))
    about = {"key": made.key.fingerprint, "for": use}
    with (
        recorded_act(warehouse, Act.KEY_CREATED, about, by=by, reason=reason),
        open_key_store(warehouse) as store,
    ):
        store.add_key(INSTALLATION, made, KeyUse(use), by=by)
    echo(f"fingerprint: {format_fingerprint(made.key.fingerprint)}")
    echo(f"To hand it on: ccgi keys show {made.key.fingerprint} --public")


_BITS = 4096


@keys.command(
    "allow-plain",
    epilog=EXAMPLE.format(
        'ccgi keys allow-plain --district 3367173 --by "A. Name" --reason "agreed in writing"'
    ),
)
@_district
@_by
@_reason
@warehouse_option()
def allow_plain(district: str, by: str, reason: str, warehouse: Path) -> None:
    """Lets files go to a district unencrypted again, and retires its keys.

    Nothing else ends a district's encryption.
    """
    from ccgi_pipeline.encryption.openpgp_key_store import open_key_store, read_key_ring

    if district not in read_key_ring(warehouse).required:
        msg = f"{district}: files are sent to it unencrypted already"
        raise click.ClickException(msg)
    with (
        recorded_act(warehouse, Act.PLAIN_ALLOWED, {"district": district}, by=by, reason=reason),
        open_key_store(warehouse) as store,
    ):
        store.allow_plain(district)
    echo(f"{district}: files are sent to it unencrypted from now on.")
