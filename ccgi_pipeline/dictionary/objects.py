"""The dictionary as JSON: one object with lists of feeds, rules, causes, reports and outputs.

Belongs here: the objects of that JSON. Keys may be added, none renamed.
"""

from __future__ import annotations

import json
from typing import Any

from ccgi_pipeline.feeds import sis_locations
from ccgi_pipeline.feeds.columns import Column, ColumnClass
from ccgi_pipeline.feeds.registry import FEEDS, RULES
from ccgi_pipeline.feeds.rules import Rule
from ccgi_pipeline.feeds.spec import FeedSpec
from ccgi_pipeline.reports.column_policies import POLICIES, Output, Policy
from ccgi_pipeline.reports.registry import REPORTS
from ccgi_pipeline.reports.spec import COMMON_RULES, ReportSpec
from ccgi_pipeline.verification.causes.declaration import Cause
from ccgi_pipeline.verification.causes.registry import CAUSES


def render_json() -> str:
    """Returns one object with ``feeds``, ``rules``, ``causes``, ``reports`` and ``outputs``."""
    dictionary = {
        "feeds": [_feed_object(feed) for feed in FEEDS],
        "rules": [_rule_object(rule) for rule in RULES.values()],
        "causes": [_cause_object(cause) for cause in CAUSES],
        "reports": [_report_object(report) for report in REPORTS],
        "outputs": [_output_object(output, policy) for output, policy in POLICIES.items()],
    }
    return json.dumps(dictionary, indent=2, ensure_ascii=False) + "\n"


def _feed_object(feed: FeedSpec) -> dict[str, Any]:
    return {
        "name": feed.name,
        "family": feed.family,
        "title": feed.title,
        "file_names": list(feed.stems),
        "separators": list(feed.separators),
        "quote": feed.quote,
        "keys": list(feed.keys),
        "unique_id": feed.unique_id,
        "lifecycle": str(feed.lifecycle),
        "source": feed.source,
        "columns": [_column_object(feed, column) for column in feed.columns.values()],
        "rules": list(feed.all_rules),
    }


def _column_object(feed: FeedSpec, column: Column) -> dict[str, Any]:
    return {
        "name": column.name,
        "requirement": str(column.requirement),
        "type": str(column.type),
        "length": column.length,
        "pii": column.pii,
        "restricted": column.restricted,
        "foster": column.foster,
        "codes": list(column.codes.values) if column.codes else None,
        "description": column.description,
        "source": column.source,
        "kept_in": [
            {"system": place.system, "where": place.where, "source": place.source}
            for place in sis_locations.places(feed.name, column.name)
        ],
    }


def _rule_object(rule: Rule) -> dict[str, Any]:
    return {
        "id": rule.id,
        "severity": str(rule.severity),
        "severity_if_strict": str(rule.strict or rule.severity),
        "reason": rule.reason or None,
        "column": rule.column,
        "text": rule.text,
        "fix": rule.fix,
        "source": rule.source,
    }


def _cause_object(cause: Cause) -> dict[str, Any]:
    return {
        "id": cause.id,
        "text": cause.text,
        "means": cause.means,
        "shown_by": cause.shown_by,
        "fix": cause.fix,
        "by_tool": dict(cause.by_tool),
    }


def _output_object(output: Output, policy: Policy) -> dict[str, Any]:
    return {
        "name": str(output),
        "reader": policy.reader,
        "shows": list_classes(policy.shows),
        "leaves_out_opted_out_from": policy.opt_out,
        "why": policy.why,
    }


def list_classes(classes: frozenset[ColumnClass]) -> list[str]:
    """Returns the names of column classes, in their order."""
    return [str(name) for name in ColumnClass if name in classes]


def _report_object(report: ReportSpec) -> dict[str, Any]:
    return {
        "name": report.name,
        "title": report.title,
        "path": "/".join(report.folder),
        "files": list(report.files),
        "columns": {
            file: [column.name for column in report.columns_of(file)] for file in report.files
        },
        "rules": [*COMMON_RULES, *report.rules],
        "cadence_setting": report.cadence_setting,
        "provenance": report.provenance,
        "source": report.source,
    }
