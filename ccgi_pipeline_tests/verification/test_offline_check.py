"""Checking files offline: paths in, the night's own verdict out, nothing changed on the way.

Belongs here: from paths to reports of files. What receipts say of a finding is tested with them.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from ccgi_pipeline.feeds.platform import GOALS
from ccgi_pipeline.feeds.registry import FAMILIES
from ccgi_pipeline.feeds.transcript import STUDENT, TEST_GRADE
from ccgi_pipeline.intake.archive import Archive
from ccgi_pipeline.intake.arrivals import DropHistory
from ccgi_pipeline.verification.offline_check import CheckResult, check
from ccgi_pipeline.verification.outcomes import Verdict
from ccgi_pipeline.verification.receipts import SHOWN_PER_RULE, describe_file
from ccgi_pipeline_tests.files import (
    DISTRICT,
    ON,
    as_bytes,
    good_file,
    good_lines,
    good_set,
    usual_name,
    verified,
    zipped,
)
from ccgi_pipeline_tests.intake.scans import received_from

ROSTER = usual_name(STUDENT)


def _put(folder: Path, files: Mapping[str, bytes]) -> Path:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def _by_name(checked: CheckResult) -> dict[str, tuple[str | None, str, Mapping[str, int]]]:
    return {Path(f.path).name: (f.feed, f.verdict, f.fates) for f in checked.files}


@pytest.mark.parametrize("family", FAMILIES)
def test_a_folder_of_good_files_is_accepted(tmp_path: Path, family: str):
    checked = check([_put(tmp_path / "sent", good_set(family))], ON)
    assert checked.verdict is Verdict.ACCEPTED
    assert checked.everything_loads
    assert not checked.nothing_recognised
    assert {file.family for file in checked.files} == {family}
    assert {file.feed for file in checked.files} == {feed.name for feed in FAMILIES[family].feeds}


@pytest.mark.parametrize("family", FAMILIES)
def test_the_check_says_what_the_night_would(tmp_path: Path, family: str):
    sent = {name: content.replace(b"0", b"?", 9) for name, content in good_set(family).items()}
    checked = check([_put(tmp_path / "sent", sent)], ON, family)
    night = verified(sent, family, sender="")
    expected = {
        Path(row["path"]).name: (
            row["feed"],
            row["verdict"],
            {"accepted": row["accepted"], "rejected": row["rejected"]},
        )
        for row in night.files.iter_rows(named=True)
    }
    assert _by_name(checked) == expected
    assert sum(file.findings.height for file in checked.files) == night.findings.height > 0


def test_a_zip_is_checked_as_its_files_are(tmp_path: Path):
    loose = check([_put(tmp_path / "loose", good_set("transcript"))], ON)
    packed = check([_put(tmp_path / "z", {"p.zip": zipped(good_set("transcript"))}) / "p.zip"], ON)
    assert _by_name(packed) == _by_name(loose)
    assert packed.verdict == loose.verdict


def test_a_single_file_is_checked_alone(tmp_path: Path):
    path = _put(tmp_path, {ROSTER: good_file(STUDENT)}) / ROSTER
    assert [file.path for file in check([path], ON).files] == [str(path)]


def test_a_file_with_an_unknown_name_is_checked_by_its_header(tmp_path: Path):
    path = _put(tmp_path, {"export.csv": good_file(GOALS)}) / "export.csv"
    assert check([path], ON).files[0].feed == GOALS.name


def test_the_family_that_is_given_holds_against_names_and_folders(tmp_path: Path):
    path = _put(tmp_path, {f"platform/{ROSTER}": good_file(STUDENT)}) / "platform" / ROSTER
    assert check([path], ON, "transcript").files[0].feed == STUDENT.name


def test_the_sender_is_read_from_the_path(tmp_path: Path):
    files = {f"{cd}/transcript/{ROSTER}": good_file(STUDENT) for cd in (DISTRICT, "0110017")}
    checked = check([_put(tmp_path, files)], ON)
    fates = {Path(file.path).parts[-3]: dict(file.fates) for file in checked.files}
    assert fates == {
        DISTRICT: {"accepted": 6, "rejected": 0},
        "0110017": {"accepted": 0, "rejected": 6},
    }


def test_a_folder_without_files_has_nothing_to_judge(tmp_path: Path):
    checked = check([tmp_path], ON)
    assert checked.files == ()
    assert checked.nothing_recognised
    assert not checked.everything_loads


def test_a_file_that_is_none_of_ours_is_answered(tmp_path: Path):
    checked = check([_put(tmp_path, {"notes.txt": b"hello\nworld\n"})], ON)
    assert checked.nothing_recognised
    assert [(f.verdict, f.lines, sum(f.fates.values())) for f in checked.files] == [
        ("rejected", 2, 2)
    ]


@pytest.mark.parametrize(
    "name", [".DS_Store", "~$StudentTemplate.xlsx", ".hidden/x.csv", "StudentTemplate.csv.part"]
)
def test_what_the_night_passes_over_the_check_passes_over(tmp_path: Path, name: str):
    files = {f"{DISTRICT}/transcript/{name}": b"junk" for name in (name,)}
    files |= {
        f"{DISTRICT}/transcript/{n}": content for n, content in good_set("transcript").items()
    }
    inbox = _put(tmp_path / "inbox", files)
    received = received_from(inbox, Archive(tmp_path / "archive"), {}, DropHistory())
    taken = {Path(file.path).name for drop in received.drops for file, _ in drop.files}
    assert {Path(file.path).name for file in check([inbox], ON).files} == taken
    assert check([inbox], ON).verdict is Verdict.ACCEPTED


def test_a_zip_outside_any_familys_folder_is_of_one_family_to_the_check_and_the_night(
    tmp_path: Path,
):
    inbox = _put(tmp_path / "inbox", {f"{DISTRICT}/p.zip": zipped(good_set("transcript"))})
    received = received_from(inbox, Archive(tmp_path / "archive"), {}, DropHistory())
    assert {file.family for file in check([inbox], ON).files} == {
        drop.family for drop in received.drops
    }


def test_a_check_changes_nothing(tmp_path: Path):
    folder = _put(tmp_path / "sent", {**good_set("transcript"), "p.zip": zipped({"x.csv": b"x"})})
    before = {p: (p.read_bytes(), p.stat().st_mtime_ns) for p in folder.rglob("*") if p.is_file()}
    check([folder], ON)
    after = {p: (p.read_bytes(), p.stat().st_mtime_ns) for p in folder.rglob("*") if p.is_file()}
    assert after == before
    assert sorted(tmp_path.iterdir()) == [folder]


def test_a_line_that_cannot_be_loaded_is_enough_for_not_everything_to_load(tmp_path: Path):
    lines = good_lines(TEST_GRADE)
    bad = as_bytes(TEST_GRADE, [*lines, {**lines[0], "TestDate": "soon"}])
    files = {**good_set("transcript"), usual_name(TEST_GRADE): bad}
    checked = check([_put(tmp_path / "sent", files)], ON)
    assert checked.verdict is Verdict.ACCEPTED_WITH_FINDINGS
    assert not checked.everything_loads


def test_a_warning_does_not_keep_everything_from_loading(tmp_path: Path):
    lines = good_lines(TEST_GRADE)
    warned = as_bytes(TEST_GRADE, [*lines, {**lines[0], "StateID": "9999999999"}])
    files = {**good_set("transcript"), usual_name(TEST_GRADE): warned}
    checked = check([_put(tmp_path / "sent", files)], ON)
    assert checked.verdict is Verdict.ACCEPTED_WITH_FINDINGS
    assert checked.everything_loads


def test_the_fates_of_every_checked_file_add_up_to_its_lines(tmp_path: Path):
    good = good_file(TEST_GRADE)
    damaged = {
        "1_TestGrade.csv": good.replace(b",", b"", 3),
        "2_TestGrade.csv": good.replace(b"\n", b"\n\n") + b"x",
        "3_TestGrade.csv": good.replace(b"TestName", b'"Test\nName"'),
        "4_TestGrade.csv": good[20:],
        "5_TestGrade.csv": b"",
        "6_TestGrade.csv": good.replace(b"T", b"\x81"),
        "7_TestGrade.csv": good.replace(b"TestDate", b"Day"),
        "p.zip": zipped({"TestGrade.csv": good, "a.zip": b""}),
    }
    checked = check([_put(tmp_path / "sent", damaged)], ON)
    told = [describe_file(file) for file in checked.files]
    assert len(told) == len(damaged) + 1
    assert [file["lines"] for file in told] == [sum(file["fates"].values()) for file in told]
    assert all(file["findings_omitted"] == 0 for file in told)
    assert all(file["verdict"] != "accepted" for file in told if file["fates"]["rejected"])


def test_findings_that_are_left_out_are_counted(tmp_path: Path):
    lines = [{**line, "TestDate": "soon"} for line in good_lines(TEST_GRADE, 1200)]
    path = _put(tmp_path, {"TestGrade.csv": as_bytes(TEST_GRADE, lines)}) / "TestGrade.csv"
    told = describe_file(check([path], ON).files[0])
    assert told["lines"] == told["fates"]["rejected"] == 1200
    dates = [found for found in told["findings"] if found["rule"] == "TR-TST-TYPE-TestDate"]
    assert len(dates) == SHOWN_PER_RULE
    counted = sum(rule["count"] for rule in told["rules"])
    assert len(told["findings"]) + told["findings_omitted"] == counted


def test_progress_hears_of_every_file(tmp_path: Path):
    heard: list[str] = []
    check([_put(tmp_path / "sent", good_set("transcript"))], ON, progress=heard.append)
    assert sorted(heard) == sorted(good_set("transcript"))


def test_values_are_shown_to_who_asks_for_them_and_to_nobody_else(tmp_path: Path):
    lines = good_lines(STUDENT)
    lines[2] = {**lines[2], "GradeLevel": "Zebra"}
    folder = _put(tmp_path, {ROSTER: as_bytes(STUDENT, lines)})
    silent = str(describe_file(check([folder], ON).files[0]))
    assert "TR-STU-CODE-GradeLevel" in silent
    assert "Zebra" not in silent
    shown = describe_file(check([folder], ON, show_values=True).files[0])
    (told,) = [found for found in shown["findings"] if found["rule"] == "TR-STU-CODE-GradeLevel"]
    assert (told["line"], told["message"].endswith("(the cell is: Zebra)")) == (4, True)
