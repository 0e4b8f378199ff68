"""The pictures of the README: the page of the state and a receipt, as chromium shows them.

Belongs here: an invented state with some weeks behind it, and taking the pictures. Run as a program
(``make pictures``), it makes them again::

    python -m ccgi_pipeline_tests.docs.pictures docs/pictures
"""

from __future__ import annotations

import os
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

from ccgi_pipeline.dashboards.publication import write_district_pages, write_state_page
from ccgi_pipeline.dashboards.state_facts import NightTime
from ccgi_pipeline.feeds.transcript import STUDENT
from ccgi_pipeline.nightly.paths import PipelinePaths
from ccgi_pipeline.synthetic.state import generate
from ccgi_pipeline_tests.nightly.nights import (
    folders_in,
    report_and_answer,
    take_and_load,
    writing,
)

LAST_NIGHT = date(2026, 11, 22)
STATE, RECEIPT = "state.png", "receipt.png"
LARGEST = 200_000
"""Bytes that a picture of the README may have."""
_SIZES = {STATE: {"width": 1200, "height": 1500}, RECEIPT: {"width": 1000, "height": 1000}}
_SCALE = 0.8
"""Pixels of a picture for each of the page: a README shows it no larger."""
_PROGRAMS = ("chromium", "chromium-browser", "google-chrome")


def make_state(root: Path, *, districts: int, students: int, weeks: int) -> PipelinePaths:
    """An invented state in which every district sends its files once a week."""
    folders = folders_in(root)
    chance = random.Random(3)  # noqa: S311 - nothing to guess
    times = []
    for week in reversed(range(weeks)):
        on = LAST_NIGHT - timedelta(days=7 * week)
        generate(
            folders.inbox,
            districts=districts,
            students=students,
            seed=2,
            on=on,
            defects=_DEFECTS[week % len(_DEFECTS)],
        )
        rosters = sorted(folders.inbox.rglob(f"*StudentTemplate*{on:%Y%m%d}*"))
        for roster in rosters:
            _lose_lines(roster, chance)
        if not week:
            _cut_in_half(rosters[0])
            _spoil_header(rosters[-1])
        began = time.perf_counter()
        with writing(folders) as connection:
            take_and_load(connection, folders, on)
            report_and_answer(connection, folders, on)
            write_district_pages(connection, folders, on)
            times.append(NightTime(on, time.perf_counter() - began))
            write_state_page(connection, folders, on, times)
    return folders


_DEFECTS = (0.002, 0.006, 0.003, 0.01)
"""Shares of lines with a defect, week by week from the last one back."""


def _cut_in_half(roster: Path) -> None:
    """Half of the students are missing: the file waits for an operator."""
    lines = roster.read_bytes().splitlines(keepends=True)
    roster.write_bytes(b"".join(lines[: len(lines) // 2]))


def _spoil_header(roster: Path) -> None:
    """Nobody can tell what the columns are: the file is rejected."""
    _, _, rest = roster.read_bytes().partition(b"\n")
    roster.write_bytes(b"A,B,C\n" + rest)


def _lose_lines(roster: Path, chance: random.Random) -> None:
    """Some students have left: no week's roster is that of another."""
    lines = roster.read_bytes().splitlines(keepends=True)
    kept = [line for line in lines[1:] if chance.random() > chance.choice([0.01, 0.04])]
    roster.write_bytes(b"".join([lines[0], *kept]))


@contextmanager
def open_browser() -> Iterator[Browser]:
    """Chromium without a window; ``CHROMIUM`` names another program."""
    program = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, _PROGRAMS)), None)
    if program is None:
        msg = "no chromium: install Debian's package `chromium`, or name one in CHROMIUM"
        raise SystemExit(msg)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()


def take_pictures(browser: Browser, folders: PipelinePaths, to: Path) -> list[Path]:
    """Takes the pictures of the page of the state and of the receipt that has the most to say."""
    receipts = folders.outbox.glob(f"*/_receipts/{LAST_NIGHT:%Y%m%d}_{STUDENT.family}_*.html")
    shown = {
        STATE: folders.warehouse / "pages" / "index.html",
        RECEIPT: max(receipts, key=lambda receipt: (receipt.stat().st_size, receipt)),
    }
    to.mkdir(parents=True, exist_ok=True)
    for name, path in shown.items():
        page = browser.new_page(
            viewport=_SIZES[name],  # type: ignore[arg-type]
            device_scale_factor=_SCALE,
            color_scheme="light",
        )
        page.goto(path.as_uri())
        page.screenshot(path=to / name)
        page.close()
    return [to / name for name in shown]


def main() -> None:
    """Makes a state, and takes the pictures into the folder that is named."""
    (to,) = sys.argv[1:]
    with tempfile.TemporaryDirectory() as work:
        folders = make_state(Path(work), districts=12, students=1_500, weeks=5)
        with open_browser() as browser:
            for picture in take_pictures(browser, folders, Path(to)):
                print(f"{picture}: {picture.stat().st_size:,} bytes")  # noqa: T201


if __name__ == "__main__":
    main()
