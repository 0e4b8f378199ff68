"""The look-up's folder, encrypted: the same answers, and nothing in it that a reader could use."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import polars as pl
import pytest

from ccgi_pipeline.common.errors import PermanentError
from ccgi_pipeline.common.progress import observe_progress
from ccgi_pipeline.encryption.keys import FILE_NAME, EncryptionKeyError, generate_key
from ccgi_pipeline.ssid_lookup.client_registry import ClientRegistry, ClientScope
from ccgi_pipeline.ssid_lookup.store import CccidStore, IdentityStore, load_identities
from ccgi_pipeline_tests.encrypted_folders import key_set
from ccgi_pipeline_tests.nightly.nights import bytes_below
from ccgi_pipeline_tests.ssid_lookup.people import frame, identity, request_for

STUDENT = identity("9000000001")
ASKED = request_for(STUDENT)
_OF_A_PLAIN_FILE = b"SQLite format 3"


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    with key_set(generate_key()):
        yield tmp_path / "lookup"


def _answer(folder: Path) -> str | None:
    with closing(IdentityStore(folder)) as store:
        return store.look_up(ASKED)


def test_an_encrypted_index_answers_and_is_no_file_that_others_read(folder: Path):
    seen: dict[str, bytes] = {}

    def heard(_step: str, _done: int, _total: int) -> None:
        seen.update(bytes_below(folder))

    with observe_progress(heard):
        summary = load_identities(folder, [frame([STUDENT]), _many(150_000)])
    assert (summary.lines, summary.keys) == (150_001, 150_001)
    assert _answer(folder) == STUDENT[0]
    files = {**seen, **bytes_below(folder)}
    assert {FILE_NAME, "identities.sqlite", "loading/identities.sqlite"} <= set(files)
    assert not [path for path, content in files.items() if _OF_A_PLAIN_FILE in content]


def _many(count: int) -> pl.DataFrame:
    numbers = pl.int_range(count, eager=True)
    return pl.select(
        SSID=(numbers + 1_000_000_000).cast(pl.String),
        FirstName=pl.lit("Ana") + numbers.cast(pl.String),
        LastName=pl.lit("Li"),
        AliasFirstName=pl.lit(None, dtype=pl.String),
        AliasLastName=pl.lit(None, dtype=pl.String),
        BirthDate=pl.lit(STUDENT[5]).cast(pl.Date),
        CDSCode=pl.lit("01611920133629"),
    )


def test_a_new_load_takes_the_place_of_the_old_one(folder: Path):
    load_identities(folder, [frame([STUDENT])])
    with closing(IdentityStore(folder)) as store:
        assert store.look_up(ASKED) == STUDENT[0]
        load_identities(folder, [frame([identity("9000000002")])])
        assert store.look_up(ASKED) == "9000000002"


def test_what_the_service_keeps_is_encrypted_too(folder: Path):
    with closing(CccidStore(folder)) as cccids:
        cccids.store([(STUDENT[0], "ABC1234")])
        assert cccids.list_cccids(STUDENT[0]) == ["ABC1234"]
        with closing(ClientRegistry(folder)) as clients:
            clients.register("cccapply", [ClientScope.LOOKUP], None)
        files = bytes_below(folder)
    assert {"exchange.sqlite", "exchange.sqlite-wal", "clients.sqlite"} <= set(files)
    for word in (_OF_A_PLAIN_FILE, b"ABC1234", STUDENT[0].encode(), b"cccapply"):
        assert not [path for path, content in files.items() if word in content]


@pytest.mark.parametrize("key", [None, generate_key()], ids=["missing", "wrong"])
def test_a_missing_and_a_wrong_key_are_refused(folder: Path, key: str | None):
    load_identities(folder, [frame([STUDENT])])
    with key_set(key):
        for refused in (
            lambda: _answer(folder),
            lambda: CccidStore(folder),
            lambda: load_identities(folder, [frame([STUDENT])]),
        ):
            with pytest.raises(EncryptionKeyError):
                refused()
    assert _answer(folder) == STUDENT[0]


def test_an_index_of_another_folder_is_refused(folder: Path):
    load_identities(folder, [frame([STUDENT])])
    load_identities(folder.with_name("other"), [frame([STUDENT])])
    (folder.with_name("other") / "identities.sqlite").replace(folder / "identities.sqlite")
    with pytest.raises(PermanentError, match=r"identities\.sqlite is not encrypted with the key"):
        _answer(folder)
