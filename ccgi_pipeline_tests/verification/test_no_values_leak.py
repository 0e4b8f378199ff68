"""Nothing that a pupil's file holds reaches a finding, a receipt, a report or an exception.

Belongs here: canaries. Every cell of a file is a word that occurs nowhere else; the file is then
damaged in every way that has its own message, and all that is said of it is searched for them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from ccgi_pipeline.common.errors import PipelineError, value_free
from ccgi_pipeline.feeds.columns import ColumnType
from ccgi_pipeline.feeds.registry import FEEDS, RULES
from ccgi_pipeline.feeds.spec import FeedSpec
from ccgi_pipeline.verification.offline_check import check
from ccgi_pipeline.verification.receipt_html import render_check, render_receipt
from ccgi_pipeline.verification.receipts import as_text, format_receipt_csv, format_receipt_json
from ccgi_pipeline_tests.files import ON, Line, as_bytes, good_lines, usual_name, verified
from ccgi_pipeline_tests.privacy.damages import damaged
from ccgi_pipeline_tests.verification.receipt_pages import delivery

_CANARY = re.compile(r"canary|7531|1931|31:53", re.IGNORECASE)
"""What every planted cell has in it, and no name, rule or path of this project."""


def _words(feed: FeedSpec, count: int = 4) -> list[Line]:
    """Lines in which every cell is a word of its own: wrong for every column but plain text."""
    return [
        {name: f"Canary{number}of{line}" for number, name in enumerate(feed.columns)}
        for line in range(count)
    ]


_TYPED: Mapping[ColumnType, Callable[[FeedSpec, str, int], str]] = {
    ColumnType.DATE: lambda feed, name, number: (
        "1931-05-{:02d}" if feed.columns[name].formats[0].startswith("%Y") else "05/{:02d}/1931"
    ).format(number + 1),
    ColumnType.TIMESTAMP: lambda _, __, number: f"2999-01-01T07:31:53.{number:03d}Z",
    ColumnType.INTEGER: lambda _, __, number: f"7531{number}",
    ColumnType.YEAR: lambda *_: "7531",
    ColumnType.DECIMAL: lambda _, __, number: f"7531.{number}",
    ColumnType.BOOLEAN: lambda *_: "Y",
}


def _values(feed: FeedSpec, count: int = 4) -> list[Line]:
    """Lines that can be parsed, so that the rules across columns speak of them."""

    def cell(name: str, good: str, number: int) -> str:
        column = feed.columns[name]
        if column.type is not ColumnType.STRING:
            return _TYPED[column.type](feed, name, number)
        if column.codes is not None:
            return good
        digits = f"7531{number:04d}"
        return digits + good[len(digits) :] if good.isdigit() else f"Canary{number}"

    return [
        {name: cell(name, good, number) for name, good in line.items()}
        for number, line in enumerate(good_lines(feed, count)[:count])
    ]


def _damaged(feed: FeedSpec) -> Iterator[bytes]:
    """A file of canaries as it is, and damaged in every way of which the reader speaks."""
    yield as_bytes(feed, _values(feed))
    yield from damaged(feed, as_bytes(feed, _words(feed)), b"Canary")


@pytest.mark.parametrize("feed", FEEDS, ids=lambda feed: feed.name)
def test_no_cell_of_a_damaged_file_is_in_anything_that_is_said_of_it(
    tmp_path: Path, feed: FeedSpec
):
    folder = tmp_path / "sent"
    folder.mkdir()
    for number, content in enumerate(_damaged(feed)):
        (folder / f"n{number}_{usual_name(feed)}").write_bytes(content)
    checked = check([folder], ON, feed.family)
    said = [
        format_receipt_json({"drop": "x"}, checked.files).decode(),
        format_receipt_csv(checked.files).decode(),
        as_text(checked.verdict, checked.files),
        render_check(checked.verdict, checked.files),
        render_receipt(delivery(str(checked.verdict)), checked.files).decode(),
    ]
    assert {row for file in checked.files for row in file.findings["rule"]} > {"FILE-HEADER"}
    lines = "\n".join(said).replace(str(folder), "").splitlines()
    assert [line for line in lines if _CANARY.search(line)] == []


@pytest.mark.parametrize("feed", FEEDS, ids=lambda feed: feed.name)
def test_no_cell_is_in_a_finding(feed: FeedSpec):
    sent = {
        usual_name(feed): as_bytes(feed, [*_words(feed), *_values(feed)]),
    }
    findings = verified(sent, feed.family).findings
    assert not findings.is_empty()
    assert not any(_CANARY.search(str(row)) for row in findings.rows())


def test_the_canaries_sing_nowhere_by_themselves():
    told = " ".join(f"{rule.id} {rule.text} {rule.fix} {rule.source}" for rule in RULES.values())
    named = " ".join(usual_name(feed) + " ".join(feed.columns) for feed in FEEDS)
    assert _CANARY.search(told + named) is None


def test_a_planted_leak_is_found():
    with pytest.raises(PipelineError) as told:
        value_free(lambda: int("Canary1of1"))()
    with pytest.raises(ValueError, match="Canary") as leaked:
        int("Canary1of1")
    assert _CANARY.search(str(leaked.value))
    assert not _CANARY.search(str(told.value))
