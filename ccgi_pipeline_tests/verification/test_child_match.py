"""Which child a student is, and why a student has none.

Belongs here: the pure comparison. What becomes of a student's lines is tested with the night.
"""

from __future__ import annotations

from datetime import date
from unicodedata import normalize

import polars as pl
import pytest

from ccgi_pipeline.feeds.foster_focus.link_rules import (
    AMBIGUOUS,
    DISAGREES,
    GRADUATED,
    INACTIVE,
    NO_SUCH_CHILD,
    OVER_AGE,
)
from ccgi_pipeline.profiles import FosterFocusSettings
from ccgi_pipeline.verification.child_match import FIELDS, child_match

ON = date(2026, 11, 20)
Cells = dict[str, object]

_ROBIN: Cells = {
    "SSID": "9100000001",
    "Lastname": "Adams",
    "Firstname": "Robin",
    "Birthdate": date(2010, 3, 11),
    "Gender": "F",
}


def _student(**cells: object) -> Cells:
    return {**_ROBIN, **cells}


def _child(number: int = 1, **cells: object) -> Cells:
    child = {
        "ChildID": f"C{number}",
        "LastName": "Adams",
        "FirstName": "Robin",
        "BirthDate": date(2010, 3, 11),
        "Gender": "F",
        "SSID": "9100000001",
        "Status": "active",
        "StatusSince": date(2020, 1, 1),
    }
    return {**child, **cells}


def _match(
    students: list[Cells], children: list[Cells], settings: FosterFocusSettings | None = None
) -> list[tuple[object, ...]]:
    text = dict.fromkeys(("SSID", "Gender"), pl.String)
    schema = {**dict.fromkeys(FIELDS, pl.String), "Birthdate": pl.Date}
    register = pl.DataFrame(children, schema_overrides=text)
    frame = pl.DataFrame(students, schema=schema)
    return child_match(frame, register, ON, settings or FosterFocusSettings()).rows()


def _one(student: Cells, *children: Cells) -> tuple[object, ...]:
    (found,) = _match([student], [*children])
    return found


def test_a_student_who_agrees_in_everything_is_that_child():
    assert _one(_student(), _child()) == ("C1", None, None)


@pytest.mark.parametrize("without", ["student", "child"])
def test_names_and_birth_date_are_enough_where_one_side_has_no_ssid(without: str):
    student = _student(SSID=None) if without == "student" else _student()
    child = _child(SSID=None) if without == "child" else _child()
    assert _one(student, child) == ("C1", None, None)


def test_names_are_compared_by_their_letters_in_any_case():
    student = _student(Lastname="o'BRIEN-Núñez ", Firstname="ana maria")
    child = _child(LastName="O Brien Núñez", FirstName="Ana-Maria")
    assert _one(student, child) == ("C1", None, None)


@pytest.mark.parametrize("forms", [("NFC", "NFD"), ("NFD", "NFC"), ("NFD", "NFD")])
def test_an_accent_that_stands_apart_from_its_letter_makes_no_other_name(forms: tuple[str, str]):
    ours, theirs = forms
    names = ("Muñoz", "JOSÉ Đỗ")
    student = _student(
        SSID=None,
        **dict(zip(("Lastname", "Firstname"), (normalize(ours, n) for n in names), strict=True)),
    )
    child = _child(
        **dict(zip(("LastName", "FirstName"), (normalize(theirs, n) for n in names), strict=True))
    )
    assert _one(student, child) == ("C1", None, None)
    # Another accent is another letter, in either form.
    other = _child(LastName=normalize(theirs, "Munoz"), FirstName=child["FirstName"])
    assert _one(student, other)[0] is None


@pytest.mark.parametrize(
    ("differing", "field"),
    [
        ({"LastName": "Baker"}, "Lastname"),
        ({"FirstName": "Kim"}, "Firstname"),
        ({"BirthDate": date(2010, 11, 3)}, "Birthdate"),
        ({"Gender": "M"}, "Gender"),
        ({"SSID": "9100000002"}, "SSID"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_child_who_differs_in_one_field_is_told_by_the_field_and_not_linked(
    differing: Cells, field: str
):
    assert _one(_student(), _child(**differing)) == (None, DISAGREES.id, field)


@pytest.mark.parametrize(
    "known",
    [
        {},
        {"Lastname": "Adams"},
        {"Lastname": "Adams", "Gender": "F"},
        {"Firstname": "Robin", "Lastname": "Adams"},
        {"Birthdate": date(2010, 3, 11)},
        {"Birthdate": date(2010, 3, 11), "Firstname": "Robin"},
    ],
)
def test_who_has_the_ssid_and_does_not_know_the_child_learns_nothing(known: Cells):
    invented = {"Lastname": "Zz", "Firstname": "Qq", "Birthdate": date(2011, 1, 1), "Gender": "M"}
    answer = _one(_student(**{**invented, **known}), _child())
    assert answer == _one(_student(SSID="1", **invented), _child())
    assert answer == (None, NO_SUCH_CHILD.id, None)


def test_two_fields_that_agree_are_not_enough_to_be_told_of_a_third():
    student = _student(SSID=None, Gender=None, Firstname="Kim")
    assert _one(student, _child()) == (None, NO_SUCH_CHILD.id, None)


def test_two_fields_that_agree_are_no_child_even_if_nothing_differs():
    student = _student(SSID=None, Gender=None, Firstname=None)
    assert _one(student, _child()) == (None, NO_SUCH_CHILD.id, None)


def test_two_differing_fields_without_a_common_ssid_are_somebody_else():
    child = _child(SSID="9100000002", LastName="Baker")
    assert _one(_student(), child) == (None, NO_SUCH_CHILD.id, None)


def test_nobody_is_found_in_an_empty_register():
    nobody = pl.DataFrame([_child()]).clear()
    students = pl.DataFrame([_student()])
    assert child_match(students, nobody, ON, FosterFocusSettings()).rows() == [
        (None, NO_SUCH_CHILD.id, None)
    ]


def test_of_two_children_alike_the_ssid_decides():
    twins = _child(1, SSID="9100000001"), _child(2, SSID=None)
    assert _one(_student(), *twins) == ("C1", None, None)


def test_two_children_alike_without_an_ssid_are_no_answer():
    twins = _child(1, SSID=None), _child(2, SSID=None)
    assert _one(_student(), *twins) == (None, AMBIGUOUS.id, None)


def test_a_graduated_child_is_not_linked():
    assert _one(_student(), _child(Status="graduated")) == (None, GRADUATED.id, None)


@pytest.mark.parametrize(
    ("since", "reason"),
    [(date(2026, 5, 20), None), (date(2026, 5, 19), INACTIVE.id)],
    ids=["six months ago to the day", "a day longer"],
)
def test_an_inactive_child_is_linked_for_six_months(since: date, reason: str | None):
    child, told, _ = _one(_student(), _child(Status="inactive", StatusSince=since))
    assert (child, told) == ("C1" if reason is None else None, reason)


@pytest.mark.parametrize(
    ("born", "limit", "linked"),
    [
        (date(2006, 11, 21), 19, True),
        (date(2006, 11, 20), 19, False),
        (date(2006, 11, 20), 20, True),
    ],
    ids=["19 until tomorrow", "20 today", "20 today, the limit moved"],
)
def test_a_child_is_linked_through_the_age_limit(born: date, limit: int, *, linked: bool):
    (found,) = _match(
        [_student(Birthdate=born)], [_child(BirthDate=born)], FosterFocusSettings(age_limit=limit)
    )
    assert found == (("C1", None, None) if linked else (None, OVER_AGE.id, None))


def test_every_student_is_answered_in_order():
    students = [_student(), _student(SSID="9", Lastname="Nobody", Firstname="X"), _student()]
    assert [row[0] for row in _match(students, [_child()])] == ["C1", None, "C1"]
