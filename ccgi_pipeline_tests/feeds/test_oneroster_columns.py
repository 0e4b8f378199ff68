"""The columns of the six files, typed in by hand from the tables of CCGI's page on OneRoster.

Belongs here: name, requirement and format of each column as the page prints them, and that the data
dictionary says the same at the head of each feed; what version 1.2 adds comes after. "Yes for
Delta" and "Only for student records" are conditions. Of an enumeration whose values the page
prints, the values; of the others (sections 4.13.x) those of the binding.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from ccgi_pipeline.dictionary.objects import render_json
from ccgi_pipeline.feeds import sources

TITLE = sources.ONEROSTER.title

PRINTED = {
    "academicSessions": """
        sourcedId           | Yes           | GUID
        status              | Yes for Delta | Enumeration
        dateLastModified    | Yes for Delta | DateTime
        title               | Yes           | String
        type                | Yes           | Enumeration
        startDate           | Yes           | Date
        endDate             | Yes           | Date
        parentSourcedId     | No            | GUID Reference.
        schoolYear          | Yes           | Year
    """,
    "classes": """
        sourcedId           | Yes           | GUID
        status              | Yes for Delta | Enumeration
        dateLastModified    | Yes for Delta | DateTime
        title               | Yes           | String
        grades              | No            | List of Strings
        courseSourcedId     | Yes           | GUID Reference.
        classCode           | No            | String
        classType           | Yes           | Enumeration
        location            | No            | String
        schoolSourcedId     | Yes           | GUID Reference.
        termSourcedIds      | Yes           | List of GUID References.
        subjects            | No            | List of Strings
        subjectCodes        | No            | List of Strings
        periods             | No            | List of Strings
    """,
    "courses": """
        sourcedId           | Yes           | GUID
        status              | Yes for Delta | Enumeration
        dateLastModified    | Yes for Delta | DateTime
        schoolYearSourcedId | No            | GUID Reference.
        title               | Yes           | String
        courseCode          | No            | String
        grades              | No            | List of Strings
        orgSourcedId        | Yes           | GUID Reference.
        subjects            | No            | List of Strings
        subjectCodes        | No            | String
    """,
    "orgs": """
        sourcedId           | Yes           | GUID
        status              | Yes for Delta | Enumeration
        dateLastModified    | Yes for Delta | DateTime
        name                | Yes           | String
        type                | Yes           | Enumeration
        identifier          | No            | String
        parentSourcedId     | No            | GUID Reference.
    """,
    "enrollments": """
        sourcedId           | Yes           | GUID
        status              | Yes for Delta | Enumeration
        dateLastModified    | Yes for Delta | DateTime
        classSourcedId      | Yes           | GUID Reference.
        schoolSourcedId     | Yes           | GUID Reference.
        userSourcedId       | Yes           | GUID Reference.
        role                | Yes           | Enumeration
        primary             | No            | Enumeration true false
        beginDate           | No            | Date
        endDate             | No            | Date
    """,
    "users": """
        sourcedId           | Yes           | GUID
        status              | Yes for Delta | Enumeration
        dateLastModified    | Yes for Delta | DateTime
        enabledUser         | Yes           | Enumeration true false
        orgSourcedIds       | Yes           | List of GUID References.
        role                | Yes           | Enumeration
        username            | Yes           | String
        userIds             | No            | List of Strings
        givenName           | Yes           | String
        familyName          | Yes           | String
        middleName          | No            | String
        identifier          | No            | String
        email               | No            | String
        sms                 | No            | String
        phone               | No            | String
        agentSourcedIds     | No            | List of GUID References
        grades              | Only for student records | String
        password            | No            | String
    """,
}
"""Column, "Required" and "Format" of each file, in the order of the page."""

_REQUIREMENT = {
    "Yes": "required",
    "No": "optional",
    "Yes for Delta": "conditional",
    "Only for student records": "conditional",
}
_TYPE = {
    "DateTime": "timestamp",
    "Date": "date",
    "Year": "year",
    "Enumeration true false": "boolean",
}
"""The dictionary's word for a format; all others are texts."""
ADDED_BY_1_2 = {
    "users": [
        "userMasterIdentifier",
        "resourceSourcedIds",
        "preferredGivenName",
        "preferredMiddleName",
        "preferredFamilyName",
        "primaryOrgSourcedId",
        "pronouns",
    ]
}
ENUMERATIONS = {
    ("academicSessions", "type"): "gradingPeriod semester schoolYear term",
    ("classes", "classType"): "homeroom scheduled",
    ("orgs", "type"): "department school district local state national",
    ("enrollments", "role"): "administrator proctor student teacher",
    ("users", "role"): "administrator aide guardian parent proctor relative student teacher",
    **{(name, "status"): "active tobedeleted" for name in PRINTED},
}


def _rows(printed: str) -> list[tuple[str, str, str]]:
    cells = (line.split("|") for line in printed.strip().splitlines())
    return [(name.strip(), required.strip(), form.strip()) for name, required, form in cells]


@pytest.fixture(scope="module")
def feeds() -> dict[str, dict[str, Any]]:
    """The feeds of the family as the dictionary tells them, by file."""
    return {
        feed["name"].removeprefix("oneroster_"): feed
        for feed in json.loads(render_json())["feeds"]
        if feed["family"] == "oneroster"
    }


@pytest.mark.parametrize("name", PRINTED)
def test_the_columns_are_those_of_the_printed_table(name: str, feeds: dict[str, dict[str, Any]]):
    expected = [
        (column, _REQUIREMENT[required], _TYPE.get(form, "string"))
        for column, required, form in _rows(PRINTED[name])
    ]
    columns = feeds[name]["columns"]
    head = columns[: len(expected)]
    assert [(c["name"], c["requirement"], c["type"]) for c in head] == expected
    assert {column["source"] for column in head} == {TITLE}


@pytest.mark.parametrize("name", PRINTED)
def test_what_version_1_2_adds_comes_last_and_is_optional(
    name: str, feeds: dict[str, dict[str, Any]]
):
    added = feeds[name]["columns"][len(_rows(PRINTED[name])) :]
    assert [column["name"] for column in added] == ADDED_BY_1_2.get(name, [])
    assert {column["requirement"] for column in added} <= {"optional"}


@pytest.mark.parametrize("name", PRINTED)
def test_an_id_has_fewer_than_256_characters(name: str, feeds: dict[str, dict[str, Any]]):
    lengths = {column["name"]: column["length"] for column in feeds[name]["columns"]}
    assert lengths.pop("sourcedId") == 255
    assert set(lengths.values()) == {None}


@pytest.mark.parametrize(("name", "column"), ENUMERATIONS, ids=str)
def test_an_enumeration_has_the_values_of_the_binding(
    name: str, column: str, feeds: dict[str, dict[str, Any]]
):
    (told,) = [found for found in feeds[name]["columns"] if found["name"] == column]
    assert sorted(told["codes"]) == sorted(ENUMERATIONS[name, column].split())


@pytest.mark.parametrize("name", ["classes", "courses", "users"])
def test_grades_are_those_of_ceds(name: str, feeds: dict[str, dict[str, Any]]):
    (grades,) = [found for found in feeds[name]["columns"] if found["name"] == "grades"]
    numbered = [f"{grade:02d}" for grade in range(1, 14)]
    assert set(grades["codes"]) == {"IT", "PR", "PK", "TK", "KG", *numbered, "PS", "UG", "Other"}


def test_the_set_has_the_six_files_and_those_that_are_accepted(feeds: dict[str, dict[str, Any]]):
    accepted = {"manifest", "demographics", "roles", "userProfiles"}
    assert set(feeds) == {*PRINTED, *accepted}


def test_every_file_is_a_full_set_with_one_id_and_quotes(feeds: dict[str, dict[str, Any]]):
    assert feeds.pop("manifest")["keys"] == ["propertyName"]
    assert {tuple(feed["keys"]) for feed in feeds.values()} == {("sourcedId",)}
    assert {(feed["lifecycle"], feed["quote"]) for feed in feeds.values()} == {("snapshot", '"')}
