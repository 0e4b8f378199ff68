"""Declares CDE's public directory of schools and districts (``pubschls.txt``).

Belongs here: its 46 columns and what is true of the file. It holds no students; administrators'
names in it are public, yet marked as personal so that no aggregate prints them.
"""

from __future__ import annotations

import pandera.polars as pa
import polars as pl

from ccgi_pipeline.feeds.columns import Requirement, column
from ccgi_pipeline.feeds.spec import FamilySpec, FeedSpec, Lifecycle, StatewideSender

SOURCE = "CDE Public Schools and Districts data file (cde.ca.gov/ds/si/ds/fspubschls.asp)"


class DirectoryEntry(pa.DataFrameModel):
    """One school, or one district where the school part of the code is 0000000."""

    CDSCode: str = column(
        "14-digit CDS code; the school part is 0000000 on a district's own record.",
        requirement=Requirement.REQUIRED,
        pattern=r"\d{14}",
        source=SOURCE,
    )
    NCESDist: str = column("NCES district identifier.", source=SOURCE)
    NCESSchool: str = column("NCES school identifier.", source=SOURCE)
    StatusType: str = column(
        "Active, Closed, Merged or Pending.", requirement=Requirement.REQUIRED, source=SOURCE
    )
    County: str = column("County name.", requirement=Requirement.REQUIRED, length=15, source=SOURCE)
    District: str = column(
        "District name, as reports print it.",
        requirement=Requirement.REQUIRED,
        length=90,
        source=SOURCE,
    )
    School: str = column(
        "School name; No Data on a district's own record.", length=90, source=SOURCE
    )
    Street: str = column("Street address.", length=211, source=SOURCE)
    StreetAbr: str = column("Abbreviated street address.", length=201, source=SOURCE)
    City: str = column("City.", length=25, source=SOURCE)
    Zip: str = column("ZIP code.", source=SOURCE)
    State: str = column("State.", source=SOURCE)
    MailStreet: str = column("Mailing street.", source=SOURCE)
    MailStrAbr: str = column("Abbreviated mailing street.", source=SOURCE)
    MailCity: str = column("Mailing city.", source=SOURCE)
    MailZip: str = column("Mailing ZIP code.", source=SOURCE)
    MailState: str = column("Mailing state.", source=SOURCE)
    Phone: str = column("Telephone.", source=SOURCE)
    Ext: str = column("Extension.", source=SOURCE)
    FaxNumber: str = column("Fax number.", source=SOURCE)
    WebSite: str = column("Web site.", source=SOURCE)
    OpenDate: pl.Date = column("Day the school opened.", formats=("%m/%d/%Y",), source=SOURCE)
    ClosedDate: pl.Date = column("Day the school closed.", formats=("%m/%d/%Y",), source=SOURCE)
    Charter: str = column("Y for a charter school.", source=SOURCE)
    CharterNum: str = column("Charter number.", source=SOURCE)
    FundingType: str = column("How a charter is funded.", source=SOURCE)
    DOC: str = column("District ownership code.", source=SOURCE)
    DOCType: str = column("District ownership in words.", source=SOURCE)
    SOC: str = column("School ownership code.", source=SOURCE)
    SOCType: str = column("School ownership in words.", source=SOURCE)
    EdOpsCode: str = column("Educational option code.", source=SOURCE)
    EdOpsName: str = column("Educational option in words.", source=SOURCE)
    EILCode: str = column("Educational instruction level code.", source=SOURCE)
    EILName: str = column("Educational instruction level in words.", source=SOURCE)
    GSoffered: str = column("Grade span offered.", source=SOURCE)
    GSserved: str = column("Grade span served.", source=SOURCE)
    Virtual: str = column("Virtual instruction type.", source=SOURCE)
    Magnet: str = column("Y for a magnet school.", source=SOURCE)
    YearRoundYN: str = column("Y for a year-round school.", source=SOURCE)
    FederalDFCDistrictID: str = column("Federal charter district identifier.", source=SOURCE)
    Latitude: str = column("Latitude.", source=SOURCE)
    Longitude: str = column("Longitude.", source=SOURCE)
    AdmFName: str = column("Administrator's first name.", pii=True, source=SOURCE)
    AdmLName: str = column("Administrator's last name.", pii=True, source=SOURCE)
    LastUpDate: pl.Date = column(
        "Day of the record's last update.", formats=("%m/%d/%Y",), source=SOURCE
    )
    Multilingual: str = column("Y for a school with multilingual instruction.", source=SOURCE)


FEED = FeedSpec(
    name="cde_directory",
    records="directory",
    family="cde_directory",
    title="CDE's directory of schools and districts (pubschls.txt)",
    prefix="CDE-DIR",
    model=DirectoryEntry,
    stems=("pubschls", "cde_directory"),
    keys=("CDSCode",),
    lifecycle=Lifecycle.SNAPSHOT,
    required=True,
    source=SOURCE,
    separators=("\t",),
    quote=None,
    blank_words=("No Data",),
    shipped=True,
    checks=("every_district_keeps_its_folder",),
)

FEEDS = (FEED,)

FAMILY = FamilySpec(
    name="cde_directory",
    title="CDE's directory of schools and districts",
    sender=StatewideSender("cde", "California Department of Education"),
    answers_strays=True,
    feeds=FEEDS,
)
