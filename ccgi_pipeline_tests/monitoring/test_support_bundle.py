"""The support bundle: what it tells, and what it leaves out.

That no value of any feed is in it after any failure is tested in ``privacy``, with other places.
"""

from __future__ import annotations

import io
import json
import stat
import zipfile
from pathlib import Path

import polars as pl
import pytest
from click.testing import CliRunner, Result

from ccgi_pipeline.cli import main
from ccgi_pipeline.defs.recorded_runs import read_last_runs
from ccgi_pipeline.feeds.transcript import STUDENT
from ccgi_pipeline.intake.contents import Content
from ccgi_pipeline.monitoring.support_bundle import structure
from ccgi_pipeline.monitoring.support_bundle.bundle import UnknownDropError, build_support_bundle
from ccgi_pipeline.monitoring.support_bundle.file_shapes import count_cell_shapes, describe_shape
from ccgi_pipeline.monitoring.support_bundle.runs import keep_known_words
from ccgi_pipeline.nightly.paths import PipelinePaths
from ccgi_pipeline_tests.files import as_bytes
from ccgi_pipeline_tests.nightly.inboxes import (
    HAYWARD,
    HAYWARD_HIGH,
    numbered,
    put_roster,
    students,
)
from ccgi_pipeline_tests.nightly.nights import folders_in, load_and_answer
from ccgi_pipeline_tests.vanishing_files import once_listed

pytestmark = pytest.mark.slow

ROSTER = students(numbered(1000000001, 15), HAYWARD_HIGH)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> PipelinePaths:
    made = folders_in(tmp_path_factory.mktemp("support"))
    put_roster(made.inbox, HAYWARD, ROSTER)
    load_and_answer(made)
    return made


def parts_of(content: bytes) -> dict[str, str]:
    with zipfile.ZipFile(io.BytesIO(content)) as bundle:
        return {name: bundle.read(name).decode() for name in bundle.namelist()}


def drop_of(folders: PipelinePaths) -> str:
    (receipt,) = folders.outbox.glob("*/_receipts/*.json")
    return str(json.loads(receipt.read_text())["drop"])


def test_it_counts_drops_lines_and_findings_and_names_tables(folders: PipelinePaths) -> None:
    parts = parts_of(
        build_support_bundle(folders.warehouse, read_last_runs(folders.warehouse / "dagster"))
    )
    counts = json.loads(parts["counts.json"])
    assert [(row["verdict"], row["drops"]) for row in counts["drops"]] == [("accepted", 1)]
    assert {(row["feed"], row["lines"]) for row in counts["ledger"]} == {
        ("transcript_student", 15),
        ("transcript_manifest", 1),
    }
    tables = {table["table"]: table["rows"] for table in json.loads(parts["tables.json"])}
    assert tables["transcript_student"] == 15
    assert json.loads(parts["faults.json"]) == {}
    assert json.loads(parts["versions.json"])["duckdb"]


def test_the_page_to_be_read_first_names_every_part(folders: PipelinePaths) -> None:
    parts = parts_of(build_support_bundle(folders.warehouse, [], drop_of(folders)))
    assert all(f"`{name}`" in parts["READ_ME_FIRST.md"] for name in parts if name.endswith("json"))
    assert "* drops accepted: 1" in parts["READ_ME_FIRST.md"]


def test_the_shape_of_a_drop_has_known_headers_and_no_cell(folders: PipelinePaths) -> None:
    parts = parts_of(build_support_bundle(folders.warehouse, [], drop_of(folders)[:8]))
    by_feed = {told["feed"]: told for told in json.loads(parts["shapes.json"])}
    roster = by_feed["transcript_student"]
    assert roster["columns"]["StateID"] == {"9{10}": 15}
    assert roster["columns"]["DateOfBirth"] == {"9{2}/9{2}/9{4}": 15}
    assert roster["columns"]["MiddleName"] == {"blank": 15}
    assert roster["lines by number of cells"] == {"38": 15}
    assert "1000000001" not in parts["shapes.json"]


def test_shapes_of_few_lines_are_counted_together() -> None:
    cells = pl.Series(["Ann"] * 11 + ["Maximilian"] * 3 + ["x-y"] * 10 + ["12"])
    assert count_cell_shapes(cells) == {"A{3,10}": 14, "other": 11}


@pytest.mark.parametrize(
    ("cell", "told"),
    [
        ("Zoë", "A{3}"),
        ("O'Neil-Smith 2", "A'A{4}-A{5} 9"),
        ("a@b.org", "A@A.A{3}"),
        ("", "blank"),
        ("№7☺", "?9?"),
    ],
)
def test_a_cell_is_told_by_the_kinds_of_its_characters(cell: str, told: str) -> None:
    assert count_cell_shapes(pl.Series([cell] * 11)) == {told: 11}


def test_header_names_that_nobody_declared_are_counted() -> None:
    header = [*STUDENT.columns, "Maria Lopez", "555-0100"]
    told = describe_shape(Content.of_bytes(as_bytes(STUDENT, ROSTER, header=header)), STUDENT)
    assert told["header cells of unknown name"] == 2
    assert told["header"] == [*STUDENT.columns]
    assert "Lopez" not in json.dumps(told)


def test_a_pupils_line_in_place_of_the_header_is_told_by_its_count_alone() -> None:
    content = as_bytes(STUDENT, ROSTER, header=[])
    for feed in (STUDENT, None):
        told = describe_shape(Content.of_bytes(content), feed)
        assert told["header"] == []
        assert "1000000001" not in json.dumps(told)


@pytest.mark.parametrize("content", [b"", b"\n\n", b"\xff\xfe\x00", b"\x81\x8d", b'"a'])
def test_any_bytes_have_a_shape(content: bytes) -> None:
    assert describe_shape(Content.of_bytes(content), None)["bytes"] == len(content)


def test_of_an_error_only_words_of_our_own_are_told() -> None:
    told = keep_known_words(
        "ServersRefuseError: no file Quigley Roster.csv of 9753100001 in the inbox"
    )
    assert told == "ServersRefuseError: no file … of … in the inbox"


def test_settings_are_told_by_their_structure(tmp_path: Path) -> None:
    (tmp_path / "profiles.toml").write_text(
        """
        [sftp.quigley]
        host = "sftp.quigley.example.org"
        user = "quigley"
        host_keys = ["SHA256:abc"]
        outbox = "/quigley"

        [districts.3367173.delivery]
        server = "quigley"
        small_cells = "california_10"
        """
    )
    told = structure.describe_settings(tmp_path)
    assert told["profiles"]["districts"]["3367173"]["delivery"] == {
        "server": "a text of 7 characters",
        "small_cells": "california_10",
    }
    assert "quigley" not in json.dumps(told).lower()
    (tmp_path / "profiles.toml").write_text("quigley = 1\n")
    assert structure.describe_settings(tmp_path) == {"profiles": "cannot be read: ProfileError"}


def test_an_unknown_drop_is_told(folders: PipelinePaths) -> None:
    with pytest.raises(UnknownDropError, match="0 drops have an id that begins like that"):
        build_support_bundle(folders.warehouse, [], "zz")


def ccgi(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["support-bundle", *map(str, arguments)])


def test_the_command_writes_a_file_for_its_owner_and_never_over_another(
    folders: PipelinePaths, tmp_path: Path
) -> None:
    out = tmp_path / "support.zip"
    written = ccgi("--warehouse", folders.warehouse, "--out", out)
    assert written.exit_code == 0, written.output
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    again = ccgi("--warehouse", folders.warehouse, "--out", out)
    assert again.exit_code == 1
    assert "is there already" in again.output


def test_what_a_night_takes_away_meanwhile_is_not_counted(tmp_path: Path) -> None:
    staging = tmp_path / "staging"
    (staging / "batch-1").mkdir(parents=True)
    passing = [staging / "batch-1" / "lines.parquet", staging / "files.parquet"]
    for file in passing:
        file.write_bytes(b"12")
    (staging / "drops.json").write_bytes(b"345")

    def take_away() -> None:
        for file in passing:
            file.unlink()
        (staging / "batch-1").rmdir()

    with once_listed(staging, take_away):
        assert structure.measure_sizes(tmp_path) == {"staging": {"files": 1, "bytes": 3}}


def test_a_folder_without_a_warehouse_has_a_bundle_too(tmp_path: Path) -> None:
    parts = parts_of(build_support_bundle(tmp_path, read_last_runs(tmp_path / "dagster")))
    assert json.loads(parts["runs.json"]) == []
    assert "counts.json" not in parts
