"""Declares the calpads_identity family: the state's students, as an extract of CALPADS.

Belongs here: the feed from which the SSID look-up is loaded. No public specification of such an
extract exists, so its form is this project's own: a line for each student and each school of
enrollment, names as the state has them. Does not belong here: look-ups (ssid_lookup).
"""

from __future__ import annotations

import pandera.polars as pa
import polars as pl

from ccgi_pipeline.feeds import sources
from ccgi_pipeline.feeds.columns import Requirement, column
from ccgi_pipeline.feeds.spec import FamilySpec, FeedSpec, Lifecycle, StatewideSender

SOURCE = f"this project, after the fields of {sources.SSID_LOOKUP.title}"
REQUIRED = Requirement.REQUIRED


class Identity(pa.DataFrameModel):
    """A student at a school of enrollment."""

    SSID: str = column(
        "Statewide Student Identifier, 10 digits.",
        requirement=REQUIRED,
        pattern=r"\d{10}",
        pii=True,
        restricted=True,
        source=SOURCE,
    )
    FirstName: str = column(
        "Legal first name.", requirement=REQUIRED, length=30, pii=True, source=SOURCE
    )
    MiddleName: str = column("Legal middle name.", length=30, pii=True, source=SOURCE)
    LastName: str = column(
        "Legal last name.", requirement=REQUIRED, length=50, pii=True, source=SOURCE
    )
    AliasFirstName: str = column(
        "First name by which the student is known.", length=30, pii=True, source=SOURCE
    )
    AliasLastName: str = column(
        "Last name by which the student is known.", length=50, pii=True, source=SOURCE
    )
    BirthDate: pl.Date = column(
        "Birth date.",
        requirement=REQUIRED,
        formats=("%Y-%m-%d",),
        pii=True,
        restricted=True,
        source=SOURCE,
    )
    CDSCode: str = column(
        "County-district-school code of a school of enrollment, 14 digits.",
        requirement=REQUIRED,
        pattern=r"\d{14}",
        source=SOURCE,
    )


FEED = FeedSpec(
    name="calpads_identity",
    records="identities",
    family="calpads_identity",
    title="Student identities for the SSID look-up",
    prefix="CI",
    model=Identity,
    stems=("calpads_identity", "identities"),
    keys=("SSID", "CDSCode"),
    described_by=("FirstName", "LastName", "BirthDate"),
    lifecycle=Lifecycle.SNAPSHOT,
    ssid="SSID",
    source=SOURCE,
)
FEEDS = (FEED,)

FAMILY = FamilySpec(
    name="calpads_identity",
    title="Student identities (CALPADS)",
    sender=StatewideSender("calpads", "CALPADS"),
    feeds=FEEDS,
)
