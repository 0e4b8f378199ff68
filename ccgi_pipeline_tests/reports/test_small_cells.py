"""Small cells in the files of nights: a synthetic state attacked, and who gets which file.

Belongs here: profiles of districts, files written, made again and explained. Does not belong here:
random tables, the rule's laws (test_suppression).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from ccgi_pipeline.delivery.ledger import FileKind, open_ledger
from ccgi_pipeline.nightly import report
from ccgi_pipeline.nightly.paths import PipelinePaths
from ccgi_pipeline.nightly.report import open_reports, write_reports
from ccgi_pipeline.operations.rebuild import check_rebuilt, rebuild_files
from ccgi_pipeline.operations.trace import trace_row
from ccgi_pipeline.profiles import FILE_NAME, ProfileError, SmallCells, read_profiles
from ccgi_pipeline.reports import queries
from ccgi_pipeline.reports.outbox import report_path
from ccgi_pipeline.reports.registry import REPORTS
from ccgi_pipeline.reports.suppression import COUNT, LARGEST_SMALL, MARKS
from ccgi_pipeline.synthetic.state import generate
from ccgi_pipeline_tests.nightly.inboxes import PALM_SPRINGS
from ccgi_pipeline_tests.nightly.nights import (
    ON,
    bytes_below,
    folders_in,
    rows_of,
    run_night,
    writing,
)
from ccgi_pipeline_tests.reports.test_suppression import (
    GRADE,
    LINKED,
    PROFILES,
    Linked,
    Shown,
    Table,
    Tally,
    attack_linked,
    attack_table,
    price,
)

pytestmark = pytest.mark.usefixtures("all_cores")

AGGREGATES = [spec for spec in REPORTS if "Agg" in spec.files]
OVERLAPPING = {"applications_and_launches", "goals"}
"""Reports in which a student can be in more than one row of a line."""
CD = PALM_SPRINGS


@dataclass
class State:
    """A synthetic state after a night without profiles, and its files by profile."""

    folders: PipelinePaths
    students: int
    named: pl.DataFrame
    plain: dict[str, bytes] = field(default_factory=dict)
    by_profile: dict[str, dict[str, bytes]] = field(default_factory=dict)
    raw: dict[str, pl.DataFrame] = field(default_factory=dict)


def reports_with(folders: PipelinePaths, settings: str) -> dict[str, bytes]:
    """The reports written again, by these profiles."""
    (folders.warehouse / FILE_NAME).write_text(settings)
    with writing(folders) as connection:
        named = open_reports(connection, folders, ON)
        for spec in AGGREGATES:
            write_reports(connection, folders, spec, named, ON)
    return bytes_below(folders.outbox)


@pytest.fixture(scope="module", params=[(3, 900), pytest.param((10, 8000), marks=pytest.mark.slow)])
def state(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> State:
    """Districts of all sizes; nobody's profile, then each profile for all."""
    folders = folders_in(tmp_path_factory.mktemp("state"))
    districts, students = request.param
    generate(folders.inbox, districts=districts, students=students, seed=5, on=ON)
    run_night(folders)
    with writing(folders) as connection:
        made = State(folders, students, open_reports(connection, folders, ON))
        for spec in AGGREGATES:
            queries.read_detail_rows(connection, spec)
            settings = read_profiles(folders.warehouse).reports
            groups = queries._query_groups(connection, spec, settings)
            rows = queries._format_rows(groups, spec, settings)
            places = queries._measure_places(connection, groups)
            made.raw[spec.name] = pl.concat([rows, places], how="horizontal")
    made.plain = bytes_below(folders.outbox)
    for profile in PROFILES:
        text = f'[defaults.delivery]\nsmall_cells = "{profile}"\n'
        made.by_profile[profile] = reports_with(folders, text)
    return made


def table_of(state: State, name: str, cd: str) -> Table:
    """What the night counted: one district's aggregate with its rosters."""
    (spec,) = [spec for spec in AGGREGATES if spec.name == name]
    rows = state.raw[name].filter(pl.col("cd") == cd)
    table = Table(spec.tables, spec.dimensions, {}, exclusive=name not in OVERLAPPING)
    for row in rows.iter_rows(named=True):
        place = f"{row['School']}|{row[GRADE]}"
        table.sizes[place] = row["size"]
        table.counts[place, *(row[d] for d in spec.dimensions)] = int(row[COUNT])
    return table


def shown_of(state: State, profile: str, name: str, folder: str) -> Shown:
    """What lies in the district's folder, read as a program of the district would."""
    (spec,) = [spec for spec in AGGREGATES if spec.name == name]
    path = report_path(spec, folder, "Agg", ON).as_posix()
    header, *rows = rows_of(state.by_profile[profile][path])
    cells = [dict(zip(header, row, strict=True)) for row in rows]
    return {
        (f"{c['School']}|{c[GRADE]}", *(c[d] for d in spec.dimensions)): c[COUNT] for c in cells
    }


@pytest.mark.slow
@pytest.mark.parametrize("profile", PROFILES)
def test_of_a_states_files_no_cell_is_recovered(state: State, profile: SmallCells) -> None:
    tally = Tally()
    for spec in AGGREGATES:
        if spec.tables.nested:
            continue
        for cd, folder in state.named.select("cd", "folder").iter_rows():
            table = table_of(state, spec.name, cd)
            attack_table(table, shown_of(state, profile, spec.name, folder), tally)
    for cd, folder in state.named.select("cd", "folder").iter_rows():
        single, both, applied = (table_of(state, name, cd) for name in LINKED)
        shown = [shown_of(state, profile, name, folder) for name in LINKED]
        linked = Linked(single.sizes, single, both, applied)
        attack_linked(linked, (shown[0], shown[1], shown[2]), tally)
    print(f"{profile}, state: {tally}")  # noqa: T201 - the figures of docs/small-cells.md: pytest -s
    assert tally.primary > state.students / 8
    assert (tally.recovered, tally.narrowed) == (0, 0)


@pytest.mark.parametrize("profile", PROFILES)
def test_of_a_states_files_little_more_than_the_least_is_hidden(
    state: State, profile: SmallCells
) -> None:
    cells = hidden = least = 0
    for spec in AGGREGATES:
        if spec.tables.nested or spec.name in OVERLAPPING:
            continue
        pairs = [*state.named.select("cd", "folder").iter_rows()]
        tables = [table_of(state, spec.name, cd) for cd, _ in pairs]
        shown = [shown_of(state, profile, spec.name, folder) for _, folder in pairs]
        each = price(tables, shown)
        print(profile, spec.name, each)  # noqa: T201 - the same
        cells, hidden, least = cells + each[0], hidden + each[1], least + each[2]
    print(f"{profile}, state: {cells=} {hidden=} {least=}")  # noqa: T201 - the same
    assert least <= hidden <= 1.5 * least


@pytest.mark.parametrize("profile", PROFILES)
def test_two_files_about_the_same_students_hide_the_same(state: State, profile: str) -> None:
    for folder in state.named["folder"]:
        all_kinds = shown_of(state, profile, "applications_and_launches", folder)
        aid = shown_of(state, profile, "fafsa_applications", folder)
        launched = {(p, s): c for (p, kind, s), c in all_kinds.items() if kind.startswith("FAFSA")}
        assert launched == {(place, status): count for (place, _, status), count in aid.items()}


@pytest.mark.parametrize("profile", PROFILES)
def test_no_file_of_a_profile_shows_a_small_count(state: State, profile: SmallCells) -> None:
    files = {path: c for path, c in state.by_profile[profile].items() if path.endswith("_Agg.csv")}
    marks = 0
    for content in files.values():
        header, *rows = rows_of(content)
        for *_, count, percent in rows:
            assert header[-2:] == ["# of Students", "% of Students"]
            marks += count == MARKS[profile]
            assert (count == MARKS[profile]) == (percent == MARKS[profile])
            assert count == MARKS[profile] or int(count) > LARGEST_SMALL
    assert marks > state.students / 16


def test_files_of_districts_without_a_profile_stay_byte_for_byte(state: State) -> None:
    again = reports_with(state.folders, "")
    assert again == state.plain
    one = f'[districts.{CD}.delivery]\nsmall_cells = "california_10"\n'
    mixed = reports_with(state.folders, one)
    (theirs,) = state.named.filter(pl.col("cd") == CD)["folder"]
    changed = {path for path in mixed if mixed[path] != again[path]}
    assert changed
    for path in changed:
        assert path.startswith(f"{theirs}/")
        assert path.endswith("_Agg.csv")
        assert mixed[path] == state.by_profile["california_10"][path]


def test_a_file_with_hidden_cells_is_made_again_as_it_was(state: State) -> None:
    reports_with(state.folders, '[defaults.delivery]\nsmall_cells = "cde_11"\n')
    with open_ledger(state.folders.warehouse) as ledger:
        made = [m for m in ledger.list_made(ON) if m.kind == FileKind.REPORT and m.part == "Agg"]
    assert len(made) == len(AGGREGATES) * state.named.height
    for file, content in rebuild_files(state.folders.warehouse, made):
        check_rebuilt(file, content)


def test_a_row_is_explained_where_others_are_left_out(state: State) -> None:
    reports_with(state.folders, '[defaults.delivery]\nsmall_cells = "california_10"\n')
    (spec,) = [spec for spec in AGGREGATES if spec.name == "account_registrations"]
    raw = state.raw[spec.name]
    left_out = raw.filter(pl.col("size") <= LARGEST_SMALL)["cd"].unique().sort()
    cd = left_out[0]
    (folder,) = state.named.filter(pl.col("cd") == cd)["folder"]
    path = report_path(spec, folder, "Agg", ON).as_posix()
    _, *rows = rows_of(state.by_profile["california_10"][path])
    counts = {
        tuple(values): count
        for *values, count in raw.filter(pl.col("cd") == cd)
        .select("School", *spec.dimensions, GRADE, pl.col(COUNT).cast(pl.Int64))
        .iter_rows()
    }
    last = len(rows) + 1
    found = trace_row(state.folders.warehouse, spec, cd, last, "Agg")
    _, _, *labels, _, _ = rows[-1]
    assert found.students == counts[tuple(labels)]


@pytest.mark.parametrize("value", ['"cde_10"', '""', "10", "true"])
def test_a_profile_that_does_not_exist_is_refused(tmp_path: Path, value: str) -> None:
    (tmp_path / FILE_NAME).write_text(f"[defaults.delivery]\nsmall_cells = {value}\n")
    with pytest.raises(ProfileError, match="small_cells must be"):
        read_profiles(tmp_path)


def test_small_cells_are_shown_by_default(tmp_path: Path) -> None:
    assert read_profiles(tmp_path).of(CD).delivery.small_cells == "none"


@pytest.mark.slow
@pytest.mark.parametrize("profile", [None, "california_10"])
def test_reports_that_are_made_for_a_part_of_the_state_at_a_time_are_the_same(
    state: State, profile: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = 0
    create = report.create_detail_table

    def counted(*given: Any, **named: Any) -> None:  # noqa: ANN401 - as it is
        nonlocal asked
        asked += 1
        create(*given, **named)

    monkeypatch.setattr(report, "create_detail_table", counted)
    monkeypatch.setattr(queries, "PART_STUDENTS", 1)
    small = f'[defaults.delivery]\nsmall_cells = "{profile}"\n' if profile else ""
    made = reports_with(state.folders, f'[reports]\nunchanged = "anew"\n{small}')
    assert made == (state.by_profile[profile] if profile else state.plain)
    assert asked == state.named.height * len(AGGREGATES)
