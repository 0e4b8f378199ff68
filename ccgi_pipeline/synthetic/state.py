"""Generates a synthetic state, district by district, with all parts of the generator.

Belongs here: the order in which an inbox is written, and the report about it. Does not belong here:
figures and cells.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import polars as pl

from ccgi_pipeline.feeds import (
    cde_directory,
    foster_focus,
    foster_focus_cps,
    oneroster,
    platform,
    transcript,
)
from ccgi_pipeline.feeds.spec import FeedSpec
from ccgi_pipeline.synthetic import places
from ccgi_pipeline.synthetic.activity import activity_lines
from ccgi_pipeline.synthetic.courses import history
from ccgi_pipeline.synthetic.defects import plant
from ccgi_pipeline.synthetic.file_output import (
    Dialect,
    FeedFile,
    as_text,
    dialect_of,
    foster_dialect_of,
    name_of_file,
    pack,
)
from ccgi_pipeline.synthetic.foster_focus import foster_lines
from ccgi_pipeline.synthetic.oneroster import Drops, roster_lines
from ccgi_pipeline.synthetic.oneroster.export_styles import VERSIONS
from ccgi_pipeline.synthetic.people import people
from ccgi_pipeline.synthetic.random_draws import Part
from ccgi_pipeline.synthetic.student_blocks import Block, blocks
from ccgi_pipeline.synthetic.test_scores import test_lines
from ccgi_pipeline.synthetic.transcripts import catalog_lines, course_lines, student_lines

_HEADER_LINES = 1
_FAULTY_FEEDS = (
    transcript.STUDENT,
    transcript.COURSE_GRADE,
    *platform.FEEDS,
    *(feed for feed in foster_focus.FEEDS if feed is not foster_focus.BEHAVIOR),
    oneroster.USERS,
    oneroster.ENROLLMENTS,
)
"""The feeds into whose lines defects are planted; new ones go to the end, since the place of a
feed here chooses its random numbers. Behavior is none of them: no rule fires at a line that
mentions police involvement."""


class PlantedDefect(NamedTuple):
    """A defect: the file (relative to the inbox), its physical line, the rule that must fire.

    A file in a zip has the zip's path before its own. The header is line 1.
    """

    path: str
    line: int
    rule_id: str


@dataclass(frozen=True)
class GeneratedState:
    """What was written: files (a zip counts as one), students, data lines, planted defects."""

    files: int
    students: int
    lines: int
    defects: tuple[PlantedDefect, ...] = field(repr=False)


@dataclass
class _Ledger:
    """What has been written so far."""

    out: Path
    seed: int
    on: date
    share_of_defects: float
    days: int
    oneroster_version: str | None = None
    files: int = 0
    lines: int = 0
    defects: list[PlantedDefect] = field(default_factory=list)

    def append(
        self, file: FeedFile, frame: pl.DataFrame, shown: Path, block: Block, days_ago: int = 0
    ) -> None:
        """Writes a block's lines of one feed; ``shown`` is the file's path in the inbox.

        ``days_ago``: when the file was sent, if not on the day of all others.
        """
        cells = as_text(frame, file.feed, file.dialect.date_form)
        self.lines += cells.height
        if not self.share_of_defects or file.feed not in _FAULTY_FEEDS:
            file.append(cells)
            return
        within, mark = ((days_ago,), f"-{days_ago}") if days_ago else ((), "")
        rng = block.stream(Part.DEFECTS, _FAULTY_FEEDS.index(file.feed), *within)
        planted = plant(cells, file.feed, rng, self.share_of_defects, mark)
        self.lines += planted.cells.height - cells.height
        lines = (planted.rows + file.lines + _HEADER_LINES + 1).tolist()
        path = shown.relative_to(self.out).as_posix()
        self.defects += map(PlantedDefect, [path] * len(lines), lines, planted.rule_ids)
        file.append(planted.cells, planted.short, planted.missing)


def generate(  # noqa: PLR0913 - what a state is made of; all but the place are named
    out: Path,
    *,
    districts: int,
    students: int,
    seed: int,
    on: date,
    defects: float = 0.0,
    days: int = 1,
    oneroster_version: str | None = None,
    only: int | None = None,
    progress: Callable[[str], None] | None = None,
) -> GeneratedState:
    """Writes the inbox of a synthetic state to ``out``: the same arguments give the same bytes.

    Args:
        out: the inbox; made if it does not exist. Files of the same names are replaced.
        districts: how many districts send files; CCGI's own two examples come first.
        students: how many students of grades 6 to 12 they have in all.
        seed: chooses one of many states; 0 or more.
        on: the day on which the files are sent. Its school year is the current one.
        defects: share (0 to 1) of student, course, platform and Foster Focus lines, and of lines
            of OneRoster users and enrollments, that get one defect each.
        days: on how many consecutive days OneRoster sets are sent, the last being ``on``: what is
            sent on that day does not depend on it.
        oneroster_version: the version of all OneRoster sets, "1.1" or "1.2"; each district has its
            own otherwise.
        only: the files of the first so many districts alone, as they are in the whole state.
        progress: called with a sentence after each district.

    Raises:
        ValueError: there are fewer students than districts, or more districts than names, or no
            day, or no such version.
    """
    if not 0 <= defects <= 1:
        msg = f"defects is a share between 0 and 1, not {defects}"
        raise ValueError(msg)
    if days < 1:
        msg = f"days must be 1 or more, not {days}"
        raise ValueError(msg)
    if oneroster_version not in {None, *VERSIONS}:
        msg = f"oneroster_version must be one of {', '.join(VERSIONS)}, not {oneroster_version}"
        raise ValueError(msg)
    sizes = places.sizes(districts, students, seed)
    ledger = _Ledger(out, seed, on, defects, days, oneroster_version)
    statewide = _statewide_files(out, on)
    of_all = zip(places.places(districts), sizes.tolist(), strict=True)
    for place, size in islice(of_all, only):
        _write_district(ledger, place, size, statewide)
        if progress:
            progress(f"{place.name}: {size:,} students")
    _write_directory(ledger, districts)
    ledger.files += sum(file.lines > 0 for file in statewide.values())
    return GeneratedState(
        ledger.files, int(sizes[:only].sum()), ledger.lines, tuple(ledger.defects)
    )


def _statewide_files(out: Path, on: date) -> dict[str, FeedFile]:
    activity = {
        feed.name: FeedFile(out / "platform" / f"{feed.stems[0]}_{on:%Y%m%d}.csv", feed)
        for feed in platform.FEEDS
    }
    feed = foster_focus_cps.FEED
    register = out / foster_focus_cps.SENDER / feed.family / f"{feed.stems[0]}.txt"
    return {**activity, feed.name: FeedFile(register, feed, Dialect(separator=feed.separators[0]))}


def _write_district(
    ledger: _Ledger, place: places.Place, students: int, statewide: dict[str, FeedFile]
) -> None:
    """One district's package, and its students' lines in the state-wide files."""
    dialect = dialect_of(place.ordinal)
    folder = ledger.out / place.cd_code / "transcript"
    files = {
        feed.name: FeedFile(
            folder / name_of_file(feed, place.file_name, ledger.on, dialect), feed, dialect
        )
        for feed in transcript.FEEDS
    }
    package = folder / f"{place.file_name}_{ledger.on:%Y%m%d}.zip" if dialect.zipped else None
    extracts = _foster_files(ledger.out, place)
    drops = Drops(ledger.out, place, ledger.on, ledger.days, version=ledger.oneroster_version)

    def add(feed: FeedSpec, frame: pl.DataFrame, block: Block) -> None:
        file = files.get(feed.name) or extracts.get(feed.name) or statewide[feed.name]
        inside = package if feed.name in files else None
        shown = inside / file.path.name if inside else file.path
        ledger.append(file, frame, shown, block)

    for block in blocks(place, students, ledger.seed, ledger.on):
        roster = people(block)
        taken = history(block, roster)
        add(transcript.STUDENT, student_lines(block, roster, taken), block)
        add(transcript.COURSE_GRADE, course_lines(block, roster, taken), block)
        add(transcript.TEST_GRADE, test_lines(block, roster, taken), block)
        for feed, events in activity_lines(block, roster):
            add(feed, events, block)
        for feed, lines in foster_lines(block, roster, taken):
            add(feed, lines, block)
        for feed, lines in roster_lines(block, roster, taken, drops.way, ledger.days):
            for day in drops.days:
                ago = (ledger.on - day.on).days
                file, shown = day.files[feed.name], day.shown(feed)
                ledger.append(file, day.lines(lines), shown, block, ago)
        if not block.number:
            add(transcript.COURSE_CATALOG, catalog_lines(place, ledger.on), block)
    _write_manifest(ledger, files)
    written = [file.path for file in files.values() if file.lines]
    if package:
        pack(written, package, ledger.on)
    ledger.files += 1 if package else len(written)
    ledger.files += sum(file.lines > 0 for file in extracts.values())
    for files_of_day, lines_of_manifest in drops.close():
        ledger.files += files_of_day
        ledger.lines += lines_of_manifest


def _foster_files(out: Path, place: places.Place) -> dict[str, FeedFile]:
    """The district's extracts, under names that stay the same from night to night."""
    folder = out / place.cd_code / foster_focus.NAME
    dialect = foster_dialect_of(place.ordinal)
    return {
        feed.name: FeedFile(folder / f"{feed.stems[0].replace(' ', '_')}.txt", feed, dialect)
        for feed in foster_focus.FEEDS
    }


def _write_manifest(ledger: _Ledger, files: dict[str, FeedFile]) -> None:
    manifest = files[transcript.MANIFEST.name]
    names = [file.path.name for file in files.values() if file.lines]
    manifest.append(pl.DataFrame({"FileName": names}))
    ledger.lines += manifest.lines


def _write_directory(ledger: _Ledger, districts: int) -> None:
    feed = cde_directory.FEED
    folder = ledger.out / "cde" / feed.family
    (separator,) = feed.separators
    file = FeedFile(folder / f"{feed.stems[0]}.txt", feed, Dialect(separator=separator))
    file.append(places.directory(districts))
    ledger.lines += file.lines
    ledger.files += 1
