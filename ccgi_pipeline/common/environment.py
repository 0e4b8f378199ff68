"""Settings and secrets from environment variables: a value itself, or the file that holds it.

Belongs here: reading a variable, and the variables that name the three folders. No message repeats
a value.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ccgi_pipeline.common.errors import PermanentError

INBOX, OUTBOX, WAREHOUSE = "CCGI_INBOX", "CCGI_OUTBOX", "CCGI_WAREHOUSE"
"""The environment variables that name the three folders."""
DEFAULT_FOLDERS = {
    INBOX: Path("data/demo/inbox"),
    OUTBOX: Path("data/demo/outbox"),
    WAREHOUSE: Path("data/demo/warehouse"),
}
"""The three folders below the current one if nothing names others: those of ``ccgi demo``."""


def read_variable(
    environment: Mapping[str, str], name: str, refuse: type[PermanentError]
) -> str | None:
    """What ``name`` says, or the file named by ``<name>_FILE``; None where neither is set.

    Raises ``refuse`` where both are set, or the file cannot be read.
    """
    value, path = environment.get(name), environment.get(f"{name}_FILE")
    if value and path:
        msg = f"{name} and {name}_FILE are both set: set one of them"
        raise refuse(msg)
    if not path:
        return value or None
    try:
        return Path(path).read_text()
    except (OSError, UnicodeError):
        msg = f"{name}_FILE: the file that it names cannot be read: look at its path and its rights"
        raise refuse(msg) from None
