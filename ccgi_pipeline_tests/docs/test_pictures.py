"""The pictures of the README: they are small, and the command that takes them works."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Browser

from ccgi_pipeline_tests.docs.pages import PROJECT
from ccgi_pipeline_tests.docs.pictures import (
    LARGEST,
    LAST_NIGHT,
    RECEIPT,
    STATE,
    make_state,
    take_pictures,
)
from ccgi_pipeline_tests.nightly.nights import bytes_below

_PNG = b"\x89PNG\r\n\x1a\n"


def test_the_readme_shows_the_state_and_a_receipt_and_says_how_they_are_taken():
    readme = (PROJECT / "README.md").read_text()
    pictures = bytes_below(PROJECT / "docs" / "pictures")
    assert {STATE, RECEIPT} == set(pictures)
    for name, content in pictures.items():
        assert f"](docs/pictures/{name})" in readme
        assert content.startswith(_PNG)
        assert len(content) < LARGEST
    assert "`make pictures`" in readme
    assert (
        "-m ccgi_pipeline_tests.docs.pictures docs/pictures" in (PROJECT / "Makefile").read_text()
    )


@pytest.mark.slow
def test_pictures_are_taken_of_a_state_with_some_weeks(browser: Browser, tmp_path: Path):
    folders = make_state(tmp_path, districts=2, students=60, weeks=2)
    taken = take_pictures(browser, folders, tmp_path / "pictures")
    assert [path.name for path in taken] == [STATE, RECEIPT]
    for path in taken:
        assert path.read_bytes().startswith(_PNG)
    state = (folders.warehouse / "pages" / "index.html").read_text()
    assert f"November {LAST_NIGHT.day}, 2026" in state
    assert 'class="marks"' in state  # two weeks make a trend
