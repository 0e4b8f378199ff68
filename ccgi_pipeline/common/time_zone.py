"""The time zone of the districts: a school day begins and ends in California.

Belongs here: the zone and nothing else.
"""

from __future__ import annotations

from zoneinfo import ZoneInfo

CALIFORNIA = ZoneInfo("America/Los_Angeles")
