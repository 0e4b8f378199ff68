"""An SFTP server in a thread, over a real folder, that fails in one way at a time.

Belongs here: the faults, and when they strike. What may come of each is for the tests to say.

Example::

    with FaultyServer(folder, Fault.CUT_AT_HALF, Direction.UP, times=1) as server:
        with connect(server.as_server(), server.credentials()) as connection:
            ...
"""

from __future__ import annotations

import contextlib
import os
import socket
import stat
import threading
from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass
from enum import Enum, StrEnum
from pathlib import Path
from types import TracebackType
from typing import TypeVar

import paramiko
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from paramiko.sftp import (
    CMD_READDIR,
    CMD_VERSION,
    SFTP_FAILURE,
    SFTP_OK,
    SFTP_OP_UNSUPPORTED,
    SFTP_PERMISSION_DENIED,
)

from ccgi_pipeline.sftp.servers import Credentials, SftpAccount

ALREADY_EXISTS = 11
_HOST = "127.0.0.1"
_USER = "ccgi"
_DAY = 24 * 60 * 60


class Fault(Enum):
    """What goes wrong. ``NONE``: nothing."""

    NONE = "none"
    CUT_AT_0 = "the connection breaks before the first byte"
    CUT_AT_1 = "the connection breaks after one byte"
    CUT_AT_32768 = "the connection breaks after 32,768 bytes"
    CUT_AT_HALF = "the connection breaks after half of the bytes"
    CUT_BEFORE_LAST = "the connection breaks before the last byte"
    STALL = "no byte comes any more"
    RESET_IN_LISTING = "the connection is reset within a listing"
    NOT_PERMITTED = "files may not be opened"
    FOLDER_NOT_PERMITTED = "folders named 'locked' may not be listed"
    NO_SPACE = "the disk is full, told as a mere failure"
    QUOTA = "the quota is used up, told in words"
    NO_RENAME = "the server cannot rename"
    NO_POSIX_RENAME = "the server cannot rename in place of a file"
    POSIX_RENAME_ONLY_PROMISED = "the server says that it can, and cannot"
    TARGET_EXISTS = "renaming in place of a file is refused with a code of its own"
    MTIME_OF_ONE_SECOND = "times are whole seconds"
    MTIME_OF_TWO_SECONDS = "times are even seconds"
    CLOCK_A_DAY_AHEAD = "the clock is a day ahead"
    CLOCK_A_DAY_BEHIND = "the clock is a day behind"
    SYMLINK = "there are links"
    ODD_NAMES = "names are listed that no folder can hold"
    MANY_ENTRIES = "a folder has 10,000 files"
    NO_TYPES = "attributes have no bits that tell a file from a folder"
    NO_TIMES = "no time is told"
    TIMES_ARE_ZERO = "every time is told as that of 1970"
    NO_SIZES = "no size is told"
    NO_FACTS = "the server tells only the names of files"
    NO_FACTS_IN_LISTINGS = "listings have names only; a single file is told in full"
    NAMES_BUT_FOR_CASE = "names differ by case alone"
    WRONG_CREDENTIALS = "the credentials are refused"
    HOST_KEY_CHANGED = "the server has another host key"
    REKEY = "new session keys are agreed on all the time"
    NO_SFTP = "the account has no SFTP"
    SFTP_NEVER_STARTS = "the server says nothing when it is asked for SFTP"
    SLOW_BANNER = "the server greets late"
    RESTART = "the server restarts after half of the bytes"


class Direction(StrEnum):
    """Which way the files go."""

    DOWN = "down"
    UP = "up"


class Login(Enum):
    """What the server wants to see."""

    KEY = "publickey"
    PASSWORD = "password"  # noqa: S105 - the name of a method
    QUESTIONS = "keyboard-interactive"
    KEY_AND_PASSWORD = "publickey, then password"  # noqa: S105 - the same


CUTS = {
    Fault.CUT_AT_0: lambda _: 0,
    Fault.CUT_AT_1: lambda _: 1,
    Fault.CUT_AT_32768: lambda _: 32_768,
    Fault.CUT_AT_HALF: lambda size: size // 2,
    Fault.CUT_BEFORE_LAST: lambda size: size - 1,
    Fault.STALL: lambda size: size // 2,
    Fault.RESTART: lambda size: size // 2,
    Fault.NO_SPACE: lambda size: size // 2,
    Fault.QUOTA: lambda size: size // 2,
}
"""After how many bytes of a file these strike."""

HOSTILE_NAMES = [b"..", b".", b"", b"../escaped", b"/etc/passwd", b"nul\0name", b"x" * 300]

PASSWORD = "correct horse"  # noqa: S105 - of nobody


@dataclass
class FaultyServer:
    """The server; it runs within ``with``.

    ``times``: how often the fault strikes before the server is well again; always, if not given.
    ``upload_size``: of which file a half or a last byte is meant, on the way up. ``seconds``: how
    long it is late, or gone.
    """

    root: Path
    fault: Fault = Fault.NONE
    direction: Direction = Direction.DOWN
    _: KW_ONLY
    times: int | None = None
    upload_size: int = 0
    seconds: float = 0.5
    login: Login = Login.KEY
    struck: int = 0
    shown: int = 0
    """How many credentials it has seen."""

    def __post_init__(self) -> None:
        self._client_key, self.client_public_key = _key()
        self._host_key, self._host_public_key = _key()
        self._stopped, self._is_gone = threading.Event(), threading.Event()
        self._transports: list[paramiko.Transport] = []
        self._sessions: list[paramiko.SFTPServer] = []
        self._listener = _listening(0)
        self._port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> FaultyServer:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stopped.set()
        self.cut()
        self._thread.join()

    def as_server(self, *, handshake_timeout: float = 10, stall_timeout: float = 10) -> SftpAccount:
        """It, as a connection wants it; times are short, but not for a machine that is busy."""
        return SftpAccount(
            name="faulty",
            host=_HOST,
            port=self._port,
            user=_USER,
            host_keys=(_line(self._host_public_key),),
            connect_timeout=5,
            handshake_timeout=handshake_timeout,
            stall_timeout=stall_timeout,
        )

    def credentials(self) -> Credentials:
        """What it lets in."""
        password = None if self.login is Login.KEY else PASSWORD
        key = self._client_key if self.login in {Login.KEY, Login.KEY_AND_PASSWORD} else None
        return Credentials(key, password=password)

    # --- the fault --------------------------------------------------------------------------------

    def has(self, *faults: Fault) -> bool:
        """Whether it has one of these faults, and it may still strike."""
        return self.fault in faults and (self.times is None or self.struck < self.times)

    def limit(self, direction: Direction, size: int) -> int | None:
        """After how many bytes of a file of this size the fault strikes; None if it does not."""
        if direction != self.direction or not self.has(*CUTS):
            return None
        return CUTS[self.fault](size)

    def strike(self) -> int:
        """The fault strikes within a file. The status to answer with, if anybody still listens."""
        self.struck += 1
        if self.fault is Fault.STALL:
            self.wait_for_the_end()
        elif self.fault is Fault.RESTART:
            self._is_gone.set()
            self.cut()
        elif self.fault not in {Fault.NO_SPACE, Fault.QUOTA}:
            self.cut()
        return SFTP_FAILURE

    def wait_for_the_end(self) -> None:
        """Says nothing more."""
        self._stopped.wait()

    @property
    def open_handles(self) -> int:
        """Files and folders that clients have opened and not closed."""
        return sum(len(one.file_table) + len(one.folder_table) for one in self._sessions)

    def began(self, session: paramiko.SFTPServer) -> None:
        """A client has come in."""
        self._sessions.append(session)

    def cut(self) -> None:
        """Breaks all connections."""
        for transport in self._transports:
            transport.close()
        self._transports.clear()

    # --- being a server ---------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._stopped.is_set():
            with self._listener:
                self._accept()
            self._stopped.wait(self.seconds)
            self._is_gone.clear()
            self._listener = _listening(self._port)
        self._listener.close()

    def _accept(self) -> None:
        """Lets clients in, until the server is gone."""
        while not (self._stopped.is_set() or self._is_gone.is_set()):
            with contextlib.suppress(TimeoutError):
                accepted, _ = self._listener.accept()
                if self._is_gone.is_set():
                    accepted.close()
                else:
                    threading.Thread(target=self._greet, args=(accepted,), daemon=True).start()

    def _greet(self, accepted: socket.socket) -> None:
        if self.has(Fault.SLOW_BANNER):
            self.struck += 1
            self._stopped.wait(self.seconds)
        accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        transport = paramiko.Transport(accepted)
        if self.fault is Fault.REKEY:
            transport.packetizer.REKEY_BYTES = 200_000
        key = _key()[0] if self.has(Fault.HOST_KEY_CHANGED) else self._host_key
        transport.add_server_key(_private(key))
        if self.fault is not Fault.NO_SFTP:
            transport.set_subsystem_handler("sftp", _Sftp, _Files, self)
        self._transports.append(transport)
        # A client that goes away at once is none of our business.
        with contextlib.suppress(paramiko.SSHException, EOFError, OSError):
            transport.start_server(event=threading.Event(), server=_Logins(self))


def _listening(port: int) -> socket.socket:
    listener = socket.create_server((_HOST, port))
    # Closing does not wake up whoever waits without one.
    listener.settimeout(0.05)
    return listener


def _key() -> tuple[str, bytes]:
    """A new key: the private one as text, and the public one."""
    text = Ed25519PrivateKey.generate().private_bytes(
        Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()
    )
    return text.decode(), _private(text.decode()).asbytes()


def _private(text: str) -> paramiko.PKey:
    key = Credentials(text).load_key()
    assert key is not None
    return key


def _line(public: bytes) -> str:
    key = paramiko.Ed25519Key(data=public)
    return f"{key.get_name()} {key.get_base64()}"


class _Logins(paramiko.ServerInterface):
    """Who comes in."""

    def __init__(self, faulty: FaultyServer) -> None:
        self._faulty = faulty
        self._has_shown_key = False

    def get_allowed_auths(self, _user: str) -> str:
        if self._faulty.login is Login.KEY_AND_PASSWORD:
            return "password" if self._has_shown_key else "publickey"
        return self._faulty.login.value

    def _outcome(self, *, right: bool) -> int:
        if self._faulty.has(Fault.WRONG_CREDENTIALS):
            self._faulty.struck += 1
            return paramiko.AUTH_FAILED
        return paramiko.AUTH_SUCCESSFUL if right else paramiko.AUTH_FAILED

    def check_auth_publickey(self, user: str, key: paramiko.PKey) -> int:
        self._faulty.shown += 1
        right = user == _USER and key.asbytes() == self._faulty.client_public_key
        outcome = self._outcome(right=right)
        if outcome == paramiko.AUTH_SUCCESSFUL and self._faulty.login is Login.KEY_AND_PASSWORD:
            self._has_shown_key = True
            return paramiko.AUTH_PARTIALLY_SUCCESSFUL
        return outcome

    def check_auth_password(self, user: str, password: str) -> int:
        self._faulty.shown += 1
        if self._faulty.login is Login.KEY_AND_PASSWORD and not self._has_shown_key:
            return paramiko.AUTH_FAILED
        return self._outcome(right=user == _USER and password == PASSWORD)

    def check_auth_interactive(self, _user: str, _methods: str) -> paramiko.InteractiveQuery:
        return paramiko.InteractiveQuery("", "", ("Password: ", False))

    def check_auth_interactive_response(self, answers: list[str]) -> int:
        self._faulty.shown += 1
        return self._outcome(right=answers == [PASSWORD])

    def check_channel_subsystem_request(self, channel: paramiko.Channel, name: str) -> bool:
        if self._faulty.has(Fault.SFTP_NEVER_STARTS):
            self._faulty.struck += 1
            self._faulty.wait_for_the_end()
        return super().check_channel_subsystem_request(channel, name)

    def check_channel_request(self, _kind: str, _channel: int) -> int:
        return paramiko.OPEN_SUCCEEDED


class _Letters(paramiko.Message):
    """A message whose names may be bytes that are no UTF-8."""

    def get_text(self) -> str:
        return self.get_string().decode(errors="surrogateescape")


class _Sftp(paramiko.SFTPServer):
    """paramiko's server, with what OpenSSH's has and this one lacks."""

    def _send_server_version(self) -> int:
        self.server.faulty.began(self)
        _, data = self._read_packet()
        message = paramiko.Message().add_int(3)
        without = {Fault.NO_POSIX_RENAME, Fault.TARGET_EXISTS, Fault.NO_RENAME}
        if self.server.faulty.fault not in without:
            message.add_string("posix-rename@openssh.com").add_string("1")
        self._send_packet(CMD_VERSION, message)
        return int.from_bytes(data[:4])

    def _process(self, kind: int, request: int, message: paramiko.Message) -> None:
        faulty: FaultyServer = self.server.faulty
        if kind == CMD_READDIR and faulty.has(Fault.RESET_IN_LISTING):
            self.listed = getattr(self, "listed", 0) + 1
            if self.listed > 1:
                faulty.struck += 1
                faulty.cut()
        message.__class__ = _Letters
        super()._process(kind, request, message)

    def _send_status(self, request: int, code: int, words: str | None = None) -> None:
        if code == SFTP_FAILURE and self.server.faulty.fault is Fault.QUOTA:
            words = "Disk quota exceeded"
        super()._send_status(request, code, words)


class _File(paramiko.SFTPHandle):
    """An open file; ``limit``: after so many bytes the fault strikes."""

    def __init__(self, faulty: FaultyServer, file: int, limit: int | None) -> None:
        super().__init__()
        self._faulty, self._file, self._limit = faulty, file, limit
        self._has_struck = False

    def _strike(self) -> int:
        # What was asked for at the same time gets no further.
        if self._has_struck:
            return SFTP_FAILURE
        self._has_struck = True
        return self._faulty.strike()

    def read(self, offset: int, length: int) -> bytes | int:
        if self._limit is not None and offset + length > self._limit:
            length = self._limit - offset
            if length <= 0:
                return self._strike()
        return os.pread(self._file, length, offset)

    def write(self, offset: int, data: bytes) -> int:
        if self._limit is not None and offset + len(data) > self._limit:
            os.pwrite(self._file, data[: max(self._limit - offset, 0)], offset)
            return self._strike()
        os.pwrite(self._file, data, offset)
        return SFTP_OK

    def stat(self) -> paramiko.SFTPAttributes:
        return attributes(self._faulty, os.fstat(self._file))

    def close(self) -> None:
        os.close(self._file)


def attributes(
    faulty: FaultyServer, known: os.stat_result, name: bytes | None = None
) -> paramiko.SFTPAttributes:
    """What the server says about a file, by its own clock."""
    told = paramiko.SFTPAttributes.from_stat(known, name)
    step = 2 if faulty.fault is Fault.MTIME_OF_TWO_SECONDS else 1
    off = {Fault.CLOCK_A_DAY_AHEAD: _DAY, Fault.CLOCK_A_DAY_BEHIND: -_DAY}.get(faulty.fault, 0)
    told.st_mtime = int(known.st_mtime) // step * step + off
    told.st_atime = int(known.st_atime) // step * step + off
    fault, listed = faulty.fault, name is not None
    nothing = fault is Fault.NO_FACTS or (fault is Fault.NO_FACTS_IN_LISTINGS and listed)
    if fault is Fault.NO_TYPES:
        told.st_mode = stat.S_IMODE(known.st_mode)
    if fault is Fault.TIMES_ARE_ZERO:
        told.st_mtime = told.st_atime = 0
    if fault is Fault.NO_TIMES or nothing:
        told.st_mtime = told.st_atime = None
    if fault is Fault.NO_SIZES or nothing:
        told.st_size = None
    if nothing:
        told.st_mode = told.st_uid = told.st_gid = None
    return told


class _Files(paramiko.SFTPServerInterface):
    """The folder."""

    def __init__(self, _server: paramiko.ServerInterface, faulty: FaultyServer) -> None:
        super().__init__(_server)
        self.faulty = faulty

    def _path(self, path: str) -> Path:
        return self.faulty.root / os.path.normpath(f"/{path}").lstrip("/")

    def list_folder(self, path: str) -> list[paramiko.SFTPAttributes] | int:
        def listed() -> list[paramiko.SFTPAttributes]:
            found = [
                attributes(self.faulty, file.lstat(), os.fsencode(file.name))
                for file in self._path(path).iterdir()
            ]
            if self.faulty.fault is Fault.ODD_NAMES:
                known = Path(__file__).stat()
                found += [attributes(self.faulty, known, name) for name in HOSTILE_NAMES]
            return found

        if self.faulty.has(Fault.FOLDER_NOT_PERMITTED) and path.endswith("locked"):
            return SFTP_PERMISSION_DENIED
        return _asked(listed)

    def stat(self, path: str) -> paramiko.SFTPAttributes | int:
        return _asked(lambda: attributes(self.faulty, self._path(path).stat()))

    def lstat(self, path: str) -> paramiko.SFTPAttributes | int:
        return _asked(lambda: attributes(self.faulty, self._path(path).lstat()))

    def open(
        self, path: str, flags: int, _attributes: paramiko.SFTPAttributes
    ) -> paramiko.SFTPHandle | int:
        direction = Direction.UP if flags & (os.O_WRONLY | os.O_RDWR) else Direction.DOWN
        if self.faulty.has(Fault.NOT_PERMITTED) and direction == self.faulty.direction:
            self.faulty.struck += 1
            return SFTP_PERMISSION_DENIED

        def opened() -> _File:
            file = os.open(self._path(path), flags, 0o644)
            size = self.faulty.upload_size or os.fstat(file).st_size
            return _File(self.faulty, file, self.faulty.limit(direction, size))

        return _asked(opened)

    def readlink(self, path: str) -> str | int:
        return _asked(lambda: str(self._path(path).readlink()))

    def remove(self, path: str) -> int:
        return _status(self._path(path).unlink)

    def mkdir(self, path: str, _attributes: paramiko.SFTPAttributes) -> int:
        return _status(self._path(path).mkdir)

    def rename(self, old: str, new: str) -> int:
        if self.faulty.fault is Fault.NO_RENAME:
            return SFTP_OP_UNSUPPORTED
        former, to = self._path(old), self._path(new)
        if former.exists() and to.exists():
            return ALREADY_EXISTS if self.faulty.fault is Fault.TARGET_EXISTS else SFTP_FAILURE
        return _status(lambda: former.rename(to))

    def posix_rename(self, old: str, new: str) -> int:
        without = {
            Fault.NO_RENAME,
            Fault.NO_POSIX_RENAME,
            Fault.TARGET_EXISTS,
            Fault.POSIX_RENAME_ONLY_PROMISED,
        }
        if self.faulty.fault in without:
            return SFTP_OP_UNSUPPORTED
        return _status(lambda: self._path(old).replace(self._path(new)))


Answer = TypeVar("Answer")


def _asked(does: Callable[[], Answer]) -> Answer | int:
    """What ``does`` gives, or the status for what the folder says to it."""
    try:
        return does()
    except OSError as error:
        return paramiko.SFTPServer.convert_errno(error.errno)


def _status(does: Callable[[], object]) -> int:
    """The status for how it went."""
    try:
        does()
    except OSError as error:
        return paramiko.SFTPServer.convert_errno(error.errno)
    return SFTP_OK
