"""The inbox: whose a file is, which files are whole, and which were delivered together.

Belongs here: paths, names and grouping. What is done with a new file is tested in receiving.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from ccgi_pipeline.feeds.registry import DISTRICT_FAMILIES
from ccgi_pipeline.intake.inbox import (
    NO_SENDER,
    UNKNOWN_FAMILY,
    InboxFile,
    Listing,
    drop_id,
    group_drops,
    is_cd_code,
    list_inbox,
    scan_folder,
    sender_and_family,
)
from ccgi_pipeline.intake.sources import open_inboxes
from ccgi_pipeline.profiles import Profiles
from ccgi_pipeline_tests.vanishing_files import once_listed

CD = "3367173"
ARABIC_DIGITS = "\u0663\u0663\u0666\u0667\u0661\u0667\u0663"


@pytest.mark.parametrize(
    ("path", "owner"),
    [
        ("3367173/transcript/StudentTemplate.csv", (CD, "transcript")),
        ("3367173/transcript/2026/november/x.zip", (CD, "transcript")),
        ("3367173/uploads/Transcript/x.csv", (CD, "transcript")),
        ("3367173/TRANSCRIPT/StudentTemplate.csv", (CD, "transcript")),
        ("3367173/StudentTemplate_20261120.csv", (CD, "transcript")),
        ("3367173/somewhere/CourseGrade.csv", (CD, "transcript")),
        ("3367173/notes.txt", (CD, UNKNOWN_FAMILY)),
        ("3367173/transcript", (CD, UNKNOWN_FAMILY)),
        ("platform/goals.csv", ("platform", "platform")),
        ("platform/2026/any name.csv", ("platform", "platform")),
        ("cde/pubschls.txt", ("cde", "cde_directory")),
        ("3367173/platform/goals.csv", (CD, UNKNOWN_FAMILY)),
        ("3367173/goals.csv", (CD, UNKNOWN_FAMILY)),
        ("3367173/cde_directory/pubschls.txt", (CD, UNKNOWN_FAMILY)),
        ("StudentTemplate.csv", (NO_SENDER, UNKNOWN_FAMILY)),
        ("platform", (NO_SENDER, UNKNOWN_FAMILY)),
        ("somebody/transcript/StudentTemplate.csv", (NO_SENDER, UNKNOWN_FAMILY)),
        ("336717/transcript/StudentTemplate.csv", (NO_SENDER, UNKNOWN_FAMILY)),
        ("33671730/transcript/StudentTemplate.csv", (NO_SENDER, UNKNOWN_FAMILY)),
        (f"{ARABIC_DIGITS}/transcript/StudentTemplate.csv", (NO_SENDER, UNKNOWN_FAMILY)),
    ],
)
def test_a_files_sender_and_family_follow_from_its_folder_and_name(
    path: str, owner: tuple[str, str]
):
    assert sender_and_family(path) == owner


@pytest.mark.parametrize("family", DISTRICT_FAMILIES)
def test_the_folder_of_every_family_that_districts_send_is_known(family: str):
    assert sender_and_family(f"{CD}/{family}/any.csv") == (CD, family)


@pytest.mark.parametrize("text", [ARABIC_DIGITS, "336717", "33671733", "336717a", "", "3367173\n"])
def test_only_seven_digits_are_a_districts_code(text: str):
    assert not is_cd_code(text)


# --- listing --------------------------------------------------------------------------------------


def _put(inbox: Path, *paths: str) -> None:
    for path in paths:
        (inbox / path).parent.mkdir(parents=True, exist_ok=True)
        (inbox / path).write_bytes(b"x")


def test_whole_files_are_listed_by_path(tmp_path: Path):
    _put(tmp_path, f"{CD}/transcript/b.csv", f"{CD}/transcript/a/c.csv", "platform/goals.csv")
    listed = [(file.path, file.sender, file.family, file.name) for file in list_inbox(tmp_path)]
    assert listed == [
        (f"{CD}/transcript/a/c.csv", CD, "transcript", "c.csv"),
        (f"{CD}/transcript/b.csv", CD, "transcript", "b.csv"),
        ("platform/goals.csv", "platform", "platform", "goals.csv"),
    ]


def test_a_file_that_goes_while_we_look_is_still_told_of(tmp_path: Path):
    """It may be getting its final name, and what lies beside it must not be taken without it."""
    _put(tmp_path, f"{CD}/transcript/Student.csv", f"{CD}/transcript/Course.csv.part")
    folder = tmp_path / CD / "transcript"
    with once_listed(folder, (folder / "Course.csv.part").unlink):
        seen = scan_folder(tmp_path)
    assert [file.name for file in seen.unfinished] == ["Course.csv.part"]
    assert [file.name for file in seen.files] == ["Student.csv"]
    assert not scan_folder(tmp_path).unfinished


def test_a_file_that_was_replaced_while_we_look_has_another_stamp_than_ever(tmp_path: Path):
    _put(tmp_path, f"{CD}/transcript/Student.csv")
    (before,) = list_inbox(tmp_path)
    folder = tmp_path / CD / "transcript"
    with once_listed(folder, (folder / "Student.csv").unlink):
        (seen,) = list_inbox(tmp_path)
    assert seen.path == before.path
    assert seen.stamp != before.stamp


def test_a_folder_that_goes_while_we_look_is_none(tmp_path: Path):
    folder = tmp_path / CD / "transcript"
    folder.mkdir(parents=True)
    with once_listed(tmp_path / CD, folder.rmdir):
        assert scan_folder(tmp_path) == Listing()


def test_an_inbox_that_does_not_exist_is_empty(tmp_path: Path):
    assert list_inbox(tmp_path / "nowhere") == []


@pytest.mark.parametrize(
    "name",
    [
        "Student.csv.part",
        "Student.csv.filepart",
        "Student.csv.FILEPART",
        "Student.csv.tmp",
        "Student.csv.partial",
        "Student.csv.writing",
        "Student.csv.done",
        "Thumbs.db",
        "Student.csv.crdownload",
        "Student.csv~",
        "~$Student.xlsx",
        ".Student.csv",
        ".sftpgo-upload.abc.Student.csv",
        "Student.csv.ocTransferId123.part",
        ".hidden/Student.csv",
        "upload.tmp/Student.csv",
    ],
)
def test_what_is_not_finished_is_passed_over(tmp_path: Path, name: str):
    _put(tmp_path, f"{CD}/transcript/{name}", f"{CD}/transcript/Whole.csv")
    assert [file.name for file in list_inbox(tmp_path)] == ["Whole.csv"]


@pytest.mark.parametrize("name", ["Student.part.csv", "tmp.csv", "a~b.csv"])
def test_a_whole_file_whose_name_only_looks_unfinished_is_listed(tmp_path: Path, name: str):
    _put(tmp_path, f"{CD}/transcript/{name}")
    assert [file.name for file in list_inbox(tmp_path)] == [name]


@pytest.mark.parametrize("target", [f"inbox/{CD}", "secret"], ids=["into the inbox", "out of it"])
def test_links_are_not_followed(tmp_path: Path, target: str):
    inbox = tmp_path / "inbox"
    _put(inbox, f"{CD}/transcript/Real.csv")
    _put(tmp_path / target, "Target.csv")
    (inbox / CD / "transcript" / "folder").symlink_to(tmp_path / target, target_is_directory=True)
    (inbox / CD / "transcript" / "Link.csv").symlink_to(tmp_path / target / "Target.csv")
    listed = {file.path for file in list_inbox(inbox)} - {f"{CD}/Target.csv"}
    assert listed == {f"{CD}/transcript/Real.csv"}


def test_what_is_no_file_is_passed_over(tmp_path: Path):
    _put(tmp_path, f"{CD}/transcript/Real.csv")
    os.mkfifo(tmp_path / CD / "transcript" / "Pipe.csv")
    assert [file.name for file in list_inbox(tmp_path)] == ["Real.csv"]


def test_a_name_of_bytes_that_are_no_letters_is_listed_and_can_be_shown(tmp_path: Path):
    name = os.fsdecode(b"Espa\xf1ol.csv")
    _put(tmp_path, f"{CD}/transcript/{name}")
    (file,) = list_inbox(tmp_path)
    assert file.shown.encode() == f"{CD}/transcript/Espa\\xf1ol.csv".encode()
    assert len(group_drops([(file, "1")])) == 1


def test_names_that_differ_in_bytes_that_are_no_letters_are_shown_apart(tmp_path: Path):
    for name in (b"Espa\xf1ol.csv", b"Espa\xf2ol.csv"):
        _put(tmp_path, f"{CD}/transcript/{os.fsdecode(name)}")
    assert len({file.shown for file in list_inbox(tmp_path)}) == 2


@pytest.fixture
def nest(tmp_path: Path) -> Iterator[Callable[[Path, str, int], None]]:
    """Makes folders within each other, and removes them: Python's own removal is recursive."""

    def make(top: Path, name: str, levels: int) -> None:
        folder = os.open(top, os.O_RDONLY)
        for _ in range(levels):
            os.mkdir(name, dir_fd=folder)
            below = os.open(name, os.O_RDONLY, dir_fd=folder)
            os.close(folder)
            folder = below
        os.close(folder)

    yield make
    subprocess.run(["rm", "-rf", *tmp_path.iterdir()], check=True)


def test_folders_without_end_are_their_senders_and_hide_nobody_elses_files(
    tmp_path: Path, nest: Callable[[Path, str, int], None]
):
    _put(tmp_path, f"{CD}/transcript/Real.csv")
    other = tmp_path / "1234567" / "transcript"
    other.mkdir(parents=True)
    (other / "Beside.csv").write_bytes(b"a")
    nest(other, "deep", 1200)
    listing = scan_folder(tmp_path)
    assert [file.name for file in listing.files] == ["Beside.csv", "Real.csv"]
    assert listing.faulty == ("1234567",)
    (problem,) = problems_of(tmp_path)
    assert "(of 1234567)" in problem
    assert "fewer folders" in problem


def test_a_path_that_is_too_long_for_the_system_is_its_senders_too(
    tmp_path: Path, nest: Callable[[Path, str, int], None]
):
    _put(tmp_path, f"{CD}/transcript/Real.csv")
    nest(tmp_path / CD, "n" * 250, 20)
    listing = scan_folder(tmp_path)
    assert [file.name for file in listing.files] == ["Real.csv"]
    assert listing.faulty == (CD,)


def problems_of(inbox: Path) -> list[str]:
    with open_inboxes(inbox, Profiles()) as inboxes:
        inboxes.list_all()
        return [problem.reason for problem in inboxes.problems]


def test_a_stamp_changes_with_the_file_and_only_with_it(tmp_path: Path):
    _put(tmp_path, f"{CD}/transcript/a.csv")
    path = tmp_path / CD / "transcript" / "a.csv"
    first, again = list_inbox(tmp_path), list_inbox(tmp_path)
    path.write_bytes(b"y")
    os.utime(path, ns=(0, path.stat().st_mtime_ns + 1))
    assert first == again
    assert list_inbox(tmp_path)[0].stamp != first[0].stamp


# --- drops ----------------------------------------------------------------------------------------


def _grouped(*files: tuple[str, str]) -> list[list[str]]:
    """The names in each drop; ``files`` are paths below the transcript folder and contents."""
    found = [
        (InboxFile(f"{CD}/transcript/{path}", CD, "transcript", ""), content)
        for path, content in files
    ]
    return [[file.name for file, _ in drop.files] for drop in group_drops(found)]


def test_loose_files_of_a_folder_came_together():
    assert _grouped(("a.csv", "1"), ("b.csv", "2")) == [["a.csv", "b.csv"]]


def test_packages_of_several_days_stay_apart_and_the_older_comes_first():
    assert _grouped(
        ("S_20261120.csv", "1"),
        ("S_2026-11-19.csv", "2"),
        ("C_20261119.csv", "3"),
        ("C_20261120.csv", "4"),
    ) == [["C_20261119.csv", "S_2026-11-19.csv"], ["C_20261120.csv", "S_20261120.csv"]]


def test_a_file_without_a_date_belongs_to_the_newest_package():
    assert _grouped(("M.csv", "1"), ("S_20261119.csv", "2"), ("S_20261120.csv", "3")) == [
        ["S_20261119.csv"],
        ["M.csv", "S_20261120.csv"],
    ]


def test_the_date_of_one_folder_says_nothing_about_another():
    assert _grouped(("a/S_20261120.csv", "1"), ("b/M.csv", "2")) == [["S_20261120.csv"], ["M.csv"]]


def test_what_has_no_date_at_all_is_the_newest():
    names = _grouped(("p.zip", "1"), ("S_20261120.csv", "2"), ("q_20261119.zip", "3"))
    assert names == [["q_20261119.zip"], ["S_20261120.csv"], ["p.zip"]]


def test_every_zip_is_a_drop_of_its_own():
    assert _grouped(("a.zip", "1"), ("b.ZIP", "2"), ("c.csv", "3"), ("d.csv", "4")) == [
        ["c.csv", "d.csv"],
        ["a.zip"],
        ["b.ZIP"],
    ]


def test_zips_and_loose_files_are_loaded_in_the_order_of_their_dates():
    names = _grouped(("p_20261121.zip", "1"), ("S_20261120.csv", "2"), ("p_20261119.zip", "3"))
    assert names == [["p_20261119.zip"], ["S_20261120.csv"], ["p_20261121.zip"]]


def _drop_ids(files: Sequence[tuple[InboxFile, str]]) -> set[str]:
    return {drop.id for drop in group_drops(files)}


def test_the_same_content_under_other_names_is_the_same_drop():
    def sent(first: str, second: str) -> list[tuple[InboxFile, str]]:
        names = [(first, "1"), (second, "2")]
        return [(InboxFile(f"{CD}/t/{name}", CD, "transcript", ""), sha) for name, sha in names]

    assert _drop_ids(sent("a.csv", "b.csv")) == _drop_ids(sent("z.csv", "y.csv"))


@pytest.mark.parametrize(
    "other",
    [
        ("0110017", "transcript", ["1", "2"]),
        (CD, "platform", ["1", "2"]),
        (CD, "transcript", ["1", "3"]),
        (CD, "transcript", ["1"]),
        (CD, "transcript", ["1", "2", "2"]),
    ],
    ids=["sender", "family", "content", "fewer", "twice"],
)
def test_another_sender_family_or_content_is_another_drop(other: tuple[str, str, list[str]]):
    assert drop_id(*other) != drop_id(CD, "transcript", ["1", "2"])


def test_the_order_of_contents_does_not_matter_to_a_drop():
    assert drop_id(CD, "transcript", ["1", "2"]) == drop_id(CD, "transcript", ["2", "1"])


def test_files_of_several_senders_and_families_never_mix():
    files = [
        (InboxFile(f"{sender}/{family}/a.csv", sender, family, ""), "1")
        for sender in (CD, "0110017")
        for family in ("transcript", UNKNOWN_FAMILY)
    ]
    drops = group_drops(files)
    assert len({drop.id for drop in drops}) == len(drops) == 4
