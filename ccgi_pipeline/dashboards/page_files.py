"""The files of pages: rendering, finding out whether a page would change, and its place on disk.

Belongs here: templates and style, the digest by which a page is known, writing the files of the
state's folder. Does not belong here: what pages show (district_page, state_page), the outbox
(reports.outbox).
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import re
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from importlib.resources import files as files_of_package
from pathlib import Path
from typing import Any

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

from ccgi_pipeline.common.atomic_files import write_file
from ccgi_pipeline.dashboards.charts import ChartCache
from ccgi_pipeline.verification import labels

INDEX = "index.html"
_CHARTS = "charts_of_{}.json.gz"
"""Files of the warehouse folder: the pictures of the last night. They can be deleted any time."""


def render_page(template: str, digest: str, **values: object) -> bytes:
    """Returns a page; ``digest`` identifies what it shows."""
    environment = _environment()
    return (environment.get_template(template).render(digest=digest, **values) + "\n").encode()


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=ChoiceLoader(
            [PackageLoader(f"ccgi_pipeline.{room}", ".") for room in ("dashboards", "verification")]
        ),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["number"] = labels.number
    room = files_of_package("ccgi_pipeline.dashboards")
    receipts = files_of_package("ccgi_pipeline.verification")
    style = receipts.joinpath("page.css").read_text(encoding="utf-8") + room.joinpath(
        "pages.css"
    ).read_text(encoding="utf-8")
    script = room.joinpath("filter.js").read_text(encoding="utf-8")
    environment.globals.update(
        style=style, style_hash=_csp_hash(style), script=script, script_hash=_csp_hash(script)
    )
    return environment


def _csp_hash(content: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()


def compute_digest(shown: Mapping[str, Any]) -> str:
    """Returns the digest of a page: of what it shows, and of the code that shows it."""
    content = json.dumps(shown, sort_keys=True, default=str, ensure_ascii=False)
    return hashlib.sha256(f"{_code_digest()}{content}".encode()).hexdigest()[:32]


@cache
def _code_digest() -> str:
    digest = hashlib.sha256()
    for package in ("ccgi_pipeline.dashboards", "ccgi_pipeline.verification"):
        for entry in sorted(files_of_package(package).iterdir(), key=lambda entry: entry.name):
            if entry.name.endswith((".py", ".jinja", ".css", ".js")):
                digest.update(entry.read_bytes())
    return digest.hexdigest()


_DIGEST = re.compile(rb'<meta name="ccgi-facts" content="([0-9a-f]{32})">')
_HEAD = 1_000
"""Bytes from the beginning of a page within which its digest stands."""


def read_digest(path: Path) -> str | None:
    """Returns the digest of the page that lies there, if there is one."""
    with suppress(OSError), path.open("rb") as file:
        found = _DIGEST.search(file.read(_HEAD))
        if found:
            return found[1].decode()
    return None


def read_charts(warehouse: Path, pages: str) -> dict[str, str]:
    """Returns the pictures of the last night; none if there are none, or they cannot be read."""
    with suppress(OSError, EOFError, ValueError, AttributeError):
        found = json.loads(gzip.decompress((warehouse / _CHARTS.format(pages)).read_bytes()))
        return {str(key): str(picture) for key, picture in found.items()}
    return {}


def save_charts(warehouse: Path, pages: str, charts: ChartCache) -> None:
    """Keeps the pictures of this night for the next one, if they are not the known ones."""
    if charts.used.keys() != charts.known.keys():
        packed = gzip.compress(json.dumps(charts.used).encode(), compresslevel=1, mtime=0)
        write_file(warehouse / _CHARTS.format(pages), packed)
