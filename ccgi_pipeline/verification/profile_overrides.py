"""Accepted lines as their district means them, where its profile says that a cell means another.

Belongs here: the few changes that are made to accepted values on the district's word. Everything
else is loaded as it was sent.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from functools import partial

import polars as pl

from ccgi_pipeline.common.packed_frames import map_rows
from ccgi_pipeline.feeds import oneroster
from ccgi_pipeline.feeds.foster_focus import ENROLLMENT_HISTORY
from ccgi_pipeline.feeds.spec import SENDER
from ccgi_pipeline.feeds.transcript import STUDENT
from ccgi_pipeline.profiles import Profiles, month_and_day
from ccgi_pipeline.verification.outcomes import Verification


def apply_profile_overrides(
    verification: Verification, profiles: Profiles, on: date
) -> Verification:
    """``verification``, with consent and closing dates (as of ``on``) as profiles have them."""
    accepted = dict(verification.accepted)
    if STUDENT.name in accepted:
        accepted[STUDENT.name] = map_rows(
            accepted[STUDENT.name], partial(_with_consent, profiles=profiles)
        )
    if ENROLLMENT_HISTORY.name in accepted:
        accepted[ENROLLMENT_HISTORY.name] = map_rows(
            accepted[ENROLLMENT_HISTORY.name],
            partial(_with_closing_dates, profiles=profiles, on=on),
        )
    for feed in oneroster.FEEDS:
        if feed.name in accepted and "password" in feed.columns:
            # Nobody here has a use for one: what is not kept cannot leak.
            accepted[feed.name] = map_rows(accepted[feed.name], _without_passwords)
    return replace(verification, accepted=accepted)


def _without_passwords(users: pl.DataFrame) -> pl.DataFrame:
    return users.with_columns(password=pl.lit(None, dtype=pl.String))


def _with_consent(students: pl.DataFrame, profiles: Profiles) -> pl.DataFrame:
    """ParentConsent as consent, also of districts whose Y says that the parent opted out."""
    opting_out = [
        sender
        for sender in students[SENDER].unique().sort()
        if profiles.of(sender).parent_consent_means == "opt_out"
    ]
    return students.with_columns(pl.col("ParentConsent").xor(pl.col(SENDER).is_in(opting_out)))


def _with_closing_dates(enrollments: pl.DataFrame, profiles: Profiles, on: date) -> pl.DataFrame:
    """Enrollments of past school years closed on the day that the profile names.

    The day is that of the spring in which the enrollment's school year ends.
    """
    for sender in enrollments[SENDER].unique().sort():
        profile = profiles.of(sender)
        closing = profile.foster_focus.close_enrollments_on
        if closing is None:
            continue
        month, day = month_and_day(closing)
        turn_month, turn_day = month_and_day(profile.school_year_starts)
        entry = pl.col("EntryDate")
        turned = (
            entry.dt.month().cast(pl.Int32) * 100 + entry.dt.day() >= turn_month * 100 + turn_day
        )
        closed = pl.date(entry.dt.year() + turned.cast(pl.Int32), month, day)
        left_open = pl.col("ExitDate").is_null() & (closed < on)
        enrollments = enrollments.with_columns(
            pl.when((pl.col(SENDER) == sender) & left_open)
            .then(closed)
            .otherwise("ExitDate")
            .alias("ExitDate")
        )
    return enrollments
