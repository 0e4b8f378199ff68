"""Opening an SFTP session: TCP, SSH, the server's host key, the credentials.

Belongs here: everything up to the first SFTP message; every wait has a timeout. Does not belong
here: what is done with the session (``connection``).

The server's host key is checked before any credential is sent. An unknown key is never trusted.
"""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, contextmanager

import paramiko  # type: ignore[import-untyped]
from paramiko.buffered_pipe import BufferedPipe, PipeTimeout  # type: ignore[import-untyped]

from ccgi_pipeline.common.errors import PipelineError
from ccgi_pipeline.sftp.errors import SftpPermanentError
from ccgi_pipeline.sftp.faults import Operation, to_sftp_error
from ccgi_pipeline.sftp.protocol import SftpSession
from ccgi_pipeline.sftp.servers import Credentials, SftpAccount, fingerprint

# At lower levels paramiko logs servers' messages, and tracebacks of errors that are raised here.
logging.getLogger("paramiko").setLevel(logging.CRITICAL)

_CIPHERS = (
    "aes128-gcm@openssh.com",
    "aes256-gcm@openssh.com",
    "aes128-ctr",
    "aes192-ctr",
    "aes256-ctr",
)
"""AES-GCM comes first, because it needs no second pass for a checksum."""

_WEAK = {
    "ciphers": ("aes128-cbc", "aes192-cbc", "aes256-cbc", "3des-cbc"),
    "macs": ("hmac-md5", "hmac-md5-96", "hmac-sha1-96"),
}
"""Algorithms that paramiko accepts and OpenSSH's client no longer offers."""

_WINDOW = 1 << 24
"""Bytes that the server may send before it waits: more than is ever requested at once. With the
usual 2 MiB a server at a distance of 40 ms sends at most 40 MB/s."""

_PACKET = 1 << 16
"""Bytes that the server may send in one packet. Larger packets save a tenth of the time."""

_PARAMIKO_MARGIN = 10
"""Seconds that are added to paramiko's own timeouts, so that the timeouts of this module come
first: paramiko's error says only that something failed, not that the server did not answer."""


@contextmanager
def open_session(server: SftpAccount, credentials: Credentials) -> Iterator[SftpSession]:
    """Opens an SFTP session, and closes it at the end of the block.

    Raises SftpTransientError, SftpPermanentError, and ServerSettingsError if the private key
    cannot be read.
    """
    key = credentials.load_key()
    with ExitStack() as stack:
        try:
            transport = _open_known_transport(server, stack)
            _authenticate(server, transport, key, credentials.password)
            session = _start_sftp(server, transport)
        except PipelineError:
            raise
        except Exception as error:  # noqa: BLE001 - paramiko's thread passes on any error
            raise to_sftp_error(error, server.name, Operation.CONNECTING) from None
        yield session


def _open_known_transport(server: SftpAccount, stack: ExitStack) -> paramiko.Transport:
    """Opens SSH with the server, whose host key is one of those that are set for it.

    A server with host keys of several types shows one. A fingerprint does not tell its type, so
    the others are asked for, each with a connection. Raises SftpPermanentError if none is set.
    """
    shown: dict[str, str] = {}
    while True:
        with ExitStack() as attempt:
            try:
                transport = attempt.enter_context(_open_transport(server, shown))
            except (paramiko.SSHException, EOFError, OSError):
                if not shown:
                    raise
                break  # it has no other key
            key = transport.get_remote_server_key()
            if server.is_pinned(key.asbytes()):
                stack.enter_context(attempt.pop_all())
                return transport
            if key.get_name() in shown:
                break
            shown[key.get_name()] = fingerprint(key.asbytes())
    keys = ", ".join(f"{kind} {digest}" for kind, digest in shown.items())
    msg = (
        f"{server.name}: the server shows a host key that is not set for it: {keys}. Nothing was "
        "sent to it. Ask its operator, not the server, whether this is its key; if so, set it"
    )
    raise SftpPermanentError(msg)


@contextmanager
def _open_transport(
    server: SftpAccount, without: Collection[str] = ()
) -> Iterator[paramiko.Transport]:
    """Opens SSH with the server; neither host key nor credentials are checked yet.

    ``without``: types of host key that it must not show.
    """
    with _Socket.connected(server) as stream:
        transport = paramiko.Transport(stream, disabled_algorithms=_WEAK)
        options = transport.get_security_options()
        options.ciphers = _CIPHERS
        types = server.host_key_types
        # A server with several host keys must show one of the known types.
        options.key_types = [
            algorithm
            for algorithm in options.key_types
            for kind in ["ssh-rsa" if algorithm.startswith("rsa-") else algorithm]
            if kind not in without and (kind in types or not types)
        ]
        if not options.key_types:
            raise paramiko.IncompatiblePeer
        transport.banner_timeout = server.handshake_timeout + _PARAMIKO_MARGIN
        transport.handshake_timeout = server.handshake_timeout + _PARAMIKO_MARGIN
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


def _wait(done: threading.Event, server: SftpAccount) -> None:
    if not done.wait(server.handshake_timeout):
        raise TimeoutError


class _Socket(socket.socket):
    """A socket that stops sending to a server that takes nothing.

    paramiko has a timeout for receiving only: it tries to send for ever.
    """

    stall_timeout: float
    _waiting_since: float | None = None

    @classmethod
    def connected(cls, server: SftpAccount) -> _Socket:
        """Connects to the server."""
        plain = socket.create_connection((server.host, server.port), server.connect_timeout)
        made = cls(plain.family, plain.type, plain.proto, plain.detach())
        made.stall_timeout = server.stall_timeout
        # Requests are small and wait for replies: with Nagle's algorithm each takes 40 ms longer.
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return made

    def send(self, data: bytes, flags: int = 0, /) -> int:  # type: ignore[override]
        """Sends some of ``data``. Raises ConnectionAbortedError after ``stall_timeout``."""
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


def _authenticate(
    server: SftpAccount,
    transport: paramiko.Transport,
    key: paramiko.PKey | None,
    password: str | None,
) -> None:
    """Authenticates with the key; with the password if there is no key or the server wants both."""
    if key is not None and _try_credential(
        server, transport, lambda done: transport.auth_publickey(server.user, key, done)
    ):
        return
    if password is None:
        msg = "the server accepts the key but wants a password as well"
        raise paramiko.BadAuthenticationType(msg, [])
    try:
        _try_credential(
            server, transport, lambda done: transport.auth_password(server.user, password, done)
        )
    except paramiko.BadAuthenticationType as refused:
        if "keyboard-interactive" not in refused.allowed_types:
            raise
        _answer_questions(server, transport, password)


def _try_credential(
    server: SftpAccount, transport: paramiko.Transport, send: Callable[[threading.Event], object]
) -> bool:
    """Returns whether the credential was enough; False if the server accepts it and wants more.

    paramiko's own waiting raises the same error for a wrong credential and a broken connection.
    """
    done = threading.Event()
    send(done)
    _wait(done, server)
    if transport.is_authenticated():
        return True
    error = transport.get_exception()
    if isinstance(error, paramiko.ssh_exception.PartialAuthentication):
        return False
    # Without an error the server refused, and may have closed the connection.
    raise error or paramiko.AuthenticationException


def _answer_questions(server: SftpAccount, transport: paramiko.Transport, password: str) -> None:
    """Answers the questions of a server that asks for the password interactively."""

    def answer(_title: str, _words: str, questions: list[tuple[str, bool]]) -> list[str]:
        return [password] * len(questions)

    try:
        transport.auth_interactive(server.user, answer)
    except paramiko.AuthenticationException:
        if not transport.is_active():
            raise EOFError from None
        raise


def _start_sftp(server: SftpAccount, transport: paramiko.Transport) -> SftpSession:
    transport.set_keepalive(server.keepalive)
    # paramiko waits for ever for the reply to "subsystem".
    timeout = threading.Timer(server.handshake_timeout, transport.close)
    timeout.start()
    try:
        channel = transport.open_session(
            window_size=_WINDOW, max_packet_size=_PACKET, timeout=server.handshake_timeout
        )
        channel.settimeout(server.stall_timeout)
        channel.in_buffer = _PacketQueue()
        try:
            channel.invoke_subsystem("sftp")
        except paramiko.SSHException:
            if not transport.is_active():
                raise
            msg = f"{server.name}: the account may not use SFTP. Ask the server's operator"
            raise SftpPermanentError(msg) from None
        return SftpSession(channel)
    finally:
        timeout.cancel()


class _PacketQueue(BufferedPipe):  # type: ignore[misc]
    """The packets that were received and not read yet.

    paramiko's own buffer is one array of bytes, and copies each byte three times more, which takes
    a quarter of the time of a transfer.
    """

    def __init__(self) -> None:
        super().__init__()
        self._packets: deque[bytes] = deque()
        self._changed = threading.Condition()

    def feed(self, data: bytes) -> None:
        """Adds a packet; called by paramiko's thread."""
        with self._changed:
            self._packets.append(data)
            self._changed.notify()

    def close(self) -> None:
        """Ends the stream."""
        super().close()
        with self._changed:
            self._changed.notify_all()

    def read(self, _size: int, timeout: float | None = None) -> bytes:
        """Returns the next packet, whatever its size; nothing at the end. Raises PipeTimeout."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._packets or self._closed, timeout):
                raise PipeTimeout
            return self._packets.popleft() if self._packets else b""

    def read_ready(self) -> bool:
        """Tells whether a packet can be read."""
        return bool(self._packets)

    def empty(self) -> bytes:
        """Removes and returns all packets."""
        with self._changed:
            waiting = b"".join(self._packets)
            self._packets.clear()
            return waiting

    def __len__(self) -> int:
        with self._changed:
            return sum(map(len, self._packets))
