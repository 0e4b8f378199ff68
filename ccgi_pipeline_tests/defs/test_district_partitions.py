"""The districts' partitions: the UI shows a district's name, and each district has one key."""

from __future__ import annotations

from collections.abc import Iterator

import dagster as dg
import pytest

from ccgi_pipeline.defs.district_partitions import (
    DISTRICTS,
    delete_partition,
    keep_partitions,
    read_cd_code,
)


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as opened:
        yield opened


def _keys(instance: dg.DagsterInstance) -> list[str]:
    return sorted(instance.get_dynamic_partitions(DISTRICTS.name))


def test_a_partition_is_called_by_code_and_folder(instance: dg.DagsterInstance) -> None:
    keys = keep_partitions(instance, {"0161192": "HaywardUnified", "7777777": "7777777"})
    assert keys == {"0161192": "0161192 HaywardUnified", "7777777": "7777777"}
    assert _keys(instance) == sorted(keys.values())
    assert [read_cd_code(key) for key in keys.values()] == [*keys]


@pytest.mark.parametrize("former", ["0161192", "0161192 HaywardJointUnified"])
def test_a_former_key_of_a_district_goes_and_others_stay(
    instance: dg.DagsterInstance, former: str
) -> None:
    instance.add_dynamic_partitions(DISTRICTS.name, [former, "3367173", "0161200 Livermore"])
    keep_partitions(instance, {"0161192": "HaywardUnified"})
    assert _keys(instance) == ["0161192 HaywardUnified", "0161200 Livermore", "3367173"]


def test_a_purged_district_has_no_partition_under_any_key(instance: dg.DagsterInstance) -> None:
    mine = ["0161192", "0161192 HaywardUnified"]
    instance.add_dynamic_partitions(DISTRICTS.name, [*mine, "0161200 Livermore"])
    delete_partition(instance, "0161192")
    assert _keys(instance) == ["0161200 Livermore"]
