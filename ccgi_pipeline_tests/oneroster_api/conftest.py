"""Generated sets that the tests serve."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import NamedTuple

import pytest

from ccgi_pipeline.synthetic import generate
from ccgi_pipeline_tests.oneroster_api.objects import VERSIONS

ON = date(2026, 11, 22)
NIGHTS = 3


class Districts(NamedTuple):
    """Generated districts: ``of_1_1`` and ``of_1_2`` are folders, one set for each night."""

    of_1_1: list[Path]
    of_1_2: list[Path]

    def of(self, version: str) -> list[Path]:
        return self.of_1_1 if version == "1.1" else self.of_1_2


@pytest.fixture(scope="session")
def districts(tmp_path_factory: pytest.TempPathFactory) -> Districts:
    """Two districts of some 350 students on three nights: the first sends 1.2, the second 1.1."""
    root = tmp_path_factory.mktemp("districts")
    generate(root, districts=2, students=700, seed=4, on=ON, days=NIGHTS)
    sets = [sorted(path.iterdir()) for path in sorted(root.glob("*/oneroster"))]
    by_version = {"1.2" if _has_roles(nights[0]) else "1.1": nights for nights in sets}
    return Districts(by_version["1.1"], by_version["1.2"])


class Sets(NamedTuple):
    """A small district that sends the same in both versions: a set for each night."""

    by_version: dict[str, list[Path]]


@pytest.fixture(scope="session")
def sets(tmp_path_factory: pytest.TempPathFactory) -> Sets:
    """One district of 250 students, with leavers, arrivals, changes and demographics."""
    root = tmp_path_factory.mktemp("sets")
    made = {}
    for version in VERSIONS:
        named = {"districts": 1, "students": 250, "seed": 4, "on": ON, "days": NIGHTS}
        generate(root / version, **named, oneroster_version=version)
        made[version] = sorted((root / version).glob("3367173/oneroster/*.zip"))
    return Sets(made)


def _has_roles(path: Path) -> bool:
    from zipfile import ZipFile  # noqa: PLC0415

    with ZipFile(path) as packed:
        return any(name.endswith("roles.csv") for name in packed.namelist())
