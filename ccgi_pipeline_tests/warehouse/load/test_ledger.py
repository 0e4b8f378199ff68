"""Bookkeeping: all or nothing, and what is remembered of files, drops and their answers.

Belongs here: what a load notes besides the records, and that it notes nothing when it fails. Does
not belong here: the fates themselves (``test_loading``).
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path

import duckdb
import polars as pl
import pytest

from ccgi_pipeline.intake.arrivals import ReceivedDrops
from ccgi_pipeline.intake.contents import Content
from ccgi_pipeline.intake.inbox import Drop
from ccgi_pipeline.verification.drop_files import files_to_verify
from ccgi_pipeline.verification.gates import verify
from ccgi_pipeline.verification.offline_check import shipped_knowledge
from ccgi_pipeline.verification.outcomes import Verification
from ccgi_pipeline.warehouse.load.drop_records import (
    read_drop_history,
    read_remembered_files,
    record_arrivals,
    record_receipts,
)
from ccgi_pipeline.warehouse.load.ledger import LedgerError, load_drops
from ccgi_pipeline.warehouse.queries import health as health_queries
from ccgi_pipeline.warehouse.queries import receipts as receipt_queries
from ccgi_pipeline.warehouse.storage.connection import open_warehouse
from ccgi_pipeline.warehouse.storage.schema import create_missing_tables
from ccgi_pipeline_tests.files import ON
from ccgi_pipeline_tests.nightly.nights import lake_rows
from ccgi_pipeline_tests.warehouse.model import STUDENT, BadCell, DropPlan, Good, Ragged, drop_of

_A, _B = Good(0, 0), Good(1, 0)


def _verified(
    sender: str, *plans: DropPlan, other_sender: str = ""
) -> tuple[list[Drop], Verification]:
    received = [drop_of(STUDENT.name, sender, plans[0])]
    if other_sender:
        received.append(drop_of(STUDENT.name, other_sender, plans[-1]))
    drops = [drop for drop, _ in received]
    contents = {id_: content for _, held in received for id_, content in held.items()}
    files = files_to_verify(drops, lambda _, id_: Content.of_bytes(contents[id_]))
    return drops, verify(files, ON, shipped_knowledge)


def _miscounted(verification: Verification, by: int) -> Verification:
    """The same, as if the reader had counted other lines."""
    lines = (pl.col("lines").cast(pl.Int64) + by).cast(pl.UInt32)
    return replace(verification, files=verification.files.with_columns(lines.alias("lines")))


@pytest.mark.parametrize("by", [-1, 1], ids=["a line too many", "a line lost"])
def test_a_ledger_that_does_not_add_up_rolls_everything_back(tmp_path: Path, by: int):
    with open_warehouse(tmp_path) as connection:
        create_missing_tables(connection)
        drops, verification = _verified("0000001", ((_A, _B),))
        load_drops(connection, drops, verification, ON)
        before = lake_rows(tmp_path)
        drops, verification = _verified("0000001", ((_A, BadCell(1), Ragged()),))
        with pytest.raises(LedgerError, match="does not add up"):
            load_drops(connection, drops, _miscounted(verification, by), ON)
    assert lake_rows(tmp_path) == before


def test_a_load_that_failed_can_be_done_again(connection: duckdb.DuckDBPyConnection):
    drops, verification = _verified("0000002", ((_A, _B),))
    with pytest.raises(LedgerError):
        load_drops(connection, drops, _miscounted(verification, 1), ON)
    loaded = load_drops(connection, drops, verification, ON)
    assert loaded.ledger.rows() == [("transcript_student", "inserted", 2)]
    assert drops[0].id in read_drop_history(connection).drops


def test_a_ledger_error_says_nothing_of_the_lines(connection: duckdb.DuckDBPyConnection):
    drops, verification = _verified("0000003", ((_A,),))
    with pytest.raises(LedgerError) as raised:
        load_drops(connection, drops, _miscounted(verification, 1), ON)
    assert str(raised.value) == "the ledger of 1 files does not add up to their lines"


def test_a_load_notes_drops_in_their_order_with_verdict_and_night(
    connection: duckdb.DuckDBPyConnection,
):
    drops, verification = _verified("0000004", ((_A,),), ((BadCell(0),),), other_sender="0000005")
    load_drops(connection, drops, verification, date(2026, 11, 22))
    rows = connection.execute(
        "SELECT sender, family, verdict, night, position FROM drops "
        "WHERE sender IN ('0000004', '0000005') ORDER BY position"
    ).fetchall()
    assert [row[:4] for row in rows] == [
        ("0000004", "transcript", "accepted", date(2026, 11, 22)),
        ("0000005", "transcript", "rejected", date(2026, 11, 22)),
    ]
    assert rows[1][4] == rows[0][4] + 1


def test_a_load_remembers_which_bytes_lay_under_which_name(connection: duckdb.DuckDBPyConnection):
    drops, verification = _verified("0000006", ((_A,),))
    load_drops(connection, drops, verification, ON)
    ((file, sha256),) = drops[0].files
    known = read_remembered_files(connection)[file.path]
    assert (known.stamp, known.sha256) == (file.stamp, sha256)


def test_a_touched_file_is_remembered_with_its_new_stamp_and_no_drop_is_made(
    connection: duckdb.DuckDBPyConnection,
):
    drops, verification = _verified("0000007", ((_A,),))
    load_drops(connection, drops, verification, ON)
    ((file, sha256),) = drops[0].files
    touched = replace(file, stamp="another stamp")
    received = ReceivedDrops((), (), ((touched, sha256),), (), ())
    record_arrivals(connection, received, ON)
    assert read_remembered_files(connection)[file.path].stamp == "another stamp"
    count = "SELECT count(*) FROM drops WHERE sender = '0000007'"
    assert connection.execute(count).fetchone() == (1,)


def test_every_drop_waits_for_its_answer_until_it_has_one(connection: duckdb.DuckDBPyConnection):
    drops, verification = _verified("0000008", ((_A, Ragged()),))
    load_drops(connection, drops, verification, ON)
    waiting = [a for a in receipt_queries.read_due_receipts(connection) if a.sender == "0000008"]
    assert [answer.drop_id for answer in waiting] == [drops[0].id]
    record_receipts(connection, waiting, ON)
    assert not [a for a in receipt_queries.read_due_receipts(connection) if a.sender == "0000008"]


def test_a_drop_that_came_again_is_answered_once_a_night(connection: duckdb.DuckDBPyConnection):
    drops, verification = _verified("0000009", ((_A,),))
    load_drops(connection, drops, verification, ON)
    record_receipts(connection, receipt_queries.read_due_receipts(connection), ON)
    record_arrivals(connection, ReceivedDrops((), tuple(drops), (), (), ()), ON)
    (again,) = (a for a in receipt_queries.read_due_receipts(connection) if a.sender == "0000009")
    assert (again.verdict, again.again) == ("duplicate", drops[0].files[0][0].path)
    record_receipts(connection, [again], ON)
    assert not [a for a in receipt_queries.read_due_receipts(connection) if a.sender == "0000009"]


def test_the_number_of_records_that_a_full_set_ended_is_noted_with_its_file(
    connection: duckdb.DuckDBPyConnection,
):
    for plan in (((_A, _B, Good(2, 0)),), ((_A,),)):
        drops, verification = _verified("0000010", plan)
        load_drops(connection, drops, verification, ON)
    noted = connection.execute(
        "SELECT no_longer_active FROM files JOIN drops USING (drop_id) "
        "WHERE sender = '0000010' ORDER BY position"
    ).fetchall()
    assert noted == [(0,), (2,)]


def test_a_ledger_line_that_is_lost_later_is_found(tmp_path: Path):
    with open_warehouse(tmp_path) as connection:
        create_missing_tables(connection)
        drops, verification = _verified("0000001", ((_A, BadCell(1)),))
        load_drops(connection, drops, verification, ON)
        assert health_queries.count_unbalanced_files(connection) == {}
        connection.execute("DELETE FROM ledger WHERE fate = 'rejected'")
        assert health_queries.count_unbalanced_files(connection) == {STUDENT.name: 1}


def test_a_key_that_is_there_twice_is_a_fault_of_the_table(tmp_path: Path):
    with open_warehouse(tmp_path) as connection:
        create_missing_tables(connection)
        drops, verification = _verified("0000001", ((_A, _B),))
        load_drops(connection, drops, verification, ON)
        assert health_queries.find_table_faults(connection, STUDENT, ["0000001"]) == []
        connection.execute("INSERT INTO transcript_student FROM transcript_student LIMIT 1")
        assert health_queries.find_table_faults(connection, STUDENT, ["0000001"]) == [
            "1 keys occur more than once"
        ]
        assert health_queries.find_table_faults(connection, STUDENT, ["0000002"]) == []


def test_a_district_that_lost_its_whole_roster_is_named(connection: duckdb.DuckDBPyConnection):
    drops, verification = _verified("0000011", ((_A,),))
    load_drops(connection, drops, verification, ON)
    assert "0000011" not in health_queries.find_districts_without_roster(connection, STUDENT)
    connection.execute("UPDATE transcript_student SET _active = false WHERE _sender = '0000011'")
    assert "0000011" in health_queries.find_districts_without_roster(connection, STUDENT)
