"""Pages of receipts for tests: one of every verdict, made of made-up reports.

Belongs here: reports and deliveries. Nothing of a warehouse is needed to make a page.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import date

import polars as pl

from ccgi_pipeline.feeds.registry import FEEDS_BY_NAME, RULES
from ccgi_pipeline.intake.findings import EXPLAINED_SCHEMA
from ccgi_pipeline.verification.next_steps import Repeated, SentDrop
from ccgi_pipeline.verification.receipt_html import (
    render_check,
    render_duplicate,
    render_receipt,
)
from ccgi_pipeline.verification.receipts import FileReport

Row = tuple[str, int | None, str | None, str | None]
ON = date(2026, 11, 22)

HOSTILE = (
    "<script>document.title='owned'.csv",
    "<img src=x onerror=document.title='owned'>.csv",
    "<style>body{display:none}.csv",
    "\u202evsc.etalpmeTtnedutS",
    "שלום StudentTemplate.csv",
    "a" * 240 + ".csv",
    "{{ 7 * 7 }} & &lt;b&gt; \"quoted\" 'single'\x07.csv",
)
"""Names that somebody might give to a file."""


def delivery(verdict: str, **facts: object) -> SentDrop:
    """A delivery of Palm Springs."""
    made = SentDrop(
        drop="46111ea8cda92e5a0c088e48",
        sender="3367173",
        name="Palm Springs Unified",
        family="transcript",
        night=ON,
        verdict=verdict,
        stem="20261122_transcript_46111ea8cda92e5a0c088e48",
    )
    return replace(made, **facts)  # type: ignore[arg-type]


def report(
    fates: Mapping[str, int],
    findings: Iterable[Row] = (),
    *,
    path: str = "3367173/transcript/StudentTemplate.csv",
    feed: str | None = "transcript_student",
    verdict: str = "accepted_with_findings",
    **facts: object,
) -> FileReport:
    """What became of a file."""
    rows = [(*found, str(RULES[found[0]].severity), None) for found in findings]
    made = FileReport(
        path=path,
        family="transcript",
        feed=feed,
        verdict=verdict,
        encoding="utf-8",
        lines=sum(fates.values()),
        fates=fates,
        findings=pl.DataFrame(rows, schema=EXPLAINED_SCHEMA, orient="row"),
        complete=True,
    )
    return replace(made, **facts)  # type: ignore[arg-type]


REQUIRED: Row = ("TR-STU-REQ-StateID", 7, "StateID", None)
AGE: Row = ("TR-STU-AGE", 8, "DateOfBirth", None)
FIELDS: Row = ("FILE-FIELDS", 9, None, "3 cells, the header has 38")
MISSING: Row = ("FILE-COLUMN-MISSING", 1, "StateID", None)
ABSENT: Sequence[Row] = [
    ("FILE-COLUMN-ABSENT", 1, column, None) for column in ("Suffix", "GPA", "NSLP")
]
MARK: Row = ("FILE-BOM", None, None, None)
HELD: Row = ("FILE-HELD", None, None, "108 of 224 active records of student would end; half a file")

GOOD = [report({"inserted": 2, "updated": 3, "unchanged": 2_978}, verdict="accepted")]
MIXED = [
    report({"inserted": 1, "unchanged": 990, "superseded": 4, "rejected": 5},
           [REQUIRED, *((AGE[0], line, AGE[2], None) for line in range(10, 60)), FIELDS, *ABSENT,
            MARK], no_longer_active=12),
    report({"inserted": 40}, verdict="accepted", feed="transcript_course_catalog",
           path="3367173/transcript/Course Catalog Template.csv"),
]  # fmt: skip
REJECTED = [
    report({"rejected": 641}, [MISSING], verdict="rejected", complete=False),
    report({"inserted": 12}, verdict="accepted", feed="transcript_test_grade",
           path="3367173/transcript/TestGrade.csv"),
    *(report({"rejected": 2}, [("FILE-UNRECOGNISED", None, None, None)], verdict="rejected",
             feed=None, path=f"3367173/transcript/{name}") for name in HOSTILE),
]  # fmt: skip
HELD_FILES = [report({"held": 110, "rejected": 7}, [HELD, REQUIRED], verdict="held")]
UNMATCHED = [
    report({"inserted": 9, "unmatched": 4, "removed": 1, "left_alone": 2}, verdict="accepted")
]

CHECKED = [
    report({"accepted": 12, "rejected": 653}, [FIELDS, REQUIRED], complete=None),
    report({"accepted": 0}, [("FILE-HEADER", 1, None, None)], complete=None, verdict="rejected",
           feed="transcript_course_grade", path="/home/</style></script>/CourseGrade.csv"),
]  # fmt: skip


def huge(files: int = 40, rules: int = 8) -> list[FileReport]:
    """A delivery in which almost everything is wrong."""
    of_feed = list(FEEDS_BY_NAME["transcript_student"].all_rules.values())
    return [
        report(
            {"inserted": 5_000, "rejected": 3_000},
            [
                (rule.id, line, rule.column, None)
                for rule in [of_feed[(number + n) % len(of_feed)] for n in range(rules)]
                for line in range(2, 40)
            ],
            path=f"3367173/transcript/part {number:02d} StudentTemplate.csv",
        )
        for number in range(files)
    ]


def unrecognised(files: int) -> list[FileReport]:
    """A delivery of files that nobody knows."""
    one = report({"rejected": 1}, [("FILE-UNRECOGNISED", None, None, None)], verdict="rejected",
                 feed=None)  # fmt: skip
    return [replace(one, path=f"3367173/transcript/{number}.txt") for number in range(files)]


PAGES: Mapping[str, bytes] = {
    "accepted": render_receipt(delivery("accepted"), GOOD),
    "mixed": render_receipt(delivery("accepted_with_findings"), MIXED),
    "rejected": render_receipt(delivery("rejected"), REJECTED),
    "held": render_receipt(delivery("held"), HELD_FILES),
    "unmatched": render_receipt(
        delivery("accepted_with_findings", family="foster_focus"), UNMATCHED
    ),
    "values": render_receipt(
        delivery("accepted_with_findings", values_shown=True),
        [replace(MIXED[0], cells={(7, "StateID"): "(blank)", (10, "DateOfBirth"): "<b>1901"})],
    ),
    "duplicate": render_duplicate(
        delivery("duplicate", stem="20261122_transcript_46111ea8cda92e5a0c088e48_duplicate"),
        Repeated("3367173/transcript/StudentTemplate.csv", date(2026, 11, 20), "rejected"),
    ),
    "check": render_check("rejected", CHECKED).encode(),
}
"""A page of every kind that there is."""
