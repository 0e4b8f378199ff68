"""The benchmark of SFTP transfers: ``ccgi bench sftp``.

Belongs here: a temporary OpenSSH server, and moving the same files to and from it with OpenSSH's
client and with the pipeline's. Does not belong here: printing the figures.
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
"""OpenSSH's fastest cipher that both clients have; by default its client uses another one."""


@dataclass(frozen=True, slots=True)
class PrivateSshd:
    """A running OpenSSH server of this user, on loopback, with its own keys.

    ``home``: the folder that clients see. ``private_key``: the key that opens it.
    """

    port: int
    home: Path
    private_key: Path
    host_key: str
    process: int

    def as_server(self, name: str = "loopback") -> SftpAccount:
        """Returns the account for a connection."""
        return SftpAccount(
            name=name,
            host=_HOST,
            port=self.port,
            user=getpass.getuser(),
            host_keys=(self.host_key,),
        )

    def credentials(self) -> Credentials:
        """Returns the credentials that open it."""
        return Credentials(self.private_key.read_text())


@contextmanager
def run_private_sshd(
    folder: Path, *settings: str, home: Path | None = None
) -> Iterator[PrivateSshd]:
    """Runs an sshd with all its files in ``folder``, until the end of the block.

    ``settings``: further lines of its configuration, which override the ones made here. ``home``:
    the folder that clients see, if not the one in ``folder``. Raises PermanentError if sshd is not
    installed or does not start.
    """
    sshd = _find_program("sshd", "openssh-server")
    if os.geteuid() == 0:
        # sshd needs this empty folder for its unprivileged process; Debian's service makes it.
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
            # sshd must not check the folders above this one.
            "StrictModes no",
            "",
        ]
    )
    (folder / "sshd_config").write_text(configuration)
    process, port = _start(sshd, folder)
    try:
        host_key = (folder / "host_key.pub").read_text()
        yield PrivateSshd(port, home, folder / "user_key", host_key, process.pid)
    finally:
        sessions = _find_children(process.pid)
        process.terminate()
        process.wait()
        for session in sessions:
            _terminate(session)


def make_key(path: Path, *kind: str) -> None:
    """Makes a pair of keys, ``path`` and ``path.pub``: Ed25519, or ``kind`` for ssh-keygen."""
    keygen = _find_program("ssh-keygen", "openssh-client")
    subprocess.run(
        [keygen, "-q", "-N", "", "-C", "", "-f", path, *(kind or ("-t", "ed25519"))], check=True
    )


def _find_program(name: str, package: str) -> str:
    # sshd is in folders that only root's PATH has.
    found = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/local/sbin:/usr/sbin")
    if found is None:
        msg = f"{name} is not installed: install {package} (apt-get install {package})"
        raise PermanentError(msg)
    return found


def _start(sshd: str, folder: Path) -> tuple[subprocess.Popen[bytes], int]:
    """Starts sshd; returns its process and port."""
    log = folder / "sshd.log"
    for _ in range(_PORTS_TRIED):
        port = _free_port()
        with log.open("wb") as written:
            process = subprocess.Popen(
                [sshd, "-D", "-e", "-f", folder / "sshd_config", "-p", str(port)],
                stderr=written,
                stdout=written,
            )
        if _wait_for_greeting(port, process):
            return process, port
        process.kill()
        process.wait()
        if "Address already in use" not in log.read_text():
            break
    msg = f"sshd did not start: {log.read_text().strip()}"
    raise PermanentError(msg)


_PORTS_TRIED = 5
"""A free port may be taken by another process before sshd listens on it."""


def _free_port() -> int:
    with socket.socket() as free:
        free.bind((_HOST, 0))
        port: int = free.getsockname()[1]
        return port


def _wait_for_greeting(port: int, process: subprocess.Popen[bytes]) -> bool:
    """Waits for sshd's greeting; returns False if it ends or does not greet in time."""
    ends = time.monotonic() + _START_SECONDS
    while time.monotonic() < ends and process.poll() is None:
        try:
            with socket.create_connection((_HOST, port), timeout=1) as greeted:
                if greeted.recv(4) == b"SSH-":
                    return True
        except OSError:
            time.sleep(0.02)
    return False


def _find_children(process: int) -> list[int]:
    """Returns the sessions of an sshd, which outlive it; none if the system cannot list them."""
    path = Path(f"/proc/{process}/task/{process}/children")
    return [int(child) for child in path.read_text().split()] if path.exists() else []


def _terminate(process: int) -> None:
    try:
        os.kill(process, 15)
    except ProcessLookupError:
        return


@dataclass(frozen=True, slots=True)
class SftpFigures:
    """Median seconds of all rounds, connecting included. ``wrong``: files that differed.

    ``verified``: an upload whose files are read back and compared, which OpenSSH's client does not
    do.
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
        """The pipeline's throughput of uploads as a share of OpenSSH's."""
        return self.openssh_upload / self.upload

    @property
    def verified_ratio(self) -> float:
        """The same with files read back."""
        return self.openssh_upload / self.verified

    @property
    def fetch_ratio(self) -> float:
        """The same for fetching."""
        return self.openssh_fetch / self.fetch


def measure_sftp(*, megabytes: int, small_files: int, rounds: int) -> list[SftpFigures]:
    """Measures one large file and many small ones, to a server on this machine and back."""
    openssh = _find_program("sftp", "openssh-client")
    with tempfile.TemporaryDirectory(prefix="ccgi-bench-") as made:
        folder = Path(made)
        with run_private_sshd(folder) as sshd:
            small = [folder / f"small-{place}" for place in range(small_files)]
            size = max(megabytes * 10**6 - small_files * SMALL_FILE, 1)
            return [
                _measure(openssh, sshd, _write_files([folder / "large"], size), rounds),
                _measure(openssh, sshd, _write_files(small, SMALL_FILE), rounds),
            ]


def _write_files(paths: Sequence[Path], size: int) -> Sequence[Path]:
    # Random bytes cannot be compressed on the way.
    noise = random.Random(1).randbytes(min(size, _MEBIBYTE))  # noqa: S311 - nothing is secret
    for path in paths:
        with path.open("wb") as file:
            for start in range(0, size, len(noise)):
                file.write(noise[: size - start])
    return paths


def _run_openssh(program: str, sshd: PrivateSshd, batch: str) -> None:
    """Runs OpenSSH's client with the same key, cipher and check of the host key."""
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


def _hash_file(path: Path) -> tuple[int, str]:
    with path.open("rb") as file:
        return path.stat().st_size, hashlib.file_digest(file, "sha256").hexdigest()


def _measure(openssh: str, sshd: PrivateSshd, files: Sequence[Path], rounds: int) -> SftpFigures:
    """Measures all transfers in turn, so that other load of the machine affects all of them."""
    server, credentials = sshd.as_server(), sshd.credentials()
    back = sshd.home.parent / "back"
    known = {path: _hash_file(path) for path in files}
    wrong = 0

    def with_ours(does: Callable[[Connection, Path], bool]) -> None:
        nonlocal wrong
        with connect(server, credentials) as connection:
            wrong += sum(not does(connection, path) for path in files)

    def with_openssh(command: Callable[[Path], str]) -> None:
        batch = "\n".join(map(command, files))
        _run_openssh(openssh, sshd, batch)

    def upload(connection: Connection, path: Path) -> bool:
        return connection.upload(path, f"{path.name}.part") == known[path][0]

    def upload_verified(connection: Connection, path: Path) -> bool:
        upload(connection, path)
        return connection.read_back(f"{path.name}.part") == known[path]

    def fetch(connection: Connection, path: Path) -> bool:
        with back.open("wb") as file:
            return connection.fetch(path.name, file, path.stat().st_size) == known[path]

    transfers: dict[str, Callable[[], None]] = {
        "openssh_upload": partial(with_openssh, lambda path: f"put {path} {path.name}"),
        "upload": partial(with_ours, upload),
        "verified": partial(with_ours, upload_verified),
        "openssh_fetch": partial(with_openssh, lambda path: f"get {path.name} {back}"),
        "fetch": partial(with_ours, fetch),
    }
    seconds: dict[str, list[float]] = {name: [] for name in transfers}
    for _ in range(rounds):
        for name, transfer in transfers.items():
            started = time.perf_counter()
            transfer()
            seconds[name].append(time.perf_counter() - started)
    return SftpFigures(
        files=len(files),
        mebibytes=sum(path.stat().st_size for path in files) / _MEBIBYTE,
        rounds=rounds,
        **{name: median(taken) for name, taken in seconds.items()},
        wrong=wrong,
    )
