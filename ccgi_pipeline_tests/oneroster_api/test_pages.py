"""Answers as records, and records as lines of CSV files."""

from __future__ import annotations

import json
from typing import Any

import polars as pl
import pytest

from ccgi_pipeline.oneroster_api.collections import (
    DEMOGRAPHICS,
    build_collection,
    list_collections,
    nested_files,
)
from ccgi_pipeline.oneroster_api.csv_files import Lines, make_lines
from ccgi_pipeline.oneroster_api.pages import PageFault, build_shape, read_page
from ccgi_pipeline.profile_oneroster_api import OneRosterApiProfile

ENROLLMENT: dict[str, Any] = {
    "sourcedId": "e1",
    "status": "active",
    "dateLastModified": "2026-11-20T02:30:00.000Z",
    "class": {"href": "https://elsewhere.example/classes/c1", "sourcedId": "c1", "type": "class"},
    "school": {"sourcedId": "s1", "type": "org"},
    "user": {"sourcedId": "u1", "type": "user"},
    "role": "student",
    "primary": "false",
    "beginDate": "2026-08-17",
}
USER_1_2: dict[str, Any] = {
    "sourcedId": "u1",
    "status": "active",
    "dateLastModified": "2026-11-20T02:30:00.000Z",
    "enabledUser": "true",
    "username": "u1@example.org",
    "givenName": "Given",
    "familyName": "Family",
    "preferredFirstName": "Giv",
    "password": "PASSWORD-CANARY",
    "userIds": [{"type": "SSID", "identifier": "9000000001"}, {"type": "LDAP", "identifier": "x"}],
    "agents": [{"sourcedId": "g1"}, {"sourcedId": "g2"}],
    "grades": ["09", "10"],
    "primaryOrg": {"sourcedId": "s1"},
    "roles": [
        {"roleType": "primary", "role": "student", "org": {"sourcedId": "s1"}},
        {"roleType": "secondary", "role": "aide", "org": {"sourcedId": "s2"}},
    ],
    "userProfiles": [
        {
            "profileId": "https://lms.example",
            "profileType": "LMS",
            "vendorId": "lms.example",
            "credentials": [{"type": "SSO", "username": "u1", "password": "PASSWORD-CANARY"}],
        }
    ],
}


def lines_of(
    records: list[Any],
    name: str = "enrollments",
    version: str = "1.1",
    nested: tuple[str, ...] = (),
    *,
    delta: bool = False,
) -> Lines:
    collection = build_collection(name, version)
    body = json.dumps({name: records}).encode()
    return make_lines(
        read_page(body, build_shape(collection, nested)), collection, nested, delta=delta
    )


def cells(lines: Lines, name: str = "enrollments") -> dict[str, Any]:
    """The cells of the only line that are not blank."""
    (row,) = lines.files[name].iter_rows(named=True)
    return {column: cell for column, cell in row.items() if cell is not None}


def test_a_record_becomes_a_line_of_the_csv_binding() -> None:
    assert cells(lines_of([ENROLLMENT])) == {
        "sourcedId": "e1",
        "classSourcedId": "c1",
        "schoolSourcedId": "s1",
        "userSourcedId": "u1",
        "role": "student",
        "primary": "false",
        "beginDate": "2026-08-17",
    }


def test_changes_keep_their_status_and_date() -> None:
    told = cells(lines_of([ENROLLMENT], delta=True))
    assert told["status"] == "active"
    assert told["dateLastModified"] == "2026-11-20T02:30:00.000Z"


@pytest.mark.parametrize("status", ["tobedeleted", "TOBEDELETED", "inactive"])
def test_a_full_set_leaves_out_records_that_are_to_be_deleted(status: str) -> None:
    lines = lines_of([ENROLLMENT, {**ENROLLMENT, "sourcedId": "e2", "status": status}])
    assert lines.files["enrollments"]["sourcedId"].to_list() == ["e1"]
    assert lines.ids.to_list() == ["e1", "e2"]
    assert lines.gone == 1
    assert lines_of([{**ENROLLMENT, "status": status}], delta=True).files["enrollments"].height == 1


def test_a_status_that_nobody_knows_stays_for_the_rules() -> None:
    assert cells(lines_of([{**ENROLLMENT, "status": "archived"}]))["status"] == "archived"


@pytest.mark.parametrize(
    ("sent", "cell"),
    [
        ({"primary": True}, ("primary", "true")),
        ({"primary": 1}, ("primary", "1")),
        ({"role": 7}, ("role", "7")),
        ({"beginDate": "2026-08-17T00:00:00.000Z"}, ("beginDate", "2026-08-17")),
        ({"beginDate": "2026-08-17 00:00:00"}, ("beginDate", "2026-08-17")),
        ({"beginDate": "2026-08-16T17:00:00-07:00"}, ("beginDate", "2026-08-16T17:00:00-07:00")),
        ({"beginDate": None}, ("beginDate", None)),
        ({"beginDate": ""}, ("beginDate", None)),
        ({"user": {}}, ("userSourcedId", None)),
        ({"user": []}, ("userSourcedId", None)),
        ({"user": ""}, ("userSourcedId", None)),
        ({"user": "u9"}, ("userSourcedId", "u9")),
        ({"role": ["student"]}, ("role", "student")),
        ({"user": None, "userSourcedId": "u9"}, ("userSourcedId", "u9")),
        ({"unknown": {"a": [1]}}, ("role", "student")),
    ],
)
def test_other_forms_of_a_value_are_understood_or_stay_as_they_came(
    sent: dict[str, Any], cell: tuple[str, str | None]
) -> None:
    column, expected = cell
    assert cells(lines_of([{**ENROLLMENT, **sent}])).get(column) == expected


@pytest.mark.parametrize(
    ("sent", "told"),
    [
        ("2026-11-20 04:30:00+02:00", "2026-11-20T02:30:00.000Z"),
        ("2026-11-20T02:30:00Z", "2026-11-20T02:30:00Z"),
        ("yesterday", "yesterday"),
    ],
)
def test_moments_are_told_in_utc(sent: str, told: str) -> None:
    lines = lines_of([{**ENROLLMENT, "dateLastModified": sent}], delta=True)
    assert cells(lines)["dateLastModified"] == told
    assert lines.newest == (told if told.endswith("Z") else None)


def test_a_user_of_version_1_2_becomes_lines_of_three_files_without_a_password() -> None:
    profile = OneRosterApiProfile(user_profiles=True)
    collection = build_collection("users", "1.2")
    nested = tuple(nested_files(collection, profile, "1.2"))
    lines = lines_of([USER_1_2], "users", "1.2", nested)
    assert cells(lines, "users") == {
        "sourcedId": "u1",
        "enabledUser": "true",
        "username": "u1@example.org",
        "userIds": "{SSID:9000000001},{LDAP:x}",
        "givenName": "Given",
        "familyName": "Family",
        "preferredGivenName": "Giv",
        "agentSourcedIds": "g1,g2",
        "grades": "09,10",
        "primaryOrgSourcedId": "s1",
    }
    roles = lines.files["roles"]
    assert roles["sourcedId"].to_list() == ["u1/s1/student/primary", "u1/s2/aide/secondary"]
    assert roles["orgSourcedId"].to_list() == ["s1", "s2"]
    assert cells(lines, "userProfiles")["credentialType"] == "SSO"
    assert "PASSWORD-CANARY" not in str([frame.rows() for frame in lines.files.values()])


def test_profiles_of_users_are_left_alone_unless_they_are_asked_for() -> None:
    collection = build_collection("users", "1.2")
    assert nested_files(collection, OneRosterApiProfile(), "1.2") == ["roles"]


def test_demographics_are_not_asked_for_unless_columns_are_named() -> None:
    assert DEMOGRAPHICS not in [one.name for one in list_collections(OneRosterApiProfile(), "1.1")]
    only = build_collection(DEMOGRAPHICS, "1.1", ["birthDate"])
    body = b'{"demographics": [{"sourcedId": "u1", "birthDate": "2010-01-01", "sex": "female"}]}'
    lines = make_lines(read_page(body, build_shape(only)), only, (), delta=False)
    assert cells(lines, DEMOGRAPHICS) == {"sourcedId": "u1", "birthDate": "2010-01-01"}


def as_sent(body: bytes) -> pl.DataFrame:
    return read_page(body, build_shape(build_collection("enrollments", "1.1")))


@pytest.mark.parametrize(
    "body",
    [
        b'[{"sourcedId": "e1"}]',
        b'{"ENROLLMENTS": [{"sourcedId": "e1"}]}',
        b'\xef\xbb\xbf{"enrollments": [{"sourcedId": "e1"}]}',
        b'\xef\xbb\xbf[{"sourcedId": "e1"}]',
        b'{"enrollments": [{"sourcedId": "e1", "class": "c1"}], "warnings": []}',
    ],
)
def test_a_list_in_another_envelope_is_a_page(body: bytes) -> None:
    assert as_sent(body)["sourcedId"].to_list() == ["e1"]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"<html>login</html>", "a web page"),
        (b'{"enrollments": [{"sourcedId": "e1"}', "no JSON, or it breaks off"),
        (b"", "no JSON"),
        (b'{"data": []}', 'no list "enrollments"'),
        (b'{"enrollments": null}', 'no list "enrollments"'),
        (b'{"imsx_codeMajor": "failure"}', "an error in the place of records"),
        (b'{"enrollments": ["CANARY"]}', "no record"),
        (b'{"enrollments": [null]}', "no record"),
        (b'{"enrollments": [{"role": {"a": "CANARY"}}]}', "the field role"),
        (b'"text"', "no list of records"),
        (b'{"enrollments": [{"role": "\\ud83d"}]}', "no JSON"),
    ],
)
def test_what_is_no_page_is_told_without_its_values(body: bytes, said: str) -> None:
    with pytest.raises(PageFault, match=said) as raised:
        as_sent(body)
    assert "CANARY" not in str(raised.value)
    assert raised.value.__suppress_context__ or raised.value.__context__ is None


def test_records_read_one_by_one_are_the_same_as_those_read_at_once() -> None:
    at_once = as_sent(json.dumps({"enrollments": [ENROLLMENT]}).encode())
    one_by_one = as_sent(json.dumps([ENROLLMENT]).encode())
    assert at_once.equals(one_by_one)
