"""Receipts of whole nights: three files for a drop, the same bytes when they are made again.

Belongs here: what a night writes into ``_receipts``, and whose cells are in it. What a page looks
like is tested with the page.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import pytest

from ccgi_pipeline.feeds.foster_focus import DEMOGRAPHICS
from ccgi_pipeline.feeds.oneroster import USERS
from ccgi_pipeline.feeds.spec import FeedSpec
from ccgi_pipeline.feeds.transcript import COURSE_GRADE, STUDENT
from ccgi_pipeline.nightly.paths import PipelinePaths
from ccgi_pipeline.nightly.respond import write_receipts
from ccgi_pipeline.profiles import ProfileError, Profiles, ReceiptSettings, read_profiles
from ccgi_pipeline.warehouse.queries import receipts as receipt_queries
from ccgi_pipeline.warehouse.storage.connection import open_warehouse
from ccgi_pipeline_tests.files import as_bytes, zipped
from ccgi_pipeline_tests.nightly.inboxes import (
    BERKELEY,
    BERKELEY_HIGH,
    HAYWARD,
    HAYWARD_HIGH,
    PALM_SPRINGS,
    PALM_SPRINGS_HIGH,
    numbered,
    put,
    put_roster,
    roster_file,
    student,
    students,
)
from ccgi_pipeline_tests.nightly.nights import (
    ON,
    bytes_below,
    folders_in,
    load_and_answer,
    take_and_load,
    writing,
)

TUESDAY = ON + timedelta(days=1)


def receipts(folders: PipelinePaths, folder: str = "HaywardUnified") -> dict[str, bytes]:
    """The files of a sender's receipts, by name."""
    return bytes_below(folders.outbox / folder / "_receipts")


def page(folders: PipelinePaths, folder: str = "HaywardUnified", on: date = ON) -> str:
    """A sender's only page of a night."""
    (found,) = [
        content.decode()
        for name, content in receipts(folders, folder).items()
        if name.startswith(f"{on:%Y%m%d}") and name.endswith(".html")
    ]
    return found


def profile(folders: PipelinePaths, text: str) -> None:
    """Writes the settings of a warehouse."""
    folders.warehouse.mkdir(exist_ok=True)
    (folders.warehouse / "profiles.toml").write_text(text)


# --- two nights -----------------------------------------------------------------------------------


_OVERWRITING = "1062166"
_SHOWING = "{ receipts = { show_values = true } }"


@pytest.fixture(scope="module")
def two_nights(tmp_path_factory: pytest.TempPathFactory) -> PipelinePaths:
    """Two districts send bad students, one of them twice, one in the place of others.

    One loses three students, one half of them.
    """
    folders = folders_in(tmp_path_factory.mktemp("two nights"))
    profile(folders, f"[districts]\n{HAYWARD} = {_SHOWING}\n{_OVERWRITING} = {_SHOWING}\n")
    put_roster(folders.inbox, _OVERWRITING, students(["Canary"], f"{_OVERWRITING}0000001"))
    many = numbered(2_000_000_000, 40)
    path = put_roster(folders.inbox, HAYWARD, students(["12", "13"], HAYWARD_HIGH))
    put_roster(folders.inbox, PALM_SPRINGS, students(many, PALM_SPRINGS_HIGH))
    put_roster(folders.inbox, BERKELEY, students(many, BERKELEY_HIGH))
    load_and_answer(folders)
    shutil.copytree(path.parent, folders.inbox / HAYWARD / "transcript" / "again")
    put_roster(folders.inbox, _OVERWRITING, students(["Other"], f"{_OVERWRITING}0000001"))
    for cd, school, left in (
        (PALM_SPRINGS, PALM_SPRINGS_HIGH, many[3:]),
        (BERKELEY, BERKELEY_HIGH, many[:20]),
    ):
        put_roster(folders.inbox, cd, students(left, school), "20261123")
    load_and_answer(folders, TUESDAY)
    return folders


def test_every_receipt_has_a_page_a_list_and_an_object(two_nights: PipelinePaths):
    names = [name for name in receipts(two_nights) if name.startswith(f"{ON:%Y%m%d}")]
    assert sorted(name.rpartition(".")[2] for name in names) == ["csv", "html", "json"]
    assert len({name.rpartition(".")[0] for name in names}) == 1
    assert "Hayward Unified" in page(two_nights)
    (listed,) = [name for name in names if name.endswith(".csv")]
    assert listed in page(two_nights)


def test_a_duplicate_has_a_page_that_leads_to_the_first_receipt(two_nights: PipelinePaths):
    said = page(two_nights, on=TUESDAY)
    assert "exactly what you sent last" in said
    assert "rejected" in said
    named = re.search(r"\d{8}_transcript_[0-9a-f]+\.html", said)
    assert named is not None
    assert named.group() in receipts(two_nights)


def test_the_page_counts_who_left_the_roster(two_nights: PipelinePaths):
    said = page(two_nights, "PalmSpringsUnified", TUESDAY)
    assert "3 students that we had before are not in this file" in said
    assert "Everything was loaded: 38 lines." in said  # the manifest has one


def test_a_held_drop_is_told_why(two_nights: PipelinePaths):
    said = page(two_nights, "BerkeleyUnified", TUESDAY)
    assert "20 of 40 active records of student would end" in said
    assert '<b data-count="21">21</b> Waiting' in said  # and so it has here


def _made_again(folders: PipelinePaths, settings: Profiles | None = None) -> dict[str, bytes]:
    """All receipts, made anew from the warehouse, the archive and the profiles alone."""
    profiles = settings or read_profiles(folders.warehouse)
    with open_warehouse(folders.warehouse, read_only=True) as connection:
        answers = [*receipt_queries.read_receipts_by_stem(connection).values()]
        made = receipt_queries.build_receipts(connection, answers, folders.archive, profiles)
        return {name: content for _, files in made for name, content in files}


def test_receipts_made_again_have_the_same_bytes(two_nights: PipelinePaths):
    written = bytes_below(two_nights.outbox)
    assert len(written) == 3 * 7 + 2  # a duplicate has nothing to list
    assert sum(b"Canary" in content for content in written.values()) == 2
    by_name = {Path(path).name: content for path, content in written.items()}
    assert _made_again(two_nights) == by_name


def test_a_published_dictionary_is_linked_in_page_and_object(two_nights: PipelinePaths):
    address = "https://ccgi.example.org/dictionary"
    settings = Profiles(receipts=ReceiptSettings(dictionary_url=address))
    made = _made_again(two_nights, settings)
    assert all(address not in content.decode() for content in _made_again(two_nights).values())
    objects = [json.loads(text) for name, text in made.items() if name.endswith(".json")]
    pages = {
        (rule["rule"], rule["page"])
        for receipt in objects
        for file in receipt["files"]
        for rule in file["rules"]
    }
    assert ("TR-STU-TYPE-StateID", f"{address}/rules/TR-STU-TYPE-StateID.html") in pages
    html = "".join(text.decode() for name, text in made.items() if name.endswith(".html"))
    for _, page in pages:
        assert f'href="{page}"' in html


# --- whose cells ----------------------------------------------------------------------------------

CANARY = re.compile(r"canary|078-?05", re.IGNORECASE)


def _words(feed: FeedSpec, count: int = 15) -> bytes:
    """A file in which every cell is a word of its own, and wrong where it can be."""
    lines = [
        {name: f"Canary{number}of{line}" for number, name in enumerate(feed.columns)}
        for line in range(count)
    ]
    return as_bytes(feed, lines)


def _send_canaries(folders: PipelinePaths) -> None:
    """Files of three senders that are wrong in every column, in a zip too."""
    good = roster_file([student("1000000001", HAYWARD_HIGH)])
    _, _, wrong = _words(STUDENT).partition(b"\n")
    numbers = [
        student("078-05-1120", HAYWARD_HIGH, LocalStudentID="078-05-1121"),
        student("078051122", HAYWARD_HIGH),
    ]
    _, _, secret = roster_file(numbers).partition(b"\n")
    header, _, good_line = good.partition(b"\n")
    roster = b"".join([header, b"\n", secret, good_line, wrong])
    put(folders.inbox, f"{HAYWARD}/transcript/StudentTemplate.csv", roster)
    put(folders.inbox, f"{HAYWARD}/transcript/CourseGradeTemplate.csv", _words(COURSE_GRADE))
    put(folders.inbox, f"{HAYWARD}/foster_focus/demographics.txt", _words(DEMOGRAPHICS))
    put(folders.inbox, f"{HAYWARD}/oneroster/set.zip", zipped({"users.csv": _words(USERS)}))
    put(folders.inbox, f"{PALM_SPRINGS}/transcript/StudentTemplate.csv", good + wrong)
    put(folders.inbox, "platform/goals.csv", b"EventID,SSID,OccurredAt\nCanary1,Canary2,Canary3\n")


def test_no_cell_is_in_any_receipt_unless_it_is_asked_for(tmp_path: Path):
    folders = folders_in(tmp_path)
    _send_canaries(folders)
    load_and_answer(folders)
    written = bytes_below(folders.outbox)
    assert len(written) == 3 * 5
    for name, content in written.items():
        assert CANARY.search(content.decode()) is None, name
        assert "pupils' data" not in content.decode()


@pytest.fixture(scope="module")
def with_cells(tmp_path_factory: pytest.TempPathFactory) -> PipelinePaths:
    """A night in which districts get cells unless they say otherwise; Palm Springs does."""
    folders = folders_in(tmp_path_factory.mktemp("with cells"))
    profile(
        folders,
        "[defaults.receipts]\nshow_values = true\n"
        f"[districts.{PALM_SPRINGS}.receipts]\nshow_values = false\n",
    )
    _send_canaries(folders)
    load_and_answer(folders)
    return folders


def test_a_district_that_asks_gets_the_cells_in_page_and_list(with_cells: PipelinePaths):
    written = receipts(with_cells)
    assert len(written) == 9
    for name, content in written.items():
        assert ("Canary" in content.decode()) is not name.endswith(".json"), name
        assert ("This page shows pupils' data" in content.decode()) is name.endswith(".html"), name
    number = list(STUDENT.columns).index("GradeLevel")
    assert any(f"Canary{number}of0" in content.decode() for content in written.values())


def test_cells_beyond_the_first_lines_are_not_repeated(with_cells: PipelinePaths):
    number = list(COURSE_GRADE.columns).index("SchoolYear")
    shown = re.findall(
        rf"Canary{number}of\d+", "".join(map(bytes.decode, receipts(with_cells).values()))
    )
    assert set(shown) == {f"Canary{number}of{line}" for line in range(10)}


def test_files_of_one_name_in_a_zip_have_their_own_cells(tmp_path: Path):
    folders = folders_in(tmp_path)
    profile(folders, f"[districts.{HAYWARD}.receipts]\nshow_values = true\n")
    sent = {
        f"{folder}/StudentTemplate.csv": roster_file(students([f"Canary{folder}"], HAYWARD_HIGH))
        for folder in ("a", "b")
    }
    put(folders.inbox, f"{HAYWARD}/transcript/both.zip", zipped(sent))
    load_and_answer(folders)
    shown = re.findall(r"""<td><bdi class="mono">(Canary.)</bdi>""", page(folders))
    assert shown == ["Canarya", "Canaryb"]


def test_what_may_be_a_social_security_number_is_never_repeated(with_cells: PipelinePaths):
    written = [content.decode() for content in receipts(with_cells).values()]
    assert any("it may be a social security number" in content for content in written)
    assert not any(re.search("078-?05", content) for content in written)


def test_a_district_that_says_otherwise_gets_none(with_cells: PipelinePaths):
    for content in receipts(with_cells, "PalmSpringsUnified").values():
        assert CANARY.search(content.decode()) is None


def test_a_state_wide_sender_gets_none_whatever_the_defaults_say(with_cells: PipelinePaths):
    written = receipts(with_cells, "platform")
    assert len(written) == 3
    assert not any(CANARY.search(content.decode()) for content in written.values())


def _damage(path: Path) -> None:
    path.chmod(0o644)
    path.write_bytes(b"other bytes")


@pytest.mark.parametrize("lose", [_damage, Path.unlink])
def test_a_receipt_is_written_without_cells_where_the_archive_lacks_them(
    tmp_path: Path, lose: Callable[[Path], None]
):
    folders = folders_in(tmp_path)
    profile(folders, f"[districts.{HAYWARD}.receipts]\nshow_values = true\n")
    put_roster(folders.inbox, HAYWARD, [student("12", HAYWARD_HIGH, DateOfBirth="Canary")])
    with writing(folders) as connection:
        take_and_load(connection, folders)
        for archived in folders.archive.root.rglob("*"):
            if archived.is_file():
                lose(archived)
        write_receipts(connection, folders, ON)
    assert "TR-STU-TYPE-DateOfBirth" in page(folders)
    assert CANARY.search(page(folders)) is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('show_values = "yes"', "show_values must be true or false"),
        ("show_value = true", "show_value is no setting"),
    ],
)
def test_the_setting_is_true_or_false(tmp_path: Path, text: str, said: str):
    folders = folders_in(tmp_path)
    profile(folders, f"[defaults.receipts]\n{text}\n")
    with pytest.raises(ProfileError, match=said):
        read_profiles(folders.warehouse)
