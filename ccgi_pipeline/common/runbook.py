"""Links into the runbook, the page that says what to do when something is red.

Belongs here: where the page is, and how the name of a check, error, alert or finding leads to its
section. The section bears the same name as the thing in the code.
"""

from __future__ import annotations

import os

RUNBOOK = "CCGI_RUNBOOK_URL"
"""Environment variable: the address of the page, if a deployer keeps it outside of the project."""
PAGE = "docs/when-something-is-red.md"


def runbook_link(name: str) -> str:
    """Returns the link to the section about the check, error, alert or finding ``name``."""
    return f"{os.environ.get(RUNBOOK) or PAGE}#{name.lower()}"
