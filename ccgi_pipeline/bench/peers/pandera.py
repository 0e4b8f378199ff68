"""pandas with pandera: a Data Package as pandera schemas.

Belongs here: what of a Data Package a pandera schema expresses, and the findings of a validation
that goes on after the first fault (``lazy``). A schema is of one frame: it has no references
between files.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from ccgi_pipeline.bench.peers.exchange import (
    HEADER_LINE,
    KINDS,
    Answer,
    Finding,
    Task,
    answer_tasks,
)
from ccgi_pipeline.bench.peers.frames import find_lines, list_words, pattern_of, read_frames

if TYPE_CHECKING:
    import pandas as pd
    import pandera.pandas as pa

DISTRIBUTIONS = ("pandera", "pandas", "pyarrow")
EXPRESSES = frozenset(KINDS) - {"foreignKeys"}
_HEADER_CHECKS = ("column_in_dataframe", "column_in_schema")


def judge(task: Task) -> Answer:
    """Validates every file of a set against its schema."""
    import pandera.pandas as pa

    answer = Answer()
    for resource, frame in read_frames(task, answer):
        try:
            build_schema(resource["schema"]).validate(frame, lazy=True)
        except pa.errors.SchemaErrors as errors:
            answer.findings.extend(_list_findings(resource["path"], errors.failure_cases))
    return answer


def build_schema(schema: dict[str, Any]) -> pa.DataFrameSchema:
    """Returns the pandera schema of a Table Schema.

    Dates and numbers are coerced from text: a cell that cannot be is a finding. No column but those
    of the schema may be there.
    """
    import pandera.pandas as pa

    return pa.DataFrameSchema(
        {field["name"]: _build_column(field) for field in schema["fields"]},
        unique=schema["primaryKey"],
        report_duplicates="exclude_first",
        strict=True,
    )


def _build_column(field: dict[str, Any]) -> pa.Column:
    import pandera.pandas as pa
    from pandera.engines import pandas_engine

    kind, limits = field["type"], field.get("constraints", {})
    types: dict[str, Any] = {"number": "float64"}
    if kind in {"date", "datetime"}:
        types[kind] = pandas_engine.DateTime(  # type: ignore[call-arg]  # pandera makes its own __init__
            to_datetime_kwargs={"format": field["format"]}
        )
    return pa.Column(
        types.get(kind, str),
        checks=[*_build_checks(field, limits)],
        nullable="required" not in limits,
        coerce=kind in types,
    )


def _build_checks(field: dict[str, Any], limits: dict[str, Any]) -> Iterator[pa.Check]:
    import pandera.pandas as pa

    if words := list_words(field):
        yield pa.Check.isin(words)
    if pattern := pattern_of(field):
        yield pa.Check.str_matches(pattern)
    if "maxLength" in limits:
        yield pa.Check.str_length(max_value=limits["maxLength"])
    if "minimum" in limits:
        yield pa.Check.ge(limits["minimum"])


def _list_findings(name: str, cases: pd.DataFrame) -> Iterator[Finding]:
    for rule, found in cases.groupby(cases["check"].astype(str)):
        yield from find_lines(name, str(rule), found["index"].dropna().unique().tolist())
        if found["index"].isna().any():
            yield Finding(name, HEADER_LINE if rule in _HEADER_CHECKS else None, str(rule))


if __name__ == "__main__":
    answer_tasks(judge, DISTRIBUTIONS)
