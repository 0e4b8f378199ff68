"""Dagster's screens after a night of the command line, in a browser."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from ccgi_pipeline_tests.deploy.test_access import free_port, running, wait_for
from ccgi_pipeline_tests.nightly.inboxes import HAYWARD, HAYWARD_HIGH, put_roster, students
from ccgi_pipeline_tests.nightly.nights import ON, folders_in

pytestmark = pytest.mark.slow

PATIENCE = 60_000
"""Milliseconds: the UI loads its code location after it has started."""


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The UI for viewers, after ``ccgi run``."""
    root = tmp_path_factory.mktemp("screens")
    folders = folders_in(root)
    put_roster(folders.inbox, HAYWARD, students(["1000000001"], HAYWARD_HIGH))
    ccgi: list[str | Path] = [sys.executable, Path(sys.executable).with_name("ccgi")]
    names = ("inbox", "outbox", "warehouse")
    places = [f"--{name}={getattr(folders, name)}" for name in names]
    night = [*ccgi, "run", *places, f"--date={ON}"]
    subprocess.run(night, check=True, capture_output=True)
    port = free_port()
    with running([*ccgi, "ui", "--read-only", f"--port={port}", *places], {}, root / "ui.log"):
        wait_for(f"http://127.0.0.1:{port}/server_info")
        yield f"http://127.0.0.1:{port}"


@pytest.fixture
def page(browser: Browser, address: str) -> Iterator[Page]:
    context = browser.new_context(base_url=address, viewport={"width": 1440, "height": 900})
    context.set_default_timeout(PATIENCE)
    expect.set_options(timeout=PATIENCE)
    yield context.new_page()
    context.close()


def test_the_timeline_has_the_night(page: Page) -> None:
    page.goto("/timeline")
    expect(page.locator('a[href="/locations/ccgi_pipeline/jobs/night"]')).to_be_visible()
    expect(page.get_by_text("No runs")).to_have_count(0)


def test_the_job_has_its_latest_run(page: Page) -> None:
    page.goto("/locations/ccgi_pipeline/jobs/night")
    expect(page.get_by_text("Latest run:")).to_be_visible()


def test_a_partition_has_the_name_of_its_district(page: Page) -> None:
    page.goto("/assets/district_night?view=partitions")
    expect(page.locator("span", has_text=f"{HAYWARD} HaywardUnified").last).to_be_visible()


def test_a_column_of_a_report_says_where_it_comes_from(page: Page) -> None:
    page.goto("/assets/report_goals")
    expect(page.get_by_text(": EventID, GoalType, OccurredAt.")).to_be_visible()


def test_a_check_leads_to_its_section(page: Page) -> None:
    page.goto("/assets/transcript_student?view=checks&checkDetail=table_is_sound")
    link = page.get_by_role("link", name="#table_is_sound")
    expect(link.first).to_be_visible()
    page.goto(f"{link.first.get_attribute('href')}")
    heading = page.get_by_role("heading", name="table_is_sound")
    expect(heading).to_be_in_viewport()
