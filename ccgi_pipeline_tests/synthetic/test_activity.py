"""Platform activity of the synthetic state."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import polars as pl
import pytest

from ccgi_pipeline.feeds import platform, transcript
from ccgi_pipeline.feeds.spec import FeedSpec
from ccgi_pipeline.synthetic.activity_list import ACTIVITIES, Activity

if TYPE_CHECKING:
    from ccgi_pipeline_tests.synthetic.conftest import Inbox


def with_times(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.with_columns(pl.col("OccurredAt").str.to_datetime("%Y-%m-%dT%H:%M:%SZ"))


@pytest.fixture(scope="module")
def students(clean: Inbox) -> pl.DataFrame:
    return clean.lines(transcript.STUDENT).rename({"StateID": "SSID"})


@pytest.fixture(scope="module")
def accounts(clean: Inbox) -> pl.DataFrame:
    return with_times(clean.lines(platform.ACCOUNT_REGISTRATIONS))


def test_about_seven_in_ten_high_school_students_have_one_account(
    students: pl.DataFrame, accounts: pl.DataFrame
) -> None:
    assert accounts["SSID"].is_unique().all()
    high = students.filter(pl.col("GradeLevel") >= "09")
    assert 0.66 < high["SSID"].is_in(accounts["SSID"].implode()).mean() < 0.74


@pytest.mark.parametrize("feed", platform.FEEDS, ids=lambda feed: feed.name)
def test_events_lie_in_the_year_before_the_date_and_after_the_registration(
    clean: Inbox, accounts: pl.DataFrame, feed: FeedSpec
) -> None:
    events = with_times(clean.lines(feed))
    assert events["OccurredAt"].min() >= datetime(2025, 11, 22)  # noqa: DTZ001 - UTC throughout
    # A few happen after midnight in California, when it is morning in UTC.
    assert events["OccurredAt"].max() < datetime(2026, 11, 23, 12)  # noqa: DTZ001
    tomorrow = (events["OccurredAt"] >= datetime(2026, 11, 23)).mean()  # noqa: DTZ001
    assert tomorrow < 0.02
    since = accounts.select("SSID", pl.col("OccurredAt").alias("since"))
    joined = events.join(since, on="SSID", how="left")
    assert joined["since"].null_count() == 0
    assert joined.select((pl.col("OccurredAt") >= pl.col("since")).all()).item()


def test_a_hundredth_of_events_is_of_students_on_nobodys_roster(
    clean: Inbox, students: pl.DataFrame
) -> None:
    events = pl.concat([clean.lines(feed).select("SSID") for feed in platform.FEEDS])
    strangers = events.filter(~pl.col("SSID").is_in(students["SSID"].implode()))
    assert 0.003 < strangers.height / events.height < 0.02


def test_event_ids_are_unique_over_all_files(clean: Inbox) -> None:
    ids = pl.concat([clean.lines(feed)["EventID"] for feed in platform.FEEDS])
    assert ids.is_unique().all()
    form = r"^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$"
    assert ids.str.contains(form).all()


@pytest.mark.parametrize(
    "activity",
    [activity for activity in ACTIVITIES if activity.status],
    ids=lambda activity: "-".join([activity.feed.name, *activity.fixed.values()]),
)
def test_fewer_take_each_step_and_nobody_before_the_one_before(
    clean: Inbox, activity: Activity
) -> None:
    events = with_times(clean.lines(activity.feed))
    for column, word in activity.fixed.items():
        events = events.filter(pl.col(column) == word)
    status = activity.status or ""
    thread = ["SSID", *([activity.named[0]] if activity.named else [])]
    thread += [activity.numbered] if activity.numbered else []
    step_of = {word: n for n, step in enumerate(activity.steps) for word in step.words}
    steps = events.with_columns(pl.col(status).replace_strict(step_of).alias("step")).sort(
        *thread, "OccurredAt", "step", descending=[*[False] * len(thread), False, True]
    )
    # Who begins again comes after the last step, so that only the first beginning is in order.
    again = (pl.col("step") == 0) & (pl.int_range(pl.len()).over(thread) > 0)
    begun_again = steps.filter(again)
    assert 0.01 < begun_again.height / steps.select(thread).n_unique() < 0.07
    steps = steps.filter(~again)
    counts = steps.group_by("step").len().sort("step")["len"].to_list()
    assert len(counts) == len(activity.steps)
    assert counts == sorted(counts, reverse=True)
    assert counts[0] > counts[-1] > 0
    in_order = steps.select((pl.col("step") == pl.int_range(pl.len()).over(thread)).all())
    assert in_order.item()
    later = steps.select((pl.col("OccurredAt").diff().over(thread) > pl.duration()).all())
    assert later.item()


@pytest.mark.parametrize(
    ("feed", "status"),
    [
        (platform.COLLEGE_APPLICATIONS, "ApplicationStatus"),
        (platform.FINANCIAL_AID_APPLICATIONS, "ApplicationStatus"),
    ],
    ids=["college", "aid"],
)
def test_applications_are_launched_again_later_in_the_same_second_and_after_the_day(
    clean: Inbox, feed: FeedSpec, status: str
) -> None:
    events = with_times(clean.lines(feed))
    thread = ["SSID", *(["CollegeName"] if "CollegeName" in feed.columns else [])]
    further = events.filter(pl.col(status) != "Launched").group_by(thread)
    last = further.agg(pl.col("OccurredAt").max().alias("last"))
    after = events.filter(pl.col(status) == "Launched").join(last, on=thread)
    assert (after["OccurredAt"] > after["last"]).sum() > 5
    if feed is platform.COLLEGE_APPLICATIONS:
        assert (after["OccurredAt"] == after["last"]).any()
        assert (events["OccurredAt"] >= datetime(2026, 11, 23, 8)).any()  # noqa: DTZ001


def test_only_seniors_apply_to_universities(clean: Inbox, students: pl.DataFrame) -> None:
    applications = clean.lines(platform.COLLEGE_APPLICATIONS).join(students, on="SSID")
    grades = dict(
        applications.group_by("ApplicationType").agg(pl.col("GradeLevel").unique()).iter_rows()
    )
    assert grades["UC"] == ["12"]
    assert grades["Cal State Apply"] == ["12"]
    assert set(grades["CCCApply"]) <= {"10", "11", "12"}


def test_not_every_account_applies(clean: Inbox, students: pl.DataFrame) -> None:
    seniors = students.filter(pl.col("GradeLevel") == "12")["SSID"]
    holders = clean.lines(platform.ACCOUNT_REGISTRATIONS)["SSID"]
    applicants = set(clean.lines(platform.COLLEGE_APPLICATIONS)["SSID"])
    with_account = set(seniors) & set(holders)
    assert 0.4 < len(with_account & applicants) / len(with_account) < 0.9


def test_an_application_keeps_its_origin_and_a_favorite_is_removed_now_and_then(
    clean: Inbox,
) -> None:
    applications = clean.lines(platform.COLLEGE_APPLICATIONS)
    origins = applications.group_by("SSID", "CollegeName").agg(pl.col("Origin").n_unique())
    assert origins["Origin"].max() == 1
    assert set(applications["Origin"]) == {"Launched", "Linked"}
    aid = clean.lines(platform.FINANCIAL_AID_APPLICATIONS)
    assert aid.group_by("SSID").agg(pl.col("Origin").n_unique())["Origin"].max() == 1
    assert 0.15 < (aid["Origin"] == "Linked").mean() < 0.35
    actions = clean.lines(platform.FAVORITES)["Action"]
    assert 0.02 < (actions == "Removed").mean() < 0.2
