"""The page of a district on its SFTP server: there with the receipts, replaced when it changes."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import pytest

from ccgi_pipeline.dashboards.publication import write_district_pages
from ccgi_pipeline.nightly.deliver import deliver_outbox
from ccgi_pipeline.nightly.paths import PipelinePaths
from ccgi_pipeline_tests.delivery.exchange import use_server
from ccgi_pipeline_tests.nightly.inboxes import HAYWARD, HAYWARD_HIGH, put_roster, students
from ccgi_pipeline_tests.nightly.nights import ON, folders_in, load_and_answer, writing
from ccgi_pipeline_tests.sftp.openssh import OpenSsh

MONDAY, TUESDAY = ON + timedelta(days=1), ON + timedelta(days=2)
_PAGE = "HaywardUnified/_receipts/index.html"


def night(folders: PipelinePaths, on: date) -> int:
    """A night without reports; returns how many files arrived."""
    load_and_answer(folders, on)
    with writing(folders) as connection:
        write_district_pages(connection, folders, on)
    (outcome,) = deliver_outbox(folders, on)
    assert (outcome.waiting, outcome.why) == (0, [])
    return outcome.arrived


@pytest.mark.slow
def test_the_page_is_sent_like_a_receipt_and_replaced_when_it_changes(
    tmp_path: Path, sshd: OpenSsh
):
    folders = folders_in(tmp_path)
    use_server(folders, sshd, "pages")
    there = sshd.files / "pages" / "reports" / _PAGE
    put_roster(folders.inbox, HAYWARD, students(["1000000001", "1000000002"], HAYWARD_HIGH))
    assert night(folders, ON) == 4  # the receipt in three forms, and the page
    first = there.read_bytes()
    assert first == (folders.outbox / _PAGE).read_bytes()
    assert night(folders, MONDAY) == 0
    put_roster(folders.inbox, HAYWARD, students(["1000000001"], HAYWARD_HIGH), "20261124")
    assert night(folders, TUESDAY) == 4
    assert there.read_bytes() == (folders.outbox / _PAGE).read_bytes() != first
