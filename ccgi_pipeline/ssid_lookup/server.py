"""The server: starts and stops the service.

Belongs here: uvicorn, worker processes, a certificate for the demo. Does not belong here: the
service's answers (``service``), and the limits of connections and their TLS
(``http_service``).
"""

from __future__ import annotations

import ipaddress
import os
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import uvicorn
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from uvicorn.supervisors import Multiprocess

from ccgi_pipeline.encryption.sqlite import OWNER_ONLY
from ccgi_pipeline.http_service.connections import (
    ConnectionGate,
    ConnectionLimits,
    build_tls_context,
    reserve_files,
)
from ccgi_pipeline.http_service.request_heads import is_loopback
from ccgi_pipeline.http_service.uvicorn_settings import configure
from ccgi_pipeline.ssid_lookup.contract import InsecureError
from ccgi_pipeline.ssid_lookup.refusal_log import RefusalLog
from ccgi_pipeline.ssid_lookup.service import (
    ServiceResources,
    ServiceSettings,
    create_app,
    open_journal,
)

_STOP_SECONDS = 5
"""How long requests under way may take when the service stops."""

_DEMO_CERTIFICATE_DAYS = 30


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """The files with the server's certificate and key."""

    certificate: Path
    key: Path


USUAL_LIMITS = ConnectionLimits()


def serve(  # noqa: PLR0913 - what and where; the others are named and have defaults
    settings: ServiceSettings,
    host: str,
    port: int,
    *,
    certificate: TlsFiles | None = None,
    plain_http: bool = False,
    workers: int = 1,
    limits: ConnectionLimits = USUAL_LIMITS,
) -> None:
    """Serves until SIGTERM or SIGINT, then finishes the requests under way.

    ``limits``: of the connections of each worker. Raises InsecureError without a certificate,
    unless ``plain_http`` is set and ``host`` is the loopback; CertificateError, TooFewFilesError.
    """
    if certificate is None and not (plain_http and is_loopback(host)):
        msg = (
            "a certificate is needed: plain HTTP is allowed only on the loopback, and only if it "
            "is asked for"
        )
        raise InsecureError(msg)
    # Opened once before the workers start, so that a file that cannot be opened is reported here.
    ServiceResources(settings).close()
    files = (certificate.certificate, certificate.key) if certificate else None
    if files:
        build_tls_context(*files)
    limits = reserve_files(limits)
    gate = ConnectionGate(limits, RefusalLog(open_journal(settings)), files)
    # Each worker makes its own app with this function, which must be picklable.
    app = partial(create_app, settings)
    config = configure(app, gate, host, port, stop_seconds=_STOP_SECONDS, workers=workers)
    if workers == 1:
        uvicorn.Server(config).run()
    else:
        with config.bind_socket() as socket:
            Multiprocess(config, [socket]).run()


def make_self_signed(folder: Path) -> TlsFiles:
    """Makes a self-signed certificate of this machine for a demo, or returns one that is valid."""
    made = TlsFiles(folder / "demo_certificate.pem", folder / "demo_key.pem")
    if not _is_valid(made.certificate):
        folder.mkdir(parents=True, exist_ok=True)
        key = ec.generate_private_key(ec.SECP256R1())
        _write_owner_only(made.key, _encode_key(key))
        certificate = _sign_certificate(key, datetime.now(tz=UTC))
        _write_owner_only(made.certificate, certificate.public_bytes(serialization.Encoding.PEM))
    return made


def _is_valid(certificate: Path) -> bool:
    if not certificate.exists():
        return False
    made = x509.load_pem_x509_certificate(certificate.read_bytes())
    now = datetime.now(tz=UTC)
    # One that is not valid yet was made by a clock that was ahead.
    return made.not_valid_before_utc <= now < made.not_valid_after_utc - timedelta(days=1)


def _write_owner_only(path: Path, content: bytes) -> None:
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_EXCL, OWNER_ONLY), "wb") as file:
        file.write(content)


def _encode_key(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def _sign_certificate(key: ec.EllipticCurvePrivateKey, now: datetime) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    names = [
        x509.DNSName("localhost"),
        x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
        x509.IPAddress(ipaddress.ip_address("::1")),
    ]
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + timedelta(days=_DEMO_CERTIFICATE_DAYS))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        # A client can use this certificate itself as its trusted authority.
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
