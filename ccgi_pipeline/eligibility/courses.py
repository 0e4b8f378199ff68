"""Detects a course's kind: by its state course code, the list of names, then words of the name.

Belongs here: the order of these three, the ranges of codes, and the words of each area, of which
the first match decides. Does not belong here: the list of names (course_names), what a kind counts
for (systems).
"""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from ccgi_pipeline.eligibility.course_names import OTHER, names_by_area, plain_name

_Words = Sequence[tuple[str | None, str]]
"""Kinds and the words of plain names. None: a name with these words stays unread."""

# --- words ------------------------------------------------------------------------------------

_HISTORY_WORDS = r"(?:HIS\w*|HST)"
_HISTORY: _Words = (
    (None, r"\bSTUDENT|\bASB\b|\bCOMP\w* GOV|\bGOV\w* COMP|\bRELIGION"),
    (None, r"\b(?:WORLD|GLOBAL|INT\w*) (?:GOV\w*|POLIT\w*|AFFAIRS|REL\w*|ECON\w*)"),
    ("world_history", rf"\bLATIN AM\w* {_HISTORY_WORDS}"),
    (None, r"\b(?:AFR\w*|ASIAN|MEX\w*|NATIVE|CHICAN\w*|LATIN\w*|INDIGENOUS) AM"),
    (
        "us_history",
        rf"\bUS (?:\w+ )?{_HISTORY_WORDS}|\bUSH(?:IST)?\b|APUSH|\bUNITED STATES (?:\w+ )?HIS",
    ),
    ("us_history", rf"\bAM(?:ER(?:ICAN)?)? {_HISTORY_WORDS}|\b{_HISTORY_WORDS} (?:US|AMERICAS)\b"),
    ("government", r"GOVERNMENT|\bGOVT?\b|CIVICS|\bAM\w* DEMOC|\bPRIN\w* (?:\w+ )?DEMOC|POLITICS"),
    ("us_history", r"UNITED STATES"),
    ("world_history", r"\bWO?RLD\b|\bWLD\b|\bW (?:HIS|HST|CIV|GEO)|\bWHG|EURO|\bANCIENT|\bGLOBAL"),
    ("world_history", r"\bHUM(?:AN)? GEO|GEOGRAPHY"),
)
_ENGLISH: _Words = (("esl", r"\bESL\b|\bELD\b|ENG\w* AS A SECOND|\bENG\w* LANG\w* DEV"),)
# A name of two courses is read as the lower one, because a higher one stands for those below it.
_MATHEMATICS: _Words = (
    (None, r"\bPRE ?ALG|READINESS|ESSENTIALS|\bLINEAR ALG|\bCOLLEGE ALG|FINANC|BUSINESS|CONSUMER"),
    (None, r"SUPPORT|FOUNDATION|INTERVENTION"),
    (None, r"\bDATA SCI|\bFUNCT|\bCOMP\w* SCI|\bGEO\w* .*ALG|ALG\w* .*\bGEO"),
    ("precalculus", r"\bIB\b.*(?:\bAA\b|ANALYSIS)"),
    ("statistics", r"\bIB\b.*(?:\bAI\b|APPLICATIONS)"),
    (None, r"\bIB\b"),
    *(
        (
            f"integrated_{year}",
            rf"\b(?:MATH|MATHEMATICS|IM|IMP|INT) {year}\b|\bINTEG[ A-Z]* {year}\b",
        )
        for year in (1, 2, 3)
    ),
    ("algebra_2", r"\bALG(?:EBRA)? 2\b|\bINT[A-Z]* ALG|\bADV[A-Z]* ALG"),
    ("precalculus", r"\bANALYT[A-Z]* GEOM"),
    ("geometry", r"GEOM|\bGEO\b"),
    (None, r"\bALG(?:EBRA)? TRIG|\bTRIG\w* ALG"),
    ("algebra_1", r"\bALG"),
    ("statistics", r"\bSTATS?\b|STATISTIC"),
    ("precalculus", r"\bPRE ?CAL|\bTRIG|\bMATH[A-Z]* ANAL"),
    ("calculus", r"\bCALC"),
)
_SCIENCE: _Words = (
    (None, r"BIO.*CHEM|CHEM.*BIO|BIO.* PHYSICS|PHYSICS.* BIO|CHEM.* PHYSICS|PHYSICS.* CHEM"),
    (None, r"BIO ?ETHIC|\bLIT|BIOGRAPH|\bPHYS(?:ICAL)? (?:ED|FIT)|\bENV.*(?:BIO|CHEM)"),
    (
        "other_biological",
        r"\bANAT|PHYSIO|BOTANY|ZOOLOGY|MARINE|BIO ?TECH|BIO ?MED|ECOLOGY|MICROBIO",
    ),
    ("other_biological", r"GENETICS|NEUROSCI|\bVET[A-Z]* SCI|\bANIMAL SCI|\bPLANT SCI"),
    ("other_physical", r"\bENV\b|\bENVIR|\bEARTH (?:SCI|SP)|GEOLOGY|ASTRON|\bPHYS(?:ICAL)? SCI"),
    ("other_physical", r"OCEANOG|METEOROL|GEOSCI"),
    ("chemistry", r"CHEM"),
    ("physics", r"PHYSICS|\bPHYS\b"),
    ("biology", r"\bBIO(?:L|LOGY|LOGICAL)?\b|\bLIV(?:ING)? EARTH|\bLIFE SCI"),
)
_ARTS: _Words = (
    (None, r"CULINARY|\bLANG[A-Z]* ARTS|MARTIAL|PERFORMING ARTS|\bVAPA\b"),
    ("dance", r"DANCE|BALLET|FOLKLORIC|CHOREOG"),
    ("theater", r"THEAT|DRAMA|\bACTING|\bPLAY PROD|\bIMPROV"),
    ("music", r"MUSIC|BAND|CHOIR|CHORUS|CHORAL|\bORCH|JAZZ|GUITAR|PIANO|\bSTRINGS?\b|PERCUSSION"),
    ("music", r"ENSEMBLE|\bENS\b|MARIACHI|SINGERS|\bVOCAL|\bSYMPH|DRUMLINE"),
    ("theater", r"STAGE"),
    ("visual_arts", r"PHOTO|MIXED MEDIA|PRINTMAK"),
    ("media_arts", r"MEDIA|\bWEB\b|FILM|VIDEO|ANIMATION|DIGITAL|GRAPHIC|BROADCAST"),
    ("visual_arts", r"\bART\b|\bARTS\b|DRAWING|PAINT|CARTOON|CERAMIC|SCULPT|STUDIO|DESIGN|POTTERY"),
)
_LANGUAGES: _Words = (
    (None, r"\bLATIN (?:AM|CULT|STUD)"),
    ("spanish", r"\bSPAN|\bSPN\b|^SP \d"),
    ("french", r"\bFREN|^FR \d"),
    ("german", r"\bGERM(?:AN)?\b"),
    ("cantonese", r"\bCANTON"),
    ("mandarin", r"\bMAND(?:ARIN)?\b|\bCHINESE"),
    ("japanese", r"\bJAPAN|\bJPN\b"),
    ("korean", r"\bKOREAN"),
    ("latin", r"\bLATIN\b"),
    ("italian", r"\bITAL"),
    ("russian", r"\bRUSS"),
    ("arabic", r"\bARAB"),
    ("hmong", r"\bHMONG"),
    ("vietnamese", r"\bVIETN"),
    ("tagalog", r"\bTAGALOG|\bFILIPINO|\bPILIPINO"),
    ("portuguese", r"\bPORTUG"),
    ("punjabi", r"\bPUNJABI"),
    ("armenian", r"\bARMENIAN"),
    ("hebrew", r"\bHEBREW"),
    ("farsi", r"\bFARSI|\bPERSIAN"),
    ("american_sign_language", r"\bASL\b|\bAM[A-Z]* SIGN|\bSIGN LANG"),
)
_NOT_NATIVE = r"\bNON ?NAT"
_LEVELS: Sequence[tuple[int, str]] = (
    (1, r"\bINITIO\b"),
    (5, r"\b5\b|\bAP\b.*LIT"),
    (4, r"\b4\b|\bAP\b|\bIB\b"),
    (3, r"\b3\b"),
    (2, r"\b2\b|\bHERIT|\bNATIVE|\bSPEAKERS?\b|\bSPKRS?\b"),
    (1, r"\b1\b|\bBEG"),
)
_BY_AREA = {
    "A": _HISTORY,
    "B": _ENGLISH,
    "C": _MATHEMATICS,
    "D": _SCIENCE,
    "E": _LANGUAGES,
    "F": _ARTS,
    "G": _SCIENCE,
}
_NEEDS_A_KIND = ("A", "C", "D", "E", "F")
"""Areas in which a course of unknown kind can change a result."""

# --- state course codes -----------------------------------------------------------------------

DISCIPLINE_CODES = {
    "visual_arts": range(9000, 9030),
    "dance": range(9080, 9090),
    "theater": range(9090, 9100),
    "music": range(9290, 9310),
    "media_arts": range(9380, 9390),
}
"""Source: CALPADS Data Guide v11.0, ranges of state course codes from 2019-20."""
_NO_SCIENCE_CODES = range(9000, 9320)
"""Subjects before the range of science; agriculture and career technical courses may be science."""


def add_kinds(lines: pl.DataFrame) -> pl.DataFrame:
    """Adds ``kind``, ``language``, ``level`` and ``discipline`` to ``lines`` (``area``, ``name``).

    ``lines`` may have ``state_code``. Each name is examined once, however many lines have it.
    """
    return _with_readings(lines).drop("unread")


def find_unread(lines: pl.DataFrame) -> pl.Series:
    """Returns which of ``lines`` have a name that stays unread and could change a result."""
    return _with_readings(lines)["unread"]


def _with_readings(lines: pl.DataFrame) -> pl.DataFrame:
    if "state_code" not in lines.columns:
        lines = lines.with_columns(pl.lit(None, dtype=pl.String).alias("state_code"))
    key = ["area", "name", "state_code"]
    readings = _read(lines.select(key).unique())
    return lines.join(readings, on=key, how="left", nulls_equal=True, maintain_order="left").drop(
        "state_code"
    )


def _read(names: pl.DataFrame) -> pl.DataFrame:
    plain, area = pl.col("plain"), pl.col("area")
    worded = pl.coalesce(
        *(pl.when(area == letter).then(_first(words, plain)) for letter, words in _BY_AREA.items())
    )
    by_code, no_science = _by_code(pl.col("state_code"))
    listed = names.with_columns(plain_name(pl.col("name")).alias("plain")).join(
        names_by_area(), on=["area", "plain"], how="left", maintain_order="left"
    )
    by_name = listed.with_columns(pl.coalesce("listed", worded).alias("found")).with_columns(
        pl.when(area == "F").then(by_code).alias("by_code"),
        pl.when((area != "G") | ~no_science.fill_null(value=False)).then("found").alias("found"),
    )
    by_name = by_name.with_columns(pl.coalesce("by_code", "found").replace("", None).alias("found"))
    kind = pl.when(pl.col("found") != OTHER).then("found")
    found = by_name.with_columns(
        pl.when(area.is_in(["E", "F"]).not_()).then(kind).alias("kind"),
        pl.when(area == "E").then(kind).alias("language"),
        pl.when(area == "E")
        .then(pl.coalesce("listed_level", _level(plain)))
        .cast(pl.Int8)
        .alias("level"),
        pl.when(area == "F").then(kind).alias("discipline"),
    )
    half_read = (area == "E") & pl.col("level").is_null()
    unread = area.is_in(_NEEDS_A_KIND) & (pl.col("found").is_null() | half_read)
    return found.select(
        *names.columns,
        *("kind", "language", "level", "discipline"),
        unread.fill_null(value=False).alias("unread"),
    )


def _first(words: _Words, plain: pl.Expr) -> pl.Expr:
    """Returns the kind of the first words that are in the name; blank if they keep it unread."""
    return pl.coalesce(
        *(pl.when(plain.str.contains(known)).then(pl.lit(kind or "")) for kind, known in words)
    )


def _level(plain: pl.Expr) -> pl.Expr:
    said = plain.str.replace_all(rf"{_NOT_NATIVE}[A-Z]*(?: SP\w*)?", "")
    return pl.coalesce(*(pl.when(said.str.contains(words)).then(level) for level, words in _LEVELS))


def _by_code(code: pl.Expr) -> tuple[pl.Expr, pl.Expr]:
    """Returns the discipline that a state course code says, and whether it excludes science."""
    number = code.str.extract(r"^\s*(\d{4})\s*$").cast(pl.Int32)
    discipline = pl.coalesce(
        *(
            pl.when(_within(number, codes)).then(pl.lit(name))
            for name, codes in DISCIPLINE_CODES.items()
        )
    )
    return discipline, _within(number, _NO_SCIENCE_CODES)


def _within(number: pl.Expr, codes: range) -> pl.Expr:
    return number.is_between(codes.start, codes.stop, closed="left")
