"""Declares the platform family: what students did on CaliforniaColleges.edu.

Belongs here: one feed per kind of activity. No public specification exists, so these files are
this project's own definition: an event has its own id, the student's SSID and a UTC time, and
says one thing. Sent by one state-wide sender for all districts. Free text of students (a journal's
words) is not asked for: no report needs it.
"""

from __future__ import annotations

from datetime import date, timedelta

import pandera.polars as pa
import polars as pl

from ccgi_pipeline.feeds import sources
from ccgi_pipeline.feeds.columns import Code, CodeSet, Requirement, column
from ccgi_pipeline.feeds.rules import Rule, Severity
from ccgi_pipeline.feeds.spec import FamilySpec, FeedSpec, Lifecycle, StatewideSender
from ccgi_pipeline.feeds.transcript import on_a_roster

SOURCE = (
    f"this project, after {sources.DISTRICT_DATA_SHARING.title} and the platform's public pages"
)
REQUIRED = Requirement.REQUIRED
RECOMMENDED = Requirement.RECOMMENDED


def _words(name: str, *words: str) -> CodeSet:
    """A set whose values speak for themselves."""
    return CodeSet(name, tuple(Code(word, word) for word in words), source=SOURCE)


ACCOUNT_TYPE = _words("Account Type", "Partner", "Basic")
APPLICATION_TYPE = _words("Application Type", "CCCApply", "Cal State Apply", "UC")
APPLICATION_ORIGIN = _words("Application Origin", "Launched", "Linked")
APPLICATION_STATUS = _words(
    "Application Status", "Launched", "In Progress", "Submitted", "Completed"
)
FINANCIAL_AID_TYPE = _words("Financial Aid Application Type", "FAFSA", "CADAA")
PROGRESS = _words("Progress", "Started", "Completed")
MODULE_STATUS = _words("Financial Aid Module Status", "Assigned", "Started", "Completed")
"""As ``APPLICATION_STATUS``, in the order in which a student reaches them."""
FAVORITE_TYPE = _words("Favorite Type", "College", "Major", "Career")
FAVORITE_ACTION = _words("Favorite Action", "Added", "Removed")
GOAL_STATUS = _words("Goal Status", "Set", "Completed", "Removed")
PLAN_STATUS = _words("Academic Plan Status", "Created", "Updated", "Reviewed")


class Event(pa.DataFrameModel):
    """What every activity file carries."""

    EventID: str = column(
        "The event's own id; the same id sent again replaces the event.",
        requirement=REQUIRED,
        length=36,
        pattern=r"[A-Za-z0-9-]+",
        pii=True,
        example="6f1c2b3a-0000-4000-8000-00000000000a",
        source=SOURCE,
    )
    SSID: str = column(
        "Statewide Student Identifier, 10 digits.",
        requirement=REQUIRED,
        pattern=r"\d{10}",
        pii=True,
        restricted=True,
        source=SOURCE,
    )
    OccurredAt: pl.Datetime = column(
        "When it happened, in UTC: YYYY-MM-DDTHH:MM:SSZ.", requirement=REQUIRED, source=SOURCE
    )


class AccountRegistration(Event):
    """A student's account was opened."""

    AccountType: str = column(
        "Partner (the district sends the student's transcript) or Basic.",
        requirement=REQUIRED,
        codes=ACCOUNT_TYPE,
        source=SOURCE,
    )


class CollegeApplication(Event):
    """A college application, launched from the platform or linked to it, took a step."""

    ApplicationType: str = column(
        "Which application.", requirement=REQUIRED, codes=APPLICATION_TYPE, source=SOURCE
    )
    Origin: str = column(
        "Launched from the platform, or linked to it.",
        requirement=REQUIRED,
        codes=APPLICATION_ORIGIN,
        source=SOURCE,
    )
    ApplicationStatus: str = column(
        "How far it has come.", requirement=REQUIRED, codes=APPLICATION_STATUS, source=SOURCE
    )
    CollegeName: str = column(
        "The college or campus applied to.", requirement=RECOMMENDED, length=120, source=SOURCE
    )


class FinancialAidApplication(Event):
    """A FAFSA or a California Dream Act application, launched or linked, took a step."""

    ApplicationType: str = column(
        "FAFSA or CADAA.",
        requirement=REQUIRED,
        codes=FINANCIAL_AID_TYPE,
        restricted=True,
        source=SOURCE,
    )
    Origin: str = column(
        "Launched from the platform, or linked to it. Older files lack it.",
        requirement=RECOMMENDED,
        codes=APPLICATION_ORIGIN,
        source=SOURCE,
    )
    ApplicationStatus: str = column(
        "How far it has come.", requirement=REQUIRED, codes=APPLICATION_STATUS, source=SOURCE
    )


class FinancialAidModule(Event):
    """A financial aid module was started or completed."""

    ModuleName: str = column("Name of the module.", requirement=REQUIRED, length=120, source=SOURCE)
    ModuleStatus: str = column(
        "Assigned, started or completed.",
        requirement=REQUIRED,
        codes=MODULE_STATUS,
        source=SOURCE,
    )


class Assessment(Event):
    """A career or other assessment was started or completed."""

    AssessmentName: str = column(
        "Name of the assessment.", requirement=REQUIRED, length=120, source=SOURCE
    )
    AssessmentStatus: str = column(
        "Started or completed.", requirement=REQUIRED, codes=PROGRESS, source=SOURCE
    )


class Favorite(Event):
    """A college, a major or a career was added to or taken from the favorites."""

    FavoriteType: str = column(
        "What kind of thing.", requirement=REQUIRED, codes=FAVORITE_TYPE, source=SOURCE
    )
    FavoriteName: str = column("Its name.", requirement=REQUIRED, length=200, source=SOURCE)
    Action: str = column(
        "Added or removed.", requirement=REQUIRED, codes=FAVORITE_ACTION, source=SOURCE
    )


class Goal(Event):
    """A goal was set, completed or removed."""

    GoalID: str = column(
        "Which of the student's goals.",
        requirement=REQUIRED,
        length=36,
        pii=True,
        source=SOURCE,
    )
    GoalType: str = column(
        "Kind of goal, such as Academic or Career.",
        requirement=REQUIRED,
        length=60,
        source=SOURCE,
    )
    GoalStatus: str = column(
        "What happened to it.", requirement=REQUIRED, codes=GOAL_STATUS, source=SOURCE
    )


class JournalEntry(Event):
    """A journal entry was written. Its words stay on the platform."""

    JournalTopic: str = column(
        "What the entry is about.", requirement=RECOMMENDED, length=120, source=SOURCE
    )


class AcademicPlan(Event):
    """An academic plan was created, changed or reviewed."""

    PlanID: str = column(
        "Which of the student's plans.",
        requirement=REQUIRED,
        length=36,
        pii=True,
        source=SOURCE,
    )
    PlanStatus: str = column(
        "What happened to it.", requirement=REQUIRED, codes=PLAN_STATUS, source=SOURCE
    )


def _not_in_the_future(on: date) -> pl.Expr:
    """UTC runs up to eight hours ahead of California: one day's grace."""
    return pl.col("OccurredAt").dt.date() <= pl.lit(on + timedelta(days=1))


def _activity(name: str, title: str, prefix: str, model: type[Event], *stems: str) -> FeedSpec:
    return FeedSpec(
        name=f"platform_{name}",
        family="platform",
        title=title,
        prefix=prefix,
        model=model,
        stems=stems,
        keys=("EventID",),
        lifecycle=Lifecycle.UPSERT,
        event_time="OccurredAt",
        ssid="SSID",
        kept_while=on_a_roster("SSID"),
        source=SOURCE,
        rules=(
            Rule(
                id=f"{prefix}-TIME",
                severity=Severity.WARNING,
                text="The event lies in the future.",
                fix="Send OccurredAt in UTC, as it happened.",
                source=SOURCE,
                column="OccurredAt",
                passes=_not_in_the_future,
                counterexample={"OccurredAt": "2999-01-01T00:00:00Z"},
            ),
        ),
    )


ACCOUNT_REGISTRATIONS = _activity(
    "account_registrations",
    "Account registrations",
    "PL-ACC",
    AccountRegistration,
    "account_registrations",
)
COLLEGE_APPLICATIONS = _activity(
    "college_applications",
    "College applications (CCCApply, Cal State Apply, UC)",
    "PL-APP",
    CollegeApplication,
    "college_applications",
)
FINANCIAL_AID_APPLICATIONS = _activity(
    "financial_aid_applications",
    "Financial aid applications (FAFSA, CADAA)",
    "PL-AID",
    FinancialAidApplication,
    "financial_aid_applications",
)
FINANCIAL_AID_MODULES = _activity(
    "financial_aid_modules",
    "Financial aid modules",
    "PL-MOD",
    FinancialAidModule,
    "financial_aid_modules",
)
ASSESSMENTS = _activity(
    "assessments", "Career and other assessments", "PL-ASM", Assessment, "assessments"
)
FAVORITES = _activity(
    "favorites", "Favorite colleges, majors and careers", "PL-FAV", Favorite, "favorites"
)
GOALS = _activity("goals", "Goals", "PL-GOL", Goal, "goals")
JOURNALS = _activity("journals", "Journal entries", "PL-JRN", JournalEntry, "journals")
ACADEMIC_PLANS = _activity(
    "academic_plans", "Academic plans", "PL-PLN", AcademicPlan, "academic_plans"
)

FEEDS = (
    ACCOUNT_REGISTRATIONS,
    COLLEGE_APPLICATIONS,
    FINANCIAL_AID_APPLICATIONS,
    FINANCIAL_AID_MODULES,
    ASSESSMENTS,
    FAVORITES,
    GOALS,
    JOURNALS,
    ACADEMIC_PLANS,
)

FAMILY = FamilySpec(
    name="platform",
    title="Student activity on CaliforniaColleges.edu",
    sender=StatewideSender("platform", "CaliforniaColleges.edu"),
    independent_files=True,
    feeds=FEEDS,
)
