"""The rules that other tools are given: all that the declarations say of single files.

Belongs here: rules derived of declared columns. The forms of a Data Package are tested with the
dictionary.
"""

from __future__ import annotations

import pytest

from ccgi_pipeline.bench.peers import rules
from ccgi_pipeline.bench.peers.exchange import KINDS
from ccgi_pipeline.feeds.columns import Requirement
from ccgi_pipeline.feeds.rules import Severity

FAMILIES = tuple(rules.CONTRACT_OF)


def _files(family: str) -> dict[str, str]:
    return {feed.name: f"{feed.stems[0]}.csv" for feed in rules.CONTRACT_OF[family].feeds}


def _resources(family: str) -> dict[str, dict]:
    package = rules.derive_package(family, _files(family))
    return {resource["path"]: resource for resource in package["resources"]}


@pytest.mark.parametrize("family", FAMILIES)
def test_every_column_of_every_feed_is_there_with_what_it_must_be(family: str):
    resources = _resources(family)
    contract = rules.CONTRACT_OF[family]
    assert len(resources) == len(contract.feeds)
    for feed in contract.feeds:
        schema = resources[_files(family)[feed.name]]["schema"]
        columns = contract.columns(feed)
        assert [field["name"] for field in schema["fields"]] == [column.name for column in columns]
        assert schema["primaryKey"] == list(feed.keys)
        for field, column in zip(schema["fields"], columns, strict=True):
            limits = field.get("constraints", {})
            needed = column.requirement is Requirement.REQUIRED and column.blank is Severity.ERROR
            assert limits.get("required", False) is needed
            assert limits.get("maxLength") == column.length
            if column.codes and not column.listed and not column.extended:
                assert limits["enum"] == list(column.codes.values)


def test_references_lead_to_files_of_the_set_only():
    files = _files("transcript")
    [course] = [path for feed, path in files.items() if feed == "transcript_course_grade"]
    assert _resources("transcript")[course]["schema"]["foreignKeys"]
    del files["transcript_student"]
    package = rules.derive_package("transcript", files)
    assert len(package["resources"]) == len(files)
    assert not [one for one in package["resources"] if "foreignKeys" in one["schema"]]


def test_rules_are_counted_by_kind():
    packages = {family: rules.derive_package(family, _files(family)) for family in FAMILIES}
    counted = rules.count_rules(packages.values())
    assert set(counted) == set(KINDS)
    assert counted["columns"] == counted["primaryKey"] == sum(len(_files(f)) for f in FAMILIES)
    one = {**packages["transcript"], "resources": [_resources("transcript")["Manifest.csv"]]}
    # A manifest has one column, which is required and has a length.
    assert {kind: n for kind, n in rules.count_rules([one]).items() if n} == {
        "columns": 1,
        "primaryKey": 1,
        "required": 1,
        "maxLength": 1,
    }
    assert all(rules.count_other_rules(packages).values())
