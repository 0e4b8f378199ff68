"""Great Expectations over pandas frames: a Data Package as suites of expectations.

Belongs here: what of a Data Package a suite expresses, and the findings of a validation with every
unexpected row (``COMPLETE``). Expectations of numbers need numbers and the cells are text, so a
number's least value is not expressed; a suite is of one frame and has no references.
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
    from great_expectations import ExpectationSuite
    from great_expectations.core import ExpectationValidationResult
    from great_expectations.expectations import Expectation

DISTRIBUTIONS = ("great-expectations", "pandas", "pyarrow")
EXPRESSES = frozenset(KINDS) - {"foreignKeys", "minimum"}
_NUMBER = r"^[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)$"
_OF_COLUMNS = "expect_table_columns_to_match_set"


def judge(task: Task) -> Answer:
    """Validates every file of a set against its suite."""
    import great_expectations as gx
    from great_expectations.data_context.types.base import ProgressBarsConfig

    answer = Answer()
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    assets = context.data_sources.add_pandas("received")
    for resource, frame in read_frames(task, answer):
        asset = assets.add_dataframe_asset(resource["name"])
        batch = asset.add_batch_definition_whole_dataframe("whole").get_batch({"dataframe": frame})
        validated = batch.validate(build_suite(resource["schema"]), result_format="COMPLETE")
        for result in validated.results:
            answer.findings.extend(_list_findings(resource["path"], result))
    return answer


def build_suite(schema: dict[str, Any]) -> ExpectationSuite:
    """Returns the suite of a Table Schema."""
    from great_expectations import ExpectationSuite
    from great_expectations import expectations as gxe

    keys, names = schema["primaryKey"], [field["name"] for field in schema["fields"]]
    expected = [gxe.ExpectTableColumnsToMatchSet(column_set=names, exact_match=True)]
    if len(keys) > 1:
        expected.append(gxe.ExpectCompoundColumnsToBeUnique(column_list=keys))
    else:
        expected.append(gxe.ExpectColumnValuesToBeUnique(column=keys[0]))
    expected += [one for field in schema["fields"] for one in _build_expectations(field)]
    return ExpectationSuite(name="rules", expectations=expected)


def _build_expectations(field: dict[str, Any]) -> Iterator[Expectation]:
    from great_expectations import expectations as gxe

    name, limits = field["name"], field.get("constraints", {})
    if field["type"] in {"date", "datetime"}:
        yield gxe.ExpectColumnValuesToMatchStrftimeFormat(
            column=name, strftime_format=field["format"]
        )
    if "required" in limits:
        yield gxe.ExpectColumnValuesToNotBeNull(column=name)
    if words := list_words(field):
        yield gxe.ExpectColumnValuesToBeInSet(column=name, value_set=words)
    if pattern := _NUMBER if field["type"] == "number" else pattern_of(field):
        yield gxe.ExpectColumnValuesToMatchRegex(column=name, regex=pattern)
    if "maxLength" in limits:
        yield gxe.ExpectColumnValueLengthsToBeBetween(column=name, max_value=limits["maxLength"])


def _list_findings(name: str, result: ExpectationValidationResult) -> Iterator[Finding]:
    if result.success:
        return
    rule = result.expectation_config.type
    rows = result.result.get("unexpected_index_list")
    if rows:
        yield from find_lines(name, rule, rows)
    else:
        yield Finding(name, HEADER_LINE if rule == _OF_COLUMNS else None, rule)


if __name__ == "__main__":
    answer_tasks(judge, DISTRIBUTIONS)
