"""Students out of nothing, and what a plain dictionary knows of them.

Belongs here: small frames of identities, written out one by one or drawn in numbers; the model that
the store is compared with. Does not belong here: the store.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterable
from datetime import date, timedelta

import polars as pl

from ccgi_pipeline.ssid_lookup.contract import LookupRequest, normalize_text
from ccgi_pipeline.ssid_lookup.store import IDENTITY_SCHEMA

HAYWARD_HIGH, PALM_SPRINGS_HIGH = "01611920133629", "33671733337268"

Identity = tuple[str, str, str, str | None, str | None, date, str]
Key = tuple[str, str, str, str]


def frame(identities: Iterable[Identity]) -> pl.DataFrame:
    """Rows of (SSID, FirstName, LastName, AliasFirstName, AliasLastName, BirthDate, CDSCode)."""
    return pl.DataFrame(list(identities), schema=IDENTITY_SCHEMA, orient="row")


def identity(ssid: str, cds: str = HAYWARD_HIGH, **others: object) -> Identity:
    """A student whose every value may be given."""
    values: dict[str, object] = {
        "first": "Marisol",
        "last": "de la Cruz",
        "alias_first": None,
        "alias_last": None,
        "born": date(2008, 4, 9),
        **others,
    }
    return (ssid, *values.values(), cds)


def request_for(found: Identity, **others: str | None) -> LookupRequest:
    """The look-up that fits a student, with anything else in it that is given."""
    ssid, first, last, _, _, born, cds = found
    del ssid
    values = {
        "first_name": first,
        "last_name": last,
        "birth_date": born.isoformat(),
        "cds_code": cds,
        "cccid": "ABC1234",
        **others,
    }
    return LookupRequest(**values)


class Model:
    """Who fits a look-up, as a dictionary knows it."""

    def __init__(self, identities: Iterable[Identity]) -> None:
        self._ssids: dict[Key, set[str]] = defaultdict(set)
        for ssid, first, last, _, _, born, cds in identities:
            self._ssids[normalize_text(first), normalize_text(last), born.isoformat(), cds].add(
                ssid
            )

    def look_up(self, request: LookupRequest) -> str | None:
        """The one student whom the required fields fit; of several, the one that is supplied."""
        ssids = self._ssids.get(_key(request), set())
        if len(ssids) > 1 and request.ssid is not None:
            ssids = ssids & {request.ssid}
        return next(iter(ssids)) if len(ssids) == 1 else None

    def ambiguous(self) -> int:
        """How many keys fit more than one student."""
        return sum(len(ssids) > 1 for ssids in self._ssids.values())


def _key(request: LookupRequest) -> Key:
    return request.first_name, request.last_name, request.birth_date, request.cds_code


_FIRST = ["Ana", "José", "Ngọc", "Zoë", "Mary Ann", "O'Shea", "李", "Al", "Ala", "ana"]
_LAST = ["Nguyễn", "Smith-Jones", "de la Cruz", "Li", "O'Neill", "García", "Al", "a", "Smith"]
_SCHOOLS = [HAYWARD_HIGH, PALM_SPRINGS_HIGH, "01611920000000", "00000000000001"]
_DAYS = 40


def drawn(number: int, seed: int) -> list[Identity]:
    """Students from so few names and days that many are not to be told apart."""
    chance = random.Random(seed)  # noqa: S311 - no secret
    born = [date(2008, 1, 1) + timedelta(days=chance.randrange(900)) for _ in range(_DAYS)]
    people: list[Identity] = []
    for place in range(number):
        alias = chance.choice([None, None, None, *_FIRST])
        who = (chance.choice(_FIRST) + _letters(chance), chance.choice(_LAST), alias, None)
        schools = chance.sample(_SCHOOLS, chance.choice([1, 1, 2]))
        day = chance.choice(born)
        people += [(f"{9_000_000_000 + place}", *who, day, cds) for cds in schools]
    return people


def _letters(chance: random.Random) -> str:
    return "".join(chance.choices("aeiou", k=chance.randrange(4)))


def asked(identities: list[Identity], number: int, seed: int) -> list[LookupRequest]:
    """Look-ups, of which about half are of nobody; some with an SSID, right or wrong."""
    chance = random.Random(seed)  # noqa: S311 - no secret
    requests = []
    for _ in range(number):
        found, other = chance.choice(identities), chance.choice(identities)
        supplied = chance.choice([None, found[0], other[0]])
        changes = chance.choice(
            [
                {},
                {},
                {"first_name": other[1]},
                {"last_name": found[2].upper()},
                {"birth_date": other[5].isoformat()},
                {"cds_code": other[6]},
            ]
        )
        requests.append(request_for(found, ssid=supplied, **changes))
    return requests
