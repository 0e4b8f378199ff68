"""The runbook and the code know each other: all that can turn red has its section, none is stale.

Belongs here: names and links of the pages. What the sections say, people judge.
"""

from __future__ import annotations

import importlib
import pkgutil
import re
from pathlib import Path

import dagster as dg
import pytest

import ccgi_pipeline
from ccgi_pipeline.common.errors import PermanentError, PipelineError, TransientError
from ccgi_pipeline.common.runbook import PAGE, runbook_link
from ccgi_pipeline.definitions import defs
from ccgi_pipeline.defs.checks import build_check
from ccgi_pipeline.monitoring.alerts.types import AlertKind
from ccgi_pipeline.monitoring.health import list_error_types
from ccgi_pipeline.profiles import HEARTBEAT_FINDINGS, NOTICE_KINDS

PROJECT = Path(__file__).parents[2]
PAGES = [PROJECT / "README.md", *sorted((PROJECT / "docs").glob("*.md"))]


def anchors(page: Path) -> list[str]:
    """The anchors that GitHub gives to a page's headings."""
    text = re.sub(r"(?ms)^```.*?^```", "", page.read_text())
    titles = re.findall(r"(?m)^#+ (.+)$", text)
    return [re.sub(r"[^\w\- ]", "", title.strip().lower()).replace(" ", "-") for title in titles]


def links(page: Path) -> list[tuple[Path, str]]:
    """Page and anchor of each link into a section."""
    found = re.findall(r"\]\(([^()\s#]*)#([^()\s]+)\)", page.read_text())
    return [
        ((page.parent / target).resolve() if target else page, anchor)
        for target, anchor in found
        if "://" not in target
    ]


def _errors() -> set[str]:
    for module in pkgutil.walk_packages(ccgi_pipeline.__path__, "ccgi_pipeline."):
        importlib.import_module(module.name)
    named = {
        kind
        for kind in list_error_types(PipelineError)
        if kind not in {PermanentError, TransientError}
    }
    # The tests' own errors need no section.
    return {kind.__name__ for kind in named if kind.__module__.startswith("ccgi_pipeline.")}


def _checks() -> dict[str, dg.AssetCheckSpec]:
    return {
        spec.name: spec
        for asset in defs().assets or []
        if isinstance(asset, dg.AssetsDefinition)
        for spec in asset.check_specs
    }


def _names() -> set[str]:
    # Of the machinery each finding has its section.
    kinds = {kind for kind in NOTICE_KINDS if kind != AlertKind.HEARTBEAT}
    return {*_checks(), *kinds, *HEARTBEAT_FINDINGS, *_errors()}


def test_all_that_can_turn_red_has_its_section() -> None:
    there = anchors(PROJECT / PAGE)
    assert not [name for name in _names() if there.count(name.lower()) != 1]


def test_no_section_is_about_what_is_no_more() -> None:
    text = (PROJECT / PAGE).read_text()
    titled = re.findall(r"(?m)^### `(\w+)`$", text)
    assert len(titled) > 50
    assert not set(titled) - _names()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_into_a_section_leads_somewhere(page: Path) -> None:
    assert not [(to.name, anchor) for to, anchor in links(page) if anchor not in anchors(to)]


def test_every_check_leads_to_its_section() -> None:
    for name, spec in _checks().items():
        assert f"](/{runbook_link(name)})" in (spec.description or "")
        assert spec.metadata["runbook"] == dg.MetadataValue.url(f"/{runbook_link(name)}")


def test_a_deployers_own_page_is_linked_as_an_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CCGI_RUNBOOK_URL", "https://wiki.example.org/runbook")
    link = "https://wiki.example.org/runbook#table_is_sound"
    check = build_check("table_is_sound", "an_asset", "Sound.")
    assert check.metadata["runbook"] == dg.MetadataValue.url(link)
    assert f"]({link})" in (check.description or "")


def test_kinds_of_notices_are_the_same_in_profiles_and_in_notices() -> None:
    assert set(NOTICE_KINDS) == {kind.value for kind in AlertKind}
