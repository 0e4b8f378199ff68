"""The page that says how to add a feed and a report, applied to a copy of the project.

Belongs here: the page's blocks word for word, and what follows from them: the dictionary, the tests
over all declarations, a check of a good and of a broken file, and a night. Does not belong here:
any feed of the project.
"""

from __future__ import annotations

import csv
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pytest

from ccgi_pipeline_tests.nightly.inboxes import (
    PALM_SPRINGS,
    PALM_SPRINGS_HIGH,
    put_roster,
    students,
)
from ccgi_pipeline_tests.nightly.nights import ON

PROJECT = Path(__file__).parents[2]
PAGE = PROJECT / "docs" / "add-a-feed.md"
FAMILY, FEED, REPORT = (
    "work_based_learning",
    "work_based_learning_placements",
    "work-based learning",
)
TITLE = "Placements at work"
STUDENTS = ["1000000001", "1000000002", "1000000003"]
IN_PACKAGE = "ccgi_pipeline/"

_BLOCK = re.compile(r'^```(\w+) title="([^"]+)"\n(.*?)^```$', re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A block of the page: the language, the file that it names, the text."""

    language: str
    file: str
    text: str

    def apply(self, root: Path) -> None:
        """Writes the file, or changes it where the block shows the place."""
        path = root / self.file
        if self.language != "diff":
            assert not path.exists(), f"{self.file} is in the project already"
            path.write_text(self.text)
            return
        lines = self.text.splitlines(keepends=True)
        before = "".join(line[1:] for line in lines if line[0] in " -")
        after = "".join(line[1:] for line in lines if line[0] in " +")
        content = path.read_text()
        assert content.count(before) == 1, f"the place in {self.file} is there once"
        path.write_text(content.replace(before, after))


def blocks() -> list[Block]:
    return [Block(*found) for found in _BLOCK.findall(PAGE.read_text())]


@dataclass(frozen=True)
class Copy:
    """A copy of the project to which the page was applied."""

    root: Path

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Runs Python in the copy."""
        return subprocess.run(
            [sys.executable, *command],
            cwd=self.root,
            env={**os.environ, "PYTHONPATH": str(self.root)},
            capture_output=True,
            text=True,
            check=False,
        )

    def ccgi(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Runs the command line of the copy."""
        return self.run("-c", "from ccgi_pipeline.cli import main; main()", *arguments)


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Copy:
    root = tmp_path_factory.mktemp("copy")
    ignored = shutil.ignore_patterns("__pycache__", "*.pyc")
    for folder in ("ccgi_pipeline", "ccgi_pipeline_tests", "docs"):
        shutil.copytree(PROJECT / folder, root / folder, ignore=ignored)
    for file in ("pyproject.toml", "dagster.yaml", "workspace.yaml"):
        shutil.copy(PROJECT / file, root / file)
    for block in blocks():
        if block.file.startswith(IN_PACKAGE):
            block.apply(root)
    made = Copy(root)
    dictionary = made.ccgi("dictionary")
    assert dictionary.returncode == 0, dictionary.stderr
    (root / "docs" / "data-dictionary.md").write_text(dictionary.stdout)
    return made


@pytest.fixture(scope="module")
def sample() -> str:
    """The page's file of a district."""
    (text,) = [block.text for block in blocks() if block.language == "csv"]
    return text


@pytest.fixture(scope="module")
def night(copy: Copy, sample: str) -> Path:
    """The folder of a night of the copy over the sample and a roster."""
    folder = copy.root / "night"
    put_roster(folder / "inbox", PALM_SPRINGS, students(STUDENTS, PALM_SPRINGS_HIGH))
    sent = folder / "inbox" / PALM_SPRINGS / FAMILY / "placements.csv"
    sent.parent.mkdir(parents=True)
    sent.write_text(sample)
    done = copy.ccgi(
        "run",
        *("--inbox", str(folder / "inbox")),
        *("--outbox", str(folder / "outbox")),
        *("--warehouse", str(folder / "warehouse")),
        *("--date", f"{ON:%Y-%m-%d}"),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_a_feed_and_a_report_touch_four_files():
    of_example = {block.file for block in blocks() if block.file.startswith(IN_PACKAGE)} - {
        "ccgi_pipeline/reports/nonstandard/__init__.py",
        "ccgi_pipeline/reports/nonstandard/seniors_without_account.sql",
    }
    assert of_example == {
        "ccgi_pipeline/feeds/registry.py",
        f"ccgi_pipeline/feeds/{FAMILY}.py",
        "ccgi_pipeline/reports/registry.py",
        f"ccgi_pipeline/reports/sql/{FAMILY}.sql",
    }


def test_what_the_page_adds_is_not_in_the_project():
    assert not (PROJECT / IN_PACKAGE / "feeds" / f"{FAMILY}.py").exists()


@pytest.mark.slow
def test_the_dictionary_has_the_feed_its_rule_and_the_reports(copy: Copy):
    page = (copy.root / "docs" / "data-dictionary.md").read_text()
    for word in (f"### `{FEED}`", "`WB-PLC-FUTURE`", REPORT, "Seniors without an account"):
        assert word in page


@pytest.mark.slow
def test_what_the_page_adds_is_as_the_project_wants_its_code(copy: Copy):
    added = [f"ccgi_pipeline/{part}" for part in ("feeds", "reports")]
    for command in (("check",), ("format", "--check")):
        checked = copy.run("-m", "ruff", *command, *added)
        assert checked.returncode == 0, checked.stdout


@pytest.mark.slow
def test_the_tests_over_all_declarations_pass_with_it(copy: Copy):
    tests = copy.run(
        *("-m", "pytest", "-q", "-p", "no:cacheprovider", "-k"),
        f"placements or WB-PLC or {FAMILY} or seniors_without or page or a_way_to_break or few",
        *("ccgi_pipeline_tests/feeds/test_registry.py",),
        *("ccgi_pipeline_tests/feeds/test_every_rule_bites.py",),
        *(
            "ccgi_pipeline_tests/dictionary/test_dictionary.py",
            "ccgi_pipeline_tests/dictionary/test_contracts.py",
            "ccgi_pipeline_tests/defs/test_definitions.py",
        ),
        *("ccgi_pipeline_tests/warehouse/load/test_erasure.py",),
    )
    assert tests.returncode == 0, tests.stdout[-3000:] + tests.stderr[-1000:]
    passed = re.search(r"(\d+) passed", tests.stdout)
    assert passed is not None
    assert int(passed.group(1)) > 40


@pytest.mark.slow
def test_a_check_accepts_the_pages_file_and_names_the_fault_of_a_broken_one(
    copy: Copy, sample: str
):
    path = copy.root / "placements.csv"
    path.write_text(sample)
    good = copy.ccgi("check", str(path), "--date", f"{ON:%Y-%m-%d}")
    assert (good.returncode, "verdict: accepted" in good.stdout) == (0, True)
    path.write_text(sample.replace("Job Shadow", "Holiday").replace("09/01/2026", "09/01/2999"))
    bad = copy.ccgi("check", str(path), "--date", f"{ON:%Y-%m-%d}")
    assert bad.returncode == 1
    assert "WB-PLC-CODE-Kind" in bad.stdout
    assert "WB-PLC-FUTURE" in bad.stdout


@pytest.mark.slow
def test_a_night_loads_its_table(night: Path):
    assert list(rows_of_table(night)) == [("P1", "Internship", 40), ("P2", "Job Shadow", 6)]


def rows_of_table(night: Path) -> Iterator[tuple[object, ...]]:
    with duckdb.connect() as connection:
        files = night / "warehouse" / "tables" / "main" / FEED / "**" / "*.parquet"
        yield from connection.execute(
            "SELECT PlacementID, Kind, Hours FROM read_parquet(?) ORDER BY 1", [str(files)]
        ).fetchall()


@pytest.mark.slow
def test_a_nights_receipt_calls_it_by_its_title(night: Path):
    receipts = (night / "outbox" / "PalmSpringsUnified" / "_receipts").glob(f"*_{FAMILY}_*.html")
    (receipt,) = [path.read_text() for path in receipts]
    assert f"Receipt · {TITLE}" in receipt
    assert "Accepted" in receipt


@pytest.mark.slow
@pytest.mark.parametrize(
    ("file", "expected"),
    [
        ("Detail", [[STUDENTS[0], "Internship", "40"], [STUDENTS[1], "Job Shadow", "6"]]),
        ("Agg", [["Internship", "1", "33.3"], ["Job Shadow", "1", "33.3"]]),
    ],
)
def test_a_night_writes_both_files_of_the_report(night: Path, file: str, expected: list[list[str]]):
    folder = night / "outbox" / "PalmSpringsUnified" / "legacy reporting" / REPORT
    path = folder / f"PalmSpringsUnified_{ON:%Y%m%d}_{file}.csv"
    with path.open(newline="") as opened:
        rows = list(csv.DictReader(opened))
    own = {
        "Detail": ("SSID", "Placement Kind", "Hours"),
        "Agg": ("Placement Kind", "# of Students", "% of Students"),
    }[file]
    assert [[row[name] for name in own] for row in rows] == expected


@pytest.mark.slow
def test_a_night_writes_the_customized_report(night: Path):
    folder = night / "outbox" / "PalmSpringsUnified" / "legacy reporting" / "nonstandard"
    assert len([*folder.rglob("*.csv")]) == 2
