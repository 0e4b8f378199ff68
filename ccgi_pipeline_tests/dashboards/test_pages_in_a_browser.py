"""The pages as people meet them: on a desk, on a telephone, in the dark, on paper, by keyboard.

Belongs here: what a browser shows of pages with a year behind them. Does not belong here: which
facts a page shows (test_district_page, test_state_page), nights (test_pages_of_nights).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from ccgi_pipeline_tests.dashboards.made_facts import (
    COUNTIES,
    HOSTILE,
    district,
    page_of,
    state,
    state_page_of,
)

DISTRICTS = 40
WIDTHS = (1440, 390)


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The page of a district with a hostile name, and that of a state with such a district."""
    folder = tmp_path_factory.mktemp("pages")
    made = {"district": page_of(district(name=HOSTILE)), "state": state_page_of(state(DISTRICTS))}
    for name, text in made.items():
        (folder / f"{name}.html").write_text(text)
    return {name: folder / f"{name}.html" for name in made}


@contextmanager
def opened(browser: Browser, path: Path, width: int = 1440, **options: object) -> Iterator[Page]:
    """The page in a window; whatever the browser complains of fails the test."""
    page = browser.new_page(viewport={"width": width, "height": 900}, **options)  # type: ignore[arg-type]
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: said.append(request.url) if "file:" not in request.url
            and "data:" not in request.url else None)  # fmt: skip
    page.goto(path.as_uri())
    yield page
    page.close()
    assert said == []


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", ["district", "state"])
def test_nothing_is_wider_than_the_window(
    browser: Browser, pages: dict[str, Path], name: str, width: int
):
    with opened(browser, pages[name], width) as page:
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        charts = page.locator("figure svg.marks")
        assert charts.count() == {"district": 2, "state": 4}[name]
        for chart in charts.all():
            box = chart.bounding_box()
            assert box is not None
            assert box["x"] >= 0
            assert box["x"] + box["width"] <= width


@pytest.mark.parametrize("name", ["district", "state"])
def test_a_name_is_text_and_no_markup(browser: Browser, pages: dict[str, Path], name: str):
    with opened(browser, pages[name]) as page:
        assert "owned" not in page.title() or "script" in page.title()
        assert page.get_by_text("document.title='owned'").first.is_visible()


def test_the_figures_of_a_chart_open_by_keyboard(browser: Browser, pages: dict[str, Path]):
    with opened(browser, pages["district"]) as page:
        figures = page.get_by_role("region", name="Students on the roster, the figures")
        assert not figures.is_visible()
        page.locator("summary", has_text="Students on the roster").focus()
        page.keyboard.press("Enter")
        assert figures.is_visible()
        assert figures.get_by_role("row").count() == 31  # the head, and a row a week
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.getAttribute('role')") == "region"


def test_each_drop_of_the_strip_is_said_in_words_and_leads_to_its_receipt(
    browser: Browser, pages: dict[str, Path]
):
    with opened(browser, pages["district"]) as page:
        drops = page.locator("ol.strip > li")
        assert drops.count() == 30
        newest = drops.last.get_by_role("link")
        words = "November 22, 2026, Transcript package (students, courses, tests): Accepted, with "
        assert newest.inner_text().startswith(f"{words}findings, 3 of 120 lines kept out")
        assert newest.get_attribute("href") == f"20261122_transcript_{29:024x}.html"


@pytest.mark.parametrize("name", ["district", "state"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_and_lines_stand_out_from_the_paper(
    browser: Browser, pages: dict[str, Path], name: str, scheme: str
):
    with opened(browser, pages[name], color_scheme=scheme) as page:
        low = page.evaluate(_LOW_CONTRAST)
        assert low == []


_LOW_CONTRAST = """() => {
  const parse = text => (text.match(/[0-9.]+/g) || []).map(Number);
  const light = ([r, g, b]) => {
    const f = v => (v /= 255) <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
    return 0.2126 * f(r) + 0.7152 * f(g) + 0.0722 * f(b);
  };
  const behind = node => {
    for (let at = node; at; at = at.parentElement) {
      const colour = parse(getComputedStyle(at).backgroundColor);
      if (colour.length === 3 || colour[3] > 0) { return colour; }
    }
    return [255, 255, 255];
  };
  const low = [];
  for (const node of document.querySelectorAll("body *")) {
    const own = [...node.childNodes].some(c => c.nodeType === 3 && c.textContent.trim());
    const line = node.matches("figure svg.marks path[stroke], .spark svg.marks path[stroke]");
    if (!own && !line || !node.checkVisibility() || node.matches("title, option, .hidden, meter")) {
      continue;
    }
    const style = getComputedStyle(node);
    const colour = parse(line ? style.stroke : node.closest("svg") ? style.fill : style.color);
    if (!colour.length) { continue; }
    const [a, b] = [light(colour), light(behind(node))].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < (line ? 3 : 4.5)) {
      low.push([node.tagName, node.textContent.slice(0, 40), ratio]);
    }
  }
  return low;
}"""


def test_on_paper_the_tables_are_open_and_no_control_is_left(
    browser: Browser, pages: dict[str, Path]
):
    with opened(browser, pages["state"]) as page:
        page.emulate_media(media="print")
        assert not page.locator("form.filter").is_visible()
    with opened(browser, pages["district"]) as page:
        table = page.get_by_role("region", name="The last deliveries as a table")
        assert not table.is_visible()
        page.emulate_media(media="print")
        assert table.is_visible()
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == (
            "rgb(255, 255, 255)"
        )


def test_districts_are_filtered_by_county_by_name_and_by_need(
    browser: Browser, pages: dict[str, Path]
):
    with opened(browser, pages["state"]) as page:
        rows = page.locator("tr[data-name]:visible")
        assert rows.count() == DISTRICTS
        page.get_by_label("County").select_option("Kern")
        of_kern = len(range(COUNTIES.index("Kern"), DISTRICTS, len(COUNTIES)))
        assert rows.count() == of_kern
        assert page.locator("tr.county:visible").count() == 1
        assert page.locator("#shown").inner_text() == f"{of_kern} districts"
        page.get_by_label("County").select_option("")
        page.get_by_label("District", exact=True).fill("district 17 ")
        assert rows.count() == 1
        page.get_by_label("District", exact=True).fill("")
        page.get_by_role("checkbox", name="Needs a call").check()
        called = int(page.locator(".facts li").nth(2).locator("b").inner_text())
        assert 0 < called < DISTRICTS
        assert rows.count() == called


def test_without_scripts_every_district_is_there(browser: Browser, pages: dict[str, Path]):
    with opened(browser, pages["state"], java_script_enabled=False) as page:
        assert page.locator("tr[data-name]:visible").count() == DISTRICTS
        assert not page.locator("form.filter").is_visible()
