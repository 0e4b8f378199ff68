"""Defines the classes with which a report is declared.

Belongs here: columns, folders and files of a report, and the check that an aggregate holds no
personal column. Does not belong here: single reports (registry), their queries, writing (outbox).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from importlib.resources.abc import Traversable

from ccgi_pipeline.common.errors import PermanentError
from ccgi_pipeline.feeds.columns import ColumnClass
from ccgi_pipeline.feeds.registry import FEEDS_BY_NAME
from ccgi_pipeline.feeds.sources import DISTRICT_DATA_SHARING
from ccgi_pipeline.reports.column_policies import Output, may_show

SEED = DISTRICT_DATA_SHARING.title
PROJECT = "this project"
_STUDENT = "transcript_student"


@dataclass(frozen=True, slots=True)
class ReportColumn:
    """A column of a report.

    ``origin`` is the feed and column whose values it shows, if it shows any; its classes follow
    from there.
    """

    name: str
    origin: tuple[str, str] | None = None
    description: str = ""

    @property
    def classes(self) -> frozenset[ColumnClass]:
        """The classes of the feed's column that it shows."""
        if self.origin is None:
            return frozenset()
        feed, column = self.origin
        return FEEDS_BY_NAME[feed].columns[column].classes

    @property
    def personal(self) -> bool:
        """Whether the column may not reach an aggregate."""
        return not may_show(Output.AGGREGATE, self.classes)


COMMON_RULES = (
    (
        "A report of a district has the students of its newest StudentTemplate. Left out are those "
        "whose SSID is another district's student (`ccgi claims`), and those whose parent opted "
        "out, as far as the setting `opt_out_covers` says."
    ),
    (
        "Of the platform's events those count whose SSID is the student's and that happened before "
        "the end of the report's day in California. Every day in a report is a day of California."
    ),
    (
        "Of several events the newest is the one with the latest OccurredAt; of those at the same "
        "time, the one whose EventID comes last in the order of its characters."
    ),
    (
        "An application year of financial aid begins on `aid_year_starts` (1 October), one of "
        "admission on `admission_year_starts` (1 July), in California's time."
    ),
    (
        "County and District are those of the district's own entry in the directory, or of its "
        "first entry by code; a district that no entry names has its code as its name. School is "
        "the name of the entry with the student's PrimaryCDSCode, or that code if there is none. "
        "If schools of a district have the same name, each has the last seven digits of its code "
        "behind it, in parentheses."
    ),
    (
        "Race: the codes of RaceCode1 to RaceCode5 that are race categories of CALPADS. One code "
        "is its own name. Several of one of CDE's groups (Asian: 2xx, Pacific Islander: 3xx, each "
        "other category by itself) are the group's name, of two groups `Two or More Races`, none "
        "`Not Reported`. A blank Gender is `Not Reported`; HispanicEthnicity is `Hispanic`, "
        "`Non-Hispanic`, or `Not Reported` if it is blank."
    ),
    (
        "The rows of a detail file are in the order of School, the school's code, SSID and the "
        "report's own columns, blanks last. A cell that a spreadsheet would take for a formula has "
        "an apostrophe before it."
    ),
    (
        "An aggregate counts the different students of the detail rows by school, the report's "
        "dimensions and Grade Level. % of Students is their share of the roster's students of that "
        "school and grade (of the whole school with `percent_of`), rounded half up to "
        "`percent_decimals` (1) without zeros at the end. Its rows are in the order of School, the "
        "school's code, the dimensions, and the grade from the highest to the lowest. Small counts "
        "are hidden only where a district's profile says so (`small_cells`)."
    ),
)
"""How every report is made, in words."""

STUDENT_COLUMNS = (
    ReportColumn("County", ("cde_directory", "County"), "County of the district."),
    ReportColumn("District", ("cde_directory", "District"), "Name in CDE's directory."),
    ReportColumn("School", ("cde_directory", "School"), "School of primary enrollment."),
    ReportColumn("SSID", (_STUDENT, "StateID"), "Statewide Student Identifier."),
    ReportColumn("Grade Level", (_STUDENT, "GradeLevel"), "As the district sent it."),
    ReportColumn("Gender", (_STUDENT, "Gender"), "The code that the district sent."),
    ReportColumn("Race", (_STUDENT, "RaceCode1"), "CALPADS race category in words."),
    ReportColumn("Ethnicity", (_STUDENT, "HispanicEthnicity"), "Hispanic or Non-Hispanic."),
)
"""The first columns of every detail file, as in the seed's sample."""
PLACE = ("County", "District", "School")
COUNTS = (
    ReportColumn("# of Students", None, "Students of that school and grade who are counted here."),
    ReportColumn("% of Students", None, "Share of the roster's students of that school and grade."),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tables:
    """How the rows of an aggregate depend on each other within a school and grade.

    ``by``: dimensions of which each value forms a table. Rows of one table are hidden together,
    because their counts may add up to the roster. ``nested``: each table adds up to a row of
    another report. ``linked_to``: another report that counts the same students in another way, so
    that both must hide the same schools and grades; ``linked_rows``: in these rows only.
    """

    by: tuple[str, ...] = ()
    nested: bool = False
    linked_to: str | None = None
    linked_rows: Mapping[str, str] = field(default_factory=dict)


class PersonalColumnError(PermanentError):
    """An aggregate was declared with a personal column: correct the declaration."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportSpec:
    """One report: its folder, its columns and its query.

    ``query`` is a SQL file that selects the rows of the detail file for every student of every
    roster: ``cd``, the student columns, then ``columns``. A row depends on its own student's events
    and its own district only (``basis``). ``rules`` say the same in words: with
    ``COMMON_RULES`` and the columns' descriptions they are enough to compute every cell. The
    aggregate counts distinct students by
    school, ``dimensions`` and grade. ``labels`` are words that the aggregate prints instead of the
    detail's. ``tables``: how the aggregate's rows depend on each other. ``only_for``: the districts
    (CD codes) that get a customized report.
    """

    name: str
    title: str
    folder: tuple[str, ...]
    query: Traversable
    columns: tuple[ReportColumn, ...]
    rules: tuple[str, ...]
    dimensions: tuple[str, ...] = ()
    labels: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    tables: Tables = field(default_factory=Tables)
    files: tuple[str, ...] = ("Agg", "Detail")
    only_for: frozenset[str] | None = None
    provenance: str = "project"
    source: str = PROJECT

    def __post_init__(self) -> None:
        """Raises PersonalColumnError if a personal column would reach the aggregate."""
        personal = [column.name for column in self.aggregate_columns if column.personal]
        if personal:
            msg = f"{self.name}: {', '.join(personal)} must not reach an aggregate"
            raise PersonalColumnError(msg)

    @property
    def group(self) -> str:
        """``daily reporting`` or ``legacy reporting``."""
        return self.folder[0]

    @property
    def cadence_setting(self) -> str:
        """The setting of a district's ``cadence`` that says how often the report is written."""
        return self.group.replace(" ", "_")

    @property
    def detail_columns(self) -> tuple[ReportColumn, ...]:
        """The columns of the detail file, in order."""
        return (*STUDENT_COLUMNS, *self.columns)

    @property
    def aggregate_columns(self) -> tuple[ReportColumn, ...]:
        """The columns of the aggregate file, in order; none if there is no such file."""
        if "Agg" not in self.files:
            return ()
        by_name = {column.name: column for column in self.detail_columns}
        chosen = (*PLACE, *self.dimensions, "Grade Level")
        return (*(by_name[name] for name in chosen), *COUNTS)

    def columns_of(self, file: str) -> tuple[ReportColumn, ...]:
        """Returns the columns of one of the report's files (``Agg`` or ``Detail``)."""
        return self.aggregate_columns if file == "Agg" else self.detail_columns


def shipped_query(name: str) -> Traversable:
    """Returns the SQL file ``name`` of this package."""
    return files("ccgi_pipeline.reports").joinpath("sql", name)
