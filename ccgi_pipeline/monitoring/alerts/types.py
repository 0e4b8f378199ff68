"""Troubles: states that somebody should know of, and how they are told. Pure.

Belongs here: what a trouble is, and the words of a mail and of a webhook's message. Codes, counts,
names of steps, servers and rules: nothing of a pupil, and no name that a sender chose. Does not
belong here: finding troubles (heartbeat), remembering them (book), sending (sending).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from ccgi_pipeline.common.runbook import runbook_link
from ccgi_pipeline.common.time_zone import CALIFORNIA


class Kind(StrEnum):
    """What the operator can be told of."""

    RUN_FAILED = "run_failed"
    DROPS_HELD = "drops_held"
    SERVER_REFUSES = "server_refuses"
    DELIVERIES_STUCK = "deliveries_stuck"
    HEARTBEAT = "heartbeat"


TITLES = {
    Kind.RUN_FAILED: "a run failed",
    Kind.DROPS_HELD: "drops are held",
    Kind.SERVER_REFUSES: "a server refuses",
    Kind.DELIVERIES_STUCK: "deliveries are stuck",
    Kind.HEARTBEAT: "the machinery",
}


@dataclass(frozen=True, slots=True)
class Alert:
    """A state that somebody should know of.

    ``subject`` tells it from others of its kind: while it is the same, nobody is told again.
    ``words`` say it; they may change meanwhile. ``page``: its section in the runbook.
    """

    kind: Kind
    subject: str
    words: str
    page: str

    @property
    def link(self) -> str:
        """Where to read what to do."""
        return runbook_link(self.page)


class Event(StrEnum):
    """What there is to tell of a trouble."""

    BEGAN = "began"
    OVER = "over"


@dataclass(frozen=True, slots=True)
class Notice:
    """One thing to tell: that a trouble began, or that it is over, and when that was seen."""

    number: int
    event: Event
    trouble: Alert
    at: datetime

    @property
    def line(self) -> str:
        """The notice in one line."""
        over = "over: " if self.event is Event.OVER else ""
        return f"{over}{TITLES[self.trouble.kind]}: {self.trouble.words}"


def subject_line(notices: Sequence[Notice], installation: str) -> str:
    """The subject of a mail with these notices."""
    began = [notice for notice in notices if notice.event is Event.BEGAN]
    counts = [f"{len(began)} new"] if began else []
    counts += [f"{len(notices) - len(began)} over"] if len(began) < len(notices) else []
    what = sorted({TITLES[notice.trouble.kind] for notice in began or notices})
    where = f" ({installation})" if installation else ""
    return f"CCGI pipeline{where}: {', '.join(counts)}: {', '.join(what)}"


def mail_text(notices: Sequence[Notice]) -> str:
    """The text of a mail with these notices."""
    parts = []
    for notice in notices:
        at = notice.at.astimezone(CALIFORNIA)
        parts.append(f"{notice.line}\n  seen {at:%Y-%m-%d %H:%M} in California")
        if notice.event is Event.BEGAN:
            parts[-1] += f"\n  what to do: {notice.trouble.link}"
    return "\n\n".join(parts) + "\n"


def webhook_message(notices: Sequence[Notice], installation: str) -> dict[str, Any]:
    """The object that is posted; ``text`` is what chat services show."""
    return {
        "text": "\n".join([subject_line(notices, installation), *(n.line for n in notices)]),
        "installation": installation,
        "notices": [
            {
                "id": notice.number,
                "event": notice.event.value,
                "kind": notice.trouble.kind.value,
                "words": notice.trouble.words,
                "runbook": notice.trouble.link,
                "at": notice.at.isoformat(timespec="seconds"),
            }
            for notice in notices
        ],
    }
