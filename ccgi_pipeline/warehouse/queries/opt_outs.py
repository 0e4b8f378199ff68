"""The students whose parents opted out of sharing, by district and for all districts.

Belongs here: what a roster's ParentConsent says of a student. Does not belong here: which outputs
leave such students out (reports.column_policies).
"""

from __future__ import annotations

OPTED_OUT_BY_DISTRICT = """
SELECT _sender AS cd, StateID AS SSID FROM transcript_student WHERE _active AND NOT ParentConsent
"""
"""Query of the students of each roster (``cd``, ``SSID``) whose parent opted out.

A blank cell is no opt-out."""

OPTED_OUT_ANYWHERE = """
SELECT StateID AS SSID FROM transcript_student GROUP BY StateID
HAVING coalesce(
    bool_or(NOT ParentConsent) FILTER (_active),
    bool_or(NOT ParentConsent) FILTER (NOT _active AND NOT StateID IN (
        SELECT StateID FROM transcript_student WHERE _active
    )),
    false
)
"""
"""Query of the students (``SSID``) who are in no export to others.

One roster with an opt-out is enough. Of a student who is on no roster any more, the last word
counts."""
