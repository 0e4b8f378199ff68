"""Rosters by the OneRoster API: a district's system is asked, and the answer becomes a drop.

Belongs here: the client, paging, and whether a collection is complete; what was said as the CSV
files of the same version, and those as a drop in the district's inbox. From there on a drop goes
the way of any other. Does not belong here: what the files must meet (``feeds.oneroster``), when
Dagster starts a fetch (``defs``).
"""
