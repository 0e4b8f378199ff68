"""No look-up is ever answered with somebody else's SSID; a plain dictionary is the judge.

Belongs here: comparing store and model, on identities of which many cannot be told apart. Run as a
program, it is a million look-ups::

    python test_no_wrong_ssid.py
"""

from __future__ import annotations

import json
import tempfile
from contextlib import closing
from datetime import date
from pathlib import Path
from unicodedata import normalize

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ccgi_pipeline.ssid_lookup.contract import LookupRequest, normalize_text, parse_lookup
from ccgi_pipeline.ssid_lookup.store import IdentityStore, MissReason, load_identities
from ccgi_pipeline_tests.ssid_lookup.people import (
    PALM_SPRINGS_HIGH,
    Identity,
    Model,
    asked,
    drawn,
    frame,
    identity,
    request_for,
)

_NAMES = st.sampled_from(
    ["Ana", "ana", "A", "Ana A", "\u00c1", "A\u0301", " Ana ", "'; --", "\u3000李"]
)
_LAST = st.sampled_from(["Li", "Li ", "li"])
# So few of everything that students are often not to be told apart.
_DAYS = st.sampled_from([date(2008, 1, 2), date(2008, 2, 1)])
_SCHOOLS = st.sampled_from(["00000000000000", "99999999999999"])
_SSIDS = st.sampled_from(["0000000000", "0000000001", "9000000001", "9999999999"])
_IDENTITIES = st.tuples(
    _SSIDS, _NAMES, _LAST, st.none() | _NAMES, st.none() | _LAST, _DAYS, _SCHOOLS
)
_REQUESTS = st.builds(
    LookupRequest,
    first_name=_NAMES.map(normalize_text),
    last_name=_LAST.map(normalize_text),
    birth_date=_DAYS.map(date.isoformat),
    cds_code=_SCHOOLS,
    cccid=st.just("ABC1234"),
    ssid=st.none() | _SSIDS,
)


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(st.lists(_IDENTITIES, max_size=30), st.lists(_REQUESTS, max_size=60))
def test_the_store_answers_as_a_dictionary_would(
    tmp_path_factory: pytest.TempPathFactory,
    identities: list[Identity],
    requests: list[LookupRequest],
):
    folder = tmp_path_factory.mktemp("store")
    half = len(identities) // 2
    load_identities(folder, [frame(identities[:half]), frame(identities[half:])])
    requests += [
        request_for(one, first_name=normalize_text(one[1]), last_name=normalize_text(one[2]))
        for one in identities
    ]
    model = Model(identities)
    with closing(IdentityStore(folder)) as store:
        expected = [model.look_up(request) for request in requests]
        assert [store.look_up(request) for request in requests] == expected
        assert store.look_up_many(requests) == expected


def compare(folder: Path, students: int, number: int) -> int:
    """Compares so many look-ups; returns how many of them found a student."""
    identities = drawn(students, seed=1)
    model = Model(identities)
    assert model.ambiguous() > students // 100
    load_identities(folder, [frame(identities)])
    found = 0
    with closing(IdentityStore(folder)) as store:
        for batch in range(0, number, 10_000):
            requests = asked(identities, min(10_000, number - batch), seed=batch)
            answers = store.look_up_many(requests)
            assert answers == [model.look_up(request) for request in requests]
            assert answers[:1000] == [store.look_up(request) for request in requests[:1000]]
            found += sum(answer is not None for answer in answers)
    return found


def test_100_000_look_ups_find_nobody_else(tmp_path: Path):
    assert compare(tmp_path, students=20_000, number=100_000) > 20_000


def test_of_students_who_fit_alike_only_a_supplied_ssid_decides(tmp_path: Path):
    twins = [identity("9000000001"), identity("9000000002"), identity("9000000003", first="Ana")]
    load_identities(tmp_path, [frame(twins)])
    with closing(IdentityStore(tmp_path)) as store:
        assert store.look_up(request_for(twins[0])) is None
        assert store.look_up(request_for(twins[0], ssid="9000000002")) == "9000000002"
        assert store.look_up(request_for(twins[0], ssid="9000000003")) is None
        assert store.look_up(request_for(twins[2], ssid="9000000001")) == "9000000003"


def test_a_student_who_comes_twice_is_one_student(tmp_path: Path):
    load_identities(tmp_path, [frame([identity("9000000001"), identity("9000000001")])])
    with closing(IdentityStore(tmp_path)) as store:
        assert store.look_up(request_for(identity("9000000001"))) == "9000000001"


@pytest.mark.parametrize("stored", ["NFC", "NFD"])
@pytest.mark.parametrize("sent", ["NFC", "NFD"])
def test_an_accent_may_stand_apart_from_its_letter_and_still_counts(
    tmp_path: Path, stored: str, sent: str
):
    known = identity("9000000001", first=normalize(stored, "Zoë"), last=normalize(stored, "Ngọc"))
    load_identities(tmp_path, [frame([known])])
    asked = {"FirstName": "Zoë", "LastName": "Ngọc"}
    values = {
        "BirthDate": "2008-04-09",
        "CDSCode": known[-1],
        "CCCID": "ABC1234",
        **{name: normalize(sent, value) for name, value in asked.items()},
    }
    with closing(IdentityStore(tmp_path)) as store:
        assert store.look_up(parse_lookup(json.dumps(values).encode())) == "9000000001"
        without = json.dumps({**values, "FirstName": "Zoe"}).encode()
        assert store.look_up(parse_lookup(without)) is None


MISSES = {
    "a stranger": ({"first_name": "Nobody"}, MissReason.UNKNOWN),
    "an alias first name": ({"first_name": "Mari"}, MissReason.ALIAS),
    "an alias last name": ({"last_name": "Cruz"}, MissReason.ALIAS),
    "both alias names": ({"first_name": "Mari", "last_name": "Cruz"}, MissReason.ALIAS),
    "day and month exchanged": ({"birth_date": "2008-09-04"}, MissReason.BIRTH_DAY_MONTH_SWAPPED),
    "another school": ({"cds_code": PALM_SPRINGS_HIGH}, MissReason.OTHER_SCHOOL),
    "an alias at another school": (
        {"first_name": "Mari", "cds_code": PALM_SPRINGS_HIGH},
        MissReason.UNKNOWN,
    ),
    "another day": ({"birth_date": "2008-04-10"}, MissReason.UNKNOWN),
    "a day that is no month": ({"birth_date": "2008-04-30"}, MissReason.UNKNOWN),
    "twins": ({"first_name": "Ana"}, MissReason.AMBIGUOUS),
    "twins and a wrong SSID": ({"first_name": "Ana", "ssid": "9999999999"}, MissReason.AMBIGUOUS),
}


@pytest.mark.parametrize(("others", "reason"), MISSES.values(), ids=MISSES)
def test_the_operator_learns_why_a_look_up_missed(
    tmp_path: Path, others: dict[str, str], reason: MissReason
):
    known = identity("9000000001", alias_first="Mari", alias_last="Cruz")
    twins = [identity("9000000002", first="Ana"), identity("9000000003", first="Ana")]
    load_identities(tmp_path, [frame([known, *twins])])
    with closing(IdentityStore(tmp_path)) as store:
        request = request_for(known, **others)
        assert store.look_up(request) is None
        assert store.explain_miss(request) == reason


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        found = compare(Path(folder), students=200_000, number=1_000_000)
    print(f"1,000,000 look-ups, {found:,} students found, none of them wrong")  # noqa: T201
