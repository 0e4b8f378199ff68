"""Declares the foster_focus_cps family: the children whom Foster Focus knows.

Belongs here: the register to which districts' records are linked. Its form is this project's:
the Foster Focus Data Link Specifications, page 3, say only that Child Protective Services load it,
and why a child may no longer be in it.
"""

from __future__ import annotations

from datetime import date

import pandera.polars as pa
import polars as pl

from ccgi_pipeline.feeds import codes, sources
from ccgi_pipeline.feeds.columns import Code, CodeSet, Requirement, column
from ccgi_pipeline.feeds.rules import Rule, Severity
from ccgi_pipeline.feeds.spec import FamilySpec, FeedSpec, Lifecycle, StatewideSender

SENDER = "foster_focus_cps"
SOURCE = f"this project, after {sources.FOSTER_FOCUS.page(3)}"

REQUIRED = Requirement.REQUIRED

STATUS = CodeSet(
    "Foster Focus child status",
    (
        Code("active", "in care, or entitled to services"),
        Code("inactive", "no longer in care"),
        Code("graduated", "has graduated from high school"),
    ),
    source=SOURCE,
)


class Child(pa.DataFrameModel):
    """One child in foster care, or who was."""

    ChildID: str = column(
        "The child's number in Foster Focus.",
        requirement=REQUIRED,
        length=36,
        pii=True,
        restricted=True,
        source=SOURCE,
    )
    LastName: str = column(
        "Last name.", requirement=REQUIRED, length=50, pii=True, restricted=True, source=SOURCE
    )
    FirstName: str = column(
        "First name.", requirement=REQUIRED, length=50, pii=True, restricted=True, source=SOURCE
    )
    BirthDate: pl.Date = column(
        "Birth date.", requirement=REQUIRED, pii=True, restricted=True, source=SOURCE
    )
    Gender: str = column("F, M or X.", codes=codes.GENDER, restricted=True, source=SOURCE)
    SSID: str = column(
        "Statewide student identifier, where it is known.",
        pattern=r"\d{10}",
        pii=True,
        restricted=True,
        source=SOURCE,
    )
    Status: str = column(
        "active, inactive or graduated.",
        requirement=REQUIRED,
        codes=STATUS,
        example="active",
        restricted=True,
        source=SOURCE,
    )
    StatusSince: pl.Date = column(
        "Since when the status holds.", requirement=REQUIRED, restricted=True, source=SOURCE
    )


def _not_in_the_future(on: date) -> pl.Expr:
    return pl.col("BirthDate") <= on


FEED = FeedSpec(
    name="foster_focus_child",
    records="foster_focus_children",
    family="foster_focus_cps",
    title="Children of Foster Focus",
    prefix="FF-CPS",
    model=Child,
    stems=("children", "child"),
    keys=("ChildID",),
    other_ids=("SSID",),
    described_by=("FirstName", "LastName", "BirthDate"),
    lifecycle=Lifecycle.SNAPSHOT,
    source=SOURCE,
    separators=("\t", ","),
    foster=True,
    ssid="SSID",
    required=True,
    repeated_key=Severity.ERROR,
    rules=(
        Rule(
            id="FF-CPS-BIRTH",
            severity=Severity.ERROR,
            text="BirthDate lies in the future.",
            fix="Correct the birth date.",
            source=SOURCE,
            column="BirthDate",
            passes=_not_in_the_future,
            counterexample={"BirthDate": "01/01/2999"},
        ),
    ),
)
FEEDS = (FEED,)

FAMILY = FamilySpec(
    name="foster_focus_cps",
    title="Foster Focus' register of children",
    sender=StatewideSender(SENDER, "Foster Focus"),
    feeds=FEEDS,
)
