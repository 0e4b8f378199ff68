"""Checks as the UI lists them: each says what it is, and where to read what to do when it is red.

Belongs here: the one way in which a check is declared. What it judges is said beside its asset.
"""

import warnings

import dagster as dg

from ccgi_pipeline.common.runbook import runbook_link


def check_spec(
    name: str,
    asset: str,
    description: str,
    *,
    blocking: bool = False,
    partitions: dg.PartitionsDefinition[str] | None = None,
) -> dg.AssetCheckSpec:
    """A check that leads to its section of the runbook."""
    link = runbook_link(name)
    # Checks on partitions are a preview of Dagster's. What is delivered does not hang on them: the
    # ledger decides, such a check only shows it. So the notice is of no use to who runs a night.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.PreviewWarning)
        return dg.AssetCheckSpec(
            name,
            asset=asset,
            blocking=blocking,
            partitions_def=partitions,
            description=f"{description}\n\nWhat to do: {link}",
            metadata={"runbook": _linked(link)},
        )


def _linked(link: str) -> dg.MetadataValue[str]:
    """A link where the page has an address of its own; else the file's name."""
    return dg.MetadataValue.url(link) if "://" in link else dg.MetadataValue.text(link)
