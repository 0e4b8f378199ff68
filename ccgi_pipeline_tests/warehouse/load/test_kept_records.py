"""Lines that could not be read keep the records that may be theirs, and no others.

Belongs here: which missing record a broken line keeps, in every feed of full sets; since when, and
how that is told. Each test has a sender of its own.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Sequence
from datetime import date, timedelta

import duckdb
import pytest

from ccgi_pipeline.feeds.registry import FEEDS, FEEDS_BY_NAME
from ccgi_pipeline.feeds.spec import FeedSpec, Lifecycle
from ccgi_pipeline.intake.contents import Content
from ccgi_pipeline.intake.inbox import InboxFile, group_drops
from ccgi_pipeline.profiles import DistrictProfile, GuardProfile, Profiles
from ccgi_pipeline.verification.drop_files import files_to_verify
from ccgi_pipeline.verification.gates import verify
from ccgi_pipeline.verification.outcomes import nothing_known
from ccgi_pipeline.warehouse.load.ledger import load_drops
from ccgi_pipeline.warehouse.queries.health import read_kept_records
from ccgi_pipeline_tests.files import ON, Line, as_bytes, good_lines, usual_name
from ccgi_pipeline_tests.nightly.inboxes import student

STUDENT = FEEDS_BY_NAME["transcript_student"]
FULL_SETS = [f for f in FEEDS if f.lifecycle is Lifecycle.SNAPSHOT and not f.manifest]
SCHOOL = "51234560000001"
"""A school of whichever sender's file it stands in."""
_SENDERS = itertools.count(5_100_000)
_UNGUARDED = Profiles(defaults=DistrictProfile(guard=GuardProfile(share=1.0)))


Delivery = tuple[FeedSpec, str, bytes]
"""A file of a feed, its sender, and its bytes."""


def _load(
    connection: duckdb.DuckDBPyConnection, sent: Sequence[Delivery], night: date = ON
) -> None:
    """Loads files, those of one family together."""
    for family, deliveries in itertools.groupby(sent, lambda delivery: delivery[0].family):
        contents, received = {}, []
        for feed, sender, written in deliveries:
            content = written.replace(SCHOOL[:7].encode(), sender.encode())
            sha256 = hashlib.sha256(content).hexdigest()
            contents[sha256] = content
            path = f"{sender}/{family}/{usual_name(feed)}"
            received.append((InboxFile(path, sender, family, ""), sha256))
        drops = group_drops(received)
        files = files_to_verify(drops, lambda _, sha256, of=contents: Content.of_bytes(of[sha256]))
        verified = verify(files, night, nothing_known, _UNGUARDED)
        load_drops(connection, drops, verified, night, _UNGUARDED)


def _active(connection: duckdb.DuckDBPyConnection, feed: FeedSpec, sender: str) -> set[str]:
    """The keys of the sender's active records, their parts joined."""
    key = " || '|' || ".join(f'"{name}"::VARCHAR' for name in feed.keys)
    rows = connection.execute(
        f"SELECT {key} FROM {feed.name} WHERE _sender = ? AND _active",  # noqa: S608
        [sender],
    ).fetchall()
    return {name for (name,) in rows}


# --- the roster: how a line may be broken ---------------------------------------------------------

STAYS, LEAVES, OTHER = "0123456789", "8000000002", "8000000003"


def _of(ssid: str, **cells: str) -> Line:
    names = {
        STAYS: ("Ana", "Alvarez", "02/03/2010"),
        LEAVES: ("Bo", "Brown", "04/05/2011"),
        OTHER: ("Cy", "Castro", "06/07/2012"),
    }
    first, last, born = names[ssid]
    told = {"FirstName": first, "LastName": last, "DateOfBirth": born}
    return student(ssid, SCHOOL, **{**told, **cells})


def _written(*lines: Line, feed: FeedSpec = STUDENT) -> list[bytes]:
    return as_bytes(feed, list(lines)).rstrip(b"\n").split(b"\n")


def _text(line: Line) -> bytes:
    return _written(line)[1]


def _without(*names: str) -> Callable[[], bytes]:
    return lambda: _text(_of(LEAVES, **dict.fromkeys(names, "")))


_IDS = ("StateID", "LocalStudentID")
_NAMES = ("FirstName", "LastName", "DateOfBirth")
_UNKNOWN = {
    "LocalStudentID": "L77",
    "FirstName": "Di",
    "LastName": "Duarte",
    "DateOfBirth": "08/09/2010",
}

_KEEPS: dict[str, Callable[[], bytes]] = {
    "a comma too many behind the SSID": lambda: _text(_of(LEAVES)).replace(b"Brown", b"Brown, Jr"),
    "a comma too many before the SSID": lambda: b"x," + _text(_of(LEAVES)),
    "cut off behind the SSID": lambda: _text(_of(LEAVES)).split(b"Bo")[0],
    "tabs in place of commas": lambda: _text(_of(LEAVES)).replace(b",", b"\t"),
    "a quotation mark that stays open": lambda: _text(_of(LEAVES)).replace(b"Bo,", b'"Bo,'),
    "an SSID that is too short": lambda: _text(_of(LEAVES, StateID=LEAVES[:-1])),
    "no SSID, but the local id": lambda: _text(_of(LEAVES, StateID="", FirstName="", LastName="")),
    "no id, but names and birth date": _without(*_IDS),
    "no id, and a new last name": lambda: _text(
        _of(LEAVES, StateID="", LocalStudentID="", LastName="Browning")
    ),
    "no id, and only the names": _without(*_IDS, "DateOfBirth"),
    "no id, and only the last name": _without(*_IDS, "FirstName", "DateOfBirth"),
    "nothing that tells a student": _without(*_IDS, *_NAMES),
    "ids in lower case with a blank": lambda: _text(
        _of(LEAVES, StateID="", LocalStudentID=f" l{LEAVES} ", **dict.fromkeys(_NAMES, ""))
    ),
}
_KEEPS["less than half of its cells, with an unknown id"] = lambda: SCHOOL.encode() + b",77,broken"
_KEEPS["words that tell nothing"] = lambda: b"here the export was interrupted"
_KEEPS_NOBODY: dict[str, Callable[[], bytes]] = {
    "another student's line with a comma too many": lambda: _text(_of(OTHER)).replace(
        b"Castro", b"Brown, Castro"
    ),
    "another student's SSID before the leaver's names": lambda: (
        b"x," + _text(_of(OTHER, FirstName="Bo", LastName="Brown", DateOfBirth="04/05/2011"))
    ),
    "no SSID, and an unknown local id": lambda: _text(
        _of(LEAVES, StateID="", LocalStudentID="L77")
    ),
    "no id, and unknown names": lambda: _text(
        _of(OTHER, **{**_UNKNOWN, "StateID": "", "LocalStudentID": ""})
    ),
    "no id, and the last name alone is the leaver's": lambda: _text(
        _of(OTHER, **{**_UNKNOWN, "StateID": "", "LocalStudentID": "", "LastName": "Brown"})
    ),
    "an SSID that is too short, of an unknown student": lambda: _text(
        _of(OTHER, **{**_UNKNOWN, "StateID": "12345"})
    ),
    "cut off behind another student's SSID": lambda: _text(_of(STAYS)).split(b"Ana")[0],
}


_CUT_OFF = "the last line breaks off, so that the file may be incomplete"


@pytest.fixture(scope="module")
def active(connection: duckdb.DuckDBPyConnection) -> dict[str, set[str]]:
    """Who is active after a roster without the leaver in which one line is broken, by the way."""
    ways = {**_KEEPS, **_KEEPS_NOBODY}
    senders = {how: str(next(_SENDERS)) for how in (*ways, _CUT_OFF)}
    everybody = b"\n".join(_written(_of(STAYS), _of(LEAVES)))
    _load(connection, [(STUDENT, sender, everybody) for sender in senders.values()])
    header, line = _written(_of(STAYS))
    rosters = {how: b"\n".join((header, broken(), line)) + b"\n" for how, broken in ways.items()}
    rosters[_CUT_OFF] = b"\n".join((header, line, SCHOOL.encode()))
    _load(connection, [(STUDENT, senders[how], roster) for how, roster in rosters.items()])
    return {how: _active(connection, STUDENT, sender) for how, sender in senders.items()}


@pytest.mark.parametrize("how", [*_KEEPS, _CUT_OFF])
def test_a_line_that_may_be_a_leavers_keeps_the_leaver(active: dict[str, set[str]], how: str):
    assert active[how] == {STAYS, LEAVES}


@pytest.mark.parametrize("how", _KEEPS_NOBODY)
def test_a_line_that_is_no_leavers_keeps_nobody(active: dict[str, set[str]], how: str):
    assert active[how] == {STAYS}


def test_an_ssid_that_lost_its_zero_keeps_its_student_alone(connection: duckdb.DuckDBPyConnection):
    """A spreadsheet drops the zero: the student is there all the same."""
    sender = str(next(_SENDERS))
    everybody = _written(_of(STAYS), _of(LEAVES), _of(OTHER))
    _load(connection, [(STUDENT, sender, b"\n".join(everybody))])
    lines = _written(_of(OTHER), student(STAYS[1:], SCHOOL, FirstName="A.", LastName="Alvárez"))
    _load(connection, [(STUDENT, sender, b"\n".join(lines))])
    assert _active(connection, STUDENT, sender) == {STAYS, OTHER}


# --- every feed -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def stages(connection: duckdb.DuckDBPyConnection) -> dict[str, list[set[str]]]:
    """By feed, who is active after a whole file, with a broken and a lost line, with both lost."""
    sender = str(next(_SENDERS))
    lines = {feed.name: _written(*good_lines(feed, 4, sender), feed=feed) for feed in FULL_SETS}
    found: dict[str, list[set[str]]] = {feed.name: [] for feed in FULL_SETS}
    for end in (lambda last: last, lambda last: [last[0] + b",surplus"], lambda _: []):
        sent = [
            (feed, sender, b"\n".join([*of_feed[:-2], *end(of_feed[-2:])]) + b"\n")
            for feed, of_feed in zip(FULL_SETS, lines.values(), strict=True)
        ]
        _load(connection, sent)
        for feed in FULL_SETS:
            found[feed.name].append(_active(connection, feed, sender))
    return found


@pytest.mark.parametrize("feed", FULL_SETS, ids=lambda feed: feed.name)
def test_in_every_full_set_a_line_with_a_cell_too_many_keeps_its_own_record(
    stages: dict[str, list[set[str]]], feed: FeedSpec
):
    before, staying, without = stages[feed.name]
    assert len(before - staying) == 1  # the last line's record ended
    assert len(staying - without) == 1  # that of the broken line only once it was left out


# --- what is told ---------------------------------------------------------------------------------


def test_it_is_told_how_many_are_kept_since_when_and_by_which_lines(
    connection: duckdb.DuckDBPyConnection,
):
    sender = str(next(_SENDERS))
    everybody = _written(_of(STAYS), _of(LEAVES), _of(OTHER))
    _load(connection, [(STUDENT, sender, b"\n".join(everybody))])
    header, line = _written(_of(STAYS))
    anybodys = _text(_of(LEAVES, **dict.fromkeys((*_IDS, *_NAMES), "")))
    told = []
    for night in range(3):
        content = [header, line, *([anybodys, *[_KEEPS["tabs in place of commas"]()] * night])]
        _load(
            connection, [(STUDENT, sender, b"\n".join(content) + b"\n")], ON + timedelta(1 + night)
        )
        (kept,) = (kept for kept in read_kept_records(connection) if kept.sender == sender)
        told.append((kept.records, kept.since, kept.lines))
    assert kept.words == (
        f"2 records missing from {sender}/transcript/StudentTemplate.csv stay active: they may "
        "belong to lines that could not be read (3, 4, 5). This has been so since 2026-11-21."
    )
    since = ON + timedelta(1)
    assert told == [(2, since, (3,)), (2, since, (3, 4)), (2, since, (3, 4, 5))]
    query = (
        "SELECT kept, kept_since, no_longer_active FROM files JOIN drops USING (drop_id) "
        "WHERE sender = ? ORDER BY position"
    )
    assert connection.execute(query, [sender]).fetchall() == [(0, None, 0), *[(2, since, 0)] * 3]
    _load(connection, [(STUDENT, sender, b"\n".join((header, line)) + b"\n")], ON + timedelta(4))
    assert _active(connection, STUDENT, sender) == {STAYS}
    assert not [kept for kept in read_kept_records(connection) if kept.sender == sender]
