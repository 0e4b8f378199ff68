"""The ledger of deliveries: the files of a night, however many nights there were before."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from ccgi_pipeline.delivery.ledger import open_ledger
from ccgi_pipeline_tests.delivery.test_routing import REPORT, SUNDAY

_MONDAY = SUNDAY + timedelta(days=1)


def test_a_night_has_the_newest_file_of_each_path_that_is_its_own(tmp_path: Path) -> None:
    page = replace(REPORT, path="PalmSpringsUnified/index.html")
    again = replace(REPORT, sha256="cd" * 32)
    with open_ledger(tmp_path) as ledger:
        ledger.record_made([page, REPORT])
        ledger.record_made([again])
        assert ledger.list_made(SUNDAY) == [page, again]
        ledger.record_made([replace(page, sha256="ef" * 32, night=_MONDAY)])
        assert ledger.list_made(SUNDAY) == [again]
        ledger.record_made([replace(page, night=_MONDAY)])
        assert [file.sha256 for file in ledger.list_made(_MONDAY)] == [page.sha256]


def test_the_files_of_a_night_are_found_without_reading_those_of_all_nights(tmp_path: Path) -> None:
    asked: list[str] = []
    with open_ledger(tmp_path) as ledger:
        ledger.database.set_trace_callback(asked.append)
        ledger.list_made(SUNDAY)
        ledger.database.set_trace_callback(None)
        plan = ledger.database.execute(f"EXPLAIN QUERY PLAN {asked[0]}").fetchall()
    assert not [row for row in plan if "SCAN" in row[3]]
