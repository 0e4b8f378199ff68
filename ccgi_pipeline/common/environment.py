"""Settings and secrets from environment variables: a value itself, or the file that holds it.

Belongs here: reading a variable, the variables that name the three folders, and the cores that a
process may use. No message repeats a value.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from ccgi_pipeline.common.errors import PermanentError

INBOX, OUTBOX, WAREHOUSE = "CCGI_INBOX", "CCGI_OUTBOX", "CCGI_WAREHOUSE"
"""The environment variables that name the three folders."""
WAREHOUSE_NAME = "CCGI_WAREHOUSE_NAME"
"""The environment variable that names a warehouse which shares a Dagster deployment with others."""
THREADS = "CCGI_THREADS"
"""The environment variable with the number of cores that a process uses for the warehouse."""
DEFAULT_FOLDERS = {
    INBOX: Path("data/demo/inbox"),
    OUTBOX: Path("data/demo/outbox"),
    WAREHOUSE: Path("data/demo/warehouse"),
}
"""The three folders below the current one if nothing names others: those of ``ccgi demo``."""


def read_variable(
    environment: Mapping[str, str], name: str, error_type: type[PermanentError]
) -> str | None:
    """Returns the value of ``name``, or the content of the file that ``<name>_FILE`` names.

    Returns None if neither is set. Raises ``error_type`` if both are set or the file cannot be
    read.
    """
    value, path = environment.get(name), environment.get(f"{name}_FILE")
    if value and path:
        msg = f"{name} and {name}_FILE are both set: set one of them"
        raise error_type(msg)
    if not path:
        return value or None
    try:
        return Path(path).read_text()
    except (OSError, UnicodeError):
        msg = (
            f"{name}_FILE: the file that it names cannot be read: "
            "check its path and its permissions"
        )
        raise error_type(msg) from None


class ThreadsError(PermanentError):
    """CCGI_THREADS is not a number of cores: correct it."""


def read_threads(environment: Mapping[str, str] = os.environ) -> int | None:
    """Returns how many cores a process uses for the warehouse; None means all that it has.

    Raises ThreadsError.
    """
    threads = read_variable(environment, THREADS, ThreadsError)
    if threads is None:
        return None
    if not (threads.strip().isascii() and threads.strip().isdecimal() and int(threads) > 0):
        msg = f"{THREADS} is not a number of cores: write 1, 2 and so on, or unset it for all"
        raise ThreadsError(msg)
    return int(threads)
