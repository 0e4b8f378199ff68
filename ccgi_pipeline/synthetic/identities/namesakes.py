"""How many students share a first initial, a last name and a birth date: the calibration.

CDE counted this for the SSID Data Lookup (the table "First Initial + Last Name + Birthdate" of its
change request): 11,814,417 combinations among 12,737,456 students, 93.789 % of them held by one
student, 5.106 % by two. It also said that 98.081 % of the combinations of the whole first name,
last name and birth date are unique. Both come about by design, not by chance:

* Namesakes are planted. Every number of students gets its share of CDE's pairs, triplets and so
  on; at 12,737,456 students the table is CDE's own, to the last student.
* Everyone else is alone: ``students`` draws no combination twice.
* Of two namesakes of one initial, a quarter have the whole first name in common. That one figure
  (``DIVERSITY``) is solved for the 98.081 %.

Belongs here: group sizes, and who of a group shares the first name. Does not belong here: names.
"""

from __future__ import annotations

import numpy as np

from ccgi_pipeline.synthetic.random_draws import Integers

PUBLISHED = {
    1: 11_080_627,
    2: 603_303,
    3: 92_121,
    4: 25_139,
    5: 8_504,
    6: 3_072,
    7: 1_112,
    8: 363,
    9: 119,
    10: 44,
    11: 6,
    12: 5,
    13: 1,
    14: 1,
}
"""CDE's table: how many combinations ("Name Count") so many students share ("Result Count")."""

PUBLISHED_STUDENTS = sum(size * names for size, names in PUBLISHED.items())
LARGEST = max(PUBLISHED)

DIVERSITY = 3.008
"""Among namesakes of one initial, the weight of another first name against one earlier namesake's.

Two of them share the whole first name with probability 1 / (1 + 3.008), which makes 98.081 % of
the full names and birth dates unique in the expectation over ``PUBLISHED`` (a test checks it).
"""


def group_sizes(first: int, last: int) -> Integers:
    """Sizes of the groups of namesakes (2 and more) among the students ``first`` to ``last - 1``.

    Each size has its published share of all students up to ``last``, less what the students before
    ``first`` had of it: however the students are cut into blocks, the whole has the whole's share.
    """
    sizes = range(2, LARGEST + 1)
    names = [_names(size, last) - _names(size, first) for size in sizes]
    return np.repeat(np.array(sizes, dtype=np.int64), names)


def _names(size: int, students: int) -> int:
    return students * PUBLISHED[size] // PUBLISHED_STUDENTS


def first_names_shared(rng: np.random.Generator, sizes: Integers) -> Integers:
    """Which first name of its group each student has (0 for the first one's), group after group.

    Hoppe's urn: the next student takes a name that the group has not had with weight
    ``DIVERSITY``, or the name of any one earlier student with weight 1.
    """
    starts = np.cumsum(sizes) - sizes
    names = np.zeros(int(sizes.sum()), dtype=np.int64)
    had = np.ones(len(sizes), dtype=np.int64)
    for member in range(1, int(sizes.max(initial=0))):
        groups = np.flatnonzero(sizes > member)
        earlier = starts[groups] + rng.integers(0, member, len(groups))
        new = rng.random(len(groups)) < DIVERSITY / (DIVERSITY + member)
        names[starts[groups] + member] = np.where(new, had[groups], names[earlier])
        had[groups] += new
    return names
