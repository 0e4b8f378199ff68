"""Lists course names as California schools abbreviate them, and brings names into one form.

Belongs here: the list (``course_names.tsv``, a row for each name), and the form in which names are
compared: without case, punctuation, honors and college-preparatory marks and section suffixes. Does
not belong here: what a name that is not listed is read as (courses).
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files

import polars as pl

OTHER = "other"
"""The kind of a listed name that is none of the kinds of its area: it counts for its area only."""

_SEPARATE = (
    (r"\p{M}", ""),  # accents
    (r"['\x{2019}]", ""),
    (r"[-/]", "/"),
    (r"[^A-Z0-9/]+", " "),
    (r"([A-Z])([0-9])", "$1 $2"),
    (r"([0-9])([A-Z])", "$1 $2"),
)
_RENAME = (
    (r"\bI\b", "1"),
    (r"\bII\b", "2"),
    (r"\bIII\b", "3"),
    (r"\bIV\b", "4"),
    (r"\bV\b", "5"),
    # Some districts number semesters: Spanish 3-4 is the second year.
    (r"\b1 ?/ ?2\b", "1"),
    (r"\b3 ?/ ?4\b", "2"),
    (r"\b5 ?/ ?6\b", "3"),
    (r"\b7 ?/ ?8\b", "4"),
    (r"/", " "),
    (r"\bU S\b", "US"),
    (r"\bA P\b", "AP"),
    (r"\bP E\b", "PE"),
)
_LEAVE_OUT = (
    r"\b(?:P|CP|COLLEGE PREP|COL PREP|H|HP|HON|HONS|HONORS?|HNR|HNRS|ACCEL|ACCELERATED|CC|CCSS"
    r"|ONLINE|APEX|EDGENUITY|SDAIE|SHELTERED|DLI|GATE|AND|THE|OF|IN|FOR|TO)\b"
)
_SUFFIX = r"(?: (?:[AB]|(?:S|SEM|SEMESTER|T|TRI|TRIMESTER|Q|QTR|QUARTER) ?[1-6]|YR|FY))+$"


def plain_name(name: pl.Expr) -> pl.Expr:
    """Returns course names in the form in which they are compared.

    ``Alg. II (P) B`` becomes ``ALG 2``; ``Spanish 3-4`` becomes ``SPANISH 2``.
    """
    plain = name.str.to_uppercase().str.normalize("NFKD")
    for pattern, instead in (*_SEPARATE, *_RENAME, (_LEAVE_OUT, "")):
        plain = plain.str.replace_all(pattern, instead)
    plain = plain.str.replace_all(r"\s+", " ").str.strip_chars()
    return plain.str.replace(_SUFFIX, "")


@cache
def listed_names() -> pl.DataFrame:
    """Returns the list: ``area``, ``name``, ``kind``, ``level`` and the ``plain`` name.

    ``kind``: in area E the language, in F the discipline. An elective in science (area G) is listed
    under D.
    """
    with files("ccgi_pipeline.eligibility").joinpath("course_names.tsv").open("rb") as listed:
        rows = pl.read_csv(listed.read(), separator="\t", infer_schema=False)
    return rows.with_columns(
        pl.col("level").cast(pl.Int8), plain_name(pl.col("name")).alias("plain")
    )


@cache
def names_by_area() -> pl.DataFrame:
    """Returns ``area``, ``plain``, ``listed`` and ``listed_level``, the sciences also under G."""
    listed = listed_names().select(
        "area", "plain", pl.col("kind").alias("listed"), pl.col("level").alias("listed_level")
    )
    sciences = listed.filter(pl.col("area") == "D").with_columns(pl.lit("G").alias("area"))
    sciences = sciences.join(listed, on=["area", "plain"], how="anti")
    return pl.concat([listed, sciences])
