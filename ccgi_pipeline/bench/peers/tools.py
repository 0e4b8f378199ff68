"""The tools, and asking each of them in a process of its own.

Belongs here: which tools there are, where their environment is, and what a process of each answers
and takes. Does not belong here: what a tool does with its rules (a module each).
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

from ccgi_pipeline.bench.command_timing import CCGI, ProcessUsage, measure_process
from ccgi_pipeline.bench.peers import frictionless, great_expectations, ours, pandera
from ccgi_pipeline.bench.peers.exchange import KINDS, Answer, Task, read_answers, write_tasks

_PROJECT = Path(__file__).parents[3]
_SET_UP = "make setup-peers makes one at .venv-peers, and --peers names another place"
_QUIET = {"GX_ANALYTICS_ENABLED": "false"}
"""Great Expectations tells its makers what it is used for otherwise."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What a tool answered to some tasks, with the versions of its libraries."""

    usage: ProcessUsage
    versions: dict[str, str]
    answers: list[Answer]


class OwnCheck:
    """``ccgi check``, as of a day."""

    name = "ccgi check"
    expresses = frozenset(KINDS)
    slow = False

    def __init__(self, on: date) -> None:
        self._on = on

    def measure(self, task: Task) -> Reply:
        """Runs the command over one set."""
        with TemporaryDirectory() as folder:
            printed = Path(folder) / "check.json"
            given = ("--family", task.family, "--date", self._on.isoformat(), "--format", "json")
            usage = measure_process([CCGI, "check", task.folder, *given], output=printed)
            text = printed.read_text()
        answer = ours.read_check(json.loads(text)) if text else Answer(crashed="no answer")
        return Reply(usage, {"polars": version("polars")}, [answer])

    def ask(self, tasks: Sequence[Task]) -> list[Answer]:
        """Judges sets in this process, as the command would."""
        return [ours.judge(task, self._on) for task in tasks]


class Peer:
    """Another tool: its module, and the program of Python that has its libraries.

    ``slow``: it is given a smaller set when its speed is measured.
    """

    def __init__(
        self, name: str, module: str, expresses: frozenset[str], python: Path, *, slow: bool = False
    ) -> None:
        self.name, self.expresses, self.slow = name, expresses, slow
        self._command = (python, "-m", module)

    def measure(self, task: Task) -> Reply:
        """Runs the tool over one set.

        Raises:
            ModuleNotFoundError: the environment does not have the tool.
        """
        return self._run([task])

    def ask(self, tasks: Sequence[Task]) -> list[Answer]:
        """Runs the tool over many sets, one after the other in one process."""
        return self._run(tasks).answers

    def _run(self, tasks: Sequence[Task]) -> Reply:
        with TemporaryDirectory() as folder:
            given, answered = Path(folder) / "tasks", Path(folder) / "answers"
            write_tasks(given, tasks)
            variables = {**_QUIET, "PYTHONPATH": os.fspath(_PROJECT)}
            usage = measure_process([*self._command, given, answered], variables=variables)
            versions, answers = read_answers(answered, len(tasks))
        if not versions:
            msg = f"{self.name} is not in the environment of {self._command[0]}: {_SET_UP}"
            raise ModuleNotFoundError(msg)
        return Reply(usage, versions, answers)


def list_tools(environment: Path, on: date) -> list[OwnCheck | Peer]:
    """Returns all tools, ours first.

    Raises:
        FileNotFoundError: ``environment`` has no Python.
    """
    python = environment / "bin" / "python"
    if not python.exists():
        msg = f"there is no environment with the other tools at {environment}: {_SET_UP}"
        raise FileNotFoundError(msg)
    python = python.absolute()  # not resolved: a link's own folder is the environment
    return [
        OwnCheck(on),
        Peer("pandas + pandera", pandera.__name__, pandera.EXPRESSES, python),
        Peer("frictionless", frictionless.__name__, frictionless.EXPRESSES, python, slow=True),
        Peer(
            "Great Expectations", great_expectations.__name__, great_expectations.EXPRESSES, python
        ),
    ]
