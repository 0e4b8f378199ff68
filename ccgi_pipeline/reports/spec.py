"""The vocabulary in which a report is declared.

Belongs here: columns, folders and files of a report, and the promise that an aggregate holds no
personal column. Does not belong here: any particular report, its query, writing.
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
    """A column of a report. ``origin`` is the feed's column that it shows, if it shows one.

    Whether it is personal follows from there; ``counted`` columns are numbers or dates made by the
    query and need no guard against spreadsheet formulas.
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


STUDENT_COLUMNS = (
    ReportColumn("County", ("cde_directory", "County"), "County of the district."),
    ReportColumn("District", ("cde_directory", "District"), "Name in CDE's directory."),
    ReportColumn("School", ("cde_directory", "School"), "School of primary enrollment."),
    ReportColumn("SSID", (_STUDENT, "StateID"), "Statewide Student Identifier."),
    ReportColumn("Grade Level", (_STUDENT, "GradeLevel"), "As the district sent it."),
    ReportColumn("Gender", (_STUDENT, "Gender"), "As the district sent it."),
    ReportColumn("Race", (_STUDENT, "RaceCode1"), "CALPADS race category in words."),
    ReportColumn("Ethnicity", (_STUDENT, "HispanicEthnicity"), "Hispanic or Non-Hispanic."),
)
"""How every detail file begins, as the seed's sample does."""
PLACE = ("County", "District", "School")
COUNTS = (
    ReportColumn("# of Students", None, "Students of that school and grade who are counted here."),
    ReportColumn("% of Students", None, "Share of the roster's students of that school and grade."),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tables:
    """How the rows of an aggregate hang together within a school and grade, for suppression.

    ``by``: dimensions whose every value is a table of its own; rows of one table are hidden
    together, for counts of theirs may add up to the roster. ``nested``: each table adds up to a row
    of another report. ``linked_to``: another report that counts the same students in another way,
    so that both hide at the same places; ``linked_rows``: in these rows only.
    """

    by: tuple[str, ...] = ()
    nested: bool = False
    linked_to: str | None = None
    linked_rows: Mapping[str, str] = field(default_factory=dict)


class PersonalColumnError(PermanentError):
    """An aggregate was declared with a personal column: a defect of the declaration."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportSpec:
    """One report: where it lies, which columns it has, which query makes it.

    ``query`` is a SQL file that selects, for every student of every roster, the rows of the detail
    file: ``cd``, the student columns, then ``columns``. The aggregate counts distinct students per
    place, ``dimensions`` and grade. ``labels`` are words that the aggregate prints instead of the
    detail's. ``tables``: how the aggregate's rows hang together. ``only_for``: the districts (CD
    codes) that get a customized report.
    """

    name: str
    title: str
    folder: tuple[str, ...]
    query: Traversable
    columns: tuple[ReportColumn, ...]
    dimensions: tuple[str, ...] = ()
    labels: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    tables: Tables = field(default_factory=Tables)
    files: tuple[str, ...] = ("Agg", "Detail")
    only_for: frozenset[str] | None = None
    provenance: str = "project"
    source: str = PROJECT

    def __post_init__(self) -> None:
        """Raises PersonalColumnError where a personal column would reach the aggregate."""
        personal = [column.name for column in self.aggregate_columns if column.personal]
        if personal:
            msg = f"{self.name}: {', '.join(personal)} must not reach an aggregate"
            raise PersonalColumnError(msg)

    @property
    def group(self) -> str:
        """``daily reporting`` or ``legacy reporting``."""
        return self.folder[0]

    @property
    def detail_columns(self) -> tuple[ReportColumn, ...]:
        """The columns of the detail file, in order."""
        return (*STUDENT_COLUMNS, *self.columns)

    @property
    def aggregate_columns(self) -> tuple[ReportColumn, ...]:
        """The columns of the aggregate file, in order; none where there is no such file."""
        if "Agg" not in self.files:
            return ()
        by_name = {column.name: column for column in self.detail_columns}
        chosen = (*PLACE, *self.dimensions, "Grade Level")
        return (*(by_name[name] for name in chosen), *COUNTS)

    def columns_of(self, file: str) -> tuple[ReportColumn, ...]:
        """The columns of one of the report's files (``Agg`` or ``Detail``)."""
        return self.aggregate_columns if file == "Agg" else self.detail_columns


def shipped_query(name: str) -> Traversable:
    """The SQL file ``name`` of this room."""
    return files("ccgi_pipeline.reports").joinpath("sql", name)
