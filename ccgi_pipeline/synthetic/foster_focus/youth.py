"""The foster youth of a block: who of its students they are, and how the register knows them.

Belongs here: choosing them out of the roster, the lines about the person alone (demographics,
special education), and the cells that every extract repeats. Does not belong here: school.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import polars as pl

from ccgi_pipeline.feeds import codes, foster_focus
from ccgi_pipeline.feeds.spec import FeedSpec
from ccgi_pipeline.synthetic import rates
from ccgi_pipeline.synthetic.courses import History
from ccgi_pipeline.synthetic.foster_focus import lists
from ccgi_pipeline.synthetic.foster_focus.school_days import Days, SchoolDays
from ccgi_pipeline.synthetic.people import People
from ccgi_pipeline.synthetic.places import LAST_GRADE
from ccgi_pipeline.synthetic.random_draws import Flags, Integers, Part, look_up, pick, repeated
from ccgi_pipeline.synthetic.student_blocks import Block

_SHARE = 0.01
_AT_LEAST, _STUDENTS_FOR_THEM = 3, 60
_WHO_LEFT = 0.1
"""Beside each ten who are enrolled, one who left earlier in this school year, if there is one."""
_MORE_OFTEN_WITH_DISABILITIES = 3.0
_NOT_IN_EXTRACTS = 0.1
"""Children of the register whom their district has not flagged, for each one whom it has."""
_FOUR_YEARS = 1_461
"""Days by which the oldest youth are older than their classmates."""
_FIRST_LOCAL_SCHOOL = 101


class Standing(IntEnum):
    """How the register of children knows a student."""

    KNOWN = 0
    UNKNOWN = 1
    INACTIVE = 2
    INACTIVE_LATELY = 3
    GRADUATED = 4
    TOO_OLD = 5
    DIFFERENT = 6


_STANDINGS = {
    2: Standing.UNKNOWN,
    8: Standing.INACTIVE,
    13: Standing.DIFFERENT,
    19: Standing.INACTIVE_LATELY,
}
_ROUND, _STRIDE = 24, 7
_STANDINGS_OF_SENIORS = {0: Standing.TOO_OLD, 3: Standing.GRADUATED}
_ROUND_OF_SENIORS, _STRIDE_OF_SENIORS = 8, 3
"""Who has which standing goes round in the order of the roster, a little further on in each
district: so even a small state has each of them."""


@dataclass(frozen=True)
class Youth:
    """The foster youth of a block in the order of its roster; all arrays have one entry each.

    ``rows`` (of ``People``), ``cells`` (StudentTemplate columns), ``names`` (those of them that
    extracts repeat), ``grade``, ``school`` (row of the district's schools), ``entry`` and
    ``leaving`` (first and last day in this school year; ``leaving`` is NaT of those who are
    enrolled), ``birth`` (as the district has it), ``standing``. ``others`` are rows of ``People``
    who are in the register and in no extract.
    """

    block: Block
    people: People
    rows: Integers
    cells: pl.DataFrame
    names: pl.DataFrame
    grade: Integers
    school: Integers
    entry: Days
    leaving: Days
    birth: Days
    standing: Integers
    others: Integers

    @property
    def until(self) -> Days:
        """The last day until now on which each is enrolled."""
        today = np.datetime64(self.block.on, "D")
        last: Days = np.where(np.isnat(self.leaving), today, self.leaving)
        return last

    def share_of(self, history: History) -> History:
        """The lines of ``history`` that are theirs; ``student`` becomes the entry here."""
        place = np.full(len(self.people.grade), -1, dtype=np.int64)
        place[self.rows] = np.arange(len(self.rows))
        student = place[history.student]
        lines = np.flatnonzero(student >= 0)
        return History(
            student[lines],
            history.course[lines],
            history.grade[lines],
            history.term[lines],
            history.mark[lines],
        )

    def whose(self, feed: FeedSpec, student: Integers) -> dict[str, pl.Series]:
        """The cells that say whose a line is, as ``feed`` spells their names."""
        system_id, *others = _spelled(feed, _WHOSE)
        cells = self.names[pl.Series(student)].get_columns()
        return {
            system_id: repeated(self.block.place.cd_code, len(student)),
            **dict(zip(others, cells, strict=True)),
        }

    def number(self, student: Integers, *parts: pl.Series) -> pl.Series:
        """UniqueID: the local ID and what tells the record from the student's others."""
        number = look_up(self.names["LocalStudentID"], student)
        for part in parts:
            number = number + "-" + part
        return number

    def where(self, feed: FeedSpec, school: Integers) -> dict[str, pl.Series]:
        """Local code and CDS code of schools, as ``feed`` spells their names."""
        schools = self.block.place.schools["CDSCode"]
        local = [str(_FIRST_LOCAL_SCHOOL + row) for row in range(len(schools))]
        local_code, cds_code = _spelled(feed, _WHERE)
        return {local_code: look_up(local, school), cds_code: look_up(schools, school)}


_WHOSE = ("systemid", "ssid", "lastname", "firstname", "sislocalid")
_NAMES = ("StateID", "LastName", "FirstName", "LocalStudentID")
_WHERE = ("sisschoolcode", "schoolcdscode")


def _spelled(feed: FeedSpec, folded: tuple[str, ...]) -> list[str]:
    """Names of columns as ``feed`` spells them; where an event took place is where it was."""
    known = feed.columns_by_folded_name
    return [(known.get(name) or known[f"event{name}"]).name for name in folded]


def foster_youth(block: Block, people: People, calendar: SchoolDays) -> Youth:
    """The foster youth of ``block``.

    They are all who are flagged on the roster, and others whom the district knows by a field of
    its own. Who has been there on no school day of this year is none of them.
    """
    rng = block.stream(Part.FOSTER_YOUTH)
    entry = np.maximum(people.cells["EnrollmentStartDate"].to_numpy(), calendar.first_day)
    leaving = people.cells["EnrollmentEndDate"].to_numpy()
    so_far = calendar.so_far
    last = np.where(np.isnat(leaving), np.datetime64(block.on, "D"), leaving)
    days = np.searchsorted(so_far, last, side="right") - np.searchsorted(so_far, entry)
    stays = np.isnat(leaving) & ((days > 0) | (not len(so_far)))
    left = ~np.isnat(leaving) & (days > 0)

    flagged = people.cells["FosterYouth"].to_numpy()
    weight = np.where(people.cells["SWDIndicator"], _MORE_OFTEN_WITH_DISABILITIES, 1.0)
    order = np.lexsort((-(rng.random(block.count) ** (1 / weight)), ~flagged))
    staying, leavers = order[stays[order]], order[left[order]]
    floor = _AT_LEAST if block.count >= _STUDENTS_FOR_THEM else 0
    wanted = max(floor, round(_SHARE * block.count), int((flagged & stays).sum()))
    chosen = staying[:wanted]
    gone = leavers[: math.ceil(_WHO_LEFT * len(chosen))]
    rows = np.sort(np.concatenate([chosen, gone]))
    others = staying[wanted:][: math.ceil(_NOT_IN_EXTRACTS * len(chosen))]

    standing = _standing(block, people.grade[rows] == LAST_GRADE)
    birth = people.cells["DateOfBirth"].to_numpy()[rows]
    cells = people.cells[rows]
    return Youth(
        block=block,
        people=people,
        rows=rows,
        cells=cells,
        names=cells.select(_NAMES),
        grade=people.grade[rows],
        school=people.school[rows],
        entry=entry[rows],
        leaving=leaving[rows],
        birth=np.where(standing == Standing.TOO_OLD, birth - _FOUR_YEARS, birth),
        standing=standing,
        others=others,
    )


def _standing(block: Block, senior: Flags) -> Integers:
    ordinal = block.place.ordinal
    nth_senior = (np.cumsum(senior) - 1 + _STRIDE_OF_SENIORS * ordinal) % _ROUND_OF_SENIORS
    nth_other = (np.cumsum(~senior) - 1 + _STRIDE * ordinal) % _ROUND
    standing: Integers = np.where(
        senior,
        _around(_STANDINGS_OF_SENIORS, _ROUND_OF_SENIORS)[nth_senior],
        _around(_STANDINGS, _ROUND)[nth_other],
    )
    return standing


def _around(standings: dict[int, Standing], size: int) -> Integers:
    return np.array([standings.get(n, Standing.KNOWN) for n in range(size)], dtype=np.int64)


# --- the person's own lines -------------------------------------------------------------------

_LANGUAGES_OF_RACES = {
    group.race: group.language
    for group in reversed(rates.GROUPS)
    if group.language is not None and not group.hispanic
}
_ENGLISH, _SPANISH, _ANOTHER = "00", "01", "99"
_SHORT = foster_focus.DEMOGRAPHICS.columns["PrimaryLanguage"].length
_LANGUAGE_NAMES = {code.value: code.name.split(" (")[0][:_SHORT] for code in codes.LANGUAGE.codes}


def demographic_lines(youth: Youth, entered: Days) -> pl.DataFrame:
    """Demographics columns; ``entered`` is the first day at the current school."""
    rng = youth.block.stream(Part.FOSTER_YOUTH, 1)
    everyone = np.arange(len(youth.rows))
    house = pl.Series(rng.integers(1, 9_900, len(everyone))).cast(pl.String)
    street = look_up(lists.STREETS, rng.integers(0, len(lists.STREETS), len(everyone)))
    language = (
        pl.when(pl.col("EL") == "EO")
        .then(pl.lit(_ENGLISH))
        .when(pl.col("LanguageCode").is_not_null())
        .then("LanguageCode")
        .when("HispanicEthnicity")
        .then(pl.lit(_SPANISH))
        .otherwise(pl.col("RaceCode1").replace_strict(_LANGUAGES_OF_RACES, default=_ANOTHER))
    )
    languages = youth.cells.select(
        language.alias("HomeLanguageCode"),
        language.replace_strict(_LANGUAGE_NAMES).alias("PrimaryLanguage"),
    )
    return pl.DataFrame(
        {
            **youth.whose(foster_focus.DEMOGRAPHICS, everyone),
            "UniqueID": youth.number(everyone),
            "Gender": youth.cells["Gender"],
            "Birthdate": pl.Series(youth.birth),
            "homeAddress": house + " " + street,
            "EntryDate": pl.Series(entered),
            "ExitDate": pl.Series(youth.leaving),
            **languages.to_dict(),
        }
    )


_DISABILITY_NAMES = {code.value: code.name for code in codes.DISABILITY_CATEGORY.codes}
_A_YEAR = 360
"""Days: individualized education programs are reviewed once a year."""


def special_education_lines(youth: Youth) -> pl.DataFrame:
    """Special education columns: a line for each who has disabilities by the roster."""
    rng = youth.block.stream(Part.FOSTER_YOUTH, 2)
    served = np.flatnonzero(youth.cells["SWDIndicator"].to_numpy())
    category = pick(rng, [*lists.DISABILITIES.values()], len(served))
    meeting = np.datetime64(youth.block.on, "D") - rng.integers(1, _A_YEAR, len(served))
    feed = foster_focus.SPECIAL_EDUCATION
    return pl.DataFrame(
        {
            **youth.whose(feed, served),
            **youth.where(feed, youth.school[served]),
            "UniqueID": youth.number(served),
            "SpecProgEDate": pl.Series(meeting, dtype=pl.Date),
            "SEDescript": look_up([_DISABILITY_NAMES[c] for c in lists.DISABILITIES], category),
            "SEServiceCode": look_up([*lists.DISABILITIES], category),
        }
    )
