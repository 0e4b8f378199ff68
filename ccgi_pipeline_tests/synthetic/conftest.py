"""States that the tests of the generator look at: one clean, one faulty, made once."""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from pathlib import Path

import polars as pl
import pytest

from ccgi_pipeline.feeds.registry import FAMILIES, feed_by_name
from ccgi_pipeline.feeds.spec import FeedSpec
from ccgi_pipeline.intake.inbox import sender_and_family
from ccgi_pipeline.synthetic import GeneratedState, generate

ON = date(2026, 11, 22)
_MARK = "\ufeff"


@dataclass
class Inbox:
    """An inbox that was generated, read with nothing but the standard library and polars."""

    root: Path
    state: GeneratedState
    on: date

    @cached_property
    def texts(self) -> dict[str, str]:
        """Every file's text by its path in the inbox; a zip's files have the zip's path before."""
        found: dict[str, str] = {}
        for path in sorted(self.root.rglob("*")):
            shown = path.relative_to(self.root).as_posix()
            if path.suffix == ".zip":
                with zipfile.ZipFile(path) as package:
                    for name in package.namelist():
                        found[f"{shown}/{Path(name).name}"] = package.read(name).decode()
            elif path.is_file():
                found[shown] = path.read_bytes().decode()
        return found

    def texts_of(self, feed: FeedSpec) -> dict[str, str]:
        """The texts of the files of one feed."""
        return {path: text for path, text in self.texts.items() if feed_of(path) is feed}

    def lines(self, feed: FeedSpec) -> pl.DataFrame:
        """All lines of one feed as text, with ``sender`` and ``path``."""
        frames = [
            pl.read_csv(
                io.BytesIO(text.removeprefix(_MARK).encode()),
                separator=separator_of(text),
                quote_char=feed.quote,
                infer_schema=False,
                null_values=["", *feed.blank_words],
            ).with_columns(pl.lit(path.split("/")[0]).alias("sender"), pl.lit(path).alias("path"))
            for path, text in self.texts_of(feed).items()
        ]
        return pl.concat(frames, how="diagonal")


def feed_of(path: str) -> FeedSpec | None:
    """The feed of a file of the inbox: two families may have files of one name."""
    _, family = sender_and_family(path)
    return feed_by_name(path, FAMILIES[family].feeds)


def separator_of(text: str) -> str:
    """The separator that a file's header uses."""
    header = text.splitlines()[0]
    return max(",^\t", key=header.count)


@pytest.fixture(scope="session")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Inbox:
    """A state without defects; 17 districts, so that every way of writing files comes up."""
    root = tmp_path_factory.mktemp("clean")
    state = generate(root, districts=17, students=4000, seed=11, on=ON)
    return Inbox(root, state, ON)


@pytest.fixture(scope="session")
def faulty(tmp_path_factory: pytest.TempPathFactory) -> Inbox:
    """A state in which one line in ten has a defect."""
    root = tmp_path_factory.mktemp("faulty")
    state = generate(root, districts=7, students=900, seed=5, on=ON, defects=0.1)
    return Inbox(root, state, ON)
