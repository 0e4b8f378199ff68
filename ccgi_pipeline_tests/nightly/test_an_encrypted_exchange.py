"""Nights over a real SFTP server with encrypted files both ways, seen from the districts' side.

Belongs here: what districts with their own GnuPG send and find over several nights, among them a
change of keys on both sides and a key that ends. Does not belong here: single steps of a delivery
(delivery/test_encrypted_delivery), single drops (test_encrypted_drops).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from ccgi_pipeline.cli import main
from ccgi_pipeline.feeds.transcript import STUDENT
from ccgi_pipeline.monitoring.health import OrchestratorState, collect_facts, find_alerts
from ccgi_pipeline.nightly.paths import PipelinePaths
from ccgi_pipeline.profiles import HeartbeatSettings, read_profiles
from ccgi_pipeline.warehouse.storage.connection import open_warehouse
from ccgi_pipeline_tests.delivery.exchange import run_exchange, use_server
from ccgi_pipeline_tests.gnupg_peer import GnupgPeer, gnupg_peer
from ccgi_pipeline_tests.nightly.inboxes import (
    BERKELEY,
    BERKELEY_HIGH,
    HAYWARD,
    HAYWARD_HIGH,
    PALM_SPRINGS,
    PALM_SPRINGS_HIGH,
    numbered,
    roster_file,
    students,
)
from ccgi_pipeline_tests.nightly.nights import ON, bytes_below, folders_in
from ccgi_pipeline_tests.openpgp import keep_intake_key, pair
from ccgi_pipeline_tests.sftp.openssh import OpenSsh, openssh

pytestmark = pytest.mark.slow

BELOW = "exchange"
NAMES = {
    HAYWARD: "HaywardUnified",
    PALM_SPRINGS: "PalmSpringsUnified",
    BERKELEY: "BerkeleyUnified",
}
SCHOOLS = {HAYWARD: HAYWARD_HIGH, PALM_SPRINGS: PALM_SPRINGS_HIGH, BERKELEY: BERKELEY_HIGH}
ROSTERS = {
    cd: roster_file(students(numbered(1_000 * place, 5), school))
    for place, (cd, school) in enumerate(SCHOOLS.items(), start=1)
}
CURVES = ("ed25519", "cv25519")


@dataclass
class Exchange:
    """Three districts, of which Berkeley uses no encryption, and the nights' folders."""

    folders: PipelinePaths
    server: OpenSsh
    peers: Mapping[str, GnupgPeer]

    def send(self, cd: str, name: str, content: bytes) -> None:
        file = self.server.files / BELOW / "uploads" / cd / "transcript" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)

    def found(self, cd: str) -> dict[str, bytes]:
        """What lies in a district's folder, by path."""
        return bytes_below(self.server.files / BELOW / "reports" / NAMES[cd])

    def outbox(self, cd: str, on: date) -> dict[str, bytes]:
        """What a night made for a district, by path."""
        made = bytes_below(self.folders.outbox / NAMES[cd])
        return {path: content for path, content in made.items() if f"{on:%Y%m%d}" in path}

    def opened(self, cd: str, on: date) -> dict[str, bytes]:
        """What the district has when it has decrypted its files of a night."""
        return {
            path.removesuffix(".pgp"): self.peers[cd].decrypt(content)
            for path, content in self.found(cd).items()
            if f"{on:%Y%m%d}" in path
        }

    def keys(self, *arguments: str) -> str:
        """``ccgi keys`` as an operator types it."""
        command = ["keys", *arguments, "--warehouse", str(self.folders.warehouse)]
        done = CliRunner().invoke(main, command)
        assert done.exit_code == 0, done.output
        return done.output

    def add_key(self, cd: str, fingerprint: str, tmp: Path) -> None:
        tmp.write_bytes(self.peers[cd].export(fingerprint))
        self.keys(
            *("add", str(tmp), "--district", cd, "--fingerprint", fingerprint, "--by", "A. Name")
        )

    def students_of(self, cd: str) -> list[tuple[object, ...]]:
        columns = ", ".join(f'"{name}"' for name in STUDENT.columns)
        with open_warehouse(self.folders.warehouse, read_only=True) as connection:
            return connection.execute(
                f"SELECT {columns} FROM transcript_student "  # noqa: S608
                "WHERE PrimaryCDSCode = ? ORDER BY ALL",
                [SCHOOLS[cd]],
            ).fetchall()


@pytest.fixture(scope="module")
def exchange(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exchange]:
    folders = folders_in(tmp_path_factory.mktemp("exchange"))
    with openssh() as server, gnupg_peer() as hayward, gnupg_peer() as palm_springs:
        use_server(folders, server, BELOW)
        keep_intake_key(folders.warehouse)
        for peer in (hayward, palm_springs):
            peer.run("--import", given=pair().block)
        yield Exchange(folders, server, {HAYWARD: hayward, PALM_SPRINGS: palm_springs})


def test_nights_of_encrypted_files_both_ways(exchange: Exchange, tmp_path: Path):
    hayward, palm_springs = exchange.peers[HAYWARD], exchange.peers[PALM_SPRINGS]
    first = hayward.make_key("Hayward", CURVES)
    ending = palm_springs.make_key("Palm Springs", CURVES)
    for cd, key in ((HAYWARD, first), (PALM_SPRINGS, ending)):
        exchange.add_key(cd, key, tmp_path / "key.asc")

    # The first night: two send encrypted files, one sends in clear.
    to = [pair().key.fingerprint]
    name = "StudentTemplate_20261120.csv"
    exchange.send(HAYWARD, f"{name}.pgp", hayward.encrypt(ROSTERS[HAYWARD], to))
    exchange.send(
        PALM_SPRINGS, f"{name}.asc", palm_springs.encrypt(ROSTERS[PALM_SPRINGS], to, "--armor")
    )
    exchange.send(BERKELEY, name, ROSTERS[BERKELEY])
    (outcome,) = run_exchange(exchange.folders)
    assert (outcome.waiting, outcome.why) == (0, [])
    for cd in NAMES:
        assert len(exchange.students_of(cd)) == 5
    assert exchange.found(BERKELEY) == exchange.outbox(BERKELEY, ON)
    for cd in (HAYWARD, PALM_SPRINGS):
        made = exchange.outbox(cd, ON)
        assert exchange.opened(cd, ON) == made  # byte for byte
        assert {*exchange.found(cd)} == {f"{path}.pgp" for path in made}
        assert any("_receipts" in path for path in made)
        assert any("reporting" in path for path in made)

    # Nothing new: nothing is sent again, though encryption never gives the same bytes.
    before = {cd: exchange.found(cd) for cd in NAMES}
    (outcome,) = run_exchange(exchange.folders)
    assert outcome.arrived == 0
    assert {cd: exchange.found(cd) for cd in NAMES} == before

    # The second night: both sides have changed keys; the key of one district has ended.
    second, on = hayward.make_key("Hayward, new", CURVES), ON + timedelta(days=1)
    exchange.add_key(HAYWARD, second, tmp_path / "key.asc")
    exchange.keys("retire", first, "--by", "A. Name", "--reason", "replaced")
    keep_intake_key(exchange.folders.warehouse, 2)
    hayward.run("--import", given=pair(2).block)
    palm_springs.revoke(ending)
    revoked = tmp_path / "revoked.asc"
    revoked.write_bytes(palm_springs.export(ending))
    exchange.keys("update", str(revoked), "--by", "A. Name")
    new = "StudentTemplate_20261121.csv.pgp"
    exchange.send(
        HAYWARD, new, hayward.encrypt(ROSTERS[HAYWARD], [pair(2).key.fingerprint], "--sign")
    )
    exchange.send(PALM_SPRINGS, new, palm_springs.encrypt(ROSTERS[PALM_SPRINGS], to))
    (outcome,) = run_exchange(exchange.folders, on)
    assert exchange.opened(HAYWARD, on) == exchange.outbox(HAYWARD, on)
    sample = next(c for p, c in exchange.found(HAYWARD).items() if f"{on:%Y%m%d}" in p)
    _, status = hayward.decrypt_with_status(sample)
    assert second in status
    assert first not in status
    receipts = b"".join(
        content for path, content in exchange.opened(HAYWARD, on).items() if "_receipts" in path
    )
    assert b"FILE-PGP-OPENED" in receipts
    assert exchange.found(BERKELEY).keys() >= exchange.outbox(BERKELEY, on).keys()
    assert not [path for path in exchange.found(PALM_SPRINGS) if f"{on:%Y%m%d}" in path]
    assert outcome.permanent
    assert outcome.waiting == len(exchange.outbox(PALM_SPRINGS, on))
    (why,) = outcome.why
    assert why.startswith(f"{PALM_SPRINGS}: OpenPGP key {ending[-16:]} was revoked")
    _assert_told(exchange)

    _send_what_waited(exchange, ending, tmp_path)


def _send_what_waited(exchange: Exchange, ending: str, tmp_path: Path) -> None:
    """The third night: the district has sent another key, and gets what waited."""
    renewed = exchange.peers[PALM_SPRINGS].make_key("Palm Springs, new", CURVES)
    on = ON + timedelta(days=2)
    exchange.add_key(PALM_SPRINGS, renewed, tmp_path / "key.asc")
    exchange.keys("retire", ending, "--by", "A. Name", "--reason", "revoked")
    (outcome,) = run_exchange(exchange.folders, on)
    assert (outcome.waiting, outcome.why) == (0, [])
    for day in (ON + timedelta(days=1), on):
        assert exchange.opened(PALM_SPRINGS, day) == exchange.outbox(PALM_SPRINGS, day)


def _assert_told(exchange: Exchange) -> None:
    """The operator learns from the status and from a notice to whom nothing is sent, and why."""
    warehouse = exchange.folders.warehouse
    done = CliRunner().invoke(main, ["status", "--warehouse", str(warehouse), "--date", str(ON)])
    assert done.exit_code == 1
    assert f"{PALM_SPRINGS}: OpenPGP key" in done.output
    assert f"{HAYWARD}: OpenPGP key" not in done.output
    facts = collect_facts(
        exchange.folders,
        read_profiles(warehouse),
        OrchestratorState(),
        channels=(),
        now=datetime.now(UTC),
    )
    alerts = [a for a in find_alerts(facts, HeartbeatSettings()) if a.page == "openpgp_keys"]
    held = [alert for alert in alerts if alert.subject == f"{PALM_SPRINGS} held"]
    assert len(held) == 1
    assert "revoked" in held[0].words
    assert not [alert for alert in alerts if HAYWARD in alert.subject]
