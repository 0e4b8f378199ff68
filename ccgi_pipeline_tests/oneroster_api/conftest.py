"""Generated sets that the tests serve."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import NamedTuple

import pytest

from ccgi_pipeline.synthetic import generate

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


def _has_roles(path: Path) -> bool:
    from zipfile import ZipFile  # noqa: PLC0415

    with ZipFile(path) as packed:
        return any(name.endswith("roles.csv") for name in packed.namelist())
