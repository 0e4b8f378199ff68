"""What strangers name is shown harmless: nothing obeys a sequence, markup or a line break."""

from __future__ import annotations

import ast
import io
import json
import zipfile
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

import ccgi_pipeline.cli
from ccgi_pipeline.cli import main
from ccgi_pipeline.cli.common import echo, print_table
from ccgi_pipeline.common.display import escape_but_layout, escape_unprintable
from ccgi_pipeline.feeds.transcript import STUDENT
from ccgi_pipeline_tests.files import good_file

OBEYED = ["\x1b", "\x9b", "\x07", "\r", "\x08", "\x7f", "\u202e", "\u2066", "\u2028", "\udc9b"]


@pytest.mark.parametrize("obeyed", OBEYED)
def test_what_a_screen_obeys_is_shown_as_a_number(obeyed: str) -> None:
    for escape in (escape_unprintable, escape_but_layout):
        shown = escape(f"a{obeyed}b")
        assert shown == f"a\\u{ord(obeyed):04x}b"
        assert json.loads(f'"{shown}"') == f"a{obeyed}b"


def test_letters_of_all_languages_and_our_own_layout_stay() -> None:
    text = "Peña\u200dعلی 李 – [/x]\n\tend"  # noqa: RUF001 - a dash as in a name
    assert escape_but_layout(text) == text
    assert escape_unprintable(text) == text.replace("\n", "\\u000a").replace("\t", "\\u0009")


def test_markup_and_sequences_in_a_table_are_shown_as_they_are(
    capsys: pytest.CaptureFixture[str],
) -> None:
    print_table(("name", "more"), [("[/x]", "[bold]b[/bold] \x1b[31m"), ("[red]", "a\nb")])
    shown = capsys.readouterr().out
    for cell in ("[/x]", "[bold]b[/bold] \\u001b[31m", "[red]", "a\\u000ab"):
        assert cell in shown
    assert "\x1b[31m" not in shown


SHA_256 = "0123456789abcdef" * 4
WIDE_ROWS = {
    "one row of words": [("3367173 Palm Springs Unified", "accepted with findings " * 3, "019")],
    "long codes": [(SHA_256, "016" * 12, "OR-USR-TYPE-sisLocalIdentifierOfTheStudent")],
    "a long path": [("p", "016", "outbox/PalmSpringsUnified/" + "folder/" * 30)],
}


@pytest.mark.parametrize("rows", WIDE_ROWS.values(), ids=WIDE_ROWS)
@pytest.mark.parametrize("width", [40, 80, 140])
def test_a_table_is_never_wider_than_the_terminal_and_never_cuts_a_value(
    rows: list[tuple[str, ...]],
    width: int,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    print_table(("first", "the second of them", "third"), rows)
    shown = capsys.readouterr().out
    assert "…" not in shown
    assert max(map(len, shown.splitlines())) <= width
    label = len("the second of them") + 2
    for word in " ".join(cell for row in rows for cell in row).split():
        if len(word) <= width - label:
            assert word in shown, "a code stays in one piece"
        else:
            assert word in "".join(shown.split()), "a longer one is folded, not cut"


def test_rows_whose_words_do_not_fit_beside_each_other_are_lists(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    print_table(("drop", "fingerprint", "lines"), [(SHA_256, "A" * 40, 1234)])
    assert [line.split() for line in capsys.readouterr().out.splitlines() if line.strip()] == [
        ["drop", SHA_256],
        ["fingerprint", "A" * 40],
        ["lines", "1,234"],
    ]


def test_a_long_path_is_folded_so_that_a_row_stays_a_row(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    path = f"PalmSpringsUnified/_receipts/20261122_transcript_{SHA_256}_duplicate.html"
    print_table(("id", "state", "path"), [("016a", "sent " * 12, path)])
    (row, *more) = capsys.readouterr().out.splitlines()[3:]
    assert row.startswith("016a   sent")
    assert path in "".join("".join(line.split()[-1:]) for line in [row, *more])


def test_no_command_makes_a_table_of_its_own() -> None:
    folder = Path(ccgi_pipeline.cli.__file__).parent
    imported = {
        path.name
        for path in folder.glob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom) and node.module == "rich.table"
    }
    assert imported == {"common.py"}


def test_a_zip_cannot_forge_a_line_of_the_check(tmp_path: Path) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as package:
        package.writestr("StudentTemplate.csv", good_file(STUDENT) + b"a short line\n")
        package.writestr("x\nverdict: accepted\x1b[2K.csv", b"a\n")
        package.writestr("other\x9b.csv", b"\x1b[31mhead,er\n1,2\n")
    (tmp_path / "package\x1b[8m.zip").write_bytes(packed.getvalue())
    verdicts: list[str] = []
    for form in ("text", "json"):
        command = ["check", str(tmp_path), "--family", "transcript", "--format", form]
        done = CliRunner().invoke(main, command)
        assert done.exit_code == 1, done.output
        assert not set(done.output) & set("\x1b\x9b\r")
        if form == "text":
            verdicts = [line for line in done.stdout.splitlines() if line.startswith("verdict")]
        else:
            verdict = json.loads(done.stdout)["verdict"].replace("_", " ")
            assert verdicts == [f"verdict: {verdict}"]


def test_the_message_of_an_error_is_shown_harmless(monkeypatch: pytest.MonkeyPatch) -> None:
    @click.command()
    def failing() -> None:
        msg = "about \x1b[2J"
        raise click.ClickException(msg)

    monkeypatch.setattr(type(main), "get_command", lambda *_: failing)
    assert "about \\u001b[2J" in CliRunner().invoke(main, ["status"]).output


def test_all_commands_print_through_the_one_function() -> None:
    folder = Path(ccgi_pipeline.cli.__file__).parent
    direct = [
        path.name
        for path in folder.glob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute)
        and node.attr in {"echo", "secho"}
        and path.name != "common.py"
    ]
    assert direct == []
    assert echo.__module__ == "ccgi_pipeline.cli.common"
