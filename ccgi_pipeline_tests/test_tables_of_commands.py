"""Every table that a command prints fits a terminal of 80 columns and cuts no value.

Belongs here: the commands that print tables, run over one prepared state. What becomes of words
and codes that are too long is tested with the function that prints all tables (test_display).
"""

from __future__ import annotations

import ast
import base64
import sys
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from importlib import import_module
from io import StringIO
from pathlib import Path

import pytest
from click.testing import CliRunner

from ccgi_pipeline import cli
from ccgi_pipeline.cli import main, run
from ccgi_pipeline.cli.common import print_table
from ccgi_pipeline.feeds.calpads_identity import FEED as REGISTER
from ccgi_pipeline.feeds.cccapply import APPLICATIONS
from ccgi_pipeline.feeds.transcript import COURSE_GRADE
from ccgi_pipeline.monitoring.alerts.store import open_alert_store
from ccgi_pipeline.monitoring.alerts.types import Alert, AlertKind
from ccgi_pipeline.nightly.deliver import deliver_outbox
from ccgi_pipeline.nightly.made_files import list_made_files
from ccgi_pipeline.nightly.paths import PipelinePaths
from ccgi_pipeline.nightly.summary import NightStart, summarize_night
from ccgi_pipeline.warehouse.load.claims import read_claims
from ccgi_pipeline.warehouse.storage.connection import open_warehouse
from ccgi_pipeline_tests.docs.test_commands import PROFILES
from ccgi_pipeline_tests.files import as_bytes, good_lines
from ccgi_pipeline_tests.gnupg_peer import gnupg_peer
from ccgi_pipeline_tests.nightly.inboxes import (
    HAYWARD,
    HAYWARD_HIGH,
    PALM_SPRINGS,
    PALM_SPRINGS_HIGH,
    course,
    directory_entry,
    line_of,
    numbered,
    put,
    put_directory,
    put_roster,
    student,
    students,
)
from ccgi_pipeline_tests.nightly.nights import OF_ACCOUNTS, folders_in, run_night

pytestmark = pytest.mark.slow  # test_display shows the same of the function that prints them all

MONDAY = date(2026, 11, 16)
TUESDAY = MONDAY + timedelta(days=1)
CLAIMED, LEARNER = "9000000001", "9000000002"
STRICTER = f'[districts.{HAYWARD}.severities]\nTR-STU-AGE = "error"\n'
"""A setting that keeps a line out, and is taken back before the commands run."""


@dataclass(frozen=True)
class State:
    """Folders after two nights, and what stands beside them."""

    root: Path
    folders: PipelinePaths
    drop: str
    claim: str
    key: str

    @property
    def warehouse(self) -> tuple[str, str]:
        return "--warehouse", str(self.folders.warehouse)


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> State:
    root = tmp_path_factory.mktemp("tables")
    folders = folders_in(root)
    folders.warehouse.mkdir()
    (folders.warehouse / "profiles.toml").write_text(PROFILES + STRICTER)
    everyone = [CLAIMED, LEARNER, *numbered(9_000_000_100, 40)]
    put_roster(folders.inbox, PALM_SPRINGS, students(everyone, PALM_SPRINGS_HIGH), "20261116")
    lines = [course(LEARNER, PALM_SPRINGS_HIGH, TranscriptAbbreviation="AP UNITED STATES HISTORY")]
    path = f"{PALM_SPRINGS}/transcript/CourseGradeTemplate_20261116.csv"
    put(folders.inbox, path, as_bytes(COURSE_GRADE, lines))
    put_directory(folders.inbox, [_entry("Palm Springs Unified"), _HAYWARD])
    run_night(folders, MONDAY, reports=OF_ACCOUNTS)
    # Half a roster waits for an operator; the other district claims a student, and sends bad lines.
    put_roster(folders.inbox, PALM_SPRINGS, students(everyone[:20], PALM_SPRINGS_HIGH), "20261117")
    other = student(CLAIMED, HAYWARD_HIGH, FirstName="Mallory", DateOfBirth="05/05/2011")
    bad = student("9000000003", HAYWARD_HIGH, DateOfBirth="01/01/1950")
    refused = student("12", HAYWARD_HIGH)
    put_roster(folders.inbox, HAYWARD, [other, bad, refused], "20261117")
    put(folders.inbox, "cccapply/applications_20261117.csv", _applications())
    put_directory(folders.inbox, [_entry("Desert Communities Unified"), _HAYWARD])
    run_night(folders, TUESDAY, reports=OF_ACCOUNTS)
    deliver_outbox(folders, TUESDAY)
    (folders.warehouse / "profiles.toml").write_text(PROFILES)
    with open_warehouse(folders.warehouse, read_only=True) as connection:
        (claim,) = read_claims(connection)
        (drop,) = connection.execute("SELECT drop_id FROM drops WHERE verdict = 'held'").fetchone()  # type: ignore[misc]
    with open_alert_store(folders.warehouse) as store:
        words = "transcript of 3367173 (Palm Springs Unified): 22 records of student would end"
        alert = Alert(AlertKind.DROPS_HELD, drop, words, "drops_held")
        store.record_alerts([alert], [], datetime.now(UTC))
    return State(root, folders, drop, claim.id, _key_of(folders, root))


def _entry(district: str) -> dict[str, str]:
    return directory_entry(PALM_SPRINGS_HIGH, "Riverside", district, "Palm Springs High")


_HAYWARD = directory_entry(HAYWARD_HIGH, "Alameda", "Hayward Unified", "Hayward High")


def _applications() -> bytes:
    """Two students share a CCCID; one application has no id."""
    known = [
        ("A1", "ABC1234", "9000000001"),
        ("A2", "ABC1234", "9000000002"),
        ("", "ABC1235", "9000000003"),
    ]
    names = ("app_id", "ccc_id", "ssid")
    usual = {
        "firstname": "Marisol",
        "lastname": "Vega",
        "birthdate": "2008-04-09",
        "hs_cds_full": PALM_SPRINGS_HIGH,
    }
    lines = [
        line_of(APPLICATIONS, {**usual, **dict(zip(names, cells, strict=True))}) for cells in known
    ]
    return as_bytes(APPLICATIONS, lines)


def _key_of(folders: PipelinePaths, root: Path) -> str:
    """The fingerprint of a key that a district has handed over."""
    with gnupg_peer() as district:
        key = district.make_key("Palm Springs", ("ed25519", "cv25519"))
        (root / "key.asc").write_bytes(district.export(key))
    who = ("--district", PALM_SPRINGS, "--by", "A. Name", "--fingerprint", key)
    warehouse = str(folders.warehouse)
    ccgi("keys", "add", str(root / "key.asc"), *who, "--warehouse", warehouse)
    return key


def ccgi(*arguments: str, code: int = 0) -> str:
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == code, f"{arguments}\n{done.output}"
    return done.output


# --- the commands ---------------------------------------------------------------------------------


def _access(state: State) -> str:
    keys = state.root / "accounts"
    keys.mkdir()
    blob = base64.b64encode(b"\0\0\0\x0bssh-ed25519\0\0\0\x20" + bytes(range(32))).decode()
    (keys / "palmsprings").write_text(f"ssh-ed25519 {blob} lead\n")
    return ccgi("access", "list", "--keys", str(keys))


def _lookup(state: State) -> str:
    store = ("--store", str(state.root / "lookup"))
    ccgi("lookup", "client", "add", "a_community_college_with_a_long_name", *store)
    lines = good_lines(REGISTER)
    lines[1] = {**lines[1], "SSID": "12"}
    (state.root / "identities.csv").write_bytes(as_bytes(REGISTER, lines))
    rules = ccgi("lookup", "rules", "--identities", "500", "--applications", "50")
    told = ccgi("lookup", "load", str(state.root / "identities.csv"), *store)
    return (
        told
        + ccgi("lookup", "client", "list", *store)
        + ccgi("lookup", "enrollments", *store)
        + rules
    )


def _summary(state: State) -> str:
    """The end of ``ccgi run``, without Dagster."""
    told = summarize_night(
        state.folders,
        TUESDAY,
        NightStart(last_drop=0, quiet=False),
        list_made_files(state.folders, TUESDAY),
    )
    with redirect_stdout(StringIO()) as shown:
        run._print_summary(told, state.folders.outbox)
    return shown.getvalue()


COMMANDS: dict[str, Callable[[State], str]] = {
    "access list": _access,
    "audit list": lambda s: ccgi("audit", "list", *s.warehouse),
    "claims list": lambda s: ccgi("claims", "list", *s.warehouse),
    "claims show": lambda s: ccgi("claims", "show", s.claim, *s.warehouse),
    "deliveries list": lambda s: ccgi("deliveries", "list", *s.warehouse),
    "explain a student": lambda s: ccgi("explain", LEARNER, *s.warehouse, "--date", f"{TUESDAY}"),
    "explain a row": lambda s: ccgi(
        *("explain", "--report", "account reg", "--district", PALM_SPRINGS, "--row", "2"),
        *(*s.warehouse, "--date", f"{MONDAY}"),
    ),
    "folders list": lambda s: ccgi("folders", "list", *s.warehouse),
    "hold list": lambda s: ccgi("hold", "list", *s.warehouse),
    "hold show": lambda s: ccgi("hold", "show", s.drop, *s.warehouse),
    "housekeeping": lambda s: ccgi("housekeeping", "--dry-run", *s.warehouse),
    "keys list": lambda s: ccgi("keys", "list", *s.warehouse),
    "keys show": lambda s: ccgi("keys", "show", s.key, *s.warehouse),
    "lookup": _lookup,
    "lookup shared-cccids": lambda s: ccgi("lookup", "shared-cccids", *s.warehouse),
    "notices list": lambda s: ccgi("notices", "list", *s.warehouse),
    "purge": lambda s: ccgi("purge", "--district", HAYWARD, *_all_folders(s)),
    "replay": lambda s: ccgi("replay", *s.warehouse),
    "run": _summary,
    "status": lambda s: ccgi("status", *s.warehouse, "--date", f"{TUESDAY}", code=1),
    "warehouse verify": lambda s: ccgi(
        "warehouse", "verify", *s.warehouse, "--outbox", str(s.folders.outbox)
    ),
}


def _all_folders(state: State) -> tuple[str, ...]:
    return (
        *("--inbox", str(state.folders.inbox)),
        *("--outbox", str(state.folders.outbox), *state.warehouse),
    )


NOT_RUN = {
    ("lookup", "send"): "it needs the service; ssid_lookup/test_sending_enrollments.py has one",
    ("lookup", "match"): "the same; ssid_lookup/test_client.py has one",
    ("fetch", "_print_outcomes"): "it needs a district's; oneroster_api/test_fetch_command.py",
    ("fetch", "_print_offer"): "the same",
}
"""Functions that need a server, and so are not called here."""


@pytest.fixture(scope="module")
def shown(state: State) -> Iterator[tuple[dict[str, str], set[tuple[str, int]]]]:
    """What each command prints at 80 columns; and the places that printed a table."""
    places: set[tuple[str, int]] = set()

    def noted(*arguments: object) -> None:
        frame = sys._getframe(1)
        places.add((Path(frame.f_code.co_filename).stem, frame.f_lineno))
        print_table(*arguments)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("COLUMNS", "80")
        for name, _ in TABLES:
            patched.setattr(import_module(f"{cli.__name__}.{name}"), "print_table", noted)
        yield {name: command(state) for name, command in COMMANDS.items()}, places


def _tables() -> Iterator[tuple[str, ast.FunctionDef]]:
    """The functions of commands that print a table, by module."""
    for path in sorted(Path(cli.__path__[0]).glob("*.py")):
        for found in ast.walk(ast.parse(path.read_text())):
            if isinstance(found, ast.FunctionDef) and [*_calls(found)]:
                yield path.stem, found


def _calls(function: ast.FunctionDef) -> Iterator[int]:
    for node in ast.walk(function):
        named = isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
        if named and node.func.id == print_table.__name__:
            yield node.lineno


TABLES = [*_tables()]


def test_every_table_of_every_command_is_printed_here(
    shown: tuple[dict[str, str], set[tuple[str, int]]],
) -> None:
    declared = {
        (name, line)
        for name, function in TABLES
        if (name, function.name) not in NOT_RUN
        for line in _calls(function)
    }
    assert len(declared) > 25
    assert shown[1] == declared


@pytest.mark.parametrize("name", COMMANDS)
def test_a_commands_table_fits_80_columns_and_cuts_nothing(
    shown: tuple[dict[str, str], set[tuple[str, int]]], name: str
) -> None:
    told = shown[0][name]
    assert told.strip()
    assert "…" not in told
    assert [line for line in told.splitlines() if len(line) > 80 and not _is_prose(line)] == []


def _is_prose(line: str) -> bool:
    """Sentences are left to the terminal: a path or a command in them stays in one piece."""
    return not line.startswith(" ") and "   " not in line and line.rstrip() == line


def test_codes_and_ids_stay_in_one_piece(
    state: State, shown: tuple[dict[str, str], set[tuple[str, int]]]
) -> None:
    for name, value in (
        ("status", PALM_SPRINGS),
        ("claims list", state.claim),
        ("hold list", state.drop),
        ("explain a row", "StudentTemplate_20261116.csv"),
        ("keys list", state.key),
        ("replay", "TR-STU-AGE"),
        ("run", "TR-STU-TYPE-StateID"),
        ("explain a student", "HISTORY"),
    ):
        assert value in shown[0][name], name
