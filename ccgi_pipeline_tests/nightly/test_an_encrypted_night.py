"""Nights over an encrypted warehouse: nothing personal lies there in the clear, all else is alike.

Belongs here: canaries in every personal column, and the search through every byte of every file of
the warehouse folder, while the night is at work and afterwards. The same nights over a plain
warehouse show that the search finds what there is to find.
"""

from __future__ import annotations

import base64
import shutil
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import dagster as dg
import duckdb
import pytest

from ccgi_pipeline.common.failpoints import observe_failpoints
from ccgi_pipeline.delivery.ledger import FileKind, open_ledger
from ccgi_pipeline.encryption.keys import (
    FILE_NAME,
    KEY,
    EncryptionKeyError,
    KeyPurpose,
    change_key,
    generate_key,
    load_keys,
    read_key_file,
)
from ccgi_pipeline.intake.archive import ArchiveDamagedError
from ccgi_pipeline.nightly.paths import PipelinePaths
from ccgi_pipeline.nightly.receive import poll_inboxes
from ccgi_pipeline.operations.rebuild import rebuild_files
from ccgi_pipeline.operations.replay import preview_replay
from ccgi_pipeline.runtime.dagster_instance import prepare_dagster_home
from ccgi_pipeline.runtime.night_run import run_night as run_dagster_night
from ccgi_pipeline.warehouse.queries.quarantine import ReplaySelection
from ccgi_pipeline.warehouse.storage import location
from ccgi_pipeline.warehouse.storage.connection import NotEncryptedError, open_warehouse
from ccgi_pipeline.warehouse.storage.schema import create_missing_tables
from ccgi_pipeline.warehouse.storage.writers import READER_CATALOG, exclusive_writer
from ccgi_pipeline_tests.encrypted_folders import files_with_canaries, key_set, put_canaries
from ccgi_pipeline_tests.nightly.inboxes import (
    HAYWARD,
    HAYWARD_HIGH,
    application,
    numbered,
    put_events,
    put_roster,
    student,
)
from ccgi_pipeline_tests.nightly.nights import (
    ON,
    bytes_below,
    folders_in,
    lake_rows,
    load_and_answer,
    run_night,
    writing,
)

pytestmark = pytest.mark.slow

CHANGED = ON + timedelta(days=1)
_PROJECT = Path(__file__).parents[2]


@dataclass
class Nights:
    """Folders after two nights, and where canaries were seen during the first and after both.

    ``spilled``: files of the spill folder that were looked into. ``runs``: how many Dagster knew
    after each of its nights.
    """

    folders: PipelinePaths
    key: str | None
    during: set[str] = field(default_factory=set)
    after: set[str] = field(default_factory=set)
    spilled: set[str] = field(default_factory=set)
    runs: list[int] = field(default_factory=list)


@contextmanager
def _watched(folder: Path, seen: Nights) -> Iterator[None]:
    """Looks into the files below ``folder`` all the time, and at every change of state."""
    ended = threading.Event()

    def look() -> None:
        spill = folder / "spill"
        while not ended.is_set():
            with suppress(OSError):  # files and folders go as they come
                seen.spilled |= {path.name for path in spill.rglob("*") if path.is_file()}
                seen.during |= {f"spill/{name}" for name in files_with_canaries(spill)}
            time.sleep(0.01)

    def heard(milestone: str, _side: str) -> None:
        place = milestone.partition(":")[0]
        if place in {"staging", "archive"}:
            seen.during |= {f"{place}/{path}" for path in files_with_canaries(folder / place)}

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        with observe_failpoints(heard):
            yield
    finally:
        ended.set()
        watcher.join()


def _spill(connection: duckdb.DuckDBPyConnection) -> None:
    """Has the night's connection make more personal rows than its memory holds."""
    before = connection.execute(
        "SELECT current_setting('memory_limit'), current_setting('threads')"
    ).fetchone()
    assert before is not None
    connection.execute("SET memory_limit = '60MB'; SET threads = 1")
    connection.execute(
        "CREATE TEMP TABLE much AS SELECT s.FirstName || r.range AS FirstName,"
        " r.range || s.LastName AS LastName, s.StateID"
        " FROM lake.transcript_student AS s, range(200000) AS r WHERE s.FirstName LIKE 'Canary%'"
    )
    time.sleep(0.1)  # for who looks
    connection.execute("DROP TABLE much")
    connection.execute(f"SET memory_limit = '{before[0]}'; SET threads = {before[1]}")


def _first_night(nights: Nights) -> None:
    """The encrypted one as Dagster runs it: with all that it writes beside ours."""
    with _watched(nights.folders.warehouse, nights):
        if nights.key is None:
            run_night(nights.folders)
        else:
            for _ in range(2):
                run_dagster_night(nights.folders, ON)
                nights.runs.append(_runs(nights.folders))
        with writing(nights.folders) as connection:
            _spill(connection)


def _runs(folders: PipelinePaths) -> int:
    with dg.DagsterInstance.from_config(str(prepare_dagster_home(folders.warehouse))) as instance:
        return instance.get_runs_count()


def _second_files(inbox: Path) -> None:
    roster = [student(ssid, HAYWARD_HIGH, FirstName="Canarytwo") for ssid in numbered(1000, 8)]
    put_roster(inbox, HAYWARD, roster, "20261122")
    put_events(inbox, [application("0000001000", "UC", "Submitted", "UC Merced")], "20261122")


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> tuple[Nights, Nights]:
    """The same two nights over a plain and over an encrypted warehouse."""
    root = tmp_path_factory.mktemp("nights")
    inbox = root / "inbox"
    put_canaries(inbox)
    made = [
        Nights(folders_in(root / name, inbox), key)
        for name, key in (("plain", None), ("encrypted", generate_key()))
    ]
    for nights in made:
        with key_set(nights.key):
            _first_night(nights)
    _second_files(inbox)
    for nights in made:
        with key_set(nights.key):
            load_and_answer(nights.folders, CHANGED)
        nights.after = files_with_canaries(nights.folders.warehouse)
    return made[0], made[1]


@pytest.fixture
def plain(both: tuple[Nights, Nights]) -> Nights:
    return both[0]


@pytest.fixture
def encrypted(both: tuple[Nights, Nights]) -> Iterator[Nights]:
    with key_set(both[1].key):
        yield both[1]


@pytest.fixture
def own(encrypted: Nights, tmp_path: Path) -> PipelinePaths:
    """A copy of the encrypted warehouse, to be changed."""
    shutil.copytree(encrypted.folders.warehouse, tmp_path / "warehouse")
    shutil.copytree(encrypted.folders.outbox, tmp_path / "outbox")
    shutil.copytree(encrypted.folders.inbox, tmp_path / "inbox")
    return folders_in(tmp_path)


# --- nothing lies there in the clear --------------------------------------------------------------


def test_no_byte_of_an_encrypted_warehouse_is_a_canary(encrypted: Nights):
    assert encrypted.after == set()
    assert encrypted.during == set()
    assert encrypted.spilled


def test_the_same_search_bites_in_a_plain_warehouse(plain: Nights):
    def places(found: set[str]) -> set[str]:
        return {path.split("/")[0].removesuffix("-wal") for path in found}

    assert places(plain.after) == {"archive", "tables", "catalog.sqlite"}
    assert places(plain.during) == {"archive", "staging", "spill"}
    archived = bytes_below(plain.folders.warehouse / "archive").values()
    assert any(content.startswith(b"\xff\xfe") for content in archived)


def test_nothing_of_the_outbox_is_another(plain: Nights, encrypted: Nights):
    # Only the night that Dagster ran had the steps that write the colleges' download and pages.
    download = "cccapply/download/applications_20261122.csv"
    delivered = bytes_below(encrypted.folders.outbox)
    assert b"Canary" in delivered.pop(download)
    pages = [path for path in delivered if path.endswith("/index.html")]
    assert all(b"Students on the roster" in delivered.pop(path) for path in pages)
    assert pages
    assert delivered == bytes_below(plain.folders.outbox)
    assert len(delivered) > 50


def test_every_row_is_the_same(plain: Nights, encrypted: Nights):
    rows = lake_rows(encrypted.folders.warehouse)
    with key_set(None):
        others = lake_rows(plain.folders.warehouse)
    # Only the night that Dagster ran had the step that writes pages.
    assert rows.pop("roster_sizes")
    assert not others.pop("roster_sizes")
    # Dagster orders families in its own way.
    for tables in (rows, others):
        tables["drops"] = sorted((*row[:5], *row[6:]) for row in tables["drops"])
    assert rows == others
    assert sum(map(len, rows.values())) > 100


# --- keys -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "words"),
    [(None, "no key is set"), (generate_key(), "not the one of")],
    ids=["missing", "wrong"],
)
def test_a_missing_and_a_wrong_key_are_refused_before_anything_is_touched(
    own: PipelinePaths, key: str | None, words: str
):
    before = bytes_below(own.warehouse)
    with key_set(key):
        for refused in (
            lambda: run_night(own, CHANGED),
            lambda: run_dagster_night(own, CHANGED),
            lambda: lake_rows(own.warehouse),
            lambda: own.archive,
            lambda: own.staging,
        ):
            with pytest.raises(EncryptionKeyError, match=words):
                refused()
    assert bytes_below(own.warehouse) == before


def test_a_plain_warehouse_is_refused_with_a_key(plain: Nights):
    before = bytes_below(plain.folders.warehouse)
    with key_set(generate_key()):
        for refused in (run_night, run_dagster_night):
            with pytest.raises(EncryptionKeyError, match="not encrypted, but a key is set"):
                refused(plain.folders, CHANGED)
        with pytest.raises(EncryptionKeyError, match="not encrypted, but a key is set"):
            lake_rows(plain.folders.warehouse)
    assert bytes_below(plain.folders.warehouse) == before


def test_after_a_change_of_key_the_new_one_reads_the_same_rows_and_files(
    own: PipelinePaths, tmp_path: Path
):
    rows, archived = lake_rows(own.warehouse), _archived(own)
    key = generate_key()
    (tmp_path / "key").write_text(key)
    change_key(own.warehouse, read_key_file(tmp_path / "key"))
    with pytest.raises(EncryptionKeyError, match="not the one of"):
        lake_rows(own.warehouse)
    with key_set(key):
        assert lake_rows(own.warehouse) == rows
        assert _archived(own) == archived
    assert len(archived) > 20
    assert KEY not in (own.warehouse / FILE_NAME).read_text()


def _archived(folders: PipelinePaths) -> dict[str, bytes]:
    names = [path.name for path in folders.archive.root.rglob("*") if path.is_file()]
    return {name: folders.archive.read(name) for name in names}


def test_a_catalog_of_another_warehouse_is_refused_and_no_word_has_its_key(
    own: PipelinePaths, tmp_path: Path
):
    other = tmp_path / "other"
    with exclusive_writer(other), open_warehouse(other) as connection:
        create_missing_tables(connection)
    for name in (location.ENCRYPTED_CATALOG, READER_CATALOG):
        shutil.copy2(other / name, own.warehouse / name)
    for read_only in (False, True):
        with pytest.raises(NotEncryptedError, match="does not open with the key") as refused:
            open_warehouse(own.warehouse, read_only=read_only)
        keys = load_keys(own.warehouse)
        assert keys is not None
        key = keys.of(KeyPurpose.CATALOG)
        told = "".join(traceback.format_exception(refused.value))
        assert not any(word in told for word in (key.hex(), base64.b64encode(key).decode()))


def test_a_catalog_in_the_clear_is_refused(own: PipelinePaths):
    with duckdb.connect(own.warehouse / "other.duckdb") as other:
        other.execute("CREATE TABLE one (two INTEGER)")
    (own.warehouse / "other.duckdb").replace(own.warehouse / location.ENCRYPTED_CATALOG)
    with pytest.raises(NotEncryptedError, match="does not open with the key"):
        open_warehouse(own.warehouse)


def test_a_data_file_that_was_written_in_the_clear_is_noticed_at_the_start(own: PipelinePaths):
    with exclusive_writer(own.warehouse), open_warehouse(own.warehouse) as connection:
        connection.execute(
            "UPDATE __ducklake_metadata_lake.ducklake_data_file SET encryption_key = NULL"
        )
    with pytest.raises(NotEncryptedError, match="files of its tables are not encrypted"):
        run_night(own, CHANGED)


# --- everything else goes on ----------------------------------------------------------------------


def test_what_was_delivered_is_made_again_to_the_same_bytes(encrypted: Nights):
    with open_ledger(encrypted.folders.warehouse) as ledger:
        made = [file for file in ledger.list_made(ON) if file.kind != FileKind.PAGE]
    found = list(rebuild_files(encrypted.folders.warehouse, made))
    assert len(found) == len(made) > 50
    for file, content in found:
        assert content == (encrypted.folders.outbox / file.path).read_bytes()


def test_a_replay_is_shown_on_a_scratch_copy_that_is_encrypted_too(own: PipelinePaths):
    seen: set[str] = set()

    def heard(_name: str, _side: str) -> None:
        seen.update(path.name for path in (own.warehouse / "preview").glob("*"))
        assert files_with_canaries(own.warehouse / "preview") == set()

    before = bytes_below(own.warehouse / "tables")
    with observe_failpoints(heard):
        preview_replay(own.warehouse, ReplaySelection(), CHANGED)
    assert bytes_below(own.warehouse / "tables") == before
    assert location.ENCRYPTED_CATALOG in seen
    assert not list((own.warehouse / "preview").glob("catalog*"))


def test_a_damaged_file_of_the_archive_is_noticed(own: PipelinePaths):
    path = next(path for path in own.archive.root.rglob("*") if path.is_file())
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ArchiveDamagedError):
        own.archive.read(path.name)


def test_a_night_that_was_done_before_is_a_quiet_one(encrypted: Nights):
    assert encrypted.runs == [1, 1]


def test_no_file_has_the_key(encrypted: Nights):
    assert encrypted.key is not None
    keys = load_keys(encrypted.folders.warehouse)
    assert keys is not None
    secret = [encrypted.key.encode(), base64.b64decode(encrypted.key)]
    for purpose in KeyPurpose:
        key = keys.of(purpose)
        secret += [key, key.hex().encode(), base64.b64encode(key)]
    files = bytes_below(encrypted.folders.warehouse)
    assert [path for path, content in files.items() if any(key in content for key in secret)] == []


# --- readers --------------------------------------------------------------------------------------


def test_readers_see_the_last_night_while_another_writes_and_then_the_new_one(own: PipelinePaths):
    before = _duplicates(own)
    with writing(own) as connection:
        connection.execute("INSERT INTO duplicates VALUES ('Canary', 'Canary', NULL)")
        assert _duplicates(own) == before
        code = (
            "with open_warehouse(Path(sys.argv[1]), read_only=True) as connection:\n"
            "    print(*connection.execute('SELECT count(*) FROM duplicates').fetchone())"
        )
        assert int(_in_another_process(own, code)) == before
        assert poll_inboxes(own).refused == ()
    assert _duplicates(own) == before + 1


def _duplicates(folders: PipelinePaths) -> int:
    with open_warehouse(folders.warehouse, read_only=True) as connection:
        row = connection.execute("SELECT count(*) FROM duplicates").fetchone()
    assert row is not None
    return int(row[0])


def test_the_sensor_waits_while_the_very_first_night_writes(tmp_path: Path):
    folders = folders_in(tmp_path)
    put_roster(folders.inbox, HAYWARD, [student("0000001999", HAYWARD_HIGH)])
    with key_set(generate_key()):
        with writing(folders):
            asked = poll_inboxes(folders)
            assert (asked.due, asked.refused) == (None, ())
            assert "the first night is writing" in asked.reason
        assert "the night begins" in poll_inboxes(folders).reason


def test_a_reader_stops_no_night(own: PipelinePaths):
    with open_warehouse(own.warehouse, read_only=True) as reader:
        before = reader.execute("SELECT count(*) FROM duplicates").fetchone()
        with writing(own) as connection:
            connection.execute("INSERT INTO duplicates VALUES ('Canary', 'Canary', NULL)")
        assert reader.execute("SELECT count(*) FROM duplicates").fetchone() == before
    assert (_duplicates(own) - 1,) == before


def test_a_second_writer_is_told_that_the_first_one_is_at_it(own: PipelinePaths):
    with writing(own):
        told = _in_another_process(
            own,
            "try:\n    open_warehouse(Path(sys.argv[1]))\n"
            "except WarehouseBusyError as busy:\n    print(busy)",
        )
    assert "another process has catalog.duckdb open" in told


def test_what_a_killed_writer_committed_is_shown_to_the_next_reader(own: PipelinePaths):
    before = _duplicates(own)
    _in_another_process(
        own,
        "import os, signal\n"
        "folder = Path(sys.argv[1])\n"
        "with exclusive_writer(folder), open_warehouse(folder) as connection:\n"
        "    connection.execute(\"INSERT INTO duplicates VALUES ('Canary', 'Canary', NULL)\")\n"
        "    os.kill(os.getpid(), signal.SIGKILL)",
    )
    assert (own.warehouse / "catalog.duckdb.wal").exists()
    assert files_with_canaries(own.warehouse) == set()
    assert _duplicates(own) == before + 1


def _in_another_process(folders: PipelinePaths, code: str) -> str:
    """What ``code`` prints, over the warehouse; it has the environment's key."""
    imports = (
        "import sys\nfrom pathlib import Path\n"
        "from ccgi_pipeline.warehouse.storage.connection import open_warehouse\n"
        "from ccgi_pipeline.warehouse.storage.locks import WarehouseBusyError\n"
        "from ccgi_pipeline.warehouse.storage.writers import exclusive_writer\n"
        "from ccgi_pipeline_tests.nightly.nights import lake_rows\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", imports + code, str(folders.warehouse)],
        cwd=_PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.stderr == ""
    return ran.stdout
