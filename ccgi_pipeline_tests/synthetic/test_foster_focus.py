"""Foster Focus extracts and the register of children of the synthetic state."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path

import polars as pl
import pytest

from ccgi_pipeline.feeds import foster_focus, foster_focus_cps, transcript
from ccgi_pipeline.feeds.foster_focus import link_rules
from ccgi_pipeline.feeds.registry import RULES
from ccgi_pipeline.feeds.rules import Severity
from ccgi_pipeline.feeds.spec import FeedSpec, fold
from ccgi_pipeline.profiles import POLICE_WORDS, FosterFocusSettings
from ccgi_pipeline.synthetic import generate, places, state
from ccgi_pipeline.synthetic.courses import history
from ccgi_pipeline.synthetic.foster_focus import foster_lines
from ccgi_pipeline.synthetic.foster_focus.school_days import school_days
from ccgi_pipeline.synthetic.people import people
from ccgi_pipeline.synthetic.student_blocks import blocks
from ccgi_pipeline.verification.child_match import child_match
from ccgi_pipeline.verification.offline_check import check
from ccgi_pipeline_tests.synthetic.conftest import Inbox
from ccgi_pipeline_tests.synthetic.test_defects import AS_IT_SHOULD_BE
from ccgi_pipeline_tests.synthetic.test_generated_files import tree

pytestmark = pytest.mark.slow

ON = date(2026, 11, 22)
DISTRICTS, STUDENTS = 12, 16_000
POINTS = {"A": 4, "B": 3, "C": 2, "D": 1, "F": 0}
CHILD = ["sender", "SISLocalID"]
FORMS = ("%Y-%m-%d", "%m/%d/%Y")


@pytest.fixture(scope="module")
def inbox(tmp_path_factory: pytest.TempPathFactory) -> Inbox:
    """A state with some hundred and sixty foster youth; the high school district is the tenth."""
    root = tmp_path_factory.mktemp("foster")
    made = generate(root, districts=DISTRICTS, students=STUDENTS, seed=3, on=ON)
    return Inbox(root, made, ON)


def extract(inbox: Inbox, feed: FeedSpec) -> pl.DataFrame:
    """The lines of one extract, dates as dates."""
    lines = inbox.lines(feed)
    days = [name for name in lines.columns if re.search("[dD]ate$|Since$", name)]
    return lines.with_columns(
        pl.coalesce(pl.col(name).str.to_date(form, strict=False) for form in FORMS).alias(name)
        for name in days
    )


@pytest.fixture(scope="module")
def demographics(inbox: Inbox) -> pl.DataFrame:
    return extract(inbox, foster_focus.DEMOGRAPHICS)


@pytest.fixture(scope="module")
def enrollments(inbox: Inbox) -> pl.DataFrame:
    return extract(inbox, foster_focus.ENROLLMENT_HISTORY)


@pytest.fixture(scope="module")
def children(inbox: Inbox) -> pl.DataFrame:
    return extract(inbox, foster_focus_cps.FEED)


@pytest.fixture(scope="module")
def roster(inbox: Inbox) -> pl.DataFrame:
    """The students of the transcript files, under the names of the extracts."""
    return inbox.lines(transcript.STUDENT).rename(
        {"LocalStudentID": "SISLocalID", "StateID": "SSID"}
    )


def said_once(lines: pl.DataFrame, *columns: str) -> bool:
    return lines.select(pl.struct(*columns).is_unique().all()).item()


# --- who --------------------------------------------------------------------------------------


def test_foster_youth_are_students_of_the_roster_with_the_same_names(
    demographics: pl.DataFrame, roster: pl.DataFrame
) -> None:
    both = demographics.join(roster, on=CHILD, how="left", suffix="_roster")
    assert both.height == demographics.height
    for ours, theirs in (
        ("SSID", "SSID_roster"),
        ("Lastname", "LastName"),
        ("Firstname", "FirstName"),
        ("Gender", "Gender_roster"),
    ):
        assert both[ours].equals(both[theirs], null_equal=False), ours
    born = both["DateOfBirth"].str.to_date("%m/%d/%Y")
    assert (both["Birthdate"] == born).mean() > 0.9
    older = both.filter(both["Birthdate"] != born)
    assert older["GradeLevel"].unique().to_list() == ["12"]


def test_about_one_student_in_a_hundred_is_a_foster_youth_and_all_who_are_flagged(
    demographics: pl.DataFrame, roster: pl.DataFrame
) -> None:
    assert 0.009 < demographics.height / STUDENTS < 0.016
    sizes = roster.group_by("sender").len("students")
    found = demographics.group_by("sender").len("youth")
    large = sizes.join(found, on="sender", how="left").filter(pl.col("students") >= 60)
    assert large["youth"].min() >= 3
    flagged = roster.filter(pl.col("FosterYouth") == "Y", pl.col("EnrollmentEndDate").is_null())
    late = pl.col("EnrollmentStartDate").str.to_date("%m/%d/%Y") > date(2026, 11, 19)
    assert flagged.join(demographics, on=CHILD, how="anti").filter(~late).is_empty()


def test_some_left_earlier_this_year_and_most_did_not(
    demographics: pl.DataFrame, roster: pl.DataFrame
) -> None:
    left = demographics.drop_nulls("ExitDate").join(roster, on=CHILD)
    assert 0 < left.height < demographics.height / 5
    ended = left["EnrollmentEndDate"].str.to_date("%m/%d/%Y")
    assert left["ExitDate"].equals(ended)


def test_local_ids_are_short_and_look_like_no_social_security_number(
    demographics: pl.DataFrame,
) -> None:
    local = demographics["SISLocalID"]
    assert local.str.len_chars().max() <= 10
    assert not local.str.contains(r"^\d{9}$").any()


# --- files ------------------------------------------------------------------------------------


def test_extracts_keep_their_names_and_a_file_has_one_form_of_dates_and_line_ends(
    inbox: Inbox,
) -> None:
    names = {f"{feed.name.removeprefix('foster_focus_')}.txt" for feed in foster_focus.FEEDS}
    ways = set()
    for path, text in inbox.texts.items():
        if "/foster_focus/" not in path:
            continue
        assert Path(path).name in names
        header = text.splitlines()[0]
        assert "\t" in header
        assert '"' not in text
        assert text.count("\r") in {0, text.count("\n")}
        iso = bool(re.search(r"\t\d{4}-\d\d-\d\d\t", text))
        american = bool(re.search(r"\t\d\d/\d\d/\d{4}\t", text))
        assert iso != american, path
        ways.add((iso, "\r" in text))
    assert len(ways) == 4


def test_a_clean_state_loads_without_any_rule_that_a_district_could_heed(inbox: Inbox) -> None:
    checked = check([inbox.root], inbox.on)
    assert checked.everything_loads
    files = [file for file in checked.files if (file.feed or "").startswith("foster_focus")]
    assert len(files) > 9 * DISTRICTS / 2
    fired = {rule for file in files for rule in file.findings["rule"]}
    assert fired <= AS_IT_SHOULD_BE
    assert all(RULES[rule].severity is not Severity.ERROR for rule in fired)
    assert {"FF-DEM-REQ-ExitDate", "FF-ENR-REQ-ExitReason"} <= fired


@pytest.mark.parametrize(
    "on",
    [
        date(2026, 7, 10),
        date(2026, 8, 12),
        date(2026, 8, 16),
        date(2027, 1, 3),
        date(2027, 2, 1),
        date(2027, 6, 20),
    ],
    ids=str,
)
def test_at_any_time_of_the_year_clean_extracts_verify(tmp_path: Path, on: date) -> None:
    generate(tmp_path, districts=10, students=5_000, seed=2, on=on)
    folders = [*tmp_path.glob("*/foster_focus"), tmp_path / "foster_focus_cps"]
    checked = check(folders, on)
    assert checked.everything_loads
    assert {rule for file in checked.files for rule in file.findings["rule"]} <= AS_IT_SHOULD_BE


def test_before_the_first_day_of_school_there_is_no_attendance(tmp_path: Path) -> None:
    generate(tmp_path, districts=2, students=500, seed=2, on=date(2026, 7, 10))
    assert list(tmp_path.glob("*/foster_focus/demographics.txt"))
    assert not list(tmp_path.glob("*/foster_focus/attendance_*.txt"))


def test_the_other_files_are_the_same_as_without_foster_youth(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = {"districts": 3, "students": 900, "seed": 3, "on": ON, "defects": 0.05}
    generate(tmp_path / "with", **arguments)
    monkeypatch.setattr(state, "foster_lines", lambda *_: iter(()))
    generate(tmp_path / "without", **arguments)
    with_youth, without = tree(tmp_path / "with"), tree(tmp_path / "without")
    added = with_youth.keys() - without.keys()
    assert added
    assert all("foster_focus" in path for path in added)
    assert without == {path: sum_ for path, sum_ in with_youth.items() if path not in added}


def test_a_districts_youth_do_not_depend_on_how_many_districts_there_are() -> None:
    def lines(districts: int) -> list[pl.DataFrame]:
        (block,) = blocks(list(places.places(districts))[2], 800, seed=4, on=ON)
        students = people(block)
        return [frame for _, frame in foster_lines(block, students, history(block, students))]

    few, many = lines(3), lines(60)
    assert len(few) == 10
    assert all(one.equals(other) for one, other in zip(few, many, strict=True))


# --- school -----------------------------------------------------------------------------------


@pytest.mark.parametrize("feed", foster_focus.FEEDS, ids=lambda feed: feed.name)
def test_each_extract_is_about_the_same_children_and_numbers_its_records(
    inbox: Inbox, demographics: pl.DataFrame, feed: FeedSpec
) -> None:
    names = {fold(name): name for name in feed.columns}
    lines = inbox.lines(feed)
    assert said_once(lines, "sender", "UniqueID")
    assert (lines["SystemID"] == lines["sender"]).all()
    cells = ["sislocalid", "ssid", "lastname", "firstname"]
    whose = lines.select("sender", *(pl.col(names[cell]).alias(cell) for cell in cells)).unique()
    known = demographics.rename({name: fold(name) for name in demographics.columns})
    assert whose.join(known, on=["sender", *cells], how="anti").is_empty()


def test_each_youth_has_one_enrollment_a_year_and_none_is_open_of_who_left(
    demographics: pl.DataFrame, enrollments: pl.DataFrame
) -> None:
    open_ones = enrollments.filter(pl.col("ExitDate").is_null())
    assert said_once(open_ones, *CHILD)
    here = demographics.filter(pl.col("ExitDate").is_null())
    assert open_ones.height == here.height
    assert open_ones.join(here, on=[*CHILD, "EntryDate"], how="anti").is_empty()
    closed = enrollments.drop_nulls("ExitDate")
    assert closed["ExitReason"].null_count() == 0
    assert (closed["EntryDate"] <= closed["ExitDate"]).all()

    years = enrollments.with_columns(pl.col("UniqueID").str.extract(r"-(\d{4})-").alias("year"))
    twice = years.filter(pl.len().over(*CHILD, "year") > 1)
    assert twice["year"].unique().to_list() == ["2027"]
    assert said_once(twice, *CHILD, "SchoolCDSCode")
    span = years.group_by(CHILD).agg(
        pl.col("Grade").cast(pl.Int64).n_unique().alias("grades"),
        pl.col("Grade").cast(pl.Int64).max().alias("last"),
        pl.col("Grade").cast(pl.Int64).min().alias("first"),
    )
    assert span.select((pl.col("last") - pl.col("first") + 1 == pl.col("grades")).all()).item()
    assert span["grades"].max() > 4


def test_schools_of_the_history_teach_the_grade(enrollments: pl.DataFrame) -> None:
    schools = places.senders(DISTRICTS).rename({"CDSCode": "SchoolCDSCode"})
    both = enrollments.join(schools, on="SchoolCDSCode", how="left")
    grade = pl.col("Grade").cast(pl.Int64)
    assert both.select(grade.is_between("first_grade", "last_grade").all()).item()
    assert both["SchoolName"].equals(both["School"], null_equal=False)


def test_attendance_has_each_school_day_of_the_last_weeks(
    inbox: Inbox, demographics: pl.DataFrame, enrollments: pl.DataFrame
) -> None:
    periods = extract(inbox, foster_focus.ATTENDANCE_PERIODS)
    assert said_once(periods, *CHILD, "SchoolDate")
    assert periods.join(demographics, on=CHILD, how="anti").is_empty()
    assert demographics.join(periods, on=CHILD, how="anti").is_empty()
    assert periods["SchoolDate"].max() == date(2026, 11, 20)
    assert periods["SchoolDate"].dt.weekday().max() <= 5
    assert not periods["SchoolDate"].is_in([date(2026, 9, 7), date(2026, 11, 11)]).any()

    moved = enrollments.filter(pl.col("UniqueID").str.ends_with("-2"))
    assert moved.height > 1
    days = periods.group_by(CHILD).agg(
        pl.len(), pl.col("SchoolCDSCode").n_unique().alias("schools")
    )
    assert days.join(moved, on=CHILD, how="anti")["len"].max() == 60
    assert days.join(moved, on=CHILD)["schools"].unique().to_list() == [2]
    assert days.join(moved, on=CHILD, how="anti")["schools"].unique().to_list() == [1]


def test_every_missed_period_has_its_exception_and_no_other(inbox: Inbox) -> None:
    periods = extract(inbox, foster_focus.ATTENDANCE_PERIODS)
    exceptions = extract(inbox, foster_focus.ATTENDANCE_EXCEPTIONS)
    missed = pl.col("PeriodsEnrolled").cast(pl.Int64) - pl.col("PeriodsAttended").cast(pl.Int64)
    wanted = periods.select(*CHILD, pl.col("SchoolDate").alias("AttendDate"), missed=missed)
    told = exceptions.group_by(*CHILD, "AttendDate").len("told")
    both = wanted.filter(pl.col("missed") > 0).join(told, on=[*CHILD, "AttendDate"], how="full")
    assert both["told"].cast(pl.Int64).equals(both["missed"], null_equal=False)
    assert 0.03 < wanted["missed"].sum() / periods["PeriodsEnrolled"].cast(pl.Int64).sum() < 0.12
    assert said_once(exceptions, *CHILD, "AttendDate", "Period")


def test_who_is_suspended_is_absent_on_the_days_after_the_incident(inbox: Inbox) -> None:
    incidents = extract(inbox, foster_focus.BEHAVIOR)
    absent = extract(inbox, foster_focus.ATTENDANCE_EXCEPTIONS).filter(
        pl.col("AttendDescript") == "Suspended"
    )
    assert absent.height > 5
    explained = absent.select(*CHILD, "AttendDate").join(
        incidents.filter(pl.col("PenaltyTypeDesc").str.contains("Principal Suspension")), on=CHILD
    )
    explained = explained.filter(pl.col("BegServeDate") <= pl.col("AttendDate"))
    assert absent.join(explained, on=[*CHILD, "AttendDate"], how="anti").is_empty()


def test_a_few_incidents_mention_the_police_and_are_removed(inbox: Inbox) -> None:
    incidents = inbox.lines(foster_focus.BEHAVIOR)
    words = "|".join(POLICE_WORDS)
    mentions = incidents["PenaltyTypeDesc"].str.contains(rf"(?i)\b(?:{words})\b")
    assert 0 < mentions.sum() < 0.15 * incidents.height
    checked = check([*inbox.root.glob("*/foster_focus/behavior.txt")], inbox.on)
    assert sum(file.fates.get("removed", 0) for file in checked.files) == mentions.sum()
    youth = inbox.lines(foster_focus.DEMOGRAPHICS).height
    assert 0.08 < incidents.unique(CHILD).height / youth < 0.18


def test_special_education_is_for_those_whom_the_roster_flags(
    inbox: Inbox, demographics: pl.DataFrame, roster: pl.DataFrame
) -> None:
    served = extract(inbox, foster_focus.SPECIAL_EDUCATION)
    flagged = demographics.join(roster, on=CHILD).filter(pl.col("SWDIndicator") == "Y")
    assert set(served["SISLocalID"]) == set(flagged["SISLocalID"])
    assert said_once(served, *CHILD)
    assert 0.12 < served.height / demographics.height < 0.28


# --- marks and scores -------------------------------------------------------------------------


def test_transcripts_are_those_of_the_transcript_files(
    inbox: Inbox, demographics: pl.DataFrame
) -> None:
    keys = ["SSID", "year", "CourseNumber", "markAwd1", "credits"]
    courses = inbox.lines(transcript.COURSE_GRADE).select(
        pl.col("StateID").alias("SSID"),
        (pl.col("SchoolYear").str.head(4).cast(pl.Int64) + 1).alias("year"),
        pl.col("LocalCourseID").alias("CourseNumber"),
        pl.col("CourseGrade").alias("markAwd1"),
        pl.col("CreditsEarned").alias("credits"),
    )
    ours = courses.join(demographics, on="SSID", how="semi").sort(keys)
    marks = extract(inbox, foster_focus.TRANSCRIPTS).select(
        "SSID",
        pl.col("SchYear").cast(pl.Int64).alias("year"),
        "CourseNumber",
        "markAwd1",
        pl.col("GradCrawd").alias("credits"),
    )
    assert marks.sort(keys).equals(ours)


def test_marks_from_another_district_say_so(inbox: Inbox) -> None:
    marks = inbox.lines(foster_focus.TRANSCRIPTS)
    elsewhere = marks.filter(~pl.col("SchoolCDSCode").str.starts_with(pl.col("SystemID")))
    assert elsewhere["SchoolCDSCode"].unique().to_list() == ["Another district"]
    assert set(elsewhere["Grade"]) <= {"7", "8"}


def test_averages_are_those_of_the_marks(inbox: Inbox) -> None:
    words = {"Sem 1": "Semester 1", "Sem 2": "Semester 2", "Summer": "Summer School"}
    keys = [*CHILD, "SchoolYear", "TermDescript"]
    finished = inbox.lines(foster_focus.TRANSCRIPTS).filter(
        pl.col("markAwd1") != "WIP", pl.col("SchoolCDSCode") != "Another district"
    )
    points = pl.col("markAwd1").str.head(1).replace_strict(POINTS, return_dtype=pl.Int64)
    wanted = finished.group_by(
        *CHILD,
        pl.col("SchYear").alias("SchoolYear"),
        pl.col("TermDescript").replace_strict(words),
    ).agg((points.sum() * 100 // pl.len()).alias("hundredths"))
    said = inbox.lines(foster_focus.GPA).select(
        *keys, (pl.col("TermGPA").cast(pl.Float64) * 100).round().cast(pl.Int64).alias("hundredths")
    )
    assert said.height > 200
    assert said.sort(keys).equals(wanted.sort(keys))


def test_tests_were_sat_in_the_grade_and_the_school_of_that_day(
    inbox: Inbox, enrollments: pl.DataFrame
) -> None:
    scores = extract(inbox, foster_focus.TEST_SCORES)
    then = scores.join(enrollments, on=[*CHILD, "Grade", "SchoolCDSCode"])
    covered = then.filter(pl.col("TestDate").is_between("EntryDate", "ExitDate"))
    assert covered["UniqueID"].n_unique() == scores["UniqueID"].n_unique()
    assert set(scores["TestType"]) == {"CAASPP", "ELPAC", "CAST", "SBAC", "CELDT", "STAR"}
    level = scores.filter(pl.col("TestScoreType") == "P")
    assert level.height * 2 == scores.height
    assert level["TestScore"].n_unique() == 8


def test_school_years_have_about_180_days_and_end_in_june() -> None:
    calendar = school_days(ON)
    assert 175 <= len(calendar.days) / 7 <= 185
    assert calendar.so_far[0] == calendar.first_day
    assert str(calendar.so_far[-1]) == "2026-11-20"
    assert str(calendar.days[-1]) == "2027-06-04"


# --- the register -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def matches(demographics: pl.DataFrame, children: pl.DataFrame) -> pl.DataFrame:
    found = child_match(demographics, children, ON, FosterFocusSettings())
    return pl.concat([demographics, found], how="horizontal")


def test_most_youth_are_active_children_of_the_register(matches: pl.DataFrame) -> None:
    assert 0.75 < matches["ChildID"].is_not_null().mean() < 0.95


@pytest.mark.parametrize(
    "reason",
    [
        link_rules.NO_SUCH_CHILD,
        link_rules.INACTIVE,
        link_rules.GRADUATED,
        link_rules.OVER_AGE,
        link_rules.DISAGREES,
    ],
    ids=lambda reason: reason.id,
)
def test_each_reason_of_the_child_match_report_comes_up(
    matches: pl.DataFrame, reason: link_rules.Rule
) -> None:
    assert 1 <= matches.filter(pl.col("reason") == reason.id).height <= 0.1 * matches.height


def test_who_disagrees_does_so_in_a_birth_date_or_a_last_name(matches: pl.DataFrame) -> None:
    disagreeing = matches.filter(pl.col("reason") == link_rules.DISAGREES.id)
    assert set(disagreeing["field"]) <= {"Birthdate", "Lastname"}


def test_a_birth_date_that_disagrees_has_day_and_month_swapped(
    matches: pl.DataFrame, children: pl.DataFrame
) -> None:
    dates = matches.filter(pl.col("field") == "Birthdate").join(
        children, left_on=["Lastname", "Firstname"], right_on=["LastName", "FirstName"]
    )
    swapped = pl.date(
        pl.col("Birthdate").dt.year(), pl.col("Birthdate").dt.day(), pl.col("Birthdate").dt.month()
    )
    assert dates.height
    assert dates.select((pl.col("BirthDate") == swapped).all()).item()


def test_a_status_that_ended_lately_still_counts(
    matches: pl.DataFrame, children: pl.DataFrame
) -> None:
    linked = matches.join(children, on="ChildID")
    assert set(linked["Status"]) == {"active", "inactive"}
    assert linked.filter(pl.col("Status") == "inactive").height < 0.1 * linked.height


def test_three_in_four_children_have_an_ssid_and_some_are_in_no_extract(
    children: pl.DataFrame, demographics: pl.DataFrame
) -> None:
    assert said_once(children, "ChildID")
    assert 0.65 < children["SSID"].is_not_null().mean() < 0.85
    unflagged = children.drop_nulls("SSID").join(demographics, on="SSID", how="anti")
    assert 0 < unflagged.height < 0.2 * children.height
