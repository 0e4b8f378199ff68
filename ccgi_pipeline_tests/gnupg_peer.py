"""A district's GnuPG: the real program in a home of its own, called as a district's script would.

Nothing here uses the pipeline's own code, so that a test proves that the two understand each other.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

PLAIN = (
    "--batch",
    "--no-tty",
    "--quiet",
    "--yes",
    "--trust-model",
    "always",
    "--no-auto-key-locate",
)
UNLOCKED = ("--pinentry-mode", "loopback", "--passphrase", "")


class GnupgPeer:
    """One home, whose keys have no passphrase."""

    def __init__(self, home: Path) -> None:
        self.home = home

    def run(self, *arguments: str, given: bytes = b"", at: str | None = None) -> bytes:
        """Returns what gpg writes; ``at``: the time that it takes for now (20240101T000000)."""
        faked = ("--faked-system-time", at) if at else ()
        done = subprocess.run(
            ["gpg", "--homedir", str(self.home), *PLAIN, *UNLOCKED, *faked, *arguments],
            input=given,
            check=False,
            capture_output=True,
        )
        assert done.returncode == 0, done.stderr.decode(errors="replace")
        return done.stdout

    def make_key(
        self,
        name: str = "District",
        algorithms: Sequence[str] = ("rsa2048", "rsa2048"),
        expires: str = "2y",
        subkey_expires: str | None = None,
        at: str | None = None,
        options: Sequence[str] = (),
    ) -> str:
        """Makes a key with the algorithms of primary and encryption subkey; its fingerprint."""
        before = {*self.fingerprints()}
        run = partial(self.run, *options, at=at)
        run("--quick-gen-key", name, algorithms[0], "cert,sign", expires)
        (made,) = {*self.fingerprints()} - before
        for algorithm in algorithms[1:]:
            run("--quick-add-key", made, algorithm, "encr", subkey_expires or expires)
        return made

    def fingerprints(self) -> list[str]:
        """Returns the fingerprints of all primary keys."""
        lines = self.run("--list-keys", "--with-colons").decode().splitlines()
        return [
            lines[place + 1].split(":")[9]
            for place, line in enumerate(lines)
            if line.startswith("pub:")
        ]

    def export(self, *fingerprints: str, armor: bool = True) -> bytes:
        """Returns public keys as a district would send them."""
        return self.run(*(["--armor"] if armor else []), "--export", *fingerprints)

    def encrypt(self, content: bytes, recipients: Sequence[str], *options: str) -> bytes:
        """Returns a message to ``recipients``."""
        to = [word for recipient in recipients for word in ("--recipient", recipient)]
        return self.run(*options, *to, "--encrypt", given=content)

    def decrypt(self, message: bytes, *options: str) -> bytes:
        """Returns the content of a message."""
        return self.run(*options, "--decrypt", given=message)

    def decrypt_with_status(self, message: bytes) -> tuple[bytes, str]:
        """Returns the content of a message, and the status lines."""
        with tempfile.TemporaryDirectory() as folder:
            status = Path(folder, "status")
            content = self.decrypt(message, "--status-file", str(status))
            return content, status.read_text()

    def revoke(self, fingerprint: str) -> None:
        """Revokes a key with the certificate that GnuPG made with it."""
        written = (self.home / "openpgp-revocs.d" / f"{fingerprint}.rev").read_bytes()
        self.run("--import", given=written.replace(b":-----BEGIN", b"-----BEGIN"))


@contextmanager
def gnupg_peer() -> Iterator[GnupgPeer]:
    """A peer in a new home; its agent is ended afterwards."""
    home = Path(tempfile.mkdtemp(prefix="peer-", dir="/tmp"))
    try:
        yield GnupgPeer(home)
    finally:
        subprocess.run(["gpgconf", "--homedir", str(home), "--kill", "all"], check=False)
        shutil.rmtree(home, ignore_errors=True)
