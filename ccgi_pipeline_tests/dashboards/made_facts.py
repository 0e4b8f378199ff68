"""Facts about districts that do not exist, for pages without a night.

Belongs here: facts as the queries return them, with a year of history. Nothing of a warehouse.
"""

from __future__ import annotations

import random
from datetime import date, timedelta
from typing import Any

from ccgi_pipeline.dashboards import page_files
from ccgi_pipeline.dashboards.charts import ChartCache
from ccgi_pipeline.dashboards.district_facts import DistrictFacts
from ccgi_pipeline.dashboards.district_page import describe_district, list_charts
from ccgi_pipeline.dashboards.state_facts import DistrictRow, NightTime, StateFacts, find_reasons
from ccgi_pipeline.dashboards.state_page import describe_state, draw_state
from ccgi_pipeline.delivery.made_reports import NewestReport
from ccgi_pipeline.monitoring.district_status import DistrictStatus
from ccgi_pipeline.profiles import ContactProfile
from ccgi_pipeline.reports.registry import REPORTS

ON = date(2026, 11, 22)
_VERDICTS = ("accepted", "accepted_with_findings", "accepted", "rejected", "duplicate", "held")
HOSTILE = "<script>document.title='owned'</script> Unified"


def drop(number: int, verdict: str, night: date = ON, **facts: object) -> dict[str, Any]:
    """A drop of a transcript package as the query of recent drops returns it."""
    kept_out = {"accepted_with_findings": 3, "rejected": 120, "held": 120}.get(verdict, 0)
    made = {
        "family": "transcript",
        "drop_id": f"{number:024x}",
        "night": night,
        "verdict": verdict,
        "again": verdict == "duplicate",
        "lines": 120,
        "kept_out": kept_out,
        "answered": True,
        "newest": False,
        "recent": True,
    }
    return {**made, **facts}


def outcome(fates: dict[str, int], **facts: object) -> list[dict[str, Any]]:
    """What became of a drop, as the query returns it."""
    usual = {"findings": True, "fault": False, "refused": None}
    return [{"fate": fate, "lines": lines, **usual, **facts} for fate, lines in fates.items()]


def year_of(seed: int, *, students: int = 1_200) -> tuple[list[Any], list[Any], list[Any]]:
    """Drops, sizes of the roster and lines of a year: 30 drops, one a week."""
    chance = random.Random(seed)  # noqa: S311 - nothing to guess
    nights = [ON - timedelta(days=7 * back) for back in reversed(range(30))]
    drops = [drop(n, chance.choice(_VERDICTS), night) for n, night in enumerate(nights)]
    drops[-1] = drop(29, "accepted_with_findings", newest=True)
    sizes = [{"night": night, "students": students + chance.randint(-40, 40)} for night in nights]
    lines = [
        {"night": d["night"], "lines": d["lines"], "kept_out": d["kept_out"]} for d in drops
    ]  # fmt: skip
    return drops, sizes, lines


def district(seed: int = 1, **facts: object) -> DistrictFacts:
    """A district with a year behind it."""
    drops, sizes, lines = year_of(seed)
    newest = drops[-1]["drop_id"]
    made: dict[str, Any] = {
        "cd": "3367173",
        "name": "Palm Springs Unified",
        "county": "Riverside",
        "folder": "PalmSpringsUnified",
        "on": ON,
        "drops": drops,
        "outcomes": {newest: outcome({"inserted": 2, "unchanged": 115, "rejected": 3})},
        "sizes": sizes,
        "lines": lines,
        "reports": [
            NewestReport("3367173", spec.name, file, ON, 40)
            for spec in REPORTS
            if spec.only_for is None
            for file in spec.files
        ],
        "funnel": [
            funnel_row(school, grade)
            for school in ("Palm Springs High", "Cathedral City High")
            for grade in ("09", "10", "11", "12")
        ],
    }
    return DistrictFacts(**{**made, **facts})


def funnel_row(school: str, grade: str, **counts: int | None) -> dict[str, Any]:
    """The counts of a school and grade."""
    usual = {
        "students": 100,
        "registered": 80,
        "applied": 60,
        "submitted": 40,
        "aid_applied": 50,
        "aid_submitted": 30,
        "on_track": 70,
    }
    return {"School": school, "Grade Level": grade, **usual, **counts}


CONTACT = ContactProfile(
    name="District support at CCGI",
    mail="support@example.org",
    phone="+1 555 0100",
    note="Weekdays from 8 to 5.",
)


def page_of(facts: DistrictFacts, contact: ContactProfile = CONTACT) -> str:
    """The page of a district, with its charts; every receipt is there."""
    receipts = {f"{d['night']:%Y%m%d}_{d['family']}_{d['drop_id']}.html" for d in facts.drops}
    shown = describe_district(facts, contact, receipts)
    charts = ChartCache()
    pictures = [charts.draw(kind, points) for kind, points in list_charts(shown)]
    values = {"page": shown, "pictures": pictures, "state": False, "scripted": False}
    digest = page_files.compute_digest(shown)
    return page_files.render_page("district.html.jinja", digest, **values).decode()


COUNTIES = ("Alameda", "Butte", "Kern", "Los Angeles", "Riverside", "San Diego")


def state(districts: int) -> StateFacts:
    """A state of so many districts, each with a year behind it."""
    rows = [_state_row(number) for number in range(districts)]
    nights = [ON - timedelta(days=back) for back in reversed(range(30))]
    chance = random.Random(0)  # noqa: S311 - nothing to guess
    rules = ("TR-STU-REQ-StateID", "FILE-FIELDS", "TR-CRS-TYPE-StateID", "TR-CRS-CODE-GradeLevel")
    return StateFacts(
        on=ON,
        installation="California",
        districts=rows,
        errors=[
            {"night": night, "rule": rule, "places": chance.randint(1, 90)}
            for night in nights
            for rule in rules
        ],
        answers=[
            {"night": night, "answer": answer, "applications": chance.randint(20, 90)}
            for night in nights
            for answer in ("matched", "no_student")
        ],
        deliveries=[(night, 27 * districts, chance.randint(0, 9)) for night in nights],
        nights=[NightTime(night, chance.uniform(50, 90)) for night in nights],
    )


def _state_row(number: int) -> DistrictRow:
    drops, sizes, _ = year_of(number, students=1_000 + number)
    cd = f"{number % len(COUNTIES) + 1:02d}{number:05d}"
    statuses = [
        DistrictStatus(cd, "", "transcript", ON, 0, str(drops[-2]["verdict"]), 120, 3, None, 0)
    ]
    return DistrictRow(
        cd=cd,
        name=HOSTILE if number == 0 else f"District {number} Unified",
        county=COUNTIES[number % len(COUNTIES)],
        drops=drops[-8:],
        sizes=sizes,
        statuses=statuses,
        reasons=find_reasons(statuses, sizes, {}, in_year=True),
    )


def state_page_of(facts: StateFacts) -> str:
    """The page of a state."""
    shown = describe_state(facts)
    pictures = draw_state(shown, ChartCache())
    return page_files.render_page(
        "state.html.jinja", "0" * 32, page=shown, **pictures, scripted=True
    ).decode()
