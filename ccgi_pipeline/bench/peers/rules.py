"""The rules that every tool is given, derived from the declarations of the feeds.

Belongs here: the Data Package of the files of one set, and how many of the project's rules it
holds. Does not belong here: what a package says of a column (``dictionary.data_packages``).
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

from ccgi_pipeline.bench.peers.exchange import Package
from ccgi_pipeline.dictionary.contracts import CONTRACTS, Contract
from ccgi_pipeline.dictionary.data_packages import render_data_package
from ccgi_pipeline.feeds.file_rules import FILE_RULES
from ccgi_pipeline.feeds.registry import feed_by_name

CONTRACT_OF: Mapping[str, Contract] = {
    "oneroster": CONTRACTS["oneroster-1.1"],
    "transcript": CONTRACTS["transcript"],
}
"""By family, the contract of the sets that are compared."""


def name_files(family: str, folder: Path) -> dict[str, str]:
    """Returns the name of each feed's file in a folder, by feed."""
    feeds = CONTRACT_OF[family].feeds
    found = ((feed_by_name(path.name, feeds), path.name) for path in sorted(folder.iterdir()))
    return {feed.name: name for feed, name in found if feed is not None}


def derive_package(family: str, files: Mapping[str, str]) -> Package:
    """Returns the rules of these files (names by feed) as a Data Package.

    References to files that are not in the set are left out.
    """
    package: Package = json.loads(render_data_package(CONTRACT_OF[family]))
    names = {feed.lower(): name for feed, name in files.items()}
    package["resources"] = [
        {**resource, "path": names[resource["name"]]}
        for resource in package["resources"]
        if resource["name"] in names
    ]
    for resource in package["resources"]:
        references = resource["schema"].pop("foreignKeys", [])
        kept = [one for one in references if one["reference"]["resource"] in {"", *names}]
        if kept:
            resource["schema"]["foreignKeys"] = kept
    return package


def count_rules(packages: Iterable[Package]) -> dict[str, int]:
    """Returns how many rules of each kind (``KINDS``) the packages have."""
    found: Counter[str] = Counter()
    for schema in (resource["schema"] for one in packages for resource in one["resources"]):
        found["columns"] += 1
        found["primaryKey"] += 1
        found["foreignKeys"] += len(schema.get("foreignKeys", ()))
        for field in schema["fields"]:
            found["type"] += field["type"] != "string"
            found.update(field.get("constraints", {}).keys())
    return dict(found)


def count_other_rules(packages: Mapping[str, Package]) -> dict[str, int]:
    """Returns how many rules of the files no package (by family) can hold, by what they look at."""
    names = {resource["name"] for one in packages.values() for resource in one["resources"]}
    contracts = [CONTRACT_OF[family] for family in packages]
    feeds = [feed for contract in contracts for feed in contract.feeds]
    rules = sum(len(feed.rules) for feed in feeds if feed.name.lower() in names)
    return {
        "comparisons of columns, lines, files, dates": rules
        - count_rules(packages.values())["foreignKeys"],
        "headers and whole sets": sum(len(contract.family.rules) for contract in contracts),
        "bytes, encodings, damage": len(FILE_RULES),
    }
