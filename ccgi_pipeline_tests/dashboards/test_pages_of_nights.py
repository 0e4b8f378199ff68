"""The pages that nights write: which, where, when again, and what counts are in them.

Belongs here: pages over a real warehouse. Does not belong here: words (test_district_page), looks
(test_pages_in_a_browser).
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path

import duckdb
import polars as pl
import pytest
from click.testing import CliRunner

from ccgi_pipeline.cli import main
from ccgi_pipeline.dashboards import charts, funnel_cache, publication
from ccgi_pipeline.dashboards.funnel_cache import read_current_funnels
from ccgi_pipeline.dashboards.publication import (
    PagesOutcome,
    write_district_pages,
    write_state_page,
)
from ccgi_pipeline.delivery.ledger import FileKind, open_ledger
from ccgi_pipeline.nightly.paths import PipelinePaths
from ccgi_pipeline.operations.rebuild import NotRebuiltError, rebuild_file
from ccgi_pipeline.profiles import Profiles
from ccgi_pipeline.reports import queries
from ccgi_pipeline.reports.funnels import STEPS, read_funnels
from ccgi_pipeline.reports.queries import create_report_views, read_detail_rows
from ccgi_pipeline.reports.registry import REPORTS
from ccgi_pipeline.reports.suppression import COUNT
from ccgi_pipeline.warehouse.queries.trends import read_roster_sizes
from ccgi_pipeline.warehouse.storage.connection import open_warehouse
from ccgi_pipeline_tests.dashboards.test_district_page import told
from ccgi_pipeline_tests.nightly.inboxes import (
    HAYWARD,
    HAYWARD_HIGH,
    PALM_SPRINGS,
    PALM_SPRINGS_HIGH,
    application,
    event,
    financial_aid,
    numbered,
    put_events,
    put_roster,
    student,
    students,
)
from ccgi_pipeline_tests.nightly.nights import (
    ON,
    bytes_below,
    folders_in,
    load_and_answer,
    rows_of,
    run_night,
    writing,
)

TUESDAY, WEDNESDAY = ON + timedelta(days=1), ON + timedelta(days=2)
SENIORS = numbered(1_000_000_000, 40)
FEW = numbered(2_000_000_000, 12)
STARTED, SUBMITTED, AIDED, REGISTERED = SENIORS[:30], SENIORS[:20], SENIORS[:18], SENIORS[:35]


ACTIVITIES = [
    *(
        event("account_registrations", ssid, AccountType="Partner")
        for ssid in (*REGISTERED, *FEW[:3])
    ),
    *(application(ssid, "UC", "Launched", "UC Davis") for ssid in (*STARTED, *FEW[:2])),
    *(application(ssid, "CCCApply", "Submitted", "Laney") for ssid in SUBMITTED),
    *(financial_aid(ssid, "FAFSA", "Submitted") for ssid in (*AIDED, *FEW[:2])),
]
"""Accounts, applications and financial aid: of many students, and of few."""


def pages_of(folders: PipelinePaths, on: date = ON) -> PagesOutcome:
    """The pages as a night writes them."""
    with writing(folders) as connection:
        outcome = write_district_pages(connection, folders, on)
        write_state_page(connection, folders, on)
    return outcome


def page(folders: PipelinePaths, folder: str = "HaywardUnified") -> str:
    return (folders.outbox / folder / "_receipts" / "index.html").read_text()


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> PipelinePaths:
    """Two districts with seniors, many in one and few in the other, which sends a bad line."""
    folders = folders_in(tmp_path_factory.mktemp("pages"))
    put_roster(folders.inbox, HAYWARD, students(SENIORS, HAYWARD_HIGH, "12"))
    put_roster(
        folders.inbox,
        PALM_SPRINGS,
        [*students(FEW, PALM_SPRINGS_HIGH, "12"), student("12", PALM_SPRINGS_HIGH)],
    )
    put_events(folders.inbox, ACTIVITIES)
    run_night(folders)
    pages_of(folders)
    return folders


@pytest.fixture
def later(night: PipelinePaths, tmp_path: Path) -> PipelinePaths:
    """A copy of the folders after the night, to go on from."""
    for name in ("inbox", "outbox", "warehouse"):
        shutil.copytree(getattr(night, name), tmp_path / name)
    return folders_in(tmp_path)


def test_each_district_has_a_page_beside_its_receipts_and_one_below_the_states(
    night: PipelinePaths,
):
    for cd, folder in ((HAYWARD, "HaywardUnified"), (PALM_SPRINGS, "PalmSpringsUnified")):
        own = page(night, folder)
        receipt = re.search(r'<a href="(\d{8}_transcript_[0-9a-f]+\.html)"', own)
        assert receipt is not None
        assert (night.outbox / folder / "_receipts" / receipt[1]).is_file()
        of_state = (night.warehouse / "pages" / "districts" / f"{cd}.html").read_text()
        assert receipt[1] not in of_state
        assert "../index.html" in of_state
    index = (night.warehouse / "pages" / "index.html").read_text()
    assert f'href="districts/{HAYWARD}.html"' in index
    assert not (night.outbox / "platform" / "_receipts" / "index.html").exists()


def test_a_page_says_what_became_of_the_newest_delivery(night: PipelinePaths):
    text = told(page(night, "PalmSpringsUnified"))
    assert "13 of 14 lines were loaded. 1 line was not, because of errors." in text
    assert "12 students since November 22, 2026." in text


def test_no_student_is_on_a_page(night: PipelinePaths):
    pages = {
        **bytes_below(night.warehouse / "pages"),
        **{folder: page(night, folder).encode() for folder in ("HaywardUnified",)},
    }
    for content in pages.values():
        for ssid in (*SENIORS, *FEW):
            assert ssid.encode() not in content


def test_reports_are_listed_with_the_rows_that_their_files_have(night: PipelinePaths):
    text = told(page(night))
    folder = "legacy reporting/account registrations"
    stem = night.outbox / "HaywardUnified" / folder / f"HaywardUnified_{ON:%Y%m%d}"
    rows = {
        part: len(rows_of(Path(f"{stem}_{part}.csv").read_bytes())) - 1
        for part in ("Agg", "Detail")
    }
    assert f"{folder} November 22, 2026 {rows['Agg']} {rows['Detail']}" in text
    assert rows["Detail"] == 40


def test_a_funnel_counts_each_student_once(night: PipelinePaths):
    text = told(page(night))
    assert "have an account at CaliforniaColleges.edu 88 % 88 % 35 of 40" in text
    assert "have started an application to a college 75 % 75 % 30 of 40" in text
    assert "have submitted one 50 % 50 % 20 of 40" in text
    assert "have submitted FAFSA or CADAA 45 % 45 % 18 of 40" in text


def test_the_views_of_the_reports_are_made_once_for_a_night(
    night: PipelinePaths, monkeypatch: pytest.MonkeyPatch
):
    made: list[date] = []
    create = queries.create_report_views

    def count(connection: object, on: date, settings: object) -> object:
        made.append(on)
        return create(connection, on, settings)  # type: ignore[arg-type]

    monkeypatch.setattr(queries, "create_report_views", count)
    settings = Profiles().reports
    whole = settings.model_copy(update={"percent_of": "school"})
    with open_warehouse(night.warehouse, read_only=True) as connection:
        first = create(connection, ON, settings)
        again = queries.ensure_report_views(connection, ON, settings)
        assert again.sort("cd").equals(first.sort("cd"))
        assert made == []
        queries.ensure_report_views(connection, TUESDAY, settings)
        queries.ensure_report_views(connection, TUESDAY, whole)
    assert made == [TUESDAY, TUESDAY]


def test_a_funnel_counts_as_the_reports_do(night: PipelinePaths):
    with open_warehouse(night.warehouse, read_only=True) as connection:
        create_report_views(connection, ON, Profiles().reports)
        funnel = read_funnels(connection, Profiles(), [HAYWARD]).filter(pl.col("cd") == HAYWARD)
        details = {
            spec.name: read_detail_rows(connection, spec).filter(pl.col("cd") == HAYWARD)
            for spec in REPORTS
            if spec.name
            in {"applications_and_launches", "account_registrations", "csu_eligibility"}
        }
    applications = details["applications_and_launches"].filter(
        pl.col("Application Type") != "FAFSA/CADAA"
    )
    sent = applications.filter(pl.col("Application Status").is_in(["Submitted", "Completed"]))
    registered = details["account_registrations"].filter(pl.col("Account Status") == "Registered")
    on_track = details["csu_eligibility"].filter(
        pl.col("CSU Eligibility (Estimate)").is_in(["Meets", "On track"])
    )
    assert funnel["applied"].to_list() == [applications["SSID"].n_unique()] == [30]
    assert funnel["submitted"].to_list() == [sent["SSID"].n_unique()] == [20]
    assert funnel["registered"].to_list() == [registered.height] == [35]
    assert funnel["on_track"].to_list() == [on_track.height]


# --- a second night -------------------------------------------------------------------------------


def _count_again(
    folders: PipelinePaths, monkeypatch: pytest.MonkeyPatch, on: date = TUESDAY
) -> list[str]:
    """Returns the districts that were counted; what was kept of the others is right."""
    asked: list[str] = []

    def count(
        connection: duckdb.DuckDBPyConnection, profiles: Profiles, cds: Sequence[str]
    ) -> pl.DataFrame:
        asked.extend(cds)
        return read_funnels(connection, profiles, cds)

    monkeypatch.setattr(funnel_cache, "read_funnels", count)
    with open_warehouse(folders.warehouse, read_only=True) as connection:
        named = create_report_views(connection, on, Profiles().reports)
        current = read_current_funnels(connection, folders.warehouse, Profiles())
        assert current.equals(read_funnels(connection, Profiles(), named["cd"].to_list()))
    return asked


def test_only_districts_whose_counts_may_have_changed_are_counted(
    later: PipelinePaths, monkeypatch: pytest.MonkeyPatch
):
    assert _count_again(later, monkeypatch) == []
    put_roster(later.inbox, HAYWARD, students(SENIORS[:39], HAYWARD_HIGH, "12"), "20261123")
    load_and_answer(later, TUESDAY)
    assert _count_again(later, monkeypatch) == [HAYWARD]
    put_events(later.inbox, [event("account_registrations", FEW[5], AccountType="Partner")])
    load_and_answer(later, TUESDAY)
    assert _count_again(later, monkeypatch) == [PALM_SPRINGS]
    assert _count_again(later, monkeypatch) == []


@pytest.mark.parametrize("content", [b"", b"no Parquet", None])
def test_counts_that_cannot_be_read_are_made_again(
    later: PipelinePaths, monkeypatch: pytest.MonkeyPatch, content: bytes | None
):
    kept = later.warehouse / "funnels.parquet"
    if content is None:
        pl.read_parquet(kept).drop("applied").write_parquet(kept)
    else:
        kept.write_bytes(content)
    assert _count_again(later, monkeypatch) == [HAYWARD, PALM_SPRINGS]


def test_a_district_without_a_roster_has_no_counts_any_more(later: PipelinePaths):
    path = later.warehouse / "funnels.parquet"
    kept = pl.read_parquet(path)
    gone = kept.filter(cd=HAYWARD).with_columns(cd=pl.lit("1964733"))
    pl.concat([kept, gone]).write_parquet(path)
    with open_warehouse(later.warehouse, read_only=True) as connection:
        create_report_views(connection, TUESDAY, Profiles().reports)
        current = read_current_funnels(connection, later.warehouse, Profiles())
    assert {*current["cd"]} == {HAYWARD, PALM_SPRINGS}
    assert pl.read_parquet(path).equals(kept)


def test_a_night_without_news_writes_no_page_again(later: PipelinePaths):
    before = {path: path.stat().st_mtime_ns for path in _pages(later)}
    assert len(before) == 5
    outcome = pages_of(later, TUESDAY)
    assert (outcome.pages, outcome.written, outcome.drawn) == (2, 0, 0)
    after = {path: path.stat().st_mtime_ns for path in _pages(later)}
    state = later.warehouse / "pages" / "index.html"
    assert {path for path in after if after[path] != before[path]} == {state}  # it has the day


def _pages(folders: PipelinePaths) -> list[Path]:
    found = [*folders.outbox.rglob("index.html"), *(folders.warehouse / "pages").rglob("*.html")]
    return sorted(found)


def test_only_the_page_of_whom_something_came_from_is_written(later: PipelinePaths):
    put_roster(later.inbox, HAYWARD, students(SENIORS[:39], HAYWARD_HIGH, "12"), "20261123")
    load_and_answer(later, TUESDAY)
    outcome = pages_of(later, TUESDAY)
    assert outcome.written == 2
    text = told(page(later))
    assert "39 students now, 40 on November 22, 2026." in text
    assert "The last 2 deliveries" in text
    assert 'class="marks"' in page(later)
    with open_ledger(later.warehouse) as ledger:
        made = [one for one in ledger.list_made(TUESDAY) if one.kind == FileKind.PAGE]
    assert [one.path for one in made] == ["HaywardUnified/_receipts/index.html"]
    again = pages_of(later, TUESDAY)
    assert (again.written, again.drawn) == (0, 0)


def test_pictures_are_drawn_once(later: PipelinePaths):
    put_roster(later.inbox, HAYWARD, students(SENIORS[:39], HAYWARD_HIGH, "12"), "20261123")
    load_and_answer(later, TUESDAY)
    assert pages_of(later, TUESDAY).drawn == 2
    for path in _pages(later):
        path.unlink()
    assert pages_of(later, TUESDAY) == PagesOutcome(
        pages=2, written=4, drawn=0, size=sum(_sizes(later))
    )


def test_a_kind_of_chart_is_compiled_once(later: PipelinePaths, monkeypatch: pytest.MonkeyPatch):
    put_roster(later.inbox, HAYWARD, students(SENIORS[:39], HAYWARD_HIGH, "12"), "20261123")
    load_and_answer(later, TUESDAY)
    assert pages_of(later, TUESDAY).drawn > 0
    monkeypatch.setattr(charts, "_compile", None)
    put_roster(later.inbox, HAYWARD, students(SENIORS[:38], HAYWARD_HIGH, "12"), "20261124")
    load_and_answer(later, WEDNESDAY)
    outcome = pages_of(later, WEDNESDAY)
    assert outcome.drawn > 0
    assert not outcome.failed


def _sizes(folders: PipelinePaths) -> list[int]:
    state = folders.warehouse / "pages" / "index.html"
    return [path.stat().st_size for path in _pages(folders) if path != state]


def test_a_rosters_size_is_recorded_in_the_night_in_which_it_changed(later: PipelinePaths):
    put_roster(later.inbox, HAYWARD, students(SENIORS[:39], HAYWARD_HIGH, "12"), "20261123")
    load_and_answer(later, TUESDAY)
    pages_of(later, TUESDAY)
    pages_of(later, WEDNESDAY)
    with open_warehouse(later.warehouse, read_only=True) as connection:
        sizes = read_roster_sizes(connection, WEDNESDAY)
    assert sizes.rows() == [(HAYWARD, ON, 40), (HAYWARD, TUESDAY, 39), (PALM_SPRINGS, ON, 12)]


def test_the_fault_of_one_page_stops_neither_the_others_nor_the_night(
    later: PipelinePaths, monkeypatch: pytest.MonkeyPatch
):
    for path in _pages(later):
        path.unlink()
    described = publication.describe_district

    def describe(facts: object, *rest: object) -> object:
        if facts.cd == HAYWARD:  # type: ignore[attr-defined]
            msg = f"First{SENIORS[0]}"
            raise ValueError(msg)
        return described(facts, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(publication, "describe_district", describe)
    outcome = pages_of(later)
    assert dict(outcome.failed) == {"ValueError": 1}
    assert (later.outbox / "PalmSpringsUnified" / "_receipts" / "index.html").is_file()
    assert not (later.outbox / "HaywardUnified" / "_receipts" / "index.html").exists()


def test_the_state_page_lies_where_a_setting_says(later: PipelinePaths, tmp_path: Path):
    (later.warehouse / "profiles.toml").write_text(
        f'[pages]\nfolder = "{tmp_path / "county"}"\n'
        '[defaults.contact]\nname = "The <b>desk</b>"\nmail = "desk@example.org"\n'
    )
    pages_of(later)
    assert (tmp_path / "county" / "index.html").is_file()
    assert (tmp_path / "county" / "districts" / f"{HAYWARD}.html").is_file()
    assert "The &lt;b&gt;desk&lt;/b&gt;" in page(later)
    assert 'href="mailto:desk@example.org"' in page(later)


def test_a_page_is_not_rebuilt_and_the_message_says_what_is_done_instead(night: PipelinePaths):
    with open_ledger(night.warehouse) as ledger:
        made = next(one for one in ledger.list_made(ON) if one.kind == FileKind.PAGE)
    with pytest.raises(NotRebuiltError, match="`ccgi pages` writes it again"):
        rebuild_file(night.warehouse, made)


# --- small cells ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def hiding(night: PipelinePaths, tmp_path_factory: pytest.TempPathFactory) -> PipelinePaths:
    """The same folders, in an installation that hides counts of few students."""
    root = tmp_path_factory.mktemp("hiding")
    for name in ("inbox", "outbox", "warehouse"):
        shutil.copytree(getattr(night, name), root / name)
    folders = folders_in(root)
    (folders.warehouse / "profiles.toml").write_text(
        '[defaults.delivery]\nsmall_cells = "california_10"\n'
    )
    pages_of(folders)
    return folders


def test_counts_of_few_students_are_on_no_page(hiding: PipelinePaths):
    text = told(page(hiding, "PalmSpringsUnified"))
    students_are = text[text.index("How far students are") : text.index("Your reports")]
    assert re.findall(r"(\d+) of (\d+)", students_are) == []
    assert "Students on the roster" not in text
    row = next(
        line
        for line in (hiding.warehouse / "pages" / "index.html").read_text().splitlines()
        if "Palm Springs" in line and "data-name" in line
    )
    assert 'data-label="Students">\u2013<' in row


def test_a_count_is_shown_where_the_aggregates_show_it(hiding: PipelinePaths):
    text = told(page(hiding))
    # Registered 35 of 40 leaves 5 who are not: both are hidden, as in the report.
    assert "have an account at CaliforniaColleges.edu \u2013" in text
    # 18 of 40 with financial aid leave 22: nothing is small.
    assert "have submitted FAFSA or CADAA 45 % 45 % 18 of 40" in text
    # 10 have only started an application: a small cell, so the whole line is hidden.
    assert "have started an application to a college \u2013" in text


def test_what_the_report_of_applications_hides_is_hidden_in_the_funnel(hiding: PipelinePaths):
    with open_warehouse(hiding.warehouse, read_only=True) as connection:
        profiles = Profiles.model_validate(
            {"defaults": {"delivery": {"small_cells": "california_10"}}}
        )
        create_report_views(connection, ON, profiles.reports)
        funnel = read_funnels(connection, profiles, [HAYWARD]).filter(pl.col("cd") == HAYWARD)
    (row,) = funnel.rows(named=True)
    assert row["applied"] is None
    assert row["aid_submitted"] == 18
    assert {step.name for step in STEPS} < set(row)
    assert COUNT not in row


# --- by hand --------------------------------------------------------------------------------------


def test_the_command_writes_what_a_night_writes(later: PipelinePaths):
    before = {path: path.read_bytes() for path in _pages(later)}
    for path in before:
        path.unlink()
    places = ["--outbox", f"{later.outbox}", "--warehouse", f"{later.warehouse}"]
    done = CliRunner().invoke(main, ["pages", *places, "--date", f"{ON}"])
    assert done.exit_code == 0, done.output
    assert "2 districts; 4 pages changed and were written." in done.output
    assert {path: path.read_bytes() for path in _pages(later)} == before


@pytest.mark.slow
def test_a_purge_takes_away_every_page_that_names_the_district(later: PipelinePaths):
    places = [
        f"--{name}={getattr(later, name)}" for name in ("inbox", "outbox", "warehouse")
    ]  # fmt: skip
    who = ["--by", "A. Name", "--reason", "agreement ended"]
    done = CliRunner().invoke(main, ["purge", *places, "--district", PALM_SPRINGS, "--apply", *who])
    assert done.exit_code == 0, done.output
    assert [path.name for path in _pages(later)] == ["index.html", f"{HAYWARD}.html"]
    with open_warehouse(later.warehouse, read_only=True) as connection:
        assert read_roster_sizes(connection, WEDNESDAY)["cd"].to_list() == [HAYWARD]
