"""A night's receipts tell the causes that a check tells, and the warehouse keeps them.

Belongs here: causes on their way through staging and warehouse. Where a cause is found is tested in
verification.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ccgi_pipeline.nightly.paths import PipelinePaths
from ccgi_pipeline.verification import offline_check
from ccgi_pipeline.verification.causes.registry import CAUSES_BY_ID
from ccgi_pipeline.verification.receipts import describe_file
from ccgi_pipeline_tests.nightly.inboxes import put
from ccgi_pipeline_tests.nightly.nights import ON, folders_in, lake_rows, load_and_answer
from ccgi_pipeline_tests.verification.causes.samples import SAMPLES, name_of

TOLD = {
    "3367173": "CAUSE-LEADING-ZERO",
    "0161192": "CAUSE-SEMICOLONS",
    "0161143": "CAUSE-BLANK-ROWS",
    "1964733": "CAUSE-WORKBOOK",
}


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> PipelinePaths:
    """A night in which each district has another cause; the third one's students are another's."""
    folders = folders_in(tmp_path_factory.mktemp("causes"))
    for sender, id_ in TOLD.items():
        sample = SAMPLES[id_][0]
        put(folders.inbox, f"{sender}/transcript/{name_of(sample)}", sample.content)
    load_and_answer(folders)
    return folders


def _receipts(folders: PipelinePaths) -> dict[str, dict[str, Any]]:
    found = [json.loads(path.read_bytes()) for path in folders.outbox.rglob("_receipts/*.json")]
    return {receipt["sender"]: receipt["files"][0] for receipt in found}


@pytest.mark.parametrize("sender", TOLD)
def test_a_receipt_tells_the_cause_that_a_check_tells(night: PipelinePaths, sender: str) -> None:
    told = _receipts(night)[sender]
    assert TOLD[sender] in [cause["cause"] for cause in told["causes"]]
    (checked,) = offline_check.check([night.inbox / sender], ON).files
    assert told["causes"] == describe_file(checked)["causes"]
    explained = [found for found in told["findings"] if found["cause"] == TOLD[sender]]
    assert explained


@pytest.mark.parametrize("sender", TOLD)
def test_the_page_and_the_csv_tell_it_too(night: PipelinePaths, sender: str) -> None:
    for kind in ("html", "csv"):
        pages = [path.read_text("utf-8") for path in night.outbox.rglob(f"_receipts/*.{kind}")]
        assert sum(TOLD[sender] in page for page in pages) == 1


def test_the_warehouse_keeps_causes_by_file(night: PipelinePaths) -> None:
    rows = lake_rows(night.warehouse)
    kept = {str(row[2]) for row in rows["causes"]}
    assert kept >= set(TOLD.values())
    assert kept <= set(CAUSES_BY_ID)
    assert {row[-1] for row in rows["findings"]} - {None} == kept


def test_no_receipt_repeats_a_cell(night: PipelinePaths) -> None:
    cells = ("1612590130229", "LastName 3", "FirstName 3")
    for path in Path(night.outbox).rglob("_receipts/*"):
        content = path.read_text("utf-8")
        assert not [cell for cell in cells if cell in content]
