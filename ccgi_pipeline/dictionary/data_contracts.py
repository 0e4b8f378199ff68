"""Contracts in the Open Data Contract Standard (ODCS) 3.2, one YAML document each.

Belongs here: the feeds, columns and rules of a contract in the words of that standard. The same
declarations make the same bytes; the version says when something has changed. Addresses are
relative to the dictionary's site. Does not belong here: what a contract holds (``contracts``).
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator
from importlib.metadata import version
from typing import Any

import polars as pl
import yaml

from ccgi_pipeline.dictionary import contracts
from ccgi_pipeline.dictionary.contracts import Contract
from ccgi_pipeline.dictionary.objects import list_classes
from ccgi_pipeline.feeds.columns import Column, ColumnType
from ccgi_pipeline.feeds.rules import Rule
from ccgi_pipeline.feeds.spec import FeedSpec
from ccgi_pipeline.verification import addresses

STANDARD = "v3.2.0"
_LOGICAL_TYPES = {
    ColumnType.STRING: "string",
    ColumnType.DATE: "date",
    ColumnType.TIMESTAMP: "timestamp",
    ColumnType.INTEGER: "integer",
    ColumnType.YEAR: "integer",
    ColumnType.DECIMAL: "number",
    ColumnType.BOOLEAN: "boolean",
}
_PHYSICAL_TYPES = {
    ColumnType.STRING: "VARCHAR",
    ColumnType.DATE: "DATE",
    ColumnType.TIMESTAMP: "TIMESTAMP",
    ColumnType.INTEGER: "BIGINT",
    ColumnType.YEAR: "BIGINT",
    ColumnType.BOOLEAN: "BOOLEAN",
}
_JAVA_FORMS = {
    "%m/%d/%Y": "MM/dd/yyyy",
    "%Y-%m-%d": "yyyy-MM-dd",
    "%Y-%m-%dT%H:%M:%SZ": "yyyy-MM-dd'T'HH:mm:ss'Z'",
}
"""Forms of dates as Java's DateTimeFormatter writes them."""
_DIMENSIONS = {
    "REQ": "completeness",
    "TYPE": "conformity",
    "CODE": "conformity",
    "LEN": "conformity",
    "FORM": "conformity",
    "EXT": "conformity",
    "RETIRED": "conformity",
    "UNIQUE": "uniqueness",
}
"""The dimension of quality that a kind of a column's own rules is about."""


def render_data_contract(contract: Contract) -> str:
    """Returns the YAML document of a contract."""
    body = _body(contract)
    digest = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()[:8]
    document = {
        "apiVersion": STANDARD,
        "kind": "DataContract",
        "id": f"ccgi-{contract.name}",
        "name": contract.title,
        "version": f"{version('ccgi-pipeline')}+{digest}",
        "status": "active",
        **body,
    }
    text: str = yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=100)
    return text


def _body(contract: Contract) -> dict[str, Any]:
    sender = contract.family.sender
    return {
        "domain": "education",
        "dataProduct": "CCGI district data sharing",
        "description": {
            "purpose": f"What the files of “{contract.title}” must be.",
            "usage": f"Sent by {'districts' if sender is None else sender.title}.",
            "limitations": f"{contracts.NARROWER} {contracts.WIDER}",
        },
        "schema": [_object(contract, feed) for feed in contract.feeds],
        **_custom(("rulesOfDrops", [_rule_of_drop(rule) for rule in contract.family.rules])),
    }


def _rule_of_drop(rule: Rule) -> dict[str, str]:
    return {"id": rule.id, "severity": str(rule.severity), "text": rule.text, "fix": rule.fix}


def _object(contract: Contract, feed: FeedSpec) -> dict[str, Any]:
    columns = contract.columns(feed)
    names = {column.name for column in columns}
    of_file = [rule for rule in feed.all_rules.values() if rule.column not in names]
    references = {reference.column: reference for reference in contract.references(feed)}
    return {
        "id": feed.name,
        "name": feed.name,
        "physicalName": contracts.file_name(feed),
        "physicalType": "file",
        "businessName": feed.title,
        "description": (feed.model.__doc__ or "").strip(),
        "authoritativeDefinitions": [
            _definition(addresses.page_address(addresses.FEEDS, feed.name), feed.source)
        ],
        **_custom(
            ("encoding", "UTF-8"),
            ("delimiter", feed.separators[0]),
            ("quoteChar", feed.quote),
            ("lifecycle", str(feed.lifecycle)),
            ("fileNames", list(feed.stems)),
        ),
        "properties": [
            {
                **_property(contract, feed, column),
                **(
                    {"relationships": [{"to": f"{reference.target}.{reference.target_column}"}]}
                    if (reference := references.get(column.name))
                    else {}
                ),
            }
            for column in columns
        ],
        **_quality(feed, of_file),
    }


def _property(contract: Contract, feed: FeedSpec, column: Column) -> dict[str, Any]:
    classes = list_classes(column.classes)
    keys = feed.keys
    return {
        "id": _stable_id(column.name),
        "name": column.name,
        "description": contracts.describe_column(column),
        "logicalType": _LOGICAL_TYPES[column.type],
        **_options(contract, feed, column),
        "physicalType": _physical_type(column),
        "required": contracts.is_required(column),
        **({"unique": True} if keys == (column.name,) else {}),
        **(
            {"primaryKey": True, "primaryKeyPosition": keys.index(column.name) + 1}
            if column.name in keys
            else {}
        ),
        "classification": "+".join(classes) or "none",
        **({"tags": classes} if classes else {}),
        **({"examples": [column.example]} if column.example else {}),
        **_enum(column),
        "authoritativeDefinitions": [
            _definition(
                f"{addresses.page_address(addresses.FEEDS, feed.name)}"
                f"#{addresses.to_file_name(column.name)}",
                column.source,
            )
        ],
        **_custom(("requirement", str(column.requirement))),
        **_quality(feed, contracts.rules_of_column(feed, column)),
    }


def _options(contract: Contract, feed: FeedSpec, column: Column) -> dict[str, Any]:
    form = contracts.date_form(column)
    least = contracts.least_of(feed, column)
    options = {
        "format": _JAVA_FORMS[form] if form else None,
        "maxLength": column.length,
        "pattern": contracts.pattern_of(feed, column, contract.edition),
        "minimum": least,
    }
    given = {name: value for name, value in options.items() if value is not None}
    return {"logicalTypeOptions": given} if given else {}


def _physical_type(column: Column) -> str:
    if isinstance(column.dtype, pl.Decimal):
        return f"DECIMAL({column.dtype.precision},{column.dtype.scale})"
    name = _PHYSICAL_TYPES[column.type]
    return f"{name}({column.length})" if column.length and name == "VARCHAR" else name


def _enum(column: Column) -> dict[str, Any]:
    values = contracts.codes_of(column)
    if not values or column.codes is None:
        return {}
    return {
        "enum": [
            {
                "value": value,
                "label": code.name,
                **({"description": f"Until {code.end:%Y-%m-%d}."} if code.end else {}),
            }
            for value, code in zip(values, column.codes.codes, strict=True)
        ]
    }


def _quality(feed: FeedSpec, rules: Iterable[Rule]) -> dict[str, Any]:
    entries = [*_entries(feed, rules)]
    return {"quality": entries} if entries else {}


def _entries(feed: FeedSpec, rules: Iterable[Rule]) -> Iterator[dict[str, Any]]:
    for rule in rules:
        kind = rule.id.removeprefix(f"{feed.prefix}-").partition("-")[0]
        dimension = _DIMENSIONS.get(kind)
        if dimension is None and (rule.across or rule.missing is not None):
            dimension = "consistency"
        yield {
            "id": _stable_id(rule.id),
            "name": rule.id,
            "type": "text",
            "description": rule.text,
            "severity": str(rule.severity),
            **({"dimension": dimension} if dimension else {}),
            "authoritativeDefinitions": [
                _definition(addresses.page_address(addresses.RULES, rule.id), rule.source)
            ],
            **_custom(("fix", rule.fix)),
        }


def _stable_id(name: str) -> str:
    """Returns a name with only the characters that the standard takes in an id."""
    return re.sub(r"[^A-Za-z0-9_-]", "_", name)


def _definition(url: str, source: str) -> dict[str, str]:
    return {"url": url, "type": "businessDefinition", "description": source}


def _custom(*facts: tuple[str, Any]) -> dict[str, Any]:
    given = [{"property": name, "value": value} for name, value in facts if value not in (None, [])]
    return {"customProperties": given} if given else {}
