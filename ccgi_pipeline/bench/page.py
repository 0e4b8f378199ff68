"""The benchmark page: the figures of several nights as tables and as a picture.

Belongs here: ``ccgi bench page``, which writes the figures of ``ccgi bench night --format json``
between two marks of a page, and draws a picture of where the time goes. Does not belong here:
measuring (``night``), and the text of the page.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path

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
"""The groups of the picture, each with its stages; all other stages are one more group."""
_OTHERS, _ORCHESTRATION = "other steps", "start and orchestration"
_COLOURS = (
    *("#4e79a7", "#f28e2b", "#59a14f", "#e15759", "#76b7b2"),
    *("#edc948", "#b07aa1", "#9c755f", "#bab0ac", "#79706e"),
)


def read_figures(folder: Path) -> list[dict[str, object]]:
    """Returns the figures of the nights in ``folder``, the smallest state first.

    Raises ValueError if there are none.
    """
    found = [json.loads(path.read_text()) for path in folder.glob("night-*.json")]
    if not found:
        msg = (
            f"{folder} has no figures. Make some: "
            f"ccgi bench night --format json > {folder}/night-N.json"
        )
        raise ValueError(msg)
    return sorted(found, key=lambda figures: int(figures["students"]))


def insert_figures(page: str, nights: Sequence[_Figures]) -> str:
    """Returns the page with tables of these nights between its marks.

    Raises ValueError if the marks are missing.
    """
    largest = nights[-1]
    ordinary = [f"{night['name']}" for night in _list_of(largest, "ordinary")]
    tables = [
        f"Measured on {largest['cores']} cores and {_number(largest, 'memory_gib'):.0f} GiB.",
        format_table(_NIGHT_COLUMNS, [_build_night_row(night) for night in nights]),
        _describe_growth(nights),
        "Ordinary nights in seconds, and in percent of the first:",
        format_table(
            ["students", "first", *ordinary], [_build_ordinary_row(night) for night in nights]
        ),
        f"Stage by stage, {_describe_size(largest)} (seconds):",
        format_table(_STAGE_COLUMNS, [*_build_stage_rows(largest)]),
        "Its ordinary nights, stage by stage (seconds):",
        format_table(["stage", "first", *ordinary], [*_build_ordinary_stage_rows(largest)]),
    ]
    return insert_between(page, BEGINS, ENDS, "\n\n".join(filter(None, tables)))


def insert_between(page: str, begins: str, ends: str, text: str) -> str:
    """Returns the page with ``text`` between two marks.

    Raises ValueError if the marks are missing.
    """
    before, first, rest = page.partition(begins)
    _, last, after = rest.partition(ends)
    if not first or not last:
        msg = f"the page has no place for the figures: {begins} and {ends}"
        raise ValueError(msg)
    return f"{before}{begins}\n{text}\n{ends}{after}"


_NIGHT_COLUMNS = (
    *("students", "districts", "received MiB", "night s", "floor s", "ratio"),
    *("orchestration", "processor s", "peak GiB"),
)
_STAGE_COLUMNS = ("stage", "seconds", "of it our work", "floor", "ratio", "peak GiB")


def _build_night_row(night: _Figures) -> list[str]:
    seconds = _number(night, "night_s")
    orchestration = _number(night, "orchestration_s")

    return [
        f"{_number(night, 'students'):,.0f}",
        f"{_number(night, 'districts'):,.0f}",
        f"{_number(night, 'received_mib'):,.0f}",
        f"{seconds:,.1f}",
        f"{_number(night, 'floor_s'):,.1f}",
        f"{_number(night, 'ratio'):.1f}",
        f"{orchestration:,.1f} ({orchestration / seconds:.1%})",
        f"{_number(night, 'processor_s'):,.1f}",
        f"{_number(night, 'peak_mib') / 1024:.1f}",
    ]


def _build_ordinary_row(night: _Figures) -> list[str]:
    """Returns the ordinary nights of a state, each with its share of the first night."""
    first = _number(night, "night_s")
    return [
        f"{_number(night, 'students'):,.0f}",
        f"{first:,.1f}",
        *(
            f"{_number(ordinary, 'seconds'):,.1f} ({_number(ordinary, 'seconds') / first:.1%})"
            for ordinary in _list_of(night, "ordinary")
        ),
    ]


def _build_ordinary_stage_rows(night: _Figures) -> Iterator[list[str]]:
    """Yields the stages of the first and the ordinary nights; small ones are left out."""
    nights = [_seconds_by_stage(one, "seconds") for one in (night, *_list_of(night, "ordinary"))]
    for stage in nights[0]:
        if max(of_night.get(stage, 0.0) for of_night in nights[1:]) >= _SHOWN:
            yield [stage, *(f"{of_night.get(stage, 0.0):,.1f}" for of_night in nights)]


_SHOWN = 0.05
"""Seconds of a stage below which the ordinary nights are not shown."""


def _describe_growth(nights: Sequence[_Figures]) -> str:
    """Describes how time grows with the students from each size to the next; 1 is in proportion."""
    exponents = [
        f"{compute_exponent(smaller, larger):.2f} from {_number(smaller, 'students'):,.0f} to "
        f"{_number(larger, 'students'):,.0f} students"
        for smaller, larger in pairwise(nights)
    ]
    return f"Exponent of growth: {'; '.join(exponents)}." if exponents else ""


def compute_exponent(smaller: _Figures, larger: _Figures) -> float:
    """Returns the power of the number of students with which the night's seconds grow."""
    times = _number(larger, "night_s") / _number(smaller, "night_s")
    return math.log(times) / math.log(_number(larger, "students") / _number(smaller, "students"))


def _build_stage_rows(night: _Figures) -> Iterator[list[str]]:
    for stage in _list_of(night, "stages"):
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
"""Stages with a smaller share of the night are left out."""


def format_table(names: Sequence[str], rows: Sequence[Sequence[str]], words: int = 1) -> str:
    """Returns a table in Markdown; all columns but the first ``words`` are numbers."""
    lines = [names, [*["---"] * words, *["---:"] * (len(names) - words)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _describe_size(night: _Figures) -> str:
    districts = f"{_number(night, 'districts'):,.0f} districts"
    return f"{_number(night, 'students'):,.0f} students in {districts}"


def _number(figures: _Figures, name: str) -> float:
    return float(str(figures[name]))


def _seconds_by_stage(night: _Figures, kind: str) -> dict[str, float]:
    """Returns the ``seconds``, ``work_s`` or ``floor_s`` of a night's stages."""
    return {str(stage["name"]): _number(stage, kind) for stage in _list_of(night, "stages")}


def _list_of(night: _Figures, name: str) -> list[dict[str, object]]:
    """Returns the stages or the ordinary nights of the figures."""
    found = night[name]
    return found if isinstance(found, list) else []


# --- the picture ------------------------------------------------------------------------------


_TITLE = "Seconds of a night for every 100,000 students, and its floor"
_NIGHT, _FLOOR = "night", "floor"
_WIDTH, _STEP = 620, 22
"""Of the picture in pixels: the longest bar, and the height of each bar."""


def draw_picture(nights: Sequence[_Figures]) -> str:
    """Returns an SVG with two bars for each night, its stages and its floor, for 100,000 students.

    Bars of the same length mean that time grows in proportion to the students.
    """
    import altair as alt  # noqa: PLC0415 - slow to import, and only this draws
    import vl_convert  # noqa: PLC0415

    parts = [part for night in nights for part in _build_parts(night)]
    names = [*_GROUPS, _OTHERS, _ORCHESTRATION]
    base = alt.Chart({"values": parts}, width=_WIDTH, height=alt.Step(_STEP), title=_TITLE)
    rows = {
        "y": alt.Y("students:N", sort=None, title=None),
        "yOffset": alt.YOffset("bar:N", sort=[_NIGHT, _FLOOR]),
    }
    bars = base.mark_bar().encode(
        x=alt.X("begins:Q", title="seconds"),
        x2="ends:Q",
        color=alt.Color(
            "stage:N",
            title=None,
            scale=alt.Scale(domain=names, range=[*_COLOURS]),
            legend=alt.Legend(orient="bottom", columns=5),
        ),
        opacity=alt.Opacity(
            "bar:N", legend=None, scale=alt.Scale(domain=[_NIGHT, _FLOOR], range=[1, 0.55])
        ),
        description="words:N",
        **rows,
    )
    sums = base.mark_text(align="left", dx=5).encode(
        x="max(ends):Q", text=alt.Text("max(ends):Q", format=".1f"), **rows
    )
    # Browsers' fonts are wider than those by which the picture is laid out.
    picture = alt.layer(bars, sums).configure(background="white", font="sans-serif", padding=24)
    picture = picture.configure_view(stroke=None)
    return str(vl_convert.vegalite_to_svg(json.dumps(picture.to_dict()))) + "\n"


def _build_parts(night: _Figures) -> list[dict[str, object]]:
    """Returns the parts of a night's bar, and of its floor's, with where each begins and ends."""
    works = _sum_by_group(_seconds_by_stage(night, "work_s"))
    least = _sum_by_group(_seconds_by_stage(night, "floor_s"))
    orchestration = {_ORCHESTRATION: _number(night, "orchestration_s")}
    return [
        *_chain_parts(night, _NIGHT, {**works, **orchestration}),
        *_chain_parts(night, _FLOOR, least),
    ]


def _sum_by_group(seconds: Mapping[str, float]) -> dict[str, float]:
    named = {stage for stages in _GROUPS.values() for stage in stages}
    groups = {name: sum(seconds.get(s, 0.0) for s in stages) for name, stages in _GROUPS.items()}
    return {**groups, _OTHERS: sum(took for name, took in seconds.items() if name not in named)}


def _chain_parts(
    night: _Figures, bar: str, seconds: Mapping[str, float]
) -> Iterator[dict[str, object]]:
    students = _number(night, "students")
    begins = 0.0
    for stage, took in seconds.items():
        ends = begins + took * 100_000 / students
        yield {
            "students": f"{students:,.0f} students",
            "bar": bar,
            "stage": stage,
            "begins": begins,
            "ends": ends,
            "words": f"{stage}: {ends - begins:.1f} s",
        }
        begins = ends
