"""The last steps of a night: writes the pages that change, and no others.

Belongs here: where each page goes, which are written, and that the fault of one page stops neither
the other pages nor the night. Does not belong here: what pages show (district_page, state_page).
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import duckdb

from ccgi_pipeline.common.atomic_files import write_file
from ccgi_pipeline.common.errors import describe_without_values, library_errors, value_free
from ccgi_pipeline.common.prefetch import prefetch
from ccgi_pipeline.common.progress import ProgressCounter
from ccgi_pipeline.dashboards import page_files
from ccgi_pipeline.dashboards.charts import ChartCache
from ccgi_pipeline.dashboards.district_facts import DistrictFacts, read_district_facts
from ccgi_pipeline.dashboards.district_page import describe_district, list_charts
from ccgi_pipeline.dashboards.state_facts import NightTime, read_state_facts
from ccgi_pipeline.dashboards.state_page import describe_state, draw_state
from ccgi_pipeline.delivery.ledger import FileKind
from ccgi_pipeline.nightly.made_files import archived_profiles, record_made_files
from ccgi_pipeline.nightly.paths import PipelinePaths
from ccgi_pipeline.profiles import Profiles
from ccgi_pipeline.reports.digests import count_roster_students
from ccgi_pipeline.reports.outbox import OutboxFile, sha256_of
from ccgi_pipeline.reports.queries import ensure_report_views
from ccgi_pipeline.warehouse.load.outbox_folders import remember_folders
from ccgi_pipeline.warehouse.load.roster_sizes import record_roster_sizes

_LOG = logging.getLogger(__name__)
DISTRICTS = "districts"
"""The folder of the districts' pages below that of the state page."""
RECEIPTS = "_receipts"
"""The folder of a district's page and receipts in the outbox."""


@dataclass(slots=True)
class PagesOutcome:
    """What became of the pages.

    ``pages``: how many there are. ``written``: files that changed, with ``size`` bytes in all.
    ``drawn``: charts that were not known from an earlier night. ``failed``: pages that could not
    be made, by kind of error.
    """

    pages: int = 0
    written: int = 0
    size: int = 0
    drawn: int = 0
    failed: Counter[str] = field(default_factory=Counter)


def contain_faults(write: Callable[[], PagesOutcome]) -> PagesOutcome:
    """Returns what ``write`` returns; an error is logged and counted, and stops nothing."""
    try:
        return write()
    except library_errors() as error:
        _LOG.error("pages could not be made: %s", describe_without_values(error))
        outcome = PagesOutcome()
        outcome.failed[type(error).__name__] += 1
        return outcome


@value_free
def write_district_pages(
    connection: duckdb.DuckDBPyConnection, folders: PipelinePaths, on: date, only: str | None = None
) -> PagesOutcome:
    """Writes the page of each district that changes (``only``: of one), for it and for the state.

    Records the sizes of the rosters, from which the charts are made.
    """
    profiles, settings = archived_profiles(folders)
    named = ensure_report_views(connection, on, profiles.reports)
    remember_folders(connection, named, on)
    record_roster_sizes(connection, count_roster_students(connection), on)
    found = read_district_facts(connection, folders, profiles, on, only)
    charts = ChartCache(page_files.read_charts(folders.warehouse, DISTRICTS))
    pages = _DistrictPages(folders, profiles, charts, PagesOutcome(pages=len(found)))
    step = ProgressCounter("writing pages", len(found))
    made = []
    # Vega draws while the last page is rendered.
    for drawn in prefetch(pages.draw, found):
        file = pages.write(drawn) if drawn is not None else None
        if file is not None:
            made.append((FileKind.PAGE, "", "", file))
        step.advance()
    folders.outgoing.remove_unfinished_files()
    if made:
        record_made_files(connection, folders, on, made, settings)
    if only is None:
        page_files.save_charts(folders.warehouse, DISTRICTS, charts)
    pages.outcome.drawn = charts.drawn
    return pages.outcome


@dataclass(frozen=True, slots=True)
class _DrawnPage:
    """A page before it is rendered: what it shows, its charts, and the files that change."""

    facts: DistrictFacts
    shown: Mapping[str, Any]
    digest: str
    pictures: Sequence[str]
    for_district: bool
    for_state: bool


@dataclass(frozen=True, slots=True)
class _DistrictPages:
    """The pages of a night's districts, and what becomes of them."""

    folders: PipelinePaths
    profiles: Profiles
    charts: ChartCache
    outcome: PagesOutcome

    def draw(self, facts: DistrictFacts) -> _DrawnPage | None:
        """Returns the page of a district with its charts; None if it would not change."""
        try:
            return self._draw(facts)
        except library_errors() as error:
            self._record_failure(error)
            return None

    def _draw(self, facts: DistrictFacts) -> _DrawnPage | None:
        own = self.folders.outbox / self._path(facts)
        receipts = _list_names(own.parent)
        shown = describe_district(facts, self.profiles.of(facts.cd).contact, receipts)
        digest = page_files.compute_digest(shown)
        for_district = page_files.read_digest(own) != digest
        for_state = page_files.read_digest(self._state_path(facts)) != digest
        asked = list_charts(shown)
        if not for_district and not for_state:
            for kind, points in asked:
                self.charts.keep(kind, points)
            return None
        pictures = [self.charts.draw(kind, points) for kind, points in asked]
        return _DrawnPage(facts, shown, digest, pictures, for_district, for_state)

    def write(self, page: _DrawnPage) -> OutboxFile | None:
        """Writes a page; returns the file of the outbox if that changed."""
        try:
            return self._write(page)
        except library_errors() as error:
            self._record_failure(error)
            return None

    def _write(self, page: _DrawnPage) -> OutboxFile | None:
        values: dict[str, object] = {"page": page.shown, "pictures": page.pictures}
        if page.for_state:
            content = page_files.render_page(
                "district.html.jinja", page.digest, **values, state=True, scripted=False
            )
            write_file(self._state_path(page.facts), content)
            self._count(content)
        if not page.for_district:
            return None
        content = page_files.render_page(
            "district.html.jinja", page.digest, **values, state=False, scripted=False
        )
        path = self._path(page.facts)
        self.folders.outgoing.write(path, content)
        self._count(content)
        return OutboxFile(path.as_posix(), page.facts.cd, sha256_of(content))

    def _path(self, facts: DistrictFacts) -> Path:
        return Path(facts.folder, RECEIPTS, page_files.INDEX)

    def _state_path(self, facts: DistrictFacts) -> Path:
        state = self.profiles.pages.locate(self.folders.warehouse)
        return state / DISTRICTS / f"{facts.cd}.html"

    def _count(self, content: bytes) -> None:
        self.outcome.written += 1
        self.outcome.size += len(content)

    def _record_failure(self, error: BaseException) -> None:
        _LOG.error("a page could not be made: %s", describe_without_values(error))
        self.outcome.failed[type(error).__name__] += 1


def _list_names(folder: Path) -> Collection[str]:
    return {entry.name for entry in folder.iterdir()} if folder.is_dir() else ()


@value_free
def write_state_page(
    connection: duckdb.DuckDBPyConnection,
    folders: PipelinePaths,
    on: date,
    nights: Sequence[NightTime] = (),
) -> PagesOutcome:
    """Writes the page of the state; ``nights``: how long the last ones took."""
    profiles, _ = archived_profiles(folders)
    charts = ChartCache(page_files.read_charts(folders.warehouse, "state"))
    shown = describe_state(read_state_facts(connection, folders, profiles, on, nights))
    outcome = PagesOutcome(pages=1)
    digest = page_files.compute_digest(shown)
    path = profiles.pages.locate(folders.warehouse) / page_files.INDEX
    if page_files.read_digest(path) == digest:
        return outcome
    pictures = draw_state(shown, charts)
    content = page_files.render_page(
        "state.html.jinja", digest, page=shown, **pictures, scripted=True
    )
    write_file(path, content)
    page_files.save_charts(folders.warehouse, "state", charts)
    return PagesOutcome(pages=1, written=1, size=len(content), drawn=charts.drawn)
