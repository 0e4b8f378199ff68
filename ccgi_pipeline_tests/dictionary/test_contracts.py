"""Contracts for those who build exports: valid by the tools of their standards, and biting.

Belongs here: the documents of both standards, judged by the standards' own tools, and files judged
by the documents. A new feed is tested by being declared.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from functools import cache
from importlib.resources import files
from pathlib import Path

import jsonschema
import pytest
import yaml
from click.testing import CliRunner
from frictionless import Package, Report, Resource, Schema
from open_data_contract_standard.model import OpenDataContractStandard

from ccgi_pipeline.cli import main
from ccgi_pipeline.dictionary import contracts, data_contracts, data_packages
from ccgi_pipeline.dictionary.contracts import CONTRACTS, Contract
from ccgi_pipeline.feeds.columns import Column, ColumnType
from ccgi_pipeline.feeds.registry import FAMILIES, FEEDS, FEEDS_BY_NAME, RULES
from ccgi_pipeline.feeds.spec import FeedSpec
from ccgi_pipeline_tests.files import (
    as_bytes,
    broken_rules,
    good_lines,
    usual_name,
    verified,
)
from ccgi_pipeline_tests.foster_focus import Line
from ccgi_pipeline_tests.tiers import slow_but

EACH_CONTRACT = pytest.mark.parametrize("contract", CONTRACTS.values(), ids=CONTRACTS)
OF_FEEDS = [(contract, feed) for contract in CONTRACTS.values() for feed in contract.feeds]
EACH_FEED = pytest.mark.parametrize(
    ("contract", "feed"), OF_FEEDS, ids=[f"{one.name} {feed.name}" for one, feed in OF_FEEDS]
)


def good_lines_of(contract: Contract, feed: FeedSpec) -> list[Line]:
    """Good lines of the contract's version, with dates in its form."""
    lines = good_lines(feed)
    if feed.manifest and contract.edition:
        newest = contract.family.editions[-1]
        lines = [
            {name: contract.edition if cell == newest else cell for name, cell in line.items()}
            for line in lines
        ]
    for column in contract.columns(feed):
        form = contracts.date_form(column)
        if column.type is ColumnType.DATE and form:
            for line in lines:
                line[column.name] = _in_form(line[column.name], column, form)
    return lines


def _in_form(cell: str, column: Column, form: str) -> str:
    for known in column.formats:
        try:
            return datetime.strptime(cell, known).strftime(form)  # noqa: DTZ007 - a date alone
        except ValueError:
            continue
    return cell


def written(folder: Path, contract: Contract, feed: FeedSpec, lines: list[Line]) -> Path:
    """The file of a feed with the columns of the contract."""
    path = folder / contracts.file_name(feed)
    names = [column.name for column in contract.columns(feed)]
    path.write_bytes(as_bytes(feed, lines, header=names))
    return path


def judged_alone(folder: Path, contract: Contract, feed: FeedSpec, lines: list[Line]) -> Report:
    """What frictionless says of one file by its resource descriptor."""
    written(folder, contract, feed, lines)
    descriptor = folder / "resource.json"
    descriptor.write_text(data_packages.render_resource(contract, feed))
    return Resource.from_descriptor(str(descriptor), basepath=str(folder)).validate()


# --- Open Data Contract Standard ------------------------------------------------------------------


@cache
def document_of(contract: str) -> dict[str, object]:
    """The document of a contract; reading YAML takes a second."""
    text = data_contracts.render_data_contract(CONTRACTS[contract])
    return yaml.load(text, Loader=yaml.CSafeLoader)


def read_contract(contract: Contract) -> OpenDataContractStandard:
    return OpenDataContractStandard(**document_of(contract.name))


def schema_of_standard() -> dict[str, object]:
    return json.loads(files("open_data_contract_standard").joinpath("schema.json").read_text())


@pytest.mark.parametrize("name", slow_but("transcript", CONTRACTS))
def test_a_data_contract_is_valid_by_the_standards_model_and_schema(name: str):
    document = document_of(name)
    assert read_contract(CONTRACTS[name]).apiVersion == "v3.2.0"
    schema = schema_of_standard()
    jsonschema.Draft201909Validator.check_schema(schema)
    jsonschema.Draft201909Validator(schema).validate(document)
    for place in _arrays_of(document):
        ids = [one["id"] for one in place if isinstance(one, dict) and "id" in one]
        assert len(ids) == len(set(ids)), "an id is unique in its array"


def _arrays_of(value: object) -> Iterator[list[object]]:
    if isinstance(value, list):
        yield value
    for inner in value.values() if isinstance(value, dict) else value:
        if isinstance(inner, dict | list):
            yield from _arrays_of(inner)


def test_every_feed_column_and_rule_is_in_a_data_contract():
    feeds: dict[str, set[str]] = {}
    rules: set[str] = set()
    for contract in CONTRACTS.values():
        read = read_contract(contract)
        told = [entry["value"] for entry in _custom(read) if entry["property"] == "rulesOfDrops"]
        rules |= {rule["id"] for of_drops in told for rule in of_drops}
        for table in read.schema_ or []:
            feeds.setdefault(table.name or "", set()).update(p.name for p in table.properties or [])
            rules |= {entry.name for p in (table, *table.properties) for entry in p.quality or []}
    newest = {
        feed.name: {name for name, column in feed.columns.items() if _in_some_edition(feed, column)}
        for feed in FEEDS
    }
    assert feeds == newest
    of_families = {rule.id for family in FAMILIES.values() for rule in family.rules}
    of_feeds = {
        rule.id
        for feed in FEEDS
        for rule in feed.all_rules.values()
        if rule.column is None
        or rule.column not in feed.columns
        or rule.column in newest[feed.name]
    }
    assert rules == of_families | of_feeds


def _custom(read: OpenDataContractStandard) -> list[Mapping[str, object]]:
    return [entry.model_dump() for entry in read.customProperties or []]


def _in_some_edition(feed: FeedSpec, column: Column) -> bool:
    editions = FAMILIES[feed.family].editions or ("",)
    return any(column.expected_in(edition) for edition in editions)


def test_a_column_says_type_length_class_key_and_source():
    (table,) = [t for t in read_contract(CONTRACTS["transcript"]).schema_ if "student" in t.name]
    by_name = {column.name: column for column in table.properties}
    ssid = by_name["StateID"]
    assert (ssid.logicalType, ssid.physicalType, ssid.required) == ("string", "VARCHAR", True)
    assert (ssid.primaryKey, ssid.primaryKeyPosition) == (True, 1)
    assert (ssid.classification, ssid.tags) == ("pii+restricted", ["pii", "restricted"])
    assert ssid.logicalTypeOptions == {"pattern": "(?:[0-9]{10})"}
    assert "StudentTemplate" in ssid.authoritativeDefinitions[0].description
    assert by_name["FirstName"].physicalType == "VARCHAR(50)"
    assert by_name["GPA"].physicalType == "DECIMAL(10,4)"
    assert by_name["DateOfBirth"].logicalTypeOptions == {"format": "MM/dd/yyyy"}
    codes = {code.value: code.label for code in by_name["Gender"].enum}
    assert codes["X"] == "Nonbinary"
    (entry,) = [e for e in ssid.quality if e.name == "TR-STU-TYPE-StateID"]
    assert (entry.severity, entry.dimension) == ("error", "conformity")
    assert entry.description == RULES[entry.name].text


def test_the_version_follows_the_content(monkeypatch: pytest.MonkeyPatch):
    contract = CONTRACTS["cccapply"]
    before = data_contracts.render_data_contract(contract)
    assert data_contracts.render_data_contract(contract) == before
    monkeypatch.setattr(contracts, "is_required", lambda _: False)
    changed = data_contracts.render_data_contract(contract)
    versions = [yaml.safe_load(text)["version"] for text in (before, changed)]
    assert versions[0] != versions[1]


def test_a_version_of_oneroster_has_its_own_files_and_columns():
    first, second = (
        {table.name: table for table in read_contract(CONTRACTS[name]).schema_}
        for name in ("oneroster-1.1", "oneroster-1.2")
    )
    assert set(second) - set(first) == {"oneroster_roles", "oneroster_userProfiles"}
    columns = {
        edition: {p.name for p in tables["oneroster_users"].properties}
        for edition, tables in {"1.1": first, "1.2": second}.items()
    }
    assert columns["1.1"] - columns["1.2"] == {"orgSourcedIds", "role"}
    assert "pronouns" in columns["1.2"] - columns["1.1"]


# --- Frictionless ---------------------------------------------------------------------------------


@EACH_CONTRACT
def test_a_data_package_is_valid_and_accepts_a_good_set(contract: Contract, tmp_path: Path):
    descriptor = tmp_path / "datapackage.json"
    descriptor.write_text(data_packages.render_data_package(contract))
    read = json.loads(descriptor.read_text())
    assert [*Package.metadata_validate(read)] == []
    assert len({one["name"] for one in read["resources"]}) == len(contract.feeds)
    for feed in contract.feeds:
        written(tmp_path, contract, feed, good_lines_of(contract, feed))
    report = Package.from_descriptor(str(descriptor), basepath=str(tmp_path)).validate()
    assert report.valid, report.flatten(["title", "fieldName", "message"])


@EACH_FEED
def test_a_table_schema_is_valid(contract: Contract, feed: FeedSpec):
    read = json.loads(data_packages.render_table_schema(contract, feed))
    assert [*Schema.metadata_validate(read)] == []
    assert [field["name"] for field in read["fields"]] == [c.name for c in contract.columns(feed)]


@EACH_FEED
def test_a_table_schema_tells_a_broken_cell_from_good_ones(
    contract: Contract, feed: FeedSpec, tmp_path: Path
):
    good = good_lines_of(contract, feed)[0]
    broken = [*_broken_cells(contract, feed)]
    assert broken
    lines = [good, *({**good, column: cell} for column, cell in broken)]
    report = judged_alone(tmp_path, contract, feed, lines)
    told = {
        (row, field or feed.keys[0])  # a blank line of a file with one column
        for row, field, kind in report.flatten(["rowNumber", "fieldName", "type"])
        if kind != "primary-key"  # all lines are copies of one
    }
    assert told == {(3 + place, column) for place, (column, _) in enumerate(broken)}


def _broken_cells(contract: Contract, feed: FeedSpec) -> Iterator[tuple[str, str]]:
    """Column and bad cell for each way in which the contract lets a cell be bad."""
    for column in contract.columns(feed):
        text = column.type is ColumnType.STRING
        if contracts.is_required(column):
            yield column.name, ""
        if contracts.codes_of(column):
            yield column.name, "999999" if column.type is ColumnType.INTEGER else "~"
        if text and contracts.pattern_of(feed, column, contract.edition):
            yield column.name, "?"
        if text and column.length is not None:
            yield column.name, "1" * (column.length + 1)
        if column.type in _NO_SUCH:
            yield column.name, _NO_SUCH[column.type]
        if contracts.least_of(feed, column) is not None:
            yield column.name, "-1"


_NO_SUCH = {
    ColumnType.DATE: "31/31/2010",
    ColumnType.TIMESTAMP: "yesterday",
    ColumnType.INTEGER: "seven",
    ColumnType.YEAR: "2026-27",
    ColumnType.DECIMAL: "three",
    ColumnType.BOOLEAN: "perhaps",
}


@pytest.mark.parametrize("name", slow_but("transcript", CONTRACTS))
def test_the_pipeline_speaks_of_each_cell_that_a_contract_refuses(name: str):
    contract = CONTRACTS[name]
    for feed in contract.feeds:
        names = [column.name for column in contract.columns(feed)]
        sent = {
            usual_name(other): as_bytes(
                other,
                good_lines_of(contract, other),
                header=[column.name for column in contract.columns(other)],
            )
            for other in contract.feeds
        }
        good = good_lines_of(contract, feed)
        broken = [*_broken_cells(contract, feed)]
        lines = [*good, *({**good[0], column: cell} for column, cell in broken)]
        sent[usual_name(feed)] = as_bytes(feed, lines, header=names)
        told = broken_rules(verified(sent, contract.family.name))
        places = {(line, column) for file, _, line, column in told if file == usual_name(feed)}
        refused = {(2 + len(good) + place, column) for place, (column, _) in enumerate(broken)}
        if len(names) > 1:  # a blank line of a file with one column is passed over
            assert refused <= places, f"{feed.name}: the contract is narrower than it says"


def test_a_data_package_finds_a_repeated_key_and_a_stranger(tmp_path: Path):
    contract = CONTRACTS["transcript"]
    descriptor = tmp_path / "datapackage.json"
    descriptor.write_text(data_packages.render_data_package(contract))
    for feed in contract.feeds:
        lines = good_lines_of(contract, feed)
        if feed.name == "transcript_student":
            lines.append(lines[0])
        if feed.name == "transcript_test_grade":
            lines[1] = {**lines[1], "StateID": "9999999999"}
        written(tmp_path, contract, feed, lines)
    report = Package.from_descriptor(str(descriptor), basepath=str(tmp_path)).validate()
    assert {(kind, row) for kind, row in report.flatten(["type", "rowNumber"])} == {
        ("primary-key", 8),
        ("foreign-key", 3),
    }


def test_a_quotation_mark_is_data_where_a_file_has_no_quoting(tmp_path: Path):
    contract = CONTRACTS["foster_focus"]
    feed = FEEDS_BY_NAME["foster_focus_demographics"]
    lines = [{**line, "LastName": 'O"Neil'} for line in good_lines_of(contract, feed)]
    assert judged_alone(tmp_path, contract, feed, lines).valid


@EACH_FEED
def test_a_contract_names_a_file_as_a_sender_would(contract: Contract, feed: FeedSpec):
    assert contracts.file_name(feed) == usual_name(feed)
    assert contract.family.name == feed.family


# --- the command ----------------------------------------------------------------------------------


_FIRST_FILES = {"odcs": "{}.odcs.yaml", "frictionless": "{}/datapackage.json"}


def run(*arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(main, ["dictionary", *arguments])
    return done.exit_code, done.output


@pytest.mark.parametrize("form", slow_but("frictionless", _FIRST_FILES))
def test_the_command_writes_what_it_prints(form: str, tmp_path: Path):
    name = _FIRST_FILES[form]
    code, told = run("--format", form, "--out", str(tmp_path / "made"))
    assert code == 0, told
    for contract in CONTRACTS:
        path = tmp_path / "made" / name.format(contract)
        assert path.stat().st_mode & 0o777 == 0o600
        assert path.parent.stat().st_mode & 0o777 == 0o700
    assert not [*tmp_path.rglob("*.part")]
    path = tmp_path / "made" / name.format("cccapply")
    assert run("--format", form, "--contract", "cccapply") == (0, path.read_text())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--format", "odcs"), "name a folder with --out, or one with --contract"),
        (("--format", "odcs", "--contract", "oneroster"), "there are cde_directory"),
        (("--contract", "transcript"), "--contract goes with --format odcs or frictionless"),
    ],
)
def test_a_choice_that_means_no_document_is_refused(arguments: tuple[str, ...], words: str):
    code, told = run(*arguments)
    assert code == 2
    assert words in " ".join(told.split())
