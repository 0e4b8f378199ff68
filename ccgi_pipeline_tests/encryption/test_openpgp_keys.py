"""Keys are checked before they are kept, and what ends soon is told in time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from ccgi_pipeline.encryption.openpgp import (
    KeyRefusedError,
    MessageFault,
    PublicKey,
    SignatureState,
    find_recipient_fault,
    format_fingerprint,
    judge_message,
    read_packets,
    strip_armor,
)
from ccgi_pipeline.encryption.openpgp_key_store import (
    UnknownKeyError,
    open_key_store,
    read_key_ring,
)
from ccgi_pipeline.encryption.openpgp_keys import (
    CheckedKey,
    KeyUse,
    check_public_key,
    find_key_warnings,
    read_fingerprint,
    require_fingerprint,
)
from ccgi_pipeline_tests.gnupg_peer import GnupgPeer, gnupg_peer

CD = "3367173"
NOW = datetime(2026, 12, 1, tzinfo=UTC)
DAY = timedelta(days=1)


@pytest.fixture(scope="module")
def peer() -> Iterator[GnupgPeer]:
    with gnupg_peer() as made:
        yield made


@pytest.fixture(scope="module")
def good(peer: GnupgPeer) -> CheckedKey:
    made = peer.make_key("Good", ("ed25519", "cv25519"))
    return check_public_key(peer.export(made), must_encrypt=True)


def refusal(content: bytes, *, must_encrypt: bool = True, former: bytes = b"") -> str:
    with pytest.raises(KeyRefusedError) as refused:
        check_public_key(content, must_encrypt=must_encrypt, former=former)
    return str(refused.value)


def test_a_good_key_is_kept_as_its_owner_made_it(peer: GnupgPeer, good: CheckedKey):
    binary = check_public_key(peer.export(good.key.fingerprint, armor=False), must_encrypt=True)
    assert binary.key == good.key
    assert good.key.names == ("Good",)
    assert [part.can for part in (good.key.primary, *good.key.subkeys)] == ["sc", "e"]
    assert read_fingerprint(peer.export(good.key.fingerprint)) == good.key.fingerprint


def test_what_is_no_single_public_key_is_refused(peer: GnupgPeer, good: CheckedKey):
    fingerprint = good.key.fingerprint
    other = peer.make_key("Another", ("ed25519", "cv25519"))
    for armor in ([], ["--armor"]):
        secret = peer.run(*armor, "--export-secret-keys", fingerprint)
        assert "Destroy the file" in refusal(secret)
        subkeys = peer.run(*armor, "--export-secret-subkeys", fingerprint)
        assert "Destroy the file" in refusal(subkeys)
        assert "2 keys" in refusal(peer.run(*armor, "--export", fingerprint, other))
    joined = peer.export(fingerprint) + peer.export(other)
    assert "2 keys" in refusal(joined)
    for content in (b"", b"hello", peer.run("--sign", given=b"x"), b"\x99\x01"):
        assert "no OpenPGP public key" in refusal(content)
    newer = bytearray(peer.export(fingerprint, armor=False))
    newer[2] = 6
    assert "version 6" in refusal(bytes(newer))
    assert "GnuPG cannot read" in refusal(peer.export(fingerprint, armor=False)[:60])


def test_keys_that_are_too_weak_are_refused(peer: GnupgPeer):
    short = peer.make_key("Short", ("rsa1024", "rsa1024"))
    assert "1024 bits" in refusal(peer.export(short))
    mixed = peer.make_key("Mixed", ("rsa2048", "rsa1024"))
    assert "1024 bits" in refusal(peer.export(mixed))
    dsa = peer.make_key("DSA", ("dsa1024",))
    assert "DSA" in refusal(peer.export(dsa), must_encrypt=False)
    old = peer.make_key(
        "Old",
        ("rsa2048", "rsa2048"),
        options=("--cert-digest-algo", "SHA1", "--allow-weak-key-signatures"),
    )
    assert "SHA-1" in refusal(peer.export(old))


def test_a_key_without_encryption_subkey_is_for_signatures_only(peer: GnupgPeer):
    signs = peer.make_key("Signs", ("ed25519",))
    assert "no encryption subkey" in refusal(peer.export(signs))
    assert check_public_key(peer.export(signs), must_encrypt=False).key.fingerprint == signs


def test_keys_that_have_ended_are_refused(peer: GnupgPeer):
    ended = peer.make_key(
        "Ended", ("ed25519", "cv25519"), expires="2021-01-01", at="20200101T000000"
    )
    assert "expired on 2021-01-01" in refusal(peer.export(ended))
    revoked = peer.make_key("Revoked", ("ed25519", "cv25519"))
    peer.revoke(revoked)
    assert "revoked" in refusal(peer.export(revoked))


def test_an_update_is_of_the_same_key(peer: GnupgPeer):
    made = peer.make_key("Renewed", ("ed25519", "cv25519"), expires="1y")
    former = check_public_key(peer.export(made), must_encrypt=True)
    peer.run("--quick-set-expire", made, "5y")
    peer.run("--quick-set-expire", made, "5y", "*")
    renewed = check_public_key(peer.export(made), must_encrypt=True, former=former.block)
    ends = renewed.key.usable_until(datetime.now(UTC))
    before = former.key.usable_until(datetime.now(UTC))
    assert ends is not None
    assert before is not None
    assert ends - before > 1000 * DAY
    other = peer.make_key("Changed", ("ed25519", "cv25519"))
    assert "another one" in refusal(peer.export(other), former=former.block)
    peer.revoke(made)  # a revocation is taken over, so that nothing more is sent
    revoked = check_public_key(peer.export(made), must_encrypt=True, former=renewed.block)
    assert revoked.key.primary.revoked


def test_a_fingerprint_is_confirmed_by_all_its_digits(good: CheckedKey):
    fingerprint = good.key.fingerprint
    for told in (fingerprint, format_fingerprint(fingerprint), f"0x{fingerprint.lower()}"):
        require_fingerprint(good.key, told)
    for wrong in (fingerprint[-16:], fingerprint[:-1] + ("0" if fingerprint[-1] != "0" else "1")):
        with pytest.raises(KeyRefusedError, match="somebody exchanged the file"):
            require_fingerprint(good.key, wrong)
    with pytest.raises(KeyRefusedError, match=format_fingerprint(fingerprint)):
        require_fingerprint(good.key, None)


def ending(key: PublicKey, primary: datetime | None, subkey: datetime | None) -> PublicKey:
    subkeys = tuple(replace(part, expires=subkey) for part in key.subkeys)
    return replace(key, primary=replace(key.primary, expires=primary), subkeys=subkeys)


def test_a_recipient_is_judged_now_and_at_the_end_of_grace(good: CheckedKey):
    def fault(key: PublicKey, days: int = 0) -> str:
        return find_recipient_fault(key, NOW, days * DAY) or ""

    assert fault(ending(good.key, None, None), 9999) == ""
    assert fault(ending(good.key, NOW + 5 * DAY, None), 4) == ""
    assert fault(ending(good.key, NOW + 5 * DAY, None), 5).startswith("expires on 2026-12-06")
    assert fault(ending(good.key, None, NOW + 5 * DAY), 5).startswith("expires on 2026-12-06")
    assert fault(ending(good.key, NOW - DAY, None)) == "expired on 2026-11-30"
    assert "subkey that expired on 2026-11-30" in fault(ending(good.key, None, NOW - DAY))
    whole = ending(good.key, None, None)
    assert fault(replace(whole, primary=replace(whole.primary, revoked=True))) == (
        "was revoked by its owner"
    )
    dead = tuple(replace(part, revoked=True) for part in whole.subkeys)
    assert "not revoked" in fault(replace(whole, subkeys=dead))
    assert fault(replace(whole, subkeys=())) == "has no encryption subkey"
    live = replace(whole, subkeys=(*dead, *whole.subkeys))
    assert fault(live) == ""


def test_the_end_of_a_key_is_told_at_each_number_of_days(tmp_path: Path, good: CheckedKey):
    with open_key_store(tmp_path) as store:
        store.add_key(CD, good, KeyUse.BOTH, by="a test")
    ring = read_key_ring(tmp_path)
    (stored,) = ring.keys

    def told(primary: datetime | None, subkey: datetime | None) -> int | None:
        key = replace(stored, key=ending(stored.key, primary, subkey))
        found = find_key_warnings(replace(ring, keys=(key,)), NOW)
        return found[0].days if found else None

    hour = timedelta(hours=1)
    days = (None, 61, 59, 29, 13, 6, 0)
    expected = (None, None, 60, 30, 14, 7, 1)
    for left, begun in zip(days, expected, strict=True):
        at = None if left is None else NOW + left * DAY + hour
        assert told(at, None) == told(None, at) == begun, left
    assert told(NOW - hour, None) == told(None, NOW - hour) == 0
    retired = replace(stored, until=date(2026, 11, 30), key=ending(stored.key, NOW, NOW))
    assert find_key_warnings(replace(ring, keys=(retired,)), NOW) == []


def test_encryption_is_required_from_the_first_key_on(tmp_path: Path, good: CheckedKey):
    now = datetime.now(UTC)
    yesterday = now.date() - DAY
    assert read_key_ring(tmp_path).required == frozenset()
    with open_key_store(tmp_path) as store:
        store.add_key(CD, good, KeyUse.SIGNATURES, by="a test")
        assert store.read_ring().required == frozenset()
        store.add_key(CD, good, KeyUse.BOTH, by="a test")
        assert store.read_ring().required == {CD}
        assert store.read_ring().find_delivery_fault(CD, now, DAY) is None
        store.retire_key(store.find_key(good.key.fingerprint[-16:]), yesterday)
        ring = store.read_ring()
        assert ring.required == {CD}
        assert "no OpenPGP key any more" in (ring.find_delivery_fault(CD, now, DAY) or "")
        assert store.allow_plain(CD)
        assert not store.allow_plain(CD)
        assert store.read_ring().required == frozenset()
        store.add_key(CD, good, KeyUse.DELIVERY, by="a test")
        assert store.read_ring().required == {CD}
        with pytest.raises(UnknownKeyError, match="0 keys"):
            store.find_key("FFFF")
        with pytest.raises(UnknownKeyError, match="0 keys"):
            store.find_key("")


def test_the_packets_of_armor_are_those_of_the_binary(peer: GnupgPeer, good: CheckedKey):
    armored, binary = (peer.export(good.key.fingerprint, armor=a) for a in (True, False))
    assert strip_armor(armored) == binary
    assert [packet.tag for packet in read_packets(binary)] == [6, 13, 2, 14, 2]


# --- status words that no GnuPG of today can be made to say ---------------------------------------

OPENED = ["ENC_TO AAAAAAAAAAAAAAAA 1 0", f"DECRYPTION_KEY B {'C' * 40} u", "BEGIN_DECRYPTION"]
WHOLE = ["DECRYPTION_INFO 2 9 0", "PLAINTEXT 62 1 ", "DECRYPTION_OKAY", "GOODMDC", "END_DECRYPTION"]


@pytest.mark.parametrize(
    ("lines", "fault"),
    [
        ([*OPENED, *WHOLE], None),
        ([*OPENED, "DECRYPTION_INFO 0 9 2", "PLAINTEXT 62 1 ", "DECRYPTION_OKAY"], None),
        ([*OPENED, "DECRYPTION_INFO 2 9", *WHOLE[1:]], None),
        ([*OPENED, "DECRYPTION_INFO 0 9 0", "PLAINTEXT 62 1 ", "DECRYPTION_OKAY"], "NO_INTEGRITY"),
        ([*OPENED, *WHOLE[:2], "GOODMDC"], "DAMAGED"),
        ([*OPENED, WHOLE[0], *WHOLE[2:]], "DAMAGED"),
        ([*OPENED, *WHOLE, "BADMDC"], "DAMAGED"),
        ([*OPENED, *WHOLE, "DECRYPTION_FAILED"], "DAMAGED"),
        ([*OPENED, *WHOLE, "UNEXPECTED 0"], "DAMAGED"),
        ([*OPENED, *WHOLE, "BADSIG AAAAAAAAAAAAAAAA name"], "BAD_SIGNATURE"),
        ([*OPENED, *WHOLE, "PLAINTEXT 62 1 "], "JOINED"),
        ([*OPENED, *WHOLE, "BEGIN_DECRYPTION"], "NESTED"),
        (
            [*OPENED, "DECRYPTION_INFO 0 3 0", "ERROR nomdc_with_legacy_cipher 152"],
            "NO_INTEGRITY",
        ),
        (["ENC_TO BBBBBBBBBBBBBBBB 1 0", "NO_SECKEY BBBBBBBBBBBBBBBB"], "OTHER_KEY"),
        (["ENC_TO 0000000000000000 1 0", "NO_SECKEY 0000000000000000"], "OTHER_KEY"),
        ([], "DAMAGED"),
    ],
)
def test_status_words_decide(lines: list[str], fault: str | None):
    judged = judge_message(lines, {"AAAAAAAAAAAAAAAA"}).fault
    assert judged is (MessageFault[fault] if fault else None)


def test_a_process_that_was_killed_proves_nothing():
    judged = judge_message([*OPENED, *WHOLE], {"AAAAAAAAAAAAAAAA"}, killed=True)
    assert judged.fault is MessageFault.OWN_FAULT


@pytest.mark.parametrize(
    ("lines", "state"),
    [
        ([], SignatureState.NONE),
        (["GOODSIG A n", f"VALIDSIG A 2026-11-30 1 0 4 0 1 10 00 {'D' * 40}"], SignatureState.GOOD),
        (["GOODSIG A n"], SignatureState.NONE),
        (["ERRSIG A 1 10 00 1 9", "NO_PUBKEY A"], SignatureState.UNKNOWN),
        (["EXPKEYSIG A n", f"VALIDSIG A d 1 0 4 0 1 10 00 {'D' * 40}"], SignatureState.UNUSABLE),
        (["REVKEYSIG A n", f"VALIDSIG A d 1 0 4 0 1 10 00 {'D' * 40}"], SignatureState.UNUSABLE),
        (["EXPSIG A n", f"VALIDSIG A d 1 0 4 0 1 10 00 {'D' * 40}"], SignatureState.UNUSABLE),
        (
            ["GOODSIG A n", f"VALIDSIG A d 1 0 4 0 1 10 00 {'D' * 40}", "ERRSIG B 1 10 00 1 9"],
            SignatureState.UNKNOWN,
        ),
    ],
)
def test_an_exit_status_is_no_signature(lines: list[str], state: SignatureState):
    status = judge_message([*OPENED, *WHOLE, *lines], {"AAAAAAAAAAAAAAAA"})
    assert status.fault is None
    assert status.signature is state
