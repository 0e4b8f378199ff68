"""Real OpenSSH servers, as districts and partners have them and as CCGI's own host is set up.

Belongs here: starting and stopping them. The account is the one that runs the tests: only root's
server can let in others.
"""

from __future__ import annotations

import getpass
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ccgi_pipeline.bench.sftp import PrivateSshd, run_private_sshd
from ccgi_pipeline.sftp.servers import Credentials, SftpAccount

ACCOUNT = getpass.getuser()
ROOT = os.geteuid() == 0


@dataclass(frozen=True)
class OpenSsh:
    """A running server. ``files``: what clients see. ``keys``: who may come in, by account."""

    sshd: PrivateSshd
    files: Path
    keys: Path

    def as_server(self, name: str = "openssh") -> SftpAccount:
        return self.sshd.as_server(name)

    def credentials(self) -> Credentials:
        return self.sshd.credentials()


@contextmanager
def openssh(*settings: str) -> Iterator[OpenSsh]:
    """A server set up as docs/sftp.md describes, until the end of the block.

    As root it locks its clients into a folder. sshd refuses that below one where everybody may
    write, such as /tmp.
    """
    folder = Path(tempfile.mkdtemp(prefix="ccgi-sshd-", dir="/run" if ROOT else None))
    try:
        # sshd looks keys up as the account whose they are.
        folder.chmod(0o755)
        keys, chroot = folder / "keys", folder / "chroot"
        keys.mkdir()
        chroot.mkdir()
        inside = [f"ChrootDirectory {chroot}", "ForceCommand internal-sftp -d /files"]
        with run_private_sshd(
            folder,
            *settings,
            f"AuthorizedKeysFile {keys}/%u",
            *(inside if ROOT else []),
            home=chroot / "files",
        ) as sshd:
            shutil.copyfile(folder / "user_key.pub", keys / ACCOUNT)
            yield OpenSsh(sshd, chroot / "files", keys)
    finally:
        shutil.rmtree(folder)
