"""The pages hold together: links lead somewhere, modules exist, samples can be read.

Belongs here: what can be seen without running a command. Anchors are tested with the runbook
(``common/test_runbook.py``), samples of profiles.toml with the profiles (``test_profiles.py``).
"""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest

from ccgi_pipeline.cli import main
from ccgi_pipeline.cli.check_serve import CheckCommand
from ccgi_pipeline_tests.docs.pages import (
    PAGES,
    PROJECT,
    blocks,
    commands,
    inline_commands,
    placeholders,
    prose,
    relative_links,
)

LANGUAGES = {
    *("sh", "cron", "text", "toml", "python", "sql", "r", "diff", "csv", "mermaid", "yaml")
}
"""``sh`` and ``cron`` are run, the others read by the tests above or by people (``text``)."""

MADE = {"deploy/compose/secrets/"}
"""Folders that a script of the project makes."""

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


@each_page
def test_every_block_says_what_it_is(page: Path) -> None:
    assert {block.language for block in blocks(page)} <= LANGUAGES


@each_page
def test_every_link_to_a_file_leads_somewhere(page: Path) -> None:
    assert not [to for to in relative_links(page) if not (page.parent / to).exists()]


@each_page
def test_every_file_of_the_project_that_is_named_exists(page: Path) -> None:
    named = {*re.findall(r"`((?:[a-z_]+/)+[\w.]*)`", prose(page))} - MADE
    if page.name == "decisions.md":
        ours = [PROJECT / "ccgi_pipeline" / path for path in named - {"ccgi_pipeline/"}]
    else:
        ours = [PROJECT / path for path in named if path.startswith(("ccgi_", "deploy/"))]
    assert not [path for path in ours if not path.exists()]


@each_page
def test_every_placeholder_is_explained_in_the_text(page: Path) -> None:
    wanted = {name for command in commands(page) for name in placeholders(command)}
    assert not [name for name in wanted if f"`<{name}>`" not in prose(page)]


def _fault(command: str) -> str | None:
    """What is wrong with the names of a command and its options."""
    here: click.Command = main
    for word in command.split()[1:]:
        if word.startswith("--"):
            known = {option for param in here.params for option in param.opts}
            name = word.partition("=")[0].rstrip(",")
            if name not in {*known, "--help", "--version"}:
                return f"{command}: no {name}"
        elif isinstance(here, CheckCommand):
            here = here.commands.get(word, here)  # every other word is a path
        elif isinstance(here, click.Group):
            found = here.get_command(click.Context(here), word)
            if found is None:
                return None if word == "..." else f"{command}: no {word}"
            here = found
    return None


@each_page
def test_commands_in_the_text_exist(page: Path) -> None:
    assert not [fault for command in inline_commands(page) if (fault := _fault(command))]


def test_a_command_that_does_not_exist_is_noticed() -> None:
    assert _fault("ccgi hold undo")
    assert _fault("ccgi status --dead")
    assert not _fault("ccgi hold approve <drop> --by NAME")
