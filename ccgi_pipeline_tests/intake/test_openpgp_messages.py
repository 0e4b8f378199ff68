"""Encrypted files are opened before all else; each that cannot be opened is refused by a rule."""

from __future__ import annotations

import io
import os
import shutil
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property
from pathlib import Path

import pytest

from ccgi_pipeline.encryption import keys as encryption_keys
from ccgi_pipeline.encryption.openpgp import BEGINNING
from ccgi_pipeline.encryption.openpgp_key_store import read_key_ring
from ccgi_pipeline.encryption.openpgp_keys import KeyUse
from ccgi_pipeline.feeds.file_rules import FILE_RULES
from ccgi_pipeline.intake import openpgp_messages
from ccgi_pipeline.intake.archive import Archive
from ccgi_pipeline.intake.file_names import is_unfinished, strip_openpgp_ending
from ccgi_pipeline.intake.inbox import InboxFile
from ccgi_pipeline.intake.openpgp_messages import MessageOpener, OpenedFile, SentFile
from ccgi_pipeline.intake.received_files import open_received_files
from ccgi_pipeline.profiles import Profiles
from ccgi_pipeline_tests.encryption import forged_messages
from ccgi_pipeline_tests.gnupg_peer import GnupgPeer, gnupg_peer
from ccgi_pipeline_tests.openpgp import SECRET, keep_intake_key, pair, pin_key, retire

CD, OTHER = "3367173", "0161192"
ON = date(2026, 11, 22)
CONTENT = b"StudentID,Name\r\n1,Canary7531\r\n" * 100
SEEN: set[str] = set()
"""The rules that spoke in this module."""


@dataclass
class Site:
    """A warehouse with an intake key, and a district with its own."""

    warehouse: Path
    peer: GnupgPeer
    profiles: Profiles = field(default_factory=Profiles)

    @cached_property
    def intake(self) -> str:
        fingerprint = keep_intake_key(self.warehouse).key.fingerprint
        self.peer.run("--import", given=pair().block)
        return fingerprint

    @cached_property
    def district(self) -> str:
        return next(f for f in self.peer.fingerprints() if f != self.intake)

    def policy(self, **settings: str) -> None:
        self.profiles = Profiles.model_validate({"districts": {CD: {"openpgp": settings}}})

    def encrypt(self, content: bytes = CONTENT, *options: str) -> bytes:
        return self.peer.encrypt(content, [self.intake], *options)

    def open(
        self, content: bytes, name: str = "users.csv.pgp", on: date | None = ON
    ) -> OpenedFile | None:
        archive = Archive.of(self.warehouse)
        sent = self.warehouse.parent / "sent"
        sent.write_bytes(content)
        sha256 = archive.store(sent)
        sent.unlink()
        before = {*self.warehouse.rglob("*")}
        with open_received_files(archive, self.profiles, on) as received:
            opened = received.open(InboxFile(f"{CD}/oneroster/{name}", CD, "oneroster", ""), sha256)
            assert {*self.warehouse.rglob("*")} == before  # no content under any name
            if opened is not None:
                SEEN.update(found.rule.id for found in opened.told)
                if opened.refused:
                    SEEN.add(opened.refused.rule.id)
                    assert opened.content.read() == b""
                else:
                    assert opened.content.size == len(opened.content.read())
        assert archive.read(sha256) == content
        return opened

    def refusal(self, content: bytes, name: str = "users.csv.pgp", on: date = ON) -> str:
        opened = self.open(content, name, on)
        assert opened is not None
        assert opened.refused is not None
        return opened.refused.rule.id

    def told(self, content: bytes, name: str = "users.csv.pgp") -> dict[str, str | None]:
        opened = self.open(content, name)
        assert opened is not None
        assert opened.refused is None
        return {found.rule.id: found.detail for found in opened.told}


@pytest.fixture(scope="module")
def peer() -> Iterator[GnupgPeer]:
    with gnupg_peer() as made:
        made.make_key("District", ("ed25519", "cv25519"))
        yield made


@pytest.fixture
def site(peer: GnupgPeer, tmp_path: Path) -> Site:
    made = Site(tmp_path / "warehouse", peer)
    assert made.intake
    return made


@pytest.mark.parametrize(
    ("name", "inner"),
    [
        ("users.csv.pgp", "users.csv"),
        ("users.csv.GPG", "users.csv"),
        ("users.zip.asc", "users.zip"),
        ("users.csv.pgp.txt", "users.csv"),
        ("users.csv.pgp.pgp", "users.csv.pgp"),
        ("users.csv", "users.csv"),
        (".pgp", ".pgp"),
        ("asc", "asc"),
    ],
)
def test_one_ending_is_taken_from_a_name(name: str, inner: str):
    assert strip_openpgp_ending(name) == inner
    assert InboxFile(f"{CD}/{name}", CD, "oneroster", "").content_name == inner


def test_an_encrypted_file_is_no_unfinished_one():
    for ending in ("pgp", "gpg", "asc", "sig", "pgp.txt"):
        assert not is_unfinished(f"users.csv.{ending}")


def test_a_message_is_opened_whatever_its_name(site: Site):
    for armor in ((), ("--armor",)):
        message = site.encrypt(CONTENT, *armor)
        for name in ("users.csv.pgp", "users.csv", "users.csv.asc"):
            opened = site.open(message, name)
            assert opened is not None
            assert opened.content.read() == CONTENT
            assert [found.rule.id for found in opened.told] == ["FILE-PGP-OPENED"]


@pytest.mark.parametrize("seal", [None, bytes(range(32))], ids=["plain", "sealed"])
@pytest.mark.parametrize("repeats", [10, 4_000], ids=["in memory", "on disk"])
def test_a_content_is_read_in_several_places_at_once(
    site: Site, tmp_path: Path, seal: bytes | None, repeats: int
):
    expected = CONTENT * repeats
    folder = tmp_path / "disk"
    folder.mkdir()
    opener = MessageOpener(read_key_ring(site.warehouse), folder, seal)
    message = site.encrypt(expected)
    sent = SentFile("", "users.csv", "", len(message), message[:BEGINNING], lambda: iter([message]))
    opened = opener.open(sent)
    opener.close()
    assert opened is not None
    content = opened.content
    assert content.size == len(expected)
    assert content.read() == expected
    assert list(folder.iterdir()) == []
    with content.open() as one, content.open() as other:
        one.seek(-100, io.SEEK_END)
        assert other.read(50) == expected[:50]
        assert one.read() == expected[-100:]
        assert other.read(50) == expected[50:100]
    assert b"".join(content.read_pieces()) == expected


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be"])
def test_armor_that_powershell_redirected_into_a_file_is_opened(site: Site, encoding: str):
    armored = site.encrypt(CONTENT * 50, "--armor", "-z", "0").decode()
    begins = "\ufeff" if encoding.endswith("be") else ""
    message = (begins + armored.replace("\n", "\r\n")).encode(encoding)
    opened = site.open(message, "users.csv.asc")
    assert opened is not None
    assert opened.content.read() == CONTENT * 50
    assert site.open("a,b\n1,2\n".encode("utf-16"), "users.csv") is None


def test_a_plain_file_is_taken_as_it_is_unless_agreed(site: Site):
    assert site.open(CONTENT) is None
    site.policy(received="required")
    assert site.refusal(CONTENT) == "FILE-PGP-REQUIRED"
    assert "FILE-PGP-OPENED" in site.told(site.encrypt())


def test_a_message_is_told_with_its_hash_and_signature(site: Site):
    signed = site.encrypt(CONTENT, "--sign", "--local-user", site.district)
    (detail,) = site.told(site.encrypt()).values()
    assert detail is not None
    assert detail.endswith("not signed")
    assert len(detail.split(": ")[1].split(";")[0]) == 64
    (detail,) = site.told(signed).values()
    assert detail is not None
    assert "of an unknown key" in detail
    pin_key(site.warehouse, CD, site.peer, site.district, KeyUse.SIGNATURES)
    (detail,) = site.told(signed).values()
    assert detail is not None
    assert detail.endswith(f"good signature of {site.district[-16:]}")
    site.policy(signatures="off")
    (detail,) = site.told(signed).values()
    assert detail is not None
    assert "sign" not in detail


def test_a_required_signature_is_of_an_agreed_key(site: Site):
    site.policy(signatures="require")
    signed = site.encrypt(CONTENT, "--sign", "--local-user", site.district)
    assert site.refusal(CONTENT) == "FILE-PGP-SIGNATURE"
    assert site.refusal(site.encrypt()) == "FILE-PGP-SIGNATURE"
    assert site.refusal(signed) == "FILE-PGP-SIGNATURE"  # the key is not known
    pin_key(site.warehouse, OTHER, site.peer, site.district, KeyUse.SIGNATURES)
    assert site.refusal(signed) == "FILE-PGP-SIGNATURE"  # it is another district's
    pin_key(site.warehouse, CD, site.peer, site.district, KeyUse.DELIVERY)
    assert site.refusal(signed) == "FILE-PGP-SIGNATURE"  # it is for something else
    pin_key(site.warehouse, CD, site.peer, site.district, KeyUse.BOTH)
    assert "FILE-PGP-OPENED" in site.told(signed)
    retire(site.warehouse, CD, site.district, "2026-11-21")
    assert site.refusal(signed) == "FILE-PGP-SIGNATURE"


def test_every_fault_of_a_message_has_its_rule(site: Site):
    peer, whole = site.peer, site.encrypt()
    theirs = peer.encrypt(CONTENT, [site.district])
    assert site.refusal(theirs) == "FILE-PGP-OTHER-KEY"
    opened = site.open(theirs)
    assert opened is not None
    assert opened.refused is not None
    assert opened.refused.detail is not None
    assert pair().key.primary.key_id in opened.refused.detail
    assert site.refusal(whole[:-20]) == "FILE-PGP-DAMAGED"
    assert site.refusal(peer.run("-c", "--passphrase", "x", given=CONTENT)) == "FILE-PGP-PASSWORD"
    assert site.refusal(peer.run("--sign", given=CONTENT)) == "FILE-PGP-NOT-ENCRYPTED"
    assert site.refusal(site.encrypt(whole)) == "FILE-PGP-NESTED"
    assert site.refusal(whole + whole) == "FILE-PGP-JOINED"
    assert site.refusal(peer.export(site.district)) == "FILE-PGP-NO-MESSAGE"
    assert site.refusal(site.encrypt(peer.export(site.district))) == "FILE-PGP-NO-MESSAGE"
    secret = peer.run("--armor", "--export-secret-keys", site.district)
    assert site.refusal(secret) == "FILE-PGP-PRIVATE-KEY"
    assert site.refusal(peer.run("--detach-sign", given=CONTENT)) == "FILE-PGP-DETACHED"
    assert site.refusal(site.encrypt(bytes(20_000_000))) == "FILE-PGP-TOO-LARGE"
    newer = bytes.fromhex("d2 14 02 09 02 06") + bytes(300)
    assert site.refusal(bytes.fromhex("c1 04 06 15 06 00") + newer) == "FILE-PGP-NEWER-FORM"


def test_messages_that_are_not_proven_are_refused(site: Site):
    peer, whole = site.peer, site.encrypt(CONTENT, "--cipher-algo", "AES256")
    begins, key = forged_messages.take_session_key(whole, pair().secret or b"", SECRET)
    bare = begins + forged_messages.without_integrity(key, forged_messages.literal(CONTENT))
    assert site.refusal(bare) == "FILE-PGP-NO-INTEGRITY"
    pin_key(site.warehouse, CD, peer, site.district)
    signed = peer.run("-z", "0", "--sign", "--local-user", site.district, given=b"a,b\n1,2\n")
    changed = signed.replace(b"1,2", b"1,3")
    forged = begins + forged_messages.with_integrity(key, changed)
    assert site.refusal(forged) == "FILE-PGP-BAD-SIGNATURE"


def test_weak_ciphers_and_other_names_are_told(site: Site):
    assert "FILE-PGP-OLD-CIPHER" in site.told(site.encrypt(CONTENT, "--cipher-algo", "3DES"))
    named = site.encrypt(CONTENT, "--set-filename", "../Canary.csv")
    assert "FILE-PGP-NAME" in site.told(named)
    assert "Canary" not in str(site.told(named))
    assert "FILE-PGP-NAME" not in site.told(site.encrypt(CONTENT, "--set-filename", "users.csv"))


def test_former_keys_are_told_until_their_day_and_refused_after_it(site: Site):
    message = site.encrypt()
    former = site.intake
    keep_intake_key(site.warehouse, 2)
    assert [*site.told(message)] == ["FILE-PGP-OPENED"]  # both keys are in use
    retire(site.warehouse, "installation", former, "2026-11-22")
    detail = site.told(message)["FILE-PGP-FORMER-KEY"]
    assert detail is not None
    assert "2026-11-22" in detail
    assert pair(2).key.primary.key_id in detail
    assert site.refusal(message, on=date(2026, 11, 23)) == "FILE-PGP-RETIRED-KEY"
    opened = site.open(message, on=None)  # whoever reads the archive again has no such day
    assert opened is not None
    assert opened.content.read() == CONTENT


def test_without_an_intake_key_an_encrypted_file_says_so(site: Site, tmp_path: Path):
    message = site.encrypt()
    bare = Site(tmp_path / "bare", site.peer)
    bare.warehouse.mkdir()
    assert bare.refusal(message) == "FILE-PGP-NO-KEY"


@pytest.mark.parametrize("lack", ["gpg", "passphrase"])
def test_a_fault_of_the_installation_is_not_blamed_on_the_sender(
    site: Site, lack: str, monkeypatch: pytest.MonkeyPatch
):
    message = site.encrypt()
    variable = "PATH" if lack == "gpg" else "CCGI_OPENPGP_PASSPHRASE"
    monkeypatch.setenv(variable, "another one, which is long enough")
    assert site.refusal(message) == "FILE-FAULT"


def test_large_contents_go_to_the_disk_sealed_and_without_a_name(
    site: Site, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(openpgp_messages, "_IN_MEMORY", 10)
    monkeypatch.setenv(encryption_keys.KEY, encryption_keys.generate_key())
    shutil.rmtree(site.warehouse)
    encryption_keys.load_keys(site.warehouse, make=True)
    del site.intake
    message = site.encrypt()
    archive = Archive.of(site.warehouse)
    sent = site.warehouse.parent / "message"
    sent.write_bytes(message)
    sha256 = archive.store(sent)
    file = InboxFile(f"{CD}/oneroster/users.csv.pgp", CD, "oneroster", "")
    with open_received_files(archive, Profiles(), ON) as received:
        opened = received.open(file, sha256)
        assert opened is not None
        assert opened.content.read() == CONTENT
        assert received.content(file, sha256).read_start(9) == CONTENT[:9]
        held = [bytes_of_descriptor(link) for link in nameless_files(site.warehouse)]
        assert held
        assert not any(b"Canary" in content for content in held)
        assert stat.S_IMODE(site.warehouse.stat().st_mode) & 0o077 == 0 or os.getuid() == 0


def nameless_files(folder: Path) -> list[Path]:
    """The open files of this process that lie in ``folder`` without a name."""
    return [
        link
        for link in Path("/proc/self/fd").iterdir()
        if link.is_symlink()
        and str(link.readlink()).startswith(str(folder))
        and str(link.readlink()).endswith("(deleted)")
    ]


def bytes_of_descriptor(link: Path) -> bytes:
    return link.read_bytes()


def test_every_rule_of_openpgp_spoke_in_this_module():
    declared = {rule.id for rule in FILE_RULES if rule.id.startswith("FILE-PGP-")}
    assert not declared - SEEN
