"""Identities and applications as the files in which they come.

Belongs here: writing them as their feeds are declared. Does not belong here: who the students are.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import polars as pl

from ccgi_pipeline.feeds.calpads_identity import FEED as IDENTITIES
from ccgi_pipeline.feeds.cccapply import APPLICATIONS
from ccgi_pipeline.synthetic.file_output import FeedFile, as_text
from ccgi_pipeline.synthetic.identities.applications import applications
from ccgi_pipeline.synthetic.identities.students import identities


def write_state(out: Path, students: int, asked: int, seed: int) -> Iterator[tuple[Path, int]]:
    """Writes ``students`` identities and ``asked`` applications about the first of them.

    Gives each file with its lines. The truth about the applications stays untold, as in life.
    """
    people = FeedFile(out / f"{IDENTITIES.stems[0]}.csv", IDENTITIES)
    first: pl.DataFrame | None = None
    for block in identities(students, seed):
        first = block if first is None else first
        people.append(as_text(block.select([*IDENTITIES.columns]), IDENTITIES))
    yield people.path, people.lines
    if first is None or not asked:
        return
    file = FeedFile(out / f"{APPLICATIONS.stems[0]}.csv", APPLICATIONS)
    made = applications(first, asked, seed).with_columns(pl.col("app_id").cast(pl.String))
    file.append(as_text(made.drop("true_ssid", "error"), APPLICATIONS))
    yield file.path, file.lines
