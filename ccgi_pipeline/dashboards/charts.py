"""Charts as SVG, drawn by Vega: Altair writes the specification, vl-convert renders it.

Belongs here: one function for each kind of chart, and the drawing. Pure. A page has the figures of
each chart as a table, too. Colours are those of the page's style, so one picture serves light, dark
and paper. Does not belong here: which figures are drawn (district_page, state_page).

Altair and Vega-Lite's compiler take most of the time of a drawing (17 ms; Vega alone 5 to 9 ms).
So each kind of chart is compiled once and kept, and a drawing only puts its own figures in.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

Points = Sequence[Mapping[str, object]]

WIDTH, HEIGHT = 330, 120
"""Of a chart in pixels: two stand side by side on a desk, and one fills a telephone."""


def _draw(template: Mapping[str, Any], points: Points) -> str:
    """Returns the picture of ``points`` by the template of their kind."""
    import vl_convert  # noqa: PLC0415 - it takes long to load, and few nights draw nothing

    data = [
        {**source, "values": [*points]} if source["name"] == _SOURCE else source
        for source in template["data"]
    ]
    svg: str = vl_convert.vega_to_svg(json.dumps({**template, "data": data}))
    for needless, instead in _NEEDLESS:
        svg = needless.sub(instead, svg)
    return svg


_NEEDLESS = (
    (re.compile(r' xmlns:xlink="[^"]*" version="1\.1"'), ""),
    # The figures are read in the table beside the picture, which is hidden from readers aloud.
    (re.compile(r' (?:role|aria-[a-z]+)="[^"]*"'), ""),
    (re.compile(r'<path class="(?:background|foreground)"[^>]*/>'), ""),
    (re.compile(r"(\d\.\d)\d+"), r"\1"),
)
"""What a page does without: it is half of a small picture."""


_SOURCE = "figures"


@cache
def _compile(kind: str) -> str:
    """Returns the Vega specification of a kind of chart as JSON, without figures."""
    import vl_convert  # noqa: PLC0415

    spec: dict[str, Any] = _KINDS[kind]()
    return json.dumps(vl_convert.vegalite_to_vega(spec))


def _base(*, width: int = WIDTH, height: int = HEIGHT) -> Any:  # noqa: ANN401 - Altair's own
    import altair as alt  # noqa: PLC0415

    return alt.Chart({"name": _SOURCE}, width=width, height=height)


def _finish(chart: Any) -> dict[str, Any]:  # noqa: ANN401
    """Returns the specification in the colours of the page."""
    line = {"gridColor": "var(--line)", "domainColor": "var(--line)", "tickColor": "var(--line)"}
    made: dict[str, Any] = (
        chart.configure(
            background="transparent", font="system-ui, sans-serif", padding=2, aria=False
        )
        .configure_view(stroke=None)
        .configure_axis(labelColor="currentColor", titleColor="currentColor", labelFontSize=11,
                        titleFontSize=11, titleFontWeight="normal", **line)
        .configure_legend(labelColor="currentColor", title=None, orient="bottom", columns=2,
                          labelFontSize=11, labelLimit=WIDTH, symbolType="square")
        .to_dict()
    )  # fmt: skip
    return made


def _nights() -> Any:  # noqa: ANN401
    import altair as alt  # noqa: PLC0415

    shown = alt.Axis(format="%b %-d", tickCount=4, grid=False, labelOverlap=False)
    # Nights are days, not moments: in UTC, so that no machine's time zone moves them.
    return alt.X("night:T", title=None, axis=shown, scale=alt.Scale(type="utc"))


def _count(field: str, *, zero: bool, title: str | None = None, form: str = ",d") -> Any:  # noqa: ANN401
    import altair as alt  # noqa: PLC0415

    # Each set of lines or labels costs 2 ms: no grid, and no search for labels that overlap.
    axis = alt.Axis(
        tickCount=3, format=form, tickMinStep=1 if form == ",d" else 0, grid=False,
        labelOverlap=False,
    )  # fmt: skip
    return alt.Y(f"{field}:Q", title=title, scale=alt.Scale(zero=zero, nice=True), axis=axis)


def _line() -> dict[str, Any]:
    mark = {"interpolate": "step-after", "color": "var(--link)", "strokeWidth": 2}
    return _finish(_base().mark_line(**mark).encode(_nights(), _count("value", zero=False)))


def _share_line() -> dict[str, Any]:
    mark = {"color": "var(--link)", "strokeWidth": 2, "point": {"color": "var(--link)", "size": 18}}
    return _finish(
        _base().mark_line(**mark).encode(_nights(), _count("value", zero=True, form=".0%"))
    )


def _bars(colour: str) -> dict[str, Any]:
    mark = _base().mark_bar(color=colour, width=4)
    return _finish(mark.encode(_nights(), _count("value", zero=True)))


def _stacked_bars() -> dict[str, Any]:
    import altair as alt  # noqa: PLC0415

    kind = alt.Color("kind:N", sort=None, scale=alt.Scale(range=_COLOURS))
    chart = _base(height=150).mark_bar(width=5)
    return _finish(chart.encode(_nights(), _count("value", zero=True), kind))


_COLOURS = [
    *("var(--f-rejected)", "var(--f-updated)", "var(--f-unmatched)", "var(--f-held)"),
    *("var(--f-inserted)", "var(--f-unchanged)", "var(--f-superseded)", "var(--f-left_alone)"),
]


def _sparkline() -> dict[str, Any]:
    import altair as alt  # noqa: PLC0415

    chart = _base(width=90, height=20).mark_line(
        interpolate="step-after", color="currentColor", strokeWidth=1.5
    )
    x = alt.X("night:T", axis=None, scale=alt.Scale(type="utc"))
    y = alt.Y("value:Q", axis=None, scale=alt.Scale(zero=False))
    return _finish(chart.encode(x, y))


_KINDS: Mapping[str, Callable[[], dict[str, Any]]] = {
    "line": _line,
    "share": _share_line,
    "bars": partial(_bars, "var(--link)"),
    "losses": partial(_bars, "var(--f-rejected)"),
    "stacked": _stacked_bars,
    "sparkline": _sparkline,
}
"""``line``: a count that stays until it changes. ``share``: a share a night. ``bars``: a count a
night; ``losses``: one that should be none. ``stacked``: counts of several kinds a night.
``sparkline``: a line without axes, for a cell.

Each takes points with ``night`` (YYYY-MM-DD) and ``value``; ``stacked`` also with ``kind``."""

LEAST_POINTS = 2
"""One point is no trend: a table says it better."""


class ChartCache:
    """Pictures by what they show, so that a night draws only those that change.

    ``known``: the pictures of earlier nights by their keys. ``used``: those of this night. Among
    both are the compiled templates of the kinds that were drawn.
    """

    def __init__(self, known: Mapping[str, str] | None = None) -> None:
        """Begins with the pictures of earlier nights."""
        self.known = dict(known or {})
        self.used = {
            key: self.known[key] for kind in _KINDS if (key := _template_key(kind)) in self.known
        }
        self.drawn = 0
        self._templates: dict[str, Any] = {}

    def draw(self, kind: str, points: Points) -> str:
        """Returns the SVG of a chart; empty if there are too few points."""
        key = _key(kind, points)
        if key is None:
            return ""
        if key not in self.used:
            picture = self.known.get(key)
            if picture is None:
                picture = _draw(self._read_template(kind), points)
                self.drawn += 1
            self.used[key] = picture
        return self.used[key]

    def _read_template(self, kind: str) -> Mapping[str, Any]:
        if kind not in self._templates:
            key = _template_key(kind)
            if key not in self.used:
                self.used[key] = _compile(kind)
            self._templates[kind] = json.loads(self.used[key])
        template: Mapping[str, Any] = self._templates[kind]
        return template

    def keep(self, kind: str, points: Points) -> None:
        """Keeps the picture of a chart for the next night, where the page stays as it is."""
        key = _key(kind, points)
        if key is not None and key in self.known:
            self.used[key] = self.known[key]


def _key(kind: str, points: Points) -> str | None:
    """Returns what identifies a picture; None if there are too few points for one."""
    if len({str(point["night"]) for point in points}) < LEAST_POINTS:
        return None
    content = json.dumps([kind, _code(), points], default=str)
    return hashlib.sha256(content.encode()).hexdigest()[:32]


def _template_key(kind: str) -> str:
    return f"template of {kind}, {_code()}"


@cache
def _code() -> str:
    """Returns what identifies the drawing: this module and the versions of the libraries."""
    digest = hashlib.sha256(Path(__file__).read_bytes())
    return f"{digest.hexdigest()[:16]} {version('vl-convert-python')} {version('altair')}"
