"""How districts send OneRoster: version, package, modes, and what their systems fill in.

Belongs here: the variety, as data by district, with which readers must cope. Does not belong here:
lines, and writing them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum, auto

from ccgi_pipeline.synthetic.file_output import PLAIN, Dialect

VERSIONS = VERSION_1_1, VERSION_1_2 = "1.1", "1.2"
CRLF = "\r\n"


class Identifier(Enum):
    """What a district's system has as ``identifier`` of organizations."""

    NCES = auto()
    CDS = auto()
    NONE = auto()


@dataclass(frozen=True)
class Way:
    """How one district sends.

    ``zipped``: a zip for each day, or else a folder of loose files; ``in_folder``: the files lie in
    a folder of the zip. ``delta``: between its first and its last day it sends changes only.
    ``quarters``: classes are taught in quarters; ``ssids``: users have their SSID among their ids;
    ``parents``: some of them are users too; ``dated``: enrollments say since when.
    """

    version: str = VERSION_1_1
    zipped: bool = True
    in_folder: bool = False
    manifest: bool = True
    delta: bool = False
    dialect: Dialect = PLAIN
    identifier: Identifier = Identifier.NONE
    quarters: bool = False
    ssids: bool = False
    parents: bool = False
    dated: bool = True
    demographics: bool = False


_WAYS: Mapping[int, Way] = {
    1: Way(VERSION_1_2),
    2: Way(delta=True),
    3: Way(zipped=False),
    4: Way(in_folder=True),
    5: Way(dialect=Dialect(line_end=CRLF)),
    6: Way(dialect=Dialect(byte_order_mark=True)),
    7: Way(manifest=False),
    9: Way(VERSION_1_2, zipped=False, delta=True, dialect=Dialect(line_end=CRLF)),
    12: Way(VERSION_1_2, dialect=Dialect(line_end=CRLF, byte_order_mark=True)),
    13: Way(zipped=False, manifest=False),
}
_ROUND = 16
_IDENTIFIERS = tuple(Identifier)


def way_of(ordinal: int, version: str | None = None) -> Way:
    """How the district ``ordinal`` sends: of 16 districts, 3 send version 1.2 and so on.

    ``version``: the one that it sends instead of its own.
    """
    way = _WAYS.get(ordinal % _ROUND, Way())
    return replace(
        way,
        version=version or way.version,
        identifier=_IDENTIFIERS[ordinal % len(_IDENTIFIERS)],
        quarters=ordinal % 4 == 1,
        ssids=ordinal % 2 == 0,
        parents=ordinal % 3 != 1,
        dated=ordinal % 5 != 4,  # noqa: PLR2004 - one district in five does not
        demographics=ordinal % 3 == 0,
    )
