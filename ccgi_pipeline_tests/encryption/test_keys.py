"""The envelope and its keys: who opens a folder, who is refused and with which words.

Belongs here: real folders and files, and real processes that are killed. Does not belong here: what
a night makes of a key (night/test_an_encrypted_night).
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from ccgi_pipeline.cli import main
from ccgi_pipeline.common.errors import PermanentError
from ccgi_pipeline.encryption.keys import (
    FILE_NAME,
    KEY,
    KEY_FILE,
    EncryptionKeyError,
    KeyPurpose,
    Keys,
    change_key,
    generate_key,
    load_keys,
    read_key_file,
)
from ccgi_pipeline.encryption.sqlite import open_database
from ccgi_pipeline.warehouse.storage.connection import open_warehouse
from ccgi_pipeline.warehouse.storage.schema import create_missing_tables

OLD, NEW = generate_key(), generate_key()
_TABLE = "CREATE TABLE IF NOT EXISTS kept (word TEXT)"


def _with(key: str | None) -> dict[str, str]:
    return {} if key is None else {KEY: key}


def _archive_key(folder: Path, key: str | None) -> bytes | None:
    keys = load_keys(folder, environment=_with(key))
    return keys.of(KeyPurpose.ARCHIVE) if keys else None


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "warehouse"
    load_keys(made, make=True, environment=_with(OLD))
    return made


def _key_file(path: Path, key: str) -> Path:
    path.write_text(f"{key}\n")
    return path


def test_a_folder_opens_with_its_key_and_always_with_the_same_keys(folder: Path):
    assert _archive_key(folder, OLD) == _archive_key(folder, OLD)
    assert _archive_key(folder / "lookups", OLD) == _archive_key(folder, OLD)


def test_no_two_folders_and_no_two_purposes_share_a_key(folder: Path, tmp_path: Path):
    load_keys(tmp_path / "other", make=True, environment=_with(OLD))
    found = [load_keys(place, environment=_with(OLD)) for place in (folder, tmp_path / "other")]
    derived = {keys.of(purpose) for keys in found if keys for purpose in KeyPurpose}
    assert len(derived) == 2 * len(KeyPurpose)
    assert {len(key) for key in derived} == {32}


@pytest.mark.parametrize(
    ("key", "words"),
    [(None, "no key is set"), (NEW, "not the one of"), ("c2hvcnQ=", "holds no key")],
    ids=["missing", "wrong", "misspelt"],
)
def test_a_missing_a_wrong_and_a_misspelt_key_are_refused(
    folder: Path, key: str | None, words: str
):
    with pytest.raises(EncryptionKeyError, match=words) as refused:
        load_keys(folder, environment=_with(key))
    assert KEY in str(refused.value)
    assert key is None or key not in str(refused.value)


def test_a_key_that_would_do_nothing_is_refused(tmp_path: Path):
    (tmp_path / "catalog.sqlite").touch()
    assert load_keys(tmp_path, environment={}) is None
    with pytest.raises(EncryptionKeyError, match="not encrypted, but a key is set"):
        load_keys(tmp_path, make=True, environment=_with(OLD))
    assert not (tmp_path / FILE_NAME).exists()


def test_who_only_looks_makes_nothing(tmp_path: Path):
    assert load_keys(tmp_path / "warehouse", environment=_with(OLD)) is None
    assert not (tmp_path / "warehouse").exists()


def test_an_encrypted_folder_without_its_envelope_is_told_as_such(folder: Path):
    (folder / "catalog.duckdb").touch()
    (folder / FILE_NAME).unlink()
    for key in (OLD, None):
        with pytest.raises(EncryptionKeyError, match=f"{FILE_NAME} is gone"):
            load_keys(folder, make=True, environment=_with(key))


def test_a_damaged_envelope_is_told_as_such(folder: Path):
    (folder / FILE_NAME).write_text("{")
    with pytest.raises(EncryptionKeyError, match="is damaged"):
        load_keys(folder, environment=_with(OLD))


def test_the_key_may_lie_in_a_file(folder: Path, tmp_path: Path):
    file = _key_file(tmp_path / "key", OLD)
    keys = load_keys(folder, environment={KEY_FILE: str(file)})
    assert keys is not None
    assert keys.of(KeyPurpose.ARCHIVE) == _archive_key(folder, OLD)
    with pytest.raises(EncryptionKeyError, match="both set"):
        load_keys(folder, environment={KEY: OLD, KEY_FILE: str(file)})
    with pytest.raises(EncryptionKeyError, match="cannot be read"):
        load_keys(folder, environment={KEY_FILE: str(tmp_path / "none")})


def test_a_changed_key_opens_the_same_and_the_old_one_is_refused(folder: Path, tmp_path: Path):
    before = _archive_key(folder, OLD)
    change_key(folder, read_key_file(_key_file(tmp_path / "key", NEW)), environment=_with(OLD))
    assert _archive_key(folder, NEW) == before
    with pytest.raises(EncryptionKeyError, match="not the one of"):
        load_keys(folder, environment=_with(OLD))
    with pytest.raises(EncryptionKeyError, match="not the one of"):
        change_key(folder, read_key_file(tmp_path / "key"), environment=_with(OLD))


_KILLED = """
import os, signal, sys
from pathlib import Path
from ccgi_pipeline.encryption.keys import change_key, read_key_file
from ccgi_pipeline.common.failpoints import observe_failpoints

def kill(name, side):
    if side == sys.argv[3]:
        os.kill(os.getpid(), signal.SIGKILL)

with observe_failpoints(kill):
    change_key(Path(sys.argv[1]), read_key_file(Path(sys.argv[2])))
"""


@pytest.mark.parametrize(
    ("side", "works"), [("before", OLD), ("after", NEW)], ids=["before", "after"]
)
def test_a_change_that_is_killed_leaves_one_of_both_keys_working(
    folder: Path, tmp_path: Path, side: str, works: str
):
    before = _archive_key(folder, OLD)
    key = _key_file(tmp_path / "key", NEW)
    killed = subprocess.run(
        [sys.executable, "-c", _KILLED, str(folder), str(key), side], env=_with(OLD), check=False
    )
    assert killed.returncode == -signal.SIGKILL
    assert _archive_key(folder, works) == before
    change_key(folder, read_key_file(key), environment=_with(works))
    assert _archive_key(folder, NEW) == before


def test_keys_print_as_nothing(folder: Path):
    keys = load_keys(folder, environment=_with(OLD))
    assert isinstance(keys, Keys)
    assert "data_key" not in f"{keys!r}{keys}"


def test_the_envelope_is_readable_by_its_owner_only_and_holds_no_key_in_the_clear(folder: Path):
    assert (folder / FILE_NAME).stat().st_mode & 0o077 == 0
    written = (folder / FILE_NAME).read_text()
    assert set(json.loads(written)) == {"scheme", "wrapped_key", "made", "key_changed"}
    assert OLD not in written


# --- SQLite files ---------------------------------------------------------------------------------


def test_an_sqlite_file_of_an_encrypted_folder_is_encrypted_with_its_log(
    folder: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv(KEY, OLD)
    database = open_database(folder / "inbox_state.sqlite", _TABLE, "FULL")
    database.execute("INSERT INTO kept VALUES ('Canary')")
    files = [path.read_bytes() for path in folder.glob("inbox_state.sqlite*")]
    assert len(files) >= 3
    assert not any(word in content for content in files for word in (b"Canary", b"SQLite format"))
    again = open_database(folder / "inbox_state.sqlite", _TABLE, "FULL")
    assert again.execute("SELECT word FROM kept").fetchall() == [("Canary",)]
    again.close()
    database.close()


def test_an_sqlite_file_of_another_folder_is_refused_without_a_trace_of_the_key(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv(KEY, OLD)
    other = tmp_path / "other"
    open_database(other / "inbox_state.sqlite", _TABLE, "FULL").close()
    (other / "inbox_state.sqlite").rename(folder / "inbox_state.sqlite")
    with pytest.raises(PermanentError, match=r"inbox_state\.sqlite is not encrypted with the key"):
        open_database(folder / "inbox_state.sqlite", _TABLE, "FULL")


# --- the commands ---------------------------------------------------------------------------------


def test_the_commands_make_tell_and_change_keys(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def ccgi(*arguments: str | Path) -> tuple[int, str]:
        result = CliRunner().invoke(main, ["encryption", *map(str, arguments)])
        return result.exit_code, result.output

    plain = tmp_path / "plain"
    with open_warehouse(plain) as connection:
        create_missing_tables(connection)
    monkeypatch.setenv(KEY, OLD)
    status, printed = ccgi("new-key")
    assert status == 0
    key = _key_file(tmp_path / "key", printed.strip())
    assert ccgi("status", "--warehouse", tmp_path)[0] == 2  # no warehouse
    assert ccgi("status", "--warehouse", plain) == (0, "not encrypted\n")
    status, told = ccgi("status", "--warehouse", folder)
    assert (status, told.splitlines()[0]) == (0, "encrypted, scheme 1")
    change = ("change-key", "--warehouse", folder, "--new-key-file", key)
    status, told = ccgi(*change)
    assert (status, printed.strip() in told) == (0, False)
    assert _archive_key(folder, printed.strip()) is not None
    status, told = ccgi(*change)
    assert status == 1
    assert "not the one of" in told
    assert "Traceback" not in told
