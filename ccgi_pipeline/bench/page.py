"""The benchmark page: figures of several runs as tables, and a picture of where the time goes.

Belongs here: ``ccgi bench page``, which writes what ``ccgi bench night --format json`` measured
into the part of a page between two marks, and draws the picture beside it. Does not belong here:
measuring (nights), what the figures mean (the words of the page).
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

BEGINS, ENDS = "<!-- figures -->", "<!-- end of figures -->"
PICTURE = "night.svg"

_Figures = Mapping[str, object]
_GROUPS: Mapping[str, tuple[str, ...]] = {
    "receiving": ("received_drops",),
    "transcripts": ("transcript",),
    "OneRoster": ("oneroster",),
    "Foster Focus": ("foster_focus",),
    "activities": ("platform",),
    "eligibility": ("eligibility",),
    "reports": ("write_reports",),
    "receipts": ("receipts",),
}
"""What the picture tells apart, by stages; the other stages are one more."""
_OTHERS, _ORCHESTRATION = "other steps", "start and orchestration"
_COLOURS = (
    *("#4e79a7", "#f28e2b", "#59a14f", "#e15759", "#76b7b2"),
    *("#edc948", "#b07aa1", "#9c755f", "#bab0ac", "#79706e"),
)


def figures_in(folder: Path) -> list[dict[str, object]]:
    """The figures of nights that lie in ``folder`` as JSON, the smallest state first.

    Raises ValueError where there are none.
    """
    found = [json.loads(path.read_text()) for path in folder.glob("night-*.json")]
    if not found:
        msg = f"{folder} has no figures: ccgi bench night --format json > {folder}/night-N.json"
        raise ValueError(msg)
    return sorted(found, key=lambda figures: int(figures["students"]))


def with_figures(page: str, nights: Sequence[_Figures]) -> str:
    """The page with tables of these nights between its marks. Raises ValueError without marks."""
    before, begins, rest = page.partition(BEGINS)
    _, ends, after = rest.partition(ENDS)
    if not begins or not ends:
        msg = f"the page has no place for the figures: {BEGINS} and {ENDS}"
        raise ValueError(msg)
    largest = nights[-1]
    tables = [
        f"Measured on {largest['cores']} cores and {_number(largest, 'memory_gib'):.0f} GiB.",
        _table(_OF_NIGHTS, [_row_of_night(night) for night in nights]),
        _growth(nights),
        f"Stage by stage, {_size(largest)} (seconds):",
        _table(_OF_STAGES, [*_rows_of_stages(largest)]),
    ]
    return f"{before}{BEGINS}\n" + "\n\n".join(filter(None, tables)) + f"\n{ENDS}{after}"


_OF_NIGHTS = (
    *("students", "districts", "received MiB", "night s", "floor s", "ratio"),
    *("orchestration", "peak GiB", "again s", "next day s", "1 % anew s"),
)
_OF_STAGES = ("stage", "seconds", "of it our work", "floor", "ratio", "peak GiB")


def _row_of_night(night: _Figures) -> list[str]:
    seconds = _number(night, "night_s")

    def share(name: str) -> str:
        return f"{_number(night, name):,.1f} ({_number(night, name) / seconds:.1%})"

    return [
        f"{_number(night, 'students'):,.0f}",
        f"{_number(night, 'districts'):,.0f}",
        f"{_number(night, 'received_mib'):,.0f}",
        f"{seconds:,.1f}",
        f"{_number(night, 'floor_s'):,.1f}",
        f"{_number(night, 'ratio'):.1f}",
        share("orchestration_s"),
        f"{_number(night, 'peak_mib') / 1024:.1f}",
        *(share(name) for name in ("again_s", "next_day_s", "changed_s")),
    ]


def _growth(nights: Sequence[_Figures]) -> str:
    """How time grows with the students, from each size to the next: 1 is in proportion."""
    told = [
        f"{exponent(smaller, larger):.2f} from {_number(smaller, 'students'):,.0f} to "
        f"{_number(larger, 'students'):,.0f} students"
        for smaller, larger in pairwise(nights)
    ]
    return f"Exponent of growth: {'; '.join(told)}." if told else ""


def exponent(smaller: _Figures, larger: _Figures) -> float:
    """The power of the number of students with which the night's seconds grow."""
    times = _number(larger, "night_s") / _number(smaller, "night_s")
    return math.log(times) / math.log(_number(larger, "students") / _number(smaller, "students"))


def _rows_of_stages(night: _Figures) -> Iterator[list[str]]:
    for stage in _stages(night):
        seconds, floor = _number(stage, "seconds"), _number(stage, "floor_s")
        if max(seconds, floor) < _number(night, "night_s") * _SMALL:
            continue
        yield [
            f"{stage['name']}",
            f"{seconds:,.1f}",
            f"{_number(stage, 'work_s'):,.1f}",
            f"{floor:,.1f}" if floor else "",
            f"{seconds / floor:.1f}" if floor else "",
            f"{_number(stage, 'peak_mib') / 1024:.1f}" if stage["peak_mib"] else "",
        ]


_SMALL = 0.002
"""Stages that take less of the night are left out."""


def _table(names: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [names, ["---", *["---:"] * (len(names) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _size(night: _Figures) -> str:
    districts = f"{_number(night, 'districts'):,.0f} districts"
    return f"{_number(night, 'students'):,.0f} students in {districts}"


def _number(figures: _Figures, name: str) -> float:
    return float(str(figures[name]))


def _stages(night: _Figures) -> list[dict[str, object]]:
    stages = night["stages"]
    return stages if isinstance(stages, list) else []


# --- the picture ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Part:
    """One part of a bar: where it begins and ends, in seconds for 100,000 students."""

    name: str
    colour: str
    begins: float
    ends: float


def picture(nights: Sequence[_Figures]) -> str:
    """An SVG: for each night a bar of its stages, and its floor below, both by 100,000 students.

    Bars of one length mean that time grows in proportion.
    """
    bars = [(_label(night), [*_parts(night)], [*_floor(night)]) for night in nights]
    longest = max(part.ends for _, parts, _ in bars for part in parts)
    environment = Environment(
        loader=PackageLoader("ccgi_pipeline.bench", "."), autoescape=True, undefined=StrictUndefined
    )
    template = environment.get_template("picture.svg.jinja")
    names = [*_GROUPS, _OTHERS, _ORCHESTRATION]
    return (
        template.render(bars=bars, longest=longest, legend=[*zip(names, _COLOURS, strict=True)])
        + "\n"
    )


def _label(night: _Figures) -> str:
    return f"{_number(night, 'students'):,.0f} students"


def _parts(night: _Figures) -> Iterator[_Part]:
    works = _by_group({str(s["name"]): _number(s, "work_s") for s in _stages(night)})
    yield from _one_after_another(
        {**works, _ORCHESTRATION: _number(night, "orchestration_s")}, _number(night, "students")
    )


def _floor(night: _Figures) -> Iterator[_Part]:
    least = _by_group({str(s["name"]): _number(s, "floor_s") for s in _stages(night)})
    yield from _one_after_another(least, _number(night, "students"))


def _by_group(seconds: Mapping[str, float]) -> dict[str, float]:
    named = {stage for stages in _GROUPS.values() for stage in stages}
    groups = {name: sum(seconds.get(s, 0.0) for s in stages) for name, stages in _GROUPS.items()}
    return {**groups, _OTHERS: sum(took for name, took in seconds.items() if name not in named)}


def _one_after_another(seconds: Mapping[str, float], students: float) -> Iterator[_Part]:
    colours = dict(zip([*_GROUPS, _OTHERS, _ORCHESTRATION], _COLOURS, strict=True))
    begins = 0.0
    for name, took in seconds.items():
        ends = begins + took * 100_000 / students
        yield _Part(name, colours[name], begins, ends)
        begins = ends
