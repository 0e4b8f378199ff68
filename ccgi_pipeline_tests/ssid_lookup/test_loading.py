"""Loading identities: the old index serves until the new one stands, whatever happens to the load.

Belongs here: real loads in real processes, and SIGKILL. Run as a program, it is such a load, which
says how far it has come::

    python test_loading.py FOLDER
"""

from __future__ import annotations

import hashlib
import random
import signal
import sqlite3
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import date
from pathlib import Path

import polars as pl
import pytest

from ccgi_pipeline.common.errors import PermanentError, UnexpectedError
from ccgi_pipeline.common.progress import observe_progress
from ccgi_pipeline.ssid_lookup.store import (
    CccidStore,
    IdentityStore,
    NoIdentitiesError,
    StoreBusyError,
    load_identities,
)
from ccgi_pipeline_tests.ssid_lookup.people import frame, identity, request_for

_PROJECT = Path(__file__).parents[2]
BEFORE, AFTER = identity("9000000001"), identity("9000000002")
ASKED = request_for(BEFORE)
_NEW_LINES = 100_000


def _new_identities() -> Iterator[pl.DataFrame]:
    """The new extract: the same student has another SSID, and there are many others."""
    yield frame([AFTER])
    numbers = pl.int_range(_NEW_LINES, eager=True)
    yield pl.DataFrame(
        {
            "SSID": (numbers + 1_000_000_000).cast(pl.String),
            "FirstName": "Ana" + (numbers % 1000).cast(pl.String),
            "LastName": "Li" + (numbers // 1000).cast(pl.String),
            "AliasFirstName": pl.Series([None] * _NEW_LINES, dtype=pl.String),
            "AliasLastName": pl.Series([None] * _NEW_LINES, dtype=pl.String),
            "BirthDate": pl.Series([date(2008, 1, 1)] * _NEW_LINES),
            "CDSCode": "01611920133629",
        }
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the old index."""
    load_identities(tmp_path, [frame([BEFORE])])
    return tmp_path


def _answer(folder: Path) -> str | None:
    with closing(IdentityStore(folder)) as store:
        return store.look_up(ASKED)


def _killed_at(folder: Path, moment: str, after: float) -> bool:
    """Starts a load and kills it so long after it has told ``moment``; whether in time."""
    with subprocess.Popen(
        [sys.executable, "-m", __name__, str(folder)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=_PROJECT,
    ) as process:
        assert process.stdout is not None
        assert any(line.strip() == moment for line in process.stdout)
        time.sleep(after)
        process.kill()
        return process.wait() == -signal.SIGKILL


@pytest.mark.parametrize("round_", range(6))
def test_a_load_that_is_killed_leaves_the_old_index_whole(folder: Path, round_: int):
    moment = ["0 of 3", "1 of 3", "2 of 3"][round_ % 3]
    after = random.Random(round_).random() * 0.15  # noqa: S311 - no secret
    in_time = _killed_at(folder, moment, after)
    # Once the last step is told of, the new index stands.
    assert _answer(folder) in ({BEFORE[0]} if in_time and moment == "0 of 3" else _EITHER)
    summary = load_identities(folder, _new_identities())
    assert (summary.lines, summary.unusable) == (_NEW_LINES + 1, 0)
    assert _answer(folder) == AFTER[0]
    assert not (folder / "loading").exists()


_EITHER = {BEFORE[0], AFTER[0]}


def test_a_load_that_is_killed_while_it_writes_has_changed_nothing(folder: Path):
    while not _killed_at(folder, "1 of 3", 0.01):
        pass
    assert (folder / "loading").exists()
    assert _answer(folder) == BEFORE[0]


def test_the_old_index_serves_during_a_load_and_readers_notice_the_new_one(folder: Path):
    heard = []
    with closing(IdentityStore(folder)) as store:

        def ask(_step: str, done: int, _total: int) -> None:
            heard.append((done, store.look_up(ASKED)))

        def frames() -> Iterator[pl.DataFrame]:
            for made in _new_identities():
                ask("between frames", -1, 0)
                yield made

        with observe_progress(ask):
            load_identities(folder, frames())
    assert [answer for done, answer in heard if done < 3] == [BEFORE[0]] * 5
    assert heard[-1] == (3, AFTER[0])


def test_a_load_that_fails_leaves_the_old_index_and_no_name_in_its_words(folder: Path):
    def frames() -> Iterator[pl.DataFrame]:
        yield frame([AFTER])
        yield frame([identity("9000000003")]).rename({"LastName": "Surname"})

    with pytest.raises(UnexpectedError) as caught:
        load_identities(folder, frames())
    assert "Marisol" not in str(caught.value)
    assert _answer(folder) == BEFORE[0]
    assert not (folder / "loading").exists()


def test_two_loads_at_once_are_refused(folder: Path):
    def frames() -> Iterator[pl.DataFrame]:
        with pytest.raises(StoreBusyError):
            load_identities(folder, [frame([BEFORE])])
        yield frame([AFTER])

    load_identities(folder, frames())
    assert _answer(folder) == AFTER[0]


def test_a_reload_keeps_the_cccids(folder: Path):
    with closing(CccidStore(folder)) as cccids:
        assert cccids.store([(BEFORE[0], "ABC1234")]) == [True]
    load_identities(folder, [frame([AFTER])])
    with closing(CccidStore(folder)) as cccids:
        assert cccids.store([(BEFORE[0], "ABC1234"), (BEFORE[0], "XYZ9876")]) == [False, True]
        assert cccids.list_cccids(BEFORE[0]) == ["ABC1234", "XYZ9876"]
        assert cccids.count() == 2


def test_lines_that_nobody_can_ask_for_are_counted_and_left_out(tmp_path: Path):
    good = identity(" 9000000001 ", first=" Marisol", alias_first="  ")
    unusable = [
        identity("900000001"),
        identity("90000X0001"),
        identity("٩٠٠٠٠٠٠٠٠١"),
        identity("9000000004", cds="1611920133629"),
        identity("9000000005", first="  "),
        identity("9000000006", last=None),
        identity("9000000007", born=None),
        identity("9000000008", last="de\x1fla"),
    ]
    summary = load_identities(tmp_path, [frame([good, *unusable])])
    assert (summary.lines, summary.unusable, summary.keys) == (9, 8, 1)
    assert _answer(tmp_path) == BEFORE[0]


def test_an_extract_without_a_line_is_an_index_without_a_student(tmp_path: Path):
    assert load_identities(tmp_path, []).keys == 0
    assert _answer(tmp_path) is None


def test_without_an_index_nothing_is_answered(tmp_path: Path):
    with pytest.raises(NoIdentitiesError), closing(IdentityStore(tmp_path)) as store:
        store.look_up(ASKED)


def test_an_index_of_another_format_is_not_read(folder: Path):
    index = folder / "identities.sqlite"
    content = bytearray(index.read_bytes())
    content[60:64] = (99).to_bytes(4, "big")  # where SQLite keeps the user's version
    index.write_bytes(content)
    with pytest.raises(PermanentError, match="another format"):
        _answer(folder)


def test_the_index_holds_no_name_and_is_its_owners_alone(folder: Path):
    index = folder / "identities.sqlite"
    assert stat.S_IMODE(index.stat().st_mode) == 0o600
    for text in ("Marisol", "Cruz", "2008-04-09"):
        assert text.encode() not in index.read_bytes()


def main() -> None:
    """Loads the new identities and says how far it has come."""

    def tell(_step: str, done: int, total: int) -> None:
        print(f"{done} of {total}", flush=True)  # noqa: T201

    with observe_progress(tell):
        load_identities(Path(sys.argv[1]), _new_identities())


if __name__ == "__main__":
    main()


def _digest(of: tuple[object, ...]) -> bytes:
    """What anybody can compute of a student: the key of an index whose digests have no key."""
    _, first_name, last_name, _, _, birth_date, cds_code = of
    text = "\x1f".join(("legal", f"{first_name}", f"{last_name}", f"{birth_date}"))
    return hashlib.sha256(text.encode()).digest()[:10] + int(f"{cds_code}").to_bytes(6, "big")


def test_who_has_the_index_alone_cannot_try_names(folder: Path):
    with closing(sqlite3.connect(folder / "identities.sqlite")) as index:
        keys = [key for (key,) in index.execute("SELECT key FROM identity")]
    assert keys
    assert _digest(BEFORE) not in keys
    assert _digest(BEFORE)[:10] not in {key[:10] for key in keys}
    key = folder / "identities.key"
    assert len(key.read_bytes()) == 32
    assert stat.S_IMODE(key.stat().st_mode) == 0o600


def test_an_index_without_a_key_is_made_again_and_answers(tmp_path: Path):
    with closing(sqlite3.connect(tmp_path / "identities.sqlite")) as index:
        index.executescript(
            "CREATE TABLE identity (key BLOB NOT NULL, ssid INTEGER NOT NULL, "
            "PRIMARY KEY (key, ssid)) WITHOUT ROWID;"
            "CREATE TABLE about (lines INTEGER, unusable INTEGER, loaded_at REAL);"
            "INSERT INTO about VALUES (1, 0, 0); PRAGMA user_version = 1;"
        )
        index.execute("INSERT INTO identity VALUES (?, ?)", (_digest(BEFORE), 9_000_000_001))
        index.commit()
    with closing(IdentityStore(tmp_path)) as store:
        assert store.look_up(ASKED) == "9000000001"
        assert store.look_up(ASKED) == "9000000001"
    with closing(sqlite3.connect(tmp_path / "identities.sqlite")) as index:
        ((key,),) = index.execute("SELECT key FROM identity").fetchall()
    assert key[:10] != _digest(BEFORE)[:10]
    assert key[10:] == _digest(BEFORE)[10:]
    load_identities(tmp_path, [frame([AFTER])])
    with closing(IdentityStore(tmp_path)) as store:
        assert store.look_up(ASKED) == "9000000002"


def test_an_index_whose_key_is_gone_says_so(folder: Path):
    (folder / "identities.key").unlink()
    with closing(IdentityStore(folder)) as store, pytest.raises(PermanentError, match=r"\.key is"):
        store.look_up(ASKED)
