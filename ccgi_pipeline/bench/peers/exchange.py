"""The messages between the benchmark and the tools' processes, as lines of JSON.

Belongs here: the task, the answer, and the loop that every tool's process runs. Only the standard
library is imported: other tools run where the project's libraries are not installed.
"""

from __future__ import annotations

import json
import platform
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeAlias

Package: TypeAlias = dict[str, Any]
"""A Data Package of Frictionless: the rules of one set of files."""
KINDS = (
    *("type", "required", "enum", "maxLength", "pattern", "minimum"),
    *("columns", "primaryKey", "foreignKeys"),
)
"""The kinds of rules in a Data Package. ``columns``: the names in a file's header."""
HEADER_LINE = 1


@dataclass(frozen=True, slots=True)
class Task:
    """One set of files to judge: its folder, family, and the rules for it."""

    folder: str
    family: str
    package: Package


@dataclass(frozen=True, slots=True)
class Finding:
    """One place where a tool says that a rule is not met; ``line`` is None if it does not say."""

    file: str
    line: int | None
    rule: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What a tool said of one set: findings, and the data lines that it saw in each file.

    ``refused``: by file the reason why nothing of it was judged. ``crashed``: the kind of error
    with which the tool gave up, or "".
    """

    findings: list[Finding] = field(default_factory=list)
    lines: dict[str, int] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    crashed: str = ""


Judge: TypeAlias = Callable[[Task], Answer]


def write_tasks(path: Path, tasks: Sequence[Task]) -> None:
    """Writes the tasks that a tool's process is given."""
    path.write_text("".join(f"{json.dumps(asdict(task))}\n" for task in tasks))


def read_answers(path: Path, count: int) -> tuple[dict[str, str], list[Answer]]:
    """Returns the versions of the tool's libraries, and the answers to ``count`` tasks.

    Tasks without an answer are those at which the process ended.
    """
    lines = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    versions, answers = (lines[0], lines[1:]) if lines else ({}, [])
    read = [
        Answer(**{**answer, "findings": [Finding(**found) for found in answer["findings"]]})
        for answer in answers
    ]
    return versions, [*read, *[Answer(crashed="the process ended")] * (count - len(read))]


def answer_tasks(judge: Judge, distributions: Sequence[str]) -> None:
    """Judges the tasks in the file of the first argument; writes answers to that of the second."""
    tasks, answers = map(Path, sys.argv[1:3])
    with answers.open("w") as file:
        for line in _answer_lines(judge, distributions, tasks):
            file.write(f"{json.dumps(line)}\n")
            file.flush()


def _answer_lines(
    judge: Judge, distributions: Sequence[str], tasks: Path
) -> Iterator[dict[str, Any]]:
    yield {"python": platform.python_version(), **{name: version(name) for name in distributions}}
    for line in tasks.read_text().splitlines():
        try:
            answer = judge(Task(**json.loads(line)))
        except Exception as error:  # noqa: BLE001 - that a tool crashes is a result
            answer = Answer(crashed=type(error).__name__)
        yield asdict(answer)
