"""Every cause: it is found where it happened, alone, and not in a neighbour; it tells no value.

Belongs here: the search for causes, over all of them. How receipts show them is tested beside it.
"""

from __future__ import annotations

import bz2
import io
import json
import lzma
import zipfile
from functools import cache
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from ccgi_pipeline.dictionary.objects import render_json
from ccgi_pipeline.feeds.registry import FAMILIES, FEEDS, RULES
from ccgi_pipeline.feeds.spec import FILE, FeedSpec
from ccgi_pipeline.feeds.transcript import STUDENT
from ccgi_pipeline.intake.reader import read
from ccgi_pipeline.verification.causes.codes import digits_of
from ccgi_pipeline.verification.causes.registry import CAUSES, CAUSES_BY_ID
from ccgi_pipeline.verification.causes.rule_kinds import kind_of_rule
from ccgi_pipeline.verification.outcomes import Verification
from ccgi_pipeline_tests.files import as_bytes, good_lines, good_set, usual_name, verified, zipped
from ccgi_pipeline_tests.verification.causes.samples import SAMPLES, Sample, name_of

IDS = [cause.id for cause in CAUSES]
FEWEST = 25


@cache
def judged(id_: str, *, neighbour: bool = False) -> Verification:
    """What verification makes of a cause's sample, sent alone."""
    return verify_alone(SAMPLES[id_][neighbour])


def verify_alone(sample: Sample) -> Verification:
    """What verification makes of a file, sent alone."""
    return verified({name_of(sample): sample.content}, sample.feed.family)


def found_in(verification: Verification) -> list[str]:
    """The causes of the file."""
    return verification.causes["cause"].to_list()


def test_there_are_many_causes_each_once_with_samples() -> None:
    assert len(IDS) >= FEWEST
    assert len(set(IDS)) == len(IDS)
    assert set(SAMPLES) == set(IDS)


@pytest.mark.parametrize("id_", IDS)
def test_a_cause_is_found_where_it_happened_and_no_other_is(id_: str) -> None:
    verification = judged(id_)
    assert found_in(verification) == [id_]
    told = verification.findings.filter(pl.col("cause") == id_)
    assert told.height >= CAUSES_BY_ID[id_].least
    kinds = {kind_of_rule(rule) for rule in told["rule"]}
    assert kinds & set(CAUSES_BY_ID[id_].kinds)


@pytest.mark.parametrize("id_", IDS)
def test_a_cause_is_not_found_in_a_neighbour_that_has_findings(id_: str) -> None:
    verification = judged(id_, neighbour=True)
    assert not verification.findings.is_empty()
    assert id_ not in found_in(verification)


@pytest.mark.parametrize("id_", IDS)
def test_the_evidence_of_a_cause_holds_no_value(id_: str) -> None:
    sample = SAMPLES[id_][0]
    (evidence,) = judged(id_).causes["evidence"]
    assert evidence.endswith(".")
    records = read(sample.content, name_of(sample), [sample.feed]).records
    values = set() if records is None else {
        cell for name in sample.feed.columns for cell in records[name].drop_nulls() if len(cell) > 3
    }  # fmt: skip
    assert not [value for value in values if value in evidence]


def _open_document(kind: str) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as package:
        package.writestr("mimetype", f"application/vnd.oasis.opendocument.{kind}")
        package.writestr("content.xml", "<office/>")
    return packed.getvalue()


_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600)
_WORD = "WordDocument".encode("utf-16-le")


@pytest.mark.parametrize(
    ("content", "id_"),
    [
        (_OLE + "Workbook".encode("utf-16-le"), "CAUSE-WORKBOOK"),
        (_OLE + _WORD, "CAUSE-DOCUMENT"),
        (_open_document("spreadsheet"), "CAUSE-WORKBOOK"),
        (_open_document("text"), "CAUSE-DOCUMENT"),
        (b"{\\rtf1\\ansi students}\n", "CAUSE-DOCUMENT"),
        (zipped({"a.csv": b"a,b\n" * 500})[:60], "CAUSE-ZIP"),
        (bz2.compress(b"StateID\n" * 99), "CAUSE-COMPRESSED"),
        (lzma.compress(b"StateID\n" * 99), "CAUSE-COMPRESSED"),
        (b"7z\xbc\xaf\x27\x1c\x00\x04" + bytes(range(200)), "CAUSE-COMPRESSED"),
        (b"\x85\x01\x0c\x03" + bytes(range(1, 255)) * 3, "CAUSE-PGP"),
        (b"\xc1\xc0\x4c\x03" + bytes(range(1, 255)) * 3, "CAUSE-PGP"),
        (b"Version: 1\n-----BEGIN PGP MESSAGE-----\n\nhQEMA\n", "CAUSE-PGP"),
        (b"\xff\xd8\xff\xe0\x00\x10JFIF" + bytes(range(255)) * 3, "CAUSE-PICTURE"),
        (b"\xef\xbb\xbf\r\n<HTML><BODY>Please sign in</BODY></HTML>", "CAUSE-WEB-PAGE"),
        ("<!DOCTYPE html><html></html>".encode("utf-16"), "CAUSE-WEB-PAGE"),
        (b"<!-- report -->\n<table><tr><td>StateID</td></tr></table>", "CAUSE-WEB-PAGE"),
        (b"\xef\xbb\xbf<?xml version='1.0'?><Workbook/>", "CAUSE-XML"),
        (b'[\n  {"StateID": "1"}\n]', "CAUSE-JSON"),
        (b"[]", "CAUSE-JSON"),
        (b"ORA-00942: table or view does not exist\n", "CAUSE-ERROR-MESSAGE"),
        (b'psql: error: connection to server on socket "x" failed\n', "CAUSE-ERROR-MESSAGE"),
        (b"Traceback (most recent call last):\n  File x\n", "CAUSE-ERROR-MESSAGE"),
        (b"\xef\xbb\xbf", "CAUSE-EMPTY"),
        (b"\r\n\r\n", "CAUSE-EMPTY"),
    ],
    ids=lambda value: value if isinstance(value, str) else "file",  # a zip has the time in it
)
def test_another_kind_of_file_is_called_by_its_name(content: bytes, id_: str) -> None:
    assert found_in(verify_alone(Sample(STUDENT, content))) == [id_]


def test_a_file_that_is_no_text_does_not_explain_what_its_package_lacks() -> None:
    findings = judged("CAUSE-WORKBOOK").findings
    told = dict(findings.select("rule", "cause").iter_rows())
    assert told == {"FILE-ENCODING": "CAUSE-WORKBOOK", "TR-PKG-MANIFEST": None}


@pytest.mark.parametrize("family", FAMILIES)
def test_good_files_have_no_cause(family: str) -> None:
    assert found_in(verified(good_set(family), family)) == []


@pytest.mark.parametrize(
    "id_", ["CAUSE-SEMICOLONS", "CAUSE-TRAILING-COLUMNS", "CAUSE-LEADING-ZERO"]
)
def test_a_cause_changes_no_verdict_and_no_finding(
    id_: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_causes = judged(id_)
    monkeypatch.setattr("ccgi_pipeline.verification.causes.search._BY_KIND", {})
    without = verify_alone(SAMPLES[id_][0])
    assert without.causes.is_empty()
    assert with_causes.files.equals(without.files)
    assert with_causes.findings.drop("cause").equals(without.findings.drop("cause"))


_FEW_COLUMNS = 3
"""Below that a line of values cannot be told from one of names."""


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(
    ("id_", "form"),
    [
        ("CAUSE-PIPES", {"separator": "|"}),
        ("CAUSE-NO-HEADER", {"header": []}),
        ("CAUSE-COLUMN-NAMES", {"header": "other"}),
    ],
)
def test_what_happens_to_headers_is_found_in_every_feed(
    family: str, id_: str, form: dict[str, Any]
) -> None:
    feeds = [feed for feed in FAMILIES[family].feeds if len(feed.columns) > _FEW_COLUMNS]
    sent = {}
    for feed in feeds:
        names = [f"Field of {name[::-1]}" for name in feed.columns]
        of_feed = {**form, "header": names} if form.get("header") == "other" else form
        sent[usual_name(feed)] = as_bytes(feed, good_lines(feed), **of_feed)
    verification = verified(sent, family)
    told = verification.causes.join(verification.files, on=FILE).select("cause", "feed")
    assert sorted(told.rows()) == sorted((id_, feed.name) for feed in feeds)


@pytest.mark.parametrize("feed", FEEDS, ids=lambda feed: feed.name)
def test_a_lost_zero_is_found_in_every_column_of_codes(feed: FeedSpec) -> None:
    digits = {name: digits_of(feed, declared) for name, declared in feed.columns.items()}
    lost = {name: "1" * (count - 1) for name, count in digits.items() if count}
    if not lost:
        return
    content = as_bytes(feed, [{**line, **lost} for line in good_lines(feed)])
    verification = verified({usual_name(feed): content}, feed.family)
    told = verification.findings.filter(pl.col("cause") == "CAUSE-LEADING-ZERO")
    assert set(told["column"]) == set(lost)


def test_every_cause_has_its_entry_in_the_dictionary() -> None:
    told = {cause["id"]: cause for cause in json.loads(render_json())["causes"]}
    assert list(told) == IDS
    page = (Path(__file__).parents[3] / "docs" / "data-dictionary.md").read_text()
    for id_, cause in told.items():
        assert f"### `{id_}`" in page
        for said in ("text", "means", "shown_by", "fix"):
            assert cause[said].endswith((".", ".)")), (id_, said)


def test_no_cause_names_an_unknown_kind_of_finding() -> None:
    known = {kind_of_rule(rule) for rule in RULES}
    for cause in CAUSES:
        assert set(cause.kinds) <= known, cause.id


def test_kinds_are_plain_text() -> None:
    kinds = {kind for cause in CAUSES for kind in cause.kinds} | {
        kind_of_rule(rule) for rule in RULES
    }
    assert [kind for kind in kinds if type(kind) is not str] == []
