"""Fetches one district's roster, and puts it into its inbox as a drop.

Belongs here: the order of a fetch, going on after a kill, and the drop. Nothing is put into the
inbox unless every collection came whole. Does not belong here: when a fetch is due (``schedule``),
one collection (``fetching``).

What a fetch has so far is in a hidden folder of the inbox, which no night takes. It becomes the
drop by one renaming. Pages are kept as they came, each under the SHA-256 of its content.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import BinaryIO

import httpx

from ccgi_pipeline.common.errors import (
    PermanentError,
    PipelineError,
    TransientError,
    library_errors,
    to_pipeline_error,
    value_free,
)
from ccgi_pipeline.common.failpoints import failpoint
from ccgi_pipeline.common.time_zone import CALIFORNIA
from ccgi_pipeline.feeds import oneroster
from ccgi_pipeline.intake.archive import Archive
from ccgi_pipeline.intake.file_stability import Clock
from ccgi_pipeline.oneroster_api.authorization import OneRosterApiRefusedError, read_secret
from ccgi_pipeline.oneroster_api.client import OneRosterClient
from ccgi_pipeline.oneroster_api.collections import DEMOGRAPHICS, list_collections, nested_files
from ccgi_pipeline.oneroster_api.csv_files import write_manifest
from ccgi_pipeline.oneroster_api.fetching import (
    CollectionTerms,
    DeltaNotPossible,
    fetch_collection,
    open_private,
)
from ccgi_pipeline.oneroster_api.offer import find_server
from ccgi_pipeline.oneroster_api.schedule import decide_mode
from ccgi_pipeline.oneroster_api.state import (
    CollectionResult,
    Fetch,
    FetchState,
    FetchStore,
    open_store,
)
from ccgi_pipeline.profile_oneroster_api import FetchMode, OneRosterApiProfile

_GOES_ON_FOR = timedelta(hours=1)
"""An interrupted fetch goes on for this long: collections of different hours do not fit."""
_KEPT_DROPS = timedelta(days=7)
"""A drop that was archived stays in the inbox for this long."""
_MANIFEST = "manifest.csv"
_FOLDER = "oneroster_api"
PAGES = f"{_FOLDER}/pages"
"""The folder of kept pages, below that of the warehouse."""
_WORK = ".fetching"


class FetchUnderWayError(TransientError):
    """Another process fetches the roster of the district: wait for its end."""


@dataclass(frozen=True, slots=True)
class FetchFolders:
    """The inbox that gets the drop, and the warehouse that keeps pages and state."""

    inbox: Path
    warehouse: Path

    @property
    def write_folders(self) -> tuple[Path, ...]:
        """The folders that a fetch writes to, for messages about full disks."""
        return (self.warehouse, self.inbox)


@dataclass(frozen=True, slots=True)
class FetchOptions:
    """What a caller may decide. ``full``: everything, whatever is due. ``doubted``: see schedule.

    ``clock``, ``transport`` and ``environment`` replace those of the machine.
    """

    full: bool = False
    doubted: bool = False
    clock: Clock = field(default_factory=Clock)
    transport: httpx.BaseTransport | None = None
    environment: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class FetchResult:
    """A fetch that succeeded. ``drop``: its folder in the inbox; None if nothing is new."""

    mode: FetchMode
    why: str
    version: str
    collections: tuple[CollectionResult, ...]
    drop: Path | None

    @property
    def records(self) -> int:
        """How many records came."""
        return sum(result.records for result in self.collections)


def settings_of(profile: OneRosterApiProfile) -> str:
    """Returns a hash of the settings that decide what a fetch brings; it tells nothing of them."""
    decisive = profile.model_dump_json(
        include={
            "server", "version", "client_id", "collections", "demographics", "user_profiles",
        },
    )  # fmt: skip
    return hashlib.sha256(decisive.encode()).hexdigest()[:16]


def page_archive(warehouse: Path) -> Archive:
    """Returns the archive of pages, sealed like that of received files.

    It is a folder of its own: pages are in no table, and there may be some before the first night.
    """
    return Archive(warehouse / PAGES, Archive.of(warehouse).key)


@value_free
def fetch_district(
    folders: FetchFolders,
    cd: str,
    profile: OneRosterApiProfile,
    options: FetchOptions | None = None,
) -> FetchResult:
    """Fetches a district's roster, and records what became of it.

    Raises:
        OneRosterApiRefusedError: no roster came until somebody acts, or it did not come whole.
        OneRosterApiUnavailableError: the server does not answer now.
        FetchUnderWayError: another process does it.
    """
    options = options or FetchOptions()
    with _lock(folders.warehouse, cd), open_store(folders.warehouse) as store:
        one = _DistrictFetch(folders, cd, profile, options, store)
        try:
            return one.run()
        except library_errors() as error:
            known = to_pipeline_error(error, folders.write_folders)
            one.give_up(known)
            raise known from None


@contextmanager
def _lock(warehouse: Path, cd: str) -> Iterator[None]:
    folder = warehouse / _FOLDER
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with open_private(folder / f"{cd}.lock") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            msg = f"the roster of {cd} is being fetched by another process: wait for its end"
            raise FetchUnderWayError(msg) from None
        yield


class _DistrictFetch:
    """One fetch of one district."""

    def __init__(
        self,
        folders: FetchFolders,
        cd: str,
        profile: OneRosterApiProfile,
        options: FetchOptions,
        store: FetchStore,
    ) -> None:
        self._folders, self._cd, self._profile = folders, cd, profile
        self._options, self._store = options, store
        self._archive = Archive.of(folders.warehouse)
        self._kept_pages = page_archive(folders.warehouse)
        self._below = folders.inbox / cd / oneroster.NAME
        self._work = self._below / _WORK
        self._fetch: Fetch | None = None
        self._pages = self._bytes = 0

    def run(self) -> FetchResult:
        """Fetches in the mode that is due; in full where changes cannot be told."""
        settings = settings_of(self._profile)
        self._store.know_server(self._cd, settings)
        self._remove_old_drops()
        fetch = self._go_on(settings) or self._begin(settings)
        if (ended := self._end_if_put(fetch)) is not None:
            return ended
        try:
            return self._fetch_all(fetch)
        except DeltaNotPossible as why:
            self._store.record_full_only(self._cd, str(why))
            self._end(FetchState.FAILED, str(why))
            return self._fetch_all(self._begin(settings))

    def give_up(self, error: PipelineError) -> None:
        """Records that the fetch failed, or is refused until somebody acts."""
        if self._fetch is not None:
            permanent = isinstance(error, PermanentError)
            reason = str(error).partition("\n")[0]
            self._end(FetchState.REFUSED if permanent else FetchState.FAILED, reason)
            if permanent:
                shutil.rmtree(self._work, ignore_errors=True)

    # --- beginning and going on -------------------------------------------------------------------

    def _begin(self, settings: str) -> Fetch:
        now = self._options.clock.now()
        history = self._store.read_history(self._cd, settings)
        mode, why = decide_mode(self._profile, history, now, doubted=self._options.doubted)
        if self._options.full and mode == "delta":
            mode, why = "full", "a full fetch was asked for"
        shutil.rmtree(self._work, ignore_errors=True)
        self._work.mkdir(parents=True, mode=0o700)
        with failpoint("oneroster api: begun"):
            self._fetch = self._store.begin(self._cd, mode, why, settings, now)
        return self._fetch

    def _go_on(self, settings: str) -> Fetch | None:
        """Returns the fetch that was stopped lately, if it has the mode that is wanted."""
        since = self._options.clock.now() - _GOES_ON_FOR
        found = self._store.find_interrupted(self._cd, settings, since)
        if found is None or (self._options.full and found.mode == "delta"):
            return None
        if not self._work.exists() and not (found.folder and (self._below / found.folder).exists()):
            return None
        with failpoint("oneroster api: gone on"):
            self._fetch = self._store.go_on(found, self._options.clock.now())
        return self._fetch

    def _end_if_put(self, fetch: Fetch) -> FetchResult | None:
        """Ends a fetch that was stopped after its drop was put into the inbox."""
        if fetch.folder is None or not (self._below / fetch.folder).exists():
            return None
        done = self._store.read_collections(fetch.id)
        return self._succeed(fetch, done, self._below / fetch.folder)

    # --- fetching ---------------------------------------------------------------------------------

    def _fetch_all(self, fetch: Fetch) -> FetchResult:
        secret = read_secret(self._profile, self._options.environment)
        options = self._options
        done = {result.name: result for result in self._read_done(fetch)}
        with OneRosterClient(
            self._profile, secret, options.clock, transport=options.transport
        ) as client:
            try:
                version = find_server(client, self._profile)
                self._store.record_version(fetch.id, version)
                cursors = self._store.read_cursors(self._cd) if fetch.mode == "delta" else {}
                for collection in list_collections(self._profile, version):
                    if collection.name in done:
                        continue
                    terms = CollectionTerms(
                        collection,
                        nested_files(collection, self._profile, version),
                        self._since(fetch, cursors.get(collection.name)),
                        self._profile.tries,
                        self._profile.page_size,
                        self._profile.ask_for_fields or collection.name == DEMOGRAPHICS,
                    )
                    result = fetch_collection(client, terms, self._work, self._keep_page)
                    with failpoint("oneroster api: collection recorded"):
                        self._store.record_collection(fetch.id, result)
                    done[collection.name] = result
            finally:
                self._pages, self._bytes = client.pages_read, client.bytes_read
        results = tuple(done.values())
        if fetch.mode == "full" and not any(result.records for result in results):
            msg = "every collection is empty: check server, scopes and the year that it shows"
            raise OneRosterApiRefusedError(msg)
        return self._put(fetch, version, results)

    def _read_done(self, fetch: Fetch) -> list[CollectionResult]:
        """Returns the collections that came whole before a kill, and whose files are unharmed."""
        return [
            result
            for result in self._store.read_collections(fetch.id)
            if all(
                _sha256_of(self._work / f"{name}.csv") == sha256
                for name, sha256 in result.files.items()
            )
        ]

    def _since(self, fetch: Fetch, cursor: str | None) -> str | None:
        """Returns from when on changes are asked for, None for everything."""
        if fetch.mode == "full":
            return None
        newest = datetime.fromisoformat(cursor) if cursor else None
        if newest is None:
            # Nothing was known of the collection at the last full fetch: all of it is new.
            return "1970-01-01T00:00:00.000Z"
        since = newest - timedelta(hours=self._profile.overlap_hours)
        return f"{since:%Y-%m-%dT%H:%M:%S}.000Z"

    def _keep_page(self, collection: str, place: int, body: bytes) -> None:
        if self._fetch is None or not body:
            return

        sha256 = hashlib.sha256(body).hexdigest()

        def write(part: BinaryIO) -> str:
            part.write(body)
            return sha256

        if not self._kept_pages.has(sha256):
            self._kept_pages.store_output(write)
        self._store.record_page(self._fetch, collection, place, sha256, len(body))

    # --- the drop ---------------------------------------------------------------------------------

    def _put(self, fetch: Fetch, version: str, results: Sequence[CollectionResult]) -> FetchResult:
        files = {name: sha256 for result in results for name, sha256 in result.files.items()}
        if not files or self._is_known(fetch, files):
            shutil.rmtree(self._work, ignore_errors=True)
            return self._succeed(fetch, results, None)
        mode = "bulk" if fetch.mode == "full" else "delta"
        for path in self._work.iterdir():
            if path.stem not in files:
                path.unlink()
        write_manifest(self._work / _MANIFEST, version, dict.fromkeys(files, mode))
        (self._work / _MANIFEST).chmod(0o600)
        at = fetch.began.astimezone(CALIFORNIA)
        folder = f"api_{at:%Y-%m-%d_%H%M}_fetch{fetch.id}"
        self._store.record_folder(fetch.id, folder)
        with failpoint("oneroster api: drop put"):
            self._work.rename(self._below / folder)
            _sync(self._below)
        return self._succeed(fetch, results, self._below / folder)

    def _is_known(self, fetch: Fetch, files: Mapping[str, str]) -> bool:
        """Returns whether the last drop had the same files, and a night took them."""
        last = self._store.read_last_drop(self._cd)
        if last is None or last.mode != fetch.mode:
            return False
        before = {
            name: sha256
            for result in self._store.read_collections(last.id)
            for name, sha256 in result.files.items()
        }
        return before == files and all(map(self._archive.has, files.values()))

    def _succeed(
        self, fetch: Fetch, results: Sequence[CollectionResult], drop: Path | None
    ) -> FetchResult:
        self._end(FetchState.UNCHANGED if drop is None else FetchState.DROPPED)
        version = next(one.version for one in self._store.read_newest(self._cd))
        return FetchResult(fetch.mode, fetch.why, version, tuple(results), drop)

    def _end(self, state: FetchState, reason: str = "") -> None:
        if self._fetch is not None:
            with failpoint("oneroster api: fetch recorded"):
                self._store.end(
                    self._fetch,
                    state,
                    self._options.clock.now(),
                    reason=reason,
                    pages=self._pages,
                    size=self._bytes,
                )
            self._fetch = None

    def _remove_old_drops(self) -> None:
        """Removes drops of earlier fetches that the archive has had for a while."""
        for old in self._store.read_drops(self._cd, self._options.clock.now() - _KEPT_DROPS):
            folder = self._below / (old.folder or "")
            if not old.folder or not folder.is_dir():
                continue
            hashes = [_sha256_of(path) for path in folder.iterdir()]
            if all(sha256 is not None and self._archive.has(sha256) for sha256 in hashes):
                with failpoint("oneroster api: old drop removed"):
                    shutil.rmtree(folder, ignore_errors=True)


def _sha256_of(path: Path) -> str | None:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
