"""The data dictionary: its JSON's shape, and that the page in docs is not stale."""

from __future__ import annotations

import json
from pathlib import Path

from ccgi_pipeline.dictionary.markdown import render_markdown
from ccgi_pipeline.dictionary.objects import render_json
from ccgi_pipeline.feeds.registry import FEEDS, RULES
from ccgi_pipeline.reports.registry import REPORTS

PAGE = Path(__file__).parents[2] / "docs" / "data-dictionary.md"


def test_the_page_in_docs_is_what_the_declarations_say() -> None:
    assert PAGE.read_text() == render_markdown(), "run `make docs`"


def test_the_json_lists_every_feed_rule_and_report() -> None:
    told = json.loads(render_json())
    assert [feed["name"] for feed in told["feeds"]] == [feed.name for feed in FEEDS]
    assert [rule["id"] for rule in told["rules"]] == list(RULES)
    assert [report["name"] for report in told["reports"]] == [spec.name for spec in REPORTS]


def test_every_feed_names_its_columns_with_what_the_design_promises() -> None:
    wanted = {"name", "requirement", "type", "length", "pii", "restricted", "description", "source"}
    for feed in json.loads(render_json())["feeds"]:
        assert feed["columns"]
        for column in feed["columns"]:
            assert wanted <= set(column)
            assert column["requirement"] in {"required", "recommended", "optional", "conditional"}
            assert column["description"]
            assert column["source"]


def test_every_rule_says_what_is_wrong_and_what_to_change() -> None:
    for rule in json.loads(render_json())["rules"]:
        assert rule["severity"] in {"error", "warning", "info"}
        assert rule["text"].endswith((".", ".)"))
        assert rule["fix"].endswith(".")
        assert rule["source"]


def test_the_reports_of_the_seed_are_marked_as_such() -> None:
    reports = json.loads(render_json())["reports"]
    seeds = [report["name"] for report in reports if report["provenance"] == "seed"]
    assert seeds == ["applications_and_launches"]


def test_the_columns_of_the_transcript_files_are_as_many_as_their_sources_have() -> None:
    feeds = {feed["name"]: feed for feed in json.loads(render_json())["feeds"]}
    assert len(feeds["transcript_student"]["columns"]) == 38
    assert len(feeds["transcript_course_grade"]["columns"]) == 18
    assert len(feeds["transcript_course_catalog"]["columns"]) == 14
    assert len(feeds["cde_directory"]["columns"]) == 46
