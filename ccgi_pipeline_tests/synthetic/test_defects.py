"""Planted defects, and that there are none where none were asked for."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import pytest

from ccgi_pipeline.feeds import (
    file_rules,
    foster_focus,
    foster_focus_cps,
    oneroster,
    platform,
    transcript,
)
from ccgi_pipeline.feeds.cde_directory import FEED as DIRECTORY
from ccgi_pipeline.feeds.oneroster import package_rules
from ccgi_pipeline.feeds.registry import RULES
from ccgi_pipeline.feeds.spec import FeedSpec
from ccgi_pipeline.synthetic import PlantedDefect
from ccgi_pipeline.synthetic.defects import plant
from ccgi_pipeline.verification.offline_check import check
from ccgi_pipeline_tests.synthetic.conftest import feed_of

if TYPE_CHECKING:
    from ccgi_pipeline_tests.synthetic.conftest import Inbox

FEEDS = (
    DIRECTORY,
    *transcript.FEEDS,
    *platform.FEEDS,
    *foster_focus.FEEDS,
    *foster_focus_cps.FEEDS,
    *oneroster.FEEDS,
)
FAULTY_FEEDS = (
    transcript.STUDENT,
    transcript.COURSE_GRADE,
    *platform.FEEDS,
    *(feed for feed in foster_focus.FEEDS if feed is not foster_focus.BEHAVIOR),
    oneroster.USERS,
    oneroster.ENROLLMENTS,
)
AS_IT_SHOULD_BE = {
    "FF-DEM-REQ-ExitDate",
    "FF-ENR-REQ-ExitDate",
    "FF-ENR-REQ-ExitReason",
    "FF-ENR-REQ-CompletionStatus",
    "FF-SPE-REQ-SpecProgXDate",
    "FF-TRN-REQ-UCCSUApprovedCourse",
    "FF-DEM-GENDER",
    file_rules.BYTE_ORDER_MARK.id,
    package_rules.NO_MANIFEST.id,
    package_rules.FOLDER.id,
}
"""What fires on good files too: blanks of what has not ended or is not approved, gender X, and
sets without a manifest or in a folder of their zip."""


LOOKS_OF_ONEROSTER = {
    "OR-USR-FORM-enabledUser": ("enabledUser", "TRUE"),
    "OR-USR-TYPE-enabledUser": ("enabledUser", "enabled"),
    "OR-USR-CODE-grades": ("grades", "Freshman"),
    "OR-USR-FORM-grades": ("grades", "[6-9]"),
    "OR-USR-PASSWORD": ("password", ".+"),
    "OR-USR-REF-orgSourcedIds": ("orgSourcedIds", "nowhere-.+"),
    "OR-USR-REF-agentSourcedIds": ("agentSourcedIds", "nowhere-.+"),
    "OR-USR-BULK-status": ("status", "active"),
    "OR-ENR-BULK-status": ("status", "active"),
    "OR-ENR-FORM-primary": ("primary", "TRUE"),
    "OR-ENR-PRIMARY-ROLE": ("primary", "true"),
    "OR-ENR-TYPE-beginDate": ("beginDate", r"\d\d/\d\d/\d{4}"),
    "OR-ENR-TERM": ("beginDate", "20.+"),
    "OR-ENR-REF-classSourcedId": ("classSourcedId", "nowhere-.+"),
    "OR-ENR-REF-schoolSourcedId": ("schoolSourcedId", "nowhere-.+"),
    "OR-ENR-REF-userSourcedId": ("userSourcedId", "nowhere-.+"),
}
"""By rule the column and the pattern of its cell; rules that other families have need none."""


def planted_cells(
    inbox: Inbox,
) -> Iterator[tuple[FeedSpec, list[str], list[list[str]], PlantedDefect]]:
    """Each planted defect with its feed, the cells of its line, and its file's lines."""
    rows: dict[str, list[list[str]]] = {}
    for path, text in inbox.texts.items():
        header = text.splitlines()[0]
        separator = max(",^\t", key=header.count)
        feed = feed_of(path)
        assert feed is not None
        quoting = csv.QUOTE_MINIMAL if feed.quote else csv.QUOTE_NONE
        lines = text.removeprefix("\ufeff").splitlines()
        rows[path] = list(csv.reader(lines, delimiter=separator, quoting=quoting))
    for defect in inbox.state.defects:
        feed = feed_of(defect.path)
        assert feed is not None
        yield feed, rows[defect.path][defect.line - 1], rows[defect.path], defect


def is_broken(
    feed: FeedSpec, cells: list[str], lines: list[list[str]], defect: PlantedDefect
) -> bool:
    """Whether the line really has the defect, by looks alone."""
    if defect.rule_id == file_rules.FIELDS.id:
        return 0 < len(cells) < len(lines[0])
    if defect.rule_id in {feed.repeated_key_id, feed.repeats_told_by}:
        return cells == lines[defect.line - 2]
    cell_of = dict(zip(lines[0], cells, strict=True))
    needed = [name for name in lines[0] if feed.blank_rule_id(name) == defect.rule_id]
    if needed:
        return any(not cell_of[name] for name in needed)
    if defect.rule_id in LOOKS_OF_ONEROSTER:
        column, look = LOOKS_OF_ONEROSTER[defect.rule_id]
        return re.fullmatch(look, cell_of[column]) is not None
    kind, column = defect.rule_id.removeprefix(f"{feed.prefix}-").split("-", 1)
    cell = cell_of[column]
    if kind == "CODE":
        codes = feed.columns[column].codes
        return codes is not None and cell not in codes.values
    looks = {
        "StateID": len(cell) == 9,
        "SSID": len(cell) == 9,
        "CDSCode": len(cell) == 13,
        "PrimaryCDSCode": len(cell) == 13,
        "DateOfBirth": cell[4:5] == "-",
        "OccurredAt": cell[2:3] == "/",
    }
    digits_alone = len(cell) == 8 and cell.isdigit()
    return looks.get(column, digits_alone)


def test_every_defect_is_on_the_line_that_was_recorded(faulty: Inbox) -> None:
    assert len(faulty.state.defects) > 1000
    for feed, cells, lines, defect in planted_cells(faulty):
        assert is_broken(feed, cells, lines, defect), (defect.path, defect.line, defect.rule_id)


def test_every_kind_of_defect_is_planted_in_every_kind_of_file(faulty: Inbox) -> None:
    rule_ids = {defect.rule_id for defect in faulty.state.defects}
    assert rule_ids <= set(RULES)
    assert rule_ids >= {
        file_rules.FIELDS.id,
        "TR-STU-UNIQUE",
        "TR-STU-TYPE-PrimaryCDSCode",
        "TR-STU-TYPE-StateID",
        "TR-STU-TYPE-DateOfBirth",
        "TR-STU-CODE-GradeLevel",
        "TR-STU-CODE-RaceCode1",
        "TR-CRS-TYPE-CDSCode",
        "TR-CRS-TYPE-StateID",
        "TR-CRS-CODE-GradeLevel",
        "PL-ACC-TYPE-SSID",
        "PL-FAV-TYPE-OccurredAt",
        "FF-ATP-TYPE-SchoolDate",
        "FF-ATX-TYPE-SSID",
        "OR-USR-CODE-role",
        "OR-USR-UNIQUE",
        "OR-ENR-CODE-role",
        "OR-ENR-UNIQUE",
        *LOOKS_OF_ONEROSTER,
    }
    for feed in (transcript.STUDENT, transcript.COURSE_GRADE, *platform.FEEDS):
        assert any(rule_id.startswith(f"{feed.prefix}-REQ-") for rule_id in rule_ids), feed.name
    files = {feed.name for feed, *_ in planted_cells(faulty)}
    assert files <= {feed.name for feed in FAULTY_FEEDS}
    few_lines = {foster_focus.DEMOGRAPHICS.name, foster_focus.SPECIAL_EDUCATION.name}
    assert files >= {feed.name for feed in FAULTY_FEEDS} - few_lines


def test_a_line_has_one_defect_at_most_and_the_share_is_the_one_asked_for(faulty: Inbox) -> None:
    places = Counter((defect.path, defect.line) for defect in faulty.state.defects)
    assert set(places.values()) == {1}
    lines = sum(
        len(text.splitlines()) - 1
        for feed in FAULTY_FEEDS
        for text in faulty.texts_of(feed).values()
    )
    assert len(places) / lines == pytest.approx(0.1, abs=0.01)


def test_every_line_can_have_a_defect_and_the_last_is_never_cut_short() -> None:
    columns = transcript.COURSE_GRADE.columns
    cells = pl.DataFrame({name: ["0x"] * 2000 for name in columns})
    planted = plant(cells, transcript.COURSE_GRADE, np.random.default_rng(1), 1.0)
    assert planted.rows.tolist() == list(range(2000))
    assert planted.rule_ids.count(file_rules.FIELDS.id) == len(planted.short) > 0
    for seed in range(50):
        last = plant(cells.head(1), transcript.COURSE_GRADE, np.random.default_rng(seed), 1.0)
        assert last.rule_ids != [file_rules.FIELDS.id]


@pytest.mark.parametrize("feed", FEEDS, ids=lambda feed: feed.name)
def test_a_clean_state_repeats_no_key_and_uses_codes_of_the_sets_only(
    clean: Inbox, feed: FeedSpec
) -> None:
    lines = clean.lines(feed)
    assert lines.select(pl.struct("sender", *feed.keys).is_unique().all()).item()
    for name, declared in feed.columns.items():
        if name not in lines.columns:
            assert declared.editions, name
            continue
        cells = lines[name].drop_nulls()
        if declared.codes is not None:
            cells = cells.str.split(",").explode() if declared.listed else cells
            assert set(cells) <= set(declared.codes.values), name
        may_be_blank = feed.schema.columns[name].nullable
        if not may_be_blank and feed.blank_rule_id(name) not in AS_IT_SHOULD_BE:
            assert len(cells) == lines.height, name


def test_no_rule_fires_on_a_clean_state_but_those_that_should(clean: Inbox) -> None:
    checked = check([clean.root], clean.on)
    assert sum(file.lines for file in checked.files) == clean.state.lines
    assert checked.everything_loads
    fired = {rule for file in checked.files for rule in file.findings["rule"]}
    assert file_rules.BYTE_ORDER_MARK.id in fired
    assert fired <= AS_IT_SHOULD_BE


def test_the_recorded_rule_fires_at_every_planted_defect(faulty: Inbox) -> None:
    checked = check([faulty.root], faulty.on)
    found = {
        (Path(file.path).relative_to(faulty.root).as_posix(), line, rule)
        for file in checked.files
        for rule, line in file.findings.select("rule", "line").iter_rows()
    }
    assert {tuple(defect) for defect in faulty.state.defects} <= found
    consequences = {rule for *_, rule in found - {tuple(d) for d in faulty.state.defects}}
    between_extracts = {
        rule.id for feed in foster_focus.FEEDS for rule in feed.rules if rule.across
    }
    assert consequences <= {
        "TR-CRS-STUDENT",
        "TR-TST-STUDENT",
        "FF-ENR-EXIT",  # an exit reason is missing, which is told twice
        *between_extracts,
        *AS_IT_SHOULD_BE,
    }
