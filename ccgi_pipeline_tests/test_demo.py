"""The end of ``ccgi demo``: what it says to look at next is there, and its commands exist."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

from ccgi_pipeline.cli import main
from ccgi_pipeline.cli.demo import _print_next_steps
from ccgi_pipeline.common.environment import WAREHOUSE

MADE = (
    "inbox/0161192/transcript/StudentTemplate_20261122.csv",
    "outbox/HaywardUnified/_receipts/20261122_transcript_0a.html",
    "outbox/HaywardUnified/daily reporting/a report/HaywardUnified_20261122_Detail.csv",
)


def _told(data: Path, capsys: pytest.CaptureFixture[str]) -> list[str]:
    for name in MADE:
        (data / name).parent.mkdir(parents=True)
        (data / name).touch()
    _print_next_steps(data)
    return [line.strip() for line in capsys.readouterr().out.splitlines() if line[:4] == "    "]


@pytest.mark.parametrize("data", ["data/demo", "elsewhere", "a folder"])
def test_paths_and_commands_are_as_they_must_be_typed(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    data: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    told = _told(Path(data), capsys)
    assert f"{data}/{MADE[1]}" in told
    assert f"{data}/{MADE[2]}" in told
    commands = [shlex.split(line.split("   ")[0])[1:] for line in told if line.startswith("ccgi ")]
    assert [command[0] for command in commands] == ["ui", "status", "check", "run"]
    for command in commands:
        assert CliRunner().invoke(main, [*command, "--help"]).exit_code == 0
        assert ("--warehouse" in command) == (data != "data/demo" and command[0] != "check")
    assert commands[2][1] == f"{data}/{MADE[0]}"


def test_folders_are_named_if_a_variable_names_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(WAREHOUSE, "another")
    told = _told(Path("data/demo"), capsys)
    assert "ccgi status --warehouse data/demo/warehouse" in told
