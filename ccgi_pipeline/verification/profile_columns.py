"""What the district's profile says, as columns beside its lines.

Belongs here: settings in the form in which rules can use them. Does not belong here: reading the
settings file (profiles), what a rule makes of them (feeds).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date

import polars as pl

from ccgi_pipeline.feeds.spec import SENDER
from ccgi_pipeline.profiles import Profiles, month_and_day

FACTS_SCHEMA: Mapping[str, pl.DataType | type[pl.DataType]] = {
    SENDER: pl.String,
    "_on": pl.Date,
    "_turns": pl.Int32,
    "_this_year": pl.Int32,
    "_by_id": pl.Boolean,
    "_strict": pl.Boolean,
    "_nine_digits": pl.Boolean,
    "_closes": pl.Boolean,
    "_elementary": pl.Int32,
    "_self_contained": pl.List(pl.String),
    "_tests": pl.List(pl.String),
}
"""``_on``: the night. ``_turns``: month and day of the school year's first day, as 701.
``_this_year``: the school year of the night, by the year in which it ends."""


def facts(profiles: Profiles, senders: Iterable[str], on: date) -> pl.DataFrame:
    """A row of ``FACTS_SCHEMA`` for each of ``senders``."""
    rows = []
    for sender in senders:
        profile = profiles.of(sender)
        link = profile.foster_focus
        month, day = month_and_day(profile.school_year_starts)
        rows.append(
            (
                sender,
                on,
                100 * month + day,
                profile.school_year(on),
                link.unique_ids_are_permanent,
                link.strict,
                link.nine_digit_local_ids,
                link.close_enrollments_on is not None,
                link.elementary_through_grade,
                list(link.self_contained_schools),
                list(link.tests_in_sis),
            )
        )
    return pl.DataFrame(rows, schema=dict(FACTS_SCHEMA), orient="row")


def calendars(profiles: Profiles, senders: Iterable[str]) -> pl.DataFrame:
    """The school days of the senders whose profile has a calendar."""
    rows = [(s, day) for s in senders for day in profiles.of(s).foster_focus.school_days]
    return pl.DataFrame(rows, schema={SENDER: pl.String, "SchoolDate": pl.Date}, orient="row")
