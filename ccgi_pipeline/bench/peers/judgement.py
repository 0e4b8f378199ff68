"""Whether a tool found a planted fault.

Belongs here: comparing an answer with where the fault is; every tool is judged alike. Does not
belong here: planting (``faults``), asking (``comparison``).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from ccgi_pipeline.bench.peers.exchange import Answer
from ccgi_pipeline.bench.peers.faults import PlantedFault


class Outcome(StrEnum):
    """What became of a fault, the best first."""

    FOUND = "found"
    """At its line; a fault of a whole file by any finding."""
    ELSEWHERE = "elsewhere"
    """Something was found, but not at the fault's line."""
    REFUSED = "refused"
    """The tool could not read the file and judged none of its lines."""
    CRASHED = "crashed"
    """The tool gave up with an error of its own."""
    MISSED = "missed"


@dataclass(frozen=True, slots=True)
class Judged:
    """What became of one fault; ``lost``: data lines that the tool did not see, unsaid."""

    outcome: Outcome
    lost: int = 0


def judge_answer(answer: Answer, planted: PlantedFault, of_good: Answer) -> Judged:
    """Judges a tool's answer about a faulty set, less what the tool finds in the good set.

    That a file cannot be read is a find where the fault is that it is gone.
    """
    new = set(answer.findings) - set(of_good.findings)
    of_file = {found.line for found in new if found.file == planted.file}
    if of_file & set(planted.lines) or (new and not planted.lines):
        return Judged(Outcome.FOUND)
    if planted.file in answer.refused:
        return Judged(Outcome.REFUSED if planted.count else Outcome.FOUND)
    if answer.crashed:
        return Judged(Outcome.CRASHED)
    seen = answer.lines.get(planted.file, planted.count)
    return Judged(Outcome.ELSEWHERE if new else Outcome.MISSED, max(0, planted.count - seen))
