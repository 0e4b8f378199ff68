"""The dictionary as a site of static pages, one for each rule, cause, file and report.

Belongs here: which pages there are, what each shows, and the entries that its search looks
through. The site needs no server and nothing from elsewhere; without JavaScript its first page is
an index. The same declarations make the same bytes. Does not belong here: the addresses
(``verification.addresses``), the look (``pages``, and the receipts' style).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from datetime import date
from functools import cache
from importlib.resources import files as files_of_package
from typing import Any

from jinja2 import Environment, FunctionLoader
from markupsafe import Markup, escape

from ccgi_pipeline.dictionary.contracts import CONTRACTS
from ccgi_pipeline.dictionary.markdown import name_separators, tell_sender
from ccgi_pipeline.dictionary.objects import list_classes
from ccgi_pipeline.feeds import sis_locations
from ccgi_pipeline.feeds.columns import Column
from ccgi_pipeline.feeds.registry import FAMILIES, FEEDS, RULES
from ccgi_pipeline.feeds.rules import Rule
from ccgi_pipeline.feeds.sources import DOCUMENTS
from ccgi_pipeline.feeds.spec import FeedSpec
from ccgi_pipeline.reports.registry import REPORTS
from ccgi_pipeline.reports.spec import COMMON_RULES
from ccgi_pipeline.verification import addresses, labels
from ccgi_pipeline.verification.causes.declaration import Cause
from ccgi_pipeline.verification.causes.registry import CAUSES
from ccgi_pipeline.verification.causes.rule_kinds import kind_of_rule


def render_site() -> Iterator[tuple[str, str]]:
    """Yields address and content of each file of the site."""
    style = files_of_package("ccgi_pipeline.verification").joinpath("page.css")
    yield "page.css", style.read_text(encoding="utf-8") + _file("site.css")
    yield "search.js", _file("search.js")
    yield "entries.js", f"const entries = {json.dumps([*_entries()], ensure_ascii=False)};\n"
    yield "index.html", _page("index.jinja", root="", families=_families(), reports=REPORTS)
    yield "rules/index.html", _page("rules.jinja")
    for rule in RULES.values():
        yield _rule_page(rule.id), _page("rule.jinja", **_facts_of_rule(rule))
    for cause in CAUSES:
        yield _cause_page(cause.id), _page("cause.jinja", **_facts_of_cause(cause))
    for feed in FEEDS:
        yield _feed_page(feed.name), _page("feed.jinja", **_facts_of_feed(feed))
    for report in REPORTS:
        page = _page("report.jinja", report=report, common_rules=COMMON_RULES)
        yield _report_page(report.name), page


def _page(template: str, *, root: str = "../", **facts: object) -> str:
    return _environment().get_template(template).render(root=root, **facts)


def _file(name: str) -> str:
    room = files_of_package("ccgi_pipeline.dictionary")
    return room.joinpath("pages", name).read_text(encoding="utf-8")


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FunctionLoader(_file), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {
        "rule_page": _rule_page,
        "cause_page": _cause_page,
        "feed_page": _feed_page,
        "report_page": _report_page,
        "slug": addresses.to_file_name,
        "told_source": labels.source,
        "sentence": _begin_as_sentence,
        "weight": _weight_of,
        "class_names": list_classes,
        "spans": _with_code_spans,
    }
    environment.globals |= {
        "weights_explained": labels.WEIGHTS_EXPLAINED,
        "rules": [*RULES.values()],
        "causes": CAUSES,
    }
    return environment


def _with_code_spans(text: str) -> Markup:
    """Returns a text in which what stands between back quotes is code."""
    # The text is escaped first; only the project's own element is added.
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))  # noqa: S704


def _begin_as_sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def _weight_of(rule: Rule) -> str:
    """Returns how a receipt marks the rule."""
    return labels.NOT_THE_SENDERS.get(rule.id, labels.WEIGHTS[str(rule.severity)])


def _rule_page(rule: str) -> str:
    return addresses.page_address(addresses.RULES, rule)


def _cause_page(cause: str) -> str:
    return addresses.page_address(addresses.CAUSES, cause)


def _feed_page(feed: str) -> str:
    return addresses.page_address(addresses.FEEDS, feed)


def _report_page(report: str) -> str:
    return addresses.page_address(addresses.REPORTS, report)


# --- what a page shows ----------------------------------------------------------------------------


def _families() -> list[dict[str, Any]]:
    return [
        {
            "name": family.name,
            "title": family.title,
            "sent_by": tell_sender(family).replace("`", ""),
            "feeds": family.feeds,
        }
        for family in FAMILIES.values()
    ]


def _facts_of_rule(rule: Rule) -> dict[str, Any]:
    feeds = [feed for feed in FEEDS if rule.id in feed.all_rules]
    return {
        "rule": rule,
        "judged": [(feed, _judged_columns(feed, rule)) for feed in feeds],
        "families": [family for family in FAMILIES.values() if rule.id in _ids(family.rules)],
        "document": next((one for one in DOCUMENTS if rule.source.startswith(one.title)), None),
        "places": [*dict.fromkeys(_places(feeds, rule.column))],
        "cells": {
            column: cell.format(sender="<CD code>")
            for column, cell in (rule.counterexample or {}).items()
        },
        "causes": [cause for cause in CAUSES if _may_explain(cause, rule)],
    }


def _judged_columns(feed: FeedSpec, rule: Rule) -> list[str]:
    """Returns the columns of a feed at which a rule looks, that of its findings first."""
    looked_at = [rule.column] if rule.column else []
    if rule.passes is not None:
        looked_at += rule.passes(_ANY_DAY).meta.root_names()
    looked_at += [across.column for across in rule.across if across.lines_of == feed.name]
    return [column for column in dict.fromkeys(looked_at) if column in feed.columns]


_ANY_DAY = date(2026, 1, 1)
"""A rule looks at the same columns on every day."""


def _ids(rules: Iterable[Rule]) -> set[str]:
    return {rule.id for rule in rules}


def _places(feeds: list[FeedSpec], column: str | None) -> Iterator[sis_locations.SisLocation]:
    for feed in feeds:
        yield from sis_locations.places(feed.name, column or "")


def _may_explain(cause: Cause, rule: Rule) -> bool:
    return not {rule.id, kind_of_rule(rule.id)}.isdisjoint(cause.kinds)


def _facts_of_cause(cause: Cause) -> dict[str, Any]:
    named = [rule for rule in RULES.values() if rule.id in cause.kinds]
    return {"cause": cause, "rules": named}


def _facts_of_feed(feed: FeedSpec) -> dict[str, Any]:
    return {
        "feed": feed,
        "family": FAMILIES[feed.family],
        "about": (feed.model.__doc__ or "").strip(),
        "separators": name_separators(feed),
        "columns": [_facts_of_column(feed, column) for column in feed.columns.values()],
        "contracts": [name for name, one in CONTRACTS.items() if feed in one.feeds],
    }


def _facts_of_column(feed: FeedSpec, column: Column) -> dict[str, Any]:
    form = str(column.type)
    if column.length:
        form += f", at most {column.length} characters"
    return {
        "name": column.name,
        "requirement": column.requirement,
        "type": column.type,
        "length": column.length,
        "classes": list_classes(column.classes),
        "description": column.description,
        "form": form,
        "editions": column.editions,
        "codes": column.codes,
        "places": sis_locations.places(feed.name, column.name),
        "rules": [rule for rule in feed.all_rules.values() if rule.column == column.name],
        "source": column.source,
    }


def _entries() -> Iterator[tuple[str, str, str, str]]:
    """Yields kind, name, text and address of all that can be searched for.

    Of entries that fit a search equally well the first is shown first: rules come last, since most
    of them only repeat their column.
    """
    for cause in CAUSES:
        yield "Cause", cause.id, f"{cause.text} {cause.shown_by}", _cause_page(cause.id)
    for feed in FEEDS:
        yield "File", feed.name, f"{feed.title}. {', '.join(feed.stems)}", _feed_page(feed.name)
        for column in feed.columns.values():
            place = f"{_feed_page(feed.name)}#{addresses.to_file_name(column.name)}"
            yield "Column", f"{feed.name}.{column.name}", column.description, place
    for report in REPORTS:
        names = ", ".join(column.name for column in report.detail_columns)
        yield (
            "Report",
            report.title,
            f"{'/'.join(report.folder)}. {names}",
            _report_page(report.name),
        )
    for rule in RULES.values():
        yield "Rule", rule.id, f"{rule.text} {rule.fix}", _rule_page(rule.id)
