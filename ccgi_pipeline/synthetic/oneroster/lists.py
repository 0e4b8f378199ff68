"""What student systems say beside the transcript: courses that give no marks, figures, words.

Belongs here: data of rostering alone. Does not belong here: the courses of transcripts
(course_list), and who takes what (timetable).
"""

from __future__ import annotations

from collections.abc import Mapping

from ccgi_pipeline.synthetic.course_list import COURSES, HIGH, MIDDLE, Course
from ccgi_pipeline.synthetic.places import FIRST_GRADE, LAST_GRADE

HOMEROOM = "Homeroom"
"""The department of classes that are homerooms."""


def _of_grade(grade: int, history: str) -> tuple[Course, ...]:
    """What a grade of middle school takes beside mathematics and languages."""
    departments = {
        f"English Language Arts {grade}": "English",
        f"Science {grade}": "Science",
        history: "Social Science",
        f"Physical Education {grade}": "Physical Education",
        f"Homeroom {grade}": HOMEROOM,
    }
    return tuple(
        Course(f"9{grade}{number:02d}", title, title.upper(), "Z", None, department, 0.0, MIDDLE)
        for number, (title, department) in enumerate(departments.items(), start=1)
    )


_MATHEMATICS_6 = Course("9600", "Mathematics 6", "MATH 6", "Z", None, "Mathematics", 0.0, MIDDLE)
_MIDDLE_SCHOOL = {
    6: (_MATHEMATICS_6, *_of_grade(6, "Ancient Civilizations")),
    7: _of_grade(7, "Medieval and Early Modern Times"),
    8: _of_grade(8, "United States History and Geography"),
}
_HIGH_SCHOOL = (
    Course("9901", "Advisory", "ADVISORY", "Z", None, HOMEROOM, 0.0, HIGH),
    Course("9902", "College and Career Readiness", "COLLEGE CAREER", "Z", None, "Electives", 0.0),
    Course("9903", "Study Skills", "STUDY SKILLS", "Z", None, "Electives", 0.0),
    Course("9904", "Work Experience", "WORK EXP", "Z", None, "Career Technical Education", 0.0),
    Course("9905", "Team Sports", "TEAM SPORTS", "Z", None, "Physical Education", 0.0),
)

TAUGHT = (*COURSES, *(c for courses in _MIDDLE_SCHOOL.values() for c in courses), *_HIGH_SCHOOL)
"""Every course that has classes: those of the transcripts first, so that their rows stay."""

_ROW = {course.local_id: row for row, course in enumerate(TAUGHT)}
OTHER_COURSES: Mapping[int, tuple[int, ...]] = {
    grade: tuple(_ROW[course.local_id] for course in _MIDDLE_SCHOOL.get(grade, _HIGH_SCHOOL))
    for grade in range(FIRST_GRADE, LAST_GRADE + 1)
}
"""By grade the rows of ``TAUGHT`` with which a student's week is filled up, the first one first."""
COURSES_OF_A_STUDENT: Mapping[int, int] = {6: 6, 7: 6, 8: 6, 9: 6, 10: 6, 11: 5, 12: 5}
"""By grade how many courses a student takes at least."""

GRADES_OF_LEVEL = {MIDDLE: "06,07,08", HIGH: "09,10,11,12"}

SUBJECTS: Mapping[str, tuple[str, str]] = {
    "English": ("English Language and Literature—Other", "01999"),
    "Mathematics": ("Mathematics—Other", "02999"),
    "Science": ("Life and Physical Sciences—Other", "03999"),
    "Social Science": ("Social Sciences and History—Other", "04999"),
}
"""SCED title and code by department, of those departments that SCED has as one subject area."""

STUDENTS_OF_A_CLASS = 32
CLASSES_OF_A_TEACHER = 5
CO_TAUGHT_ONE_IN = 12
"""Of so many classes, one has a second teacher."""
