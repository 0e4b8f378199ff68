"""The real service in a process of its own, and clients that ask it.

Belongs here: starting and stopping it, registering clients, ways to ask (httpx, a standard OAuth
client, curl). Run as a program, it is the service::

    python services.py FOLDER PORT OPTIONS

``OPTIONS`` is a JSON object with the other arguments of ``running``.
"""

from __future__ import annotations

import json
import signal
import socket
import ssl
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import authlib.deprecate  # noqa: F401 - sets filters, see below
import httpx

from ccgi_pipeline.http_service.connections import ConnectionLimits
from ccgi_pipeline.ssid_lookup.client_registry import ClientRegistry, ClientScope
from ccgi_pipeline.ssid_lookup.server import USUAL_LIMITS, TlsFiles, make_self_signed, serve
from ccgi_pipeline.ssid_lookup.service import LOOKUP_PATH, TOKEN_PATH, ServiceSettings

with warnings.catch_warnings():
    # It would rather have httpx2, which is not here.
    warnings.simplefilter("ignore")
    from authlib.integrations.httpx_client import OAuth2Client

_PROJECT = Path(__file__).parents[2]
_HOST = "127.0.0.1"
_START_SECONDS = 30


@dataclass
class Service:
    """A running service; ``output`` is a file with what it prints and complains about."""

    folder: Path
    port: int
    certificate: TlsFiles | None
    output: Path
    process: subprocess.Popen[bytes] = field(repr=False)

    @property
    def url(self) -> str:
        return f"{'https' if self.certificate else 'http'}://{_HOST}:{self.port}"

    def http(self) -> httpx.Client:
        """A client that trusts the service's certificate and sends what it is told to."""
        return httpx.Client(base_url=self.url, verify=self._trust())

    def _trust(self) -> ssl.SSLContext:
        if self.certificate is None:
            # Not needed, and quicker than what httpx would make of its own.
            return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        return ssl.create_default_context(cafile=str(self.certificate.certificate))

    @contextmanager
    def oauth_client(self, client_id: str, secret: str, **options: str) -> Iterator[OAuth2Client]:
        """A standard OAuth client that has fetched a token."""
        trust = self._trust()
        with OAuth2Client(client_id, secret, base_url=self.url, verify=trust, **options) as client:
            client.fetch_token(f"{self.url}{TOKEN_PATH}", grant_type="client_credentials")
            yield client

    def token(self, client_id: str, secret: str) -> str:
        """A bearer token."""
        with self.http() as http:
            answer = http.post(
                TOKEN_PATH, auth=(client_id, secret), data={"grant_type": "client_credentials"}
            )
        token: str = answer.raise_for_status().json()["access_token"]
        return token

    def curl(self, token: str, members: Mapping[str, Any]) -> tuple[int, Any]:
        """Status and body of a look-up that is asked with curl."""
        command = ["curl", "--silent", "--write-out", "\n%{http_code}", "--json", "@-"]
        trust = ["--cacert", str(self.certificate.certificate)] if self.certificate else []
        done = subprocess.run(
            [*command, *trust, "--oauth2-bearer", token, f"{self.url}{LOOKUP_PATH}"],
            input=json.dumps(members),
            capture_output=True,
            text=True,
            check=True,
        )
        body, _, status = done.stdout.rpartition("\n")
        return int(status), json.loads(body)

    def operator_lines(self, number: int) -> list[dict[str, Any]]:
        """The operator's log once it has so many lines: misses are noted after the answer."""
        ends = time.monotonic() + 5
        while True:
            lines = (self.folder / "logs/operator.jsonl").read_text().splitlines()
            if len(lines) >= number or time.monotonic() > ends:
                return [json.loads(line) for line in lines]
            time.sleep(0.01)

    def everything_written(self) -> str:
        """Both logs and all that the process printed."""
        files = [self.output, *sorted((self.folder / "logs").iterdir())]
        return "\n".join(file.read_text() for file in files)


@contextmanager
def running(
    folder: Path,
    *,
    workers: int = 1,
    tls: bool = False,
    limits: ConnectionLimits = USUAL_LIMITS,
    **settings: int,
) -> Iterator[Service]:
    """The service over ``folder``, until the end of the block; ``settings``: ServiceSettings."""
    port = _free_port()
    certificate = make_self_signed(folder) if tls else None
    options = {"workers": workers, "tls": tls, "limits": asdict(limits), "settings": settings}
    arguments = [folder, port, json.dumps(options)]
    output = folder / "output.txt"
    with output.open("ab") as written:
        process = subprocess.Popen(
            [sys.executable, "-m", __name__, *map(str, arguments)],
            stdout=written,
            stderr=written,
            cwd=_PROJECT,
        )
    service = Service(folder, port, certificate, output, process)
    try:
        _wait_for(service)
        yield service
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(15)


def _free_port() -> int:
    with socket.socket() as free:
        free.bind((_HOST, 0))
        port: int = free.getsockname()[1]
        return port


def _wait_for(service: Service) -> None:
    ends = time.monotonic() + _START_SECONDS
    while time.monotonic() < ends:
        assert service.process.poll() is None, service.output.read_text()
        try:
            socket.create_connection((_HOST, service.port), timeout=1).close()
        except OSError:
            time.sleep(0.02)
        else:
            return
    msg = "the service did not start"
    raise TimeoutError(msg)


def registered(
    folder: Path, client_id: str, *scopes: ClientScope, hourly_limit: int | None = None
) -> str:
    """The secret of a new client; without scopes it may do everything."""
    with closing(ClientRegistry(folder)) as clients:
        return clients.register(client_id, scopes or ClientScope, hourly_limit)


def main() -> None:
    """Serves until it is told to stop."""
    folder, port, options = sys.argv[1:]
    told = json.loads(options)
    serve(
        ServiceSettings(Path(folder), **told["settings"]),
        _HOST,
        int(port),
        certificate=make_self_signed(Path(folder)) if told["tls"] else None,
        plain_http=not told["tls"],
        workers=told["workers"],
        limits=ConnectionLimits(**told["limits"]),
    )


if __name__ == "__main__":
    main()
