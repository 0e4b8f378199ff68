"""The runbook: where each red thing's page is.

Belongs here: the page's place, and how a thing's name leads to its section. What can turn red is
named where it is made; its section in the page bears the same name.
"""

from __future__ import annotations

import os

RUNBOOK = "CCGI_RUNBOOK_URL"
"""Environment variable: where a deployer keeps the page, if not with the project."""
PAGE = "docs/when-something-is-red.md"


def runbook(name: str) -> str:
    """Where to read what to do about the check, error, notice or finding of this name."""
    return f"{os.environ.get(RUNBOOK) or PAGE}#{name.lower()}"
