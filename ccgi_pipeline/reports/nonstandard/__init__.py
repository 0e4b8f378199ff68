"""Declares customized reports of single districts: a spec, and its SQL file in this folder.

To add one: write ``<name>.sql`` here (see ``../sql`` for what it may use), add a ``ReportSpec``
to ``NONSTANDARD`` with ``folder=nonstandard_folder("<name>")``, ``query=customized_query(...)`` and
``only_for`` the districts that get it. Nothing else needs to change.

The query may read of the platform's events only those of the row's student, and of the evaluation
only those of the row's district: a report is made again when these change, not when others' do.
"""

from __future__ import annotations

from importlib.resources import files
from importlib.resources.abc import Traversable

from ccgi_pipeline.reports.spec import ReportSpec


def nonstandard_folder(name: str) -> tuple[str, ...]:
    """Returns the folder of a customized report; each has its own, because file names are alike."""
    return ("legacy reporting", "nonstandard", name)


def customized_query(file_name: str) -> Traversable:
    """Returns a SQL file of this folder."""
    return files("ccgi_pipeline.reports.nonstandard").joinpath(file_name)


NONSTANDARD: tuple[ReportSpec, ...] = ()
