"""Files of SFTP servers that tell no time, or not even a size: only their content shows a change.

Belongs here: scanning and taking over a real connection, night after night.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ccgi_pipeline.intake.archive import Archive
from ccgi_pipeline.intake.arrivals import (
    DropHistory,
    ReceivedDrops,
    RememberedFile,
    ScanTerms,
    receive_files,
    scan_inboxes,
)
from ccgi_pipeline.intake.file_stability import Sighting
from ccgi_pipeline.intake.inbox import InboxFile
from ccgi_pipeline.intake.sources import Inboxes, RemoteInbox
from ccgi_pipeline.profiles import SftpServer
from ccgi_pipeline.sftp.connection import connect
from ccgi_pipeline_tests.sftp.faulty_server import Fault, FaultyServer

ROSTER = "0161192/transcript/StudentTemplate.csv"
QUIET = timedelta(minutes=5)
UNDATED = [Fault.NO_TIMES, Fault.TIMES_ARE_ZERO, Fault.NO_FACTS]


@dataclass
class Night:
    """A server, and what is remembered of it from night to night."""

    root: Path
    inboxes: Inboxes
    archive: Archive
    now: datetime = datetime(2026, 11, 22, tzinfo=UTC)
    sightings: dict[str, Sighting] = field(default_factory=dict)
    remembered: dict[str, RememberedFile] = field(default_factory=dict)

    def put(self, content: bytes) -> None:
        (self.root / ROSTER).parent.mkdir(parents=True, exist_ok=True)
        (self.root / ROSTER).write_bytes(content)

    def look(self) -> list[InboxFile]:
        """One tick of the sensor: the files for which it would start a night."""
        self.now += timedelta(minutes=1)
        terms = ScanTerms(self.now, QUIET, wait_for_local=True, read_undated=False)
        scan, self.sightings = scan_inboxes(self.inboxes, self.remembered, self.sightings, terms)
        return [file for _, files in scan.new for file in files]

    def take(self) -> ReceivedDrops:
        for _ in range(2):
            self.now += timedelta(minutes=6)
            terms = ScanTerms(self.now, QUIET, wait_for_local=True)
            scan, self.sightings = scan_inboxes(
                self.inboxes, self.remembered, self.sightings, terms
            )
        received = receive_files(self.inboxes, scan, self.archive, self.remembered, DropHistory())
        assert self.inboxes.problems == []
        for drop in (*received.drops, *received.duplicates):
            for file, sha256 in drop.files:
                self.remembered[file.shown] = RememberedFile(file.stamp, sha256, drop.id)
        return received

    def contents(self) -> list[bytes]:
        return [self.archive.read(sha) for drop in self.take().drops for _, sha in drop.files]


@pytest.fixture(params=UNDATED, ids=lambda fault: fault.name)
def night(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Night]:
    root = tmp_path / "server"
    root.mkdir()
    with (
        FaultyServer(root, request.param) as server,
        connect(server.as_server(), server.credentials()) as connection,
    ):
        at = SftpServer(host="127.0.0.1", user="ccgi", host_keys=("SHA256:" + "A" * 43,), inbox=".")
        inbox = RemoteInbox("partner", at, connection)
        yield Night(root, Inboxes([inbox], largest=1_000.0), Archive(tmp_path / "archive"))


def test_a_correction_of_the_same_length_is_taken_and_the_same_bytes_are_not(night: Night):
    night.put(b"SSID\n1\n")
    assert night.contents() == [b"SSID\n1\n"]
    received = night.take()
    assert (received.drops, received.duplicates, len(received.touched)) == ((), (), 1)
    night.put(b"SSID\n2\n")
    assert night.look() == []  # to fetch the file every minute would be too much
    assert night.contents() == [b"SSID\n2\n"]
    assert night.take().drops == ()


def test_a_file_that_was_taken_away_and_comes_again_is_a_delivery(night: Night):
    night.put(b"SSID\n1\n")
    night.take()
    (night.root / ROSTER).unlink()
    night.take()
    night.remembered = {path: RememberedFile("", f.sha256) for path, f in night.remembered.items()}
    night.put(b"SSID\n1\n")
    assert len(night.take().drops) == 1


def test_a_file_is_removed_only_as_it_was_taken(night: Night):
    night.put(b"SSID\n1\n")
    (file, _), *_ = night.take().drops[0].files
    (source,) = night.inboxes.sources
    night.put(b"SSID\n1\nmore")
    source.remove(file)
    assert (night.root / ROSTER).exists()
    night.put(b"SSID\n1\n")
    source.remove(file)
    assert not (night.root / ROSTER).exists()


def test_a_file_that_still_grows_is_not_taken(night: Night):
    night.put(b"SSID\n1\n")
    night.look()
    night.put(b"SSID\n1\n2\n")
    night.now += QUIET
    scan, _ = scan_inboxes(
        night.inboxes, {}, night.sightings, ScanTerms(night.now, QUIET, wait_for_local=True)
    )
    assert not scan.ready


def test_of_a_file_beyond_the_limit_no_byte_is_copied(night: Night):
    night.put(bytes(5_000))
    ((_, sha256),) = night.take().drops[0].files
    assert night.archive.read(sha256) != bytes(5_000)
    assert len(night.archive.read(sha256)) < 1_000
