"""How fast files go to a server and come from it: ``ccgi bench sftp``.

Belongs here: an OpenSSH server of one's own for a while, and moving the same files to and from it
with OpenSSH's own program and with ours. Does not belong here: printing figures.
"""

from __future__ import annotations

import getpass
import hashlib
import os
import random
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median

from ccgi_pipeline.common.errors import PermanentError
from ccgi_pipeline.sftp.connection import Connection, connect
from ccgi_pipeline.sftp.servers import Credentials, SftpAccount

_HOST = "127.0.0.1"
_START_SECONDS = 30
_MEBIBYTE = 1 << 20

SMALL_FILE = 20_000
"""Bytes of a small file: a roster of some hundred lines."""

_CIPHER = "aes128-gcm@openssh.com"
"""The cipher that ours takes, too, and OpenSSH's fastest: by itself its program takes another."""


@dataclass(frozen=True, slots=True)
class PrivateSshd:
    """An OpenSSH server of this process's own user, on loopback, with keys of its own.

    ``home``: the folder that clients see. ``private_key``: the one that it lets in.
    """

    port: int
    home: Path
    private_key: Path
    host_key: str
    process: int

    def as_server(self, name: str = "loopback") -> SftpAccount:
        """It, as a connection wants it."""
        return SftpAccount(
            name=name,
            host=_HOST,
            port=self.port,
            user=getpass.getuser(),
            host_keys=(self.host_key,),
        )

    def credentials(self) -> Credentials:
        """What it lets in."""
        return Credentials(self.private_key.read_text())


@contextmanager
def private_sshd(folder: Path, *settings: str, home: Path | None = None) -> Iterator[PrivateSshd]:
    """An sshd that keeps everything in ``folder``, until the end of the block.

    ``settings``: further lines of its configuration, which weigh more than those made here.
    ``home``: the folder that clients see, if another. Raises PermanentError where there is no sshd,
    or it does not start.
    """
    sshd = _program("sshd", "openssh-server")
    if os.geteuid() == 0:
        # sshd wants to be somewhere empty while it is not root; Debian's service makes the folder.
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    home = home or folder / "home"
    home.mkdir(exist_ok=True)
    for name in ("host_key", "user_key"):
        if not (folder / name).exists():
            make_key(folder / name)
    shutil.copyfile(folder / "user_key.pub", folder / "authorized_keys")
    configuration = "\n".join(
        [
            *settings,
            f"ListenAddress {_HOST}",
            f"HostKey {folder / 'host_key'}",
            f"AuthorizedKeysFile {folder / 'authorized_keys'}",
            f"ForceCommand internal-sftp -d {home}",
            "Subsystem sftp internal-sftp",
            "AuthenticationMethods publickey",
            "PermitRootLogin prohibit-password",
            "UsePAM no",
            "PidFile none",
            # The folder is our own; what is above it is not for sshd to judge.
            "StrictModes no",
            "",
        ]
    )
    (folder / "sshd_config").write_text(configuration)
    process, port = _started(sshd, folder)
    try:
        host_key = (folder / "host_key.pub").read_text()
        yield PrivateSshd(port, home, folder / "user_key", host_key, process.pid)
    finally:
        sessions = _children(process.pid)
        process.terminate()
        process.wait()
        for session in sessions:
            _terminate(session)


def make_key(path: Path, *kind: str) -> None:
    """A new pair of keys: ``path`` and ``path.pub``. Ed25519 unless ssh-keygen is told another."""
    keygen = _program("ssh-keygen", "openssh-client")
    subprocess.run(
        [keygen, "-q", "-N", "", "-C", "", "-f", path, *(kind or ("-t", "ed25519"))], check=True
    )


def _program(name: str, package: str) -> str:
    # sshd is where only root's path leads.
    found = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/local/sbin:/usr/sbin")
    if found is None:
        msg = f"{name} is not installed: install {package} (apt-get install {package})"
        raise PermanentError(msg)
    return found


def _started(sshd: str, folder: Path) -> tuple[subprocess.Popen[bytes], int]:
    """The running sshd, and its port."""
    log = folder / "sshd.log"
    for _ in range(_PORTS_TRIED):
        port = _free_port()
        with log.open("wb") as written:
            process = subprocess.Popen(
                [sshd, "-D", "-e", "-f", folder / "sshd_config", "-p", str(port)],
                stderr=written,
                stdout=written,
            )
        if _greets(port, process):
            return process, port
        process.kill()
        process.wait()
        if "Address already in use" not in log.read_text():
            break
    msg = f"sshd did not start: {log.read_text().strip()}"
    raise PermanentError(msg)


_PORTS_TRIED = 5
"""A port that is free may be taken before sshd takes it."""


def _free_port() -> int:
    with socket.socket() as free:
        free.bind((_HOST, 0))
        port: int = free.getsockname()[1]
        return port


def _greets(port: int, process: subprocess.Popen[bytes]) -> bool:
    """Whether it does so in time; False where it ended instead."""
    ends = time.monotonic() + _START_SECONDS
    while time.monotonic() < ends and process.poll() is None:
        try:
            with socket.create_connection((_HOST, port), timeout=1) as greeted:
                if greeted.recv(4) == b"SSH-":
                    return True
        except OSError:
            time.sleep(0.02)
    return False


def _children(process: int) -> list[int]:
    """The sessions of an sshd: they outlive it. None where the system does not tell."""
    path = Path(f"/proc/{process}/task/{process}/children")
    return [int(child) for child in path.read_text().split()] if path.exists() else []


def _terminate(process: int) -> None:
    try:
        os.kill(process, 15)
    except ProcessLookupError:
        return


@dataclass(frozen=True, slots=True)
class SftpFigures:
    """Seconds, medians of all rounds, each with its connection. ``wrong``: files that differed.

    ``verified``: an upload whose files are read back and compared, which OpenSSH's program does
    not do.
    """

    files: int
    mebibytes: float
    rounds: int
    openssh_upload: float
    upload: float
    verified: float
    openssh_fetch: float
    fetch: float
    wrong: int

    @property
    def upload_ratio(self) -> float:
        """Our throughput as a share of OpenSSH's."""
        return self.openssh_upload / self.upload

    @property
    def verified_ratio(self) -> float:
        """The same, files read back."""
        return self.openssh_upload / self.verified

    @property
    def fetch_ratio(self) -> float:
        """The same for what is fetched."""
        return self.openssh_fetch / self.fetch


def measure_sftp(*, megabytes: int, small_files: int, rounds: int) -> list[SftpFigures]:
    """One large file, and many small ones, to a server on this machine and back from there."""
    openssh = _program("sftp", "openssh-client")
    with tempfile.TemporaryDirectory(prefix="ccgi-bench-") as made:
        folder = Path(made)
        with private_sshd(folder) as sshd:
            small = [folder / f"small-{place}" for place in range(small_files)]
            size = max(megabytes * 10**6 - small_files * SMALL_FILE, 1)
            return [
                _measure(openssh, sshd, _written([folder / "large"], size), rounds),
                _measure(openssh, sshd, _written(small, SMALL_FILE), rounds),
            ]


def _written(paths: Sequence[Path], size: int) -> Sequence[Path]:
    # Random, so that nothing on the way can make them smaller.
    noise = random.Random(1).randbytes(min(size, _MEBIBYTE))  # noqa: S311 - nothing is secret
    for path in paths:
        with path.open("wb") as file:
            for start in range(0, size, len(noise)):
                file.write(noise[: size - start])
    return paths


def _sftp(program: str, sshd: PrivateSshd, batch: str) -> None:
    """OpenSSH's program, with the same key and as suspicious as ours."""
    known = sshd.home.parent / "known_hosts"
    known.write_text(f"[{_HOST}]:{sshd.port} {sshd.host_key}")
    options = [f"UserKnownHostsFile={known}", "StrictHostKeyChecking=yes", f"Ciphers={_CIPHER}"]
    done = subprocess.run(
        [
            program,
            "-q",
            *("-F", "none", "-b", "-", "-i", sshd.private_key, "-P", str(sshd.port)),
            *(part for option in options for part in ("-o", option)),
            f"{getpass.getuser()}@{_HOST}",
        ],
        input=batch,
        text=True,
        check=False,
        capture_output=True,
    )
    if done.returncode:
        msg = f"sftp failed: {done.stderr.strip()}"
        raise PermanentError(msg)


def _known(path: Path) -> tuple[int, str]:
    with path.open("rb") as file:
        return path.stat().st_size, hashlib.file_digest(file, "sha256").hexdigest()


def _measure(openssh: str, sshd: PrivateSshd, files: Sequence[Path], rounds: int) -> SftpFigures:
    """The ways take turns: what else happens on the machine meets all of them."""
    server, credentials = sshd.as_server(), sshd.credentials()
    back = sshd.home.parent / "back"
    known = {path: _known(path) for path in files}
    wrong = 0

    def with_ours(does: Callable[[Connection, Path], bool]) -> None:
        nonlocal wrong
        with connect(server, credentials) as connection:
            wrong += sum(not does(connection, path) for path in files)

    def with_openssh(command: Callable[[Path], str]) -> None:
        batch = "\n".join(map(command, files))
        _sftp(openssh, sshd, batch)

    def upload(connection: Connection, path: Path) -> bool:
        return connection.upload(path, f"{path.name}.part") == known[path][0]

    def upload_verified(connection: Connection, path: Path) -> bool:
        upload(connection, path)
        return connection.read_back(f"{path.name}.part") == known[path]

    def fetch(connection: Connection, path: Path) -> bool:
        with back.open("wb") as file:
            return connection.fetch(path.name, file) == known[path]

    ways: dict[str, Callable[[], None]] = {
        "openssh_upload": partial(with_openssh, lambda path: f"put {path} {path.name}"),
        "upload": partial(with_ours, upload),
        "verified": partial(with_ours, upload_verified),
        "openssh_fetch": partial(with_openssh, lambda path: f"get {path.name} {back}"),
        "fetch": partial(with_ours, fetch),
    }
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(rounds):
        for way, go in ways.items():
            started = time.perf_counter()
            go()
            seconds[way].append(time.perf_counter() - started)
    return SftpFigures(
        files=len(files),
        mebibytes=sum(path.stat().st_size for path in files) / _MEBIBYTE,
        rounds=rounds,
        **{way: median(taken) for way, taken in seconds.items()},
        wrong=wrong,
    )
