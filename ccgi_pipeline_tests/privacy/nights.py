"""Whole nights over canaries, as an operator runs them: processes, a real server, real faults.

Belongs here: running ``ccgi`` and keeping all that it says. Does not belong here: which files there
are (faults), where is looked afterwards (places).
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from click.testing import CliRunner

from ccgi_pipeline.cli import main
from ccgi_pipeline.feeds.transcript import STUDENT
from ccgi_pipeline.nightly.paths import PipelinePaths
from ccgi_pipeline.nightly.receive import poll_inboxes
from ccgi_pipeline.warehouse.storage.connection import open_warehouse
from ccgi_pipeline_tests.delivery.exchange import use_server
from ccgi_pipeline_tests.files import as_bytes
from ccgi_pipeline_tests.monitoring.alerts.receivers import mail_server
from ccgi_pipeline_tests.nightly.inboxes import put
from ccgi_pipeline_tests.nightly.nights import folders_in
from ccgi_pipeline_tests.privacy.canaries import good
from ccgi_pipeline_tests.privacy.faults import (
    GOOD,
    LATER,
    bad_day,
    damage_a_held_file,
    good_day,
    name_of_a_file,
)
from ccgi_pipeline_tests.sftp.openssh import OpenSsh, openssh

_CCGI = [sys.executable, "-m", "ccgi_pipeline_tests.privacy.command"]
FIRST, SECOND = "2026-11-20", "2026-11-21"
NOBODY_LISTENS = 9
"""The port of services that are away: discard, which no machine of ours serves."""
_AWAY = f"""
[sftp.away]
host = "127.0.0.1"
port = {NOBODY_LISTENS}
user = "nobody"
host_keys = ["SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"]
sender = "0161143"
inbox = "/in"
outbox = "/out"

[defaults.guard]
share = 0.1

[districts.{GOOD}.delivery]
spreadsheets = true
"""


@dataclass
class Nights:
    """Folders after all nights, and what each command said by what it was.

    ``delivered``: what lies in the districts' folders on the server.
    """

    folders: PipelinePaths
    delivered: Path
    said: dict[str, bytes] = field(default_factory=dict)
    statuses: dict[str, int] = field(default_factory=dict)

    def asked(self, told_as: str, *arguments: str | Path) -> None:
        """Runs a command in this process, which is quicker, and keeps what it says."""
        ended = CliRunner().invoke(main, [*map(str, arguments)])
        trace = "".join(traceback.format_exception(*ended.exc_info)) if ended.exc_info else ""
        self.said[told_as] = f"{ended.output}\n{trace}".encode()
        self.statuses[told_as] = ended.exit_code

    def ccgi(self, told_as: str, *arguments: str | Path) -> None:
        """Runs a command in a process of its own and keeps what it says."""
        ended = subprocess.run(
            [*_CCGI, *map(str, arguments)],
            capture_output=True,
            env=self.environment,
            check=False,
        )
        self.said[told_as] = ended.stdout + ended.stderr
        self.statuses[told_as] = ended.returncode

    def night(self, told_as: str, on: str) -> None:
        """Runs a night."""
        self.ccgi(told_as, *self._of_night(on))

    def killed_night(self, told_as: str, on: str, at: str) -> None:
        """Runs a night and kills it once it says ``at``."""
        with subprocess.Popen(
            [*_CCGI, *self._of_night(on)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=self.environment,
        ) as running:
            said = b""
            while at.encode() not in said and (line := running.stdout.readline()):
                said += line
            running.send_signal(signal.SIGKILL)
            said += running.stdout.read()
        self.said[told_as] = said
        self.statuses[told_as] = running.returncode

    def _of_night(self, on: str) -> list[str]:
        places = (self.folders.inbox, self.folders.outbox, self.folders.warehouse)
        options = zip(("--inbox", "--outbox", "--warehouse"), map(str, places), strict=True)
        return ["run", *(word for option in options for word in option), "--date", on]

    @property
    def environment(self) -> Mapping[str, str]:
        """Ours, with a look-up that is away."""
        return {
            **os.environ,
            "CCGI_LOOKUP_ADDRESS": f"http://127.0.0.1:{NOBODY_LISTENS}",
            "CCGI_LOOKUP_CLIENT": "pipeline",
            "CCGI_LOOKUP_SECRET": "not a real one",
            "CCGI_SFTP_AWAY_PASSWORD": "not a real one",
        }


def nights_of_faults(root: Path) -> Nights:
    """The nights below ``root``, which are run once however many processes ask for them."""
    root.mkdir(exist_ok=True)
    nights = Nights(folders_in(root), root / "delivered")
    told = root / "told.json"
    with (root / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if told.exists():
            said, nights.statuses = json.loads(told.read_text())
            nights.said = {name: words.encode("latin-1") for name, words in said.items()}
            return nights
        with openssh() as server:
            _run(nights, server)
            shutil.copytree(server.files / "canaries" / "reports", nights.delivered)
        said = {name: words.decode("latin-1") for name, words in nights.said.items()}
        told.write_text(json.dumps([said, nights.statuses]))
    return nights


def _run(nights: Nights, server: OpenSsh) -> None:
    """A good night; one that fails, one that is killed, and a bad one."""
    folders = nights.folders
    use_server(folders, server, "canaries", _AWAY)
    good_day(folders.inbox)
    nights.night("good night", FIRST)
    shutil.rmtree(folders.inbox / GOOD / "oneroster" / LATER)  # the archive alone has them now
    bad_day(folders.inbox)
    content = as_bytes(STUDENT, good(STUDENT, "2000020", count=4))
    at = server.files / "canaries" / "uploads"
    put(at, f"2000020/transcript/{name_of_a_file(9)}_StudentTemplate.csv", content)
    staging = folders.staging.root
    _no_staging(staging)
    nights.night("failed night", SECOND)
    staging.unlink()
    nights.killed_night("killed night", SECOND, "verifying foster_focus_cps")
    _approve_and_damage(nights)
    nights.night("bad night", SECOND)
    _ask(nights)


def _tell(nights: Nights) -> None:
    """Has the operator be told by mail of all that is wrong."""
    warehouse = nights.folders.warehouse
    settings = warehouse / "profiles.toml"
    with mail_server() as mail:
        told = f"""
[notices]
mail_to = ["team@example.org"]
mail_from = "pipeline@example.org"
smtp_host = "127.0.0.1"
smtp_port = {mail.port}
smtp_tls = "none"
"""
        settings.write_text(settings.read_text() + told)
        both = ("--warehouse", warehouse, "--outbox", nights.folders.outbox)
        nights.asked("heartbeat", "heartbeat", *both, "--notify")
    nights.said["mails"] = "\n".join(map(str, mail.mails)).encode()


def _no_staging(staging: Path) -> None:
    """A file stands where the staging folder is to be made."""
    for path in sorted(staging.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    if staging.exists():
        staging.rmdir()
    staging.write_bytes(b"")


def _approve_and_damage(nights: Nights) -> None:
    warehouse = nights.folders.warehouse
    nights.asked("hold list", "hold", "list", "--warehouse", warehouse)
    with open_warehouse(warehouse, read_only=True) as connection:
        held = connection.execute("SELECT drop_id FROM drops WHERE verdict = 'held'").fetchall()
    for (drop,) in held:
        nights.asked("hold show", "hold", "show", drop, "--warehouse", warehouse)
        answer = ("--by", "A. Name", "--reason", "a school closed", "--date", SECOND)
        nights.asked("hold approve", "hold", "approve", drop, "--warehouse", warehouse, *answer)
    damage_a_held_file(nights.folders.archive)


def _ask(nights: Nights) -> None:
    """What an operator asks in the morning."""
    warehouse = nights.folders.warehouse
    nights.asked("status", "status", "--warehouse", warehouse, "--date", SECOND)
    nights.asked("deliveries", "deliveries", "list", "--warehouse", warehouse)
    put(nights.folders.inbox, f"2000003/{name_of_a_file(10)}.csv", b"Qz")
    nights.said["sensor"] = repr(poll_inboxes(nights.folders)).encode()
    only = ("--district", GOOD, "--family", "transcript")
    nights.asked("replay", "replay", "--warehouse", warehouse, "--date", SECOND, *only)
    nights.asked(
        "explain",
        *("explain", "--report", "applications_and_launches", "--district", GOOD),
        *("--row", "2", "--warehouse", warehouse),
    )
    _tell(nights)
    nights.asked("audit", "audit", "list", "--warehouse", warehouse)
    places = [f"--{n}={getattr(nights.folders, n)}" for n in ("warehouse", "outbox", "inbox")]
    nights.asked("purge", "purge", "--district", GOOD, *places)
    nights.asked("check", "check", nights.folders.inbox / "2000001", "--date", SECOND)
