"""The page in a real browser: choosing and dropping files, the receipt, with and without scripts.

Belongs here: what a person sees and does. The answers themselves are tested in ``test_service``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Route

from ccgi_pipeline.feeds.transcript import STUDENT
from ccgi_pipeline_tests.check_service.services import ON, Service, running, wait_until
from ccgi_pipeline_tests.files import good_file
from ccgi_pipeline_tests.tiers import slow_but
from ccgi_pipeline_tests.verification.causes.samples import SAMPLES

SCREEN, TELEPHONE = {"width": 1440, "height": 900}, {"width": 390, "height": 844}
GOOD = ("StudentTemplate.csv", good_file(STUDENT))
ZEROS = ("StudentTemplate.csv", SAMPLES["CAUSE-LEADING-ZERO"][0].content)
HOSTILE = ("<img src=x onerror=alert(1)>.csv", b"<script>alert(2)</script>\n")


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with running(tmp_path_factory.mktemp("page"), largest=2_000_000) as served:
        yield served
        assert not served.uploads()


@contextmanager
def opened(
    browser: Browser, service: Service, size: dict[str, int] = SCREEN, **options: object
) -> Iterator[Page]:
    """The page; what the browser complains about, and what comes from elsewhere, fails the test."""
    context = browser.new_context(viewport=size, accept_downloads=True, **options)  # type: ignore[arg-type]
    page = context.new_page()
    complaints: list[str] = []
    asked: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("dialog", lambda dialog: complaints.append(dialog.message))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"{service.url}/")
    yield page
    assert [words for words in complaints if _A_REFUSAL not in words] == []
    assert {url for url in asked if not url.startswith((service.url, "data:"))} == set()
    assert context.cookies() == []
    context.close()


_A_REFUSAL = "server responded with a status of 400"
"""What the browser's console says of one; the page says why."""


def choose(page: Page, *files: tuple[str, bytes]) -> None:
    page.set_input_files(
        "#files",
        [{"name": name, "mimeType": "text/csv", "buffer": content} for name, content in files],
    )


def is_accepted(page: Page) -> bool:
    page.wait_for_selector("section.verdict")
    return page.locator("section.verdict.accepted").count() == 1


@pytest.mark.parametrize("size", slow_but(TELEPHONE, [SCREEN, TELEPHONE]))
def test_files_are_chosen_judged_and_others_after_them(
    browser: Browser, service: Service, size: dict[str, int]
) -> None:
    with opened(browser, service, size) as page:
        assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]
        choose(page, GOOD)
        assert page.locator("#chosen li").inner_text().startswith("StudentTemplate.csv (")
        page.fill("#date", ON)
        page.click("#check")
        assert is_accepted(page)
        assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]
        page.click("text=Check other files")
        assert page.url == f"{service.url}/"
        choose(page, ZEROS)
        page.click("#check")
        assert not is_accepted(page)
        assert "leading zero" in page.locator(".cause").inner_text()


@pytest.mark.slow
def test_without_scripts_the_form_does_the_same(browser: Browser, service: Service) -> None:
    with opened(browser, service, java_script_enabled=False) as page:
        choose(page, GOOD)
        page.fill("#date", ON)
        page.click("#check")
        assert is_accepted(page)


DROP = """
([name, text]) => {
  const data = new DataTransfer();
  data.items.add(new File([text], name));
  for (const kind of ["dragenter", "dragover", "drop"]) {
    const event = new DragEvent(kind, {dataTransfer: data, bubbles: true, cancelable: true});
    document.querySelector("footer, main").dispatchEvent(event);
  }
}
"""


def test_files_are_dropped_anywhere(browser: Browser, service: Service) -> None:
    with opened(browser, service) as page:
        page.evaluate(DROP, [GOOD[0], GOOD[1].decode()])
        assert page.locator("#chosen li").count() == 1
        page.fill("#date", ON)
        page.click("#check")
        assert is_accepted(page)


@pytest.mark.slow
def test_the_page_can_be_used_by_keyboard(browser: Browser, service: Service) -> None:
    with opened(browser, service) as page:
        choose(page, GOOD)
        page.fill("#date", ON)
        page.locator("#family").focus()
        page.keyboard.type("Tr")
        assert page.locator("#family").input_value() == "transcript"
        reached = []
        for _ in range(12):
            page.keyboard.press("Tab")
            reached.append(page.evaluate("document.activeElement.id"))
        assert {"district", "show_values", "check"} <= set(reached)
        page.locator("#check").focus()
        page.keyboard.press("Enter")
        assert is_accepted(page)


def test_every_field_has_a_label(browser: Browser, service: Service) -> None:
    with opened(browser, service) as page:
        unlabelled = page.evaluate(
            "[...document.querySelectorAll('input, select')]"
            ".filter(e => !e.labels.length).map(e => e.id)"
        )
        assert unlabelled == []
        assert page.evaluate("document.documentElement.lang") == "en"


def test_what_is_too_large_is_told_before_it_is_sent(browser: Browser, service: Service) -> None:
    with opened(browser, service) as page:
        choose(page, ("StudentTemplate.csv", bytes(3_000_000)))
        assert "more than this page takes" in page.locator("#progress").inner_text()
        page.click("#check")
        assert page.url == f"{service.url}/"
        choose(page, GOOD)
        assert not page.locator("#progress").is_visible()


@pytest.mark.slow
def test_findings_are_saved_as_json(browser: Browser, service: Service, tmp_path: Path) -> None:
    with opened(browser, service) as page:
        choose(page, ZEROS)
        with page.expect_download() as download:
            page.click("text=Save the findings as JSON")
        assert download.value.suggested_filename == "findings.json"
        download.value.save_as(tmp_path / "findings.json")
        assert json.loads((tmp_path / "findings.json").read_text())["files"][0]["causes"]
        assert page.locator("#check").is_enabled()


def test_markup_in_names_and_cells_does_nothing(browser: Browser, service: Service) -> None:
    with opened(browser, service) as page:
        choose(page, HOSTILE)
        assert page.locator("#chosen li").inner_text().startswith(HOSTILE[0])
        page.check("#show_values")
        page.click("#check")
        assert not is_accepted(page)
        assert page.evaluate("document.images.length + document.scripts.length") == 0
        assert HOSTILE[0] in page.locator("h3 bdi").inner_text()


@pytest.mark.slow
def test_a_refusal_is_a_page_with_a_way_back(browser: Browser, service: Service) -> None:
    with opened(browser, service, java_script_enabled=False) as page:
        choose(page, GOOD, GOOD)
        page.click("#check")
        page.wait_for_selector("h1:has-text('Not checked')")
        assert "same name" in page.locator("main").inner_text()
        page.click("text=Check other files")
        assert page.url == f"{service.url}/"


FORGED = """
<form id="f" method="post" enctype="multipart/form-data" action="{url}/check">
<input name="family" value="transcript"></form>
<script>document.getElementById("f").submit()</script>
"""
FRAMED = '<iframe src="{url}/"></iframe>'


def test_a_page_of_another_site_sends_nothing(browser: Browser, service: Service) -> None:
    before = service.refused().get("other_site", 0)
    page = browser.new_page()
    for name, body in {"forged": FORGED, "framed": FRAMED}.items():
        content = body.replace("{url}", service.url)
        page.route(
            f"http://{name}.example/",
            partial(_show, content),
        )
    page.goto("http://forged.example/")
    wait_until(lambda: service.refused().get("other_site", 0) == before + 1, 10)
    page.wait_for_selector("h1:has-text('Not checked')")
    page.goto("http://framed.example/")
    assert page.frames[-1].url == "chrome-error://chromewebdata/"
    page.close()


def _show(content: str, route: Route) -> None:
    route.fulfill(body=content, content_type="text/html")


def _contrast(page: Page, selector: str) -> float:
    return float(
        page.evaluate(
            """
selector => {
  const light = text => {
    const [r, g, b] = text.match(/[0-9.]+/g).slice(0, 3).map(Number).map(v => v / 255)
      .map(v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const element = document.querySelector(selector);
  let behind = element;
  while (getComputedStyle(behind).backgroundColor === "rgba(0, 0, 0, 0)") {
    behind = behind.parentElement;
  }
  const pair = [light(getComputedStyle(element).color),
                light(getComputedStyle(behind).backgroundColor)].sort((a, b) => b - a);
  return (pair[0] + 0.05) / (pair[1] + 0.05);
}""",
            selector,
        )
    )


@pytest.mark.parametrize("scheme", slow_but("dark", ["light", "dark"]))
def test_everything_can_be_read(browser: Browser, service: Service, scheme: str) -> None:
    with opened(browser, service, color_scheme=scheme) as page:
        for selector in ("h1", "#limits", "#check", "button.second", "#family", ".choice .small"):
            assert _contrast(page, selector) >= 4.5, selector
