"""How common each trait is among the synthetic students, as data.

Belongs here: shares (0 to 1) and CALPADS codes of ``feeds.codes``, roughly as in California's
public schools. Does not belong here: drawing (people).
"""

from __future__ import annotations

from typing import NamedTuple


class Group(NamedTuple):
    """Students with one background.

    ``share`` among all students, CALPADS ``race``, name ``pool``, home ``language`` if it is not
    English.
    """

    share: float
    race: str
    pool: str
    language: str | None
    hispanic: bool = False


GROUPS = (
    Group(0.555, "700", "spanish", "01", hispanic=True),
    Group(0.185, "700", "english", None),
    Group(0.015, "700", "armenian", "12"),
    Group(0.050, "600", "english", None),
    Group(0.035, "201", "chinese", "07"),
    Group(0.025, "204", "vietnamese", "02"),
    Group(0.015, "203", "korean", "04"),
    Group(0.030, "205", "indian", "28"),
    Group(0.025, "400", "filipino", "05"),
    Group(0.015, "208", "hmong", "23"),
    Group(0.008, "202", "english", None),
    Group(0.008, "207", "english", "09"),
    Group(0.007, "206", "english", "10"),
    Group(0.010, "299", "english", None),
    Group(0.003, "301", "pacific", None),
    Group(0.001, "302", "pacific", None),
    Group(0.003, "303", "pacific", "30"),
    Group(0.001, "304", "pacific", None),
    Group(0.002, "399", "pacific", "34"),
    Group(0.007, "100", "english", None),
)
LIKENESS_OF_DISTRICTS = 25.0
"""The higher, the more each district looks like the state (Dirichlet concentration)."""

GENDER = {"F": 0.486, "M": 0.510, "X": 0.004}
HISPANIC_OF_ANOTHER_RACE = 0.12
OTHER_RACE = {"700": 0.45, "600": 0.2, "100": 0.15, "400": 0.1, "201": 0.05, "301": 0.05}
TWO_RACES = 0.06
LANGUAGE_STATUS = {"EO": 0.42, "EL": 0.22, "RFEP": 0.30, "IFEP": 0.055, "TBD": 0.005}
"""Of students whose families speak another language than English at home."""
PARENTS_STATE_IT = 0.9

ENGLISH_FIRST_NAME = 0.4
PREFERRED_NAME = 0.04
MIDDLE_NAME = 0.55
TWO_LAST_NAMES = 0.04
HAS_SUFFIX = 0.012
SUFFIX = {"JR": 0.7, "II": 0.1, "III": 0.17, "IV": 0.03}

REPEATED_A_GRADE = 0.03
CAME_LATER = 0.06
LEFT = 0.01

LANGUAGE_CERTIFICATE = 0.1
CERTIFICATE_SOURCE = {"AP exam": 0.6, "District assessment": 0.4}

SERVICES = {
    "FosterYouth": 0.006,
    "ParentConsent": 0.97,
    "SWDIndicator": 0.13,
    "504ProgramIndicator": 0.04,
    "AB469OptOut": 0.04,
    "Homeless": 0.04,
    "Migrant": 0.008,
}
