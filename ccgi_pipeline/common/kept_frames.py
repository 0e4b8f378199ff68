"""Frames that one night keeps for the next: each in a file that can be deleted at any time.

Belongs here: reading and replacing such a file. Does not belong here: what is in it, and when it
still counts.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import polars as pl

from ccgi_pipeline.common.atomic_files import write_file


def read_kept_frame(path: Path, schema: Mapping[str, type[pl.DataType]]) -> pl.DataFrame:
    """Returns what was kept; no rows if there is nothing, or it cannot be read."""
    with suppress(OSError, pl.exceptions.PolarsError):
        kept = pl.read_parquet(path)
        if kept.schema == schema:
            return kept
    return pl.DataFrame(schema=dict(schema))


def keep_frame(path: Path, frame: pl.DataFrame) -> None:
    """Keeps a frame in place of what was kept before."""
    content = io.BytesIO()
    frame.write_parquet(content)
    write_file(path, content.getvalue())
