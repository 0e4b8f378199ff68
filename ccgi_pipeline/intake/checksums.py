"""Parses a sender's list of SHA-256 checksums, in the form of ``sha256sum``.

Belongs here: the form of such a list. With it a file is known to be complete without waiting; a
manifest of names only says which files belong together.
"""

from __future__ import annotations

import re
from pathlib import PurePosixPath

_LINE = re.compile(rb"\\?([0-9a-fA-F]{64})[ \t]+\*?(.+)")
LIST_SIZE_LIMIT = 1 << 20
"""Bytes of about ten thousand lines. A larger file is not a list that a sender would write."""


def parse_checksums(content: bytes) -> dict[str, str]:
    """Returns SHA-256 in lower-case hexadecimal digits by file name (without folders).

    Returns nothing if any line of ``content`` has another form: the list may be incomplete.
    """
    listed = {}
    lines = content.removeprefix(b"\xef\xbb\xbf").splitlines()
    if not content.endswith((b"\n", b"\r")) or len(content) > LIST_SIZE_LIMIT:
        return {}
    for line in filter(None, lines):
        found = _LINE.fullmatch(line.strip())
        if found is None:
            return {}
        name = found[2].decode(errors="surrogateescape").replace("\\", "/")
        listed[PurePosixPath(name).name] = found[1].decode().lower()
    return listed
