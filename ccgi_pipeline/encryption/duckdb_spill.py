"""Spill: what DuckDB writes to disk when a computation outgrows its memory.

Belongs here: having that encrypted, by a key that DuckDB makes up and forgets. Does not belong
here: where spilled files lie.
"""

from __future__ import annotations

import duckdb
from duckdb_extensions import import_extension

from ccgi_pipeline.common.errors import PermanentError


def encrypt_spill(connection: duckdb.DuckDBPyConnection) -> None:
    """Has all that the connection spills from now on encrypted. Raises PermanentError if not."""
    import_extension("httpfs", con=connection)
    connection.load_extension("httpfs")  # it brings OpenSSL, without which DuckDB writes nothing
    connection.execute("SET temp_file_encryption = true")
    row = connection.execute("SELECT current_setting('temp_file_encryption')").fetchone()
    if row != (True,):
        msg = "DuckDB does not encrypt its temporary files: see that the pinned versions are there"
        raise PermanentError(msg)
