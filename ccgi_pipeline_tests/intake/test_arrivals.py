"""Receiving: what is new in the inbox, night after night.

Belongs here: new, touched, duplicate and growing files, in a real inbox with a real archive.
"""

from __future__ import annotations

import math
import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ccgi_pipeline.feeds.platform import GOALS, JOURNALS
from ccgi_pipeline.feeds.registry import FAMILIES
from ccgi_pipeline.feeds.spec import FamilySpec
from ccgi_pipeline.feeds.transcript import COURSE_GRADE, MANIFEST, STUDENT
from ccgi_pipeline.intake.archive import OVERSIZE, Archive
from ccgi_pipeline.intake.arrivals import (
    DropHistory,
    ReceivedDrops,
    RememberedFile,
    ScanTerms,
    scan_inboxes,
)
from ccgi_pipeline.intake.inbox import list_inbox
from ccgi_pipeline.intake.sources import Inboxes, LocalInbox
from ccgi_pipeline_tests.files import DISTRICT, good_file, usual_name
from ccgi_pipeline_tests.intake.scans import received_from
from ccgi_pipeline_tests.intake.test_archive import let_files_grow


class Inbox:
    """An inbox with what a warehouse would remember of it from night to night."""

    def __init__(self, root: Path) -> None:
        self.path = root / "inbox"
        self.archive = Archive(root / "archive")
        self._remembered: dict[str, RememberedFile] = {}
        self._history = DropHistory()

    def put(self, path: str, content: bytes) -> None:
        (self.path / path).parent.mkdir(parents=True, exist_ok=True)
        (self.path / path).write_bytes(content)

    def night(
        self, only: str | None = None, inbox: Path | None = None, largest: float = math.inf
    ) -> ReceivedDrops:
        received = received_from(
            inbox or self.path, self.archive, self._remembered, self._history, only, largest=largest
        )
        self._history = DropHistory(
            self._history.drops | {drop.id for drop in received.drops},
            {
                **self._history.newest,
                **{(drop.sender, drop.family): drop.id for drop in received.drops},
            },
        )
        for file, _ in received.touched:
            self._remembered[file.shown] = replace(self._remembered[file.shown], stamp=file.stamp)
        for drop in (*received.drops, *received.duplicates):
            for file, sha256 in drop.files:
                self._remembered[file.shown] = RememberedFile(file.stamp, sha256, drop.id)
        return received


@pytest.fixture
def inbox(tmp_path: Path) -> Inbox:
    return Inbox(tmp_path)


def _names(received: ReceivedDrops) -> list[list[str]]:
    return [[file.name for file, _ in drop.files] for drop in received.drops]


FOLDER = f"{DISTRICT}/transcript"


def test_a_new_file_is_archived_and_makes_a_drop(inbox: Inbox):
    inbox.put(f"{FOLDER}/Student.csv", b"one")
    received = inbox.night()
    assert _names(received) == [["Student.csv"]]
    (_, sha256) = received.drops[0].files[0]
    assert inbox.archive.read(sha256) == b"one"


def test_a_file_that_was_taken_is_not_taken_again(inbox: Inbox):
    inbox.put(f"{FOLDER}/Student.csv", b"one")
    inbox.night()
    assert inbox.night() == ReceivedDrops((), (), (), (), ())


def test_of_a_file_beyond_the_limit_no_byte_is_copied_until_the_limit_is_raised(inbox: Inbox):
    inbox.put(f"{FOLDER}/Student.csv", b"one")
    inbox.put("1234567/transcript/Sparse.csv", b"")
    os.truncate(inbox.path / "1234567" / "transcript" / "Sparse.csv", 10 << 30)
    received = inbox.night(largest=1000)
    assert _names(received) == [["Sparse.csv"], ["Student.csv"]]
    assert [inbox.archive.size(drop.files[0][1]) for drop in received.drops] == [OVERSIZE, 3]
    assert sum(path.stat().st_size for path in inbox.archive.files()) < 1000
    assert inbox.night(largest=1000).drops == ()
    inbox.put("1234567/transcript/Sparse.csv", b"not so large after all")
    assert inbox.archive.size(inbox.night(largest=1000).drops[0].files[0][1]) == 22
    inbox.put(f"{FOLDER}/Student.csv", bytes(2000))
    assert inbox.archive.size(inbox.night(largest=1000).drops[0].files[0][1]) == OVERSIZE
    assert inbox.archive.size(inbox.night(largest=2000).drops[0].files[0][1]) == 2000


def test_a_file_of_a_server_that_was_too_large_is_not_removed_there(inbox: Inbox):
    inbox.put(f"{FOLDER}/Large.csv", bytes(2000))
    inbox.put(f"{FOLDER}/Small.csv", bytes(20))
    inbox.night(largest=1000)
    inboxes = Inboxes([LocalInbox(inbox.path)], largest=1000)
    terms = ScanTerms(datetime.now(UTC), timedelta(), wait_for_local=False)
    scan, _ = scan_inboxes(inboxes, inbox._remembered, {}, terms)
    assert [file.name for _, file in scan.taken] == ["Small.csv"]


def test_a_file_with_new_content_under_its_old_name_is_a_new_drop(inbox: Inbox):
    inbox.put(f"{FOLDER}/Student.csv", b"one")
    first = inbox.night()
    inbox.put(f"{FOLDER}/Student.csv", b"two, and longer")
    second = inbox.night()
    assert _names(second) == [["Student.csv"]]
    assert second.drops[0].id != first.drops[0].id


def test_a_file_that_was_only_touched_makes_no_drop(inbox: Inbox):
    inbox.put(f"{FOLDER}/Student.csv", b"one")
    inbox.night()
    os.utime(inbox.path / FOLDER / "Student.csv", (1, 1))
    received = inbox.night()
    assert [file.name for file, _ in received.touched] == ["Student.csv"]
    assert received.drops == received.duplicates == ()
    assert inbox.night().touched == ()


def test_known_content_under_a_new_name_is_a_duplicate(inbox: Inbox):
    inbox.put(f"{FOLDER}/Student_20261119.csv", b"one")
    first = inbox.night()
    inbox.put(f"{FOLDER}/Student_20261120.csv", b"one")
    received = inbox.night()
    assert received.drops == ()
    assert [drop.id for drop in received.duplicates] == [first.drops[0].id]


def test_an_older_package_that_comes_again_after_a_newer_one_is_a_drop_again(inbox: Inbox):
    inbox.put(f"{FOLDER}/Student_20261118.csv", b"one")
    first = inbox.night().drops[0].id
    inbox.put(f"{FOLDER}/Student_20261119.csv", b"two")
    inbox.night()
    inbox.put(f"{FOLDER}/Student_20261120.csv", b"one")
    again = inbox.night()
    assert [drop.id for drop in again.drops] == [f"{first}-2"]
    inbox.put(f"{FOLDER}/Student_20261121.csv", b"one")
    assert [drop.id for drop in inbox.night().duplicates] == [f"{first}-2"]
    inbox.put(f"{FOLDER}/Student_20261122.csv", b"two")
    inbox.night()
    inbox.put(f"{FOLDER}/Student_20261123.csv", b"one")
    assert [drop.id for drop in inbox.night().drops] == [f"{first}-3"]


def test_the_same_package_twice_in_one_night_is_one_drop_and_one_duplicate(inbox: Inbox):
    inbox.put(f"{FOLDER}/p_20261119.zip", b"zip")
    inbox.put(f"{FOLDER}/p_20261120.zip", b"zip")
    received = inbox.night()
    assert len(received.drops) == len(received.duplicates) == 1


def test_the_same_content_from_two_districts_is_two_drops(inbox: Inbox):
    inbox.put(f"{FOLDER}/Student.csv", b"one")
    inbox.put("0110017/transcript/Student.csv", b"one")
    received = inbox.night()
    assert {drop.sender for drop in received.drops} == {DISTRICT, "0110017"}
    assert received.duplicates == ()


def test_a_look_at_one_sender_leaves_the_others_for_later(inbox: Inbox):
    inbox.put(f"{FOLDER}/Student.csv", b"one")
    inbox.put("0110017/transcript/Student.csv", b"two")
    assert {drop.sender for drop in inbox.night(only=DISTRICT).drops} == {DISTRICT}
    assert {drop.sender for drop in inbox.night().drops} == {"0110017"}


def test_a_file_that_grows_while_it_is_read_is_taken_when_it_has_ended(
    inbox: Inbox, monkeypatch: pytest.MonkeyPatch
):
    inbox.put(f"{FOLDER}/Student.csv", b"one")
    with monkeypatch.context() as patched:
        let_files_grow(patched)
        growing = inbox.night()
    assert [file.name for file in growing.postponed] == ["Student.csv"]
    assert growing.drops == ()
    assert _names(inbox.night()) == [["Student.csv"]]


def test_a_file_with_an_unknown_name_has_the_family_of_its_header(inbox: Inbox):
    inbox.put(f"{DISTRICT}/export.csv", good_file(STUDENT))
    inbox.put(f"{DISTRICT}/notes.csv", b"hello\n")
    families = {drop.files[0][0].name: drop.family for drop in inbox.night().drops}
    assert families == {"export.csv": "transcript", "notes.csv": "unknown"}


def test_a_file_in_no_senders_folder_stays_there_and_is_told_every_night(inbox: Inbox):
    inbox.put("StudentTemplate.csv", good_file(STUDENT))
    inbox.put("somebody/transcript/Student.csv", b"one")
    for received in (inbox.night(), inbox.night(only=DISTRICT)):
        assert received.drops == ()
        assert [file.path for file in received.strays] == [
            "StudentTemplate.csv",
            "somebody/transcript/Student.csv",
        ]
    assert not inbox.archive.root.exists()


def test_a_district_cannot_send_what_only_a_statewide_sender_sends(inbox: Inbox):
    inbox.put(f"{DISTRICT}/export.csv", good_file(GOALS))
    inbox.put(f"{DISTRICT}/platform/goals.csv", good_file(GOALS))
    assert {drop.family for drop in inbox.night().drops} == {"unknown"}


def test_every_listed_file_is_in_one_group_of_the_answer(inbox: Inbox):
    for number in range(5):
        inbox.put(f"{FOLDER}/{number}/Student_2026112{number}.csv", bytes([number % 3]))
    received = inbox.night()
    taken = [
        file.path for drop in (*received.drops, *received.duplicates) for file, _ in drop.files
    ]
    assert sorted(taken) == [file.path for file in list_inbox(inbox.path)]


def test_progress_hears_of_each_file_that_is_taken(inbox: Inbox):
    inbox.put(f"{FOLDER}/a.csv", b"one")
    inbox.put("0110017/transcript/b.csv", b"two")
    heard: list[str] = []
    received_from(inbox.path, inbox.archive, {}, DropHistory(), progress=heard.append)
    assert heard == ["0110017", DISTRICT]


# --- a folder whose files are overwritten ---------------------------------------------------------


def _put_set(inbox: Inbox, family: FamilySpec, folder: str, **changed: bytes) -> set[str]:
    """Puts a good file of each feed, with the content of ``changed`` instead; returns the names."""
    names = set()
    for feed in family.feeds:
        content = changed.get(feed.name, good_file(feed, 3, DISTRICT))
        inbox.put(f"{folder}/{usual_name(feed)}", content)
        names.add(usual_name(feed))
    return names


_SETS = [
    family for family in FAMILIES.values() if family.sender is None and not family.independent_files
]


@pytest.mark.parametrize("family", _SETS, ids=lambda family: family.name)
@pytest.mark.parametrize("way", ["the others stay", "the others are written again"])
def test_a_file_that_changes_brings_the_other_files_of_its_folder(
    inbox: Inbox, family: FamilySpec, way: str
):
    folder = f"{DISTRICT}/{family.name}"
    names = _put_set(inbox, family, folder)
    inbox.night()
    feed = family.feeds[1]
    changed = good_file(feed, 2, DISTRICT)
    if way == "the others stay":
        inbox.put(f"{folder}/{usual_name(feed)}", changed)
    else:
        _put_set(inbox, family, folder, **{feed.name: changed})
    (drop,) = inbox.night().drops
    assert {file.name for file, _ in drop.files} == names
    assert inbox.night().drops == ()


@pytest.mark.parametrize("family", _SETS, ids=lambda family: family.name)
def test_a_set_is_the_same_drop_whatever_lay_in_the_inbox_before(
    tmp_path: Path, family: FamilySpec
):
    folder = f"{DISTRICT}/{family.name}"
    feed = family.feeds[1]
    alone, overwritten = Inbox(tmp_path / "alone"), Inbox(tmp_path / "overwritten")
    _put_set(overwritten, family, folder)
    overwritten.night()
    for inbox in (alone, overwritten):
        _put_set(inbox, family, folder, **{feed.name: good_file(feed, 2, DISTRICT)})
    assert [drop.id for drop in alone.night().drops] == [
        drop.id for drop in overwritten.night().drops
    ]


def test_files_known_by_their_header_alone_are_a_set_too(inbox: Inbox):
    inbox.put(f"{DISTRICT}/a.csv", good_file(STUDENT, 3, DISTRICT))
    inbox.put(f"{DISTRICT}/b.csv", good_file(COURSE_GRADE, 3, DISTRICT))
    inbox.night()
    inbox.put(f"{DISTRICT}/b.csv", good_file(COURSE_GRADE, 2, DISTRICT))
    assert _names(inbox.night()) == [["a.csv", "b.csv"]]


def test_an_unchanged_file_is_left_out_where_another_of_its_feed_arrives(inbox: Inbox):
    inbox.put(f"{FOLDER}/North_StudentTemplate.csv", good_file(STUDENT, 3, DISTRICT))
    inbox.put(f"{FOLDER}/Manifest.csv", good_file(MANIFEST, 1, DISTRICT))
    inbox.night()
    inbox.put(f"{FOLDER}/New_StudentTemplate.csv", good_file(STUDENT, 2, DISTRICT))
    assert _names(inbox.night()) == [["Manifest.csv", "New_StudentTemplate.csv"]]


def test_an_unchanged_file_is_left_out_once_another_delivery_came_since(inbox: Inbox):
    inbox.put(f"{FOLDER}/StudentTemplate.csv", good_file(STUDENT, 3, DISTRICT))
    inbox.put(f"{FOLDER}/CourseGradeTemplate.csv", good_file(COURSE_GRADE, 3, DISTRICT))
    inbox.night()
    inbox.put(f"{FOLDER}/package.zip", b"a newer package")
    inbox.night()
    inbox.put(f"{FOLDER}/CourseGradeTemplate.csv", good_file(COURSE_GRADE, 2, DISTRICT))
    assert _names(inbox.night()) == [["CourseGradeTemplate.csv"]]


def test_corrections_stand_for_themselves(inbox: Inbox):
    folder = f"{FOLDER}/corrections"
    inbox.put(f"{folder}/StudentTemplate.csv", good_file(STUDENT, 3, DISTRICT))
    inbox.night()
    inbox.put(f"{folder}/CourseGradeTemplate.csv", good_file(COURSE_GRADE, 3, DISTRICT))
    assert _names(inbox.night()) == [["CourseGradeTemplate.csv"]]


def test_files_of_a_family_whose_files_are_independent_stand_for_themselves(inbox: Inbox):
    inbox.put("platform/goals.csv", good_file(GOALS, 3))
    inbox.put("platform/journals.csv", good_file(JOURNALS, 3))
    inbox.night()
    inbox.put("platform/goals.csv", good_file(GOALS, 2))
    assert _names(inbox.night()) == [["goals.csv"]]


def test_an_unchanged_file_whose_bytes_were_purged_is_archived_again(inbox: Inbox):
    inbox.put(f"{FOLDER}/StudentTemplate.csv", good_file(STUDENT, 3, DISTRICT))
    inbox.put(f"{FOLDER}/Manifest.csv", good_file(MANIFEST, 1, DISTRICT))
    first = inbox.night()
    for _, sha256 in first.drops[0].files:
        inbox.archive.path(sha256).unlink()
    inbox.put(f"{FOLDER}/StudentTemplate.csv", good_file(STUDENT, 2, DISTRICT))
    (drop,) = inbox.night().drops
    assert [file.name for file, _ in drop.files] == ["Manifest.csv", "StudentTemplate.csv"]
    assert all(inbox.archive.has(sha256) for _, sha256 in drop.files)
