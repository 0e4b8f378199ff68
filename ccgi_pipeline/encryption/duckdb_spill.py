"""Spilled files: what DuckDB writes to disk when a computation outgrows its memory.

Belongs here: encrypting them, with a key that DuckDB makes for the process and never stores. Does
not belong here: where the files are.
"""

from __future__ import annotations

import duckdb

from ccgi_pipeline.common.errors import PermanentError
from ccgi_pipeline.common.extensions import load_extension


def encrypt_spill(connection: duckdb.DuckDBPyConnection) -> None:
    """Encrypts all that the connection spills from now on. Raises PermanentError if it cannot."""
    load_extension(connection, "httpfs")  # it brings OpenSSL, which DuckDB needs for encrypting
    connection.execute("SET temp_file_encryption = true")
    row = connection.execute("SELECT current_setting('temp_file_encryption')").fetchone()
    if row != (True,):
        msg = (
            "DuckDB does not encrypt its temporary files: check that the versions of "
            "requirements.lock are installed"
        )
        raise PermanentError(msg)
