"""A district sends a damaged roster: it is told where, its reports stay, nobody else notices.

Belongs here: two nights of one state. In the first every district sends a good roster; in the
second each kind of damage befalls a district of its own, one district sends a good new roster, and
one sends nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from ccgi_pipeline.reports.registry import REPORTS
from ccgi_pipeline_tests.nightly.damage import ROSTER_DAMAGES
from ccgi_pipeline_tests.nightly.inboxes import (
    BERKELEY,
    BERKELEY_HIGH,
    HAYWARD,
    HAYWARD_HIGH,
    application,
    event,
    financial_aid,
    numbered,
    put,
    put_events,
    put_roster,
    roster_file,
    students,
)
from ccgi_pipeline_tests.nightly.nights import (
    APPLICATIONS,
    ON,
    Outbox,
    bytes_below,
    folders_in,
    lake_rows,
    run_night,
)

_NEXT = ON + timedelta(days=1)
_CODES = {kind: f"99000{number:02d}" for number, kind in enumerate(ROSTER_DAMAGES, start=10)}
"""The district that each damage befalls. No directory lists it: its folder is its code."""
_DAMAGES = pytest.mark.parametrize("kind", ROSTER_DAMAGES)


@dataclass(frozen=True)
class TwoNights:
    """The outbox after both nights, and what lay in it and in the rosters after the first."""

    outbox: Outbox
    after_first: dict[str, bytes]
    rosters_after_first: list[tuple[object, ...]]
    rosters: list[tuple[object, ...]]

    def receipt(self, folder: str) -> dict[str, Any]:
        """A district's only receipt of the second night."""
        (receipt,) = self.outbox.receipts(folder, _NEXT)
        return receipt


def _activity(ssid: str) -> list[dict[str, str]]:
    return [
        application(ssid, "CCCApply", "Submitted", "Some College"),
        financial_aid(ssid, "FAFSA", "Completed"),
        event("favorites", ssid, FavoriteType="Career", FavoriteName="Astronomer", Action="Added"),
        event("goals", ssid, GoalID="1", GoalType="Academic", GoalStatus="Set"),
    ]


@pytest.fixture(scope="module")
def nights(tmp_path_factory: pytest.TempPathFactory) -> TwoNights:
    """Both nights."""
    folders = folders_in(tmp_path_factory.mktemp("damaged"))
    schools = {BERKELEY: BERKELEY_HIGH, HAYWARD: HAYWARD_HIGH}
    schools |= {cd: f"{cd}1234567" for cd in _CODES.values()}
    ssids = {cd: numbered(1_000 * place, 4) for place, cd in enumerate(schools, start=1)}
    rosters = {cd: students(ssids[cd], school) for cd, school in schools.items()}
    for cd, lines in rosters.items():
        put_roster(folders.inbox, cd, lines, "20261121")
    put_events(
        folders.inbox, [line for own in ssids.values() for ssid in own for line in _activity(ssid)]
    )
    run_night(folders, ON)
    after_first, rosters_after_first = bytes_below(folders.outbox), _rosters(folders.warehouse)

    for kind, cd in _CODES.items():
        damaged = ROSTER_DAMAGES[kind].change(roster_file(rosters[cd]))
        put(folders.inbox, f"{cd}/transcript/StudentTemplate_20261122.csv", damaged)
    newcomer = students(["0000999999"], HAYWARD_HIGH, "12")
    put_roster(folders.inbox, HAYWARD, [*rosters[HAYWARD][1:], *newcomer], "20261122")
    run_night(folders, _NEXT)
    return TwoNights(
        Outbox(folders.outbox), after_first, rosters_after_first, _rosters(folders.warehouse)
    )


def _rosters(warehouse: Path) -> list[tuple[object, ...]]:
    return lake_rows(warehouse)["transcript_student"]


def _reports_of(files: dict[str, bytes], folder: str, night: str) -> dict[str, bytes]:
    """A district's reports of one night, by path without the date."""
    return {
        path.replace(night, "DATE"): content
        for path, content in files.items()
        if path.startswith(f"{folder}/") and f"_{night}_" in path and "_receipts" not in path
    }


@_DAMAGES
def test_the_receipt_names_line_column_and_rule(nights: TwoNights, kind: str):
    damage = ROSTER_DAMAGES[kind]
    receipt = nights.receipt(_CODES[kind])
    (file,) = receipt["files"]
    places = [(found["rule"], found["line"], found["column"]) for found in file["findings"]]
    assert (damage.rule, damage.line, damage.column) in places
    assert file["feed"] == "transcript_student"


@_DAMAGES
def test_the_receipt_says_what_became_of_every_line(nights: TwoNights, kind: str):
    damage = ROSTER_DAMAGES[kind]
    receipt = nights.receipt(_CODES[kind])
    (file,) = receipt["files"]
    refused = damage.lost is None
    assert receipt["verdict"] == ("rejected" if refused else "accepted_with_findings")
    assert sum(file["fates"].values()) == file["lines"]
    assert file["fates"].get("rejected", 0) == (file["lines"] if refused else damage.lost)


@_DAMAGES
def test_every_finding_says_how_to_mend_it_and_shows_no_pupil(nights: TwoNights, kind: str):
    cd = _CODES[kind]
    (file,) = nights.receipt(cd)["files"]
    assert all(rule["text"] and rule["fix"] for rule in file["rules"])
    written = b"".join(
        path.read_bytes() for path in (nights.outbox.root / cd / "_receipts").glob("20261123_*")
    )
    assert b"First" not in written.replace(b"FirstName", b"")
    assert not any(ssid.encode() in written for ssid in _ssids_of(nights, cd))


def _ssids_of(nights: TwoNights, cd: str) -> list[str]:
    detail = nights.outbox.report(cd, "legacy reporting/account registrations", "Detail", ON)
    place = detail[0].index("SSID")
    return [row[place] for row in detail[1:]]


@_DAMAGES
def test_the_reports_are_those_of_the_last_good_roster(nights: TwoNights, kind: str):
    cd = _CODES[kind]
    before = _reports_of(nights.after_first, cd, "20261122")
    after = _reports_of(bytes_below(nights.outbox.root), cd, "20261123")
    assert len(before) == sum(len(spec.files) for spec in REPORTS)
    assert after == before
    assert len(_ssids_of(nights, cd)) == 4


@_DAMAGES
def test_the_roster_in_the_warehouse_stands(nights: TwoNights, kind: str):
    cd = _CODES[kind]
    before = [row for row in nights.rosters_after_first if cd in row]
    assert len(before) == 4
    assert [row for row in nights.rosters if cd in row] == before


def test_a_district_with_a_good_new_roster_gets_reports_of_it(nights: TwoNights):
    path = "legacy reporting/account registrations"
    before = nights.outbox.report("HaywardUnified", path, "Detail", ON)
    after = nights.outbox.report("HaywardUnified", path, "Detail", _NEXT)
    ssid = before[0].index("SSID")
    assert {row[ssid] for row in after} - {row[ssid] for row in before} == {"0000999999"}
    assert {row[ssid] for row in before} - {row[ssid] for row in after} == {before[1][ssid]}
    assert nights.receipt("HaywardUnified")["verdict"] == "accepted"


def test_the_applications_of_a_student_who_left_leave_the_reports_too(nights: TwoNights):
    before = nights.outbox.report("HaywardUnified", APPLICATIONS, "Detail", ON)
    after = nights.outbox.report("HaywardUnified", APPLICATIONS, "Detail", _NEXT)
    assert (len(before) - 1, len(after) - 1) == (8, 6)


def test_a_district_that_sent_nothing_gets_the_same_reports_and_no_receipt(nights: TwoNights):
    before = _reports_of(nights.after_first, "BerkeleyUnified", "20261122")
    after = _reports_of(bytes_below(nights.outbox.root), "BerkeleyUnified", "20261123")
    assert before
    assert after == before
    assert nights.outbox.receipts("BerkeleyUnified", _NEXT) == []


def test_nothing_that_was_delivered_the_first_night_is_touched(nights: TwoNights):
    now = bytes_below(nights.outbox.root)
    assert {path: now[path] for path in nights.after_first} == nights.after_first
