"""Detects the standard test of a score, because student systems name one test in many ways.

Belongs here: the normalised names, and how they are found in a line. Does not belong here: a
district's own names, which its profile translates.
"""

from __future__ import annotations

import polars as pl

WORDS = {
    "CAHSEE": r"CAHSEE|CA(?:LIFORNIA)? HIGH SCHOOL EXIT",
    "CELDT": r"CELDT|ENGLISH LANGUAGE DEVELOPMENT TEST",
    "CAPA": r"CAPA|ALTERNATE PERFORMANCE ASSESSMENT",
    "CMA": r"CMA|MODIFIED ASSESSMENT",
    "CST": r"CST|CALIFORNIA STANDARDS TESTS?",
    "CAASPP": r"CAASPP|SBAC|SMARTER BALANCED",
    "ELPAC": r"ELPAC",
    "CAST": r"CAST|CALIFORNIA SCIENCE TEST",
    "PSAT": r"PSAT",
    "SAT": r"SAT",
    "ACT": r"ACT",
}
"""Normalised names, those of the specification first, and the words by which each is known."""


def normalised_test() -> pl.Expr:
    """The normalised name of a test-score line, from its subtype, type and description; or null."""
    words = pl.concat_str(
        "TestSubType", "TestType", "TestDescription", separator=" ", ignore_nulls=True
    ).str.to_uppercase()
    return pl.coalesce(
        pl.when(words.str.contains(rf"\b(?:{known})\b")).then(pl.lit(test))
        for test, known in WORDS.items()
    )
