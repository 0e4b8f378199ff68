"""Checksums: a sender's own list of SHA-256, by which a file is known to be whole at once.

Belongs here: reading such a list, in the form of ``sha256sum``. A list that can be read proves what
no clock can: a manifest of names alone says which files belong together, and not whether they are
finished.
"""

from __future__ import annotations

import re
from pathlib import PurePosixPath

_LINE = re.compile(rb"\\?([0-9a-fA-F]{64})[ \t]+\*?(.+)")
LARGEST = 1 << 20
"""Bytes of a list that are read: ten thousand lines. A larger one is none of ours."""


def checksums_in(content: bytes) -> dict[str, str]:
    """SHA-256 in small hexadecimal digits by file name (without folders).

    Nothing if any line of ``content`` has another form: such a list may itself be unfinished.
    """
    listed = {}
    lines = content.removeprefix(b"\xef\xbb\xbf").splitlines()
    if not content.endswith((b"\n", b"\r")) or len(content) > LARGEST:
        return {}
    for line in filter(None, lines):
        found = _LINE.fullmatch(line.strip())
        if found is None:
            return {}
        name = found[2].decode(errors="surrogateescape").replace("\\", "/")
        listed[PurePosixPath(name).name] = found[1].decode().lower()
    return listed
