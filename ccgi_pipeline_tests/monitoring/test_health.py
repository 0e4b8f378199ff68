"""What facts mean: each thing that can be wrong is found once, in words; else silence."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from ccgi_pipeline.intake.inbox_state import LastScan, save_last_scan
from ccgi_pipeline.monitoring.alerts.store import open_alert_store
from ccgi_pipeline.monitoring.alerts.types import AlertKind
from ccgi_pipeline.monitoring.health import (
    FROM_OUTSIDE,
    Facts,
    FailedRun,
    FailedStep,
    OrchestratorState,
    collect_facts,
    find_alerts,
    judge_facts,
)
from ccgi_pipeline.oneroster_api.fetch_status import FetchStatus
from ccgi_pipeline.oneroster_api.schedule import FetchHistory
from ccgi_pipeline.profiles import HEARTBEAT_FINDINGS, NOTICE_KINDS, HeartbeatSettings, Profiles
from ccgi_pipeline.warehouse.load.approvals import Hold, Loss
from ccgi_pipeline_tests.nightly.nights import folders_in

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
USUAL = HeartbeatSettings()
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)

ALIVE = OrchestratorState(
    daemons={"SENSOR": NOW - MINUTE}, sensor_on=True, last_success=NOW - 20 * HOUR
)
SOUND = Facts(
    now=NOW, orchestrator=ALIVE, last_scan=LastScan(NOW - MINUTE, {}), free={"/data": 50.0}
)

HELD = Hold(
    drop="d1",
    sender="3367173",
    family="oneroster",
    night=date(2026, 11, 21),
    obsolete=False,
    losses=(Loss("oneroster_users", None, 812, 0, 1000, "half of the file is missing"),),
    decision=None,
    by=None,
    reason=None,
    expires=None,
)

UNFORESEEN_FAILURE = FailedRun("night", (FailedStep("receipts", "ValueError", None),))
OURS = FailedRun("night", (FailedStep("load_transcript", "NoRoomError", "there is no room"),))

WRONG: dict[str, Facts] = {
    "daemon_silent": replace(
        SOUND, orchestrator=replace(ALIVE, daemons={"SENSOR": NOW - 6 * MINUTE, "S": NOW})
    ),
    "sensor_stopped": replace(SOUND, orchestrator=replace(ALIVE, sensor_on=False)),
    "sensor_silent": replace(SOUND, last_scan=LastScan(NOW - 11 * MINUTE, {})),
    "sensor_failing": replace(
        SOUND, orchestrator=replace(ALIVE, sensor_errors=("ProfileError",) * 3)
    ),
    "night_late": replace(SOUND, orchestrator=replace(ALIVE, last_success=NOW - 27 * HOUR)),
    "night_missed": replace(SOUND, orchestrator=replace(ALIVE, missed=[date(2026, 11, 20)])),
    "heartbeat_incomplete": replace(SOUND, unread={"free": "OSError"}),
    "run_stuck": replace(SOUND, orchestrator=replace(ALIVE, running_since=NOW - 7 * HOUR)),
    "disk_low": replace(SOUND, free={"/data": 4.9, "/other": 50.0}),
    "catalog_unreadable": replace(SOUND, catalog_fault="the catalog is gone", held=None),
    "notices_unsent": replace(SOUND, unsent_since=NOW - 16 * MINUTE),
    "heartbeat_silent": replace(SOUND, outside_at=NOW - 61 * MINUTE),
    "run_failed": replace(SOUND, orchestrator=replace(ALIVE, failed=[UNFORESEEN_FAILURE])),
    "server_refuses": replace(SOUND, last_scan=LastScan(NOW, {"uploads": "uploads: no such user"})),
    "drops_held": replace(SOUND, held=[HELD]),
    "ssid_claims": replace(SOUND, claims={"0161192": 3}),
    "shared_cccids": replace(SOUND, shared_cccids=2),
    "openpgp_keys": replace(SOUND, held_owners={"0161192": "OpenPGP key 1F expired"}),
    "roster_fetches": replace(
        SOUND,
        fetches=[
            FetchStatus(
                cd="0161192",
                fetch=None,
                history=FetchHistory(succeeded_at=NOW - 40 * HOUR),
                due=False,
                overdue=True,
            )
        ],
    ),
    "deliveries_stuck": replace(SOUND, stuck={"reports": (12, NOW - 3 * HOUR)}),
}


def test_where_all_is_well_nothing_is_found() -> None:
    assert find_alerts(SOUND, USUAL) == []
    assert judge_facts(SOUND, USUAL)[1] == set()


@pytest.mark.parametrize("page", WRONG)
def test_each_thing_that_is_wrong_is_found_alone_and_leads_to_its_page(page: str) -> None:
    (found,) = find_alerts(WRONG[page], USUAL)
    assert found.page == page
    assert found.words


def test_all_findings_and_kinds_are_tried_here() -> None:
    assert set(WRONG) == {*HEARTBEAT_FINDINGS, *NOTICE_KINDS} - {AlertKind.HEARTBEAT.value}


@pytest.mark.parametrize("finding", HEARTBEAT_FINDINGS)
def test_a_finding_that_is_as_it_should_be_can_be_ignored(finding: str) -> None:
    assert find_alerts(WRONG[finding], HeartbeatSettings(ignore=(finding,))) == []


def test_a_sensor_heartbeat_that_is_dead_while_the_daemon_lives_is_found_from_outside() -> None:
    dead = replace(SOUND, inside_at=NOW - 11 * MINUTE)
    (found,) = find_alerts(dead, USUAL)
    assert (found.page, found.words[:21]) == ("heartbeat_silent", "the sensor heartbeat ")
    with_its_daemon = replace(
        dead, orchestrator=replace(ALIVE, daemons={"SENSOR": NOW - 11 * MINUTE})
    )
    assert [t.page for t in find_alerts(with_its_daemon, USUAL)] == ["daemon_silent"]


AHEAD = timedelta(days=3650)


@pytest.mark.parametrize(
    ("page", "facts"),
    [
        ("daemon_silent", replace(SOUND, orchestrator=replace(ALIVE, daemons={"S": NOW + AHEAD}))),
        ("sensor_silent", replace(SOUND, last_scan=LastScan(NOW + AHEAD, {}))),
        ("night_late", replace(SOUND, orchestrator=replace(ALIVE, last_success=NOW + AHEAD))),
        ("run_stuck", replace(SOUND, orchestrator=replace(ALIVE, running_since=NOW + AHEAD))),
        ("notices_unsent", replace(SOUND, unsent_since=NOW + AHEAD)),
        ("heartbeat_silent", replace(SOUND, outside_at=NOW + AHEAD)),
    ],
)
def test_what_a_clock_noted_that_was_ahead_is_no_sign_of_life(page: str, facts: Facts) -> None:
    assert [alert.page for alert in find_alerts(facts, USUAL)] == [page]


def test_a_sensor_that_was_switched_on_by_a_clock_ahead_is_alive_when_it_looks() -> None:
    known = replace(ALIVE, sensor_since=NOW + AHEAD)
    assert find_alerts(replace(SOUND, orchestrator=known), USUAL) == []


def test_what_was_never_switched_on_is_not_missed() -> None:
    by_cron = Facts(now=NOW, orchestrator=OrchestratorState(last_success=NOW - HOUR))
    assert find_alerts(by_cron, USUAL) == []


def test_before_the_first_night_none_has_ended() -> None:
    (found,) = find_alerts(Facts(now=NOW), USUAL)
    assert (found.page, found.words) == ("night_late", "no night has succeeded yet")


def test_a_run_that_failed_with_an_error_of_ours_leads_to_the_errors_page() -> None:
    facts = replace(SOUND, orchestrator=replace(ALIVE, failed=[OURS]))
    (found,) = find_alerts(facts, USUAL)
    assert found.link.endswith("#noroomerror")
    assert found.words == "night: load_transcript (there is no room)"


def test_of_an_error_of_others_only_its_kind_is_told() -> None:
    (found,) = find_alerts(WRONG["run_failed"], USUAL)
    assert found.words == "night: receipts (ValueError)"


def test_another_cause_is_another_trouble_and_the_same_is_the_same() -> None:
    first, again = (find_alerts(WRONG["run_failed"], USUAL)[0] for _ in range(2))
    facts = replace(SOUND, orchestrator=replace(ALIVE, failed=[OURS]))
    assert first.subject == again.subject != find_alerts(facts, USUAL)[0].subject


def test_a_held_drop_is_told_by_code_family_and_count() -> None:
    (found,) = find_alerts(WRONG["drops_held"], USUAL)
    assert found.words == (
        "oneroster of 3367173, held since the night of 2026-11-21: 812 records would end"
    )


def test_claims_are_told_by_code_and_count() -> None:
    (found,) = find_alerts(WRONG["ssid_claims"], USUAL)
    assert found.words == "3 SSIDs on the roster of 0161192 are known as other students"


def test_shared_cccids_are_told_by_their_number() -> None:
    (found,) = find_alerts(WRONG["shared_cccids"], USUAL)
    assert found.words == "2 CCCIDs are on the applications of two students or more"


def test_a_warehouse_that_cannot_be_asked_leaves_held_drops_unknown() -> None:
    _, unchecked = judge_facts(WRONG["catalog_unreadable"], USUAL)
    assert unchecked == {AlertKind.DROPS_HELD, AlertKind.SSID_CLAIMS, AlertKind.SHARED_CCCIDS}


def test_what_one_rule_cannot_judge_does_not_hide_the_others() -> None:
    broken = replace(WRONG["drops_held"], free={"/data": "much"})
    found, unchecked = judge_facts(broken, USUAL)
    assert [alert.page for alert in found] == ["drops_held", "heartbeat_incomplete"]
    assert found[1].words == "the heartbeat could not check disks (TypeError)"
    assert unchecked == {AlertKind.HEARTBEAT}


def test_a_fact_that_cannot_be_read_is_named_and_gives_no_false_alarm(tmp_path: Path) -> None:
    folders = folders_in(tmp_path)
    folders.warehouse.mkdir()
    (folders.warehouse / "deliveries.sqlite").write_bytes(b"no database at all" * 500)
    known = replace(ALIVE, last_success=None, unread={"last_success": "AttributeError"})
    facts = collect_facts(folders, Profiles(), known, [], NOW)
    found, unchecked = judge_facts(replace(facts, free={}, last_scan=SOUND.last_scan), USUAL)
    assert [alert.subject for alert in found] == [
        "heartbeat_incomplete/last_success",
        "heartbeat_incomplete/stuck",
    ]
    assert unchecked == {AlertKind.HEARTBEAT, AlertKind.DELIVERIES_STUCK}


def test_a_sensor_that_was_just_switched_on_has_time_for_its_first_look() -> None:
    def since(minutes: int) -> list[str]:
        on = replace(ALIVE, sensor_since=NOW - minutes * MINUTE)
        return [t.page for t in find_alerts(replace(SOUND, orchestrator=on, last_scan=None), USUAL)]

    assert since(1) == []
    assert since(11) == ["sensor_silent"]


@pytest.mark.parametrize("page", ["daemon_silent", "sensor_silent"])
def test_in_the_first_look_after_a_start_nobody_else_is_late_yet(page: str) -> None:
    assert find_alerts(replace(WRONG[page], just_started=True), USUAL) == []


def test_facts_are_read_from_the_folders(tmp_path: Path) -> None:
    folders = folders_in(tmp_path)
    empty = collect_facts(folders, Profiles(), OrchestratorState(), [], NOW)
    assert (empty.last_scan, empty.held, empty.stuck, empty.catalog_fault) == (None, (), {}, None)
    assert min(empty.free.values()) > 0
    save_last_scan(folders.warehouse, LastScan(NOW, {"uploads": "refuses"}))
    with open_alert_store(folders.warehouse) as store:
        store.record_watch(FROM_OUTSIDE, NOW)
    facts = collect_facts(folders, Profiles(), OrchestratorState(), [], NOW)
    assert facts.last_scan == LastScan(NOW, {"uploads": "refuses"})
    assert facts.outside_at == NOW
