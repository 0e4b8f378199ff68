"""A folder that is no warehouse: one line says so, and nothing is left in it or anywhere."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from ccgi_pipeline.cli import main

COMMANDS = [
    ["status"],
    ["deliveries", "list"],
    ["hold", "list"],
    ["claims", "list"],
    ["notices", "list"],
    ["audit", "list"],
    ["audit", "verify"],
    ["heartbeat", "--outbox", "."],
    ["replay"],
    ["housekeeping"],
    ["housekeeping", "--dry-run"],
    ["rebuild", "--delivery", "3f2a", "--out", "made"],
    ["explain", "1234567890"],
    ["purge", "--district", "3367173", "--outbox", ".", "--inbox", "."],
    ["purge", "--before", "2026-01-01", "--outbox", ".", "--inbox", ".", "--apply", "--by", "A"],
    ["encryption", "status"],
    ["warehouse", "move", "--to-postgres"],
]


def _below(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")}


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
@pytest.mark.parametrize("holds", [None, "3367173/transcript/Student.csv"])
def test_a_command_on_a_folder_that_is_no_warehouse_leaves_it_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: list[str], holds: str | None
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "folder"
    folder.mkdir()
    if holds:
        (folder / holds).parent.mkdir(parents=True)
        (folder / holds).write_bytes(b"a")
    before = _below(tmp_path)
    done = CliRunner().invoke(main, [*command, "--warehouse", "folder"])
    assert done.exit_code == 2
    (line,) = done.output.splitlines()
    assert line == "Error: there is no warehouse at folder (--warehouse names it)"
    assert _below(tmp_path) == before


def test_a_settings_file_alone_is_no_reason_for_a_traceback(tmp_path: Path) -> None:
    (tmp_path / "profiles.toml").write_text("[heartbeat]\n")
    for command in (["status"], ["hold", "list"], ["explain", "1234567890"]):
        done = CliRunner().invoke(main, [*command, "--warehouse", str(tmp_path)])
        assert done.exit_code == 1
        assert "there is no warehouse in" in done.output.splitlines()[-1]
        assert not (tmp_path / "catalog.sqlite").exists()


def test_a_night_makes_no_warehouse_among_other_files(tmp_path: Path) -> None:
    (tmp_path / "3367173").mkdir()
    folders = ["--inbox", str(tmp_path), "--outbox", str(tmp_path / "outbox")]
    done = CliRunner().invoke(main, ["run", *folders, "--warehouse", str(tmp_path)])
    assert done.exit_code == 2
    assert "holds other files and is no warehouse" in done.output
    assert _below(tmp_path) == {"3367173"}


@pytest.mark.parametrize("missing", ["inbox", "warehouse"])
def test_the_ui_is_refused_over_a_folder_that_does_not_exist(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    monkeypatch.chdir(tmp_path)
    other = {"inbox": "warehouse", "warehouse": "inbox"}[missing]
    (tmp_path / other).mkdir()
    done = CliRunner().invoke(main, ["ui", f"--{other}", other, f"--{missing}", "gone"])
    assert done.exit_code == 2
    assert f"there is no {missing} at gone" in done.output
    assert _below(tmp_path) == {other}
