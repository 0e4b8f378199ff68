"""Messages go both ways between the pipeline and a district's GnuPG, and faults are named."""

from __future__ import annotations

import io
import itertools
import os
import stat
import tempfile
import time
import tracemalloc
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from ccgi_pipeline.encryption import gnupg
from ccgi_pipeline.encryption.gnupg import GnupgError, GnupgHome, GnupgMissingError, read_passphrase
from ccgi_pipeline.encryption.openpgp import (
    Form,
    MessageFault,
    MessageStatus,
    PublicKey,
    SignatureState,
    detect_form,
)
from ccgi_pipeline_tests.encryption import forged_messages
from ccgi_pipeline_tests.encryption.forged_messages import literal
from ccgi_pipeline_tests.gnupg_peer import GnupgPeer, gnupg_peer

PASSPHRASE = "a passphrase of this test, long enough"  # noqa: S105
CONTENT = b"StudentID,Name\r\n1,\xc3\x89milie\r\n" + b"12345,abcdefg\r\n" * 20_000
LIMIT = 10_000_000
ALGORITHMS = {"RSA": ("rsa2048", "rsa2048"), "Cv25519": ("ed25519", "cv25519")}


@dataclass(frozen=True)
class Both:
    """The installation's home and a district's, each with the other's public keys."""

    own: GnupgHome
    peer: GnupgPeer
    intake: PublicKey
    district: dict[str, PublicKey]

    def open(self, message: bytes, limit: float = LIMIT) -> tuple[MessageStatus, bytes]:
        out = io.BytesIO()
        status = self.own.decrypt(pieces_of(message), out, limit)
        return status, out.getvalue()

    def fault_of(self, message: bytes, limit: float = LIMIT) -> MessageFault | None:
        return self.open(message, limit)[0].fault


def pieces_of(message: bytes) -> Iterator[bytes]:
    """As an archive gives them: piece by piece."""
    for at in range(0, len(message), 4000):
        yield message[at : at + 4000]


@pytest.fixture(scope="module")
def both() -> Iterator[Both]:
    with GnupgHome(PASSPHRASE) as own, gnupg_peer() as peer:
        intake = own.create_key("Intake", bits=2048, expires="2y", encrypts=True)
        peer.run("--import", given=own.export_key(intake.fingerprint))
        made = {name: peer.make_key(name, kinds) for name, kinds in ALGORITHMS.items()}
        for fingerprint in made.values():
            own.import_key(peer.export(fingerprint))
        by_fingerprint = {key.fingerprint: key for key in own.read_keys()}
        yield Both(own, peer, intake, {n: by_fingerprint[f] for n, f in made.items()})


@pytest.mark.parametrize("kind", ALGORITHMS)
@pytest.mark.parametrize("recipients", ["one", "two", "hidden"])
def test_what_a_district_encrypts_is_read_in_every_form(both: Both, kind: str, recipients: str):
    signer = both.district[kind].fingerprint
    to = [both.intake.fingerprint, *([signer] if recipients == "two" else [])]
    hidden = ["--throw-keyids"] if recipients == "hidden" else []
    for armored, packed, signed in itertools.product(
        (False, True), ("none", "zip", "zlib", "bzip2"), (False, True)
    ):
        message = both.peer.encrypt(
            CONTENT,
            to,
            *hidden,
            *(["--armor"] if armored else []),
            *("--compress-algo", packed),
            *(["--sign", "--local-user", signer] if signed else []),
        )
        status, content = both.open(message)
        assert detect_form(message[:4096]) is Form.MESSAGE
        assert (status.fault, content) == (None, CONTENT)
        expected = (SignatureState.GOOD, signer) if signed else (SignatureState.NONE, "")
        assert (status.signature, status.signer) == expected
        assert status.opened_by == both.intake.fingerprint


@pytest.mark.parametrize("kind", ALGORITHMS)
def test_what_the_pipeline_encrypts_is_read_by_a_district(both: Both, kind: str):
    district = both.district[kind]
    others = [key for key in both.district.values() if key != district]
    for armored, packed, signed, several in itertools.product(*[(False, True)] * 4):
        out = io.BytesIO()
        both.own.encrypt(
            pieces_of(CONTENT),
            out,
            [district, *(others if several else [])],
            armor=armored,
            compress=packed,
            signer=both.intake.fingerprint if signed else None,
        )
        message = out.getvalue()
        content, status = both.peer.decrypt_with_status(message)
        assert content == CONTENT
        assert message.startswith(b"-----BEGIN PGP MESSAGE") == armored
        assert (len(message) < len(CONTENT) / 2) == packed
        assert ("GOODSIG" in status) == signed
        assert status.count("ENC_TO") == 1 + (len(others) if several else 0)
        assert "DECRYPTION_INFO 2 9" in status  # with the integrity that every program reads
        assert "PLAINTEXT 62" in status
        assert status.split("PLAINTEXT 62 ")[1].splitlines()[0].split(" ")[1:] in ([""], [])


def test_text_of_a_mailer_before_and_after_an_armored_message_is_passed_over(both: Both):
    message = both.peer.encrypt(CONTENT, [both.intake.fingerprint], "--armor")
    mailed = (
        b"\xef\xbb\xbfDear all,\r\n\r\nhere it is:\r\n"
        + message.replace(b"\n", b"\r\n")
        + b"\r\n--\r\nme"
    )
    assert detect_form(mailed[:4096]) is Form.MESSAGE
    assert both.open(mailed) == both.open(message)
    assert both.open(message)[1] == CONTENT


def test_a_changed_byte_anywhere_is_noticed(both: Both):
    message = both.peer.encrypt(CONTENT, [both.intake.fingerprint], "--compress-algo", "none")
    for place in (20, 100, 300, 400, len(message) // 2, len(message) - 30, len(message) - 1):
        changed = bytearray(message)
        changed[place] ^= 1
        status, _ = both.open(bytes(changed))
        assert status.fault in {MessageFault.DAMAGED, MessageFault.OTHER_KEY}, place
    # The session key, the head, the middle and the end: none of it is blamed on another key.
    assert both.fault_of(message[:400] + b"\0" + message[401:]) is MessageFault.DAMAGED


@pytest.mark.parametrize("part", [0.001, 0.5, 0.9])
def test_a_cut_message_is_noticed(both: Both, part: float):
    for options in ([], ["--armor"], ["--compress-algo", "none"]):
        message = both.peer.encrypt(CONTENT, [both.intake.fingerprint], *options)
        cut = message[: max(300, int(len(message) * part))]
        assert both.fault_of(cut) is MessageFault.DAMAGED
    assert both.fault_of(message[:-1]) is MessageFault.DAMAGED


def test_every_other_fault_is_named(both: Both):
    peer, to = both.peer, [both.intake.fingerprint]
    whole = peer.encrypt(CONTENT, to)
    theirs = peer.encrypt(CONTENT, [both.district["RSA"].fingerprint])
    assert both.fault_of(theirs) is MessageFault.OTHER_KEY
    hidden = peer.encrypt(CONTENT, [both.district["RSA"].fingerprint], "--throw-keyids")
    assert both.fault_of(hidden) is MessageFault.OTHER_KEY
    password = peer.run("--symmetric", "--passphrase", "another one", given=CONTENT)
    assert both.fault_of(password) is MessageFault.PASSWORD
    signed = peer.run("--sign", given=CONTENT)
    assert both.fault_of(signed) is MessageFault.NOT_ENCRYPTED
    clear = peer.run("--clearsign", given=b"a,b\n1,2\n")
    assert both.fault_of(clear) is MessageFault.NOT_ENCRYPTED
    for options in ([], ["--armor"], ["--compress-algo", "none"]):
        for content in (b"short", CONTENT):
            twice = peer.encrypt(content, to, *options) * 2
            assert both.fault_of(twice) is MessageFault.JOINED, options
    assert both.fault_of(b"") is MessageFault.DAMAGED
    assert both.fault_of(whole, limit=1000) is MessageFault.TOO_LARGE


def test_a_message_without_integrity_is_refused_though_its_content_is_whole(both: Both):
    message, key = forgeable(both)
    forged = message + forged_messages.without_integrity(key, literal(CONTENT))
    assert both.fault_of(forged) is MessageFault.NO_INTEGRITY
    # The same content with integrity, made in the same way, is good: nothing else is wrong.
    good = message + forged_messages.with_integrity(key, literal(CONTENT))
    status, content = both.open(good)
    assert (status.fault, content) == (None, CONTENT)


def test_a_wrong_signature_is_noticed_though_the_message_is_whole(both: Both):
    signer = both.district["RSA"].fingerprint
    signed = both.peer.run("-z", "0", "--sign", "--local-user", signer, given=b"a,b\n1,2\n")
    message, key = forgeable(both)
    for content, fault in ((signed, None), (signed.replace(b"1,2", b"1,3"), "BAD_SIGNATURE")):
        forged = message + forged_messages.with_integrity(key, content)
        assert both.fault_of(forged) is (MessageFault[fault] if fault else None)


def test_a_message_within_a_message_is_not_opened_twice(both: Both):
    inner = both.peer.encrypt(CONTENT, [both.intake.fingerprint])
    message, key = forgeable(both)
    nested = message + forged_messages.with_integrity(key, inner)
    status, _ = both.open(nested)
    assert status.fault in {MessageFault.NESTED, MessageFault.JOINED, MessageFault.DAMAGED}


def forgeable(both: Both) -> tuple[bytes, bytes]:
    """The packet with the session key of a message to the installation, and that key."""
    message = both.peer.encrypt(b"x", [both.intake.fingerprint], "--cipher-algo", "AES256")
    secret = both.own.export_secret_key(both.intake.fingerprint)
    return forged_messages.take_session_key(message, secret, PASSPHRASE)


def test_large_messages_pass_through_in_pieces(both: Both):
    piece = bytes(range(256)) * 256
    count = 800  # 52 MB

    class Counter:
        size = 0

        def write(self, data: bytes, /) -> None:
            self.size += len(data)

    message = tempfile.SpooledTemporaryFile(1)  # noqa: SIM115 - closed below
    tracemalloc.start()
    try:
        both.own.encrypt(
            itertools.repeat(piece, count), message, [both.district["RSA"], both.intake],
            compress=False,
        )  # fmt: skip
        message.seek(0)
        opened = Counter()
        status = both.own.decrypt(iter(lambda: message.read(1 << 16), b""), opened, 1e9)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
        message.close()
    assert status.fault is None
    assert opened.size == count * len(piece)
    assert peak < 4_000_000


def test_an_old_cipher_with_integrity_is_read_and_told(both: Both):
    message = both.peer.encrypt(CONTENT, [both.intake.fingerprint], "--cipher-algo", "3DES")
    status, content = both.open(message)
    assert (status.fault, content, status.weak_cipher) == (None, CONTENT, True)


def test_a_small_message_that_inflates_is_stopped(both: Both):
    bomb = both.peer.encrypt(
        bytes(50_000_000), [both.intake.fingerprint], "--compress-algo", "zlib"
    )
    assert len(bomb) < 100_000
    status, content = both.open(bomb, limit=1_000_000)
    assert status.fault is MessageFault.TOO_LARGE
    assert len(content) <= 1_000_000


def test_the_name_in_a_message_is_only_told(both: Both, tmp_path: Path):
    file = tmp_path / "another name.csv"
    file.write_bytes(CONTENT)
    to = both.intake.fingerprint
    message = both.peer.run("--recipient", to, "--encrypt", "--output", "-", str(file))
    assert both.open(message)[0].name == "another%20name.csv"
    assert [path.name for path in tmp_path.iterdir()] == [file.name]


def test_what_is_no_message_is_told_by_its_form(both: Both):
    peer, fingerprint = both.peer, both.district["RSA"].fingerprint
    for armor in ([], ["--armor"]):
        assert detect_form(peer.run(*armor, "--export", fingerprint)) is Form.PUBLIC_KEY
        assert detect_form(peer.run(*armor, "--export-secret-keys", fingerprint)) is Form.SECRET_KEY
        assert detect_form(peer.run(*armor, "--detach-sign", given=CONTENT)) is Form.SIGNATURE
        assert detect_form(peer.run(*armor, "--sign", given=CONTENT)) is Form.MESSAGE
        assert detect_form(peer.run(*armor, "--symmetric", "--passphrase", "x", given=CONTENT))


@pytest.mark.parametrize(
    "content",
    [
        CONTENT,
        "\ufeffa,b\n".encode(),
        "a,b\n".encode("utf-16"),
        "Ángel,b\n".encode("cp1252"),
        "Élève,b\n".encode("cp1252"),
        "Élève,b\n".encode(),
        b"PK\x03\x04",
        zlib.compress(CONTENT),
        b"",
        b"\x85",
        b"\xc3\x81ngel,Nombre\n",
    ],
)
def test_other_files_are_no_openpgp(content: bytes):
    assert detect_form(content[:4096]) is None


def test_an_unknown_signer_does_not_spoil_a_message(both: Both):
    with gnupg_peer() as stranger:
        signer = stranger.make_key("Stranger", ("ed25519",))
        stranger.run("--import", given=both.own.export_key(both.intake.fingerprint))
        message = stranger.encrypt(CONTENT, [both.intake.fingerprint], "--sign")
    status, content = both.open(message)
    assert (status.fault, content) == (None, CONTENT)
    assert (status.signature, status.signer) == (SignatureState.UNKNOWN, signer[-16:])


def test_the_signature_of_an_expired_key_is_not_good(both: Both, monkeypatch: pytest.MonkeyPatch):
    signer = both.district["RSA"].fingerprint
    message = both.peer.encrypt(
        CONTENT, [both.intake.fingerprint], "--sign", "--local-user", signer
    )
    monkeypatch.setattr(both.own, "_at", "20400101T000000")
    status, content = both.open(message)
    assert (status.fault, content) == (None, CONTENT)
    assert (status.signature, status.signer) == (SignatureState.UNUSABLE, signer)


def test_a_wrong_passphrase_is_a_fault_of_the_installation_and_not_of_the_sender(both: Both):
    message = both.peer.encrypt(CONTENT, [both.intake.fingerprint])
    for passphrase in ("a wrong one, which is long enough", None):
        with GnupgHome(passphrase) as home:
            home.import_key(both.own.export_secret_key(both.intake.fingerprint))
            assert home.decrypt([message], io.BytesIO(), LIMIT).fault is MessageFault.OWN_FAULT


def test_nothing_is_encrypted_for_a_key_that_gnupg_refuses(both: Both):
    gone = both.peer.make_key(
        "Expired", ("ed25519", "cv25519"), expires="2020-06-01", at="20200101T000000"
    )
    both.own.import_key(both.peer.export(gone))
    key = next(key for key in both.own.read_keys() if key.fingerprint == gone)
    for recipients in ([key], [both.district["RSA"], key], []):
        with pytest.raises(GnupgError, match="GnuPG"):
            both.own.encrypt([CONTENT], io.BytesIO(), recipients)


def test_an_error_while_the_content_is_read_is_raised_as_it_is(both: Both):
    def pieces() -> Iterator[bytes]:
        yield CONTENT
        raise FileNotFoundError

    with pytest.raises(FileNotFoundError):
        both.own.encrypt(pieces(), io.BytesIO(), [both.district["RSA"]])


def test_a_home_is_for_its_owner_only_and_goes_away(tmp_path: Path):
    with GnupgHome() as home:
        folder = home.folder
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        home.create_key("Short", bits=1024, expires="1d", encrypts=False)
        assert any(folder.iterdir())
    assert not folder.exists()
    assert not [*tmp_path.iterdir()]


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder for temporary files whose path is short enough for an agent's socket."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        monkeypatch.setattr(tempfile, "tempdir", folder)
        yield Path(folder)


def test_the_home_of_a_process_that_was_killed_is_removed_by_the_next(place: Path):
    kept, killed = GnupgHome(), GnupgHome()
    os.close(killed._held)  # as the end of its process does
    for home in (kept, killed):
        os.utime(home.folder, (0, 0))
    young = place / "ccgi-gpg-young"
    young.mkdir()
    with GnupgHome() as third:
        assert {*place.iterdir()} == {kept.folder, young, third.folder}
    kept.close()
    assert {*place.iterdir()} == {young}


def test_a_call_that_makes_no_progress_is_ended(both: Both, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(gnupg, "_SECONDS", 0.2)
    message = both.peer.encrypt(CONTENT, [both.intake.fingerprint])

    def never_ending() -> Iterator[bytes]:
        yield message[:300]
        time.sleep(1)
        yield message[300:]

    status = both.own.decrypt(never_ending(), io.BytesIO(), LIMIT)
    assert status.fault is MessageFault.OWN_FAULT


def test_without_gnupg_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(GnupgMissingError, match="apt-get install gnupg"):
        GnupgHome()


def test_a_short_passphrase_is_refused():
    assert read_passphrase({}) is None
    assert read_passphrase({"CCGI_OPENPGP_PASSPHRASE": PASSPHRASE + "\n"}) == PASSPHRASE
    with pytest.raises(Exception, match="fewer than 20 characters"):
        read_passphrase({"CCGI_OPENPGP_PASSPHRASE": "short"})
