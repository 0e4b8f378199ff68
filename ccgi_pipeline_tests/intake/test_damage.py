"""Cells that were damaged before they were sent are told, and rare words are not.

Belongs here: the signs of damage, in text columns of several feeds.
"""

from __future__ import annotations

import pytest

from ccgi_pipeline.feeds import foster_focus
from ccgi_pipeline.feeds.oneroster import USERS
from ccgi_pipeline.feeds.spec import FeedSpec
from ccgi_pipeline.feeds.transcript import STUDENT
from ccgi_pipeline.intake.batch_reader import FileToRead, read_batch
from ccgi_pipeline.intake.reader import read
from ccgi_pipeline_tests.files import as_bytes, good_lines, usual_name

_EXTRACT = next(feed for feed in foster_focus.FEEDS if "LastName" in feed.columns)
_PLACES = [(STUDENT, "FirstName"), (USERS, "familyName"), (_EXTRACT, "LastName")]
_DAMAGED = {
    "Jos\N{REPLACEMENT CHARACTER}": "LOST-LETTER",
    "Mu?oz": "LOST-LETTER",
    "JosÃ©": "ENCODED-TWICE",
    "PeÃ±a": "ENCODED-TWICE",
    "Oâ€™Dell": "ENCODED-TWICE",
    "Jos√©": "ENCODED-TWICE",
    "Jos&eacute;": "ENTITY",
    "Jos&#233;": "ENTITY",
    "O&#x27;Dell": "ENTITY",
    "#N/A": "SPREADSHEET-ERROR",
    "#NAME?": "SPREADSHEET-ERROR",
    "#REF!": "SPREADSHEET-ERROR",
    "########": "SPREADSHEET-ERROR",
    "1.20E+05": "POWER-OF-TEN",
    "1.23457E+11": "POWER-OF-TEN",
    "NULL": "NULL-WORD",
    "(null)": "NULL-WORD",
    "None": "NULL-WORD",
    "nan": "NULL-WORD",
}
_HARMLESS = [
    "Null", "Nuñez", "Ana", "Nan Li", "JoÃo", "Âng", "AT&T", "Kim & Lee; Jo", "#1", "24E7", "E1204",
    "3E-A", "1E5", "Who?", "? Lee", "Annulla", "O'Dell", "Ñ",
]  # fmt: skip


def _findings(feed: FeedSpec, column: str, cell: str) -> list[tuple[str, int, str]]:
    lines = good_lines(feed, 3)
    lines[1] = {**lines[1], column: cell}
    content = as_bytes(feed, lines)
    alone = read(content, usual_name(feed), [feed])
    (together,) = read_batch([FileToRead(content, usual_name(feed), [feed])])
    for reading in (alone, together):
        assert reading.records is not None
        assert reading.records[column].to_list() == [line[column] for line in lines]
    assert together.findings.equals(alone.findings)
    return [tuple(row) for row in alone.findings.select("rule", "line", "column").rows()]


@pytest.mark.parametrize(("feed", "column"), _PLACES)
@pytest.mark.parametrize(("cell", "rule"), _DAMAGED.items())
def test_damage_is_told_with_line_and_column(feed: FeedSpec, column: str, cell: str, rule: str):
    assert _findings(feed, column, cell) == [(f"FILE-{rule}", 3, column)]


@pytest.mark.parametrize(("feed", "column"), _PLACES)
@pytest.mark.parametrize("cell", _HARMLESS)
def test_rare_words_are_no_damage(feed: FeedSpec, column: str, cell: str):
    assert _findings(feed, column, cell) == []
