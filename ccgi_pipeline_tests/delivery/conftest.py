"""One OpenSSH server for all tests of this folder; each has folders of its own on it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ccgi_pipeline_tests.sftp.openssh import ROOT, OpenSsh, openssh

collect_ignore = [] if ROOT else ["test_fetched_by_password.py"]
"""Only root can make accounts."""


@pytest.fixture(scope="session")
def sshd() -> Iterator[OpenSsh]:
    """A server as districts use it."""
    with openssh() as server:
        yield server
