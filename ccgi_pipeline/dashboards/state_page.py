"""The page of the state: who needs a call and why, every district, and how the nights go.

Belongs here: which facts the page shows and in which words, as plain values for the template. Pure.
Does not belong here: reading facts (state_facts), HTML (state.html.jinja), writing (page_files).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from typing import Any

from ccgi_pipeline.dashboards.charts import ChartCache
from ccgi_pipeline.dashboards.state_facts import (
    NIGHTS,
    DistrictRow,
    StateFacts,
    rank_errors,
)
from ccgi_pipeline.feeds.registry import RULES
from ccgi_pipeline.ssid_lookup.backlog import AnswerKind
from ccgi_pipeline.verification import labels

_TOP_RULES = 6


def describe_state(facts: StateFacts) -> dict[str, Any]:
    """Returns what the page shows, in plain values: the same values make the same page."""
    rows = [_describe_row(row) for row in facts.districts]
    rows.sort(key=lambda row: (row["county"], row["name"], row["cd"]))
    counties = Counter(row["county"] for row in rows)
    return {
        "on": labels.day(facts.on),
        "installation": facts.installation,
        "districts": len(rows),
        "students": sum(row["students"] or 0 for row in rows),
        "calls": [row for row in sorted(rows, key=_rank_call) if row["reasons"]],
        "rows": rows,
        "counties": sorted(counties.items()),
        "refusing": sorted(facts.refusing.items()),
        "charts": [*_describe_charts(facts)],
        "verdicts": [*labels.VERDICTS.items()],
        "nights": NIGHTS,
    }


def _rank_call(row: Mapping[str, Any]) -> tuple[bool, int]:
    """Ranks districts: first those of whose newest deliveries one was not loaded."""
    worst = any(
        words in reason for reason in row["reasons"] for words in (": rejected", ": on hold")
    )
    return not worst, -len(row["reasons"])


def _describe_row(row: DistrictRow) -> dict[str, Any]:
    newest = max(row.statuses, key=lambda status: status.night, default=None)
    return {
        "cd": row.cd,
        "name": row.name,
        "county": row.county,
        "students": row.sizes[-1]["students"] if row.sizes else None,
        "points": [{"night": f"{size['night']}", "value": size["students"]} for size in row.sizes],
        "trend": _describe_trend(row),
        "verdicts": [(drop["verdict"], labels.VERDICTS[drop["verdict"]]) for drop in row.drops],
        "kept_out": sum(status.kept_out for status in row.statuses),
        "lines": sum(status.lines for status in row.statuses),
        "night": f"{newest.night:%Y-%m-%d}" if newest else "",
        "waiting": row.waiting,
        "reasons": list(row.reasons),
    }


def _describe_trend(row: DistrictRow) -> str:
    if not row.sizes:
        return ""
    first, last = row.sizes[0], row.sizes[-1]
    return f"{first['students']:,} on {first['night']}, {last['students']:,} since {last['night']}"


def draw_state(shown: Mapping[str, Any], charts: ChartCache) -> dict[str, Any]:
    """Returns the pictures of the page: those of its charts, and a line for each district."""
    return {
        "pictures": [charts.draw(chart["kind"], chart["points"]) for chart in shown["charts"]],
        "sparks": {row["cd"]: charts.draw("sparkline", row["points"]) for row in shown["rows"]},
    }


# --- charts ---------------------------------------------------------------------------------------


def _describe_charts(facts: StateFacts) -> Iterator[dict[str, Any]]:
    if facts.errors:
        yield _describe_errors(facts)
    if facts.answers:
        yield _describe_answers(facts)
    if facts.deliveries:
        yield _describe_deliveries(facts)
    if facts.nights:
        yield _describe_nights(facts)


def _describe_errors(facts: StateFacts) -> dict[str, Any]:
    points, kinds = rank_errors(facts.errors, _TOP_RULES)
    totals: Counter[str] = Counter()
    for row in facts.errors:
        totals[row["rule"]] += row["places"]
    places = labels.counted(totals.total(), "place")
    return {
        "kind": "stacked",
        "title": "Errors by rule",
        "words": f"{places} in what arrived since {_since(facts.errors)}; the "
        f"{labels.counted(len(kinds), 'kind')} that occur most.",
        "points": [{**point, "night": f"{point['night']}"} for point in points],
        "head": ["Rule", "Places"],
        "rows": [
            [f"{rule}: {RULES[rule].text}" if rule in RULES else rule, count]
            for rule, count in totals.most_common()
        ],
    }


def _since(rows: Sequence[Mapping[str, Any]]) -> str:
    return labels.day(min(row["night"] for row in rows))


def _describe_answers(facts: StateFacts) -> dict[str, Any]:
    by_night: defaultdict[date, Counter[str]] = defaultdict(Counter)
    for row in facts.answers:
        by_night[row["night"]][row["answer"]] += row["applications"]
    found = {night: answers[AnswerKind.MATCHED] for night, answers in by_night.items()}
    asked = {night: answers.total() for night, answers in by_night.items()}
    share = sum(found.values()) / sum(asked.values())
    return {
        "kind": "share",
        "title": "Look-ups that found an SSID",
        "words": f"{share:.0%} of {labels.counted(sum(asked.values()), 'application')} that were "
        f"answered since {_since(facts.answers)}.",
        "points": [
            {"night": f"{night}", "value": round(found[night] / asked[night], 4)}
            for night in sorted(asked)
        ],
        "head": ["Night of", "Answered", "Found"],
        "rows": [
            [labels.day(night), asked[night], found[night]] for night in sorted(asked, reverse=True)
        ],
    }


def _describe_deliveries(facts: StateFacts) -> dict[str, Any]:
    arrived = sum(count for _, count, _ in facts.deliveries)
    waiting = sum(count for _, _, count in facts.deliveries)
    return {
        "kind": "stacked",
        "title": "Files sent to districts",
        "words": f"{arrived:,} arrived, {waiting:,} still wait.",
        "points": [
            {"night": f"{night}", "kind": kind, "value": count}
            for night, *counts in facts.deliveries
            for kind, count in zip(("wait", "arrived"), reversed(counts), strict=True)
        ],
        "head": ["Night of", "Arrived", "Wait"],
        "rows": [
            [labels.day(night), arrived, waiting]
            for night, arrived, waiting in reversed(facts.deliveries)
        ],
    }


def _describe_nights(facts: StateFacts) -> dict[str, Any]:
    longest = max(facts.nights, key=lambda night: night.seconds)
    newest = facts.nights[-1]
    # Of a day that was made twice the longer night counts: the other had little to do.
    by_night = {
        night.night: night.seconds for night in sorted(facts.nights, key=lambda n: n.seconds)
    }
    return {
        "kind": "bars",
        "title": "Seconds that a night took",
        "words": f"{newest.seconds:,.0f} s the newest, {longest.seconds:,.0f} s the longest.",
        "points": [
            {"night": f"{night}", "value": round(seconds, 1)}
            for night, seconds in sorted(by_night.items())
        ],
        "head": ["Night of", "Seconds"],
        "rows": [
            [labels.day(night), round(seconds, 1)]
            for night, seconds in sorted(by_night.items(), reverse=True)
        ],
    }
