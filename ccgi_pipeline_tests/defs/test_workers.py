"""Several workers in one night: real Celery processes on one catalog and one broker, in PostgreSQL.

Belongs here: that four of them come to what one process comes to, byte by byte; what happens when
one is killed; and settings that do not fit together. Does not belong here: shares without Dagster
(night.test_shares), writers without Dagster (night.test_several_workers).
"""

from __future__ import annotations

import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from urllib.parse import quote

import dagster as dg
import pytest

from ccgi_pipeline.defs.workers import WorkersError, executor_of, workers
from ccgi_pipeline.nightly.paths import PipelinePaths
from ccgi_pipeline.nightly.summary import NightSummary
from ccgi_pipeline.runtime.dagster_instance import (
    DAGSTER_DATABASE,
    DagsterStorageError,
    prepare_dagster_home,
)
from ccgi_pipeline.runtime.night_run import run_night
from ccgi_pipeline.synthetic import generate
from ccgi_pipeline_tests.nightly.nights import (
    ON,
    bytes_below,
    folders_in,
    lake_rows,
    load_and_answer,
)
from ccgi_pipeline_tests.postgresql import USER, PostgreSql

PROJECT = Path(__file__).parents[2]
DISTRICTS, WORKERS = 40, 4
FIRST = ON - timedelta(days=1)
PATIENCE = 300
"""Seconds until a night that hangs is given up; a busy machine takes its time."""


@dataclass(frozen=True)
class Several:
    """A warehouse on PostgreSQL, with the environment in which several workers share its nights."""

    folders: PipelinePaths
    server: PostgreSql
    catalog: str
    runs: str
    broker: str

    @property
    def one(self) -> dict[str, str]:
        """The environment of a single process on the same warehouse."""
        return self.server.environment(self.catalog)

    @property
    def environment(self) -> dict[str, str]:
        return {
            **self.one,
            "CCGI_WORKERS": f"{WORKERS}",
            "CCGI_EXECUTOR": "celery",
            "CCGI_BROKER": self._address(self.broker),
            DAGSTER_DATABASE: self._address(self.runs),
        }

    def _address(self, database: str) -> str:
        word = quote(self.server.password)
        return f"postgresql://{USER}:{word}@127.0.0.1:{self.server.port}/{database}"

    def rows(self) -> dict[str, list[tuple[object, ...]]]:
        """All rows of the warehouse."""
        with self.as_one():
            return lake_rows(self.folders.warehouse)

    @contextmanager
    def as_one(self) -> Iterator[None]:
        """This process in the environment of one that is alone."""
        with pytest.MonkeyPatch.context() as patch:
            for name, value in self.one.items():
                patch.setenv(name, value)
            yield

    def started(self, *command: str) -> subprocess.Popen[str]:
        """One of our own commands over the folders."""
        places = {
            "--inbox": self.folders.inbox,
            "--outbox": self.folders.outbox,
            "--warehouse": self.folders.warehouse,
        }
        given = itertools.chain.from_iterable((name, str(place)) for name, place in places.items())
        return subprocess.Popen(
            [str(Path(sys.executable).with_name("ccgi")), *command, *given],
            env={**os.environ, **self.environment},
            cwd=PROJECT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    @contextmanager
    def workers(self) -> Iterator[None]:
        """Four worker processes, until the end of the block."""
        pool = self.started("worker", "--processes", f"{WORKERS}")
        try:
            yield
        finally:
            pool.terminate()
            pool.communicate(timeout=PATIENCE)

    def steps(self, *kinds: str) -> list[Mapping[str, object]]:
        """Dagster's events of these kinds: step, process, time, metadata."""
        if self.server.execute(self.runs, "SELECT to_regclass('event_logs')") == [(None,)]:
            return []
        rows = self.server.execute(
            self.runs,
            "SELECT event::json, extract(epoch FROM timestamp), dagster_event_type "
            "FROM event_logs ORDER BY id",
        )
        return [
            {"kind": event["event_type_value"], "step": event["step_key"], "pid": event["pid"]}
            | {"at": at, "data": json.dumps(event["event_specific_data"])}
            for whole, at, kind in rows
            if kind in kinds and (event := whole["dagster_event"])  # type: ignore[index]
        ]


LOADS = "load_transcript_in_shares.share_of_load_transcript"

_SHARES_AT_WORK = (
    "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 3 "
    "AND mode = 'ShareLock' AND granted"
)


def commits_wait(several: Several, until: str, seconds: int) -> None:
    """Has each commit of a share wait ``until`` (SQL) is true, so many seconds at most."""
    several.server.execute(
        several.catalog,
        f"""
        CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            FOR look IN 1..{10 * seconds} LOOP
                EXIT WHEN ({_SHARES_AT_WORK}) = 0 OR ({until});
                PERFORM pg_sleep(0.1);
            END LOOP;
            RETURN NEW;
        END $$;
        CREATE TRIGGER waits BEFORE INSERT ON ducklake_snapshot
            FOR EACH ROW EXECUTE FUNCTION wait();
        """,
    )


@dataclass(frozen=True)
class Begun:
    """The same state twice, loaded by one process: embedded, and with its catalog in a database."""

    embedded: PipelinePaths
    served: PipelinePaths
    catalog: str
    server: PostgreSql

    def copied_to(self, root: Path) -> Several:
        """The second one once more, with databases of its own."""
        for name in ("outbox", "warehouse"):
            shutil.copytree(self.served.inbox.parent / "served" / name, root / name)
        catalog = self.server.new_database(like=self.catalog)
        runs, broker = self.server.new_database(), self.server.new_database()
        return Several(folders_in(root, self.served.inbox), self.server, catalog, runs, broker)


def _send(inbox: Path, on: date, defects: float) -> None:
    """What forty districts and the state's senders have; a few of them send all families."""
    generate(inbox, districts=DISTRICTS, students=10 * DISTRICTS, seed=5, on=on, defects=defects)
    for family in ("oneroster", "foster_focus"):
        for folder in sorted(inbox.glob(f"*/{family}"))[3:]:
            shutil.rmtree(folder)


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory, database_server: PostgreSql) -> Begun:
    """The first night is loaded, the second one's files wait."""
    root = tmp_path_factory.mktemp("begun")
    embedded = folders_in(root / "embedded", root / "inbox")
    served = folders_in(root / "served", root / "inbox")
    _send(embedded.inbox, FIRST, 0.03)
    load_and_answer(embedded, FIRST)
    catalog = database_server.new_database()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in database_server.environment(catalog).items():
            patch.setenv(name, value)
        load_and_answer(served, FIRST)
    _send(embedded.inbox, ON, 0.1)
    return Begun(embedded, served, catalog, database_server)


@dataclass(frozen=True)
class Nights:
    """The same night twice: in one process on the embedded warehouse, and by four workers."""

    embedded: PipelinePaths
    several: Several
    by_one: NightSummary
    told: str
    expected: dict[str, list[tuple[object, ...]]]
    found: dict[str, list[tuple[object, ...]]]


@pytest.fixture(scope="module")
def nights(begun: Begun, tmp_path_factory: pytest.TempPathFactory) -> Nights:
    """The second night, by one process and by four."""
    several = begun.copied_to(tmp_path_factory.mktemp("several"))
    # Nobody commits a share before another one is at work: they do meet.
    commits_wait(several, f"({_SHARES_AT_WORK}) >= 2", seconds=6)
    with several.workers(), several.started("run", "--date", ON.isoformat()) as night:
        by_one = run_night(begun.embedded, ON)
        told, _ = night.communicate(timeout=PATIENCE)
    assert night.returncode == 0, told
    expected = lake_rows(begun.embedded.warehouse)
    return Nights(begun.embedded, several, by_one, told, expected, several.rows())


@pytest.mark.slow
def test_the_outbox_of_four_workers_has_the_bytes_of_the_embedded_night(nights: Nights) -> None:
    delivered = bytes_below(nights.several.folders.outbox)
    assert len(delivered) > 27 * DISTRICTS
    assert delivered == bytes_below(nights.embedded.outbox)


@pytest.mark.slow
def test_nothing_is_lost_and_nothing_there_twice(nights: Nights) -> None:
    expected, found = nights.expected, nights.found
    assert len({row[1] for row in expected["drops"] if row[2] == "transcript"}) == DISTRICTS
    assert {row[3] for row in expected["ledger"]} >= {"inserted", "updated", "rejected"}
    assert found == expected


@pytest.mark.slow
def test_every_ledger_adds_up(nights: Nights) -> None:
    rows = nights.found
    fated: dict[tuple[object, object], int] = {}
    for drop, number, _feed, _fate, lines in rows["ledger"]:
        fated[drop, number] = fated.get((drop, number), 0) + int(str(lines))
    received = {(row[0], row[1]): row[5] for row in rows["files"] if row[5]}
    assert fated == received
    assert len(received) > 2 * DISTRICTS


@pytest.mark.slow
def test_several_workers_loaded_at_the_same_time(nights: Nights) -> None:
    spans: dict[object, list[Mapping[str, object]]] = {}
    for event in nights.several.steps("STEP_START", "STEP_SUCCESS"):
        if str(event["step"]).startswith(f"{LOADS}["):
            spans.setdefault(event["step"], []).append(event)
    assert len(spans) == WORKERS
    together = [
        (one, other)
        for (one, one_ends), (other, other_ends) in itertools.combinations(spans.values(), 2)
        if one["at"] < other_ends["at"] and other["at"] < one_ends["at"]  # type: ignore[operator]
    ]
    assert any(one["pid"] != other["pid"] for one, other in together)


@pytest.mark.slow
def test_loads_that_met_were_done_again_and_counted(nights: Nights) -> None:
    outputs = [
        json.loads(str(event["data"]))
        for event in nights.several.steps("STEP_OUTPUT")
        if "share_of_load_" in str(event["step"])
    ]
    counted = [
        {entry["label"]: entry["entry_data"]["value"] for entry in output["metadata_entries"]}
        for output in outputs
    ]
    assert sum(counts["drops"] for counts in counted) > DISTRICTS
    assert sum(counts["loads done again after a conflict"] for counts in counted) > 0


@pytest.mark.slow
def test_the_summary_tells_what_one_process_did(nights: Nights) -> None:
    one = nights.by_one
    told = nights.told.splitlines()
    assert f"{one.districts:,} districts with a roster, {one.students:,} students" in told
    assert f"{one.reports:,} report files of {ON}, {one.receipts:,} receipts" in told
    drops = [line.split() for line in told]
    assert all([family, verdict, f"{n:,}"] in drops for family, verdict, n in one.verdicts)


@pytest.mark.slow
def test_no_file_of_dagsters_holds_what_steps_hand_on(nights: Nights) -> None:
    home = nights.several.folders.warehouse / "dagster"
    assert sorted(path.name for path in home.rglob("*") if path.is_file()) == ["dagster.yaml"]


@pytest.mark.slow
def test_a_worker_killed_in_a_share_fails_the_night_and_the_next_one_takes_the_rest(
    tmp_path: Path, begun: Begun
) -> None:
    several, server = begun.copied_to(tmp_path / "several"), begun.server
    server.execute(several.catalog, "CREATE TABLE gate (open boolean)")
    # Where two shares are at work, neither commits before the gate is open.
    commits_wait(several, f"({_SHARES_AT_WORK}) < 2 OR EXISTS (SELECT FROM gate)", seconds=15)
    with several.workers(), several.started("run", "--date", ON.isoformat()) as night:
        pid = _newest_of_two_loads(several, night)
        os.kill(pid, signal.SIGKILL)
        server.execute(several.catalog, "INSERT INTO gate VALUES (true)")
        told, _ = night.communicate(timeout=PATIENCE)
    assert night.returncode == 1
    assert f"{LOADS}[" in told
    assert "its worker was lost" in told
    before = {row[0] for row in several.rows()["drops"]}
    with several.as_one():
        load_and_answer(several.folders, ON)
    rows = several.rows()
    drops = [row[0] for row in rows["drops"]]
    assert len(drops) == len(set(drops)) > len(before)
    sent = [row for row in rows["drops"] if row[2] == "transcript" and str(row[4]) == str(ON)]
    assert len({row[1] for row in sent}) == len(sent) == DISTRICTS
    keys = [(row[-5], row[2]) for row in rows["transcript_student"]]
    assert len(keys) == len(set(keys)) > 0


def _newest_of_two_loads(several: Several, night: subprocess.Popen[str]) -> int:
    """The process that began to load a share last, as soon as two are at it."""
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until and night.poll() is None:
        loads = {
            str(event["step"]): event
            for event in several.steps("STEP_START", "STEP_SUCCESS")
            if str(event["step"]).startswith(f"{LOADS}[")
        }
        at_it = [event for event in loads.values() if event["kind"] == "STEP_START"]
        if len(at_it) > 1:
            return int(str(at_it[-1]["pid"]))
        time.sleep(0.2)
    night.terminate()
    told, _ = night.communicate()
    raise AssertionError(told)


# --- settings -------------------------------------------------------------------------------------

_CATALOG = {"CCGI_CATALOG": "postgresql://ccgi@db.example.org/ccgi"}


def test_without_a_setting_a_night_is_one_process() -> None:
    assert not workers({}).several
    assert executor_of(workers({"CCGI_WORKERS": "1"})) is dg.in_process_executor


@pytest.mark.parametrize("executor", ["multiprocess", "celery", "k8s"])
def test_each_executor_can_be_made(executor: str) -> None:
    given = {"CCGI_WORKERS": "3", "CCGI_EXECUTOR": executor, "CCGI_BROKER": "redis://broker:6379/0"}
    settings = workers({**_CATALOG, **given})
    assert settings.count == 3
    assert executor_of(settings).name == executor


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"CCGI_WORKERS": "many"}, "is a number"),
        ({"CCGI_WORKERS": "0"}, "is a number"),
        ({"CCGI_WORKERS": "4"}, "CCGI_CATALOG"),
        ({**_CATALOG, "CCGI_WORKERS": "4", "CCGI_EXECUTOR": "threads"}, "is one of"),
        ({**_CATALOG, "CCGI_WORKERS": "4", "CCGI_EXECUTOR": "celery"}, "CCGI_BROKER"),
        ({**_CATALOG, "CCGI_WORKERS": "4", "CCGI_BROKER_FILE": "/nowhere"}, "cannot be read"),
    ],
)
def test_settings_that_do_not_fit_are_refused_in_words(given: dict[str, str], told: str) -> None:
    with pytest.raises(WorkersError, match=told):
        workers(given)


def test_a_password_of_the_broker_shows_nowhere(tmp_path: Path) -> None:
    secret = tmp_path / "broker"
    secret.write_text("redis://:hunter2@broker:6379/0\n")
    given = {"CCGI_WORKERS": "2", "CCGI_EXECUTOR": "celery", "CCGI_BROKER_FILE": str(secret)}
    settings = workers({**_CATALOG, **given})
    assert settings.broker == "redis://:hunter2@broker:6379/0"
    assert "hunter2" not in repr(settings)


def test_several_workers_on_an_embedded_warehouse_are_refused_before_anything_is_touched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CCGI_WORKERS", "2")
    folders = folders_in(tmp_path)
    with pytest.raises(WorkersError, match="CCGI_CATALOG"):
        run_night(folders, ON)
    assert not folders.warehouse.exists()


# --- where Dagster keeps its runs -----------------------------------------------------------------


def test_dagsters_runs_lie_where_the_environment_says(
    tmp_path: Path, database_server: PostgreSql, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = database_server.new_database()
    word = quote(database_server.password)
    address = f"postgresql://{USER}:{word}@127.0.0.1:{database_server.port}/{runs}"
    secret = tmp_path / "secret"
    secret.write_text(address)
    monkeypatch.delenv(DAGSTER_DATABASE, raising=False)
    monkeypatch.setenv(f"{DAGSTER_DATABASE}_FILE", str(secret))
    home = prepare_dagster_home(tmp_path / "warehouse")
    assert word not in (home / "dagster.yaml").read_text()
    with dg.DagsterInstance.from_config(str(home)) as instance:
        instance.add_dynamic_partitions("district", ["3367173"])
    kept = database_server.execute(runs, "SELECT partition FROM dynamic_partitions")
    assert kept == [("3367173",)]
    assert [path.name for path in home.rglob("*.db")] == []


def test_a_database_of_runs_that_is_none_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(DAGSTER_DATABASE, "mysql://somewhere")
    with pytest.raises(DagsterStorageError, match="names no database"):
        prepare_dagster_home(tmp_path)
