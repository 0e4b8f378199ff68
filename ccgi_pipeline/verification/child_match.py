"""The child match: which child of Foster Focus a district's student is, or why none.

Belongs here: comparing students with the register of children, as one pure function of two frames.
Does not belong here: what becomes of lines without a child (warehouse.linking), how the district
is told (receipts, the child match report).
"""

from __future__ import annotations

from datetime import date

import polars as pl

from ccgi_pipeline.feeds.foster_focus import link_rules
from ccgi_pipeline.profiles import FosterFocusSettings

FIELDS = ("SSID", "Lastname", "Firstname", "Birthdate", "Gender")
"""What student and child have in common, by the names of the demographics extract."""

_OF_CHILD = {
    "SSID": "SSID",
    "LastName": "Lastname",
    "FirstName": "Firstname",
    "BirthDate": "Birthdate",
    "Gender": "Gender",
}
_STUDENT = "student"
_LOOKED_UP_BY = (
    ("SSID",),
    ("Lastname", "Birthdate"),
    ("Firstname", "Birthdate"),
    ("Lastname", "Firstname"),
)
"""Fields of which all agree, at the least, between a student and a child worth comparing."""

_KNOWN_BY = 3
"""Fields that must agree before anything is said of a child: who knows fewer does not know it."""

MATCHES_SCHEMA = {"ChildID": pl.String, "reason": pl.String, "field": pl.String}


def child_match(
    students: pl.DataFrame, children: pl.DataFrame, on: date, settings: FosterFocusSettings
) -> pl.DataFrame:
    """The child of each of ``students``, in their order: a frame of ``MATCHES_SCHEMA``.

    ``students`` has ``FIELDS``, ``children`` the columns of the register. Names are compared by
    their letters alone, in any case. Either ``ChildID`` is given, or ``reason`` (a rule's id) says
    why not; ``field`` names the one field in which a child differs who is nearly the student.

    Nobody learns from the answer that a child is in the register who does not know the child: if
    fewer than three fields agree, or more than one differs, the answer is that of an unknown child.
    """
    here = students.select(FIELDS).with_columns(_letters("Lastname", "Firstname"))
    here = here.with_row_index(_STUDENT)
    there = children.select(
        "ChildID", "Status", "StatusSince", *(pl.col(a).alias(b) for a, b in _OF_CHILD.items())
    ).with_columns(_letters("Lastname", "Firstname"))
    compared = _compared(here, there).filter(pl.col("agreeing") >= _KNOWN_BY)
    fitting = compared.filter(pl.col("fields") == "")
    surest = fitting.filter(pl.col("same_ssid") == pl.col("same_ssid").any().over(_STUDENT))
    alone = surest.filter(pl.len().over(_STUDENT) == 1)
    several = surest.filter(pl.len().over(_STUDENT) > 1).select(_STUDENT).unique()
    linked = alone.select(
        _STUDENT,
        "ChildID",
        _no_longer_linked(on, settings).alias("reason"),
        pl.lit(None, dtype=pl.String).alias("field"),
    ).with_columns(pl.when(pl.col("reason").is_null()).then("ChildID").alias("ChildID"))
    nearly = (
        compared.join(fitting, on=_STUDENT, how="anti")
        .filter(pl.col("differing") == 1)
        .sort(_STUDENT, pl.col("same_ssid").not_(), "ChildID")
        .unique(_STUDENT, keep="first", maintain_order=True)
    )
    found = pl.concat(
        [
            linked,
            _without_child(several, link_rules.AMBIGUOUS.id),
            _without_child(nearly, link_rules.DISAGREES.id, pl.col("fields")),
        ]
    )
    answered = here.select(_STUDENT).join(found, on=_STUDENT, how="left", maintain_order="left")
    nobody = pl.col("ChildID").is_null() & pl.col("reason").is_null()
    return answered.select(
        "ChildID",
        pl.when(nobody)
        .then(pl.lit(link_rules.NO_SUCH_CHILD.id))
        .otherwise("reason")
        .alias("reason"),
        "field",
    )


def _letters(*columns: str) -> list[pl.Expr]:
    """Returns the letters of each column; one with an accent is one sign, not two."""
    return [
        pl.col(c).str.normalize("NFC").str.to_lowercase().str.replace_all(r"[^\p{L}]", "")
        for c in columns
    ]


def _compared(students: pl.DataFrame, children: pl.DataFrame) -> pl.DataFrame:
    """Each student beside each child that is worth comparing, and the fields that differ."""
    pairs = pl.concat(
        [
            students.select(_STUDENT, *fields)
            .drop_nulls()
            .join(children.select("ChildID", *fields).drop_nulls(), on=list(fields))
            .select(_STUDENT, "ChildID")
            for fields in _LOOKED_UP_BY
        ]
    ).unique()
    beside = pairs.join(students, on=_STUDENT).join(children, on="ChildID", suffix="_of_child")
    differs = {name: _differs(name) for name in FIELDS}
    return beside.select(
        _STUDENT,
        "ChildID",
        "Status",
        "StatusSince",
        "Birthdate",
        (pl.col("SSID") == pl.col("SSID_of_child")).fill_null(value=False).alias("same_ssid"),
        pl.sum_horizontal(differs.values()).alias("differing"),
        pl.sum_horizontal(_agrees(name) for name in FIELDS).alias("agreeing"),
        pl.concat_str(
            (pl.when(differs[name]).then(pl.lit(name)) for name in FIELDS),
            separator=", ",
            ignore_nulls=True,
        ).alias("fields"),
    )


def _differs(field: str) -> pl.Expr:
    """Both have the field, and not the same."""
    return (pl.col(field) != pl.col(f"{field}_of_child")).fill_null(value=False)


def _agrees(field: str) -> pl.Expr:
    """Both have the field, and the same."""
    return (pl.col(field) == pl.col(f"{field}_of_child")).fill_null(value=False)


def _no_longer_linked(on: date, settings: FosterFocusSettings) -> pl.Expr:
    """Why a child that is found is not linked any more, or null."""
    status, since = pl.col("Status"), pl.col("StatusSince")
    too_long = since.dt.offset_by(f"{settings.inactive_months}mo") < on
    too_old = pl.col("Birthdate").dt.offset_by(f"{settings.age_limit + 1}y") <= on
    return (
        pl.when(status == "graduated")
        .then(pl.lit(link_rules.GRADUATED.id))
        .when((status == "inactive") & too_long)
        .then(pl.lit(link_rules.INACTIVE.id))
        .when(too_old)
        .then(pl.lit(link_rules.OVER_AGE.id))
    )


def _without_child(
    students: pl.DataFrame, reason: str, fields: pl.Expr | None = None
) -> pl.DataFrame:
    none = pl.lit(None, dtype=pl.String)
    return students.select(
        _STUDENT,
        none.alias("ChildID"),
        pl.lit(reason).alias("reason"),
        (none if fields is None else fields).alias("field"),
    )
