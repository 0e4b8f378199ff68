"""The page with the form, and the page of a refusal.

Belongs here: rendering them, and what their policy permits. The page needs nothing from elsewhere.
Does not belong here: receipts (``verification.receipt_html``).
"""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from importlib.resources import files as files_of_package

from jinja2 import Environment, Template

from ccgi_pipeline.check_service.settings import MOST_FILES, CheckSettings
from ccgi_pipeline.feeds.registry import DISTRICT_FAMILIES
from ccgi_pipeline.http_service.refusals import Refusal


def render_form(settings: CheckSettings) -> tuple[str, str]:
    """Returns the page on which files are chosen, and its content security policy."""
    script = _read("ccgi_pipeline.check_service", "form.js")
    page = _template().render(
        style=_style(),
        script=script,
        families=[*DISTRICT_FAMILIES.values()],
        largest=settings.largest,
        most_files=MOST_FILES,
        seconds=settings.seconds,
        profiles=settings.profiles is not None,
    )
    permitted = f"script-src '{_hash(script)}'", "form-action 'self'"
    return page, _policy(*permitted, style=_style())


def render_refusal(refusal: Refusal) -> tuple[str, str]:
    """Returns the page that says why nothing was checked, and its content security policy."""
    page = _template().render(style=_style(), refusal=refusal)
    return page, _policy("form-action 'none'", style=_style())


@cache
def receipt_policy() -> str:
    """Returns the content security policy of a receipt."""
    return _policy("form-action 'none'", style=_receipt_style())


def _policy(*more: str, style: str) -> str:
    parts = [
        "default-src 'none'",
        "img-src data:",
        f"style-src '{_hash(style)}'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
        *more,
    ]
    return "; ".join(parts)


@cache
def _template() -> Template:
    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(_read("ccgi_pipeline.check_service", "form.html.jinja"))


@cache
def _style() -> str:
    """The style of receipts, and what a form has besides."""
    return _receipt_style() + _read("ccgi_pipeline.check_service", "form.css")


def _receipt_style() -> str:
    return _read("ccgi_pipeline.verification", "page.css")


def _read(room: str, name: str) -> str:
    return files_of_package(room).joinpath(name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
