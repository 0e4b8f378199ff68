"""One OpenSSH server for all tests of this folder; each has folders of its own on it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ccgi_pipeline_tests.sftp.openssh import OpenSsh, openssh


@pytest.fixture(scope="session")
def sshd() -> Iterator[OpenSsh]:
    """A server as districts use it."""
    with openssh() as server:
        yield server
