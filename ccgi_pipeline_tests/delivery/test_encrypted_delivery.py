"""Encrypted deliveries over a real SFTP server, read by the district's own GnuPG.

Belongs here: what a district finds, what is not sent again, and what is sent to nobody. Does not
belong here: keys (encryption), whole nights (nightly/test_an_encrypted_exchange).
"""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import polars as pl
import pytest
from click.testing import CliRunner

from ccgi_pipeline.cli import main
from ccgi_pipeline.common.failpoints import observe_failpoints
from ccgi_pipeline.common.spreadsheet_files import open_spreadsheet
from ccgi_pipeline.delivery.ledger import (
    ARRIVED,
    FileKind,
    MadeFile,
    open_ledger,
)
from ccgi_pipeline.delivery.upload import DeliveryOutcome
from ccgi_pipeline.encryption.gnupg import PASSPHRASE
from ccgi_pipeline.encryption.openpgp_key_store import open_key_store
from ccgi_pipeline.encryption.openpgp_keys import INSTALLATION, KeyUse, check_public_key
from ccgi_pipeline.nightly.deliver import deliver_outbox
from ccgi_pipeline.nightly.paths import PipelinePaths
from ccgi_pipeline_tests.delivery.exchange import use_server
from ccgi_pipeline_tests.gnupg_peer import GnupgPeer, gnupg_peer
from ccgi_pipeline_tests.nightly.nights import ON, bytes_below, folders_in
from ccgi_pipeline_tests.openpgp import SECRET, pair, pin_key, retire
from ccgi_pipeline_tests.sftp.openssh import OpenSsh

SEALED, OPEN = "3367173", "0161192"
NAMES = {SEALED: "PalmSpringsUnified", OPEN: "HaywardUnified"}
CURVES = ("ed25519", "cv25519")


class Site:
    """An outbox with a report of two districts, and the server that they fetch from."""

    def __init__(
        self, folders: PipelinePaths, server: OpenSsh, below: str, peer: GnupgPeer
    ) -> None:
        self.folders, self.server, self.below, self.peer = folders, server, below, peer
        use_server(folders, server, below)

    def make(
        self,
        content: bytes = b"SSID,Name\r\n1,Canary7531\r\n",
        on: date = ON,
        suffix: str = ".csv",
    ) -> None:
        made = []
        for cd, name in NAMES.items():
            path = f"{name}/daily reporting/{name}_{on:%Y%m%d}_Agg{suffix}"
            file = self.folders.outbox / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
            sha256 = hashlib.sha256(content).hexdigest()
            made.append(
                MadeFile(
                    path=path, sha256=sha256, owner=cd, kind=FileKind.REPORT, name="a", part="Agg",
                    night=on, snapshot=1, settings="",
                )
            )  # fmt: skip
        with open_ledger(self.folders.warehouse) as ledger:
            ledger.record_made(made)

    def deliver(self, on: date = ON) -> DeliveryOutcome:
        (outcome,) = deliver_outbox(self.folders, on)
        return outcome

    def found(self, cd: str) -> dict[str, bytes]:
        """What lies in a district's folder, by name."""
        below = bytes_below(self.server.files / self.below / "reports" / NAMES[cd])
        return {Path(path).name: content for path, content in below.items()}

    def pin(self, fingerprint: str) -> None:
        pin_key(self.folders.warehouse, SEALED, self.peer, fingerprint)

    @property
    def warehouse(self) -> Path:
        return self.folders.warehouse


@pytest.fixture(scope="module")
def peer() -> Iterator[GnupgPeer]:
    with gnupg_peer() as made:
        yield made


@pytest.fixture(scope="module")
def first(peer: GnupgPeer) -> str:
    return peer.make_key("First", CURVES)


@pytest.fixture(scope="module")
def second(peer: GnupgPeer) -> str:
    return peer.make_key("Second", CURVES)


@pytest.fixture
def site(tmp_path: Path, sshd: OpenSsh, peer: GnupgPeer, request: pytest.FixtureRequest) -> Site:
    made = Site(folders_in(tmp_path), sshd, f"pgp/{request.node.name}", peer)
    made.make()
    return made


def test_a_district_with_a_key_finds_encrypted_files_and_others_plain_ones(site: Site, first: str):
    site.pin(first)
    outcome = site.deliver()
    assert (outcome.arrived, outcome.waiting, outcome.why) == (2, 0, [])
    ((name, message),) = site.found(SEALED).items()
    ((plain_name, plain),) = site.found(OPEN).items()
    assert (name, plain_name) == (
        f"PalmSpringsUnified_{ON:%Y%m%d}_Agg.csv.pgp",
        f"HaywardUnified_{ON:%Y%m%d}_Agg.csv",
    )
    assert site.peer.decrypt(message) == plain
    assert b"Canary" not in message
    with open_ledger(site.warehouse) as ledger:
        (delivery,) = ledger.find_deliveries(owner=SEALED)
    words = ["deliveries", "show", delivery.id, "--warehouse", str(site.warehouse)]
    shown = CliRunner().invoke(main, words).output
    assert f"encrypted to {first}" in shown
    assert hashlib.sha256(message).hexdigest() in shown
    assert not message.startswith(b"-----BEGIN")


def test_an_unchanged_file_is_not_sent_again_though_encryption_always_differs(
    site: Site, first: str
):
    site.pin(first)
    site.deliver()
    before = site.found(SEALED)
    again = site.deliver()
    assert (again.arrived, again.waiting) == (0, 0)
    assert site.found(SEALED) == before
    site.make(b"SSID,Name\r\n1,Another\r\n")
    assert site.deliver().arrived == 2
    ((_, message),) = site.found(SEALED).items()
    assert site.peer.decrypt(message) == b"SSID,Name\r\n1,Another\r\n"


def test_a_spreadsheet_is_encrypted_as_the_report_beside_it(
    site: Site, first: str, tmp_path: Path
) -> None:
    content = io.BytesIO()
    with open_spreadsheet(content, "Goals", ["SSID"], tmp_path) as sheet:
        sheet.write(pl.DataFrame({"SSID": ["0123456789"]}))
    site.make(content.getvalue(), suffix=".xlsx")
    site.pin(first)
    assert site.deliver().arrived == 4
    message = site.found(SEALED)[f"PalmSpringsUnified_{ON:%Y%m%d}_Agg.xlsx.pgp"]
    assert site.peer.decrypt(message) == content.getvalue()
    assert site.found(OPEN)[f"HaywardUnified_{ON:%Y%m%d}_Agg.xlsx"] == content.getvalue()


def test_armor_and_several_keys(site: Site, first: str, second: str):
    settings = site.warehouse / "profiles.toml"
    settings.write_text(settings.read_text() + f"[districts.{SEALED}.openpgp]\narmor = true\n")
    site.pin(first)
    site.pin(second)
    site.deliver()
    ((name, message),) = site.found(SEALED).items()
    assert name.endswith(".csv.pgp")
    assert message.startswith(b"-----BEGIN PGP MESSAGE")
    _, status = site.peer.decrypt_with_status(message)
    assert status.count("ENC_TO") == 2


def test_files_are_signed_where_that_is_agreed_and_never_left_unsigned_there(
    site: Site, first: str
):
    settings = site.warehouse / "profiles.toml"
    settings.write_text(settings.read_text() + f"[districts.{SEALED}.openpgp]\nsign = true\n")
    site.pin(first)
    outcome = site.deliver()
    assert site.found(SEALED) == {}
    assert "there is no signing key" in outcome.why[0]
    os.environ[PASSPHRASE] = SECRET
    signing = pair(3, KeyUse.SIGNING)
    with open_key_store(site.warehouse) as store:
        store.add_key(INSTALLATION, signing, KeyUse.SIGNING, by="a test")
    assert site.deliver().waiting == 0
    site.peer.run("--import", given=signing.block)
    ((_, message),) = site.found(SEALED).items()
    content, status = site.peer.decrypt_with_status(message)
    assert content == b"SSID,Name\r\n1,Canary7531\r\n"
    assert f"VALIDSIG {signing.key.fingerprint}" in status


def test_after_a_change_of_keys_only_the_new_one_opens(site: Site, first: str, second: str):
    site.pin(first)
    site.deliver()
    site.pin(second)
    retire(site.warehouse, SEALED, first, "2026-01-01")
    later = date(2026, 11, 23)
    site.make(on=later)
    site.deliver(later)
    assert len(site.found(SEALED)) == 2
    message = site.found(SEALED)[f"PalmSpringsUnified_{later:%Y%m%d}_Agg.csv.pgp"]
    _, status = site.peer.decrypt_with_status(message)
    assert status.count("ENC_TO") == 1
    assert "DECRYPTION_KEY" in status
    assert second in status
    assert first not in status


@pytest.mark.parametrize("fault", ["expired", "subkey expired", "revoked", "retired", "no gpg"])
def test_a_key_that_cannot_be_used_stops_its_district_and_nobody_else(
    site: Site, peer: GnupgPeer, fault: str, monkeypatch: pytest.MonkeyPatch
):
    key = peer.make_key(f"Ending {fault}", CURVES)
    site.pin(key)
    if fault == "revoked":
        peer.revoke(key)
    elif fault.endswith("expired"):
        _let_expire(peer, key, subkey_only=fault.startswith("subkey"))
    if fault == "retired":
        retire(site.warehouse, SEALED, key, "2026-01-01")
    elif fault == "no gpg":
        monkeypatch.setenv("PATH", "/nowhere")
    else:
        _renew(site.warehouse, peer, key)
    outcome = site.deliver()
    assert site.found(SEALED) == {}
    assert len(site.found(OPEN)) == 1
    assert (outcome.arrived, outcome.waiting, outcome.permanent) == (1, 1, True)
    (why,) = outcome.why
    assert why.startswith(f"{SEALED}: ")
    assert "ccgi keys" in why or "apt-get install gnupg" in why


def _let_expire(peer: GnupgPeer, key: str, *, subkey_only: bool) -> None:
    """Lets a key end a second after now."""
    if subkey_only:
        peer.run("--quick-set-expire", key, "seconds=1", "*")
    else:
        peer.run("--quick-set-expire", key, "seconds=1")


def _renew(warehouse: Path, peer: GnupgPeer, key: str) -> None:
    """Takes the key over as it is now, without asking whether it can be used."""
    with open_key_store(warehouse) as store:
        kept = store.find_key(key)
        store.replace_block(
            check_public_key(peer.export(key), must_encrypt=True, former=kept.block)
        )


def test_what_waited_is_sent_once_the_key_is_renewed(site: Site, first: str, second: str):
    site.pin(first)
    retire(site.warehouse, SEALED, first, "2026-01-01")
    assert site.deliver().waiting == 1
    site.pin(second)
    outcome = site.deliver(date(2026, 11, 23))
    assert (outcome.arrived, outcome.waiting, outcome.why) == (1, 0, [])
    ((_, message),) = site.found(SEALED).items()
    assert site.peer.decrypt(message) == site.found(OPEN)[f"HaywardUnified_{ON:%Y%m%d}_Agg.csv"]


@pytest.mark.parametrize(
    "milestone", ["delivery: prepared", "delivery: uploaded", "delivery: uploaded noted",
                  "delivery: verified noted", "delivery: renamed"]
)  # fmt: skip
def test_an_interrupted_delivery_goes_on_from_any_step(site: Site, first: str, milestone: str):
    site.pin(first)
    with pytest.raises(_KilledError), observe_failpoints(_kill_at(milestone)):
        site.deliver()
    outcome = site.deliver()
    assert outcome.waiting == 0
    ((name, message),) = site.found(SEALED).items()
    assert name.endswith(".csv.pgp")
    assert site.peer.decrypt(message) == b"SSID,Name\r\n1,Canary7531\r\n"
    before = site.found(SEALED)
    assert site.deliver().arrived == 0
    assert site.found(SEALED) == before


class _KilledError(BaseException):
    """As if the process had ended here."""


def _kill_at(milestone: str):  # noqa: ANN202
    def killer(name: str, side: str) -> None:
        if (name, side) == (milestone, "after"):
            raise _KilledError

    return killer


@pytest.mark.parametrize("milestone", ["delivery: prepared", "delivery: verified noted"])
def test_a_plain_file_that_waits_is_encrypted_once_a_key_is_pinned(
    site: Site, first: str, milestone: str
):
    with pytest.raises(_KilledError), observe_failpoints(_kill_at(milestone)):
        site.deliver()
    site.pin(first)
    site.deliver()
    ((name, message),) = site.found(SEALED).items()
    assert name.endswith(".csv.pgp")
    assert site.peer.decrypt(message) == b"SSID,Name\r\n1,Canary7531\r\n"


def test_a_damaged_upload_is_noticed_by_the_hash_of_what_was_encrypted(site: Site, first: str):
    site.pin(first)

    def spoil(name: str, side: str) -> None:
        if (name, side) == ("delivery: uploaded", "after"):
            for part in (site.server.files / site.below / "reports").rglob("*.part"):
                part.write_bytes(part.read_bytes()[:-1])
                spoiled.append(part)

    spoiled: list[Path] = []
    with observe_failpoints(lambda n, s: None if spoiled else spoil(n, s)):
        site.deliver()
    assert spoiled
    site.deliver()
    ((_, message),) = site.found(SEALED).items()
    assert site.peer.decrypt(message) == b"SSID,Name\r\n1,Canary7531\r\n"


def test_only_an_explicit_act_leads_back_to_plain_files(site: Site, first: str):
    site.pin(first)
    site.deliver()
    retire(site.warehouse, SEALED, first, "2026-01-01")
    later = date(2026, 11, 23)
    site.make(on=later)
    assert site.deliver(later).waiting == 1
    with open_key_store(site.warehouse) as store:
        store.allow_plain(SEALED)
    assert site.deliver(later).waiting == 0
    assert f"PalmSpringsUnified_{later:%Y%m%d}_Agg.csv" in site.found(SEALED)


def test_a_ledger_of_an_older_version_is_taken_over(site: Site, first: str):
    site.deliver()
    with open_ledger(site.warehouse) as ledger:
        for column in ("recipients", "cipher"):
            ledger.database.execute(f"ALTER TABLE deliveries DROP COLUMN {column}")
    site.pin(first)
    assert site.deliver().arrived == 1  # the encrypted form of what was sent plain
    with open_ledger(site.warehouse) as ledger:
        assert len(ledger.find_deliveries(states=ARRIVED)) == 3
