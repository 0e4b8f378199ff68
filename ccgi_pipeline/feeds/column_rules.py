"""The rules that follow from a column's declaration alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import date
from typing import TYPE_CHECKING

import pandera.polars as pa
import polars as pl

from ccgi_pipeline.feeds.columns import (
    CodeSet,
    Column,
    ColumnType,
    Requirement,
    without_commas,
)
from ccgi_pipeline.feeds.rules import Rule, Severity

if TYPE_CHECKING:
    from ccgi_pipeline.feeds.spec import FeedSpec

# The four kinds of rule that a column can have of its own, by pandera check.
RULE_KINDS = {
    "not_nullable": "REQ",
    "str_matches": "TYPE",
    "greater_than_or_equal_to": "TYPE",
    "isin": "CODE",
    "str_length": "LEN",
}


def rules_of_column(  # noqa: C901 - one kind of rule after another
    feed: FeedSpec, declared: Column, schema: pa.Column
) -> list[Rule]:
    """A column's own rules; one that the record can do without warns, and is left out."""
    required = declared.requirement is Requirement.REQUIRED
    severity = (schema.metadata or {})["wrong"] or (
        Severity.ERROR if required else Severity.WARNING
    )
    kept_out = severity is Severity.ERROR
    left_out = "" if kept_out else " The value was left out; the record was loaded."
    name = declared.name

    def rule(
        kind: str,
        text: str,
        fix: str,
        *,
        at: Severity = severity,
        passes: Callable[[date], pl.Expr] | None = None,
    ) -> Rule:
        return Rule(
            id=feed.column_rule_id(kind, name),
            severity=at,
            text=text,
            fix=fix,
            source=declared.source,
            column=name,
            strict=Severity.ERROR if feed.headers and at is Severity.WARNING else None,
            of_blank=kind == "REQ" and passes is not None,
            passes=passes,
        )

    rules: list[Rule] = []
    wanted = declared.requirement in {Requirement.REQUIRED, Requirement.RECOMMENDED}
    if wanted and declared.blank_rule is None:
        needed = declared.blank is Severity.ERROR
        outcome = "the record cannot be loaded without it" if needed else "it is recommended"
        text, fix = f"{name} is blank: {outcome}.", f"Fill {name}: {declared.description}"
        if declared.blank_until:
            text = f"{name} is blank, as it may be until {declared.blank_until}."
            fix = f"Fill {name} once {declared.blank_until}."
        passes = _filled_if_expected(declared, _is_gone(feed)) if declared.editions else None
        rules.append(rule("REQ", text, fix, at=declared.blank, passes=passes))
    checks = {str(check.name): check.statistics for check in schema.checks}
    form = _FORM[declared.type](declared)
    if (
        ("str_matches" in checks and not declared.codes)
        or "greater_than_or_equal_to" in checks
        or form
    ):
        form = form or declared.description
        rules.append(
            rule(
                "TYPE",
                f"{name} is not in the form that this file needs.{left_out}",
                f"Send {name} as {form}",
            )
        )
    if declared.exact:
        rules.append(
            rule(
                "FORM",
                f"{name} is not spelled as the specification has it; it was understood.",
                f"Use exactly one of: {_listed(declared.exact)}.",
                at=Severity.WARNING,
            )
        )
    elif declared.understood:
        rules.append(
            rule(
                "FORM",
                f"{name} is not written as the specification has it; it was understood.",
                f"Send {name} as {form}",
                at=Severity.WARNING,
            )
        )
    elif declared.names_with_commas:
        shown = declared.names_with_commas[0]
        rules.append(
            rule(
                "FORM",
                f"{name} has a name with a comma in it, which separates the items of this list; it "
                "was understood as one name, and loaded without the comma.",
                f"Take the commas out of names: {without_commas(shown)}.",
                at=Severity.WARNING,
            )
        )
    elif declared.listed:
        rules.append(
            rule(
                "FORM",
                f"{name} has a blank item in its list; the item was left out.",
                "Put one comma between two items, and none at the end.",
                at=Severity.WARNING,
            )
        )
    if declared.extended:
        rules.append(
            rule(
                "EXT",
                f"{name} is a term of the sender's own (ext:), which only version 1.2 permits.",
                f"Use one of: {_shown(declared.codes)}; or send version 1.2."
                if declared.codes
                else "Send version 1.2.",
                passes=lambda _: (
                    ~pl.col(name).str.starts_with("ext:") | (pl.col("_edition") == _WITH_OWN_TERMS)
                ),
            )
        )
    if declared.length is not None:
        rules.append(
            rule(
                "LEN",
                f"{name} is longer than {declared.length} characters.{left_out}",
                f"Shorten {name} to {declared.length} characters.",
            )
        )
    if declared.codes is not None and not declared.listed:
        rules.append(
            rule(
                "CODE",
                f"{name} is not a code of the set {declared.codes.name}.{left_out}",
                f"Use one of: {_shown(declared.codes)}.",
            )
        )
        if any(code.end for code in declared.codes.codes):
            rules.append(
                Rule(
                    id=feed.column_rule_id("RETIRED", name),
                    severity=Severity.WARNING,
                    text=f"{name} is a code that has been retired.",
                    fix=f"Use a current code of {declared.codes.name}.",
                    source=declared.codes.source,
                    column=name,
                    passes=_not_retired(declared),
                )
            )
    return rules


_WITH_OWN_TERMS = "1.2"
"""The edition that permits terms of the sender's own."""


def repeated_key_rule(feed: FeedSpec) -> Rule:
    """Two lines with one key: as an error the first one stands, as a warning the last one does."""
    keys = ", ".join(feed.keys)
    stands = "first" if feed.repeated_key is Severity.ERROR else "last"
    return Rule(
        id=feed.repeated_key_id,
        severity=feed.repeated_key,
        text=f"A line above has the same {keys}: the {stands} one stands.",
        fix=f"Send one line for each {keys}.",
        source=feed.source,
        column=feed.keys[-1],
    )


def _filled_if_expected(declared: Column, gone: pl.Expr) -> Callable[[date], pl.Expr]:
    """That the column is filled in lines of the editions that have it, unless they are ``gone``."""
    filled = pl.col(declared.name).is_not_null() | gone
    return lambda _: filled | ~pl.col("_edition").is_in(declared.editions)


def _is_gone(feed: FeedSpec) -> pl.Expr:
    """Whether a line says that its record is no more."""
    if feed.gone is None:
        return pl.lit(value=False)
    column, value = feed.gone
    return (pl.col(column) == value).fill_null(value=False)


def _not_retired(declared: Column) -> Callable[[date], pl.Expr]:
    codes = declared.codes
    if codes is None:
        msg = f"{declared.name} has no code set that could have retired codes"
        raise ValueError(msg)
    return lambda on: ~pl.col(declared.name).is_in(list(codes.retired(on)))


_SHOWN_CODES = 30
"""Longer code sets are named, not listed: a receipt stays readable."""


def _shown(codes: CodeSet) -> str:
    if len(codes.codes) > _SHOWN_CODES:
        return f"the {len(codes.codes)} codes of {codes.name} (see the data dictionary)"
    return _listed(
        code.value if code.value == code.name else f"{code.value} ({code.name})"
        for code in codes.codes
    )


def _listed(words: Iterable[str]) -> str:
    return ", ".join(words)


_DATE_WORDS = {"%m/%d/%Y": "MM/DD/YYYY", "%Y-%m-%d": "YYYY-MM-DD"}


def _date_form(declared: Column) -> str:
    return f"a date, {' or '.join(_DATE_WORDS[form] for form in declared.formats)}."


_FORM: Mapping[ColumnType, Callable[[Column], str]] = {
    ColumnType.STRING: lambda _: "",
    ColumnType.DATE: _date_form,
    ColumnType.TIMESTAMP: lambda _: "a UTC time, YYYY-MM-DDTHH:MM:SSZ.",
    ColumnType.INTEGER: lambda _: "a whole number.",
    ColumnType.DECIMAL: lambda _: "a number with a decimal point, such as 2.50.",
    # Which of the two years of a school year is meant, only the description says.
    ColumnType.YEAR: lambda declared: f"a year of four digits. {declared.description}",
    ColumnType.BOOLEAN: lambda declared: (
        " or ".join(declared.exact or (declared.true_values[0], declared.false_values[0])) + "."
    ),
}
