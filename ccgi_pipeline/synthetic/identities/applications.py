"""Applications to colleges, as CCCApply has them when they are submitted, with the truth known.

Belongs here: who applies, and what the application says. Does not belong here: the mistakes in it
(mistakes), the students (students), the file that it comes in.
"""

from __future__ import annotations

from datetime import date

import numpy as np
import polars as pl

from ccgi_pipeline.synthetic.colleges import CCC
from ccgi_pipeline.synthetic.identities.mistakes import with_mistakes
from ccgi_pipeline.synthetic.identities.students import WHOLE_STATE, school_codes, strangers
from ccgi_pipeline.synthetic.random_draws import Part, chance, look_up, only_where, stream

APPLICATION_SCHEMA = {
    "app_id": pl.Int64,
    "ccc_id": pl.String,
    "firstname": pl.String,
    "lastname": pl.String,
    "birthdate": pl.Date,
    "hs_cds_full": pl.String,
    "col[0]_cds_full": pl.String,
    "true_ssid": pl.String,
    "error": pl.String,
}

_BORN_BEFORE = date(2010, 9, 2)
"""Applicants are 16 and older in the autumn of 2026."""
_STRANGERS = 0.10
"""The share of applicants who never went to the state's public schools."""
_STRANGERS_FROM_A_SCHOOL = 0.4
"""The share of these who name a Californian school all the same, so that a look-up is possible."""

_COLLEGE_CODE = "99{:05d}0000000"
"""There is no county 99: a college's code is never a school's."""

_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_NUMBERS_OF_LETTERS = 10_000
_CCC_IDS = len(_LETTERS) ** 3 * _NUMBERS_OF_LETTERS
_STRIDE = 2_654_435_761
"""Coprime to the number of CCC ids (2, 5 and 13 do not divide it), so no id comes twice."""


def applications(identities: pl.DataFrame, count: int, seed: int) -> pl.DataFrame:
    """``count`` submitted applications in ``APPLICATION_SCHEMA``, about students of ``identities``.

    No student applies twice. ``true_ssid`` is the applicant's, null for a stranger to the state's
    schools; ``error`` names the one mistake of the application, null for none.

    Raises:
        ValueError: fewer students of ``identities`` are old enough than would have to apply.
    """
    rng = stream(seed, WHOLE_STATE, Part.STRANGERS)
    of_nobody = round(count * _STRANGERS)
    students = with_mistakes(rng, _draw_students(rng, identities, count - of_nobody))
    everyone = pl.concat([students, _strangers(rng, of_nobody)], how="diagonal")
    everyone = everyone[pl.Series(rng.permutation(count))]
    colleges = [_COLLEGE_CODE.format(number + 1) for number in range(len(CCC))]
    return everyone.with_columns(
        pl.int_range(1, count + 1, dtype=pl.Int64).alias("app_id"),
        _ccc_ids(seed, count).alias("ccc_id"),
        look_up(colleges, rng.integers(0, len(colleges), count)).alias("col[0]_cds_full"),
    ).select(pl.col(name).cast(dtype) for name, dtype in APPLICATION_SCHEMA.items())


def _draw_students(rng: np.random.Generator, identities: pl.DataFrame, count: int) -> pl.DataFrame:
    """``count`` students, each with one school of theirs, named as an application names things."""
    old_enough = identities.filter(pl.col("BirthDate") < _BORN_BEFORE)
    enrollments = old_enough[pl.Series(rng.permutation(old_enough.height))]
    students = enrollments.unique("SSID", keep="first", maintain_order=True).sort("SSID")
    if students.height < count:
        msg = f"{students.height} students are old enough to apply, {count} would have to"
        raise ValueError(msg)
    applicants = students[pl.Series(rng.permutation(students.height)[:count])]
    return applicants.select(
        pl.col("FirstName").alias("firstname"),
        pl.col("LastName").alias("lastname"),
        pl.col("BirthDate").alias("birthdate"),
        pl.col("CDSCode").alias("hs_cds_full"),
        pl.col("SSID").alias("true_ssid"),
        "AliasFirstName",
        "AliasLastName",
    )


def _strangers(rng: np.random.Generator, count: int) -> pl.DataFrame:
    schools = school_codes()
    school = look_up(schools, rng.integers(0, len(schools), count))
    names_one = chance(rng, _STRANGERS_FROM_A_SCHOOL, count)
    return strangers(rng, count).select(
        pl.col("FirstName").alias("firstname"),
        pl.col("LastName").alias("lastname"),
        pl.col("BirthDate").alias("birthdate"),
        only_where(names_one, school).alias("hs_cds_full"),
    )


def _ccc_ids(seed: int, count: int) -> pl.Series:
    """Three letters and four digits each."""
    numbers = (np.arange(count, dtype=np.int64) * _STRIDE + seed) % _CCC_IDS
    letters, digits = np.divmod(numbers, _NUMBERS_OF_LETTERS)
    triples = [a + b + c for a in _LETTERS for b in _LETTERS for c in _LETTERS]
    return look_up(triples, letters) + pl.Series(digits).cast(pl.String).str.zfill(4)
