"""Keys that open accounts: OpenSSH's own server takes the new one and no longer the old."""

from __future__ import annotations

import base64
import os
import stat
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from ccgi_pipeline.cli import main
from ccgi_pipeline.sftp.connection import Connection, connect
from ccgi_pipeline.sftp.district_keys import (
    AccessError,
    end_sessions,
    list_access,
    parse_public_keys,
    replace_keys,
)
from ccgi_pipeline.sftp.errors import SftpPermanentError, SftpTransientError
from ccgi_pipeline.sftp.servers import Credentials, fingerprint
from ccgi_pipeline_tests.sftp.openssh import ACCOUNT, ROOT, OpenSsh, openssh

BY = ("--by", "A. Name")


def ccgi(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["access", *map(str, arguments)])


def line_of(key: Path) -> str:
    return key.with_name(f"{key.name}.pub").read_text()


def shown(line: str) -> str:
    return fingerprint(base64.b64decode(line.split()[1]))


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    folder = tmp_path / "accounts"
    folder.mkdir()
    return folder


@pytest.fixture
def strict() -> Iterator[OpenSsh]:
    """A server that looks at owner and rights of the files, as CCGI's does."""
    # Only root has a folder for it in which nobody else may write.
    with openssh(*(["StrictModes yes"] if ROOT else [])) as server:
        yield server


def comes_in(server: OpenSsh, key: Path) -> bool:
    try:
        with connect(server.as_server(), Credentials(key.read_text())) as connection:
            return connection.stat(".") is not None
    except SftpPermanentError:
        return False


def test_one_command_lets_the_new_key_in_and_the_old_one_out(strict: OpenSsh, pairs: Path):
    old = strict.sshd.private_key
    assert comes_in(strict, old)
    assert not comes_in(strict, pairs / "ed25519")
    new = ("--public-key", pairs / "ed25519.pub")
    result = ccgi("replace", ACCOUNT, *new, "--keys", strict.keys, *BY)
    assert result.exit_code == 0, result.output
    assert f"{ACCOUNT} is open to ssh-ed25519 {shown(line_of(pairs / 'ed25519'))}" in result.output
    assert comes_in(strict, pairs / "ed25519")
    assert not comes_in(strict, old)


def test_a_generated_key_opens_the_account_and_its_file_only_its_owner_reads(
    strict: OpenSsh, tmp_path: Path
):
    out = tmp_path / "handed-over"
    result = ccgi("replace", ACCOUNT, "--generate", out, "--keys", strict.keys, *BY)
    assert result.exit_code == 0, result.output
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    assert "PRIVATE" not in result.output
    told = subprocess.run(["ssh-keygen", "-l", "-f", out], capture_output=True, check=True)
    assert told.stdout.decode().split()[1] in result.output
    assert comes_in(strict, out)
    assert not comes_in(strict, strict.sshd.private_key)


def test_a_revoked_account_is_open_to_nobody_and_tells_by_whom(strict: OpenSsh):
    assert ccgi("revoke", ACCOUNT, "--keys", strict.keys, *BY).exit_code == 0
    assert not comes_in(strict, strict.sshd.private_key)
    listed = ccgi("list", "--keys", strict.keys).output
    assert "nobody can come in" in listed
    assert "A. Name" in listed


def test_a_key_opens_sftp_and_nothing_else(strict: OpenSsh, pairs: Path):
    new = ("--public-key", pairs / "ed25519.pub")
    assert ccgi("replace", ACCOUNT, *new, "--keys", strict.keys, *BY).exit_code == 0
    written = (strict.keys / ACCOUNT).read_text().splitlines()
    assert [line.split()[:2] for line in written[1:]] == [["restrict", "ssh-ed25519"]]


def test_the_list_shows_account_type_fingerprint_since_when_and_by_whom(keys: Path, pairs: Path):
    for account, kind in (("palmsprings", "ed25519"), ("hayward", "rsa")):
        key = ("--public-key", pairs / f"{kind}.pub", "--new-account")
        ccgi("replace", account, *key, "--keys", keys, *BY)
    (keys / "by-hand").write_text('from="10.0.0.0/8" ' + line_of(pairs / "other"))
    listed = ccgi("list", "--keys", keys).output
    for account, kind in (("palmsprings", "ed25519"), ("hayward", "rsa")):
        (line,) = [line for line in listed.splitlines() if account in line]
        assert f"ssh-{kind}" in line
        assert shown(line_of(pairs / kind)) in line
        assert "A. Name" in line
    assert "1 lines that were written by hand" in listed
    assert all(one.since.endswith("Z") for one in list_access(keys) if one.account == "hayward")


def test_an_empty_folder_lists_nobody(keys: Path):
    assert ccgi("list", "--keys", keys).stdout == (
        "There is no account.\n" if ROOT else "No account has a key.\n"
    )


def test_at_every_moment_there_is_a_whole_file(
    keys: Path, pairs: Path, monkeypatch: pytest.MonkeyPatch
):
    first, second = (parse_public_keys(line_of(pairs / kind)) for kind in ("ed25519", "other"))
    replace_keys(keys, "hayward", first, by="A. Name")
    before = (keys / "hayward").read_bytes()

    def crash(_: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", crash)
    with pytest.raises(KeyboardInterrupt):
        replace_keys(keys, "hayward", second, by="A. Name")
    assert (keys / "hayward").read_bytes() == before
    monkeypatch.undo()
    # What the crash left is in nobody's way, and no account's.
    assert [one.account for one in list_access(keys)] == ["hayward"]
    with (keys / "hayward").open("rb") as being_read:
        replace_keys(keys, "hayward", second, by="A. Name")
        assert being_read.read() == before
    assert [one.keys for one in list_access(keys)] == [tuple(second)]


def test_several_keys_of_one_file_are_all_taken(keys: Path, pairs: Path, tmp_path: Path):
    both = tmp_path / "both.pub"
    both.write_text(f"# ours\n{line_of(pairs / 'ed25519')}\n{line_of(pairs / 'ecdsa')}")
    new = ("--public-key", both, "--new-account")
    assert ccgi("replace", "hayward", *new, "--keys", keys, *BY).exit_code == 0
    (hayward,) = list_access(keys)
    assert [key.kind for key in hayward.keys] == ["ssh-ed25519", "ecdsa-sha2-nistp256"]


@pytest.mark.parametrize("ends", ["\n", "\r\n"])
def test_a_key_as_putty_and_winscp_write_it_is_taken(pairs: Path, ends: str):
    for kind in ("ed25519", "rsa"):
        told = subprocess.run(
            ["ssh-keygen", "-e", "-m", "RFC4716", "-f", pairs / f"{kind}.pub"],
            capture_output=True,
            check=True,
            text=True,
        ).stdout
        (key,) = parse_public_keys(told.replace("\n", ends))
        assert key.fingerprint == shown(line_of(pairs / kind))


REFUSED = {
    "weak": "2048 bits; it needs 3072",
    "private": "this is a private key",
    "putty private": "this is a private key",
    "dsa": "no public key of a type that can be used",
    "options": "options stand before it",
    "damaged": "damaged",
    "cut": "damaged",
    "another type": "damaged",
    "empty": "no public key in this file",
    "words": "no public key",
    "binary": "no public key",
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_may_not_open_an_account_changes_nothing(
    keys: Path, pairs: Path, tmp_path: Path, case: str
):
    good = line_of(pairs / "ed25519")
    text = {
        "weak": line_of(pairs / "weak"),
        "private": (pairs / "ed25519").read_text(),
        "putty private": "PuTTY-User-Key-File-3: ssh-ed25519\nEncryption: none\n",
        "dsa": "ssh-dss AAAAB3NzaC1kc3MAAACBAP0 old@example.org",
        "options": f'command="/bin/sh" {good}',
        "damaged": good.replace("AAAAC3", "AAAAC4"),
        "cut": good[:60],
        "another type": good.replace("ssh-ed25519", "ssh-rsa"),
        "empty": "\n# nothing\n",
        "words": "Please find our key attached.",
        "binary": "\x00\x01\x02",
    }[case]
    sent = tmp_path / "sent.pub"
    sent.write_text(text)
    replace_keys(keys, "hayward", parse_public_keys(line_of(pairs / "other")), by="A. Name")
    before = (keys / "hayward").read_bytes()
    result = ccgi("replace", "hayward", "--public-key", sent, "--keys", keys, *BY)
    assert result.exit_code == 1
    assert REFUSED[case] in result.output
    assert (keys / "hayward").read_bytes() == before


@pytest.mark.parametrize("account", ["../hayward", "", ".hayward", "a/b", "-x", "h" * 33, "ä"])
def test_an_account_that_is_none_is_refused(keys: Path, pairs: Path, account: str, tmp_path: Path):
    with pytest.raises(AccessError, match="an account is named"):
        replace_keys(keys, account, parse_public_keys(line_of(pairs / "ed25519")), by="A. Name")
    out = tmp_path / "out"
    ccgi("replace", "--generate", out, "--new-account", "--keys", keys, *BY, "--", account)
    assert not out.exists()
    assert not list(keys.iterdir())


def test_a_change_needs_a_name_and_one_key(keys: Path, pairs: Path, tmp_path: Path):
    key = ("--public-key", pairs / "ed25519.pub", "--new-account")
    assert ccgi("replace", "hayward", *key, "--keys", keys, "--by", " ").exit_code == 1
    assert ccgi("replace", "hayward", *key, "--keys", keys).exit_code == 2
    both = (*key, "--generate", tmp_path / "out")
    assert ccgi("replace", "hayward", *both, "--keys", keys, *BY).exit_code == 2
    assert ccgi("replace", "hayward", "--keys", keys, *BY).exit_code == 2
    assert ccgi("revoke", "hayward", "--keys", keys, *BY).exit_code == 1
    assert not list(keys.iterdir())


def test_a_misspelt_account_is_refused_and_changes_nothing(keys: Path, pairs: Path, tmp_path: Path):
    replace_keys(keys, "palmsprings", parse_public_keys(line_of(pairs / "other")), by="A. Name")
    before = (keys / "palmsprings").read_bytes()
    out = tmp_path / "out"
    for change in (
        ("replace", "palmspring", "--public-key", pairs / "ed25519.pub"),
        ("replace", "palmspring", "--generate", out),
        ("revoke", "palmspring"),
    ):
        result = ccgi(*change, "--keys", keys, *BY)
        assert result.exit_code == 1
        assert "palmspring: this account never had a key" in result.output
    assert [file.name for file in keys.iterdir()] == ["palmsprings"]
    assert (keys / "palmsprings").read_bytes() == before
    assert not out.exists()


def test_a_name_cannot_smuggle_in_a_key(keys: Path, pairs: Path):
    smuggled = f"A. Name\n{line_of(pairs / 'other')}"
    new = ("--public-key", pairs / "ed25519.pub", "--new-account")
    assert ccgi("replace", "hayward", *new, "--keys", keys, "--by", smuggled).exit_code == 0
    (hayward,) = list_access(keys)
    assert [key.fingerprint for key in hayward.keys] == [shown(line_of(pairs / "ed25519"))]


def test_a_private_key_that_is_there_is_not_overwritten(keys: Path, tmp_path: Path):
    out = tmp_path / "in-use"
    out.write_text("a key that somebody has")
    result = ccgi("replace", "hayward", "--generate", out, "--new-account", "--keys", keys, *BY)
    assert result.exit_code == 1
    assert "is there already" in result.output
    assert out.read_text() == "a key that somebody has"
    assert [file.name for file in keys.iterdir()] == [".access"]  # the audit log tells of the try


def test_sessions_of_root_are_left_alone_and_of_nobody_there_are_none():
    assert end_sessions("root") is None
    assert end_sessions("no-such-account-here") == 0


def test_a_session_that_is_open_with_the_old_key_is_ended(strict: OpenSsh, pairs: Path):
    if not ROOT:  # only root's server lets in others, and only root may end what is theirs
        assert not end_sessions("nobody")
        return
    replace_keys(strict.keys, "nobody", parse_public_keys(line_of(pairs / "other")), by="A. Name")
    district = replace(strict.as_server(), user="nobody")
    with (
        connect(strict.as_server(), strict.credentials()) as somebody_else,
        connect(district, Credentials((pairs / "other").read_text())) as connection,
    ):
        assert connection.stat(".") is not None
        new = ("--public-key", pairs / "ed25519.pub")
        result = ccgi("replace", "nobody", *new, "--keys", strict.keys, *BY)
        assert "Ended the open sessions of nobody" in result.output
        with pytest.raises(SftpTransientError):
            connection.stat(".")
        assert somebody_else.stat(".") is not None


def test_a_login_that_was_under_way_while_the_key_changed_is_ended(
    strict: OpenSsh, pairs: Path, monkeypatch: pytest.MonkeyPatch
):
    if not ROOT:  # as above
        assert not end_sessions("nobody")
        return
    replace_keys(strict.keys, "nobody", parse_public_keys(line_of(pairs / "other")), by="A. Name")
    district = replace(strict.as_server(), user="nobody")
    with ExitStack() as opened:
        late: list[Connection] = []

        def come_in(_: float) -> None:
            credentials = Credentials((pairs / "other").read_text())
            late.append(opened.enter_context(connect(district, credentials)))

        monkeypatch.setattr("ccgi_pipeline.sftp.district_keys.sleep", come_in)
        assert end_sessions("nobody")
        with pytest.raises(SftpTransientError):
            late[0].stat(".")


def test_where_sessions_cannot_be_ended_the_command_says_how(keys: Path, pairs: Path):
    new = ("--public-key", pairs / "ed25519.pub", "--new-account")
    result = ccgi("replace", "root", *new, "--keys", keys, *BY)
    assert "as root: pkill -u root sshd" in result.output
