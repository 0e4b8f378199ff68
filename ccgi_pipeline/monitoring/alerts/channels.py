"""Sending notices: by mail and by webhook, with secrets from the environment.

Belongs here: the two channels, what goes wrong with them, and one round of telling what waits. No
message repeats what a library or a server said: a webhook's address is a secret, and libraries
quote it. Does not belong here: what there is to tell.
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

import httpx

from ccgi_pipeline.common.environment import read_variable
from ccgi_pipeline.common.errors import PermanentError, TransientError
from ccgi_pipeline.monitoring.alerts.store import NoticeBook, open_book
from ccgi_pipeline.monitoring.alerts.types import (
    Alert,
    Event,
    Kind,
    Notice,
    mail_text,
    subject_line,
    webhook_message,
)
from ccgi_pipeline.profiles import NoticeSettings

SMTP_PASSWORD, WEBHOOK_URL = "CCGI_SMTP_PASSWORD", "CCGI_WEBHOOK_URL"
"""Environment variables; with ``_FILE`` appended, the file that holds the secret."""
MAIL, WEBHOOK = "mail", "webhook"

_SECONDS = 20.0
"""So long a mail server or a webhook may take for one answer."""

Send = Callable[[Sequence[Notice]], None]


class NoticeSettingsError(PermanentError):
    """What is set for notices cannot be used: mend the setting."""


class NoticeRefusedError(PermanentError):
    """A mail server or a webhook does not take a notice, and will not until somebody acts."""


class NoticeNotSentError(TransientError):
    """A notice could not be sent just now: it is tried again at the next look."""


def channels(
    settings: NoticeSettings, environment: Mapping[str, str] = os.environ
) -> dict[str, Send]:
    """The ways in which notices go out, by name. Raises NoticeSettingsError."""
    ways: dict[str, Send] = {}
    if settings.mails:
        ways[MAIL] = partial(_mail, settings, _secret(environment, SMTP_PASSWORD))
    url = _secret(environment, WEBHOOK_URL)
    if url is not None:
        _must_be_private(url)
        ways[WEBHOOK] = partial(_post, url, settings.installation)
    return ways


def _secret(environment: Mapping[str, str], name: str) -> str | None:
    secret = read_variable(environment, name, NoticeSettingsError)
    # A file ends with a line break that no secret has.
    return None if secret is None else secret.strip()


def _must_be_private(url: str) -> None:
    parts = urlsplit(url)
    loopback = parts.hostname in {"127.0.0.1", "localhost", "::1"}
    if parts.scheme == "https" or (parts.scheme == "http" and loopback):
        return
    msg = f"{WEBHOOK_URL} must begin with https://"
    raise NoticeSettingsError(msg)


# --- the channels ---------------------------------------------------------------------------------


def _mail(settings: NoticeSettings, password: str | None, notices: Sequence[Notice]) -> None:
    message = EmailMessage()
    message["Subject"] = subject_line(notices, settings.installation)
    message["From"] = settings.mail_from
    message["To"] = ", ".join(settings.mail_to)
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(mail_text(notices))
    try:
        with _connected(settings) as server:
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
def _connected(settings: NoticeSettings) -> Iterator[smtplib.SMTP]:
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


def _post(url: str, installation: str, notices: Sequence[Notice]) -> None:
    try:
        answer = httpx.post(url, json=webhook_message(notices, installation), timeout=_SECONDS)
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


def example(at: datetime) -> Notice:
    """A notice that says that it is none."""
    words = "this is a test; nothing is wrong"
    return Notice(0, Event.BEGAN, Alert(Kind.HEARTBEAT, "test", words, "notices"), at)


# --- telling --------------------------------------------------------------------------------------


def tell(
    warehouse: Path,
    settings: NoticeSettings,
    troubles: Iterable[Alert],
    at: datetime,
    unknown: Collection[Kind] = (),
) -> list[str]:
    """Notes the troubles that there are, and tells what is new and what is over.

    Returns what could not be sent, in words: it waits for the next call. Where nothing is set
    for notices, nothing is noted. Raises NoticeSettingsError.
    """
    ways = channels(settings)
    if not ways:
        return []
    wanted = [trouble for trouble in troubles if trouble.kind.value in settings.kinds]
    with open_book(warehouse) as book:
        book.note(wanted, ways, at, unknown)
        with _only_teller(warehouse) as alone:
            return _send(book, ways) if alone else []


def _send(book: NoticeBook, ways: Mapping[str, Send]) -> list[str]:
    failed = []
    for name, send in ways.items():
        waiting = book.unsent(name)
        if not waiting:
            continue
        try:
            send(waiting)
        except (TransientError, PermanentError) as error:
            failed.append(f"{name}: {error}")
        else:
            book.sent(name, waiting)
    return failed


@contextmanager
def _only_teller(warehouse: Path) -> Iterator[bool]:
    """Whether nobody else is sending: two who send what waits would tell it twice."""
    with (warehouse / "notices.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
