"""Forty districts in a warehouse on PostgreSQL, and workers that load them at once.

Belongs here: the state before, and a worker as a process of its own that tests may kill::

    python -m ccgi_pipeline_tests.nightly.workers WAREHOUSE SHARE SHARES [before|after]

It tells on standard output when it is ready, and waits for a line; then loads every ``SHARES``-th
batch and tells how often it lost against another. With the last argument it ends as if killed, on
that side of its first commit.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ccgi_pipeline.common.failpoints import Side, observe_failpoints
from ccgi_pipeline.intake.inbox import Drop, InboxFile
from ccgi_pipeline.nightly.load import load_family
from ccgi_pipeline.nightly.paths import PipelinePaths
from ccgi_pipeline.nightly.receive import receive_drops
from ccgi_pipeline.nightly.reference_lookup import ReferenceLookup
from ccgi_pipeline.nightly.verify import verify_family
from ccgi_pipeline.profiles import Profiles
from ccgi_pipeline.verification.drop_files import files_to_verify
from ccgi_pipeline.verification.gates import verify
from ccgi_pipeline.verification.profile_overrides import apply_profile_overrides
from ccgi_pipeline.warehouse.load.drop_records import read_drop_history
from ccgi_pipeline.warehouse.load.ledger import load_drops
from ccgi_pipeline.warehouse.storage.connection import open_warehouse
from ccgi_pipeline.warehouse.storage.writers import shared_writer
from ccgi_pipeline_tests.nightly.inboxes import numbered, put_roster, students
from ccgi_pipeline_tests.nightly.nights import ON, folders_in, writing
from ccgi_pipeline_tests.postgresql import PostgreSql

FAMILY = "transcript"
DISTRICTS, BATCHES = 40, 8
_PROJECT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Waiting:
    """A warehouse with all districts' first rosters loaded, and their second ones staged."""

    folders: PipelinePaths
    environment: Mapping[str, str]

    def copied_to(self, root: Path, server: PostgreSql) -> Waiting:
        """The same once more, catalog and all."""
        shutil.copytree(self.folders.warehouse, root / "warehouse")
        name = server.new_database(like=self.environment["CCGI_CATALOG"].rpartition("/")[2])
        return Waiting(folders_in(root, self.folders.inbox), server.environment(name))


def stage(folders: PipelinePaths) -> None:
    """Has a warehouse that knows one roster of each district, and the next one of each verified."""
    for number in range(DISTRICTS):
        cd = f"19{64000 + number}"
        known = numbered(1000 * (number + 1), 6)
        put_roster(folders.inbox, cd, students(known, f"{cd}0100001"), "20261121")
    with writing(folders) as connection:
        receive_drops(connection, folders, ON)
        verify_family(connection, folders, FAMILY, ON)
        load_family(connection, folders, FAMILY, ON)
        for number in range(DISTRICTS):
            cd = f"19{64000 + number}"
            changed = [*numbered(1000 * (number + 1), 5), f"{999_000 + number:010d}"]
            put_roster(folders.inbox, cd, students(changed, f"{cd}0100001", "12"), "20261122")
        received = receive_drops(connection, folders, ON)
        knowledge = ReferenceLookup(connection)
        for batch in _batches(received.drops):

            def content_of(_: InboxFile, sha256: str) -> bytes:
                return folders.archive.read(sha256)

            verified = verify(files_to_verify(batch, content_of), ON, knowledge.known)
            folders.staging.save_batch(
                FAMILY, batch, apply_profile_overrides(verified, Profiles(), ON)
            )


def _batches(drops: Sequence[Drop]) -> Iterator[Sequence[Drop]]:
    size = DISTRICTS // BATCHES
    yield from (drops[begin : begin + size] for begin in range(0, len(drops), size))


@contextmanager
def started(
    waiting: Waiting, share: int, shares: int, *dies: Side
) -> Iterator[subprocess.Popen[str]]:
    """A worker in a process of its own, which is ready and waits for a word."""
    command = [sys.executable, "-m", "ccgi_pipeline_tests.nightly.workers"]
    arguments = [str(waiting.folders.warehouse), str(share), str(shares), *dies]
    with subprocess.Popen(
        [*command, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=_PROJECT,
        env={**os.environ, **waiting.environment, "POLARS_MAX_THREADS": "1"},
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield process


def conflicts_of(process: subprocess.Popen[str]) -> int:
    """How often a worker lost that has ended well."""
    told, _ = process.communicate()
    assert process.returncode == 0
    return sum(map(int, told.split()))


def go(process: subprocess.Popen[str]) -> None:
    """Has a worker begin."""
    assert process.stdin is not None
    process.stdin.write("go\n")
    process.stdin.flush()


def main() -> None:
    """A worker, as the arguments say."""
    warehouse, (share, shares), dies = Path(sys.argv[1]), map(int, sys.argv[2:4]), sys.argv[4:]

    def die(name: str, side: Side) -> None:
        if name == "warehouse: committed" and side in dies:
            os.kill(os.getpid(), signal.SIGKILL)

    folders = PipelinePaths(warehouse, warehouse, warehouse)
    with shared_writer(warehouse), open_warehouse(warehouse) as connection, observe_failpoints(die):
        batches = folders.staging.list_batches(FAMILY)[share::shares]
        print("ready", flush=True)  # noqa: T201 - the test waits for it
        sys.stdin.readline()
        for batch in batches:
            drops, verified = folders.staging.read_batch(batch)
            if not read_drop_history(connection).drops.issuperset(drop.id for drop in drops):
                loaded = load_drops(connection, drops, verified, ON)
                print(loaded.conflicts)  # noqa: T201 - the test counts them


if __name__ == "__main__":
    main()
