"""The sensor: new files that stood still for two looks start a night, told apart by content."""

from __future__ import annotations

import os
from pathlib import Path

import dagster as dg
import pytest

from ccgi_pipeline.defs.automation import new_drops, settled
from ccgi_pipeline.defs.resources import NightFolders
from ccgi_pipeline.intake.inbox import NOBODY, InboxFile
from ccgi_pipeline.night import Folders
from ccgi_pipeline_tests.night.inboxes import HAYWARD, HAYWARD_HIGH, put_roster, students
from ccgi_pipeline_tests.night.nights import folders_in, run_night


def file(path: str, stamp: str, sender: str = HAYWARD) -> InboxFile:
    return InboxFile(path, sender, "transcript", stamp)


@pytest.mark.parametrize(
    ("seen", "taken", "is_settled"),
    [
        ({}, {}, False),
        ({"a": "1"}, {}, True),
        ({"a": "0"}, {}, False),
        ({"a": "1"}, {"a": "1"}, False),
        ({"a": "1"}, {"a": "0"}, True),
    ],
    ids=["first look", "stood still", "still growing", "taken before", "changed since taken"],
)
def test_a_file_is_settled_when_it_is_new_and_stood_still(
    seen: dict[str, str], taken: dict[str, str], *, is_settled: bool
) -> None:
    assert bool(settled([file("a", "1")], seen, taken)) is is_settled


def test_a_file_of_nobody_starts_no_night() -> None:
    assert not settled([file("a", "1", NOBODY)], {"a": "1"}, {})


class Looks:
    """Ticks of the sensor over one inbox."""

    def __init__(self, folders: Folders) -> None:
        self.folders = folders
        self.cursor: str | None = None

    def look(self) -> list[str | None]:
        """The run keys that this tick asks for."""
        context = dg.build_sensor_context(
            cursor=self.cursor,
            resources={
                "folders": NightFolders(
                    inbox=str(self.folders.inbox),
                    outbox=str(self.folders.outbox),
                    warehouse=str(self.folders.warehouse),
                )
            },
        )
        answer = new_drops(context)
        if isinstance(answer, dg.SkipReason):
            self.cursor = context.cursor
            return []
        self.cursor = answer.cursor
        return [request.run_key for request in answer.run_requests or []]


@pytest.fixture
def looks(tmp_path: Path) -> Looks:
    return Looks(folders_in(tmp_path))


def test_the_first_look_waits_and_the_second_asks_for_a_night(looks: Looks) -> None:
    put_roster(looks.folders.inbox, HAYWARD, students(["1000000001"], HAYWARD_HIGH))
    assert looks.look() == []
    assert len(looks.look()) == 1


def test_a_growing_file_is_waited_for(looks: Looks) -> None:
    path = put_roster(looks.folders.inbox, HAYWARD, students(["1000000001"], HAYWARD_HIGH))
    looks.look()
    path.write_bytes(path.read_bytes() + b"more")
    (path.parent / "Manifest_20261120.csv").unlink()
    assert looks.look() == []
    assert len(looks.look()) == 1


def test_the_same_content_asks_under_the_same_run_key_whenever_it_came(looks: Looks) -> None:
    path = put_roster(looks.folders.inbox, HAYWARD, students(["1000000001"], HAYWARD_HIGH))
    looks.look()
    first = looks.look()
    os.utime(path, (1, 1))
    looks.look()
    assert looks.look() == first


def test_after_the_night_nothing_is_asked_for(looks: Looks) -> None:
    put_roster(looks.folders.inbox, HAYWARD, students(["1000000001"], HAYWARD_HIGH))
    looks.look()
    run_night(looks.folders)
    assert looks.look() == []
    assert looks.look() == []
