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
    """Declares a check whose description links to its section of the runbook.

    If the page has no address of its own, the link leads to the one that ``ccgi ui`` serves.
    """
    link = runbook_link(name)
    address = link if "://" in link else f"/{link}"
    # Dagster calls checks on partitions a preview, and says so at every start. Nothing depends on
    # such a check: it only shows what the ledger has decided.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.PreviewWarning)
        return dg.AssetCheckSpec(
            name,
            asset=asset_key(asset),
            blocking=blocking,
            partitions_def=partitions,
            description=f"{description}\n\nWhat to do: [{link}]({address})",
            metadata={"runbook": dg.MetadataValue.url(address)},
        )
