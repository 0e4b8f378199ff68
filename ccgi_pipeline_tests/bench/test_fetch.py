"""The benchmark of a fetch: what it serves is a whole roster, and all of it is fetched."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from ccgi_pipeline.bench.fetch import FetchFigures, Taken, format_fetch
from ccgi_pipeline.bench.roster_server import Pages, serve_roster, write_roster
from ccgi_pipeline.cli import main
from ccgi_pipeline_tests.oneroster_api.objects import read_set

_USERS, _ENROLLMENTS = 200, 2_800


@pytest.mark.slow
def test_a_small_roster_is_fetched_whole(tmp_path: Path):
    size = ["--users", f"{_USERS}", "--enrollments", f"{_ENROLLMENTS}", "--page-size", "500"]
    command = ["bench", "fetch", *size, "--data", f"{tmp_path / 'bench'}", "--format", "json"]
    done = CliRunner().invoke(main, command)
    assert done.exit_code == 0, done.output
    said = json.loads(done.stdout)
    taken = {name: Taken(**said.pop(name)) for name in ("fetch", "loop", "loop_json")}
    figures = FetchFigures(**said, **taken)
    (drop,) = (tmp_path / "bench" / "inbox" / "3367173" / "oneroster").iterdir()
    files = read_set(drop)
    assert len(files["users"]) == _USERS
    assert len(files["enrollments"]) == _ENROLLMENTS
    assert len(files["classes"]) == _ENROLLMENTS // 28
    assert figures.records == sum(len(lines) for name, lines in files.items() if name != "manifest")
    users = {line["sourcedId"] for line in files["users"]}
    assert {line["userSourcedId"] for line in files["enrollments"]} <= users
    assert figures.mebibytes > 0.5
    assert figures.peak_mib > 50
    assert all(one.processor_s > 0 for one in taken.values())
    shown = format_fetch(figures).splitlines()
    assert f"{figures.records:,} records" in shown[1]
    assert [line.split()[-3] for line in shown[4:]] == [
        f"{taken['fetch'].seconds / one.seconds:.2f}" for one in taken.values()
    ]


def test_pages_of_any_size_have_every_record_once(tmp_path: Path):
    roster = write_roster(tmp_path / "roster", 50, 300)
    with serve_roster(tmp_path, roster) as server:
        assert server.collections == (
            "academicSessions", "classes", "courses", "enrollments", "orgs", "users",
        )  # fmt: skip
    pages = [_page(roster, "enrollments", offset, 7) for offset in range(0, 301, 7)]
    ids = [row["sourcedId"] for page, _ in pages for row in page]
    assert ids == sorted(set(ids))
    assert len(ids) == 300
    assert {total for _, total in pages} == {300}
    assert _page(roster, "enrollments", 1000, 7) == ([], 300)


def _page(roster: Path, name: str, offset: int, limit: int) -> tuple[list[dict[str, str]], int]:
    body, total = Pages(roster / f"{name}.json").read(offset, limit)
    return json.loads(body)[name], total
