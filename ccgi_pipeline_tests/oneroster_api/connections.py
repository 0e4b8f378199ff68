"""Connections of the tests' OneRoster server: HTTP/1.1 in threads, answers right and wrong.

Belongs here: reading requests, TLS, and sending an answer as it is, cut off or late as it may be.
Does not belong here: what is answered (server).
"""

from __future__ import annotations

import socket
import struct
import sys
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from ccgi_pipeline_tests.oneroster_api.authorization import Asked
from ccgi_pipeline_tests.oneroster_api.exchanges import Answer, as_html

if TYPE_CHECKING:
    from ccgi_pipeline_tests.oneroster_api.server import RosterServer


class HttpServer(ThreadingHTTPServer):
    """HTTP in a thread for each connection; TLS begins in that thread."""

    daemon_threads = False
    block_on_close = True
    request_queue_size = 64

    def __init__(self, server: RosterServer, handler: type[BaseHTTPRequestHandler]) -> None:
        self.roster = server
        self.tls: Any = None
        self._open: set[socket.socket] = set()
        super().__init__(("127.0.0.1", 0), handler)

    def finish_request(self, request: Any, client_address: Any) -> None:  # noqa: ANN401
        self._open.add(request)
        try:
            if self.tls is None:
                super().finish_request(request, client_address)
                return
            request.settimeout(10)
            with self.tls.wrap_socket(request, server_side=True) as wrapped:
                self._open.add(wrapped)
                wrapped.settimeout(None)
                try:
                    super().finish_request(wrapped, client_address)
                finally:
                    self._open.discard(wrapped)
        except OSError:  # the client went away, or did not like the certificate
            return
        finally:
            self._open.discard(request)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401, ARG002
        wrong = sys.exception()
        if wrong is not None:
            self.roster.errors.append(wrong)

    def end(self) -> None:
        self.shutdown()
        for open_ in list(self._open):
            with suppress(OSError):
                open_.shutdown(socket.SHUT_RDWR)
        self.server_close()


class Handler(BaseHTTPRequestHandler):
    """One connection: reads requests, and sends answers as they are, right or wrong."""

    protocol_version = "HTTP/1.1"
    # Otherwise an answer in two parts waits for the client's acknowledgement of the first.
    disable_nagle_algorithm = True
    server: HttpServer

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Says nothing."""

    def _asked(self) -> Asked:
        length = int(self.headers.get("Content-Length") or 0)
        scheme = "http" if self.server.tls is None else "https"
        url = f"{scheme}://{self.headers.get('Host', '')}{self.path}"
        return Asked(self.command, url, self.headers, self.rfile.read(length))

    def _serve(self) -> None:
        answer = self.server.roster.answer(self._asked())
        try:
            self._send(answer)
        except OSError:
            self.close_connection = True

    def do_GET(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def _send(self, answer: Answer) -> None:
        if answer.silent:
            self.server.roster.closing.wait()
            self.close_connection = True
            return
        if answer.cut == -1:
            self._reset()
            return
        chunked = answer.headers.get("Transfer-Encoding") == "chunked"
        headers = {"Date": self.date_time_string(), **answer.headers}
        if not chunked and answer.status != 204:
            headers.setdefault("Content-Length", str(len(answer.body)))
        head = f"HTTP/1.1 {answer.status} {self.responses.get(answer.status, ('',))[0]}\r\n"
        head += "".join(f"{name}: {own}\r\n" for name, own in headers.items())
        self.wfile.write(head.encode("latin-1") + b"\r\n")
        if answer.drip:
            self._drip(answer)
        elif chunked:
            self._send_chunks(answer)
        else:
            self.wfile.write(answer.body[: answer.cut])
        if answer.cut is not None and answer.cut < len(answer.body):
            self._reset()
        elif answer.cut is not None:
            self.close_connection = True

    def _drip(self, answer: Answer) -> None:
        for byte in answer.body:
            self.wfile.write(bytes([byte]))
            if self.server.roster.closing.wait(answer.drip):
                break
        self.close_connection = True

    def _send_chunks(self, answer: Answer) -> None:
        self._send_chunk(answer.body)
        for part in answer.endless:
            if self.server.roster.closing.is_set():
                break
            self._send_chunk(part)
        self.wfile.write(b"0\r\n\r\n")

    def _send_chunk(self, part: bytes) -> None:
        if part:
            self.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))

    def _reset(self) -> None:
        """Ends the connection at once; what was sent may or may not arrive."""
        self.close_connection = True
        self.wfile.flush()
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 0, 0))


class StrangerHandler(Handler):
    """The other host: it notes who comes, and has a page for all of them."""

    def _serve(self) -> None:
        self.server.roster.strangers.append(self._asked())
        with suppress(OSError):
            self._send(as_html(200))
