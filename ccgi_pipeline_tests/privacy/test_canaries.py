"""Nowhere but in the warehouse, the archive and a district's own reports is a value of a pupil.

Belongs here: nights over canaries with every kind of failure, every place searched afterwards, and
leaks planted in each place, so that the search is known to find what is there.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import dagster as dg
import polars as pl
import pytest

from ccgi_pipeline.common.spreadsheet_files import open_spreadsheet
from ccgi_pipeline.feeds.registry import FEEDS
from ccgi_pipeline.runtime.dagster_instance import prepare_dagster_home
from ccgi_pipeline.warehouse.storage.column_classes import PIPELINE_COLUMN_CLASSES
from ccgi_pipeline.warehouse.storage.connection import open_warehouse, write_warehouse
from ccgi_pipeline.warehouse.storage.schema import PIPELINE_TABLES, quote_identifier
from ccgi_pipeline_tests.privacy.canaries import (
    STUDENTS,
    all_canaries,
    birth,
    canaries_in,
    canary,
    ssid,
    sung_in,
    word,
)
from ccgi_pipeline_tests.privacy.faults import name_of_a_file
from ccgi_pipeline_tests.privacy.leaks import LEAKS, fail_without_words, faults_of_libraries
from ccgi_pipeline_tests.privacy.nights import Nights, nights_of_faults
from ccgi_pipeline_tests.privacy.places import PLACES, exported

NAMES_OF_FILES = {name_of_a_file(number).lower() for number in range(20)}
TELL_SENDERS_THEIR_FILES = {"receipts", "what commands say"}
"""Places where a sender's own name of a file stands: its receipt, and the operator's terminal."""

NEVER_KEPT = ["oneroster_users.password", "oneroster_userProfiles.password"]


@pytest.fixture(scope="module")
def nights(tmp_path_factory: pytest.TempPathFactory) -> Nights:
    own = tmp_path_factory.getbasetemp()
    return nights_of_faults((own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "nights")


def test_the_faults_have_happened(nights: Nights) -> None:
    assert nights.statuses["good night"] == nights.statuses["bad night"] == 0, nights.said
    assert nights.statuses["failed night"] == 1
    assert nights.statuses["killed night"] == -9
    with open_warehouse(nights.folders.warehouse, read_only=True) as connection:
        verdicts = dict(
            connection.execute("SELECT verdict, count(*) FROM drops GROUP BY 1").fetchall()
        )
        rules = {rule for (rule,) in connection.execute("SELECT rule FROM findings").fetchall()}
    assert {"accepted", "accepted_with_findings", "rejected"} <= set(verdicts)
    assert {"FILE-FAULT", "FILE-ZIP-BROKEN", "FILE-UNRECOGNISED", "FILE-LETTERS"} <= rules
    assert len(rules) > 100
    assert b"waits for an answer" in nights.said["hold show"]
    assert b"the night begins in about" in nights.said["sensor"]
    assert b"server_refuses" in nights.said["mails"] or b"run_failed" in nights.said["mails"]
    assert b"hold approved" in nights.said["audit"]
    assert b"transcript_student" in nights.said["purge"]
    assert any(nights.delivered.rglob("*.csv"))


def test_every_personal_column_of_every_feed_was_loaded_with_canaries(nights: Nights) -> None:
    lost = []
    with open_warehouse(nights.folders.warehouse, read_only=True) as connection:
        for feed in FEEDS:
            for column in feed.columns.values():
                if canary(feed, column, 1) is None:
                    continue
                cells = connection.execute(
                    f"SELECT DISTINCT {quote_identifier(column.name)}::VARCHAR "  # noqa: S608
                    f"FROM {feed.name} WHERE _line IS NOT NULL"
                ).fetchall()
                if not any(canaries_in(str(cell).encode()) for (cell,) in cells):
                    lost.append(f"{feed.name}.{column.name}")
    assert lost == NEVER_KEPT


def test_our_own_tables_hold_of_pupils_what_their_classes_say(nights: Nights) -> None:
    undeclared = []
    with open_warehouse(nights.folders.warehouse, read_only=True) as connection:
        for table, columns in PIPELINE_TABLES.items():
            for name in columns:
                cells = connection.execute(
                    f"SELECT DISTINCT {quote_identifier(name)}::VARCHAR FROM {table}"  # noqa: S608
                )
                told = canaries_in("\n".join(str(cell) for (cell,) in cells.fetchall()).encode())
                if told - NAMES_OF_FILES and name not in PIPELINE_COLUMN_CLASSES.get(table, {}):
                    undeclared.append(f"{table}.{name}")
    assert undeclared == []


def test_child_match_reports_tell_a_district_its_local_ids_and_no_more(nights: Nights) -> None:
    reports = [*nights.folders.outbox.glob("*/_receipts/*child_match.csv")]
    told = set().union(*(canaries_in(report.read_bytes()) for report in reports))
    assert told
    assert told <= {word("sislocalid", student).lower() for student in range(STUDENTS)}


@pytest.mark.parametrize("place", PLACES)
def test_no_canary_is_in(nights: Nights, place: str) -> None:
    parts = PLACES[place](nights)
    assert parts
    allowed = NAMES_OF_FILES if place in TELL_SENDERS_THEIR_FILES else set()
    assert [sung for sung in sung_in(place, parts) if sung.canary not in allowed] == []


# --- the search finds what is there ---------------------------------------------------------------

LEAK = word("lastname", 7)


@pytest.mark.parametrize(
    "spelled",
    [
        LEAK,
        LEAK.upper(),
        ssid(3),
        f"{birth(4):%m/%d/%Y}",
        f"{birth(4):%Y%m%d}",
        f"{birth(4)!r}",
        f"{birth(4):%d %B %Y}",
        f"born on {birth(4):%B %d, %Y}",
    ],
)
@pytest.mark.parametrize(
    "written",
    [
        str.encode,
        lambda text: text.encode("utf-16"),
        lambda text: f'x "{text}"\\n'.replace("/", "\\/").encode(),
    ],
)
def test_a_canary_is_found_however_it_is_spelled(
    spelled: str, written: Callable[[str], bytes]
) -> None:
    assert canaries_in(b"before " + written(spelled) + b" after")


def test_the_words_of_an_error_are_in_no_support_bundle(copy: Nights) -> None:
    home = str(prepare_dagster_home(copy.folders.warehouse))
    with dg.DagsterInstance.from_config(home) as instance:
        LEAKS["an exception"](instance, f"no file {LEAK} Roster.csv in transcript")
    parts = PLACES["support bundle"](copy)
    assert b"no file" in parts["runs.json"]
    assert sung_in("support bundle", parts) == []


@pytest.mark.slow
def test_a_class_that_an_operator_exports_is_found_in_each_form(copy: Nights) -> None:
    parts = exported(copy, "--include", "pii", "--include", "restricted", "--reason", "a test")
    for form in (".csv", ".xml", ".parquet"):
        of_form = {name: content for name, content in parts.items() if name.endswith(form)}
        assert sung_in("exports", of_form), form


def test_no_two_students_share_a_canary() -> None:
    assert len(all_canaries()) > 5000
    assert len({word("lastname", student) for student in range(20)}) == 20


@pytest.fixture
def copy(nights: Nights, tmp_path: Path) -> Nights:
    """The same outbox, Dagster instance and notes, to plant a leak in."""
    folders = nights.folders
    made = replace(folders, outbox=tmp_path / "outbox", warehouse=tmp_path / "warehouse")
    received = shutil.ignore_patterns("archive")
    shutil.copytree(folders.warehouse, made.warehouse, ignore=received)
    shutil.copytree(folders.outbox, made.outbox)
    shutil.copytree(nights.delivered, tmp_path / "delivered")
    return replace(nights, folders=made, delivered=tmp_path / "delivered", said=dict(nights.said))


def test_every_leak_that_dagster_stores_is_found(copy: Nights) -> None:
    leaking = {leak: word("lastname", number) for number, leak in enumerate(LEAKS)}
    home = str(prepare_dagster_home(copy.folders.warehouse))
    with dg.DagsterInstance.from_config(home) as instance:
        for leak, value in leaking.items():
            LEAKS[leak](instance, value)
    for place in ("Dagster's files", "Dagster's databases", "GraphQL"):
        found = {sung.canary for sung in sung_in(place, PLACES[place](copy))}
        assert {leak for leak, value in leaking.items() if value.lower() not in found} == set()


@pytest.mark.parametrize("library", faults_of_libraries(LEAK))
def test_a_library_quotes_what_it_could_not_read(library: str) -> None:
    with pytest.raises(Exception, match=LEAK):
        faults_of_libraries(LEAK)[library]()


def test_a_library_that_quotes_a_value_in_a_step_is_told_by_kind_and_place(copy: Nights) -> None:
    home = str(prepare_dagster_home(copy.folders.warehouse))
    with dg.DagsterInstance.from_config(home) as instance:
        failed = fail_without_words(instance, LEAK)
    assert failed == len(faults_of_libraries(LEAK))
    for place in ("Dagster's files", "Dagster's databases", "GraphQL", "support bundle"):
        parts = PLACES[place](copy)
        assert any(b"UnexpectedError" in content for content in parts.values())
        assert sung_in(place, parts) == []


def _outbox(name: str) -> Callable[[Nights], None]:
    def plant(nights: Nights) -> None:
        path = nights.folders.outbox / "2000001" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"a cell: {LEAK}")

    return plant


def _said(nights: Nights) -> None:
    nights.said["night"] = f"Traceback: ValueError: {LEAK}".encode()


def _mailed(nights: Nights) -> None:
    nights.said["mails"] += f"Subject: {LEAK} failed".encode()


def _beside(nights: Nights) -> None:
    (nights.folders.warehouse / f"{LEAK}.tmp").write_bytes(b"")


def _in_a_spreadsheet(nights: Nights) -> None:
    sheet = next(nights.folders.outbox.rglob("*_Agg.xlsx"))
    with (
        sheet.open("wb") as target,
        open_spreadsheet(target, "Leak", ["School"], sheet.parent) as writer,
    ):
        writer.write(pl.DataFrame({"School": [LEAK]}))


def _in_a_column_of_no_class(nights: Nights) -> None:
    with write_warehouse(nights.folders.warehouse) as connection:
        connection.execute("UPDATE transcript_student SET LanguageCode = ?", [LEAK])


def _on_a_page(nights: Nights) -> None:
    (nights.folders.warehouse / "pages" / "districts" / "x.html").write_text(LEAK)


def _on_the_server(nights: Nights) -> None:
    (nights.delivered / f"{LEAK}.csv").write_bytes(b"")


def _in_the_name_of_a_job(nights: Nights) -> None:
    home = str(prepare_dagster_home(nights.folders.warehouse))
    with dg.DagsterInstance.from_config(home) as instance:
        dg.JobDefinition(name=LEAK, graph_def=dg.GraphDefinition("nothing")).execute_in_process(
            instance=instance
        )


PLANTED: dict[str, Callable[[Nights], None]] = {
    "support bundle": _in_the_name_of_a_job,
    "what commands say": _said,
    "receipts": _outbox("_receipts/20261121_x.html"),
    "notices": _mailed,
    "pages": _on_a_page,
    "aggregates": _outbox("legacy reporting/goals/X_20261121_Agg.csv"),
    "spreadsheets": _in_a_spreadsheet,
    "exports": _in_a_column_of_no_class,
    "names in the outbox": _outbox(f"_receipts/{LEAK}.html"),
    "names on the server": _on_the_server,
    "beside the tables": _beside,
}


@pytest.mark.parametrize("place", PLANTED)
def test_a_planted_leak_is_found(copy: Nights, place: str) -> None:
    PLANTED[place](copy)
    assert LEAK.lower() in {sung.canary for sung in sung_in(place, PLACES[place](copy))}


def test_leaks_are_planted_in_every_place() -> None:
    assert {*PLANTED, "Dagster's files", "Dagster's databases", "GraphQL"} == set(PLACES)
