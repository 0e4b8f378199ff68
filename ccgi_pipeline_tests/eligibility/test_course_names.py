"""What a course's name is read as: the list, the words behind it, and state course codes.

Belongs here: names as districts write them, with the kind that they are. What a kind counts for is
tested by the worked cases.
"""

from __future__ import annotations

from itertools import pairwise

import polars as pl
import pytest

from ccgi_pipeline.eligibility import course_names
from ccgi_pipeline.eligibility.course_names import OTHER, listed_names
from ccgi_pipeline.eligibility.courses import DISCIPLINE_CODES, add_kinds, find_unread

AREAS = "ABCDEFG"
_SCIENCES = {"biology", "other_biological", "chemistry", "physics", "other_physical"}
KINDS = {
    "A": {"world_history", "us_history", "government"},
    "B": {"esl"},
    "C": {
        *("algebra_1", "geometry", "algebra_2", "precalculus", "calculus", "statistics"),
        *("integrated_1", "integrated_2", "integrated_3"),
    },
    "D": _SCIENCES,
    "E": {
        *("spanish", "french", "german", "mandarin", "cantonese", "japanese", "korean", "latin"),
        *("italian", "russian", "arabic", "hmong", "vietnamese", "tagalog", "portuguese"),
        *("american_sign_language", "punjabi", "armenian", "hebrew", "farsi"),
    },
    "F": {"dance", "music", "theater", "media_arts", "visual_arts"},
    "G": _SCIENCES,
}

Reading = tuple[str | None, int | None]


def _readings(area: str, *names: str, code: str | None = None) -> list[Reading]:
    """The kind, language or discipline of each name, and the level."""
    lines = pl.DataFrame(
        {"area": area, "name": names}, schema={"area": pl.String, "name": pl.String}
    )
    found = add_kinds(lines.with_columns(pl.lit(code, dtype=pl.String).alias("state_code")))
    return found.select(pl.coalesce("kind", "language", "discipline"), "level").rows()


def _reading(area: str, name: str, code: str | None = None) -> str | None:
    ((kind, _),) = _readings(area, name, code=code)
    return kind


# --- the list ---------------------------------------------------------------------------------


def test_the_list_has_at_least_400_names_each_once():
    listed = listed_names()
    assert listed.height >= 400
    again = listed.filter(pl.struct("area", "plain").is_duplicated())
    assert again.is_empty(), again.rows()
    assert (listed["name"].str.len_chars() <= 30).all()


def test_the_list_has_known_areas_kinds_and_levels():
    for area, name, kind, level in listed_names().select("area", "name", "kind", "level").rows():
        assert kind == OTHER or kind in KINDS[area], name
        assert (level is not None) == (area == "E"), name
        assert level in {None, 1, 2, 3, 4, 5}, name


@pytest.mark.parametrize("area", AREAS)
def test_every_listed_name_is_read_as_its_row_says(area: str):
    rows = listed_names().filter(area=area)
    assert not rows.is_empty()
    expected = [
        (None if kind == OTHER else kind, level)
        for kind, level in rows.select("kind", "level").rows()
    ]
    assert _readings(area, *rows["name"]) == expected
    assert not find_unread(rows).any()


def test_the_words_never_contradict_the_list(monkeypatch: pytest.MonkeyPatch):
    """Where no name is listed, a name is read as its row says, or not at all."""
    listed = listed_names()
    nothing = course_names.names_by_area().clear()
    monkeypatch.setattr("ccgi_pipeline.eligibility.courses.names_by_area", lambda: nothing)
    unread = 0
    for area in AREAS:
        rows = listed.filter(area=area)
        readings = _readings(area, *rows["name"])
        for name, kind, level, (by_words, level_by_words) in zip(
            rows["name"], rows["kind"], rows["level"], readings, strict=True
        ):
            assert by_words in {None, kind}, (area, name)
            assert level_by_words in {None, level}, (area, name)
            unread += by_words is None and kind != OTHER
    assert unread < 40


def test_a_science_is_also_one_as_an_elective():
    assert _reading("G", "HUMAN ANAT") == "other_biological"
    assert _reading("G", "AP ENV SCI") == "other_physical"


# --- names as districts write them ------------------------------------------------------------


@pytest.mark.parametrize(
    ("area", "name", "read_as"),
    [
        ("A", "US History", "us_history"),
        ("A", "AP U.S. HIST", "us_history"),
        ("A", "U. S. History (P)", "us_history"),
        ("A", "US HIST P", "us_history"),
        ("A", "APUSH", "us_history"),
        ("A", "Wrld Hist/World History H", "world_history"),
        ("A", "W HIST CP", "world_history"),
        ("A", "WRLD HIST", "world_history"),
        ("A", "W HISTORY", "world_history"),
        ("A", "WHG", "world_history"),
        ("A", "WORLD HIS & GEO", "world_history"),
        ("A", "AP European Hist", "world_history"),
        ("A", "Am Govt/Civics", "government"),
        ("A", "AP GOV POL", "government"),
        ("A", "United States Government", "government"),
        ("A", "US GOVT HONORS", "government"),
        ("A", "AP COMP GOV", None),
        ("A", "AP GOV: COMP", None),
        ("A", "LATIN AMERICAN HISTORY", "world_history"),
        ("A", "AFRICAN AMERICAN HISTORY", None),
        ("A", "Economics", None),
        ("B", "ELD 3", "esl"),
        ("B", "ENG LANG DEVELOPMENT 2", "esl"),
        ("B", "ENG 10H", None),
        ("B", "AP English Lit", None),
        ("C", "ALG I", "algebra_1"),
        ("C", "ALG 1 P", "algebra_1"),
        ("C", "ALGEBRA 1-2", "algebra_1"),
        ("C", "Algebra 2/Trig", "algebra_2"),
        ("C", "ALGEBRA 2/TRIG H", "algebra_2"),
        ("C", "ALGEBRA II-TRIG (P)", "algebra_2"),
        ("C", "Algebra II H", "algebra_2"),
        ("C", "ALGEBRA II CP", "algebra_2"),
        ("C", "ALGEBRA 3-4", "algebra_2"),
        ("C", "INT ALG 2", "algebra_2"),
        ("C", "PRE-ALGEBRA", None),
        ("C", "LINEAR ALGEBRA", None),
        ("C", "GEOMETRY/ALGEBRA 2", None),
        ("C", "Geometry", "geometry"),
        ("C", "GEOM CP", "geometry"),
        ("C", "GEOMETRY/TRIG", "geometry"),
        ("C", "GEO/TRIG", "geometry"),
        ("C", "ALGEBRA SUPPORT", None),
        ("C", "STATS/TRIG", "statistics"),
        ("C", "Pre-Calculus", "precalculus"),
        ("C", "PRECALC H", "precalculus"),
        ("C", "TRIG/PRE CALC", "precalculus"),
        ("C", "TRIGONOMETRY", "precalculus"),
        ("C", "MATH ANALYSIS H", "precalculus"),
        ("C", "MATH ANALYSIS 1", "precalculus"),
        ("C", "AP Calculus BC", "calculus"),
        ("C", "AP Statistics", "statistics"),
        ("C", "DATA SCIENCE", None),
        ("C", "Integrated Math II", "integrated_2"),
        ("C", "INTEG MATH II H", "integrated_2"),
        ("C", "INT MATH 1", "integrated_1"),
        ("C", "IM1", "integrated_1"),
        ("C", "IM 3", "integrated_3"),
        ("C", "MATHEMATICS III", "integrated_3"),
        ("C", "Math Mystery", None),
        ("D", "The Living Earth", "biology"),
        ("D", "BIO: LIV EARTH", "biology"),
        ("D", "AP Bio", "biology"),
        ("D", "Chemistry in the Earth System", "chemistry"),
        ("D", "CHEM EARTH SYS", "chemistry"),
        ("D", "BIO-CHEM", None),
        ("D", "BIOCHEMISTRY", None),
        ("D", "Physics of the Universe", "physics"),
        ("D", "PHYS UNIVERSE", "physics"),
        ("D", "AP PHYSICS C: MECH", "physics"),
        ("D", "PHYSICAL SCI", "other_physical"),
        ("D", "PHYS SCI A", "other_physical"),
        ("D", "PHYSICAL ED", None),
        ("D", "ENVIRONMENTAL SCI", "other_physical"),
        ("D", "AP ENV SCIENCE", "other_physical"),
        ("D", "AP ENVIRONMENTAL SCIENCE", "other_physical"),
        ("D", "HUMAN ANAT", "other_biological"),
        ("D", "ANAT/PHYS", "other_biological"),
        ("D", "Marine Biology", "other_biological"),
        ("D", "BIOTECH 1", "other_biological"),
        ("G", "Earth Science", "other_physical"),
        ("G", "Psychology", None),
        ("G", "BIO ETHICS", None),
        ("G", "ENVIRONMENTAL LIT", None),
        ("F", "HISTORY OF ART", "visual_arts"),
        ("F", "DIGITAL PHOTO", "visual_arts"),
        ("F", "MIXED MEDIA", "visual_arts"),
        ("F", "VIDEO PROD", "media_arts"),
        ("F", "MEDIA ARTS 2", "media_arts"),
        ("F", "BEG BAND", "music"),
        ("F", "STAGE BAND", "music"),
        ("F", "MUSIC HISTORY", "music"),
        ("F", "MUSICAL THEATRE", "theater"),
        ("F", "CULINARY ARTS", None),
    ],
)
def test_a_name_says_which_kind_of_course_it_is(area: str, name: str, read_as: str | None):
    assert _reading(area, name) == read_as


@pytest.mark.parametrize(
    ("name", "language", "level"),
    [
        ("Spanish 1", "spanish", 1),
        ("SPAN II H", "spanish", 2),
        ("SPANISH 1-2 (P)", "spanish", 1),
        ("SPANISH 3-4", "spanish", 2),
        ("AP Spanish Language", "spanish", 4),
        ("AP SPAN LANG", "spanish", 4),
        ("AP Spanish Lit", "spanish", 5),
        ("SPAN NATIVE SPK 2", "spanish", 2),
        ("Spanish for Native Speakers", "spanish", 2),
        ("SPAN NON-NATIVE SPKR 1", "spanish", 1),
        ("IB SPAN AB INITIO", "spanish", 1),
        ("FRENCH III", "french", 3),
        ("GERM 1", "german", 1),
        ("GERMAN II A", "german", 2),
        ("Mandarin 3", "mandarin", 3),
        ("ASL 2", "american_sign_language", 2),
        ("LATIN 1", "latin", 1),
        ("LATIN AMERICAN CULTURE", None, None),
        ("World Language", None, None),
    ],
)
def test_a_name_says_language_and_level(name: str, language: str | None, level: int | None):
    assert _readings("E", name) == [(language, level)]


_SUFFIXES = ("", " A", " B", "-A", " S1", " S2", " SEM 1", " T3", " Q4", " P", " (P)", " CP", " H")


def test_case_spaces_and_section_suffixes_do_not_change_a_reading():
    suffixes = pl.DataFrame({"suffix": _SUFFIXES})
    written = pl.concat_str(pl.lit(" "), "name", "suffix", pl.lit("  "))
    names = listed_names().select("area", "name").join(suffixes, how="cross")
    for spelled in (written, written.str.to_lowercase(), written.str.to_titlecase()):
        as_written = add_kinds(names.select("area", spelled.alias("name")))
        as_listed = add_kinds(names.select("area", "name"))
        read_as = ["kind", "language", "level", "discipline"]
        different = pl.any_horizontal(as_written[it].ne_missing(as_listed[it]) for it in read_as)
        assert as_written.filter(different).is_empty(), as_written.filter(different).rows()


# --- what stays unread ------------------------------------------------------------------------


def _unread(area: str, *names: str, code: str | None = None) -> list[bool]:
    lines = pl.DataFrame({"area": [area] * len(names), "name": names})
    lines = lines.with_columns(pl.lit(code, dtype=pl.String).alias("state_code"))
    return find_unread(lines).to_list()


def test_names_that_could_change_a_result_are_told_where_their_area_needs_a_kind():
    assert _unread("A", "SOCIAL STUFF") == [True]
    assert _unread("C", "Math Mystery", "GEOM", "DATA SCIENCE") == [True, False, False]
    assert _unread("D", "BIO-CHEM", "INTEG SCI 1") == [True, False]
    assert _unread("E", "World Language", "Spanish", "SPAN 1") == [True, True, False]
    assert _unread("F", "Something", "ART 1") == [True, False]
    for area in "BG":
        assert _unread(area, "Something") == [False]


# --- state course codes -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "discipline"),
    [("9000", "visual_arts"), ("9029", "visual_arts"), ("9082", "dance"), ("9096", "theater"),
     ("9303", "music"), ("9385", "media_arts"), ("9240", "visual_arts"), ("8000", "visual_arts"),
     ("", "visual_arts"), ("x", "visual_arts"), (None, "visual_arts")],
)  # fmt: skip
def test_a_state_course_code_decides_the_discipline_before_the_name(
    code: str | None, discipline: str
):
    assert _reading("F", "ART 1", code) == discipline


def test_a_state_course_code_tells_a_name_that_says_nothing():
    assert _unread("F", "PROJECT X") == [True]
    assert _unread("F", "PROJECT X", code="9090") == [False]
    assert _reading("F", "PROJECT X", "9090") == "theater"


def test_an_elective_of_another_subject_is_no_science():
    assert _reading("G", "BIOLOGY READINGS") == "biology"
    assert _reading("G", "BIOLOGY READINGS", "9115") is None
    assert _reading("G", "AG BIOLOGY", "9400") == "biology"
    assert _reading("G", "BIOLOGY", "9320") == "biology"


def test_the_ranges_of_codes_do_not_overlap():
    codes = sorted(DISCIPLINE_CODES.values(), key=lambda it: it.start)
    assert all(lower.stop <= higher.start for lower, higher in pairwise(codes))
