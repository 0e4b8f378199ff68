"""Good OneRoster sets: the files of one small district, bulk, which fit each other.

Belongs here: what each line of such a set says, and the manifest that declares it. The tests break
these lines one at a time, so nothing in them may break a rule, not even a warning. Lines speak of
the first line of another file only; demographics, whose key is the user's, leave out the last user
but one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ccgi_pipeline.feeds.spec import FeedSpec

Line = dict[str, str]

ROSTERING = (
    "academicSessions", "classes", "courses", "demographics", "enrollments", "orgs", "roles",
    "userProfiles", "users",
)  # fmt: skip
"""The files of a set that are read, besides the manifest."""
LEFT_ALONE = (
    "categories", "classResources", "courseResources", "lineItemLearningObjectiveIds", "lineItems",
    "lineItemScoreScales", "resources", "resultLearningObjectiveIds", "results",
    "resultScoreScales", "scoreScales", "userResources",
)  # fmt: skip
"""The other files of version 1.2: gradebook and resources."""
FIRST_DAY, LAST_DAY = "2026-08-01", "2027-07-31"
"""The sessions' dates, so far apart that no other date in the set lies outside."""


def sourced_id(feed_name: str, number: int) -> str:
    """The id of the line ``number`` of a file: ``orgs-0``."""
    return f"{feed_name.removeprefix('oneroster_')}-{number}"


def manifest_lines(
    modes: Mapping[str, str] | None = None,
    version: str = "1.2",
    *,
    present: Iterable[str] = ROSTERING,
) -> list[Line]:
    """A manifest of ``present`` files, bulk unless ``modes`` says otherwise, all others absent.

    Neither its first line nor the last but one speaks of a file that anybody reads.
    """
    modes = {**dict.fromkeys(present, "bulk"), **(modes or {})}
    files = [*LEFT_ALONE, *ROSTERING]
    files.remove("classResources")
    files.remove("categories")
    said = [
        ("file.classResources", modes.get("classResources", "absent")),
        ("manifest.version", "1.0"),
        ("oneroster.version", version),
        *((f"file.{name}", modes.get(name, "absent")) for name in files),
        ("file.categories", modes.get("categories", "absent")),
        ("source.systemName", "Student System"),
    ]
    return [{"propertyName": name, "value": value} for name, value in said]


def oneroster_lines(feed: FeedSpec, count: int) -> list[Line]:
    """``count`` good lines of a file that is not the manifest."""
    if feed.name == "oneroster_demographics":
        users = [number for number in range(count) if number != count - 2]
        return [_line(feed, number) for number in users]
    return [_line(feed, number) for number in range(count)]


def _line(feed: FeedSpec, number: int) -> Line:
    name = feed.name.removeprefix("oneroster_")
    first = number == 0
    said = {
        "sourcedId": sourced_id("users" if name == "demographics" else name, number),
        "status": "",
        "dateLastModified": "",
        **_SHARED,
        **_OF_FILE.get(name, {}),
        # in every other line, so that a line given the first one's id is not its own parent
        "parentSourcedId": sourced_id(name, 0) if number % 2 else "",
        "agentSourcedIds": "" if first else sourced_id("users", 0),
    }
    if name == "academicSessions":
        said["type"] = ("schoolYear", "term", "semester", "gradingPeriod")[number % 4]
    if name == "users":
        said["role"] = "teacher" if first else "student"
        said["username"] = f"user{number}"
        said["familyName"] = f"Surname{number}"
    if name == "enrollments":
        said["role"] = "teacher" if first else "student"
        said["primary"] = "true" if first else "false"
    if name == "roles":
        said["roleType"] = "primary" if first else "secondary"
    if name == "orgs":
        said["name"] = f"School {number}"
    return {column: said.get(column, f"{column} {number}") for column in feed.columns}


_SHARED = {
    "orgSourcedId": sourced_id("orgs", 0),
    "orgSourcedIds": sourced_id("orgs", 0),
    "primaryOrgSourcedId": sourced_id("orgs", 0),
    "schoolSourcedId": sourced_id("orgs", 0),
    "schoolYearSourcedId": sourced_id("academicSessions", 0),
    "termSourcedIds": sourced_id("academicSessions", 0),
    "courseSourcedId": sourced_id("courses", 0),
    "classSourcedId": sourced_id("classes", 0),
    "userSourcedId": sourced_id("users", 0),
    "userProfileSourcedId": sourced_id("userProfiles", 0),
    "startDate": FIRST_DAY,
    "endDate": LAST_DAY,
    "beginDate": "2026-08-17",
    "schoolYear": "2027",
    "grades": "09",
    "subjects": "Algebra I",
    "subjectCodes": "02052",
    "periods": "1",
    "enabledUser": "true",
    "userIds": "{LDAP:someone}",
    "password": "",
}
_OF_FILE: Mapping[str, Line] = {
    "orgs": {"type": "school", "identifier": "062958004523"},
    "classes": {"classType": "scheduled", "grades": "09,10"},
    "courses": {"grades": "09,10"},
    "enrollments": {"endDate": "2027-06-11"},
    "roles": {"role": "student", "endDate": "2027-06-11"},
    "userProfiles": {"credentialType": "OAuth"},
    "demographics": {
        "birthDate": "2010-03-01",
        "sex": "female",
        "americanIndianOrAlaskaNative": "false",
        "asian": "false",
        "blackOrAfricanAmerican": "false",
        "nativeHawaiianOrOtherPacificIslander": "false",
        "white": "true",
        "demographicRaceTwoOrMoreRaces": "false",
        "hispanicOrLatinoEthnicity": "true",
        "countryOfBirthCode": "US",
        "stateOfBirthAbbreviation": "CA",
        "cityOfBirth": "Palm Springs",
        "publicSchoolResidenceStatus": "01652",
    },
}
