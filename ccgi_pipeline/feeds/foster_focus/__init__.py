"""The foster_focus family: what a district sends nightly about its foster youth.

Belongs here: the nine extracts as feeds. Their columns are in ``extracts``, the 41 rules in
``verify_data_meets``, further rules in ``other_rules``, findings of links in ``link_rules``. The
source is the Foster Focus Data Link Specifications. Where a district's unique IDs are not
permanent, a record is known by the combination of columns in ``keys``.
"""

from __future__ import annotations

from datetime import date

import pandera.polars as pa
import polars as pl

from ccgi_pipeline.feeds import sources
from ccgi_pipeline.feeds.foster_focus import extracts, link_rules, other_rules
from ccgi_pipeline.feeds.foster_focus import verify_data_meets as verify
from ccgi_pipeline.feeds.foster_focus.comparisons import CHILD
from ccgi_pipeline.feeds.rules import Relation, Rule, Scope, Severity
from ccgi_pipeline.feeds.spec import FamilySpec, FeedSpec, KeptWhile, Lifecycle, Link

NAME = "foster_focus"
_LINKED = KeptWhile(table="child_links", columns={name: name for name in CHILD})


def _feed(  # noqa: PLR0913 - what makes one extract differ from the next
    extract: str,
    prefix: str,
    page: int,
    model: type[pa.DataFrameModel],
    keys: tuple[str, ...],
    rules: tuple[Rule, ...],
    *,
    near_keys: tuple[str, ...] = (),
    relations: tuple[Relation, ...] = (),
    repeats_told_by: str | None = None,
    repeated_key: Severity = Severity.WARNING,
    police_columns: tuple[str, ...] = (),
    decides_links: bool = False,
) -> FeedSpec:
    name = f"{NAME}_{extract}"
    only_foster_youth = (
        ()
        if name in {verify.DEM, verify.ENR, verify.SPE}  # DEM-1, DEM-2 and SPE-2 say it there
        else (other_rules.in_demographics(prefix, name),)
    )
    strict = other_rules.STRICT.get(prefix)
    return FeedSpec(
        name=name,
        family=NAME,
        title=f"Foster Focus {extract.replace('_', ' ')}",
        prefix=prefix,
        model=model,
        stems=(extract.replace("_", " "),),
        name_in_profile=extract,
        keys=(*CHILD, *keys),
        near_keys=(*CHILD, *near_keys) if near_keys else (),
        correction=link_rules.CORRECTION if near_keys else None,
        unique_id="UniqueID",
        lifecycle=Lifecycle.UPSERT,
        source=sources.FOSTER_FOCUS.page(page),
        separators=("\t",),
        quote=None,
        one_date_form=True,
        foster=True,
        ssid="SSID",
        district="SystemID",
        kept_while=_LINKED,
        police_columns=police_columns,
        decides_links=decides_links,
        repeated_key=repeated_key,
        repeats_told_by=repeats_told_by,
        rules=(
            *rules,
            *other_rules.common_rules(prefix, page),
            *only_foster_youth,
            *((strict,) if strict else ()),
        ),
        relations=relations,
    )


def _known_school(_: date) -> pl.Expr:
    return pl.col("school_is_known")


_SCHOOL_IS_KNOWN = Relation(
    name="school_is_known",
    target="cde_directory",
    column="SchoolCDSCode",
    target_column="CDSCode",
    scope=Scope.STATE,
    known_prefix=7,
)
_SCHOOL = Rule(
    id="FF-ENR-SCHOOL",
    severity=Severity.WARNING,
    text="SchoolCDSCode is no school of the district in the state's directory.",
    fix="Check the CDS code.",
    source="this project; CDE's public directory of schools",
    column="SchoolCDSCode",
    passes=_known_school,
    counterexample={"SchoolCDSCode": "{sender}9999999"},
)

DEMOGRAPHICS = _feed(
    "demographics",
    "FF-DEM",
    6,
    extracts.Demographics,
    (),
    (*verify.DEMOGRAPHICS, *other_rules.DEMOGRAPHICS),
    decides_links=True,
)
ENROLLMENT_HISTORY = _feed(
    "enrollment_history",
    "FF-ENR",
    7,
    extracts.EnrollmentHistory,
    ("EntryDate", "SISSchoolCode"),
    (*verify.ENROLLMENT_HISTORY, *other_rules.ENROLLMENT_HISTORY, _SCHOOL),
    near_keys=("EntryDate",),
    relations=(_SCHOOL_IS_KNOWN,),
)
ATTENDANCE_PERIODS = _feed(
    "attendance_periods",
    "FF-ATP",
    9,
    extracts.AttendancePeriods,
    ("SchoolDate",),
    (*verify.ATTENDANCE_PERIODS, *other_rules.ATTENDANCE_PERIODS),
    repeats_told_by="FF-ATP-1",
)
ATTENDANCE_EXCEPTIONS = _feed(
    "attendance_exceptions",
    "FF-ATX",
    10,
    extracts.AttendanceExceptions,
    ("AttendDate", "Period"),
    verify.ATTENDANCE_EXCEPTIONS,
    repeats_told_by="FF-ATX-2",
)
TEST_SCORES = _feed(
    "test_scores",
    "FF-TST",
    11,
    extracts.TestScores,
    ("TestDate", "TestType", "TestSubType", "TestScoreType"),
    (*verify.TEST_SCORES, *other_rules.TEST_SCORES),
)
SPECIAL_EDUCATION = _feed(
    "special_education",
    "FF-SPE",
    13,
    extracts.SpecialEducation,
    (),
    (*verify.SPECIAL_EDUCATION, *other_rules.SPECIAL_EDUCATION),
    repeated_key=Severity.ERROR,
    repeats_told_by="FF-SPE-1",
)
GPA = _feed(
    "gpa",
    "FF-GPA",
    14,
    extracts.Gpa,
    ("SchoolYear", "TermDescript", "GPATypeDescript", "CalculationDate", "SISSchoolCode"),
    (*verify.GPAS, *other_rules.GPAS),
    near_keys=("SchoolYear", "TermDescript", "GPATypeDescript", "CalculationDate"),
)
BEHAVIOR = _feed(
    "behavior",
    "FF-BEH",
    16,
    extracts.Behavior,
    ("PenEventDate", "PenaltyTypeDesc"),
    verify.BEHAVIOR,
    repeats_told_by="FF-BEH-5",
    police_columns=("PenaltyTypeCode", "PenaltyTypeDesc"),
)
TRANSCRIPTS = _feed(
    "transcripts",
    "FF-TRN",
    17,
    extracts.Transcripts,
    ("SchYear", "TermDescript", "CourseNumber", "SISSchoolCode"),
    verify.TRANSCRIPTS,
    near_keys=("SchYear", "TermDescript", "CourseNumber"),
)

FEEDS = (
    DEMOGRAPHICS,
    ENROLLMENT_HISTORY,
    ATTENDANCE_PERIODS,
    ATTENDANCE_EXCEPTIONS,
    TEST_SCORES,
    SPECIAL_EDUCATION,
    GPA,
    BEHAVIOR,
    TRANSCRIPTS,
)

FAMILY = FamilySpec(
    name=NAME,
    title="Foster Focus extracts",
    comes_after=("foster_focus_cps",),
    rules=link_rules.LINKING_RULES,
    link=Link(step="child_links", register="foster_focus_cps"),
    feeds=FEEDS,
)
