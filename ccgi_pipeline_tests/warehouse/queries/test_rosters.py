"""Current rosters: schools' codes, the views, and how two rosters of one district agree.

Belongs here: small sets and rosters of which it can be counted by hand who is where.
"""

from __future__ import annotations

from pathlib import Path
from unicodedata import normalize

import duckdb
import polars as pl
import pytest

from ccgi_pipeline.feeds.oneroster import CLASSES, ENROLLMENTS, ORGS, ROLES, USERS
from ccgi_pipeline.warehouse.load.school_codes import match_school_codes
from ccgi_pipeline.warehouse.queries import rosters
from ccgi_pipeline.warehouse.storage.connection import open_warehouse
from ccgi_pipeline_tests.files import as_bytes
from ccgi_pipeline_tests.foster_focus import Line
from ccgi_pipeline_tests.nightly.inboxes import (
    PALM_SPRINGS,
    PALM_SPRINGS_HIGH,
    line_of,
    put,
    put_roster,
    student,
)
from ccgi_pipeline_tests.nightly.nights import folders_in, load_and_answer

DIRECTORY = pl.DataFrame(
    {
        "CDSCode": ["33671730000000", PALM_SPRINGS_HIGH, "33671733300001", "33671733300002"],
        "School": [None, "Palm Springs High", "Twin Elementary", "Twin Elementary"],
        "NCESDist": ["0629580", "0629580", "0629580", "0629580"],
        "NCESSchool": [None, "04453", "11111", "22222"],
    }
)


def _school(
    id_: str = "S1", name: str = "Some School", identifier: str | None = None
) -> pl.DataFrame:
    cells = {"_sender": PALM_SPRINGS, "sourcedId": id_, "name": name, "identifier": identifier}
    return pl.DataFrame([cells], schema_overrides={"identifier": pl.String})


@pytest.mark.parametrize(
    ("school", "code", "by"),
    [
        (_school(identifier=PALM_SPRINGS_HIGH), PALM_SPRINGS_HIGH, "cds code"),
        (_school(id_=PALM_SPRINGS_HIGH), PALM_SPRINGS_HIGH, "cds code"),
        (_school(identifier="062958004453"), PALM_SPRINGS_HIGH, "nces id"),
        (_school(identifier="0629580-04453"), PALM_SPRINGS_HIGH, "nces id"),
        (_school(identifier="04453"), PALM_SPRINGS_HIGH, "nces id"),
        (_school(name="palm springs HIGH"), PALM_SPRINGS_HIGH, "name"),
    ],
)
def test_a_schools_code_is_told_by_what_it_has(school: pl.DataFrame, code: str, by: str):
    found = match_school_codes(school, DIRECTORY)
    assert found.select("CDSCode", "told_by").rows() == [(code, by)]


@pytest.mark.parametrize(
    "school", [_school(), _school(name="Twin Elementary"), _school(identifier="99999")]
)
def test_a_school_that_cannot_be_told_has_no_code(school: pl.DataFrame):
    assert match_school_codes(school, DIRECTORY).is_empty()


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_a_schools_accents_may_stand_apart_from_their_letters_or_be_missing(form: str):
    directory = DIRECTORY.with_columns(School=pl.lit("La Cañada High")).tail(1)
    for name in ("La Cañada High", "LA CANADA HIGH"):
        found = match_school_codes(_school(name=normalize(form, name)), directory)
        assert found["CDSCode"].to_list() == ["33671733300002"]


def test_a_school_of_another_district_is_none_of_ours():
    foreign = _school(identifier=PALM_SPRINGS_HIGH).with_columns(_sender=pl.lit("0161192"))
    assert match_school_codes(foreign, DIRECTORY).is_empty()


def _user(id_: str, role: str = "student", **cells: str) -> Line:
    usual = {
        "enabledUser": "true",
        "orgSourcedIds": "S1",
        "role": role,
        "username": f"user-{id_}",
        "givenName": "Given",
        "familyName": "Family",
        "grades": "11" if role == "student" else "",
    }
    return line_of(USERS, {"sourcedId": id_, **usual, **cells})


@pytest.fixture
def warehouse(tmp_path: Path) -> duckdb.DuckDBPyConnection:
    """A district of four students by its transcripts and four by OneRoster; three are both."""
    folders = folders_in(tmp_path)
    ssids = ["1000000001", "1000000002", "1000000003", "1000000004"]
    put_roster(folders.inbox, PALM_SPRINGS, [student(s, PALM_SPRINGS_HIGH) for s in ssids])
    org = {"sourcedId": "S1", "name": "Palm Springs High", "type": "school"}
    users = [
        _user("U1", identifier="L1000000001"),
        _user("1000000002"),
        _user("U3", userIds="{LDAP:x3}, { SSID : 1000000003 }"),
        _user("U5", identifier="L5"),
        _user("T1", "teacher"),
    ]
    class_ = {
        "sourcedId": "C1",
        "title": "Algebra",
        "courseSourcedId": "K1",
        "classType": "scheduled",
        "schoolSourcedId": "S1",
        "termSourcedIds": "T1",
    }
    places = [("U1", "student"), ("U3", "student"), ("T1", "teacher")]
    enrollments = [
        {
            "sourcedId": f"E{user}",
            "classSourcedId": "C1",
            "schoolSourcedId": "S1",
            "userSourcedId": user,
            "role": role,
        }
        for user, role in places
    ]
    files = {
        "orgs": as_bytes(ORGS, [line_of(ORGS, org)]),
        "users": as_bytes(USERS, users),
        "classes": as_bytes(CLASSES, [line_of(CLASSES, class_)]),
        "enrollments": as_bytes(ENROLLMENTS, [line_of(ENROLLMENTS, e) for e in enrollments]),
    }
    for name, content in files.items():
        put(folders.inbox, f"{PALM_SPRINGS}/oneroster/set/{name}.csv", content)
    load_and_answer(folders)
    return open_warehouse(folders.warehouse)


def test_students_are_compared_by_school(warehouse: duckdb.DuckDBPyConnection):
    covered = rosters.compare_rosters(warehouse)
    assert covered.rows() == [(PALM_SPRINGS, PALM_SPRINGS_HIGH, 3, 1, 1)]
    assert rosters.find_disagreeing_schools(covered).height == 1


def test_districts_are_compared_in_parts(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(rosters, "_STUDENTS_AT_ONCE", 1)
    with duckdb.connect() as connection:
        connection.execute("ATTACH ':memory:' AS lake; USE lake")
        connection.execute(
            "CREATE TABLE transcript_student AS SELECT cd AS _sender, cd || n AS StateID, "
            "cd || '00000000' AS PrimaryCDSCode, 'L' || n AS LocalStudentID, true AS _active "
            "FROM (VALUES ('0100001', 3), ('0100002', 2), ('0100003', 1)) AS sizes (cd, students), "
            "range(students) AS numbers (n)"
        )
        connection.execute(
            "CREATE TABLE oneroster_users AS SELECT DISTINCT _sender, true AS _active "
            "FROM transcript_student WHERE _sender <> '0100002'"
        )
        connection.execute(
            "CREATE TABLE oneroster_current_students AS SELECT _sender, 'U' || StateID AS "
            "sourcedId, PrimaryCDSCode AS CDSCode, LocalStudentID AS identifier, NULL::VARCHAR "
            "AS username, NULL::VARCHAR AS userIds FROM transcript_student "
            "WHERE _sender <> '0100002' AND LocalStudentID <> 'L2'"
        )
        compared = rosters.compare_rosters(connection)
    assert compared.rows() == [
        ("0100001", "010000100000000", 2, 1, 0),
        ("0100003", "010000300000000", 1, 0, 0),
    ]


def test_the_views_show_who_is_where(warehouse: duckdb.DuckDBPyConnection):
    students = warehouse.execute(
        'SELECT sourcedId, "CDSCode" FROM oneroster_current_students ORDER BY ALL'
    ).fetchall()
    assert students == [(id_, PALM_SPRINGS_HIGH) for id_ in ("1000000002", "U1", "U3", "U5")]
    teachers = warehouse.execute("SELECT sourcedId FROM oneroster_current_teachers").fetchall()
    assert teachers == [("T1",)]
    classes = warehouse.execute(
        "SELECT title, students, teachers FROM oneroster_current_classes"
    ).fetchall()
    assert classes == [("Algebra", 2, 1)]


def test_in_version_1_2_roles_say_who_is_a_student(tmp_path: Path):
    folders = folders_in(tmp_path)
    org = {"sourcedId": "S1", "name": "Palm Springs High", "type": "school"}
    role = {
        "sourcedId": "R1",
        "userSourcedId": "U1",
        "roleType": "primary",
        "role": "student",
        "orgSourcedId": "S1",
    }
    user = {**_user("U1"), "orgSourcedIds": "", "role": "", "pronouns": "they"}
    files = {
        "orgs": as_bytes(ORGS, [line_of(ORGS, org)]),
        "users": as_bytes(
            USERS, [user], header=[n for n in USERS.columns if n not in {"orgSourcedIds", "role"}]
        ),
        "roles": as_bytes(ROLES, [line_of(ROLES, role)]),
    }
    for name, content in files.items():
        put(folders.inbox, f"{PALM_SPRINGS}/oneroster/set/{name}.csv", content)
    load_and_answer(folders)
    with open_warehouse(folders.warehouse) as connection:
        found = connection.execute("SELECT sourcedId FROM oneroster_current_students").fetchall()
    assert found == [("U1",)]
