"""The documents in which partners say what their files must be, by the titles that readers know.

Belongs here: every source document once, with the name of its text file. Declarations name a
document by its title, so that receipts and the data dictionary do too.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Document:
    """A document of a partner: its ``title``, what it is about, and the name of its text file."""

    title: str
    about: str
    file: str

    def page(self, number: int) -> str:
        """``Foster Focus Data Link Specifications, page 17``."""
        return f"{self.title}, page {number}"


DISTRICT_DATA_SHARING = Document(
    "CaliforniaColleges.edu District Data Sharing",
    "Which files districts share with CaliforniaColleges.edu, and which reports they get back; "
    "revised 8/2025.",
    "000_05975245813d5fcc.txt",
)
SSID_LOOKUP = Document(
    "Scope of Data Sharing: SSID Data Lookup",
    "The agreement on the look-up of a student's SSID.",
    "001_411397a616f8b5f2.txt",
)
ONEROSTER = Document(
    "OneRoster, as in “How do I format my SIS data for SFTP?”",
    "The six OneRoster files that districts send, with the columns of version 1.1.",
    "002_0f14a8ac7ee330d5.txt",
)
CCCAPPLY = Document(
    "CCCApply, request 2015-17 (SSID)",
    "The SSID in applications to community colleges, and the colleges' download file.",
    "003_80ea49bdfce89710.txt",
)
FOSTER_FOCUS = Document(
    "Foster Focus Data Link Specifications",
    "The nightly extracts about foster youth and their Verify Data Meets rules; version 1.62.",
    "004_78ee2f4a74f86cc5.txt",
)

DOCUMENTS = (DISTRICT_DATA_SHARING, SSID_LOOKUP, ONEROSTER, CCCAPPLY, FOSTER_FOCUS)
