"""The files that each form of the dictionary consists of, and writing them.

Belongs here: names of files by form. Files are their owner's alone, like all that the pipeline
writes, and appear whole or not at all.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from ccgi_pipeline.dictionary import data_contracts, data_packages, markdown, objects, site
from ccgi_pipeline.dictionary.contracts import CONTRACTS

OF_CONTRACTS = ("odcs", "frictionless")
"""Forms that have a document for each contract."""


def render_document(form: str, contract: str | None = None) -> str:
    """Returns the one document of a form, or that of a contract by its name."""
    if form == "json":
        return objects.render_json()
    if form == "markdown":
        return markdown.render_markdown()
    chosen = CONTRACTS[contract or ""]
    if form == "odcs":
        return data_contracts.render_data_contract(chosen)
    return data_packages.render_data_package(chosen)


def render_files(form: str, contract: str | None = None) -> Iterator[tuple[str, str]]:
    """Yields name and content of each file of a form; ``contract``: of this one only."""
    if form == "html":
        yield from site.render_site()
        return
    if form not in OF_CONTRACTS:
        ending = {"markdown": "md"}.get(form, form)
        yield f"data-dictionary.{ending}", render_document(form)
        return
    for name, chosen in CONTRACTS.items():
        if contract not in {None, name}:
            continue
        if form == "odcs":
            yield f"{name}.odcs.yaml", render_document(form, name)
            continue
        yield f"{name}/datapackage.json", render_document(form, name)
        for feed in chosen.feeds:
            schema = data_packages.render_table_schema(chosen, feed)
            yield f"{name}/{feed.name}.schema.json", schema
            resource = data_packages.render_resource(chosen, feed)
            yield f"{name}/{feed.name}.resource.json", resource


def write_files(folder: Path, files: Iterable[tuple[str, str]]) -> int:
    """Writes files below a folder; returns how many."""
    count = 0
    for name, content in files:
        path = folder / name
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        unfinished = path.with_name(f".{path.name}.part")
        unfinished.touch(mode=0o600)
        unfinished.write_text(content, encoding="utf-8")
        unfinished.replace(path)
        count += 1
    return count
