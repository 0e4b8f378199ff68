"""DuckDB's extensions, loaded out of their installed packages: nothing is downloaded.

Belongs here: loading an extension, and verifying its signature once in a process. DuckDB reads all
of a file of 33 MiB for that, which each connection to a warehouse would do twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources
from pathlib import Path

import duckdb

_UNSIGNED = "allow_unsigned_extensions"

_verified: set[tuple[str, int, int, int, int]] = set()
"""Files whose signature DuckDB verified in this process, as they were then."""


def connect(config: Mapping[str, str] | None = None) -> duckdb.DuckDBPyConnection:
    """Opens a database in memory that takes extensions until ``refuse_unsigned`` is called.

    DuckDB verifies no signature in it, so ``load_extension`` does.
    """
    return duckdb.connect(":memory:", config={**(config or {}), **VERIFIED_HERE})


VERIFIED_HERE = {_UNSIGNED: "true"}
"""The setting of a connection in which ``load_extension`` verifies, rather than DuckDB."""


def load_extension(connection: duckdb.DuckDBPyConnection, extension: str) -> None:
    """Loads an extension whose signature is good; a file that was verified is not read again."""
    file = _file_of(extension)
    known = _identity(file)
    if known not in _verified and _takes_unsigned(connection):
        with duckdb.connect(":memory:") as verifying:
            verifying.load_extension(str(file))
    connection.load_extension(str(file))
    _verified.add(known)


def refuse_unsigned(connection: duckdb.DuckDBPyConnection) -> None:
    """Has DuckDB itself verify whatever the connection loads from now on; it cannot be undone."""
    connection.execute(f"SET {_UNSIGNED} = false")


def _takes_unsigned(connection: duckdb.DuckDBPyConnection) -> bool:
    return connection.execute(f"SELECT current_setting('{_UNSIGNED}')").fetchone() == (True,)


def _file_of(extension: str) -> Path:
    package = str(resources.files(f"duckdb_extension_{extension}"))
    version = f"v{duckdb.__version__}"
    return Path(package, "extensions", version, f"{extension}.duckdb_extension")


def _identity(file: Path) -> tuple[str, int, int, int, int]:
    """What changes when another file takes the place of this one."""
    stat = file.stat()
    return str(file), stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns
