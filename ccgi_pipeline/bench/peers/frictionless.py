"""frictionless: a Data Package as it is.

Belongs here: the findings of its validation of a whole package, references between files included.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ccgi_pipeline.bench.peers.exchange import (
    HEADER_LINE,
    KINDS,
    Answer,
    Finding,
    Task,
    answer_tasks,
)

if TYPE_CHECKING:
    from frictionless import ReportTask

DISTRIBUTIONS = ("frictionless",)
EXPRESSES = frozenset(KINDS)
_TABLE, _HEADER = "#table", "#header"
"""Tags of errors in a table that could be opened, and of those in its header."""


def judge(task: Task) -> Answer:
    """Validates a set as a package."""
    from frictionless import Package

    answer = Answer()
    report = Package.from_descriptor(task.package, basepath=task.folder).validate()
    for told in report.tasks:
        _add_findings(answer, told)
    return answer


def _add_findings(answer: Answer, told: ReportTask) -> None:
    for error in told.errors:
        if _TABLE not in error.tags:
            answer.refused[told.place] = error.type
            return
        row = getattr(error, "row_number", None)
        line = HEADER_LINE if _HEADER in error.tags else row
        answer.findings.append(Finding(told.place, line, error.type))
    answer.lines[told.place] = int(told.stats["rows"])


if __name__ == "__main__":
    answer_tasks(judge, DISTRIBUTIONS)
