"""Drops that come encrypted are loaded as if they had come in clear, and a broken one by itself.

Belongs here: nights over encrypted files of the local inbox. Does not belong here: single messages
(intake/test_openpgp_messages), the exchange over SFTP (test_an_encrypted_exchange).
"""

from __future__ import annotations

import csv
import io
import json
import logging
import zipfile
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from click.testing import CliRunner

from ccgi_pipeline.cli import main
from ccgi_pipeline.feeds.transcript import STUDENT
from ccgi_pipeline.nightly.paths import PipelinePaths
from ccgi_pipeline.operations.purge_proof import find_files_with_values
from ccgi_pipeline.warehouse.storage.connection import open_warehouse
from ccgi_pipeline_tests.gnupg_peer import GnupgPeer, gnupg_peer
from ccgi_pipeline_tests.nightly.inboxes import (
    HAYWARD,
    HAYWARD_HIGH,
    PALM_SPRINGS,
    PALM_SPRINGS_HIGH,
    put,
    roster_file,
    student,
    students,
)
from ccgi_pipeline_tests.nightly.nights import (
    ON,
    Outbox,
    folders_in,
    load_and_answer,
)
from ccgi_pipeline_tests.openpgp import SECRET, keep_intake_key, pair, pin_key, retire

OTHER = PALM_SPRINGS
FOLDERS = {HAYWARD: "HaywardUnified", OTHER: "PalmSpringsUnified"}
SSIDS = [f"{number:010}" for number in range(7_531_000_001, 7_531_000_006)]
ROSTER = roster_file(students(SSIDS, HAYWARD_HIGH))
NAME = "StudentTemplate_20261120.csv"


@pytest.fixture(scope="module")
def peer() -> Iterator[GnupgPeer]:
    with gnupg_peer() as made:
        made.run("--import", given=pair().block)
        yield made


def encrypted(peer: GnupgPeer, content: bytes, *options: str) -> bytes:
    return peer.encrypt(content, [pair().key.fingerprint], *options)


def zipped(content: bytes, name: str = NAME) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as package:
        package.writestr(name, content)
    return packed.getvalue()


def site(root: Path, sent: dict[str, bytes]) -> PipelinePaths:
    """Folders with an intake key, and files in the inbox by their path."""
    folders = folders_in(root)
    keep_intake_key(folders.warehouse)
    for path, content in sent.items():
        put(folders.inbox, path, content)
    return folders


def receipt(folders: PipelinePaths, cd: str = HAYWARD, on: date = ON) -> dict[str, Any]:
    (found,) = Outbox(folders.outbox).receipts(FOLDERS[cd], on)
    return found


def rules(told: dict[str, Any]) -> list[str]:
    return [rule["rule"] for file in told["files"] for rule in file["rules"]]


def student_rows(folders: PipelinePaths) -> list[tuple[object, ...]]:
    """The students of the warehouse: all that their lines say."""
    columns = ", ".join(f'"{name}"' for name in STUDENT.columns)
    with open_warehouse(folders.warehouse, read_only=True) as connection:
        return connection.execute(
            f"SELECT {columns} FROM transcript_student ORDER BY ALL"  # noqa: S608
        ).fetchall()


@pytest.mark.parametrize("form", ["csv", "armored csv", "zip", "no ending", "no folder"])
def test_an_encrypted_drop_is_loaded_with_the_same_rows_as_in_clear(
    tmp_path: Path, peer: GnupgPeer, form: str
):
    clear = site(tmp_path / "clear", {f"{HAYWARD}/transcript/{NAME}": ROSTER})
    path, content = {
        "csv": (f"{HAYWARD}/transcript/{NAME}.pgp", encrypted(peer, ROSTER)),
        "armored csv": (f"{HAYWARD}/transcript/{NAME}.asc", encrypted(peer, ROSTER, "--armor")),
        "zip": (f"{HAYWARD}/transcript/a.zip.GPG", encrypted(peer, zipped(ROSTER))),
        "no ending": (f"{HAYWARD}/transcript/{NAME}", encrypted(peer, ROSTER)),
        "no folder": (f"{HAYWARD}/data.pgp", encrypted(peer, ROSTER)),
    }[form]
    sealed = site(tmp_path / "sealed", {path: content})
    for folders in (clear, sealed):
        load_and_answer(folders)
    (clear_file,), (sealed_file,) = receipt(clear)["files"], receipt(sealed)["files"]
    assert sealed_file["verdict"] == clear_file["verdict"]
    for key in ("family", "feed", "encoding", "lines", "fates"):
        assert sealed_file[key] == clear_file[key], key
    assert sorted(rules(receipt(sealed))) == sorted([*rules(receipt(clear)), "FILE-PGP-OPENED"])
    assert len(student_rows(clear)) == len(SSIDS)
    assert student_rows(sealed) == student_rows(clear)
    archived = sealed.archive.files()
    assert sorted(sealed.archive.read(p.name) for p in archived) == [content]
    assert not [p for p in sealed.warehouse.rglob("*") if b"7531000001" in _bytes(p)
                and "tables" not in p.parts and "catalog" not in p.name]  # fmt: skip


def _bytes(path: Path) -> bytes:
    return path.read_bytes() if path.is_file() else b""


def test_a_broken_message_stops_nothing_else_and_loses_nothing(tmp_path: Path, peer: GnupgPeer):
    good = encrypted(peer, ROSTER)
    folders = site(
        tmp_path,
        {
            f"{HAYWARD}/transcript/{NAME}.pgp": good[:-10],
            f"{HAYWARD}/transcript/Manifest_20261120.csv.pgp": encrypted(peer, good),
            f"{OTHER}/transcript/{NAME}.pgp": encrypted(
                peer, roster_file(students(SSIDS[:3], PALM_SPRINGS_HIGH))
            ),
        },
    )
    load_and_answer(folders)
    told = receipt(folders)
    assert told["verdict"] == "rejected"
    assert {"FILE-PGP-DAMAGED", "FILE-PGP-NESTED"} <= set(rules(told))
    assert receipt(folders, OTHER)["files"][0]["feed"] == "transcript_student"
    assert len(folders.archive.files()) == 3  # as they came
    later = ON + timedelta(days=1)
    put(folders.inbox, f"{HAYWARD}/transcript/{NAME}.pgp", good)  # sent again
    load_and_answer(folders, later)
    assert "FILE-PGP-OPENED" in rules(receipt(folders, on=later))
    assert len(student_rows(folders)) >= len(SSIDS)


def test_what_could_not_be_opened_for_lack_of_a_passphrase_is_tried_by_each_night(
    tmp_path: Path,
    peer: GnupgPeer,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
):
    folders = site(tmp_path, {f"{HAYWARD}/transcript/{NAME}.pgp": encrypted(peer, ROSTER)})
    monkeypatch.setenv("CCGI_OPENPGP_PASSPHRASE", "a passphrase of something else")
    with caplog.at_level(logging.ERROR):
        load_and_answer(folders)
    assert rules(receipt(folders)) == ["FILE-FAULT"]
    assert "passphrase" in caplog.text
    monkeypatch.setenv("CCGI_OPENPGP_PASSPHRASE", SECRET)
    load_and_answer(folders, ON + timedelta(days=1))
    assert len(student_rows(folders)) == len(SSIDS)


def test_a_replay_reads_what_no_key_could_open_once_there_is_one(tmp_path: Path, peer: GnupgPeer):
    folders = folders_in(tmp_path)
    put(folders.inbox, f"{HAYWARD}/transcript/{NAME}.pgp", encrypted(peer, ROSTER))
    load_and_answer(folders)
    assert rules(receipt(folders)) == ["FILE-PGP-NO-KEY"]
    keep_intake_key(folders.warehouse)
    _replay(folders)
    assert len(student_rows(folders)) == len(SSIDS)


def test_a_replay_is_the_operators_decision_about_a_file_that_came_plain(tmp_path: Path):
    folders = site(tmp_path, {f"{HAYWARD}/transcript/{NAME}": ROSTER})
    (folders.warehouse / "profiles.toml").write_text(
        f'[districts.{HAYWARD}.openpgp]\nreceived = "required"\n'
    )
    load_and_answer(folders)
    assert rules(receipt(folders)) == ["FILE-PGP-REQUIRED"]
    _replay(folders)
    assert len(student_rows(folders)) == len(SSIDS)


def _replay(folders: PipelinePaths) -> None:
    command = ["replay", "--warehouse", str(folders.warehouse), "--date", str(ON), "--apply"]
    done = CliRunner().invoke(main, [*command, "--by", "A. Name", "--reason", "a key was added"])
    assert done.exit_code == 0, done.output


def test_an_agreed_form_is_asked_for_by_district(tmp_path: Path, peer: GnupgPeer):
    folders = site(
        tmp_path,
        {
            f"{HAYWARD}/transcript/{NAME}": ROSTER,
            f"{OTHER}/transcript/{NAME}": roster_file(students(SSIDS[:3], PALM_SPRINGS_HIGH)),
        },
    )
    (folders.warehouse / "profiles.toml").write_text(
        f'[districts.{HAYWARD}.openpgp]\nreceived = "required"\n'
    )
    load_and_answer(folders)
    assert rules(receipt(folders)) == ["FILE-PGP-REQUIRED"]
    assert "FILE-PGP-REQUIRED" not in rules(receipt(folders, OTHER))
    put(folders.inbox, f"{HAYWARD}/transcript/{NAME}.pgp", encrypted(peer, ROSTER))
    load_and_answer(folders, ON + timedelta(days=1))
    assert len(student_rows(folders)) >= len(SSIDS)


def test_cells_in_receipts_come_from_the_opened_file(tmp_path: Path, peer: GnupgPeer):
    bad = roster_file([student(SSIDS[0], HAYWARD_HIGH, DateOfBirth="Canary0002")])
    folders = site(tmp_path, {f"{HAYWARD}/transcript/{NAME}.pgp": encrypted(peer, bad)})
    (folders.warehouse / "profiles.toml").write_text(
        f"[districts.{HAYWARD}.receipts]\nshow_values = true\n"
    )
    load_and_answer(folders)
    (file,) = (folders.outbox / FOLDERS[HAYWARD] / "_receipts").glob("*.csv")
    cells = [row[-1] for row in csv.reader(io.StringIO(file.read_text("utf-8-sig")))]
    assert "Canary0002" in cells


def test_the_status_says_to_whom_nothing_is_sent_and_why(tmp_path: Path, peer: GnupgPeer):
    folders = site(tmp_path, {f"{HAYWARD}/transcript/{NAME}": ROSTER})
    load_and_answer(folders)
    command = ["status", "--warehouse", str(folders.warehouse), "--date", str(ON)]
    assert CliRunner().invoke(main, command).exit_code == 0
    district = peer.make_key("District", ("ed25519", "cv25519"), expires="20d")
    pin_key(folders.warehouse, HAYWARD, peer, district)
    done = CliRunner().invoke(main, command)
    assert done.exit_code == 0
    assert f"OpenPGP key {district[-16:]} of {HAYWARD} (both) ends on" in done.output
    retire(folders.warehouse, HAYWARD, district, "2026-01-01")
    done = CliRunner().invoke(main, command)
    assert done.exit_code == 1
    assert f"{HAYWARD}: has no OpenPGP key any more" in done.output
    assert HAYWARD not in CliRunner().invoke(main, [*command, "--district", OTHER]).output


def test_the_search_of_a_purge_opens_encrypted_files(tmp_path: Path, peer: GnupgPeer):
    folders = site(tmp_path, {f"{HAYWARD}/transcript/{NAME}.pgp": encrypted(peer, ROSTER)})
    load_and_answer(folders)
    archived = folders.archive.files()
    assert find_files_with_values(folders, pl.Series(["7531000003"]), archived) == archived
    assert find_files_with_values(folders, pl.Series(["7531000009"]), archived) == []


def test_a_check_opens_what_it_has_the_key_for_and_says_when_it_has_none(
    tmp_path: Path, peer: GnupgPeer
):
    folders = site(tmp_path, {f"{HAYWARD}/transcript/{NAME}": ROSTER})
    load_and_answer(folders)
    file = put(tmp_path, f"{HAYWARD}/transcript/{NAME}.pgp", encrypted(peer, ROSTER))
    command = ["check", str(file), "--format", "json", "--date", str(ON)]
    done = CliRunner().invoke(main, [*command, "--warehouse", str(folders.warehouse)])
    (judged,) = json.loads(done.stdout)["files"]
    assert (done.exit_code, judged["feed"]) == (0, "transcript_student")
    assert [rule["rule"] for rule in judged["rules"]].count("FILE-PGP-OPENED") == 1
    done = CliRunner().invoke(main, command)
    (judged,) = json.loads(done.stdout)["files"]
    assert done.exit_code == 2
    assert [rule["rule"] for rule in judged["rules"]] == ["FILE-PGP-NO-KEY"]
