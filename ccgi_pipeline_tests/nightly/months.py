"""A month of three districts: nights of which each brings something else, and all that was sent.

Belongs here: what happens on which night, and a plain model of which sent line stands behind a
record on a given night, made of the sent bytes alone. Does not belong here: what is expected of the
files that the nights made (``test_rebuild``).
"""

from __future__ import annotations

import csv
import hashlib
import io
import random
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import date, timedelta

from ccgi_pipeline.feeds import foster_focus, foster_focus_cps, platform
from ccgi_pipeline.feeds.cccapply import APPLICATIONS
from ccgi_pipeline.feeds.cde_directory import FEED as DIRECTORY
from ccgi_pipeline.feeds.foster_focus import DEMOGRAPHICS
from ccgi_pipeline.feeds.registry import FAMILIES
from ccgi_pipeline.feeds.spec import FeedSpec
from ccgi_pipeline.feeds.transcript import COURSE_GRADE, MANIFEST, STUDENT
from ccgi_pipeline.nightly import ssid_exchange
from ccgi_pipeline.nightly.load import load_family
from ccgi_pipeline.nightly.paths import PipelinePaths
from ccgi_pipeline.nightly.receive import receive_drops
from ccgi_pipeline.nightly.verify import verify_family
from ccgi_pipeline.profiles import Profiles
from ccgi_pipeline.warehouse.load import approvals
from ccgi_pipeline.warehouse.load.roster_guard import APPROVED
from ccgi_pipeline.warehouse.storage.connection import open_warehouse
from ccgi_pipeline.warehouse.storage.writers import exclusive_writer
from ccgi_pipeline_tests.files import as_bytes, good_file, good_lines, usual_name
from ccgi_pipeline_tests.foster_focus import Line
from ccgi_pipeline_tests.nightly.inboxes import (
    BERKELEY,
    BERKELEY_HIGH,
    HAYWARD,
    HAYWARD_HIGH,
    PALM_SPRINGS,
    PALM_SPRINGS_HIGH,
    course,
    directory_entry,
    put,
    student,
)
from ccgi_pipeline_tests.nightly.nights import report_and_answer, writing

FIRST = date(2026, 11, 1)
NIGHTS = 30
LAST = FIRST + timedelta(days=NIGHTS - 1)
SCHOOLS = {PALM_SPRINGS: PALM_SPRINGS_HIGH, HAYWARD: HAYWARD_HIGH, BERKELEY: BERKELEY_HIGH}
FOLDERS = {
    PALM_SPRINGS: "PalmSpringsUnified",
    HAYWARD: "HaywardUnified",
    BERKELEY: "BerkeleyUnified",
}
HELD_ON, APPROVED_ON = 11, 12
REGISTERED_ON, RENAMED_ON = 9, 19
"""Nights (from 0) on which CDE's directory comes, the second time with another school's name."""
TWICE_ON, NOTHING_ON = 24, 28
BROKEN_ON = (6, 20)
"""Nights on which a line of a roster breaks rules: before the profiles change, and after."""
NO_DATE = "31/31/2010"
"""A cell that a receipt repeats, where the profile asks for it."""
PROFILES = {
    14: """
        [reports]
        percent_of = "school"
        percent_decimals = 0
        [foster_focus]
        police_words = ["detention"]
        [defaults.severities]
        TR-STU-REQ-Gender = "info"
        [districts.3367173.receipts]
        show_values = true
        """,
    21: """
        [reports]
        percent_decimals = 2
        [districts.0161143.delivery]
        small_cells = "california_10"
        """,
    26: None,
}
"""By night the profiles from then on; None: the file is removed."""


@dataclass(frozen=True)
class Sent:
    """A file as it was sent; ``sha256`` is that of the bytes received, which may be a zip's.

    ``loaded``: the night that loaded it. ``kept_out``: lines that break a rule.
    """

    sender: str
    feed: FeedSpec
    sha256: str
    loaded: date
    content: bytes = field(repr=False)
    kept_out: frozenset[int] = frozenset()

    def lines(self) -> Iterator[tuple[int, Line]]:
        """Each line by its number as an editor shows it."""
        text = io.StringIO(self.content.decode(), newline="")
        rows = csv.DictReader(text, delimiter=self.feed.separators[0])
        for number, row in enumerate(rows, start=2):
            yield number, {name: row[name] for name in self.feed.columns}


@dataclass(frozen=True)
class Standing:
    """A record, and the line that last changed it."""

    sha256: str
    line: int
    cells: Line
    active: bool = True


Key = tuple[str, str, tuple[str, ...]]
"""Feed, sender, and the cells of the feed's key columns."""
_FULL_SETS = {feed.name for feed in (STUDENT, COURSE_GRADE, DIRECTORY)}


@dataclass
class Month:
    """The folders, and what was sent into them."""

    folders: PipelinePaths
    sent: list[Sent] = field(default_factory=list)
    rosters: dict[str, dict[str, Line]] = field(default_factory=dict)
    gone: dict[str, dict[str, Line]] = field(default_factory=dict)
    courses: dict[str, list[Line]] = field(default_factory=dict)
    events: list[tuple[FeedSpec, Line]] = field(default_factory=list)
    last_zip: bytes = b""

    def standing(self, on: date) -> dict[Key, Standing]:
        """Every record after the night of ``on``, as the sent files say."""
        records: dict[Key, Standing] = {}
        for file in sorted(self.sent, key=lambda sent: sent.loaded):
            if file.loaded > on:
                break
            told = set()
            for number, cells in file.lines():
                key = file.feed.name, file.sender, tuple(cells[name] for name in file.feed.keys)
                told.add(key)
                before = records.get(key)
                as_before = before is not None and before.cells == cells and before.active
                if number not in file.kept_out and not as_before:
                    records[key] = Standing(file.sha256, number, cells)
            if file.feed.name in _FULL_SETS:
                for key in records.keys() - told:
                    if key[:2] == (file.feed.name, file.sender):
                        records[key] = replace(records[key], active=False)
        return {key: record for key, record in records.items() if record.active}

    def put(
        self,
        path: str,
        feed: FeedSpec,
        content: bytes,
        loaded: date,
        kept_out: frozenset[int] = frozenset(),
    ) -> None:
        """Sends a file."""
        file = self.folders.inbox / path
        if not file.exists() or file.read_bytes() != content:
            put(self.folders.inbox, path, content)
            sha256 = hashlib.sha256(content).hexdigest()
            sender = path.partition("/")[0]
            self.sent.append(Sent(sender, feed, sha256, loaded, content, kept_out))


def run_month(
    folders: PipelinePaths, nights: int = NIGHTS, after: Callable[[int], None] = lambda _: None
) -> Month:
    """Thirty nights, or the first ``nights`` of them; ``after`` is called after each of them."""
    month = Month(folders)
    for number in range(nights):
        on = FIRST + timedelta(days=number)
        _send(month, number, on)
        _run(folders, on)
        if number == TWICE_ON:
            chance = random.Random("late")  # noqa: S311 - no secret
            goals = _events(month, chance, platform.GOALS, on)
            month.put(
                "platform/late/goals.csv", platform.GOALS, as_bytes(platform.GOALS, goals), on
            )
            _run(folders, on)
        after(number)
    return month


def _run(folders: PipelinePaths, on: date) -> None:
    """One night; families of which nothing came are passed over, which spares the test its time."""
    with writing(folders) as connection:
        came = {drop.family for drop in receive_drops(connection, folders, on).drops}
        for family in FAMILIES:
            if family in came:
                verify_family(connection, folders, family, on)
                load_family(connection, folders, family, on)
        report_and_answer(connection, folders, on)
        if on.day % 10 == 0:
            ssid_exchange.write_download(connection, folders, on)


# --- what is sent on which night ------------------------------------------------------------------


def _send(month: Month, number: int, on: date) -> None:
    if number in PROFILES:
        _set_profiles(month.folders, PROFILES[number])
    if number == APPROVED_ON:
        _approve(month.folders, on)
    if number == NOTHING_ON:
        return
    chance = random.Random(number)  # noqa: S311 - no secret
    for place, cd in enumerate(SCHOOLS):
        if (number + place) % 2 == 0 and (cd != HAYWARD or number not in {HELD_ON, APPROVED_ON}):
            _change_roster(month, cd, chance, number)
            _send_package(month, cd, number, on)
    _send_events(month, chance, number, on)
    _send_now_and_then(month, number, on)


def _send_now_and_then(month: Month, number: int, on: date) -> None:
    """What is sent on a few nights only."""
    if number == HELD_ON:
        _send_too_few(month)
    if number in {7, 15, 27}:
        again = f"{BERKELEY}/transcript/again_{on:%Y%m%d}.zip"
        put(month.folders.inbox, again, month.last_zip)
    if number in {REGISTERED_ON, RENAMED_ON}:
        _send_directory(month, "High" if number == REGISTERED_ON else "Senior High", on)
    if number in {3, 17}:
        _send_foster_youth(month.folders, count=6 if number == 3 else 8)
    if number in {5, 15}:
        lines = good_lines(APPLICATIONS, number)
        put(month.folders.inbox, "cccapply/applications.csv", as_bytes(APPLICATIONS, lines))


def _set_profiles(folders: PipelinePaths, text: str | None) -> None:
    path = folders.warehouse / "profiles.toml"
    if text is None:
        path.unlink()
    else:
        path.write_text(text)


def _approve(folders: PipelinePaths, on: date) -> None:
    with exclusive_writer(folders.warehouse), open_warehouse(folders.warehouse) as connection:
        (held,) = approvals.read_holds(connection)
        by, reason = "A. Name", "a school has closed"
        approvals.decide_hold(
            connection, held.drop, APPROVED, by=by, reason=reason, on=on, profiles=Profiles()
        )


def _change_roster(month: Month, cd: str, chance: random.Random, number: int) -> None:
    """The district's students and their courses, some of them changed since the last time."""
    school = SCHOOLS[cd]
    place = [*SCHOOLS].index(cd) + 1
    if cd not in month.rosters:
        ssids = [f"{place}0000000{n:02d}" for n in range(12)]
        month.rosters[cd] = {
            ssid: student(ssid, school, chance.choice(["10", "11", "12"])) for ssid in ssids
        }
        month.gone[cd] = {}
        month.courses[cd] = [line for ssid in ssids for line in _courses(ssid, school, chance)]
        return
    roster, gone = month.rosters[cd], month.gone[cd]
    if number > APPROVED_ON:
        roster |= gone
        gone.clear()
    corrected = chance.choice([*roster])
    change = chance.choice([{"Gender": "X"}, {"GradeLevel": "12"}, {"RaceCode1": "700"}])
    roster[corrected] = {**roster[corrected], **change}
    if number % 3 == 0:
        ssid = f"{place}1000000{number:02d}"
        roster[ssid] = student(ssid, school, "11")
        month.courses[cd] += _courses(ssid, school, chance)
    if number % 5 == 0:
        left = chance.choice([*roster])
        gone[left] = roster.pop(left)
    if number % 4 in {0, 1}:
        n = chance.randrange(len(month.courses[cd]))
        month.courses[cd][n] = {**month.courses[cd][n], "CourseGrade": chance.choice("ABC")}


def _courses(ssid: str, school: str, chance: random.Random) -> list[Line]:
    return [
        course(ssid, school, f"C{n}", SubjectArea="ABC"[n], CourseGrade=chance.choice("ABCD"))
        for n in range(3)
    ]


def _send_package(month: Month, cd: str, number: int, on: date) -> None:
    """The district's roster and courses, in the way in which this district sends."""
    dated = "" if cd == HAYWARD else f"_{on:%Y%m%d}"
    names = {feed.name: f"{stem}{dated}.csv" for feed, stem in _NAMES}
    kept_out: frozenset[int] = frozenset()
    lines = [*month.rosters[cd].values()]
    if cd == PALM_SPRINGS and number in BROKEN_ON:
        lines[3] = {**lines[3], "LastName": "", "DateOfBirth": NO_DATE}
        kept_out = frozenset({5})
    there = set(month.rosters[cd])
    courses = [line for line in month.courses[cd] if line["StateID"] in there]
    roster = as_bytes(STUDENT, lines)
    if kept_out:  # and two columns that nobody knows
        first, *others = roster.splitlines()
        roster = b"\n".join([first + b",One,Other", *(line + b",1,2" for line in others), b""])
    files = {
        STUDENT.name: (STUDENT, roster),
        COURSE_GRADE.name: (COURSE_GRADE, as_bytes(COURSE_GRADE, courses)),
        MANIFEST.name: (
            MANIFEST,
            as_bytes(MANIFEST, [{"FileName": names[f.name]} for f in (STUDENT, COURSE_GRADE)]),
        ),
    }
    if cd == BERKELEY:
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as package:
            for name, (_, content) in files.items():
                package.writestr(zipfile.ZipInfo(names[name]), content)
        month.last_zip = packed.getvalue()
        put(month.folders.inbox, f"{cd}/transcript/package{dated}.zip", month.last_zip)
        sha256 = hashlib.sha256(month.last_zip).hexdigest()
        for feed, content in files.values():
            month.sent.append(Sent(cd, feed, sha256, on, content))
        return
    for name, (feed, content) in files.items():
        outs = kept_out if feed is STUDENT else frozenset()
        month.put(f"{cd}/transcript/{names[name]}", feed, content, on, outs)


_NAMES = ((STUDENT, "StudentTemplate"), (COURSE_GRADE, "CourseGrade"), (MANIFEST, "Manifest"))


def _send_too_few(month: Month) -> None:
    """A roster that would end most of what is known; it is approved the night after."""
    roster = month.rosters[HAYWARD]
    for ssid in [*roster][4:]:
        month.gone[HAYWARD][ssid] = roster.pop(ssid)
    content = as_bytes(STUDENT, [*roster.values()])
    loaded = FIRST + timedelta(days=APPROVED_ON)
    month.put(f"{HAYWARD}/transcript/StudentTemplate.csv", STUDENT, content, loaded)


def _events(month: Month, chance: random.Random, feed: FeedSpec, on: date) -> list[Line]:
    """Some new events of one kind."""
    ssids = [ssid for roster in month.rosters.values() for ssid in roster] + ["9999999999"]
    kinds = good_lines(feed, 4)
    made = []
    for _ in range(chance.randrange(2, 5)):
        day = on - timedelta(days=chance.randrange(3))
        cells = {
            "EventID": f"event-{len(month.events):06d}",
            "SSID": chance.choice(ssids),
            "OccurredAt": f"{day}T{chance.randrange(24):02d}:30:00Z",
        }
        made.append({**chance.choice(kinds), **cells})
        month.events.append((feed, made[-1]))
    return made


def _send_events(month: Month, chance: random.Random, number: int, on: date) -> None:
    """The platform's files of the day, some of events that were told otherwise before."""
    for feed in chance.sample(platform.FEEDS, 3):
        activity = feed.name.removeprefix("platform_")
        lines = _events(month, chance, feed, on)
        known = [line for of, line in month.events[: -len(lines)] if of is feed]
        if number % 3 == 1 and known:
            mended = {**chance.choice(known), "SSID": chance.choice(lines)["SSID"]}
            lines.append(mended)
        path = f"platform/{activity}_{on:%Y%m%d}.csv"
        month.put(path, feed, as_bytes(feed, lines), on)
        if number % 6 == 1:
            further = _events(month, chance, feed, on)
            path = f"platform/north_{activity}_{on:%Y%m%d}.csv"
            month.put(path, feed, as_bytes(feed, further), on)


def _send_directory(month: Month, kind: str, on: date) -> None:
    lines = []
    for cd, county, name in (
        (PALM_SPRINGS, "Riverside", "Palm Springs"),
        (HAYWARD, "Alameda", "Hayward"),
        (BERKELEY, "Alameda", "Berkeley"),
    ):
        district = f"{name} Unified"
        lines.append(directory_entry(f"{cd}0000000", county, district, "No Data"))
        lines.append(directory_entry(SCHOOLS[cd], county, district, f"{name} {kind}"))
    month.put("cde/pubschls.txt", DIRECTORY, as_bytes(DIRECTORY, lines), on)


def _send_foster_youth(folders: PipelinePaths, count: int) -> None:
    """The extracts of one district, and a register that has every other child."""
    for feed in foster_focus.FEEDS:
        path = f"{PALM_SPRINGS}/{foster_focus.NAME}/{usual_name(feed)}"
        put(folders.inbox, path, good_file(feed, count, PALM_SPRINGS))
    children = [
        {
            "ChildID": f"child-{line['SISLocalID']}",
            "LastName": line["Lastname"],
            "FirstName": line["Firstname"],
            "BirthDate": line["Birthdate"],
            "Gender": line["Gender"],
            "SSID": line["SSID"],
            "Status": "active",
            "StatusSince": "2024-01-01",
        }
        for line in good_lines(DEMOGRAPHICS, count, PALM_SPRINGS)[::2]
    ]
    register = as_bytes(foster_focus_cps.FEED, children)
    folder = f"{foster_focus_cps.SENDER}/{foster_focus_cps.FEED.family}"
    put(folders.inbox, f"{folder}/children.txt", register)
