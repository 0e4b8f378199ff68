"""Declares the platform's activities: how many students do each, and how far they get.

Belongs here: one ``Activity`` for each kind. Does not belong here: drawing who does it and when
(activity).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ccgi_pipeline.feeds import platform
from ccgi_pipeline.feeds.spec import FeedSpec
from ccgi_pipeline.synthetic import colleges

ACCOUNT_SHARES = {6: 0.15, 7: 0.25, 8: 0.35, 9: 0.62, 10: 0.66, 11: 0.72, 12: 0.82}
"""Share of each grade that has an account: about 70 % of grades 9 to 12."""
ACCOUNT_TYPES = {"Partner": 0.96, "Basic": 0.04}


@dataclass(frozen=True)
class Step:
    """A step of an activity: the share of those at the step before who take it.

    With several ``words``, each who takes it does one of them, as often as it is listed.
    """

    words: tuple[str, ...]
    share: float


@dataclass(frozen=True)
class Activity:
    """One kind of thing to do, which a student may do several times.

    ``shares`` of account holders by grade, ``of_ability`` how much likelier it gets with each
    standard deviation of ability, ``times`` the mean number of times for each who does it at all,
    ``status`` the column of the steps. ``fixed`` are cells that are always the same, ``drawn``
    shares of a cell's words, ``named`` a column and names of which a student takes each once,
    ``numbered`` a column that tells the student's several times apart. ``in_season`` happens in
    the last months only; ``nearby`` names are those near the district.
    """

    feed: FeedSpec
    shares: Mapping[int, float]
    steps: tuple[Step, ...]
    status: str | None = None
    times: float = 1.0
    of_ability: float = 0.0
    fixed: Mapping[str, str] = field(default_factory=dict)
    drawn: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    named: tuple[str, tuple[str, ...]] | None = None
    numbered: str | None = None
    in_season: bool = False
    nearby: bool = False


def _from(first: int, share: float) -> dict[int, float]:
    """The same share from grade ``first`` on."""
    return dict.fromkeys(range(first, 13), share)


_ONCE = (Step(("",), 1.0),)
_APPLICATION_STEPS = (
    Step(("Launched",), 1.0),
    Step(("In Progress",), 0.86),
    Step(("Submitted",), 0.76),
    Step(("Completed",), 0.68),
)
_PROGRESS_STEPS = (Step(("Started",), 1.0), Step(("Completed",), 0.7))
_FAVORITE_STEPS = (Step(("Added",), 1.0), Step(("Removed",), 0.12))
_ORIGINS = {"Launched": 0.75, "Linked": 0.25}


def _application(
    kind: str,
    shares: Mapping[int, float],
    names: tuple[str, ...],
    *,
    times: float,
    of_ability: float,
    nearby: bool = False,
) -> Activity:
    return Activity(
        feed=platform.COLLEGE_APPLICATIONS,
        shares=shares,
        steps=_APPLICATION_STEPS,
        status="ApplicationStatus",
        times=times,
        of_ability=of_ability,
        fixed={"ApplicationType": kind},
        drawn={"Origin": _ORIGINS},
        named=("CollegeName", names),
        in_season=True,
        nearby=nearby,
    )


def _favorite(kind: str, share: float, names: tuple[str, ...]) -> Activity:
    return Activity(
        feed=platform.FAVORITES,
        shares=_from(6, share),
        steps=_FAVORITE_STEPS,
        status="Action",
        times=1.8,
        fixed={"FavoriteType": kind},
        named=("FavoriteName", names),
    )


ACTIVITIES = (
    _application(
        "CCCApply",
        {10: 0.02, 11: 0.06, 12: 0.42},
        colleges.CCC,
        times=1.2,
        of_ability=-0.2,
        nearby=True,
    ),
    _application("Cal State Apply", {12: 0.40}, colleges.CSU, times=2.4, of_ability=0.3),
    _application("UC", {12: 0.22}, colleges.UC, times=3.0, of_ability=0.8),
    Activity(
        feed=platform.FINANCIAL_AID_APPLICATIONS,
        shares={12: 0.62},
        steps=_APPLICATION_STEPS,
        status="ApplicationStatus",
        drawn={"ApplicationType": {"FAFSA": 0.93, "CADAA": 0.07}, "Origin": _ORIGINS},
        in_season=True,
    ),
    Activity(
        feed=platform.FINANCIAL_AID_MODULES,
        shares={11: 0.25, 12: 0.55},
        steps=_PROGRESS_STEPS,
        status="ModuleStatus",
        times=1.5,
        named=(
            "ModuleName",
            (
                "Complete Prep Work for FAFSA or CADAA",
                "Launch and Submit the FAFSA or CADAA",
                "Review Financial Aid Offers",
            ),
        ),
    ),
    Activity(
        feed=platform.ASSESSMENTS,
        shares=_from(6, 0.55),
        steps=_PROGRESS_STEPS,
        status="AssessmentStatus",
        times=1.5,
        named=(
            "AssessmentName",
            ("Interest Profiler", "Personality Profile", "Learning Styles", "Work Values"),
        ),
    ),
    _favorite("College", 0.40, (*colleges.CSU, *colleges.UC, *colleges.CCC)),
    _favorite("Major", 0.25, colleges.MAJORS),
    _favorite("Career", 0.30, colleges.CAREERS),
    Activity(
        feed=platform.GOALS,
        shares=_from(7, 0.2),
        steps=(Step(("Set",), 1.0), Step(("Completed", "Completed", "Removed"), 0.45)),
        status="GoalStatus",
        times=1.4,
        drawn={"GoalType": {"Academic": 0.5, "Career": 0.2, "Financial Aid": 0.1, "Personal": 0.2}},
        numbered="GoalID",
    ),
    Activity(
        feed=platform.JOURNALS,
        shares=_from(7, 0.15),
        steps=_ONCE,
        times=1.6,
        drawn={
            "JournalTopic": {
                "My strengths": 0.3,
                "Careers I am curious about": 0.3,
                "College visits": 0.2,
                "How I will pay for college": 0.2,
            }
        },
    ),
    Activity(
        feed=platform.ACADEMIC_PLANS,
        shares=_from(8, 0.35),
        steps=(Step(("Created",), 1.0), Step(("Updated",), 0.55), Step(("Reviewed",), 0.5)),
        status="PlanStatus",
        numbered="PlanID",
    ),
)
