"""What is set for a server, and credentials: each mistake is told with what to do, no secret is."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from ccgi_pipeline.sftp.servers import (
    Credentials,
    ServerSettingsError,
    SftpAccount,
    fingerprint,
    read_credentials,
)


def blob(line: str) -> bytes:
    return base64.b64decode(line.split()[1])


def server(*host_keys: str) -> SftpAccount:
    return SftpAccount(name="partner", host="sftp.example.org", user="ccgi", host_keys=host_keys)


def test_a_server_is_known_by_fingerprint_or_by_line(pairs: Path):
    ours, other = (pairs / "ed25519.pub").read_text(), (pairs / "rsa.pub").read_text()
    for pinned in (ours, fingerprint(blob(ours)), ours.strip() + " a comment of several words"):
        assert server(pinned).is_pinned(blob(ours))
        assert not server(pinned).is_pinned(blob(other))
    both = server(fingerprint(blob(ours)), other)
    assert both.is_pinned(blob(ours))
    assert both.is_pinned(blob(other))


def test_a_fingerprint_is_written_as_ssh_keygen_writes_it():
    line = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl"
    # github.com's, as they publish it
    assert fingerprint(blob(line)) == "SHA256:+DiY3wvvV6TuJJhbpZisF/zLDA0zPMSvHdkr4UvCOqU"


def test_the_types_of_pinned_lines_are_known_and_those_of_fingerprints_are_not(pairs: Path):
    lines = [(pairs / f"{kind}.pub").read_text() for kind in ("ed25519", "rsa")]
    assert server(*lines).host_key_types == {"ssh-ed25519", "ssh-rsa"}
    assert server(lines[0], fingerprint(blob(lines[1]))).host_key_types == set()


@pytest.mark.parametrize(
    "pinned",
    [
        "",
        "SHA256:short",
        "MD5:16:27:ac:a5:76:28:2d:36:63:1b:56:4d:eb:df:a6:48",
        "ssh-ed25519",
        "ssh-ed25519 not/base64!",
        "ssh-rsa AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl",
        "|1|JfKTdBh7rNbXkVAQCRp4OQoPfmI=|USECr3SWf1JUPsms5AqfD5QfxkM= ssh-rsa AAAA",
    ],
)
def test_what_is_no_host_key_is_refused(pinned: str):
    with pytest.raises(ServerSettingsError, match=r"partner: .* is no host key.*ssh-keygen -l"):
        server(pinned)


def test_a_server_without_a_host_key_is_refused():
    with pytest.raises(ServerSettingsError, match="no host key is set"):
        server()


@pytest.mark.parametrize("kind", ["ed25519", "rsa", "pem"])
def test_a_private_key_is_read_from_the_environment_or_a_file(pairs: Path, kind: str):
    text = (pairs / kind).read_text()
    itself = read_credentials("partner", {"CCGI_SFTP_PARTNER_KEY": text})
    from_file = read_credentials("partner", {"CCGI_SFTP_PARTNER_KEY_FILE": str(pairs / kind)})
    public = blob((pairs / f"{kind}.pub").read_text())
    for credentials in (itself, from_file):
        key = credentials.load_key()
        assert key is not None
        assert key.asbytes() == public


@pytest.mark.parametrize("kind", ["locked", "locked_rsa"])
def test_a_passphrase_opens_the_key(pairs: Path, kind: str):
    setting = {"CCGI_SFTP_PARTNER_KEY_FILE": str(pairs / kind)}
    assert read_credentials(
        "partner", {**setting, "CCGI_SFTP_PARTNER_PASSPHRASE": "secret"}
    ).load_key()
    with pytest.raises(ServerSettingsError, match=r"PARTNER_KEY: .*has a passphrase"):
        read_credentials("partner", setting)
    with pytest.raises(ServerSettingsError, match="PARTNER_KEY: the passphrase does not open"):
        read_credentials("partner", {**setting, "CCGI_SFTP_PARTNER_PASSPHRASE": "another"})


SPACED = " with blanks "


def test_a_password_of_a_file_has_no_line_break(tmp_path: Path):
    (tmp_path / "password").write_text(f"{SPACED}\r\n")
    setting = {"CCGI_SFTP_PARTNER_PASSWORD_FILE": str(tmp_path / "password")}
    assert read_credentials("partner", setting).password == SPACED
    assert read_credentials("partner", {"CCGI_SFTP_PARTNER_PASSWORD": SPACED}).password == SPACED


@pytest.mark.parametrize("name", ["palm-springs", "palm.springs", "Palm_Springs"])
def test_the_servers_name_is_in_the_settings_name(name: str):
    found = read_credentials(name, {"CCGI_SFTP_PALM_SPRINGS_PASSWORD": SPACED})
    assert found.password == SPACED


def test_no_credentials_are_told_with_the_names_of_the_settings():
    for environment in ({}, {"CCGI_SFTP_OTHER_PASSWORD": "x"}, {"CCGI_SFTP_PARTNER_KEY": ""}):
        with pytest.raises(ServerSettingsError, match="CCGI_SFTP_PARTNER_KEY_FILE"):
            read_credentials("partner", environment)


def test_a_setting_is_made_once(tmp_path: Path):
    twice = {
        "CCGI_SFTP_PARTNER_PASSWORD": "x",
        "CCGI_SFTP_PARTNER_PASSWORD_FILE": str(tmp_path),
    }
    with pytest.raises(ServerSettingsError, match="are both set"):
        read_credentials("partner", twice)


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path):
    for path in (tmp_path / "nothing", tmp_path):
        with pytest.raises(ServerSettingsError, match=r"KEY_FILE: .*cannot be read"):
            read_credentials("partner", {"CCGI_SFTP_PARTNER_KEY_FILE": str(path)})


@pytest.mark.parametrize("kind", ["pkcs8", "ecdsa", "ed25519.pub", "cut", "junk"])
def test_what_is_no_key_that_can_be_used_is_told_without_repeating_it(pairs: Path, kind: str):
    whole = (pairs / "ed25519").read_text()
    given = {"cut": whole[: len(whole) // 2], "junk": "hunter2 hunter2"}
    text = given.get(kind) or (pairs / kind).read_text()
    with pytest.raises(ServerSettingsError, match=r"no private key of type.*ssh-keygen") as error:
        read_credentials("partner", {"CCGI_SFTP_PARTNER_KEY": text})
    assert not [word for word in text.split() if len(word) > 12 and word in str(error.value)]
    assert "hunter2" not in str(error.value)


def test_credentials_show_nothing(pairs: Path):
    secrets = Credentials((pairs / "locked").read_text(), "a passphrase", "a password")
    shown = repr(secrets)
    assert "pass" not in shown
    assert "KEY" not in shown
