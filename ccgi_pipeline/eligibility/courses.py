"""Detects a course's kind from its name: geometry, world history, Spanish 2, chemistry.

Belongs here: words of course names by area; the first match decides. Districts choose their own
course names and no list of them is public, so the words are this project's choice. Does not belong
here: what a kind counts for (systems).
"""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

_Words = Sequence[tuple[str, str]]

_HISTORY: _Words = (
    ("us_history", r"\bU\.? ?S\.? ?(?:HIST|&)|\bUSH\b|UNITED STATES|AMERICAN HIST|APUSH"),
    ("government", r"GOVERNMENT|\bGOVT?\b|CIVICS|AMERICAN DEMOCRACY|POLITICS"),
    ("world_history", r"WORLD|EUROPEAN? HIST|HUMAN GEOG|GEOGRAPHY|GLOBAL HIST|ANCIENT"),
)
_ENGLISH: _Words = (("esl", r"\bESL\b|\bELD\b|ENGLISH AS A SECOND|ENGLISH LANGUAGE DEVELOPMENT"),)
_MATHEMATICS: _Words = (
    ("integrated_3", r"(?:INTEGRATED|\bINT\b|\bIM\b|\bMATH(?:EMATICS)?\b).* ?(?:\b3\b|\bIII\b)"),
    ("integrated_2", r"(?:INTEGRATED|\bINT\b|\bIM\b|\bMATH(?:EMATICS)?\b).* ?(?:\b2\b|\bII\b)"),
    ("integrated_1", r"(?:INTEGRATED|\bINT\b|\bIM\b|\bMATH(?:EMATICS)?\b).* ?(?:\b1\b|\bI\b)"),
    ("precalculus", r"PRE-? ?CALC|TRIG|MATH(?:EMATICAL)? ANALYSIS"),
    ("calculus", r"CALC"),
    ("statistics", r"STAT|DATA SCIENCE"),
    ("algebra_2", r"ALG(?:EBRA)? ?(?:2|II)\b|INTERMEDIATE ALG|ADVANCED ALG"),
    ("geometry", r"GEOM"),
    ("algebra_1", r"ALG"),
)
_SCIENCE: _Words = (
    ("other_physical", r"EARTH SCI|GEOLOGY|ASTRONOMY|PHYSICAL SCI"),
    ("chemistry", r"CHEM"),
    ("physics", r"PHYSICS|PHYSICS OF THE UNIVERSE"),
    ("other_biological", r"ANATOMY|PHYSIOLOGY|BOTANY|ZOOLOGY|MARINE|ENVIRONMENTAL|BIOTECH|ECOLOGY"),
    ("biology", r"BIO|LIVING EARTH|LIFE SCI"),
)
_ARTS: _Words = (
    ("dance", r"DANCE|BALLET"),
    ("music", r"MUSIC|BAND|CHOIR|CHORUS|CHORAL|ORCHESTRA|JAZZ|GUITAR|PIANO|STRINGS|PERCUSSION"),
    ("theater", r"THEAT|DRAMA|ACTING|STAGE"),
    ("media_arts", r"MEDIA|FILM|VIDEO|ANIMATION|DIGITAL|GRAPHIC"),
    ("visual_arts", r"\bART\b|ARTS|DRAWING|PAINT|CERAMIC|PHOTO|SCULPT|STUDIO|DESIGN"),
)
_LANGUAGES: _Words = tuple(
    (name.lower().replace(" ", "_"), rf"\b{words}")
    for name, words in (
        ("Spanish", "SPAN"),
        ("French", "FREN"),
        ("German", "GERM"),
        ("Mandarin", "(?:MANDARIN|CHINESE)"),
        ("Japanese", "JAPAN"),
        ("Korean", "KOREAN"),
        ("Latin", "LATIN"),
        ("Italian", "ITAL"),
        ("Russian", "RUSS"),
        ("Arabic", "ARAB"),
        ("Hmong", "HMONG"),
        ("Vietnamese", "VIETN"),
        ("Tagalog", "(?:TAGALOG|FILIPINO)"),
        ("Portuguese", "PORTUG"),
        ("American Sign Language", "(?:ASL|AMERICAN SIGN|SIGN LANG)"),
    )
)
_LEVELS: Sequence[tuple[int, str]] = (
    (5, r"\b(?:5|V)\b|\bAP\b.*LIT"),
    (4, r"\b(?:4|IV)\b|\bAP\b|\bIB\b"),
    (3, r"\b(?:3|III)\b"),
    (2, r"\b(?:2|II)\b|HERITAGE|NATIVE SPEAK"),
    (1, r"\b(?:1|I)\b|BEGINNING"),
)

_BY_AREA = {
    "A": _HISTORY,
    "B": _ENGLISH,
    "C": _MATHEMATICS,
    "D": _SCIENCE,
    "G": _SCIENCE,
}


def add_kinds(lines: pl.DataFrame) -> pl.DataFrame:
    """Adds ``kind``, ``language``, ``level`` and ``discipline`` to ``lines`` (``area``, ``name``).

    Each name is examined once, however many lines have it.
    """
    names = lines.select("area", "name").unique()
    return lines.join(_read(names), on=["area", "name"], how="left", maintain_order="left")


def _read(names: pl.DataFrame) -> pl.DataFrame:
    written = pl.col("name").str.to_uppercase()
    area = pl.col("area")
    return names.with_columns(
        pl.coalesce(
            *(
                pl.when(area == letter).then(_first(words, written))
                for letter, words in _BY_AREA.items()
            )
        ).alias("kind"),
        pl.when(area == "E").then(_first(_LANGUAGES, written)).alias("language"),
        pl.when(area == "E")
        .then(
            pl.coalesce(
                *(pl.when(written.str.contains(words)).then(level) for level, words in _LEVELS)
            )
        )
        .cast(pl.Int8)
        .alias("level"),
        pl.when(area == "F").then(_first(_ARTS, written)).alias("discipline"),
    )


def _first(words: _Words, written: pl.Expr) -> pl.Expr:
    return pl.coalesce(
        *(pl.when(written.str.contains(known)).then(pl.lit(kind)) for kind, known in words)
    )
