"""Declares rules of the specification's running text, and this project's where it is silent.

Belongs here: what a line must meet besides the 41 rules of "Verify Data Meets". Does not belong
here: what follows from a column's declaration alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import polars as pl

from ccgi_pipeline.feeds import codes
from ccgi_pipeline.feeds.columns import CodeSet
from ccgi_pipeline.feeds.foster_focus.comparisons import (
    CHILD,
    answered,
    by_child,
    is_among,
    school_year,
    told_once,
)
from ccgi_pipeline.feeds.foster_focus.verify_data_meets import DEM, ENR
from ccgi_pipeline.feeds.rules import Hint, Rule, Severity
from ccgi_pipeline.feeds.sources import FOSTER_FOCUS

ERROR, WARNING = Severity.ERROR, Severity.WARNING
PROJECT = "this project"

_COUNTY_OFFICE = "10"
"""First two digits of a county office of education's district code."""


def _sent_by_its_district() -> pl.Expr:
    """The district itself sends the line, or the office of its county."""
    sender = pl.col("_sender")
    of_county = (sender.str.slice(2, 2) == _COUNTY_OFFICE) & (
        sender.str.head(2) == pl.col("SystemID").str.head(2)
    )
    return (sender == "") | (sender == pl.col("SystemID")) | of_county


def _looks_like_a_social_security_number() -> pl.Expr:
    """Nine digits that could have been issued: no such number begins with 000, 666 or 9."""
    number = pl.col("SISLocalID").str.extract("^([0-9]{9})$")
    never = number.str.contains("^(?:000|666|9|[0-9]{3}00|[0-9]{5}0000)")
    return number.is_not_null() & ~never & ~pl.col("_nine_digits")


def common_rules(prefix: str, page: int) -> tuple[Rule, ...]:
    """The rules that every extract has."""
    return (
        Rule(
            id=f"{prefix}-SYSTEM",
            severity=ERROR,
            text="SystemID is not the district that sends the file.",
            fix="Send SystemID as your county code and district code.",
            source=FOSTER_FOCUS.page(2),
            column="SystemID",
            passes=lambda _: _sent_by_its_district(),
            hint=Hint.OTHER_DISTRICT,
            counterexample={"SystemID": "9999999"},
        ),
        Rule(
            id=f"{prefix}-SSN",
            severity=ERROR,
            text="SISLocalID looks like a social security number: the record was refused.",
            fix="Send the student's local ID. If your local IDs have nine digits, let us know.",
            source=f"{FOSTER_FOCUS.page(page)}: social security numbers are not permitted",
            column="SISLocalID",
            passes=lambda _: ~_looks_like_a_social_security_number(),
            counterexample={"SISLocalID": "123456789"},
        ),
    )


def in_demographics(prefix: str, feed: str) -> Rule:
    """Only foster youth belong in an extract, and demographics say who they are."""
    return Rule(
        id=f"{prefix}-CHILD",
        severity=WARNING,
        text="The student is not in the demographics extract; lines of theirs cannot be linked.",
        fix="Send only foster youth, and each of them in demographics.",
        source=FOSTER_FOCUS.page(2),
        across=(
            by_child(
                lines_of=feed,
                column="SISLocalID",
                sees={DEM: CHILD},
                holds=lambda lines, seen: told_once(lines, ~is_among(lines, seen[DEM]), CHILD),
            ),
        ),
    )


def _known_code(column: str, set_: CodeSet, day: str) -> pl.Expr:
    """A code of the set that had not ended on ``day``, or words in its place."""
    ended = {code.value: code.end for code in set_.codes if code.end is not None}
    code = pl.col(column).str.to_uppercase()
    end = code.replace_strict(ended, default=None, return_dtype=pl.Date)
    looks_like_a_code = code.str.contains(r"^[A-Z]?[0-9]+$")
    in_force = end.is_null() | pl.col(day).is_null() | (pl.col(day) <= end)
    return ~looks_like_a_code | (code.is_in(list(set_.values)) & in_force)


def _closed_has_exit_date(lines: pl.DataFrame, seen: Mapping[str, pl.DataFrame]) -> pl.Series:
    still_open = seen[ENR].filter(pl.col("ExitDate").is_null())
    closed = is_among(lines, seen[ENR]) & ~is_among(lines, still_open).fill_null(value=False)
    return answered(lines, pl.col("ExitDate").is_not_null() | ~closed)


def _line_rule(  # noqa: PLR0913 - what a rule is made of
    id_: str,
    severity: Severity,
    text: str,
    fix: str,
    *,
    column: str,
    passes: pl.Expr,
    counterexample: Mapping[str, str],
    source: str = PROJECT,
) -> Rule:
    holds: Callable[[object], pl.Expr] = lambda _: passes  # noqa: E731 - one line says it
    return Rule(
        id=id_,
        severity=severity,
        text=text,
        fix=fix,
        source=source,
        column=column,
        passes=holds,
        counterexample=counterexample,
    )


DEMOGRAPHICS = (
    _line_rule(
        "FF-DEM-GENDER",
        WARNING,
        "Gender is X. The specification of 2014 knows F and M; CALPADS has X since July 2019.",
        "Nothing needs to be changed if X is right.",
        column="Gender",
        passes=pl.col("Gender") != "X",
        counterexample={"Gender": "X"},
        source=f"{FOSTER_FOCUS.page(6)}; {codes.GENDER.source}",
    ),
    Rule(
        id="FF-DEM-EXIT",
        severity=ERROR,
        text="ExitDate is blank, yet every enrollment of the student is closed.",
        fix="Fill ExitDate, or send the open enrollment.",
        source=f"{FOSTER_FOCUS.page(6)}: ExitDate is required",
        across=(
            by_child(
                lines_of=DEM,
                column="ExitDate",
                sees={ENR: (*CHILD, "ExitDate")},
                holds=_closed_has_exit_date,
            ),
        ),
    ),
    _line_rule(
        "FF-DEM-DATES",
        WARNING,
        "ExitDate lies before EntryDate.",
        "Correct the dates.",
        column="ExitDate",
        passes=pl.col("EntryDate") <= pl.col("ExitDate"),
        counterexample={"EntryDate": "2026-09-02", "ExitDate": "2026-09-01"},
    ),
)

ENROLLMENT_HISTORY = (
    _line_rule(
        "FF-ENR-EXIT",
        ERROR,
        "The enrollment has ended, and ExitReason is blank.",
        "Fill ExitReason with the CALPADS exit code.",
        column="ExitReason",
        passes=pl.col("ExitDate").is_null() | pl.col("ExitReason").is_not_null(),
        counterexample={"ExitReason": ""},
        source=f"{FOSTER_FOCUS.page(7)}: ExitReason is required",
    ),
    _line_rule(
        "FF-ENR-CODE-ExitReason",
        WARNING,
        "ExitReason is no CALPADS exit code, or one that had ended.",
        f"Use a current code of {codes.EXIT_REASON.name}.",
        column="ExitReason",
        passes=_known_code("ExitReason", codes.EXIT_REASON, "ExitDate"),
        counterexample={"ExitReason": "Z999"},
        source=f"{FOSTER_FOCUS.page(7)}; {codes.EXIT_REASON.source}",
    ),
    _line_rule(
        "FF-ENR-CODE-CompletionStatus",
        WARNING,
        "CompletionStatus is no CALPADS completion code, or one that had ended.",
        f"Use a current code of {codes.COMPLETION_STATUS.name}.",
        column="CompletionStatus",
        passes=_known_code("CompletionStatus", codes.COMPLETION_STATUS, "ExitDate"),
        counterexample={"CompletionStatus": "999"},
        source=f"{FOSTER_FOCUS.page(7)}; {codes.COMPLETION_STATUS.source}",
    ),
    _line_rule(
        "FF-ENR-DATES",
        WARNING,
        "ExitDate lies before EntryDate.",
        "Correct the dates.",
        column="ExitDate",
        passes=pl.col("EntryDate") <= pl.col("ExitDate"),
        counterexample={"EntryDate": "2026-09-20", "ExitDate": "2026-09-01"},
    ),
)

STRICT = {
    "FF-DEM": Rule(
        id="FF-DEM-STRICT-ExitDate",
        severity=ERROR,
        text="ExitDate is blank, and the district's profile asks for the letter of the "
        "specification.",
        fix="Fill ExitDate.",
        source=f"{FOSTER_FOCUS.page(6)}: ExitDate is required",
        column="ExitDate",
        passes=lambda _: ~pl.col("_strict") | pl.col("ExitDate").is_not_null(),
    ),
    "FF-ENR": Rule(
        id="FF-ENR-STRICT-ExitReason",
        severity=ERROR,
        text="ExitReason is blank, and the district's profile asks for the letter of the "
        "specification.",
        fix="Fill ExitReason.",
        source=f"{FOSTER_FOCUS.page(7)}: ExitReason is required",
        column="ExitReason",
        passes=lambda _: ~pl.col("_strict") | pl.col("ExitReason").is_not_null(),
    ),
}
"""Rules that only a profile switches on; its tests set one."""

ATTENDANCE_PERIODS = (
    _line_rule(
        "FF-ATP-YEAR",
        WARNING,
        "SchoolYear is not the school year of SchoolDate, named by its spring.",
        "Send the year in which the school year ends: 2012 for 2011-2012.",
        column="SchoolYear",
        passes=pl.col("SchoolYear") == school_year("SchoolDate"),
        counterexample={"SchoolYear": "2012"},
        source=FOSTER_FOCUS.page(9),
    ),
)

TEST_SCORES = (
    _line_rule(
        "FF-TST-REQ-IsPassing",
        ERROR,
        "IsPassing is blank on a CAHSEE score.",
        "Send 1 for passed or 0 for failed.",
        column="IsPassing",
        passes=pl.col("IsPassing").is_not_null()
        | ~pl.concat_str("TestType", "TestSubType", separator=" ", ignore_nulls=True)
        .str.to_uppercase()
        .str.contains("CAHSEE"),
        counterexample={"IsPassing": "", "TestType": "CAHSEE"},
        source=f"{FOSTER_FOCUS.page(11)}: required when CAHSEE",
    ),
)


def _is_a_day(column: str) -> pl.Expr:
    return pl.col(column).str.contains(
        r"^(?:[0-9]{4}-[0-9]{2}-[0-9]{2}|[0-9]{1,2}/[0-9]{1,2}/[0-9]{4})$"
    )


SPECIAL_EDUCATION = tuple(
    _line_rule(
        f"FF-SPE-DATE-{column}",
        WARNING,
        f"{column} is not a date.",
        "Send YYYY-MM-DD or MM/DD/YYYY.",
        column=column,
        passes=_is_a_day(column),
        counterexample={column: "soon"},
        source=FOSTER_FOCUS.page(13),
    )
    for column in ("SpecProgEDate", "SpecProgXDate")
)

GPAS = (
    _line_rule(
        "FF-GPA-YEAR",
        WARNING,
        "SchoolYear begins after CalculationDate.",
        "Send the year in which the school year ends: 2012 for 2011-2012.",
        column="SchoolYear",
        passes=pl.col("SchoolYear") <= school_year("CalculationDate"),
        counterexample={"SchoolYear": "2049"},
        source=FOSTER_FOCUS.page(14),
    ),
)
