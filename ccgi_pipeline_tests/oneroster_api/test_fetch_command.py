"""Tests of `ccgi fetch`, its sensor, its status and its notices against a real server."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import polars as pl
import pytest
from click.testing import CliRunner, Result

from ccgi_pipeline.cli import main
from ccgi_pipeline.defs.code_location import asset_key
from ccgi_pipeline.defs.district_status import FETCHED, _judge_fetches, district_status
from ccgi_pipeline.defs.resources import NightFolders
from ccgi_pipeline.defs.roster_fetches import fetch_rosters_job, oneroster_fetches
from ccgi_pipeline.encryption.keys import generate_key
from ccgi_pipeline.monitoring.alerts.types import AlertKind
from ccgi_pipeline.monitoring.health import Facts, find_alerts
from ccgi_pipeline.nightly.paths import PipelinePaths
from ccgi_pipeline.nightly.roster_fetches import fetch_districts, find_due_districts
from ccgi_pipeline.oneroster_api.district_fetch import page_archive
from ccgi_pipeline.oneroster_api.fetch_status import read_fetch_statuses
from ccgi_pipeline.oneroster_api.state import open_store
from ccgi_pipeline.operations.purge import run_purge
from ccgi_pipeline.operations.purge_proof import find_files_with_values
from ccgi_pipeline.profiles import HeartbeatSettings, read_profiles
from ccgi_pipeline.warehouse.load.erasure import PurgeSelection
from ccgi_pipeline_tests.encrypted_folders import key_set
from ccgi_pipeline_tests.nightly.nights import folders_in, load_and_answer
from ccgi_pipeline_tests.oneroster_api.conftest import Districts
from ccgi_pipeline_tests.oneroster_api.faults import Fault
from ccgi_pipeline_tests.oneroster_api.fetches import CD, SECRET
from ccgi_pipeline_tests.oneroster_api.server import RosterServer, serve_oneroster

OTHER = "0161192"


@pytest.fixture(scope="module")
def sound(districts: Districts) -> Iterator[RosterServer]:
    with serve_oneroster(districts.of("1.1")[0], version="1.1") as server:
        yield server


@pytest.fixture
def server(sound: RosterServer, monkeypatch: pytest.MonkeyPatch) -> RosterServer:
    sound.faults = ()
    monkeypatch.setenv(SECRET, sound.client_secret)
    return sound


def settings(server: RosterServer, cd: str = CD, path: str = "", **more: str) -> str:
    """The table of a district; ``path`` makes its address one where there is no OneRoster."""
    table = {
        "server": server.url + path,
        "token_url": server.token_url,
        "client_id": server.client_id,
        "secret_variable": SECRET,
        "ca_file": str(server.ca_file),
        **more,
    }
    lines = [f'{name} = "{value}"' for name, value in table.items()]
    return "\n".join([f"[districts.{cd}.oneroster_api]", "page_size = 1000", *lines, ""])


@pytest.fixture
def folders(tmp_path: Path, server: RosterServer) -> PipelinePaths:
    paths = folders_in(tmp_path)
    paths.warehouse.mkdir(parents=True, exist_ok=True)
    (paths.warehouse / "profiles.toml").write_text(settings(server))
    return paths


def fetch(folders: PipelinePaths, *options: str) -> Result:
    where = ("--inbox", str(folders.inbox), "--warehouse", str(folders.warehouse))
    return CliRunner().invoke(main, ["fetch", *options, *where])


def drops(folders: PipelinePaths, cd: str = CD) -> list[Path]:
    return sorted((folders.inbox / cd / "oneroster").glob("api_*"))


def test_a_roster_is_fetched_by_hand_and_a_night_loads_it(folders: PipelinePaths) -> None:
    done = fetch(folders, "--district", CD)
    assert done.exit_code == 0, done.output
    assert "OneRoster 1.1, full" in done.stdout
    assert "the next night takes it" in done.stdout
    (drop,) = drops(folders)
    load_and_answer(folders)
    assert {path.name for path in drop.iterdir()} >= {"users.csv", "enrollments.csv"}
    again = fetch(folders, "--district", CD)
    assert again.exit_code == 0
    assert "Nothing is new" in again.stdout
    assert drops(folders) == [drop]
    assert page_archive(folders.warehouse).files()
    shown = CliRunner().invoke(
        main, ["status", "--warehouse", str(folders.warehouse), "--district", CD]
    )
    assert "roster by API: fetch of" in shown.output
    assert "unchanged" in shown.output


def test_tables_of_a_fetch_fit_80_columns(
    folders: PipelinePaths, server: RosterServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    server.faults = [Fault.COLLECTION_404]
    for option in ((), ("--dry-run",)):
        told = fetch(folders, "--district", CD, *option).stdout
        table = [line for line in told.splitlines() if line.startswith(" ") or "   " in line]
        assert len(table) > 6
        assert [line for line in table if len(line) > 80] == []
        assert "…" not in told


def test_a_dry_run_tells_what_a_server_offers_and_keeps_nothing(folders: PipelinePaths) -> None:
    told = fetch(folders, "--district", CD, "--dry-run")
    assert told.exit_code == 0, told.output
    assert "The server is sound" in told.stdout
    assert "enrollments" in told.stdout
    assert drops(folders) == []
    assert not page_archive(folders.warehouse).files()


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (Fault.OFFSET_IGNORED, "The server is not sound"),
        (Fault.FORBIDDEN, "grant the scope"),
        (Fault.GRANT_REFUSED, "client id and secret are not accepted"),
    ],
)
def test_a_dry_run_tells_what_is_wrong(
    folders: PipelinePaths, server: RosterServer, fault: Fault, said: str
) -> None:
    server.faults = [fault]
    told = fetch(folders, "--district", CD, "--dry-run")
    assert told.exit_code == 1
    assert said in " ".join(told.output.split())


def test_a_dry_run_tells_that_a_server_cannot_filter(
    folders: PipelinePaths, server: RosterServer
) -> None:
    server.faults = [Fault.FILTER_IGNORED]
    told = fetch(folders, "--district", CD, "--dry-run")
    assert told.exit_code == 0
    assert "every fetch will be full" in told.stdout


def test_a_fetch_that_fails_ends_with_status_1_and_says_why(
    folders: PipelinePaths, server: RosterServer
) -> None:
    server.faults = [Fault.PAGE_MISSING]
    failed = fetch(folders, "--district", CD)
    assert failed.exit_code == 1
    assert "did not come whole in 3 tries" in failed.stderr
    shown = CliRunner().invoke(main, ["status", "--warehouse", str(folders.warehouse), "--bad"])
    assert shown.exit_code in {1, 2}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ((), "name a district"),
        (("--district", CD, "--due"), "name a district"),
        (("--district", OTHER), "names no OneRoster API"),
    ],
)
def test_a_command_that_cannot_be_followed_ends_with_status_2(
    folders: PipelinePaths, options: tuple[str, ...], said: str
) -> None:
    wrong = fetch(folders, *options)
    assert wrong.exit_code == 2
    assert said in " ".join(wrong.stderr.replace("│", "").split())


def test_one_districts_fetch_never_stops_anothers(
    folders: PipelinePaths, server: RosterServer
) -> None:
    text = settings(server) + settings(server, OTHER, path="/nothing", version="1.1")
    (folders.warehouse / "profiles.toml").write_text(text)
    bad, good = fetch_districts(folders, read_profiles(folders.warehouse), [OTHER, CD])
    assert bad.permanent
    assert "every collection is empty" in bad.why
    assert good.result is not None
    assert drops(folders)
    assert not drops(folders, OTHER)


# --- Dagster --------------------------------------------------------------------------------------


def tick(instance: dg.DagsterInstance, folders: PipelinePaths) -> object:
    context = dg.build_sensor_context(instance=instance)
    return oneroster_fetches(context, folders=resource(folders))


def resource(folders: PipelinePaths) -> NightFolders:
    return NightFolders(
        inbox=str(folders.inbox), outbox=str(folders.outbox), warehouse=str(folders.warehouse)
    )


def test_the_sensor_starts_a_fetch_once_for_each_of_its_times(
    folders: PipelinePaths, server: RosterServer
) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        assert isinstance(tick(instance, folders), dg.RunRequest)
        run = fetch_rosters_job.execute_in_process(
            instance=instance, resources={"folders": resource(folders)}
        )
        assert run.success
        assert len(drops(folders)) == 1
        skipped = tick(instance, folders)
        assert isinstance(skipped, dg.SkipReason)
        assert skipped.skip_message == "no roster is due"
        server.faults = [Fault.ALL_EMPTY]
        later = datetime.now(UTC) + timedelta(days=1)
        assert find_due_districts(folders, later)[1] == [CD]


def test_the_sensor_does_nothing_where_no_district_has_an_api(tmp_path: Path) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        skipped = tick(instance, folders_in(tmp_path))
    assert isinstance(skipped, dg.SkipReason)
    assert skipped.skip_message == "no district has a OneRoster API"


def test_a_run_that_fetched_nothing_is_red_and_says_why(
    folders: PipelinePaths, server: RosterServer
) -> None:
    server.faults = [Fault.ALL_EMPTY]
    with dg.DagsterInstance.ephemeral() as instance:
        run = fetch_rosters_job.execute_in_process(
            instance=instance, resources={"folders": resource(folders)}, raise_on_error=False
        )
    assert not run.success
    (failure,) = [event for event in run.all_events if event.is_step_failure]
    assert "every collection is empty" in str(failure.step_failure_data.error)


def statuses(folders: PipelinePaths, *, after: timedelta = timedelta()) -> list:  # type: ignore[type-arg]
    now = datetime.now(UTC) + after
    return read_fetch_statuses(folders.warehouse, read_profiles(folders.warehouse), now)


def test_a_refused_fetch_and_an_overdue_one_are_told_until_one_succeeds(
    folders: PipelinePaths, server: RosterServer
) -> None:
    assert not statuses(folders)[0].needs_attention, "there was no time for a fetch yet"
    server.faults = [Fault.ALL_EMPTY]
    assert fetch(folders, "--district", CD).exit_code == 1
    (refused,) = statuses(folders)
    assert refused.refused
    judged = _judge_fetches([refused])
    assert (judged.check_name, judged.passed) == (FETCHED, False)
    assert judged.severity is dg.AssetCheckSeverity.ERROR
    alerts = find_alerts(Facts(now=datetime.now(UTC), fetches=[refused]), HeartbeatSettings())
    (told,) = [alert for alert in alerts if alert.kind is AlertKind.ROSTER_FETCHES]
    assert "every collection is empty" in told.words
    server.faults = ()
    assert fetch(folders, "--district", CD).exit_code == 0
    assert not statuses(folders)[0].needs_attention
    (late,) = statuses(folders, after=timedelta(hours=40))
    assert late.overdue
    assert _judge_fetches([late]).severity is dg.AssetCheckSeverity.WARN
    assert "none has succeeded since" in late.words


def test_the_check_stands_on_the_status_of_districts() -> None:
    assert dg.AssetCheckKey(asset_key("district_status"), FETCHED) in district_status.check_keys


# --- purge ----------------------------------------------------------------------------------------


def test_pages_of_a_purged_district_are_nobodys_unless_another_has_the_same(
    folders: PipelinePaths, server: RosterServer
) -> None:
    text = settings(server) + settings(server, OTHER).replace(server.url, f"{server.url}/")
    (folders.warehouse / "profiles.toml").write_text(settings(server))
    assert fetch(folders, "--district", CD).exit_code == 0
    (folders.warehouse / "profiles.toml").write_text(text.replace(settings(server), ""))
    other = fetch(folders, "--district", OTHER)
    assert other.exit_code == 0, other.output
    pages = {path.name for path in page_archive(folders.warehouse).files()}
    with open_store(folders.warehouse) as store:
        assert store.forget(CD, None) == [], "the other district has the same pages"
        assert {*store.forget(None, datetime.now(UTC) + timedelta(hours=1))} == pages


@pytest.mark.slow
def test_a_purge_removes_a_districts_pages_and_its_search_reads_those_that_stay(
    folders: PipelinePaths,
) -> None:
    assert fetch(folders, "--district", CD).exit_code == 0
    load_and_answer(folders)
    assert page_archive(folders.warehouse).files()
    purged = run_purge(folders, PurgeSelection(district=CD), by="A. Name", reason="a test")
    assert purged.proven
    assert page_archive(folders.warehouse).files() == []
    with open_store(folders.warehouse) as store:
        assert store.read_newest() == []


def test_pages_of_an_encrypted_warehouse_are_sealed_and_searched(folders: PipelinePaths) -> None:
    with key_set(generate_key()):
        assert fetch(folders, "--district", CD).exit_code == 0
        pages = page_archive(folders.warehouse)
        page = next(path for path in pages.files() if b'"users"' in pages.read(path.name))
        assert b'"users"' not in page.read_bytes()
        (name, *_) = [user["familyName"] for user in json.loads(pages.read(page.name))["users"]]
        assert find_files_with_values(folders, pl.Series([name]), [page]) == [page]
        assert find_files_with_values(folders, pl.Series(["Nobody-Has-This"]), [page]) == []
