"""The sets that the tools judge: good ones of several sizes, and one for each fault.

Belongs here: generating one district's OneRoster set and transcript package as plain files, each
with its rules. Does not belong here: faults themselves (``faults``).
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from datetime import date
from pathlib import Path

from ccgi_pipeline.bench.peers.exchange import Task
from ccgi_pipeline.bench.peers.faults import FAULTS, PlantedFault, plant_fault
from ccgi_pipeline.bench.peers.rules import CONTRACT_OF, derive_package, name_files
from ccgi_pipeline.synthetic import generate

_SEED = 1


def make_good_sets(folder: Path, students: int, on: date) -> dict[str, Task]:
    """Generates the sets of one district in ``folder`` (which must not exist), by family."""
    inbox = folder / "inbox"
    generate(
        inbox,
        districts=1,
        students=students,
        seed=_SEED,
        on=on,
        oneroster_version=CONTRACT_OF["oneroster"].edition,
    )
    sets = {family: _gather(inbox, family, folder / family) for family in CONTRACT_OF}
    shutil.rmtree(inbox)
    return sets


def _gather(inbox: Path, family: str, folder: Path) -> Task:
    """Puts the files of the district's drop side by side; zips are unpacked."""
    folder.mkdir(parents=True)
    for path in inbox.glob(f"*/{family}/**/*"):
        if path.suffix == ".zip":
            shutil.unpack_archive(path, folder)
        elif path.is_file():
            shutil.move(path, folder)
    return Task(str(folder), family, derive_package(family, name_files(family, folder)))


def plant_faults(good: dict[str, Task], folder: Path) -> Sequence[PlantedFault]:
    """Copies the good sets into ``folder`` once for each fault, with the fault."""
    planted = []
    for number, fault in enumerate(FAULTS):
        whole = Path(good[fault.family].folder)
        file = name_files(fault.family, whole)[fault.feed]
        planted.append(plant_fault(fault, whole, file, folder / f"{number:02d}"))
    return planted
