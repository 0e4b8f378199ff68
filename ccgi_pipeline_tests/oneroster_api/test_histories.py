"""Fetches from servers with faults: nothing ends that is not gone, nothing comes twice.

Belongs here: each fault alone, and pairs of faults, over nights with leavers and arrivals; what is
looked at is the drop. Does not belong here: nights that load it (test_same_tables).
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ccgi_pipeline_tests.oneroster_api.authorization import BASIC, BODY, OAUTH_1
from ccgi_pipeline_tests.oneroster_api.conftest import Sets
from ccgi_pipeline_tests.oneroster_api.faults import Fault
from ccgi_pipeline_tests.oneroster_api.histories import (
    History,
    Night,
    history,
    random_pairs,
    values_of,
)
from ccgi_pipeline_tests.oneroster_api.objects import VERSIONS
from ccgi_pipeline_tests.tiers import slow_but

LEFT_OUT = {Fault.COLLECTION_404, Fault.COLLECTION_EMPTY}
"""The drop has no enrollments: none of them end, and none are new."""
NEW_IDS = {Fault.IDS_ALL_NEW, Fault.IDS_ILLEGAL}
"""By these ids everybody is gone. The drop says so, and the night holds it (test_same_tables)."""
OTHER_CELLS = {
    Fault.BOOLEANS_AS_NUMBERS,
    Fault.DATES_AT_NIGHT,
    Fault.DANGLING_REFERENCE,
    Fault.REFERENCES_OTHER_CASE,
    Fault.COMMA_IN_ITEM,
    Fault.CONTROL_CHARACTERS,
    Fault.STATUS_ABSENT,
}
"""The drop says what the server said: its lines are judged as those of any other drop."""
REFUSED = {
    Fault.PAGE_MISSING,
    Fault.PAGE_REPEATED,
    Fault.PAGES_OVERLAP,
    Fault.ROWS_NEVER_REST,
    Fault.EMPTY_PAGE,
    Fault.ALL_EMPTY,
    Fault.PAGE_404,
    Fault.TOTAL_HIGH,
    Fault.TOTAL_LOW,
    Fault.TOTAL_MOVES,
    Fault.TOTAL_OF_PAGE,
    Fault.LIMIT_REFUSED,
    Fault.OFFSET_IGNORED,
    Fault.OFFSET_IS_PAGE,
    Fault.SORT_CHANGES,
    Fault.SORT_WITHIN_PAGE,
    Fault.FIELDS_REFUSED,
    Fault.HTML_200,
    Fault.HTML_AS_JSON,
    Fault.ERROR_200,
    Fault.EMPTY_BODY,
    Fault.NO_CONTENT,
    Fault.JSON_TRUNCATED,
    Fault.LENGTH_LONG,
    Fault.LENGTH_SHORT,
    Fault.ENVELOPE_NAME,
    Fault.SINGLE_OBJECT,
    Fault.KEY_TWICE,
    Fault.UTF_16,
    Fault.LATIN_1,
    Fault.GZIP_BOMB,
    Fault.HUGE_PAGE,
    Fault.DEEP_NESTING,
    Fault.HUGE_NUMBER,
    Fault.HEADERS_HUGE,
    Fault.BUSY_ALWAYS,
    Fault.ERROR_500_ALWAYS,
    Fault.ERROR_503_ALWAYS,
    Fault.SILENCE_ALWAYS,
    Fault.SLOW_DRIP,
    Fault.RESET_ALWAYS,
    Fault.GRANT_NEVER_GOOD,
    Fault.GRANT_REFUSED,
    Fault.GRANT_HTML,
    Fault.GRANT_REDIRECTED,
    Fault.SCOPE_LESS,
    Fault.SCOPE_REFUSED,
    Fault.FORBIDDEN,
    Fault.REDIRECT_TO_LOGIN,
    Fault.CERTIFICATE_OTHER_HOST,
    Fault.CERTIFICATE_EXPIRED,
    Fault.CERTIFICATE_UNKNOWN,
    Fault.DUPLICATE_IN_PAGE,
    Fault.DUPLICATE_ACROSS_PAGES,
    Fault.DUPLICATE_DIFFERENT,
    Fault.ROW_WITHOUT_ID,
    Fault.ROW_NULL,
    Fault.ROW_TEXT,
    Fault.LONE_SURROGATE,
}
"""No drop, and the reason is said."""
ODD = LEFT_OUT | NEW_IDS | OTHER_CELLS
HARMLESS = sorted(set(Fault) - ODD - REFUSED, key=lambda fault: fault.name)
"""A drop with the truth comes of these, sooner or later."""
_QUICK = {
    Fault.ROW_DELETED,
    Fault.ROW_INSERTED,
    Fault.LIMIT_CLAMPED,
    Fault.EMPTY_PAGE_ONCE,
    Fault.GRANT_EXPIRES,
    Fault.REFERENCES_FLAT,
    Fault.PAGE_REPEATED,
    Fault.EMPTY_PAGE,
    Fault.ALL_EMPTY,
    Fault.HTML_200,
    Fault.DUPLICATE_ACROSS_PAGES,
    Fault.COLLECTION_404,
}
_PAIRS = 50
"""Of each version and mode."""


@pytest.fixture(scope="module")
def district(sets: Sets, tmp_path_factory: pytest.TempPathFactory) -> Iterator[History]:
    """A district of version 1.2, fetched in full each night."""
    root = tmp_path_factory.mktemp("district")
    with history(root, sets.by_version["1.2"], "1.2") as one:
        one.begin()
        yield one


def _by_tier(faults: set[Fault] | list[Fault]) -> list[object]:
    ordered = sorted(faults, key=lambda fault: fault.name)
    marks = {True: (), False: (pytest.mark.slow,)}
    return [pytest.param(one, id=one.name, marks=marks[one in _QUICK]) for one in ordered]


def _recover(one: History) -> None:
    """The next night without a fault ends in the truth, whatever was before."""
    one.next_night()
    outcome = one.fetch(full=True)
    assert outcome.result, outcome.refusal
    assert one.differences() == []
    assert one.different_cells() == []


@pytest.fixture(autouse=True)
def _sound_again(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    if "district" in request.fixturenames:
        _recover(request.getfixturevalue("district"))


# --- each fault alone -------------------------------------------------------------------------


@pytest.mark.parametrize("fault", _by_tier(HARMLESS))
def test_a_harmless_fault_costs_nothing(district: History, fault: Fault):
    night = district.live_through(fault)
    assert night.outcome.result, night.outcome.refusal
    assert (night.ended, night.differences, night.cells) == ({}, [], [])
    assert not night.strangers


@pytest.mark.parametrize("fault", _by_tier(REFUSED))
def test_a_fetch_that_is_not_whole_is_refused_and_says_why(district: History, fault: Fault):
    known = dict(district.known)
    night = district.live_through(fault)
    assert not night.outcome.result
    assert _says_why(night, district)
    assert district.known == known
    assert not night.strangers


@pytest.mark.parametrize("fault", _by_tier(ODD - NEW_IDS))
def test_what_the_server_says_of_records_is_passed_on_and_nothing_ends(
    district: History, fault: Fault
):
    night = district.live_through(fault)
    assert night.outcome.result, night.outcome.refusal
    assert night.ended == {}
    differing = {line.split(":")[0] for line in night.differences}
    if fault in LEFT_OUT:
        assert differing == {"enrollments"}
    elif fault is not Fault.STATUS_ABSENT:
        assert (differing, bool(night.cells)) == (set(), True)


def _says_why(night: Night, one: History) -> bool:
    """Whether a refusal has words that help, and nothing of a person."""
    words = night.outcome.refusal
    values = values_of(one.sets[one.nights % len(one.sets)])
    told = {value for value in values if value in words}
    assert not told
    assert one.server.client_secret not in words
    return len(words) > 30


@pytest.mark.parametrize(
    ("fault", "collection", "advice"),
    [
        (Fault.LIMIT_REFUSED, "/orgs", "lower page_size"),
        (Fault.FIELDS_REFUSED, "/demographics", "leave demographics out"),
    ],
)
def test_a_query_that_is_not_accepted_is_answered_with_what_to_change(
    district: History, fault: Fault, collection: str, advice: str
):
    words = district.live_through(fault).outcome.refusal
    assert collection in words
    assert advice in words
    assert "ask_for_fields" not in words


def test_each_fault_has_its_place():
    groups = (LEFT_OUT, NEW_IDS, OTHER_CELLS, REFUSED)
    assert sum(map(len, groups)) == len(set().union(*groups))
    assert len(HARMLESS) + sum(map(len, groups)) == len(Fault)


# --- pairs ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("version", "mode", "count"),
    [
        ("1.1", "delta", 4),
        *(
            pytest.param(version, mode, _PAIRS, marks=pytest.mark.slow)
            for version in VERSIONS
            for mode in ("full", "delta")
        ),
    ],
)
def test_pairs_of_faults_end_nothing_that_is_not_gone(
    sets: Sets, tmp_path_factory: pytest.TempPathFactory, version: str, mode: str, count: int
):
    root = tmp_path_factory.mktemp("pairs")
    seed = 10 * VERSIONS.index(version) + (mode == "delta")
    wrong = []
    with history(root, sets.by_version[version], version, mode=mode) as one:
        one.begin()
        for pair in random_pairs(count, list(Fault), seed):
            night = one.live_through(*pair)
            names = [fault.name for fault in pair]
            wrong += [f"{names}: {what}" for what in _wrong(night, one, pair)]
            _recover(one)
    assert wrong == []


def _wrong(night: Night, one: History, pair: tuple[Fault, Fault]) -> Iterator[str]:
    """What must not be, after a night with two faults."""
    if night.ended and not NEW_IDS.intersection(pair):
        yield f"ended though it is there: {night.ended}"
    if not night.outcome.result and not _says_why(night, one):
        yield f"refused without words: {night.outcome.refusal}"
    if night.strangers:
        yield "the other host was asked"
    missing = [line for line in night.differences if ": 0 missing" not in line]
    if night.outcome.result and missing and not (LEFT_OUT | NEW_IDS).intersection(pair):
        yield f"taken for whole: {missing}"


_QUICK_DELTAS = (Fault.MODIFIED_IN_FUTURE, Fault.COLLECTION_EMPTY, Fault.GRANT_REFUSED)


@pytest.mark.parametrize(
    "faults",
    [
        pytest.param(_QUICK_DELTAS, id="some"),
        pytest.param(tuple(Fault), id="all", marks=pytest.mark.slow),
    ],
)
def test_after_a_fault_changes_alone_make_good_again(
    sets: Sets, tmp_path_factory: pytest.TempPathFactory, faults: tuple[Fault, ...]
):
    """Nothing that a fault said hides the changes of the next night."""
    wrong = []
    root = tmp_path_factory.mktemp("deltas")
    with history(root, sets.by_version["1.1"], mode="delta") as one:
        one.begin()
        for fault in faults:
            one.live_through(fault)
            one.next_night()
            outcome = one.fetch()
            found = [*one.differences(), *one.different_cells()]
            if not outcome.result or found:
                wrong.append(f"{fault.name}: {outcome.refusal or found}")
                _recover(one)
    assert wrong == []


# --- authorization ----------------------------------------------------------------------------


_WAYS = {
    "basic": (BASIC, {}),
    "body": (BODY, {}),
    "sha1": (OAUTH_1, {"signature": "HMAC-SHA1"}),
    "sha256": (OAUTH_1, {"signature": "HMAC-SHA256", "ask_for_fields": True}),
}


@pytest.mark.parametrize("version", slow_but("1.2", VERSIONS))
@pytest.mark.parametrize("way", slow_but("sha256", _WAYS))
def test_a_roster_comes_by_each_way_to_prove_who_asks(
    sets: Sets,
    tmp_path_factory: pytest.TempPathFactory,
    version: str,
    way: str,
):
    authentication, settings = _WAYS[way]
    root = tmp_path_factory.mktemp("ways")
    nights = sets.by_version[version]
    settings = {"authentication": authentication, "mode": "delta", **settings}
    with history(root, nights, version, **settings) as one:
        one.begin()
        assert one.fetch().result.mode == "delta"
        assert (one.differences(), one.different_cells()) == ([], [])


def test_the_version_is_found_out(sets: Sets, tmp_path_factory: pytest.TempPathFactory):
    for version in VERSIONS:
        root = tmp_path_factory.mktemp("versions")
        with history(root, sets.by_version[version], version) as one:
            one.profile = one.profile.model_copy(update={"version": "found_out"})
            assert one.fetch().result.version == version
            assert one.differences() == []
