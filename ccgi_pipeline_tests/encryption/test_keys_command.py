"""``ccgi keys``, as an operator types it: what it takes, refuses, and puts into the audit log."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from ccgi_pipeline.cli import main
from ccgi_pipeline.encryption.openpgp import format_fingerprint
from ccgi_pipeline.encryption.openpgp_key_store import read_key_ring
from ccgi_pipeline.operations.audit_log import read_entries
from ccgi_pipeline_tests.gnupg_peer import GnupgPeer, gnupg_peer
from ccgi_pipeline_tests.openpgp import SECRET

CD, OTHER = "3367173", "0161192"


@pytest.fixture(scope="module")
def peer() -> Iterator[GnupgPeer]:
    with gnupg_peer() as made:
        yield made


@pytest.fixture(scope="module")
def key(peer: GnupgPeer) -> str:
    return peer.make_key("Data Lead", ("ed25519", "cv25519"), expires="1y")


class Operator:
    """Types commands over one warehouse."""

    def __init__(self, warehouse: Path, peer: GnupgPeer) -> None:
        self.warehouse, self.peer = warehouse, peer
        warehouse.mkdir()
        (warehouse / "profiles.toml").touch()

    def types(self, *words: str, fails: bool = False) -> str:
        done = CliRunner().invoke(main, ["keys", *words, "--warehouse", str(self.warehouse)])
        assert (done.exit_code != 0) == fails, done.output
        return done.output

    def file(self, fingerprint: str) -> str:
        path = self.warehouse.parent / f"{fingerprint}.asc"
        path.write_bytes(self.peer.export(fingerprint))
        return str(path)

    def adds(self, fingerprint: str, cd: str = CD, *words: str) -> str:
        told = format_fingerprint(fingerprint)
        who = ("--district", cd, "--fingerprint", told, "--by", "A. Name")
        return self.types("add", self.file(fingerprint), *who, *words)


@pytest.fixture
def operator(tmp_path: Path, peer: GnupgPeer) -> Operator:
    return Operator(tmp_path / "warehouse", peer)


def test_a_key_is_added_once_its_fingerprint_was_confirmed(operator: Operator, key: str):
    assert "No key is kept." in operator.types("list")
    who = ("--district", CD, "--by", "A. Name")
    said = operator.types("add", operator.file(key), *who, fails=True)
    assert format_fingerprint(key) in said
    said = operator.types("add", operator.file(key), *who, "--fingerprint", "0" * 40, fails=True)
    assert "somebody exchanged the file" in said
    assert read_entries(operator.warehouse) == []
    assert "encrypted from now on" in operator.adds(key)
    listed = operator.types("list")
    assert key in listed
    assert "Data Lead" not in listed  # a person's name is shown on request only
    shown = operator.types("show", key[-16:])
    assert "Data Lead" in shown
    assert format_fingerprint(key) in shown
    public = operator.types("show", key, "--public")
    assert public.startswith("-----BEGIN PGP PUBLIC KEY BLOCK")
    assert "PRIVATE" not in public


def test_a_signing_key_alone_does_not_encrypt(operator: Operator, peer: GnupgPeer):
    signs = peer.make_key("Signs", ("ed25519",))
    words = ("--district", CD, "--fingerprint", signs, "--by", "A. Name")
    said = operator.types("add", operator.file(signs), *words, fails=True)
    assert "no encryption subkey" in said
    assert "encrypted from now on" not in operator.adds(signs, CD, "--for", "signatures")
    assert read_key_ring(operator.warehouse).required == frozenset()


def test_a_key_of_two_districts_is_renewed_for_both_and_retired_for_one(
    operator: Operator, peer: GnupgPeer
):
    shared = peer.make_key("Consortium", ("ed25519", "cv25519"), expires="1y")
    operator.adds(shared, CD)
    operator.adds(shared, OTHER)
    before = {k.owner: k.key.primary.expires for k in read_key_ring(operator.warehouse).keys}
    peer.run("--quick-set-expire", shared, "3y")
    operator.types("update", operator.file(shared), "--by", "A. Name")
    after = {k.owner: k.key.primary.expires for k in read_key_ring(operator.warehouse).keys}
    assert all(after[cd] != before[cd] for cd in (CD, OTHER))
    words = ("retire", shared, "--by", "A. Name", "--reason", "left")
    assert "2 keys" in operator.types(*words, fails=True)
    assert "last key of this district" in operator.types(*words, "--district", CD)
    ring = read_key_ring(operator.warehouse)
    assert [bool(ring.recipients(cd, date.today())) for cd in (CD, OTHER)] == [False, True]  # noqa: DTZ011


def test_an_unknown_key_is_not_taken_as_an_update(operator: Operator, peer: GnupgPeer, key: str):
    operator.adds(key)
    stranger = peer.make_key("Stranger", ("ed25519", "cv25519"))
    said = operator.types("update", operator.file(stranger), "--by", "A. Name", fails=True)
    assert "ccgi keys add" in said
    assert [k.fingerprint for k in read_key_ring(operator.warehouse).keys] == [key]


def test_an_intake_key_is_made_and_replaced(operator: Operator, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("CCGI_OPENPGP_PASSPHRASE", raising=False)
    assert "ccgi encryption new-key" in operator.types("create", "--by", "A. Name", fails=True)
    monkeypatch.setenv("CCGI_OPENPGP_PASSPHRASE", SECRET)
    said = operator.types("create", "--by", "A. Name")
    (made,) = read_key_ring(operator.warehouse).intake
    assert format_fingerprint(made.fingerprint) in said
    assert [(p.algorithm, p.bits, p.can) for p in (made.key.primary, *made.key.subkeys)] == [
        (1, 4096, "sc"),
        (1, 4096, "e"),
    ]
    kept = (operator.warehouse / "openpgp.sqlite").read_bytes()
    assert SECRET.encode() not in kept
    operator.types("retire", made.fingerprint, "--by", "A. Name", "--reason", "replaced")
    (retired,) = read_key_ring(operator.warehouse).intake
    assert retired.secret  # still there, for files of its time
    assert retired.until is not None
    assert retired.until - date.today() > timedelta(days=80)  # noqa: DTZ011


def test_each_act_is_in_the_audit_log_with_name_and_reason(operator: Operator, key: str):
    operator.adds(key)
    operator.types("update", operator.file(key), "--by", "B. Name", "--reason", "yearly")
    operator.types("retire", key, "--by", "C. Name", "--reason", "left")
    plain = ("allow-plain", "--district", CD, "--by", "D. Name", "--reason", "agreed in writing")
    assert "unencrypted from now on" in operator.types(*plain)
    assert "unencrypted already" in operator.types(*plain, fails=True)
    for command in ("allow-plain", "retire"):
        missing = [command, *([key] if command == "retire" else ["--district", CD])]
        operator.types(*missing, "--by", "A. Name", fails=True)  # no reason
        operator.types(*missing, "--reason", "why", fails=True)  # no name
    assert [(entry.act, entry.who, entry.reason) for entry in read_entries(operator.warehouse)] == [
        ("OpenPGP key added", "A. Name", ""),
        ("OpenPGP key renewed", "B. Name", "yearly"),
        ("OpenPGP key retired", "C. Name", "left"),
        ("unencrypted delivery allowed", "D. Name", "agreed in writing"),
    ]
    assert read_entries(operator.warehouse)[0].about["key"] == key


def test_a_file_that_is_too_large_for_a_key_is_not_read(operator: Operator, tmp_path: Path):
    large = tmp_path / "large.asc"
    large.write_bytes(bytes(2_000_000))
    words = ("--district", CD, "--by", "A. Name")
    assert "no file with one key" in operator.types("add", str(large), *words, fails=True)
