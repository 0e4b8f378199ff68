"""The command line as its users meet it: exit statuses, JSON, help, no value printed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from ccgi_pipeline import cli
from ccgi_pipeline.cli import main
from ccgi_pipeline.cli.check_serve import CheckCommand
from ccgi_pipeline.feeds.transcript import STUDENT
from ccgi_pipeline_tests.files import as_bytes
from ccgi_pipeline_tests.nightly.inboxes import PALM_SPRINGS, PALM_SPRINGS_HIGH, put, student
from ccgi_pipeline_tests.nightly.nights import bytes_below, folders_in, load_and_answer

STUDENTS = [student(f"100000000{number}", PALM_SPRINGS_HIGH) for number in range(5)]
PATH = f"{PALM_SPRINGS}/transcript/StudentTemplate_20261120.csv"


def ccgi(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def checked(folder: Path, *arguments: str) -> Result:
    return ccgi("check", folder, "--date", "2026-11-22", *arguments)


@pytest.fixture
def good(tmp_path: Path) -> Path:
    put(tmp_path, PATH, as_bytes(STUDENT, STUDENTS))
    return tmp_path


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    lines = [*STUDENTS[:4], {**STUDENTS[4], "StateID": "12345", "LastName": "Canaryname"}]
    put(tmp_path, PATH, as_bytes(STUDENT, lines))
    return tmp_path


def test_a_good_file_exits_0(good: Path) -> None:
    result = checked(good)
    assert result.exit_code == 0, result.output
    assert result.output.endswith("verdict: accepted\n")


def test_a_line_that_cannot_be_loaded_exits_1_and_is_named(broken: Path) -> None:
    result = checked(broken)
    assert result.exit_code == 1
    assert "line 6, StateID" in result.output
    assert "TR-STU-TYPE-StateID" in result.output


@pytest.mark.parametrize("form", ["text", "json", "html"])
def test_no_value_of_a_file_is_printed(broken: Path, form: str) -> None:
    result = checked(broken, "--format", form)
    assert "TR-STU-TYPE-StateID" in result.output
    for cell in ("12345", "Canaryname", "1000000000"):
        assert cell not in result.output


def test_a_path_that_is_not_there_exits_2(tmp_path: Path) -> None:
    assert checked(tmp_path / "nowhere").exit_code == 2


def test_files_that_no_feed_knows_exit_2(tmp_path: Path) -> None:
    put(tmp_path, "notes.txt", b"hello\n")
    assert checked(tmp_path).exit_code == 2


def test_an_empty_folder_exits_2(tmp_path: Path) -> None:
    assert checked(tmp_path).exit_code == 2


def test_the_json_has_the_shape_that_the_design_promises(broken: Path) -> None:
    answer = json.loads(checked(broken, "--format", "json").output)
    assert answer["verdict"] == "accepted_with_findings"
    assert answer["meaning"] == "4 of 5 lines can be loaded."
    assert answer["what_to_do"].startswith("Correct what is marked “error”")
    (file,) = answer["files"]
    assert file["path"].endswith(PATH)
    assert file["family"] == "transcript"
    assert file["feed"] == "transcript_student"
    assert file["encoding"] == "utf-8"
    assert file["lines"] == sum(file["fates"].values()) == 5
    assert file["fates"] == {"accepted": 4, "rejected": 1}
    assert file["findings_omitted"] == 0
    (error,) = [found for found in file["findings"] if found["severity"] == "error"]
    assert error == {
        "rule": "TR-STU-TYPE-StateID",
        "severity": "error",
        "line": 6,
        "column": "StateID",
        "message": "StateID is not in the form that this file needs.",
        "cause": None,
    }


def test_a_checks_text_fits_a_terminal_and_is_one_line_a_point_elsewhere(
    broken: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = checked(broken).output
    monkeypatch.setenv("COLUMNS", "80")
    folded = checked(broken).output
    assert max(map(len, plain.splitlines())) > 80
    path = str(broken)
    assert [line for line in folded.splitlines() if len(line) > 80 and path not in line] == []
    assert folded.split() == plain.split(), "no word is broken or lost"
    starts = {line for line in plain.splitlines() if not line.startswith(" ")}
    first_words = {line.split(" ", 1)[0] for line in starts}
    for line in folded.splitlines():
        if line and not line.startswith(" "):
            assert line.split(" ", 1)[0] in first_words, "a rest is indented"


@pytest.mark.parametrize("form", ["text", "json", "html"])
def test_a_check_links_a_published_dictionary_only_where_the_settings_name_it(
    broken: Path, tmp_path: Path, form: str
) -> None:
    settings = tmp_path / "profiles.toml"
    settings.write_text('[receipts]\ndictionary_url = "https://ccgi.example.org/dictionary/"\n')
    folder, page = broken / PALM_SPRINGS, "dictionary/rules/TR-STU-TYPE-StateID.html"
    linked = checked(folder, "--format", form, "--profiles", str(settings)).output
    assert f"https://ccgi.example.org/{page}" in linked
    assert "example.org" not in checked(folder, "--format", form).output


def test_checking_changes_nothing(broken: Path) -> None:
    before = bytes_below(broken)
    checked(broken)
    assert bytes_below(broken) == before


def test_a_folder_called_as_the_page_is_judged(
    good: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert "--port" in ccgi("check", "serve", "--help").output
    (tmp_path / "serve").mkdir()
    (good / PATH).rename(tmp_path / "serve" / "StudentTemplate.csv")
    result = ccgi("check", "serve", "--date", "2026-11-22")
    assert result.exit_code == 0, result.output
    assert "verdict: accepted" in result.output
    assert ccgi("check", "./serve", "--date", "2026-11-22").exit_code == 0


def test_the_page_takes_no_paths_and_paths_come_with_no_page(tmp_path: Path) -> None:
    assert ccgi("check", "serve", tmp_path).exit_code == 2
    both = ccgi("check", tmp_path, "serve")
    assert both.exit_code == 2
    assert "serve: no such file or folder" in both.output


# --- help -----------------------------------------------------------------------------------------


def _commands(group: click.Group) -> Iterator[tuple[list[str], click.Command]]:
    """Every command below a group, with the words that call it."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from (([name, *words], found) for words, found in _commands(command))
        else:
            yield [name], command
        if isinstance(command, CheckCommand):
            yield from (([name, below], found) for below, found in command.commands.items())


COMMANDS = {" ".join(words): command for words, command in _commands(main)}


def test_there_are_all_the_commands() -> None:
    assert len(COMMANDS) >= 50
    modules = {path.stem.replace("_", "-") for path in Path(cli.__path__[0]).glob("*.py")}
    assert modules - {"--init--", "common", "check-serve"} == set(cli.COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_shows_an_example(name: str) -> None:
    result = ccgi(*name.split(), "--help")
    assert result.exit_code == 0
    _, _, example = result.output.partition("\n  Example:\n")
    assert f"ccgi {name}" in " ".join(example.split())


def test_the_table_of_commands_says_what_their_help_says() -> None:
    context = click.Context(main)
    for name, line in cli.COMMANDS.items():
        command = main.get_command(context, name)
        assert command is not None
        assert command.get_short_help_str(limit=200) == line
    shown = ccgi("--help").output.splitlines()
    for name, line in cli.COMMANDS.items():
        assert f"  {name}".ljust(18) + line in shown, "a line is as wide as a terminal"


_LIBRARIES = {
    *("cryptography", "dagster", "duckdb", "jinja2", "numpy", "pandera", "paramiko", "polars"),
    *("pyarrow", "pydantic", "rich", "splink", "sqlcipher3"),
}


def _imported_by(*arguments: str, **environment: str) -> set[str]:
    """The modules that a run of ``ccgi`` imports."""
    run = f"""
import atexit, sys
atexit.register(lambda: print(*sys.modules, file=sys.stderr))
from ccgi_pipeline import cli
from ccgi_pipeline.cli import main
main({list(arguments)!r}, prog_name="ccgi")
"""
    done = subprocess.run(
        [sys.executable, "-c", run],
        capture_output=True,
        check=True,
        text=True,
        env={**os.environ, **environment},
    )
    assert done.stdout
    return set(done.stderr.split())


_COMPLETION = {"_CCGI_COMPLETE": "bash_complete", "COMP_WORDS": "ccgi st", "COMP_CWORD": "1"}


@pytest.mark.parametrize(
    ("arguments", "environment"),
    [(["--help"], {}), (["--version"], {}), ([], _COMPLETION)],
    ids=["help", "version", "completion"],
)
def test_help_version_and_completion_import_no_command_and_no_library(
    arguments: list[str], environment: dict[str, str]
) -> None:
    imported = _imported_by(*arguments, **environment)
    ours = {name for name in imported if name.startswith("ccgi_pipeline")}
    assert ours <= {
        "ccgi_pipeline",
        "ccgi_pipeline.cli",
        "ccgi_pipeline.common",
        "ccgi_pipeline.common.errors",
        "ccgi_pipeline.common.garbage_collection",
        "ccgi_pipeline.common.owner_only",
    }
    assert not imported & _LIBRARIES


def test_a_check_imports_only_what_judges_files(good: Path) -> None:
    imported = _imported_by("check", str(good), "--date", "2026-11-22")
    assert {"polars", "pandera"} <= imported
    assert not imported & (_LIBRARIES - {"numpy", "pandera", "polars", "pydantic"})
    assert not imported & {"ccgi_pipeline.warehouse", "ccgi_pipeline.reports"}


def test_completion_names_commands_options_and_families() -> None:
    def completed(words: str, at: int) -> list[str]:
        environment = {
            "COMP_WORDS": words,
            "COMP_CWORD": f"{at}",
            "_CCGI_COMPLETE": "bash_complete",
        }
        result = CliRunner().invoke(main, [], prog_name="ccgi", env=environment)
        return [line.partition(",")[2] for line in result.output.splitlines()]

    assert completed("ccgi s", 1) == ["status", "support-bundle"]
    assert completed("ccgi hold a", 2) == ["approve"]
    assert completed("ccgi status --w", 2) == ["--warehouse"]
    assert "oneroster" in completed("ccgi check --family o", 3)


def _completion_script(shell: str) -> str:
    environment = {"_CCGI_COMPLETE": f"{shell}_source"}
    return CliRunner().invoke(main, [], prog_name="ccgi", env=environment).output


@pytest.mark.parametrize(
    ("shell", "asked", "answered"),
    [
        ("bash", {"COMP_WORDS": "ccgi stat", "COMP_CWORD": "1"}, "plain,status\n"),
        (
            "zsh",
            {"COMP_WORDS": "ccgi stat", "COMP_CWORD": "1"},
            f"plain\nstatus\n{cli.COMMANDS['status']}\n",
        ),
        (
            "fish",
            {"COMP_WORDS": "ccgi stat", "COMP_CWORD": "stat"},
            f"plain,status\t{cli.COMMANDS['status']}\n",
        ),
    ],
)
def test_each_documented_shell_gets_its_script_and_its_answers(
    shell: str, asked: dict[str, str], answered: str
) -> None:
    script = _completion_script(shell)
    assert f"_CCGI_COMPLETE={shell}_complete" in script
    page = (Path(__file__).parents[1] / "docs" / "operating.md").read_text()
    assert f"_CCGI_COMPLETE={shell}_source ccgi" in page
    environment = {**asked, "_CCGI_COMPLETE": f"{shell}_complete"}
    result = CliRunner().invoke(main, [], prog_name="ccgi", env=environment)
    assert result.output == answered


def test_bash_registers_the_completion() -> None:
    run = f"{_completion_script('bash')}\ncomplete -p ccgi"
    done = subprocess.run(["bash", "-c", run], capture_output=True, text=True, check=True)
    assert "-F _ccgi_completion ccgi" in done.stdout


_OWN_FILES = {"cryptography", "sqlcipher3"}
"""Of these a few enumerations and options are made; they are quick to import."""


def test_the_help_of_a_command_imports_no_slow_library() -> None:
    run = """
import sys, click
from ccgi_pipeline.cli import COMMANDS, main
for name in COMMANDS:
    main.get_command(click.Context(main), name).get_help(click.Context(main))
print(*sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", run], capture_output=True, check=True, text=True)
    imported = set(done.stdout.split())
    assert "ccgi_pipeline.cli.check" in imported
    assert not imported & (_LIBRARIES - _OWN_FILES)
    assert "ccgi_pipeline.feeds" not in imported


def test_a_night_loads_no_library_that_few_nights_need() -> None:
    run = """
import sys
import ccgi_pipeline.definitions, ccgi_pipeline.runtime.night_run
print(*sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", run], capture_output=True, check=True, text=True)
    imported = set(done.stdout.split())
    assert "ccgi_pipeline.defs.delivery" in imported
    assert not imported & {"httpx", "paramiko", "altair", "vl_convert", "xlsxwriter"}


def test_generating_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        arguments = ("--districts", "2", "--students", "40", "--date", "2026-11-22")
        result = ccgi("generate", "--out", tmp_path / name, *arguments)
        assert result.exit_code == 0, result.output
    assert bytes_below(tmp_path / "one") == bytes_below(tmp_path / "two")
    assert len(bytes_below(tmp_path / "one")) > 10


def test_a_night_without_an_inbox_says_so(tmp_path: Path) -> None:
    result = ccgi("run", *_folders(tmp_path))
    assert result.exit_code == 2
    assert f"there is no inbox at {tmp_path / 'inbox'} (--inbox names it)" in result.output


def test_a_wrong_profile_is_named_with_what_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "inbox").mkdir()
    (tmp_path / "warehouse").mkdir()
    (tmp_path / "warehouse" / "profiles.toml").write_text("[defaults]\nconsent = 1\n")
    result = ccgi("run", *_folders(tmp_path))
    assert result.exit_code == 1
    assert "consent is no setting" in result.output


def test_a_date_that_is_none_is_refused(good: Path) -> None:
    result = ccgi("check", good, "--date", "22.11.2026")
    assert result.exit_code == 2
    assert "YYYY-MM-DD" in result.output


# --- the three folders ----------------------------------------------------------------------------

_FOLDERS = ("inbox", "outbox", "warehouse")


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_finds_the_three_folders_in_the_same_way(name: str) -> None:
    for option in COMMANDS[name].params:
        if option.name not in _FOLDERS or (name == "check" and option.name == "warehouse"):
            continue  # what a district checks before it sends needs no warehouse
        assert option.envvar == f"CCGI_{option.name.upper()}"
        assert option.default == Path("data/demo") / option.name
        assert not option.required


_READ_A_WAREHOUSE = [
    ["audit", "list"],
    ["deliveries", "list"],
    ["hold", "list"],
    ["notices", "list"],
    ["replay"],
    ["status"],
]


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folders = folders_in(tmp_path_factory.mktemp("three"))
    load_and_answer(folders)
    return folders.warehouse


@pytest.mark.parametrize("command", _READ_A_WAREHOUSE, ids=" ".join)
def test_the_variable_names_the_warehouse(
    command: list[str], warehouse: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CCGI_WAREHOUSE", str(warehouse))
    result = ccgi(*command)
    assert "there is no warehouse" not in result.output
    assert result.exit_code in {0, 1}, result.output


@pytest.mark.parametrize("command", _READ_A_WAREHOUSE, ids=" ".join)
def test_a_warehouse_that_is_not_there_is_named_in_one_line(
    command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    by_default = ccgi(*command)
    assert by_default.exit_code == 2
    assert by_default.output == (
        "Error: there is no warehouse at data/demo/warehouse "
        "(the default; --warehouse or CCGI_WAREHOUSE names another)\n"
    )
    monkeypatch.setenv("CCGI_WAREHOUSE", "gone")
    by_variable = ccgi(*command)
    assert by_variable.output == (
        "Error: there is no warehouse at gone (CCGI_WAREHOUSE names it)\n"
    )
    by_option = ccgi(*command, "--warehouse", "lost")
    assert by_option.output == "Error: there is no warehouse at lost (--warehouse names it)\n"


def test_help_shows_variable_and_default() -> None:
    shown = " ".join(ccgi("status", "--help").output.split())
    assert "[env var: CCGI_WAREHOUSE; default: data/demo/warehouse]" in shown


def _folders(root: Path) -> list[str | Path]:
    return [
        *("--inbox", root / "inbox"),
        *("--outbox", root / "outbox"),
        *("--warehouse", root / "warehouse"),
    ]
