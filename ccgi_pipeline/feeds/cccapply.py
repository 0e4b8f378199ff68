"""Declares the cccapply family: submitted applications to California's community colleges.

Belongs here: the feed of submitted applications, whose students' SSIDs are asked for. Names of
columns are those of the CCCApply request (``sources``). Does not belong here: asking for an SSID
(ssid_lookup), the colleges' download file (reports).
"""

from __future__ import annotations

import pandera.polars as pa
import polars as pl

from ccgi_pipeline.feeds import sources
from ccgi_pipeline.feeds.columns import Requirement, column
from ccgi_pipeline.feeds.spec import FamilySpec, FeedSpec, Lifecycle, StatewideSender

SPECIFICATION = sources.CCCAPPLY.title
REQUIRED, RECOMMENDED = Requirement.REQUIRED, Requirement.RECOMMENDED


class Application(pa.DataFrameModel):
    """A submitted application."""

    app_id: str = column(
        "The application's own id; the same id sent again replaces it.",
        requirement=REQUIRED,
        length=20,
        pattern=r"[0-9A-Za-z-]+",
        example="100001",
        pii=True,
        source=SPECIFICATION,
    )
    ccc_id: str = column(
        "California Community College identifier: 7 characters, 8 once those are used up.",
        requirement=REQUIRED,
        pattern=r"[A-Za-z0-9]{7,8}",
        pii=True,
        source=SPECIFICATION,
    )
    firstname: str = column(
        "The applicant's first name.",
        requirement=RECOMMENDED,
        length=30,
        pii=True,
        source=SPECIFICATION,
    )
    lastname: str = column(
        "The applicant's last name.",
        requirement=RECOMMENDED,
        length=50,
        pii=True,
        source=SPECIFICATION,
    )
    birthdate: pl.Date = column(
        "Birth date, YYYY-MM-DD.",
        requirement=RECOMMENDED,
        formats=("%Y-%m-%d",),
        pii=True,
        source=SPECIFICATION,
    )
    hs_cds_full: str = column(
        "CDS code of the high school last attended, 14 digits.",
        requirement=RECOMMENDED,
        pattern=r"\d{14}",
        source=SPECIFICATION,
    )
    col_0_cds_full: str = column(
        "CDS code of the first college attended.",
        pattern=r"\d{14}",
        alias="col[0]_cds_full",
        source=SPECIFICATION,
    )
    ssid: str = column(
        "SSID as the applicant gave it, 10 digits. Never in the colleges' download file.",
        pattern=r"\d{10}",
        pii=True,
        restricted=True,
        source=SPECIFICATION,
    )


APPLICATIONS = FeedSpec(
    name="cccapply_applications",
    family="cccapply",
    title="Submitted CCCApply applications",
    prefix="CA-APP",
    model=Application,
    stems=("applications",),
    keys=("app_id",),
    lifecycle=Lifecycle.UPSERT,
    ssid="ssid",
    source=SPECIFICATION,
)
FEEDS = (APPLICATIONS,)

FAMILY = FamilySpec(
    name="cccapply",
    title="Applications to community colleges (CCCApply)",
    sender=StatewideSender("cccapply", "CCCApply"),
    feeds=FEEDS,
)
