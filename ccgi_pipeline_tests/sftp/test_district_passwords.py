"""Passwords of districts' accounts: OpenSSH, PAM and the system's accounts take them and end them.

Only root can make accounts: elsewhere these tests are not collected (conftest.py).
"""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from ccgi_pipeline.cli import main
from ccgi_pipeline.sftp.connection import connect
from ccgi_pipeline.sftp.district_passwords import make_password
from ccgi_pipeline.sftp.errors import SftpTransientError
from ccgi_pipeline.sftp.servers import Credentials, SftpAccount
from ccgi_pipeline_tests.sftp.districts_host import (
    WRONG_PASSWORDS,
    DistrictsHost,
    districts_host,
)

BY = ("--by", "A. Name")
WRONG = "wrong-wrong-wrong-wrong"
OURS, OTHER = "palmsprings", "hayward"


@pytest.fixture(scope="module")
def host() -> Iterator[DistrictsHost]:
    """A server with two districts."""
    with districts_host(OURS, OTHER) as running:
        yield running


def _public(key: Path) -> Path:
    return key.with_name(f"{key.name}.pub")


def test_the_password_opens_the_accounts_own_folder_and_nothing_else(
    host: DistrictsHost, tmp_path: Path
) -> None:
    ours, others = host.new_password(OURS), host.new_password(OTHER)
    (host.files(OURS) / "report.csv").write_bytes(b"ours\r\n")
    (host.files(OTHER) / "secret.csv").write_bytes(b"theirs\r\n")
    got = tmp_path / "got.csv"
    fetched = host.sftp(OURS, "pwd", "ls -a /", f"get report.csv {got}", password=ours)
    assert fetched.returncode == 0, fetched.stderr
    assert "Remote working directory: /files" in fetched.stdout
    (listed,) = [line for line in fetched.stdout.splitlines() if line.startswith("/")]
    assert listed.split() == ["/.", "/..", "/files"]
    assert got.read_bytes() == b"ours\r\n"
    for out in ("/etc/passwd", f"/../{OTHER}/files/secret.csv", f"/srv/districts/{OTHER}/files"):
        tried = host.sftp(OURS, f"get -r {out} {tmp_path}/out", password=ours)
        assert tried.returncode != 0
        assert "not found" in tried.stderr
    assert not (tmp_path / "out").exists()
    assert not host.comes_in(OTHER, password=ours)
    assert host.comes_in(OTHER, password=others)


@pytest.mark.slow
def test_the_password_opens_sftp_and_no_shell(host: DistrictsHost) -> None:
    password = host.new_password(OURS)
    done = host.ssh(OURS, "id", password)
    assert done.returncode != 0
    assert done.stdout == "This service allows sftp connections only.\n"


def test_a_wrong_password_and_the_one_before_open_nothing(host: DistrictsHost) -> None:
    old = host.new_password(OURS)
    assert host.comes_in(OURS, password=old)
    assert not host.comes_in(OURS, password=WRONG)
    new = host.new_password(OURS)
    assert new != old
    assert not host.comes_in(OURS, password=old)
    assert host.comes_in(OURS, password=new)


def test_a_session_that_the_former_password_opened_is_ended(host: DistrictsHost) -> None:
    old, of_other = host.new_password(OURS), host.new_password(OTHER)
    with (
        connect(_as_server(host, OURS), Credentials(password=old)) as session,
        connect(_as_server(host, OTHER), Credentials(password=of_other)) as somebody_else,
    ):
        assert session.stat(".") is not None
        status, shown = host.ccgi_on_terminal("access", "password", OURS, *BY, "--reason", "left")
        assert status == 0
        assert f"Ended the open sessions of {OURS}" in shown
        with pytest.raises(SftpTransientError):
            session.stat(".")
        assert somebody_else.stat(".") is not None


def _as_server(host: DistrictsHost, account: str) -> SftpAccount:
    return SftpAccount(
        name="host", host="127.0.0.1", port=host.port, user=account, host_keys=(host.host_key,)
    )


def test_a_revoked_account_opens_to_neither(host: DistrictsHost, pairs: Path) -> None:
    _give_key(host, OURS, pairs / "ed25519")
    password = host.new_password(OURS, "--keep-keys")
    assert host.comes_in(OURS, password=password)
    assert host.comes_in(OURS, key=pairs / "ed25519")
    told = host.ccgi("access", "revoke", OURS, *BY, "--reason", "left").stdout
    assert "no key and no password now: nobody can log in" in told
    assert not host.comes_in(OURS, password=password)
    assert not host.comes_in(OURS, key=pairs / "ed25519")
    (line,) = _listed(host, OURS)
    assert "none" in line
    assert "nobody can come in" in line
    assert "A. Name" in line


def _give_key(host: DistrictsHost, account: str, key: Path, *options: str) -> str:
    new = ("--public-key", _public(key), "--new-account", *options)
    return host.ccgi("access", "replace", account, *new, *BY).stdout


def _listed(host: DistrictsHost, account: str) -> list[str]:
    """The lines of the list about an account."""
    lines = host.ccgi("access", "list").stdout.splitlines()
    return [line.strip() for line in lines if line.strip().startswith(account)]


@pytest.mark.slow
def test_one_of_the_two_can_be_revoked_alone(host: DistrictsHost, pairs: Path) -> None:
    _give_key(host, OURS, pairs / "ed25519")
    password = host.new_password(OURS, "--keep-keys")
    told = host.ccgi("access", "revoke", OURS, "--only", "password", *BY).stdout
    assert f"{OURS} is open to its key only." in told
    assert not host.comes_in(OURS, password=password)
    assert host.comes_in(OURS, key=pairs / "ed25519")
    password = host.new_password(OURS, "--keep-keys")
    told = host.ccgi("access", "revoke", OURS, "--only", "keys", *BY).stdout
    assert f"{OURS} is open to its password only." in told
    assert host.comes_in(OURS, password=password)
    assert not host.comes_in(OURS, key=pairs / "ed25519")


def test_a_new_kind_of_access_ends_the_other_unless_it_is_kept(
    host: DistrictsHost, pairs: Path
) -> None:
    _give_key(host, OURS, pairs / "ed25519")
    password = host.new_password(OURS)
    assert not host.comes_in(OURS, key=pairs / "ed25519")
    assert "to its password" in _give_key(host, OURS, pairs / "other", "--keep-password")
    assert host.comes_in(OURS, password=password)
    assert host.comes_in(OURS, key=pairs / "other")
    assert "to nothing else" in _give_key(host, OURS, pairs / "ed25519")
    assert not host.comes_in(OURS, password=password)
    assert host.comes_in(OURS, key=pairs / "ed25519")


def test_the_list_shows_who_has_which_access_since_when_and_by_whom(
    host: DistrictsHost, pairs: Path
) -> None:
    _give_key(host, OURS, pairs / "ed25519")
    host.new_password(OURS, "--keep-keys")
    of_password, of_key = sorted(_listed(host, OURS))
    assert "password" in of_password
    assert "ssh-ed25519" in of_key
    for line in (of_password, of_key):
        assert "A. Name" in line
        assert "20" in line
        assert "Z" in line
    host.run("chpasswd", given=f"{OURS}:{WRONG}\n")
    (by_hand,) = [line for line in _listed(host, OURS) if "password" in line]
    assert "set by other means" in by_hand
    assert "A. Name" not in by_hand
    host.add_account("desert")
    (never,) = _listed(host, "desert")
    assert "nobody can come in" in never


def test_no_file_holds_the_password_and_only_the_system_its_hash(host: DistrictsHost) -> None:
    password = host.new_password(OURS)
    assert host.comes_in(OURS, password=password)
    assert not host.comes_in(OURS, password=f"{password}x")
    shadow = host.etc / "shadow"
    (line,) = [one for one in shadow.read_text().splitlines() if one.startswith(f"{OURS}:")]
    hashed = line.split(":")[1]
    assert hashed.startswith("$y$")
    files = [file for file in host.folder.rglob("*") if file.is_file()]
    assert host.folder / "sshd.log" in files
    assert [file for file in files if password.encode() in file.read_bytes()] == []
    # The system keeps its former state beside it.
    with_hash = {file.name for file in files if hashed.encode() in file.read_bytes()}
    assert with_hash <= {"shadow", "shadow-"}
    assert not stat.S_IMODE(shadow.stat().st_mode) & stat.S_IRWXO
    records = host.keys / ".access"
    assert stat.S_IMODE(records.stat().st_mode) == 0o700
    kept = [*records.iterdir()]
    assert {file.name for file in kept} >= {f"{OURS}.json", "audit.sqlite"}
    assert {stat.S_IMODE(file.stat().st_mode) for file in kept} == {0o600}


def test_every_change_is_in_the_audit_log_with_who_and_why(host: DistrictsHost) -> None:
    host.new_password(OTHER)
    host.ccgi("access", "revoke", OTHER, "--by", "B. Name", "--reason", "the contract ended")
    log = ("--warehouse", "/etc/ssh/districts/.access")
    told = " ".join(host.ccgi("audit", "list", *log).stdout.split())
    assert "A. Name root SFTP access replaced account hayward; access password; new data" in told
    assert "B. Name root SFTP access revoked account hayward; access keys and password" in told
    assert "the contract ended" in told
    assert host.ccgi("audit", "verify", *log).returncode == 0


@pytest.mark.parametrize(
    ("account", "said"),
    [
        ("palmspring", "palmspring: there is no such account in the group districts"),
        ("root", "root: there is no such account in the group districts"),
        ("pipeline", "pipeline: there is no such account in the group districts"),
        ("../root", "an account is named with"),
    ],
)
def test_no_other_account_of_the_machine_gets_a_password(
    host: DistrictsHost, account: str, said: str
) -> None:
    before = (host.etc / "shadow").read_bytes()
    reason = ("--reason", "new data lead")
    status, shown = host.ccgi_on_terminal("access", "password", account, *BY, *reason)
    assert status == 1
    assert said in " ".join(shown.split())
    refused = host.ccgi("access", "revoke", account, "--only", "password", *BY, check=False)
    assert refused.returncode == 1
    assert (host.etc / "shadow").read_bytes() == before


def test_a_password_is_shown_on_a_terminal_only(host: DistrictsHost) -> None:
    before = (host.etc / "shadow").read_bytes()
    done = host.ccgi("access", "password", OURS, *BY, "--reason", "new data lead", check=False)
    assert done.returncode == 2
    assert "shown on a terminal only" in " ".join(done.stderr.split())
    assert (host.etc / "shadow").read_bytes() == before


def test_guessing_closes_the_account_to_passwords_and_a_new_one_opens_it(
    host: DistrictsHost, pairs: Path
) -> None:
    _give_key(host, OURS, pairs / "ed25519")
    password = host.new_password(OURS, "--keep-keys")
    for _ in range(WRONG_PASSWORDS):
        assert not host.comes_in(OURS, password=WRONG)
    assert not host.comes_in(OURS, password=password)
    assert host.comes_in(OURS, key=pairs / "ed25519")
    assert host.comes_in(OURS, password=host.new_password(OURS, "--keep-keys"))


@pytest.mark.slow
def test_a_right_password_forgets_the_wrong_ones_before_it(host: DistrictsHost) -> None:
    password = host.new_password(OURS)
    for _ in range(2):
        for _ in range(WRONG_PASSWORDS - 1):
            assert not host.comes_in(OURS, password=WRONG)
        assert host.comes_in(OURS, password=password)


def test_other_accounts_log_in_as_before(host: DistrictsHost) -> None:
    host.run("useradd", "--shell", "/bin/sh", "--home-dir", "/", "--no-create-home", "operator1")
    host.run("chpasswd", "-c", "YESCRYPT", given="operator1:an-operators-own\n")
    for _ in range(WRONG_PASSWORDS + 1):
        assert host.ssh("operator1", "id -un", WRONG).returncode != 0
    assert host.ssh("operator1", "id -un", "an-operators-own").stdout == "operator1\n"


def test_the_shipped_configuration_is_in_force_for_districts_only(host: DistrictsHost) -> None:
    def effective(account: str) -> set[str]:
        at = f"user={account},host=localhost,addr=127.0.0.1"
        return {*host.run("/usr/sbin/sshd", "-T", "-C", at).stdout.splitlines()}

    limits = {
        "maxauthtries 3",
        "authenticationmethods publickey password",
        "permitemptypasswords no",
        "kbdinteractiveauthentication no",
        "disableforwarding yes",
        "permittty no",
        "forcecommand internal-sftp -d /files",
    }
    assert limits <= effective(OURS)
    assert "forcecommand none" in effective("root")
    shipped = Path("deploy/sftp/ccgi-districts")
    pam = (host.run("cat", "/etc/pam.d/sshd").stdout).splitlines()
    assert pam[0] == f"@include {shipped.name}"


def test_a_password_has_letters_and_digits_that_are_not_mistaken_for_each_other() -> None:
    made = {make_password() for _ in range(200)}
    assert len(made) == 200
    assert not {*"".join(made)} & {*"0O1lIiou"} - {"u"}
    assert {len(password) for password in made} == {23}


def test_without_root_the_command_says_that_it_needs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    arguments = ["access", "password", "hayward", "--keys", f"{tmp_path}", *BY, "--reason", "new"]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 1
    assert "run this command as root" in result.output
    listed = CliRunner().invoke(main, ["access", "list", "--keys", f"{tmp_path}"])
    assert "Only root can see which accounts have a password" in listed.output
    assert [*tmp_path.iterdir()] == []
