"""The limits of a service's connections: how many, how much, and how slowly.

Belongs here: which connections are admitted, the TLS handshake, and the bytes and seconds of each
request, so that no client can use up a service or shut others out. Does not belong here: the
answers of a service, and starting its server.

uvicorn limits none of this by itself, except the size of a head that h11 reads. So it is given this
protocol in place of its own. Each connection is in one phase; a phase that depends on the client
may last for a certain time only. When there are too many connections, the one that has waited
longest for its client is closed for a new one, at the address that has most of them. So connections
that are held open shut nobody out, and ``/health`` is answered meanwhile.
"""

from __future__ import annotations

import asyncio
import resource
import ssl
import traceback
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

from ccgi_pipeline.common.errors import PermanentError
from ccgi_pipeline.http_service import refusals
from ccgi_pipeline.http_service.addresses import group_address
from ccgi_pipeline.http_service.refusals import Refusal

BACKLOG = 64
"""Connections that wait to be accepted. They are accepted all at once, before any is closed."""

_IN_PASSING = 2 * BACKLOG
"""Connections that have just been accepted, and others that are just being closed."""

_OTHER_FILES = 64
"""Files that the service has open beside its connections."""

_FEWEST_CONNECTIONS = 16

_PIECE = 4 * 1024
"""Bytes that are read at once: h11 measures only what it has not understood yet."""

_END_SECONDS = 5.0
"""How long a closed connection may take to send its last bytes."""

_SWEEP_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """The limits of one process; the defaults are those of the look-up (``docs/ssid-lookup.md``).

    ``per_address`` holds for one IPv4 address or one IPv6 network of 64 bits; 0: there is no such
    limit, as behind a proxy, where all come from one address. ``request_seconds``: from the start
    of a connection, or of a request, until all of the request is there; also for taking the answer.
    ``body_seconds``: the same once the head is there, for services that take large bodies (None: as
    ``request_seconds``). ``idle_seconds``: between two requests. ``head_bytes``: method, address
    and headers. ``request_bytes``: all of a request as it is sent, with the sizes of its chunks.
    """

    connections: int = 500
    per_address: int = 100
    request_seconds: float = 10
    idle_seconds: float = 15
    head_bytes: int = 16 * 1024
    request_bytes: int = 48 * 1024
    body_seconds: float | None = None


class ConnectionJournal(Protocol):
    """Where a gate records the connections that it closes."""

    def record_connection(self, address: str, reason: str) -> None:
        """Records that a connection of this address was closed."""

    def write_ended(self) -> None:
        """Writes what has to be written by now; called every second."""


class CertificateError(PermanentError):
    """The service's certificate or its key cannot be used."""


class TooFewFilesError(PermanentError):
    """The system allows the service too few open files."""


def reserve_files(limits: ConnectionLimits) -> ConnectionLimits:
    """Lets this process and its workers open the files that the limits need.

    Returns limits with fewer connections where the system does not allow so many files; raises
    TooFewFilesError if it allows next to none.
    """
    needed = limits.connections + _IN_PASSING + _OTHER_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if resource.RLIM_INFINITY not in (soft, hard) and hard < needed:
        if hard < _FEWEST_CONNECTIONS + _IN_PASSING + _OTHER_FILES:
            msg = (
                f"the system allows {hard} open files, too few for the service: raise its limit "
                "(ulimit -n, or LimitNOFILE of systemd)"
            )
            raise TooFewFilesError(msg)
        limits, needed = replace(limits, connections=hard - _IN_PASSING - _OTHER_FILES), hard
    if soft != resource.RLIM_INFINITY and soft < needed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
    return limits


def build_tls_context(certificate: Path, key: Path) -> ssl.SSLContext:
    """Returns the context of a server with this certificate. Raises CertificateError."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as error:
        msg = f"{certificate} and {key} are no certificate and its key in PEM: {error}"
        raise CertificateError(msg) from None
    # A client could renegotiate without end, and each time costs the server more than the client.
    context.options |= ssl.OP_NO_RENEGOTIATION
    return context


class Phase(StrEnum):
    """What a connection is waiting for."""

    REQUEST = "request"
    SERVICE = "service"
    ANSWER = "answer"
    IDLE = "idle"
    END = "end"


class ConnectionGate:
    """All connections of one process. uvicorn calls it for the protocol of each new one.

    ``render`` returns the content type and the body of a refusal.
    """

    def __init__(
        self,
        limits: ConnectionLimits,
        journal: ConnectionJournal,
        certificate: tuple[Path, Path] | None = None,
        render: Callable[[Refusal], tuple[bytes, bytes]] = refusals.render_json,
    ) -> None:
        self.limits, self.render = limits, render
        self._journal, self._certificate = journal, certificate
        self._tls: ssl.SSLContext | None = None
        self._by_address: dict[str, OrderedDict[Connection, None]] = defaultdict(OrderedDict)
        self._sweeping: asyncio.TimerHandle | None = None

    def __call__(self, **given: Any) -> Connection:  # noqa: ANN401 - uvicorn's own arguments
        """Returns the protocol of a new connection."""
        return Connection(self, **given)

    @property
    def tls(self) -> ssl.SSLContext | None:
        """The TLS context, made in the worker that uses it; None without TLS."""
        if self._tls is None and self._certificate is not None:
            self._tls = build_tls_context(*self._certificate)
        return self._tls

    def admit(self, connection: Connection) -> bool:
        """Admits a new connection, in the place of another one if need be.

        Returns False if there are too many, and all of them are being answered.
        """
        if self._sweeping is None:
            self._sweep(connection.loop)
        same = self._by_address[connection.address]
        if self.limits.per_address and len(same) >= self.limits.per_address:
            # If all of them are being answered, they wait for their client very soon.
            self._make_room(same)
        if sum(map(len, self._by_address.values())) >= self.limits.connections:
            fullest = sorted(self._by_address.values(), key=len, reverse=True)
            if not any(map(self._make_room, fullest)):
                self.record_refusal(connection, "crowded")
                return False
        # Making room may have forgotten the address.
        self._by_address[connection.address][connection] = None
        return True

    def _make_room(self, connections: Mapping[Connection, None]) -> bool:
        """Closes the connection that has waited longest for its client, if one does."""
        for connection in connections:
            if connection.phase is not Phase.SERVICE:
                self.record_refusal(connection, "crowded")
                connection.abort()
                return True
        return False

    def renew(self, connection: Connection) -> None:
        """Notes that a connection has sent a request: others of its address go first."""
        known = self._by_address.get(connection.address)
        if known is not None and connection in known:
            known.move_to_end(connection)

    def forget(self, connection: Connection) -> None:
        """Forgets a connection that has ended."""
        known = self._by_address.get(connection.address)
        if known is not None:
            known.pop(connection, None)
            if not known:
                del self._by_address[connection.address]

    def record_refusal(self, connection: Connection, reason: str) -> None:
        """Records in the operator's log why a connection was closed."""
        self._journal.record_connection(connection.address, reason)

    def _sweep(self, loop: asyncio.AbstractEventLoop) -> None:
        """Ends what takes too long."""
        now = loop.time()
        for connection in self._list_all():
            connection.end_if_overdue(now)
        self._journal.write_ended()
        self._sweeping = loop.call_later(_SWEEP_SECONDS, self._sweep, loop)

    def _list_all(self) -> list[Connection]:
        return [one for connections in self._by_address.values() for one in connections]


class Connection(H11Protocol):
    """One connection: the TLS handshake, then requests, each within the limits."""

    def __init__(self, gate: ConnectionGate, **given: Any) -> None:  # noqa: ANN401
        super().__init__(**given)
        self.address = ""
        self._gate, self._limits = gate, gate.limits
        self._tcp: asyncio.Transport | None = None
        self._handshake: asyncio.Task[None] | None = None
        self._early = bytearray()
        """What came with the last bytes of the handshake."""
        self._requests = 0
        self._unfinished = 0
        """Bytes of a request that is not complete yet."""
        self._waits_for: tuple[Phase, int] = (Phase.REQUEST, 0)
        self._since = 0.0

    # --- beginning and end ---

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Admits the connection, or closes it; begins TLS if there is a certificate."""
        self._tcp, self._since = transport, self.loop.time()
        peer = transport.get_extra_info("peername")
        self.address = group_address(str(peer[0])) if peer else ""
        if not self._gate.admit(self):
            transport.abort()
            return
        # While the service stops, uvicorn ends all that are here, also those without TLS yet.
        self.connections.add(self)
        if self._gate.tls is None:
            super().connection_made(transport)
        else:
            self._handshake = self.loop.create_task(self._begin_tls(transport, self._gate.tls))

    async def _begin_tls(self, tcp: asyncio.Transport, context: ssl.SSLContext) -> None:
        try:
            # Its time is limited as that of a request, which it is a part of.
            secured = await self.loop.start_tls(
                tcp, self, context, server_side=True, ssl_shutdown_timeout=_END_SECONDS
            )
        except OSError as error:  # an end, or no TLS at all
            # What failed is in a circle with its own traceback, and would be kept for long.
            traceback.clear_frames(error.__traceback__)
            self._gate.record_refusal(self, "no_tls")
            self.abort()
            return
        finally:
            self._handshake = None
        if secured is None or tcp.is_closing():
            self.abort()
            return
        super().connection_made(secured)
        if self._early:
            self.data_received(bytes(self._early))

    def connection_lost(self, exc: Exception | None) -> None:
        """Forgets the connection."""
        self._gate.forget(self)
        self.connections.discard(self)
        if self.transport is not None:
            super().connection_lost(exc)

    def abort(self) -> None:
        """Ends the connection at once, whatever is still to be sent."""
        self._gate.forget(self)
        self.connections.discard(self)
        if self._handshake is not None:
            self._handshake.cancel()
        if self._tcp is not None:
            self._tcp.abort()

    def shutdown(self) -> None:
        """Ends the connection, after the request under way, because the service stops."""
        if self.transport is None:
            self.abort()
        else:
            super().shutdown()

    # --- bytes ---

    def data_received(self, data: bytes) -> None:
        """Reads what has come, in pieces, as far as the limits allow."""
        if self.transport is None:
            self._early += data
            return
        for start in range(0, len(data), _PIECE):
            if self.transport.is_closing():
                return
            self._read(data[start : start + _PIECE])

    def _read(self, piece: bytes) -> None:
        if self._is_being_answered():
            # Another request before the answer to this one: whoever does that may ask again.
            self.cycle.keep_alive = False
            self.flow.pause_reading()
            return
        if not self._unfinished:
            self._requests += 1
        self._unfinished += len(piece)
        if self._unfinished > self._limits.request_bytes:
            self._refuse(refusals.TOO_LARGE)
            return
        super().data_received(piece)
        if self._is_request_complete():
            self._unfinished = 0
            self._gate.renew(self)

    def _is_request_complete(self) -> bool:
        """Tells whether all of the request is here, and no part of another one."""
        state = self.conn.their_state
        return state is not h11.SEND_BODY and (state is not h11.IDLE or not self._is_begun())

    def _is_begun(self) -> bool:
        """Tells whether h11 has a part of a head that it cannot read yet."""
        return bool(self.conn.trailing_data[0])

    def _is_being_answered(self) -> bool:
        """Tells whether the service has all of the request, and has not answered it in full."""
        under_way = self._request
        return (
            under_way is not None
            and not under_way.response_complete
            and self.conn.their_state is not h11.SEND_BODY
        )

    @property
    def _request(self) -> RequestResponseCycle | None:
        """The request that came last, if there is one."""
        last: RequestResponseCycle | None = self.cycle
        return last

    def send_400_response(self, msg: str) -> None:
        """Answers what is no HTTP, or has too long a head, as the service answers errors."""
        del msg  # uvicorn's words
        self._refuse(refusals.NO_HTTP)

    def _refuse(self, refusal: Refusal) -> None:
        """Answers in place of the service if it has not begun to, and closes the connection."""
        self._gate.record_refusal(self, refusal.error)
        under_way = self._request
        if under_way is not None and not under_way.response_complete:
            under_way.disconnected = True
            under_way.message_event.set()
        if self.conn.our_state in {h11.IDLE, h11.SEND_RESPONSE}:
            content_type, body = self._gate.render(refusal)
            headers = [
                *self.server_state.default_headers,
                (b"content-type", content_type),
                (b"content-length", str(len(body)).encode()),
                (b"cache-control", b"no-store"),
                (b"connection", b"close"),
            ]
            for event in (
                h11.Response(status_code=refusal.status, headers=headers, reason=b""),
                h11.Data(data=body),
                h11.EndOfMessage(),
            ):
                self.transport.write(self.conn.send(event))
        self.transport.close()

    # --- seconds ---

    @property
    def phase(self) -> Phase:
        """What the connection is waiting for."""
        if self.transport is None:
            return Phase.REQUEST
        if self.transport.is_closing():
            return Phase.END
        if self._has_unsent():
            return Phase.ANSWER
        if not self._requests or self._unfinished or self.conn.their_state is h11.SEND_BODY:
            return Phase.REQUEST
        return Phase.SERVICE if self._is_being_answered() else Phase.IDLE

    def _has_unsent(self) -> bool:
        """Tells whether the client takes its answer more slowly than it is given."""
        below = self._tcp.get_write_buffer_size() if self._tcp else 0
        return bool(below or self.transport.get_write_buffer_size())

    def _seconds_of_request(self) -> float:
        """How long the request may take to arrive, from its beginning."""
        limits = self._limits
        if self.conn.their_state is h11.SEND_BODY and limits.body_seconds is not None:
            return limits.body_seconds
        return limits.request_seconds

    def end_if_overdue(self, now: float) -> None:
        """Ends the connection if its phase has lasted too long."""
        waits_for = (self.phase, self._requests)
        if waits_for != self._waits_for:
            self._waits_for, self._since = waits_for, now
            return
        phase, waited = waits_for[0], now - self._since
        if phase is Phase.REQUEST and waited > self._seconds_of_request():
            if self.transport is None:
                self._gate.record_refusal(self, refusals.TOO_SLOW.error)
                self.abort()
            else:
                self._refuse(refusals.TOO_SLOW)
        elif phase is Phase.ANSWER and waited > self._limits.request_seconds:
            self._gate.record_refusal(self, "slow_reader")
            self.abort()
        elif phase is Phase.IDLE and waited > self._limits.idle_seconds:
            self.transport.close()
        elif phase is Phase.END and waited > _END_SECONDS:
            self.abort()
