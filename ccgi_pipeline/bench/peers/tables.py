"""The figures of a comparison as tables in Markdown, for the terminal and for the page.

Belongs here: which figures are shown and how. Does not belong here: the words around them
(``docs/benchmarks.md``).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ccgi_pipeline.bench.page import format_table, insert_between
from ccgi_pipeline.bench.peers.judgement import Outcome

FILE = "peers.json"
BEGINS, ENDS = "<!-- peers -->", "<!-- end of peers -->"

_Figures = Mapping[str, Any]
_KINDS = {
    "columns": "headers",
    "type": "types",
    "required": "required cells",
    "maxLength": "lengths",
    "enum": "codes",
    "pattern": "patterns",
    "minimum": "least values",
    "primaryKey": "keys",
    "foreignKeys": "references between files",
}
"""The kinds of rules in a Data Package, in words."""
_OUTCOMES = {
    Outcome.FOUND: "found",
    Outcome.ELSEWHERE: "not its line",
    Outcome.REFUSED: "file refused",
    Outcome.CRASHED: "crash",
    Outcome.MISSED: "missed",
}


def insert_comparison(page: str, folder: Path) -> str:
    """Returns the page with the figures in ``folder`` between its marks, if there are figures.

    Raises ValueError if there are, and the marks are missing.
    """
    file = folder / FILE
    if not file.exists():
        return page
    return insert_between(page, BEGINS, ENDS, format_comparison(json.loads(file.read_text())))


def format_comparison(figures: _Figures) -> str:
    """Returns the figures of ``Comparison``, as JSON has them, as tables in Markdown."""
    tools = figures["tools"]
    names = [tool["name"] for tool in tools]
    measured = (
        f"Measured on {figures['cores']} cores, which {figures['load']:.1f} other processes shared "
        f"when it began; {figures['students']:,} students in one district, "
        f"{figures['slow_students']:,} for tools with *."
    )
    return "\n\n".join(
        (
            measured,
            format_table(_RUN_COLUMNS, [*_build_run_rows(figures)], words=2),
            "Rules that a tool can be given as a declaration:",
            format_table(("rules", "there are", *names), [*_build_rule_rows(figures)]),
            f"What became of one fault in a good set ({_describe_outcomes(tools)}):",
            format_table(
                ("fault", "file", *names), [*_build_fault_rows(figures)], words=2 + len(names)
            ),
            f"Versions: {'; '.join(map(_describe_versions, tools))}.",
        )
    )


_RUN_COLUMNS = (
    *("tool", "files", "lines", "seconds", "processor s", "lines a second", "a processor second"),
    *("peak MiB", "false findings"),
)


def _build_run_rows(figures: _Figures) -> Iterator[list[str]]:
    largest: dict[str, int] = {}
    for tool in figures["tools"]:
        for run in tool["runs"]:
            largest[run["family"]] = max(largest.get(run["family"], 0), run["lines"])
    for family, most in largest.items():
        for tool in figures["tools"]:
            run = next(run for run in tool["runs"] if run["family"] == family)
            mark = "*" if run["lines"] < most else ""
            yield [
                f"{tool['name']}{mark}",
                family,
                f"{run['lines']:,}",
                f"{run['seconds']:,.1f}",
                f"{run['processor_s']:,.1f}",
                f"{run['lines'] / run['seconds']:,.0f}",
                f"{run['lines'] / run['processor_s']:,.0f}",
                f"{run['peak_mib']:,.0f}",
                run["failed"] or f"{run['false_findings']:,}",
            ]


def _build_rule_rows(figures: _Figures) -> Iterator[list[str]]:
    for kind, words in _KINDS.items():
        can = ["yes" if kind in tool["expresses"] else "no" for tool in figures["tools"]]
        yield [words, f"{figures['rules'].get(kind, 0):,}", *can]
    for words, count in figures["other_rules"].items():
        yield [words, f"{count:,}", "yes", *["no"] * (len(figures["tools"]) - 1)]


def _build_fault_rows(figures: _Figures) -> Iterator[list[str]]:
    for number, fault in enumerate(figures["faults"]):
        outcomes = [tool["outcomes"][number] for tool in figures["tools"]]
        yield [fault["name"], fault["feed"], *map(_describe_outcome, outcomes)]


def _describe_outcome(judged: Mapping[str, Any]) -> str:
    words = _OUTCOMES[Outcome(judged["outcome"])]
    return f"{words}, {judged['lost']:,} lines lost" if judged["lost"] else words


def _describe_outcomes(tools: Sequence[_Figures]) -> str:
    return "; ".join(
        f"{tool['name']}: {sum(one['outcome'] == Outcome.FOUND for one in tool['outcomes'])} found"
        for tool in tools
    )


def _describe_versions(tool: _Figures) -> str:
    libraries = (f"{name} {version}" for name, version in tool["versions"].items())
    return f"{tool['name']} with {', '.join(libraries)}"
