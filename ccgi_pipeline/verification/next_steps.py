"""What a verdict means to the sender of the files, and what to do next, in a sentence each.

Belongs here: the sentences that depend on what became of a whole delivery. Does not belong here:
the words for single lines, files and rules (labels, feeds).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from ccgi_pipeline.verification import labels
from ccgi_pipeline.verification.labels import counted


@dataclass(frozen=True, slots=True)
class SentDrop:
    """The drop that a page answers: whose it is (code and name), and how its receipt is called.

    ``values_shown``: the district's profile asks for the cells of the first lines.
    """

    drop: str
    sender: str
    name: str
    family: str
    night: date
    verdict: str
    stem: str
    values_shown: bool = False


@dataclass(frozen=True, slots=True)
class Repeated:
    """What a duplicate repeats: ``path`` came again; night and verdict of when it came first.

    Neither is known where the drop was taken once more since: its first receipt is gone with it.
    """

    path: str
    night: date | None = None
    verdict: str | None = None


@dataclass(frozen=True, slots=True)
class DropOutcome:
    """What became of the lines of a delivery.

    ``findings``: whether there are any. ``fault``: the pipeline's own code failed. ``refused``: the
    file without which the delivery means nothing, where it was rejected.
    """

    lines: int
    fates: Mapping[str, int]
    findings: bool
    fault: bool
    refused: str | None

    @property
    def loaded(self) -> int:
        """Lines whose record is as the file has it."""
        return sum(lines for fate, lines in self.fates.items() if fate in labels.LOADED)

    @property
    def loaded_of_all(self) -> str:
        """``53 of 55 lines``."""
        return f"{self.loaded:,} of {counted(self.lines, 'line')}"


@dataclass(frozen=True, slots=True)
class NextSteps:
    """What the verdict means, and what to do now."""

    meaning: str
    next: str


def explain_drop(delivery: SentDrop, outcome: DropOutcome) -> NextSteps:
    """Explains the verdict of a drop."""
    if delivery.verdict == "held":
        return NextSteps(
            meaning="Nothing of this delivery has been loaded yet. It differs from what you sent "
            "before by more than a normal day does, so somebody at CCGI has to decide first. Until "
            "then, everything stays as it was before.",
            next="If a file is incomplete or the wrong one, send the right one; it is judged by "
            "itself. If it is right, tell your contact at CCGI, who can release it.",
        )
    if delivery.verdict == "rejected":
        return _of_refusal(delivery, outcome)
    if delivery.verdict == "accepted":
        remarks = " The remarks below are for your information." if outcome.findings else ""
        return NextSteps(meaning=_all_loaded(outcome), next=f"Nothing.{remarks}")
    return _of_findings(delivery, outcome)


def _of_refusal(delivery: SentDrop, outcome: DropOutcome) -> NextSteps:
    if outcome.fault:
        return NextSteps(
            meaning="This delivery could not be judged, because of a fault in the pipeline. "
            "Nothing of it was loaded; what was loaded before stays. There is nothing wrong on "
            "your side.",
            next="Nothing. Your files are kept and are taken again every night until they can be "
            "judged; you will get a new receipt then.",
        )
    mend = f"Correct what is marked “Must fix” {_where(delivery)}, export again, and send"
    if outcome.loaded:
        others = counted(outcome.loaded, "line was", "lines were")
        return NextSteps(
            meaning=f"{outcome.refused or 'A file'} could not be loaded, and the other files are "
            "about it: what was loaded of it before stays. Of the other files, "
            f"{others} loaded.",
            next=f"{mend} the whole delivery again.",
        )
    return NextSteps(
        meaning="Nothing of this delivery was loaded. What was loaded before stays.",
        next=f"{mend} the whole delivery again.",
    )


def _of_findings(delivery: SentDrop, outcome: DropOutcome) -> NextSteps:
    out, apart = outcome.fates.get("rejected", 0), outcome.fates.get("unmatched", 0)
    mend = (
        f"Correct what is marked “Must fix” {_where(delivery)}, export again, and send the whole "
        "delivery again."
    )
    match = (
        f"{delivery.night:%Y%m%d}_{delivery.family}_child_match.csv in this folder says which "
        "students could not be matched, and why."
    )
    meaning = f"{outcome.loaded_of_all} were loaded."
    if out:
        meaning += f" {counted(out, 'line was', 'lines were')} not, because of errors."
    if apart:
        meaning += (
            f" {counted(apart, 'line is', 'lines are')} about students who could not be matched "
            "with a child in Foster Focus."
        )
    if out:
        return NextSteps(meaning=meaning, next=f"{mend} {match}" if apart else mend)
    if apart:
        return NextSteps(meaning=meaning, next=f"Look at the child match report: {match}")
    return NextSteps(
        meaning=f"{_all_loaded(outcome)} Some points need a look: a value was left out, or may be "
        "wrong.",
        next=f"Look at what is marked “Please check” and correct it {_where(delivery)}. Your next "
        "regular export will bring it in order.",
    )


def _all_loaded(outcome: DropOutcome) -> str:
    if not outcome.lines:
        return "There was no line to load."
    if outcome.loaded == outcome.lines:
        return f"Everything was loaded: {counted(outcome.lines, 'line')}."
    return f"Everything that belongs here was loaded: {outcome.loaded_of_all}."


def explain_check(
    verdict: str, outcome: DropOutcome, weights: Mapping[str, str] = labels.WEIGHTS
) -> NextSteps:
    """Explains the verdict of files that were checked before sending.

    ``weights``: how the findings are marked where the sentences stand, by severity.
    """
    fits = f"{outcome.loaded_of_all} can be loaded."
    mend = f"Correct what is marked “{weights['error']}”, export again, and check again."
    if verdict == "rejected":
        return NextSteps(meaning=f"These files would be rejected: {fits}", next=mend)
    if outcome.fates.get("rejected", 0):
        return NextSteps(meaning=fits, next=mend)
    if verdict == "accepted":
        return NextSteps(meaning=fits, next="Send the files.")
    return NextSteps(
        meaning=fits,
        next=f"Look at what is marked “{weights['warning']}”; the files can be sent all the same.",
    )


def explain_duplicate(delivery: SentDrop, repeated: Repeated) -> NextSteps:
    """Explains what became of a drop that came a second time."""
    name = labels.file_name(repeated.path)
    meaning = (
        f"This is exactly what you sent last ({name}). Nothing was loaded, and nothing has changed."
    )
    other = "If you meant to send a newer export: this upload still had the old one."
    if repeated.night is None or repeated.verdict is None:
        return NextSteps(
            meaning=meaning,
            next=f"{other} What became of it is in the receipt of delivery {delivery.drop}.",
        )
    said = labels.VERDICTS[repeated.verdict].lower()
    meaning += (
        f" It was first taken in the night of {labels.day(repeated.night)}; the verdict then: "
        f"{said}."
    )
    receipt = f"{repeated.night:%Y%m%d}_{delivery.family}_{delivery.drop}.html in this folder"
    if repeated.verdict == "held":
        return NextSteps(
            meaning=f"{meaning} It still waits.",
            next=f"What you can do is in its receipt, {receipt}.",
        )
    if repeated.verdict == "accepted":
        return NextSteps(meaning=meaning, next=f"Nothing. {other}")
    return NextSteps(
        meaning=meaning, next=f"{other} What to correct is in the first receipt, {receipt}."
    )


def _where(delivery: SentDrop) -> str:
    """The place where a sender corrects something."""
    district = labels.is_district(delivery.sender)
    return f"in your {'student information ' if district else ''}system"
