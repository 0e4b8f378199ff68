"""The dictionary's site: every address leads somewhere, and the search finds what it should.

Belongs here: the site as files, and looked at in a real browser from the file system.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from click.testing import CliRunner
from playwright.sync_api import Browser, Page

from ccgi_pipeline.cli import main
from ccgi_pipeline.dictionary.site import render_site
from ccgi_pipeline.feeds.registry import FEEDS, RULES
from ccgi_pipeline.reports.registry import REPORTS
from ccgi_pipeline.verification import addresses
from ccgi_pipeline.verification.causes.registry import CAUSES
from ccgi_pipeline.verification.receipt_html import render_receipt
from ccgi_pipeline.verification.receipts import FileReport
from ccgi_pipeline_tests.tiers import slow_but
from ccgi_pipeline_tests.verification.receipt_pages import MIXED, REJECTED, delivery

SCREEN, TELEPHONE = (1440, 900), (390, 844)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    command = ["dictionary", "--format", "html", "--out", str(folder / "made")]
    done = CliRunner().invoke(main, command)
    assert done.exit_code == 0, done.output
    return folder / "made"


class _Links(HTMLParser):
    """The addresses that a page names, and the places in it that an address may name."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.places: list[str] = []
        self.loaded: list[str] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name == "id" and value:
                self.places.append(value)
            if name == "href" and value and not value.startswith("data:"):
                (self.loaded if tag == "link" else self.addresses).append(value)
            if name == "src" and value:
                self.loaded.append(value)

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def read_page(path: Path) -> _Links:
    page = _Links()
    page.feed(path.read_text())
    return page


@pytest.fixture(scope="module")
def files(site: Path) -> set[Path]:
    return {path for path in site.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, _Links]:
    return {path: read_page(path) for path in site.rglob("*.html")}


def test_all_links_of_the_site_lead_to_a_page_and_a_place(
    files: set[Path], pages: dict[Path, _Links]
) -> None:
    assert len(pages) > 1000
    for path, page in pages.items():
        assert len(page.places) == len(set(page.places)), f"{path.name}: a place stands twice"
        for address in [*page.addresses, *page.loaded]:
            assert "://" not in address, f"{path.name} needs {address} from elsewhere"
            file, _, place = unquote(address).partition("#")
            target = Path(os.path.normpath(path.parent / file)) if file else path
            assert target in files, f"{path.name}: {address}"
            assert not place or place in pages[target].places, f"{path.name}: {address}"


def test_every_rule_cause_file_column_and_report_has_its_page_and_is_linked(
    site: Path, pages: dict[Path, _Links]
) -> None:
    linked = {
        Path(os.path.normpath(path.parent / unquote(address).partition("#")[0]))
        for path, page in pages.items()
        for address in page.addresses
    }
    named = {
        *((addresses.RULES, rule) for rule in RULES),
        *((addresses.CAUSES, cause.id) for cause in CAUSES),
        *((addresses.FEEDS, feed.name) for feed in FEEDS),
        *((addresses.REPORTS, report.name) for report in REPORTS),
    }
    made = {site / addresses.page_address(folder, name) for folder, name in named}
    assert len({str(path).lower() for path in made}) == len(named), "alike on every file system"
    assert made <= set(pages)
    assert made <= linked
    for feed in FEEDS:
        page = pages[site / addresses.page_address(addresses.FEEDS, feed.name)]
        assert {addresses.to_file_name(name) for name in feed.columns} <= set(page.places)


def test_a_rules_page_says_what_why_and_where(site: Path) -> None:
    page = read_page(site / "rules" / "TR-STU-DATES.html")
    text = " ".join(" ".join(page.text).split())
    for words in (
        RULES["TR-STU-DATES"].text,
        RULES["TR-STU-DATES"].fix,
        "severity warning",
        "CCGI StudentTemplate, 2025-26",
        "Infinite Campus",
        "08/15/2024",
    ):
        assert words in text
    for column in ("EnrollmentStartDate", "EnrollmentEndDate"):
        assert f"../feeds/transcript_student.html#{column}" in page.addresses
    document = " ".join(read_page(site / "rules" / "FF-DEM-2.html").text)
    assert "Foster Focus Data Link Specifications, page 6" in document
    assert "version 1.62" in document


@pytest.mark.parametrize("files", [MIXED, REJECTED], ids=["mixed", "rejected"])
def test_the_links_of_a_receipt_lead_to_pages_of_the_site(
    site: Path, tmp_path: Path, files: list[FileReport]
) -> None:
    receipt = tmp_path / "receipt.html"
    receipt.write_bytes(render_receipt(delivery("rejected"), files, site.as_uri()))
    linked = [a for a in read_page(receipt).addresses if not a.startswith("#")]
    assert linked
    for address in linked:
        assert Path(unquote(urlsplit(address).path)).is_file(), address


def test_a_page_says_what_is_the_senders_to_correct_and_what_is_the_projects(site: Path) -> None:
    fault = " ".join(read_page(site / "rules" / "FILE-FAULT.html").text)
    assert "Our fault" in fault
    assert "Must fix" not in fault
    report = " ".join(read_page(site / "reports" / "goals.html").text)
    assert "This project" in report


def test_the_same_declarations_make_the_same_bytes(site: Path) -> None:
    for name, content in render_site():
        assert (site / name).read_text() == content


def test_the_command_wants_a_folder_for_a_site() -> None:
    done = CliRunner().invoke(main, ["dictionary", "--format", "html"])
    assert done.exit_code == 2
    assert "name a folder with --out" in done.output


# --- in a browser ---------------------------------------------------------------------------------


@contextmanager
def opened(
    browser: Browser, file: Path, size: tuple[int, int], *, script: bool = True, dark: bool = False
) -> Iterator[Page]:
    """A page of the site; what it complains of in the console is an error."""
    context = browser.new_context(
        viewport={"width": size[0], "height": size[1]},
        java_script_enabled=script,
        color_scheme="dark" if dark else "light",
    )
    page, complaints = context.new_page(), []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(file.as_uri())
    yield page
    context.close()
    assert complaints == []


@pytest.mark.parametrize("size", [SCREEN, TELEPHONE], ids=["screen", "telephone"])
def test_the_search_finds_an_id_a_word_of_a_column_and_nothing_else(
    browser: Browser, site: Path, size: tuple[int, int]
) -> None:
    with opened(browser, site / "index.html", size) as page:
        page.keyboard.press("/")
        page.keyboard.type("ff-dem-2")
        found = page.locator("#results a")
        assert found.first.inner_text() == "FF-DEM-2"
        page.keyboard.press("Enter")
        page.wait_for_url("**/rules/FF-DEM-2.html")
        page.go_back()
        page.fill("#query", "certification earned")
        names = page.locator("#results a").all_inner_texts()
        assert "transcript_student.LOTECertSource" in names
        page.click("text=transcript_student.LOTECertSource")
        page.wait_for_url("**/feeds/transcript_student.html#LOTECertSource")
        box = page.locator("#LOTECertSource h3").bounding_box()
        assert box is not None
        assert 0 <= box["y"] <= size[1]
        page.go_back()
        page.fill("#query", "no such words <b>anywhere</b>")
        assert page.locator("#count").inner_text() == "0 entries"
        assert page.locator("#results li").count() == 0


@pytest.mark.parametrize("size", [SCREEN, TELEPHONE], ids=["screen", "telephone"])
@pytest.mark.parametrize(
    "name",
    slow_but(
        "feeds/transcript_student.html",
        [
            "index.html",
            "rules/index.html",
            "rules/FF-DEM-2.html",
            "causes/CAUSE-LEADING-ZERO.html",
            "feeds/transcript_student.html",
            "feeds/oneroster_users.html",
            "reports/goals.html",
        ],
    ),
)
def test_a_page_fits_the_screen_in_both_schemes(
    browser: Browser, site: Path, name: str, size: tuple[int, int]
) -> None:
    for dark in (False, True):
        with opened(browser, site / name, size, dark=dark) as page:
            assert page.evaluate("document.documentElement.scrollWidth") <= size[0]
            paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
            assert paper == ("rgb(20, 24, 29)" if dark else "rgb(255, 255, 255)")
            page.keyboard.press("Tab")
            assert page.evaluate("document.activeElement.className") == "skip"


def test_without_a_script_the_first_page_is_an_index(browser: Browser, site: Path) -> None:
    with opened(browser, site / "index.html", SCREEN, script=False) as page:
        assert not page.locator("#search").is_visible()
        page.click("text=transcript_student")
        assert page.locator("h1").inner_text() == "transcript_student"
