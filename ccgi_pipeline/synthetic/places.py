"""Districts and schools of the synthetic students, real ones first.

Belongs here: the small register of real CDE directory facts (``register.tsv``), plausible
further districts, the directory file of both, and how many students
a district has. Does not belong here: students.

The CD codes of plausible districts begin their district part with 9, as none of CDE's does, so
that they differ visibly from real ones.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import NamedTuple

import numpy as np
import polars as pl

from ccgi_pipeline.feeds import cde_directory
from ccgi_pipeline.feeds.codes import COUNTY_NAMES
from ccgi_pipeline.synthetic.place_names import (
    FIRST_WORDS,
    HIGH_SCHOOLS,
    MIDDLE_SCHOOLS,
    SECOND_WORDS,
)
from ccgi_pipeline.synthetic.random_draws import Integers, Part, stream

FIRST_GRADE, LAST_GRADE = 6, 12
"""CCGI serves these grades."""

_NO_DATA = cde_directory.FEED.blank_words[0]
_DISTRICT_RECORD = "0000000"
_UNIFIED, _HIGH_SCHOOL_DISTRICT = "54", "56"
_NAMED_FIRST = ("3367173", "0161192")
"""The two districts of CCGI's own sample reports: Palm Springs Unified and Hayward Unified."""

_INTAKE_BY_OPTION = {"TRAD": 1.0, "CON": 0.12, "ALTSOC": 0.15, "COMMDAY": 0.03, "HOMHOS": 0.03}
_INTAKE_OTHERWISE = 0.1
_INTAKE_OF_CHARTERS = 0.4
"""How many students a school takes in, as a share of an ordinary one."""

_PLAUSIBLE_FROM = 90_001
_PLAUSIBLE_SCHOOL_FROM = 9_000_001
_SCHOOLS_AT_MOST = 20


@dataclass(frozen=True)
class Place:
    """One district that sends files.

    ``file_name`` is its name as files carry it, without blanks and punctuation. ``schools`` has a
    row for each school: ``CDSCode``, ``School``, ``first_grade`` and ``last_grade`` (int, within
    6 to 12), ``intake`` (float, relative to an ordinary school).
    """

    ordinal: int
    cd_code: str
    county: str
    name: str
    file_name: str
    schools: pl.DataFrame


def most_districts() -> int:
    """Returns the number of districts that have names."""
    return _real_senders()["CDCode"].n_unique() + len(FIRST_WORDS) * len(SECOND_WORDS)


def senders(districts: int) -> pl.DataFrame:
    """The schools of the first ``districts`` districts, one row each, district by district.

    Columns: ``CDCode`` (7 digits), ``County``, ``District``, ``CDSCode`` (14 digits), ``School``,
    ``first_grade`` and ``last_grade`` (int, within 6 to 12), ``intake`` (float). The districts of
    CCGI's own samples come first, then other real ones, then plausible ones; the first N are the
    same whatever N is.
    """
    if not 1 <= districts <= most_districts():
        msg = f"districts must be between 1 and {most_districts()}, not {districts}"
        raise ValueError(msg)
    real = _real_senders()
    real_codes = real["CDCode"].unique(maintain_order=True)
    wanted = real.filter(pl.col("CDCode").is_in(real_codes.head(districts).implode()))
    made = _with_grades(_plausible_records(districts - len(real_codes)))
    return pl.concat([wanted, made])


def places(districts: int) -> Iterator[Place]:
    """The first ``districts`` districts as ``Place``, in the order of ``senders``."""
    groups = senders(districts).partition_by("CDCode", maintain_order=True)
    for ordinal, schools in enumerate(groups):
        name = schools.item(0, "District")
        yield Place(
            ordinal=ordinal,
            cd_code=schools.item(0, "CDCode"),
            county=schools.item(0, "County"),
            name=name,
            file_name=file_name(name),
            schools=schools.select("CDSCode", "School", "first_grade", "last_grade", "intake"),
        )


def file_name(district: str) -> str:
    """A district's name without blanks and punctuation, as files carry it."""
    return "".join(character for character in district if character.isalnum())


def sizes(districts: int, students: int, seed: int) -> Integers:
    """How many of ``students`` each district has (int64, in the order of ``senders``).

    Few districts are large and many are small. Every district has a student.
    """
    if students < districts:
        msg = f"{students} students are too few for {districts} districts"
        raise ValueError(msg)
    schools = senders(districts)
    intake = schools.group_by("CDCode", maintain_order=True).agg(pl.col("intake").sum())
    spread = [stream(seed, cd_code, Part.SIZE).lognormal(sigma=1.0) for cd_code in intake["CDCode"]]
    weights = intake["intake"].to_numpy() * np.asarray(spread)
    floor = min(_SMALLEST, students // districts)
    shares = weights / weights.sum() * (students - floor * districts)
    counts = np.floor(shares).astype(np.int64)
    left = students - floor * districts - int(counts.sum())
    counts[np.argsort(counts - shares, kind="stable")[:left]] += 1
    whole: Integers = counts + floor
    return whole


_SMALLEST = 20
"""Students of the smallest district, if there are enough students."""


def directory(districts: int) -> pl.DataFrame:
    """The directory file's cells (text): the real register, and the plausible districts in use.

    Columns and order are those of the feed ``cde_directory``; what is not known says so.
    """
    real = _register()
    plausible = _plausible_records(districts - _real_senders()["CDCode"].n_unique())
    known = pl.concat([real, plausible], how="diagonal")
    own = known.filter(pl.col("CDSCode").str.tail(7) == _DISTRICT_RECORD)
    missing = plausible.unique("District", maintain_order=True).with_columns(
        pl.col("CDSCode").str.head(7) + _DISTRICT_RECORD,
        *(pl.lit(_NO_DATA).alias(name) for name in _OF_SCHOOLS_ONLY),
    )
    records = pl.concat([known, missing.join(own, on="CDSCode", how="anti")], how="diagonal")
    return records.sort("CDSCode").select(
        pl.col(name) if name in records.columns else pl.lit(_NO_DATA).alias(name)
        for name in cde_directory.FEED.columns
    )


_OF_SCHOOLS_ONLY = (
    "School", "Charter", "CharterNum", "SOC", "EdOpsCode", "EILCode", "GSserved",
)  # fmt: skip


# --- real districts ---------------------------------------------------------------------------


@cache
def _register() -> pl.DataFrame:
    """The real directory's facts, as text."""
    text = resources.files("ccgi_pipeline").joinpath("register.tsv").read_bytes()
    return pl.read_csv(text, separator="\t", quote_char=None, infer_schema=False)


@cache
def _real_senders() -> pl.DataFrame:
    """Schools of real districts that have students of grades 6 to 12; county offices send none."""
    register = _register()
    district_record = pl.col("CDSCode").str.tail(7) == _DISTRICT_RECORD
    active = register.filter(
        pl.col("StatusType") == "Active",
        pl.col("DOC").is_in([_UNIFIED, _HIGH_SCHOOL_DISTRICT]),
    )
    codes = active.filter(district_record)["CDSCode"].str.head(7)
    schools = active.filter(~district_record, pl.col("CDSCode").str.head(7).is_in(codes.implode()))
    named = pl.DataFrame({"CDCode": _NAMED_FIRST, "_rank": range(len(_NAMED_FIRST))})
    return (
        _with_grades(schools)
        .join(named, on="CDCode", how="left", maintain_order="left")
        .sort("_rank", "CDSCode", nulls_last=True)
        .drop("_rank")
    )


def _with_grades(records: pl.DataFrame) -> pl.DataFrame:
    """Directory records of schools as rows of ``senders``: those that serve grades 6 to 12."""
    bounds = pl.col("GSserved").str.replace("^K", "0").str.extract_groups(r"^(\d+)(?:-(\d+))?$")
    first = bounds.struct[0].cast(pl.Int64)
    last = pl.coalesce(bounds.struct[1], bounds.struct[0]).cast(pl.Int64)
    by_option = pl.col("EdOpsCode").replace_strict(_INTAKE_BY_OPTION, default=_INTAKE_OTHERWISE)
    by_charter = pl.when(pl.col("Charter") == "Y").then(_INTAKE_OF_CHARTERS).otherwise(1.0)
    return (
        records.select(
            pl.col("CDSCode").str.head(7).alias("CDCode"),
            "County",
            "District",
            "CDSCode",
            "School",
            first.clip(FIRST_GRADE, None).alias("first_grade"),
            last.clip(None, LAST_GRADE).alias("last_grade"),
            (by_option * by_charter).cast(pl.Float64).alias("intake"),
        )
        .drop_nulls(["first_grade", "last_grade"])
        .filter(pl.col("first_grade") <= pl.col("last_grade"))
    )


# --- plausible districts ----------------------------------------------------------------------


class _Record(NamedTuple):
    """What the directory says of a plausible school."""

    CDSCode: str
    StatusType: str
    County: str
    District: str
    School: str
    Charter: str
    CharterNum: str
    SOC: str
    DOC: str
    EdOpsCode: str
    EILCode: str
    GSserved: str


_HIGH = ("66", "TRAD", "HS", "9-12")
_MIDDLE = ("62", "TRAD", "INTMIDJR", "6-8")
_CONTINUATION = ("68", "CON", "HS", "10-12")
"""Ownership, option, level and grades, as CDE codes them for real schools of the kind."""


def _plausible_records(count: int) -> pl.DataFrame:
    """Directory records of the schools of the first ``count`` plausible districts."""
    records = [record for number in range(count) for record in _plausible_schools(number)]
    return pl.DataFrame(records, schema=dict.fromkeys(_Record._fields, pl.String), orient="row")


def _plausible_schools(number: int) -> Iterator[_Record]:
    """The schools of the plausible district ``number`` (from 0)."""
    base = _plausible_name(number)
    unified = number % 5 != 4  # noqa: PLR2004 - one district in five is a high school district
    kind = ("Joint Unified" if number % 7 == 0 else "Unified") if unified else "Union High"
    county = f"{number * 17 % len(COUNTY_NAMES) + 1:02d}"
    schools = [
        (f"{base} High", _HIGH),
        *((_nth(HIGH_SCHOOLS, number * 5 + n), _HIGH) for n in range(number % 4)),
        *(
            (_nth(MIDDLE_SCHOOLS, number * 3 + n), _MIDDLE)
            for n in range(1 + number % 3)
            if unified
        ),
        *((f"{base} Continuation High", _CONTINUATION) for _ in range(number % 2)),
    ]
    for position, (school, (ownership, option, level, grades)) in enumerate(schools):
        school_code = _PLAUSIBLE_SCHOOL_FROM + number * _SCHOOLS_AT_MOST + position
        yield _Record(
            CDSCode=f"{county}{_PLAUSIBLE_FROM + number}{school_code}",
            StatusType="Active",
            County=COUNTY_NAMES[county],
            District=f"{base} {kind}",
            School=school,
            Charter="N",
            CharterNum=_NO_DATA,
            SOC=ownership,
            DOC=_UNIFIED if unified else _HIGH_SCHOOL_DISTRICT,
            EdOpsCode=option,
            EILCode=level,
            GSserved=grades,
        )


def _plausible_name(number: int) -> str:
    """Two words; all pairs come up once before any comes again."""
    row, column = divmod(number, len(FIRST_WORDS))
    stride = _coprime_stride(len(FIRST_WORDS))
    first = column * stride % len(FIRST_WORDS)
    return f"{FIRST_WORDS[first]} {SECOND_WORDS[(row + column) % len(SECOND_WORDS)]}"


def _coprime_stride(size: int) -> int:
    """A step of about a third of ``size`` that visits all positions before any again."""
    return next(step for step in range(size // 3 + 1, size + 2) if math.gcd(step, size) == 1)


def _nth(names: tuple[str, ...], number: int) -> str:
    return names[number % len(names)]
