"""An SSID on two rosters: a transfer works at once, and a claim opens nobody's data.

Belongs here: nights over rosters that share SSIDs, what each district then finds in its reports and
receipts, and operators' decisions.
"""

from __future__ import annotations

import json
import shutil
from datetime import date, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from ccgi_pipeline.cli import main
from ccgi_pipeline.feeds.calpads_identity import FEED as REGISTER
from ccgi_pipeline.nightly.paths import PipelinePaths
from ccgi_pipeline.operations.audit_log import read_entries
from ccgi_pipeline.warehouse.load.claims import Claim, read_claims
from ccgi_pipeline.warehouse.storage.connection import open_warehouse
from ccgi_pipeline_tests.files import as_bytes
from ccgi_pipeline_tests.foster_focus import Line
from ccgi_pipeline_tests.nightly.inboxes import (
    HAYWARD,
    HAYWARD_HIGH,
    PALM_SPRINGS,
    PALM_SPRINGS_HIGH,
    application,
    line_of,
    put,
    put_events,
    put_roster,
    student,
)
from ccgi_pipeline_tests.nightly.nights import (
    APPLICATIONS,
    OF_APPLICATIONS,
    Outbox,
    folders_in,
    load_and_answer,
    run_night,
)

MONDAY = date(2026, 11, 16)
TUESDAY, WEDNESDAY = MONDAY + timedelta(days=1), MONDAY + timedelta(days=2)
SSID, OTHER = "9000000001", "9000000002"
LISTED = (SSID, "9000000011", "9000000012", "9000000013")
"""SSIDs that Palm Springs lists on Monday, so that one night shows several cases."""
CHILD = {"FirstName": "Zoë", "LastName": "O'Brien-Lee", "DateOfBirth": "03/01/2010"}
INVENTED = {"FirstName": "Mallory", "LastName": "Nobody", "DateOfBirth": "05/05/2011"}


def roster(folders: PipelinePaths, cd: str, on: date, *lines: Line) -> None:
    """A day's roster of a district; a student of its own stands before the given ones."""
    school = {PALM_SPRINGS: PALM_SPRINGS_HIGH, HAYWARD: HAYWARD_HIGH}[cd]
    put_roster(folders.inbox, cd, [student(f"8{school[-9:]}", school), *lines], f"{on:%Y%m%d}")


def theirs(cd: str, ssid: str = SSID, **cells: str) -> Line:
    """A student on the roster of a district."""
    school = {PALM_SPRINGS: PALM_SPRINGS_HIGH, HAYWARD: HAYWARD_HIGH}[cd]
    return student(ssid, school, **cells)


def rules_told(folders: PipelinePaths, folder: str, on: date) -> list[tuple[str, int | None]]:
    """The claims that a night's receipts tell a district of, with their lines."""
    return [
        (finding["rule"], finding["line"])
        for receipt in Outbox(folders.outbox).receipts(folder, on)
        for file in receipt["files"]
        for finding in file["findings"]
        if finding["rule"] in {"TR-STU-CLAIMED", "TR-STU-CONTESTED"}
    ]


def claims(folders: PipelinePaths) -> list[Claim]:
    """What is claimed."""
    with open_warehouse(folders.warehouse, read_only=True) as connection:
        return read_claims(connection)


def seen_by(folders: PipelinePaths) -> set[str]:
    """The districts that see the student, of those that list the SSID."""
    (claim,) = claims(folders)
    return {listing.cd for listing in claim.listings if listing.sees}


@pytest.fixture(scope="module")
def monday(tmp_path_factory: pytest.TempPathFactory) -> PipelinePaths:
    """Palm Springs has listed children since Monday; each has applied to a college."""
    made = folders_in(tmp_path_factory.mktemp("monday"))
    children = [theirs(PALM_SPRINGS, ssid, **CHILD) for ssid in LISTED]
    roster(made, PALM_SPRINGS, MONDAY, *children)
    roster(made, HAYWARD, MONDAY)
    steps = [application(ssid, "CCCApply", "Submitted", "Foothill") for ssid in LISTED]
    put_events(made.inbox, steps)
    load_and_answer(made, MONDAY)
    return made


@pytest.fixture
def folders(monday: PipelinePaths, tmp_path: Path) -> PipelinePaths:
    """A copy of the folders after Monday's night."""
    return folders_in(shutil.copytree(monday.inbox.parent, tmp_path / "copy"))


def applicants_of(folders: PipelinePaths, folder: str, on: date) -> list[str]:
    """The SSIDs in a district's report of applications."""
    rows = Outbox(folders.outbox).report(folder, APPLICATIONS, "Detail", on)
    return [row[rows[0].index("SSID")] for row in rows[1:]]


def test_a_claimed_ssid_opens_no_pupils_data(folders: PipelinePaths) -> None:
    roster(folders, PALM_SPRINGS, TUESDAY, theirs(PALM_SPRINGS, **CHILD, Gender="M"))
    roster(folders, HAYWARD, TUESDAY, theirs(HAYWARD, **INVENTED))
    run_night(folders, TUESDAY)
    assert applicants_of(folders, "PalmSpringsUnified", TUESDAY) == [SSID]
    below = folders.outbox / "HaywardUnified"
    reports = [path for path in below.rglob("*.csv") if "_receipts" not in path.parts]
    assert reports
    assert not [path for path in reports if SSID in path.read_text()]
    assert rules_told(folders, "PalmSpringsUnified", TUESDAY) == [("TR-STU-CONTESTED", 3)]
    assert rules_told(folders, "HaywardUnified", TUESDAY) == [("TR-STU-CLAIMED", 3)]
    for folder, stranger in (("HaywardUnified", "3367173"), ("PalmSpringsUnified", "0161192")):
        for receipt in (folders.outbox / folder / "_receipts").iterdir():
            text = receipt.read_text()
            assert stranger not in text
            assert "Mallory" not in text
            assert "Brien" not in text


def test_findings_stay_while_the_rosters_stay(folders: PipelinePaths) -> None:
    for on in (TUESDAY, WEDNESDAY):
        more = {"Gender": "M"} if on == WEDNESDAY else {}
        roster(
            folders, PALM_SPRINGS, on, theirs(PALM_SPRINGS, **CHILD), theirs(PALM_SPRINGS, OTHER)
        )
        roster(folders, HAYWARD, on, theirs(HAYWARD, **INVENTED), theirs(HAYWARD, "7" * 10, **more))
        load_and_answer(folders, on)
    assert rules_told(folders, "HaywardUnified", WEDNESDAY) == [("TR-STU-CLAIMED", 3)]
    (receipt,) = Outbox(folders.outbox).receipts("HaywardUnified", TUESDAY)
    assert receipt["verdict"] == "accepted_with_findings"
    for file in receipt["files"]:
        assert sum(file["fates"].values()) == file["lines"]


SPELLINGS = (
    CHILD,
    {"FirstName": "ZOE", "LastName": "OBrien Lee", "DateOfBirth": "03/01/2010"},
    {"FirstName": "Zoe\u0308", "LastName": "O\u2019Brien\u2013Lee", "DateOfBirth": "03/01/2010"},
)


def test_a_transfer_works_the_night_it_begins(folders: PipelinePaths) -> None:
    moved = LISTED[: len(SPELLINGS)]
    came = [
        theirs(HAYWARD, ssid, **spelled) for ssid, spelled in zip(moved, SPELLINGS, strict=True)
    ]
    roster(folders, HAYWARD, TUESDAY, *came)
    run_night(folders, TUESDAY, reports=OF_APPLICATIONS)
    # What the student did before the transfer is the student's, and goes along.
    assert applicants_of(folders, "HaywardUnified", TUESDAY) == [*moved]
    assert applicants_of(folders, "PalmSpringsUnified", TUESDAY) == [*LISTED]
    assert claims(folders) == []
    assert rules_told(folders, "HaywardUnified", TUESDAY) == []


def by_line(folders: PipelinePaths) -> dict[int, Claim]:
    """The claims by the line of Hayward's roster; line 2 has a student of its own."""
    found = {
        listing.line: claim
        for claim in claims(folders)
        for listing in claim.listings
        if listing.cd == HAYWARD
    }
    return dict(sorted(found.items()))


def test_each_part_of_the_identity_counts(folders: PipelinePaths) -> None:
    fields = ("FirstName", "LastName", "DateOfBirth")
    came = [
        theirs(HAYWARD, ssid, **{**CHILD, field: INVENTED[field]})
        for ssid, field in zip(LISTED, fields, strict=False)
    ]
    roster(folders, HAYWARD, TUESDAY, *came)
    load_and_answer(folders, TUESDAY)
    found = by_line(folders)
    assert [*found] == [3, 4, 5]
    for line, field in zip(found, fields, strict=True):
        assert found[line].claimants == [HAYWARD]
        assert {listing.differs for listing in found[line].listings} == {(field,)}


def test_who_listed_a_student_who_has_left_keeps_the_number(folders: PipelinePaths) -> None:
    roster(folders, PALM_SPRINGS, TUESDAY)
    load_and_answer(folders, TUESDAY)
    roster(folders, HAYWARD, WEDNESDAY, theirs(HAYWARD, **INVENTED))
    load_and_answer(folders, WEDNESDAY)
    assert seen_by(folders) == {PALM_SPRINGS}


def test_of_two_in_one_night_neither_sees_until_it_is_decided(folders: PipelinePaths) -> None:
    put_events(folders.inbox, [application(OTHER, "CCCApply", "Submitted", "Foothill")], "20261117")
    for cd, identity in ((PALM_SPRINGS, CHILD), (HAYWARD, INVENTED)):
        roster(folders, cd, TUESDAY, theirs(cd, OTHER, **identity))
    run_night(folders, TUESDAY, reports=OF_APPLICATIONS)
    assert seen_by(folders) == set()
    for folder in ("PalmSpringsUnified", "HaywardUnified"):
        assert rules_told(folders, folder, TUESDAY) == [("TR-STU-CLAIMED", 3)]
        assert OTHER not in applicants_of(folders, folder, TUESDAY)
    load_and_answer(folders, WEDNESDAY)
    assert seen_by(folders) == set()


def test_a_corrected_identity_ends_the_claim(folders: PipelinePaths) -> None:
    roster(folders, HAYWARD, TUESDAY, theirs(HAYWARD, **INVENTED))
    load_and_answer(folders, TUESDAY)
    roster(folders, HAYWARD, WEDNESDAY, theirs(HAYWARD, **CHILD))
    load_and_answer(folders, WEDNESDAY)
    assert claims(folders) == []


def _identities(folders: PipelinePaths, on: date, *known: Line) -> None:
    lines = [line_of(REGISTER, {"CDSCode": HAYWARD_HIGH, **cells}) for cells in known]
    put(folders.inbox, f"calpads/{on:%Y%m%d}/calpads_identity.csv", as_bytes(REGISTER, lines))


STATE = (
    ({"FirstName": "Zoe", "LastName": "OBrien-Lee", "BirthDate": "2010-03-01"}, PALM_SPRINGS),
    ({"FirstName": "Mallory", "LastName": "Nobody", "BirthDate": "2011-05-05"}, HAYWARD),
    (
        {
            "FirstName": "M",
            "AliasFirstName": "Mallory",
            "LastName": "Nobody",
            "BirthDate": "2011-05-05",
        },
        HAYWARD,
    ),
    ({"FirstName": "Third", "LastName": "Child", "BirthDate": "2009-01-01"}, None),
)
"""What the state knows of a claimed SSID, and which district sees the student then."""


def test_the_states_identities_decide(folders: PipelinePaths) -> None:
    known = [{**cells, "SSID": ssid} for ssid, (cells, _) in zip(LISTED, STATE, strict=True)]
    _identities(folders, TUESDAY, *known)
    roster(folders, HAYWARD, TUESDAY, *(theirs(HAYWARD, ssid, **INVENTED) for ssid in LISTED))
    load_and_answer(folders, TUESDAY)
    found = by_line(folders)
    assert [*found] == [3, 4, 5, 6]
    for claim, (_, see) in zip(found.values(), STATE, strict=True):
        assert [listing.cd for listing in claim.listings if listing.sees] == ([see] if see else [])
        assert claim.waits == (see is None)


def test_an_invented_student_with_a_number_of_the_register_sees_nothing(
    folders: PipelinePaths,
) -> None:
    nicknamed = "9000000003"
    _identities(
        folders,
        TUESDAY,
        {"SSID": OTHER, "FirstName": "Third", "LastName": "Child", "BirthDate": "2009-01-01"},
        {"SSID": nicknamed, "FirstName": "Mal", "LastName": "NOBODY", "BirthDate": "2011-05-05"},
    )
    listed = [theirs(HAYWARD, ssid, **INVENTED) for ssid in (OTHER, nicknamed)]
    roster(folders, HAYWARD, TUESDAY, *listed)
    load_and_answer(folders, TUESDAY)
    assert seen_by(folders) == set()
    # A nickname does not differ from the register's name: the second line claims nothing.
    assert rules_told(folders, "HaywardUnified", TUESDAY) == [("TR-STU-CLAIMED", 3)]


# --- what operators see and answer ----------------------------------------------------------------


def ccgi(folders: PipelinePaths, *arguments: str, exit_code: int = 0) -> str:
    """The output of a command over the warehouse."""
    command = [*arguments, "--warehouse", str(folders.warehouse)]
    result = CliRunner().invoke(main, command, catch_exceptions=False)
    assert result.exit_code == exit_code, result.output
    return result.output


@pytest.fixture(scope="module")
def tuesday(monday: PipelinePaths, tmp_path_factory: pytest.TempPathFactory) -> PipelinePaths:
    """Hayward claims the child's number."""
    root = tmp_path_factory.mktemp("tuesday") / "copy"
    made = folders_in(shutil.copytree(monday.inbox.parent, root))
    roster(made, HAYWARD, TUESDAY, theirs(HAYWARD, **INVENTED))
    load_and_answer(made, TUESDAY)
    return made


@pytest.fixture
def claimed(tuesday: PipelinePaths, tmp_path: Path) -> PipelinePaths:
    """A copy of the folders after Tuesday's night."""
    return folders_in(shutil.copytree(tuesday.inbox.parent, tmp_path / "copy"))


def test_an_operator_sees_claims_without_a_pupils_data(claimed: PipelinePaths) -> None:
    (claim,) = claims(claimed)
    listed = ccgi(claimed, "claims", "list")
    shown = ccgi(claimed, "claims", "show", claim.id[:6])
    status = ccgi(claimed, "status", exit_code=1)
    assert claim.id in listed
    assert "FirstName, LastName, DateOfBirth" in shown
    assert "0161192: 1 SSIDs are known as other students" in status
    for text in (listed, shown, status):
        assert SSID not in text
        assert "Mallory" not in text
    values = ccgi(claimed, "claims", "show", claim.id, "--show-values")
    assert SSID in values
    assert "Mallory" in values
    acts = [(entry.act, entry.about.get("values")) for entry in read_entries(claimed.warehouse)]
    assert acts == [("claim shown", "not shown"), ("claim shown", "shown")]


def test_an_operators_decision_counts_at_once_and_lasts(claimed: PipelinePaths) -> None:
    (claim,) = claims(claimed)
    answer = ("--by", "A. Name", "--reason", "CALPADS says so")
    ccgi(claimed, "claims", "decide", claim.id, "--sees", HAYWARD, *answer)
    assert seen_by(claimed) == {HAYWARD}
    assert ccgi(claimed, "claims", "list") == "No claim waits for an answer.\n"
    ccgi(claimed, "status")
    roster(claimed, PALM_SPRINGS, WEDNESDAY, theirs(PALM_SPRINGS, **CHILD, Gender="M"))
    run_night(claimed, WEDNESDAY, reports=OF_APPLICATIONS)
    assert applicants_of(claimed, "HaywardUnified", WEDNESDAY) == [SSID]
    assert applicants_of(claimed, "PalmSpringsUnified", WEDNESDAY) == []
    assert rules_told(claimed, "PalmSpringsUnified", WEDNESDAY) == [("TR-STU-CLAIMED", 3)]
    (entry,) = read_entries(claimed.warehouse)
    assert (entry.act, entry.who, entry.about["districts"]) == ("claim decided", "A. Name", HAYWARD)


def test_both_districts_may_be_right(claimed: PipelinePaths) -> None:
    (claim,) = claims(claimed)
    sees = ("--sees", HAYWARD, "--sees", PALM_SPRINGS, "--by", "A", "--reason", "B")
    ccgi(claimed, "claims", "decide", claim.id, *sees)
    assert claims(claimed) == []


@pytest.mark.parametrize(
    ("options", "told"),
    [((), "say whose student it is"), (("--sees", "1964733"), "does not list this SSID")],
)
def test_an_answer_that_means_nothing_is_refused(
    claimed: PipelinePaths, options: tuple[str, ...], told: str
) -> None:
    (claim,) = claims(claimed)
    command = ["claims", "decide", claim.id, *options, "--by", "A", "--reason", "B"]
    result = CliRunner().invoke(main, [*command, "--warehouse", str(claimed.warehouse)])
    assert result.exit_code != 0
    assert told in result.output
    assert seen_by(claimed) == {PALM_SPRINGS}


@pytest.mark.slow
def test_a_purge_of_the_claimant_leaves_no_claim(claimed: PipelinePaths) -> None:
    purge = ["purge", "--district", HAYWARD, "--apply", "--by", "A", "--reason", "B"]
    where = ["--warehouse", str(claimed.warehouse), "--outbox", str(claimed.outbox)]
    where += ["--inbox", str(claimed.inbox)]
    result = CliRunner().invoke(main, [*purge, *where], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    with open_warehouse(claimed.warehouse, read_only=True) as connection:
        for table in ("shared_ssids", "claims"):
            rows = connection.execute(f"SELECT DISTINCT _sender FROM {table}").fetchall()  # noqa: S608
            assert rows == [(PALM_SPRINGS,)]
    load_and_answer(claimed, WEDNESDAY)
    assert claims(claimed) == []


def test_a_replay_that_brings_a_claimed_line_in_judges_it(folders: PipelinePaths) -> None:
    grade = {"GradeLevel": "99"}  # no grade: the line is kept out at first
    roster(folders, HAYWARD, TUESDAY, theirs(HAYWARD, **INVENTED, **grade))
    load_and_answer(folders, TUESDAY)
    assert claims(folders) == []
    settings = '[defaults.severities]\nTR-STU-CODE-GradeLevel = "warning"\n'
    (folders.warehouse / "profiles.toml").write_text(settings)
    command = ("--district", HAYWARD, "--apply", "--by", "A", "--reason", "B")
    ccgi(folders, "replay", *command, "--date", f"{WEDNESDAY}")
    assert seen_by(folders) == {PALM_SPRINGS}


def test_claims_are_no_rows_of_a_receipts_json_beyond_the_rule(claimed: PipelinePaths) -> None:
    (receipt,) = Outbox(claimed.outbox).receipts("HaywardUnified", TUESDAY)
    assert SSID not in json.dumps(receipt)
