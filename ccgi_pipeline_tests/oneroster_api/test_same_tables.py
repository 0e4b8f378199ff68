"""The same districts by CSV and by API: the same tables, and the same verdicts, night by night.

Belongs here: whole nights over generated districts, with leavers, arrivals and changes. Does not
belong here: servers with faults, except those whose drops a night must hold.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from ccgi_pipeline.cli import main
from ccgi_pipeline.feeds import oneroster
from ccgi_pipeline.nightly.paths import PipelinePaths
from ccgi_pipeline.synthetic import generate
from ccgi_pipeline.warehouse.storage.connection import open_warehouse
from ccgi_pipeline_tests.nightly.nights import folders_in, load_and_answer
from ccgi_pipeline_tests.oneroster_api.conftest import NIGHTS, ON, Sets
from ccgi_pipeline_tests.oneroster_api.faults import Fault
from ccgi_pipeline_tests.oneroster_api.histories import CD, SECRET, History, history
from ccgi_pipeline_tests.oneroster_api.server import serve_oneroster

_DAYS = [ON - timedelta(days=NIGHTS - 1 - night) for night in range(NIGHTS)]
_NOT_COMPARED = {"status", "dateLastModified"}
"""Delta files have them, and a full fetch becomes bulk files, which have not."""
_MADE_IDS = {
    oneroster.ROLES.name: {"sourcedId", "userProfileSourcedId"},
    oneroster.USER_PROFILES.name: {"sourcedId"},
}
"""The API has no ids of roles, and profiles have addresses for ids."""
_TABLES = [feed for feed in oneroster.FEEDS if feed is not oneroster.MANIFEST]
_GOOD = {"accepted", "accepted_with_findings"}


@dataclass
class _Sides:
    """The same districts twice."""

    by_csv: PipelinePaths
    by_api: PipelinePaths
    districts: dict[str, History]
    sets: dict[str, list[Path]]

    def night(self, number: int) -> set[str]:
        """One night of both; the districts in which something is new."""
        new = set()
        for cd, one in self.districts.items():
            sent = self.sets[cd][number]
            below = self.by_csv.inbox / cd / oneroster.NAME
            below.mkdir(parents=True, exist_ok=True)
            if sent.is_dir():
                shutil.copytree(sent, below / sent.name)
            else:
                shutil.copy2(sent, below)
            if number:
                one.next_night()
            outcome = one.fetch()
            assert outcome.result, outcome.refusal
            new |= {cd} if outcome.drop else set()
        for folders in (self.by_csv, self.by_api):
            load_and_answer(folders, _DAYS[number])
        return new


@contextmanager
def _sides(root: Path, version: str | None, districts: int, students: int) -> Iterator[_Sides]:
    state = root / "state"
    named = {"districts": districts, "students": students, "seed": 8, "on": ON, "days": NIGHTS}
    generate(state, **named, oneroster_version=version)
    by_csv, by_api = folders_in(root / "csv"), folders_in(root / "api")
    with ExitStack() as servers:
        found, sets = {}, {}
        for below in sorted(state.glob(f"*/{oneroster.NAME}")):
            cd = below.parent.name
            sets[cd] = sorted(below.iterdir())
            own = "1.2" if _is_1_2(sets[cd][0]) else "1.1"
            found[cd] = servers.enter_context(history(root / "api", sets[cd], own, cd=cd))
            found[cd].clock.go_to(datetime.combine(_DAYS[0], time(6), UTC))
        yield _Sides(by_csv, by_api, found, sets)


def _is_1_2(sent: Path) -> bool:
    from ccgi_pipeline_tests.oneroster_api.objects import read_set  # noqa: PLC0415

    return "roles" in read_set(sent)


def _rows(folders: PipelinePaths, feed_name: str, columns: Sequence[str]) -> Counter[object]:
    """The rows of a table with their sender, whatever file they came from."""
    names = ", ".join(f'"{name}"' for name in ("_sender", "_active", *columns))
    with open_warehouse(folders.warehouse, read_only=True) as connection:
        return Counter(connection.execute(f'SELECT {names} FROM lake."{feed_name}"').fetchall())  # noqa: S608 - names of this project


def _differing_tables(sides: _Sides) -> list[str]:
    found = []
    for feed in _TABLES:
        left_out = _NOT_COMPARED | _MADE_IDS.get(feed.name, set())
        columns = [name for name in feed.columns if name not in left_out]
        by_csv, by_api = (
            _rows(folders, feed.name, columns) for folders in (sides.by_csv, sides.by_api)
        )
        if by_csv != by_api:
            only = (by_csv - by_api).total(), (by_api - by_csv).total()
            found.append(f"{feed.name}: {only[0]} rows by CSV only, {only[1]} by API only")
    return found


def _verdicts(folders: PipelinePaths, on: date) -> dict[str, str]:
    """What became of each district's drop of a night."""
    with open_warehouse(folders.warehouse, read_only=True) as connection:
        rows = connection.execute(
            "SELECT sender, verdict FROM drops WHERE night = ? AND family = ?",
            [on, oneroster.NAME],
        ).fetchall()
    return {sender: "good" if verdict in _GOOD else verdict for sender, verdict in rows}


def _leavers(folders: PipelinePaths) -> int:
    with open_warehouse(folders.warehouse, read_only=True) as connection:
        query = f'SELECT count(*) FROM lake."{oneroster.USERS.name}" WHERE NOT _active'  # noqa: S608 - the same
        (count,) = connection.execute(query).fetchone()
    return count


@pytest.mark.parametrize(
    ("version", "districts", "students", "nights"),
    [
        (None, 2, 500, 2),
        pytest.param("1.1", 20, 4_000, NIGHTS, marks=pytest.mark.slow),
        pytest.param("1.2", 20, 4_000, NIGHTS, marks=pytest.mark.slow),
    ],
)
def test_csv_and_api_end_in_the_same_tables_and_verdicts(
    tmp_path: Path, version: str | None, districts: int, students: int, nights: int
):
    with _sides(tmp_path, version, districts, students) as sides:
        for number, on in enumerate(_DAYS[:nights]):
            new = sides.night(number)
            assert _differing_tables(sides) == []
            by_csv, by_api = (_verdicts(folders, on) for folders in (sides.by_csv, sides.by_api))
            # A delta without changes is no verdict, and a fetch without news is no drop.
            assert set(by_csv.values()) == {"good"}
            assert by_api == dict.fromkeys(new, "good")
            assert len(new) > districts / 2
        assert _leavers(sides.by_api) > 0


def _active(folders: PipelinePaths) -> dict[str, Counter[object]]:
    """The keys of all rows that have not ended, by table."""
    return {
        feed.name: Counter(
            row for row in _rows(folders, feed.name, ["sourcedId"]).elements() if row[1]
        )
        for feed in _TABLES
    }


@pytest.mark.slow
@pytest.mark.parametrize("fault", [Fault.IDS_ALL_NEW, Fault.IDS_ILLEGAL])
def test_a_night_holds_a_roster_in_which_everybody_has_a_new_id(
    tmp_path: Path, sets: Sets, fault: Fault
):
    folders = folders_in(tmp_path)
    with history(tmp_path, sets.by_version["1.1"]) as one:
        assert one.fetch().drop
        load_and_answer(folders, _DAYS[0])
        before = _active(folders)
        night = one.live_through(fault)
        assert night.outcome.drop
        load_and_answer(folders, _DAYS[1])
        assert set(_verdicts(folders, _DAYS[1]).values()) <= {"held", "rejected"}
        assert _active(folders) == before
        one.next_night()
        assert one.fetch(full=True).drop
        load_and_answer(folders, _DAYS[2])
        assert set(_verdicts(folders, _DAYS[2]).values()) == {"good"}
        ids = {own for _, _, own in _active(folders)[oneroster.USERS.name]}
        assert ids == one.true_ids("users")


def test_a_roster_may_be_fetched_before_the_first_night(tmp_path: Path, sets: Sets):
    folders = folders_in(tmp_path)
    with serve_oneroster(sets.by_version["1.1"][0]) as server:
        folders.warehouse.mkdir()
        (folders.warehouse / "profiles.toml").write_text(
            f"""
            [districts.{CD}.oneroster_api]
            server = "{server.url}"
            token_url = "{server.token_url}"
            client_id = "{server.client_id}"
            secret_variable = "{SECRET}"
            ca_file = "{server.ca_file}"
            """
        )
        where = ["--inbox", f"{folders.inbox}", "--warehouse", f"{folders.warehouse}"]
        done = CliRunner(env={SECRET: server.client_secret}).invoke(
            main, ["fetch", "--district", CD, *where]
        )
        assert done.exit_code == 0, done.output
    load_and_answer(folders, ON)
    assert _verdicts(folders, ON) == {CD: "good"}
