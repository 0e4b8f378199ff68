"""The comparison on the terminal and on the page, and the command without the other tools.

Belongs here: figures as tables. No figure is judged.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from ccgi_pipeline.bench.peers import tables
from ccgi_pipeline.bench.peers.exchange import KINDS
from ccgi_pipeline.cli import main

_PROJECT = Path(__file__).parents[3]


def _tool(name: str, lines: int, outcomes: list[dict[str, object]], **run: object) -> dict:
    measured = {"seconds": 2.0, "processor_s": 1.0, "peak_mib": 99.6, "false_findings": 3}
    runs = [{"family": "oneroster", "lines": lines, "failed": "", "mib": 1, **measured, **run}]
    expresses = [kind for kind in KINDS if name == "ours" or kind != "foreignKeys"]
    return {
        "name": name,
        "versions": {"library": "1.2"},
        "expresses": expresses,
        "runs": runs,
        "outcomes": outcomes,
    }


def _figures() -> dict[str, object]:
    found, missed = {"outcome": "found", "lost": 0}, {"outcome": "missed", "lost": 41}
    return {
        "measured": "2026-12-01",
        "cores": 2,
        "load": 3.25,
        "students": 100,
        "slow_students": 50,
        "rules": {"foreignKeys": 12},
        "other_rules": {"damage": 7},
        "faults": [{"name": "a stray mark", "feed": "oneroster_users", "rule": "FILE-QUOTES"}],
        "tools": [
            _tool("ours", 2000, [found]),
            _tool("theirs", 1000, [missed], failed="ParserError"),
        ],
    }


def test_the_tables_say_what_was_measured_and_found():
    text = tables.format_comparison(_figures())
    assert "| ours | oneroster | 2,000 | 2.0 | 1.0 | 1,000 | 2,000 | 100 | 3 |" in text
    assert "| theirs* | oneroster | 1,000 | 2.0 | 1.0 | 500 | 1,000 | 100 | ParserError |" in text
    assert "| references between files | 12 | yes | no |" in text
    assert "| damage | 7 | yes | no |" in text
    assert "| a stray mark | oneroster_users | found | missed, 41 lines lost |" in text
    assert "ours: 1 found; theirs: 0 found" in text
    assert "3.2 other processes" in text


def test_the_page_gets_the_tables_if_there_are_figures(tmp_path: Path):
    page = f"Before.\n{tables.BEGINS}\nold\n{tables.ENDS}\nAfter.\n"
    assert tables.insert_comparison(page, tmp_path) == page
    (tmp_path / tables.FILE).write_text(json.dumps(_figures()))
    written = tables.insert_comparison(page, tmp_path)
    assert tables.format_comparison(_figures()) in written
    assert "old" not in written
    with pytest.raises(ValueError, match="no place for the figures"):
        tables.insert_comparison("No place.", tmp_path)


def test_the_benchmark_page_shows_the_comparison_that_lies_beside_it():
    folder = _PROJECT / "docs" / "benchmarks"
    shown = (_PROJECT / "docs" / "benchmarks.md").read_text()
    assert (folder / tables.FILE).exists()
    assert tables.insert_comparison(shown, folder) == shown


def test_without_the_other_tools_the_command_says_how_to_get_them(tmp_path: Path):
    data = tmp_path / "data"
    data.mkdir()
    (data / "kept").touch()
    given = ["--peers", str(tmp_path / "nowhere"), "--data", str(data)]
    done = CliRunner().invoke(main, ["bench", "peers", *given])
    assert done.exit_code == 1
    assert "make setup-peers" in done.output
    assert (data / "kept").exists()
