"""The courses that synthetic schools teach, and the order in which students take them.

Belongs here: about 70 courses as data, and the sequences of each subject by grade and level. Does
not belong here: who takes which, and with what mark (courses).
"""

from __future__ import annotations

from typing import NamedTuple

MIDDLE, HIGH = "Middle School", "High School"


class Course(NamedTuple):
    """A course; each semester of it is worth ``CREDITS``.

    ``area`` is the A-G area or Z; ``indicator`` is AP, H or nothing; ``difficulty`` is how far
    (in grade points) marks lie below what the student earns elsewhere.
    """

    local_id: str
    title: str
    abbreviation: str
    area: str
    indicator: str | None
    department: str
    difficulty: float
    level: str = HIGH
    college: bool = False


CREDITS = "5.00"

COURSES = (
    # History and social science
    Course("1110", "World History", "WORLD HISTORY", "A", None, "Social Science", 0.0),
    Course("1115", "AP World History", "AP WORLD HIST", "A", "AP", "Social Science", 0.3),
    Course("1120", "United States History", "US HISTORY", "A", None, "Social Science", 0.0),
    Course("1125", "AP United States History", "AP US HISTORY", "A", "AP", "Social Science", 0.3),
    Course("1130", "American Government", "AM GOVERNMENT", "A", None, "Social Science", -0.1),
    Course("1135", "AP US Government and Politics", "AP US GOVT", "A", "AP", "Social Science", 0.2),
    Course("1140", "Economics", "ECONOMICS", "G", None, "Social Science", -0.1),
    Course("1145", "AP Macroeconomics", "AP MACROECON", "G", "AP", "Social Science", 0.2),
    Course("1150", "Ethnic Studies", "ETHNIC STUDIES", "G", None, "Social Science", -0.1),
    Course("1160", "Psychology", "PSYCHOLOGY", "G", None, "Social Science", 0.0),
    # English
    Course("2109", "English 9", "ENGLISH 9", "B", None, "English", 0.0),
    Course("2119", "English 9 Honors", "ENGLISH 9 H", "B", "H", "English", 0.1),
    Course("2110", "English 10", "ENGLISH 10", "B", None, "English", 0.0),
    Course("2120", "English 10 Honors", "ENGLISH 10 H", "B", "H", "English", 0.1),
    Course("2111", "English 11", "ENGLISH 11", "B", None, "English", 0.0),
    Course("2121", "AP English Language and Composition", "AP ENGLISH LANG", "B", "AP",
           "English", 0.3),
    Course("2112", "Expository Reading and Writing", "ERWC", "B", None, "English", -0.1),
    Course("2122", "AP English Literature and Composition", "AP ENGLISH LIT", "B", "AP",
           "English", 0.3),
    Course("2140", "Journalism", "JOURNALISM", "G", None, "English", -0.2),
    # Mathematics
    Course("3007", "Mathematics 7", "MATH 7", "Z", None, "Mathematics", 0.0, MIDDLE),
    Course("3008", "Mathematics 8", "MATH 8", "Z", None, "Mathematics", 0.1, MIDDLE),
    Course("3110", "Algebra I", "ALGEBRA I", "C", None, "Mathematics", 0.2),
    Course("3120", "Geometry", "GEOMETRY", "C", None, "Mathematics", 0.2),
    Course("3125", "Geometry Honors", "GEOMETRY H", "C", "H", "Mathematics", 0.2),
    Course("3130", "Algebra II", "ALGEBRA II", "C", None, "Mathematics", 0.3),
    Course("3135", "Algebra II Honors", "ALGEBRA II H", "C", "H", "Mathematics", 0.3),
    Course("3140", "Statistics", "STATISTICS", "C", None, "Mathematics", 0.1),
    Course("3145", "AP Statistics", "AP STATISTICS", "C", "AP", "Mathematics", 0.3),
    Course("3150", "Precalculus", "PRECALCULUS", "C", None, "Mathematics", 0.3),
    Course("3155", "Precalculus Honors", "PRECALCULUS H", "C", "H", "Mathematics", 0.3),
    Course("3160", "AP Calculus AB", "AP CALCULUS AB", "C", "AP", "Mathematics", 0.4),
    Course("3165", "AP Calculus BC", "AP CALCULUS BC", "C", "AP", "Mathematics", 0.4),
    # Science
    Course("4110", "Earth Science", "EARTH SCIENCE", "G", None, "Science", 0.0),
    Course("4120", "Biology", "BIOLOGY", "D", None, "Science", 0.1),
    Course("4125", "Biology Honors", "BIOLOGY H", "D", "H", "Science", 0.1),
    Course("4128", "AP Biology", "AP BIOLOGY", "D", "AP", "Science", 0.4),
    Course("4130", "Chemistry", "CHEMISTRY", "D", None, "Science", 0.3),
    Course("4135", "Chemistry Honors", "CHEMISTRY H", "D", "H", "Science", 0.3),
    Course("4140", "Physics", "PHYSICS", "D", None, "Science", 0.2),
    Course("4145", "AP Physics 1", "AP PHYSICS 1", "D", "AP", "Science", 0.4),
    Course("4150", "Environmental Science", "ENVIRONMENTAL SCI", "D", None, "Science", 0.0),
    Course("4155", "AP Environmental Science", "AP ENV SCIENCE", "D", "AP", "Science", 0.2),
    # Languages other than English
    Course("5110", "Spanish 1", "SPANISH 1", "E", None, "World Languages", 0.0),
    Course("5120", "Spanish 2", "SPANISH 2", "E", None, "World Languages", 0.1),
    Course("5130", "Spanish 3", "SPANISH 3", "E", None, "World Languages", 0.1),
    Course("5145", "AP Spanish Language", "AP SPANISH LANG", "E", "AP", "World Languages", 0.1),
    Course("5210", "French 1", "FRENCH 1", "E", None, "World Languages", 0.0),
    Course("5220", "French 2", "FRENCH 2", "E", None, "World Languages", 0.1),
    Course("5230", "French 3", "FRENCH 3", "E", None, "World Languages", 0.1),
    Course("5310", "Mandarin 1", "MANDARIN 1", "E", None, "World Languages", 0.1),
    Course("5320", "Mandarin 2", "MANDARIN 2", "E", None, "World Languages", 0.1),
    Course("5330", "Mandarin 3", "MANDARIN 3", "E", None, "World Languages", 0.1),
    Course("5410", "American Sign Language 1", "ASL 1", "E", None, "World Languages", -0.1),
    Course("5420", "American Sign Language 2", "ASL 2", "E", None, "World Languages", 0.0),
    # Visual and performing arts
    Course("6110", "Art 1", "ART 1", "F", None, "Visual and Performing Arts", -0.4),
    Course("6115", "Art 2", "ART 2", "F", None, "Visual and Performing Arts", -0.4),
    Course("6120", "Ceramics 1", "CERAMICS 1", "F", None, "Visual and Performing Arts", -0.4),
    Course("6130", "Drama 1", "DRAMA 1", "F", None, "Visual and Performing Arts", -0.4),
    Course("6140", "Concert Band", "CONCERT BAND", "F", None, "Visual and Performing Arts", -0.5),
    Course("6150", "Mixed Choir", "MIXED CHOIR", "F", None, "Visual and Performing Arts", -0.5),
    # Electives and career technical education
    Course("7110", "AVID", "AVID", "G", None, "Electives", -0.3),
    Course("7120", "AP Computer Science Principles", "AP COMP SCI PRIN", "G", "AP",
           "Career Technical Education", 0.1),
    Course("7130", "Agricultural Mechanics", "AG MECHANICS", "Z", None,
           "Career Technical Education", -0.3),
    Course("7140", "Culinary Arts", "CULINARY ARTS", "Z", None,
           "Career Technical Education", -0.4),
    Course("7150", "Medical Terminology", "MEDICAL TERM", "G", None,
           "Career Technical Education", 0.0),
    Course("7160", "Student Government", "STUDENT GOVT", "Z", None, "Electives", -0.6),
    Course("7170", "College Sociology", "SOC 1 COLLEGE", "G", None, "Social Science", 0.1,
           college=True),
    # Physical education and health
    Course("8109", "Physical Education 9", "PE 9", "Z", None, "Physical Education", -0.5),
    Course("8110", "Physical Education 10", "PE 10", "Z", None, "Physical Education", -0.5),
    Course("8120", "Health", "HEALTH", "Z", None, "Physical Education", -0.4),
)  # fmt: skip

NONE = -1
"""No course."""
ROW = {course.local_id: row for row, course in enumerate(COURSES)}


def rows(*local_ids: str) -> tuple[int, ...]:
    """Rows of ``COURSES`` by local course id; a blank id is no course."""
    return tuple(ROW[local_id] if local_id else NONE for local_id in local_ids)


# By level of demand (ordinary, demanding), grades 9 to 12.
ENGLISH = (rows("2109", "2110", "2111", "2112"), rows("2119", "2120", "2121", "2122"))

# First and second semester, by level of demand, grades 9 to 12.
SOCIAL_SCIENCE = (
    (rows("8120", "1110", "1120", "1130"), rows("1150", "1110", "1120", "1140")),
    (rows("8120", "1115", "1125", "1135"), rows("1150", "1115", "1125", "1145")),
)

ONE_SEMESTER = frozenset(
    course
    for halves in SOCIAL_SCIENCE
    for first, second in zip(*halves, strict=True)
    for course in (first, second)
    if first != second
)
"""Rows of courses that end after one semester."""

# By level of demand (from the least to the most), grades 9 to 12.
SCIENCE = (
    rows("4110", "4120", "4150", ""),
    rows("4120", "4130", "4140", "4150"),
    rows("4120", "4130", "4150", "4155"),
    rows("4125", "4135", "4128", "4145"),
)

# By level of demand (from the least to the most), from the lowest course to the highest.
MATHEMATICS = (
    rows("3007", "3008", "3110", "3120", "3130", "3140", "", ""),
    rows("3007", "3008", "3110", "3120", "3130", "3150", "3145", ""),
    rows("3007", "3008", "3110", "3125", "3135", "3155", "3160", "3165"),
)
ALGEBRA_1 = MATHEMATICS[0].index(ROW["3110"])

# By language, from the first year to the last.
LANGUAGES = (
    rows("5110", "5120", "5130", "5145"),
    rows("5210", "5220", "5230", ""),
    rows("5310", "5320", "5330", ""),
    rows("5410", "5420", "", ""),
)
LANGUAGE_SHARES = (0.68, 0.12, 0.08, 0.12)

ARTS = rows("6110", "6120", "6130", "6140", "6150")
# What is taken in the place of arts in the other years, grades 9 to 12.
ELECTIVES = (
    rows("7110", "7130", "7140"),
    rows("7150", "2140", "7120"),
    rows("1160", "7140", "6115"),
    rows("7160", "1160", ""),
)
# Physical education, and what takes its place later, grades 9 to 12.
LAST_PERIOD = (
    rows("8109"),
    rows("8110"),
    rows("7110", "7170", ""),
    rows("7150", "7170", "", ""),
)
