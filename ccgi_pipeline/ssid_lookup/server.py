"""Starting and stopping the service.

Belongs here: uvicorn, TLS, worker processes, a certificate for the demo. Does not belong here: what
the service answers.
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

from ccgi_pipeline.common.errors import PermanentError
from ccgi_pipeline.encryption.sqlite import OWNER_ONLY
from ccgi_pipeline.ssid_lookup.service import Rooms, Settings, create_app

_STOP_SECONDS = 5
"""How long requests under way may take once the service is told to stop."""

_DEMO_CERTIFICATE_DAYS = 30


class InsecureError(PermanentError):
    """Students' data would go over a network in the clear."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """The files that TLS needs."""

    certificate: Path
    key: Path


def serve(
    settings: Settings,
    host: str,
    port: int,
    *,
    certificate: Certificate | None = None,
    plain_http: bool = False,
    workers: int = 1,
) -> None:
    """Serves until SIGTERM or SIGINT, and then lets requests under way come to their end.

    Raises InsecureError without a certificate, unless ``plain_http`` is asked for and ``host`` is
    this machine alone.
    """
    if certificate is None and not (plain_http and _is_loopback(host)):
        msg = "a certificate is needed: plain HTTP is for loopback alone, and must be asked for"
        raise InsecureError(msg)
    # Once before there are workers, so that what cannot be opened is told here.
    Rooms(settings).close()
    config = uvicorn.Config(
        # Workers make an app of their own each; what makes it must survive being pickled.
        partial(create_app, settings),
        factory=True,
        host=host,
        port=port,
        workers=workers,
        ssl_certfile=certificate.certificate if certificate else None,
        ssl_keyfile=certificate.key if certificate else None,
        # The service keeps its own logs; an address may hold what a sender should not have sent.
        access_log=False,
        log_level="warning",
        # Whoever stands between may not tell us what the scheme was.
        proxy_headers=False,
        server_header=False,
        ws="none",
        timeout_graceful_shutdown=_STOP_SECONDS,
    )
    if workers == 1:
        uvicorn.Server(config).run()
    else:
        with config.bind_socket() as socket:
            Multiprocess(config, [socket]).run()


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def self_signed(folder: Path) -> Certificate:
    """A certificate of its own making for this machine, for a demo; used again while it lasts."""
    made = Certificate(folder / "demo_certificate.pem", folder / "demo_key.pem")
    if not _lasts(made.certificate):
        folder.mkdir(parents=True, exist_ok=True)
        key = ec.generate_private_key(ec.SECP256R1())
        _write_owner_only(made.key, _pem(key))
        certificate = _signed(key, datetime.now(tz=UTC))
        _write_owner_only(made.certificate, certificate.public_bytes(serialization.Encoding.PEM))
    return made


def _lasts(certificate: Path) -> bool:
    if not certificate.exists():
        return False
    ends = x509.load_pem_x509_certificate(certificate.read_bytes()).not_valid_after_utc
    return ends > datetime.now(tz=UTC) + timedelta(days=1)


def _write_owner_only(path: Path, content: bytes) -> None:
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_EXCL, OWNER_ONLY), "wb") as file:
        file.write(content)


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def _signed(key: ec.EllipticCurvePrivateKey, now: datetime) -> x509.Certificate:
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
        # Clients may be given this very certificate as the one authority they trust.
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
