"""Worked cases: each shows one public rule, with the result that was worked out by hand.

Belongs here: cases, each with the table of the universities that has its rule, for UC and CSU
and for both implementations, the one under test and the naive one. Does not belong here: random
histories (test_agreement), promises about all histories (test_properties).

Most cases start from a history that fulfils everything, with a B in each of its fifteen years, nine
of them in the window of the average (540 units, 1620 points), and change one area. Years are
written in years, averages as fractions.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction

import polars as pl
import pytest

from ccgi_pipeline.eligibility.evaluation import evaluate
from ccgi_pipeline.eligibility.history import from_transcripts
from ccgi_pipeline.eligibility.systems import CSU, UC
from ccgi_pipeline.feeds.transcript import COURSE_GRADE
from ccgi_pipeline_tests.eligibility.naive import AREAS, YEAR, Estimate, Mark, estimate
from ccgi_pipeline_tests.eligibility.notation import courses_frame, marks_of, students_frame

MEETS, ON_TRACK, CLOSE = "Meets", "On track", "Close"
NOT_ON_TRACK, INSUFFICIENT = "Not on track", "Insufficient data"
SYSTEMS = {"UC": UC, "CSU": CSU}

FULL = {
    "A": ["10 A world_history FY:B", "11 A us_history FY:B"],
    "B": ["9 B - FY:B", "10 B - FY:B", "11 B - FY:B", "12 B - FY:B"],
    "C": ["9 C algebra_1 FY:B", "10 C geometry FY:B", "11 C algebra_2 FY:B"],
    "D": ["9 D biology FY:B", "10 D chemistry FY:B"],
    "E": ["9 E spanish-1 FY:B", "10 E spanish-2 FY:B"],
    "F": ["9 F visual FY:B"],
    "G": ["11 G - FY:B"],
}
"""Everything that both systems want, fourteen of the years by the end of grade 11."""


def full(**instead: list[str]) -> list[str]:
    """The full history, with other courses in the areas named."""
    return [course for courses in (FULL | instead).values() for course in courses]


def full_and(*more: str) -> list[str]:
    """The full history and more courses."""
    return [*full(), *more]


@dataclass(frozen=True)
class Want:
    """What one system must say."""

    status: str
    gpa: str | None
    total: float
    lacks: str | None = ""
    """The areas that are not complete; None where the case is not about them."""
    years: dict[str, float | Fraction] = field(default_factory=dict)


@dataclass(frozen=True)
class Case:
    """A history and what each system must say of it."""

    name: str
    source: str
    courses: list[str]
    wants: dict[str, Want]
    grade: int = 12
    certified: bool = False


def both(*args: object, **kwargs: object) -> dict[str, Want]:
    """Both systems say the same."""
    return {"UC": Want(*args, **kwargs), "CSU": Want(*args, **kwargs)}


CASES = [
    # --- 3.1, area A ---------------------------------------------------------------------------
    Case(
        "fifteen years with all their details and a B average meet both systems",
        "3.1 Total",
        full(),
        both(
            MEETS,
            "3",
            15,
            years={"A": 2, "B": 4, "C": 3, "D": 2, "E": 2, "F": 1, "G": 1},
        ),
    ),
    Case(
        "half a year of US history and half a year of government stand for a year of US history",
        "3.1 A",
        full(
            A=["10 A world_history FY:B", "11 A us_history S1:B", "11 A government S2:B"],
        ),
        both(MEETS, "3", 15),
    ),
    Case(
        "half a year of US history without government is not enough",
        "3.1 A",
        full(A=["10 A world_history FY:B", "11 A us_history S1:B", "11 A - S2:B"]),
        both(CLOSE, "3", 15, lacks="A"),
    ),
    Case(
        "a year of government does not stand for US history",
        "3.1 A",
        full(A=["10 A world_history FY:B", "11 A government S1:B S2:B"]),
        both(CLOSE, "3", 15, lacks="A"),
    ),
    Case(
        "two years of US history are enough for CSU and lack world history for UC",
        "3.1 A",
        full(A=["10 A us_history FY:B #1", "11 A us_history FY:B #2"]),
        {"UC": Want(CLOSE, "3", 15, lacks="A"), "CSU": Want(MEETS, "3", 15)},
    ),
    Case(
        "two years of world history lack US history in both systems",
        "3.1 A",
        full(A=["10 A world_history FY:B #1", "11 A world_history FY:B #2"]),
        both(CLOSE, "3", 15, lacks="A"),
    ),
    Case(
        "the second year of history may be an elective for CSU and not for UC",
        "3.1 A",
        full(A=["11 A us_history FY:B"], G=["10 G - FY:B", "11 G - FY:B"]),
        {
            "UC": Want(CLOSE, "3", 14, lacks="A", years={"A": 1, "G": 1}),
            "CSU": Want(MEETS, "3", 15, years={"A": 2, "G": 1}),
        },
    ),
    Case(
        "the second year of history may be what the arts have too much for CSU",
        "3.1 A",
        [*full(A=["11 A us_history FY:B"]), "10 F visual FY:B #second"],
        {
            "UC": Want(CLOSE, "3", 14, lacks="A"),
            "CSU": Want(MEETS, "3", 15, years={"A": 2, "F": 1, "G": 1}),
        },
    ),
    Case(
        "the electives keep their own year before they give any to history",
        "3.1 A",
        full(A=["11 A us_history FY:B"]),
        both(CLOSE, "3", 14, lacks="A", years={"A": 1, "G": 1}),
    ),
    Case(
        "no more than one year of history comes from the electives",
        "3.1 A",
        full(A=[], G=["9 G - FY:B", "10 G - FY:B", "11 G - FY:B"]),
        {
            "UC": Want(CLOSE, "3", 13, lacks="A", years={"A": 0}),
            "CSU": Want(CLOSE, "3", 14, lacks="A", years={"A": 1}),
        },
    ),
    # --- 3.1, area B ---------------------------------------------------------------------------
    Case(
        "three years of English lack one",
        "3.1 B",
        full(B=["9 B - FY:B", "10 B - FY:B", "11 B - FY:B"]),
        both(CLOSE, "3", 14, lacks="B", years={"B": 3}),
    ),
    Case(
        "one year of English as a second language counts",
        "3.1 B",
        full(B=["9 B esl FY:B", "10 B - FY:B", "11 B - FY:B", "12 B - FY:B"]),
        both(MEETS, "3", 15),
    ),
    Case(
        "a second year of English as a second language does not count, in the electives neither",
        "3.1 B",
        full(
            B=["9 B esl FY:B #1", "10 B esl FY:B #2", "11 B - FY:B", "12 B - FY:B"],
            G=[],
        ),
        both(CLOSE, "3", 13, lacks="BG", years={"B": 3, "G": 0}),
    ),
    Case(
        "English as a second language in the senior year does not count",
        "3.1 B",
        full(B=["9 B - FY:B", "10 B - FY:B", "11 B - FY:B", "12 B esl FY:B"]),
        both(CLOSE, "3", 14, lacks="B", years={"B": 3}),
    ),
    # --- 3.1, area C ---------------------------------------------------------------------------
    Case(
        "three years of mathematics without geometry are enough for CSU only",
        "3.1 C",
        full(C=["9 C algebra_1 FY:B", "10 C algebra_2 FY:B", "11 C statistics FY:B"]),
        {
            "UC": Want(CLOSE, "3", 15, lacks="C", years={"C": 3}),
            "CSU": Want(MEETS, "3", 15),
        },
    ),
    Case(
        "half a year of geometry is not the geometry course that UC wants",
        "3.1 C",
        full(
            C=[
                "9 C algebra_1 FY:B",
                "10 C algebra_2 FY:B",
                "10 C geometry S1:B",
                "11 C statistics FY:B",
            ]
        ),
        {"UC": Want(CLOSE, "3", 15, lacks="C"), "CSU": Want(MEETS, "3", 15)},
    ),
    Case(
        "integrated mathematics has its geometry",
        "3.1 C",
        full(C=["9 C integrated_1 FY:B", "10 C integrated_2 FY:B", "11 C integrated_3 FY:B"]),
        both(MEETS, "3", 15),
    ),
    Case(
        "two years of mathematics lack one",
        "3.1 C",
        full(C=["9 C algebra_1 FY:B", "10 C geometry FY:B"]),
        both(CLOSE, "3", 14, lacks="C", years={"C": 2}),
    ),
    Case(
        "mathematics of unknown kind counts its years and is no geometry",
        "3.1 C",
        full(C=["9 C - FY:B", "10 C - FY:B", "11 C - FY:B"]),
        {"UC": Want(CLOSE, "3", 15, lacks="C"), "CSU": Want(MEETS, "3", 15)},
    ),
    Case(
        "algebra of the eighth grade counts",
        "3.1 other UC facts: 7th/8th-grade mathematics",
        full(C=["8 C algebra_1 FY:B", "9 C geometry FY:B", "10 C algebra_2 FY:B"]),
        both(MEETS, "3", 15),
    ),
    # --- 3.1, area D ---------------------------------------------------------------------------
    Case(
        "biology and physics are two of UC's three sciences",
        "3.1 D",
        full(D=["9 D biology FY:B", "10 D physics FY:B"]),
        both(MEETS, "3", 15),
    ),
    Case(
        "earth science beside biology is enough for CSU only",
        "3.1 D",
        full(D=["9 D biology FY:B", "10 D other_physical FY:B"]),
        {
            "UC": Want(CLOSE, "3", 15, lacks="D", years={"D": 2}),
            "CSU": Want(MEETS, "3", 15),
        },
    ),
    Case(
        "chemistry and physics are enough for UC and lack a biological science for CSU",
        "3.1 D",
        full(D=["9 D chemistry FY:B", "10 D physics FY:B"]),
        {
            "UC": Want(MEETS, "3", 15),
            "CSU": Want(CLOSE, "3", 15, lacks="D", years={"D": 2}),
        },
    ),
    Case(
        "the physical science may be an elective for CSU",
        "3.1 D",
        full(D=["9 D biology FY:B"], G=["10 G - FY:B", "11 G physics FY:B"]),
        {
            "UC": Want(CLOSE, "3", 14, lacks="D", years={"D": 1, "G": 1}),
            "CSU": Want(MEETS, "3", 15, years={"D": 2, "G": 1}),
        },
    ),
    Case(
        "one of the two sciences may come from the electives, not both",
        "3.1 D",
        full(D=[], G=["9 G biology FY:B", "10 G physics FY:B", "11 G - FY:B"]),
        {
            "UC": Want(CLOSE, "3", 13, lacks="D", years={"D": 0, "G": 1}),
            "CSU": Want(CLOSE, "3", 14, lacks="D", years={"D": 1, "G": 1}),
        },
    ),
    Case(
        "a science of the electives that fills up D is no elective any more",
        "3.1 D",
        full(D=["9 D biology FY:B"], G=["11 G physics FY:B"]),
        {
            "UC": Want(CLOSE, "3", 14, lacks="D", years={"D": 1, "G": 1}),
            "CSU": Want(CLOSE, "3", 14, lacks="G", years={"D": 2, "G": 0}),
        },
    ),
    Case(
        "two years of biology leave the physical science to the electives of CSU",
        "3.1 D",
        full(
            D=["9 D biology FY:B #1", "10 D biology FY:B #2"],
            G=["11 G physics FY:B"],
        ),
        {
            "UC": Want(CLOSE, "3", 15, lacks="D", years={"D": 2, "G": 1}),
            "CSU": Want(MEETS, "3", 15, years={"D": 2, "G": 1}),
        },
    ),
    Case(
        "a science of unknown kind does not let both years come from the electives",
        "3.1 D",
        full(D=["9 D - FY:B"], G=["9 G biology FY:B", "10 G physics FY:B", "11 G - FY:B"]),
        {
            "UC": Want(CLOSE, "3", 14, lacks="D", years={"D": 1, "G": 1}),
            "CSU": Want(CLOSE, "3", 15, lacks="D", years={"D": 2, "G": 1}),
        },
    ),
    Case(
        "an elective that is no science does not fill up D",
        "3.1 D",
        full(D=["9 D biology FY:B"], G=["10 G - FY:B", "11 G - FY:B"]),
        both(CLOSE, "3", 14, lacks="D", years={"D": 1, "G": 1}),
    ),
    # --- 3.1, area E ---------------------------------------------------------------------------
    Case(
        "a year of each of two languages is one year, and the other is an elective",
        "3.1 E",
        full(E=["9 E spanish-1 FY:B", "10 E french-1 FY:B"], G=[]),
        both(CLOSE, "3", 14, lacks="E", years={"E": 1, "G": 1}),
    ),
    Case(
        "the third year of a language is an elective",
        "3.1 E, G",
        full(E=[*FULL["E"], "11 E spanish-3 FY:B"], G=[]),
        both(MEETS, "3", 15, years={"E": 2, "G": 1}),
    ),
    Case(
        "Spanish of the seventh and eighth grades counts",
        "3.1 other UC facts: 7th/8th-grade languages",
        full(E=["7 E spanish-1 FY:B", "8 E spanish-2 FY:B"]),
        both(MEETS, "3", 15, years={"E": 2}),
    ),
    Case(
        "the first level taken twice under two numbers is one year",
        "3.1 E",
        full(E=["9 E spanish-1 FY:B #1", "10 E spanish-1 FY:B #2"]),
        both(CLOSE, "3", 14, lacks="E", years={"E": 1}),
    ),
    Case(
        "language lines without a known language are one language",
        "3.1 E",
        full(E=["9 E - FY:B", "10 E - FY:B"]),
        both(MEETS, "3", 15, years={"E": 2}),
    ),
    Case(
        "a certificate stands for both years of a language",
        "2.1 LOTE Cert",
        full(E=[]),
        both(MEETS, "3", 15, years={"E": 2}),
        certified=True,
    ),
    Case(
        "a certificate stands for the year that is missing",
        "2.1 LOTE Cert",
        full(E=["9 E spanish-1 FY:B"]),
        both(MEETS, "3", 15, years={"E": 2}),
        certified=True,
    ),
    Case(
        "a certificate makes no elective of the years that it stands for",
        "2.1 LOTE Cert; 3.1 G",
        full(G=[]),
        both(CLOSE, "3", 14, lacks="G", years={"E": 2, "G": 0}),
        certified=True,
    ),
    Case(
        "without the certificate the language is missing",
        "2.1 LOTE Cert",
        full(E=[]),
        both(CLOSE, "3", 13, lacks="E", years={"E": 0}),
    ),
    Case(
        "a certificate alone is no course history",
        "2.1 LOTE Cert",
        [],
        both(INSUFFICIENT, None, 2, lacks=None),
        certified=True,
    ),
    # --- 3.1, areas F and G --------------------------------------------------------------------
    Case(
        "two semesters of two arts are a year for UC, and for CSU half of one",
        "3.1 F",
        full(F=["9 F visual S1:B", "9 F music S2:B"]),
        {
            "UC": Want(MEETS, "3", 15, years={"F": 1}),
            "CSU": Want(CLOSE, "3", 14.5, lacks="F", years={"F": 0.5, "G": 1}),
        },
    ),
    Case(
        "two semesters of one art in two years are a year",
        "3.1 F",
        full(F=["9 F music S1:B", "10 F music S2:B"]),
        both(MEETS, "3", 15, years={"F": 1}),
    ),
    Case(
        "CSU's other discipline is an elective",
        "3.1 F, G",
        full(F=["9 F visual FY:B", "10 F music FY:B"], G=[]),
        both(MEETS, "3", 15, years={"F": 1, "G": 1}),
    ),
    Case(
        "a fourth year of mathematics is the elective",
        "3.1 G",
        full(C=[*FULL["C"], "11 C precalculus FY:B"], G=[]),
        both(MEETS, "3", 15, years={"C": 3, "G": 1}),
    ),
    Case(
        "years of mathematics that were only validated are no elective",
        "3.1 G, 3.2",
        full(C=["9 C geometry FY:B", "10 C precalculus FY:B"], G=[]),
        both(CLOSE, "3", 14, lacks="G", years={"C": 3, "G": 0}),
    ),
    Case(
        "levels of a language that were only validated are no elective",
        "3.1 G, 3.2",
        full(E=["10 E spanish-4 FY:B"], G=[]),
        both(CLOSE, "3", 14, lacks="G", years={"E": 2, "G": 0}),
    ),
    Case(
        "a fifth year of English and half a year of history too much make one and a half",
        "3.1 G",
        [*full(G=["11 G - S1:B"]), "12 B - FY:B #fifth", "12 A - S1:B"],
        both(MEETS, "3", 15, years={"A": 2, "B": 4, "G": 1}),
    ),
    Case(
        "without an elective the fourteen other years lack one",
        "3.1 G",
        full(G=[]),
        both(CLOSE, "3", 14, lacks="G", years={"G": 0}),
    ),
    # --- 3.1, total, marks, units --------------------------------------------------------------
    Case(
        "UC wants eleven years before the last year of high school, and ten are too few",
        "3.1 Total",
        full(
            A=["10 A world_history FY:B", "12 A us_history FY:B"],
            D=["9 D biology FY:B", "12 D chemistry FY:B"],
            F=["12 F visual FY:B"],
            G=["12 G - FY:B"],
        ),
        {"UC": Want(CLOSE, "3", 15), "CSU": Want(MEETS, "3", 15)},
    ),
    Case(
        "eleven years by the end of grade 11 are enough for UC",
        "3.1 Total",
        full(
            A=["10 A world_history FY:B", "12 A us_history FY:B"],
            D=["9 D biology FY:B", "12 D chemistry FY:B"],
            F=["12 F visual FY:B"],
        ),
        both(MEETS, "3", 15),
    ),
    Case(
        "the summer after grade 11 is before the last year",
        "3.1 Total",
        full(
            A=["10 A world_history FY:B", "12 A us_history FY:B"],
            D=["9 D biology FY:B", "12 D chemistry FY:B"],
            F=["12 F visual FY:B"],
            G=["11 G - SS/60:B"],
        ),
        both(MEETS, "3", 15),
    ),
    Case(
        "years that a course of grade 12 validates were not there at the end of grade 11",
        "3.1 Total, 3.2",
        full(
            A=["10 A world_history FY:B", "12 A us_history FY:B"],
            D=["9 D biology FY:B", "12 D chemistry FY:B"],
            E=["12 E spanish-2 FY:B"],
        ),
        {"UC": Want(CLOSE, "3", 15), "CSU": Want(MEETS, "3", 15)},
    ),
    Case(
        "a D earns no year",
        "3.1 Grade needed",
        full(D=["9 D biology FY:D", "10 D chemistry FY:B"]),
        both(CLOSE, "3", 14, lacks="D", years={"D": 1}),
    ),
    Case(
        "three trimesters are a year",
        "3.1 Counting units",
        full(D=["9 D biology T1:B T2:B T3:B", "10 D chemistry FY:B"]),
        both(MEETS, "3", 15),
    ),
    Case(
        "two trimesters are two thirds of a year",
        "3.1 Counting units",
        full(D=["9 D biology T1:B T2:B T3:D", "10 D chemistry FY:B"]),
        both(CLOSE, "3", 14 + Fraction(2, 3), lacks="D", years={"D": Fraction(5, 3)}),
    ),
    Case(
        "three quarters are three quarters of a year",
        "3.1 Counting units",
        full(B=["9 B - Q1:B Q2:C Q3:A Q4:F", "10 B - FY:B", "11 B - FY:B", "12 B - FY:B"]),
        both(CLOSE, "3", 14.75, lacks="B", years={"B": 3.75}),
    ),
    Case(
        "six hexmesters are a year",
        "3.1 Counting units",
        full(F=["9 F music H1:B H2:B H3:B H4:B H5:B H6:B"]),
        both(MEETS, "3", 15, years={"F": 1}),
    ),
    Case(
        "a college course counts for its area",
        "3.1 other UC facts: college courses",
        # 8 x 60 units with a B; the college course weighs 30, with one point for honors.
        full(G=["11 G - FY:A college"]),
        both(MEETS, "53/17", 15, years={"G": 1}),
    ),
    # --- 3.2 -----------------------------------------------------------------------------------
    Case(
        "the second semester of mathematics validates the first, whose D stays in the average",
        "3.2 Second semester; Effect on GPA",
        # 1620 less 2 points for 30 units.
        full(C=["9 C algebra_1 FY:B", "10 C geometry S1:D S2:B", "11 C algebra_2 FY:B"]),
        {"UC": Want(CLOSE, "26/9", 15), "CSU": Want(MEETS, "26/9", 15)},
    ),
    Case(
        "the second semester of a language validates the first, whose F stays in the average",
        "3.2 Second semester; Effect on GPA",
        # 1620 less 3 points for 30 units.
        full(E=["9 E spanish-1 FY:B", "10 E spanish-2 S1:F S2:B"]),
        {"UC": Want(CLOSE, "17/6", 15), "CSU": Want(MEETS, "17/6", 15)},
    ),
    Case(
        "the second semester of chemistry validates the first for CSU only",
        "3.2 Areas",
        full(D=["9 D biology FY:B", "10 D chemistry S1:D S2:B"]),
        {
            "UC": Want(CLOSE, "26/9", 14.5, lacks="D", years={"D": 1.5}),
            "CSU": Want(MEETS, "26/9", 15, years={"D": 2}),
        },
    ),
    Case(
        "the second semester of biology validates nothing",
        "3.2 English, history, science",
        full(D=["9 D biology S1:D S2:B", "10 D chemistry FY:B"]),
        both(CLOSE, "3", 14.5, lacks="D", years={"D": 1.5}),
    ),
    Case(
        "the second semester of English validates nothing",
        "3.2 English, history, science",
        full(B=["9 B - S1:D S2:B", "10 B - FY:B", "11 B - FY:B", "12 B - FY:B"]),
        both(CLOSE, "3", 14.5, lacks="B", years={"B": 3.5}),
    ),
    Case(
        "the second semester of history validates nothing",
        "3.2 English, history, science",
        full(A=["10 A world_history S1:F S2:A", "11 A us_history FY:B"]),
        # 1620 less 3, more 1 point for 30 units each.
        both(CLOSE, "26/9", 14.5, lacks="A", years={"A": 1.5}),
    ),
    Case(
        "the second semester of an art validates nothing",
        "3.2 English, history, science, arts",
        full(F=["9 F visual S1:D S2:A"]),
        both(CLOSE, "3", 14.5, lacks="F", years={"F": 0.5}),
    ),
    Case(
        "a first semester does not validate the second",
        "3.2 Second semester",
        full(C=["9 C algebra_1 FY:B", "10 C geometry S1:B S2:D", "11 C algebra_2 FY:B"]),
        both(CLOSE, "26/9", 14.5, lacks="C", years={"C": 2.5}),
    ),
    Case(
        "the second semester of another school year does not validate the first",
        "3.2 Second semester",
        full(
            C=[
                "9 C algebra_1 FY:B",
                "9 C geometry S1:F",
                "10 C geometry S2:B",
                "11 C algebra_2 FY:B",
            ]
        ),
        both(CLOSE, "3", 14.5, lacks="C", years={"C": 2.5}),
    ),
    Case(
        "the last trimester validates both before it",
        "3.2 Second semester",
        full(C=["9 C geometry T1:F T2:D T3:C", "10 C algebra_1 FY:B", "11 C algebra_2 FY:B"]),
        both(MEETS, "3", 15, years={"C": 3}),
    ),
    Case(
        "a second quarter validates the first and not the later ones",
        "3.2 Second semester",
        full(C=["9 C geometry Q1:F Q2:C Q3:F Q4:D", "10 C algebra_1 FY:B", "11 C algebra_2 FY:B"]),
        both(CLOSE, "3", 14.5, lacks="C", years={"C": 2.5}),
    ),
    Case(
        "a semester validated by the second one is earned, and may be an elective",
        "3.2 Second semester",
        full(C=[*FULL["C"], "9 C precalculus S1:D S2:C"], G=[]),
        both(MEETS, "3", 15, years={"C": 3, "G": 1}),
    ),
    Case(
        "an F in Algebra I is validated by Algebra II",
        "3.2 Higher-level course",
        full(C=["9 C algebra_1 FY:F", "10 C geometry FY:B", "11 C algebra_2 FY:B"]),
        both(MEETS, "3", 15, years={"C": 3}),
    ),
    Case(
        "the first semester of Algebra II gives the whole Algebra I that was never taken",
        "3.2 Algebra II first semester",
        full(C=["9 C geometry FY:B", "10 C algebra_2 S1:B"]),
        both(CLOSE, "3", 14.5, lacks="C", years={"C": 2.5}),
    ),
    Case(
        "a D in Algebra II validates nothing",
        "3.2 Higher-level course",
        full(C=["9 C geometry FY:B", "9 C algebra_2 FY:D"]),
        both(CLOSE, "3", 13, lacks="C", years={"C": 1}),
    ),
    Case(
        "precalculus gives both algebras, and geometry for CSU only",
        "3.2 Trigonometry / pre-calculus; Omitted geometry",
        full(C=["10 C precalculus FY:B"]),
        {
            "UC": Want(CLOSE, "3", 15, lacks="C", years={"C": 3}),
            "CSU": Want(MEETS, "3", 15, years={"C": 3}),
        },
    ),
    Case(
        "half a year of precalculus is two and a half years for UC and three for CSU",
        "3.2 Trigonometry / pre-calculus; Omitted geometry",
        full(C=["10 C precalculus S1:B"]),
        {
            "UC": Want(CLOSE, "3", 14.5, lacks="C", years={"C": 2.5}),
            "CSU": Want(MEETS, "3", 15, years={"C": 3}),
        },
    ),
    Case(
        "half a year of calculus gives precalculus too",
        "3.2 Higher-level course",
        full(C=["10 C calculus S1:B"]),
        {
            "UC": Want(CLOSE, "3", 15, lacks="C", years={"C": 3}),
            "CSU": Want(MEETS, "3", 15, years={"C": 3}),
        },
    ),
    Case(
        "a D in geometry cannot be validated for UC",
        "3.2 Omitted geometry",
        full(C=["9 C geometry FY:D", "10 C algebra_2 FY:B", "11 C precalculus FY:B"]),
        {"UC": Want(CLOSE, "3", 15, lacks="C"), "CSU": Want(MEETS, "3", 15)},
    ),
    Case(
        "a passed geometry and statistics are all of mathematics",
        "3.2 Statistics",
        full(C=["9 C geometry FY:B", "10 C statistics FY:B"]),
        both(MEETS, "3", 15, years={"C": 3}),
    ),
    Case(
        "statistics does not give geometry to CSU either",
        "3.2 Statistics",
        full(C=["10 C statistics S1:B"]),
        both(CLOSE, "3", 14.5, lacks="C", years={"C": 2.5}),
    ),
    Case(
        "the third integrated course gives the two before it",
        "3.2 Higher-level course",
        full(C=["10 C integrated_3 FY:B"]),
        both(MEETS, "3", 15, years={"C": 3}),
    ),
    Case(
        "the second integrated course gives the first only",
        "3.2 Higher-level course",
        full(C=["10 C integrated_2 FY:B"]),
        both(CLOSE, "3", 14, lacks="C", years={"C": 2}),
    ),
    Case(
        "integrated courses that were only validated are no geometry for UC",
        "3.2 Omitted geometry",
        full(C=["10 C integrated_3 S1:B", "11 C statistics S1:B"]),
        # Integrated I and II, half of III; Algebra I and II, half of statistics.
        {
            "UC": Want(CLOSE, "3", 15, lacks="C", years={"C": 3}),
            "CSU": Want(MEETS, "3", 15, years={"C": 3}),
        },
    ),
    Case(
        "the second level of a language gives the first",
        "3.2 LOTE",
        full(E=["10 E french-2 FY:B"]),
        both(MEETS, "3", 15, years={"E": 2}),
    ),
    Case(
        "one semester of the third level gives the two below it",
        "3.2 LOTE",
        full(E=["10 E french-3 S1:B"]),
        both(MEETS, "3", 15, years={"E": 2}),
    ),
    Case(
        "one semester of the second level is a year and a half",
        "3.2 LOTE",
        full(E=["10 E french-2 S1:B"]),
        both(CLOSE, "3", 14.5, lacks="E", years={"E": 1.5}),
    ),
    Case(
        "a D in the first level is validated by the second",
        "3.2 LOTE",
        full(E=["9 E spanish-1 FY:D", "10 E spanish-2 FY:C"]),
        # 1620 less 1 point for 60 units.
        {"UC": Want(CLOSE, "26/9", 15), "CSU": Want(MEETS, "26/9", 15)},
    ),
    Case(
        "a level of one language gives nothing to another",
        "3.2 LOTE",
        full(E=["9 E spanish-1 FY:D", "10 E french-2 FY:B"], G=[]),
        both(CLOSE, "3", 14, lacks="G", years={"E": 2, "G": 0}),
    ),
    Case(
        "a failed second level gives nothing",
        "3.2 LOTE",
        full(E=["9 E spanish-1 FY:B", "10 E spanish-2 FY:F"]),
        # 1620 less 3 points for 60 units.
        both(CLOSE, "8/3", 14, lacks="E", years={"E": 1}),
    ),
    # --- 3.3 -----------------------------------------------------------------------------------
    Case(
        "a summer line that says its part repeats that part, and validates the one before it",
        "2.1 CourseCurriculumTerm; 3.3",
        full(C=["9 C algebra_1 FY:B", "11 C algebra_2 FY:B", "10 C geometry S1:F S2:F SS=S2:B"]),
        # 510 units of B and 30 of F.
        {"UC": Want(CLOSE, "17/6", 15, years={"C": 3}), "CSU": Want(MEETS, "17/6", 15)},
    ),
    Case(
        "a summer line that does not say its part repeats the first part that failed",
        "3.3",
        full(C=["9 C algebra_1 FY:B", "11 C algebra_2 FY:B", "10 C geometry S1:F S2:F SS:B"]),
        both(CLOSE, "17/6", 14.5, lacks="C", years={"C": 2.5}),
    ),
    Case(
        "an F repeated with a C is replaced in years and average",
        "3.3 a D/F is removed by repeating",
        full(B=["9 B - FY:B", "10 B - FY:F #r", "11 B - FY:C #r", "11 B - FY:B", "12 B - FY:B"]),
        # 8 years with a B, one with a C.
        {"UC": Want(CLOSE, "26/9", 15), "CSU": Want(MEETS, "26/9", 15)},
    ),
    Case(
        "a D repeated with a D stands, and the repeat is left out",
        "3.3 a D/F is removed by repeating",
        full(B=["9 B - FY:B", "10 B - FY:D #r", "11 B - FY:D #r", "11 B - FY:B", "12 B - FY:B"]),
        # 8 years with a B, one with a D.
        both(CLOSE, "25/9", 14, lacks="B", years={"B": 3}),
    ),
    Case(
        "a repeat that is worse than the first attempt is left out",
        "3.3 a D/F is removed by repeating",
        full(B=["9 B - FY:B", "10 B - FY:D #r", "11 B - FY:F #r", "11 B - FY:B", "12 B - FY:B"]),
        both(CLOSE, "25/9", 14, lacks="B", years={"B": 3}),
    ),
    Case(
        "a course is repeated once, and a third attempt is left out",
        "3.3 each course repeated once",
        full(
            B=[
                *("9 B - FY:F #r", "10 B - FY:D #r", "11 B - FY:A #r"),
                *("10 B - FY:B", "11 B - FY:B", "12 B - FY:B"),
            ]
        ),
        both(CLOSE, "3", 14, lacks="B", years={"B": 3}),
    ),
    Case(
        "a C repeated with an A stays a C",
        "3.3 repeating a course already passed",
        full(B=["9 B - FY:B", "10 B - FY:C #r", "11 B - FY:A #r", "11 B - FY:B", "12 B - FY:B"]),
        {"UC": Want(CLOSE, "26/9", 15), "CSU": Want(MEETS, "26/9", 15)},
    ),
    Case(
        "a passed course repeated with an F loses nothing",
        "3.3 repeating a course already passed",
        full(B=["9 B - FY:B", "10 B - FY:B #r", "11 B - FY:F #r", "11 B - FY:B", "12 B - FY:B"]),
        both(MEETS, "3", 15),
    ),
    Case(
        "a course passed twice counts one year",
        "3.3 repeating a course already passed",
        full(B=["9 B - FY:B #r", "10 B - FY:B #r", "11 B - FY:B", "12 B - FY:B"]),
        both(CLOSE, "3", 14, lacks="B", years={"B": 3}),
    ),
    Case(
        "each semester is repeated by itself",
        "3.3 a D/F is removed by repeating",
        full(
            B=[
                *("9 B - FY:B", "10 B - S1:F S2:B #r", "11 B - S1:B #r"),
                *("11 B - FY:B", "12 B - FY:B"),
            ]
        ),
        both(MEETS, "3", 15),
    ),
    Case(
        "a repeat in grade 12 takes the F out of the average and is itself not in it",
        "3.3 a D/F is removed by repeating; 3.4 Window",
        full(B=["9 B - FY:B", "10 B - FY:F #r", "12 B - FY:C #r", "11 B - FY:B", "12 B - FY:B"]),
        both(MEETS, "3", 15),
    ),
    Case(
        "the same semester of another course number is no repeat",
        "3.3 the same course",
        full(B=["9 B - FY:B", "10 B - FY:F #r", "11 B - FY:B #s", "11 B - FY:B", "12 B - FY:B"]),
        # 1620 and a year with an F.
        {"UC": Want(CLOSE, "27/10", 15), "CSU": Want(MEETS, "27/10", 15)},
    ),
    Case(
        "a summer session repeats the semester that failed",
        "3.3 the same (or equivalent) course",
        full(C=["9 C algebra_1 FY:B", "10 C geometry S1:B S2:F SS:B", "11 C algebra_2 FY:B"]),
        both(MEETS, "3", 15),
    ),
    Case(
        "two summer lines repeat both semesters",
        "3.3 the same (or equivalent) course",
        full(B=["9 B - FY:B", "10 B - S1:F S2:D SS1:B SS2:B", "11 B - FY:B", "12 B - FY:B"]),
        both(MEETS, "3", 15),
    ),
    Case(
        "one summer line repeats the first of two semesters that failed",
        "3.3 the same (or equivalent) course",
        full(B=["9 B - FY:B", "10 B - S1:F S2:D SS:B", "11 B - FY:B", "12 B - FY:B"]),
        both(CLOSE, "26/9", 14.5, lacks="B", years={"B": 3.5}),
    ),
    Case(
        "a summer session that failed changes nothing",
        "3.3 a D/F is removed by repeating",
        full(B=["9 B - FY:B", "10 B - S1:F S2:B SS:D", "11 B - FY:B", "12 B - FY:B"]),
        both(CLOSE, "17/6", 14.5, lacks="B", years={"B": 3.5}),
    ),
    Case(
        "a summer session before the course is a part of its own",
        "3.3 the same (or equivalent) course",
        full(
            B=["9 B - FY:B", "9 B - SS:B #r", "10 B - S1:F S2:B #r", "11 B - FY:B", "12 B - FY:B"]
        ),
        # 540 units of which 30 with an F, and 30 with a B in the summer after grade 9.
        {"UC": Want(CLOSE, "54/19", 15), "CSU": Want(MEETS, "54/19", 15)},
    ),
    Case(
        "a summer session of a course that passed is a part of its own",
        "3.3 the same (or equivalent) course",
        full(F=["9 F music S1:B SS:B"]),
        # 30 units more, in the summer after grade 9.
        both(MEETS, "3", 15, years={"F": 1}),
    ),
    Case(
        "a semester that passed when it was repeated leaves the summer to the other one",
        "3.3 the same (or equivalent) course",
        full(
            B=[
                *("9 B - S1:F #r", "10 B - S1:B S2:F #r", "10 B - SS:B #r"),
                *("10 B - FY:B", "11 B - FY:B", "12 B - FY:B"),
            ]
        ),
        both(MEETS, "3", 15),
    ),
    Case(
        "a summer session before a course that failed does not stand in the way of the one after",
        "3.3 the same (or equivalent) course",
        full(
            B=[
                *("9 B - SS:B #r", "10 B - S1:F S2:B #r", "10 B - SS:B #r"),
                *("9 B - FY:B", "11 B - FY:B", "12 B - S1:B"),
            ]
        ),
        both(MEETS, "3", 15),
    ),
    Case(
        "a second semester of mathematics passed in the summer validates the first",
        "3.3, 3.2 Second semester",
        full(C=["9 C algebra_1 FY:B", "9 C geometry S1:F S2:F SS1:F SS2:B", "11 C algebra_2 FY:B"]),
        both(MEETS, "3", 15, years={"C": 3}),
    ),
    Case(
        "the same summer course taken twice counts once",
        "3.3 repeating a course already passed",
        full(F=["9 F music SS:B", "10 F music SS:A"]),
        # The summer after grade 9 is in the window, its repeat is left out: 570 units.
        both(CLOSE, "3", 14.5, lacks="F", years={"F": 0.5}),
    ),
    Case(
        "a semester validated in grade 11 stays validated when it is repeated in grade 12",
        "3.3, 3.2 Second semester, 3.1 Total",
        # Eleven years at the end of grade 11, with the semester that S2 validated.
        full(
            A=["10 A world_history FY:B", "12 A us_history FY:B"],
            C=[
                "9 C algebra_1 FY:B",
                "10 C geometry FY:B",
                "11 C algebra_2 S1:F S2:B",
                "12 C algebra_2 S1:B",
            ],
            D=["9 D biology FY:B", "12 D chemistry FY:B"],
            F=["12 F visual FY:B"],
        ),
        both(MEETS, "3", 15),
    ),
    Case(
        "lines without any term are never repeats of each other",
        "3.3 the same (or equivalent) course",
        full(B=["9 B - FY:B", "10 B - -/60:C #r", "11 B - -/60:C #r", "12 B - FY:B"]),
        # 7 years with a B, two with a C.
        {"UC": Want(CLOSE, "25/9", 15), "CSU": Want(MEETS, "25/9", 15)},
    ),
    Case(
        "algebra stretched over two years counts one year",
        "3.3 two-year algebra",
        full(C=["9 C algebra_1 FY:B #1", "10 C algebra_1 FY:B #2", "11 C geometry FY:B"]),
        both(CLOSE, "3", 14, lacks="C", years={"C": 2}),
    ),
    Case(
        "a repeat in progress removes nothing yet",
        "3.3 a D/F is removed by repeating",
        full(B=["9 B - FY:B", "10 B - FY:F #r", "12 B - FY:WIP #r", "11 B - FY:B", "12 B - FY:B"]),
        # 8 years with a B, one with an F.
        {
            "UC": Want(CLOSE, "8/3", 14, lacks="B", years={"B": 3}),
            "CSU": Want(ON_TRACK, "8/3", 14, lacks="B", years={"B": 3}),
        },
    ),
    # --- 3.4 -----------------------------------------------------------------------------------
    Case(
        "marks of grade 9 are not in the average",
        "3.4 Window",
        full_and("9 G - FY:F"),
        both(MEETS, "3", 15),
    ),
    Case(
        "the summer after grade 9 is in the average",
        "3.4 Window",
        # 570 units, 1740 points.
        full_and("9 G - SS:A"),
        both(MEETS, "58/19", 15),
    ),
    Case(
        "the summer after grade 11 is in the average",
        "3.4 Window",
        full_and("11 G - SS:A #summer"),
        both(MEETS, "58/19", 15),
    ),
    Case(
        "marks of grade 12 are not in the average",
        "3.4 Window",
        full_and("12 G - FY:F"),
        both(MEETS, "3", 15),
    ),
    Case(
        "marks of grade 8 are not in the average, its summer neither",
        "3.4 Window",
        full_and("8 C algebra_1 S1:F S2:F #8", "8 E french-1 SS:F"),
        both(MEETS, "3", 15),
    ),
    Case(
        "an F counts zero points",
        "3.4 Points",
        # 600 units, 1620 points.
        full_and("11 G - FY:F #failed"),
        {"UC": Want(CLOSE, "27/10", 15), "CSU": Want(MEETS, "27/10", 15)},
    ),
    Case(
        "an A counts four points and a D one",
        "3.4 Points",
        # 1620, 240, 60.
        full_and("11 G - FY:A #1", "11 G - FY:D #2"),
        {"UC": Want(CLOSE, "32/11", 15), "CSU": Want(MEETS, "32/11", 15)},
    ),
    Case(
        "a semester weighs half a year",
        "3.4 Grades used",
        full_and("11 G - S1:A #1"),
        both(MEETS, "58/19", 15),
    ),
    Case(
        "a pass without points earns its year and is not in the average",
        "3.1 Pass/credit grades",
        full(G=["11 G - FY:P"]),
        both(MEETS, "3", 15, years={"G": 1}),
    ),
    Case(
        "a B in an honors course has one more point",
        "3.4 Honors",
        full(A=["10 A world_history FY:B", "11 A us_history FY:B honors"]),
        # 1680 points.
        both(MEETS, "28/9", 15),
    ),
    Case(
        "a C in an honors course has one more point",
        "3.4 Honors",
        full(G=["11 G - FY:C honors"]),
        both(MEETS, "3", 15),
    ),
    Case(
        "a D in an honors course has no more point",
        "3.4 Honors",
        full(G=["11 G - FY:D honors"]),
        both(CLOSE, "25/9", 14, lacks="G"),
    ),
    Case(
        "an honors course of grade 9 adds nothing",
        "3.4 Honors",
        full(F=["9 F visual FY:A honors"]),
        both(MEETS, "3", 15),
    ),
    Case(
        "no more than eight semesters of honors count",
        "3.4 Honors",
        full(
            A=["10 A world_history FY:B", "11 A us_history FY:B honors"],
            B=["9 B - FY:B", "10 B - FY:B", "11 B - FY:B honors", "12 B - FY:B"],
            C=["9 C algebra_1 FY:B", "10 C geometry FY:B", "11 C algebra_2 FY:B honors"],
            G=["11 G - FY:B honors", "11 G - FY:B honors #fifth"],
        ),
        # 600 units; 1800 points and 240.
        both(MEETS, "17/5", 15),
    ),
    Case(
        "no more than four semesters of honors count in grade 10",
        "3.4 Honors",
        full(
            A=["10 A world_history FY:B honors", "11 A us_history FY:B"],
            C=["9 C algebra_1 FY:B", "10 C geometry FY:B honors", "11 C algebra_2 FY:B"],
            D=["9 D biology FY:B", "10 D chemistry FY:B honors"],
        ),
        # 1620 and 120.
        both(MEETS, "29/9", 15),
    ),
    Case(
        "four semesters of grade 10 and four of grade 11 are the eight",
        "3.4 Honors",
        full(
            A=["10 A world_history FY:B honors", "11 A us_history FY:B honors"],
            B=["9 B - FY:B", "10 B - FY:B honors", "11 B - FY:B honors", "12 B - FY:B"],
            C=["9 C algebra_1 FY:B", "10 C geometry FY:B honors", "11 C algebra_2 FY:B honors"],
        ),
        # 1620 and 240.
        both(MEETS, "31/9", 15),
    ),
    Case(
        "honors of the summer after grade 9 belong to grade 10",
        "3.4 Summer placement",
        full(
            A=["10 A world_history FY:B honors", "11 A us_history FY:B"],
            D=["9 D biology FY:B", "10 D chemistry FY:B honors"],
            G=["9 G - SS/60:B honors", "11 G - FY:B"],
        ),
        # 600 units; 1800 points and 120.
        both(MEETS, "16/5", 15),
    ),
    Case(
        "honors of the summer after grade 10 belong to grade 10",
        "3.4 Summer placement",
        full(
            A=["10 A world_history FY:B honors", "11 A us_history FY:B"],
            D=["9 D biology FY:B", "10 D chemistry FY:B honors"],
            G=["10 G - SS/60:B honors", "11 G - FY:B"],
        ),
        both(MEETS, "16/5", 15),
    ),
    Case(
        "honors of the summer after grade 11 belong to grade 11",
        "3.4 Summer placement",
        full(
            A=["10 A world_history FY:B honors", "11 A us_history FY:B"],
            D=["9 D biology FY:B", "10 D chemistry FY:B honors"],
            G=["11 G - SS/60:B honors #summer", "11 G - FY:B"],
        ),
        # 600 units; 1800 points, 120 and 60.
        both(MEETS, "33/10", 15),
    ),
    Case(
        "a college course of a year weighs one semester, with one point for honors",
        "3.4 College course",
        # 540 + 30 units; 1620 + 3 x 30 + 30 points.
        full_and("11 G - FY:B college #college"),
        both(MEETS, "58/19", 15),
    ),
    Case(
        "a college course of a quarter weighs one semester too",
        "3.4 College course",
        full_and("11 G - Q1:B college #college"),
        both(MEETS, "58/19", 15),
    ),
    Case(
        "an average of 2.995 is not 3.00",
        "3.4 Rounding",
        # 20 years with a B, and 6 units with a C: 3612 points for 1206 units.
        full_and(
            *(f"11 G - FY:B #{number}" for number in range(11)),
            "11 G - SS/6:C #summer",
        ),
        {"UC": Want(CLOSE, "602/201", 15), "CSU": Want(MEETS, "602/201", 15)},
    ),
    Case(
        "an average of 2.50 meets CSU and is half a point short of UC",
        "3.4 Threshold",
        # 4.5 years with a B, 4.5 with a C.
        full(
            A=["10 A world_history FY:C", "11 A us_history FY:B"],
            B=["9 B - FY:B", "10 B - FY:C", "11 B - FY:B", "12 B - FY:B"],
            C=["9 C algebra_1 FY:B", "10 C geometry FY:C", "11 C algebra_2 FY:B"],
            D=["9 D biology FY:B", "10 D chemistry FY:C"],
            E=["9 E spanish-1 FY:B", "10 E spanish-2 S1:C S2:B"],
        ),
        {"UC": Want(CLOSE, "5/2", 15), "CSU": Want(MEETS, "5/2", 15)},
    ),
    Case(
        "an average below 2.50 may be reviewed by CSU and is far from UC",
        "3.4 Threshold",
        # 4 years with a B, 5 with a C.
        full(
            A=["10 A world_history FY:C", "11 A us_history FY:B"],
            B=["9 B - FY:B", "10 B - FY:C", "11 B - FY:B", "12 B - FY:B"],
            C=["9 C algebra_1 FY:B", "10 C geometry FY:C", "11 C algebra_2 FY:B"],
            D=["9 D biology FY:B", "10 D chemistry FY:C"],
            E=["9 E spanish-1 FY:B", "10 E spanish-2 FY:C"],
        ),
        {"UC": Want(NOT_ON_TRACK, "22/9", 15), "CSU": Want(CLOSE, "22/9", 15)},
    ),
    Case(
        "an average below 2.00 is far from both",
        "3.4 Threshold",
        # 1620 points for 840 units.
        full_and(*(f"11 G - FY:F #{number}" for number in range(5))),
        both(NOT_ON_TRACK, "27/14", 15),
    ),
    # --- 3.5 -----------------------------------------------------------------------------------
    Case(
        "a student without any line has no data",
        "3.5",
        [],
        both(INSUFFICIENT, None, 0, lacks=AREAS),
        grade=11,
    ),
    Case(
        "a ninth grader whose courses are all in progress is on track",
        "3.5",
        ["9 B - FY:WIP", "9 C algebra_1 FY:WIP"],
        both(ON_TRACK, None, 0, lacks=AREAS),
        grade=9,
    ),
    Case(
        "an eighth grader who fails algebra is on track",
        "3.5",
        ["8 C algebra_1 S1:F"],
        both(ON_TRACK, None, 0, lacks=AREAS),
        grade=8,
    ),
    Case(
        "an eighth grader who fails a summer course of high school is on track",
        "3.5",
        ["9 C algebra_1 SS:F"],
        both(ON_TRACK, "0", 0, lacks=AREAS),
        grade=8,
    ),
    Case(
        "a tenth grader with three years and no mark in the window is on track",
        "3.5",
        ["9 B - FY:C", "9 C algebra_1 FY:C", "9 D biology FY:C", "10 B - FY:WIP"],
        both(ON_TRACK, None, 3, lacks=None),
        grade=10,
    ),
    Case(
        "a tenth grader with one year is close",
        "3.5",
        ["9 B - FY:C", "9 D biology FY:D"],
        both(CLOSE, None, 1, lacks=None),
        grade=10,
    ),
    Case(
        "a tenth grader with half a year is not on track",
        "3.5",
        ["9 B - S1:C S2:F", "9 D biology FY:D"],
        both(NOT_ON_TRACK, None, 0.5, lacks=None),
        grade=10,
    ),
    Case(
        "an eleventh grader with seven years and the average is on track",
        "3.5",
        [
            *("9 B - FY:B", "9 C algebra_1 FY:B", "9 D biology FY:B", "9 F visual FY:B"),
            *("10 B - FY:A", "10 C geometry FY:B", "10 A world_history FY:C"),
        ],
        both(ON_TRACK, "3", 7, lacks=None),
        grade=11,
    ),
    Case(
        "an eleventh grader with seven years and an average of 2.67 is on track for CSU only",
        "3.5",
        [
            *("9 B - FY:B", "9 C algebra_1 FY:B", "9 D biology FY:B", "9 F visual FY:B"),
            *("10 B - FY:B", "10 C geometry FY:B", "10 A world_history FY:C"),
        ],
        {
            "UC": Want(CLOSE, "8/3", 7, lacks=None),
            "CSU": Want(ON_TRACK, "8/3", 7, lacks=None),
        },
        grade=11,
    ),
    Case(
        "an eleventh grader with four and a half years is not on track",
        "3.5",
        ["9 B - FY:A", "9 D biology FY:A", "10 B - FY:A", "10 A world_history FY:A", "10 A - S1:A"],
        both(NOT_ON_TRACK, "4", 4.5, lacks=None),
        grade=11,
    ),
    Case(
        "a senior whose last courses are in progress is on track",
        "3.5",
        full(
            B=["9 B - FY:B", "10 B - FY:B", "11 B - FY:B", "12 B - S1:WIP S2:WIP"],
            G=["12 G - FY:WIP"],
        ),
        both(ON_TRACK, "3", 13, lacks="BG", years={"B": 3, "G": 0}),
    ),
    Case(
        "a senior in the first semester of the last course is on track",
        "3.5",
        full(B=["9 B - FY:B", "10 B - FY:B", "11 B - FY:B", "12 B - S1:WIP"]),
        both(ON_TRACK, "3", 14, lacks="B", years={"B": 3}),
    ),
    Case(
        "a senior in the second quarter of the last course is on track",
        "3.5",
        full(B=["9 B - FY:B", "10 B - FY:B", "11 B - FY:B", "12 B - Q1:B Q2:WIP"]),
        both(ON_TRACK, "3", 14.25, lacks="B", years={"B": 3.25}),
    ),
    Case(
        "a senior who failed the first quarter cannot earn the whole year any more",
        "3.5",
        full(B=["9 B - FY:B", "10 B - FY:B", "11 B - FY:B", "12 B - Q1:F Q2:WIP"]),
        both(CLOSE, "3", 14, lacks="B", years={"B": 3}),
    ),
    Case(
        "a senior who is in the second semester only of the last course is close only",
        "3.5",
        full(B=["9 B - FY:B", "10 B - FY:B", "11 B - FY:B", "12 B - S2:WIP"]),
        both(CLOSE, "3", 14, lacks="B", years={"B": 3}),
    ),
    Case(
        "government in progress is half a year",
        "3.5, 3.1 A",
        full(A=["10 A world_history FY:B", "12 A government S1:WIP", "11 A us_history S1:B"]),
        both(ON_TRACK, "3", 14.5, lacks="A", years={"A": 1.5}),
    ),
    Case(
        "a semester of government in progress does not stand for a year of history",
        "3.5, 3.1 A",
        full(
            A=["11 A us_history FY:B", "10 A - S1:B", "12 A government S1:WIP"], G=["11 G - S1:B"]
        ),
        both(CLOSE, "3", 14, lacks="AG", years={"A": 1.5, "G": 0.5}),
    ),
    Case(
        "a second semester in progress would validate the first that failed",
        "3.5, 3.2 Second semester",
        full(C=["9 C algebra_1 FY:B", "10 C geometry FY:B", "12 C algebra_2 S1:F S2:WIP"]),
        both(ON_TRACK, "3", 14, lacks="C", years={"C": 2}),
    ),
    Case(
        "a higher level of a language in progress would give the lower ones",
        "3.5, 3.2 LOTE",
        full(E=["12 E spanish-3 S1:WIP"]),
        both(ON_TRACK, "3", 13, lacks="E", years={"E": 0}),
    ),
    Case(
        "geometry in progress in grade 12 keeps a senior on track for UC",
        "3.5",
        full(
            C=[
                *("9 C algebra_1 FY:B", "10 C algebra_2 FY:B", "11 C statistics FY:B"),
                "12 C geometry FY:WIP",
            ],
        ),
        {"UC": Want(ON_TRACK, "3", 15, lacks="C"), "CSU": Want(MEETS, "3", 15)},
    ),
    Case(
        "a senior of UC with fewer than eleven years at the end of grade 11 is close only",
        "3.5",
        full(
            A=["10 A world_history FY:B", "12 A us_history S1:B S2:WIP"],
            B=["9 B - FY:B", "10 B - FY:B", "11 B - FY:B", "12 B - S1:B S2:WIP"],
            D=["9 D biology FY:B", "12 D chemistry S1:B S2:WIP"],
            F=["12 F visual S1:B S2:WIP"],
            G=["12 G - S1:B S2:WIP"],
        ),
        {
            "UC": Want(CLOSE, "3", 12.5, lacks="ABDFG"),
            "CSU": Want(ON_TRACK, "3", 12.5, lacks="ABDFG"),
        },
    ),
    Case(
        "a senior with nine years is close",
        "3.5",
        full(A=[], E=[], G=[], F=[]),
        both(CLOSE, "3", 9, lacks="AEFG"),
    ),
    Case(
        "a senior with eight and a half years is not on track",
        "3.5",
        full(A=[], E=[], G=[], F=[], B=["9 B - S1:B", *FULL["B"][1:]]),
        both(NOT_ON_TRACK, "3", 8.5, lacks="ABEFG"),
    ),
    Case(
        "an eleventh grader who has everything meets at once",
        "3.5",
        [*full(B=[*FULL["B"][:3], "11 B - FY:B #fourth"])],
        both(MEETS, "3", 15),
        grade=11,
    ),
]


def _of_evaluate(
    marks: list[Mark], grade: int, system: str, *, certified: bool = False
) -> Estimate:
    return _evaluated(courses_frame({"one": marks}), grade, system, certified=certified)


def _evaluated(
    courses: pl.DataFrame, grade: int, system: str, *, certified: bool = False
) -> Estimate:
    students = students_frame({"one": grade}, {"one"} if certified else ())
    result = evaluate(courses, students, SYSTEMS[system])
    (row,) = result.iter_rows(named=True)
    assert row["system"] == system
    assert row["years"] == sum(row[f"years_{area}"] for area in AREAS)
    return Estimate(
        row["status"],
        row["gpa_points"],
        row["gpa_units"],
        {area: row[f"years_{area}"] for area in AREAS},
        {area: row[f"complete_{area}"] for area in AREAS},
        {area: row[f"in_progress_{area}"] for area in AREAS},
    )


Implementation = Callable[..., Estimate]
IMPLEMENTATIONS = {"evaluate": _of_evaluate, "naive": estimate}


def _assert_as_wanted(got: Estimate, want: Want) -> None:
    average = got.average()
    assert (None if average is None else str(average)) == want.gpa
    for area, years in want.years.items():
        assert Fraction(got.years[area], YEAR) == years, area
    assert Fraction(sum(got.years.values()), YEAR) == want.total
    if want.lacks is not None:
        assert "".join(area for area in AREAS if not got.complete[area]) == want.lacks
    assert got.status == want.status


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS.values(), ids=IMPLEMENTATIONS)
@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.source}: {case.name}")
def test_a_worked_case_comes_out_as_by_hand(case: Case, implementation: Implementation):
    for system, want in case.wants.items():
        marks = marks_of(*case.courses)
        got = implementation(marks, case.grade, system, certified=case.certified)
        _assert_as_wanted(got, want)


def test_every_case_has_its_own_name():
    assert len({case.name for case in CASES}) == len(CASES)


def test_work_in_progress_is_summed_by_area():
    marks = marks_of("12 B - S1:WIP S2:WIP", "12 C calculus T1:WIP", "11 B - FY:B")
    for implementation in IMPLEMENTATIONS.values():
        for system in SYSTEMS:
            in_progress = implementation(marks, 12, system).in_progress
            assert in_progress == dict.fromkeys(AREAS, 0) | {"B": 60, "C": 20}


# --- from lines of the feed -------------------------------------------------------------------

_TYPES = {
    "IsWorkInProgress": pl.Boolean,
    "CreditsAttempted": pl.Decimal(10, 4),
    "CreditsEarned": pl.Decimal(10, 4),
}
_COLUMNS = [name for name in COURSE_GRADE.columns if not name.startswith("_")]


def line(grade: int, area: str, name: str, term: str | None, mark: str, **cells: object) -> dict:
    """One line of the feed; the school year is the one in which a grade 9 ends in 2023."""
    in_progress = mark == "WIP"
    start = 2013 + grade
    return {
        "student": "one",
        "StateID": "8000000001",
        "CDSCode": "33671733330404",
        "IsWorkInProgress": in_progress,
        "GradeLevel": f"{grade:02d}",
        "SchoolYear": f"{start}-{(start + 1) % 100:02d}",
        "Term": term,
        "LocalCourseID": name,
        "TranscriptAbbreviation": name,
        "SubjectArea": area,
        "CreditsAttempted": Decimal(0) if in_progress else Decimal(5),
        "CreditsEarned": Decimal(0),
        "CourseGrade": mark,
        **cells,
    }


@dataclass(frozen=True)
class LinesCase:
    """Lines of the feed and what each system must say of them."""

    name: str
    source: str
    lines: list[dict]
    years: dict[str, float | Fraction]
    gpa: str | None
    status: str
    grade: int = 11


LINES_CASES = [
    LinesCase(
        "plus and minus are ignored, and a C- earns its year",
        "3.1 Grade needed; 3.4 Points",
        [line(10, "B", "English 10", "S1", "C-"), line(10, "B", "English 10", "S2", "B+")],
        {"B": 1},
        "5/2",
        NOT_ON_TRACK,
    ),
    LinesCase(
        "a D+ earns nothing",
        "3.1 Grade needed",
        [line(10, "B", "English 10", "FY", "D+")],
        {"B": 0},
        "1",
        NOT_ON_TRACK,
    ),
    LinesCase(
        "a P counts in the spring of 2020 and not in the autumn before it",
        "3.1 Pass/credit grades",
        [
            line(9, "B", "English 9", "S1", "P", SchoolYear="2019-20"),
            line(9, "B", "English 9", "S2", "P", SchoolYear="2019-20"),
        ],
        {"B": 0.5},
        None,
        NOT_ON_TRACK,
    ),
    LinesCase(
        "a CR counts in all of 2020-21 and not in 2021-22",
        "3.1 Pass/credit grades",
        [
            line(9, "B", "English 9", "S1", "CR", SchoolYear="2020-21"),
            line(9, "B", "English 9", "S2", "S", SchoolYear="2020-21"),
            line(10, "B", "English 10", "S1", "CR", SchoolYear="2021-22"),
        ],
        {"B": 1},
        None,
        NOT_ON_TRACK,
    ),
    LinesCase(
        "a P alone, outside its time, is no data",
        "3.1 Pass/credit grades",
        [line(10, "B", "English 10", "FY", "P")],
        {"B": 0},
        None,
        INSUFFICIENT,
    ),
    LinesCase(
        "mathematics and languages of grades 7 and 8 count, English of them does not",
        "3.1 other UC facts: 7th/8th grade",
        [
            line(7, "E", "Spanish 1", "FY", "B"),
            line(8, "C", "Algebra I", "FY", "C"),
            line(8, "B", "English 8", "FY", "A"),
            line(6, "C", "Mathematics 6", "FY", "A"),
        ],
        {"B": 0, "C": 1, "E": 1},
        None,
        ON_TRACK,
        grade=8,
    ),
    LinesCase(
        "courses of no area count for nothing",
        "3.1",
        [line(10, "Z", "Physical Education", "FY", "A"), line(10, "B", "English 10", "FY", "B")],
        {"B": 1, "G": 0},
        "3",
        NOT_ON_TRACK,
    ),
    LinesCase(
        "summer counts six units a credit, and half a year without credits",
        "3.1 Counting units",
        [
            line(10, "B", "English 10", "SS", "B", CreditsAttempted=Decimal("2.5")),
            line(10, "G", "Psychology", "SS", "B", CreditsAttempted=None),
            line(10, "A", "World History", "SS", "B", CreditsAttempted=Decimal(20)),
        ],
        {"A": 1, "B": 0.25, "G": 0.5},
        "3",
        NOT_ON_TRACK,
    ),
    LinesCase(
        "each kind of term counts its part of a year",
        "3.1 Counting units",
        [
            line(10, "A", "World History", "F", "B"),
            line(10, "B", "English 10", "T2", "B"),
            line(10, "C", "Geometry", "Q3", "B"),
            line(10, "D", "Biology", "H5", "B"),
            line(10, "G", "Psychology", "S2", "B"),
        ],
        {
            "A": 1,
            "B": Fraction(1, 3),
            "C": Fraction(1, 4),
            "D": Fraction(1, 6),
            "G": Fraction(1, 2),
        },
        "3",
        NOT_ON_TRACK,
    ),
    LinesCase(
        "AP, IB and honors courses have one more point, in A, B and C",
        "3.4 Honors",
        [
            line(10, "B", "English 10", "FY", "A", AcademicIndicator="H"),
            line(11, "A", "US History AP", "FY", "C", AcademicIndicator="AP"),
            line(11, "D", "Biology IB", "FY", "D", AcademicIndicator="IB"),
        ],
        # 4 + 1, 2 + 1, 1.
        {"A": 1, "B": 1, "D": 0},
        "3",
        NOT_ON_TRACK,
    ),
    LinesCase(
        "a course with a college weighs a semester, with one more point",
        "3.4 College course",
        [
            line(10, "B", "English 10", "FY", "B"),
            line(10, "G", "Psychology 101", "FY", "A", DualEnrollmentIndicator="Y"),
        ],
        # 60 units with 3 points, 30 with 4 + 1.
        {"B": 1, "G": 1},
        "11/3",
        NOT_ON_TRACK,
    ),
    LinesCase(
        "names of courses say what is validated",
        "3.2 Higher-level course; LOTE",
        [
            line(10, "C", "Algebra II", "S1", "B"),
            line(10, "E", "Spanish 3", "S1", "B"),
            line(10, "A", "US History", "FY", "B"),
            line(10, "D", "Chemistry", "FY", "B"),
        ],
        {"A": 1, "C": 1.5, "D": 1, "E": 2},
        "3",
        CLOSE,
    ),
    LinesCase(
        "a summer session repeats the semester that failed",
        "3.3",
        [
            line(10, "B", "English 10", "S1", "F"),
            line(10, "B", "English 10", "S2", "B"),
            line(10, "B", "English 10", "SS1", "B"),
        ],
        {"B": 1},
        "3",
        NOT_ON_TRACK,
    ),
    LinesCase(
        "work in progress earns nothing yet",
        "3.5",
        [line(9, "B", "English 9", "S1", "WIP"), line(9, "C", "Algebra I", "S1", "WIP")],
        {"B": 0, "C": 0},
        None,
        ON_TRACK,
        grade=9,
    ),
]


def _marks_in(courses: pl.DataFrame) -> list[Mark]:
    return [Mark(*row[1:]) for row in courses.iter_rows()]


@pytest.mark.parametrize("case", LINES_CASES, ids=lambda case: f"{case.source}: {case.name}")
def test_lines_of_the_feed_come_out_as_by_hand(case: LinesCase):
    schema = {"student": pl.String} | {name: _TYPES.get(name, pl.String) for name in _COLUMNS}
    courses = from_transcripts(pl.DataFrame(case.lines, schema=schema))
    for system in SYSTEMS:
        want = Want(case.status, case.gpa, sum(case.years.values()), None, case.years)
        _assert_as_wanted(_evaluated(courses, case.grade, system), want)
        _assert_as_wanted(estimate(_marks_in(courses), case.grade, system), want)
