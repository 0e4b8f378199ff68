"""One OpenSSH server for all tests that only exchange files with it; keys, which take time."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from ccgi_pipeline.bench.sftp import make_key
from ccgi_pipeline.sftp.connection import Connection, connect
from ccgi_pipeline_tests.sftp.openssh import ROOT, OpenSsh, openssh

collect_ignore = [] if ROOT else ["test_district_passwords.py"]
"""Only root can make accounts."""


@pytest.fixture(scope="session")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with pairs of keys, named by kind."""
    folder = tmp_path_factory.mktemp("pairs")
    make_key(folder / "ed25519")
    make_key(folder / "other")
    make_key(folder / "locked", "-t", "ed25519", "-N", "secret")
    make_key(folder / "ecdsa", "-t", "ecdsa")
    make_key(folder / "weak", "-t", "rsa", "-b", "2048")
    make_key(folder / "rsa", "-t", "rsa", "-b", "3072")
    for kind, changes in {
        "pem": ("-N", "", "-m", "PEM"),
        "pkcs8": ("-N", "", "-m", "PKCS8"),
        "locked_rsa": ("-N", "secret"),
    }.items():
        shutil.copy(folder / "rsa", folder / kind)
        shutil.copy(folder / "rsa.pub", folder / f"{kind}.pub")
        change = ["ssh-keygen", "-q", "-p", "-P", "", "-f", folder / kind, *changes]
        subprocess.run(change, check=True, stdout=subprocess.DEVNULL)
    return folder


@pytest.fixture(scope="module")
def server() -> Iterator[OpenSsh]:
    with openssh() as running:
        yield running


@pytest.fixture
def connection(server: OpenSsh) -> Iterator[Connection]:
    with connect(server.as_server(), server.credentials()) as opened:
        yield opened
