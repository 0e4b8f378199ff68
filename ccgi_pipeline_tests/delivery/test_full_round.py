"""A full round, as a district sees it: its own clients, a real server, and nothing else.

Belongs here: uploading with the ``sftp`` command, the sensor and the night in Dagster, fetching
reports and receipts with ``sftp`` and with ``curl``.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import pytest

from ccgi_pipeline.definitions import defs
from ccgi_pipeline.defs.automation import new_drops, night_job
from ccgi_pipeline.defs.delivery import ALL_SENT, DELIVERIES
from ccgi_pipeline.defs.resources import NightFolders
from ccgi_pipeline.nightly.paths import PipelinePaths
from ccgi_pipeline.runtime.dagster_instance import build_folder_variables, prepare_dagster_home
from ccgi_pipeline_tests.delivery.exchange import deliveries, use_server
from ccgi_pipeline_tests.nightly.inboxes import (
    HAYWARD,
    HAYWARD_HIGH,
    application,
    numbered,
    put_events,
    put_roster,
    student,
    students,
)
from ccgi_pipeline_tests.nightly.nights import bytes_below, folders_in
from ccgi_pipeline_tests.sftp.openssh import OpenSsh

pytestmark = pytest.mark.slow

_BELOW = "round"


@dataclass(frozen=True)
class Round:
    """What was sent, the folders of the pipeline, and the server between."""

    folders: PipelinePaths
    server: OpenSsh
    sent: Path
    instance: dg.DagsterInstance

    def sftp(self, *commands: str) -> None:
        """What a district's data lead types."""
        at = self.server.as_server()
        subprocess.run(
            [
                "sftp",
                "-q",
                "-b",
                "-",
                "-i",
                str(self.server.sshd.private_key),
                "-P",
                str(at.port),
                *("-o", f"UserKnownHostsFile={self._known_hosts()}"),
                *("-o", "StrictHostKeyChecking=yes", "-o", "IdentitiesOnly=yes"),
                f"{at.user}@{at.host}",
            ],
            input="\n".join(commands) + "\n",
            text=True,
            check=True,
            capture_output=True,
        )

    def curl(self, path: str) -> bytes:
        """A file, fetched as scripts do."""
        at = self.server.as_server()
        key = self.server.sshd.private_key
        url = f"sftp://{at.user}@{at.host}:{at.port}/~/{path}".replace(" ", "%20")
        return subprocess.run(
            ["curl", "-sS", "--insecure", "--key", key, "--pubkey", f"{key}.pub", url],
            check=True,
            capture_output=True,
        ).stdout

    def _known_hosts(self) -> Path:
        at = self.server.as_server()
        path = self.sent.parent / "known_hosts"
        path.write_text(f"[{at.host}]:{at.port} {at.host_keys[0]}\n")
        return path


@pytest.fixture(scope="module")
def round_(tmp_path_factory: pytest.TempPathFactory, sshd: OpenSsh) -> Iterator[Round]:
    """A district and the platform upload; the sensor asks for a night, and it runs."""
    root = tmp_path_factory.mktemp("round")
    folders = folders_in(root)
    use_server(folders, sshd, _BELOW)
    sent = root / "sent"
    bad = student("0000000001", HAYWARD_HIGH, DateOfBirth="yesterday")
    put_roster(sent, HAYWARD, [*students(numbered(1000, 5), HAYWARD_HIGH), bad])
    put_events(sent, [application("0000001000", "CCCApply", "Launched", "Some College")])
    with dg.DagsterInstance.from_config(str(prepare_dagster_home(folders.warehouse))) as instance:
        taken = Round(folders, sshd, sent, instance)
        taken.sftp(
            f"put -R {sent}/{HAYWARD} {_BELOW}/uploads/",
            f"put -R {sent}/platform {_BELOW}/uploads/",
        )
        with pytest.MonkeyPatch.context() as patched:
            for name, value in build_folder_variables(folders).items():
                patched.setenv(name, value)
            _tick_until_asked(taken)
            yield taken


def _tick_until_asked(taken: Round) -> None:
    places = {name: str(getattr(taken.folders, name)) for name in ("inbox", "outbox", "warehouse")}
    for _ in range(3):
        context = dg.build_sensor_context(
            taken.instance, resources={"folders": NightFolders(**places)}
        )
        answer = new_drops(context)
        if isinstance(answer, dg.SensorResult) and answer.run_requests:
            job = defs().resolve_job_def(night_job.name)
            (request,) = answer.run_requests
            assert job.execute_in_process(request.run_config, instance=taken.instance).success
            return
    pytest.fail("the sensor asked for no night")


def test_every_file_that_was_made_lies_on_the_server_byte_for_byte(round_: Round) -> None:
    on_server = bytes_below(round_.server.files / _BELOW / "reports")
    made = {
        path: content
        for path, content in bytes_below(round_.folders.outbox).items()
        if path.startswith("HaywardUnified/")
    }
    assert len(made) >= 27
    assert on_server == made


def test_a_district_fetches_its_folder_with_sftp(round_: Round, tmp_path: Path) -> None:
    round_.sftp(f"get -R {_BELOW}/reports/HaywardUnified {tmp_path}/")
    fetched = bytes_below(tmp_path / "HaywardUnified")
    assert fetched == bytes_below(round_.folders.outbox / "HaywardUnified")


def test_a_script_fetches_reports_and_receipts_with_curl(round_: Round) -> None:
    made = bytes_below(round_.folders.outbox / "HaywardUnified")
    for path, content in made.items():
        if "_receipts" in path or "daily" in path:
            assert round_.curl(f"{_BELOW}/reports/HaywardUnified/{path}") == content


def test_the_receipt_tells_the_district_which_line_to_mend(round_: Round) -> None:
    (path,) = (round_.folders.outbox / "HaywardUnified" / "_receipts").glob("*transcript*.json")
    receipt = json.loads(round_.curl(f"{_BELOW}/reports/HaywardUnified/_receipts/{path.name}"))
    (file,) = [file for file in receipt["files"] if file["feed"] == "transcript_student"]
    assert file["fates"] == {"inserted": 5, "rejected": 1}
    assert {finding["line"] for finding in file["findings"]} == {7}


def test_what_the_sender_put_there_lies_untouched(round_: Round) -> None:
    uploaded = bytes_below(round_.server.files / _BELOW / "uploads")
    assert uploaded == bytes_below(round_.sent)


def test_dagster_shows_that_everything_was_sent(round_: Round) -> None:
    key = dg.AssetCheckKey(dg.AssetKey(DELIVERIES), ALL_SENT)
    history = round_.instance.event_log_storage.get_asset_check_execution_history(key, 1)
    (evaluation,) = [record.event.dagster_event.event_specific_data for record in history]
    assert evaluation.passed
    states = deliveries(round_.folders.warehouse).values()
    assert {tuple(history) for history in states} == {
        ("prepared", "uploaded", "verified", "delivered")
    }


def test_a_second_upload_of_the_same_bytes_is_answered_as_a_duplicate(round_: Round) -> None:
    round_.sftp(f"put -R {round_.sent}/{HAYWARD} {_BELOW}/uploads/")
    later = round_.server.files / _BELOW / "uploads" / HAYWARD
    for path in later.rglob("*.csv"):
        path.touch()
    _tick_until_asked(round_)
    receipts = (round_.server.files / _BELOW / "reports" / "HaywardUnified").rglob(
        "*_duplicate.json"
    )
    assert [json.loads(path.read_bytes())["verdict"] for path in receipts] == ["duplicate"]
