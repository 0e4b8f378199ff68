"""What people get wrong about themselves on an application: one mistake each, and how often.

Belongs here: ``MISTAKES``, by the names that the column ``error`` has. Does not belong here: who
applies (applications), and which rule of matching would forgive it (``ssid_lookup``).

A frame that a mistake is made in has ``firstname``, ``lastname``, ``birthdate`` and
``hs_cds_full`` as the state knows them, and the state's ``AliasFirstName`` and ``AliasLastName``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import polars as pl

from ccgi_pipeline.synthetic.identities.nicknames import NICKNAMES
from ccgi_pipeline.synthetic.identities.students import school_codes
from ccgi_pipeline.synthetic.random_draws import look_up, pick

Making = Callable[[np.random.Generator, pl.DataFrame], pl.DataFrame]

WRITTEN = ("firstname", "lastname", "birthdate", "hs_cds_full")

_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_PARTICLES = "De|Del|Dela|La|San|St\\.|Ter|Van"
"""First words that make no last name of their own: nobody shortens De La Cruz to De."""
_GIVEN_NAMES = "^(\\p{Lu}\\p{Ll}{2,}) \\p{Lu}"
_FIRST_OF_TWO_LAST_NAMES = "^([^ -]+)[ -]\\p{Lu}"


class Mistake(NamedTuple):
    """How a mistake is made, and its ``rate`` among the applicants.

    The rate is of all applicants; one who cannot make it (has no nickname, was born on the 13th or
    later) makes none.
    """

    rate: float
    make: Making


def with_mistakes(rng: np.random.Generator, applications: pl.DataFrame) -> pl.DataFrame:
    """The applications, some with a mistake; ``error`` names it and is null where there is none."""
    rates = [mistake.rate for mistake in MISTAKES.values()]
    kind = pick(rng, [*rates, 1 - sum(rates)], applications.height)
    kinds = pl.Series([*MISTAKES, None], dtype=pl.String)
    numbered = applications.with_row_index("_row").with_columns(look_up(kinds, kind).alias("error"))
    made = [numbered.filter(pl.col("error").is_null())]
    for name, mistake in MISTAKES.items():
        right = numbered.filter(pl.col("error") == name)
        wrong = mistake.make(rng, right)
        changed = pl.any_horizontal(pl.col(column).ne_missing(right[column]) for column in WRITTEN)
        made.append(wrong.with_columns(pl.when(changed).then("error")))
    return pl.concat(made).sort("_row").drop("_row")


# --- the mistakes -----------------------------------------------------------------------------


def _misspelled(column: str) -> Making:
    return lambda rng, frame: frame.with_columns(misspelled(rng, frame[column]).alias(column))


def misspelled(rng: np.random.Generator, names: pl.Series) -> pl.Series:
    """Names with one letter left out, doubled, changed for another or for the next one's place.

    The first letter stays, as it does in most typing errors.
    """
    lengths = names.str.len_chars().to_numpy().astype(np.int64)
    place = 1 + (rng.random(len(names)) * np.maximum(lengths - 1, 1)).astype(np.int64)
    parts = pl.DataFrame(
        {
            "name": names,
            "place": place,
            "way": rng.integers(0, 4, len(names)),
            "other": look_up(list(_LETTERS), rng.integers(0, len(_LETTERS), len(names))),
        }
    ).with_columns(
        head=pl.col("name").str.slice(0, pl.col("place")),
        letter=pl.col("name").str.slice(pl.col("place"), 1),
        tail=pl.col("name").str.slice(pl.col("place") + 1),
    )
    head, letter, tail = pl.col("head"), pl.col("letter"), pl.col("tail")
    ways = [
        head + tail,
        head + letter + letter + tail,
        head + pl.col("other") + tail,
        head + tail.str.head(1) + letter + tail.str.slice(1),
    ]
    chosen = pl.coalesce(
        pl.when(pl.col("way") == number).then(way) for number, way in enumerate(ways)
    )
    return parts.select(chosen).to_series()


def _nickname(_: np.random.Generator, frame: pl.DataFrame) -> pl.DataFrame:
    return frame.with_columns(pl.col("firstname").replace(NICKNAMES))


def _alias(_: np.random.Generator, frame: pl.DataFrame) -> pl.DataFrame:
    return frame.with_columns(
        pl.coalesce("AliasFirstName", "firstname").alias("firstname"),
        pl.coalesce("AliasLastName", "lastname").alias("lastname"),
    )


def _day_and_month_swapped(_: np.random.Generator, frame: pl.DataFrame) -> pl.DataFrame:
    birth = pl.col("birthdate").dt
    possible = birth.day() <= 12  # noqa: PLR2004 - a year has twelve months
    swapped = pl.date(birth.year(), pl.when(possible).then(birth.day()), birth.month())
    return frame.with_columns(pl.coalesce(swapped, "birthdate").alias("birthdate"))


def _wrong_year(rng: np.random.Generator, frame: pl.DataFrame) -> pl.DataFrame:
    by = look_up(["-1y", "1y"], rng.integers(0, 2, frame.height))
    return frame.with_columns(pl.col("birthdate").dt.offset_by(pl.lit(by)))


def _other_school(rng: np.random.Generator, frame: pl.DataFrame) -> pl.DataFrame:
    schools = school_codes()
    other = look_up(schools, rng.integers(0, len(schools), frame.height))
    return frame.with_columns(other.alias("hs_cds_full"))


def _double_name_shortened(_: np.random.Generator, frame: pl.DataFrame) -> pl.DataFrame:
    """The first of two last names, or else of two given names."""
    last = pl.col("lastname")
    part = last.str.extract(_FIRST_OF_TWO_LAST_NAMES)
    part = pl.when(~part.str.contains(f"^({_PARTICLES})$")).then(part)
    given = pl.col("firstname").str.extract(_GIVEN_NAMES)
    return frame.with_columns(
        pl.coalesce(part, last).alias("lastname"),
        pl.when(part.is_null()).then(given).fill_null(pl.col("firstname")).alias("firstname"),
    )


def _mark_dropped(_: np.random.Generator, frame: pl.DataFrame) -> pl.DataFrame:
    return frame.with_columns(without_marks(pl.col("firstname")), without_marks(pl.col("lastname")))


def without_marks(name: pl.Expr) -> pl.Expr:
    """A name without accents and apostrophes, and with blanks for hyphens."""
    return (
        name.str.normalize("NFKD")
        .str.replace_all("[\\p{M}']", "")
        # The bar of this letter is no accent to Unicode.
        .str.replace_many({"Đ": "D", "đ": "d", "-": " "})
    )


def _names_swapped(_: np.random.Generator, frame: pl.DataFrame) -> pl.DataFrame:
    return frame.with_columns(firstname=pl.col("lastname"), lastname=pl.col("firstname"))


MISTAKES = {
    "typo_in_first_name": Mistake(0.012, _misspelled("firstname")),
    "typo_in_last_name": Mistake(0.018, _misspelled("lastname")),
    "nickname": Mistake(0.05, _nickname),
    "alias": Mistake(0.15, _alias),
    "day_and_month_swapped": Mistake(0.008, _day_and_month_swapped),
    "wrong_year": Mistake(0.008, _wrong_year),
    "other_school": Mistake(0.06, _other_school),
    "double_name_shortened": Mistake(0.10, _double_name_shortened),
    "mark_dropped": Mistake(0.20, _mark_dropped),
    "names_swapped": Mistake(0.004, _names_swapped),
}
"""Assumed, for no source counts them: about a fifth of the applicants make one. Typing
errors are a few in a hundred names in any register; a web form of English-speaking colleges loses
many accents and second last names; who has an alias often uses it."""
