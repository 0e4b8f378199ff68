"""Every file of a month, made again byte for byte; rows of it, led back to the lines behind them.

Belongs here: ``ccgi rebuild``, ``ccgi deliveries`` and ``ccgi explain --report`` over the month of
``months``. What is expected of a row is read from the sent files, not from the warehouse.
"""

from __future__ import annotations

import hashlib
import itertools
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from datetime import date, timedelta
from pathlib import Path

import duckdb
import pytest
from click.testing import CliRunner, Result

from ccgi_pipeline.cli import main
from ccgi_pipeline.delivery.ledger import DeliveryState, FileKind, MadeFile, open_ledger
from ccgi_pipeline.feeds.cde_directory import FEED as DIRECTORY
from ccgi_pipeline.feeds.transcript import COURSE_GRADE, STUDENT
from ccgi_pipeline.intake.archive import Archive
from ccgi_pipeline.operations import rebuild as rebuild_operation
from ccgi_pipeline.operations import trace as trace_operation
from ccgi_pipeline.operations.rebuild import NotRebuiltError, rebuild_file, rebuild_files
from ccgi_pipeline.operations.trace import find_report, trace_row
from ccgi_pipeline.reports.outbox import report_path
from ccgi_pipeline.reports.registry import REPORTS
from ccgi_pipeline.reports.spec import ReportSpec
from ccgi_pipeline.warehouse.storage.connection import open_warehouse
from ccgi_pipeline_tests.nightly.inboxes import (
    HAYWARD,
    HAYWARD_HIGH,
    PALM_SPRINGS,
    application,
    directory_entry,
    numbered,
    put_directory,
    put_events,
    put_roster,
    student,
)
from ccgi_pipeline_tests.nightly.months import (
    BROKEN_ON,
    FIRST,
    FOLDERS,
    HELD_ON,
    LAST,
    NIGHTS,
    NO_DATE,
    RENAMED_ON,
    TWICE_ON,
    Month,
    run_month,
)
from ccgi_pipeline_tests.nightly.nights import ON, folders_in, rows_of, run_night

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def month(tmp_path_factory: pytest.TempPathFactory) -> Month:
    """A month of three districts. Not to be changed: copy it."""
    return run_month(folders_in(tmp_path_factory.mktemp("month")))


@pytest.fixture
def copy(month: Month, tmp_path: Path) -> Path:
    """A copy of the month's warehouse."""
    return Path(shutil.copytree(month.folders.warehouse, tmp_path / "warehouse"))


def all_made(warehouse: Path) -> list[MadeFile]:
    """Every file that was ever made."""
    with open_ledger(warehouse) as ledger:
        rows = ledger.database.execute("SELECT path, sha256 FROM made").fetchall()
        return [made for path, sha256 in rows if (made := ledger.find_made(path, sha256))]


def made_of(warehouse: Path, path: str) -> MadeFile:
    """The newest file of a path."""
    with open_ledger(warehouse) as ledger:
        made = ledger.find_made(path)
    assert made is not None
    return made


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def night(number: int) -> date:
    return FIRST + timedelta(days=number)


def ccgi(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


# --- rebuilding -----------------------------------------------------------------------------------


def test_every_file_ever_made_is_made_again_byte_for_byte(month: Month):
    made = all_made(month.folders.warehouse)
    others = [
        file.path
        for file, content in rebuild_files(month.folders.warehouse, made)
        if sha256(content) != file.sha256
    ]
    assert not others
    assert {file.kind for file in made} == {*FileKind} - {FileKind.PAGE}
    assert len({file.settings for file in made}) == 3


def test_every_file_of_the_outbox_is_one_that_was_noted(month: Month):
    root = month.folders.outbox
    there = {
        path.relative_to(root).as_posix(): sha256(path.read_bytes())
        for path in root.rglob("*")
        if path.is_file()
    }
    newest = {path: made_of(month.folders.warehouse, path).sha256 for path in there}
    assert there == newest
    assert {file.path for file in all_made(month.folders.warehouse)} == set(there)


def test_of_a_night_that_was_run_twice_both_files_are_made_again(month: Month):
    made = all_made(month.folders.warehouse)
    times = Counter(file.path for file in made)
    both = [
        f for f in made if times[f.path] == 2 and f.name == "goals" and f.night == night(TWICE_ON)
    ]
    assert len({file.snapshot for file in both}) == 2
    assert {file: sha256(c) for file, c in rebuild_files(month.folders.warehouse, both)} == {
        file: file.sha256 for file in both
    }


def test_the_month_has_what_it_is_there_for(month: Month):
    """Without this a change of the rules might leave an easier month."""
    with open_warehouse(month.folders.warehouse, read_only=True) as connection:
        fates = dict(
            connection.execute("SELECT fate, sum(lines)::BIGINT FROM ledger GROUP BY 1").fetchall()
        )
        (duplicates,) = connection.execute("SELECT count(*) FROM duplicates").fetchone()
    assert duplicates == 3
    assert {"inserted", "updated", "unchanged", "rejected", "removed", "unmatched"} <= set(fates)
    held = f"{night(HELD_ON):%Y%m%d}_transcript_*.json"
    (receipt,) = (month.folders.outbox / FOLDERS[HAYWARD] / "_receipts").glob(held)
    assert '"verdict": "held"' in receipt.read_text()
    receipts = month.folders.outbox / FOLDERS[PALM_SPRINGS] / "_receipts"
    shown = {
        number: NO_DATE
        in next(receipts.glob(f"{night(number):%Y%m%d}_transcript_*.html")).read_text()
        for number in BROKEN_ON
    }
    assert shown == dict(zip(BROKEN_ON, (False, True), strict=True))


# --- the command rebuild --------------------------------------------------------------------------

GOALS = f"legacy reporting/platform activities/goals/PalmSpringsUnified_{night(5):%Y%m%d}_Agg.csv"
REPORT = f"PalmSpringsUnified/{GOALS}"


def test_a_file_that_was_never_delivered_is_made_again_by_its_path(month: Month, tmp_path: Path):
    warehouse, out = month.folders.warehouse, tmp_path / "below" / "again.csv"
    result = ccgi("rebuild", "--path", REPORT, "--warehouse", warehouse, "--out", out)
    assert result.exit_code == 0, result.output
    assert out.read_bytes() == (month.folders.outbox / REPORT).read_bytes()
    made = made_of(warehouse, REPORT)
    for told in (made.sha256, f"{made.night}", f"{made.snapshot}"):
        assert told in result.output
    assert [path.name for path in out.parent.iterdir()] == ["again.csv"]


def deliver(warehouse: Path, path: str = REPORT) -> str:
    """Notes a file as delivered; returns the delivery's id."""
    with open_ledger(warehouse) as ledger:
        ledger.prepare([(made_of(warehouse, path), "reports", f"/out/{path}")])
        (delivery,) = ledger.find_deliveries(states=[DeliveryState.PREPARED])
        for state in (DeliveryState.UPLOADED, DeliveryState.VERIFIED, DeliveryState.DELIVERED):
            ledger.advance(delivery, state)
        return delivery.id


def test_a_delivered_file_is_made_again_by_the_beginning_of_its_delivery(
    month: Month, copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    id_ = deliver(copy)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    result = ccgi("rebuild", "--delivery", id_[:8], "--warehouse", copy)
    assert result.exit_code == 0, result.output
    assert Path(Path(REPORT).name).read_bytes() == (month.folders.outbox / REPORT).read_bytes()
    for told in (id_, "prepared", "uploaded", "verified", "delivered"):
        assert told in result.output


def test_a_file_that_is_there_is_only_written_over_by_force(month: Month, tmp_path: Path):
    out = tmp_path / "mine.csv"
    out.write_text("mine")
    command = ["rebuild", "--path", REPORT, "--warehouse", month.folders.warehouse, "--out", out]
    result = ccgi(*command)
    assert result.exit_code == 1
    assert "--force" in result.output
    assert out.read_text() == "mine"
    assert ccgi(*command, "--force").exit_code == 0
    assert out.read_bytes() == (month.folders.outbox / REPORT).read_bytes()


@pytest.mark.parametrize("id_", ["0000", "zzzz", "3f2a'; DROP TABLE made", ""])
def test_an_id_that_no_delivery_has_is_named(copy: Path, tmp_path: Path, id_: str):
    deliver(copy)
    deliver(copy, REPORT.replace("Agg", "Detail"))
    out = tmp_path / "out.csv"
    result = ccgi("rebuild", "--delivery", id_, "--warehouse", copy, "--out", out)
    assert result.exit_code == 1
    assert "deliveries begin with" in result.output
    assert not out.exists()


def test_a_path_that_was_never_made_is_refused(month: Month, tmp_path: Path):
    out = tmp_path / "out.csv"
    result = ccgi(
        *("rebuild", "--path", "PalmSpringsUnified/no.csv"),
        *("--warehouse", month.folders.warehouse, "--out", out),
    )
    assert result.exit_code == 1
    assert not out.exists()


@pytest.mark.parametrize("arguments", [[], ["--path", "a", "--delivery", "b"]])
def test_a_file_is_named_in_one_way(month: Month, arguments: list[str]):
    result = ccgi("rebuild", *arguments, "--warehouse", month.folders.warehouse)
    assert result.exit_code == 2


def expire(warehouse: Path, snapshot: int) -> None:
    with open_warehouse(warehouse) as connection:
        connection.execute(f"CALL ducklake_expire_snapshots('lake', versions => [{snapshot}])")


def test_settings_of_a_past_night_may_name_rules_that_are_gone(tmp_path: Path) -> None:
    settings = tmp_path / "profiles.toml"
    settings.write_text('[defaults.severities]\nGONE-RULE = "info"\n')
    sha256 = Archive.of(tmp_path).store(settings)
    assert rebuild_operation._profiles(tmp_path, sha256).defaults.severities == {
        "GONE-RULE": "info"
    }


def forget_settings(warehouse: Path, made: MadeFile) -> None:
    (warehouse / "archive" / made.settings[:2] / made.settings).unlink()


def damage_settings(warehouse: Path, made: MadeFile) -> None:
    path = warehouse / "archive" / made.settings[:2] / made.settings
    path.chmod(0o644)
    path.write_bytes(b"[reports]\n")


LATE = REPORT.replace(f"{night(5):%Y%m%d}", f"{night(16):%Y%m%d}")


@pytest.mark.parametrize(
    ("loss", "words"),
    [
        (lambda warehouse, made: expire(warehouse, made.snapshot), "no longer has its snapshot"),
        (forget_settings, "settings of that night are no longer in the archive"),
        (damage_settings, "damaged"),
    ],
    ids=["snapshot", "settings", "damaged settings"],
)
def test_what_is_lost_is_named_and_nothing_is_written(
    copy: Path, tmp_path: Path, loss: Callable[[Path, MadeFile], None], words: str
):
    loss(copy, made_of(copy, LATE))
    out = tmp_path / "out.csv"
    result = ccgi("rebuild", "--path", LATE, "--warehouse", copy, "--out", out)
    assert result.exit_code == 1
    assert words in result.output
    assert not out.exists()


def test_a_file_that_comes_out_otherwise_is_not_written(
    month: Month, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def otherwise(*_: object) -> Iterable[tuple[str, str, bytes]]:
        return [(PALM_SPRINGS, "", b"otherwise\r\n")]

    monkeypatch.setattr(rebuild_operation, "render_report_files", otherwise)
    out = tmp_path / "out.csv"
    arguments = ("--path", REPORT, "--warehouse", month.folders.warehouse, "--out", out)
    result = ccgi("rebuild", *arguments)
    assert result.exit_code == 1
    assert "most likely the code was changed" in result.output
    assert not out.exists()


def test_a_report_that_fails_today_is_told_without_a_value(
    month: Month, monkeypatch: pytest.MonkeyPatch
):
    def fails(*_: object) -> None:
        msg = "1000000001"
        raise duckdb.BinderException(msg)

    monkeypatch.setattr(rebuild_operation, "read_detail_rows", fails)
    with pytest.raises(NotRebuiltError, match="most likely the code was changed") as raised:
        rebuild_file(month.folders.warehouse, made_of(month.folders.warehouse, REPORT))
    assert "1000000001" not in str(raised.value)


def test_a_receipt_whose_drop_is_unknown_cannot_be_made(month: Month):
    receipts = [m for m in all_made(month.folders.warehouse) if m.kind == FileKind.RECEIPT]
    newest = max(receipts, key=lambda made: made.snapshot)
    oldest = min(receipts, key=lambda made: made.snapshot)
    wrong = MadeFile(
        **{n: getattr(newest, n) for n in MadeFile.__slots__} | {"snapshot": oldest.snapshot}
    )
    with pytest.raises(NotRebuiltError):
        rebuild_file(month.folders.warehouse, wrong)


# --- the command deliveries -----------------------------------------------------------------------


def test_deliveries_are_listed_and_shown(copy: Path):
    id_ = deliver(copy)
    listed = ccgi("deliveries", "list", "--warehouse", copy, "--district", PALM_SPRINGS)
    for told in (id_[:12], "reports", PALM_SPRINGS, "delivered"):
        assert told in listed.output
    shown = ccgi("deliveries", "show", id_[:6], "--warehouse", copy)
    assert shown.exit_code == 0
    for told in (id_, f"/out/{REPORT}", "prepared", "uploaded", "verified", "delivered"):
        assert told in shown.output


@pytest.mark.parametrize(
    "arguments", [["--district", HAYWARD], ["--state", "changed", "--state", "picked_up"]]
)
def test_deliveries_of_others_are_not_listed(copy: Path, arguments: list[str]):
    deliver(copy)
    listed = ccgi("deliveries", "list", "--warehouse", copy, *arguments)
    assert listed.output == "There is no such delivery.\n"


def test_where_nothing_was_made_that_is_said(tmp_path: Path):
    for command in (["deliveries", "list"], ["rebuild", "--path", "a"]):
        result = ccgi(*command, "--warehouse", tmp_path)
        assert result.exit_code == 2
        assert "there is no warehouse" in result.output
    assert not [*tmp_path.iterdir()]


# --- from a row to the lines behind it ------------------------------------------------------------

ACTIVITIES = {
    "college_and_financial_aid_status": ("college_applications", "financial_aid_applications"),
    "financial_aid_module_daily": ("financial_aid_modules",),
    "career_exploration_daily": ("assessments", "favorites"),
    "account_registrations": ("account_registrations",),
    "applications_and_launches": ("college_applications", "financial_aid_applications"),
    "fafsa_applications": ("financial_aid_applications",),
    "academic_plans": ("academic_plans",),
    "assessments": ("assessments",),
    "favorites": ("favorites",),
    "financial_aid_modules": ("financial_aid_modules",),
    "goals": ("goals",),
    "journals": ("journals",),
    "csu_eligibility": (),
    "csu_eligibility_and_applied": ("college_applications",),
    "uc_eligibility": (),
}
"""What each report tells of."""
SPECS = {spec.name: spec for spec in REPORTS}
Place = tuple[str, str, int]
"""Feed, SHA-256 of what was received, line."""


def test_the_reports_are_those_that_are_traced_here():
    assert set(ACTIVITIES) == set(SPECS)


def sent_lines(month: Month, spec: ReportSpec, cd: str, ssids: set[str], on: date) -> set[Place]:
    """The lines of sent files that stood for these students after the night of ``on``."""
    until = f"{on + timedelta(days=1)}T08:00:00Z"  # midnight in California, in winter
    activities = {f"platform_{activity}" for activity in ACTIVITIES[spec.name]}
    standing = month.standing(on)
    schools = {standing[STUDENT.name, cd, (ssid,)].cells["PrimaryCDSCode"] for ssid in ssids} | {
        f"{cd}0000000"
    }
    behind = set()
    for (feed, sender, key), record in standing.items():
        if feed in activities:
            own = record.cells["SSID"] in ssids and record.cells["OccurredAt"] < until
        elif feed == STUDENT.name:
            own = sender == cd and key[0] in ssids
        elif feed == COURSE_GRADE.name:
            own = "eligibility" in spec.name and sender == cd and key[0] in ssids
        else:
            own = feed == DIRECTORY.name and key[0] in schools
        if own:
            behind.add((feed, record.sha256, record.line))
    return behind


def report_rows(month: Month, spec: ReportSpec, cd: str, file: str, on: date) -> list[list[str]]:
    """The rows of a report as it lies in the outbox."""
    path = month.folders.outbox / report_path(spec, FOLDERS[cd], file, on)
    return rows_of(path.read_bytes())


def students_of(month: Month, spec: ReportSpec, cd: str, row: list[str], on: date) -> set[str]:
    """Whom a row of the aggregate counts, by the rows of the detail."""
    detail = [column.name for column in spec.detail_columns]
    groups = [column.name for column in spec.aggregate_columns[:-2]]
    counted = set()
    for cells in report_rows(month, spec, cd, "Detail", on)[1:]:
        told = dict(zip(detail, cells, strict=True))
        labelled = [spec.labels.get(name, {}).get(told[name], told[name]) for name in groups]
        if labelled == row[: len(groups)]:
            counted.add(told["SSID"])
    return counted


def traced_lines(
    month: Month, spec: ReportSpec, cd: str, row: int, file: str, on: date
) -> set[Place]:
    traced = trace_row(month.folders.warehouse, spec, cd, row, file, on)
    places = [(sent.feed.name, sent.sha256, line) for sent in traced.files for line in sent.lines]
    assert len(places) == len(set(places))
    return set(places)


def a_row(month: Month, spec: ReportSpec, file: str, on: date) -> tuple[str, int, list[str]]:
    """A district with rows in this file, one of them by its number and cells."""
    for cd in FOLDERS:
        rows = report_rows(month, spec, cd, file, on)
        if len(rows) > 2:
            number = 1 + len(rows) // 2
            return cd, number, rows[number - 1]
    pytest.fail("no district has rows")


FILES = [(spec.name, file) for spec in REPORTS for file in spec.files]


@pytest.mark.parametrize(("name", "file"), FILES)
def test_a_row_leads_to_just_the_lines_that_were_sent_of_its_students(
    month: Month, name: str, file: str
):
    spec = SPECS[name]
    cd, number, cells = a_row(month, spec, file, LAST)
    ssids = {cells[3]} if file == "Detail" else students_of(month, spec, cd, cells, LAST)
    assert ssids
    expected = sent_lines(month, spec, cd, ssids, LAST)
    assert traced_lines(month, spec, cd, number, file, LAST) == expected
    told = {feed for feed, *_ in expected}
    assert {STUDENT.name, DIRECTORY.name} <= told
    assert len(told) > 2 or name == "account_registrations"


@pytest.mark.parametrize("number", [3, HELD_ON, HELD_ON + 1, RENAMED_ON, NIGHTS - 4])
def test_a_row_of_an_earlier_night_leads_to_what_stood_then(month: Month, number: int):
    spec, on = SPECS["account_registrations"], night(number)
    rows = report_rows(month, spec, HAYWARD, "Detail", on)
    for row in range(2, len(rows) + 1, 7):
        expected = sent_lines(month, spec, HAYWARD, {rows[row - 1][3]}, on)
        assert traced_lines(month, spec, HAYWARD, row, "Detail", on) == expected


def test_of_two_files_of_a_kind_in_one_drop_the_right_one_is_named(month: Month):
    """On some nights the platform sends two files of one activity together."""
    second = {sha256(path.read_bytes()) for path in month.folders.inbox.glob("platform/north_*")}
    for spec, cd in itertools.product(REPORTS, FOLDERS):
        rows = report_rows(month, spec, cd, "Detail", LAST)
        for row, cells in enumerate(rows[1:], start=2):
            expected = sent_lines(month, spec, cd, {cells[3]}, LAST)
            if second & {of for _, of, _ in expected}:
                assert traced_lines(month, spec, cd, row, "Detail", LAST) == expected
                return
    pytest.fail("no row is made of such a file")


def test_two_schools_of_one_name_are_two_rows(tmp_path: Path):
    """An aggregate prints names; who is counted goes by the school's code."""
    folders = folders_in(tmp_path)
    other = f"{HAYWARD}0000001"
    entries = [
        directory_entry(code, "Alameda", "Hayward Unified", "High")
        for code in (HAYWARD_HIGH, other)
    ]
    put_directory(folders.inbox, entries)
    students = [student("1111111111", HAYWARD_HIGH), student("2222222222", other)]
    put_roster(folders.inbox, HAYWARD, students)
    put_events(
        folders.inbox,
        [application(line["StateID"], "UC", "Submitted", "UC Merced") for line in students],
    )
    run_night(folders)
    spec = SPECS["applications_and_launches"]
    lines = {}
    for row in (2, 3):
        traced = trace_row(folders.warehouse, spec, HAYWARD, row, "Agg", ON)
        (roster,) = [sent for sent in traced.files if sent.feed is STUDENT]
        (lines[row],) = roster.lines
        assert traced.students == 1
    assert lines == {2: 3, 3: 2}  # the order of the codes


def test_a_row_of_a_file_that_hides_small_cells_leads_to_its_own_students(tmp_path: Path):
    """The twelfth grade has too few students for a row; the row of the eleventh takes its place."""
    folders = folders_in(tmp_path)
    folders.warehouse.mkdir()
    profile = '[defaults.delivery]\nsmall_cells = "california_10"\n'
    (folders.warehouse / "profiles.toml").write_text(profile)
    few = [student(ssid, HAYWARD_HIGH, "12") for ssid in numbered(1000000000, 4)]
    many = [student(ssid, HAYWARD_HIGH, "11") for ssid in numbered(2000000000, 25)]
    put_roster(folders.inbox, HAYWARD, [*few, *many])
    applied = [*few, *many[:20]]
    put_events(
        folders.inbox,
        [application(line["StateID"], "UC", "Submitted", "UC Merced") for line in applied],
    )
    run_night(folders)
    traced = trace_row(folders.warehouse, SPECS["applications_and_launches"], HAYWARD, 2, "Agg", ON)
    assert traced.cells["# of Students"] == "*"
    assert traced.students == 20
    (roster,) = [sent for sent in traced.files if sent.feed is STUDENT]
    assert roster.lines == tuple(range(6, 26))


# --- the command explain --------------------------------------------------------------------------


def explained(warehouse: Path, *arguments: str) -> Result:
    row = ("--report", "account reg", "--district", PALM_SPRINGS, "--row", "3")
    return ccgi("explain", *row, "--warehouse", warehouse, *arguments)


def pupils_values(month: Month) -> set[str]:
    return {
        cell
        for roster in month.rosters.values()
        for line in roster.values()
        for cell in (line["StateID"], line["FirstName"], line["LastName"], line["LocalStudentID"])
    }


@pytest.mark.parametrize("file", ["Agg", "Detail"])
def test_no_value_is_shown_unasked(month: Month, file: str):
    result = explained(month.folders.warehouse, "--file", file)
    assert result.exit_code == 0, result.output
    assert "transcript_student" in result.output
    assert [value for value in pupils_values(month) if value in result.output] == []


def test_values_are_shown_to_who_asks_for_them(month: Month):
    spec = SPECS["account_registrations"]
    ssid = report_rows(month, spec, PALM_SPRINGS, "Detail", LAST)[2][3]
    result = explained(month.folders.warehouse, "--show-values")
    assert f"SSID: {ssid}" in result.output
    assert f"StateID: {ssid}" in result.output
    others = {roster for roster in month.rosters[PALM_SPRINGS] if roster != ssid}
    assert [other for other in others if other in result.output] == []


def test_what_is_not_listed_is_counted(month: Month):
    result = explained(month.folders.warehouse, "--file", "Agg", "--lines", "1")
    assert result.exit_code == 0, result.output
    assert "more lines" in result.output


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        (("--row", "99"), "has no row 99"),
        (("--report", "csu"), "csu_eligibility, csu_eligibility_and_applied"),
        (("--report", "nothing"), "no report begins so"),
        (("--district", "9999999"), "was made for the district 9999999"),
        (("--date", "2020-01-01"), "of the night of 2020-01-01"),
        (("--report", "career", "--file", "Agg"), "has no Agg file"),
    ],
)
def test_a_row_that_there_is_not_is_named(month: Month, changed: tuple[str, ...], words: str):
    result = explained(month.folders.warehouse, *changed)
    assert result.exit_code == 1
    assert words in result.output


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["1000000001", "--report", "goals"],
        ["--report", "goals", "--row", "2"],
        ["--report", "goals", "--row", "2", "--district", PALM_SPRINGS, "--system", "UC"],
        ["--report", "goals", "--row", "1", "--district", PALM_SPRINGS],
    ],
    ids=["nothing", "both", "half", "another's option", "the header"],
)
def test_a_figure_is_named_in_one_way(month: Month, arguments: Sequence[str]):
    result = ccgi("explain", *arguments, "--warehouse", month.folders.warehouse)
    assert result.exit_code == 2


def test_a_student_is_explained_as_before(month: Month):
    result = ccgi("explain", "1000000000", "--warehouse", month.folders.warehouse)
    assert result.exit_code == 0
    assert "UC" in result.output


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("goals", "goals"),
        ("csu_eligibility", "csu_eligibility"),
        ("CSU eligibility and", "csu_eligibility_and_applied"),
        ("Applications and Launches", "applications_and_launches"),
        ("Financial aid modules, daily", "financial_aid_module_daily"),
        ("financial_aid_modules", "financial_aid_modules"),
    ],
)
def test_a_report_is_known_by_its_name_its_title_or_how_they_begin(written: str, name: str):
    assert find_report(written).name == name


def test_a_row_of_a_file_that_comes_out_otherwise_is_not_explained(
    month: Month, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(trace_operation, "to_csv", lambda _: b"otherwise\r\n")
    with pytest.raises(NotRebuiltError):
        trace_row(month.folders.warehouse, SPECS["goals"], PALM_SPRINGS, 2)
