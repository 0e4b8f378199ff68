"""Contracts as Data Packages of Frictionless: a Table Schema and a dialect for each file.

Belongs here: the feeds and columns of a contract in the words of that standard (version 1, which
all tools read). The same declarations make the same bytes. Does not belong here: what a contract
holds (``contracts``).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ccgi_pipeline.dictionary import contracts
from ccgi_pipeline.dictionary.contracts import Contract
from ccgi_pipeline.dictionary.objects import list_classes
from ccgi_pipeline.feeds.columns import Column, ColumnType
from ccgi_pipeline.feeds.spec import FeedSpec

_TYPES = {
    ColumnType.STRING: "string",
    ColumnType.DATE: "date",
    ColumnType.TIMESTAMP: "datetime",
    ColumnType.INTEGER: "integer",
    ColumnType.YEAR: "year",
    ColumnType.DECIMAL: "number",
    ColumnType.BOOLEAN: "boolean",
}
_NO_QUOTE = "\u0001"
"""A dialect cannot say that there is no quotation mark: it names a character that no cell has."""


def render_data_package(contract: Contract) -> str:
    """Returns the descriptor of a package with one file of each feed, ``datapackage.json``."""
    descriptor = {
        "profile": "tabular-data-package",
        "name": f"ccgi-{contract.name}",
        "title": contract.title,
        "description": f"{contracts.NARROWER} {contracts.WIDER}",
        "resources": [_resource(contract, feed) for feed in contract.feeds],
    }
    return _as_json(descriptor)


def render_table_schema(contract: Contract, feed: FeedSpec) -> str:
    """Returns the Table Schema of one file, without references to other files."""
    return _as_json(_schema(contract, feed))


def render_resource(contract: Contract, feed: FeedSpec) -> str:
    """Returns the descriptor of one file by itself, with its dialect."""
    return _as_json({**_resource(contract, feed), "schema": _schema(contract, feed)})


def _as_json(descriptor: Mapping[str, Any]) -> str:
    return json.dumps(descriptor, indent=2, ensure_ascii=False) + "\n"


def _resource(contract: Contract, feed: FeedSpec) -> dict[str, Any]:
    references = [
        {
            "fields": [reference.column],
            "reference": {
                "resource": "" if reference.target == feed.name else reference.target.lower(),
                "fields": [reference.target_column],
            },
        }
        for reference in contract.references(feed)
    ]
    return {
        "profile": "tabular-data-resource",
        "name": feed.name.lower(),
        "title": feed.title,
        "description": (feed.model.__doc__ or "").strip(),
        "path": contracts.file_name(feed),
        "format": "csv",
        "mediatype": "text/csv",
        "encoding": "utf-8",
        "dialect": {
            "delimiter": feed.separators[0],
            "quoteChar": feed.quote or _NO_QUOTE,
            "doubleQuote": True,
            "header": True,
        },
        "sources": [{"title": feed.source}],
        "schema": {
            **_schema(contract, feed),
            **({"foreignKeys": references} if references else {}),
        },
    }


def _schema(contract: Contract, feed: FeedSpec) -> dict[str, Any]:
    return {
        "fields": [_field(contract, feed, column) for column in contract.columns(feed)],
        "missingValues": ["", *feed.blank_words],
        "primaryKey": list(feed.keys),
    }


def _field(contract: Contract, feed: FeedSpec, column: Column) -> dict[str, Any]:
    rules = [rule.id for rule in contracts.rules_of_column(feed, column)]
    return {
        "name": column.name,
        "type": _TYPES[column.type],
        **({"format": form} if (form := contracts.date_form(column)) else {}),
        **_words_of_boolean(column),
        "description": contracts.describe_column(column),
        **({"constraints": found} if (found := _constraints(contract, feed, column)) else {}),
        "requirement": str(column.requirement),
        "classes": list_classes(column.classes),
        "source": column.source,
        "rules": rules,
    }


def _words_of_boolean(column: Column) -> dict[str, Any]:
    if column.type is not ColumnType.BOOLEAN:
        return {}
    if column.exact:
        true, false = column.exact
        return {"trueValues": [true], "falseValues": [false]}
    return {
        "trueValues": _in_cases(column.true_values),
        "falseValues": _in_cases(column.false_values),
    }


def _in_cases(words: tuple[str, ...]) -> list[str]:
    """Returns the words in the cases in which systems write them."""
    cases = (case(word) for word in words for case in (str.upper, str.lower, str.capitalize))
    return [*dict.fromkeys(cases)]


def _constraints(contract: Contract, feed: FeedSpec, column: Column) -> dict[str, Any]:
    of_text = column.type is ColumnType.STRING
    codes = contracts.codes_of(column)
    constraints = {
        "required": contracts.is_required(column) or None,
        "enum": [*codes] or None,
        "maxLength": column.length if of_text else None,
        "pattern": contracts.pattern_of(feed, column, contract.edition) if of_text else None,
        "minimum": contracts.least_of(feed, column),
    }
    return {name: value for name, value in constraints.items() if value is not None}
