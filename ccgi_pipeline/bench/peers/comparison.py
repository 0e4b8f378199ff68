"""The comparison: every tool over good sets for its speed, and over faulty ones.

Belongs here: ``ccgi bench peers`` from the sets to the figures. Does not belong here: the sets, the
tools, judging (a module each), and how figures look (``tables``).
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

from ccgi_pipeline.bench.floors import measure_mib
from ccgi_pipeline.bench.peers.exchange import Answer, Task
from ccgi_pipeline.bench.peers.faults import FAULTS, PlantedFault
from ccgi_pipeline.bench.peers.judgement import Judged, judge_answer
from ccgi_pipeline.bench.peers.rules import count_other_rules, count_rules
from ccgi_pipeline.bench.peers.sets import make_good_sets, plant_faults
from ccgi_pipeline.bench.peers.tools import OwnCheck, Peer, list_tools
from ccgi_pipeline.common.progress import ProgressCounter

FAULTY_STUDENTS = 300
"""Students of the sets with faults."""


@dataclass(frozen=True, slots=True)
class Run:
    """A tool's run over one good set: its size, seconds, memory, and findings, all of them false.

    ``lines`` are those that the tool saw. ``failed``: why it judged some file not at all, or "".
    """

    family: str
    lines: int
    mib: float
    seconds: float
    processor_s: float
    peak_mib: float
    false_findings: int
    failed: str


@dataclass(frozen=True, slots=True)
class ToolFigures:
    """One tool: versions of its libraries, kinds of rules, runs, and what became of each fault."""

    name: str
    versions: Mapping[str, str]
    expresses: Sequence[str]
    runs: Sequence[Run]
    outcomes: Sequence[Judged]


@dataclass(frozen=True, slots=True)
class Comparison:
    """All figures of one comparison.

    ``load``: how many processes wanted a core when it began; 0 is a free machine. ``rules``: how
    many of each kind the tools are given; ``other_rules``: how many they cannot be. ``faults``:
    what the outcomes of each tool are about, in their order.
    """

    measured: str
    cores: int
    load: float
    students: int
    slow_students: int
    rules: Mapping[str, int]
    other_rules: Mapping[str, int]
    faults: Sequence[Mapping[str, str]]
    tools: Sequence[ToolFigures]


def compare_tools(
    data: Path, environment: Path, students: int, slow_students: int, on: date
) -> Comparison:
    """Compares all tools over the sets of one district, made in ``data`` (replaced).

    ``environment`` has the other tools. Slow tools get a good set of ``slow_students``.

    Raises:
        FileNotFoundError: ``environment`` is not there.
        ModuleNotFoundError: it does not have one of the tools.
    """
    load, tools = os.getloadavg()[0], list_tools(environment, on)
    shutil.rmtree(data, ignore_errors=True)
    large = make_good_sets(data / "large", students, on)
    small = make_good_sets(data / "small", slow_students, on)
    few = make_good_sets(data / "few", FAULTY_STUDENTS, on)
    planted = plant_faults(few, data / "faults")
    progress = ProgressCounter("running tools", len(tools))
    packages = {family: task.package for family, task in few.items()}
    compared = []
    for tool in tools:
        compared.append(compare_tool(tool, small if tool.slow else large, few, planted))
        progress.advance()
    return Comparison(
        measured=date.today().isoformat(),  # noqa: DTZ011 - the day on this machine's clock
        cores=os.cpu_count() or 0,
        load=load,
        students=students,
        slow_students=slow_students,
        rules=count_rules(packages.values()),
        other_rules=count_other_rules(packages),
        faults=[{"name": fault.name, "feed": fault.feed, "rule": fault.rule} for fault in FAULTS],
        tools=compared,
    )


def compare_tool(
    tool: OwnCheck | Peer,
    good: Mapping[str, Task],
    few: Mapping[str, Task],
    planted: Sequence[PlantedFault],
) -> ToolFigures:
    """Runs a tool over the ``good`` sets, the ``few`` students' sets, and their faulty copies."""
    replies = {family: tool.measure(task) for family, task in good.items()}
    faulty = [replace(few[one.fault.family], folder=str(one.folder)) for one in planted]
    answers = tool.ask([*few.values(), *faulty])
    of_good = dict(zip(few, answers, strict=False))
    return ToolFigures(
        name=tool.name,
        versions=next(iter(replies.values())).versions,
        expresses=sorted(tool.expresses),
        runs=[
            Run(
                family=family,
                lines=sum(reply.answers[0].lines.values()),
                mib=measure_mib(Path(good[family].folder)),
                seconds=reply.usage.seconds,
                processor_s=reply.usage.processor_seconds,
                peak_mib=reply.usage.peak_mib,
                false_findings=len(reply.answers[0].findings),
                failed=_describe_failure(reply.answers[0]),
            )
            for family, reply in replies.items()
        ],
        outcomes=[
            judge_answer(answer, one, of_good[one.fault.family])
            for answer, one in zip(answers[len(few) :], planted, strict=True)
        ],
    )


def _describe_failure(answer: Answer) -> str:
    return answer.crashed or ", ".join(answer.refused.values())
