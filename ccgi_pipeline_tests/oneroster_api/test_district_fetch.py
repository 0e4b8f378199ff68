"""The fetch of a district from a real server: the drop, faults, changes, and kills."""

from __future__ import annotations

import csv
import io
import json
import logging
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import pytest

from ccgi_pipeline.common.failpoints import observe_failpoints
from ccgi_pipeline.intake.archive import Archive
from ccgi_pipeline.intake.inbox import scan_folder
from ccgi_pipeline.oneroster_api.authorization import OneRosterApiRefusedError
from ccgi_pipeline.oneroster_api.client import OneRosterApiUnavailableError
from ccgi_pipeline.oneroster_api.district_fetch import FetchUnderWayError, _lock, page_archive
from ccgi_pipeline.oneroster_api.state import FetchState, open_store
from ccgi_pipeline_tests.oneroster_api.conftest import Districts
from ccgi_pipeline_tests.oneroster_api.faults import Fault
from ccgi_pipeline_tests.oneroster_api.fetches import (
    CD,
    SECRET,
    District,
    profile_for,
    read_drop,
)
from ccgi_pipeline_tests.oneroster_api.objects import read_set
from ccgi_pipeline_tests.oneroster_api.server import RosterServer, serve_oneroster


@pytest.fixture(scope="module")
def servers(districts: Districts) -> Iterator[dict[str, RosterServer]]:
    with (
        serve_oneroster(districts.of("1.1")[0], version="1.1") as older,
        serve_oneroster(districts.of("1.2")[0], version="1.2") as newer,
    ):
        yield {"1.1": older, "1.2": newer}


@pytest.fixture
def district(tmp_path: Path, servers: dict[str, RosterServer]) -> Iterator[District]:
    servers["1.1"].faults = ()
    yield District(tmp_path, servers["1.1"])
    servers["1.1"].faults = ()


def rows_of(content: bytes) -> list[dict[str, str]]:
    found = csv.DictReader(io.StringIO(content.decode(), newline=""))
    return sorted(found, key=lambda row: row["sourcedId"])


@pytest.mark.parametrize("version", ["1.1", "1.2"])
def test_a_fetch_becomes_the_files_that_the_district_would_have_sent(
    tmp_path: Path, servers: dict[str, RosterServer], districts: Districts, version: str
) -> None:
    result = District(tmp_path, servers[version]).fetch()
    assert result.version == version
    assert result.drop is not None
    got, sent = read_drop(result.drop), read_set(districts.of(version)[0])
    names = {"orgs", "academicSessions", "courses", "classes", "users", "enrollments"}
    assert {name.removesuffix(".csv") for name in got} >= {*names, "manifest"}
    for name in names:
        theirs = sorted(({**row} for row in sent[name]), key=lambda row: row["sourcedId"])
        ours = rows_of(got[f"{name}.csv"])
        columns = [column for column in theirs[0] if column in ours[0]]
        assert [[row[c] for c in columns] for row in ours] == [
            [row[c] or "" for c in columns] for row in theirs
        ], name
    manifest = got["manifest.csv"].decode()
    assert f"oneroster.version,{version}\n" in manifest
    assert "file.users,bulk\n" in manifest
    assert "file.demographics,absent\n" in manifest


def test_a_drop_is_its_owner_s_alone_and_pages_are_archived_as_they_came(
    district: District,
) -> None:
    result = district.fetch()
    assert result.drop is not None
    for path in [result.drop, *result.drop.iterdir()]:
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0
    archive = page_archive(district.folders.warehouse)
    kept = [archive.read(path.name) for path in archive.files()]
    assert kept
    assert all(page.startswith(b"{") for page in kept)
    assert any(b'"enrollments"' in page for page in kept)


def test_the_same_roster_is_not_dropped_again_once_a_night_took_it(district: District) -> None:
    first = district.fetch().drop
    assert first is not None
    again = district.fetch().drop
    assert again is not None, "no night took the first one: it may have been lost"
    archive = Archive.of(district.folders.warehouse)
    for path in first.iterdir():
        archive.store(path)
    assert district.fetch().drop is None


def test_drops_that_were_archived_are_removed_after_a_week(district: District) -> None:
    first = district.fetch().drop
    assert first is not None
    district.time.pass_by(timedelta(days=8))
    district.fetch()
    assert first.exists(), "it is nowhere else"
    archive = Archive.of(district.folders.warehouse)
    for path in first.iterdir():
        archive.store(path)
    district.fetch()
    assert not first.exists()


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (Fault.PAGE_MISSING, "did not come whole in 3 tries"),
        (Fault.ROWS_NEVER_REST, "did not come whole"),
        (Fault.TOTAL_HIGH, "the server says that there are"),
        (Fault.HTML_200, "a web page"),
        (Fault.ALL_EMPTY, "every collection is empty"),
        (Fault.DUPLICATE_ACROSS_PAGES, "came twice"),
        (Fault.FORBIDDEN, "have the vendor grant the scope"),
        (Fault.REDIRECT_TO_LOGIN, "redirects"),
        (Fault.GRANT_REFUSED, "client id and secret are not accepted"),
        (Fault.CERTIFICATE_UNKNOWN, "certificate is not trusted"),
    ],
)
def test_a_fetch_that_is_not_whole_leaves_no_drop_and_says_why(
    district: District, fault: Fault, said: str
) -> None:
    district.server.faults = [fault]
    with pytest.raises(OneRosterApiRefusedError, match=said):
        district.fetch()
    assert district.drops() == []
    assert not district.server.strangers
    with open_store(district.folders.warehouse) as store:
        (fetch,) = store.read_newest(CD)
    assert fetch.state is FetchState.REFUSED
    assert said in fetch.reason


@pytest.mark.parametrize(
    "fault",
    [
        Fault.EMPTY_PAGE_ONCE,
        pytest.param(Fault.LIMIT_CLAMPED, marks=pytest.mark.slow),
        Fault.TOTAL_ABSENT,
        Fault.LINK_ELSEWHERE,
        Fault.SORT_REFUSED,
        Fault.BUSY_ABSURD,
        Fault.ERROR_502_ONCE,
        Fault.GRANT_SHORT,
        Fault.ENVELOPE_NONE,
        Fault.REFERENCES_FLAT,
    ],
)
def test_what_can_be_mended_is_mended(district: District, tmp_path: Path, fault: Fault) -> None:
    sound = District(tmp_path / "sound", district.server).fetch().drop
    district.server.faults = [fault]
    drop = district.fetch().drop
    assert drop is not None
    assert sound is not None
    assert read_drop(drop) == read_drop(sound)


def test_an_unavailable_server_is_asked_patiently_and_then_later(district: District) -> None:
    district.server.faults = [Fault.ERROR_503_ALWAYS]
    with pytest.raises(OneRosterApiUnavailableError, match="HTTP 503, 6 times in a row"):
        district.fetch()
    assert 10 < district.time.waited < 60
    assert district.drops() == []


def test_a_fetch_goes_on_with_the_collections_that_are_missing(district: District) -> None:
    district.server.faults = [Fault.SILENCE_ALWAYS]
    with pytest.raises(OneRosterApiUnavailableError):
        district.fetch(timeout_seconds=1, page_size=2000)
    district.server.faults = ()
    asked = len(district.server.requests)
    assert district.fetch(page_size=2000).drop is not None
    assert set(district.asked_since(asked)) == {"token", "users", "enrollments"}


def test_limits_end_a_fetch(district: District) -> None:
    with pytest.raises(OneRosterApiRefusedError, match="more than 3 pages"):
        district.fetch(most_pages=3)
    district.time.pass_by(timedelta(hours=2))
    with pytest.raises(OneRosterApiRefusedError, match="more than 1 MB"):
        district.fetch(most_megabytes=1, ask_for_fields=False)


def test_two_processes_do_not_fetch_one_district(district: District) -> None:
    with _lock(district.folders.warehouse, CD), pytest.raises(FetchUnderWayError):
        district.fetch()


# --- changes --------------------------------------------------------------------------------------


def test_changes_are_asked_for_after_a_deletion_was_seen(
    tmp_path: Path, districts: Districts
) -> None:
    first, second, third = districts.of("1.1")
    with serve_oneroster(first, version="1.1") as server:
        district = District(tmp_path, server)
        assert district.fetch(mode="delta").mode == "full"
        server.change(second)
        assert district.fetch(mode="delta").mode == "full", "no deletion was seen yet"
        assert any(result.gone for result in district.fetch(mode="delta").collections)
        server.change(third)
        asked = len(server.requests)
        result = district.fetch(mode="delta", overlap_hours=24)
        assert result.mode == "delta"
        filters = {
            seen.query["filter"] for seen in server.requests[asked:] if "filter" in seen.query
        }
        assert filters
        assert all(told.startswith("dateLastModified>='2026-11-") for told in filters)
        assert result.drop is not None
        manifest = (result.drop / "manifest.csv").read_text()
        assert ",delta\n" in manifest
        assert ",bulk\n" not in manifest
        for path in result.drop.glob("[a-l]*.csv"):
            assert all(row["status"] for row in rows_of(path.read_bytes()))


@pytest.mark.parametrize("fault", [Fault.FILTER_IGNORED, Fault.FILTER_REFUSED])
def test_a_server_that_cannot_filter_is_asked_for_everything_at_once_and_from_then_on(
    tmp_path: Path, districts: Districts, fault: Fault
) -> None:
    first, second, third = districts.of("1.1")
    with serve_oneroster(first, version="1.1") as server:
        district = District(tmp_path, server)
        server.change(second)
        server.change(third)
        district.fetch(mode="delta")
        server.faults = [fault]
        assert district.fetch(mode="delta", overlap_hours=24).mode == "full"
        assert "filter" in district.fetch(mode="delta", overlap_hours=24).why


# --- authorization --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("authentication", "signature"),
    [("oauth2_body", "HMAC-SHA256"), ("oauth1", "HMAC-SHA256"), ("oauth1", "HMAC-SHA1")],
)
def test_every_kind_of_authentication_works(
    tmp_path: Path, districts: Districts, authentication: str, signature: str
) -> None:
    with serve_oneroster(
        districts.of("1.1")[0], version="1.1", authentication=authentication
    ) as server:
        result = District(tmp_path, server).fetch(
            authentication=authentication, signature=signature
        )
    assert result.drop is not None


# --- kills and leaks ------------------------------------------------------------------------------


class Killed(BaseException):
    """Ends a fetch at a failpoint: no code of the pipeline catches it."""


def break_off(district: District, number: int) -> list[tuple[str, str]]:
    """Fetches until the failpoint of a number; returns those that were passed."""
    passed: list[tuple[str, str]] = []

    def observe(name: str, side: str) -> None:
        passed.append((name, side))
        if len(passed) == number:
            raise Killed

    with observe_failpoints(observe), suppress(Killed):
        district.fetch(page_size=2000)
    return passed


@pytest.mark.parametrize("all_points", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_a_fetch_that_breaks_off_anywhere_ends_as_an_undisturbed_one(
    district: District, tmp_path: Path, *, all_points: bool
) -> None:
    whole = District(tmp_path / "whole", district.server)
    points = break_off(whole, 0)
    (sound,) = map(read_drop, whole.drops())
    # Quickly: after each kind of change that a fetch itself makes, and before its end is recorded.
    kinds = {name: n for n, (name, side) in enumerate(points, 1) if side == "after"}
    own = {n for name, n in kinds.items() if name.startswith("oneroster api")}
    chosen = range(1, len(points) + 1) if all_points else sorted({*own, len(points) - 1})
    assert len(chosen) >= 5
    for number in chosen:
        broken = District(tmp_path / f"broken {number}", district.server)
        break_off(broken, number)
        assert all(read_drop(drop) == sound for drop in broken.drops()), "a night might take it"
        again = broken.fetch(page_size=2000)
        assert again.drop in broken.drops()
        assert [read_drop(drop) for drop in broken.drops()] == [sound] * len(broken.drops())
        # Only a fetch whose end was recorded is followed by another one with a drop of its own.
        assert len(broken.drops()) == (2 if number == len(points) else 1), points[number - 1]


@pytest.mark.parametrize("number", [3, *(pytest.param(n, marks=pytest.mark.slow) for n in (9, 30))])
def test_a_process_that_is_killed_leaves_a_fetch_that_the_next_one_ends(
    district: District, tmp_path: Path, number: int
) -> None:
    sound = District(tmp_path / "sound", district.server).fetch(page_size=2000).drop
    assert sound is not None
    profile = profile_for(district.server, page_size=2000)
    fetching = subprocess.run(
        [sys.executable, "-m", "ccgi_pipeline_tests.oneroster_api.killed_fetch", str(number)],
        input=json.dumps([*map(str, (district.folders.inbox, district.folders.warehouse)),
                          profile.model_dump()]),
        env={**os.environ, SECRET: district.server.client_secret},
        text=True,
        check=False,
        timeout=60,
    )  # fmt: skip
    assert fetching.returncode == -signal.SIGKILL
    assert scan_folder(district.folders.inbox).files == ()
    result = district.fetch(page_size=2000)
    assert result.drop is not None
    assert read_drop(result.drop) == read_drop(sound)


def test_nothing_of_a_student_or_a_secret_is_in_messages_or_logs(
    district: District, caplog: pytest.LogCaptureFixture, districts: Districts
) -> None:
    values = {
        row[column]
        for row in read_set(districts.of("1.1")[0])["users"]
        for column in ("sourcedId", "username", "familyName")
        if len(row[column]) > 5  # shorter names are parts of words
    }
    with caplog.at_level(logging.DEBUG):
        for fault in (
            Fault.DUPLICATE_IN_PAGE,
            Fault.JSON_TRUNCATED,
            Fault.ROW_TEXT,
            Fault.FORBIDDEN,
        ):
            district.server.faults = [fault]
            with pytest.raises(OneRosterApiRefusedError) as raised:
                district.fetch()
            caplog.records.append(
                logging.makeLogRecord({"msg": repr(raised.getrepr(showlocals=False))})
            )
    told = "\n".join(record.getMessage() for record in caplog.records)
    assert district.server.client_secret not in told
    assert "Bearer " not in told
    assert [value for value in values if value in told] == []
