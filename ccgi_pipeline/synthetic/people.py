"""Generates the roster: who the students of a block are.

Belongs here: the columns of a StudentTemplate line except the grade point averages, which follow
from the marks (courses), and the ability on which marks and activity depend. Does not belong here:
what the student does.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import numpy as np
import numpy.typing as npt
import polars as pl

from ccgi_pipeline.feeds import codes
from ccgi_pipeline.synthetic import rates
from ccgi_pipeline.synthetic.names import POOLS
from ccgi_pipeline.synthetic.places import FIRST_GRADE, LAST_GRADE
from ccgi_pipeline.synthetic.random_draws import (
    Flags,
    Floats,
    Integers,
    Part,
    chance,
    look_up,
    only_where,
    pick,
    pick_code,
    ssids,
    stream,
)
from ccgi_pipeline.synthetic.student_blocks import NUMBERS_OF_A_DISTRICT, Block, first_year

_AGE_IN_GRADE_0 = 6
"""Who turns 6 in the year after 1 September is in kindergarten by then (Education Code 48000)."""
_BORN_AFTER = (9, 2)
FIRST_DAY = (8, 12)
_SENIORS = 12
_CERTIFIED_FROM = 10
_FULL_GRADE = 0.4
"""From this share of the largest grade's schools on, a grade is taken to have all its students."""


@dataclass(frozen=True)
class People:
    """The students of a block, in the order of their file; all arrays have one entry each.

    ``ssid`` (text), ``grade`` (6 to 12), ``school`` (row of the district's schools),
    ``ability`` (standard normal), ``cells`` (StudentTemplate columns, typed).
    """

    ssid: pl.Series
    grade: Integers
    school: Integers
    ability: Floats
    cells: pl.DataFrame


def people(block: Block) -> People:
    """The students of ``block``."""
    rng = block.stream(Part.PEOPLE)
    school, grade = _schools_and_grades(block, rng)
    ability = rng.standard_normal(block.count)
    ssid = ssids(block.seed, block.place.ordinal * NUMBERS_OF_A_DISTRICT + block.numbers)
    local = pl.Series(block.numbers + 100_000).cast(pl.String)
    gender = pick_code(rng, rates.GENDER, block.count)
    group = _groups(block, rng)
    start, end = _enrollment(block, rng)
    domain = f"student.{block.place.file_name.lower()}.example"
    cells = pl.DataFrame(
        {
            "PrimaryCDSCode": look_up(block.place.schools["CDSCode"], school),
            "LocalStudentID": local,
            "StateID": ssid,
            **_names(rng, group, gender),
            "DateOfBirth": _births(block, rng, grade),
            "Gender": gender,
            "GradeLevel": look_up([f"{g:02d}" for g in range(LAST_GRADE + 1)], grade),
            **_background(rng, group, ability),
            **_languages(rng, group, ability, grade),
            "EnrollmentStartDate": start,
            "EnrollmentEndDate": end,
            **_services(rng, grade),
            "DistrictAssignedStudentEmailAddress": local + f"@{domain}",
        }
    )
    return People(ssid, grade, school, ability, cells)


def _schools_and_grades(block: Block, rng: np.random.Generator) -> tuple[Integers, Integers]:
    """Each student's school (row) and grade: grades of one size, schools by what they take in."""
    schools = block.place.schools
    grades = np.arange(FIRST_GRADE, LAST_GRADE + 1)
    first, last, intake = (
        schools[name].to_numpy()[:, np.newaxis] for name in ("first_grade", "last_grade", "intake")
    )
    served = np.where((first <= grades) & (grades <= last), intake, 0.0)
    of_grade = served.sum(axis=0)
    full = np.minimum(1.0, of_grade / (of_grade.max() * _FULL_GRADE))
    weights = served / np.where(of_grade > 0, of_grade, 1.0) * full
    cell = pick(rng, weights.ravel(), block.count)
    school, grade = np.divmod(cell, len(grades))
    return school, grade + FIRST_GRADE


def _groups(block: Block, rng: np.random.Generator) -> Integers:
    """Each student's row of ``rates.GROUPS``; every district has its own mix."""
    of_district = stream(block.seed, block.place.cd_code, Part.MIX)
    state = np.array([group.share for group in rates.GROUPS])
    mix = of_district.dirichlet(state * rates.LIKENESS_OF_DISTRICTS)
    return pick(rng, mix, block.count)


def _names(rng: np.random.Generator, group: Integers, gender: pl.Series) -> dict[str, pl.Series]:
    count = len(group)
    pools = list(POOLS)
    own = np.array([pools.index(entry.pool) for entry in rates.GROUPS])[group]
    english = np.full(count, pools.index("english"))
    either = (gender == "X").to_numpy() & chance(rng, 0.5, count)
    girl = (gender == "F").to_numpy() | either
    english_first = chance(rng, rates.ENGLISH_FIRST_NAME, count)

    def first_name(pool: Integers) -> pl.Series:
        hers = from_pools(rng, [entry.girls for entry in POOLS.values()], pool)
        his = from_pools(rng, [entry.boys for entry in POOLS.values()], pool)
        return hers.zip_with(pl.Series(girl), his)

    last_names = [entry.last for entry in POOLS.values()]
    last, second = (from_pools(rng, last_names, own) for _ in range(2))
    double = chance(rng, rates.TWO_LAST_NAMES, count) & ~last.str.contains("[ -]").to_numpy()
    first = first_name(np.where(english_first, english, own))
    suffix = pick_code(rng, rates.SUFFIX, count)
    return {
        "FirstName": first,
        "PreferredFirstName": only_where(
            chance(rng, rates.PREFERRED_NAME, count), first_name(english)
        ),
        "MiddleName": only_where(chance(rng, rates.MIDDLE_NAME, count), first_name(own)),
        "LastName": (last + "-" + second).zip_with(
            pl.Series(double & (last != second).to_numpy()), last
        ),
        "Suffix": only_where(chance(rng, rates.HAS_SUFFIX, count) & ~girl, suffix),
    }


def from_pools(rng: np.random.Generator, pools: list[tuple[str, ...]], pool: Integers) -> pl.Series:
    """A name out of each student's pool (position in ``pools``)."""
    sizes = np.array([len(names) for names in pools])
    starts = np.cumsum(sizes) - sizes
    within = (rng.random(len(pool)) * sizes[pool]).astype(np.int64)
    return look_up([name for names in pools for name in names], starts[pool] + within)


def _births(block: Block, rng: np.random.Generator, grade: Integers) -> pl.Series:
    """Dates of birth: the year of the grade, a year earlier for the few who repeated one."""
    repeated = chance(rng, rates.REPEATED_A_GRADE, block.count).astype(np.int64)
    year = first_year(block.on) - grade - _AGE_IN_GRADE_0 - repeated
    days = {int(y): np.datetime64(date(int(y), *_BORN_AFTER), "D") for y in np.unique(year)}
    table = np.array(list(days.values()))
    start = table[np.searchsorted(np.array(list(days)), year)]
    return pl.Series(start + rng.integers(0, 365, block.count))


def _enrollment(block: Block, rng: np.random.Generator) -> tuple[pl.Series, pl.Series]:
    """First and last day of the enrollment; most began with the year, nearly all are open."""
    first_day = date(first_year(block.on), *FIRST_DAY)
    if block.on < first_day:
        first_day = first_day.replace(year=first_day.year - 1)
    days = (block.on - first_day).days
    late = chance(rng, rates.CAME_LATER, block.count)
    start = _days_after(first_day, np.where(late, rng.integers(0, days + 1, block.count), 0))
    left = chance(rng, rates.LEFT, block.count)
    stay = (np.datetime64(block.on, "D") - start).astype(np.int64)
    end = start + (rng.random(block.count) * stay).astype(np.int64)
    return pl.Series(start), only_where(left, pl.Series(end))


def _days_after(day: date, days: npt.NDArray[np.integer]) -> npt.NDArray[np.datetime64]:
    return np.datetime64(day, "D") + days


def _background(rng: np.random.Generator, group: Integers, ability: Floats) -> dict[str, pl.Series]:
    """Ethnicity, race, parents' education, meals."""
    count = len(group)
    hispanic = np.array([entry.hispanic for entry in rates.GROUPS])[group]
    own_race = look_up([entry.race for entry in rates.GROUPS], group)
    other_race = pick_code(rng, rates.OTHER_RACE, count)
    of_another = pl.Series(hispanic & chance(rng, rates.HISPANIC_OF_ANOTHER_RACE, count))
    race = other_race.zip_with(of_another, own_race)
    second = pick_code(rng, rates.OTHER_RACE, count)
    two = chance(rng, rates.TWO_RACES, count) & (second != race).to_numpy()
    level = (2.0 - ability + rng.standard_normal(count)).clip(0, 4).astype(np.int64)
    education = look_up(list(codes.PARENT_EDUCATION_LEVEL.values), level)
    return {
        "HispanicEthnicity": pl.Series(hispanic),
        "RaceCode1": race,
        "RaceCode2": only_where(two, second),
        "ParentGuardianEdLevel": education.zip_with(
            pl.Series(chance(rng, rates.PARENTS_STATE_IT, count)),
            pl.repeat("15", count, eager=True),
        ),
        "NSLP": look_up(["N", "Y"], (rng.standard_normal(count) > 0.6 * ability).astype(int)),
    }


def _languages(
    rng: np.random.Generator, group: Integers, ability: Floats, grade: Integers
) -> dict[str, pl.Series]:
    """English learner status, and the certificates of those who know another language well."""
    count = len(group)
    home_language = look_up([entry.language for entry in rates.GROUPS], group)
    speaks_another = home_language.is_not_null().to_numpy()
    status = pick_code(rng, rates.LANGUAGE_STATUS, count)
    certified = chance(rng, rates.LANGUAGE_CERTIFICATE, count) & speaks_another
    certified &= (ability > 0) & (grade >= _CERTIFIED_FROM)
    return {
        "LOTECert": only_where(certified, pl.repeat("Y", count, eager=True)),
        "LOTECertSource": only_where(certified, pick_code(rng, rates.CERTIFICATE_SOURCE, count)),
        "LanguageCode": only_where(certified, home_language),
        "EL": status.zip_with(pl.Series(speaks_another), pl.repeat("EO", count, eager=True)),
    }


def _services(rng: np.random.Generator, grade: Integers) -> dict[str, pl.Series]:
    """Flags; the opt-out of the financial aid requirement is asked of seniors only."""
    flags: dict[str, Flags] = {
        name: chance(rng, share, len(grade)) for name, share in rates.SERVICES.items()
    }
    opted_out = only_where(grade == _SENIORS, pl.Series(flags.pop("AB469OptOut")))
    return {"AB469OptOut": opted_out, **{name: pl.Series(flag) for name, flag in flags.items()}}
