"""Which rosters are evaluated anew: those that are not as they were, and no others.

Belongs here: what a night evaluates after another night. What the evaluation makes of a history is
tested in ``ccgi_pipeline_tests/eligibility``.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest

from ccgi_pipeline.feeds.transcript import COURSE_GRADE
from ccgi_pipeline.nightly.paths import PipelinePaths
from ccgi_pipeline.warehouse.load import eligibility_results
from ccgi_pipeline.warehouse.storage.connection import open_warehouse, read_snapshot_id
from ccgi_pipeline.warehouse.storage.writers import exclusive_writer
from ccgi_pipeline_tests.files import as_bytes
from ccgi_pipeline_tests.nightly.inboxes import (
    HAYWARD,
    HAYWARD_HIGH,
    PALM_SPRINGS,
    PALM_SPRINGS_HIGH,
    course,
    put_roster,
    student,
)
from ccgi_pipeline_tests.nightly.nights import folders_in, lake_rows, run_night

_SCHOOLS = {PALM_SPRINGS: PALM_SPRINGS_HIGH, HAYWARD: HAYWARD_HIGH}


def _ssid(cd: str) -> str:
    return f"{cd}001"


def _put(folders: PipelinePaths, cd: str, mark: str = "A") -> None:
    school = _SCHOOLS[cd]
    put_roster(folders.inbox, cd, [student(_ssid(cd), school, "12")])
    lines = [course(_ssid(cd), school, "1", CourseGrade=mark)]
    path = folders.inbox / cd / "transcript" / "CourseGradeTemplate_20261122.csv"
    path.write_bytes(as_bytes(COURSE_GRADE, lines))


@pytest.fixture
def night(tmp_path: Path) -> PipelinePaths:
    """Two districts with a student each, once loaded."""
    folders = folders_in(tmp_path)
    for cd in _SCHOOLS:
        _put(folders, cd)
    run_night(folders)
    return folders


def _evaluated_by(night: PipelinePaths, act: Callable[[], None]) -> set[str]:
    """The districts whose results are written anew by ``act``."""
    with open_warehouse(night.warehouse, read_only=True) as connection:
        before = read_snapshot_id(connection)
    act()
    with open_warehouse(night.warehouse, read_only=True) as connection:
        now = read_snapshot_id(connection)
        rows = connection.execute(
            "SELECT DISTINCT _sender "
            "FROM ducklake_table_insertions('lake', 'internal', 'eligibility', ?, ?)",
            [before + 1, now],
        ).fetchall()
        return {sender for (sender,) in rows} if now > before else set()


def test_a_district_whose_courses_changed_is_evaluated_and_no_other(night: PipelinePaths):
    def changed() -> None:
        _put(night, PALM_SPRINGS, mark="F")
        run_night(night)

    assert _evaluated_by(night, changed) == {PALM_SPRINGS}


@pytest.mark.slow
def test_a_setting_of_a_district_has_it_evaluated_anew(night: PipelinePaths):
    def set_apart() -> None:
        settings = f'[districts."{HAYWARD}"]\nresidency = "nonresident"\n'
        (night.warehouse / "profiles.toml").write_text(settings)
        run_night(night, on=date(2026, 11, 23))

    assert _evaluated_by(night, set_apart) == {HAYWARD}


@pytest.mark.slow
def test_new_code_has_every_district_evaluated_anew(
    night: PipelinePaths, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(eligibility_results, "_rules", lambda *_: "another version")
    again = _evaluated_by(night, lambda: run_night(night, on=date(2026, 11, 23)))
    assert again == {PALM_SPRINGS, HAYWARD}


def test_another_list_of_course_names_is_another_version(monkeypatch: pytest.MonkeyPatch):
    def version() -> str:
        return eligibility_results._rules.__wrapped__("resident", date(2026, 11, 22))

    before = version()
    assert version() == before
    read = Path.read_bytes
    longer = lambda path: read(path) + b"\n" * (path.name == "course_names.tsv")  # noqa: E731
    monkeypatch.setattr(Path, "read_bytes", longer)
    assert version() != before


@pytest.mark.slow
def test_a_district_without_a_roster_has_no_results_any_more(night: PipelinePaths):
    with exclusive_writer(night.warehouse), open_warehouse(night.warehouse) as connection:
        connection.execute("DELETE FROM transcript_student WHERE _sender = ?", [PALM_SPRINGS])
    run_night(night, on=date(2026, 11, 23))
    rows = lake_rows(night.warehouse)
    for table in ("eligibility", "evaluated"):
        assert PALM_SPRINGS not in f"{rows[table]}"
        assert HAYWARD in f"{rows[table]}"


@pytest.mark.slow
def test_results_of_a_warehouse_that_knows_not_of_which_state_they_are_are_replaced(
    night: PipelinePaths,
):
    before = lake_rows(night.warehouse)["eligibility"]
    with exclusive_writer(night.warehouse), open_warehouse(night.warehouse) as connection:
        connection.execute("DROP TABLE evaluated")
    run_night(night, on=date(2026, 11, 23))
    assert lake_rows(night.warehouse)["eligibility"] == before
