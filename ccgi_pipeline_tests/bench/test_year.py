"""The benchmark of a year: what it measures, and the page that shows it."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import date
from pathlib import Path

import pytest

from ccgi_pipeline.bench import year_page
from ccgi_pipeline.bench.year import YearFigures, YearNight, bench_year, format_year

_PROJECT = Path(__file__).parents[2]


def _year(nights: int) -> YearFigures:
    """Nights of which each seventh has rosters; without housekeeping they become slower."""

    def one(number: int, slower: float) -> YearNight:
        seconds = 1 + slower * number / nights
        return YearNight(number, number % 7 == 0, seconds, 10 + number, 10, 1.0, 0.0)

    return YearFigures(
        measured="2026-12-01",
        cores=2,
        memory_gib=8.0,
        districts=2,
        students=500,
        keep_days=30,
        kept=tuple(one(number, 0.0) for number in range(1, nights + 1)),
        left=tuple(one(number, 1.0) for number in range(1, nights + 1)),
    )


def test_the_page_compares_the_first_nights_with_the_last(tmp_path: Path) -> None:
    (tmp_path / year_page.FIGURES).write_text(json.dumps(asdict(_year(70))))
    year = year_page.read_year(tmp_path)
    assert year == _year(70)
    page = year_page.insert_year(f"Before\n{year_page.BEGINS}\nold\n{year_page.ENDS}\n", year)
    assert "old" not in page
    assert "| weekly housekeeping | new rosters | 1.00 | 1.00 | 80 | 10 | 1.0 |" in page
    assert "| none | all others | 1.24 | 1.79 | 80 | 10 | 1.0 |" in page
    assert "<svg" in year_page.draw_year(year)
    assert "70 nights, 500 students" in format_year(year)


def test_without_figures_the_page_stays(tmp_path: Path) -> None:
    assert year_page.read_year(tmp_path) is None


@pytest.mark.slow
def test_nights_with_housekeeping_leave_fewer_files(tmp_path: Path) -> None:
    year = bench_year(
        tmp_path / "year",
        districts=2,
        students=10,
        nights=8,
        keep_days=2,
        first=date(2026, 7, 1),
    )
    assert [night.night for night in year.kept] == [*range(1, 9)]
    assert [night.rosters for night in year.left] == [True, *[False] * 4, True, False, False]
    assert [night.housekeeping_s > 0 for night in year.kept] == [*[False] * 4, True, *[False] * 3]
    assert year.kept[-1].files < year.left[-1].files
    assert year.kept[-1].live_files < year.left[-1].live_files


def test_the_benchmark_page_shows_the_year_that_lies_beside_it() -> None:
    folder = _PROJECT / "docs" / "benchmarks"
    shown = (_PROJECT / "docs" / "benchmarks.md").read_text()
    year = year_page.read_year(folder)
    assert year is not None
    assert year_page.insert_year(shown, year) == shown
    assert (folder / year_page.PICTURE).exists()
