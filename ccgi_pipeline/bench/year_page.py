"""The year of nights on the benchmark page: a table and a picture.

Belongs here: what ``ccgi bench page`` makes of the figures of ``ccgi bench year --format json``.
Does not belong here: measuring (``year``), the text of the page.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterator, Sequence
from pathlib import Path

from ccgi_pipeline.bench.page import format_table, insert_between
from ccgi_pipeline.bench.year import YearFigures, YearNight, summarize_months

FIGURES, PICTURE = "year.json", "year.svg"
BEGINS, ENDS = "<!-- year -->", "<!-- end of year -->"
_KEPT, _LEFT = "weekly housekeeping", "none"
_WIDTH, _HEIGHT = 620, 150
"""Of each part of the picture, in pixels."""


def read_year(folder: Path) -> YearFigures | None:
    """Returns the figures in ``folder``; None if there are none."""
    path = folder / FIGURES
    if not path.exists():
        return None
    content = json.loads(path.read_text())
    for name in ("kept", "left"):
        content[name] = tuple(YearNight(**night) for night in content[name])
    return YearFigures(**content)


def insert_year(page: str, year: YearFigures) -> str:
    """Returns the page with the table of the year between its marks.

    Raises ValueError if the marks are missing.
    """
    took = [night.housekeeping_s for night in year.kept if night.housekeeping_s]
    words = (
        f"{len(year.kept):,} nights, {year.students:,} students in {year.districts:,} districts, "
        f"measured on {year.cores} cores. Former states are kept for {year.keep_days} days here, "
        "so that the picture shows where the files stop growing."
    )
    text = [
        words,
        format_table(
            _COLUMNS,
            [*_build_rows(_KEPT, year.kept), *_build_rows(_LEFT, year.left)],
            words=2,
        ),
    ]
    if took:
        text.append(
            f"Housekeeping took {statistics.median(took):.1f} s (median), {max(took):.1f} s at the "
            "most."
        )
    return insert_between(page, BEGINS, ENDS, "\n\n".join(text))


_COLUMNS = (
    *("housekeeping", "night", "first 30 nights s", "last 30 nights s", "files at the end"),
    *("of them in the newest state", "MiB"),
)


def _build_rows(name: str, nights: Sequence[YearNight]) -> Iterator[list[str]]:
    first, last = summarize_months(nights)
    end = nights[-1]
    for kind, before, after in (
        ("new rosters", first.with_rosters, last.with_rosters),
        ("all others", first.others, last.others),
    ):
        sizes = [f"{end.files:,}", f"{end.live_files:,}", f"{end.mib:,.1f}"]
        yield [name, kind, f"{before:.2f}", f"{after:.2f}", *sizes]


def draw_year(year: YearFigures) -> str:
    """Returns an SVG with three parts: seconds of both kinds of nights, and files by night."""
    import altair as alt  # noqa: PLC0415 - slow to import, and only this draws
    import vl_convert  # noqa: PLC0415

    values = [
        {
            "housekeeping": name,
            "night": night.night,
            "week": (night.night - 1) // 7 * 7 + 4,
            "seconds": night.seconds,
            "rosters": night.rosters,
            "files": night.files,
            "live": night.live_files,
        }
        for name, nights in ((_KEPT, year.kept), (_LEFT, year.left))
        for night in nights[1:]  # the first night loads everything
    ]
    base = alt.Chart({"values": values}, width=_WIDTH, height=_HEIGHT)
    colour = alt.Color(
        "housekeeping:N",
        scale=alt.Scale(domain=[_KEPT, _LEFT], range=["#4e79a7", "#e15759"]),
        legend=alt.Legend(orient="bottom"),
    )
    parts = [
        base.transform_filter("datum.rosters")
        .mark_line(interpolate="monotone")
        .encode(
            x=alt.X("night:Q", title=None),
            y=alt.Y("seconds:Q", title="seconds"),
            color=colour,
        )
        .properties(title="Nights with new rosters"),
        base.transform_filter("!datum.rosters")
        .mark_line(interpolate="monotone")
        .encode(
            x=alt.X("week:Q", title=None),
            y=alt.Y("median(seconds):Q", title="seconds"),
            color=colour,
        )
        .properties(title="All other nights, the median of each week"),
        alt.layer(
            base.mark_line().encode(
                x=alt.X("night:Q", title="night"), y=alt.Y("files:Q", title="files"), color=colour
            ),
            base.mark_line(strokeDash=[3, 3]).encode(
                x=alt.X("night:Q"), y=alt.Y("live:Q"), color=colour
            ),
        ).properties(title="Files of the tables (dashed: those that the newest state reads)"),
    ]
    picture = alt.vconcat(*parts).configure(background="white", font="sans-serif")
    picture = picture.configure_view(stroke=None)
    return str(vl_convert.vegalite_to_svg(json.dumps(picture.to_dict()))) + "\n"
