"""Where a rule or a cause has its page in the published dictionary.

Belongs here: addresses relative to the dictionary's first page, which receipts and contracts name.
They are stable: they follow from the id alone. Does not belong here: the pages (dictionary).
"""

from __future__ import annotations

import re

FEEDS, REPORTS, RULES, CAUSES = "feeds", "reports", "rules", "causes"
"""The folders of the dictionary."""


def page_address(folder: str, name: str) -> str:
    """Returns the address of a page: ``rules/FF-DEM-2.html``."""
    return f"{folder}/{to_file_name(name)}.html"


def page_url(dictionary: str | None, folder: str, name: str) -> str | None:
    """Returns the address of a page of the dictionary that an operator has published, if any."""
    return f"{dictionary}/{page_address(folder, name)}" if dictionary else None


def to_file_name(name: str) -> str:
    """Returns a name with only such characters as every address and file system takes."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.")
