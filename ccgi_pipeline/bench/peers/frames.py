"""Files as pandas frames, for the tools that judge frames.

Belongs here: reading one file by its description in a Data Package, and what its fields say of
cells as text. Every cell is read as text, so that codes keep their zeros. Does not belong here: how
a tool expresses a rule.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ccgi_pipeline.bench.peers.exchange import HEADER_LINE, Answer, Finding, Task

if TYPE_CHECKING:
    import pandas as pd


def read_frames(task: Task, answer: Answer) -> Iterator[tuple[dict[str, Any], pd.DataFrame]]:
    """Yields each resource with its frame; what cannot be read goes into ``answer``."""
    for resource in task.package["resources"]:
        name = resource["path"]
        try:
            frame = read_frame(Path(task.folder) / name, resource)
        except (OSError, ValueError) as error:  # pandas' ParserError and decoding are ValueErrors
            answer.refused[name] = type(error).__name__
            continue
        answer.lines[name] = len(frame)
        yield resource, frame


def read_frame(path: Path, resource: dict[str, Any]) -> pd.DataFrame:
    """Returns a file's cells as text, its blanks as missing values.

    The parser of pyarrow is the fastest. What it refuses is read with pandas' own, which goes on
    where a line has too few cells. Blank lines are kept, so that a row's number tells its line.

    Raises:
        OSError: the file is not there.
        ValueError: the file cannot be parsed or decoded.
    """
    try:
        return _parse(path, resource, "pyarrow")
    except ValueError:
        return _parse(path, resource, "c")


def _parse(path: Path, resource: dict[str, Any], engine: Literal["pyarrow", "c"]) -> pd.DataFrame:
    import pandas as pd

    dialect = resource["dialect"]
    return pd.read_csv(
        path,
        engine=engine,
        sep=dialect["delimiter"],
        quotechar=dialect["quoteChar"],
        encoding=resource["encoding"],
        dtype=str,
        keep_default_na=False,
        na_values=resource["schema"]["missingValues"],
        skip_blank_lines=False,
    )


_FORMS = {"integer": r"[+-]?[0-9]+", "year": r"[0-9]{4}"}


def list_words(field: dict[str, Any]) -> list[str]:
    """Returns the only words that a cell may be; none where it may be any."""
    if field["type"] == "boolean":
        return [*field["trueValues"], *field["falseValues"]]
    return [str(code) for code in field.get("constraints", {}).get("enum", ())]


def pattern_of(field: dict[str, Any]) -> str | None:
    """Returns the regular expression that a whole cell must match."""
    form = field.get("constraints", {}).get("pattern") or _FORMS.get(field["type"])
    return f"^(?:{form})$" if form else None


def find_lines(name: str, rule: str, rows: Sequence[int]) -> Iterator[Finding]:
    """Yields a finding for each row of a frame (from 0), by its line in the file."""
    for row in rows:
        yield Finding(name, int(row) + HEADER_LINE + 1, rule)
