"""Registered clients: what is stored of a secret, what ends a token."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from ccgi_pipeline.common.errors import PermanentError
from ccgi_pipeline.ssid_lookup.client_registry import (
    LONGEST_TOKEN,
    Client,
    ClientExistsError,
    ClientRegistry,
    ClientScope,
    UnknownClientError,
)


class Clock:
    """Says what time it is when it is told to."""

    now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def clients(tmp_path: Path, clock: Clock) -> Iterator[ClientRegistry]:
    with closing(ClientRegistry(tmp_path, clock)) as opened:
        yield opened


def test_a_secret_is_told_once_and_not_stored(clients: ClientRegistry, tmp_path: Path):
    secret = clients.register("cccapply", [ClientScope.LOOKUP])
    token = clients.issue_token("cccapply", [ClientScope.LOOKUP], 600)
    assert len(secret) == len(token) == 43
    assert clients.check_secret("cccapply", secret)
    assert not clients.check_secret("cccapply", token)
    for file in tmp_path.iterdir():
        assert secret.encode() not in file.read_bytes()
        assert token.encode() not in file.read_bytes()


def test_a_client_is_registered_once(clients: ClientRegistry):
    secret = clients.register("cccapply", [ClientScope.LOOKUP], hourly_limit=15_000)
    with pytest.raises(ClientExistsError):
        clients.register("cccapply", ClientScope)
    assert clients.check_secret("cccapply", secret)
    assert clients.list_clients() == [
        Client("cccapply", frozenset({ClientScope.LOOKUP}), enabled=True, hourly_limit=15_000)
    ]


@pytest.mark.parametrize("client_id", ["", "a b", "a:b", "é", "a" * 65, "a\nb", "a/b"])
def test_a_client_id_that_could_not_stand_in_a_log_is_refused(
    clients: ClientRegistry, client_id: str
):
    with pytest.raises(PermanentError):
        clients.register(client_id, ClientScope)


def test_a_rotated_secret_ends_the_old_one_and_its_tokens(clients: ClientRegistry):
    old = clients.register("cccapply", ClientScope)
    token = clients.issue_token("cccapply", ClientScope, 600)
    new = clients.rotate_secret("cccapply")
    assert clients.check_secret("cccapply", new)
    assert not clients.check_secret("cccapply", old)
    assert clients.find_token(token) is None


def test_a_disabled_client_has_no_tokens_until_it_asks_again(clients: ClientRegistry):
    secret = clients.register("cccapply", ClientScope)
    token = clients.issue_token("cccapply", ClientScope, 600)
    clients.disable("cccapply")
    assert not clients.check_secret("cccapply", secret)
    assert clients.find_token(token) is None
    clients.enable("cccapply")
    assert clients.check_secret("cccapply", secret)
    assert clients.find_token(token) is None


def test_a_token_lasts_as_long_as_it_says(clients: ClientRegistry, clock: Clock):
    clients.register("cccapply", ClientScope)
    token = clients.issue_token("cccapply", [ClientScope.VERIFY], 600)
    clock.now += 599
    known = clients.find_token(token)
    assert known is not None
    assert known.scopes == {ClientScope.VERIFY}
    clock.now += 1
    assert clients.find_token(token) is None


def test_ended_tokens_are_forgotten(clients: ClientRegistry, clock: Clock):
    clients.register("cccapply", ClientScope)
    for _ in range(10):
        clients.issue_token("cccapply", ClientScope, 600)
        clock.now += 300
    count = clients._database.execute("SELECT count(*) FROM tokens").fetchone()
    assert count == (2,)


def test_a_token_of_a_clock_that_was_ahead_does_not_last_for_years(
    clients: ClientRegistry, clock: Clock
):
    clients.register("cccapply", ClientScope)
    clock.now += 10 * 365 * 86_400
    token = clients.issue_token("cccapply", ClientScope, 600)
    assert clients.find_token(token) is not None
    clock.now -= 10 * 365 * 86_400
    assert clients.find_token(token) is None
    good = clients.issue_token("cccapply", ClientScope, LONGEST_TOKEN)
    assert clients.find_token(good) is not None
    assert clients._database.execute("SELECT count(*) FROM tokens").fetchone() == (1,)
    with pytest.raises(PermanentError):
        clients.issue_token("cccapply", ClientScope, LONGEST_TOKEN + 1)


def test_a_changed_limit_holds_for_tokens_that_are_out(clients: ClientRegistry):
    clients.register("cccapply", ClientScope)
    token = clients.issue_token("cccapply", ClientScope, 600)
    clients.set_hourly_limit("cccapply", 15_000)
    known = clients.find_token(token)
    assert known is not None
    assert known.hourly_limit == 15_000


def test_nothing_is_changed_about_a_client_that_is_not_registered(clients: ClientRegistry):
    for change in (clients.rotate_secret, clients.disable, clients.enable):
        with pytest.raises(UnknownClientError):
            change("nobody")
    assert not clients.check_secret("nobody", "")
