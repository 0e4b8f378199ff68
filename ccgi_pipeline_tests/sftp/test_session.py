"""Coming in: host keys, keys and passwords, servers that are slow, silent or none at all."""

from __future__ import annotations

import base64
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import pytest

from ccgi_pipeline.sftp.connection import Connection, connect
from ccgi_pipeline.sftp.errors import SftpPermanentError, SftpTransientError
from ccgi_pipeline.sftp.servers import Credentials, SftpAccount, fingerprint
from ccgi_pipeline.sftp.session import _Socket
from ccgi_pipeline_tests.sftp.faulty_server import PASSWORD, Fault, FaultyServer, Login
from ccgi_pipeline_tests.sftp.openssh import ACCOUNT, OpenSsh, openssh


def comes_in(server: SftpAccount, credentials: Credentials) -> None:
    with connect(server, credentials) as connection:
        assert connection.stat(".") is not None


# --- OpenSSH --------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["ed25519", "rsa"])
def test_a_key_that_the_server_knows_opens_it(server: OpenSsh, pairs: Path, kind: str):
    credentials = Credentials((pairs / kind).read_text())
    with pytest.raises(SftpPermanentError, match="does not take the credentials"):
        comes_in(server.as_server(), credentials)
    with (server.keys / ACCOUNT).open("a") as known:
        known.write((pairs / f"{kind}.pub").read_text())
    comes_in(server.as_server(), credentials)


def test_another_user_does_not_come_in(server: OpenSsh):
    other = replace(server.as_server(), user="nobody-of-that-name")
    with pytest.raises(SftpPermanentError, match="does not take the credentials"):
        comes_in(other, server.credentials())


def test_a_password_is_refused_where_only_keys_are_taken(server: OpenSsh):
    with pytest.raises(SftpPermanentError, match="does not take this kind of credential"):
        comes_in(server.as_server(), Credentials(password=PASSWORD))


def test_a_host_key_that_is_not_set_is_refused_and_shown(server: OpenSsh, pairs: Path):
    for wrong in ((pairs / "other.pub").read_text(), "SHA256:" + "A" * 43):
        at = replace(server.as_server(), host_keys=(wrong,))
        shown = fingerprint(base64.b64decode(server.sshd.host_key.split()[1]))
        with pytest.raises(SftpPermanentError) as error:
            comes_in(at, server.credentials())
        assert f"ssh-ed25519 {shown}" in str(error.value)


def test_a_host_key_that_was_changed_is_refused_until_it_is_set(pairs: Path):
    with openssh() as before, openssh(f"HostKey {pairs / 'other'}") as after:
        former = replace(after.as_server(), host_keys=before.as_server().host_keys)
        with pytest.raises(SftpPermanentError, match="not set for it"):
            comes_in(former, after.credentials())
        new = fingerprint(base64.b64decode((pairs / "other.pub").read_text().split()[1]))
        comes_in(replace(former, host_keys=(new,)), after.credentials())
        # Both may be set, before the change and after it.
        comes_in(replace(former, host_keys=(*former.host_keys, new)), after.credentials())


@pytest.mark.parametrize("kind", ["rsa", "ecdsa", "ed25519"])
def test_a_server_with_several_host_keys_shows_the_one_that_is_set(pairs: Path, kind: str):
    lines = [f"HostKey {pairs / name}" for name in ("rsa", "ecdsa", "ed25519")]
    with openssh(*lines) as server:
        line = (pairs / f"{kind}.pub").read_text()
        comes_in(replace(server.as_server(), host_keys=(line,)), server.credentials())
        # A fingerprint does not tell its type, and the server shows another key at first.
        only = fingerprint(base64.b64decode(line.split()[1]))
        comes_in(replace(server.as_server(), host_keys=(only,)), server.credentials())


def test_a_server_none_of_whose_keys_is_set_is_refused_with_all_that_it_shows(pairs: Path):
    kinds = ("rsa", "ecdsa", "ed25519")
    with openssh(*(f"HostKey {pairs / name}" for name in kinds)) as server:
        at = replace(server.as_server(), host_keys=("SHA256:" + "A" * 43,))
        with pytest.raises(SftpPermanentError, match="not set for it") as error:
            comes_in(at, server.credentials())
    for kind in kinds:
        key = (pairs / f"{kind}.pub").read_text().split()[1]
        assert fingerprint(base64.b64decode(key)) in str(error.value)


def test_only_ciphers_and_checksums_of_today_are_used(server: OpenSsh):
    with connect(server.as_server(), server.credentials()) as connection:
        transport = connection._session._stream.get_transport()
        assert transport.local_cipher == transport.remote_cipher == "aes128-gcm@openssh.com"
        assert transport.agreed_on_strict_kex
        assert transport.local_compression == "none"


def test_a_server_of_yesterday_is_refused_as_such():
    with (
        openssh("Ciphers aes128-cbc,3des-cbc") as old,
        pytest.raises(SftpPermanentError, match="no common algorithm"),
    ):
        comes_in(old.as_server(), old.credentials())


# --- other ways in --------------------------------------------------------------------------------


def test_an_account_without_sftp_is_loud(tmp_path: Path):
    with (
        FaultyServer(tmp_path, Fault.NO_SFTP) as server,
        pytest.raises(SftpPermanentError, match="may not use SFTP"),
    ):
        comes_in(server.as_server(), server.credentials())


@pytest.mark.parametrize("login", list(Login), ids=lambda login: login.name)
def test_every_way_of_coming_in_is_known(tmp_path: Path, login: Login):
    with FaultyServer(tmp_path, login=login) as server:
        comes_in(server.as_server(), server.credentials())


@pytest.mark.parametrize("login", list(Login), ids=lambda login: login.name)
def test_every_wrong_credential_is_loud(tmp_path: Path, login: Login):
    with FaultyServer(tmp_path, Fault.WRONG_CREDENTIALS, login=login) as server:
        with pytest.raises(SftpPermanentError, match="does not take the credentials") as error:
            comes_in(server.as_server(), server.credentials())
        assert PASSWORD not in str(error.value)


def test_a_key_alone_does_not_open_a_server_that_wants_both(tmp_path: Path):
    with FaultyServer(tmp_path, login=Login.KEY_AND_PASSWORD) as server:
        only_key = replace(server.credentials(), password=None)
        with pytest.raises(SftpPermanentError, match="this kind of credential"):
            comes_in(server.as_server(), only_key)


def test_no_key_of_an_agent_or_a_home_folder_is_tried(
    tmp_path: Path, server: OpenSsh, pairs: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh/id_ed25519").write_text(server.credentials().private_key or "")
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(SftpPermanentError, match="does not take the credentials"):
        comes_in(server.as_server(), Credentials((pairs / "weak").read_text()))


# --- nobody, or somebody else ---------------------------------------------------------------------

PINNED = ("SHA256:" + "A" * 43,)
ANY = Credentials(password=PASSWORD)


def at_port(port: int) -> SftpAccount:
    return SftpAccount(
        name="partner",
        host="127.0.0.1",
        port=port,
        user="ccgi",
        host_keys=PINNED,
        connect_timeout=1,
        handshake_timeout=0.5,
    )


@contextmanager
def saying(words: bytes, *, then_close: bool) -> Iterator[int]:
    """Somebody who is no SSH server; the port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        done = threading.Event()

        def answer() -> None:
            with suppress(OSError), listener.accept()[0] as accepted:
                accepted.sendall(words)
                if not then_close:
                    done.wait(30)

        thread = threading.Thread(target=answer)
        thread.start()
        yield listener.getsockname()[1]
        done.set()
        thread.join()


def test_a_server_that_is_down_is_transient():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(SftpTransientError, match="does not take connections"):
        comes_in(at_port(port), ANY)


def test_a_host_that_does_not_exist_is_loud():
    nowhere = replace(at_port(22), host="no-such-host.invalid")
    with pytest.raises((SftpPermanentError, SftpTransientError), match="host"):
        comes_in(nowhere, ANY)


@pytest.mark.parametrize(
    ("words", "then_close"),
    [
        (b"", False),
        (b"", True),
        (b"SSH-2.0-half a greeting", False),
        (b"SSH-2.0-Silent\r\n", False),
        (b"SSH-2.0-Gone\r\n", True),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", True),
        (b"\x00" * 4096, False),
    ],
)
def test_whoever_does_not_finish_the_handshake_is_given_up_in_time(
    words: bytes,
    then_close: bool,  # noqa: FBT001 - pytest gives it by name
):
    with saying(words, then_close=then_close) as port:
        started = time.monotonic()
        with pytest.raises(SftpTransientError):
            comes_in(at_port(port), ANY)
        assert time.monotonic() - started < 20


# --- silence --------------------------------------------------------------------------------------


class Wire:
    """What stands between a client and a server; ``frozen``: it passes on nothing more."""

    def __init__(self, port: int) -> None:
        self.frozen = threading.Event()
        self.passed = 0
        self.freeze_after: int | None = None
        self._target = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._sockets: list[socket.socket] = []
        self.port: int = self._listener.getsockname()[1]

    def __enter__(self) -> Wire:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        for one in (*self._sockets, self._listener):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def _accept(self) -> None:
        with suppress(OSError):
            client, _ = self._listener.accept()
            server = socket.create_connection(("127.0.0.1", self._target))
            self._sockets += [client, server]
            for one, other in ((client, server), (server, client)):
                threading.Thread(target=self._pass_on, args=(one, other), daemon=True).start()

    def _pass_on(self, one: socket.socket, other: socket.socket) -> None:
        with suppress(OSError):
            while data := one.recv(65_536):
                self.passed += len(data)
                if self.freeze_after is not None and self.passed > self.freeze_after:
                    self.frozen.set()
                while self.frozen.is_set():
                    time.sleep(0.05)
                other.sendall(data)


LARGE = bytes(20_000_000)
WAYS: dict[str, Callable[[Connection], object]] = {
    "upload": lambda connection: connection.upload(BytesIO(LARGE), "large.part"),
    "fetch": lambda connection: connection.fetch("large", BytesIO()),
    "walk": lambda connection: connection.walk("", lambda _: False),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_line_that_goes_dead_is_given_up_in_time(server: OpenSsh, way: str):
    (server.files / "large").write_bytes(LARGE)
    with Wire(server.sshd.port) as wire:
        at = replace(server.as_server(), port=wire.port, stall_timeout=0.7)
        with connect(at, server.credentials()) as connection:
            wire.freeze_after = wire.passed + (0 if way == "walk" else 3_000_000)
            started = time.monotonic()
            with pytest.raises(SftpTransientError):
                WAYS[way](connection)
            assert wire.frozen.is_set()
        assert time.monotonic() - started < 20
        wire.frozen.clear()


def test_a_peer_that_takes_nothing_is_given_up():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        at = replace(at_port(listener.getsockname()[1]), stall_timeout=0.3)
        with _Socket.connected(at) as sending:
            sending.settimeout(0.05)
            given_up = None
            started = time.monotonic()
            while given_up is None and time.monotonic() - started < 20:
                try:
                    sending.send(bytes(1 << 20))
                except TimeoutError:
                    continue
                except ConnectionAbortedError as error:
                    given_up = error
    assert given_up is not None
