"""Notices: each state told once, over once, by mail and webhook; what cannot be sent waits."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from ccgi_pipeline.cli import main
from ccgi_pipeline.monitoring.alerts.channels import (
    NoticeNotSentError,
    NoticeRefusedError,
    NoticeSettingsError,
    build_channels,
    build_test_notice,
    record_and_send,
)
from ccgi_pipeline.monitoring.alerts.store import open_alert_store
from ccgi_pipeline.monitoring.alerts.types import Alert, AlertKind
from ccgi_pipeline.profiles import NoticeSettings, ProfileError, profiles_in
from ccgi_pipeline_tests.monitoring.alerts.receivers import (
    PASSWORD,
    USER,
    MailServer,
    Webhook,
    mail_server,
    webhook,
)
from ccgi_pipeline_tests.raw_server import serving

AT = datetime(2026, 11, 23, 1, 30, tzinfo=UTC)
HELD = Alert(
    AlertKind.DROPS_HELD, "d1", "oneroster of 3367173: 812 records would end", "drops_held"
)
FAILED = Alert(AlertKind.RUN_FAILED, "night/x", "night: receipts (ValueError)", "run_failed")


@pytest.fixture
def hook(monkeypatch: pytest.MonkeyPatch) -> Iterator[Webhook]:
    with webhook() as running:
        monkeypatch.setenv("CCGI_WEBHOOK_URL", running.url)
        yield running


@pytest.fixture
def mail() -> Iterator[MailServer]:
    with mail_server() as running:
        yield running


def by_mail(server: MailServer) -> NoticeSettings:
    return NoticeSettings(
        mail_to=("team@example.org", "lead@example.org"),
        mail_from="pipeline@example.org",
        smtp_host="127.0.0.1",
        smtp_port=server.port,
        smtp_tls="none",
        installation="staging",
    )


def test_a_state_is_told_once_and_once_when_it_is_over(tmp_path: Path, hook: Webhook) -> None:
    settings = NoticeSettings()
    for found in ([HELD], [HELD], [HELD, FAILED], [FAILED], [], []):
        assert record_and_send(tmp_path, settings, found, AT) == []
    assert hook.events == [
        ("began", "drops_held"),
        ("began", "run_failed"),
        ("over", "drops_held"),
        ("over", "run_failed"),
    ]


def test_a_state_that_comes_back_is_told_again(tmp_path: Path, hook: Webhook) -> None:
    for found in ([HELD], [], [HELD]):
        record_and_send(tmp_path, NoticeSettings(), found, AT)
    assert [event for event, _ in hook.events] == ["began", "over", "began"]


def test_words_may_change_without_another_notice(tmp_path: Path, hook: Webhook) -> None:
    record_and_send(tmp_path, NoticeSettings(), [HELD], AT)
    record_and_send(tmp_path, NoticeSettings(), [replace(HELD, words="other words")], AT)
    assert len(hook.events) == 1


def test_what_could_not_be_looked_for_is_not_over(tmp_path: Path, hook: Webhook) -> None:
    record_and_send(tmp_path, NoticeSettings(), [HELD], AT)
    record_and_send(tmp_path, NoticeSettings(), [], AT, unchecked=[AlertKind.DROPS_HELD])
    record_and_send(tmp_path, NoticeSettings(), [HELD], AT)
    assert len(hook.events) == 1


def test_only_the_kinds_that_are_wanted_are_told(tmp_path: Path, hook: Webhook) -> None:
    record_and_send(tmp_path, NoticeSettings(kinds=("run_failed",)), [HELD, FAILED], AT)
    assert hook.events == [("began", "run_failed")]


def test_a_mail_says_what_it_is_when_and_where_to_read_on(tmp_path: Path, mail: MailServer) -> None:
    record_and_send(tmp_path, by_mail(mail), [HELD, FAILED], AT)
    (sent,) = mail.mails
    assert sent["Subject"] == "CCGI pipeline (staging): 2 new: a run failed, drops are held"
    assert (sent["From"], sent["To"]) == (
        "pipeline@example.org",
        "team@example.org, lead@example.org",
    )
    (body,) = mail.bodies
    assert "drops are held: oneroster of 3367173: 812 records would end" in body
    assert "seen 2026-11-22 17:30 in California" in body
    assert "what to do: docs/when-something-is-red.md#drops_held" in body


def test_of_many_states_a_message_tells_some_and_counts_the_rest(
    tmp_path: Path, mail: MailServer, hook: Webhook
) -> None:
    many = [replace(HELD, subject=f"{number}") for number in range(1_000)]
    assert record_and_send(tmp_path, by_mail(mail), many, AT) == []
    (body,), (message,) = mail.bodies, hook.posted
    assert "950 more: `ccgi notices list` shows all that is open" in body
    assert len(body) < 20_000
    assert "950 more" in message["text"]
    assert (len(message["notices"]), message["notices_omitted"]) == (50, 950)
    assert len(json.dumps(message)) < 25_000  # Teams takes 28 KB


def test_a_mail_goes_over_tls_with_the_login_from_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with mail_server(secure=True, folder=tmp_path) as mail:
        settings = by_mail(mail).model_copy(update={"smtp_tls": "starttls", "smtp_user": USER})
        secret = tmp_path / "password"
        secret.write_text(f"{PASSWORD}\n")
        monkeypatch.setenv("CCGI_SMTP_PASSWORD_FILE", str(secret))
        (told,) = record_and_send(tmp_path, settings, [HELD], AT)
        assert "certificate cannot be trusted" in told
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "demo_certificate.pem"))
        assert record_and_send(tmp_path, settings, [HELD], AT) == []
        assert len(mail.mails) == 1
        secret.write_text("wrong")
        with pytest.raises(NoticeRefusedError, match="CCGI_SMTP_PASSWORD"):
            build_channels(settings)["mail"]([build_test_notice(AT)])


def test_a_server_without_tls_gets_neither_login_nor_mail(
    mail: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CCGI_SMTP_PASSWORD", PASSWORD)
    settings = by_mail(mail).model_copy(update={"smtp_tls": "starttls", "smtp_user": USER})
    with pytest.raises(NoticeRefusedError, match="STARTTLS"):
        build_channels(settings)["mail"]([build_test_notice(AT)])
    assert mail.mails == []


def test_what_cannot_be_sent_waits_and_goes_out_later_once(
    tmp_path: Path, mail: MailServer, hook: Webhook
) -> None:
    hook.status = 503
    mail.refuses = "451 later"
    failed = record_and_send(tmp_path, by_mail(mail), [HELD], AT)
    assert [line.split(":")[0] for line in failed] == ["mail", "webhook"]
    with open_alert_store(tmp_path) as store:
        assert store.read_unsent_since(["mail", "webhook"]) == AT
    hook.status = 200
    failed = record_and_send(tmp_path, by_mail(mail), [HELD], AT + timedelta(minutes=1))
    assert [line.split(":")[0] for line in failed] == ["mail"]
    mail.refuses = None
    for minute in range(2, 4):
        assert (
            record_and_send(tmp_path, by_mail(mail), [HELD], AT + timedelta(minutes=minute)) == []
        )
    assert (len(mail.mails), len(hook.posted)) == (1, 1)


def test_two_who_look_at_once_tell_once(tmp_path: Path, hook: Webhook) -> None:
    both = threading.Barrier(8)

    def look() -> None:
        both.wait()
        record_and_send(tmp_path, NoticeSettings(), [HELD, FAILED], AT)

    threads = [threading.Thread(target=look) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    record_and_send(tmp_path, NoticeSettings(), [HELD, FAILED], AT)
    assert sorted(hook.events) == [("began", "drops_held"), ("began", "run_failed")]


def test_no_error_tells_the_webhooks_address(
    hook: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    hook.status = 404
    with pytest.raises(NoticeRefusedError, match="status 404") as refused:
        build_channels(NoticeSettings())["webhook"]([build_test_notice(AT)])
    monkeypatch.setenv("CCGI_WEBHOOK_URL", "http://127.0.0.1:1/T0P-S3CRET")
    with pytest.raises(NoticeNotSentError) as away:
        build_channels(NoticeSettings())["webhook"]([build_test_notice(AT)])
    monkeypatch.setenv("CCGI_WEBHOOK_URL", "http://hooks.example.org/T0P-S3CRET")
    with pytest.raises(NoticeSettingsError, match="https") as plain:
        build_channels(NoticeSettings())
    for raised in (refused, away, plain):
        assert "T0P-S3CRET" not in str(raised.value)


def test_where_nothing_is_set_nothing_is_noted(tmp_path: Path) -> None:
    assert record_and_send(tmp_path, NoticeSettings(), [HELD], AT) == []
    assert [*tmp_path.iterdir()] == []


def test_the_command_sends_a_test_and_lists_what_stands(tmp_path: Path, hook: Webhook) -> None:
    at = ["--warehouse", str(tmp_path)]
    tested = CliRunner().invoke(main, ["notices", "test", *at])
    assert (tested.exit_code, tested.output) == (0, "webhook: sent\n")
    assert "this is a test" in hook.posted[0]["text"]
    record_and_send(tmp_path, NoticeSettings(), [HELD], AT)
    assert "812 records" in CliRunner().invoke(main, ["notices", "list", *at]).output
    hook.status = 500
    failed = CliRunner().invoke(main, ["notices", "test", *at])
    assert failed.exit_code == 1
    assert "status 500" in failed.output


def test_without_a_channel_the_test_says_so(tmp_path: Path) -> None:
    told = CliRunner().invoke(main, ["notices", "test", "--warehouse", str(tmp_path)])
    assert told.exit_code == 1
    assert "no channel is set" in told.output


def test_of_a_webhooks_answer_only_the_status_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = 0

    def answer(connection: socket.socket) -> None:
        nonlocal sent
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 400000000\r\n\r\n")
        while sent < 400_000_000:
            sent += connection.send(b"9" * 65536)

    with serving(answer) as address:
        monkeypatch.setenv("CCGI_WEBHOOK_URL", address)
        assert record_and_send(tmp_path, NoticeSettings(), [HELD], AT) == []
    assert 0 < sent < 20_000_000


@pytest.mark.parametrize(
    ("written", "word"),
    [
        ("mail_too = []", "mail_too"),
        ('mail_to = ["a@example.org"]', "mail_from"),
        ('kinds = ["everything"]', "kinds"),
        ("smtp_port = '25'", "smtp_port"),
        ('smtp_tls = "maybe"', "smtp_tls"),
        (
            'mail_to = ["a@x"]\nmail_from = "b@x"\nsmtp_host = "mail.x"\nsmtp_tls = "none"',
            "this machine",
        ),
    ],
)
def test_what_is_set_wrongly_is_named(tmp_path: Path, written: str, word: str) -> None:
    profiles = tmp_path / "profiles.toml"
    profiles.write_text(f"[notices]\n{written}\n")
    with pytest.raises(ProfileError, match=word):
        profiles_in(profiles)


def test_hours_may_be_written_as_whole_numbers(tmp_path: Path) -> None:
    profiles = tmp_path / "profiles.toml"
    profiles.write_text('[heartbeat]\nnight_hours = 30\nignore = ["sensor_stopped"]\n')
    settings = profiles_in(profiles).heartbeat
    assert (settings.night_hours, settings.ignore) == (30.0, ("sensor_stopped",))
    profiles.write_text('[heartbeat]\nignore = ["anything"]\n')
    with pytest.raises(ProfileError, match="ignore"):
        profiles_in(profiles)
