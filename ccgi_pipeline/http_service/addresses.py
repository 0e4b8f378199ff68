"""Network addresses, as far as a service limits what one of them may do.

Belongs here: which addresses count as one. Does not belong here: what is limited.
"""

from __future__ import annotations

import ipaddress

_SITE = 64
"""The bits of an IPv6 address that are a site's own; it gives itself the others."""


def group_address(address: str) -> str:
    """Returns the name under which an address is counted: of IPv6, that of its site."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        return str(ipaddress.ip_network((parsed, _SITE), strict=False))
    return str(parsed)
