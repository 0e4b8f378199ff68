"""The night as Dagster runs it: what is recorded, and what is red."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import dagster as dg
import polars as pl
import pytest

from ccgi_pipeline.definitions import defs
from ccgi_pipeline.defs.automation import configure_night
from ccgi_pipeline.defs.code_location import LOCATION
from ccgi_pipeline.defs.district_partitions import DISTRICTS
from ccgi_pipeline.defs.feeds import ROSTERS_STAND, RULES_ARE_MET, TABLE_IS_SOUND
from ccgi_pipeline.defs.receipts import ALL_GET_REPORTS, DROPS_ARE_ACCEPTED, FILES_ARE_GOOD
from ccgi_pipeline.feeds.registry import FEEDS
from ccgi_pipeline.nightly.load import load_family
from ccgi_pipeline.nightly.paths import PipelinePaths
from ccgi_pipeline.nightly.report import WrittenReport, count_students_in_aggregates, open_reports
from ccgi_pipeline.nightly.verify import verify_family
from ccgi_pipeline.runtime.dagster_instance import build_folder_variables, prepare_dagster_home
from ccgi_pipeline.runtime.night_run import NightFailedError, run_night
from ccgi_pipeline.warehouse.storage.schema import transaction
from ccgi_pipeline_tests.nightly.inboxes import (
    HAYWARD,
    HAYWARD_HIGH,
    PALM_SPRINGS,
    PALM_SPRINGS_HIGH,
    put_roster,
    student,
    students,
)
from ccgi_pipeline_tests.nightly.nights import ON, bytes_below, folders_in, take_and_load, writing

GOOD, BAD = HAYWARD, PALM_SPRINGS
GOOD_KEY, BAD_KEY = f"{GOOD} HaywardUnified", f"{BAD} PalmSpringsUnified"


@dataclass
class Night:
    """A warehouse with its Dagster instance after one night."""

    folders: PipelinePaths
    instance: dg.DagsterInstance

    def check(self, asset: str, name: str, partition: str | None = None) -> dict[str, object]:
        """Passed, severity and metadata of the newest evaluation of a check."""
        key = dg.AssetCheckKey(dg.AssetKey(asset), name)
        history = self.instance.event_log_storage.get_asset_check_execution_history(key, 100)
        evaluations = [record.event.dagster_event.event_specific_data for record in history]
        evaluation = next(e for e in evaluations if partition in {None, e.partition})
        return {
            "passed": evaluation.passed,
            "severity": evaluation.severity,
            "metadata": evaluation.metadata,
        }

    def evaluations(self, district: str) -> list[bool]:
        """Of the check of a district's files, the newest first."""
        key = dg.AssetCheckKey(dg.AssetKey("district_night"), FILES_ARE_GOOD)
        history = self.instance.event_log_storage.get_asset_check_execution_history(key, 100)
        told = [record.event.dagster_event.event_specific_data for record in history]
        return [evaluation.passed for evaluation in told if evaluation.partition == district]


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Night]:
    """Two good districts; then one of them sends a file that cannot be read."""
    root = tmp_path_factory.mktemp("dagster")
    folders = folders_in(root)
    put_roster(folders.inbox, GOOD, students(["1000000001", "1000000002"], HAYWARD_HIGH))
    put_roster(folders.inbox, BAD, [student("2000000001", PALM_SPRINGS_HIGH)])
    run_night(folders, ON)
    broken = folders.inbox / BAD / "transcript" / "StudentTemplate_20261122.csv"
    broken.write_bytes(b"this,is,no,header\n1,2,3,4\n")
    run_night(folders, ON)
    with dg.DagsterInstance.from_config(str(prepare_dagster_home(folders.warehouse))) as instance:
        yield Night(folders, instance)


def test_both_nights_are_recorded_as_successful_runs(night: Night) -> None:
    of_the_ui = dg.RunsFilter(tags={".dagster/repository": f"__repository__@{LOCATION}"})
    runs = night.instance.get_runs(of_the_ui)
    assert [(run.job_name, run.status) for run in runs] == [
        ("night", dg.DagsterRunStatus.SUCCESS)
    ] * 2


def test_each_district_that_sent_something_is_a_partition_with_its_verdict(night: Night) -> None:
    assert night.instance.get_dynamic_partitions(DISTRICTS.name) == [GOOD_KEY, BAD_KEY]
    records = night.instance.fetch_materializations(dg.AssetKey("district_night"), 10).records
    by_district = {record.partition_key: record.asset_materialization for record in records[::-1]}
    verdict = by_district[BAD_KEY].metadata["transcript"].text
    assert verdict == "rejected; 2 of 2 lines kept out"
    assert by_district[GOOD_KEY].metadata["transcript"].text.startswith("accepted;")


def test_at_most_one_materialization_is_recorded_for_a_district_and_night(night: Night) -> None:
    records = night.instance.fetch_materializations(dg.AssetKey("district_night"), 100).records
    nights = [(record.run_id, record.partition_key) for record in records]
    assert len(nights) == len(set(nights)) == 3


def test_the_district_with_the_bad_file_is_yellow_and_the_other_is_green(night: Night) -> None:
    bad = night.check("district_night", FILES_ARE_GOOD, BAD_KEY)
    assert (bad["passed"], bad["severity"]) == (False, dg.AssetCheckSeverity.WARN)
    assert [night.evaluations(BAD_KEY), night.evaluations(GOOD_KEY)] == [[False], []]


def test_a_refused_roster_is_yellow_while_an_earlier_one_makes_reports(night: Night) -> None:
    assert night.check("receipts", ALL_GET_REPORTS)["passed"]


def test_the_counts_of_a_night_are_plotted(night: Night) -> None:
    records = night.instance.fetch_materializations(dg.AssetKey("district_status"), 10).records
    after, before = (record.asset_materialization.metadata for record in records)
    plotted = {name: (before[name].value, after[name].value) for name in before if name in PLOTTED}
    assert plotted == PLOTTED


PLOTTED = {
    "senders": (2, 2),
    "need attention": (0, 1),
    "students on rosters": (3, 3),
    "districts with reports": (2, 2),
    "districts without reports": (0, 0),
    "newest drops held": (0, 0),
    "newest drops rejected": (0, 1),
    "newest drops with findings": (0, 0),
    "lines of newest drops": (5, 5),
    "lines kept out": (0, 2),
    "days since the oldest newest drop": (0, 0),
    "files to send": (0, 0),
}
"""Counts on ``district_status``, after the first night and after the second."""


@pytest.mark.slow
def test_a_district_that_mended_its_file_is_told_to_be_green_again_once(tmp_path: Path) -> None:
    folders = folders_in(tmp_path)
    roster = folders.inbox / BAD / "transcript" / "StudentTemplate_20261122.csv"
    roster.parent.mkdir(parents=True)
    roster.write_bytes(b"this,is,no,header\n1,2,3,4\n")
    run_night(folders, ON)
    home = str(prepare_dagster_home(folders.warehouse))
    with dg.DagsterInstance.from_config(home) as instance:
        night = Night(folders, instance)
        for check in (
            night.check("district_night", FILES_ARE_GOOD, BAD_KEY),
            night.check("receipts", ALL_GET_REPORTS),
        ):
            assert (check["passed"], check["severity"]) == (False, dg.AssetCheckSeverity.ERROR)
    roster.unlink()
    for number in ("2000000001", "2000000002"):
        put_roster(folders.inbox, BAD, [student(number, PALM_SPRINGS_HIGH)])
        run_night(folders, ON)
    with dg.DagsterInstance.from_config(str(prepare_dagster_home(folders.warehouse))) as instance:
        night = Night(folders, instance)
        assert night.evaluations(BAD_KEY) == [True, False]
        told = instance.fetch_materializations(dg.AssetKey("district_night"), 10).records
    assert len(told) == 3


def test_who_stands_badly_is_shown_in_one_table(night: Night) -> None:
    records = night.instance.fetch_materializations(dg.AssetKey("district_status"), 10).records
    shown, before = (record.asset_materialization.metadata for record in records)
    (row,) = shown["districts that need attention"].value.splitlines()[2:]
    assert row == (
        f"| Palm Springs Unified ({BAD}) | transcript | rejected | 2026-11-22 | 0 | 2 of 2 |"
    )
    assert len(shown["all districts"].value.splitlines()) == 4
    assert (shown["senders"].value, shown["need attention"].value) == (2, 1)
    assert before["districts that need attention"].value == "None."


def test_a_failed_check_leads_to_the_rule_and_the_count(night: Night) -> None:
    check = night.check("transcript_student", RULES_ARE_MET)
    assert (check["passed"], check["severity"]) == (False, dg.AssetCheckSeverity.WARN)
    (record,) = check["metadata"]["rules"].records
    assert record.data["rule"] == "FILE-HEADER"
    assert record.data["lines"] == 1
    assert record.data["what to change"]


@pytest.mark.parametrize("name", [TABLE_IS_SOUND, ROSTERS_STAND])
def test_the_blocking_checks_are_green_all_the_same(night: Night, name: str) -> None:
    assert night.check("transcript_student", name)["passed"]


def test_the_bad_district_keeps_its_last_good_roster_in_its_reports(night: Night) -> None:
    path = "legacy reporting/account registrations/PalmSpringsUnified_20261122_Detail.csv"
    assert "2000000001" in (night.folders.outbox / "PalmSpringsUnified" / path).read_text()


def test_row_counts_and_fates_are_recorded_as_counts(night: Night) -> None:
    asset = dg.AssetKey("transcript_student")
    first = night.instance.fetch_materializations(asset, 10).records[-1].asset_materialization
    assert first.metadata["dagster/row_count"].value == 3
    assert first.metadata["lines inserted"].value == 3


def test_a_report_tells_where_its_columns_come_from(night: Night) -> None:
    event = night.instance.get_latest_materialization_event(dg.AssetKey("report_goals"))
    metadata = event.asset_materialization.metadata
    described = {c.name: c.description for c in metadata["dagster/column_schema"].value.columns}
    assert described["Goal Type"] == "From `platform_goals`: EventID, GoalType, OccurredAt."
    assert described["SSID"].endswith("From `transcript_student`: StateID.")
    lineage = metadata["dagster/column_lineage"].value
    assert lineage.deps_by_column["SSID"] == [
        dg.TableColumnDep(dg.AssetKey("transcript_student"), "StateID")
    ]


@pytest.mark.slow
def test_a_line_lost_from_the_ledger_stops_the_night_before_any_report(tmp_path: Path) -> None:
    folders = folders_in(tmp_path)
    put_roster(folders.inbox, GOOD, students(["1000000001", "1000000002"], HAYWARD_HIGH))
    run_night(folders, ON)
    reports = bytes_below(folders.outbox)
    with writing(folders) as connection, transaction(connection):
        connection.execute("DELETE FROM ledger WHERE feed = 'transcript_student'")
    tomorrow = date(2026, 11, 23)
    with pytest.raises(NightFailedError, match="failed"):
        run_night(folders, tomorrow)
    assert bytes_below(folders.outbox) == reports


@pytest.mark.slow
def test_a_quiet_night_writes_its_reports_and_loads_no_feed_again(tmp_path: Path) -> None:
    folders = folders_in(tmp_path)
    put_roster(folders.inbox, GOOD, students(["1000000001", "1000000002"], HAYWARD_HIGH))
    run_night(folders, ON)
    tomorrow = date(2026, 11, 23)
    told = run_night(folders, tomorrow)
    assert (told.verdicts, told.reports) == ([], 27)
    with dg.DagsterInstance.from_config(str(prepare_dagster_home(folders.warehouse))) as instance:
        (newest, _) = instance.get_runs()
        made = {
            record.asset_key.to_user_string()
            for record in instance.get_records_for_run(
                newest.run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION
            ).records
        }
    assert {"received_drops", "eligibility", "report_goals", "receipts"} <= made
    assert not made & {feed.name for feed in FEEDS}


def _runs(folders: PipelinePaths) -> int:
    with dg.DagsterInstance.from_config(str(prepare_dagster_home(folders.warehouse))) as instance:
        return len(instance.get_runs())


@pytest.mark.slow
def test_a_night_whose_work_lies_as_it_left_it_is_not_run_again(tmp_path: Path) -> None:
    folders = folders_in(tmp_path)
    put_roster(folders.inbox, GOOD, students(["1000000001", "1000000002"], HAYWARD_HIGH))
    first = run_night(folders, ON)
    reports = bytes_below(folders.outbox)
    again = run_night(folders, ON)
    assert _runs(folders) == 1
    assert (again.students, again.reports, again.verdicts) == (first.students, first.reports, [])
    lost = next(folders.outbox.glob("*/daily reporting/*/*.csv"))
    lost.unlink()
    run_night(folders, ON)
    assert _runs(folders) == 2
    assert bytes_below(folders.outbox) == reports
    (folders.warehouse / "profiles.toml").write_text('[reports]\npercent_of = "school"\n')
    run_night(folders, ON)
    assert _runs(folders) == 3


@dg.job(name="night")
def _killed_job() -> None:
    """What a killed process leaves of itself in the history."""


@pytest.mark.slow
def test_a_night_that_was_killed_does_not_count_as_running_for_ever(tmp_path: Path) -> None:
    folders = folders_in(tmp_path)
    home = str(prepare_dagster_home(folders.warehouse))
    with dg.DagsterInstance.from_config(home) as instance:
        dead = instance.create_run_for_job(_killed_job)
        instance.report_dagster_event(dg.DagsterEvent("PIPELINE_START", "night"), dead.run_id)
        assert instance.get_run_by_id(dead.run_id).status is dg.DagsterRunStatus.STARTED
    run_night(folders, ON)
    with dg.DagsterInstance.from_config(home) as instance:
        assert instance.get_run_by_id(dead.run_id).status is dg.DagsterRunStatus.FAILURE


@pytest.mark.slow
def test_one_district_can_be_run_by_hand_and_touches_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = folders_in(tmp_path)
    put_roster(folders.inbox, GOOD, students(["1000000001"], HAYWARD_HIGH))
    put_roster(folders.inbox, BAD, [student("2000000001", PALM_SPRINGS_HIGH)])
    for name, value in build_folder_variables(folders).items():
        monkeypatch.setenv(name, value)
    loaded = defs()
    with dg.DagsterInstance.from_config(str(prepare_dagster_home(folders.warehouse))) as instance:
        instance.add_dynamic_partitions(DISTRICTS.name, [GOOD_KEY])
        result = dg.materialize(
            [asset for asset in loaded.assets if _is_district_night(asset)],
            instance=instance,
            partition_key=GOOD_KEY,
            resources=loaded.resources,
            run_config=configure_night("2026-11-22"),
        )
    assert result.success
    assert {path.name for path in folders.outbox.iterdir()} == {"HaywardUnified"}


def _is_district_night(asset: object) -> bool:
    return isinstance(asset, dg.AssetsDefinition) and asset.keys == {dg.AssetKey("district_night")}


def test_an_ssid_of_the_roster_is_found_in_an_aggregate_and_other_numbers_are_not(
    tmp_path: Path,
) -> None:
    folders = folders_in(tmp_path)
    put_roster(folders.inbox, GOOD, students(["1000000001"], HAYWARD_HIGH))
    with writing(folders) as connection:
        take_and_load(connection, folders)
        open_reports(connection, folders, ON)
        rows = pl.DataFrame({"cd": [GOOD], "School": ["call 5551234567"], "n": ["1"]})
        written = [WrittenReport("Agg", 1, 1, [rows])]
        assert count_students_in_aggregates(connection, written) == 0
        leaking = rows.with_columns(pl.lit("No 1000000001").alias("School"))
        written = [WrittenReport("Agg", 1, 1, [leaking])]
        assert count_students_in_aggregates(connection, written) == 1


@pytest.mark.slow
def test_a_step_that_runs_again_loads_nothing_twice(tmp_path: Path) -> None:
    folders = folders_in(tmp_path)
    put_roster(folders.inbox, GOOD, students(["1000000001"], HAYWARD_HIGH))
    with writing(folders) as connection:
        take_and_load(connection, folders)
        for _ in range(2):
            verify_family(connection, folders, "transcript", ON)
            assert load_family(connection, folders, "transcript", ON) == []
        assert connection.execute("SELECT count(*) FROM drops").fetchone() == (1,)


def test_a_refused_drop_of_any_sender_is_yellow_on_the_receipts(night: Night) -> None:
    check = night.check("receipts", DROPS_ARE_ACCEPTED)
    assert (check["passed"], check["severity"]) == (False, dg.AssetCheckSeverity.WARN)
    (record,) = check["metadata"]["refused"].records
    assert record.data == {"sender": BAD, "family": "transcript", "verdict": "rejected"}
