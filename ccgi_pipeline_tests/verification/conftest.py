"""A real browser for the tests of pages: Debian's chromium, without a window."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, sync_playwright

_NAMES = ("chromium", "chromium-browser", "google-chrome")


# No longer than a module: while it is open, an event loop runs in the thread, and Dagster wants one
# of its own.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """The browser; a page that nobody has looked at is not tested, so a missing one is a failure.

    ``CHROMIUM`` names another program than those that are looked for.
    """
    program = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, _NAMES)), None)
    if program is None:
        pytest.fail("no chromium: install Debian's package `chromium`, or name one in CHROMIUM")
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield launched
        launched.close()
