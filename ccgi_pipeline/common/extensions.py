"""DuckDB's extensions, loaded from their installed packages: nothing is downloaded.

Belongs here: loading an extension, and verifying its signature once in a process. DuckDB reads the
whole file (33 MiB) to verify it, and would do so for two extensions in each connection.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources
from pathlib import Path

import duckdb

_UNSIGNED = "allow_unsigned_extensions"

_verified: set[tuple[str, int, int, int, int]] = set()
"""The identities of the files whose signature DuckDB has verified in this process."""


def connect(config: Mapping[str, str] | None = None) -> duckdb.DuckDBPyConnection:
    """Opens a database in memory that accepts extensions until ``refuse_unsigned`` is called.

    DuckDB verifies no signatures in it; ``load_extension`` does.
    """
    return duckdb.connect(":memory:", config={**(config or {}), **VERIFIED_HERE})


VERIFIED_HERE = {_UNSIGNED: "true"}
"""The setting of a connection in which ``load_extension`` verifies instead of DuckDB."""


def load_extension(connection: duckdb.DuckDBPyConnection, extension: str) -> None:
    """Loads an extension after verifying its signature, once for each file and process."""
    file = _find_file(extension)
    known = _identity(file)
    if known not in _verified and _accepts_unsigned(connection):
        with duckdb.connect(":memory:") as verifier:
            verifier.load_extension(str(file))
    connection.load_extension(str(file))
    _verified.add(known)


def refuse_unsigned(connection: duckdb.DuckDBPyConnection) -> None:
    """Lets DuckDB verify all that the connection loads from now on; this cannot be undone."""
    connection.execute(f"SET {_UNSIGNED} = false")


def _accepts_unsigned(connection: duckdb.DuckDBPyConnection) -> bool:
    return connection.execute(f"SELECT current_setting('{_UNSIGNED}')").fetchone() == (True,)


def _find_file(extension: str) -> Path:
    package = str(resources.files(f"duckdb_extension_{extension}"))
    version = f"v{duckdb.__version__}"
    return Path(package, "extensions", version, f"{extension}.duckdb_extension")


def _identity(file: Path) -> tuple[str, int, int, int, int]:
    """Returns values of the file that change when another file replaces it."""
    stat = file.stat()
    return str(file), stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns
