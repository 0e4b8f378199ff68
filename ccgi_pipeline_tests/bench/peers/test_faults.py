"""Each fault breaks exactly one thing, and ``ccgi check`` tells it at the fault's line.

Belongs here: faults in a generated set, judged by our own check and by frictionless. pandera and
Great Expectations are only in the environment of ``make setup-peers``.
"""

from __future__ import annotations

import csv
import sys
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from ccgi_pipeline.bench.peers import comparison, exchange, frictionless, ours, pandera, tools
from ccgi_pipeline.bench.peers.exchange import Answer, Finding, Task
from ccgi_pipeline.bench.peers.faults import FAULTS, Fault, PlantedFault, plant_fault
from ccgi_pipeline.bench.peers.judgement import Judged, Outcome, judge_answer
from ccgi_pipeline.bench.peers.rules import name_files
from ccgi_pipeline.bench.peers.sets import make_good_sets, plant_faults

ON = date(2026, 12, 1)
_BY_NAME = {fault.name: fault for fault in FAULTS}
_QUICK = ("a code that is not in the list", "one cell too many (a comma)", "a file that is missing")


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Task]:
    """Good sets of both families."""
    return make_good_sets(tmp_path_factory.mktemp("sets") / "good", 200, ON)


def _plant(name: str, good: dict[str, Task], folder: Path) -> tuple[PlantedFault, Task]:
    fault = _BY_NAME[name]
    task = good[fault.family]
    file = name_files(fault.family, Path(task.folder))[fault.feed]
    planted = plant_fault(fault, Path(task.folder), file, folder / "faulty")
    return planted, replace(task, folder=str(planted.folder))


def test_the_good_sets_have_no_fault(good: dict[str, Task]):
    for task in good.values():
        answer = ours.judge(task, ON)
        assert not answer.findings
        assert set(answer.lines) == {resource["path"] for resource in task.package["resources"]}
        assert frictionless.judge(task) == answer


@pytest.mark.parametrize(
    "name",
    [name if name in _QUICK else pytest.param(name, marks=pytest.mark.slow) for name in _BY_NAME],
)
def test_a_fault_breaks_one_rule_at_its_line(name: str, good: dict[str, Task], tmp_path: Path):
    planted, task = _plant(name, good, tmp_path)
    answer = ours.judge(task, ON)
    told = {found.rule for found in answer.findings}
    assert told == {planted.fault.rule, *planted.fault.beside}
    if planted.lines:
        assert {found.line for found in answer.findings} == set(planted.lines)
        assert {found.file for found in answer.findings} == {planted.file}
    assert judge_answer(answer, planted, Answer()).outcome is Outcome.FOUND


def test_a_fault_changes_its_file_alone(good: dict[str, Task], tmp_path: Path):
    for planted in plant_faults(good, tmp_path):
        whole = Path(good[planted.fault.family].folder)
        same = {
            path.name
            for path in whole.iterdir()
            if (planted.folder / path.name).exists()
            and path.read_bytes() == (planted.folder / path.name).read_bytes()
        }
        assert {path.name for path in whole.iterdir()} - same == {planted.file}


def test_a_file_without_a_place_for_the_fault_is_told(tmp_path: Path):
    (tmp_path / "good").mkdir()
    (tmp_path / "good" / "users.csv").write_text("sourcedId,givenName\n1,Ann\n2,Bea\n")
    fault = next(one for one in FAULTS if one.rule == "FILE-ENCODED-TWICE")
    with pytest.raises(ValueError, match="has no place for: a letter that was encoded twice"):
        plant_fault(fault, tmp_path / "good", "users.csv", tmp_path / "faulty")


# --- judging ------------------------------------------------------------------------------------

_FAULT = Fault("of a test", "oneroster_users", "OR-USR-TEST", lambda lines: (lines, (7,)))
_PLANTED = PlantedFault(_FAULT, Path(), "users.csv", (7,), 10)
_THERE, _BESIDE = Finding("users.csv", 7, "r"), Finding("users.csv", 8, "r")
_OTHER_FILE = Finding("orgs.csv", 7, "r")
_ALL_SEEN = {"users.csv": 10}


@pytest.mark.parametrize(
    ("answer", "judged"),
    [
        pytest.param(Answer([_BESIDE, _THERE], _ALL_SEEN), Judged(Outcome.FOUND), id="found"),
        pytest.param(Answer([_BESIDE], _ALL_SEEN), Judged(Outcome.ELSEWHERE), id="another line"),
        pytest.param(Answer([_OTHER_FILE], _ALL_SEEN), Judged(Outcome.ELSEWHERE), id="other file"),
        pytest.param(
            Answer([replace(_THERE, line=None)], _ALL_SEEN), Judged(Outcome.ELSEWHERE), id="no line"
        ),
        pytest.param(Answer([], _ALL_SEEN), Judged(Outcome.MISSED), id="missed"),
        pytest.param(Answer([], {"users.csv": 8}), Judged(Outcome.MISSED, 2), id="lines lost"),
        pytest.param(
            Answer([], {}, {"users.csv": "ParserError"}), Judged(Outcome.REFUSED), id="refused"
        ),
        pytest.param(Answer([], {}, {}, "KeyError"), Judged(Outcome.CRASHED), id="crashed"),
    ],
)
def test_an_answer_is_judged(answer: Answer, judged: Judged):
    assert judge_answer(answer, _PLANTED, Answer()) == judged


def test_what_a_tool_says_of_the_good_set_too_is_no_find():
    said = Answer([_THERE], _ALL_SEEN)
    assert judge_answer(said, _PLANTED, said) == Judged(Outcome.MISSED)


def test_a_fault_of_a_whole_file_is_found_by_any_finding():
    whole = replace(_PLANTED, lines=())
    assert judge_answer(Answer([_OTHER_FILE]), whole, Answer()).outcome is Outcome.FOUND
    refused = Answer(refused={"users.csv": "FileNotFoundError"})
    assert judge_answer(refused, whole, Answer()).outcome is Outcome.REFUSED
    assert judge_answer(refused, replace(whole, count=0), Answer()).outcome is Outcome.FOUND


# --- asking -------------------------------------------------------------------------------------


def test_another_tool_judges_in_a_process_of_its_own(good: dict[str, Task], tmp_path: Path):
    _, faulty = _plant("a reference to no record", good, tmp_path)
    peer = tools.Peer(
        "frictionless", frictionless.__name__, frictionless.EXPRESSES, Path(sys.executable)
    )
    reply = peer.measure(faulty)
    [answer] = reply.answers
    assert [(found.file, found.rule) for found in answer.findings] == [
        ("enrollments.csv", "foreign-key")
    ]
    with (Path(faulty.folder) / "users.csv").open() as file:
        assert answer.lines["users.csv"] == len([*csv.reader(file)]) - 1
    assert set(reply.versions) == {"python", "frictionless"}
    assert reply.usage.exit_status == 0


def test_a_tool_that_is_not_installed_is_told(good: dict[str, Task]):
    peer = tools.Peer("pandera", pandera.__name__, pandera.EXPRESSES, Path(sys.executable))
    with pytest.raises(
        ModuleNotFoundError, match=r"pandera is not in the environment.*setup-peers"
    ):
        peer.measure(good["oneroster"])


def test_a_task_without_an_answer_counts_as_a_crash(
    good: dict[str, Task], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    given, answered = tmp_path / "tasks", tmp_path / "answers"
    exchange.write_tasks(given, [*good.values()])
    monkeypatch.setattr(sys, "argv", ["tool", str(given), str(answered)])

    def judge(task: Task) -> Answer:
        if task.family == "transcript":
            raise KeyError(task.family)
        return Answer([_THERE], {"users.csv": 3})

    exchange.answer_tasks(judge, ["pytest"])
    versions, answers = exchange.read_answers(answered, 3)
    assert set(versions) == {"python", "pytest"}
    assert answers == [
        Answer([_THERE], {"users.csv": 3}),
        Answer(crashed="KeyError"),
        Answer(crashed="the process ended"),
    ]


@pytest.mark.slow
def test_our_check_is_compared_as_the_others_are(good: dict[str, Task], tmp_path: Path):
    planted = plant_faults(good, tmp_path)
    figures = comparison.compare_tool(tools.OwnCheck(ON), good, good, planted)
    assert [judged.outcome for judged in figures.outcomes] == [Outcome.FOUND] * len(FAULTS)
    for run in figures.runs:
        assert run.false_findings == 0
        assert not run.failed
        assert run.lines > 0
        assert run.peak_mib > 0
