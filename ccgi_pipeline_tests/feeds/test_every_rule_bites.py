"""Every declared rule of every feed finds what it is there to find, and nothing else does.

Belongs here: tests made from the declarations alone. One line of a good set of files is broken in
the way of one rule; that rule speaks, at that line, and no other. A new feed is tested by being
declared. The sets of one family are verified in one night, each from a sender of its own, so every
test also sees that no district answers for another. Does not belong here: rules that one line
cannot break by itself; they are listed here (``LOOKING_FURTHER``) and tested in modules of their
own.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial

import pytest

from ccgi_pipeline.feeds import foster_focus, oneroster
from ccgi_pipeline.feeds.columns import Column, ColumnType, Requirement
from ccgi_pipeline.feeds.foster_focus.comparisons import CHILD
from ccgi_pipeline.feeds.registry import FAMILIES, FEEDS, FEEDS_BY_NAME, RULES
from ccgi_pipeline.feeds.rules import Rule, Severity
from ccgi_pipeline.feeds.spec import FeedSpec
from ccgi_pipeline.verification.outcomes import Verification
from ccgi_pipeline_tests.files import (
    ON,
    Line,
    Place,
    as_bytes,
    broken_rules,
    good_file,
    good_lines,
    good_set,
    matching,
    outcome,
    pattern_of,
    usual_name,
    verified,
    verified_together,
)

_BROKEN = -2
"""Which line is broken: neither the first (other files speak of it) nor the last."""


Cells = Callable[[str], Line]
"""Makes cells for the lines of a sender."""


@dataclass(frozen=True)
class Way:
    """One way to break ``rule`` of ``feed``; ``cells`` makes the bad cells.

    ``told`` is the rule that speaks, at ``column``: the same one, unless a cell that breaks it is
    not of the right form either.
    """

    feed: FeedSpec
    rule: Rule
    sender: str
    cells: Cells
    column: str | None
    told: Rule

    def __str__(self) -> str:
        named = (
            self.column is None or self.column in self.rule.id or self.column == self.rule.column
        )
        return self.rule.id if named else f"{self.rule.id} {self.column}"

    def lines(self) -> list[Line]:
        lines = good_lines(self.feed, sender=self.sender)
        lines[_BROKEN] = {**lines[_BROKEN], **self.cells(self.sender)}
        return lines

    @property
    def line(self) -> int:
        """The physical line that is broken; the header is line 1."""
        return 2 + len(self.lines()) + _BROKEN

    @property
    def place(self) -> Place:
        """Where the rule speaks."""
        return usual_name(self.feed), self.told.id, self.line, self.column

    @property
    def cell(self) -> tuple[str, int | None, str | None]:
        """Which cell is broken: file name, line and column."""
        name, _, line, column = self.place
        return name, line, column

    @property
    def besides(self) -> set[Place]:
        """What else is said of the same cell: only of columns whose blank may be right.

        Such a blank is told as one even where another rule calls it wrong, and a cell that its own
        rule refuses is a blank to the rules that follow.
        """
        declared = self.feed.columns.get(self.column or "")
        if (
            declared is None
            or declared.requirement is not Requirement.REQUIRED
            or declared.blank is Severity.ERROR
        ):
            return set()
        same_cell = {rule.id for rule in self.feed.rules if rule.column == self.column}
        told = {self.feed.blank_rule_id(declared.name)} if self.told.id in same_cell else same_cell
        return {(usual_name(self.feed), rule, self.line, self.column) for rule in told}

    def sent(self) -> dict[str, bytes]:
        """The broken file among the good files that could notice."""
        return self._among(_company(self.feed))

    def sent_among_all(self) -> dict[str, bytes]:
        """The broken file among the good files of its whole family."""
        return self._among(FAMILIES[self.feed.family].feeds)

    def _among(self, feeds: Sequence[FeedSpec]) -> dict[str, bytes]:
        company = {usual_name(feed): good_file(feed, sender=self.sender) for feed in feeds}
        return {**company, usual_name(self.feed): as_bytes(self.feed, self.lines())}


def _company(feed: FeedSpec) -> list[FeedSpec]:
    """The feeds whose lines speak of ``feed``, and all that they and it speak of in their turn.

    Required feeds are always there; a manifest speaks of every file.
    """
    family = FAMILIES[feed.family].feeds
    if not _targets(feed) <= set(FEEDS_BY_NAME) or feed is oneroster.MANIFEST:
        return list(family)
    company = {other.name for other in family if other.required or feed.name in _targets(other)}
    company.add(feed.name)
    while more := set().union(*(_targets(FEEDS_BY_NAME[name]) for name in company)) - company:
        company |= more
    return [other for other in family if other.name in company]


def _targets(feed: FeedSpec) -> set[str]:
    return {relation.target for relation in feed.relations}


def _unparsable(_: FeedSpec, column: Column) -> str:
    return {
        ColumnType.STRING: "?",
        ColumnType.DATE: "31/31/2010",
        ColumnType.TIMESTAMP: "yesterday",
        ColumnType.INTEGER: "seven",
        ColumnType.YEAR: "2026-27",
        ColumnType.DECIMAL: "three",
        ColumnType.BOOLEAN: "perhaps",
    }[column.type]


def _too_long(feed: FeedSpec, column: Column) -> str:
    """A cell of one character too many, whose form is right if the form allows so many."""
    pattern = pattern_of(feed, column.name) or ".+"
    size = column.length + 1
    # More repetitions never make a text shorter.
    repeated = bisect_left(range(size), size, key=lambda many: len(matching(pattern, 1, many)))
    text = matching(pattern, 1, repeated)
    return text if len(text) == size else "1" * size


def _no_code(_: FeedSpec, column: Column) -> str:
    return f"{max(column.codes.numbers) + 1}" if column.type is ColumnType.INTEGER else "~"


def _misspelt(feed: FeedSpec, column: Column) -> str:
    """The good cell in letters of the other case; where it has none, another code so.

    Of a list without codes, the good one with a comma at its end, or a name that has a comma; of a
    time, a day.
    """
    if column.names_with_commas:
        return column.names_with_commas[0]
    good = good_lines(feed)[_BROKEN][column.name]
    if column.listed and not column.exact:
        return f"{good},"
    words = (good, *column.exact)
    return next((word.swapcase() for word in words if word.swapcase() != word), "2026-11-20")


_KINDS: Mapping[str, Callable[[FeedSpec, Column], str]] = {
    "TYPE": _unparsable,
    "LEN": _too_long,
    "CODE": _no_code,
    "RETIRED": lambda _, column: column.codes.retired(ON)[0],
    "FORM": _misspelt,
}
"""How a cell breaks each kind of rule that a column has of its own, besides being blank."""

_FOR_A_BLANK: Mapping[str, Line] = {"FF-ENR-REQ-ExitReason": {"ExitDate": ""}}
"""Cells beside a blank that make it one which is only a warning: the enrollment is still open."""

LOOKING_FURTHER = {
    # judged by other lines, other extracts or the profile: test_verify_data_meets
    "FF-DEM-1", "FF-DEM-2", "FF-DEM-3",
    "FF-ENR-1", "FF-ENR-2", "FF-ENR-3", "FF-ENR-5", "FF-ENR-6", "FF-ENR-7",
    "FF-ATP-2", "FF-ATP-3", "FF-ATP-4", "FF-ATP-5",
    "FF-ATX-1", "FF-ATX-3",
    "FF-TST-4",
    "FF-SPE-2", "FF-SPE-3",
    "FF-BEH-2", "FF-BEH-4", "FF-BEH-6",
    "FF-TRN-2", "FF-TRN-4", "FF-TRN-5",
    # the same, of the running text: test_foster_focus_other_rules
    "FF-DEM-EXIT", "FF-DEM-STRICT-ExitDate", "FF-ENR-STRICT-ExitReason",
    "FF-ATP-CHILD", "FF-ATX-CHILD", "FF-TST-CHILD", "FF-GPA-CHILD", "FF-BEH-CHILD", "FF-TRN-CHILD",
    # told by the source's own rule unless a profile says that unique IDs are permanent: there too
    "FF-ATP-UNIQUE", "FF-ATX-UNIQUE", "FF-SPE-UNIQUE", "FF-BEH-UNIQUE",
    # judged by the mode of the file, and of one cell two of them speak: test_oneroster_rules
    *(
        f"{feed.prefix}-{kind}"
        for feed in oneroster.FEEDS
        if feed.may_be_changes
        for kind in (
            "DELTA-status", "DELTA-dateLastModified",
            "BULK-status", "BULK-dateLastModified", "BULK-GONE", "FORM-status",
            "FORM-dateLastModified",
        )
    ),
    # judged by the version of the file: test_oneroster_versions
    *(
        rule
        for feed in oneroster.FEEDS
        for rule in feed.all_rules
        if "-EXT-" in rule or rule.endswith(("-CODE-grades", "-AGREED-grades", "-FORM-grades"))
    ),
    # judged by other lines of the file or by the kind of what is named: there too
    "OR-ORG-SELF", "OR-ORG-CIRCLE", "OR-SES-SELF", "OR-SES-CIRCLE",
    "OR-CRS-KIND-schoolYearSourcedId", "OR-CLS-KIND-schoolSourcedId",
    "OR-ENR-KIND-schoolSourcedId", "OR-ENR-PRIMARY", "OR-ENR-TERM", "OR-ROL-PRIMARY",
    "OR-USR-GRADES",
    # required by one version of the file only: there too
    "OR-USR-REQ-orgSourcedIds", "OR-USR-REQ-role",
    # the id is a reference as well, and no user has such a one: there too
    "OR-DEM-GUID",
}  # fmt: skip
"""Rules that no single line breaks by itself; the modules named test them."""


def _broken_rules_of(feed: FeedSpec) -> Iterator[tuple[Rule, Cells, str | None, Rule]]:
    """Each rule of ``feed`` with the cells that break it, and the column and rule that tell it."""
    for column in feed.columns.values():
        blank = feed.all_rules.get(feed.blank_rule_id(column.name))
        if blank is not None and (column.blank_rule or blank.id in feed.column_rules):
            cells = {column.name: "", **_FOR_A_BLANK.get(blank.id, {})}
            yield blank, partial(_always, cells), column.name, blank
        for kind, break_cell in _KINDS.items():
            rule = feed.column_rules.get(feed.column_rule_id(kind, column.name))
            if rule is not None:
                cell = break_cell(feed, column)
                told = _of_wrong_form(feed, column, cell) or rule
                yield rule, partial(_always, {column.name: cell}), column.name, told
        for check in feed.schema.columns[column.name].checks:
            if check.name == "greater_than_or_equal_to":
                rule = feed.column_rules[feed.column_rule_id("TYPE", column.name)]
                cell = f"{check.statistics['min_value'] - 1}"
                yield rule, partial(_always, {column.name: cell}), column.name, rule
    repeated = feed.all_rules[feed.repeats_told_by or feed.repeated_key_id]
    column_of = {across.lines_of: across.column for across in repeated.across}
    at = column_of.get(feed.name, repeated.column)
    yield repeated, partial(_first_keys, feed), at, repeated
    for rule in feed.rules:
        if rule.counterexample is not None:
            yield rule, partial(_counterexample, rule), rule.column, rule


def _of_wrong_form(feed: FeedSpec, column: Column, cell: str) -> Rule | None:
    """The rule of the column's form, if it has a pattern that ``cell`` does not match."""
    pattern = pattern_of(feed, column.name)
    if pattern is None or column.codes is not None or re.search(pattern, cell):
        return None
    return feed.column_rules[feed.column_rule_id("TYPE", column.name)]


def _always(cells: Line, _: str) -> Line:
    return cells


def _first_keys(feed: FeedSpec, sender: str) -> Line:
    first = good_lines(feed, 1, sender)[0]
    return {name: first[name] for name in feed.keys}


def _counterexample(rule: Rule, sender: str) -> Line:
    cells = rule.counterexample or {}
    return {name: cell.format(sender=sender) for name, cell in cells.items()}


_WAYS = [
    Way(feed, rule, f"33{number:05d}", cells, column, told)
    for number, (feed, rule, cells, column, told) in enumerate(
        (feed, *way)
        for feed in FEEDS
        for way in _broken_rules_of(feed)
        if way[0].id not in LOOKING_FURTHER
    )
]


@cache
def _night(family: str) -> Verification:
    """All broken sets of ``family``, verified together."""
    ways = (way for way in _WAYS if way.feed.family == family)
    return verified_together({way.sender: way.sent() for way in ways}, family)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_good_set_of_files_breaks_no_rule(family: str):
    verification = verified(good_set(family), family)
    assert broken_rules(verification) == []
    assert set(verification.files["verdict"]) == {"accepted"}
    assert verification.files["rejected"].sum() == 0
    assert verification.files["complete"].all()


@pytest.mark.parametrize("way", _WAYS, ids=str)
def test_a_broken_line_is_found_by_its_rule_at_its_place_and_by_no_other(way: Way):
    night = _night(way.feed.family)
    weighty = [
        place
        for place in broken_rules(night, way.sender)
        if RULES[place[1]].severity is not Severity.INFO or place[1] == way.told.id
    ]
    assert [place for place in weighty if place not in way.besides] == [way.place]


@pytest.mark.parametrize("way", _WAYS, ids=str)
def test_an_error_keeps_its_line_out_and_a_warning_does_not(way: Way):
    file = outcome(_night(way.feed.family), usual_name(way.feed), way.sender)
    assert file["rejected"] == (way.told.severity is Severity.ERROR)
    assert file["accepted"] + file["rejected"] == file["lines"] == len(way.lines())


def test_every_declared_rule_of_a_feed_has_a_way_to_break_it():
    declared = {rule_id for feed in FEEDS for rule_id in feed.all_rules}
    broken = {way.rule.id for way in _WAYS}
    assert broken | LOOKING_FURTHER == declared
    assert broken & LOOKING_FURTHER == set()


def test_no_two_rules_share_an_id():
    declared = [rule_id for feed in FEEDS for rule_id in feed.all_rules]
    assert len(declared) == len(set(declared))


# --- extracts that are compared -------------------------------------------------------------------


def _leaves_a_blank(way: Way) -> bool:
    """Whether the broken cell is blank, or refused by its own rule and so a blank to the others."""
    refusing = {way.feed.column_rule_id(kind, f"{way.column}") for kind in ("TYPE", "LEN", "CODE")}
    return way.told.id in refusing or way.cells(way.sender).get(f"{way.column}") == ""


_LOOKED_AT = {
    (seen, column)
    for feed in foster_focus.FEEDS
    for rule in feed.rules
    for across in rule.across
    for seen, columns in across.sees.items()
    for column in columns
}
"""Feeds and columns that the rules of other extracts look at."""
_BLANKS = list(
    {
        (way.feed.name, way.column): way
        for way in _WAYS
        if (way.feed.name, way.column) in _LOOKED_AT and _leaves_a_blank(way)
    }.values()
)


@cache
def _night_of_whole_sets() -> Verification:
    together = {way.sender: way.sent_among_all() for way in _BLANKS}
    return verified_together(together, foster_focus.NAME)


@pytest.mark.parametrize("way", _BLANKS, ids=str)
def test_a_cell_that_says_nothing_keeps_no_line_of_another_extract_out(way: Way):
    """But for special education, which may only hold students of demographics."""
    errors = [
        place
        for place in broken_rules(_night_of_whole_sets(), way.sender)
        if RULES[place[1]].severity is Severity.ERROR
    ]
    elsewhere = [place for place in errors if (place[0], *place[2:]) != way.cell]
    hides_the_student = way.feed is foster_focus.DEMOGRAPHICS and way.column in CHILD
    lost = (usual_name(foster_focus.SPECIAL_EDUCATION), "FF-SPE-2", way.line, "SISLocalID")
    assert elsewhere == ([lost] if hides_the_student else [])
