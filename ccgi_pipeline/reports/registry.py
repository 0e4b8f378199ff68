"""Declares all reports of the seed's tree, in its order.

Belongs here: one spec per report. Folder names are exactly those of the seed: mind the
capitals of ``FAFSA Applications`` and the folder nested in one of the same name. Customized
reports of single districts have a folder of their own (``nonstandard``).
"""

from __future__ import annotations

from ccgi_pipeline.reports.nonstandard import NONSTANDARD
from ccgi_pipeline.reports.spec import SEED, ReportColumn, ReportSpec, Tables, shipped_query

_DAILY = "daily reporting"
_LEGACY = "legacy reporting"
_ACTIVITIES = (_LEGACY, "platform activities")

_APPLICATION_TYPE = ReportColumn(
    "Application Type",
    ("platform_college_applications", "ApplicationType"),
    "CCCApply, Cal State Apply, UC, or FAFSA/CADAA (never which of the two).",
)
_APPLICATION_STATUS = ReportColumn(
    "Application Status",
    ("platform_college_applications", "ApplicationStatus"),
    "The furthest status of the newest application year, of Launched, In Progress, Submitted and "
    "Completed.",
)
_AID_TYPE = ReportColumn("Application Type", None, "FAFSA/CADAA (never which of the two).")
_AID_STATUS = ReportColumn(
    "Application Status",
    ("platform_financial_aid_applications", "ApplicationStatus"),
    "The furthest status of the newest application year, of Launched, In Progress, Submitted and "
    "Completed.",
)
_COLLEGE_NAME = ReportColumn(
    "College Name",
    ("platform_college_applications", "CollegeName"),
    "College or campus; N/A for financial aid.",
)
_MODULE_NAME = ReportColumn("Module Name", ("platform_financial_aid_modules", "ModuleName"))
_MODULE_STATUS = ReportColumn(
    "Module Status", ("platform_financial_aid_modules", "ModuleStatus"), "The furthest reached."
)
_STATUS_DATE = ReportColumn("Status Date", None, "Day of that status.")
_REACHED = ReportColumn("Status Date", None, "Day on which that status was first reached.")

_OF_APPLICATIONS = (
    (
        "A row for each student, Application Type and college; an event without a college makes a "
        "row of its own, with N/A. FAFSA and CADAA are one type, without a college."
    ),
    (
        "Of these events those of the newest application year count: the year of the newest event "
        "of the same student, type and college."
    ),
    (
        "The status is the furthest of that year, in the order Launched, In Progress, Submitted, "
        "Completed; its day is that on which it was first reached."
    ),
    (
        "The row without a college is left out if a row of the same student and type that has one "
        "is of the same application year and has come at least as far."
    ),
)
_OF_MODULES = "The order of statuses is Assigned, Started, Completed."

DAILY = (
    ReportSpec(
        name="college_and_financial_aid_status",
        title="College and financial aid status",
        folder=(_DAILY, "college and financial aid status"),
        query=shipped_query("applications.sql"),
        columns=(_APPLICATION_TYPE, _APPLICATION_STATUS, _COLLEGE_NAME, _REACHED),
        rules=_OF_APPLICATIONS,
        files=("Detail",),
    ),
    ReportSpec(
        name="financial_aid_module_daily",
        title="Financial aid modules, daily",
        folder=(_DAILY, "financial aid module daily"),
        query=shipped_query("financial_aid_module_daily.sql"),
        columns=(
            ReportColumn("Modules Assigned", None, "Modules assigned, begun or finished."),
            ReportColumn("Modules Started", None, "Modules that were begun or finished."),
            ReportColumn("Modules Completed", None, "Modules that were finished."),
            ReportColumn("Last Activity Date", None, "Day of the newest event of a module."),
        ),
        rules=(
            "A row for each student with an event of a financial aid module.",
            "Modules are counted once each, by name, however often something happened to them.",
        ),
        files=("Detail",),
    ),
    ReportSpec(
        name="career_exploration_daily",
        title="Career exploration, daily",
        folder=(_DAILY, "career exploration daily"),
        query=shipped_query("career_exploration.sql"),
        columns=(
            ReportColumn("Assessments Started", None, "Assessments that were begun."),
            ReportColumn("Assessments Completed", None, "Assessments that were finished."),
            ReportColumn("Careers Favorited", None, "Careers among the favorites now."),
            ReportColumn(
                "Last Activity Date",
                None,
                "Day of the newest event of an assessment or of a career counted here.",
            ),
        ),
        rules=(
            (
                "A row for each student with an event of an assessment, or with a career among the "
                "favorites."
            ),
            (
                "Assessments are counted once each, by name. A career is among the favorites if "
                "the newest event of that name and of the type Career is Added."
            ),
        ),
        files=("Detail",),
    ),
)

LEGACY = (
    ReportSpec(
        name="account_registrations",
        title="Account registrations",
        folder=(_LEGACY, "account registrations"),
        query=shipped_query("account_registrations.sql"),
        columns=(
            ReportColumn("Account Status", None, "Registered or Not Registered."),
            ReportColumn(
                "Account Type",
                ("platform_account_registrations", "AccountType"),
                "The newest; blank without one.",
            ),
            ReportColumn(
                "Registration Date", None, "Day of the first registration; blank without one."
            ),
        ),
        rules=(
            (
                "A row for each student of the roster. Registered is who has an event of an "
                "account registration."
            ),
            "Of several registrations the first has the day, and the newest the account type.",
        ),
        dimensions=("Account Status",),
    ),
    ReportSpec(
        name="applications_and_launches",
        title="Applications and launches",
        folder=(_LEGACY, "applications and launches", "applications and launches"),
        query=shipped_query("applications.sql"),
        columns=(_APPLICATION_TYPE, _APPLICATION_STATUS, _COLLEGE_NAME),
        rules=_OF_APPLICATIONS,
        dimensions=("Application Type", "Application Status"),
        labels={"Application Type": {"FAFSA/CADAA": "FAFSA/CADAA Launch"}},
        tables=Tables(
            by=("Application Type",),
            linked_to="csu_eligibility_and_applied",
            linked_rows={"Application Type": "Cal State Apply"},
        ),
        provenance="seed",
        source=SEED,
    ),
    ReportSpec(
        name="fafsa_applications",
        title="FAFSA applications",
        folder=(_LEGACY, "applications and launches", "FAFSA Applications"),
        query=shipped_query("fafsa_applications.sql"),
        columns=(_AID_TYPE, _AID_STATUS, _REACHED),
        rules=(
            "A row for each student with an event of a financial aid application.",
            (
                "Of these events those of the newest application year count. The status is their "
                "furthest, of FAFSA and CADAA together, in the order Launched, In Progress, "
                "Submitted, Completed; its day is that on which it was first reached."
            ),
        ),
        dimensions=("Application Type", "Application Status"),
    ),
    ReportSpec(
        name="academic_plans",
        title="Academic plans",
        folder=(*_ACTIVITIES, "academic plans"),
        query=shipped_query("academic_plans.sql"),
        columns=(
            ReportColumn("Plan Status", ("platform_academic_plans", "PlanStatus"), "The newest."),
            ReportColumn("# of Plans", None, "Different PlanIDs of the student's events."),
            _STATUS_DATE,
        ),
        rules=(
            "A row for each student with an event of an academic plan.",
            "Status and day are those of the newest event, of whichever plan.",
        ),
        dimensions=("Plan Status",),
    ),
    ReportSpec(
        name="assessments",
        title="Assessments",
        folder=(*_ACTIVITIES, "assessments"),
        query=shipped_query("assessments.sql"),
        columns=(
            ReportColumn("Assessment Name", ("platform_assessments", "AssessmentName")),
            ReportColumn(
                "Assessment Status",
                ("platform_assessments", "AssessmentStatus"),
                "Completed if it ever was, else Started.",
            ),
            _REACHED,
        ),
        rules=("A row for each student and assessment with an event.",),
        dimensions=("Assessment Name", "Assessment Status"),
        tables=Tables(by=("Assessment Name",)),
    ),
    ReportSpec(
        name="favorites",
        title="Favorites",
        folder=(*_ACTIVITIES, "favorites"),
        query=shipped_query("favorites.sql"),
        columns=(
            ReportColumn("Favorite Type", ("platform_favorites", "FavoriteType")),
            ReportColumn("Favorite Name", ("platform_favorites", "FavoriteName")),
            ReportColumn("Date Added", None, "Day on which it was added last."),
        ),
        rules=(
            "A row for each student, Favorite Type and Favorite Name whose newest event is Added.",
        ),
        dimensions=("Favorite Type",),
        tables=Tables(by=("Favorite Type",)),
    ),
    ReportSpec(
        name="financial_aid_modules",
        title="Financial aid modules",
        folder=(*_ACTIVITIES, "financial aid modules"),
        query=shipped_query("financial_aid_modules.sql"),
        columns=(_MODULE_NAME, _MODULE_STATUS, _REACHED),
        rules=(
            "A row for each student and module with an event.",
            (
                f"The status is the furthest of all events. {_OF_MODULES} Its day is that on which "
                "it was first reached."
            ),
        ),
        dimensions=("Module Name", "Module Status"),
        tables=Tables(by=("Module Name",)),
    ),
    ReportSpec(
        name="goals",
        title="Goals",
        folder=(*_ACTIVITIES, "goals"),
        query=shipped_query("goals.sql"),
        columns=(
            ReportColumn("Goal Type", ("platform_goals", "GoalType")),
            ReportColumn("Goal Status", ("platform_goals", "GoalStatus"), "The newest."),
            _STATUS_DATE,
        ),
        rules=(
            "A row for each student and GoalID: type, status and day of the newest event.",
            "A goal whose newest status is Removed has no row.",
        ),
        dimensions=("Goal Type", "Goal Status"),
        tables=Tables(by=("Goal Type",)),
    ),
    ReportSpec(
        name="journals",
        title="Journals",
        folder=(*_ACTIVITIES, "journals"),
        query=shipped_query("journals.sql"),
        columns=(
            ReportColumn("Journal Topic", ("platform_journals", "JournalTopic")),
            ReportColumn("# of Entries", None, "Entries that the student wrote on it."),
            ReportColumn("Last Entry Date", None, "Day of the newest entry."),
        ),
        rules=(
            "A row for each student and Journal Topic with an entry; a blank topic is No Topic.",
        ),
        dimensions=("Journal Topic",),
        tables=Tables(by=("Journal Topic",)),
    ),
)

_ESTIMATE = "an estimate of this project, which the universities may not share"


def _eligibility(system: str, folder: str) -> ReportSpec:
    mark = ("transcript_course_grade", "CourseGrade")
    return ReportSpec(
        name=f"{system.lower()}_eligibility",
        title=f"{system} eligibility, {_ESTIMATE}",
        folder=(_LEGACY, folder),
        query=shipped_query(f"{system.lower()}_eligibility.sql"),
        columns=(
            ReportColumn(
                f"{system} Eligibility (Estimate)",
                None,
                "Meets, On track, Close, Not on track or Insufficient data (docs/eligibility.md).",
            ),
            ReportColumn(f"{system} GPA", mark, "Average of A-G marks, cut after two decimals."),
            ReportColumn("A-G Years Completed", mark, "Of 15."),
            ReportColumn("A-G Years In Progress", mark, "Years of the courses under way."),
            ReportColumn("Areas Not Complete", mark, "Letters of the areas."),
            ReportColumn("Reasons", mark, "What is missing, in words."),
        ),
        rules=(
            (
                "A row for each student of the roster; Insufficient data where the Grade Level is "
                "no number or no course is known."
            ),
            "docs/eligibility.md says how a course history is evaluated, rule by rule.",
        ),
        dimensions=(f"{system} Eligibility (Estimate)",),
    )


ELIGIBILITY = (
    _eligibility("CSU", "csu_eligibility"),
    ReportSpec(
        name="csu_eligibility_and_applied",
        title=f"CSU eligibility and applications, {_ESTIMATE}",
        folder=(_LEGACY, "csu eligibility and applied"),
        query=shipped_query("csu_eligibility_and_applied.sql"),
        columns=(
            ReportColumn("CSU Eligibility (Estimate)", None, "As in the report csu_eligibility."),
            ReportColumn(
                "CSU GPA",
                ("transcript_course_grade", "CourseGrade"),
                "Average of A-G marks, cut after two decimals.",
            ),
            ReportColumn(
                "Cal State Apply Status",
                ("platform_college_applications", "ApplicationStatus"),
                "The furthest that an application of the newest application year has come; Not "
                "Applied where there is none.",
            ),
            ReportColumn("# of Campuses", None, "Campuses that applications of that year name."),
        ),
        rules=(
            "A row for each student of the report csu_eligibility.",
            (
                "Of the events of Cal State Apply those of the newest application year count: the "
                "year of the student's newest one. The status is their furthest, in the order "
                "Launched, In Progress, Submitted, Completed."
            ),
        ),
        dimensions=("CSU Eligibility (Estimate)", "Cal State Apply Status"),
        # Its rows add up to rows of csu_eligibility; both linked reports count who applied.
        tables=Tables(
            by=("CSU Eligibility (Estimate)",), nested=True, linked_to="applications_and_launches"
        ),
    ),
    _eligibility("UC", "uc eligibility"),
)

REPORTS: tuple[ReportSpec, ...] = (*DAILY, *LEGACY, *ELIGIBILITY, *NONSTANDARD)
