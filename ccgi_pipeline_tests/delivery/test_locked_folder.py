"""One district's folder may not be read: it is told of, and the others are taken.

Belongs here: what only a real server with real rights can show.
"""

from __future__ import annotations

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

from ccgi_pipeline.intake.file_stability import Clock
from ccgi_pipeline.intake.inbox_state import read_refusing_servers
from ccgi_pipeline.nightly.receive import WaitMode, receive_drops
from ccgi_pipeline_tests.delivery.exchange import use_server
from ccgi_pipeline_tests.nightly.inboxes import (
    HAYWARD,
    HAYWARD_HIGH,
    PALM_SPRINGS,
    PALM_SPRINGS_HIGH,
    put_roster,
    students,
)
from ccgi_pipeline_tests.nightly.nights import ON, folders_in, writing
from ccgi_pipeline_tests.sftp.openssh import ACCOUNT, ROOT, OpenSsh


def test_a_folder_that_may_not_be_read_stops_no_other_district(
    tmp_path: Path, sshd: OpenSsh
) -> None:
    folders = folders_in(tmp_path)
    use_server(folders, sshd, "locked")
    uploads = sshd.files / "locked" / "uploads"
    put_roster(uploads, HAYWARD, students(["0000001000"], HAYWARD_HIGH))
    put_roster(uploads, PALM_SPRINGS, students(["0000002000"], PALM_SPRINGS_HIGH))
    (uploads / HAYWARD).chmod(0o700 if ROOT else 0o000)
    if ROOT:  # who may read everything: so it is another account that looks
        shutil.copyfile(sshd.keys / ACCOUNT, sshd.keys / "nobody")
        profiles = folders.warehouse / "profiles.toml"
        profiles.write_text(profiles.read_text().replace(f'"{ACCOUNT}"', '"nobody"'))
    noon = datetime(2026, 11, 22, 12, tzinfo=UTC)
    with writing(folders) as connection:
        for minute in range(2):
            clock = Clock(lambda m=minute: noon + timedelta(minutes=m))  # type: ignore[misc]
            received = receive_drops(connection, folders, ON, taking=WaitMode.SETTLED, clock=clock)
    (uploads / HAYWARD).chmod(0o755)
    assert [drop.sender for drop in received.drops] == [PALM_SPRINGS]
    (told,) = received.problems
    assert told.permanent
    assert "folders of the inbox that may not be read: 1." in told.reason
    assert HAYWARD not in told.reason
    assert read_refusing_servers(folders.warehouse) == {told.server: told.reason}
