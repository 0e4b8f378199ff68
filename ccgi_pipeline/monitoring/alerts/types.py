"""Alerts, and the notices that tell an operator of them. Pure.

Belongs here: what an alert is, and the text of a mail and of a webhook's message. Codes, counts,
names of steps, servers and rules: nothing of a student, and no name that a sender chose. Does not
belong here: finding alerts (health), remembering them (store), sending notices (channels).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from ccgi_pipeline.common.runbook import runbook_link
from ccgi_pipeline.common.time_zone import CALIFORNIA


class AlertKind(StrEnum):
    """The kinds of alert; an operator chooses of which to be told."""

    RUN_FAILED = "run_failed"
    DROPS_HELD = "drops_held"
    SSID_CLAIMS = "ssid_claims"
    SHARED_CCCIDS = "shared_cccids"
    SERVER_REFUSES = "server_refuses"
    DELIVERIES_STUCK = "deliveries_stuck"
    OPENPGP_KEYS = "openpgp_keys"
    ROSTER_FETCHES = "roster_fetches"
    HEARTBEAT = "heartbeat"


TITLES = {
    AlertKind.RUN_FAILED: "a run failed",
    AlertKind.DROPS_HELD: "drops are held",
    AlertKind.SSID_CLAIMS: "SSIDs are claimed",
    AlertKind.SHARED_CCCIDS: "CCCIDs are of two students",
    AlertKind.SERVER_REFUSES: "a server refuses",
    AlertKind.DELIVERIES_STUCK: "deliveries are stuck",
    AlertKind.OPENPGP_KEYS: "OpenPGP keys",
    AlertKind.ROSTER_FETCHES: "rosters were not fetched",
    AlertKind.HEARTBEAT: "the machinery",
}


@dataclass(frozen=True, slots=True)
class Alert:
    """A state that an operator should know of.

    ``subject`` tells it from others of its kind: while it stays the same, no second notice is
    sent. ``words`` describe it, and may change meanwhile. ``page``: its section in the runbook.
    """

    kind: AlertKind
    subject: str
    words: str
    page: str

    @property
    def link(self) -> str:
        """The address of its section in the runbook."""
        return runbook_link(self.page)


class NoticeEvent(StrEnum):
    """What has happened to an alert: it began, or it is over."""

    BEGAN = "began"
    OVER = "over"


@dataclass(frozen=True, slots=True)
class Notice:
    """One message to the operator: an alert began or is over, and when that was seen."""

    number: int
    event: NoticeEvent
    alert: Alert
    at: datetime

    @property
    def line(self) -> str:
        """The notice as one line of text."""
        over = "over: " if self.event is NoticeEvent.OVER else ""
        return f"{over}{TITLES[self.alert.kind]}: {self.alert.words}"


MOST_TOLD = 50
"""Notices that one message tells of one by one. Chat services refuse messages that are too long,
and a message that is refused is never over."""


def format_subject(notices: Sequence[Notice], installation: str) -> str:
    """Returns the subject of a mail with these notices."""
    began = [notice for notice in notices if notice.event is NoticeEvent.BEGAN]
    counts = [f"{len(began)} new"] if began else []
    counts += [f"{len(notices) - len(began)} over"] if len(began) < len(notices) else []
    what = sorted({TITLES[notice.alert.kind] for notice in began or notices})
    where = f" ({installation})" if installation else ""
    return f"CCGI pipeline{where}: {', '.join(counts)}: {', '.join(what)}"


def format_mail(notices: Sequence[Notice]) -> str:
    """Returns the text of a mail with these notices."""
    parts = []
    for notice in notices[:MOST_TOLD]:
        at = notice.at.astimezone(CALIFORNIA)
        parts.append(f"{notice.line}\n  seen {at:%Y-%m-%d %H:%M} in California")
        if notice.event is NoticeEvent.BEGAN:
            parts[-1] += f"\n  what to do: {notice.alert.link}"
    return "\n\n".join([*parts, *_tell_rest(notices)]) + "\n"


def _tell_rest(notices: Sequence[Notice]) -> list[str]:
    left_out = len(notices[MOST_TOLD:])
    return [f"{left_out:,} more: `ccgi notices list` shows all that is open"] if left_out else []


def format_webhook_message(notices: Sequence[Notice], installation: str) -> dict[str, Any]:
    """Returns the object that is posted; ``text`` is what chat services show."""
    told = notices[:MOST_TOLD]
    lines = [format_subject(notices, installation), *(n.line for n in told), *_tell_rest(notices)]
    return {
        "text": "\n".join(lines),
        "installation": installation,
        "notices": [
            {
                "id": notice.number,
                "event": notice.event.value,
                "kind": notice.alert.kind.value,
                "words": notice.alert.words,
                "runbook": notice.alert.link,
                "at": notice.at.isoformat(timespec="seconds"),
            }
            for notice in told
        ],
        "notices_omitted": len(notices) - len(told),
    }
