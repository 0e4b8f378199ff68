"""What a student's steps come to: the furthest status of an application year, races, accounts.

Belongs here: the shipped queries over a few rows in memory. Does not belong here: files and nights
(test_report_files).
"""

from __future__ import annotations

from collections.abc import Iterator

import duckdb
import pytest

from ccgi_pipeline.feeds.codes import RACE_CATEGORY, race_group
from ccgi_pipeline.profiles import ReportSettings
from ccgi_pipeline.reports.queries import create_macros
from ccgi_pipeline.reports.spec import shipped_query

APPLICATIONS = "college_applications"
AID = "financial_aid_applications"


@pytest.fixture
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    """One student on the roster, and empty tables of what students did."""
    with duckdb.connect() as made:
        create_macros(made, ReportSettings())
        made.execute("CREATE TABLE roster AS SELECT '3367173' AS cd, '1' AS SSID")
        made.execute(
            "CREATE TABLE college_applications (SSID VARCHAR, ApplicationType VARCHAR, "
            "CollegeName VARCHAR, ApplicationStatus VARCHAR, OccurredAt TIMESTAMP)"
        )
        made.execute(f"CREATE TABLE {AID} AS FROM college_applications")
        made.execute(
            "CREATE TABLE eligibility AS SELECT '3367173' AS _sender, '1' AS SSID, "
            "'CSU' AS system, 'Meets' AS status, '3.10' AS average"
        )
        made.execute(
            "CREATE TABLE financial_aid_modules (SSID VARCHAR, ModuleName VARCHAR, "
            "ModuleStatus VARCHAR, OccurredAt TIMESTAMP)"
        )
        made.execute(
            "CREATE TABLE account_registrations (SSID VARCHAR, AccountType VARCHAR, "
            "OccurredAt TIMESTAMP, EventID VARCHAR)"
        )
        yield made


def put(connection: duckdb.DuckDBPyConnection, table: str, *rows: tuple[str | None, ...]) -> None:
    """Rows of the student ``1``."""
    for row in rows:
        marks = ", ".join("?" for _ in row)
        connection.execute(f"INSERT INTO {table} VALUES ('1', {marks})", row)  # noqa: S608


def ask(connection: duckdb.DuckDBPyConnection, query: str) -> list[tuple[object, ...]]:
    """The rows of a report's query, without cd and SSID."""
    rows = connection.execute(shipped_query(f"{query}.sql").read_text()).fetchall()
    return sorted(row[2:] for row in rows)


def test_a_later_launch_does_not_undo_a_completion(connection: duckdb.DuckDBPyConnection) -> None:
    done = ("FAFSA", None, "Completed", "2026-10-01 20:00")
    put(connection, AID, done, ("FAFSA", None, "Launched", "2026-10-20 20:00"))
    assert ask(connection, "fafsa_applications") == [("FAFSA/CADAA", "Completed", "2026-10-01")]
    assert ask(connection, "applications") == [("FAFSA/CADAA", "Completed", "N/A", "2026-10-01")]


def test_of_fafsa_and_cadaa_the_further_one_counts(connection: duckdb.DuckDBPyConnection) -> None:
    put(connection, AID, ("CADAA", None, "Submitted", "2026-10-02 20:00"))
    put(connection, AID, ("FAFSA", None, "In Progress", "2026-11-02 20:00"))
    assert ask(connection, "fafsa_applications") == [("FAFSA/CADAA", "Submitted", "2026-10-02")]


@pytest.mark.parametrize(
    ("last_year", "status"),
    [("2026-10-01 06:59", "Launched"), ("2026-10-01 07:00", "Completed")],
    ids=["before midnight of California", "after it"],
)
def test_last_years_completion_does_not_hide_this_years_aid(
    connection: duckdb.DuckDBPyConnection, last_year: str, status: str
) -> None:
    put(connection, AID, ("FAFSA", None, "Completed", last_year))
    put(connection, AID, ("FAFSA", None, "Launched", "2026-10-20 20:00"))
    ((_, found, _),) = ask(connection, "fafsa_applications")
    assert found == status


def test_the_years_begin_where_the_settings_say(connection: duckdb.DuckDBPyConnection) -> None:
    create_macros(
        connection, ReportSettings(aid_year_starts="12-01", admission_year_starts="12-01")
    )
    put(connection, AID, ("FAFSA", None, "Completed", "2026-09-01 20:00"))
    put(connection, AID, ("FAFSA", None, "Launched", "2026-10-20 20:00"))
    college = ("UC", "UC Davis", "Completed", "2026-06-01 20:00")
    put(connection, APPLICATIONS, college, ("UC", "UC Davis", "Launched", "2026-11-20 20:00"))
    found = {row[0]: row[1] for row in ask(connection, "applications")}
    assert found == {"FAFSA/CADAA": "Completed", "UC": "Completed"}


def test_last_years_admission_does_not_hide_this_years(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    put(connection, APPLICATIONS, ("UC", "UC Davis", "Completed", "2025-11-20 20:00"))
    put(connection, APPLICATIONS, ("UC", "UC Davis", "In Progress", "2026-07-02 20:00"))
    put(connection, APPLICATIONS, ("UC", "UC Davis", "Launched", "2026-07-03 20:00"))
    assert ask(connection, "applications") == [("UC", "In Progress", "UC Davis", "2026-07-02")]


def test_a_launch_without_a_college_is_no_application_of_its_own(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    launched = ("Cal State Apply", None, "Launched", "2026-10-01 20:00")
    put(connection, APPLICATIONS, launched)
    only = ("Cal State Apply", "Launched", "N/A", "2026-10-01")
    assert ask(connection, "applications") == [only]
    sent = ("Cal State Apply", "CSU Chico", "Submitted", "2026-10-09 20:00")
    put(connection, APPLICATIONS, sent)
    assert ask(connection, "applications") == [
        ("Cal State Apply", "Submitted", "CSU Chico", "2026-10-09")
    ]
    assert ask(connection, "csu_eligibility_and_applied") == [("Meets", "3.10", "Submitted", 1)]


def test_a_submission_without_a_college_is_not_lost(connection: duckdb.DuckDBPyConnection) -> None:
    put(connection, APPLICATIONS, ("CCCApply", None, "Submitted", "2026-10-01 20:00"))
    put(connection, APPLICATIONS, ("CCCApply", "Foothill", "Launched", "2026-10-02 20:00"))
    assert [row[1:3] for row in ask(connection, "applications")] == [
        ("Launched", "Foothill"),
        ("Submitted", "N/A"),
    ]


def test_what_was_completed_stays_so_beside_eligibility(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    done = ("Cal State Apply", "CSU Chico", "Completed", "2026-10-01 20:00")
    put(connection, APPLICATIONS, done)
    again = ("Cal State Apply", "CSU Chico", "Launched", "2026-10-20 20:00")
    put(connection, APPLICATIONS, again)
    assert ask(connection, "csu_eligibility_and_applied") == [("Meets", "3.10", "Completed", 1)]


def test_modules_are_counted_by_student_in_the_daily_report(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    put(connection, "financial_aid_modules", ("A", "Assigned", "2026-10-01 20:00"))
    assert ask(connection, "financial_aid_module_daily") == [(1, 0, 0, "2026-10-01")]
    put(connection, "financial_aid_modules", ("A", "Completed", "2026-10-03 20:00"))
    put(connection, "financial_aid_modules", ("A", "Started", "2026-10-05 20:00"))
    put(connection, "financial_aid_modules", ("B", "Started", "2026-10-02 20:00"))
    assert ask(connection, "financial_aid_module_daily") == [(2, 2, 1, "2026-10-05")]
    assert ask(connection, "financial_aid_modules") == [
        ("A", "Completed", "2026-10-03"),
        ("B", "Started", "2026-10-02"),
    ]


def test_the_newest_account_type_counts_from_the_first_registration_on(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    put(connection, "account_registrations", ("Basic", "2026-08-01 20:00", "a"))
    put(connection, "account_registrations", ("Partner", "2026-09-01 20:00", "b"))
    assert ask(connection, "account_registrations") == [("Registered", "Partner", "2026-08-01")]


def roster_of(students: list[dict[str, str | None]]) -> list[dict[str, object]]:
    """The roster's rows of students of one district, of whom these cells are known."""
    names = ["StateID", "PrimaryCDSCode", "GradeLevel", "Gender"]
    names += [f"RaceCode{number}" for number in range(1, 6)]
    listed = ", ".join(f"?::VARCHAR AS {name}" for name in names)
    with duckdb.connect() as made:
        made.execute("CREATE TABLE race_categories (code VARCHAR, name VARCHAR, in_group VARCHAR)")
        for code in RACE_CATEGORY.codes:
            known = [code.value, code.name, race_group(code.value)]
            made.execute("INSERT INTO race_categories VALUES (?, ?, ?)", known)
        made.execute("CREATE TABLE claims (_sender VARCHAR, SSID VARCHAR, sees BOOLEAN)")
        made.execute("CREATE TABLE directory (CDSCode VARCHAR, School VARCHAR)")
        made.execute("INSERT INTO directory VALUES ('1975309' || '0000001', 'Larkspur High')")
        made.execute("INSERT INTO directory VALUES ('1975309' || '0000002', 'Larkspur High')")
        made.execute("INSERT INTO directory VALUES ('1975309' || '0000003', 'Other High')")
        made.execute(
            "CREATE TABLE district_names AS SELECT 'cd' AS cd, 'C' AS County, 'D' AS District"
        )
        selects = " UNION ALL ".join(
            "SELECT 'cd' AS _sender, true AS _active, NULL::BOOLEAN AS HispanicEthnicity, " + listed
            for _ in students
        )
        cells = [student.get(name) for student in students for name in names]
        made.execute(f"CREATE TABLE transcript_student AS {selects}", cells)
        rows = made.execute(shipped_query("roster.sql").read_text())
        shown = [column[0] for column in rows.description]
        return [dict(zip(shown, row, strict=True)) for row in rows.fetchall()]


def test_two_schools_of_one_name_are_told_apart() -> None:
    schools = ["19753090000001", "19753090000002", "19753090000002", "19753090000003"]
    rows = roster_of(
        [{"StateID": str(n), "PrimaryCDSCode": school} for n, school in enumerate(schools)]
    )
    assert {str(row["cds_code"])[-1]: row["School"] for row in rows} == {
        "1": "Larkspur High (0000001)",
        "2": "Larkspur High (0000002)",
        "3": "Other High",
    }
    (alone,) = roster_of([{"StateID": "1", "PrimaryCDSCode": schools[0]}])
    assert alone["School"] == "Larkspur High"


@pytest.mark.parametrize(
    ("codes", "race"),
    [
        (["700", "700"], "White"),
        (["700"], "White"),
        ([None, "600"], "Black or African American"),
        ([None, None, None, None, "201"], "Chinese"),
        (["600", None, "700"], "Two or More Races"),
        (["201", "202"], "Asian"),
        (["301", None, None, "399"], "Pacific Islander"),
        (["201", "400"], "Two or More Races"),
        (["100", "700", "700"], "Two or More Races"),
        ([], "Not Reported"),
    ],
)
def test_races_are_told_by_their_groups(codes: list[str | None], race: str) -> None:
    columns = [f"RaceCode{number}" for number in range(1, 6)]
    cells = dict(zip(columns, [*codes, None, None, None, None, None], strict=False))
    (told,) = roster_of([{"StateID": "1", **cells}])
    assert told["Race"] == race
    assert told["Gender"] == "Not Reported"
