"""CCGI's own SFTP server, set up by the commands of docs/sftp.md with the files of deploy/sftp.

Belongs here: a copy of ``/etc`` and an empty ``/srv`` that only the server and the commands of a
test see (a mount namespace), with accounts, PAM and OpenSSH as the system has them. The machine
itself does not change. Only root can do that.
"""

from __future__ import annotations

import os
import pty
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ccgi_pipeline.bench.sftp import _find_children, _free_port, _terminate, _wait_for_greeting
from ccgi_pipeline_tests.docs.pages import PROJECT, commands

ROOT = os.geteuid() == 0
WRONG_PASSWORDS = 3
"""After so many the account is closed; the shipped file says ten, which would take a minute."""
_QUICKER = (
    f"sed -i s/deny=10/deny={WRONG_PASSWORDS}/ /etc/pam.d/ccgi-districts",
    # A wrong password is answered at once, not after two seconds.
    "sed -i 's/pam_unix.so/& nodelay/; s/unlock_time=900/& nodelay/' /etc/pam.d/ccgi-districts",
    "sed -i 's/pam_unix.so/& nodelay/' /etc/pam.d/common-auth",
)
_SAMPLE = "palmsprings"
"""The account of the page's commands."""
_CCGI = (sys.executable, "-c", "from ccgi_pipeline.cli import main; main(prog_name='ccgi')")


@dataclass(frozen=True)
class DistrictsHost:
    """A running server. ``folder`` holds its ``etc`` and ``srv``, and ``sshd.log``."""

    folder: Path
    port: int
    process: int

    @property
    def etc(self) -> Path:
        """What is ``/etc`` on the server."""
        return self.folder / "etc"

    @property
    def keys(self) -> Path:
        """The folder of the accounts' public keys."""
        return self.etc / "ssh/districts"

    @property
    def host_key(self) -> str:
        """The server's public key."""
        return (self.etc / "ssh/ssh_host_ed25519_key.pub").read_text()

    def files(self, account: str) -> Path:
        """The folder that an account sees."""
        return self.folder / "srv/districts" / account / "files"

    def run(
        self, *command: str | Path, given: str = "", check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """Runs a command on the server, as root; its output is no terminal."""
        return subprocess.run(
            [*self._entered(), *map(str, command)],
            input=given,
            text=True,
            capture_output=True,
            check=check,
        )

    def ccgi(self, *arguments: str | Path, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Runs ``ccgi`` on the server; its output is no terminal."""
        return self.run(*_CCGI, *arguments, check=check)

    def ccgi_on_terminal(self, *arguments: str | Path) -> tuple[int, str]:
        """Runs ``ccgi`` on the server, on a terminal; returns its status and what is shown."""
        leader, follower = pty.openpty()
        process = subprocess.Popen(
            [*self._entered(), *_CCGI, *map(str, arguments)],
            stdin=follower,
            stdout=follower,
            stderr=follower,
        )
        os.close(follower)
        shown = b""
        try:
            while read := os.read(leader, 4096):
                shown += read
        except OSError:
            pass  # the command has ended
        os.close(leader)
        return process.wait(), shown.decode().replace("\r\n", "\n")

    def new_password(self, account: str, *options: str) -> str:
        """Has ``ccgi`` make a password; returns the one that the terminal showed."""
        by = ("--by", "A. Name", "--reason", "new data lead")
        status, shown = self.ccgi_on_terminal("access", "password", account, *by, *options)
        assert status == 0, shown
        (password,) = re.findall(r"(?m)^ +((?:[a-z2-9]{5}-){3}[a-z2-9]{5})$", shown)
        return str(password)

    def reload(self) -> None:
        """Has the server read its configuration again."""
        self.run("kill", "-HUP", f"{self.process}")
        ends = time.monotonic() + 30
        while "Received SIGHUP" not in (self.folder / "sshd.log").read_text():
            assert time.monotonic() < ends
            time.sleep(0.02)
        with socket.socket() as client:
            while client.connect_ex(("127.0.0.1", self.port)) != 0:
                assert time.monotonic() < ends
                time.sleep(0.02)

    def add_account(self, account: str) -> None:
        """Makes an account as the page says."""
        for line in _page_commands():
            if _SAMPLE in line and not line.startswith("ccgi"):
                self.run("sh", "-ec", line.replace(_SAMPLE, account))

    def sftp(
        self, account: str, *typed: str, password: str | None = None, key: Path | None = None
    ) -> subprocess.CompletedProcess[str]:
        """What a data lead does with OpenSSH's ``sftp``: logs in with one of the two, and types."""
        program, options, environment = self._client("sftp", password, key)
        return subprocess.run(
            # Its batch mode would ask for no password, so that is said before.
            [
                *(program, *options, "-oBatchMode=no", "-P", f"{self.port}", "-b", "-"),
                f"{account}@127.0.0.1",
            ],
            input="".join(f"{line}\n" for line in typed),
            text=True,
            capture_output=True,
            check=False,
            env=environment,
        )

    def ssh(self, account: str, command: str, password: str) -> subprocess.CompletedProcess[str]:
        """Runs a command by ``ssh`` with a password."""
        program, options, environment = self._client("ssh", password, None)
        return subprocess.run(
            [program, *options, "-p", f"{self.port}", f"{account}@127.0.0.1", command],
            text=True,
            capture_output=True,
            check=False,
            env=environment,
        )

    def comes_in(
        self, account: str, *, password: str | None = None, key: Path | None = None
    ) -> bool:
        """Whether the account opens. A server that does not answer is an error."""
        done = self.sftp(account, "pwd", password=password, key=key)
        assert done.returncode == 0 or "Permission denied" in done.stderr, done.stderr
        return done.returncode == 0

    def _client(
        self, program: str, password: str | None, key: Path | None
    ) -> tuple[str, Sequence[str], dict[str, str]]:
        method = "publickey" if password is None else "password"
        known = self.folder / "known_hosts"
        known.write_text(f"[127.0.0.1]:{self.port} {self.host_key}")
        options = [
            *("-F", "none", "-o", f"PreferredAuthentications={method}"),
            *("-o", f"UserKnownHostsFile={known}", "-o", "GlobalKnownHostsFile=none"),
            *("-o", "StrictHostKeyChecking=yes", "-o", "NumberOfPasswordPrompts=1"),
            *(("-o", "IdentitiesOnly=yes", "-i", f"{key}") if key else ()),
        ]
        asked = {
            "SSH_ASKPASS": f"{self.folder / 'askpass'}",
            "SSH_ASKPASS_REQUIRE": "force",
            "TYPED": password or "",
        }
        return program, options, {**os.environ, **asked}

    def _entered(self) -> Sequence[str]:
        return ("nsenter", f"--mount=/proc/{self.process}/ns/mnt", "--")


def _page_commands() -> list[str]:
    return commands(PROJECT / "docs/sftp.md")


_ENTER = """
umask 022
mount --make-rprivate /
cp -a /etc/. "$1/etc"
mount --bind "$1/etc" /etc
mount --bind "$1/srv" /srv
mkdir -p /run/faillock /run/sshd
mount --bind "$1/faillock" /run/faillock
ssh-keygen -A > /dev/null
cd "$2"
sh -e "$1/set_up"
exec /usr/sbin/sshd -D -E "$1/sshd.log" -p "$3" -o ListenAddress=127.0.0.1 -o PidFile=none \
  -o LogLevel=DEBUG3
"""


@contextmanager
def districts_host(*accounts: str) -> Iterator[DistrictsHost]:
    """A server with these accounts, set up as docs/sftp.md says, until the end of the block."""
    # sshd refuses to lock clients into a folder below one where everybody may write, as /tmp.
    folder = Path(tempfile.mkdtemp(prefix="ccgi-host-", dir="/run"))
    folder.chmod(0o755)
    try:
        for name in ("etc", "srv", "faillock"):
            (folder / name).mkdir(mode=0o755)
        (folder / "askpass").write_text('#!/bin/sh\nprintf "%s\\n" "$TYPED"\n')
        (folder / "askpass").chmod(0o755)
        general = [line for line in _page_commands() if _is_general(line)]
        (folder / "set_up").write_text("\n".join([*general, *_QUICKER, ""]))
        port = _free_port()
        process = subprocess.Popen(
            ["unshare", "--mount", "sh", "-ec", _ENTER, "sh", folder, PROJECT, f"{port}"],
            stderr=subprocess.PIPE,
        )
        try:
            if not _wait_for_greeting(port, process):
                process.kill()
                assert process.stderr is not None
                log = folder / "sshd.log"
                said = log.read_text() if log.exists() else process.stderr.read().decode()
                msg = f"the server did not start (it needs root's right to mount): {said}"
                raise AssertionError(msg)
            host = DistrictsHost(folder, port, process.pid)
            for account in accounts:
                host.add_account(account)
            yield host
        finally:
            sessions = _find_children(process.pid)
            process.terminate()
            process.communicate()
            for session in sessions:
                _terminate(session)
    finally:
        shutil.rmtree(folder)


def _is_general(line: str) -> bool:
    """Whether the line sets up the machine, once; the service is started by the tests."""
    words = ("groupadd", "useradd", "install", "sed", "sshd")
    return line.startswith(words) and _SAMPLE not in line
