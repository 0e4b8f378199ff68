"""The oneroster family: rosters as student information systems export them.

Belongs here: the files of a set as feeds. Their columns are in ``files``, their words in
``vocabulary``, what lines must meet in ``rules``, headers in ``header_rules``, whole drops in
``package_rules``. The six files that are asked for are those of CCGI's page (``sources``);
manifest, demographics and what version 1.2 adds are accepted.
"""

from __future__ import annotations

import pandera.polars as pa

from ccgi_pipeline.feeds.oneroster import files, header_rules, package_rules, rules
from ccgi_pipeline.feeds.oneroster.header_rules import headers
from ccgi_pipeline.feeds.oneroster.vocabulary import GONE, SOURCE
from ccgi_pipeline.feeds.rules import Relation, Rule, Severity
from ccgi_pipeline.feeds.spec import FamilySpec, FeedSpec, Lifecycle

NAME = "oneroster"
MARKS_OF_1_2 = (
    "userMasterIdentifier",
    "preferredGivenName",
    "preferredFamilyName",
    "primaryOrgSourcedId",
    "pronouns",
)

SEPARATORS = (",", ";", "\t")
"""Spreadsheets of some countries write the others; only the first is the specification's."""

_Reference = tuple[list[Relation], list[Rule]]


def _feed(  # noqa: PLR0913 - what makes one file differ from the next
    name: str,
    prefix: str,
    model: type[pa.DataFrameModel],
    references: tuple[_Reference, ...] = (),
    own_rules: tuple[Rule, ...] = (),
    *,
    marks: dict[str, tuple[str, ...]] | None = None,
    foreign_marks: tuple[str, ...] = (),
    school: str | None = None,
    source: str = files.SPECIFICATION,
    checks: tuple[str, ...] = (),
    growth_guarded: bool = False,
    described_by: tuple[str, ...] = (),
    editions: tuple[str, ...] = (),
) -> FeedSpec:
    return FeedSpec(
        name=f"{NAME}_{name}",
        family=NAME,
        title=f"OneRoster {name}",
        prefix=prefix,
        model=model,
        stems=(name,),
        keys=("sourcedId",),
        described_by=described_by,
        lifecycle=Lifecycle.SNAPSHOT,
        repeated_key=Severity.ERROR,
        separators=SEPARATORS,
        source=source,
        checks=checks,
        headers=headers(*foreign_marks),
        edition_marks=marks or {},
        editions=editions,
        gone=("status", GONE),
        guarded=True,
        growth_guarded=growth_guarded,
        school=school,
        rules=(
            rules.guid_rule(prefix),
            *rules.mode_rules(prefix),
            *(rule for _, of_reference in references for rule in of_reference),
            *own_rules,
            *(
                (rules.grades_rule(prefix), rules.agreed_grades_rule(prefix))
                if hasattr(model, "grades")
                else ()
            ),
        ),
        relations=tuple(relation for relations, _ in references for relation in relations),
    )


MANIFEST = FeedSpec(
    name=f"{NAME}_manifest",
    family=NAME,
    manifest=True,
    title="OneRoster manifest",
    prefix="OR-MAN",
    model=files.Manifest,
    stems=("manifest",),
    separators=SEPARATORS,
    keys=("propertyName",),
    lifecycle=Lifecycle.SNAPSHOT,
    repeated_key=Severity.ERROR,
    source=SOURCE,
    headers=headers(),
    rules=rules.MANIFEST_RULES,
)
ORGS = _feed(
    "orgs",
    "OR-ORG",
    files.Org,
    (rules.reference("OR-ORG", "parentSourcedId", rules.ORGS, Severity.WARNING),),
    rules.parents_rules("OR-ORG", rules.ORGS),
)
ACADEMIC_SESSIONS = _feed(
    "academicSessions",
    "OR-SES",
    files.AcademicSession,
    (rules.reference("OR-SES", "parentSourcedId", rules.SESSIONS, Severity.WARNING),),
    (
        *rules.SESSION_RULES,
        rules.dates_rule("OR-SES", "startDate", "endDate", may_be_equal=False),
        *rules.parents_rules("OR-SES", rules.SESSIONS),
    ),
)
COURSES = _feed(
    "courses",
    "OR-CRS",
    files.Course,
    (
        rules.reference(
            "OR-CRS",
            "schoolYearSourcedId",
            rules.SESSIONS,
            Severity.WARNING,
            target_is=("type", "schoolYear"),
        ),
        rules.reference("OR-CRS", "orgSourcedId", rules.ORGS),
    ),
    (rules.subjects_rule("OR-CRS"), rules.doubtful_commas_rule("OR-CRS")),
    marks={"1.0": ("schoolYearId", "grade")},
)
CLASSES = _feed(
    "classes",
    "OR-CLS",
    files.Class,
    (
        rules.reference("OR-CLS", "courseSourcedId", rules.COURSES),
        rules.reference("OR-CLS", "schoolSourcedId", rules.ORGS, target_is=("type", "school")),
        rules.reference("OR-CLS", "termSourcedIds", rules.SESSIONS, many=True),
    ),
    (rules.subjects_rule("OR-CLS"), rules.doubtful_commas_rule("OR-CLS")),
    marks={"1.0": ("grade", "termSourcedId")},
    foreign_marks=("sessionSourcedIds", "orgSourcedId"),
    school="schoolSourcedId",
)
USERS = _feed(
    "users",
    "OR-USR",
    files.User,
    (
        rules.reference("OR-USR", "orgSourcedIds", rules.ORGS, many=True),
        rules.reference("OR-USR", "agentSourcedIds", rules.USERS, Severity.WARNING, many=True),
        rules.reference("OR-USR", "primaryOrgSourcedId", rules.ORGS, Severity.WARNING),
    ),
    rules.USER_RULES,
    marks={"1.2": MARKS_OF_1_2, "1.0": ("userId", "agents")},
    foreign_marks=("activeDirectoryMatchId",),
    checks=("students_are_those_of_the_transcripts",),
    school="orgSourcedIds",
    growth_guarded=True,
    described_by=("givenName", "familyName"),
)
ROLES = _feed(
    "roles",
    "OR-ROL",
    files.Role,
    (
        rules.reference("OR-ROL", "userSourcedId", rules.USERS),
        rules.reference("OR-ROL", "orgSourcedId", rules.ORGS),
        rules.reference("OR-ROL", "userProfileSourcedId", rules.PROFILES, Severity.WARNING),
    ),
    (
        *rules.ROLE_RULES,
        rules.dates_rule("OR-ROL", "beginDate", "endDate", may_be_equal=True),
    ),
    foreign_marks=("sessionSourcedId", "roleStartDate", "isPrimary"),
    school="orgSourcedId",
    source=files.VERSION_1_2,
    editions=files.SINCE_1_2,
)
USER_PROFILES = _feed(
    "userProfiles",
    "OR-PRO",
    files.UserProfile,
    (rules.reference("OR-PRO", "userSourcedId", rules.USERS),),
    (rules.password_rule("OR-PRO"),),
    source=files.VERSION_1_2,
    editions=files.SINCE_1_2,
)
ENROLLMENTS = _feed(
    "enrollments",
    "OR-ENR",
    files.Enrollment,
    (
        rules.reference("OR-ENR", "classSourcedId", rules.CLASSES),
        rules.reference("OR-ENR", "schoolSourcedId", rules.ORGS, target_is=("type", "school")),
        rules.reference("OR-ENR", "userSourcedId", rules.USERS),
    ),
    (
        *rules.ENROLLMENT_RULES,
        rules.dates_rule("OR-ENR", "beginDate", "endDate", may_be_equal=True),
    ),
    school="schoolSourcedId",
)
DEMOGRAPHICS = _feed(
    "demographics",
    "OR-DEM",
    files.Demographics,
    (rules.reference("OR-DEM", "sourcedId", rules.USERS),),
    marks={"1.0": ("userSourcedId",)},
    source=SOURCE,
)

FEEDS = (
    MANIFEST,
    ORGS,
    ACADEMIC_SESSIONS,
    COURSES,
    CLASSES,
    USERS,
    ROLES,
    USER_PROFILES,
    ENROLLMENTS,
    DEMOGRAPHICS,
)
"""In the order in which they refer to each other."""

FAMILY = FamilySpec(
    name=NAME,
    title="OneRoster set",
    comes_after=("cde_directory", "transcript"),
    rules=(*header_rules.RULES, *package_rules.RULES),
    nothing_sent=package_rules.NOTHING_TO_REFER_TO,
    changes_refer=package_rules.CHANGES_REFER,
    left_alone=package_rules.LEFT_ALONE_FILES,
    editions=files.SINCE_1_1,
    drop_rules="oneroster_sets",
    after_load=("oneroster_rosters",),
    feeds=FEEDS,
)
