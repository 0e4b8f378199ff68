"""GnuPG as a process: encrypting, decrypting and handling keys in a home of its own.

Belongs here: how ``gpg`` is called, and feeding it while its answers are read. Does not belong
here: what its status words mean (``openpgp``), which keys are kept (``openpgp_keys``).

Each home is a new folder that only this account may enter. It is removed, and its agent ended, when
the work is done. GnuPG gets no configuration, no network and no terminal. Passphrases go through a
pipe. Nothing that it writes for people is read or kept, because it may repeat names.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Final, Protocol, Self

from ccgi_pipeline.common.environment import read_variable
from ccgi_pipeline.common.errors import PermanentError
from ccgi_pipeline.encryption.openpgp import (
    MessageFault,
    MessageStatus,
    MessageWalk,
    PublicKey,
    find_armor,
    is_newer_form,
    judge_message,
    parse_keys,
    read_recipients,
    strip_armor,
)

PASSPHRASE = "CCGI_OPENPGP_PASSPHRASE"  # noqa: S105 - a variable's name
"""Environment variable: the passphrase of the installation's private keys (or ``..._FILE``)."""

SHORTEST_PASSPHRASE = 20
"""Characters."""

_CHUNK = 1 << 16
_SECONDS = 300.0
"""How long a call may take in which nothing goes in and nothing comes out."""
_AGENT = "s2k-count 65536\ndisable-scdaemon\n"
"""The passphrase is long (``SHORTEST_PASSPHRASE``), so many rounds would only cost time: half a
second for each message."""
_LONGEST_HOME = 60
"""Characters: the path of the agent's socket must have less than a hundred."""
_OPTIONS: Final = (
    *("--no-options", "--batch", "--no-tty", "--quiet", "--no-greeting", "--yes"),
    *("--no-auto-key-locate", "--no-auto-key-retrieve", "--disable-dirmngr"),
    *("--trust-model", "always", "--no-auto-check-trustdb", "--no-random-seed-file"),
    *("--exit-on-status-write-error", "--pinentry-mode", "loopback"),
)


class Writer(Protocol):
    """Whatever takes bytes."""

    def write(self, data: bytes, /) -> object:
        """Takes a piece."""


class GnupgMissingError(PermanentError):
    """GnuPG is not installed, and a district's settings need it."""


class GnupgError(PermanentError):
    """GnuPG failed at what it should do; the message says what."""


def find_gpg() -> str:
    """Returns the path of the program ``gpg``. Raises GnupgMissingError."""
    found = shutil.which("gpg")
    if found is None:
        msg = (
            "OpenPGP needs GnuPG, and there is no program gpg on this machine: install it "
            "(Debian and Ubuntu: apt-get install gnupg), or set PATH so that it is found"
        )
        raise GnupgMissingError(msg)
    return found


def read_passphrase(environment: Mapping[str, str] = os.environ) -> str | None:
    """Returns the passphrase of the installation's keys, if the environment has one."""
    written = read_variable(environment, PASSPHRASE, PermanentError)
    passphrase = written.rstrip("\r\n") if written else None
    if passphrase is not None and len(passphrase) < SHORTEST_PASSPHRASE:
        msg = (
            f"{PASSPHRASE} has fewer than {SHORTEST_PASSPHRASE} characters: set a random one, as "
            "`ccgi encryption new-key` prints it"
        )
        raise PermanentError(msg)
    return passphrase


@dataclass(slots=True)
class _Answer:
    """What a call of GnuPG came to. ``output``: what it wrote, if nobody else took it."""

    status: list[str] = field(default_factory=list)
    output: bytes = b""
    code: int = 0
    killed: bool = False


class _TooMuchError(Exception):
    """More came out of a message than it may hold."""


class GnupgHome:
    """A home of GnuPG that exists for one piece of work; use it in a ``with`` statement.

    ``passphrase``: that of the private keys. ``at``: another time than now, for tests and drills
    (as ``--faked-system-time`` takes it).
    """

    def __init__(self, passphrase: str | None = None, at: str | None = None) -> None:
        """Makes the folder. Raises GnupgMissingError."""
        self._gpg = find_gpg()
        self._passphrase, self._at = passphrase, at
        place = Path(tempfile.gettempdir())
        if len(str(place)) > _LONGEST_HOME:
            place = Path("/tmp")  # noqa: S108 - the folder in it is made new, for its owner only
        _remove_abandoned_homes(place)
        self.folder = Path(tempfile.mkdtemp(prefix=_PREFIX_OF_HOMES, dir=place))
        self._held = os.open(self.folder, os.O_RDONLY)
        fcntl.flock(self._held, fcntl.LOCK_EX)
        (self.folder / "gpg-agent.conf").write_text(_AGENT)
        self._lock = threading.Lock()
        self._key_ids: frozenset[str] | None = None
        self._passphrase_fits: bool | None = None

    def __enter__(self) -> Self:
        """Returns itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Ends the agent and removes the folder."""
        self.close()

    def close(self) -> None:
        """Ends the agent and removes the folder."""
        for what in (("--kill", "all"), ("--remove-socketdir",)):
            subprocess.run(
                [str(Path(self._gpg).with_name("gpgconf")), "--homedir", str(self.folder), *what],
                env=_environment(self.folder),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                check=False,
            )
        shutil.rmtree(self.folder, ignore_errors=True)
        with suppress(OSError):
            os.close(self._held)

    # --- keys -------------------------------------------------------------------------------------

    def import_key(self, block: bytes) -> None:
        """Adds a public or private key, or merges it with what is there."""
        answer = self._call("--import-options", "import-minimal", "--import", feed=[block])
        self._key_ids = self._passphrase_fits = None
        if not any(line.startswith(("IMPORT_OK", "IMPORTED")) for line in answer.status):
            msg = "GnuPG cannot read this key: have it exported and sent again, as a file"
            raise GnupgError(msg)

    def list_keys(self, *, secret: bool = False) -> str:
        """Returns the listing of all keys, for ``parse_keys``."""
        kind = "--list-secret-keys" if secret else "--list-keys"
        options = ("--with-colons", "--fixed-list-mode", "--with-subkey-fingerprint")
        return self._call(*options, kind).output.decode(errors="replace")

    def read_keys(self, *, secret: bool = False) -> list[PublicKey]:
        """Returns all keys."""
        return parse_keys(self.list_keys(secret=secret))

    def export_key(self, fingerprint: str, *, armor: bool = False) -> bytes:
        """Returns a public key with its owner's own signatures only."""
        options = ("--armor",) if armor else ()
        minimal = ("--export-options", "export-minimal")
        return self._call(*options, *minimal, "--export", fingerprint).output

    def export_secret_key(self, fingerprint: str) -> bytes:
        """Returns a private key, protected by the passphrase as it is in the home."""
        exported = self._call("--export-secret-keys", fingerprint, secret=True).output
        if not exported:
            msg = f"GnuPG does not give out the private key: is {PASSPHRASE} its passphrase?"
            raise GnupgError(msg)
        return exported

    def create_key(self, name: str, *, bits: int, expires: str, encrypts: bool) -> PublicKey:
        """Makes an RSA key that every program of the last twenty years can use.

        ``expires`` is in GnuPG's form, such as ``2y``. ``encrypts``: with an encryption subkey;
        without one it only signs.
        """
        # A key that GnuPG 2.3 or later makes by itself asks senders for a form (packet 20) that
        # most other programs cannot read.
        plain = ("--rfc4880", "--cert-digest-algo", "SHA512", "--default-preference-list",
                 "AES256 AES192 AES SHA512 SHA384 SHA256 ZLIB ZIP Uncompressed")  # fmt: skip
        self._call(*plain, "--quick-gen-key", name, f"rsa{bits}", "cert,sign", expires, secret=True)
        made = self.read_keys()
        if made and encrypts:
            fingerprint = made[0].fingerprint
            self._call(
                *plain, "--quick-add-key", fingerprint, f"rsa{bits}", "encr", expires, secret=True
            )
            made = self.read_keys()
        if not made or (encrypts and not made[0].encryption_parts):
            msg = "GnuPG could not make the key"
            raise GnupgError(msg)
        return made[0]

    # --- messages ---------------------------------------------------------------------------------

    def encrypt(
        self,
        pieces: Iterable[bytes],
        out: Writer,
        recipients: Iterable[PublicKey],
        *,
        armor: bool = False,
        compress: bool = True,
        signer: str | None = None,
    ) -> None:
        """Encrypts ``pieces`` to all ``recipients`` into ``out``. Raises GnupgError.

        The written message is compared with what was wanted: its form, and its recipients.
        """
        keys = [*recipients]
        compression = ("-z", "1") if compress else ("--compress-algo", "none")
        signing = ("--sign", "--local-user", f"{signer}!") if signer else ()
        head = bytearray()

        def take(piece: bytes) -> None:
            if len(head) < _HEAD:
                head.extend(piece[: _HEAD - len(head)])
            out.write(piece)

        answer = self._call(
            "--rfc4880",
            *("--cipher-algo", "AES256", "--digest-algo", "SHA256", *compression, *signing),
            *(["--armor"] if armor else []),
            *(word for key in keys for word in ("--recipient", key.fingerprint)),
            "--encrypt",
            feed=pieces,
            take=take,
            secret=bool(signer),
        )
        begun = [line.split(" ") for line in answer.status if line.startswith("BEGIN_ENCRYPTION")]
        ended = any(line.startswith("END_ENCRYPTION") for line in answer.status)
        whole = len(begun) == 1 and begun[0][1] == "2" and ended and answer.code == 0
        if not keys or answer.killed or not whole:
            msg = f"GnuPG did not encrypt: {_describe_failure(answer.status)}"
            raise GnupgError(msg)
        wrote = sorted(read_recipients(_unarmored(bytes(head)) if armor else bytes(head)))
        if len(wrote) != len(keys) or not all(
            any(key_id == part.key_id for key_id in wrote for part in key.encryption_parts)
            for key in keys
        ):
            msg = "GnuPG encrypted to other keys than it was told: nothing of it is used"
            raise GnupgError(msg)

    def decrypt(self, pieces: Iterable[bytes], out: Writer, limit: float) -> MessageStatus:
        """Decrypts a message into ``out``, at most ``limit`` bytes, and returns what it was.

        Nothing in ``out`` may be used unless the status has no fault: damage shows at the end.
        """
        written = 0

        def take(piece: bytes) -> None:
            nonlocal written
            written += len(piece)
            if written > limit:
                raise _TooMuchError
            out.write(piece)

        reading = _Reading()
        try:
            answer = self._call("--decrypt", feed=reading.feed(pieces), take=take, secret=True)
        except _TooMuchError:
            return MessageStatus(MessageFault.TOO_LARGE)
        status = judge_message(answer.status, self._own_key_ids(), killed=answer.killed)
        if status.fault is not None and is_newer_form(reading.head):
            return replace(status, fault=MessageFault.NEWER_FORM)
        if status.fault in _MAYBE_OWN and not status.opened_by and not self._keys_open():
            return replace(status, fault=MessageFault.OWN_FAULT)
        if reading.several and status.fault in {None, MessageFault.DAMAGED}:
            return replace(status, fault=MessageFault.JOINED)
        return status

    def _own_key_ids(self) -> frozenset[str]:
        """Returns the key ids of all private keys in the home."""
        if self._key_ids is None:
            keys = self.read_keys(secret=True)
            parts = [part for key in keys for part in (key.primary, *key.subkeys)]
            self._key_ids = frozenset(part.key_id for part in parts)
        return self._key_ids

    def _keys_open(self) -> bool:
        """Returns whether the passphrase opens the private keys that decrypt.

        A message whose session key is damaged fails in the same way as one that comes while the
        passphrase is wrong, and only the first is the sender's fault.
        """
        if self._passphrase_fits is None:
            keys = [key for key in self.read_keys(secret=True) if key.encryption_parts]
            self._passphrase_fits = all(self._opens(key) for key in keys)
        return self._passphrase_fits

    def _opens(self, key: PublicKey) -> bool:
        probe = self._call(
            *("--rfc4880", "--cipher-algo", "AES256", "--ignore-time-conflict"),
            *("--recipient", key.fingerprint, "--encrypt"),
            feed=[b"probe"],
        ).output
        # Nothing can be encrypted to an expired key, so nothing is known of its passphrase.
        return not probe or self._call("--decrypt", feed=[probe], secret=True).output == b"probe"

    # --- the process ------------------------------------------------------------------------------

    def _call(
        self,
        *arguments: str,
        feed: Iterable[bytes] = (),
        take: Callable[[bytes], None] | None = None,
        secret: bool = False,
    ) -> _Answer:
        """Runs ``gpg`` once: ``feed`` goes in, ``take`` gets what comes out, piece by piece."""
        with self._lock:  # GnuPG's files of keys are made for one process at a time
            return self._run([*arguments], feed, take, secret=secret)

    def _run(
        self,
        arguments: list[str],
        feed: Iterable[bytes],
        take: Callable[[bytes], None] | None,
        *,
        secret: bool,
    ) -> _Answer:
        answer, kept = _Answer(), bytearray()
        status_out, status_in = os.pipe()
        passed = [status_in]
        command = [self._gpg, *_OPTIONS, "--homedir", str(self.folder), "--status-fd"]
        command.append(str(status_in))
        if self._at:
            command += ["--faked-system-time", self._at]
        if secret:
            words_out, words_in = os.pipe()
            os.write(words_in, (self._passphrase or "").encode() + b"\n")
            os.close(words_in)
            command += ["--passphrase-fd", str(words_out)]
            passed.append(words_out)
        try:
            process = subprocess.Popen(
                [*command, *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                pass_fds=passed,
                env=_environment(self.folder),
            )
        except BaseException:
            os.close(status_out)
            raise
        finally:
            for descriptor in passed:
                os.close(descriptor)
        clock = _Deadline(process, answer)
        feeder = _Feeder(process, feed, clock)
        statuses = threading.Thread(target=_read_status, args=(status_out, answer.status))
        statuses.start()
        feeder.start()
        try:
            while piece := _read_some(process):
                clock.extend()
                if take is None:
                    kept.extend(piece)
                else:
                    take(piece)
        except BaseException:
            process.kill()
            raise
        finally:
            answer.code = process.wait()
            clock.cancel()
            feeder.join()
            statuses.join()
            if process.stdout is not None:
                process.stdout.close()
        if feeder.error is not None:
            raise feeder.error
        answer.output = bytes(kept)
        return answer


_MAYBE_OWN = {MessageFault.DAMAGED, MessageFault.OTHER_KEY}
_HEAD = 1 << 16
"""Bytes of a message in which all its recipients stand."""


_PREFIX_OF_HOMES = "ccgi-gpg-"
_ABANDONED = 3600.0
"""Seconds: no process takes so long to lock the home that it has made."""


def _remove_abandoned_homes(place: Path) -> None:
    """Removes the homes of processes that were killed; their agents end when the home is gone."""
    for folder in place.glob(f"{_PREFIX_OF_HOMES}*"):
        with suppress(OSError):
            if time.time() - folder.stat().st_mtime < _ABANDONED:
                continue
            held = os.open(folder, os.O_RDONLY)
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(held)


def _environment(folder: Path) -> dict[str, str]:
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "HOME": str(folder)}


def _read_some(process: subprocess.Popen[bytes]) -> bytes:
    return os.read(process.stdout.fileno(), _CHUNK) if process.stdout is not None else b""


def _read_status(descriptor: int, lines: list[str]) -> None:
    with os.fdopen(descriptor, "rb") as status:
        lines.extend(
            line[len(_PREFIX) :].decode(errors="replace").rstrip("\r\n")
            for line in status
            if line.startswith(_PREFIX)
        )


_PREFIX = b"[GNUPG:] "


class _Deadline:
    """Kills a process that makes no progress for too long."""

    def __init__(self, process: subprocess.Popen[bytes], answer: _Answer) -> None:
        self._process, self._answer = process, answer
        self._seen, self._over = time.monotonic(), threading.Event()
        self._watch = threading.Thread(target=self._wait, daemon=True)
        self._watch.start()

    def _wait(self) -> None:
        while not self._over.wait(max(0.0, self._seen + _SECONDS - time.monotonic())):
            if time.monotonic() - self._seen >= _SECONDS:
                self._answer.killed = True
                self._process.kill()
                return

    def extend(self) -> None:
        """Starts the time again, because something went in or came out."""
        self._seen = time.monotonic()

    def cancel(self) -> None:
        """Ends the waiting."""
        self._over.set()
        self._watch.join()


class _Feeder(threading.Thread):
    """Writes the pieces into the process; its error, if there is one, is raised by the caller."""

    def __init__(
        self, process: subprocess.Popen[bytes], pieces: Iterable[bytes], clock: _Deadline
    ) -> None:
        super().__init__()
        self._process, self._pieces, self._clock = process, pieces, clock
        self.error: Exception | None = None

    def run(self) -> None:
        """Writes until the end, or until the process wants no more."""
        stdin = self._process.stdin
        if stdin is None:
            return
        try:
            with suppress(BrokenPipeError):  # GnuPG has read enough; its status says why
                for piece in self._pieces:
                    stdin.write(piece)
                    self._clock.extend()
        except Exception as error:  # noqa: BLE001 - it is raised again where the call is made
            self.error = error
            self._process.kill()
        finally:
            with suppress(BrokenPipeError):
                stdin.close()


class _Reading:
    """Looks at a message while it is fed: its beginning, and how many armored messages it has.

    What a mailer put before the armor is left out, because GnuPG takes some of it for packets. Of
    several armored messages GnuPG reads the first and passes over the others.
    """

    def __init__(self) -> None:
        self.head, self._armored = b"", False
        self._messages, self._end, self._walk = 0, b"", MessageWalk()

    @property
    def several(self) -> bool:
        """Whether another message follows the first."""
        return self._messages > 1 or self._walk.another

    def feed(self, pieces: Iterable[bytes]) -> Iterator[bytes]:
        """Yields the pieces, from the first armored block on if there is one."""
        begun = False
        for piece in pieces:
            if begun:
                yield self._counted(piece)
                continue
            self.head += piece
            if len(self.head) >= _HEAD:
                begun = True
                yield self._begin()
        if not begun:
            yield self._begin()

    def _begin(self) -> bytes:
        found = find_armor(self.head)
        self._armored = found is not None
        content = self.head[found[0] :] if found else self.head
        self.head = _unarmored(content) if found else content
        return self._counted(content)

    def _counted(self, piece: bytes) -> bytes:
        if self._armored:
            seen = self._end + piece
            self._messages += seen.count(_BEGIN)
            self._end = seen[1 - len(_BEGIN) :]
        else:
            self._walk.feed(piece)
        return piece


_BEGIN = b"-----BEGIN PGP MESSAGE-----"


def _unarmored(head: bytes) -> bytes:
    """Returns the packets at the beginning of an armored message."""
    lines = head.rpartition(b"\n")[0]
    return strip_armor(lines if b"-----END" in lines else lines + b"\n-----END")


_REASONS = {
    "KEYEXPIRED": "a key has expired",
    "KEYREVOKED": "a key is revoked",
    "INV_RECP": "a recipient's key cannot be used",
    "INV_SGNR": "the signing key cannot be used",
    "BAD_PASSPHRASE": f"{PASSPHRASE} is not the passphrase of the signing key",
    "MISSING_PASSPHRASE": f"{PASSPHRASE} is not set",
}


def _describe_failure(status: Iterable[str]) -> str:
    words = {line.partition(" ")[0] for line in status}
    return ", ".join(said for word, said in _REASONS.items() if word in words) or "no reason given"
