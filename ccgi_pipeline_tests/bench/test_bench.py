"""The benchmarks: what they measure adds up, and the page shows what was measured.

Belongs here: a night's benchmark over a few students, and the page. No figure is judged: what is
fast on one machine is slow on another.
"""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from click.testing import CliRunner

from ccgi_pipeline.bench import command_timing, page
from ccgi_pipeline.cli import main

_PROJECT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    """The figures of a benchmark over two districts."""
    data = tmp_path_factory.mktemp("bench")
    size = ["--districts", "2", "--students", "60", "--date", "2026-11-22"]
    done = CliRunner().invoke(main, ["bench", "night", *size, "--data", f"{data}", "--format=json"])
    assert done.exit_code == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.slow
def test_the_stages_of_a_night_add_up_to_it(night: dict[str, object]):
    stages = night["stages"]
    assert math.isclose(sum(stage["seconds"] for stage in stages), night["night_s"])
    works = sum(stage["work_s"] for stage in stages)
    assert math.isclose(works + night["orchestration_s"], night["night_s"])
    assert all(0 <= stage["work_s"] <= stage["seconds"] + 0.01 for stage in stages[1:-1])
    assert {"received_drops", "transcript", "oneroster", "eligibility", "write_reports"} <= {
        stage["name"] for stage in stages if stage["work_s"] > 0
    }


@pytest.mark.slow
def test_the_floor_is_that_of_the_stages(night: dict[str, object]):
    least = {stage["name"]: stage["floor_s"] for stage in night["stages"]}
    assert math.isclose(sum(least.values()), night["floor_s"])
    assert math.isclose(night["night_s"] / night["floor_s"], night["ratio"])
    with_floor = {name for name, seconds in least.items() if seconds}
    assert with_floor >= {"received_drops", "transcript", "eligibility", "write_reports"}


@pytest.mark.slow
def test_ordinary_nights_are_measured_by_stage(night: dict[str, object]):
    ordinary = {one["name"]: one for one in night["ordinary"]}
    assert [*ordinary] == ["again", "next day", "1 % anew", "10 % anew"]
    for one in ordinary.values():
        assert math.isclose(sum(stage["seconds"] for stage in one["stages"]), one["seconds"])
        assert one["processor_s"] > 0
    loads = {
        name
        for name, one in ordinary.items()
        if any(stage["name"] == "transcript" for stage in one["stages"])
    }
    assert loads == {"1 % anew", "10 % anew"}


@pytest.mark.slow
def test_a_night_has_a_peak_of_memory(night: dict[str, object]):
    assert night["peak_mib"] == max(stage["peak_mib"] for stage in night["stages"])
    assert night["peak_mib"] > 100


def _measured(folder: Path, students: int, seconds: float) -> None:
    stages = [
        {"name": name, "seconds": seconds / 4, "work_s": seconds / 5, "peak_mib": 9, "floor_s": 1}
        for name in ("received_drops", "transcript", "write_reports", "deliveries")
    ]
    figures = {
        **dict.fromkeys(("cores", "memory_gib", "districts", "received_mib", "peak_mib"), 2),
        "students": students,
        "night_s": seconds,
        "floor_s": 4,
        "ratio": seconds / 4,
        "orchestration_s": seconds / 5,
        "processor_s": seconds * 1.5,
        "stages": stages,
        "ordinary": [
            {
                "name": "next day",
                "seconds": seconds / 10,
                "stages": [{"name": "transcript", "seconds": seconds / 20}],
            }
        ],
    }
    (folder / f"night-{students}.json").write_text(json.dumps(figures))


def test_the_page_shows_the_figures_between_its_marks_and_draws_them(tmp_path: Path):
    _measured(tmp_path, 1000, 20.0)
    _measured(tmp_path, 100, 1.0)
    shown = tmp_path / "page.md"
    shown.write_text(f"Words before.\n{page.BEGINS}\nold\n{page.ENDS}\nWords after.\n")
    done = CliRunner().invoke(main, ["bench", "page", f"{shown}", "--figures", f"{tmp_path}"])
    assert done.exit_code == 0
    text = shown.read_text()
    assert text.startswith("Words before.\n")
    assert text.endswith("Words after.\n")
    assert "old" not in text
    assert text.index("| 100 |") < text.index("| 1,000 |")
    assert f"{math.log(20) / math.log(10):.2f} from 100 to 1,000 students" in text
    assert "| transcript | 5.0 | 4.0 | 1.0 | 5.0 | 0.0 |" in text
    assert "| 1,000 | 20.0 | 2.0 (10.0%) |" in text
    assert "| transcript | 5.0 | 1.0 |" in text
    assert "transcripts: 400.0 s" in _parts_of((tmp_path / page.PICTURE).read_text())


def _parts_of(picture: str) -> list[str | None]:
    """What each part of a bar says to who cannot see it."""
    drawn = ET.fromstring(picture)  # noqa: S314 - our own
    parts = drawn.iter("{http://www.w3.org/2000/svg}path")
    return [part.get("aria-label") for part in parts if part.get("aria-roledescription") == "bar"]


def test_a_page_without_marks_is_left_as_it_is(tmp_path: Path):
    _measured(tmp_path, 100, 1.0)
    shown = tmp_path / "page.md"
    shown.write_text("No place.\n")
    done = CliRunner().invoke(main, ["bench", "page", f"{shown}", "--figures", f"{tmp_path}"])
    assert done.exit_code == 1
    assert "no place for the figures" in done.output
    assert shown.read_text() == "No place.\n"


def test_the_benchmark_page_shows_the_figures_that_lie_beside_it():
    folder = _PROJECT / "docs" / "benchmarks"
    shown = _PROJECT / "docs" / "benchmarks.md"
    nights = page.read_figures(folder)
    assert page.insert_figures(shown.read_text(), nights) == shown.read_text()
    # The place of a text depends on the machine's fonts; the parts do not.
    parts = _parts_of(page.draw_picture(nights))
    assert len(parts) > 15 * len(nights)
    assert parts == _parts_of((folder / page.PICTURE).read_text())


def test_the_memory_of_a_command_is_its_own_alone(tmp_path: Path):
    held = bytearray(300 << 20)
    printed = tmp_path / "printed"
    command = [sys.executable, "-c", "print('said'); raise SystemExit(3)"]
    used = command_timing.measure_process(command, output=printed)
    assert len(held) > used.peak_mib * 2**20 > 2**20
    assert used.peak_mib < 100
    assert used.exit_status == 3
    assert used.processor_seconds > 0
    assert printed.read_text() == "said\n"
