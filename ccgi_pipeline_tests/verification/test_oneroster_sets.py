"""OneRoster drops as wholes: modes, versions, packages, what hangs on what, and what is known.

Belongs here: sets of several files, against what was sent before, by the district's profile, and as
`ccgi check` meets them. Does not belong here: single defects (test_oneroster_defects), single rules
(feeds).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path, PurePosixPath

import polars as pl
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from ccgi_pipeline.cli import main
from ccgi_pipeline.feeds import oneroster
from ccgi_pipeline.feeds.oneroster.package_rules import LEFT_ALONE_FILES
from ccgi_pipeline.feeds.rules import Scope
from ccgi_pipeline.feeds.spec import FILE
from ccgi_pipeline.profiles import IntakeSettings, Profiles
from ccgi_pipeline.verification.offline_check import check
from ccgi_pipeline.verification.outcomes import Verification
from ccgi_pipeline_tests.files import (
    DISTRICT,
    LINES,
    ON,
    as_bytes,
    good_set,
    outcome,
    verified_together,
    zipped,
)
from ccgi_pipeline_tests.intake.changes import PROFILE
from ccgi_pipeline_tests.oneroster import LEFT_ALONE, Line, manifest_lines
from ccgi_pipeline_tests.oneroster_sets import (
    FILES_OF,
    OF_CHANGES,
    STRICT,
    Sent,
    accounted_for,
    beside,
    cells_of,
    changes,
    feed_of,
    file_of,
    header_of,
    judged,
    knowing,
    lines_of,
    manifest,
    profile,
    roster,
    told,
    with_cells,
)

HURT = 6


def _rules(verification: Verification) -> set[str]:
    return set(verification.findings["rule"])


def _edition_is_1_2(verification: Verification) -> bool:
    """Whether users were read as of 1.2: version 1.1 would miss their role."""
    return "OR-USR-REQ-role" not in _rules(verification)


# --- the mode of each file ------------------------------------------------------------------------


def _mode_of(verification: Verification, name: str) -> str:
    """Bulk files are complete; changes are not, and nothing is concluded from them."""
    return "bulk" if outcome(verification, f"{name}.csv")["complete"] else "delta"


def _with_filled(count: int) -> list[Line]:
    """Users of whom the first ``count`` lines have what changes have."""
    return with_cells("users", dict.fromkeys(range(2, count + 2), OF_CHANGES))


@pytest.mark.parametrize(
    ("word", "filled", "expected"),
    [
        ("bulk", 0, "bulk"),
        ("bulk", 3, "bulk"),
        ("bulk", 5, "bulk"),
        ("bulk", 6, "delta"),
        ("delta", 6, "delta"),
        ("delta", 3, "delta"),
        ("delta", 0, "delta"),
        ("absent", 0, "bulk"),
        ("absent", 3, "bulk"),
        ("absent", 4, "delta"),
        ("absent", 6, "delta"),
        (None, 0, "bulk"),
        (None, 3, "bulk"),
        (None, 4, "delta"),
        (None, 6, "delta"),
        ("", 6, "delta"),
        ("", 0, "bulk"),
    ],
)
def test_the_lines_of_a_file_beat_what_the_manifest_says_of_it(
    word: str | None, filled: int, expected: str
):
    sent = roster(without=beside("users"), users=_with_filled(filled))
    if word is None:
        del sent["manifest.csv"]
    else:
        sent["manifest.csv"] = manifest({"users": word}, present=["orgs"])
    verification = judged(sent)
    assert _mode_of(verification, "users") == expected
    assert ("OR-MODE-DATA" in _rules(verification)) == (word == "bulk" and expected == "delta")
    blank = {rule for rule in _rules(verification) if "-DELTA-" in rule}
    assert bool(blank) == (expected == "delta" and filled < LINES)
    assert _mode_of(verification, "orgs") == "bulk"


@pytest.mark.parametrize("mode", ["bulk", "delta"])
@pytest.mark.parametrize("word", ["bulk", "delta"])
@pytest.mark.parametrize("filled", [0, LINES])
def test_a_profile_that_names_the_mode_beats_manifest_and_lines(mode: str, word: str, filled: int):
    sent = roster(modes={"users": word}, without=beside("users"), users=_with_filled(filled))
    sent["orgs.csv"] = file_of("orgs", changes("orgs"))
    verification = judged(sent, profile(mode=mode))
    told_of_users = {rule for name, rule, *_ in told(verification) if name == "users.csv"}
    expected = {
        ("bulk", LINES): {"OR-USR-BULK-status", "OR-USR-BULK-dateLastModified"},
        ("delta", 0): {"OR-USR-DELTA-status", "OR-USR-DELTA-dateLastModified"},
    }
    assert told_of_users == expected.get((mode, filled), set())
    assert _mode_of(verification, "orgs") == mode


def test_a_set_may_mix_bulk_and_delta_files():
    sent = roster(modes={"users": "delta"}, users=changes("users"))
    verification = judged(sent)
    assert told(verification) == []
    complete = dict(verification.files.select("path", "complete").iter_rows())
    partial = {PurePosixPath(path).name for path, whole in complete.items() if not whole}
    assert partial == {"users.csv"}


def test_of_a_sender_whose_files_only_add_nothing_is_ever_gone():
    verification = judged(roster(), profile(adds_only=True))
    assert not verification.files["complete"].any()
    assert told(verification) == []


# --- versions -------------------------------------------------------------------------------------


def test_version_1_2_is_shown_by_the_header_of_users():
    verification = judged(roster("1.2", without=["manifest", "roles", "userProfiles"]))
    assert _edition_is_1_2(verification)
    found = {rule for _, rule, *_ in told(verification)}
    assert found == {"OR-PKG-MANIFEST", "OR-PKG-FILE", "OR-PKG-ROLES"}


def test_version_1_2_is_shown_by_the_manifest_too():
    """Users without any name of 1.2 lack its columns then, and not those of 1.1."""
    header = [name for name in header_of("users", "1.2") if name in header_of("users", "1.1")]
    users = file_of("users", lines_of("users"), header=header)
    sent = roster(without=beside("users"), users=users)
    sent["manifest.csv"] = manifest(version="1.2", present=["orgs", "users"])
    verification = judged(sent)
    columns = {column for _, rule, _, _, column in told(verification) if rule == "OR-HEADER-ABSENT"}
    assert columns == set(header_of("users", "1.2")) - set(header)
    assert verification.files["rejected"].sum() == 0


def test_a_set_with_roles_is_one_of_version_1_2():
    users = file_of("users", lines_of("users"), "1.2")
    sent = roster("1.2", without=["manifest"], users=users)
    assert _edition_is_1_2(judged(sent))


def test_version_1_2_1_has_no_resources_of_users():
    header = [name for name in header_of("users", "1.2") if name != "resourceSourcedIds"]
    sent = roster("1.2", users=file_of("users", lines_of("users"), header=header))
    for profiles in (None, STRICT):
        verification = judged(sent, profiles)
        assert told(verification) == []
        assert set(verification.files["verdict"]) == {"accepted"}


@pytest.mark.parametrize("version", ["1.1", "1.2", "1.2.1"])
def test_a_manifest_may_name_any_version(version: str):
    of_set = version[:3]
    sent = roster(of_set)
    sent["manifest.csv"] = manifest(version=version, present=FILES_OF[of_set])
    found = told(judged(sent))
    assert [rule for _, rule, *_ in found] == (["OR-MAN-VALUE"] if version == "1.2.1" else [])


_NAMES_OF_1_0 = {
    "users": (
        "sourcedId,status,dateLastModified,orgSourcedIds,role,username,userId,givenName,familyName,"
        "identifier,email,sms,phone,agents"
    ),
    "enrollments": (
        "sourcedId,classSourcedId,schoolSourcedId,userSourcedId,role,status,dateLastModified,primary"
    ),
    "classes": (
        "sourcedId,status,dateLastModified,title,grade,courseSourcedId,classCode,classType,"
        "location,schoolSourcedId,termSourcedId,subjects"
    ),
    "courses": (
        "sourcedId,status,dateLastModified,schoolYearId,title,courseCode,grade,orgSourcedId,subjects"
    ),
    "academicSessions": (
        "sourcedId,status,dateLastModified,title,type,startDate,endDate,parentSourcedId"
    ),
    "orgs": "sourcedId,status,dateLastModified,name,type,identifier,parentSourcedId",
    "demographics": "userSourcedId,status,dateLastModified,birthdate,sex",
}
"""Headers of version 1.0, which had no manifest."""


def _set_of_1_0(*without: str) -> Sent:
    sent = {}
    for name, header in _NAMES_OF_1_0.items():
        if name not in without:
            columns = {c.name: c for c in feed_of(name).columns.values()}
            former = {old: c.name for c in columns.values() for old in c.former}
            names = [former.get(x, {"birthdate": "birthDate"}.get(x, x)) for x in header.split(",")]
            rows = file_of(name, lines_of(name), header=names).split(b"\n", 1)[1]
            sent[f"{name}.csv"] = header.encode() + b"\n" + rows
    return sent


def test_a_set_of_version_1_0_is_recognised_and_accepted():
    verification = judged(_set_of_1_0())
    assert set(verification.files["feed"]) == {f"oneroster_{name}" for name in _NAMES_OF_1_0}
    assert verification.files["rejected"].sum() == 0
    assert {severity for _, _, severity, *_ in told(verification)} <= {"warning", "info"}
    renamed = {(n, column) for n, rule, _, _, column in told(verification) if "1.0" in rule}
    assert renamed == {
        ("users.csv", "userIds"),
        ("users.csv", "agentSourcedIds"),
        ("classes.csv", "grades"),
        ("classes.csv", "termSourcedIds"),
        ("courses.csv", "schoolYearSourcedId"),
        ("courses.csv", "grades"),
        ("demographics.csv", "sourcedId"),
    }


@pytest.mark.parametrize("name", _NAMES_OF_1_0)
def test_the_cells_of_a_set_of_version_1_0_are_read_as_todays(name: str):
    lines = cells_of(judged(_set_of_1_0()), name)
    assert [line["sourcedId"] for line in lines.values()] == [
        x["sourcedId"] for x in lines_of(name)
    ]


def test_sessions_of_version_1_0_have_no_school_year_and_nobody_misses_it():
    found = told(judged(_set_of_1_0()))
    assert [place for place in found if place[0] == "academicSessions.csv"] == [
        ("academicSessions.csv", "OR-PKG-MANIFEST", "info", None, None)
    ]


def test_sessions_of_today_without_a_school_year_are_refused():
    header = [name for name in header_of("academicSessions") if name != "schoolYear"]
    content = file_of("academicSessions", lines_of("academicSessions"), header=header)
    found = told(judged(roster(without=beside("academicSessions"), academicSessions=content)))
    assert found == [("academicSessions.csv", "FILE-COLUMN-MISSING", "error", 1, "schoolYear")]


def test_a_strict_profile_refuses_a_set_of_version_1_0_and_says_what_it_is():
    verification = judged(_set_of_1_0(), STRICT)
    renamed = {(name, severity) for name, rule, severity, *_ in told(verification) if "1.0" in rule}
    assert renamed == {
        (f"{name}.csv", "error") for name in ("users", "classes", "courses", "demographics")
    }


# --- packages -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["set.zip", "20261120 Export (1).ZIP", "\u5b66\u6821.zip"])
@pytest.mark.parametrize("folder", ["", "export/", "a/b c/"])
def test_a_zip_of_any_name_is_judged_as_its_files_are(name: str, folder: str):
    sent = roster(without=beside("users"))
    verification = judged({name: zipped(sent, folder)})
    assert accounted_for(verification)
    assert verification.files["rejected"].sum() == 0
    assert _rules(verification) <= ({"OR-PKG-FOLDER"} if folder else set())
    in_folder = {name for name, rule, *_ in told(verification) if rule == "OR-PKG-FOLDER"}
    assert in_folder == (set(sent) if folder else set())


@pytest.mark.parametrize("packed", [False, True], ids=["loose", "zipped"])
def test_gradebook_and_resources_are_counted_and_left_alone(*, packed: bool):
    others = {f"{name}.csv": b"sourcedId,title\n1,One\n2,Two\n" for name in LEFT_ALONE}
    sent = {**roster(without=beside("orgs")), **others}
    verification = judged({"set.zip": zipped(sent)} if packed else sent)
    assert accounted_for(verification)
    assert {(rule, severity) for _, rule, severity, *_ in told(verification)} == {
        ("OR-PKG-LEFT-ALONE", "info")
    }
    for name in LEFT_ALONE:
        file = outcome(verification, f"{name}.csv")
        assert (file["lines"], file["left_alone"], file["rejected"]) == (2, 2, 0)
        assert (file["feed"], file["verdict"]) == (None, "accepted")


def test_what_is_left_alone_makes_no_set_too_large():
    good, limit = roster(without=beside("orgs")), 0.02
    results = b"sourcedId,title\n" + b"".join(b"%d,A result\n" % n for n in range(4_000))
    assert sum(map(len, good.values())) < limit * 1_000_000 < len(results)
    profiles = Profiles(intake=IntakeSettings(largest_drop_mb=limit))
    for set_, refused in (({"results.csv": results}, False), ({"users.csv": results}, True)):
        verification = judged({"set.zip": zipped({**good, **set_})}, profiles)
        assert ("FILE-TOO-LARGE" in {rule for _, rule, *_ in told(verification)}) == refused


def test_every_file_of_version_1_2_is_read_or_left_alone():
    assert set(LEFT_ALONE_FILES) == set(LEFT_ALONE)
    assert len({*LEFT_ALONE, *FILES_OF["1.2"], "manifest"}) == 22


def test_files_that_are_left_alone_may_be_declared():
    sent = roster(without=beside("orgs"))
    declared = {"orgs": "bulk", "results": "bulk", "lineItems": "delta"}
    sent["manifest.csv"] = manifest(declared, present=["orgs"])
    sent |= {"results.csv": b"sourcedId\n1\n", "lineItems.csv": b"sourcedId\n1\n"}
    assert _rules(judged(sent)) == {"OR-PKG-LEFT-ALONE"}


def test_a_file_that_is_there_twice_is_read_once():
    sent = {**roster(without=beside("orgs")), "old_orgs.csv": file_of("orgs", lines_of("orgs", 3))}
    verification = judged(sent)
    assert accounted_for(verification)
    twice = [name for name, rule, *_ in told(verification) if rule == "OR-PKG-TWICE"]
    files = verification.files.filter(pl.col("feed") == "oneroster_orgs")
    assert len(twice) == 1
    assert outcome(verification, twice[0])["accepted"] == 0
    assert outcome(verification, twice[0])["verdict"] == "rejected"
    assert sorted(files["accepted"]) in ([0, 3], [0, LINES])


def test_of_a_file_and_one_of_another_name_the_one_with_the_specifications_name_is_read():
    sent = {**roster(without=beside("orgs")), "old_orgs.csv": file_of("orgs", lines_of("orgs", 3))}
    assert outcome(judged(sent), "orgs.csv")["accepted"] == LINES


def test_a_manifest_alone_says_that_there_were_no_updates():
    lines = manifest_lines(present=[])
    verification = judged({"manifest.csv": as_bytes(feed_of("manifest"), lines)})
    assert told(verification) == [("manifest.csv", "OR-PKG-NOTHING", "info", None, None)]
    assert verification.files["verdict"].to_list() == ["accepted"]


def test_a_manifest_alone_that_declares_files_is_told_what_is_missing():
    lines = manifest_lines(version="1.1", present=FILES_OF["1.1"])
    verification = judged({"manifest.csv": as_bytes(feed_of("manifest"), lines)})
    absent = [place for place in told(verification) if place[1] == "OR-PKG-ABSENT"]
    assert len(absent) == len(FILES_OF["1.1"])


def test_files_that_are_declared_and_not_there_are_named():
    sent = roster(without=["demographics"])
    sent["manifest.csv"] = manifest(present=FILES_OF["1.1"])
    verification = judged(sent)
    assert [place[1:3] for place in told(verification)] == [("OR-PKG-ABSENT", "warning")]
    assert verification.findings["detail"].to_list() == ["demographics.csv"]
    line = verification.findings.item(0, "line")
    properties = [x["propertyName"] for x in manifest_lines()]
    assert properties[line - 2] == "file.demographics"


def test_files_that_are_there_and_not_declared_are_read_and_named():
    sent = roster(modes={"demographics": "absent"})
    verification = judged(sent)
    assert [place[1:3] for place in told(verification)] == [("OR-PKG-UNDECLARED", "warning")]
    assert verification.findings["detail"].to_list() == ["demographics.csv"]
    assert outcome(verification, "demographics.csv")["accepted"] == LINES - 1


def test_without_a_manifest_the_files_that_are_asked_for_are_named():
    verification = judged(roster(without=["manifest", "demographics", "enrollments"]))
    missing = verification.findings.filter(pl.col("rule") == "OR-PKG-FILE")
    assert missing["detail"].to_list() == ["enrollments.csv"]
    assert set(verification.files["verdict"]) == {"accepted"}


def test_a_property_that_the_manifest_has_twice_counts_as_it_is_first_said():
    """The first line stands, says the rule; so the file is a delta one."""
    lines = manifest_lines({"users": "delta"}, "1.1", present=["orgs", "users"])
    lines.append({"propertyName": "file.users", "value": "bulk"})
    sent = roster(without=beside("users"), users=changes("users", {HURT: {"status": ""}}))
    sent["manifest.csv"] = as_bytes(feed_of("manifest"), lines)
    verification = judged(sent)
    found = [place[1] for place in told(verification)]
    assert found == ["OR-MAN-UNIQUE", "OR-USR-DELTA-status"]


def test_a_set_written_with_semicolons_is_read_with_its_manifest():
    sent = {name: content.replace(b",", b";") for name, content in roster("1.2").items()}
    sent["classes.csv"] = roster("1.2")["classes.csv"]  # its lists have commas
    sent["courses.csv"] = roster("1.2")["courses.csv"]
    verification = judged(sent)
    assert _rules(verification) == {"OR-HEADER-SEPARATOR"}
    assert verification.files["rejected"].sum() == 0


def test_a_manifest_that_does_not_name_its_version_is_told():
    lines = manifest_lines(version="1.1", present=["orgs"])
    lines = [line for line in lines if line["propertyName"] != "oneroster.version"]
    sent = roster(without=beside("orgs"))
    sent["manifest.csv"] = as_bytes(feed_of("manifest"), lines)
    assert {name for name, *_ in told(judged(sent))} == {"manifest.csv"}


def test_a_strict_profile_does_not_refuse_whichever_file_comes_first_for_a_missing_manifest():
    verification = judged(roster(without=["manifest"]), STRICT)
    severities = {severity for _, rule, severity, *_ in told(verification) if "MANIFEST" in rule}
    assert severities == {"error"}
    rejected = set(verification.files["rejected"] == verification.files["lines"])
    assert len(rejected) == 1, "all files or none"


# --- root causes ----------------------------------------------------------------------------------

_MANY = 10_000


def _many_enrollments(count: int, **cells: str) -> list[Line]:
    line = {**lines_of("enrollments")[1], **cells}
    return [{**line, "sourcedId": f"enrollments-{number}"} for number in range(count)]


def test_one_missing_school_is_one_finding_with_a_count_of_all_that_hangs_on_it():
    nowhere = {"schoolSourcedId": "nowhere"}
    classes = with_cells("classes", {4: nowhere, HURT: nowhere})
    courses = with_cells("courses", {HURT: {"orgSourcedId": "nowhere"}})
    users = with_cells("users", {HURT: {"orgSourcedIds": "nowhere"}})
    sent = roster(
        without=["demographics"],
        classes=classes,
        courses=courses,
        users=users,
        enrollments=_many_enrollments(_MANY, **nowhere),
    )
    verification = judged(sent)
    found = told(verification)
    assert found == [("courses.csv", "OR-CRS-REF-orgSourcedId", "error", HURT, "orgSourcedId")]
    (detail,) = verification.findings["detail"]
    assert detail == ("10,004 lines hang on it: courses 1, classes 2, users 1, enrollments 10,000")
    assert accounted_for(verification)
    assert outcome(verification, "enrollments.csv")["rejected"] == _MANY
    assert outcome(verification, "classes.csv")["rejected"] == 2


def test_two_missing_schools_are_two_findings():
    classes = with_cells("classes", {4: {"schoolSourcedId": "a"}, HURT: {"schoolSourcedId": "b"}})
    verification = judged(roster(without=["demographics", "enrollments"], classes=classes))
    assert [place[3] for place in told(verification)] == [4, HURT]
    assert verification.findings["detail"].to_list() == [None, None]


def test_what_hangs_on_a_missing_record_by_way_of_a_refused_one_is_counted():
    classes = with_cells("classes", {HURT: {"courseSourcedId": "nowhere"}})
    enrollments = _many_enrollments(50, classSourcedId="classes-4")
    verification = judged(
        roster(without=["demographics"], classes=classes, enrollments=enrollments)
    )
    place = ("classes.csv", "OR-CLS-REF-courseSourcedId", "error", HURT, "courseSourcedId")
    assert told(verification) == [place]
    assert verification.findings["detail"].to_list() == [
        "51 lines hang on it: classes 1, enrollments 50"
    ]


def test_a_class_that_is_kept_out_tells_how_many_lines_hang_on_it():
    classes = with_cells("classes", {HURT: {"title": ""}})
    enrollments = _many_enrollments(50, classSourcedId="classes-4")
    verification = judged(
        roster(without=["demographics"], classes=classes, enrollments=enrollments)
    )
    assert told(verification) == [("classes.csv", "OR-CLS-REQ-title", "error", HURT, "title")]
    assert verification.findings["detail"].to_list() == ["50 lines hang on it: enrollments 50"]
    assert outcome(verification, "enrollments.csv")["accepted"] == 50


def test_a_line_that_nothing_hangs_on_is_told_without_a_count():
    verification = judged(roster(users=with_cells("users", {HURT: {"username": ""}})))
    assert verification.findings["detail"].to_list() == [None]


def test_a_missing_record_weighs_as_much_as_the_weightiest_line_that_misses_it():
    """A parent that is missing is a warning; the classes that are refused for it must be told."""
    orgs = with_cells("orgs", {HURT: {"parentSourcedId": "nowhere"}})
    classes = with_cells("classes", {HURT: {"schoolSourcedId": "nowhere"}})
    verification = judged(
        roster(without=["demographics", "enrollments"], orgs=orgs, classes=classes)
    )
    assert outcome(verification, "classes.csv")["rejected"] == 1
    assert "error" in {severity for _, _, severity, *_ in told(verification)}


def test_no_line_is_refused_without_an_error_that_says_why():
    """The school of everybody is to be deleted; a parent that is missing is only a warning."""
    orgs = with_cells("orgs", {2: {"status": "tobedeleted"}})
    verification = judged(roster(without=beside("users"), orgs=orgs))
    assert outcome(verification, "users.csv")["rejected"] == LINES
    errors = [place for place in told(verification) if place[2] == "error"]
    assert len(errors) == 1


def test_a_file_that_was_refused_is_not_said_to_be_absent():
    header = [name for name in header_of("classes") if name != "title"]
    classes = file_of("classes", lines_of("classes"), header=header)
    found = told(judged(roster(without=["demographics"], classes=classes)))
    assert found == [("classes.csv", "FILE-COLUMN-MISSING", "error", 1, "title")]


def test_a_file_of_records_that_are_all_deleted_was_sent():
    users = changes("users", {n: {"status": "tobedeleted"} for n in range(2, LINES + 2)})
    sent = roster(modes={"users": "delta"}, without=beside("users"), users=users)
    assert "OR-PKG-REFERENCE" not in _rules(judged(sent))


def test_districts_miss_each_their_own_records():
    other = "0110017"
    classes = with_cells("classes", {HURT: {"schoolSourcedId": "nowhere"}})
    sent = roster(without=["demographics", "enrollments"], classes=classes)
    verification = verified_together({DISTRICT: sent, other: sent}, "oneroster")
    found = verification.findings.filter(pl.col("rule") == "OR-CLS-REF-schoolSourcedId")
    assert found[FILE].n_unique() == 2


# --- what is known from before --------------------------------------------------------------------


def _only(name: str, lines: Sequence[Line], mode: str) -> Sent:
    return {
        "manifest.csv": manifest({name: mode}, present=[name]),
        f"{name}.csv": file_of(name, lines),
    }


def test_a_delta_file_may_refer_to_what_was_sent_before():
    known = knowing(
        classes=lines_of("classes"), orgs=lines_of("orgs"), users=lines_of("users"),
        academicSessions=lines_of("academicSessions"),
    )  # fmt: skip
    sent = _only("enrollments", changes("enrollments"), "delta")
    assert told(judged(sent, known=known)) == []


def test_records_are_looked_up_of_the_senders_alone_but_for_those_of_the_state():
    inner = knowing(orgs=lines_of("orgs"))
    asked: list[tuple[str, tuple[str, ...], tuple[str, ...] | None]] = []

    def known(feed: str, columns: tuple[str, ...], senders: Sequence[str] | None) -> pl.DataFrame:
        asked.append((feed, columns, None if senders is None else (*senders,)))
        return inner(feed, columns, senders)

    assert told(judged(_only("enrollments", changes("enrollments"), "delta"), known=known)) != []
    assert {senders for _, _, senders in asked} == {(DISTRICT,)}
    assert len(asked) == len({*asked})
    asked.clear()
    judged(roster(), known=known)
    assert {feed for feed, _, senders in asked if senders is None} <= {
        relation.target
        for feed in oneroster.FEEDS
        for relation in feed.relations
        if relation.scope is Scope.STATE
    }


def test_a_delta_file_that_refers_to_what_nobody_ever_sent_is_told():
    known = knowing(classes=lines_of("classes")[1:], orgs=lines_of("orgs"), users=lines_of("users"))
    verification = judged(_only("enrollments", changes("enrollments"), "delta"), known=known)
    assert told(verification) == [
        ("enrollments.csv", "OR-ENR-REF-classSourcedId", "error", 2, "classSourcedId")
    ]
    assert outcome(verification, "enrollments.csv")["rejected"] == LINES


def test_what_was_known_counts_no_more_once_a_full_file_replaces_it():
    known = knowing(orgs=[*lines_of("orgs"), {"sourcedId": "closed", "type": "school"}])
    users = with_cells("users", {HURT: {"orgSourcedIds": "closed"}})
    replaced = judged(roster(without=beside("users"), users=users), known=known)
    assert [place[1] for place in told(replaced)] == ["OR-USR-REF-orgSourcedIds"]
    stays = judged(_only("users", users, "bulk"), known=known)
    assert told(stays) == []


def test_what_a_delta_file_of_the_drop_adds_is_there_and_what_it_deletes_is_not():
    orgs = changes("orgs", {HURT: {"status": "tobedeleted"}}, 5)
    users = with_cells("users", {4: {"orgSourcedIds": "orgs-3"}, HURT: {"orgSourcedIds": "orgs-4"}})
    sent = {
        "manifest.csv": manifest({"orgs": "delta", "users": "bulk"}, present=["users"]),
        "orgs.csv": file_of("orgs", orgs),
        "users.csv": file_of("users", users),
    }
    known = knowing(orgs=[{"sourcedId": "orgs-4", "type": "school"}])
    found = told(judged(sent, known=known))
    assert found == [("users.csv", "OR-USR-REF-orgSourcedIds", "error", HURT, "orgSourcedIds")]


def test_a_known_record_of_the_wrong_kind_is_of_the_wrong_kind():
    known = knowing(
        courses=lines_of("courses"),
        orgs=[{"sourcedId": "orgs-0", "type": "district"}],
        academicSessions=lines_of("academicSessions"),
    )
    verification = judged(_only("classes", changes("classes"), "delta"), known=known)
    rules = [place[1] for place in told(verification)]
    assert rules == ["OR-CLS-KIND-schoolSourcedId"] * LINES


def test_a_record_that_changes_its_kind_has_the_new_one():
    known = knowing(
        courses=lines_of("courses"),
        orgs=[{"sourcedId": "orgs-0", "type": "district"}],
        academicSessions=lines_of("academicSessions"),
    )
    sent = _only("classes", changes("classes"), "delta")
    sent["orgs.csv"] = file_of("orgs", changes("orgs", count=1))
    sent["manifest.csv"] = manifest({"classes": "delta", "orgs": "delta"}, present=["classes"])
    assert told(judged(sent, known=known)) == []


def test_a_record_that_stops_being_a_school_is_none():
    known = knowing(courses=lines_of("courses"), orgs=lines_of("orgs"),
                    academicSessions=lines_of("academicSessions"))  # fmt: skip
    sent = _only("classes", changes("classes"), "delta")
    sent["orgs.csv"] = file_of("orgs", changes("orgs", {2: {"type": "district"}}, 1))
    sent["manifest.csv"] = manifest({"classes": "delta", "orgs": "delta"}, present=["classes"])
    rules = {place[1] for place in told(judged(sent, known=known))}
    assert rules == {"OR-CLS-KIND-schoolSourcedId"}


def test_a_reference_to_a_file_that_was_never_sent_is_told_once_a_drop():
    verification = judged(_only("enrollments", lines_of("enrollments"), "bulk"))
    found = verification.findings.select("rule", "severity", "detail").rows()
    assert sorted(found) == [
        ("OR-PKG-REFERENCE", "error", "classes.csv"),
        ("OR-PKG-REFERENCE", "error", "orgs.csv"),
        ("OR-PKG-REFERENCE", "error", "users.csv"),
    ]


def test_changes_need_not_define_what_they_refer_to():
    verification = judged(_only("enrollments", changes("enrollments"), "delta"))
    assert set(verification.findings.select("rule", "severity").rows()) == {
        ("OR-PKG-CHANGES-REFER", "info")
    }
    assert outcome(verification, "enrollments.csv")["rejected"] == 0


def test_a_set_with_one_old_name_of_a_column_has_the_version_of_its_manifest():
    header = ["agents" if n == "agentSourcedIds" else n for n in header_of("users", "1.2")]
    lines = [{**line, "agents": line["agentSourcedIds"]} for line in lines_of("users")]
    body = "\n".join(",".join(f'"{line[n]}"' for n in header) for line in lines)
    users = (",".join(header) + "\n" + body + "\n").encode()
    verification = judged(roster("1.2", users=users))
    assert {rule for _, rule, *_ in told(verification)} == {"OR-HEADER-1.0"}


@pytest.mark.parametrize("mode", ["delta", "bulk"])
@pytest.mark.parametrize("name", ["users", "classes", "orgs", "enrollments"])
def test_a_deleted_record_needs_its_id_only(name: str, mode: str):
    lines = changes(name) if mode == "delta" else lines_of(name)
    blank = dict.fromkeys(lines[0], "")
    gone = {**blank, "sourcedId": "gone", **OF_CHANGES, "status": "tobedeleted"}
    sent = roster(modes={name: mode}, **{name: [*lines, gone]})
    verification = judged(sent)
    assert outcome(verification, f"{name}.csv")["rejected"] == 0
    assert not [place for place in told(verification) if place[2] == "error"]


@pytest.mark.parametrize(
    ("name", "column"), [("orgs", "type"), ("classes", "classType"), ("enrollments", "role")]
)
@pytest.mark.parametrize("version", ["1.1", "1.2"])
def test_terms_of_the_senders_own_are_of_version_1_2(name: str, column: str, version: str):
    lines = with_cells(name, {HURT: {column: "ext:own"}})
    verification = judged(roster(version, **{name: lines}))
    rule = f"{feed_of(name).prefix}-EXT-{column}"
    errors = [place for place in told(verification) if place[2] == "error"]
    expected = [(f"{name}.csv", rule, "error", HURT, column)] if version == "1.1" else []
    assert errors == expected


@pytest.mark.parametrize(("written", "rule"), [("9", "AGREED"), ("Freshman", "AGREED")])
def test_grades_of_version_1_2_are_no_error_to_the_strict(written: str, rule: str):
    users = with_cells("users", {HURT: {"grades": written}})
    verification = judged(roster("1.2", users=users), STRICT)
    assert told(verification) == [("users.csv", f"OR-USR-{rule}-grades", "warning", HURT, "grades")]


@pytest.mark.parametrize(
    ("made", "rule"),
    [
        (lambda content: content.replace(b"Surname", "Niño".encode("cp1252")), "UTF8"),
        (lambda content: content.replace(b"\n", b",\n").replace(b",\n", b"\n", 1), "CELLS"),
        (lambda content: content.split(b"\n")[0] + b"\n", "HEADER-ONLY"),
    ],
)
def test_what_is_mended_for_others_is_an_error_to_the_strict(
    made: Callable[[bytes], bytes], rule: str
):
    sent = roster(users=made(file_of("users", lines_of("users"))), without=beside("users"))
    strict = [place for place in told(judged(sent, STRICT)) if place[2] == "error"]
    assert ("users.csv", f"OR-PKG-{rule}", "error", None, None) in strict
    assert not [place for place in told(judged(sent)) if place[2] == "error"]


def test_files_that_came_with_one_of_school_data_sync_are_refused_with_it():
    sent = roster(classes=b"sourcedId,orgSourcedId,title\nk1,s1,Ceramics\n")
    verification = judged(sent)
    assert verification.files["accepted"].sum() == 0
    assert "OR-HEADER-SDS" in _rules(verification)


def test_lines_that_name_a_record_of_an_unreadable_line_are_loaded():
    orgs = file_of("orgs", lines_of("orgs")).splitlines(keepends=True)
    orgs = [orgs[0], *(line.replace(b",", b",one cell too many,", 1) for line in orgs[1:])]
    verification = judged(roster(orgs=b"".join(orgs)))
    assert outcome(verification, "orgs.csv")["accepted"] == 0
    others = verification.files.filter(~pl.col("path").str.ends_with("orgs.csv"))
    assert others["rejected"].sum() == 0


def test_what_was_known_counts_while_a_line_of_a_full_file_cannot_be_read():
    known = knowing(orgs=[*lines_of("orgs"), {"sourcedId": "closed", "type": "school"}])
    orgs = file_of("orgs", lines_of("orgs")) + b'"broken,,,\n'
    classes = with_cells("classes", {HURT: {"schoolSourcedId": "closed"}})
    verification = judged(roster(orgs=orgs, classes=classes), known=known)
    assert outcome(verification, "classes.csv")["rejected"] == 0


def test_a_class_and_its_enrollments_may_be_deleted_in_one_drop():
    gone = {n: {"status": "tobedeleted"} for n in range(2, LINES + 2)}
    known = knowing(
        classes=lines_of("classes"), courses=lines_of("courses"), orgs=lines_of("orgs"),
        users=lines_of("users"), academicSessions=lines_of("academicSessions"),
    )  # fmt: skip
    names = ("classes", "enrollments")
    sent = {f"{name}.csv": file_of(name, changes(name, gone)) for name in names}
    sent["manifest.csv"] = manifest(dict.fromkeys(names, "delta"), present=names)
    verification = judged(sent, known=known)
    assert verification.files["rejected"].sum() == 0
    assert told(verification) == []


def test_deleting_a_line_needs_no_counterpart():
    """What is being ended may point at what was ended before it."""
    gone = {n: {"status": "tobedeleted", "classSourcedId": "ended"} for n in range(2, LINES + 2)}
    known = knowing(classes=lines_of("classes"), orgs=lines_of("orgs"), users=lines_of("users"))
    verification = judged(_only("enrollments", changes("enrollments", gone), "delta"), known=known)
    assert verification.files["rejected"].sum() == 0


# --- severities of a district ---------------------------------------------------------------------


def test_a_rule_weighs_what_the_districts_profile_says():
    users = with_cells("users", {HURT: {"role": "principal", "grades": ""}})
    sent = roster(without=beside("users"), users=users)
    lighter = judged(sent, profile({"OR-USR-CODE-role": "warning"}))
    assert [place[1:4] for place in told(lighter)] == [("OR-USR-CODE-role", "warning", HURT)]
    assert outcome(lighter, "users.csv")["rejected"] == 0
    heavier = judged(sent, profile({"OR-USR-CODE-role": "error"}))
    assert outcome(heavier, "users.csv")["rejected"] == 1


@pytest.mark.parametrize(
    ("severity", "rejected", "verdict"),
    [
        ("info", 0, "accepted"),
        ("warning", 0, "accepted_with_findings"),
        ("error", 1, "accepted_with_findings"),
    ],
)
def test_verdict_and_fates_follow_the_districts_severities(
    severity: str, rejected: int, verdict: str
):
    users = with_cells("users", {HURT: {"grades": ""}})
    sent = roster(without=beside("users"), users=users)
    verification = judged(sent, profile({"OR-USR-GRADES": severity}))
    file = outcome(verification, "users.csv")
    assert (file["rejected"], file["verdict"]) == (rejected, verdict)
    assert [place[2] for place in told(verification)] == [severity]


def test_a_rule_of_a_strict_profile_may_be_loosened():
    users = with_cells("users", {HURT: {"enabledUser": "TRUE", "grades": "9"}})
    sent = roster(without=beside("users"), users=users)
    verification = judged(sent, profile({"OR-USR-FORM-grades": "info"}, strict=True))
    weights = {rule: severity for _, rule, severity, *_ in told(verification)}
    assert weights == {"OR-USR-FORM-enabledUser": "error", "OR-USR-FORM-grades": "info"}


def test_a_header_rule_may_be_made_an_error_and_keeps_the_file_out():
    header = list(reversed(header_of("orgs")))
    content = file_of("orgs", lines_of("orgs"), header=header)
    sent = roster(without=beside("orgs"), orgs=content)
    verification = judged(sent, profile({"OR-HEADER-ORDER": "error"}))
    assert outcome(verification, "orgs.csv")["rejected"] == LINES
    assert outcome(verification, "orgs.csv")["verdict"] == "rejected"


def test_one_districts_profile_is_no_other_districts():
    users = with_cells("users", {HURT: {"enabledUser": "TRUE"}})
    sent = roster(without=beside("users"), users=users)
    verification = verified_together({DISTRICT: sent, "0110017": sent}, "oneroster", STRICT)
    rejected = verification.files.filter(pl.col("feed") == "oneroster_users")
    assert dict(rejected.select("_sender", "rejected").iter_rows()) == {DISTRICT: 1, "0110017": 0}


# --- ccgi check -----------------------------------------------------------------------------------


def _put(folder: Path, sent: Mapping[str, bytes]) -> Path:
    for name, content in sent.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


@pytest.mark.parametrize("version", FILES_OF)
@pytest.mark.parametrize("inner", ["", "Export/"])
@pytest.mark.parametrize(
    "path", ["oneroster/set.zip", f"{DISTRICT}/oneroster/x.zip", "sent/2026-11-20 Roster.ZIP"]
)
def test_a_zip_is_recognised_with_and_without_its_family_in_the_path(
    tmp_path: Path, version: str, path: str, inner: str
):
    sent = roster(version)
    folder = _put(tmp_path, {path: zipped(sent, inner)})
    checked = check([folder], ON)
    assert {file.family for file in checked.files} == {"oneroster"}
    assert {f"{file.feed}" for file in checked.files} == {
        f"oneroster_{name.removesuffix('.csv')}" for name in sent
    }
    assert checked.everything_loads


def test_loose_files_outside_any_familys_folder_are_known_by_their_headers(tmp_path: Path):
    checked = check([_put(tmp_path / "sent", roster("1.2"))], ON)
    assert {(file.family, file.verdict) for file in checked.files} == {("oneroster", "accepted")}
    assert all(file.findings.is_empty() for file in checked.files)


@pytest.mark.parametrize("family", ["oneroster", "foster_focus", "transcript"])
def test_a_name_that_two_families_have_is_decided_by_the_header(tmp_path: Path, family: str):
    shared = {
        name: content
        for name, content in good_set(family).items()
        if name.lower().rsplit(".", 1)[0] in {"manifest", "demographics"}
    }
    folder = _put(tmp_path / "sent", shared)
    checked = check([folder], ON)
    assert shared
    assert {(file.family, file.lines > 0) for file in checked.files} == {(family, True)}


def test_the_check_prints_the_set_as_json(tmp_path: Path):
    sent = roster(users=with_cells("users", {HURT: {"role": "principal"}}))
    sent["results.csv"] = b"sourcedId\n1\n2\n"
    folder = _put(tmp_path / "oneroster", {"set.zip": zipped(sent)})
    arguments = ["check", str(folder), "--date", "2026-11-20", "--format", "json"]
    result = CliRunner().invoke(main, arguments)
    answer = json.loads(result.output)
    assert result.exit_code == 1
    assert all(file["lines"] == sum(file["fates"].values()) for file in answer["files"])
    errors = [
        (finding["rule"], finding["line"])
        for file in answer["files"]
        for finding in file["findings"]
        if finding["severity"] == "error"
    ]
    assert errors == [("OR-USR-CODE-role", HURT)]
    (left,) = [file for file in answer["files"] if file["path"].endswith("results.csv")]
    assert left["lines"] == 2


# --- whatever is in the cells ---------------------------------------------------------------------

_CANARY = "Zq7"
_ODD = st.one_of(
    st.just(""),
    st.text(max_size=12).map(lambda text: f"{_CANARY}{text}"),
    st.lists(st.text("abc019-_./@ ", max_size=6), min_size=2, max_size=4).map(
        lambda items: ",".join(f"{_CANARY}{item}" for item in items)
    ),
    st.dates().map(str),
    st.sampled_from(
        [
            "true", "TRUE", "9", "K", "09,10", "tobedeleted", "inactive", "student", "teacher",
            "schoolYear", "orgs-0", "orgs-0,orgs-1", "users-0", "classes-0", ",", ",,", " , ", "{}",
            "2026-11-19T08:30:00Z", "0001-01-01", "9999-12-31", "x" * 300, "\u0661", "bulk",
        ]
    ),
)  # fmt: skip
_FILES = ("manifest", *FILES_OF["1.2"])
_PLACES = st.tuples(st.sampled_from(_FILES), st.integers(0, 50), st.integers(0, 50))


def _with_cells_replaced(replaced: Mapping[tuple[str, int, int], str]) -> Sent:
    lines = {name: lines_of(name) for name in FILES_OF["1.2"]}
    lines["manifest"] = manifest_lines(present=FILES_OF["1.2"])
    for (name, row, column), cell in replaced.items():
        line = lines[name][row % len(lines[name])]
        line[list(line)[column % len(line)]] = cell
    return {f"{name}.csv": as_bytes(feed_of(name), rows) for name, rows in lines.items()}


@settings(PROFILE, max_examples=10)
@given(
    replaced=st.dictionaries(_PLACES, _ODD, min_size=1, max_size=30),
    strict=st.booleans(),
    partly_known=st.booleans(),
)
def test_no_cells_make_verification_fail_lose_a_line_or_tell_a_value(
    replaced: Mapping[tuple[str, int, int], str], *, strict: bool, partly_known: bool
):
    sent = _with_cells_replaced(replaced)
    known = knowing(orgs=lines_of("orgs"), users=lines_of("users")) if partly_known else knowing()
    verification = judged(sent, STRICT if strict else None, known)
    assert accounted_for(verification)
    assert verification.files.height == len(sent)
    accepted = sum(int(lines["_span"].sum()) for lines in verification.accepted.values())
    assert verification.files["accepted"].sum() == accepted
    details = [detail for detail in verification.findings["detail"] if detail]
    assert not any(_CANARY in f"{row}" for row in verification.findings.rows())
    assert all("-0" not in detail for detail in details)
    rejected = verification.files["rejected"].sum() > 0
    assert not rejected or "error" in set(verification.findings["severity"])
    clean = verification.files.filter(pl.col("verdict") == "accepted")
    assert clean["rejected"].sum() == 0
