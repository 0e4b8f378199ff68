"""The classes of columns that no feed declares: those of the pipeline's own tables and of views.

Belongs here: which of these columns hold students' data. The tests plant values in every feed and
look in which columns they turn up; a column that is not named here has none. Does not belong here:
the columns of feeds' tables (their declarations), who may see which class (reports.classes).
"""

from __future__ import annotations

from collections.abc import Mapping

from ccgi_pipeline.feeds.columns import ColumnClass

_NAMED = frozenset({ColumnClass.PII})
_GUARDED = frozenset({ColumnClass.PII, ColumnClass.RESTRICTED})
_OF_FOSTER_YOUTH = frozenset(ColumnClass)

PIPELINE_COLUMN_CLASSES: Mapping[str, Mapping[str, frozenset[ColumnClass]]] = {
    "child_links": dict.fromkeys(("SystemID", "SISLocalID", "ChildID"), _OF_FOSTER_YOUTH),
    "unmatched": dict.fromkeys(("SystemID", "SISLocalID", "rule", "field"), _OF_FOSTER_YOUTH),
    "foster_lookups": dict.fromkeys(("code", "meaning"), _OF_FOSTER_YOUTH),
    "application_ssids": {"app_id": _NAMED, "SSID": _GUARDED, "fields": _GUARDED},
    **{name: {"SSID": _GUARDED} for name in ("shared_ssids", "claims", "claim_decisions")},
    "eligibility": {"SSID": _GUARDED, "average": _GUARDED},
    "cccapply_applications_with_ssid": {
        **dict.fromkeys(("app_id", "ccc_id", "firstname", "lastname", "birthdate"), _NAMED),
        "ssid": _GUARDED,
    },
    "oneroster_current_places": {"sourcedId": _NAMED},
    "oneroster_current_students": {
        **dict.fromkeys(("sourcedId", "givenName", "familyName", "grades", "username"), _NAMED),
        **dict.fromkeys(("identifier", "userIds"), _GUARDED),
    },
    "oneroster_current_teachers": {
        **dict.fromkeys(("sourcedId", "givenName", "familyName", "email"), _NAMED),
        "identifier": _GUARDED,
    },
}
"""Classes by table or view and column. File names (``path``) are chosen by senders and have no
class: they reach receipts and nothing else."""
