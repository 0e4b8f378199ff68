"""The commands of the pages do what they say: each is run as it is printed, in a fresh state.

Belongs here: the state, what stands for the placeholders, and the commands that cannot run here,
each with the reason. A command that is neither run nor in that table fails the test. Does not
belong here: what the commands are to bring about, which the tests of their rooms show.
"""

from __future__ import annotations

import csv
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from datetime import date, timedelta
from fnmatch import fnmatch
from pathlib import Path

import pytest
from click.testing import CliRunner

from ccgi_pipeline.cli import main
from ccgi_pipeline_tests.docs.pages import PAGES, PROJECT, commands, placeholders
from ccgi_pipeline_tests.gnupg_peer import gnupg_peer

_TODAY = date(2026, 11, 29)
_DISTRICT = "3367173"

_SERVER = "it serves until it is stopped"
_MINUTES = "it takes minutes, and bench/test_bench.py runs it small"
_OTHER_SHELL = "that shell is not installed everywhere"

CANNOT_RUN: Mapping[str, str] = {
    r"make run": "it makes an environment first; `ccgi demo` is tested by itself",
    r"make test": "it runs this test",
    r"make ui": _SERVER,
    r".venv/bin/pytest .*": "it is one of these tests",
    r"source .venv/bin/activate": "the environment of a checkout; the tests bring their own",
    r"eval .*zsh_source.*": _OTHER_SHELL,
    r".*fish_source.*": _OTHER_SHELL,
    r"dg launch .*": "it needs the project's folder; defs/test_check_results.py runs it",
    r"ccgi ui.*": f"{_SERVER}; deploy/test_access.py starts and stops it",
    r"ccgi lookup serve.*": f"{_SERVER}; ssid_lookup/test_service.py starts and stops it",
    r"ccgi lookup match .*": "it needs the service; ssid_lookup/test_client.py asks one",
    r"ccgi lookup enrollments send .*": "so does ssid_lookup/test_sending_enrollments.py",
    r"(token=|look_up|sed s/|printf|python3 -c|python3 look_up).*": "they need the service; "
    "ssid_lookup/test_examples.py runs them",
    r"ccgi fetch .*": "it needs a district's server; oneroster_api/test_fetch_command.py has one",
    r"ccgi bench .*": _MINUTES,
    r"ccgi claims (show|decide) .*": "no SSID is claimed there; nightly/test_claims.py does both",
    r"curl .*ccgi.example.org.*": "a sample address; deploy/test_access.py asks without a login",
    r"ccgi check serve": f"{_SERVER}; check_service/test_server.py starts and stops it",
    r"curl .*127.0.0.1:8765.*": "it asks that page, as check_service/test_server.py does",
    r"export CCGI_CHECK_.*": "the same as of CCGI_UI_; deploy/test_check_access.py sets them",
    r"export CCGI_UI_.*": "caddy asks for a password; deploy/test_access.py sets these variables",
    r"(groupadd|useradd|install|sed|sshd|systemctl) .*": "it changes the machine; "
    "sftp/districts_host.py does it on a copy of /etc",
    r"cd /srv/districts/.*": "the same",
    r"ccgi access password .*": "it needs an account of the system and a terminal; "
    "sftp/test_district_passwords.py has both",
    r"caddy run .*": f"{_SERVER}; deploy/test_access.py runs that file",
}
"""Commands that are not run, by a pattern for the whole line, and why."""

PAGES_THAT_CANNOT_RUN: Mapping[str, str] = {
    "beyond-one-machine.md": "PostgreSQL, Docker and a cluster: "
    "nightly/test_beyond_one_machine.py and defs/test_several_warehouses.py do what it says, "
    "deploy/test_containers.py reads the files",
}

_PAGES = [page for page in PAGES if commands(page) and page.name not in PAGES_THAT_CANNOT_RUN]

NOT_ZERO: Mapping[str, str] = {
    r"ccgi check .*": "the demo's files have defects",
    r"ccgi status": "a drop is held",
    r"ccgi run --fail-on .*": "the server of the deliveries refuses",
    r"ccgi heartbeat .*": "a drop is held",
}
"""Commands that end with status 1 in the state of the tests, as the pages say, and why."""

SMALLER = {
    "--identities 1000000": "--identities 2000",
    "--identities 100000": "--identities 2000",
    "--applications 100000": "--applications 200",
}
"""Sizes that would take minutes."""

PROFILES = f"""
[sftp.reports]  # nothing listens there: deliveries are prepared, and wait
host = "127.0.0.1"
port = 1
user = "pipeline"
host_keys = ["SHA256:{"A" * 43}"]
outbox = "/districts"

[defaults.delivery]
server = "reports"
"""


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which a demo was run twice: the second roster of a district waits, held."""
    folder = tmp_path_factory.mktemp("prepared")
    Path(folder, "data/demo/warehouse").mkdir(parents=True)
    Path(folder, "data/demo/warehouse/profiles.toml").write_text(PROFILES)
    yesterday, shell = _TODAY - timedelta(days=1), Shell(folder)
    size = f"--districts 1 --students 80 --defects 0.02 --date {yesterday}"
    shell.run(f"ccgi generate --out data/demo/inbox {size}")
    shell.run(f"ccgi run --date {yesterday}")
    _send_half_of_the_roster(folder / "data/demo/inbox" / _DISTRICT / "transcript")
    shell.run(f"ccgi run --date {_TODAY}")
    with gnupg_peer() as district:
        fingerprint = district.make_key("Palm Springs", ("ed25519", "cv25519"))
        Path(folder, "palmsprings.asc").write_bytes(district.export(fingerprint))
        Path(folder, "fingerprint").write_text(fingerprint)
    return folder


def _send_half_of_the_roster(inbox: Path) -> None:
    [sent] = inbox.glob("*StudentTemplate*.csv")
    lines = sent.read_bytes().splitlines(keepends=True)
    again = inbox / f"StudentTemplate_{_TODAY:%Y%m%d}.csv"
    again.write_bytes(b"".join(lines[: len(lines) // 2]))


@pytest.fixture
def shell(prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shell:
    """A copy of the state, entered."""
    folder = tmp_path / "checkout"
    shutil.copytree(prepared, folder)
    (folder / "etc").mkdir()
    Path(folder, "keys").mkdir(mode=0o755)
    Path(folder, "keys/palmsprings").write_text(_public_key(folder / "old"))
    Path(folder, "new_lead.pub").write_text(_public_key(folder / "new"))
    monkeypatch.setenv("CCGI_ACCESS_KEYS", f"{folder / 'keys'}")
    return Shell(folder)


def _public_key(file: Path) -> str:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", file], check=True)
    return file.with_suffix(".pub").read_text()


class Shell:
    """Runs the lines of one page, one after the other, in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._assignments: list[str] = []
        self._environment = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}

    def run(self, line: str) -> tuple[int, str]:
        """Exit status and output."""
        if re.fullmatch(r"(export\s+)?(\w+=\S*\s*)+", line):
            self._assignments.append(line)
            self._environment |= self._variables()
            return 0, ""
        if line.startswith("ccgi ") and not re.search(r"[|;&`$(]", line):
            return self._ccgi(line)
        script = "\n".join(["set -euo pipefail", *self._assignments, line])
        done = subprocess.run(
            ["bash", "-c", script],
            cwd=self.folder,
            env={**os.environ, **self._environment},
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr

    def _variables(self) -> dict[str, str]:
        """What the exported ones of the assignments come to."""
        exported = [line for line in self._assignments if line.startswith("export ")]
        return dict(re.findall(r"(\w+)=(\S*)", " ".join(exported)))

    def _ccgi(self, line: str) -> tuple[int, str]:
        command, _, file = line.partition(" > ")
        here = Path.cwd()
        os.chdir(self.folder)
        try:
            done = CliRunner().invoke(main, shlex.split(command)[1:], env=self._environment)
            if file:
                Path(file).write_text(done.stdout)
        finally:
            os.chdir(here)
        return done.exit_code, done.output + (repr(done.exception) if done.exception else "")


# --- placeholders -----------------------------------------------------------------------------


def _delivery(shell: Shell) -> str:
    _, listed = shell.run(f"ccgi deliveries list --district {_DISTRICT}")
    return re.findall(r"(?m)^ *([0-9a-f]{8,}) ", listed)[0]


def _drop(shell: Shell) -> str:
    _, listed = shell.run("ccgi hold list")
    return re.findall(r"(?m)^ *([0-9a-f]{8,}) ", listed)[0]


def _report(shell: Shell) -> Path:
    outbox = shell.folder / "data/demo/outbox"
    return min(outbox.glob(f"PalmSprings*/daily*/**/*_{_TODAY:%Y%m%d}_Detail.csv"))


def _path(shell: Shell) -> str:
    return f"{_report(shell).relative_to(shell.folder / 'data/demo/outbox')}"


def _ssid(shell: Shell) -> str:
    outbox = shell.folder / "data/demo/outbox"
    for report in outbox.glob("PalmSprings*/legacy*/**/*uc eligib*/*_Detail.csv"):
        for row in csv.DictReader(report.read_text("utf-8-sig").splitlines()):
            return row["SSID"]
    pytest.fail("no report has a student")


def _head(shell: Shell) -> str:
    _, told = shell.run("ccgi audit verify")
    return told.split("Head: ")[1].strip()


def _key(shell: Shell) -> str:
    _, listed = shell.run("ccgi keys list")
    return re.findall(r"[0-9A-F]{40}", listed)[0]


def _package(shell: Shell) -> str:
    return f"{shell.folder / 'data/demo/inbox' / _DISTRICT / 'transcript'}"


FILL_IN: Mapping[str, Callable[[Shell], str]] = {
    "delivery": _delivery,
    "drop": _drop,
    "path": _path,
    "ssid": _ssid,
    "head": _head,
    "package": _package,
    "fingerprint": lambda shell: (shell.folder / "fingerprint").read_text(),
    "key": _key,
    "secret": lambda _: "a-secret",
    "certificate": lambda _: "certificate.pem",
}


def _filled_in(line: str, shell: Shell) -> str:
    for name in placeholders(line):
        line = line.replace(f"<{name}>", FILL_IN[name](shell))
    for sample, here in {
        "/srv/ccgi": shell.folder / "data/demo",
        "/shared": shell.folder / "data/demo",
        "/etc/ccgi": shell.folder / "etc",
    }.items():
        line = line.replace(sample, f"{here}")
    for size, small in SMALLER.items():
        line = line.replace(size, small)
    return line


def _matches(line: str, patterns: Iterable[str]) -> bool:
    return any(re.fullmatch(pattern, line) for pattern in patterns)


# --- tests ------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("page", _PAGES, ids=lambda page: page.name)
def test_the_commands_of_a_page_run_as_they_are_printed(page: Path, shell: Shell) -> None:
    for line in commands(page):
        if _matches(line, CANNOT_RUN):
            continue
        status, said = shell.run(_filled_in(line, shell))
        assert status == int(_matches(line, NOT_ZERO)), f"{page.name}: {line}\n{said}"


@pytest.mark.slow
def test_all_that_nights_leave_in_the_warehouse_is_in_the_table(prepared: Path) -> None:
    page = Path(PROJECT, "docs/operating.md").read_text()
    table = page.split("### Warehouse")[1].split("### ")[0]
    named = [name.rstrip("/") for name in re.findall(r"`([^`]+)`", table)]
    there = [entry.name for entry in Path(prepared, "data/demo/warehouse").iterdir()]
    assert not [name for name in there if not any(fnmatch(name, one) for one in named)]


def test_no_reason_is_about_a_command_that_is_no_more() -> None:
    printed = [line for page in _PAGES for line in commands(page)]
    assert not PAGES_THAT_CANNOT_RUN.keys() - {page.name for page in PAGES}
    patterns = [*CANNOT_RUN, *NOT_ZERO]
    assert not [one for one in patterns if not any(re.fullmatch(one, line) for line in printed)]
    assert not [size for size in SMALLER if not any(size in line for line in printed)]
    assert not FILL_IN.keys() - {name for line in printed for name in placeholders(line)}


def test_what_the_reasons_name_exists() -> None:
    reasons = [*CANNOT_RUN.values(), *PAGES_THAT_CANNOT_RUN.values()]
    named = {name for why in reasons for name in re.findall(r"\w+/\w+\.py", why)}
    assert named
    assert not [name for name in named if not Path(PROJECT, "ccgi_pipeline_tests", name).exists()]
