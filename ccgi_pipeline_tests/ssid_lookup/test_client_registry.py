"""Registered clients: what is stored of a secret, what ends a token."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from ccgi_pipeline.common.errors import PermanentError
from ccgi_pipeline.ssid_lookup.client_registry import (
    Client,
    ClientExistsError,
    Clients,
    Scope,
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
def clients(tmp_path: Path, clock: Clock) -> Iterator[Clients]:
    with closing(Clients(tmp_path, clock)) as opened:
        yield opened


def test_a_secret_is_told_once_and_not_stored(clients: Clients, tmp_path: Path):
    secret = clients.register("cccapply", [Scope.LOOKUP])
    token = clients.issue_token("cccapply", [Scope.LOOKUP], 600)
    assert len(secret) == len(token) == 43
    assert clients.is_secret_of("cccapply", secret)
    assert not clients.is_secret_of("cccapply", token)
    for file in tmp_path.iterdir():
        assert secret.encode() not in file.read_bytes()
        assert token.encode() not in file.read_bytes()


def test_a_client_is_registered_once(clients: Clients):
    secret = clients.register("cccapply", [Scope.LOOKUP], hourly_limit=15_000)
    with pytest.raises(ClientExistsError):
        clients.register("cccapply", Scope)
    assert clients.is_secret_of("cccapply", secret)
    assert clients.all() == [
        Client("cccapply", frozenset({Scope.LOOKUP}), enabled=True, hourly_limit=15_000)
    ]


@pytest.mark.parametrize("client_id", ["", "a b", "a:b", "é", "a" * 65, "a\nb", "a/b"])
def test_a_client_id_that_could_not_stand_in_a_log_is_refused(clients: Clients, client_id: str):
    with pytest.raises(PermanentError):
        clients.register(client_id, Scope)


def test_a_rotated_secret_ends_the_old_one_and_its_tokens(clients: Clients):
    old = clients.register("cccapply", Scope)
    token = clients.issue_token("cccapply", Scope, 600)
    new = clients.rotate_secret("cccapply")
    assert clients.is_secret_of("cccapply", new)
    assert not clients.is_secret_of("cccapply", old)
    assert clients.token(token) is None


def test_a_disabled_client_has_no_tokens_until_it_asks_again(clients: Clients):
    secret = clients.register("cccapply", Scope)
    token = clients.issue_token("cccapply", Scope, 600)
    clients.disable("cccapply")
    assert not clients.is_secret_of("cccapply", secret)
    assert clients.token(token) is None
    clients.enable("cccapply")
    assert clients.is_secret_of("cccapply", secret)
    assert clients.token(token) is None


def test_a_token_lasts_as_long_as_it_says(clients: Clients, clock: Clock):
    clients.register("cccapply", Scope)
    token = clients.issue_token("cccapply", [Scope.VERIFY], 600)
    clock.now += 599
    known = clients.token(token)
    assert known is not None
    assert known.scopes == {Scope.VERIFY}
    clock.now += 1
    assert clients.token(token) is None


def test_ended_tokens_are_forgotten(clients: Clients, clock: Clock):
    clients.register("cccapply", Scope)
    for _ in range(10):
        clients.issue_token("cccapply", Scope, 600)
        clock.now += 300
    count = clients._database.execute("SELECT count(*) FROM tokens").fetchone()
    assert count == (2,)


def test_a_changed_limit_holds_for_tokens_that_are_out(clients: Clients):
    clients.register("cccapply", Scope)
    token = clients.issue_token("cccapply", Scope, 600)
    clients.set_hourly_limit("cccapply", 15_000)
    known = clients.token(token)
    assert known is not None
    assert known.hourly_limit == 15_000


def test_nothing_is_changed_about_a_client_that_is_not_registered(clients: Clients):
    for change in (clients.rotate_secret, clients.disable, clients.enable):
        with pytest.raises(UnknownClientError):
            change("nobody")
    assert not clients.is_secret_of("nobody", "")
