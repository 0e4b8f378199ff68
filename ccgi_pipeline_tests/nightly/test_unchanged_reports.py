"""Tests that the outbox is the same whether unchanged reports are linked or written anew.

Belongs here: nights in a row over real folders, what their files share, and nights that find files
edited, removed or half done. Does not belong here: what a report depends on (reports.test_basis),
nights that are killed (test_killed, delivery.test_killed_at_failpoints).
"""

from __future__ import annotations

import errno
import os
import random
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path

import pytest

from ccgi_pipeline.common.owner_only import restrict_umask
from ccgi_pipeline.delivery.ledger import FileKind, MadeFile, open_ledger
from ccgi_pipeline.feeds.registry import FAMILIES
from ccgi_pipeline.feeds.transcript import COURSE_GRADE
from ccgi_pipeline.nightly.evaluate import evaluate_eligibility
from ccgi_pipeline.nightly.load import load_family
from ccgi_pipeline.nightly.made_files import list_made_files
from ccgi_pipeline.nightly.paths import PipelinePaths
from ccgi_pipeline.nightly.receive import WaitMode, receive_drops
from ccgi_pipeline.nightly.report import open_reports, sweep_outbox, write_reports
from ccgi_pipeline.nightly.summary import NightStart, summarize_night
from ccgi_pipeline.nightly.verify import verify_family
from ccgi_pipeline.operations.purge import run_purge
from ccgi_pipeline.operations.rebuild import check_rebuilt, rebuild_files
from ccgi_pipeline.reports import basis
from ccgi_pipeline.reports.outbox import Outbox, OutboxFile, sha256_of
from ccgi_pipeline.reports.registry import REPORTS
from ccgi_pipeline.warehouse.load.claims import decide_claim, read_claims
from ccgi_pipeline.warehouse.load.erasure import PurgeSelection
from ccgi_pipeline_tests.files import as_bytes
from ccgi_pipeline_tests.nightly.inboxes import (
    BERKELEY,
    BERKELEY_HIGH,
    HAYWARD,
    HAYWARD_HIGH,
    PALM_SPRINGS,
    PALM_SPRINGS_HIGH,
    Line,
    application,
    course,
    directory_entry,
    event,
    financial_aid,
    numbered,
    put,
    put_directory,
    put_events,
    put_roster,
    roster_file,
    student,
    students,
)
from ccgi_pipeline_tests.nightly.nights import ON, bytes_below, folders_in, writing

TOMORROW = ON + timedelta(days=1)
_HERE = {"account_registrations", "goals", "financial_aid_module_daily"}
FEW = [spec for spec in REPORTS if spec.name in _HERE]
GOALS = "legacy reporting/platform activities/goals"
FOLDER = "PalmSpringsUnified"


def night(folders: PipelinePaths, on: date, reports: list = FEW) -> None:
    """A night of those families of which something came; a night of all takes ten times as long."""
    with writing(folders) as connection:
        received = receive_drops(connection, folders, on, taking=WaitMode.NOW)
        came = {drop.family for drop in received.drops}
        for family in FAMILIES:
            if family in came:
                verify_family(connection, folders, family, on)
                load_family(connection, folders, family, on)
        evaluate_eligibility(connection, folders, on)
        named = open_reports(connection, folders, on)
        for spec in reports:
            write_reports(connection, folders, spec, named, on)
    sweep_outbox(folders)


def goal(ssid: str, kind: str = "Career") -> Line:
    return event("goals", ssid, GoalID=ssid, GoalType=kind, GoalStatus="Set")


def settings(folders: PipelinePaths, text: str) -> None:
    folders.warehouse.mkdir(parents=True, exist_ok=True)
    (folders.warehouse / "profiles.toml").write_text(text)


@pytest.fixture(scope="module")
def first_night(tmp_path_factory: pytest.TempPathFactory) -> PipelinePaths:
    """Two districts after a night. Not to be changed: copy it."""
    folders = folders_in(tmp_path_factory.mktemp("first"))
    put_roster(folders.inbox, PALM_SPRINGS, students(numbered(1000, 8), PALM_SPRINGS_HIGH))
    put_roster(folders.inbox, HAYWARD, students(numbered(2000, 8), HAYWARD_HIGH))
    put_events(folders.inbox, [goal("0000001000"), goal("0000002000")])
    night(folders, ON)
    return folders


@pytest.fixture
def folders(first_night: PipelinePaths, tmp_path: Path) -> PipelinePaths:
    """A copy of the folders after the first night."""
    return folders_in(shutil.copytree(first_night.inbox.parent, tmp_path / "copy"))


def goals_of(folders: PipelinePaths, on: date, file: str = "Detail") -> Path:
    return folders.outbox / FOLDER / GOALS / f"{FOLDER}_{on:%Y%m%d}_{file}.csv"


def made_on(folders: PipelinePaths, on: date) -> list[MadeFile]:
    with open_ledger(folders.warehouse) as ledger:
        return [made for made in ledger.list_made(on) if made.kind == FileKind.REPORT]


def shares_bytes(folders: PipelinePaths, on: date) -> Counter[bool]:
    """How many reports of a night are names of bytes that have another name, and how many not."""
    return Counter(
        (folders.outbox / made.path).stat().st_nlink > 1 for made in made_on(folders, on)
    )


def test_a_night_without_news_makes_no_new_bytes(folders: PipelinePaths):
    before = bytes_below(folders.outbox)
    night(folders, TOMORROW)
    assert shares_bytes(folders, TOMORROW) == {True: len(before)}
    after = bytes_below(folders.outbox)
    assert {p.replace(f"{ON:%Y%m%d}", f"{TOMORROW:%Y%m%d}"): c for p, c in before.items()} == {
        path: content for path, content in after.items() if path not in before
    }
    made = made_on(folders, TOMORROW)
    assert {one.since for one in made} == {ON}
    assert all(after[one.path] and sha256_of(after[one.path]) == one.sha256 for one in made)
    for one, content in rebuild_files(folders.warehouse, made):
        check_rebuilt(one, content)
    told = summarize_night(folders, TOMORROW, NightStart(), list_made_files(folders, TOMORROW))
    assert (told.reports, told.unchanged) == (len(before), len(before))
    assert {(folders.outbox / path).stat().st_mode & 0o777 for path in after} == {0o600}


def test_what_was_written_stays_when_the_next_night_shows_something_else(folders: PipelinePaths):
    night(folders, TOMORROW)
    before = bytes_below(folders.outbox)
    put_events(folders.inbox, [goal("0000001001")], "20261124")
    third = TOMORROW + timedelta(days=1)
    night(folders, third)
    after = bytes_below(folders.outbox)
    assert {path: after[path] for path in before} == before
    assert goals_of(folders, third).read_bytes() != goals_of(folders, TOMORROW).read_bytes()
    assert goals_of(folders, third).stat().st_nlink == 1
    since = {(one.owner, one.name, one.part): one.since for one in made_on(folders, third)}
    assert {of for of, night_ in since.items() if night_ == third} == {
        (PALM_SPRINGS, "goals", "Agg"),
        (PALM_SPRINGS, "goals", "Detail"),
    }


def test_a_report_that_is_made_and_comes_out_the_same_makes_no_new_bytes(
    folders: PipelinePaths, monkeypatch: pytest.MonkeyPatch
):
    """As after an upgrade: the code changed, and the files did not."""
    monkeypatch.setattr(basis, "_CODE", "another version")
    night(folders, TOMORROW)
    assert {*shares_bytes(folders, TOMORROW)} == {True}


def test_the_same_night_again_touches_no_file(folders: PipelinePaths):
    night(folders, TOMORROW)
    stats = {p: (folders.outbox / p).stat()[:9] for p in bytes_below(folders.outbox)}
    made = made_on(folders, TOMORROW)
    night(folders, TOMORROW)
    assert {p: (folders.outbox / p).stat()[:9] for p in stats} == stats
    assert made_on(folders, TOMORROW) == made


def edit_in_place(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b"Career", b"Larder"))


@pytest.mark.parametrize("damage", [Path.unlink, edit_in_place])
@pytest.mark.parametrize("whose", ["tonight's", "yesterday's"])
def test_a_file_that_is_not_as_it_was_written_is_made_anew(
    folders: PipelinePaths, damage: Callable[[Path], None], whose: str
):
    good = goals_of(folders, ON).read_bytes()
    if whose == "tonight's":
        night(folders, TOMORROW)
    damage(goals_of(folders, TOMORROW if whose == "tonight's" else ON))
    night(folders, TOMORROW)
    assert goals_of(folders, TOMORROW).read_bytes() == good
    agg = goals_of(folders, ON, "Agg")
    assert agg.samefile(goals_of(folders, TOMORROW, "Agg"))


def test_a_name_that_a_killed_night_gave_is_taken_and_one_of_other_bytes_replaced(
    folders: PipelinePaths,
):
    good = goals_of(folders, ON).read_bytes()
    goals_of(folders, TOMORROW).hardlink_to(goals_of(folders, ON))
    goals_of(folders, TOMORROW, "Agg").write_bytes(b"half of it")
    night(folders, TOMORROW)
    assert goals_of(folders, TOMORROW).read_bytes() == good
    assert (
        goals_of(folders, TOMORROW, "Agg").read_bytes() == goals_of(folders, ON, "Agg").read_bytes()
    )


def test_copies_have_bytes_of_their_own(folders: PipelinePaths):
    settings(folders, '[reports]\nunchanged = "copy"\n')
    restrict_umask()
    for on in (TOMORROW, TOMORROW + timedelta(days=1)):
        night(folders, on)
        assert {*shares_bytes(folders, on)} == {False}
        assert {made.since for made in made_on(folders, on)} == {ON}
        assert goals_of(folders, on).read_bytes() == goals_of(folders, ON).read_bytes()
        assert goals_of(folders, on).stat().st_mode & 0o777 == 0o600


def test_where_reports_are_made_anew_none_is_carried_over(folders: PipelinePaths):
    settings(folders, '[reports]\nunchanged = "anew"\n')
    night(folders, TOMORROW)
    assert {*shares_bytes(folders, TOMORROW)} == {False}
    assert {(made.since, made.basis) for made in made_on(folders, TOMORROW)} == {(TOMORROW, "")}


def test_spreadsheets_are_carried_over_with_their_report(folders: PipelinePaths):
    settings(folders, "[defaults.delivery]\nspreadsheets = true\n")
    days = [ON + timedelta(days=number) for number in range(1, 4)]
    for on in days:
        night(folders, on)
    sheets = [goals_of(folders, on).with_suffix(".xlsx") for on in days]
    assert sheets[0].samefile(sheets[1])
    sheets[1].unlink()
    sheets[2].unlink()
    night(folders, days[2])
    assert sheets[2].read_bytes() == sheets[0].read_bytes()
    assert {made.since for made in made_on(folders, days[2]) if made.part == "Agg"} == {ON}


def test_a_ledger_of_an_older_version_gets_the_columns_and_makes_all_reports_once(
    folders: PipelinePaths,
):
    with open_ledger(folders.warehouse) as ledger:
        for column in ("basis", "size", "mtime_ns", "since"):
            ledger.database.execute(f"ALTER TABLE made DROP COLUMN {column}")
    night(folders, TOMORROW)
    assert {*shares_bytes(folders, TOMORROW)} == {False}
    night(folders, TOMORROW + timedelta(days=1))
    assert {*shares_bytes(folders, TOMORROW + timedelta(days=1))} == {True}


# --- the outbox -----------------------------------------------------------------------------------


def written(outbox: Outbox, path: str) -> OutboxFile:
    return outbox.put(Path(path), PALM_SPRINGS, b"a,b\r\n1,2\r\n")


@pytest.mark.parametrize("number", [errno.EXDEV, errno.EPERM, errno.EMLINK, errno.EOPNOTSUPP])
def test_a_file_system_that_refuses_links_gets_copies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
):
    outbox = Outbox(tmp_path)
    file = written(outbox, "A/one.csv")

    def refuse(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "link", refuse)
    (carried,) = outbox.carry_over([(file, Path("B/two.csv"))])
    copy = tmp_path / "B/two.csv"
    assert copy.read_bytes() == (tmp_path / "A/one.csv").read_bytes()
    assert copy.stat().st_ino != (tmp_path / "A/one.csv").stat().st_ino
    assert carried.mtime_ns == copy.stat().st_mtime_ns
    assert not [*outbox.unfinished().iterdir()]


def test_other_errors_of_the_file_system_are_not_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    outbox = Outbox(tmp_path)
    file = written(outbox, "A/one.csv")

    def fail(*_: object, **__: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "link", fail)
    with pytest.raises(OSError, match="Input/output"):
        outbox.carry_over([(file, Path("B/two.csv"))])


def test_a_file_is_carried_over_with_all_its_companions_or_not_at_all(tmp_path: Path):
    outbox = Outbox(tmp_path)
    one, two = written(outbox, "A/one.csv"), written(outbox, "A/two.csv")
    (tmp_path / two.path).unlink()
    assert outbox.carry_over([(one, Path("B/one.csv")), (two, Path("B/two.csv"))]) == []
    assert not (tmp_path / "B").exists()


# --- many nights of every kind --------------------------------------------------------------------

SCHOOLS = {PALM_SPRINGS: PALM_SPRINGS_HIGH, HAYWARD: HAYWARD_HIGH, BERKELEY: BERKELEY_HIGH}
_MANY = {
    *("college_and_financial_aid_status", "account_registrations", "applications_and_launches"),
    *("fafsa_applications", "favorites", "csu_eligibility_and_applied"),
}
MANY = [spec for spec in REPORTS if spec.name in _MANY]
NIGHTS = 60


@dataclass
class Weeks:
    """Folders in which something else happens before every night, and what was written so far."""

    folders: PipelinePaths
    chance: random.Random
    on: date = ON
    rosters: dict[str, dict[str, Line]] = field(default_factory=dict)
    courses: dict[str, list[Line]] = field(default_factory=dict)
    profiles: dict[str, str] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)
    linked: Counter[bool] = field(default_factory=Counter)

    def ssid(self) -> str:
        return self.chance.choice([ssid for roster in self.rosters.values() for ssid in roster])

    def begin(self) -> None:
        for place, (cd, school) in enumerate(SCHOOLS.items(), start=1):
            ssids = numbered(place * 1_000_000_000, 14)
            self.rosters[cd] = {ssid: student(ssid, school, "12") for ssid in ssids}
            self.courses[cd] = [course(ssid, school) for ssid in ssids]
            self.send(cd)

    def send(self, cd: str) -> None:
        shutil.rmtree(self.folders.inbox / cd, ignore_errors=True)
        day = f"{self.on:%Y%m%d}"
        put_roster(self.folders.inbox, cd, [*self.rosters[cd].values()], day)
        courses = as_bytes(COURSE_GRADE, self.courses[cd])
        put(self.folders.inbox, f"{cd}/transcript/CourseGrade_{day}.csv", courses)

    # What may happen on a day; each takes its choices from ``chance``.

    def change_a_student(self) -> None:
        cd = self.chance.choice([*SCHOOLS])
        ssid = self.chance.choice([*self.rosters[cd]])
        cells = self.chance.choice(
            [{"Gender": "X"}, {"GradeLevel": "11"}, {"LastName": "Other"}, {"ParentConsent": "N"}]
        )
        self.rosters[cd][ssid] = {**self.rosters[cd][ssid], **cells}
        self.send(cd)

    def let_one_leave_and_one_come(self) -> None:
        cd = self.chance.choice([*SCHOOLS])
        left = self.chance.choice([*self.rosters[cd]])
        del self.rosters[cd][left]
        self.courses[cd] = [line for line in self.courses[cd] if line["StateID"] != left]
        ssid = f"{self.chance.randrange(4, 9)}{self.on:%Y%m%d}1"
        self.rosters[cd][ssid] = student(ssid, SCHOOLS[cd], "12")
        self.send(cd)

    def correct_a_line(self) -> None:
        cd = self.chance.choice([*SCHOOLS])
        ssid = self.chance.choice([*self.rosters[cd]])
        self.rosters[cd][ssid] = {**self.rosters[cd][ssid], "RaceCode1": "700"}
        name = f"{cd}/transcript/corrections/StudentTemplate_{self.on:%Y%m%d}.csv"
        put(self.folders.inbox, name, roster_file([self.rosters[cd][ssid]]))

    def finish_a_course(self) -> None:
        cd = self.chance.choice([*SCHOOLS])
        ssid = self.chance.choice([*self.rosters[cd]])
        number = f"C{self.on:%m%d}"
        self.courses[cd].append(course(ssid, SCHOOLS[cd], number, SubjectArea="C"))
        self.send(cd)

    def list_a_student_of_another(self) -> None:
        cd, other = self.chance.sample([*SCHOOLS], 2)
        ssid = self.chance.choice([*self.rosters[other]])
        cells = {"FirstName": "Mallory", "LastName": "Nobody", "DateOfBirth": "05/05/2009"}
        self.rosters[cd][ssid] = student(ssid, SCHOOLS[cd], "12", **cells)
        self.send(cd)

    def decide_a_claim(self) -> None:
        with writing(self.folders) as connection:
            claims = read_claims(connection)
            if claims:
                claim = self.chance.choice(claims)
                sees = self.chance.choice([listing.cd for listing in claim.listings])
                decide_claim(connection, claim.id, [sees], by="A", reason="asked", on=self.on)

    def events(self, at: str) -> list[Line]:
        made = [
            application(self.ssid(), "Cal State Apply", "Submitted", "CSU Chico", at),
            application(self.ssid(), "UC", "Launched", "UC Davis", at),
            financial_aid(self.ssid(), "FAFSA", "Submitted", at),
            event("account_registrations", self.ssid(), at, AccountType="Partner"),
            event(
                "favorites", self.ssid(), at,
                FavoriteType="Major", FavoriteName="Art", Action="Added",
            ),
        ]  # fmt: skip
        return self.chance.sample(made, 2)

    def have_something_happen(self) -> None:
        at = f"{self.on - timedelta(days=self.chance.randrange(3))}T19:00:00Z"
        put_events(self.folders.inbox, self.events(at), f"{self.on:%Y%m%d}")

    def have_something_happen_in_days_to_come(self) -> None:
        at = f"{self.on + timedelta(days=self.chance.randrange(1, 4))}T19:00:00Z"
        put_events(self.folders.inbox, self.events(at), f"{self.on:%Y%m%d}_late")

    def rename_a_school(self) -> None:
        cd, school = self.chance.choice([*SCHOOLS.items()])
        name = f"School {self.chance.randrange(3)}"
        put_directory(
            self.folders.inbox, [directory_entry(school, "Alameda", f"District {cd}", name)]
        )

    def change_a_setting(self) -> None:
        name, value = self.chance.choice(
            [
                ("[reports]\npercent_decimals", self.chance.choice(["0", "1", "2"])),
                ("[reports]\nopt_out_covers", self.chance.choice(['"details"', '"counts"'])),
                ("[reports]\nunchanged", self.chance.choice(['"copy"', '"link"', '"link"'])),
                ("[reports]\naid_year_starts", self.chance.choice(['"10-01"', '"11-28"'])),
                (
                    f"[districts.{self.chance.choice([*SCHOOLS])}.delivery]\nsmall_cells",
                    self.chance.choice(['"california_10"', '"none"']),
                ),
                (
                    f"[districts.{self.chance.choice([*SCHOOLS])}.delivery]\nspreadsheets",
                    self.chance.choice(["true", "false"]),
                ),
                (
                    f"[districts.{self.chance.choice([*SCHOOLS])}.cadence]\nlegacy_reporting",
                    self.chance.choice(['"week"', '"day"']),
                ),
            ]
        )
        table, _, key = name.partition("\n")
        self.profiles[table] = f"{key} = {value}\n"
        settings(self.folders, "".join(f"{t}\n{line}" for t, line in self.profiles.items()))

    def miss_some_nights(self) -> None:
        self.on += timedelta(days=self.chance.randrange(1, 5))

    def remove_a_file(self) -> None:
        path = self.chance.choice([*self.files])
        (self.folders.outbox / path).unlink()
        del self.files[path]

    def edit_a_file(self) -> None:
        """In place, so its other names show it, too."""
        edited = self.folders.outbox / self.chance.choice([*self.files])
        same = [p for p in self.files if (self.folders.outbox / p).samefile(edited)]
        edited.write_bytes(edited.read_bytes() + b"edited")
        for path in same:
            self.files[path] = edited.read_bytes()

    def purge_what_is_old(self) -> None:
        before = self.on - timedelta(days=self.chance.randrange(2, 20))
        run_purge(self.folders, PurgeSelection(before=before), by="A. Name", reason="old")
        self.files = bytes_below(self.folders.outbox)

    def do_nothing(self) -> None:
        """A night without news."""

    def look(self) -> None:
        """Every file of tonight is what a full night would write, and the others are as before."""
        now = bytes_below(self.folders.outbox)
        made = made_on(self.folders, self.on)
        content = {
            one.path: rebuilt for one, rebuilt in rebuild_files(self.folders.warehouse, made)
        }
        assert [path for path in content if now.get(path) != content[path]] == []
        tonight = {path for path in now if f"_{self.on:%Y%m%d}_" in path}
        assert tonight == {*content}
        former = {path: old for path, old in self.files.items() if path not in tonight}
        assert [path for path in former if now.get(path) != former[path]] == []
        self.linked += shares_bytes(self.folders, self.on)
        self.files = now


ACTS = {
    Weeks.list_a_student_of_another: 2,
    Weeks.decide_a_claim: 2,
    Weeks.have_something_happen: 5,
    Weeks.miss_some_nights: 2,
    Weeks.purge_what_is_old: 1,
    Weeks.do_nothing: 8,
    Weeks.have_something_happen_in_days_to_come: 5,
    Weeks.change_a_student: 4,
    Weeks.change_a_setting: 6,
    Weeks.let_one_leave_and_one_come: 3,
    Weeks.correct_a_line: 3,
    Weeks.finish_a_course: 3,
    Weeks.rename_a_school: 2,
    Weeks.remove_a_file: 3,
    Weeks.edit_a_file: 3,
}
"""What may happen before a night, and how often."""


@pytest.mark.slow
def test_after_weeks_of_changes_each_file_is_what_a_full_night_would_write(tmp_path: Path):
    weeks = Weeks(folders_in(tmp_path), random.Random(8))  # noqa: S311 - no secret
    weeks.begin()
    night(weeks.folders, weeks.on, MANY)
    weeks.look()
    for first in [*ACTS, *[None] * (NIGHTS - len(ACTS))]:
        weeks.on += timedelta(days=1)
        count = weeks.chance.choice([1, 1, 2])
        drawn = weeks.chance.choices([*ACTS], [*ACTS.values()], k=count)
        for act in [first] if first else drawn:
            act(weeks)
        for _ in range(weeks.chance.choice([1, 1, 1, 2])):
            night(weeks.folders, weeks.on, MANY)
            weeks.look()
    assert weeks.linked[True] > weeks.linked[False], weeks.linked
