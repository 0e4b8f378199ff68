"""What the tests of the pages read from them: code blocks, commands, placeholders, links.

Belongs here: taking a page apart. Does not belong here: running or judging what is in it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).parents[2]
PAGES = [PROJECT / "README.md", *sorted((PROJECT / "docs").glob("*.md"))]

_BLOCK = re.compile(
    r"(?ms)^(?P<indent> *)```(?P<language>\S*)[^\n]*\n(?P<text>.*?)^(?P=indent)```$"
)
_PLACEHOLDER = re.compile(r"<([a-z]+)>")


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block of a page."""

    language: str
    text: str


def blocks(page: Path) -> list[Block]:
    return blocks_in(page.read_text())


def blocks_in(text: str) -> list[Block]:
    """The blocks of a part of a page."""
    return [
        Block(found["language"], re.sub(rf"(?m)^{found['indent']}", "", found["text"]))
        for found in _BLOCK.finditer(text)
    ]


def prose(page: Path) -> str:
    """The page without its blocks."""
    return _BLOCK.sub("", page.read_text())


def commands(page: Path) -> list[str]:
    """Each command line of the page's shell and cron blocks; a continued one is one line."""
    return [line for block in blocks(page) for line in _commands(block)]


def _commands(block: Block) -> Iterator[str]:
    if block.language == "cron":
        for line in block.text.splitlines():
            yield line.split(maxsplit=5)[5]
    if block.language == "sh":
        for line in block.text.replace("\\\n", " ").splitlines():
            command = re.sub(r"\s+# .*", "", line).strip()
            if command and not command.startswith("#"):
                yield command


def inline_commands(page: Path) -> list[str]:
    """The commands ``ccgi ...`` that stand in the text of a page."""
    return re.findall(r"`(ccgi [^`\n]+)`", prose(page))


def placeholders(text: str) -> list[str]:
    """The names in angle brackets: what readers fill in."""
    return _PLACEHOLDER.findall(text)


def relative_links(page: Path) -> list[str]:
    """The targets of links to other files of the project, without the anchor."""
    targets = re.findall(r"\]\(([^()\s#]+)(?:#[^()\s]*)?\)", prose(page))
    return [target for target in targets if "://" not in target]
