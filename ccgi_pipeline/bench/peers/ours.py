"""``ccgi check`` as one of the tools: its answer in the words of all others.

Belongs here: findings, lines and refusals of a check. Does not belong here: checking.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

from ccgi_pipeline.bench.peers.exchange import Answer, Finding, Task
from ccgi_pipeline.verification import offline_check, receipts


def judge(task: Task, on: date) -> Answer:
    """Checks a set as ``ccgi check --family`` does."""
    checked = offline_check.check([Path(task.folder)], on, task.family)
    return read_check(receipts.describe_check(checked.verdict, checked.files))


def read_check(check: Mapping[str, Any]) -> Answer:
    """Returns the answer in the JSON object of ``ccgi check --format json``."""
    answer = Answer()
    for file in check["files"]:
        name = Path(file["path"]).name
        answer.lines[name] = file["lines"]
        answer.findings.extend(
            Finding(name, found["line"], found["rule"]) for found in file["findings"]
        )
        if file["verdict"] == "rejected" and not file["fates"].get("accepted"):
            answer.refused[name] = file["findings"][0]["rule"]
    return answer
