"""Sending notices by mail and by webhook, with secrets from the environment.

Belongs here: the two channels, their errors, and one round of sending. No message repeats what a
library or a server said: a webhook's address is a secret, and libraries quote it. Does not belong
here: what a notice says (types).
"""

from __future__ import annotations

import fcntl
import os
import smtplib
import ssl
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from email.message import EmailMessage
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

from ccgi_pipeline.common.environment import read_variable
from ccgi_pipeline.common.errors import PermanentError, TransientError
from ccgi_pipeline.monitoring.alerts.store import AlertStore, open_alert_store
from ccgi_pipeline.monitoring.alerts.types import (
    Alert,
    AlertKind,
    Notice,
    NoticeEvent,
    format_mail,
    format_subject,
    format_webhook_message,
)
from ccgi_pipeline.profiles import NoticeSettings

SMTP_PASSWORD, WEBHOOK_URL = "CCGI_SMTP_PASSWORD", "CCGI_WEBHOOK_URL"
"""Environment variables; with ``_FILE`` appended, the file that holds the secret."""
MAIL, WEBHOOK = "mail", "webhook"

_SECONDS = 20.0
"""How long a mail server or a webhook may take for one answer."""

Send = Callable[[Sequence[Notice]], None]


class NoticeSettingsError(PermanentError):
    """A setting for notices cannot be used: correct it."""


class NoticeRefusedError(PermanentError):
    """A mail server or a webhook refuses notices until somebody acts."""


class NoticeNotSentError(TransientError):
    """A notice could not be sent now: the next heartbeat tries again."""


def build_channels(
    settings: NoticeSettings, environment: Mapping[str, str] = os.environ
) -> dict[str, Send]:
    """Returns the channels that are set, by name. Raises NoticeSettingsError."""
    found: dict[str, Send] = {}
    if settings.mails:
        found[MAIL] = partial(_send_mail, settings, _read_secret(environment, SMTP_PASSWORD))
    url = _read_secret(environment, WEBHOOK_URL)
    if url is not None:
        _require_https(url)
        found[WEBHOOK] = partial(_post_to_webhook, url, settings.installation)
    return found


def _read_secret(environment: Mapping[str, str], name: str) -> str | None:
    secret = read_variable(environment, name, NoticeSettingsError)
    # A file ends with a line break that no secret has.
    return None if secret is None else secret.strip()


def _require_https(url: str) -> None:
    parts = urlsplit(url)
    loopback = parts.hostname in {"127.0.0.1", "localhost", "::1"}
    if parts.scheme == "https" or (parts.scheme == "http" and loopback):
        return
    msg = f"{WEBHOOK_URL} must begin with https://"
    raise NoticeSettingsError(msg)


# --- the channels ---------------------------------------------------------------------------------


def _send_mail(settings: NoticeSettings, password: str | None, notices: Sequence[Notice]) -> None:
    message = EmailMessage()
    message["Subject"] = format_subject(notices, settings.installation)
    message["From"] = settings.mail_from
    message["To"] = ", ".join(settings.mail_to)
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(format_mail(notices))
    try:
        with _connect(settings) as server:
            if settings.smtp_user is not None:
                server.login(settings.smtp_user, password or "")
            server.send_message(message)
    except smtplib.SMTPAuthenticationError:
        msg = f"the mail server does not take the login: look at smtp_user and {SMTP_PASSWORD}"
        raise NoticeRefusedError(msg) from None
    except smtplib.SMTPNotSupportedError:
        msg = "the mail server has no STARTTLS, or no login: look at smtp_tls and smtp_port"
        raise NoticeRefusedError(msg) from None
    except ssl.SSLCertVerificationError:
        msg = "the mail server's certificate cannot be trusted: look at smtp_host"
        raise NoticeRefusedError(msg) from None
    except (smtplib.SMTPRecipientsRefused, smtplib.SMTPSenderRefused):
        msg = "the mail server refuses sender or recipients: look at mail_from and mail_to"
        raise NoticeRefusedError(msg) from None
    except (smtplib.SMTPException, OSError) as error:
        msg = f"the mail server did not take the mail just now ({type(error).__name__})"
        raise NoticeNotSentError(msg) from None


@contextmanager
def _connect(settings: NoticeSettings) -> Iterator[smtplib.SMTP]:
    host, port = settings.smtp_host or "", settings.smtp_port
    secure = ssl.create_default_context()
    if settings.smtp_tls == "tls":
        with smtplib.SMTP_SSL(host, port, timeout=_SECONDS, context=secure) as server:
            yield server
        return
    with smtplib.SMTP(host, port, timeout=_SECONDS) as server:
        if settings.smtp_tls == "starttls":
            server.starttls(context=secure)
        yield server


def _post_to_webhook(url: str, installation: str, notices: Sequence[Notice]) -> None:
    import httpx  # noqa: PLC0415 - it takes a third of a second to load, and few nights send one

    try:
        message = format_webhook_message(notices, installation)
        # The status says all: of a page that follows it, however long, nothing is read.
        with httpx.stream("POST", url, json=message, timeout=_SECONDS) as answer:
            pass
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        msg = f"the webhook could not be reached just now ({type(error).__name__})"
        raise NoticeNotSentError(msg) from None
    if answer.is_success:
        return
    msg = f"the webhook answered with status {answer.status_code}"
    passing = answer.is_server_error or answer.status_code == httpx.codes.TOO_MANY_REQUESTS
    raise (
        NoticeNotSentError(msg) if passing else NoticeRefusedError(f"{msg}: look at {WEBHOOK_URL}")
    )


def build_test_notice(at: datetime) -> Notice:
    """Returns a notice that says that it is only a test."""
    words = "this is a test; nothing is wrong"
    return Notice(0, NoticeEvent.BEGAN, Alert(AlertKind.HEARTBEAT, "test", words, "notices"), at)


# --- one round of sending -------------------------------------------------------------------------


def record_and_send(
    warehouse: Path,
    settings: NoticeSettings,
    alerts: Iterable[Alert],
    at: datetime,
    unchecked: Collection[AlertKind] = (),
) -> list[str]:
    """Stores the alerts that there are now, and sends a notice of each that is new or over.

    Returns a message for each channel that could not send; its notices wait for the next call.
    Where no channel is set, nothing is stored. Raises NoticeSettingsError.
    """
    channels = build_channels(settings)
    if not channels:
        return []
    wanted = [alert for alert in alerts if alert.kind.value in settings.kinds]
    with open_alert_store(warehouse) as store:
        store.record_alerts(wanted, channels, at, unchecked)
        with _sole_sender(warehouse) as alone:
            return _send_waiting(store, channels) if alone else []


def _send_waiting(store: AlertStore, channels: Mapping[str, Send]) -> list[str]:
    failed = []
    for name, send in channels.items():
        waiting = store.read_unsent(name)
        if not waiting:
            continue
        try:
            send(waiting)
        except (TransientError, PermanentError) as error:
            failed.append(f"{name}: {error}")
        else:
            store.mark_sent(name, waiting)
    return failed


@contextmanager
def _sole_sender(warehouse: Path) -> Iterator[bool]:
    """Tells whether no other process is sending: two would send each notice twice."""
    with (warehouse / "notices.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
