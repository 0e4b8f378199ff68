"""A mail server and a webhook, on this machine, that keep what they are given.

Belongs here: as much SMTP (with STARTTLS and AUTH) and HTTP as a sender speaks.
"""

from __future__ import annotations

import base64
import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import Message
from email.policy import default
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socketserver import StreamRequestHandler, ThreadingTCPServer
from typing import Any

from ccgi_pipeline.ssid_lookup.server import make_self_signed

USER, PASSWORD = "pipeline", "mail-secret"


@dataclass
class MailServer:
    """A mail server. ``secure``: it has STARTTLS and wants a login after it."""

    port: int = 0
    secure: bool = False
    refuses: str | None = None
    mails: list[Message] = field(default_factory=list)
    trust: ssl.SSLContext | None = None

    @property
    def bodies(self) -> list[str]:
        """The texts of the mails."""
        return [mail.get_content() for mail in self.mails]  # type: ignore[attr-defined]


class _MailHandler(StreamRequestHandler):
    server: _MailListener

    def handle(self) -> None:
        try:
            self._talk(self.server.mail)
        except ssl.SSLError:
            return  # a client that does not trust us has gone
        finally:
            self.connection.close()

    def _talk(self, at: MailServer) -> None:
        allowed = not at.secure
        encrypted = False
        self._say("220 here")
        while line := self.rfile.readline().strip().decode():
            verb = line.split(" ", maxsplit=1)[0].upper()
            if verb in {"EHLO", "HELO"}:
                more = ["STARTTLS"] if at.secure and not encrypted else []
                features = more or ["AUTH PLAIN"]
                self._say("250-here", *(f"250-{word}" for word in features), "250 OK")
            elif verb == "STARTTLS" and at.trust is not None:
                self._say("220 go")
                # The handshake comes after, so that a socket on which it fails is closed too.
                self.connection = at.trust.wrap_socket(
                    self.connection, server_side=True, do_handshake_on_connect=False
                )
                self.connection.do_handshake()
                self.rfile = self.connection.makefile("rb")
                self.wfile = self.connection.makefile("wb", 0)
                encrypted = True
            elif verb == "AUTH":
                given = base64.b64decode(line.split(" ")[2]).decode().split("\0")
                allowed = encrypted and given == ["", USER, PASSWORD]
                self._say("235 in" if allowed else "535 no")
            elif verb == "DATA":
                self._say("354 go")
                at.mails.append(message_from_bytes(self._data(), policy=default))
                self._say("250 taken")
            elif verb == "QUIT":
                self._say("221 bye")
                return
            elif at.refuses or not allowed:
                self._say(at.refuses or "530 log in")
            else:
                self._say("250 OK")

    def _data(self) -> bytes:
        lines = []
        while (line := self.rfile.readline()) != b".\r\n":
            lines.append(line)
        return b"".join(lines)

    def _say(self, *lines: str) -> None:
        self.wfile.write("".join(f"{line}\r\n" for line in lines).encode())


class _MailListener(ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    mail: MailServer


@contextmanager
def mail_server(*, secure: bool = False, folder: Path | None = None) -> Iterator[MailServer]:
    """A mail server; a ``secure`` one has a certificate of its own, in ``folder``."""
    mail = MailServer(secure=secure)
    if folder is not None:
        certificate = make_self_signed(folder)
        mail.trust = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        mail.trust.load_cert_chain(certificate.certificate, certificate.key)
    with _MailListener(("127.0.0.1", 0), _MailHandler) as listener:
        listener.mail = mail
        mail.port = listener.server_address[1]
        threading.Thread(target=listener.serve_forever, args=(0.05,), daemon=True).start()
        yield mail
        listener.shutdown()


@dataclass
class Webhook:
    """A webhook that answers with ``status``."""

    url: str = ""
    status: int = 200
    posted: list[dict[str, Any]] = field(default_factory=list)

    @property
    def events(self) -> list[tuple[str, str]]:
        """Event and kind of all notices that came."""
        return [
            (notice["event"], notice["kind"])
            for message in self.posted
            for notice in message["notices"]
        ]


@contextmanager
def webhook() -> Iterator[Webhook]:
    """A webhook, with a secret in its path."""
    hook = Webhook()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if hook.status < 300:
                hook.posted.append(json.loads(body))
            self.send_response(hook.status)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nobody reads it."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        hook.url = f"http://127.0.0.1:{server.server_address[1]}/hook/T0P-S3CRET"
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield hook
        server.shutdown()
