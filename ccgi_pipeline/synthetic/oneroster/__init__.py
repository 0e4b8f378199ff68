"""Generates OneRoster sets as districts' student systems export them, one drop or one each day.

Modules: ``export_styles`` (how each district sends), ``schools`` (organizations, sessions,
courses), ``students`` (who is in the system, and on which days), ``timetable`` (classes and
enrollments), ``users`` (everyone's lines), ``drops`` (days, files, packages), with courses and
figures as data in ``lists``.

Belongs here: making lines of these feeds out of people and courses that the generator has already
drawn. Does not belong here: drawing people or courses, and the text of files.
"""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from ccgi_pipeline.feeds import oneroster
from ccgi_pipeline.feeds.spec import FeedSpec
from ccgi_pipeline.synthetic.courses import History
from ccgi_pipeline.synthetic.oneroster.drops import Drops
from ccgi_pipeline.synthetic.oneroster.export_styles import Way
from ccgi_pipeline.synthetic.oneroster.schools import course_lines, org_lines, session_lines
from ccgi_pipeline.synthetic.oneroster.students import students
from ccgi_pipeline.synthetic.oneroster.timetable import class_lines, enrollment_lines, timetable
from ccgi_pipeline.synthetic.oneroster.users import user_lines
from ccgi_pipeline.synthetic.people import People
from ccgi_pipeline.synthetic.student_blocks import Block

__all__ = ["Drops", "roster_lines"]


def roster_lines(
    block: Block, people: People, history: History, way: Way, days: int
) -> Iterator[tuple[FeedSpec, pl.DataFrame]]:
    """Each OneRoster feed with its lines of a block, of all ``days`` together.

    Beside the feed's columns a frame may have those that say on which days a line is sent
    (``students.SINCE`` and ``UNTIL``); without them it is sent every day.
    """
    if not block.number:
        yield oneroster.ORGS, org_lines(block.place, way)
        yield oneroster.ACADEMIC_SESSIONS, session_lines(block.on, way)
        yield oneroster.COURSES, course_lines(block.on)
    enrolled = students(block, people, history, days)
    table = timetable(enrolled)
    yield oneroster.CLASSES, class_lines(enrolled, table, way)
    yield from user_lines(enrolled, table, way)
    yield oneroster.ENROLLMENTS, enrollment_lines(enrolled, table, way)
