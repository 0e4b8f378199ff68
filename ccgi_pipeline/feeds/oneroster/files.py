"""Declares the columns of OneRoster files, in the order and spelling of the specification.

Belongs here: what each column is. The six files and their requirements are those of
CCGI's page (``sources``), which has version 1.1; what version 1.2 adds comes after, with the
versions that have it (``editions``). Does not belong here: what lines must meet (rules).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandera.polars as pa
import polars as pl

from ccgi_pipeline.feeds import sources
from ccgi_pipeline.feeds.columns import CodeSet, Requirement, column
from ccgi_pipeline.feeds.oneroster import sced_titles
from ccgi_pipeline.feeds.oneroster import vocabulary as words
from ccgi_pipeline.feeds.rules import Severity

SPECIFICATION = sources.ONEROSTER.title
REQUIRED, CONDITIONAL = Requirement.REQUIRED, Requirement.CONDITIONAL
UNTIL_1_1, SINCE_1_1, SINCE_1_2 = ("1.0", "1.1"), ("1.1", "1.2"), ("1.2",)
ONLY_1_2_0 = ("1.2.0",)
"""No file shows that it is of this one, so the column is never missed."""
VERSION_1_2 = "OneRoster CSV binding 1.2"

GUID_LENGTH = 255
"""Characters of an id; the binding says fewer than 256."""


def _id(description: str, *, pii: bool = False, former: tuple[str, ...] = (), source: str) -> Any:  # noqa: ANN401 - see column
    return column(
        f"{description} (GUID).",
        requirement=REQUIRED,
        length=GUID_LENGTH,
        pii=pii,
        former=former,
        source=source,
    )


def _ref(  # noqa: PLR0913 - see column
    description: str,
    *,
    requirement: Requirement = Requirement.OPTIONAL,
    listed: bool = False,
    pii: bool = False,
    editions: tuple[str, ...] = (),
    former: tuple[str, ...] = (),
    source: str = SPECIFICATION,
) -> Any:  # noqa: ANN401
    what = "list of GUID references" if listed else "GUID reference"
    return column(
        f"{description} ({what}).",
        requirement=requirement,
        listed=listed,
        pii=pii,
        editions=editions,
        former=former,
        source=source,
    )


def _status(source: str = SPECIFICATION) -> Any:  # noqa: ANN401
    return column(
        "Whether the record is or is to be deleted: in delta files only.",
        requirement=CONDITIONAL,
        codes=words.STATUS,
        exact=True,
        also=words.STATUS_ALSO,
        wrong=Severity.ERROR,
        source=source,
    )


def _modified(source: str = SPECIFICATION) -> Any:  # noqa: ANN401
    return column(
        "When the record was last modified, in UTC: in delta files only.",
        requirement=CONDITIONAL,
        understood=("%Y-%m-%dT%H:%M:%S%.fZ", "%Y-%m-%dT%H:%MZ", "%Y-%m-%d"),
        source=source,
    )


def _text(  # noqa: PLR0913 - see column
    description: str,
    requirement: Requirement = Requirement.OPTIONAL,
    *,
    pii: bool = False,
    restricted: bool = False,
    editions: tuple[str, ...] = (),
    former: tuple[str, ...] = (),
    source: str = SPECIFICATION,
) -> Any:  # noqa: ANN401
    return column(
        description,
        requirement=requirement,
        pii=pii,
        restricted=restricted,
        editions=editions,
        former=former,
        source=source,
    )


def _word(  # noqa: PLR0913 - see column
    description: str,
    codes: CodeSet,
    requirement: Requirement = REQUIRED,
    *,
    also: Mapping[str, str] | None = None,
    extended: bool = True,
    pii: bool = False,
    editions: tuple[str, ...] = (),
    source: str = SPECIFICATION,
) -> Any:  # noqa: ANN401
    return column(
        description,
        requirement=requirement,
        codes=codes,
        exact=True,
        also=also,
        extended=extended,
        pii=pii,
        editions=editions,
        source=source,
    )


def _grades(
    description: str,
    requirement: Requirement = Requirement.OPTIONAL,
    *,
    former: tuple[str, ...] = (),
    pii: bool = False,
) -> Any:  # noqa: ANN401
    return column(
        f"{description}, in CEDS codes (list).",
        requirement=requirement,
        codes=words.GRADE,
        exact=True,
        also=words.GRADE_ALSO,
        codes_in=UNTIL_1_1,
        listed=True,
        former=former,
        pii=pii,
        source=SPECIFICATION,
    )


def _subjects() -> Any:  # noqa: ANN401
    return column(
        "SCED course titles, without their commas (list).",
        names_with_commas=sced_titles.TITLES,
        example="Algebra I",
        source=SPECIFICATION,
    )


def _yes_or_no(
    description: str,
    requirement: Requirement = Requirement.OPTIONAL,
    *,
    pii: bool = False,
    editions: tuple[str, ...] = (),
    source: str = SPECIFICATION,
) -> Any:  # noqa: ANN401
    return column(
        f"{description}: true or false.",
        requirement=requirement,
        exact=True,
        pii=pii,
        restricted=pii,
        editions=editions,
        source=source,
    )


def _day(description: str, source: str) -> Any:  # noqa: ANN401
    """A date that may be blank; one that cannot be read keeps the record out, as its day counts."""
    return column(description, formats=("%Y-%m-%d",), wrong=Severity.ERROR, source=source)


class Manifest(pa.DataFrameModel):
    """What the set says of itself: its version, and the mode of each file."""

    propertyName: str = column(
        "What is said.", requirement=REQUIRED, example="manifest.version", source=words.SOURCE
    )
    value: str = column("Its value.", source=words.SOURCE)


class AcademicSession(pa.DataFrameModel):
    """A school year, a term or a grading period."""

    sourcedId: str = _id("SourcedId of this academic session", source=SPECIFICATION)
    status: str = _status()
    dateLastModified: pl.Datetime = _modified()
    title: str = _text("Name or title of the academic session.", REQUIRED)
    type: str = _word("Kind of session.", words.SESSION_TYPE, also=words.SESSION_TYPE_ALSO)
    startDate: pl.Date = column(
        "Inclusive start date.", requirement=REQUIRED, formats=("%Y-%m-%d",), source=SPECIFICATION
    )
    endDate: pl.Date = column(
        "Exclusive end date.", requirement=REQUIRED, formats=("%Y-%m-%d",), source=SPECIFICATION
    )
    parentSourcedId: str = _ref("The session that this one is a part of")
    schoolYear: int = column(
        "The school year to which it contributes, by the year in which it ends: YYYY.",
        requirement=REQUIRED,
        year=True,
        editions=SINCE_1_1,
        source=SPECIFICATION,
    )


class Org(pa.DataFrameModel):
    """A school, a district, or another part of one."""

    sourcedId: str = _id("Unique id of the organization", source=SPECIFICATION)
    status: str = _status()
    dateLastModified: pl.Datetime = _modified()
    name: str = _text(
        "Name of the organization. Other files call theirs title; this one has name.", REQUIRED
    )
    type: str = _word("Kind of organization.", words.ORG_TYPE)
    identifier: str = _text("NCES ID of the school or district, or its CDS code.")
    parentSourcedId: str = _ref("The organization that this one belongs to")


class Course(pa.DataFrameModel):
    """A course of study, which classes teach."""

    sourcedId: str = _id("Unique id of the course", source=SPECIFICATION)
    status: str = _status()
    dateLastModified: pl.Datetime = _modified()
    schoolYearSourcedId: str = _ref(
        "An academic session of type schoolYear", former=("schoolYearId",)
    )
    title: str = _text("Name of the course.", REQUIRED)
    courseCode: str = _text("Human readable course code.")
    grades: str = _grades("Grades that attend", former=("grade",))
    orgSourcedId: str = _ref("The organization to which the course belongs", requirement=REQUIRED)
    subjects: str = _subjects()
    subjectCodes: str = _text("SCED course codes, as many as subjects (list).")


class Class(pa.DataFrameModel):
    """A class: a course taught at a school in some terms."""

    sourcedId: str = _id("Unique id of the class", source=SPECIFICATION)
    status: str = _status()
    dateLastModified: pl.Datetime = _modified()
    title: str = _text("Name of the class.", REQUIRED)
    grades: str = _grades("Grades that attend", former=("grade",))
    courseSourcedId: str = _ref("The course of which it is an instance", requirement=REQUIRED)
    classCode: str = _text("Human readable code of the class.")
    classType: str = _word("Kind of class.", words.CLASS_TYPE)
    location: str = _text("Where it meets.")
    schoolSourcedId: str = _ref(
        "The organization of type school that teaches it", requirement=REQUIRED
    )
    termSourcedIds: str = _ref(
        "The academic sessions in which it is taught",
        requirement=REQUIRED,
        listed=True,
        former=("termSourcedId",),
    )
    subjects: str = _subjects()
    subjectCodes: str = _text("SCED course codes, as many as subjects (list).")
    periods: str = _text("Time slots of the day (list).")


class User(pa.DataFrameModel):
    """A student, a teacher, or another person."""

    sourcedId: str = _id("Unique id of the user", pii=True, source=SPECIFICATION)
    status: str = _status()
    dateLastModified: pl.Datetime = _modified()
    enabledUser: bool = _yes_or_no(
        "false where the user's access is curtailed", REQUIRED, editions=SINCE_1_1
    )
    orgSourcedIds: str = _ref(
        "The organizations to which the user belongs",
        requirement=REQUIRED,
        listed=True,
        editions=UNTIL_1_1,
    )
    role: str = _word("The user's role.", words.USER_ROLE, extended=False, editions=UNTIL_1_1)
    username: str = _text("User name.", REQUIRED, pii=True)
    userIds: str = _text(
        "Ids of other systems, {Type:Id} (list).", pii=True, restricted=True, former=("userId",)
    )
    givenName: str = _text("First name.", REQUIRED, pii=True)
    familyName: str = _text("Surname.", REQUIRED, pii=True)
    middleName: str = _text("Middle names, with blanks between them.", pii=True)
    identifier: str = _text(
        "Identifier with a human readable meaning, such as the student's local ID or SSID.",
        pii=True,
        restricted=True,
    )
    email: str = _text("Email address.", pii=True)
    sms: str = _text("SMS address.", pii=True)
    phone: str = _text("Phone number.", pii=True)
    agentSourcedIds: str = _ref(
        "Users to whom this one is related, usually parents",
        listed=True,
        pii=True,
        former=("agents",),
    )
    grades: str = _grades("Grades of a student", CONDITIONAL, pii=True)
    password: str = _text("Password. Best left blank.", pii=True, restricted=True)
    userMasterIdentifier: str = _text(
        "One id of the person in all systems.",
        pii=True,
        restricted=True,
        editions=SINCE_1_2,
        source=VERSION_1_2,
    )
    resourceSourcedIds: str = _text(
        "Resources; 1.2.1 took the column out again (list).",
        editions=ONLY_1_2_0,
        source=VERSION_1_2,
    )
    preferredGivenName: str = _text(
        "Preferred first name.", pii=True, editions=SINCE_1_2, source=VERSION_1_2
    )
    preferredMiddleName: str = _text(
        "Preferred middle names.", pii=True, editions=SINCE_1_2, source=VERSION_1_2
    )
    preferredFamilyName: str = _text(
        "Preferred surname.", pii=True, editions=SINCE_1_2, source=VERSION_1_2
    )
    primaryOrgSourcedId: str = _ref(
        "The user's primary organization", editions=SINCE_1_2, source=VERSION_1_2
    )
    pronouns: str = _text("Pronouns.", pii=True, editions=SINCE_1_2, source=VERSION_1_2)


class Enrollment(pa.DataFrameModel):
    """A user's place in a class, as student, teacher or otherwise."""

    sourcedId: str = _id("Unique id of this enrollment", pii=True, source=SPECIFICATION)
    status: str = _status()
    dateLastModified: pl.Datetime = _modified()
    classSourcedId: str = _ref("The class", requirement=REQUIRED)
    schoolSourcedId: str = _ref("An organization of type school", requirement=REQUIRED)
    userSourcedId: str = _ref("The user", requirement=REQUIRED, pii=True)
    role: str = _word("The user's role in the class.", words.ENROLLMENT_ROLE)
    primary: bool = _yes_or_no("Whether a teacher is the class's primary one")
    beginDate: pl.Date = _day("Inclusive start date.", SPECIFICATION)
    endDate: pl.Date = _day("Exclusive end date.", SPECIFICATION)


class Demographics(pa.DataFrameModel):
    """Birth and background of a user. Accepted, not asked for."""

    sourcedId: str = _id(
        "SourcedId of the user", pii=True, former=("userSourcedId",), source=words.SOURCE
    )
    status: str = _status(words.SOURCE)
    dateLastModified: pl.Datetime = _modified(words.SOURCE)
    birthDate: pl.Date = column(
        "Birth date.", formats=("%Y-%m-%d",), pii=True, restricted=True, source=words.SOURCE
    )
    sex: str = _word(
        "Sex.", words.SEX, Requirement.OPTIONAL, also=words.SEX_ALSO, pii=True, source=words.SOURCE
    )
    americanIndianOrAlaskaNative: bool = _yes_or_no(
        "American Indian or Alaska Native", pii=True, source=words.SOURCE
    )
    asian: bool = _yes_or_no("Asian", pii=True, source=words.SOURCE)
    blackOrAfricanAmerican: bool = _yes_or_no(
        "Black or African American", pii=True, source=words.SOURCE
    )
    nativeHawaiianOrOtherPacificIslander: bool = _yes_or_no(
        "Native Hawaiian or other Pacific Islander", pii=True, source=words.SOURCE
    )
    white: bool = _yes_or_no("White", pii=True, source=words.SOURCE)
    demographicRaceTwoOrMoreRaces: bool = _yes_or_no(
        "Two or more races", pii=True, source=words.SOURCE
    )
    hispanicOrLatinoEthnicity: bool = _yes_or_no(
        "Hispanic or Latino", pii=True, source=words.SOURCE
    )
    countryOfBirthCode: str = _text("Country of birth.", pii=True, source=words.SOURCE)
    stateOfBirthAbbreviation: str = _text("State of birth.", pii=True, source=words.SOURCE)
    cityOfBirth: str = _text("City of birth.", pii=True, source=words.SOURCE)
    publicSchoolResidenceStatus: str = _text(
        "Public school residence status.", pii=True, source=words.SOURCE
    )


class Role(pa.DataFrameModel):
    """A user's role at an organization (version 1.2)."""

    sourcedId: str = _id("Unique id of this role", pii=True, source=VERSION_1_2)
    status: str = _status(VERSION_1_2)
    dateLastModified: pl.Datetime = _modified(VERSION_1_2)
    userSourcedId: str = _ref("The user", requirement=REQUIRED, pii=True, source=VERSION_1_2)
    roleType: str = _word(
        "Primary or secondary: a user has one primary role at an organization.",
        words.ROLE_RANK,
        extended=False,
        source=VERSION_1_2,
    )
    role: str = _word("The role.", words.ROLE, source=VERSION_1_2)
    beginDate: pl.Date = _day("Start date.", VERSION_1_2)
    endDate: pl.Date = _day("End date.", VERSION_1_2)
    orgSourcedId: str = _ref("The organization", requirement=REQUIRED, source=VERSION_1_2)
    userProfileSourcedId: str = _ref("The profile used in the role", pii=True, source=VERSION_1_2)


class UserProfile(pa.DataFrameModel):
    """A user's account in some application (version 1.2)."""

    sourcedId: str = _id("Unique id of this profile", pii=True, source=VERSION_1_2)
    status: str = _status(VERSION_1_2)
    dateLastModified: pl.Datetime = _modified(VERSION_1_2)
    userSourcedId: str = _ref("The user", requirement=REQUIRED, pii=True, source=VERSION_1_2)
    profileType: str = _text("Kind of profile.", REQUIRED, source=VERSION_1_2)
    vendorId: str = _text("Vendor of the application.", REQUIRED, source=VERSION_1_2)
    applicationId: str = _text("The application.", source=VERSION_1_2)
    description: str = _text("What it is for.", source=VERSION_1_2)
    credentialType: str = _text("Kind of credential.", REQUIRED, source=VERSION_1_2)
    username: str = _text("User name there.", REQUIRED, pii=True, source=VERSION_1_2)
    password: str = _text(
        "Password there. Best left blank.", pii=True, restricted=True, source=VERSION_1_2
    )
