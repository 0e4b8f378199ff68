"""A webhook for all drills: what arrives there is what the operator is told."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ccgi_pipeline_tests.monitoring.alerts.receivers import Webhook, webhook


@pytest.fixture
def hook(monkeypatch: pytest.MonkeyPatch) -> Iterator[Webhook]:
    """The operator's webhook."""
    with webhook() as running:
        monkeypatch.setenv("CCGI_WEBHOOK_URL", running.url)
        yield running
