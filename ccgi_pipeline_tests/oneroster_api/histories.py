"""Histories of a district that is fetched by API: what is known of it, and what is true.

Belongs here: fetching with the product, what a receiver knows after the drops, and comparing that
with what the server has. Does not belong here: the server, and which faults a test chooses.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import monotonic
from typing import Any

from ccgi_pipeline.common.errors import PipelineError
from ccgi_pipeline.intake.file_stability import Clock
from ccgi_pipeline.oneroster_api.district_fetch import (
    FetchFolders,
    FetchOptions,
    FetchResult,
    fetch_district,
)
from ccgi_pipeline.profile_oneroster_api import OneRosterApiProfile
from ccgi_pipeline_tests.oneroster_api.authorization import BASIC, OAUTH_1
from ccgi_pipeline_tests.oneroster_api.faults import Fault
from ccgi_pipeline_tests.oneroster_api.objects import Files, Row, read_set, taken_in
from ccgi_pipeline_tests.oneroster_api.server import RosterServer, serve_oneroster

CD = "3367173"
PAGE = 300
"""Rows of a page: users and demographics have one page, enrollments a few."""
SECRET = "ROSTER_SECRET"  # noqa: S105 - the name of a variable
_FASTER = 600
"""While a server drips, so many seconds pass in one: the limit of time comes soon."""
_MINUTES = 60
_DEMOGRAPHICS = [
    "birthDate", "sex", "americanIndianOrAlaskaNative", "asian", "blackOrAfricanAmerican",
    "nativeHawaiianOrOtherPacificIslander", "white", "demographicRaceTwoOrMoreRaces",
    "hispanicOrLatinoEthnicity",
]  # fmt: skip
_OWN_COLUMNS = frozenset({"status", "dateLastModified"})
_MADE_IDS = frozenset({"roles", "userProfiles"})
"""Files whose ids the API does not have."""


class FastClock:
    """A clock on which waiting takes no time; ``hurries``: all else passes faster, too."""

    def __init__(self, start: datetime) -> None:
        self.hurries = False
        self.go_to(start)

    def now(self) -> datetime:
        passed = (monotonic() - self._began) * (_FASTER if self.hurries else 1)
        return self._start + timedelta(seconds=passed + self._slept)

    def sleep(self, seconds: float) -> None:
        self._slept += seconds

    def go_to(self, day: datetime) -> None:
        """Has a later night begin."""
        self._start, self._began, self._slept = day, monotonic(), 0.0


@dataclass
class Outcome:
    """What became of a fetch: a drop or none, or the words of a refusal."""

    drop: Path | None = None
    refusal: str = ""
    result: FetchResult | None = None


@dataclass
class Night:
    """What came of a night with faults.

    ``ended``: by file, how many records ended though the server still has them. ``differences``
    and ``cells``: where what is known differs from what is true.
    """

    outcome: Outcome
    strangers: int
    ended: dict[str, int]
    differences: list[str]
    cells: list[str]


@dataclass
class History:
    """A district over some nights; ``known`` is what a receiver knows after each drop."""

    server: RosterServer
    folders: FetchFolders
    profile: OneRosterApiProfile
    clock: FastClock
    sets: Sequence[Path]
    cd: str = CD
    nights: int = 0
    known: Files = field(default_factory=dict)

    def fetch(self, *, full: bool = False) -> Outcome:
        """Fetches, and has the receiver take the drop."""
        options = FetchOptions(
            full=full,
            clock=Clock(self.clock.now, self.clock.sleep),
            environment={SECRET: self.server.client_secret},
        )
        try:
            result = fetch_district(self.folders, self.cd, self.profile, options)
        except PipelineError as refused:
            return Outcome(refusal=str(refused))
        if result.drop is not None:
            self._take(result.drop)
        return Outcome(result.drop, result=result)

    def begin(self) -> None:
        """Fetches on two nights: from then on it is known that deleted records are marked."""
        for _ in range(2):
            outcome = self.fetch()
            assert outcome.drop, outcome.refusal
            self.next_night()

    def _take(self, drop: Path) -> None:
        received = read_set(drop)
        for name, lines in received.items():
            ids = Counter(line["sourcedId"] for line in lines if "sourcedId" in line)
            assert not [own for own, times in ids.items() if times > 1], f"{name} has an id twice"
        self.known = taken_in(self.known, received)

    def next_night(self) -> None:
        """The district's system changes, and a day goes by."""
        self.nights += 1
        day = _FIRST_NIGHT + timedelta(days=self.nights)
        self.server.change(self.sets[self.nights % len(self.sets)], day - timedelta(hours=3))
        self.clock.go_to(day)

    def live_through(self, *faults: Fault) -> Night:
        """A night with faults: what a receiver knew before and after, and what came of it."""
        before = self.known_ids()
        self.next_night()
        self.server.faults = faults
        self.clock.hurries = Fault.SLOW_DRIP in faults
        outcome = self.fetch()
        self.server.faults, self.clock.hurries = (), False
        strangers, self.server.strangers[:] = len(self.server.strangers), []
        ended = {
            name: len((ids - self.known_ids()[name]) & self.true_ids(name))
            for name, ids in before.items()
        }
        return Night(
            outcome,
            strangers,
            {name: count for name, count in ended.items() if count},
            self.differences(),
            self.different_cells(),
        )

    # --- truth ---

    def true_ids(self, name: str) -> set[str]:
        """The ids of a file that the server has now."""
        if name in self.server.catalog.records:
            return set(self.server.catalog.active(name))
        return set(self.server.catalog.files.get(name, {}))

    def known_ids(self) -> dict[str, set[str]]:
        """The ids that the receiver knows, by file."""
        return {name: set(self.known.get(name, {})) for name in self.files()}

    def files(self) -> Sequence[str]:
        """The files whose ids can be compared."""
        return [
            name
            for name in self.server.catalog.files
            if name not in _MADE_IDS and (name != "demographics" or self.profile.demographics)
        ]

    def differences(self) -> list[str]:
        """Where what is known differs from what is true: counts and columns, no values."""
        found = []
        for name in self.files():
            known, true = set(self.known.get(name, {})), self.true_ids(name)
            if known != true:
                found.append(f"{name}: {len(true - known)} missing, {len(known - true)} too many")
        return found

    def different_cells(self) -> list[str]:
        """The columns whose cells differ from those of the set that is served."""
        found = set()
        for name in self.files():
            lines = self.server.catalog.files[name]
            for own, row in self.known.get(name, {}).items():
                if own in lines:
                    found |= {f"{name}.{column}" for column in _differing(row, lines[own])}
        for name in _MADE_IDS & self.server.catalog.files.keys():
            if _said(self.known, name) != _said(self.server.catalog.files, name):
                found.add(name)
        return sorted(found)


_FIRST_NIGHT = datetime(2026, 11, 20, 6, 0, tzinfo=UTC)


def _differing(known: Row, true: Row) -> Iterator[str]:
    for column in true.keys() - _OWN_COLUMNS:
        if (known.get(column) or "") != (true[column] or ""):
            yield column


def _said(files: Files, name: str) -> Counter[tuple[tuple[str, str], ...]]:
    """What the lines of a file say, whatever their ids."""
    made = {"sourcedId", "userProfileSourcedId", *_OWN_COLUMNS}
    return Counter(
        tuple(sorted((column, cell) for column, cell in row.items() if cell and column not in made))
        for row in files.get(name, {}).values()
    )


@contextmanager
def history(
    root: Path,
    sets: Sequence[Path],
    version: str = "1.1",
    *,
    cd: str = CD,
    authentication: str = BASIC,
    **settings: Any,  # noqa: ANN401 - of the profile
) -> Iterator[History]:
    """A district whose system has the first of its sets, and which nobody has fetched yet."""
    with serve_oneroster(sets[0], version=version, authentication=authentication) as server:
        profile = {
            "server": server.url,
            "version": version,
            "authentication": authentication,
            "token_url": None if authentication == OAUTH_1 else server.token_url,
            "client_id": server.client_id,
            "secret_variable": SECRET,
            "ca_file": str(server.ca_file),
            "page_size": PAGE,
            "timeout_seconds": 1,
            "most_minutes": _MINUTES,
            "most_megabytes": 40,
            "user_profiles": version == "1.2",
            "demographics": _DEMOGRAPHICS,
            **settings,
        }
        folders = FetchFolders(root / "inbox", root / "warehouse")
        clock = FastClock(_FIRST_NIGHT)
        valid = OneRosterApiProfile.model_validate(profile)
        yield History(server, folders, valid, clock, sets, cd)


def values_of(path: Path) -> set[str]:
    """Names and addresses of the people of a set, which no message may have."""
    users = read_set(path)["users"]
    columns = ("familyName", "email", "username", "sourcedId")
    return {line[name] for line in users for name in columns if len(line[name]) > 4}


def random_pairs(count: int, among: Sequence[Fault], seed: int) -> list[tuple[Fault, Fault]]:
    """Pairs of different faults, every fault about equally often."""
    rng = random.Random(seed)  # noqa: S311 - no secret
    drawn: list[Fault] = []
    while len(drawn) < 2 * count + 2 * len(among):
        turn = list(among)
        rng.shuffle(turn)
        drawn += turn
    pairs = zip(drawn[::2], drawn[1::2], strict=False)
    return [(one, other) for one, other in pairs if one is not other][:count]
