"""Generates Foster Focus extracts about districts' foster youth, and the register of children.

Modules: ``youth`` (who they are, and how the register knows them), ``enrollments`` (their schools,
year by year), ``attendance`` (days, absences, incidents), ``marks`` (transcripts and averages),
``scores`` (tests), ``register`` (the children), with figures and words as data in ``lists`` and
school days in ``school_days``.

Belongs here: making lines of these feeds out of people and courses that the generator has already
drawn. Does not belong here: drawing people or courses, and files.
"""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from ccgi_pipeline.feeds import foster_focus, foster_focus_cps
from ccgi_pipeline.feeds.spec import FeedSpec
from ccgi_pipeline.synthetic.courses import History
from ccgi_pipeline.synthetic.foster_focus.attendance import (
    exception_lines,
    incident_lines,
    incidents,
    period_lines,
    school_life,
)
from ccgi_pipeline.synthetic.foster_focus.enrollments import enrollment_lines, schooling
from ccgi_pipeline.synthetic.foster_focus.marks import average_lines, mark_lines
from ccgi_pipeline.synthetic.foster_focus.register import child_lines
from ccgi_pipeline.synthetic.foster_focus.school_days import school_days
from ccgi_pipeline.synthetic.foster_focus.scores import score_lines
from ccgi_pipeline.synthetic.foster_focus.youth import (
    demographic_lines,
    foster_youth,
    special_education_lines,
)
from ccgi_pipeline.synthetic.people import People
from ccgi_pipeline.synthetic.student_blocks import Block


def foster_lines(
    block: Block, people: People, history: History
) -> Iterator[tuple[FeedSpec, pl.DataFrame]]:
    """Each Foster Focus feed with its lines (typed columns) of a block; nothing without youth."""
    calendar = school_days(block.on)
    youth = foster_youth(block, people, calendar)
    if not len(youth.rows):
        return
    taken = youth.share_of(history)
    enrollments = schooling(youth, taken, calendar)
    happened = incidents(youth, enrollments, calendar)
    life = school_life(youth, taken, enrollments, happened, calendar)
    yield foster_focus.DEMOGRAPHICS, demographic_lines(youth, enrollments.entered_current_school)
    yield foster_focus.ENROLLMENT_HISTORY, enrollment_lines(youth, enrollments)
    yield foster_focus.ATTENDANCE_PERIODS, period_lines(youth, life)
    yield foster_focus.ATTENDANCE_EXCEPTIONS, exception_lines(youth, life)
    yield foster_focus.TEST_SCORES, score_lines(youth, enrollments)
    yield foster_focus.SPECIAL_EDUCATION, special_education_lines(youth)
    yield foster_focus.GPA, average_lines(youth, taken)
    yield foster_focus.BEHAVIOR, incident_lines(youth, happened, calendar)
    yield foster_focus.TRANSCRIPTS, mark_lines(youth, taken)
    yield foster_focus_cps.FEED, child_lines(youth)
