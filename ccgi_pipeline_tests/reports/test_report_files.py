"""Reports as files: header-only ones, same bytes again, spreadsheets, percentages, custom ones."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import polars as pl
import pytest

from ccgi_pipeline.common.spreadsheet_cells import sanitize_cells
from ccgi_pipeline.nightly.load import load_family
from ccgi_pipeline.nightly.paths import PipelinePaths
from ccgi_pipeline.nightly.receive import receive_drops
from ccgi_pipeline.nightly.report import open_reports, sweep_outbox, write_reports
from ccgi_pipeline.nightly.verify import verify_family
from ccgi_pipeline.profiles import ReportSettings
from ccgi_pipeline.reports import queries
from ccgi_pipeline.reports.nonstandard import nonstandard_folder
from ccgi_pipeline.reports.registry import REPORTS
from ccgi_pipeline.reports.spec import PersonalColumnError, ReportColumn, ReportSpec, shipped_query
from ccgi_pipeline_tests.nightly.inboxes import (
    HAYWARD,
    HAYWARD_HIGH,
    PALM_SPRINGS,
    PALM_SPRINGS_HIGH,
    application,
    directory_entry,
    event,
    numbered,
    put_directory,
    put_events,
    put_roster,
    student,
    students,
)
from ccgi_pipeline_tests.nightly.nights import (
    APPLICATIONS,
    ON,
    Outbox,
    bytes_below,
    folders_in,
    rows_of,
    run_night,
    writing,
)

NUMBERS = numbered(1_000_000_000, 60)
PAYLOADS = [
    "=1+1",
    '=HYPERLINK("http://x","y")',
    "+1",
    "-1",
    "@SUM(A1)",
    " =1",
    "\u3000=1",
    "\uff1d1+1",
    "\uff0b1",
    "\uff0d1",
    "\uff20x",
    "=cmd|' /C calc'!A0",
    "-2+3+cmd|' /C calc'!A0",
    "+cmd",
    "@x",
    "=A1,B1",
    '="quoted"',
    "==1",
    "-@",
    "+=1",
]
ASSESSMENTS = "legacy reporting/platform activities/assessments"
FAVORITES = "legacy reporting/platform activities/favorites"
GOALS = "legacy reporting/platform activities/goals"
JOURNALS = "legacy reporting/platform activities/journals"
MODULES = "legacy reporting/platform activities/financial aid modules"


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> PipelinePaths:
    """Palm Springs with every payload in every free text; Hayward with students and no activity."""
    made = folders_in(tmp_path_factory.mktemp("reports"))
    put_roster(made.inbox, PALM_SPRINGS, students(NUMBERS, PALM_SPRINGS_HIGH, "12"))
    put_roster(made.inbox, HAYWARD, [student("1999999999", HAYWARD_HIGH)])
    events = []
    for ssid, payload in zip(NUMBERS, PAYLOADS, strict=False):
        events += [
            application(ssid, "CCCApply", "Submitted", payload),
            event(
                "favorites",
                ssid,
                FavoriteType="Major",
                FavoriteName=payload,
                Action="Added",
            ),
            event("goals", ssid, GoalID="1", GoalType=payload, GoalStatus="Set"),
            event("journals", ssid, JournalTopic=payload),
            event("assessments", ssid, AssessmentName=payload, AssessmentStatus="Started"),
            event("financial_aid_modules", ssid, ModuleName=payload, ModuleStatus="Started"),
        ]
    put_events(made.inbox, events)
    run_night(made)
    return made


@pytest.mark.parametrize(
    ("path", "column"),
    [
        (APPLICATIONS, "College Name"),
        (FAVORITES, "Favorite Name"),
        (GOALS, "Goal Type"),
        (JOURNALS, "Journal Topic"),
        (ASSESSMENTS, "Assessment Name"),
        (MODULES, "Module Name"),
    ],
)
def test_no_free_text_is_a_formula_to_a_spreadsheet(
    folders: PipelinePaths, path: str, column: str
) -> None:
    header, *rows = Outbox(folders.outbox).report("PalmSpringsUnified", path, "Detail")
    cells = [row[header.index(column)] for row in rows]
    assert len(cells) == len(PAYLOADS)
    for cell in cells:
        assert cell.startswith("'")


@pytest.mark.parametrize("sign", "=+-@＝＋－＠﹦﹢﹣﹫")  # noqa: RUF001 - these signs are meant
@pytest.mark.parametrize("before", ["", " ", "\t", "\ufeff", "\u200b "])
def test_no_sign_begins_a_formula(before: str, sign: str) -> None:
    frame = sanitize_cells(pl.DataFrame({"a": [f"{before}{sign}1+1", "plain"]}), ["a"])
    first, plain = frame["a"]
    assert first.startswith("'")
    assert plain == "plain"


@pytest.mark.parametrize("cell", ["line\nbreak", "tab\there", "\x00nul", "a\r\nb", "\u2028x"])
def test_no_cell_holds_a_control_character(cell: str) -> None:
    frame = sanitize_cells(pl.DataFrame({"a": [cell]}), ["a"])
    assert frame.item().isprintable()


def test_a_school_of_the_directory_cannot_bring_a_formula_either(tmp_path: Path) -> None:
    made = folders_in(tmp_path)
    schools = [f"{PALM_SPRINGS}{number:07d}" for number in range(1, len(PAYLOADS) + 1)]
    put_directory(
        made.inbox,
        [
            directory_entry(school, "Riverside", "Palm Springs Unified", payload)
            for school, payload in zip(schools, PAYLOADS, strict=True)
        ],
    )
    roster = [student(f"{1000000000 + n}", school) for n, school in enumerate(schools)]
    put_roster(made.inbox, PALM_SPRINGS, roster)
    with writing(made) as connection:
        receive_drops(connection, made, ON)
        for family in ("cde_directory", "transcript"):
            verify_family(connection, made, family, ON)
            load_family(connection, made, family, ON)
        open_reports(connection, made, ON)
        (accounts,) = [spec for spec in REPORTS if spec.name == "account_registrations"]
        shown = queries.read_detail_rows(connection, accounts)["School"].to_list()
    assert len(shown) == len(PAYLOADS)
    assert [school for school in shown if not school.startswith("'")] == []


OF_EVERY_STUDENT = frozenset(
    {
        "account_registrations",
        "csu_eligibility",
        "csu_eligibility_and_applied",
        "uc_eligibility",
    }
)
OF_ACTIVITY = frozenset(
    {
        "college_and_financial_aid_status",
        "financial_aid_module_daily",
        "career_exploration_daily",
        "applications_and_launches",
        "fafsa_applications",
        "academic_plans",
        "assessments",
        "favorites",
        "financial_aid_modules",
        "goals",
        "journals",
    }
)
"""Reports without a row for a student who did nothing."""


def test_a_district_without_activity_finds_every_file_with_its_header(
    folders: PipelinePaths,
) -> None:
    outbox = Outbox(folders.outbox)
    for spec in REPORTS:
        for file in spec.files:
            header, *rows = outbox.report("HaywardUnified", "/".join(spec.folder), file)
            assert header == [column.name for column in spec.columns_of(file)]
            if spec.name in OF_EVERY_STUDENT:
                assert rows
            if spec.name in OF_ACTIVITY:
                assert not rows


def test_every_file_is_rfc_4180_with_crlf_and_no_mark(folders: PipelinePaths) -> None:
    for path, content in bytes_below(folders.outbox).items():
        if path.endswith(".csv"):
            rows = rows_of(content)
            assert {len(row) for row in rows} == {len(rows[0])}
            assert content.endswith(b"\r\n")
            assert content.count(b"\n") == content.count(b"\r\n") == len(rows)
            assert not content.startswith(b"\xef\xbb\xbf")


def test_the_same_night_again_writes_the_same_bytes_and_touches_no_file(
    folders: PipelinePaths,
) -> None:
    before = bytes_below(folders.outbox)
    touched = {path: (folders.outbox / path).stat().st_mtime_ns for path in before}
    run_night(folders)
    assert bytes_below(folders.outbox) == before
    assert {path: (folders.outbox / path).stat().st_mtime_ns for path in before} == touched


def test_an_aggregate_cannot_be_declared_with_a_personal_column() -> None:
    with pytest.raises(PersonalColumnError, match="Secret"):
        ReportSpec(
            name="leak",
            title="Leak",
            folder=("legacy reporting", "leak"),
            query=shipped_query("goals.sql"),
            columns=(ReportColumn("Secret", ("transcript_student", "LastName")),),
            rules=(),
            dimensions=("Secret",),
        )


@pytest.mark.parametrize("spec", REPORTS, ids=lambda spec: spec.name)
def test_no_aggregate_has_a_personal_column(spec: ReportSpec) -> None:
    assert not [column.name for column in spec.aggregate_columns if column.personal]


@pytest.mark.parametrize(
    ("part", "whole", "decimals", "printed"),
    [
        (10, 100, 1, "10"),
        (1, 3, 1, "33.3"),
        (2, 3, 1, "66.7"),
        (1, 1, 1, "100"),
        (1, 8, 1, "12.5"),
        (1, 16, 1, "6.3"),
        (1, 2000, 1, "0.1"),
        (1, 2001, 1, "0"),
        (2, 3, 0, "67"),
        (1, 3, 2, "33.33"),
        (1, 10, 2, "10"),
        (51, 5000, 2, "1.02"),
    ],
)
def test_percentages_are_rounded_half_up_and_end_in_no_zero(
    part: int, whole: int, decimals: int, printed: str
) -> None:
    frame = pl.DataFrame({"part": [part], "whole": [whole]})
    assert frame.select(queries._percent("part", "whole", decimals)).item() == printed


def test_percentages_can_be_of_the_whole_school(tmp_path: Path) -> None:
    made = folders_in(tmp_path)
    seniors = students(NUMBERS[:4], PALM_SPRINGS_HIGH, "12")
    juniors = students(NUMBERS[4:10], PALM_SPRINGS_HIGH, "11")
    put_roster(made.inbox, PALM_SPRINGS, [*seniors, *juniors])
    put_events(made.inbox, [application(NUMBERS[0], "UC", "Submitted", "UC Davis")])
    made.warehouse.mkdir()
    (made.warehouse / "profiles.toml").write_text('[reports]\npercent_of = "school"\n')
    run_night(made)
    _, row = Outbox(made.outbox).report("PalmSpringsUnified", APPLICATIONS, "Agg")
    assert row[-2:] == ["1", "10"]
    assert ReportSettings().percent_of == "grade"


CUSTOM = """
SELECT roster.*, count(*) AS "Favorites" FROM roster JOIN favorites USING (SSID) GROUP BY ALL
"""


def test_a_customized_report_is_a_spec_and_a_query_and_goes_to_its_districts_alone(
    folders: PipelinePaths, tmp_path: Path
) -> None:
    (tmp_path / "favorite_counts.sql").write_text(CUSTOM)
    spec = ReportSpec(
        name="favorite_counts",
        title="Favorite counts",
        folder=nonstandard_folder("favorite counts"),
        query=tmp_path / "favorite_counts.sql",
        columns=(ReportColumn("Favorites"),),
        rules=(),
        only_for=frozenset({PALM_SPRINGS}),
    )
    mine = PipelinePaths(folders.inbox, tmp_path / "outbox", folders.warehouse)
    with writing(mine) as connection:
        named = open_reports(connection, mine, ON, reports=[spec])
        written = write_reports(connection, mine, spec, named, ON)
    sweep_outbox(mine)
    assert [part.files for part in written] == [1, 1]
    found = "PalmSpringsUnified/legacy reporting/nonstandard/favorite counts/"
    assert sorted(bytes_below(mine.outbox)) == [
        f"{found}PalmSpringsUnified_20261122_Agg.csv",
        f"{found}PalmSpringsUnified_20261122_Detail.csv",
    ]


def test_the_day_of_a_report_ends_at_midnight_in_california(tmp_path: Path) -> None:
    made = folders_in(tmp_path)
    put_roster(made.inbox, PALM_SPRINGS, students(NUMBERS[:2], PALM_SPRINGS_HIGH, "12"))
    last = application(NUMBERS[0], "UC", "Submitted", "UC Davis", "2026-11-23T07:59:59Z")
    next_day = application(NUMBERS[1], "UC", "Submitted", "UC Davis", "2026-11-23T08:00:00Z")
    put_events(made.inbox, [last, next_day])
    run_night(made, date(2026, 11, 22))
    status = "daily reporting/college and financial aid status"
    header, row = Outbox(made.outbox).report("PalmSpringsUnified", status, "Detail")
    assert row[header.index("SSID")] == NUMBERS[0]
    assert row[header.index("Status Date")] == "2026-11-22"


def test_the_newest_status_of_an_application_counts(tmp_path: Path) -> None:
    made = folders_in(tmp_path)
    put_roster(made.inbox, PALM_SPRINGS, students(NUMBERS[:1], PALM_SPRINGS_HIGH, "12"))
    steps_taken = [
        application(NUMBERS[0], "UC", status, "UC Davis", f"2026-10-0{day}T20:00:00Z")
        for day, status in ((2, "Submitted"), (1, "Launched"), (3, "Completed"))
    ]
    put_events(made.inbox, steps_taken)
    run_night(made)
    header, row = Outbox(made.outbox).report("PalmSpringsUnified", APPLICATIONS, "Detail")
    assert row[header.index("Application Status")] == "Completed"
