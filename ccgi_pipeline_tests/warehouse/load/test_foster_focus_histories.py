"""Random histories of Foster Focus drops against a model in plain dictionaries, in both key modes.

Belongs here: 200 districts live through five nights each, some with permanent unique IDs, some
without, some whose profile changes on the way. After every night the table of enrollments must be
the model's, and each file's ledger too.
"""

from __future__ import annotations

import hashlib
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import duckdb
import pytest

from ccgi_pipeline.feeds import foster_focus, foster_focus_cps
from ccgi_pipeline.intake.contents import Content
from ccgi_pipeline.intake.inbox import Drop, InboxFile, drop_id
from ccgi_pipeline.profiles import DistrictProfile, FosterFocusProfile, Profiles
from ccgi_pipeline.verification.drop_files import files_to_verify
from ccgi_pipeline.verification.gates import verify
from ccgi_pipeline.warehouse.load.ledger import load_drops
from ccgi_pipeline.warehouse.storage.connection import open_warehouse
from ccgi_pipeline.warehouse.storage.schema import create_missing_tables
from ccgi_pipeline_tests.files import ON, as_bytes, school_of
from ccgi_pipeline_tests.foster_focus import Line, foster_line

DISTRICTS = 200
NIGHTS = 5
CHILDREN_KNOWN, CHILDREN_UNKNOWN = (0, 1, 2), (3,)
ENTRIES = ("2026-08-17", "2026-09-14")
SCHOOLS = ("110", "220")

Key = tuple[str | None, ...]


@dataclass(frozen=True)
class Enrollment:
    """One line of the extract: a student, the key's columns, and a value that may change."""

    student: int
    entry: str
    school: str
    unique_id: str | None
    reason: str
    good: bool = True

    def key(self, *, by_id: bool) -> Key:
        if by_id and self.unique_id is not None:
            return (self.unique_id,)
        return (None, str(self.student), self.entry, self.school)

    @property
    def shown(self) -> tuple[str | None, ...]:
        """The record as the table has it."""
        return (f"L{self.student:06d}", self.entry, self.school, self.unique_id, self.reason)

    def line(self, cd: str) -> Line:
        usual = foster_line(foster_focus.ENROLLMENT_HISTORY, self.student, cd, school_of(cd))
        return {
            **usual,
            "UniqueID": self.unique_id or "",
            "EntryDate": self.entry,
            "SISSchoolCode": self.school if self.good else "",
            "EntryReason": self.reason,
        }


@dataclass
class District:
    """What the model knows of one district."""

    cd: str
    modes: tuple[bool, ...]
    records: dict[Key, tuple[Enrollment, int, int]] = field(default_factory=dict)
    students: set[int] = field(default_factory=set)

    def take(
        self, night: int, lines: list[Enrollment], demographics: list[int] | None
    ) -> Counter[str]:
        """Takes one drop; returns the fates of the enrollment lines."""
        by_id = self.modes[night]
        if demographics is not None:
            self.students |= {student for student in demographics if student in CHILDREN_KNOWN}
            linked = set(demographics) & set(CHILDREN_KNOWN)
        else:
            linked = self.students
        self._known_by(by_id=by_id)
        before = {key: record[0] for key, record in self.records.items()}
        fates: Counter[str] = Counter()
        stands: dict[Key, tuple[Enrollment, int]] = {}
        for number, line in enumerate(lines, start=2):
            if not line.good:
                fates["rejected"] += 1
            elif line.student not in linked:
                fates["unmatched"] += 1
            else:
                key = line.key(by_id=by_id)
                fates["superseded"] += key in stands
                stands[key] = (line, number)
        for key, (line, number) in stands.items():
            if key in before and before[key].shown == line.shown:
                fates["unchanged"] += 1
                continue
            fates["updated" if key in before else "inserted"] += 1
            self.records[key] = (line, night, number)
        return +fates

    def _known_by(self, *, by_id: bool) -> None:
        """Keys of this night's kind: where records become one, the newest stays."""
        oldest_first = sorted(self.records.values(), key=lambda record: record[1:])
        self.records = {record[0].key(by_id=by_id): record for record in oldest_first}


def _lines(chance: random.Random) -> list[Enrollment]:
    return [
        Enrollment(
            student=chance.choice((*CHILDREN_KNOWN, *CHILDREN_UNKNOWN)),
            entry=chance.choice(ENTRIES),
            school=chance.choice(SCHOOLS),
            unique_id=chance.choice(("U1", "U2", "U3", None)),
            reason=chance.choice(("Returning", "New", "Moved")),
            good=chance.random() > 0.1,
        )
        for _ in range(chance.randint(1, 6))
    ]


def _drop(cd: str, files: dict[str, bytes], night: int) -> tuple[Drop, dict[str, bytes]]:
    hashes = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    identity = f"{drop_id(cd, foster_focus.NAME, [*hashes.values()])}-{night}"
    received = tuple(
        (InboxFile(f"{cd}/foster_focus/{night}/{name}", cd, foster_focus.NAME, "s"), sha256)
        for name, sha256 in hashes.items()
    )
    contents = {sha256: files[name] for name, sha256 in hashes.items()}
    return Drop(identity, cd, foster_focus.NAME, received), contents


def _ssid(cd: str, student: int) -> str:
    return f"{cd}{student:03d}"


def _register(cds: list[str]) -> bytes:
    lines = []
    for cd in cds:
        for student in CHILDREN_KNOWN:
            said = foster_line(foster_focus.DEMOGRAPHICS, student, cd, school_of(cd))
            lines.append(
                {
                    "ChildID": f"{cd}-{student}",
                    "LastName": said["Lastname"],
                    "FirstName": said["Firstname"],
                    "BirthDate": said["Birthdate"],
                    "Gender": said["Gender"],
                    "SSID": _ssid(cd, student),
                    "Status": "active",
                    "StatusSince": "2024-01-01",
                }
            )
    return as_bytes(foster_focus_cps.FEED, lines)


def _demographics(cd: str, students: list[int]) -> bytes:
    lines = []
    for student in students:
        said = foster_line(foster_focus.DEMOGRAPHICS, student, cd, school_of(cd))
        lines.append({**said, "SSID": _ssid(cd, student)})
    return as_bytes(foster_focus.DEMOGRAPHICS, lines)


def _load(
    connection: duckdb.DuckDBPyConnection,
    drops: list[tuple[Drop, dict[str, bytes]]],
    profiles: Profiles,
) -> None:
    contents = {sha256: content for _, files in drops for sha256, content in files.items()}
    files = files_to_verify(
        [drop for drop, _ in drops], lambda _, sha256: Content.of_bytes(contents[sha256])
    )
    verified = verify(files, ON, profiles=profiles)
    load_drops(connection, [drop for drop, _ in drops], verified, ON, profiles)


def _table(connection: duckdb.DuckDBPyConnection) -> dict[str, Counter[tuple[object, ...]]]:
    rows = connection.execute(
        'SELECT _sender, "SISLocalID", "EntryDate", "SISSchoolCode", "UniqueID", "EntryReason" '
        "FROM foster_focus_enrollment_history WHERE _active"
    ).fetchall()
    found: dict[str, Counter[tuple[object, ...]]] = {}
    for cd, student, entry, *rest in rows:
        found.setdefault(cd, Counter())[student, date.isoformat(entry), *rest] += 1
    return found


def _ledgers(connection: duckdb.DuckDBPyConnection) -> dict[str, Counter[str]]:
    """The fates of the enrollment lines of each drop."""
    rows = connection.execute(
        "SELECT drop_id, fate, lines FROM ledger WHERE feed = ?",
        [foster_focus.ENROLLMENT_HISTORY.name],
    ).fetchall()
    found: dict[str, Counter[str]] = {}
    for drop, fate, lines in rows:
        found.setdefault(drop, Counter())[fate] += lines
    return found


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """A warehouse of its own: its districts have profiles that other tests know nothing of."""
    with open_warehouse(tmp_path) as opened:
        create_missing_tables(opened)
        yield opened


@pytest.fixture(scope="module")
def modes() -> dict[str, tuple[bool, ...]]:
    """Per district whether its unique IDs are permanent, night by night."""
    chance = random.Random(3)  # noqa: S311 - no secret
    kinds = [(False,) * NIGHTS, (True,) * NIGHTS]
    changing = [(False, False, True, True, False), (True, True, False, False, True)]
    return {f"77{number:05d}": chance.choice(kinds * 2 + changing) for number in range(DISTRICTS)}


@pytest.mark.slow
def test_after_every_night_tables_and_ledgers_are_those_of_the_model(
    connection: duckdb.DuckDBPyConnection, modes: dict[str, tuple[bool, ...]]
):
    chance = random.Random(7)  # noqa: S311 - no secret
    districts = [District(cd, of_nights) for cd, of_nights in modes.items()]
    register = _register([*modes])
    sha256 = hashlib.sha256(register).hexdigest()
    sender = foster_focus_cps.SENDER
    family = foster_focus_cps.FEED.family
    listed = InboxFile(f"{sender}/{family}/children.txt", sender, family, "s")
    _load(connection, [(Drop("register", sender, family, ((listed, sha256),)), {sha256: register})],
          Profiles())  # fmt: skip
    fates_seen: Counter[str] = Counter()
    for night in range(NIGHTS):
        profiles = Profiles(
            districts={
                district.cd: DistrictProfile(
                    foster_focus=FosterFocusProfile(unique_ids_are_permanent=district.modes[night])
                )
                for district in districts
            }
        )
        drops, expected = [], {}
        for district in districts:
            lines = _lines(chance)
            students = None
            if night == 0 or chance.random() < 0.5:
                everyone = (*CHILDREN_KNOWN, *CHILDREN_UNKNOWN)
                students = sorted(chance.sample(everyone, chance.randint(1, 4)))
            files = {
                "enrollment_history.txt": as_bytes(
                    foster_focus.ENROLLMENT_HISTORY, [line.line(district.cd) for line in lines]
                )
            }
            if students is not None:
                files["demographics.txt"] = _demographics(district.cd, students)
            drops.append(_drop(district.cd, files, night))
            expected[drops[-1][0].id] = district.take(night, lines, students)
        _load(connection, drops, profiles)
        table = _table(connection)
        for district in districts:
            wanted = Counter(record[0].shown for record in district.records.values())
            assert table.get(district.cd, Counter()) == wanted, (night, district.cd, district.modes)
        ledgers = _ledgers(connection)
        for drop, fates in expected.items():
            assert ledgers[drop] == fates, (night, drop)
            fates_seen += fates
    assert min(fates_seen[fate] for fate in (
        "inserted", "updated", "unchanged", "superseded", "rejected", "unmatched"
    )) > 20  # fmt: skip
