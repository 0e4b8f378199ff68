"""The steps that link records to a register, by the names under which families declare them.

Belongs here: the table of steps (``FamilySpec.link``), and how the load and a replay reach them.
Does not belong here: a step itself (child_links).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date

import duckdb

from ccgi_pipeline.feeds.registry import FAMILIES
from ccgi_pipeline.profiles import Profiles
from ccgi_pipeline.verification.outcomes import Verification
from ccgi_pipeline.warehouse.load.child_links import LinkResult, link_children, record_links
from ccgi_pipeline.warehouse.load.foster_lookups import refresh_foster_lookups


@dataclass(frozen=True, slots=True)
class LinkStep:
    """How the records of a family are linked.

    ``find``: links the accepted lines of a verification. ``record``: notes which records have a
    counterpart. ``refresh``: brings up to date what the linking of these senders needs.
    """

    find: Callable[[duckdb.DuckDBPyConnection, Verification, date, Profiles], LinkResult]
    record: Callable[[duckdb.DuckDBPyConnection, LinkResult], None]
    refresh: Callable[[duckdb.DuckDBPyConnection, Profiles, list[str]], None]


def _link_children(
    connection: duckdb.DuckDBPyConnection,
    verification: Verification,
    on: date,
    profiles: Profiles,
) -> LinkResult:
    return link_children(connection, verification, on, profiles.foster_focus)


LINK_STEPS: Mapping[str, LinkStep] = {
    "child_links": LinkStep(_link_children, record_links, refresh_foster_lookups)
}


def link_step_of(family: str) -> LinkStep | None:
    """The step that the family declares, if it declares one."""
    declared = FAMILIES[family].link if family in FAMILIES else None
    return LINK_STEPS[declared.step] if declared else None
