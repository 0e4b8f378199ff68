"""The guard in front of the service: what it refuses by the head of a request alone.

Belongs here: names of the host, pages of other sites, and the headers of every answer. Does not
belong here: what is in the body (``uploads``).
"""

from __future__ import annotations

from collections.abc import Collection
from urllib.parse import urlsplit

from ccgi_pipeline.check_service import refusals
from ccgi_pipeline.http_service.refusals import Refusal
from ccgi_pipeline.http_service.request_heads import RequestHead, is_known_host

_READING = frozenset({"GET", "HEAD"})

NOTHING = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
"""The content security policy of what needs nothing."""

HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": NOTHING,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
"""The headers of every answer, unless it has others of these names."""


def find_refusal(head: RequestHead, hosts: Collection[str]) -> Refusal | None:
    """Returns why a request is refused; None if it is let through."""
    host = head.header("host") or ""
    if not is_known_host(host, hosts):
        return refusals.UNKNOWN_HOST
    if head.method not in _READING and _is_of_other_site(head, host):
        return refusals.OTHER_SITE
    return None


def _is_of_other_site(head: RequestHead, host: str) -> bool:
    """Returns whether a browser says that another site's page has sent the request.

    A page that sends no referrer has the origin ``null``: then Sec-Fetch-Site decides alone. What
    no browser has sent, such as a request of curl, has neither, and is let through.
    """
    site, origin = head.header("sec-fetch-site"), head.header("origin")
    if site not in {None, "same-origin"}:
        return True
    if origin is None or (site is not None and origin == "null"):
        return False
    return urlsplit(origin).netloc.lower() != host.lower()
