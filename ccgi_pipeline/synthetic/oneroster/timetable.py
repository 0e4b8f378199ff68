"""Who is in which class: the courses that students take now, cut into classes with teachers.

Belongs here: classes, their teachers, and the enrollments of both. Does not belong here: the
teachers' own lines (users).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from ccgi_pipeline.synthetic.oneroster import lists, schools
from ccgi_pipeline.synthetic.oneroster.export_styles import Way
from ccgi_pipeline.synthetic.oneroster.students import SINCE, UNTIL, Students
from ccgi_pipeline.synthetic.random_draws import Integers, look_up, repeated
from ccgi_pipeline.synthetic.student_blocks import is_spring


@dataclass(frozen=True)
class Timetable:
    """The classes of a block, and who is in them.

    Of each class: ``school`` (row), ``course`` (row of ``lists.TAUGHT``), ``section``, ``class_id``
    (text), ``teacher`` and ``co_teacher`` (entries among the teachers; -1 is nobody). Of each
    teacher: ``teacher_school`` and ``teacher_id``. Of each place of a student in a class:
    ``student``, ``place`` (row of the class).
    """

    school: Integers
    course: Integers
    section: Integers
    class_id: pl.Series
    teacher: Integers
    co_teacher: Integers
    teacher_school: Integers
    teacher_id: pl.Series
    student: Integers
    place: Integers


def timetable(students: Students) -> Timetable:
    """The classes that the students of a block need; everyone in one takes its course there."""
    student, course = _with_other_courses(students)
    key = students.school[student] * len(lists.TAUGHT) + course
    order = np.lexsort((student, key))
    student, key = student[order], key[order]
    groups, start, size = np.unique(key, return_index=True, return_counts=True)
    sections = -(-size // lists.STUDENTS_OF_A_CLASS)
    group = np.repeat(np.arange(len(groups)), size)
    nth = np.arange(len(key)) - start[group]
    first_class = np.cumsum(sections) - sections
    place = first_class[group] + nth * sections[group] // size[group]

    group_of_class = np.repeat(np.arange(len(groups)), sections)
    section = np.arange(len(group_of_class)) - first_class[group_of_class] + 1
    school, course = np.divmod(groups[group_of_class], len(lists.TAUGHT))
    teacher, co_teacher, teacher_school, nth_teacher = _teachers(school)
    ids = schools.school_ids(students.block.place)
    number = students.block.number
    return Timetable(
        school=school,
        course=course,
        section=section,
        class_id=look_up(ids, school)
        + "-"
        + look_up([c.local_id for c in lists.TAUGHT], course)
        + f"-{number + 1}."
        + pl.Series(section).cast(pl.String),
        teacher=teacher,
        co_teacher=co_teacher,
        teacher_school=teacher_school,
        teacher_id="T"
        + look_up(ids, teacher_school)
        + f"-{number + 1}."
        + pl.Series(nth_teacher + 1).cast(pl.String),
        student=student,
        place=place,
    )


def _with_other_courses(students: Students) -> tuple[Integers, Integers]:
    """Students and courses: those of the transcript, and what fills up the week beside them."""
    counts = np.bincount(students.taken.student, minlength=len(students.grade))
    student, course = [students.taken.student], [students.taken.course]
    for grade, others in lists.OTHER_COURSES.items():
        of_grade = np.flatnonzero(students.grade == grade)
        missing = lists.COURSES_OF_A_STUDENT[grade] - counts[of_grade]
        for nth, row in enumerate(others):
            takers = of_grade[missing > nth]
            student.append(takers)
            course.append(np.full(len(takers), row))
    return np.concatenate(student), np.concatenate(course)


def _teachers(school: Integers) -> tuple[Integers, Integers, Integers, Integers]:
    """Of each class its teacher and second teacher; of each teacher the school and number there.

    ``school`` is sorted. A teacher has classes that lie side by side: of one course, or nearly so.
    """
    taught, start, size = np.unique(school, return_index=True, return_counts=True)
    needed = -(-size // lists.CLASSES_OF_A_TEACHER)
    first = np.cumsum(needed) - needed
    position = np.searchsorted(taught, school)
    nth_class = np.arange(len(school)) - start[position]
    nth = nth_class // lists.CLASSES_OF_A_TEACHER
    teacher = first[position] + nth
    another = first[position] + (nth + 1) % needed[position]
    shared = (nth_class % lists.CO_TAUGHT_ONE_IN == 0) & (another != teacher)
    teacher_position = np.repeat(np.arange(len(taught)), needed)
    nth_teacher = np.arange(len(teacher_position)) - first[teacher_position]
    return teacher, np.where(shared, another, -1), taught[teacher_position], nth_teacher


def class_lines(students: Students, table: Timetable, way: Way) -> pl.DataFrame:
    """Classes columns."""
    courses = lists.TAUGHT
    subjects = [lists.SUBJECTS.get(course.department, (None, None)) for course in courses]
    kinds = ["homeroom" if c.department == lists.HOMEROOM else "scheduled" for c in courses]
    return pl.DataFrame(
        {
            "sourcedId": table.class_id,
            "title": look_up([course.title for course in courses], table.course),
            "grades": look_up([lists.GRADES_OF_LEVEL[c.level] for c in courses], table.course),
            "courseSourcedId": look_up(
                [schools.course_id(row) for row in range(len(courses))], table.course
            ),
            "classCode": look_up([course.local_id for course in courses], table.course)
            + "-"
            + pl.Series(table.section).cast(pl.String),
            "classType": look_up(kinds, table.course),
            "location": "Room " + pl.Series(table.teacher % 90 + 1).cast(pl.String),
            "schoolSourcedId": look_up(schools.school_ids(students.block.place), table.school),
            "termSourcedIds": repeated(schools.term_ids(students.block.on, way), len(table.course)),
            "subjects": look_up([subject for subject, _ in subjects], table.course),
            "subjectCodes": look_up([code for _, code in subjects], table.course),
            "periods": pl.Series(table.section % 6 + 1).cast(pl.String),
        }
    )


# --- enrollments ------------------------------------------------------------------------------


def enrollment_lines(students: Students, table: Timetable, way: Way) -> pl.DataFrame:
    """Enrollments columns: teachers, students, and where some of these were before."""
    term = 1 + is_spring(students.block.on)
    teachers = pl.concat(
        [
            _teacher_lines(students, table, np.arange(len(table.teacher)), primary=True),
            _teacher_lines(students, table, np.flatnonzero(table.co_teacher >= 0), primary=False),
        ]
    )
    lines = pl.concat([teachers, _student_lines(students, table)])
    dates: dict[str, pl.Expr] = {}
    if way.dated:
        first, after = schools.term_bounds(students.block.on)
        begin = pl.col("beginDate").fill_null(pl.lit(first)).clip(pl.lit(first), pl.lit(after - 1))
        dates = {"beginDate": begin, "endDate": pl.lit(after)}
    return lines.with_columns(
        pl.col("sourcedId") + f"-S{term}",
        beginDate=dates.get("beginDate", pl.lit(None, dtype=pl.Date)),
        endDate=dates.get("endDate", pl.lit(None, dtype=pl.Date)),
    )


def _teacher_lines(
    students: Students, table: Timetable, place: Integers, *, primary: bool
) -> pl.DataFrame:
    teacher = (table.teacher if primary else table.co_teacher)[place]
    count = len(place)
    class_id = table.class_id[pl.Series(place)]
    return pl.DataFrame(
        {
            "sourcedId": ("E" if primary else "F") + class_id,
            "classSourcedId": class_id,
            "schoolSourcedId": look_up(
                schools.school_ids(students.block.place), table.school[place]
            ),
            "userSourcedId": look_up(table.teacher_id, teacher),
            "role": repeated("teacher", count),
            "primary": repeated("true" if primary else "false", count),
            "beginDate": pl.Series([None], dtype=pl.Date).new_from_index(0, count),
            SINCE: np.zeros(count, dtype=np.int64),
            UNTIL: np.full(count, students.days),
        }
    )


def _student_lines(students: Students, table: Timetable) -> pl.DataFrame:
    """Where students are; who changes is in one class until then, and then in another."""
    moved, to = _moves(students, table)
    since = students.since[table.student]
    until = students.until[table.student]
    since[moved] = students.changes[table.student[moved]]
    student = np.append(table.student, table.student[moved])
    place = np.append(table.place, to)
    then = pl.Series(np.arange(len(student)) >= len(table.student))
    own = (
        "E"
        + look_up(student_ids(students), student)
        + "-"
        + look_up(_course_ids(), table.course[np.append(table.place, table.place[moved])])
    )
    return pl.DataFrame(
        {
            "sourcedId": (own + "a").zip_with(then, own),
            "classSourcedId": look_up(table.class_id, place),
            "schoolSourcedId": look_up(
                schools.school_ids(students.block.place), table.school[place]
            ),
            "userSourcedId": look_up(student_ids(students), student),
            "role": repeated("student", len(student)),
            "primary": repeated("false", len(student)),
            "beginDate": students.cells["EnrollmentStartDate"][pl.Series(student)],
            SINCE: np.append(since, students.since[table.student[moved]]),
            UNTIL: np.append(until, students.changes[table.student[moved]]),
        }
    )


def _course_ids() -> list[str]:
    return [course.local_id for course in lists.TAUGHT]


def _moves(students: Students, table: Timetable) -> tuple[Integers, Integers]:
    """Of each changing student one place, and the class in which they were before.

    It is the class beside the new one, of the same course where that has several.
    """
    order = np.argsort(table.student, kind="stable")
    first = np.searchsorted(table.student[order], students.changing)
    moved = order[first]
    now = table.place[moved]
    beside = np.where(table.section[now] > 1, now - 1, (now + 1) % len(table.school))
    elsewhere = table.school[beside] != table.school[now]
    return moved, np.where(elsewhere, now, beside)


def student_ids(students: Students) -> pl.Series:
    """The students' ids as users."""
    return "S" + students.local_id
