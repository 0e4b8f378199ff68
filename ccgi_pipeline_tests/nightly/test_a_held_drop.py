"""A full set that would end far too much is held, until an operator has answered.

Belongs here: nights over OneRoster sets and rosters that shrink too fast, and the answers to them.
Whether the guard and a plain model hold the same drops over many nights is tested in
``warehouse/test_oneroster_histories``.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from datetime import date, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from ccgi_pipeline.cli import main
from ccgi_pipeline.feeds.oneroster import CLASSES, COURSES, ENROLLMENTS, ORGS, USERS
from ccgi_pipeline.feeds.transcript import STUDENT
from ccgi_pipeline.nightly.paths import PipelinePaths
from ccgi_pipeline.warehouse.load import approvals
from ccgi_pipeline.warehouse.load.approvals import Hold
from ccgi_pipeline.warehouse.load.roster_guard import (
    ANOTHER_DISTRICT,
    EMPTY,
    HALF,
    LOST_ZEROS,
    MANY_NEW,
    NEW_IDS,
)
from ccgi_pipeline.warehouse.storage.connection import open_warehouse
from ccgi_pipeline_tests.files import as_bytes
from ccgi_pipeline_tests.foster_focus import Line
from ccgi_pipeline_tests.nightly.inboxes import (
    HAYWARD,
    PALM_SPRINGS,
    PALM_SPRINGS_HIGH,
    line_of,
    numbered,
    put,
    put_roster,
    students,
)
from ccgi_pipeline_tests.nightly.nights import Outbox, folders_in, load_and_answer

MONDAY = date(2026, 11, 16)
STUDENTS = 60
Files = dict[str, bytes]


def a_set(prefix: str = "0", numbers: range = range(STUDENTS)) -> Files:
    """A set of one school, its ids beginning with ``prefix``; each student is in two classes."""
    school = f"{prefix}900"
    classes = [f"{prefix}7{number:03d}" for number in range(10)]
    user = f"{prefix}1{{:04d}}".format
    return {
        "orgs.csv": as_bytes(
            ORGS, [line_of(ORGS, {"sourcedId": school, "name": "High", "type": "school"})]
        ),
        "courses.csv": as_bytes(
            COURSES,
            [line_of(COURSES, {"sourcedId": f"{prefix}800", "title": "A", "orgSourcedId": school})],
        ),
        "classes.csv": as_bytes(CLASSES, [_class(id_, school, f"{prefix}800") for id_ in classes]),
        "users.csv": as_bytes(USERS, [_student(user(number), school) for number in numbers]),
        "enrollments.csv": as_bytes(
            ENROLLMENTS,
            [
                line_of(
                    ENROLLMENTS,
                    {
                        "sourcedId": f"{user(number)}-{place}",
                        "classSourcedId": classes[(number + place) % len(classes)],
                        "schoolSourcedId": school,
                        "userSourcedId": user(number),
                        "role": "student",
                    },
                )
                for number in numbers
                for place in range(2)
            ],
        ),
    }


def _class(id_: str, school: str, course: str) -> Line:
    return line_of(
        CLASSES,
        {
            "sourcedId": id_,
            "title": f"Class {id_}",
            "courseSourcedId": course,
            "classType": "scheduled",
            "schoolSourcedId": school,
            "termSourcedIds": "T1",
        },
    )


def _student(id_: str, school: str) -> Line:
    cells = {
        "enabledUser": "true",
        "orgSourcedIds": school,
        "role": "student",
        "username": f"user{id_}",
        "givenName": "Given",
        "familyName": "Family",
        "grades": "10",
    }
    return line_of(USERS, {"sourcedId": id_, **cells})


def send(
    folders: PipelinePaths, files: Mapping[str, bytes], on: date, cd: str = PALM_SPRINGS
) -> None:
    """Puts a day's set into the inbox."""
    for name, content in files.items():
        put(folders.inbox, f"{cd}/oneroster/{on:%Y-%m-%d}/{name}", content)


def night(
    folders: PipelinePaths, files: Mapping[str, bytes], on: date, cd: str = PALM_SPRINGS
) -> None:
    """One night over a day's set."""
    send(folders, files, on, cd)
    load_and_answer(folders, on)


def held(folders: PipelinePaths) -> list[Hold]:
    """What is held."""
    with open_warehouse(folders.warehouse, read_only=True) as connection:
        return approvals.read_holds(connection)


def active(folders: PipelinePaths, cd: str = PALM_SPRINGS) -> dict[str, int]:
    """Active records by file."""
    with open_warehouse(folders.warehouse, read_only=True) as connection:
        return {
            feed.name.removeprefix("oneroster_"): connection.execute(
                f"SELECT count(*) FROM {feed.name} WHERE _active AND _sender = ?",  # noqa: S608
                [cd],
            ).fetchone()[0]
            for feed in (ORGS, CLASSES, USERS, ENROLLMENTS)
        }


ALL = {"orgs": 1, "classes": 10, "users": STUDENTS, "enrollments": 2 * STUDENTS}


@pytest.fixture
def folders(tmp_path: Path) -> PipelinePaths:
    """A district whose full set was loaded on Monday."""
    made = folders_in(tmp_path)
    night(made, a_set(), MONDAY)
    assert active(made) == ALL
    return made


# --- what is held ---------------------------------------------------------------------------------


def _half(content: bytes) -> bytes:
    lines = content.splitlines(keepends=True)
    return b"".join(lines[: 1 + len(lines) // 2])


def _cut(content: bytes) -> bytes:
    return content[: len(content) // 2]


def _header(content: bytes) -> bytes:
    return content.splitlines(keepends=True)[0]


def _without_zeros(content: bytes) -> bytes:
    header, *lines = content.decode().splitlines()
    cells = [[cell.lstrip("0") for cell in line.split(",")] for line in lines]
    return "\n".join([header, *map(",".join, cells), ""]).encode()


def _of_file(name: str, damage: Callable[[bytes], bytes]) -> Callable[[], Files]:
    return lambda: {**a_set(), name: damage(a_set()[name])}


BAD_SETS: dict[str, tuple[Callable[[], Files], str]] = {
    "half of the users": (_of_file("users.csv", _half), HALF),
    "users cut within a line": (_of_file("users.csv", _cut), HALF),
    "half of the enrollments": (_of_file("enrollments.csv", _half), HALF),
    "half of the classes": (_of_file("classes.csv", _half), HALF),
    "users without a line": (_of_file("users.csv", _header), EMPTY),
    "enrollments without a byte": (_of_file("enrollments.csv", lambda _: b""), EMPTY),
    "no school": (_of_file("orgs.csv", _header), EMPTY),
    "lost zeros": (lambda: {n: _without_zeros(c) for n, c in a_set().items()}, LOST_ZEROS),
    "new ids": (lambda: a_set(prefix="9"), NEW_IDS),
}


@pytest.mark.slow
@pytest.mark.parametrize("damage", BAD_SETS)
def test_a_set_that_would_end_too_much_is_held_with_its_likely_cause(
    folders: PipelinePaths, damage: str
):
    made, cause = BAD_SETS[damage]
    tuesday = MONDAY + timedelta(days=1)
    night(folders, made(), tuesday)
    (hold,) = held(folders)
    assert cause in {loss.cause for loss in hold.losses}
    assert active(folders) == ALL
    (receipt,) = Outbox(folders.outbox).receipts("PalmSpringsUnified", tuesday)
    assert receipt["verdict"] == "held"
    told = [f for file in receipt["files"] for f in file["findings"] if f["rule"] == "FILE-HELD"]
    assert any(cause in finding["message"] for finding in told)
    for file in receipt["files"]:
        assert set(file["fates"]) <= {"held", "rejected"}
        assert sum(file["fates"].values()) == file["lines"]


@pytest.mark.slow
def test_the_file_of_another_district_is_told_as_such(folders: PipelinePaths):
    night(folders, a_set(prefix="5"), MONDAY + timedelta(days=1), HAYWARD)
    night(folders, a_set(prefix="5"), MONDAY + timedelta(days=2))
    (hold,) = held(folders)
    assert hold.sender == PALM_SPRINGS
    assert {loss.cause for loss in hold.losses} == {ANOTHER_DISTRICT}
    assert active(folders) == ALL == active(folders, HAYWARD)


@pytest.mark.slow
def test_a_normal_week_is_not_held(folders: PipelinePaths):
    for day in range(1, 5):
        night(folders, a_set(numbers=range(day, STUDENTS + 2 * day)), MONDAY + timedelta(days=day))
    assert held(folders) == []
    assert active(folders)["users"] == STUDENTS + 4


def test_changes_are_never_held(folders: PipelinePaths):
    names = ("manifest.version", "oneroster.version", "file.users")
    said = zip(names, ("1.0", "1.1", "delta"), strict=True)
    gone = [
        {
            **_student(f"01{number:04d}", "0900"),
            "status": "tobedeleted",
            "dateLastModified": "2026-11-17T08:00:00.000Z",
        }
        for number in range(40)
    ]
    manifest = "propertyName,value\n" + "".join(f"{name},{value}\n" for name, value in said)
    files = {"manifest.csv": manifest.encode(), "users.csv": as_bytes(USERS, gone)}
    night(folders, files, MONDAY + timedelta(days=1))
    assert held(folders) == []
    assert active(folders)["users"] == 20


def test_a_school_that_loses_too_many_is_held_though_the_district_does_not(tmp_path: Path):
    folders = folders_in(tmp_path)
    small = [_student(f"s{n}", "small") for n in range(40)]
    large = [_student(f"l{n}", "large") for n in range(400)]
    night(folders, {"users.csv": as_bytes(USERS, [*small, *large])}, MONDAY)
    fewer = as_bytes(USERS, [*small[25:], *large])
    night(folders, {"users.csv": fewer}, MONDAY + timedelta(days=1))
    (hold,) = held(folders)
    assert [(t.school, t.would_end, t.active) for t in hold.losses] == [("small", 25, 40)]


def test_half_a_roster_is_held_and_the_last_good_one_stands(tmp_path: Path):
    folders = folders_in(tmp_path)
    everyone = students(numbered(9_000_000_001, 40), PALM_SPRINGS_HIGH)
    put_roster(folders.inbox, PALM_SPRINGS, everyone, "20261116")
    load_and_answer(folders, MONDAY)
    put_roster(folders.inbox, PALM_SPRINGS, everyone[:20], "20261117")
    load_and_answer(folders, MONDAY + timedelta(days=1))
    (hold,) = held(folders)
    assert hold.family == "transcript"
    with open_warehouse(folders.warehouse, read_only=True) as connection:
        count = connection.execute("SELECT count(*) FROM transcript_student WHERE _active")
        assert count.fetchone()[0] == 40


def _roster(folders: PipelinePaths, count: int, on: date, first: int = 9_000_000_001) -> None:
    """One night over a roster of ``count`` students."""
    sent = students(numbered(first, count), PALM_SPRINGS_HIGH)
    put_roster(folders.inbox, PALM_SPRINGS, sent, f"{on:%Y%m%d}")
    load_and_answer(folders, on)


def test_a_roster_that_grows_too_fast_is_held_until_it_is_approved(tmp_path: Path):
    folders = folders_in(tmp_path)
    tuesday, wednesday = MONDAY + timedelta(days=1), MONDAY + timedelta(days=2)
    _roster(folders, 150, MONDAY)  # a first roster may have any size
    _roster(folders, 205, tuesday)
    (hold,) = held(folders)
    (loss,) = hold.losses
    assert (loss.would_end, loss.would_add, loss.active, loss.cause) == (0, 55, 150, MANY_NEW)
    (receipt,) = Outbox(folders.outbox).receipts("PalmSpringsUnified", tuesday)
    assert receipt["verdict"] == "held"
    told = [finding for file in receipt["files"] for finding in file["findings"]]
    assert any("55 new records of student would be added to 150" in f["message"] for f in told)
    assert "55" in _hold(folders, "list")
    _answered(folders, "approve", wednesday)
    load_and_answer(folders, wednesday)
    assert held(folders) == []
    with open_warehouse(folders.warehouse, read_only=True) as connection:
        count = connection.execute("SELECT count(*) FROM transcript_student WHERE _active")
        assert count.fetchone()[0] == 205


@pytest.mark.parametrize(
    ("known", "sent", "settings"),
    [
        pytest.param(10, 59, "", id="few"),
        pytest.param(400, 480, "", id="a small share", marks=pytest.mark.slow),
        pytest.param(
            150, 205, "[defaults.guard]\ngrowth = 0.5\n", id="a setting", marks=pytest.mark.slow
        ),
    ],
)
def test_a_roster_may_grow_as_a_district_does(tmp_path: Path, known: int, sent: int, settings: str):
    folders = folders_in(tmp_path)
    folders.warehouse.mkdir(exist_ok=True)
    (folders.warehouse / "profiles.toml").write_text(settings)
    _roster(folders, known, MONDAY)
    _roster(folders, sent, MONDAY + timedelta(days=1))
    assert held(folders) == []


def test_corrections_add_no_crowd_of_students(tmp_path: Path):
    folders = folders_in(tmp_path)
    _roster(folders, 60, MONDAY)
    put(
        folders.inbox,
        f"{PALM_SPRINGS}/transcript/corrections/StudentTemplate.csv",
        as_bytes(STUDENT, students(numbered(9_100_000_001, 60), PALM_SPRINGS_HIGH)),
    )
    load_and_answer(folders, MONDAY + timedelta(days=1))
    (hold,) = held(folders)
    assert hold.would_add == 60


def test_users_are_guarded_against_growth_too(folders: PipelinePaths):
    night(folders, a_set(numbers=range(STUDENTS + 50)), MONDAY + timedelta(days=1))
    (hold,) = held(folders)
    assert [(t.feed, t.would_add, t.active) for t in hold.losses] == [("oneroster_users", 50, 60)]


# --- what operators answer ------------------------------------------------------------------------


def _hold(folders: PipelinePaths, *arguments: str) -> str:
    command = ["hold", arguments[0], *arguments[1:], "--warehouse", str(folders.warehouse)]
    result = CliRunner().invoke(main, command, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def _answered(folders: PipelinePaths, answer: str, on: date, *more: str) -> None:
    (hold,) = held(folders)
    who = ("--by", "A. Name", "--reason", "by phone", "--date", f"{on:%Y-%m-%d}")
    _hold(folders, answer, hold.drop[:8], *who, *more)


@pytest.fixture
def halved(folders: PipelinePaths) -> PipelinePaths:
    """The district, with half a set held on Tuesday."""
    night(folders, a_set(numbers=range(STUDENTS // 2)), MONDAY + timedelta(days=1))
    assert len(held(folders)) == 1
    return folders


def test_an_approved_drop_is_loaded_by_the_next_night(halved: PipelinePaths):
    wednesday = MONDAY + timedelta(days=2)
    _answered(halved, "approve", wednesday)
    load_and_answer(halved, wednesday)
    assert held(halved) == []
    assert active(halved)["users"] == STUDENTS // 2
    (receipt,) = Outbox(halved.outbox).receipts("PalmSpringsUnified", wednesday)
    assert receipt["verdict"].startswith("accepted")


@pytest.mark.slow
def test_an_approved_drop_is_loaded_though_its_files_are_gone_from_the_inbox(halved: PipelinePaths):
    wednesday = MONDAY + timedelta(days=2)
    for path in halved.inbox.rglob("*.csv"):
        path.unlink()
    _answered(halved, "approve", wednesday)
    load_and_answer(halved, wednesday)
    assert active(halved)["users"] == STUDENTS // 2


@pytest.mark.slow
def test_an_approved_drop_that_came_twice_is_loaded_once(halved: PipelinePaths):
    tuesday = halved.inbox / PALM_SPRINGS / "oneroster" / f"{MONDAY + timedelta(days=1):%Y-%m-%d}"
    shutil.copytree(tuesday, tuesday.with_name("again"))
    wednesday = MONDAY + timedelta(days=2)
    load_and_answer(halved, wednesday)  # a duplicate
    _answered(halved, "approve", wednesday)
    for path in halved.inbox.rglob("*.csv"):
        path.unlink()
    load_and_answer(halved, wednesday + timedelta(days=1))
    assert active(halved)["users"] == STUDENTS // 2
    told = Outbox(halved.outbox).receipts("PalmSpringsUnified", wednesday + timedelta(days=1))
    (approved,) = [receipt for receipt in told if receipt["verdict"] != "duplicate"]
    assert approved["verdict"].startswith("accepted")
    assert len(approved["files"]) == len(a_set())


@pytest.mark.slow
def test_an_approved_drop_is_loaded_as_it_came_though_a_file_was_overwritten(halved: PipelinePaths):
    tuesday = f"{PALM_SPRINGS}/oneroster/{MONDAY + timedelta(days=1):%Y-%m-%d}"
    put(halved.inbox, f"{tuesday}/users.csv", _header(a_set()["users.csv"]))
    wednesday = MONDAY + timedelta(days=2)
    load_and_answer(halved, wednesday)
    first = min(held(halved), key=lambda hold: hold.night)
    who = ("--by", "A. Name", "--reason", "by phone", "--date", f"{wednesday:%Y-%m-%d}")
    _hold(halved, "approve", first.drop, *who)
    load_and_answer(halved, wednesday + timedelta(days=1))
    assert active(halved)["users"] == STUDENTS // 2


@pytest.mark.slow
def test_adds_only_loads_the_drop_and_ends_nothing(halved: PipelinePaths):
    wednesday = MONDAY + timedelta(days=2)
    _answered(halved, "approve", wednesday, "--adds-only")
    load_and_answer(halved, wednesday)
    assert held(halved) == []
    assert active(halved) == ALL


@pytest.mark.slow
def test_a_discarded_drop_is_left_for_good(halved: PipelinePaths):
    wednesday = MONDAY + timedelta(days=2)
    _answered(halved, "discard", wednesday)
    load_and_answer(halved, wednesday)
    (hold,) = held(halved)
    assert hold.state == "discarded by A. Name"
    assert active(halved) == ALL


@pytest.mark.slow
def test_an_approval_that_is_not_used_in_time_expires(halved: PipelinePaths):
    _answered(halved, "approve", MONDAY)
    load_and_answer(halved, MONDAY + timedelta(days=8))
    (hold,) = held(halved)
    assert hold.decision is None
    assert active(halved) == ALL


@pytest.mark.slow
def test_a_held_drop_is_obsolete_once_a_newer_one_was_loaded(halved: PipelinePaths):
    night(halved, a_set(numbers=range(STUDENTS + 1)), MONDAY + timedelta(days=2))
    (hold,) = held(halved)
    assert hold.state == "obsolete: a newer drop was loaded"
    arguments = ["hold", "approve", hold.drop, "--warehouse", str(halved.warehouse)]
    result = CliRunner().invoke(main, [*arguments, "--by", "A", "--reason", "B"])
    assert result.exit_code == 1
    assert "would go back" in result.output
    assert active(halved)["users"] == STUDENTS + 1


def test_an_operator_sees_what_would_end_and_no_pupil(halved: PipelinePaths):
    listed = _hold(halved, "list")
    (hold,) = held(halved)
    shown = _hold(halved, "show", hold.drop)
    assert hold.drop in listed
    assert "oneroster_users" in shown
    assert "30" in shown
    assert HALF in shown
    assert "Given" not in listed + shown


@pytest.mark.slow
def test_an_answer_to_a_drop_that_is_not_held_is_refused(halved: PipelinePaths):
    arguments = ["hold", "show", "ffff", "--warehouse", str(halved.warehouse)]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 1
    assert "0 held drops begin with ffff" in result.output
