"""Checks as the UI lists them: what each judges, and where to read what to do when it fails.

Belongs here: how a check is declared. Its description stands beside its asset.
"""

import warnings

import dagster as dg

from ccgi_pipeline.common.runbook import runbook_link
from ccgi_pipeline.defs.code_location import asset_key


def build_check(
    name: str,
    asset: str,
    description: str,
    *,
    blocking: bool = False,
    partitions: dg.PartitionsDefinition[str] | None = None,
) -> dg.AssetCheckSpec:
    """Declares a check whose description links to its section of the runbook."""
    link = runbook_link(name)
    # Dagster calls checks on partitions a preview, and says so at every start. Nothing depends on
    # such a check: it only shows what the ledger has decided.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.PreviewWarning)
        return dg.AssetCheckSpec(
            name,
            asset=asset_key(asset),
            blocking=blocking,
            partitions_def=partitions,
            description=f"{description}\n\nWhat to do: {link}",
            metadata={"runbook": _as_metadata(link)},
        )


def _as_metadata(link: str) -> dg.MetadataValue[str]:
    """Returns a link if the page has an address of its own, else the name of the file."""
    return dg.MetadataValue.url(link) if "://" in link else dg.MetadataValue.text(link)
