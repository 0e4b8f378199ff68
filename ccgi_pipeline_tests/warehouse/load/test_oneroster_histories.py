"""Random histories of OneRoster drops, sets and changes, against a model in plain dictionaries.

Belongs here: 200 districts live through five nights each; half of them are guarded. After every
night the active users, the states that the table gives the others, the verdicts and the ledgers
must be the model's.
"""

from __future__ import annotations

import hashlib
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from ccgi_pipeline.feeds.oneroster import MANIFEST, USERS
from ccgi_pipeline.intake.contents import Content
from ccgi_pipeline.intake.inbox import Drop, InboxFile, drop_id
from ccgi_pipeline.profiles import DistrictProfile, GuardProfile, Profiles
from ccgi_pipeline.verification.drop_files import files_to_verify
from ccgi_pipeline.verification.gates import verify
from ccgi_pipeline.warehouse.load.ledger import load_drops
from ccgi_pipeline.warehouse.storage.connection import open_warehouse
from ccgi_pipeline.warehouse.storage.schema import create_missing_tables
from ccgi_pipeline_tests.files import as_bytes
from ccgi_pipeline_tests.foster_focus import Line

DISTRICTS = 200
NIGHTS = 5
USERS_IN_ALL = 24
FIRST_NIGHT = date(2026, 11, 16)


@dataclass(frozen=True)
class User:
    """A line of users.csv; ``good``: it can be loaded; ``gone``: it says the user is no more."""

    number: int
    name: str
    gone: bool = False
    good: bool = True

    def line(self, *, delta: bool) -> Line:
        blanks = dict.fromkeys(USERS.columns, "")
        changed = {
            "status": "tobedeleted" if self.gone else "active",
            "dateLastModified": "2026-11-15T08:00:00.000Z",
        }
        return {
            **blanks,
            **(changed if delta else {}),
            "sourcedId": f"U{self.number}",
            "enabledUser": "true",
            "orgSourcedIds": "S1",
            "role": "student" if self.good else "astronaut",
            "username": f"user{self.number}",
            "givenName": self.name,
            "familyName": "Family",
            "grades": "09",
        }


NOBODY = -1
"""A number that no user has."""


@dataclass(frozen=True)
class Plan:
    """One drop: its users, whether it holds changes only, and a line of it that cannot be read.

    ``ragged``: the number of the user that the line shows, or ``NOBODY``; None without such a line.
    """

    users: tuple[User, ...]
    delta: bool
    ragged: int | None


@dataclass
class District:
    """What the model knows of one district."""

    cd: str
    guarded: bool
    names: dict[int, tuple[str, bool, bool]] = field(default_factory=dict)
    active: set[int] = field(default_factory=set)

    def take(self, plan: Plan) -> tuple[str, Counter[str]]:
        """Takes a drop; returns its verdict and the fates of its users' lines."""
        fates: Counter[str] = Counter()
        fates["rejected"] += plan.ragged is not None
        firsts: dict[int, User] = {}
        for user in plan.users:
            if not user.good or user.number in firsts:
                fates["rejected"] += 1
            else:
                firsts[user.number] = user
        named = {user.number for user in plan.users} | {plan.ragged}
        if self._is_held(plan, named):
            fates["held"] += len(firsts)
            return "held", +fates
        for number, user in firsts.items():
            known, was_active = self.names.get(number), number in self.active
            # A line of a full set has neither status nor time, so it differs from one of changes.
            new = user.name, plan.delta, user.gone
            same = known == new and was_active is not user.gone
            fates["unchanged" if same else "inserted" if known is None else "updated"] += 1
            self.names[number] = new
            (self.active.discard if user.gone else self.active.add)(number)
        if not plan.delta and firsts:
            self.active &= named
        return "loaded", +fates

    def _is_held(self, plan: Plan, named: set[int | None]) -> bool:
        if plan.delta or not self.guarded:
            return False
        missing = len(self.active - named)
        return missing > 0.1 * len(self.active) and missing >= min(5, len(self.active) / 2)


def _plan(chance: random.Random) -> Plan:
    delta = chance.random() < 0.4
    share = chance.choice((0.3, 0.8, 0.95)) if not delta else 0.2
    numbers = [number for number in range(USERS_IN_ALL) if chance.random() < share]
    users = [
        User(
            number,
            chance.choice(("Ann", "Bea")),
            gone=delta and chance.random() < 0.3,
            good=chance.random() < 0.95,
        )
        for number in numbers
    ]
    if users and chance.random() < 0.2:
        users.append(chance.choice(users))
    ragged = chance.choice((NOBODY, *range(USERS_IN_ALL))) if chance.random() < 0.15 else None
    return Plan(tuple(users), delta, ragged if users else None)


def _files(plan: Plan, night: int) -> dict[str, bytes]:
    users = as_bytes(USERS, [user.line(delta=plan.delta) for user in plan.users])
    said = {
        "manifest.version": "1.0",
        "oneroster.version": "1.1",
        "file.users": "delta" if plan.delta else "bulk",
        "source.systemName": f"night {night}",  # the same users twice are two drops
    }
    manifest = [{"propertyName": name, "value": value} for name, value in said.items()]
    ragged = b"" if plan.ragged is None else f"U{plan.ragged},has,five,cells,only\n".encode()
    return {"manifest.csv": as_bytes(MANIFEST, manifest), "users.csv": users + ragged}


def _drop(cd: str, files: dict[str, bytes]) -> tuple[Drop, dict[str, bytes]]:
    hashes = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    identity = drop_id(cd, "oneroster", hashes.values())
    sent = tuple(
        (InboxFile(f"{cd}/oneroster/{identity}/{name}", cd, "oneroster", ""), sha256)
        for name, sha256 in hashes.items()
    )
    return Drop(identity, cd, "oneroster", sent), {hashes[n]: c for n, c in files.items()}


@dataclass
class Night:
    """What one night left in the warehouse, and what the model says."""

    active: dict[str, set[int]]
    names: dict[tuple[str, int], str]
    ended_without_word: int
    verdicts: dict[str, str]
    fates: dict[str, Counter[str]]
    model: dict[str, District]
    model_outcomes: dict[str, tuple[str, Counter[str]]]


def _nights(connection: duckdb.DuckDBPyConnection) -> Iterator[Night]:
    chance = random.Random(20261122)  # noqa: S311 - a history, not a secret
    districts = {
        cd: District(cd, guarded=bool(number % 2))
        for number, cd in enumerate(f"{3_400_000 + n}" for n in range(DISTRICTS))
    }
    never = DistrictProfile(guard=GuardProfile(share=1.0))
    profiles = Profiles(districts={d.cd: never for d in districts.values() if not d.guarded})
    for night in range(NIGHTS):
        on = FIRST_NIGHT + timedelta(days=night)
        plans = {cd: _plan(chance) for cd in districts}
        made = [_drop(cd, _files(plan, night)) for cd, plan in plans.items()]
        contents = {sha: content for _, files in made for sha, content in files.items()}
        drops = [drop for drop, _ in made]
        files = files_to_verify(drops, lambda _, sha256, of=contents: Content.of_bytes(of[sha256]))
        verified = verify(files, on, profiles=profiles)
        load_drops(connection, drops, verified, on, profiles)
        outcomes = {cd: district.take(plans[cd]) for cd, district in districts.items()}
        yield _as_left(connection, drops, districts, outcomes)


def _as_left(
    connection: duckdb.DuckDBPyConnection,
    drops: list[Drop],
    districts: dict[str, District],
    outcomes: dict[str, tuple[str, Counter[str]]],
) -> Night:
    active: dict[str, set[int]] = {cd: set() for cd in districts}
    names = {}
    ended = 0
    for cd, sourced_id, name, is_active, status in connection.execute(
        "SELECT _sender, sourcedId, givenName, _active, status FROM oneroster_users"
    ).fetchall():
        number = int(sourced_id.removeprefix("U"))
        names[cd, number] = name
        if is_active:
            active[cd].add(number)
        ended += not is_active and status != "tobedeleted"
    ids = {drop.id: drop.sender for drop in drops}
    verdicts = {
        ids[drop]: verdict
        for drop, verdict in connection.execute("SELECT drop_id, verdict FROM drops").fetchall()
        if drop in ids
    }
    fates: dict[str, Counter[str]] = {cd: Counter() for cd in districts}
    for drop, fate, lines in connection.execute(
        "SELECT drop_id, fate, lines FROM ledger WHERE feed = 'oneroster_users'"
    ).fetchall():
        if drop in ids:
            fates[ids[drop]][fate] += lines
    return Night(active, names, ended, verdicts, fates, districts, outcomes)


Histories = list[dict[str, Any]]


@pytest.fixture(scope="module")
def histories(tmp_path_factory: pytest.TempPathFactory) -> Histories:
    """Of each night, whether each thing is as the model has it."""
    folder: Path = tmp_path_factory.mktemp("histories")
    seen = []
    with open_warehouse(folder / "warehouse") as connection:
        create_missing_tables(connection)
        for night in _nights(connection):
            model = night.model
            seen.append(
                {
                    "active": {c: (night.active[c], set(model[c].active)) for c in model},
                    "names": (
                        night.names,
                        {(c, n): name for c in model for n, (name, *_) in model[c].names.items()},
                    ),
                    "ended": night.ended_without_word,
                    "held": (
                        {c for c, verdict in night.verdicts.items() if verdict == "held"},
                        {c for c, (v, _) in night.model_outcomes.items() if v == "held"},
                    ),
                    "fates": {c: (night.fates[c], night.model_outcomes[c][1]) for c in model},
                }
            )
    return seen


def test_after_every_drop_the_active_users_are_those_of_the_model(histories: Histories):
    for night in histories:
        assert {c: pair for c, pair in night["active"].items() if pair[0] != pair[1]} == {}


def test_every_user_has_the_newest_name_that_was_loaded(histories: Histories):
    for night in histories:
        there, expected = night["names"]
        assert there == expected


def test_who_is_no_more_says_so(histories: Histories):
    assert [night["ended"] for night in histories] == [0] * NIGHTS


def test_the_guard_holds_what_would_end_too_much_and_nothing_else(histories: Histories):
    for night in histories:
        there, expected = night["held"]
        assert there == expected
    assert sum(len(night["held"][0]) for night in histories) > DISTRICTS // 4


def test_every_line_has_the_fate_of_the_model(histories: Histories):
    for night in histories:
        assert {c: pair for c, pair in night["fates"].items() if pair[0] != pair[1]} == {}
