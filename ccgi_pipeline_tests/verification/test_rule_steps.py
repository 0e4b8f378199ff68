"""Rules with a step of their own: names of courses that stay unread are told once, with a count.

Belongs here: what the receipt of a transcript package says of such names. Which names are read as
what is tested in ``ccgi_pipeline_tests/eligibility/test_course_names.py``.
"""

from __future__ import annotations

import json

import pytest

from ccgi_pipeline.feeds.registry import FEEDS
from ccgi_pipeline.feeds.transcript import COURSE_CATALOG, COURSE_GRADE
from ccgi_pipeline.verification.rule_steps import STEPS
from ccgi_pipeline_tests.files import Line, as_bytes, good_lines, good_set, usual_name, verified

RULE = "TR-CRS-NAME"
_CATALOG = {"CDSCode": "33671733335130", "CourseNumber": "7", "StateCourseCode": "9090"}


def _lines(*named: tuple[str, str], **cells: str) -> list[Line]:
    """Returns good course lines, with these areas and names."""
    usual = good_lines(COURSE_GRADE, len(named))
    return [
        {**line, "SubjectArea": area, "TranscriptAbbreviation": name, "GradeLevel": "10", **cells}
        for line, (area, name) in zip(usual, named, strict=True)
    ]


def _told(lines: list[Line], catalog: list[Line] | None = None) -> list[tuple[int, str]]:
    """The line and the count of each finding of the rule."""
    sent = good_set("transcript") | {usual_name(COURSE_GRADE): as_bytes(COURSE_GRADE, lines)}
    if catalog is not None:
        sent[usual_name(COURSE_CATALOG)] = as_bytes(COURSE_CATALOG, catalog)
    verification = verified(sent, "transcript")
    assert set(verification.files["verdict"]) == {"accepted"}
    assert verification.files["rejected"].sum() == 0
    found = verification.findings.filter(rule=RULE)
    assert set(found["column"]) <= {"TranscriptAbbreviation"}
    assert set(found["severity"]) <= {"info"}
    return found.select("line", "detail").rows()


def test_every_step_that_a_rule_names_exists():
    named = {rule.step for feed in FEEDS for rule in feed.rules if rule.step}
    assert named == set(STEPS)


def test_a_name_that_stays_unread_is_told_once_at_its_first_line_with_a_count():
    lines = _lines(
        ("C", "GEOM"),
        ("C", "PROJECT X"),
        ("C", "PROJECT X"),
        ("A", "PROJECT X"),
        ("C", "PROJECT X"),
    )
    assert _told(lines) == [(3, "3 lines of the file"), (5, "one line of the file")]


def test_names_that_need_no_kind_are_not_told():
    assert _told(_lines(("B", "PROJECT X"), ("G", "PROJECT X"), ("Z", "PROJECT X"))) == []
    assert _told(_lines(("C", "DATA SCIENCE"), ("A", "ECON"), ("D", "INTEG SCI 1"))) == []


def test_lines_of_grades_that_do_not_count_are_not_told():
    assert _told(_lines(("F", "PROJECT X"), GradeLevel="08")) == []
    assert _told(_lines(("C", "PROJECT X"), GradeLevel="08")) == [(2, "one line of the file")]


@pytest.mark.parametrize(
    ("area", "code", "told"),
    [("F", "9090", False), ("F", "", True), ("C", "9090", True)],
)
def test_a_state_course_code_of_the_catalog_decides_what_is_told(
    area: str, code: str, *, told: bool
):
    lines = _lines((area, "PROJECT X"), LocalCourseID="7", CDSCode=_CATALOG["CDSCode"])
    (good,) = good_lines(COURSE_CATALOG, 1)
    assert bool(_told(lines, [{**good, **_CATALOG, "StateCourseCode": code}])) == told


def test_a_blank_name_is_told_by_the_rule_of_its_column_alone():
    sent = {usual_name(COURSE_GRADE): as_bytes(COURSE_GRADE, _lines(("C", ""), ("C", "GEOM")))}
    findings = verified(good_set("transcript") | sent, "transcript").findings
    assert findings["rule"].to_list() == ["TR-CRS-REQ-TranscriptAbbreviation"]


def test_no_finding_has_the_name():
    sent = {usual_name(COURSE_GRADE): as_bytes(COURSE_GRADE, _lines(("C", "PROJECT X")))}
    verification = verified(good_set("transcript") | sent, "transcript")
    assert "PROJECT" not in json.dumps(verification.findings.rows(), default=str)
