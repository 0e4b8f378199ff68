"""Declares rules of the lines of OneRoster files, beyond those of their columns.

Belongs here: ids, modes, references and what several cells or lines must be together. Does not
belong here: headers (header_rules), whole drops (package_rules).

Besides the line, rules see ``_delta`` (whether its file holds changes only) and ``_edition`` (its
version).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date

import polars as pl

from ccgi_pipeline.feeds.oneroster.files import SPECIFICATION
from ccgi_pipeline.feeds.oneroster.vocabulary import GONE, GRADE, MODE, SOURCE
from ccgi_pipeline.feeds.rules import Across, Relation, Rule, Severity
from ccgi_pipeline.feeds.spec import FILE, ROW, SENDER

ERROR, WARNING = Severity.ERROR, Severity.WARNING

SESSIONS, ORGS, COURSES = "oneroster_academicSessions", "oneroster_orgs", "oneroster_courses"
CLASSES, USERS, ENROLLMENTS = "oneroster_classes", "oneroster_users", "oneroster_enrollments"
ROLES, PROFILES = "oneroster_roles", "oneroster_userProfiles"


def _line_rule(  # noqa: PLR0913 - what a rule is made of
    id_: str,
    severity: Severity,
    text: str,
    fix: str,
    *,
    column: str,
    passes: pl.Expr,
    of_blank: bool = False,
    counterexample: Mapping[str, str] | None = None,
    source: str = SPECIFICATION,
) -> Rule:
    return Rule(
        id=id_,
        severity=severity,
        strict=ERROR,
        text=text,
        fix=fix,
        source=source,
        column=column,
        passes=lambda _: passes,
        of_blank=of_blank,
        counterexample=counterexample,
    )


# --- what every file has --------------------------------------------------------------------------


def guid_rule(prefix: str) -> Rule:
    """The form of a record's id; where others refer to it, it is the same."""
    return _line_rule(
        f"{prefix}-GUID",
        WARNING,
        "sourcedId has characters that an id may not have; it was loaded as it is.",
        "Make ids of letters, digits and the characters . - _ / @ only.",
        column="sourcedId",
        passes=pl.col("sourcedId").str.contains(r"^[0-9A-Za-z._/@-]+$"),
        counterexample={"sourcedId": "id with blanks"},
        source=SOURCE,
    )


def grades_rule(prefix: str) -> Rule:
    """Codes outside the list are told and kept: the list has changed before."""
    return _line_rule(
        f"{prefix}-CODE-grades",
        WARNING,
        "grades has a code that is none of CEDS; it was loaded as it is.",
        f"Use these codes: {', '.join(GRADE.values)}.",
        column="grades",
        passes=_GRADES_ARE_CODES | (pl.col("_edition") == "1.2"),
        counterexample={"grades": "Freshman"},
    )


def agreed_grades_rule(prefix: str) -> Rule:
    """Since version 1.2 any codes may be used on which both sides agree; CCGI asks for CEDS."""
    return Rule(
        id=f"{prefix}-AGREED-grades",
        severity=WARNING,
        text="grades has a code that is none of CEDS, which version 1.2 permits; it was "
        "understood, or loaded as it is.",
        fix=f"Reports need these codes: {', '.join(GRADE.values)}.",
        source=SPECIFICATION,
        column="grades",
        passes=lambda _: _GRADES_ARE_CODES | (pl.col("_edition") != "1.2"),
    )


def mode_rules(prefix: str) -> Iterator[Rule]:
    """What delta files must have, and bulk files must not."""
    for column in ("status", "dateLastModified"):
        yield _line_rule(
            f"{prefix}-DELTA-{column}",
            ERROR,
            f"{column} is blank in a file of changes: what the line changes cannot be told.",
            f"Fill {column} in every line of a delta file; or declare the file as bulk.",
            column=column,
            passes=pl.col(column).is_not_null() | ~pl.col("_delta"),
            of_blank=True,
        )
        yield _line_rule(
            f"{prefix}-BULK-{column}",
            WARNING,
            f"{column} is filled in a bulk file, where it must not be used.",
            f"Leave {column} blank in bulk files.",
            column=column,
            passes=pl.col(column).is_null() | pl.col("_delta"),
        )
    yield _line_rule(
        f"{prefix}-BULK-GONE",
        WARNING,
        f"A line of a bulk file says {GONE}: its record was ended, as if the line were not there.",
        "Leave records that are no more out of bulk files.",
        column="status",
        passes=(pl.col("status") != GONE) | pl.col("_delta"),
    )


_CODE = "|".join(GRADE.values)
_GRADES_ARE_CODES = pl.col("grades").str.contains(f"^(?:{_CODE})(?:,(?:{_CODE}))*$")

# --- references -----------------------------------------------------------------------------------


def reference(
    prefix: str,
    column: str,
    target: str,
    severity: Severity = ERROR,
    *,
    many: bool = False,
    target_is: tuple[str, str] | None = None,
) -> tuple[list[Relation], list[Rule]]:
    """That ``column`` names a record of ``target``, and (``target_is``) one of the right kind."""
    file = target.removeprefix("oneroster_")
    found = Relation(
        name=f"{column}_is_known",
        target=target,
        column=column,
        target_column="sourcedId",
        many=many,
        replaces=True,
    )
    known = pl.col(found.name)
    rules = [
        Rule(
            id=f"{prefix}-REF-{column}",
            severity=severity,
            strict=ERROR,
            text=f"{column} names a record that {file} does not have.",
            fix=f"Send the record in {file}, or correct {column}.",
            source=SPECIFICATION,
            column=column,
            missing=found,
            passes=lambda _: known,
            counterexample={column: "nowhere"},
        )
    ]
    if target_is is None:
        return [found], rules
    _, kind = target_is
    right = Relation(
        name=f"{column}_is_{kind}",
        target=target,
        column=column,
        target_column="sourcedId",
        target_is=target_is,
        many=many,
        replaces=True,
    )
    of_kind = pl.col(right.name) | ~known
    rules.append(
        _line_rule(
            f"{prefix}-KIND-{column}",
            severity,
            f"{column} names a record of {file} whose type is not {kind}.",
            f"Name a record of type {kind}.",
            column=column,
            passes=of_kind,
        )
    )
    return [found, right], rules


# --- several cells, several lines -----------------------------------------------------------------


def _length(column: str) -> pl.Expr:
    return pl.col(column).str.count_matches(",", literal=True)


def subjects_rule(prefix: str) -> Rule:
    """Lists that belong together."""
    return _line_rule(
        f"{prefix}-SUBJECTS",
        WARNING,
        "subjects and subjectCodes are lists of unequal length.",
        "Send a code for each subject, in the same order; take commas out of subjects' names.",
        column="subjectCodes",
        passes=_length("subjects") == _length("subjectCodes"),
        counterexample={"subjects": "Algebra,Geometry", "subjectCodes": "02052"},
    )


def doubtful_commas_rule(prefix: str) -> Rule:
    """Of a title that SCED does not have, nobody but the sender knows which commas are its own."""
    return Rule(
        id=f"{prefix}-SUBJECTS-COMMA",
        severity=Severity.INFO,
        text="subjects has a comma before a blank, and there are no subjectCodes to count. It was "
        "read as the end of a subject; it may be a part of its name.",
        fix="Take commas out of names, and send subjectCodes, one for each subject.",
        source=SPECIFICATION,
        column="subjects",
        passes=lambda _: (
            ~pl.col("subjects").str.contains(r",\s") | pl.col("subjectCodes").is_not_null()
        ),
        counterexample={"subjects": "Robots, Drones and Society", "subjectCodes": ""},
    )


def dates_rule(prefix: str, begin: str, end: str, *, may_be_equal: bool) -> Rule:
    """That the end is not before the begin."""
    first, last = pl.col(begin), pl.col(end)
    return _line_rule(
        f"{prefix}-DATES",
        ERROR,
        f"{end} is {'before' if may_be_equal else 'not after'} {begin}.",
        f"Correct {begin} or {end}; the end date is exclusive.",
        column=end,
        passes=first <= last if may_be_equal else first < last,
        counterexample={begin: "2026-12-01", end: "2026-08-01"},
    )


_LONGEST_CIRCLE = 32
"""Records that a circle of parents may have and still be found; a district has fewer levels."""


def _comes_not_back(lines: pl.DataFrame, _: Mapping[str, pl.DataFrame]) -> pl.Series:
    """Whether going from parent to parent never comes to the record again.

    Its own parent, and a line with the id of one above it, are told by other rules.
    """
    first = lines.unique([FILE, "sourcedId"], keep="first")
    up = first.select(FILE, at="sourcedId", next="parentSourcedId").drop_nulls()
    climbing = lines.select(FILE, "sourcedId", at="parentSourcedId", back=pl.lit(value=False))
    itself = pl.col("parentSourcedId") == pl.col("sourcedId")
    for _generation in range(_LONGEST_CIRCLE):
        climbing = climbing.join(up, on=[FILE, "at"], how="left", maintain_order="left").select(
            FILE,
            "sourcedId",
            at="next",
            back=pl.col("back") | (pl.col("next") == pl.col("sourcedId")).fill_null(value=False),
        )
        if climbing["at"].null_count() == climbing.height:
            break
    told_otherwise = (
        itself.fill_null(value=False) | ~pl.struct(FILE, "sourcedId").is_first_distinct()
    )
    return ~climbing["back"] | lines.select(told_otherwise).to_series()


def parents_rules(prefix: str, feed: str) -> tuple[Rule, ...]:
    """That nobody is their own parent or ancestor."""
    itself = pl.col("parentSourcedId") == pl.col("sourcedId")
    return (
        _line_rule(
            f"{prefix}-SELF",
            WARNING,
            "The record is its own parent.",
            "Leave parentSourcedId blank where there is no parent.",
            column="parentSourcedId",
            passes=~itself,
        ),
        Rule(
            id=f"{prefix}-CIRCLE",
            severity=WARNING,
            strict=ERROR,
            text="Going from parent to parent comes back to the record.",
            fix="Correct parentSourcedId of one of the records in the circle.",
            source="this project",
            across=(
                Across(
                    lines_of=feed,
                    column="parentSourcedId",
                    holds=_comes_not_back,
                ),
            ),
        ),
    )


# --- users ----------------------------------------------------------------------------------------


def _students_have_grades(lines: pl.DataFrame, seen: Mapping[str, pl.DataFrame]) -> pl.Series:
    """In version 1.2 a user's roles say who is a student."""
    students = seen[ROLES].filter(pl.col("role") == "student")
    by_role = lines.select(SENDER, userSourcedId="sourcedId").join(
        students.select(SENDER, "userSourcedId", student=pl.lit(value=True)).unique(),
        on=[SENDER, "userSourcedId"],
        how="left",
        maintain_order="left",
    )["student"]
    is_student = (lines["role"] == "student").fill_null(value=False) | by_role.fill_null(
        value=False
    )
    return ~is_student | lines["grades"].is_not_null()


def password_rule(prefix: str) -> Rule:
    """Passwords are nothing to send."""
    return _line_rule(
        f"{prefix}-PASSWORD",
        WARNING,
        "The line carries a password, which nobody here asks for; it was not kept.",
        "Leave password blank.",
        column="password",
        passes=pl.col("password").is_null(),
        counterexample={"password": "hunter2"},
        source="this project",
    )


def _is_the_year_of_the_end() -> pl.Expr:
    """Whether ``schoolYear`` is the year in which the school year of the session's middle ends.

    The start does not say it: a school year of July to June and a summer session begin on the same
    day. A session whose middle is in summer is of the year that ended, or of the next one.
    """
    middle = pl.col("startDate") + (pl.col("endDate") - pl.col("startDate")) / 2
    year = middle.dt.year().cast(pl.Int64)
    in_summer = middle.dt.month().is_between(_JUNE, _AUGUST)
    ends = year + (middle.dt.month() > _AUGUST).cast(pl.Int64)
    possible = (pl.col("schoolYear") == ends) | (in_summer & (pl.col("schoolYear") == year + 1))
    return possible | (pl.col("startDate") >= pl.col("endDate"))


_JUNE, _AUGUST = 6, 8

_ONE_ID = r"\{[^{}]*\}"
_WRONG_USER_IDS = (
    (
        "BRACES",
        "userIds has no braces",
        ~pl.col("userIds").str.contains(r"[{}]"),
        "local:12345",
    ),
    (
        "UNCLOSED",
        "userIds has braces that do not match, or something other than one comma between two ids",
        pl.col("userIds").str.contains(r"[{}]")
        & ~pl.col("userIds").str.contains(rf"^\s*{_ONE_ID}(?:\s*,\s*{_ONE_ID})*\s*$"),
        "{{LDAP:someone}}{{LTI:987}}",
    ),
    (
        "TYPE",
        "userIds has an id without its type, or without the colon after it",
        pl.col("userIds").str.contains(r"\{\s*(?::[^{}]*|[^{}:]*)\}"),
        "{{someone}}",
    ),
    (
        "ID",
        "userIds has a type without an id",
        pl.col("userIds").str.contains(r"\{\s*[^{}:\s][^{}:]*:\s*\}"),
        "{{LDAP:}}",
    ),
)
"""What is wrong with a cell, and a cell of which that is true (braces as in a format string)."""


def _user_ids_rule(cause: str, text: str, wrong: pl.Expr, cell: str) -> Rule:
    return _line_rule(
        f"OR-USR-USERIDS-{cause}",
        WARNING,
        f"{text}; it was loaded as it is.",
        "Write each id as {Type:Id}, with commas between several: {LDAP:jdoe},{LTI:987}.",
        column="userIds",
        passes=~wrong,
        counterexample={"userIds": cell},
    )


SESSION_RULES = (
    Rule(
        id="OR-SES-YEAR",
        severity=WARNING,
        strict=ERROR,
        text="schoolYear is not the year in which the school year of the session's dates ends. It "
        "was loaded as it is.",
        fix="For 2026-27 send 2027; or correct startDate and endDate.",
        source=SPECIFICATION,
        column="schoolYear",
        passes=lambda _: _is_the_year_of_the_end(),
        counterexample={
            "startDate": "2026-08-10",
            "endDate": "2027-06-12",
            "schoolYear": "2026",
        },
    ),
)

USER_RULES = (
    *(_user_ids_rule(*cause) for cause in _WRONG_USER_IDS),
    Rule(
        id="OR-USR-GRADES",
        severity=WARNING,
        strict=ERROR,
        text="grades is blank for a student.",
        fix="Fill grades of every user who is a student, in CEDS codes such as 09.",
        source=SPECIFICATION,
        across=(
            Across(
                lines_of=USERS,
                column="grades",
                sees={ROLES: ("userSourcedId", "role")},
                holds=_students_have_grades,
            ),
        ),
    ),
    password_rule("OR-USR"),
)

ROLE_RULES = (
    Rule(
        id="OR-ROL-PRIMARY",
        severity=WARNING,
        strict=ERROR,
        text="A line above gives the user a primary role at the same organization.",
        fix="Make all but one of the user's roles at an organization secondary.",
        source=SOURCE,
        across=(
            Across(
                lines_of=ROLES,
                column="roleType",
                holds=lambda lines, _: _one_of_each(
                    lines, pl.col("roleType") == "primary", ["userSourcedId", "orgSourcedId"]
                ),
            ),
        ),
    ),
)


def _one_of_each(lines: pl.DataFrame, marked: pl.Expr, keys: list[str]) -> pl.Series:
    """False at marked lines whose keys an earlier marked line of the file has."""
    seen_before = marked.cum_sum().over(FILE, *keys) > 1
    return lines.select(~(marked & seen_before).fill_null(value=False)).to_series()


# --- enrollments ----------------------------------------------------------------------------------

_FIRST_DAY, _LAST_DAY = date(1, 1, 1), date(9999, 12, 31)


def _is_the_only_primary(lines: pl.DataFrame, _: Mapping[str, pl.DataFrame]) -> pl.Series:
    """False at a primary teacher whose time in the class overlaps an earlier one's."""
    primary = lines.filter(
        pl.col("primary") & (pl.col("role") == "teacher") & (pl.col("status").fill_null("") != GONE)
    ).select(
        FILE,
        ROW,
        "classSourcedId",
        pl.col("beginDate").fill_null(_FIRST_DAY),
        pl.col("endDate").fill_null(_LAST_DAY),
    )
    several = primary.filter(pl.len().over(FILE, "classSourcedId") > 1)
    pairs = several.join(several, on=[FILE, "classSourcedId"], suffix="_before")
    overlap = (pl.col("beginDate") < pl.col("endDate_before")) & (
        pl.col("beginDate_before") < pl.col("endDate")
    )
    later = pairs.filter((pl.col(f"{ROW}_before") < pl.col(ROW)) & overlap)[ROW].unique()
    return lines.select(~pl.col(ROW).is_in(later.implode())).to_series()


def _lies_within_its_terms(lines: pl.DataFrame, seen: Mapping[str, pl.DataFrame]) -> pl.Series:
    """Whether the dates lie between the first and the last day of the class's terms."""
    dated = lines.filter(pl.col("beginDate").is_not_null() | pl.col("endDate").is_not_null())
    sessions = seen[SESSIONS].select(SENDER, "startDate", "endDate", term="sourcedId")
    if dated.is_empty() or sessions.is_empty() or seen[CLASSES].is_empty():
        return pl.Series([True]).new_from_index(0, lines.height)
    terms = (
        seen[CLASSES]
        .select(
            SENDER,
            classSourcedId="sourcedId",
            term=pl.col("termSourcedIds").str.split(",").list.eval(pl.element().str.strip_chars()),
        )
        .explode("term")
        .join(sessions, on=[SENDER, "term"])
        .group_by(SENDER, "classSourcedId")
        .agg(first=pl.col("startDate").min(), last=pl.col("endDate").max())
    )
    joined = lines.select(SENDER, "classSourcedId", "beginDate", "endDate").join(
        terms, on=[SENDER, "classSourcedId"], how="left", maintain_order="left"
    )
    begins = pl.col("beginDate").is_between("first", "last").fill_null(value=True)
    ends = pl.col("endDate").is_between("first", "last").fill_null(value=True)
    return joined.select(begins & ends).to_series()


ENROLLMENT_RULES = (
    _line_rule(
        "OR-ENR-PRIMARY-ROLE",
        WARNING,
        "primary is true for somebody who is not a teacher of the class.",
        "Use primary for teachers only.",
        column="primary",
        passes=~pl.col("primary") | (pl.col("role") == "teacher"),
        counterexample={"role": "student", "primary": "true"},
    ),
    Rule(
        id="OR-ENR-PRIMARY",
        severity=WARNING,
        strict=ERROR,
        text="A line above makes another teacher the class's primary one at the same time.",
        fix="Designate one primary teacher for a class and time.",
        source=SPECIFICATION,
        across=(
            Across(
                lines_of=ENROLLMENTS,
                column="primary",
                holds=_is_the_only_primary,
                looks_at=("primary", "role", "status", "classSourcedId", "beginDate", "endDate"),
                concerns=pl.col("primary"),
            ),
        ),
    ),
    Rule(
        id="OR-ENR-TERM",
        severity=WARNING,
        strict=ERROR,
        text="beginDate or endDate lies outside the terms of the class.",
        fix="Correct the dates, or the class's termSourcedIds.",
        source=SPECIFICATION,
        across=(
            Across(
                lines_of=ENROLLMENTS,
                column="beginDate",
                sees={
                    CLASSES: ("sourcedId", "termSourcedIds"),
                    SESSIONS: ("sourcedId", "startDate", "endDate"),
                },
                holds=_lies_within_its_terms,
                looks_at=(),
            ),
        ),
    ),
)

# --- manifest -------------------------------------------------------------------------------------

PROPERTIES_OF_FILES = "file."
_FILES = (
    "academicSessions", "categories", "classes", "classResources", "courses", "courseResources",
    "demographics", "enrollments", "lineItemLearningObjectiveIds", "lineItems",
    "lineItemScoreScales", "orgs", "resources", "resultLearningObjectiveIds", "results",
    "resultScoreScales", "roles", "scoreScales", "userProfiles", "userResources", "users",
)  # fmt: skip
_VALUES: Mapping[str, tuple[str, ...]] = {
    "manifest.version": ("1.0",),
    "oneroster.version": ("1.1", "1.2"),
    **dict.fromkeys((f"{PROPERTIES_OF_FILES}{name}" for name in _FILES), MODE.values),
}
_PROPERTIES = (*_VALUES, "source.systemName", "source.systemCode")


def _permitted_value() -> pl.Expr:
    """One of the values of the line's property."""
    passes = pl.lit(value=True)
    for values in set(_VALUES.values()):
        names = [name for name, permitted in _VALUES.items() if permitted == values]
        of_these = pl.col("propertyName").is_in(names)
        passes = passes & (~of_these | pl.col("value").is_in(list(values)).fill_null(value=False))
    return passes


MANIFEST_RULES = (
    _line_rule(
        "OR-MAN-PROPERTY",
        WARNING,
        "propertyName is none of a manifest's properties; the line was not heeded.",
        "Properties are manifest.version, oneroster.version, file.<name> and source.system….",
        column="propertyName",
        passes=pl.col("propertyName").is_in(list(_PROPERTIES)),
        counterexample={"propertyName": "fiel.users"},
        source=SOURCE,
    ),
    _line_rule(
        "OR-MAN-VALUE",
        WARNING,
        "value is none that this property can have.",
        "manifest.version is 1.0; oneroster.version 1.1 or 1.2; a file is absent, bulk or delta.",
        column="value",
        passes=_permitted_value(),
        counterexample={"value": "1"},
        source=SOURCE,
    ),
)
