"""The page of a district: what arrived, what became of it, what to do now, how far students are.

Belongs here: which facts the page shows and in which words, as plain values for the template. Pure:
the same facts make the same bytes. Every day on the page is one of its facts, and none is counted
from the day on which the page is made: a page changes only when something happened. Does not belong
here: reading facts (district_facts), HTML (district.html.jinja), writing (page_files).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from ccgi_pipeline.dashboards.charts import Points
from ccgi_pipeline.dashboards.district_facts import (
    DistrictFacts,
    Row,
    group_by_week,
)
from ccgi_pipeline.feeds.registry import FEEDS_BY_NAME
from ccgi_pipeline.profiles import ContactProfile
from ccgi_pipeline.reports.funnels import STEPS, sum_funnels
from ccgi_pipeline.reports.registry import REPORTS
from ccgi_pipeline.reports.suppression import LARGEST_SMALL
from ccgi_pipeline.verification import labels
from ccgi_pipeline.verification.next_steps import DropOutcome, SentDrop, explain_drop

_SPECS = {spec.name: (place, spec) for place, spec in enumerate(REPORTS)}
FINAL_GRADE = "12"
"""The grade in which students apply to colleges and for financial aid."""


def describe_district(
    facts: DistrictFacts, contact: ContactProfile, receipts: Collection[str]
) -> dict[str, Any]:
    """Returns what the page shows, in plain values: the same values make the same page.

    ``receipts``: the files in the district's folder of receipts; only those are linked.
    """
    families = [_describe_family(facts, drop, receipts) for drop in facts.drops if drop["newest"]]
    families.sort(key=lambda family: (_WORST.get(family["verdict"], 9), family["title"]))
    return {
        "cd": facts.cd,
        "name": facts.name,
        "county": facts.county,
        "changed": labels.day(max((drop["night"] for drop in facts.drops), default=facts.on)),
        "contact": contact.model_dump() if any(contact.model_dump().values()) else None,
        "todo": [family for family in families if family["act"]],
        "families": families,
        "strip": [_describe_drop(drop, receipts) for drop in facts.drops if drop["recent"]],
        "charts": [*_describe_charts(facts)],
        "reports": [*_describe_reports(facts)],
        "parts": sorted({report.part for report in facts.reports}),
        "funnel": _describe_funnel(facts),
    }


_WORST = {"rejected": 0, "held": 1, "accepted_with_findings": 2}


def _stem(drop: Row) -> str:
    end = "_duplicate" if drop["again"] else ""
    return f"{drop['night']:%Y%m%d}_{drop['family']}_{drop['drop_id']}{end}"


def _receipt(drop: Row, receipts: Collection[str]) -> str | None:
    name = f"{_stem(drop)}.html"
    return name if name in receipts else None


def _describe_drop(drop: Row, receipts: Collection[str]) -> dict[str, Any]:
    lines, kept_out = drop["lines"], drop["kept_out"]
    return {
        "day": labels.day(drop["night"]),
        "short": f"{drop['night'].month}/{drop['night'].day}",
        "family": labels.family(drop["family"]),
        "verdict": drop["verdict"],
        "verdict_words": labels.VERDICTS[drop["verdict"]],
        "lines": lines,
        "kept_out": kept_out,
        "receipt": _receipt(drop, receipts),
    }


def _describe_family(facts: DistrictFacts, drop: Row, receipts: Collection[str]) -> dict[str, Any]:
    """Returns the newest drop of a family with what it means and what to do now."""
    rows = facts.outcomes.get(drop["drop_id"], ())
    first: Row = rows[0] if rows else {"findings": False, "fault": False, "refused": None}
    refused = FEEDS_BY_NAME.get(first["refused"] or "")
    told = explain_drop(
        SentDrop(
            drop=drop["drop_id"],
            sender=facts.cd,
            name=facts.name,
            family=drop["family"],
            night=drop["night"],
            verdict=drop["verdict"],
            stem=_stem(drop),
        ),
        DropOutcome(
            lines=drop["lines"],
            fates={row["fate"]: row["lines"] for row in rows if row["fate"]},
            findings=first["findings"],
            fault=first["fault"],
            refused=refused.stems[0] if refused else None,
        ),
    )
    return {
        **_describe_drop(drop, receipts),
        "title": labels.family(drop["family"]),
        "meaning": told.meaning,
        "next": told.next,
        "act": not told.next.startswith("Nothing."),
    }


# --- charts ---------------------------------------------------------------------------------------


def _describe_charts(facts: DistrictFacts) -> Iterable[dict[str, Any]]:
    sizes = facts.sizes
    if sizes:
        last = max([sizes[-1]["night"], *(row["night"] for row in facts.lines)])
        points = _points(sizes, "students")
        if points[-1]["night"] != f"{last}":  # the line goes on to the newest night
            points.append({**points[-1], "night": f"{last}"})
        yield {
            "kind": "line",
            "title": "Students on the roster",
            "words": _in_words(sizes, "students", "students"),
            "points": points,
            "head": ["From the night of", "Students"],
            "rows": [[labels.day(row["night"]), row["students"]] for row in reversed(sizes)],
        }
    nights = group_by_week(facts.lines)
    if nights:
        weeks = any("week" in row for row in nights)
        kept = sum(row["kept_out"] for row in nights)
        lines = sum(row["lines"] for row in nights)
        yield {
            "kind": "losses",
            "title": f"Lines kept out, by {'week' if weeks else 'night'}",
            "words": f"{kept:,} of {labels.counted(lines, 'line')} since "
            f"{labels.day(nights[0]['night'])}.",
            "points": _points(nights, "kept_out"),
            "head": ["Week of" if weeks else "Night of", "Lines", "Kept out"],
            "rows": [
                [labels.day(row["night"]), row["lines"], row["kept_out"]]
                for row in reversed(nights)
            ],
        }


def _points(rows: Sequence[Row], name: str) -> list[dict[str, Any]]:
    return [{"night": f"{row['night']}", "value": row[name]} for row in rows]


def _in_words(rows: Sequence[Row], name: str, what: str) -> str:
    now, first = rows[-1][name], rows[0][name]
    since = labels.day(rows[0]["night"])
    if len(rows) == 1:
        return f"{now:,} {what} since {since}."
    return f"{now:,} {what} now, {first:,} on {since}."


def list_charts(shown: Mapping[str, Any]) -> list[tuple[str, Points]]:
    """Returns kind and points of each chart of the page."""
    return [(chart["kind"], chart["points"]) for chart in shown["charts"]]


# --- reports and funnels --------------------------------------------------------------------------


def _describe_reports(facts: DistrictFacts) -> Iterable[dict[str, Any]]:
    by_name: dict[str, dict[str, Any]] = {}
    for report in sorted(facts.reports, key=lambda made: (_SPECS[made.name][0], made.part)):
        _, spec = _SPECS[report.name]
        shown = by_name.setdefault(
            report.name,
            {"title": spec.title, "folder": "/".join(spec.folder), "since": report.since,
             "rows": {}},
        )  # fmt: skip
        shown["since"] = max(shown["since"], report.since)
        # The rows of a detail file are students: their number is a count that may be hidden.
        hidden = facts.hides and report.part == "Detail"
        shown["rows"][report.part] = None if hidden else report.rows
    for shown in by_name.values():
        yield {**shown, "since": labels.day(shown["since"])}


def _describe_funnel(facts: DistrictFacts) -> dict[str, Any] | None:
    """Returns the counts of grade 12 and of A-G, in all and by school."""
    if not facts.funnel:
        return None
    final = [row for row in facts.funnel if row["Grade Level"] == FINAL_GRADE]
    grades = sorted(
        {row["Grade Level"] for row in facts.funnel if _is_high_school(row["Grade Level"])}, key=int
    )
    return {
        "final_grade": FINAL_GRADE,
        "hides": facts.hides,
        "smallest": LARGEST_SMALL + 1,
        "schools": len({row["School"] for row in final}),
        "steps": [_sum_step(final, *step) for step in _FINAL_STEPS],
        "by_school": [_of_school(row, [name for name, *_ in _FINAL_STEPS]) for row in final],
        "on_track": [
            {
                **_sum_step(_of_grade(facts.funnel, grade), "on_track", ""),
                "title": f"Grade {int(grade)}",
            }
            for grade in grades
        ],
        "on_track_by_school": [
            _of_school(row, ["on_track"]) for row in facts.funnel if row["Grade Level"] in grades
        ],
    }


_FINAL_STEPS = (
    ("registered", "have an account at CaliforniaColleges.edu"),
    ("applied", "have started an application to a college"),
    ("submitted", "have submitted one"),
    ("aid_applied", "have started FAFSA or CADAA"),
    ("aid_submitted", "have submitted FAFSA or CADAA"),
)
assert {name for name, _ in _FINAL_STEPS} | {"on_track"} == {step.name for step in STEPS}  # noqa: S101
_FIRST_GRADE, _LAST_GRADE = 9, 12


def _is_high_school(grade: str | None) -> bool:
    return grade is not None and grade.isdecimal() and _FIRST_GRADE <= int(grade) <= _LAST_GRADE


def _of_grade(rows: Sequence[Row], grade: str) -> list[Row]:
    return [row for row in rows if row["Grade Level"] == grade]


def _sum_step(rows: Sequence[Row], name: str, title: str) -> dict[str, Any]:
    """Returns the sum of a step over the schools that show it; ``counted`` says how many do."""
    sums = sum_funnels(rows, [name])
    return {
        "title": title,
        "count": sums[name],
        "students": sums["students"],
        "counted": sums["rows"],
        "schools": len(rows),
    }


def _of_school(row: Row, names: Sequence[str]) -> dict[str, Any]:
    return {
        "school": row["School"],
        "grade": row["Grade Level"],
        "students": row["students"],
        "counts": [row[name] for name in names],
    }
