"""All feeds and all rules, found by name; and which feed a file is.

Belongs here: what is true of the declarations taken together. A new family is one line in
``FAMILIES``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from ccgi_pipeline.feeds import (
    calpads_identity,
    cccapply,
    cde_directory,
    foster_focus,
    foster_focus_cps,
    oneroster,
    platform,
    transcript,
)
from ccgi_pipeline.feeds.columns import Requirement
from ccgi_pipeline.feeds.file_dates import without_date
from ccgi_pipeline.feeds.file_rules import FILE_RULES
from ccgi_pipeline.feeds.rules import Across, Rule
from ccgi_pipeline.feeds.spec import FamilySpec, FeedSpec, fold

FAMILIES: Mapping[str, FamilySpec] = {
    family.name: family
    for family in (
        cde_directory.FAMILY,
        foster_focus_cps.FAMILY,
        calpads_identity.FAMILY,
        transcript.FAMILY,
        platform.FAMILY,
        foster_focus.FAMILY,
        oneroster.FAMILY,
        cccapply.FAMILY,
    )
}
"""In the order in which they are judged: what others look into comes first."""
FEEDS: tuple[FeedSpec, ...] = tuple(feed for family in FAMILIES.values() for feed in family.feeds)
FEEDS_BY_NAME: Mapping[str, FeedSpec] = {feed.name: feed for feed in FEEDS}


def feeds_of(family: str) -> tuple[FeedSpec, ...]:
    """The feeds of a family by its name; none where no family has that name."""
    return FAMILIES[family].feeds if family in FAMILIES else ()


def families_before(family: str) -> list[str]:
    """The other families by which ``family`` is judged or to which it is linked, to load first."""
    spec = FAMILIES[family]
    targets = {relation.target for feed in spec.feeds for relation in feed.relations}
    return [
        other.name
        for other in FAMILIES.values()
        if other is not spec
        and (other.name in spec.comes_after or targets & {feed.name for feed in other.feeds})
    ]


STATEWIDE_SENDERS: Mapping[str, str] = {
    family.sender.folder: family.name for family in FAMILIES.values() if family.sender is not None
}
"""Folders of the inbox that are no district's, and the family that each of them sends."""

DISTRICT_FAMILIES: Mapping[str, FamilySpec] = {
    family.name: family for family in FAMILIES.values() if family.sender is None
}
"""What a district may send: it cannot speak for a state-wide sender."""
DISTRICT_FEEDS = tuple(feed for family in DISTRICT_FAMILIES.values() for feed in family.feeds)
FAMILY_OF_STRAYS = next(family.name for family in FAMILIES.values() if family.answers_strays)
"""The family with which drops are answered that no family claims."""
EVENT_FEEDS = tuple(feed for feed in FEEDS if feed.event_time is not None)
"""What students did and when, as reports read it."""


class _Rules(Mapping[str, Rule]):
    """All rules by id. Those of columns are made when one is asked for, with others of its feed."""

    def __init__(self) -> None:
        self._declared: Mapping[str, Rule] = {
            **{rule.id: rule for rule in FILE_RULES},
            **{rule.id: rule for family in FAMILIES.values() for rule in family.rules},
            **{rule.id: rule for feed in FEEDS for rule in feed.rules},
        }

    def __getitem__(self, rule_id: str) -> Rule:
        if rule_id in self._declared:
            return self._declared[rule_id]
        for feed in FEEDS:
            if rule_id.startswith(f"{feed.prefix}-") and rule_id in feed.column_rules:
                return feed.column_rules[rule_id]
        raise KeyError(rule_id)

    def __iter__(self) -> Iterator[str]:
        of_feeds = (rule for feed in FEEDS for rule in feed.all_rules)
        of_families = (rule.id for family in FAMILIES.values() for rule in family.rules)
        return iter(dict.fromkeys((*(rule.id for rule in FILE_RULES), *of_families, *of_feeds)))

    def __len__(self) -> int:
        return sum(1 for _ in self)


RULES: Mapping[str, Rule] = _Rules()

COMPARISONS: Mapping[str, tuple[tuple[Rule, Across], ...]] = {
    feed.name: tuple(
        (rule, across)
        for other in FAMILIES[feed.family].feeds
        for rule in other.rules
        for across in rule.across
        if across.lines_of == feed.name
    )
    for feed in FEEDS
}
"""Per feed the rules that are judged on its lines by looking at others."""


def feed_by_name(file_name: str, candidates: Iterable[FeedSpec] = FEEDS) -> FeedSpec | None:
    """The feed that a file's name speaks of: any case, blank or underscore, district, date.

    The name without extension and date must end with one of the feed's stems; the longest wins. A
    name that two families have speaks of neither.
    """
    stem = folded_stem(file_name)
    fitting = [
        (len(known), feed)
        for feed in candidates
        for known in feed.folded_stems
        if stem.endswith(known)
    ]
    longest = max((length for length, _ in fitting), default=0)
    named = {feed.name: feed for length, feed in fitting if length == longest}
    return next(iter(named.values())) if len(named) == 1 else None


def folded_stem(file_name: str) -> str:
    """A file's name without folders, extension and date, as names are compared."""
    stem = file_name.rsplit("/", 1)[-1].rsplit(".", 1)[0]
    return fold(without_date(stem))


_ENOUGH_COLUMNS = 0.6
"""Share of a feed's columns that a header must name before it is taken for that feed's."""


def feed_by_header(
    headers: Sequence[str], candidates: Iterable[FeedSpec] = FEEDS
) -> FeedSpec | None:
    """The feed whose columns a header names: all required ones, and most of the others."""
    present = {fold(header) for header in headers}

    def share(feed: FeedSpec) -> float:
        by_name = feed.columns_by_folded_name
        named = {by_name[header].name for header in present & set(by_name)}
        required = {
            name
            for name, declared in feed.columns.items()
            if declared.requirement is Requirement.REQUIRED and not declared.editions
        }
        if not required <= named:
            return 0.0
        return len(named) / (len(feed.columns) + len(present) - len(named))

    best = max(candidates, key=share, default=None)
    return best if best is not None and share(best) >= _ENOUGH_COLUMNS else None
