"""OneRoster rules that one line of a good set cannot break by itself.

Belongs here: modes, kinds of what is named, parents, primaries, terms, and what only one version
requires. The other rules are broken one by one in test_every_rule_bites.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache

import pytest

from ccgi_pipeline.feeds import oneroster
from ccgi_pipeline.feeds.columns import ColumnType
from ccgi_pipeline.feeds.spec import FeedSpec
from ccgi_pipeline.verification.outcomes import Verification
from ccgi_pipeline_tests.oneroster import Line
from ccgi_pipeline_tests.oneroster_sets import (
    MODIFIED,
    OF_CHANGES,
    Told,
    accounted_for,
    beside,
    cells_of,
    changes,
    feed_of,
    judged,
    lines_of,
    roster,
    told,
    with_cells,
)

FILES = [feed.stems[0] for feed in oneroster.FEEDS if feed.may_be_changes]
HURT = 6
"""The physical line that is changed; no other line speaks of it."""


def _prefix(name: str) -> str:
    return feed_of(name).prefix


def _found(
    name: str, lines: Sequence[Line], mode: str = "bulk", version: str = "1.2"
) -> list[Told]:
    """All that is told of a set in which one file has these lines."""
    verification = judged(roster(version, {name: mode}, beside(name), **{name: lines}))
    assert accounted_for(verification)
    # Of version 1.2 only the files are sent that the lines need, which roles seldom are.
    return [place for place in told(verification) if place[1] != "OR-PKG-ROLES"]


@cache
def _night(mode: str, cells: tuple[tuple[str, str], ...]) -> Verification:
    """A set in which the changed line of every file has ``cells``."""
    made = changes if mode == "delta" else with_cells
    lines = {name: made(name, {HURT: dict(cells)}) for name in FILES}
    return judged(roster("1.2", dict.fromkeys(FILES, mode), **lines))


def _told_of(name: str, mode: str, **cells: str) -> list[Told]:
    """What is told of one of the files of such a set."""
    verification = _night(mode, tuple(cells.items()))
    assert accounted_for(verification)
    return [place for place in told(verification) if place[0] == f"{name}.csv"]


def _in(name: str, *places: tuple[str, str, int, str | None]) -> list[Told]:
    """What is told of one file: rule (without prefix), severity, line, column."""
    prefix = _prefix(name)
    found = [(f"{name}.csv", f"{prefix}-{rule}", *place) for rule, *place in places]
    return sorted(found, key=str)


# --- modes ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("column", ["status", "dateLastModified"])
def test_a_line_of_a_delta_file_without_status_or_time_is_refused(name: str, column: str):
    found = _told_of(name, "delta", **{column: ""})
    assert found == _in(name, (f"DELTA-{column}", "error", HURT, column))


@pytest.mark.parametrize("name", FILES)
def test_a_line_of_a_bulk_file_with_status_or_time_is_told_and_loaded(name: str):
    assert _told_of(name, "bulk", **OF_CHANGES) == _in(
        name,
        ("BULK-status", "warning", HURT, "status"),
        ("BULK-dateLastModified", "warning", HURT, "dateLastModified"),
    )


@pytest.mark.parametrize("name", FILES)
def test_a_line_of_a_bulk_file_that_says_to_be_deleted_is_told_loudly(name: str):
    assert _told_of(name, "bulk", status="tobedeleted") == _in(
        name,
        ("BULK-status", "warning", HURT, "status"),
        ("BULK-GONE", "warning", HURT, "status"),
    )


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize(
    ("written", "meant"),
    [("Active", "active"), ("inactive", "tobedeleted"), ("toBeDeleted", "tobedeleted")],
)
def test_a_status_in_other_words_is_understood(name: str, written: str, meant: str):
    found = _told_of(name, "delta", status=written)
    assert found == _in(name, ("FORM-status", "warning", HURT, "status"))
    verification = _night("delta", (("status", written),))
    assert cells_of(verification, name)[HURT]["status"] == meant


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("column", ["status", "dateLastModified"])
def test_a_status_or_time_that_cannot_be_read_is_no_blank(name: str, column: str):
    kind = {"status": "CODE", "dateLastModified": "TYPE"}[column]
    severity = {"status": "error", "dateLastModified": "warning"}[column]
    found = _told_of(name, "delta", **{column: "someday"})
    assert found == _in(name, (f"{kind}-{column}", severity, HURT, column))


@pytest.mark.parametrize("name", FILES)
def test_a_good_delta_file_breaks_no_rule(name: str):
    assert _told_of(name, "delta") == []


# --- kinds of what is named -----------------------------------------------------------------------

_OTHER_KIND: Mapping[tuple[str, str], tuple[str, str, str]] = {
    ("courses", "schoolYearSourcedId"): ("academicSessions", "academicSessions-1", "warning"),
    ("classes", "schoolSourcedId"): ("orgs", "orgs-4", "error"),
    ("enrollments", "schoolSourcedId"): ("orgs", "orgs-4", "error"),
}


@pytest.mark.parametrize(("name", "column"), _OTHER_KIND, ids=str)
def test_what_is_named_must_be_of_the_right_kind(name: str, column: str):
    _, other, severity = _OTHER_KIND[name, column]
    orgs = with_cells("orgs", {6: {"type": "district"}})
    verification = judged(roster(orgs=orgs, **{name: with_cells(name, {HURT: {column: other}})}))
    assert told(verification) == _in(name, (f"KIND-{column}", severity, HURT, column))


@pytest.mark.parametrize(("name", "column"), _OTHER_KIND, ids=str)
def test_what_is_not_there_is_of_no_wrong_kind(name: str, column: str):
    _, _, severity = _OTHER_KIND[name, column]
    found = _found(name, with_cells(name, {HURT: {column: "nowhere"}}))
    assert found == _in(name, (f"REF-{column}", severity, HURT, column))


@pytest.mark.parametrize("kind", ["local", "district"])
def test_a_district_may_be_anything_but_the_school_of_a_class(kind: str):
    orgs = with_cells("orgs", {6: {"type": kind}})
    users = with_cells("users", {HURT: {"orgSourcedIds": "orgs-0,orgs-4"}})
    courses = with_cells("courses", {HURT: {"orgSourcedId": "orgs-4"}})
    assert told(judged(roster(orgs=orgs, users=users, courses=courses))) == []


def test_the_id_of_a_demographics_line_is_a_users_and_an_id():
    lines = with_cells("demographics", {HURT: {"sourcedId": "id with blanks"}})
    assert _found("demographics", lines) == _in(
        "demographics",
        ("GUID", "warning", HURT, "sourcedId"),
        ("REF-sourcedId", "error", HURT, "sourcedId"),
    )


@pytest.mark.parametrize(
    "sourced_id", ["a", "A-z.0_9/@x", "9" * 255, "6f9619ff-8b86-d011-b42d-00cf4fc964ff"]
)
def test_an_id_may_have_letters_digits_and_a_few_signs(sourced_id: str):
    assert _found("users", with_cells("users", {HURT: {"sourcedId": sourced_id}})) == []


@pytest.mark.parametrize("sign", [":", "#", "+", "{", "}", "é", "\u0661", "%"])
def test_an_id_with_another_sign_is_told_and_kept(sign: str):
    lines = with_cells("users", {HURT: {"sourcedId": f"a{sign}1"}})
    verification = judged(roster(without=beside("users"), users=lines))
    assert told(verification) == _in("users", ("GUID", "warning", HURT, "sourcedId"))
    assert cells_of(verification, "users")[HURT]["sourcedId"] == f"a{sign}1"


@pytest.mark.parametrize(
    ("name", "column", "cell"),
    [
        ("classes", "termSourcedIds", "academicSessions-0, academicSessions-1"),
        ("users", "orgSourcedIds", "orgs-0,orgs-1,orgs-2"),
        ("users", "agentSourcedIds", "users-0 ,users-1"),
    ],
)
def test_every_id_of_a_list_is_looked_up(name: str, column: str, cell: str):
    severity = "warning" if column == "agentSourcedIds" else "error"
    assert _found(name, with_cells(name, {HURT: {column: cell}}), version="1.1") == []
    lines = with_cells(name, {HURT: {column: f"{cell},nowhere"}})
    assert _found(name, lines, version="1.1") == _in(
        name, (f"REF-{column}", severity, HURT, column)
    )


# --- parents --------------------------------------------------------------------------------------

_WITH_PARENTS = ["orgs", "academicSessions"]


def _family(name: str, *parents: str) -> list[Line]:
    """Lines 2, 3, ... with these parents, by number of line; a blank for none."""
    return with_cells(
        name,
        {
            line: {"parentSourcedId": f"{name}-{int(parent) - 2}" if parent else ""}
            for line, parent in enumerate(parents, start=2)
        },
    )


@pytest.mark.parametrize("name", _WITH_PARENTS)
def test_a_record_that_is_its_own_parent_is_told_and_is_no_circle(name: str):
    found = _found(name, _family(name, "", "2", "2", "5", "2", ""))
    assert found == _in(name, ("SELF", "warning", 5, "parentSourcedId"))


@pytest.mark.parametrize("name", _WITH_PARENTS)
def test_parents_in_a_circle_are_told_at_each_of_them(name: str):
    found = _found(name, _family(name, "", "4", "5", "3", "2", ""))
    assert found == _in(
        name, *(("CIRCLE", "warning", line, "parentSourcedId") for line in (3, 4, 5))
    )


@pytest.mark.parametrize("name", _WITH_PARENTS)
def test_a_record_below_a_circle_is_none_of_it(name: str):
    """Below its own parent's fault there is nothing to correct."""
    found = _found(name, _family(name, "", "4", "3", "3", "", ""))
    circle = [("CIRCLE", "warning", line, "parentSourcedId") for line in (3, 4)]
    assert found == _in(name, *circle)


@pytest.mark.parametrize("name", _WITH_PARENTS)
def test_long_chains_of_parents_are_no_circle(name: str):
    assert _found(name, _family(name, "", "2", "3", "4", "5", "6")) == []


def test_a_line_that_is_not_loaded_makes_no_circle():
    """The first of two lines with one id stands, and it has no parent."""
    lines = lines_of("orgs")
    again = {**lines[0], "parentSourcedId": lines[1]["sourcedId"]}
    found = _found("orgs", [*lines, again])
    assert found == _in("orgs", ("UNIQUE", "error", 8, "sourcedId"))


# --- users and roles ------------------------------------------------------------------------------


@pytest.mark.parametrize("role", ["student", "Student"])
def test_a_student_without_grades_is_told(role: str):
    lines = with_cells("users", {HURT: {"role": role, "grades": ""}})
    grades = ("GRADES", "warning", HURT, "grades")
    spelled = [("FORM-role", "warning", HURT, "role")] if role == "Student" else []
    assert _found("users", lines, version="1.1") == _in("users", grades, *spelled)


@pytest.mark.parametrize("role", ["teacher", "parent", "administrator"])
def test_nobody_else_needs_grades(role: str):
    lines = with_cells("users", {HURT: {"role": role, "grades": ""}})
    assert _found("users", lines, version="1.1") == []


@pytest.mark.parametrize(("role", "found"), [("student", ["GRADES"]), ("teacher", [])])
def test_in_version_1_2_the_roles_say_who_is_a_student(role: str, found: list[str]):
    users = with_cells("users", {HURT: {"grades": ""}})
    roles = with_cells("roles", {HURT: {"userSourcedId": "users-4", "role": role}})
    sent = roster("1.2", without=beside("roles"), users=users, roles=roles)
    assert told(judged(sent)) == _in(
        "users", *((rule, "warning", HURT, "grades") for rule in found)
    )


@pytest.mark.parametrize("column", ["orgSourcedIds", "role"])
def test_version_1_1_requires_organizations_and_role_of_a_user(column: str):
    lines = with_cells("users", {HURT: {column: "", "grades": "09"}})
    assert _found("users", lines, version="1.1") == _in(
        "users", (f"REQ-{column}", "error", HURT, column)
    )
    assert _found("users", lines, version="1.2") == []


@pytest.mark.parametrize("version", ["1.1", "1.2"])
def test_both_versions_require_that_it_is_said_whether_a_user_is_enabled(version: str):
    lines = with_cells("users", {HURT: {"enabledUser": ""}})
    assert _found("users", lines, version=version) == _in(
        "users", ("REQ-enabledUser", "error", HURT, "enabledUser")
    )


def test_a_user_has_one_primary_role_at_an_organization():
    second = {"roleType": "primary"}
    elsewhere = {"roleType": "primary", "orgSourcedId": "orgs-1"}
    someone = {"roleType": "primary", "userSourcedId": "users-1"}
    lines = with_cells("roles", {4: elsewhere, 5: someone, HURT: second})
    assert _found("roles", lines) == _in("roles", ("PRIMARY", "warning", HURT, "roleType"))


@pytest.mark.parametrize("role", ["principal", "ext:registrar", "siteAdministrator"])
def test_a_term_of_the_senders_own_is_permitted_in_version_1_2(role: str):
    assert _found("roles", with_cells("roles", {HURT: {"role": role}})) == []


# --- enrollments ----------------------------------------------------------------------------------


def _teachers(*periods: tuple[str, str], **cells: str) -> list[Line]:
    """Primary teachers of one class in these periods, in lines 3, 4, ...; line 2 teaches others."""
    first = {"classSourcedId": "classes-1"}
    primary = {"role": "teacher", "primary": "true"}
    return with_cells(
        "enrollments",
        {2: first}
        | {
            line: {**primary, "beginDate": begin, "endDate": end, **cells}
            for line, (begin, end) in enumerate(periods, start=3)
        },
    )


@pytest.mark.parametrize(
    ("periods", "told_at"),
    [
        ([("2026-08-17", "2027-01-01"), ("2027-01-01", "2027-06-11")], []),
        ([("2027-01-01", "2027-06-11"), ("2026-08-17", "2027-01-01")], []),
        ([("2026-08-17", "2027-01-02"), ("2027-01-01", "2027-06-11")], [4]),
        ([("", ""), ("2027-01-01", "2027-06-11")], [4]),
        ([("2026-08-17", ""), ("", "2026-12-18")], [4]),
        ([("", "2026-12-18"), ("2026-12-18", "")], []),
        ([("", ""), ("", ""), ("", "")], [4, 5]),
    ],
)
def test_a_class_has_one_primary_teacher_at_a_time(
    periods: list[tuple[str, str]], told_at: list[int]
):
    assert _found("enrollments", _teachers(*periods)) == _in(
        "enrollments", *(("PRIMARY", "warning", line, "primary") for line in told_at)
    )


def test_a_teacher_who_is_not_primary_is_no_second_one():
    assert _found("enrollments", _teachers(("", ""), ("", ""), primary="false")) == []


def test_a_primary_teacher_who_is_deleted_makes_room_for_another():
    lines = _teachers(("", ""), ("", ""))
    lines = [{**line, **OF_CHANGES} for line in lines]
    lines[1]["status"] = "tobedeleted"
    assert _found("enrollments", lines, "delta") == []


@pytest.mark.parametrize(
    ("begin", "end", "found"),
    [
        ("2026-08-01", "2027-07-31", []),
        ("", "", []),
        ("2026-07-31", "", ["TERM"]),
        ("", "2027-08-01", ["TERM"]),
        ("2026-09-01", "2026-09-01", []),
    ],
)
def test_an_enrollment_lies_within_the_terms_of_its_class(begin: str, end: str, found: list[str]):
    lines = with_cells("enrollments", {HURT: {"beginDate": begin, "endDate": end}})
    assert _found("enrollments", lines) == _in(
        "enrollments", *((rule, "warning", HURT, "beginDate") for rule in found)
    )


def test_the_terms_of_a_class_are_all_of_its_terms():
    halves = {
        3: {"startDate": "2026-08-01", "endDate": "2026-12-19"},
        4: {"startDate": "2027-01-04", "endDate": "2027-06-12"},
    }
    sessions = with_cells("academicSessions", halves)
    terms = {"termSourcedIds": "academicSessions-1, academicSessions-2"}
    classes = with_cells("classes", {HURT: terms})
    inside = {"classSourcedId": "classes-4", "beginDate": "2026-08-17", "endDate": "2027-06-12"}
    outside = {**inside, "endDate": "2027-06-13"}
    for cells, found in ((inside, []), (outside, [("TERM", "warning", HURT, "beginDate")])):
        enrollments = with_cells("enrollments", {HURT: cells})
        sent = roster(
            without=["demographics"],
            academicSessions=sessions,
            classes=classes,
            enrollments=enrollments,
        )
        assert told(judged(sent)) == _in("enrollments", *found)


# --- lists that belong together -------------------------------------------------------------------


@pytest.mark.parametrize("name", ["courses", "classes"])
@pytest.mark.parametrize(
    ("subjects", "codes", "equal"),
    [
        ("", "", True),
        ("Algebra", "", True),
        ("", "02052", True),
        ("Algebra,Geometry", "02052,02072", True),
        ("Justice, Drones and Robots", "03210", False),
        ("Algebra", "02052,02072", False),
        ("Science, Technology and Society", "03001,03210", False),
    ],
)
def test_subjects_and_their_codes_are_as_many_where_both_are_given(
    name: str, subjects: str, codes: str, *, equal: bool
):
    cells = {"subjects": subjects, "subjectCodes": codes}
    found = [] if equal else [("SUBJECTS", "warning", HURT, "subjectCodes")]
    told_here = [
        place
        for place in _found(name, with_cells(name, {HURT: cells}))
        if not place[1].endswith("-FORM-subjects")
    ]
    assert told_here == _in(name, *found)


_ONE_NAME, _DOUBT = ("FORM-subjects", "warning"), ("SUBJECTS-COMMA", "info")


@pytest.mark.parametrize("name", ["courses", "classes"])
@pytest.mark.parametrize(
    ("subjects", "codes", "read", "found"),
    [
        (
            "Science, Technology and Society",
            "03210",
            "Science Technology and Society",
            [_ONE_NAME],
        ),
        ("Science, Technology and Society", "", "Science Technology and Society", [_ONE_NAME]),
        ("SCIENCE,TECHNOLOGY AND SOCIETY", "", "Science Technology and Society", [_ONE_NAME]),
        (
            "Algebra I,Science, Technology and Society, Justice, Peace, and Faith,Geometry",
            "02052,03210,07014,02072",
            "Algebra I,Science Technology and Society,Justice Peace and Faith,Geometry",
            [_ONE_NAME],
        ),
        (
            "Government, Politics and Law-Other",
            "04199",
            "Government Politics and Law—Other",
            [_ONE_NAME],
        ),
        (
            "Data Science, Technology and Society",
            "",
            "Data Science, Technology and Society",
            [_DOUBT],
        ),
        ("Algebra I, Geometry", "", "Algebra I, Geometry", [_DOUBT]),
        ("Algebra I, Geometry", "02052,02072", "Algebra I, Geometry", []),
        ("Algebra I,Geometry", "", "Algebra I,Geometry", []),
    ],
)
def test_a_comma_in_the_name_of_a_subject_is_told_from_one_between_two(
    name: str, subjects: str, codes: str, read: str, found: list[tuple[str, str]]
):
    lines = with_cells(name, {HURT: {"subjects": subjects, "subjectCodes": codes}})
    verification = judged(roster("1.2", {name: "bulk"}, beside(name), **{name: lines}))
    of_file = [place for place in told(verification) if place[0] == f"{name}.csv"]
    assert of_file == _in(name, *((*what, HURT, "subjects") for what in found))
    assert cells_of(verification, name)[HURT]["subjects"] == read


@pytest.mark.parametrize(
    ("start", "end", "years"),
    [
        ("2026-08-10", "2027-06-12", {2027}),
        ("2026-07-01", "2027-07-01", {2027}),
        ("2026-08-10", "2026-12-19", {2027}),
        ("2027-01-08", "2027-06-12", {2027}),
        ("2026-07-01", "2026-10-01", {2026, 2027}),
        ("2027-06-14", "2027-07-24", {2027, 2028}),
        ("2026-07-01", "2026-12-20", {2027}),
    ],
)
def test_the_school_year_of_a_session_is_the_year_in_which_it_ends(
    start: str, end: str, years: set[int]
):
    tried = range(2024, 2030)
    lines = with_cells(
        "academicSessions",
        {
            2 + at: {"startDate": start, "endDate": end, "schoolYear": str(year)}
            for at, year in enumerate(tried)
        },
        count=len(tried),
    )
    found = _found("academicSessions", lines)
    wrong = [at for at, year in enumerate(tried) if year not in years]
    assert found == _in(
        "academicSessions", *(("YEAR", "warning", 2 + at, "schoolYear") for at in wrong)
    )


@pytest.mark.parametrize(
    ("written", "cause"),
    [
        ("{LDAP:jdoe}", None),
        ("{LDAP:jdoe},{LTI:987},{Fed:x}", None),
        (" { LDAP : jdoe } , {LTI:987} ", None),
        ("{URL:https://example.org/987}", None),
        ("local:12345", "BRACES"),
        ("12345", "BRACES"),
        ("{LDAP:jdoe", "UNCLOSED"),
        ("{LDAP:jdoe}{LTI:987}", "UNCLOSED"),
        ("{LDAP:jdoe};{LTI:987}", "UNCLOSED"),
        ("{LDAP:jdoe},", "UNCLOSED"),
        ("{jdoe}", "TYPE"),
        ("{:jdoe}", "TYPE"),
        ("{LDAP:jdoe},{987}", "TYPE"),
        ("{LDAP:}", "ID"),
        ("{LDAP:jdoe},{LTI: }", "ID"),
    ],
)
def test_user_ids_in_another_form_are_told_with_what_is_wrong_with_them(
    written: str, cause: str | None
):
    found = [] if cause is None else [(f"USERIDS-{cause}", "warning", HURT, "userIds")]
    verification = _with_user_ids(written)
    of_file = [place for place in told(verification) if place[0] == "users.csv"]
    assert of_file == _in("users", *found)


def _with_user_ids(written: str) -> Verification:
    lines = with_cells("users", {HURT: {"userIds": written}})
    return judged(roster(without=["demographics", "enrollments"], users=lines))


@pytest.mark.parametrize(
    ("written", "meant", "found"),
    [
        ("09,10", "09,10", []),
        ("9, 10", "09,10", ["FORM"]),
        ("K", "KG", ["FORM"]),
        ("5", "05", ["FORM"]),
        ("010", "10", ["FORM"]),
        ("kg,Other", "KG,Other", ["FORM"]),
        ("AE", "AE", ["CODE"]),
        ("09,Freshman", "09,Freshman", ["CODE"]),
        ("09,", "09", ["FORM"]),
    ],
)
@pytest.mark.parametrize("name", ["users", "classes", "courses"])
def test_grades_are_understood_where_they_can_mean_one_thing_only(
    name: str, written: str, meant: str, found: list[str]
):
    verification = _with_grades(written)
    of_file = [place for place in told(verification) if place[0] == f"{name}.csv"]
    assert of_file == _in(name, *((f"{kind}-grades", "warning", HURT, "grades") for kind in found))
    assert cells_of(verification, name)[HURT]["grades"] == meant


@cache
def _with_grades(written: str) -> Verification:
    files = ("users", "classes", "courses")
    lines = {name: with_cells(name, {HURT: {"grades": written}}) for name in files}
    return judged(roster(without=["demographics", "enrollments"], **lines))


# --- times ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "read", "rule"),
    [
        (MODIFIED, "2026-11-19T08:30:00Z", None),
        ("2012-04-23T18:25:43.511Z", "2012-04-23T18:25:43.511000Z", None),
        ("2012-04-23T18:25:43.5Z", "2012-04-23T18:25:43.500000Z", None),
        ("2012-04-23T18:25:43+00:00", "2012-04-23T18:25:43Z", "FORM"),
        ("2012-04-23T18:25:43.511+0000", "2012-04-23T18:25:43.511000Z", "FORM"),
        ("2012-04-23T18:25Z", "2012-04-23T18:25:00Z", "FORM"),
        ("2012-04-23", "2012-04-23T00:00:00Z", "FORM"),
        ("2012-04-23T18:25:43", "", "TYPE"),
        ("2012-04-23 18:25:43Z", "", "TYPE"),
        ("2012-04-23T18:25:43+02:00", "", "TYPE"),
        ("yesterday", "", "TYPE"),
    ],
)
def test_a_time_that_is_not_by_the_letter_is_told_and_costs_no_line(
    written: str, read: str, rule: str | None
):
    lines = changes("users", {HURT: {"dateLastModified": written}})
    sent = roster(modes={"users": "delta"}, without=beside("users"), users=lines)
    verification = judged(sent)
    assert cells_of(verification, "users")[HURT]["dateLastModified"] == read
    found = [(f"{rule}-dateLastModified", "warning", HURT, "dateLastModified")] if rule else []
    assert told(verification) == _in("users", *found)


# --- what to change -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("feed", "name"),
    [
        (feed, name)
        for feed in oneroster.FEEDS
        for name, column in feed.columns.items()
        if column.type is ColumnType.BOOLEAN
    ],
)
def test_a_cell_that_is_no_truth_value_is_told_the_specifications_own(feed: FeedSpec, name: str):
    assert (
        feed.column_rules[feed.column_rule_id("TYPE", name)].fix == f"Send {name} as true or false."
    )
