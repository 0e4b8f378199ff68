"""Rows in memory as a table of a connection, so that SQL reads them.

Belongs here: plain and packed rows. Does not belong here: what is done with them (warehouse.load).
"""

from __future__ import annotations

import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.dataset as ds

from ccgi_pipeline.common.packed_frames import PackedFrame, Rows


def register_rows(
    connection: duckdb.DuckDBPyConnection, name: str, rows: Rows, *, filtered: bool
) -> None:
    """Makes ``rows`` a view called ``name``; packed rows are read piece by piece.

    ``filtered``: a query leaves rows out. If none does, texts in the form of polars need no copy;
    Arrow cannot filter them.
    """
    if isinstance(rows, PackedFrame):
        connection.register(name, _open_dataset(rows))
    else:
        form = pl.CompatLevel.oldest() if filtered else pl.CompatLevel.newest()
        connection.register(name, rows.to_arrow(compat_level=form))


def _open_dataset(rows: PackedFrame) -> ds.Dataset:
    form = ds.ParquetFileFormat()
    pieces = [form.make_fragment(pa.py_buffer(piece)) for piece in rows.pieces]
    nothing = pl.DataFrame(schema=rows.schema).to_arrow(compat_level=pl.CompatLevel.oldest())
    return ds.FileSystemDataset(pieces, nothing.schema, form)
