"""The example for GitHub Actions: it is a workflow, and its commands do what it says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from ccgi_pipeline.cli import main

PROJECT = Path(__file__).parents[2]
WORKFLOW = PROJECT / "deploy" / "github-actions" / "checks.yml"


@pytest.fixture
def job() -> dict[str, Any]:
    # YAML reads the key ``on`` as true.
    workflow = yaml.safe_load(WORKFLOW.read_text())
    assert {"name", True, "permissions", "jobs"} == workflow.keys()
    (job,) = workflow["jobs"].values()
    return job


def _scripts(job: dict[str, Any]) -> list[str]:
    return [step["run"] for step in job["steps"] if ".venv/bin/ccgi" in step.get("run", "")]


def test_its_commands_have_the_options_that_they_use(job: dict[str, Any]) -> None:
    commands = re.findall(
        r"\.venv/bin/ccgi (\w+) (.*)", "\n".join(_scripts(job)).replace("\\\n", "")
    )
    assert [name for name, _ in commands] == ["generate", "run"]
    for name, arguments in commands:
        shown = CliRunner().invoke(main, [name, "--help"]).output
        assert [
            option for option in re.findall(r"--[a-z-]+", arguments) if option not in shown
        ] == []
    (fail_on,) = re.findall(r"error|warning", job["env"]["FAIL_ON"])
    assert '"$FAIL_ON" --checks-file "$GITHUB_STEP_SUMMARY"' in _scripts(job)[-1]
    assert fail_on == "error"


@pytest.mark.slow
def test_it_runs_a_night_over_a_folder_and_shows_the_checks(
    job: dict[str, Any], tmp_path: Path
) -> None:
    checkout, temporary = tmp_path / "checkout", tmp_path / "temporary"
    (checkout / ".venv" / "bin").mkdir(parents=True)
    temporary.mkdir()
    (checkout / ".venv" / "bin" / "ccgi").symlink_to(Path(sys.executable).with_name("ccgi"))
    summary = tmp_path / "summary.md"
    for script in _scripts(job):
        done = subprocess.run(
            ["bash", "-e", "-o", "pipefail", "-c", script],
            cwd=checkout,
            env={
                **os.environ,
                **job["env"],
                "RUNNER_TEMP": f"{temporary}",
                "GITHUB_STEP_SUMMARY": f"{summary}",
            },
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
    assert " checks passed, " in summary.read_text()
    assert list((temporary / "outbox").glob("*/daily reporting/*/*.csv"))
