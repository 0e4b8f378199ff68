"""The districts' partitions in Dagster: one for each district, called by its code and its folder.

Belongs here: the partitions, their keys, and keeping them when a district gets another folder. A
key is ``3367173 PalmSpringsUnified``: the UI shows nothing else of a partition. Folders change only
with an operator's approval, so keys do too. Partitions of an earlier version have the bare code.
"""

from collections.abc import Mapping

import dagster as dg

from ccgi_pipeline.defs.code_location import NAME

DISTRICTS = dg.DynamicPartitionsDefinition(name=f"{NAME}_district" if NAME else "district")
_NAME = str(DISTRICTS.name)


def read_cd_code(key: str) -> str:
    """Returns the CD code with which a partition's key begins."""
    return key.partition(" ")[0]


def keep_partitions(instance: dg.DagsterInstance, folders: Mapping[str, str]) -> dict[str, str]:
    """Gives each district (CD code) of ``folders`` its partition; returns the keys by CD code.

    A partition that has another key for the same district goes: its events stay with its runs.
    """
    keys = {cd: cd if folder == cd else f"{cd} {folder}" for cd, folder in folders.items()}
    for key in instance.get_dynamic_partitions(_NAME):
        if keys.get(read_cd_code(key), key) != key:
            instance.delete_dynamic_partition(_NAME, key)
    instance.add_dynamic_partitions(_NAME, [*keys.values()])
    return keys


def delete_partition(instance: dg.DagsterInstance, cd: str) -> None:
    """Deletes the partition of a district, under each key that it has."""
    for key in instance.get_dynamic_partitions(_NAME):
        if read_cd_code(key) == cd:
            instance.delete_dynamic_partition(_NAME, key)
