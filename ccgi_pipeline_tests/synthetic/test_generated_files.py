"""Files, names and bytes of a generated inbox."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import zipfile
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ccgi_pipeline.feeds import foster_focus, foster_focus_cps, oneroster, platform, transcript
from ccgi_pipeline.feeds.cde_directory import FEED as DIRECTORY
from ccgi_pipeline.synthetic import generate
from ccgi_pipeline.synthetic.oneroster.export_styles import VERSIONS
from ccgi_pipeline_tests.synthetic.conftest import feed_of

if TYPE_CHECKING:
    from ccgi_pipeline_tests.synthetic.conftest import Inbox

ON = date(2026, 11, 22)


def tree(root: Path) -> dict[str, str]:
    return {
        path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


def test_the_same_arguments_give_the_same_bytes_in_another_process(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    generate(here, districts=4, students=200, seed=3, on=ON, defects=0.05)
    program = (
        "import sys; from datetime import date; from pathlib import Path;"
        "from ccgi_pipeline.synthetic import generate;"
        "generate(Path(sys.argv[1]), districts=4, students=200, seed=3,"
        " on=date(2026, 11, 22), defects=0.05)"
    )
    subprocess.run(
        [sys.executable, "-c", program, str(there)],
        check=True,
        cwd=Path(__file__).parents[2],
        env={**os.environ, "PYTHONHASHSEED": "7", "POLARS_MAX_THREADS": "1", "TZ": "Asia/Tokyo"},
    )
    assert tree(here) == tree(there)


def test_all_districts_send_the_named_version_of_oneroster_and_the_rest_stays(
    tmp_path: Path,
) -> None:
    made = {}
    for version in (None, *VERSIONS):
        root = tmp_path / str(version)
        generate(root, districts=3, students=60, seed=1, on=ON, days=2, oneroster_version=version)
        made[version] = root
    for version, manifests in {v: _manifests(made[v]) for v in VERSIONS}.items():
        assert len(manifests) >= 4
        assert {f"oneroster.version,{version}" in text for text in manifests} == {True}
    assert (
        len({f"oneroster.version,{v}" in t for v in VERSIONS for t in _manifests(made[None])}) == 2
    )
    others = [
        {path: own for path, own in tree(root).items() if "/oneroster/" not in path}
        for root in made.values()
    ]
    assert others[0] == others[1] == others[2]


def _manifests(root: Path) -> list[str]:
    """The manifests of all OneRoster sets below a folder."""
    texts = [path.read_text() for path in root.glob("*/oneroster/*/manifest.csv")]
    for path in root.glob("*/oneroster/*.zip"):
        with zipfile.ZipFile(path) as packed:
            texts += [packed.read(n).decode() for n in packed.namelist() if "manifest" in n]
    return texts


def test_a_version_that_nobody_knows_is_refused(tmp_path: Path) -> None:
    named = {"districts": 1, "students": 9, "seed": 1, "on": ON}
    with pytest.raises(ValueError, match=r"one of 1\.1, 1\.2, not 2\.0"):
        generate(tmp_path, **named, oneroster_version="2.0")


def test_another_seed_gives_other_students(tmp_path: Path) -> None:
    for seed in (1, 2):
        generate(tmp_path / str(seed), districts=1, students=50, seed=seed, on=ON)
    first, second = tree(tmp_path / "1"), tree(tmp_path / "2")
    roster = "3367173/transcript/PalmSpringsUnified_StudentTemplate_20261122.csv"
    assert first[roster] != second[roster]


def test_two_districts_are_those_of_the_sample_reports(tmp_path: Path) -> None:
    generate(tmp_path, districts=2, students=200, seed=1, on=ON)
    folders = {"3367173": "PalmSpringsUnified", "0161192": "HaywardUnified"}
    parts = (
        "Course Catalog_Template", "CourseGradeTemplate", "Manifest", "StudentTemplate",
        "TestGrade_Template",
    )  # fmt: skip
    packages = {
        f"{code}/transcript/{name}_{part}_20261122.csv"
        for code, name in folders.items()
        for part in parts
    }
    activity = {f"platform/{feed.stems[0]}_20261122.csv" for feed in platform.FEEDS}
    statewide = {
        *activity,
        "cde/cde_directory/pubschls.txt",
        "foster_focus_cps/foster_focus_cps/children.txt",
    }
    rosters = {f"{code}/oneroster/OneRoster_20261122.zip" for code in folders}
    written = {path for path in tree(tmp_path) if "/foster_focus/" not in path}
    assert written == {*packages, *statewide, *rosters}


def test_every_header_is_that_of_the_declaration(clean: Inbox) -> None:
    for path, text in clean.texts.items():
        feed = feed_of(path)
        assert feed is not None, path
        header = text.splitlines()[0].removeprefix("\ufeff")
        separator = max(feed.separators, key=header.count)
        edition = "1.2" if "pronouns" in header else "1.1"
        wanted = [name for name, c in feed.columns.items() if c.expected_in(edition)]
        assert header.split(separator) == wanted, path


def test_every_feed_has_files(clean: Inbox) -> None:
    feeds = (
        DIRECTORY,
        *transcript.FEEDS,
        *platform.FEEDS,
        *foster_focus.FEEDS,
        *foster_focus_cps.FEEDS,
        *oneroster.FEEDS,
    )
    assert {feed.name: bool(clean.texts_of(feed)) for feed in feeds} == {
        feed.name: True for feed in feeds
    }


def test_what_is_reported_is_what_was_written(clean: Inbox) -> None:
    assert clean.state.files == len(tree(clean.root))
    assert clean.state.lines == sum(len(text.splitlines()) - 1 for text in clean.texts.values())
    assert clean.state.students == clean.lines(transcript.STUDENT).height
    assert clean.state.defects == ()


def test_repeated_lines_are_counted_too(faulty: Inbox) -> None:
    assert faulty.state.lines == sum(len(text.splitlines()) - 1 for text in faulty.texts.values())


def test_districts_write_files_in_the_ways_that_readers_must_take(clean: Inbox) -> None:
    rosters = clean.texts_of(transcript.STUDENT)
    assert sum("^" in text.splitlines()[0] for text in rosters.values()) == 2
    assert sum("\r\n" in text for text in rosters.values()) == 2
    assert sum(text.startswith("\ufeff") for text in rosters.values()) == 1
    assert sum(".zip/" in path for path in rosters) == 2
    assert sum(Path(path).name.islower() for path in rosters) == 1
    for text in rosters.values():
        assert text.count("\r") in {0, text.count("\n")}


def test_a_zip_has_the_date_of_the_files_and_not_of_the_clock(clean: Inbox) -> None:
    packages = list(clean.root.rglob("*.zip"))
    assert packages
    for package in packages:
        with zipfile.ZipFile(package) as opened:
            assert {entry.date_time for entry in opened.infolist()} == {(2026, 11, 22, 0, 0, 0)}


def test_a_manifest_names_the_other_files_of_its_package(clean: Inbox) -> None:
    texts = clean.texts
    for path, manifest in clean.texts_of(transcript.MANIFEST).items():
        folder, own_name = path.rsplit("/", 1)
        beside = {other.rsplit("/", 1)[1] for other in texts if other.startswith(f"{folder}/")}
        assert {*manifest.removeprefix("\ufeff").splitlines()[1:], own_name} == beside, path


def test_the_directory_lists_every_school_that_a_student_goes_to(clean: Inbox) -> None:
    directory = clean.lines(DIRECTORY)
    assert directory["CDSCode"].is_sorted()
    assert directory["CDSCode"].n_unique() == directory.height
    schools = clean.lines(transcript.STUDENT)["PrimaryCDSCode"].unique()
    assert set(schools) <= set(directory["CDSCode"])


def test_a_small_state_has_no_file_without_lines(tmp_path: Path) -> None:
    generate(tmp_path, districts=18, students=18, seed=1, on=ON)
    files = [path for path in tmp_path.rglob("*") if path.suffix in {".csv", ".txt"}]
    assert files
    assert all(len(path.read_text(encoding="utf-8").splitlines()) > 1 for path in files)


def test_progress_hears_of_every_district(tmp_path: Path) -> None:
    heard: list[str] = []
    generate(tmp_path, districts=3, students=30, seed=1, on=ON, progress=heard.append)
    assert [sentence.split(":")[0] for sentence in heard] == [
        "Palm Springs Unified",
        "Hayward Unified",
        "Berkeley Unified",
    ]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ({"districts": 5, "students": 4}, "too few"),
        ({"districts": 0, "students": 4}, "districts must be between"),
        ({"districts": 99_999, "students": 999_999}, "districts must be between"),
        ({"districts": 1, "students": 4, "defects": 1.5}, "share between 0 and 1"),
        ({"districts": 1, "students": 4, "days": 0}, "days must be 1 or more"),
    ],
)
def test_what_cannot_be_generated_is_refused(
    tmp_path: Path, arguments: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(ValueError, match=complaint):
        generate(tmp_path, seed=1, on=ON, **arguments)
    assert not list(tmp_path.iterdir())
