"""A night over OpenSSH: districts send and fetch their files with ``sftp`` and a password."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from ccgi_pipeline.nightly.paths import PipelinePaths
from ccgi_pipeline_tests.delivery.exchange import PRIVATE_KEY, deliveries, run_exchange
from ccgi_pipeline_tests.nightly.inboxes import (
    HAYWARD,
    HAYWARD_HIGH,
    PALM_SPRINGS,
    PALM_SPRINGS_HIGH,
    numbered,
    put_roster,
    students,
)
from ccgi_pipeline_tests.nightly.nights import bytes_below, folders_in
from ccgi_pipeline_tests.sftp.districts_host import DistrictsHost, districts_host

_DISTRICTS = {
    "hayward": (HAYWARD, HAYWARD_HIGH, "HaywardUnified"),
    "palmsprings": (PALM_SPRINGS, PALM_SPRINGS_HIGH, "PalmSpringsUnified"),
}
"""By account: CD code, a school, the folder in the outbox."""


@dataclass(frozen=True)
class Night:
    """The folders of the pipeline after a night, the server, and the districts' passwords."""

    folders: PipelinePaths
    host: DistrictsHost
    passwords: dict[str, str]


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Night]:
    """Both districts upload a roster by password; a night takes it, and delivers."""
    root = tmp_path_factory.mktemp("by_password")
    folders = folders_in(root)
    with districts_host(*_DISTRICTS) as host:
        passwords = {account: host.new_password(account) for account in _DISTRICTS}
        for number, (account, (cd, school, _)) in enumerate(_DISTRICTS.items(), start=1):
            put_roster(root / "sent", cd, students(numbered(1000 * number, 3), school))
            sent = host.sftp(
                account,
                f"put -R {root}/sent/{cd}/transcript to_ccgi/",
                password=passwords[account],
            )
            assert sent.returncode == 0, sent.stderr
        _admit_pipeline(host, root)
        _write_profiles(folders, host)
        with pytest.MonkeyPatch.context() as patched:
            for account in _DISTRICTS:
                name = PRIVATE_KEY.replace("_CCGI_KEY", f"_{account.upper()}_KEY")
                patched.setenv(name, (root / "key").read_text())
            run_exchange(folders)
            yield Night(folders, host, passwords)


def _admit_pipeline(host: DistrictsHost, root: Path) -> None:
    """Has the account ``pipeline`` come in by a key, as sftp.md leaves to the operator."""
    host.run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", root / "key")
    host.run("install", "-m", "644", root / "key.pub", "/etc/ssh/pipeline_keys")
    main_file = host.etc / "ssh/sshd_config"
    main_file.write_text(
        f"{main_file.read_text()}\nMatch User pipeline\n"
        "    AuthorizedKeysFile /etc/ssh/pipeline_keys\n    ForceCommand internal-sftp\n"
    )
    host.reload()


def _write_profiles(folders: PipelinePaths, host: DistrictsHost) -> None:
    folders.warehouse.mkdir(exist_ok=True)
    settings = "[intake]\nquiet_minutes = 0\n"
    for account, (cd, _, _) in _DISTRICTS.items():
        settings += f"""
[sftp.{account}]
host = "127.0.0.1"
port = {host.port}
user = "pipeline"
host_keys = ["{host.host_key.strip()}"]
sender = "{cd}"
inbox = "/srv/districts/{account}/files/to_ccgi"
outbox = "/srv/districts/{account}/files/from_ccgi"
"""
    (folders.warehouse / "profiles.toml").write_text(settings)


@pytest.mark.parametrize("account", _DISTRICTS)
def test_a_district_fetches_by_password_what_the_outbox_holds_byte_for_byte(
    night: Night, tmp_path: Path, account: str
) -> None:
    fetched = night.host.sftp(
        account, f"get -R from_ccgi {tmp_path}/", password=night.passwords[account]
    )
    assert fetched.returncode == 0, fetched.stderr
    made = bytes_below(night.folders.outbox / _DISTRICTS[account][2])
    assert any("daily reporting" in path for path in made)
    assert any("_receipts" in path for path in made)
    assert bytes_below(tmp_path / "from_ccgi") == made


def test_what_came_by_password_was_loaded_and_everything_was_sent(night: Night) -> None:
    states = deliveries(night.folders.warehouse).values()
    assert {tuple(history) for history in states} == {
        ("prepared", "uploaded", "verified", "delivered")
    }
    for _, _, folder in _DISTRICTS.values():
        receipts = (night.folders.outbox / folder / "_receipts").glob("*_transcript_*.json")
        assert ['"verdict": "accepted"' in path.read_text() for path in receipts] == [True]


def test_the_password_of_one_district_fetches_nothing_of_another(
    night: Night, tmp_path: Path
) -> None:
    ours = night.passwords["hayward"]
    there = "/srv/districts/palmsprings/files/from_ccgi"
    for path in (there, "/../palmsprings/files/from_ccgi", "../../palmsprings/files"):
        tried = night.host.sftp("hayward", f'get -R "{path}" {tmp_path}/', password=ours)
        assert tried.returncode != 0
    assert [*tmp_path.iterdir()] == []
    assert not night.host.comes_in("palmsprings", password=ours)
