"""The page of a receipt, read as text and looked at in a real browser.

Belongs here: what the page says to a registrar, and that it can be read: on a screen and on a
telephone, in the dark, on paper, with a keyboard, whatever the files are called. That no value
reaches it is tested next door, and with a whole night.
"""

from __future__ import annotations

import itertools
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import date
from html import unescape
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from ccgi_pipeline.feeds import sis_locations
from ccgi_pipeline.feeds.registry import FAMILIES, RULES
from ccgi_pipeline.feeds.spec import FamilySpec
from ccgi_pipeline.verification import labels
from ccgi_pipeline.verification.next_steps import Repeated
from ccgi_pipeline.verification.receipt_html import (
    render_check,
    render_duplicate,
    render_receipt,
)
from ccgi_pipeline.verification.receipts import FILES_TOLD, FileReport
from ccgi_pipeline_tests.tiers import slow_but
from ccgi_pipeline_tests.verification.receipt_pages import (
    AGE,
    FIELDS,
    GOOD,
    HOSTILE,
    MIXED,
    PAGES,
    REJECTED,
    REQUIRED,
    delivery,
    huge,
    report,
    unrecognised,
)

# --- what it says ---------------------------------------------------------------------------------


def told(page: bytes | str) -> str:
    """The page's text, without its markup."""
    text = page if isinstance(page, str) else page.decode()
    body = text[text.index("<body>") :]
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]*>", " ", body)))


def test_the_page_names_the_district_its_code_the_family_and_the_night():
    text = told(PAGES["accepted"])
    assert "Palm Springs Unified" in text
    assert "CD code 3367173" in text
    assert "Transcript package" in text
    assert "Night of November 22, 2026" in text


def test_a_state_wide_sender_is_called_by_its_name():
    text = told(render_receipt(delivery("accepted", sender="cde", name="cde"), GOOD))
    assert "California Department of Education" in text
    assert "CD code" not in text


@pytest.mark.parametrize("family", FAMILIES.values(), ids=lambda family: family.name)
def test_every_family_is_called_by_its_title(family: FamilySpec):
    assert f"Receipt · {family.title}" in told(
        render_receipt(delivery("accepted", family=family.name), GOOD)
    )


def test_a_district_that_no_directory_lists_goes_by_its_code_once():
    text = told(render_receipt(delivery("accepted", name="3367173"), GOOD))
    assert text.count("3367173") == 2  # the heading, and the path of the file


@pytest.mark.parametrize(
    ("page", "meaning", "what_next"),
    [
        ("accepted", "Everything was loaded: 2,983 lines.", "Nothing."),
        ("mixed", "1,035 of 1,040 lines were loaded. 5 lines were not", "send the whole delivery"),
        ("rejected", "StudentTemplate could not be loaded", "Correct what is marked “Must fix”"),
        ("held", "somebody at CCGI has to decide", "tell your contact at CCGI"),
        ("unmatched", "4 lines are about students", "20261122_foster_focus_child_match.csv"),
        ("duplicate", "exactly what you sent last", "20261120_transcript_46111ea8cda92e5a0c088e48"),
        ("check", "These files would be rejected: 12 of 665 lines can be loaded", "check again"),
    ],
)
def test_the_page_says_what_the_verdict_means_and_what_to_do(
    page: str, meaning: str, what_next: str
):
    text = told(PAGES[page])
    assert meaning in text
    assert what_next in text[text.index("What to do now:") :][:400]


def test_a_hold_says_why():
    assert "108 of 224 active records of student would end" in told(PAGES["held"])


def test_a_delivery_of_which_nothing_was_loaded_says_so():
    text = told(render_receipt(delivery("rejected"), REJECTED[:1]))
    assert "Nothing of this delivery was loaded." in text


def test_a_fault_of_ours_is_called_one():
    fault = report({"rejected": 3}, [("FILE-FAULT", None, None, None)], verdict="rejected")
    text = told(render_receipt(delivery("rejected"), [fault]))
    assert "because of a fault in the pipeline" in text
    assert "What to do now: Nothing." in text


def test_warnings_alone_do_not_ask_for_the_package_again():
    text = told(
        render_receipt(delivery("accepted_with_findings"), [report({"inserted": 9}, [AGE])])
    )
    assert "Everything was loaded: 9 lines." in text
    assert "Your next regular export will bring it in order." in text


@pytest.mark.parametrize(
    ("verdict", "said"),
    [
        ("accepted", "Nothing. If you meant to send a newer export"),
        ("accepted_with_findings", "What to correct is in the first receipt, 20261120_transcript_"),
        ("rejected", "What to correct is in the first receipt, 20261120_transcript_"),
        ("held", "It still waits."),
        (None, "What became of it is in the receipt of delivery 46111ea8cda92e5a0c088e48."),
    ],
)
def test_a_duplicate_says_what_it_repeats_and_what_became_of_that(verdict: str | None, said: str):
    first = (date(2026, 11, 20), verdict) if verdict else ()
    again = Repeated("3367173/transcript/again/StudentTemplate.csv", *first)
    text = told(render_duplicate(delivery("duplicate"), again))
    assert "(StudentTemplate.csv)" in text
    assert said in text
    assert ("November 20, 2026" in text) is (verdict is not None)


def test_every_fate_is_explained():
    fates = {fate: number for number, fate in enumerate(labels.FATES, start=1)}
    text = told(render_receipt(delivery("accepted_with_findings"), [report(fates)]))
    for number, fate in enumerate(labels.FATES.values(), start=1):
        assert f"{number} {fate.title} {fate.meaning}" in text


def test_a_fate_that_nobody_has_explained_is_counted_all_the_same():
    fates = {"inserted": 3, "sent_to_the_moon": 2}
    page = render_receipt(delivery("accepted_with_findings"), [report(fates)]).decode()
    assert '<b data-count="2">2</b> Sent to the moon' in page


def test_records_that_the_file_ended_are_counted():
    assert "12 students that we had before are not in this file" in told(PAGES["mixed"])


def test_the_names_in_yesterdays_manifest_are_no_news():
    manifest = report({"inserted": 4}, feed="transcript_manifest", no_longer_active=4)
    assert "no longer active" not in told(render_receipt(delivery("accepted"), [manifest]))


def test_a_file_that_could_end_nobody_says_that_all_stay():
    kept = report({"inserted": 5, "rejected": 1}, [FIELDS], complete=False)
    text = told(render_receipt(delivery("accepted_with_findings"), [kept]))
    assert "Records that are not in this file stay as they were" in text


@pytest.mark.parametrize(
    ("kept", "says"),
    [
        (1, "1 student that we had before is not in this file, but stays active"),
        (12, "12 students that we had before are not in this file, but stay active"),
    ],
)
def test_records_that_unread_lines_keep_are_told_with_their_date(kept: int, says: str):
    file = report({"inserted": 5, "rejected": 1}, [FIELDS], kept=kept, kept_since=date(2026, 11, 3))
    text = told(render_receipt(delivery("accepted_with_findings"), [file]))
    assert says in text
    assert "since November 3, 2026" in text


def test_rules_come_by_weight_with_count_fix_lines_and_source():
    page = PAGES["mixed"].decode()
    order = re.findall(r"rule <code>([A-Z0-9a-z-]+)</code>", page)
    assert order == [
        "FILE-FIELDS", "TR-STU-REQ-StateID", "TR-STU-AGE", "FILE-COLUMN-ABSENT", "FILE-BOM",
    ]  # fmt: skip
    text = told(page)
    for rule in order:
        assert RULES[rule].text in text
        assert RULES[rule].fix in text
        assert labels.source(RULES[rule].source) in text
    assert "Please check 50 lines" in text
    assert "10, 11, 12, 13, 14, 15, 16, 17, 18, 19 and 40 more" in text
    assert "3 cells, the header has 38" in text
    assert "Columns Suffix , GPA , NSLP" in text


def test_the_worst_file_comes_first():
    page = PAGES["mixed"].decode()
    reverse = render_receipt(delivery("accepted_with_findings"), MIXED[::-1]).decode()
    assert page[page.index("<main>") :] == reverse[reverse.index("<main>") :]


def test_sources_are_called_by_their_titles():
    for rule in RULES.values():
        assert ".txt:" not in labels.source(rule.source)
        assert not re.search(r"\d{3}_[0-9a-f]{16}", labels.source(rule.source))


@pytest.mark.parametrize("system", sis_locations.SYSTEMS)
def test_the_page_says_where_the_field_is_kept_and_who_says_so(system: str):
    page = render_receipt(delivery("rejected"), [report({"rejected": 1}, [REQUIRED])])
    (place,) = [
        p for p in sis_locations.places("transcript_student", "StateID") if p.system == system
    ]
    text = told(page)
    assert f"{system} {place.where}" in text
    assert place.source in text[text.index("About this page") :]


def test_of_a_system_about_which_nothing_is_known_nothing_is_said():
    row = ("TR-STU-LEN-NSLP", 3, "NSLP", None)
    text = told(render_receipt(delivery("accepted"), [report({"inserted": 1}, [row])]))
    assert "NSLP is longer" in text
    assert not any(system in text for system in sis_locations.SYSTEMS)


def test_whoever_has_no_dictionary_is_told_the_names_of_files_and_columns():
    text = told(PAGES["rejected"])
    assert "Column names PrimaryCDSCode , LocalStudentID , StateID" in text
    assert "File names StudentTemplate , CourseGradeTemplate" in text


def test_the_page_names_the_file_that_has_the_complete_list():
    assert "20261122_transcript_46111ea8cda92e5a0c088e48.csv" in told(PAGES["mixed"])
    assert ".csv in the same folder" not in told(PAGES["accepted"])


def test_a_list_that_is_cut_is_called_so():
    many = report({"inserted": 2_000}, ((AGE[0], n, AGE[2], None) for n in range(2, 1_500)))
    text = told(render_receipt(delivery("accepted_with_findings"), [many]))
    assert "a row for each place, up to 1,000 for each point of a file" in text


def test_a_check_speaks_of_what_would_be():
    text = told(PAGES["check"])
    assert "What would become of your 665 lines" in text
    assert "12 Can be loaded" in text
    assert "653 Cannot be loaded" in text
    assert "what was loaded before" not in text


def test_a_check_of_nothing_is_a_page_too():
    assert "0 of 0 lines" in told(render_check("rejected", []))


def test_of_twenty_thousand_files_the_page_tells_of_those_that_matter():
    page = render_receipt(delivery("rejected"), [*unrecognised(19_999), *REJECTED[:2]])
    text = told(page)
    assert len(page) < 500_000
    assert page.count(b'<section class="file"') == FILES_TOLD
    assert "StudentTemplate could not be loaded" in text  # recognised, and the last of them all
    assert "in 20,001 files" in text
    assert "Of 20,001 files, this page tells of 100. The others: 19,901 Rejected . 2026" in text
    assert ".csv in the same folder lists the errors of every file." in text
    checked = render_check("rejected", unrecognised(200))
    assert "100 Rejected . --format json lists the errors of every file" in told(checked)


def test_a_page_stays_small_whatever_is_wrong_and_however_files_are_called():
    wrong = [
        replace(broken, path=f"3367173/transcript/{chr(0x202E) * 3_000}{number}.csv")
        for number, broken in enumerate(huge(files=300, rules=40))
    ]
    page = render_receipt(delivery("accepted_with_findings"), wrong)
    assert len(page) < 1_500_000
    assert "40 more points of this file are not on this page. 2026" in told(page)
    assert "Nothing to correct" not in told(page)


def test_cells_are_shown_as_text_and_with_a_warning():
    assert "shows pupils' data" in told(PAGES["values"])
    assert "&lt;b&gt;1901" in PAGES["values"].decode()
    assert "None" not in told(PAGES["values"])
    for name, page in PAGES.items():
        assert ("shows pupils' data" in told(page)) is (name == "values")


def test_the_page_speaks_no_jargon():
    words = re.compile(r"\b(drop|feed|upsert|ledger|fate|snapshot|null|parse|finding|severity)\b")
    for page in PAGES.values():
        text = told(page)
        for rule in RULES.values():  # each of them has its own words
            text = text.replace(rule.text, "").replace(rule.fix, "")
        assert words.findall(text) == []


def test_the_page_needs_nothing_from_elsewhere_and_permits_nothing():
    for page in PAGES.values():
        text = page.decode()
        assert "default-src 'none'" in text
        assert not re.search(r"""(src|href|action)\s*=\s*["'](?!#|data:,)""", text)
        assert "url(" not in text.replace("url(#stripes)", "")
        assert " style=" not in text
        assert "<script" not in text


DICTIONARY = "https://ccgi.example.org/dictionary"


def test_rules_and_causes_lead_to_their_pages_where_a_dictionary_is_published():
    plain = render_receipt(delivery("rejected"), REJECTED).decode()
    linked = render_receipt(delivery("rejected"), REJECTED, DICTIONARY).decode()
    link = re.compile(
        rf'<a href="{DICTIONARY}/(rules|causes)/([\w.-]+)\.html">(<code>\2</code>)</a>'
    )
    assert {found[1] for found in link.findall(linked)} >= {"FILE-UNRECOGNISED"}
    assert link.sub(r"\3", linked) == plain, "nothing else differs"
    named = re.findall(r"(?:rule|cause) <code>", plain)
    assert named
    assert not re.findall(r"(?:rule|cause) <code>", linked)


def test_an_address_is_text_on_the_page():
    page = render_receipt(delivery("rejected"), REJECTED, 'https://x/"><b>').decode()
    assert "<b>/rules" not in page
    assert "https://x/&#34;&gt;&lt;b&gt;/rules/" in page


def test_names_are_text_whatever_they_hold():
    page = PAGES["rejected"].decode()
    assert "\u202e" not in page
    assert "\x07" not in page
    assert "[U+202E]vsc.etalpmeTtnedutS" in page
    assert "{{ 7 * 7 }} &amp; &amp;lt;b&amp;gt;" in page


def test_the_same_facts_make_the_same_bytes_anywhere(tmp_path: Path):
    script = (
        "import hashlib, ccgi_pipeline_tests.verification.receipt_pages as made;"
        "print(hashlib.sha256(b''.join(made.PAGES.values())).hexdigest())"
    )
    hashes = {
        subprocess.run(
            [sys.executable, "-c", script],
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), **elsewhere},
            cwd=tmp_path,
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for elsewhere in (
            {"PYTHONHASHSEED": "1", "TZ": "Pacific/Auckland", "LC_ALL": "C"},
            {"PYTHONHASHSEED": "2", "TZ": "America/Los_Angeles", "LC_ALL": "C.UTF-8"},
        )
    }
    assert len(hashes) == 1


def test_a_page_is_made_in_little_time():
    render_receipt(delivery("rejected"), REJECTED)
    began = time.process_time()
    for _ in range(50):
        render_receipt(delivery("accepted_with_findings"), MIXED)
    # About 1 ms here; a template that is compiled anew each time would take 20.
    assert (time.process_time() - began) / 50 < 0.010


# --- how it looks ---------------------------------------------------------------------------------

SCREEN, TELEPHONE = (1280, 800), (375, 667)
"""An ordinary screen, and a small telephone."""


@dataclass
class Seen:
    """An open page, and what it did besides showing itself."""

    page: Page
    complaints: list[str] = field(default_factory=list)
    asked_for: list[str] = field(default_factory=list)


@contextmanager
def opened(
    browser: Browser, folder: Path, content: bytes, size: tuple[int, int], scheme: str = "light"
) -> Iterator[Seen]:
    """The page as it looks on a screen of ``size``."""
    file = folder / "receipt.html"
    file.write_bytes(content)
    context = browser.new_context(
        viewport={"width": size[0], "height": size[1]}, color_scheme=scheme
    )
    page = context.new_page()
    seen = Seen(page)
    page.on("console", lambda message: seen.complaints.append(message.text))
    page.on("pageerror", lambda error: seen.complaints.append(str(error)))
    page.on("request", lambda request: seen.asked_for.append(request.url))
    page.goto(file.as_uri())
    yield seen
    context.close()


@pytest.mark.parametrize("size", [SCREEN, TELEPHONE], ids=["screen", "telephone"])
@pytest.mark.parametrize("name", PAGES)
def test_the_page_fits_the_screen_and_shows_its_verdict_at_once(
    browser: Browser, tmp_path: Path, name: str, size: tuple[int, int]
):
    with opened(browser, tmp_path, PAGES[name], size) as seen:
        width, height = size
        assert seen.page.evaluate("document.documentElement.scrollWidth") <= width
        wider = seen.page.evaluate(
            "w => [...document.querySelectorAll('main *, header *, footer *')]"
            ".filter(e => e.getBoundingClientRect().right > w + 1).map(e => e.outerHTML)",
            width,
        )
        assert wider == []
        for shown in (".verdict .badge", ".verdict .meaning"):
            box = seen.page.locator(shown).first.bounding_box()
            assert box is not None
            assert 0 <= box["y"] < box["y"] + box["height"] <= height
        assert seen.complaints == []
        assert [url for url in seen.asked_for if not url.startswith("data:")] == [
            (tmp_path / "receipt.html").as_uri()
        ]


_CONTRASTS = """
() => {
  const parsed = c => c.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => {
    const l = [r, g, b].map(v => (v /= 255) <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4);
    return .2126 * l[0] + .7152 * l[1] + .0722 * l[2];
  };
  const behind = e => {
    for (; e; e = e.parentElement) {
      const c = parsed(getComputedStyle(e).backgroundColor);
      if (c.length < 4 || c[3] > 0) return c;
    }
    return [255, 255, 255];
  };
  const poor = [];
  for (const e of document.querySelectorAll('body *')) {
    const own = [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim());
    if (!own || e.closest('svg')) continue;
    const [a, b] = [parsed(getComputedStyle(e).color), behind(e)].map(light).sort((x, y) => y - x);
    const ratio = (a + .05) / (b + .05);
    if (ratio < 4.5) poor.push([e.className || e.tagName, ratio.toFixed(2), e.textContent]);
  }
  return poor;
}
"""
"""Texts whose contrast to what is behind them is less than WCAG 2 asks for (AA)."""


@pytest.mark.parametrize("scheme", ["light", "dark", "print"])
@pytest.mark.parametrize("name", PAGES)
def test_every_text_can_be_read_by_day_by_night_and_on_paper(
    browser: Browser, tmp_path: Path, name: str, scheme: str
):
    colors = "light" if scheme == "print" else scheme
    with opened(browser, tmp_path, PAGES[name], SCREEN, colors) as seen:
        if scheme == "print":
            seen.page.emulate_media(media="print")
        assert seen.page.evaluate(_CONTRASTS) == []


def test_a_measured_contrast_is_not_always_good(browser: Browser, tmp_path: Path):
    poor = PAGES["accepted"].replace(b"--soft: #525b66", b"--soft: #b8bec5")
    digest = re.search(rb"style-src '[^']+'", poor)
    assert digest is not None
    poor = poor.replace(digest.group(), b"style-src 'unsafe-inline'")
    with opened(browser, tmp_path, poor, SCREEN) as seen:
        assert seen.page.evaluate(_CONTRASTS) != []


@pytest.mark.parametrize("name", slow_but("mixed", [name for name in PAGES if name != "duplicate"]))
def test_the_legend_and_the_bar_add_up_to_the_lines(browser: Browser, tmp_path: Path, name: str):
    with opened(browser, tmp_path, PAGES[name], SCREEN) as seen:
        legend = seen.page.eval_on_selector_all(
            ".legend [data-count]", "all => all.map(e => +e.dataset.count)"
        )
        lines = seen.page.eval_on_selector("[data-lines]", "e => +e.dataset.lines")
        assert sum(legend) == lines > 0
        for bar in seen.page.query_selector_all(".bar"):
            widths = [
                float(part.get_attribute("width") or 0)
                for part in bar.query_selector_all("rect[class^='f-']")
            ]
            assert sum(widths) == 1000
            assert min(widths) >= 8
            assert re.search(r"^Of [\d,]+ lines?: ", bar.get_attribute("aria-label") or "")


def test_a_hostile_name_is_shown_and_does_nothing(browser: Browser, tmp_path: Path):
    with opened(browser, tmp_path, PAGES["rejected"], TELEPHONE) as seen:
        names = seen.page.locator("h3 bdi").all_inner_texts()
        assert seen.page.title() == "Palm Springs Unified: receipt of November 22, 2026"
        assert seen.page.evaluate("document.scripts.length") == 0
        for name in HOSTILE:
            assert labels.as_seen(name) in names
        assert seen.page.locator("main").is_visible()


def test_the_style_is_permitted_and_nothing_else_is(browser: Browser, tmp_path: Path):
    planted = PAGES["accepted"].replace(
        b"</main>",
        b"<script>document.title='owned'</script><style>main{display:none}</style>"
        b"<img src='https://example.org/x.png' alt=''></main>",
    )
    with opened(browser, tmp_path, planted, SCREEN) as seen:
        assert seen.page.locator("main").is_visible()
        assert seen.page.title() != "owned"
        assert len(seen.complaints) == 3
        assert all("Content Security Policy" in complaint for complaint in seen.complaints)
        badge = seen.page.locator(".verdict .badge")
        assert badge.evaluate("e => getComputedStyle(e).backgroundColor") != "rgba(0, 0, 0, 0)"


@pytest.mark.parametrize("name", slow_but("mixed", PAGES))
def test_links_lead_somewhere_and_headings_follow_each_other(
    browser: Browser, tmp_path: Path, name: str
):
    with opened(browser, tmp_path, PAGES[name], SCREEN) as seen:
        lost = seen.page.evaluate(
            "[...document.querySelectorAll('a')].map(a => a.hash.slice(1))"
            ".filter(id => !document.getElementById(id))"
        )
        assert lost == []
        levels = seen.page.evaluate(
            "[...document.querySelectorAll('h1,h2,h3,h4')].map(h => +h.tagName[1])"
        )
        assert levels[0] == 1
        assert levels.count(1) == 1
        assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
        ids = seen.page.evaluate("[...document.querySelectorAll('[id]')].map(e => e.id)")
        assert len(ids) == len(set(ids))
        assert seen.page.locator("[aria-labelledby]").count() == seen.page.evaluate(
            "[...document.querySelectorAll('[aria-labelledby]')]"
            ".filter(e => document.getElementById(e.getAttribute('aria-labelledby'))).length"
        )


def test_the_keyboard_leads_to_the_files(browser: Browser, tmp_path: Path):
    with opened(browser, tmp_path, PAGES["mixed"], SCREEN) as seen:
        seen.page.keyboard.press("Tab")
        assert seen.page.evaluate("document.activeElement.className") == "skip"
        assert seen.page.locator(".skip").bounding_box()["x"] >= 0
        seen.page.keyboard.press("Tab")
        assert seen.page.evaluate("document.activeElement.hash") == "#file-1"
        seen.page.keyboard.press("Enter")
        assert seen.page.url.endswith("#file-1")
        box = seen.page.locator("#file-1").bounding_box()
        assert box is not None
        assert box["y"] < SCREEN[1]


def test_on_paper_nothing_is_lost(browser: Browser, tmp_path: Path):
    with opened(browser, tmp_path, PAGES["mixed"], SCREEN) as seen:
        on_screen = seen.page.locator("main").inner_text().split()
        seen.page.emulate_media(media="print")
        assert seen.page.locator("main").inner_text().split() == on_screen
        assert seen.page.pdf(format="Letter").startswith(b"%PDF")


def _milliseconds_to_open(page: Page) -> float:
    page.reload()
    (opening,) = page.evaluate("performance.getEntriesByType('navigation')")
    return float(opening["loadEventEnd"])


def test_a_huge_receipt_opens_at_once(browser: Browser, tmp_path: Path):
    files: list[FileReport] = huge()
    content = render_receipt(delivery("accepted_with_findings"), files)
    assert content.count(b"<article") >= 300
    with opened(browser, tmp_path, content, TELEPHONE) as seen:
        assert min(_milliseconds_to_open(seen.page) for _ in range(3)) < 2_000
        assert seen.page.evaluate("document.documentElement.scrollWidth") <= TELEPHONE[0]
        assert seen.page.locator("section.file").count() == len(files)


def test_a_receipt_of_one_line_is_told_in_the_singular(browser: Browser, tmp_path: Path):
    one = replace(REJECTED[0], lines=1, fates={"rejected": 1})
    with opened(browser, tmp_path, render_receipt(delivery("rejected"), [one]), SCREEN) as seen:
        text = seen.page.locator("main").inner_text()
        assert "What became of your line" in text
        assert "1 line in all" in text
        assert "1 lines" not in text
