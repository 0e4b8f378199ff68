"""The exchange as a whole: files of identities, a running service, a night's applications.

Belongs here: what the command line and the night make of the room's parts. Does not belong here:
the contract (test_truth_table), the client's patience (test_asking).
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import dagster as dg
import polars as pl
import pytest
from click.testing import CliRunner, Result

from ccgi_pipeline.cli import main
from ccgi_pipeline.defs.resources import NightDate, NightFolders, build_folder_resources
from ccgi_pipeline.defs.ssid_lookup import application_ssids
from ccgi_pipeline.feeds.cccapply import APPLICATIONS
from ccgi_pipeline.feeds.registry import FEEDS
from ccgi_pipeline.monitoring.alerts.types import AlertKind
from ccgi_pipeline.monitoring.health import OrchestratorState, collect_facts, find_alerts
from ccgi_pipeline.nightly import ssid_exchange
from ccgi_pipeline.nightly.paths import PipelinePaths
from ccgi_pipeline.operations import ssid_files
from ccgi_pipeline.profiles import HeartbeatSettings, Profiles
from ccgi_pipeline.reports.college_download import (
    COLUMNS,
    download_path,
    find_restricted_columns,
    render_download,
)
from ccgi_pipeline.reports.registry import REPORTS
from ccgi_pipeline.ssid_lookup import settings
from ccgi_pipeline.ssid_lookup.client_registry import ClientRegistry, ClientScope
from ccgi_pipeline.ssid_lookup.contract import LOOKUP_PATH
from ccgi_pipeline.warehouse.storage.connection import open_warehouse
from ccgi_pipeline_tests.files import as_bytes
from ccgi_pipeline_tests.foster_focus import Line
from ccgi_pipeline_tests.nightly.nights import ON, folders_in, take_and_load, writing
from ccgi_pipeline_tests.ssid_lookup.services import Service, running

STUDENTS, ASKED = 400, 60


def ccgi(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with identities and applications."""
    folder = tmp_path_factory.mktemp("state")
    made = ccgi(
        *("lookup", "generate", "--out", folder),
        *("--identities", STUDENTS, "--applications", ASKED),
    )
    assert made.exit_code == 0, made.output
    return folder


@pytest.fixture(scope="module")
def service(state: Path) -> Iterator[Service]:
    """A service that knows these students, and one client."""
    store = state / "store"
    loaded = ccgi("lookup", "load", state / "calpads_identity.csv", "--store", store)
    assert loaded.exit_code == 0, loaded.output
    with running(store) as started:
        yield started


@pytest.fixture
def named(
    service: Service, state: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Service:
    """The service as the environment names it, to a client of the test's own."""
    client = f"client-{abs(hash(request.node.name)) % 10_000_000}"
    secret = ClientRegistry(state / "store").register(client, [ClientScope.LOOKUP])
    monkeypatch.setenv(settings.ADDRESS, service.url)
    monkeypatch.setenv(settings.CLIENT, client)
    monkeypatch.setenv(settings.SECRET, secret)
    if service.certificate is not None:
        monkeypatch.setenv(settings.CERTIFICATE, str(service.certificate.certificate))
    return service


def applications_of(state: Path) -> list[Line]:
    with (state / "applications.csv").open(newline="") as file:
        return list(csv.DictReader(file))


# --- the command line -----------------------------------------------------------------------------


def test_a_file_of_applications_is_matched_and_not_asked_twice(
    named: Service, state: Path, tmp_path: Path
):
    out = tmp_path / "answers.csv"
    match = (
        "lookup",
        "match",
        state / "applications.csv",
        "--backlog",
        tmp_path / "b",
        "--out",
        out,
    )
    first = ccgi(*match)
    assert first.exit_code == 0, first.output
    answers = pl.read_csv(out, infer_schema=False)
    assert answers.height == ASKED
    assert {"matched", "no_student"} <= set(answers["answer"])
    asked = named.everything_written().count(LOOKUP_PATH)
    again = ccgi(*match)
    assert again.exit_code == 0
    assert pl.read_csv(out, infer_schema=False).equals(answers)
    assert named.everything_written().count(LOOKUP_PATH) == asked > 0


def test_without_a_service_the_command_says_what_to_set(state: Path, tmp_path: Path):
    result = ccgi("lookup", "match", state / "applications.csv", "--backlog", tmp_path)
    assert result.exit_code == 1
    assert settings.ADDRESS in result.output


def test_half_a_service_is_told_as_such(
    state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv(settings.ADDRESS, "https://127.0.0.1:1")
    result = ccgi("lookup", "match", state / "applications.csv", "--backlog", tmp_path)
    assert result.exit_code == 1
    assert settings.SECRET in result.output


def test_lines_that_break_a_rule_are_counted_and_the_others_loaded(state: Path, tmp_path: Path):
    lines = (state / "calpads_identity.csv").read_text().splitlines()
    lines[3] = lines[3].replace("8", "x", 1)
    broken = tmp_path / "identities.csv"
    broken.write_text("\n".join([*lines, ""]))
    loaded = ccgi("lookup", "load", broken, "--store", tmp_path / "store")
    assert loaded.exit_code == 0
    assert f"{len(lines) - 2:,} lines" in loaded.output
    assert "CI-TYPE-SSID" in loaded.output


def test_a_large_file_is_read_in_pieces_without_losing_a_line(
    state: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(ssid_files, "_PIECE", 1000)
    path = state / "calpads_identity.csv"
    refused = ssid_files.RefusedLines()
    frames = ssid_files.read_accepted_lines([path], ssid_files.IDENTITIES, ON, refused)
    lines = path.read_text().splitlines()
    assert sum(frame.height for frame in frames) == len(lines) - 1
    assert refused.lines == 0


def test_uniqueness_of_a_file_is_printed_for_both_keys(state: Path):
    result = ccgi("lookup", "uniqueness", state / "calpads_identity.csv")
    assert result.exit_code == 0
    assert "Result Count" in result.output
    assert "initial_and_birth" in result.output


def test_a_key_that_there_is_not_is_told(state: Path):
    result = ccgi("lookup", "uniqueness", state / "calpads_identity.csv", "--key", "shoe_size")
    assert result.exit_code == 1
    assert "name_and_birth" in result.output


def test_rules_of_matching_are_compared():
    result = ccgi("lookup", "rules", "--identities", "3000", "--applications", "300")
    assert result.exit_code == 0, result.output
    assert "first_initial" in result.output


def test_a_client_is_added_listed_rotated_and_disabled(tmp_path: Path):
    store = ("--store", tmp_path)
    secret = ccgi("lookup", "client", "add", "college", *store).output.strip()
    assert len(secret) > 40
    assert "college" in ccgi("lookup", "client", "list", *store).output
    rotated = ccgi("lookup", "client", "rotate", "college", *store).output.strip()
    assert rotated not in {"", secret}
    assert ccgi("lookup", "client", "disable", "college", *store).exit_code == 0
    assert "disabled" in ccgi("lookup", "client", "list", *store).output


# --- the night ------------------------------------------------------------------------------------


@pytest.mark.usefixtures("named")
def test_the_night_asks_stores_and_serves_colleges_without_an_ssid(state: Path, tmp_path: Path):
    folders = folders_in(tmp_path)
    sent = applications_of(state)
    sent[0]["ssid"] = "9999999999"
    place = folders.inbox / "cccapply" / "applications_20261122.csv"
    place.parent.mkdir(parents=True)
    place.write_bytes(as_bytes(APPLICATIONS, sent))
    with writing(folders) as connection:
        take_and_load(connection, folders)
        outcome, counts, waiting = ssid_exchange.ask_for_ssids(connection, folders, ON)
        rows, restricted = ssid_exchange.write_download(connection, folders, ON)
        again, same, _ = ssid_exchange.ask_for_ssids(connection, folders, ON)
    assert outcome is not None
    assert waiting == 0
    assert sum(counts.values()) == ASKED - 1
    assert counts["matched"] > 0
    assert same == counts
    assert again == outcome
    assert (rows, restricted) == (ASKED, [])
    content = (folders.outbox / download_path(ON)).read_bytes()
    with open_warehouse(folders.warehouse, read_only=True) as connection:
        ssids = connection.execute(
            "SELECT ssid FROM cccapply_applications_with_ssid WHERE ssid IS NOT NULL"
        ).fetchall()
    assert len(ssids) == counts["matched"] + 1
    assert not any(ssid.encode() in content for (ssid,) in ssids)
    header = content.decode().splitlines()[0].split(",")
    assert header == COLUMNS
    assert {"hs_cds_full", "col[0]_cds_full"} <= set(header)


def test_without_a_service_the_night_leaves_applications_waiting(
    state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.delenv(settings.ADDRESS, raising=False)
    folders = folders_in(tmp_path)
    place = folders.inbox / "cccapply" / "applications.csv"
    place.parent.mkdir(parents=True)
    place.write_bytes((state / "applications.csv").read_bytes())
    with writing(folders) as connection:
        take_and_load(connection, folders)
        assert ssid_exchange.ask_for_ssids(connection, folders, ON) == (None, {}, ASKED)


# --- one CCCID, two students ----------------------------------------------------------------------

_APPLICATIONS = [
    ("A1", "ABC1234", "9000000001"),
    ("A2", "abc1234", "9000000002"),
    ("A3", "ABC1234", ""),
    ("A4", "DEF5678", "9000000003"),
    ("A5", "DEF5678", "9000000003"),
    ("A6", "GHI9012", "9000000003"),
]
"""Ids, CCCIDs and SSIDs: the first CCCID is of two students, the others share one student."""


def _put_applications(
    folders: PipelinePaths, applications: list[tuple[str, str, str]], day: str
) -> None:
    place = folders.inbox / "cccapply" / f"applications_{day}.csv"
    place.parent.mkdir(parents=True, exist_ok=True)
    names = ("app_id", "ccc_id", "ssid")
    known = [dict(zip(names, cells, strict=True)) for cells in applications]
    usual = {
        "firstname": "Marisol",
        "lastname": "Vega",
        "birthdate": "2008-04-09",
        "hs_cds_full": "33671733335130",
    }
    blank = dict.fromkeys(APPLICATIONS.columns, "")
    place.write_bytes(as_bytes(APPLICATIONS, [{**blank, **usual, **line} for line in known]))


def _checked(folders: PipelinePaths) -> tuple[bool, dict[str, object]]:
    """What Dagster's check of CCCIDs says."""
    places = {name: str(getattr(folders, name)) for name in ("inbox", "outbox", "warehouse")}
    ran = dg.materialize(
        [application_ssids],
        resources={
            "night": NightDate(date=f"{ON}"),
            **build_folder_resources(NightFolders(**places)),
        },
    )
    (check,) = (
        found
        for found in ran.get_asset_check_evaluations()
        if found.check_name == "every_cccid_is_one_students"
    )
    assert check.severity is dg.AssetCheckSeverity.WARN
    return check.passed, {name: cell.value for name, cell in check.metadata.items()}


def test_a_cccid_of_two_students_is_told_to_the_operator_and_no_value(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.delenv(settings.ADDRESS, raising=False)
    folders = folders_in(tmp_path)
    warehouse = ("--warehouse", folders.warehouse)
    _put_applications(folders, _APPLICATIONS, "20261121")
    with writing(folders) as connection:
        take_and_load(connection, folders)
    assert _checked(folders) == (False, {"CCCIDs of two students": 1})
    status, listed = ccgi("status", *warehouse), ccgi("lookup", "shared-cccids", *warehouse)
    assert "cccapply: 1 CCCIDs are on the applications of two students" in status.output
    assert status.exit_code == 1
    rows = [line.split() for line in listed.output.splitlines() if line.strip()[:1].isdigit()]
    assert [(row[0], row[1], row[-1]) for row in rows] == [
        ("1", "0", "4"),
        ("1", "1", "2"),
        ("1", "2", "3"),
    ]
    alerts = find_alerts(
        collect_facts(folders, Profiles(), OrchestratorState(), [], datetime.now(tz=UTC)),
        HeartbeatSettings(),
    )
    told = [alert.words for alert in alerts if alert.kind is AlertKind.SHARED_CCCIDS]
    assert told == ["1 CCCIDs are on the applications of two students or more"]
    said = " ".join([status.output, listed.output, *told]).upper()
    assert not any(value in said for line in _APPLICATIONS for value in (line[1], line[2]) if value)

    _put_applications(folders, [("A2", "ABC1234", "9000000001")], "20261122")
    with writing(folders) as connection:
        take_and_load(connection, folders)
    assert _checked(folders) == (True, {"CCCIDs of two students": 0})
    assert ccgi("status", *warehouse).exit_code == 0
    assert "Every CCCID is one student's." in ccgi("lookup", "shared-cccids", *warehouse).output


# --- column classes -------------------------------------------------------------------------------


def test_a_download_with_a_restricted_column_is_found_out():
    frame = pl.DataFrame({name: ["x"] for name in [*COLUMNS, "ssid"]})
    assert find_restricted_columns(frame.write_csv(line_terminator="\r\n").encode()) == ["ssid"]
    assert find_restricted_columns(render_download(frame)) == []


def test_no_export_but_a_districts_own_detail_has_an_ssid():
    ssids = {
        name for feed in FEEDS for name, column in feed.columns.items() if name.upper() == "SSID"
    }
    assert all(
        feed.columns[name].restricted for feed in FEEDS for name in feed.columns if name in ssids
    )
    assert not ssids & set(COLUMNS)
    for report in REPORTS:
        assert not [column.name for column in report.aggregate_columns if column.personal]


def test_the_day_of_the_download_is_in_its_name():
    assert download_path(date(2026, 11, 22)).name == "applications_20261122.csv"
