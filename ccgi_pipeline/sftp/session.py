"""Opening a connection: TCP, SSH, the server's key, our credentials, an SFTP session.

Belongs here: everything up to the first SFTP message, with an end to every wait. Does not belong
here: what is done with the connection.

The server's key is compared before anything of ours is shown. There is no first contact on trust.
"""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import paramiko  # type: ignore[import-untyped]
from paramiko.buffered_pipe import BufferedPipe, PipeTimeout  # type: ignore[import-untyped]

from ccgi_pipeline.common.errors import PipelineError
from ccgi_pipeline.sftp.faults import Doing, SftpPermanentError, fault
from ccgi_pipeline.sftp.protocol import Session
from ccgi_pipeline.sftp.servers import Credentials, Server, fingerprint

# Below that level paramiko writes what servers say, and tracebacks of what is told here anyway.
logging.getLogger("paramiko").setLevel(logging.CRITICAL)

_CIPHERS = (
    "aes128-gcm@openssh.com",
    "aes256-gcm@openssh.com",
    "aes128-ctr",
    "aes192-ctr",
    "aes256-ctr",
)
"""AES-GCM first: it needs no second pass for a checksum."""

_WEAK = {
    "ciphers": ("aes128-cbc", "aes192-cbc", "aes256-cbc", "3des-cbc"),
    "macs": ("hmac-md5", "hmac-md5-96", "hmac-sha1-96"),
}
"""What paramiko would still take and OpenSSH's own client no longer offers."""

_WINDOW = 1 << 24
"""Bytes that the server may send before it hears from us again: more than is ever asked for at
once. The usual 2 MiB stop at 40 MB/s where the server is 40 ms away."""

_PACKET = 1 << 16
"""Bytes that the server may send in one packet. Fewer and larger ones save a tenth of our time."""

_OURS_IS_FIRST = 10
"""Seconds by which paramiko's clocks run longer than ours. Theirs end in an error that says only
that something failed, or broke off; ours that the server did not answer in time."""


@contextmanager
def open_session(server: Server, credentials: Credentials) -> Iterator[Session]:
    """An SFTP session, closed at the end of the block.

    Raises SftpTransientError, SftpPermanentError, and ServerSettingsError where the private key
    cannot be read.
    """
    key = credentials.key()
    with ExitStack() as opened:
        try:
            transport = opened.enter_context(_transport(server))
            _check_host_key(server, transport)
            _authenticate(server, transport, key, credentials.password)
            session = _session(server, transport)
        except PipelineError:
            raise
        except Exception as error:  # noqa: BLE001 - paramiko's thread hands over whatever it met
            raise fault(error, server.name, Doing.CONNECTING) from None
        yield session


@contextmanager
def _transport(server: Server) -> Iterator[paramiko.Transport]:
    """SSH with the server. Nothing has been checked or proved yet."""
    with _Socket.connected(server) as stream:
        transport = paramiko.Transport(stream, disabled_algorithms=_WEAK)
        options = transport.get_security_options()
        options.ciphers = _CIPHERS
        if types := server.host_key_types:
            # A server with several keys is to show the one that is known.
            options.key_types = [
                algorithm
                for algorithm in options.key_types
                if algorithm in types or (algorithm.startswith("rsa-") and "ssh-rsa" in types)
            ]
        transport.banner_timeout = server.handshake_timeout + _OURS_IS_FIRST
        transport.handshake_timeout = server.handshake_timeout + _OURS_IS_FIRST
        transport.clear_to_send_timeout = server.stall_timeout
        transport.auth_timeout = server.handshake_timeout
        done = threading.Event()
        try:
            transport.start_client(event=done)
            _wait(done, server)
            if not transport.is_active():
                raise transport.get_exception() or EOFError
            yield transport
        finally:
            transport.close()


def _wait(done: threading.Event, server: Server) -> None:
    if not done.wait(server.handshake_timeout):
        raise TimeoutError


class _Socket(socket.socket):
    """A socket that does not wait for ever for somebody who takes nothing.

    paramiko tries again until something is sent; only what is received has a timeout there.
    """

    stall_timeout: float
    _waiting_since: float | None = None

    @classmethod
    def connected(cls, server: Server) -> _Socket:
        """A connection to the server."""
        plain = socket.create_connection((server.host, server.port), server.connect_timeout)
        made = cls(plain.family, plain.type, plain.proto, plain.detach())
        made.stall_timeout = server.stall_timeout
        # Requests are small and wait for each other's answers: held back, each takes 40 ms longer.
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return made

    def send(self, data: bytes, flags: int = 0, /) -> int:  # type: ignore[override]
        """Sends some of ``data``. Raises ConnectionAbortedError where nothing was for too long."""
        try:
            sent = super().send(data, flags)
        except TimeoutError:
            now = time.monotonic()
            if self._waiting_since is None:
                self._waiting_since = now
            elif now - self._waiting_since > self.stall_timeout:
                raise ConnectionAbortedError from None
            raise
        self._waiting_since = None
        return sent


def _check_host_key(server: Server, transport: paramiko.Transport) -> None:
    shown = transport.get_remote_server_key()
    if not server.is_pinned(shown.asbytes()):
        msg = (
            f"{server.name}: the server shows a host key that is not set for it: "
            f"{shown.get_name()} {fingerprint(shown.asbytes())}. Nothing was sent to it. Ask its "
            "operator, not the server, whether this is its key; if so, set it"
        )
        raise SftpPermanentError(msg)


def _authenticate(
    server: Server, transport: paramiko.Transport, key: paramiko.PKey | None, password: str | None
) -> None:
    """Shows the key, and the password where there is no key or the server wants both."""
    if key is not None and _shown(
        server, transport, lambda done: transport.auth_publickey(server.user, key, done)
    ):
        return
    if password is None:
        msg = "the key is right, and is not enough"
        raise paramiko.BadAuthenticationType(msg, [])
    try:
        _shown(server, transport, lambda done: transport.auth_password(server.user, password, done))
    except paramiko.BadAuthenticationType as refused:
        if "keyboard-interactive" not in refused.allowed_types:
            raise
        _answer_questions(server, transport, password)


def _shown(
    server: Server, transport: paramiko.Transport, show: Callable[[threading.Event], object]
) -> bool:
    """Whether that was enough; False where the server wants more.

    paramiko can wait by itself, but then says the same for a credential that is wrong and for a
    connection that breaks.
    """
    done = threading.Event()
    show(done)
    _wait(done, server)
    if transport.is_authenticated():
        return True
    error = transport.get_exception()
    if isinstance(error, paramiko.ssh_exception.PartialAuthentication):
        return False
    # No error: the server said no, and perhaps good-bye.
    raise error or paramiko.AuthenticationException


def _answer_questions(server: Server, transport: paramiko.Transport, password: str) -> None:
    """Some servers ask for the password as a question."""

    def answer(_title: str, _words: str, questions: list[tuple[str, bool]]) -> list[str]:
        return [password] * len(questions)

    try:
        transport.auth_interactive(server.user, answer)
    except paramiko.AuthenticationException:
        if not transport.is_active():
            raise EOFError from None
        raise


def _session(server: Server, transport: paramiko.Transport) -> Session:
    transport.set_keepalive(server.keepalive)
    # paramiko waits for ever for the answer to "subsystem".
    too_late = threading.Timer(server.handshake_timeout, transport.close)
    too_late.start()
    try:
        channel = transport.open_session(
            window_size=_WINDOW, max_packet_size=_PACKET, timeout=server.handshake_timeout
        )
        channel.settimeout(server.stall_timeout)
        channel.in_buffer = _Queue()
        try:
            channel.invoke_subsystem("sftp")
        except paramiko.SSHException:
            if not transport.is_active():
                raise
            msg = f"{server.name}: the account may not use SFTP. Ask the server's operator"
            raise SftpPermanentError(msg) from None
        return Session(channel)
    finally:
        too_late.cancel()


class _Queue(BufferedPipe):  # type: ignore[misc]
    """What came and was not read yet, packet by packet.

    paramiko's own keeps one array of bytes, and copies each of them three times more: a quarter of
    the time that fetching takes.
    """

    def __init__(self) -> None:
        super().__init__()
        self._packets: deque[bytes] = deque()
        self._came = threading.Condition()

    def feed(self, data: bytes) -> None:
        """Adds a packet; paramiko's thread does."""
        with self._came:
            self._packets.append(data)
            self._came.notify()

    def close(self) -> None:
        """Nothing comes any more."""
        super().close()
        with self._came:
            self._came.notify_all()

    def read(self, _size: int, timeout: float | None = None) -> bytes:
        """The next packet, whatever its size; nothing at the end. Raises paramiko's PipeTimeout."""
        with self._came:
            if not self._came.wait_for(lambda: self._packets or self._closed, timeout):
                raise PipeTimeout
            return self._packets.popleft() if self._packets else b""

    def read_ready(self) -> bool:
        """Whether something waits."""
        return bool(self._packets)

    def empty(self) -> bytes:
        """All that waits."""
        with self._came:
            waiting = b"".join(self._packets)
            self._packets.clear()
            return waiting

    def __len__(self) -> int:
        with self._came:
            return sum(map(len, self._packets))
