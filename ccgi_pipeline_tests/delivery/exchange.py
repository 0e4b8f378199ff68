"""A district's folders on a real SFTP server, and nights that exchange files with them.

Belongs here: profiles that name the server, a night with its deliveries, what lies on the server.
Run as a program, it is one night in a process of its own that kills itself at a milestone::

    python -m ccgi_pipeline_tests.delivery.exchange INBOX OUTBOX WAREHOUSE DATE NAME SIDE COUNT
"""

from __future__ import annotations

import os
import signal
import sys
from collections import Counter
from datetime import date
from pathlib import Path

from ccgi_pipeline.common.failpoints import observe_failpoints
from ccgi_pipeline.delivery.ledger import open_ledger
from ccgi_pipeline.delivery.upload import DeliveryOutcome
from ccgi_pipeline.nightly.deliver import deliver_outbox
from ccgi_pipeline.nightly.paths import PipelinePaths
from ccgi_pipeline.nightly.receive import WaitMode
from ccgi_pipeline.reports.registry import REPORTS
from ccgi_pipeline_tests.nightly.nights import ON, report_and_answer, take_and_load, writing
from ccgi_pipeline_tests.sftp.openssh import OpenSsh

PRIVATE_KEY = "CCGI_SFTP_CCGI_KEY"
"""The environment variable that holds our key for the server of the tests."""


def use_server(folders: PipelinePaths, server: OpenSsh, below: str, more: str = "") -> None:
    """Has nights of ``folders`` take from and deliver to the folders ``below`` of ``server``."""
    folders.warehouse.mkdir(parents=True, exist_ok=True)
    at = server.as_server()
    (folders.warehouse / "profiles.toml").write_text(
        f"""
[intake]
quiet_minutes = 0

[sftp.ccgi]
host = "127.0.0.1"
port = {at.port}
user = "{at.user}"
host_keys = ["{at.host_keys[0].strip()}"]
inbox = "{below}/uploads"
outbox = "{below}/reports"

[defaults.delivery]
server = "ccgi"
{more}
"""
    )
    for name in ("uploads", "reports"):
        (server.files / below / name).mkdir(parents=True, exist_ok=True)
    os.environ[PRIVATE_KEY] = server.sshd.private_key.read_text()


def run_exchange(folders: PipelinePaths, on: date = ON) -> list[DeliveryOutcome]:
    """One night with what comes and goes over SFTP, and with a few of the reports."""
    with writing(folders) as connection:
        take_and_load(connection, folders, on, taking=WaitMode.WAIT)
        report_and_answer(connection, folders, on, REPORTS[:3])
    return deliver_outbox(folders, on)


def deliveries(warehouse: Path) -> dict[str, list[str]]:
    """The states that each delivery went through, by its path on the server."""
    with open_ledger(warehouse) as ledger:
        return {
            f"{delivery.remote}#{delivery.sha256[:8]}": [
                state for state, _ in ledger.read_history(delivery.id)
            ]
            for delivery in ledger.find_deliveries()
        }


def milestones_of(folders: PipelinePaths, on: date) -> Counter[str]:
    """How often each milestone is passed in a night."""
    passed: Counter[str] = Counter()
    with observe_failpoints(lambda name, side: passed.update([name] if side == "after" else [])):
        run_exchange(folders, on)
    return passed


def main() -> None:
    """One night that is killed at the given milestone, as the arguments say."""
    inbox, outbox, warehouse, on, name, side, count = sys.argv[1:]
    passed = 0

    def killer(at: str, on_side: str) -> None:
        nonlocal passed
        if (at, on_side) == (name, side):
            passed += 1
            if passed == int(count):
                os.kill(os.getpid(), signal.SIGKILL)

    with observe_failpoints(killer):
        run_exchange(
            PipelinePaths(Path(inbox), Path(outbox), Path(warehouse)), date.fromisoformat(on)
        )


if __name__ == "__main__":
    main()
