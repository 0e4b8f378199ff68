"""What verification says of files and drops: verdicts, counts, accepted lines."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import polars as pl

from ccgi_pipeline.common.packed_frames import Rows, distinct
from ccgi_pipeline.feeds.registry import FEEDS, FEEDS_BY_NAME
from ccgi_pipeline.feeds.rules import Severity
from ccgi_pipeline.feeds.spec import FILE, SENDER, FeedSpec
from ccgi_pipeline.verification.unread_lines import unread_schema


class Verdict(StrEnum):
    """What became of a file or a drop as a whole."""

    ACCEPTED = "accepted"
    ACCEPTED_WITH_FINDINGS = "accepted_with_findings"
    HELD = "held"
    REJECTED = "rejected"
    DUPLICATE = "duplicate"


FILES_SCHEMA = {
    FILE: pl.UInt32,
    "drop": pl.String,
    SENDER: pl.String,
    "family": pl.String,
    "path": pl.String,
    "feed": pl.String,
    "encoding": pl.String,
    "lines": pl.UInt32,
    "accepted": pl.UInt32,
    "rejected": pl.UInt32,
    "removed": pl.UInt32,
    "left_alone": pl.UInt32,
    "keyed": pl.UInt32,
    "changes": pl.Boolean,
    "complete": pl.Boolean,
    "verdict": pl.String,
}
"""One row a file. ``lines`` = ``accepted`` + ``rejected`` + ``removed`` + ``left_alone`` physical
lines (removed ones mention police involvement, those left alone are in files that nobody asked
for). ``keyed`` lines have a key that could be read. ``changes``: nothing may be concluded about
records that are not in the file. ``complete``: it is all that the sender has, so that what is not
in the file is known to be gone, unless a line that could not be read may be its own."""


@dataclass(frozen=True, slots=True)
class Verification:
    """What verification made of a set of files.

    ``files``: a frame of ``FILES_SCHEMA``. ``findings``: ``EXPLAINED_SCHEMA`` with ``_file`` first.
    ``causes``: what probably happened to files as wholes (``CAUSES_SCHEMA``).
    ``accepted``: per feed its typed lines with ``_file``, ``_sender``, ``_line``, ``_span``; those
    of a large file are packed.
    ``kept_keys``: per snapshot feed (and of foster youth) the keys of lines that were rejected
    yet name a record: that record is not gone. ``unread``: per snapshot feed the lines of which it
    is not known whose they are (``unread_schema``); each may be a missing record's.
    """

    files: pl.DataFrame
    findings: pl.DataFrame
    causes: pl.DataFrame
    accepted: Mapping[str, Rows]
    kept_keys: Mapping[str, pl.DataFrame]
    unread: Mapping[str, pl.DataFrame]

    def named(
        self, feed: str, columns: tuple[str, ...], senders: Sequence[str] | None = None
    ) -> pl.DataFrame:
        """The senders and cells of columns in lines that were accepted or name a record.

        Of a large file each combination stands once. ``senders``: only lines of these.
        """
        theirs = pl.col(SENDER).is_in(senders or [])
        found = [
            distinct(frame if senders is None else frame.filter(theirs), [SENDER, *columns])
            for frames in (self.accepted, self.kept_keys)
            if (frame := frames.get(feed)) is not None and set(columns) <= set(frame.columns)
        ]
        return pl.concat([nothing_known(feed, columns), *found])

    def unread_in(self, feed: FeedSpec, files: pl.Series) -> pl.DataFrame:
        """The unread lines of a feed in files of these numbers, as ``unread_schema`` has them."""
        lines = self.unread.get(feed.name)
        if lines is None:
            return pl.DataFrame(schema=unread_schema(feed))
        return lines.filter(pl.col(FILE).is_in(files.implode()))


KnownRecords = Callable[[str, tuple[str, ...], Sequence[str] | None], pl.DataFrame]
"""What is known before: of a feed, columns of it and some senders (all if None), a frame of
``_sender`` and those columns, each combination once."""


def nothing_known(
    feed: str, columns: tuple[str, ...], _senders: Sequence[str] | None = None
) -> pl.DataFrame:
    """The knowledge of someone who has no warehouse."""
    declared = FEEDS_BY_NAME[feed].columns
    return pl.DataFrame(
        schema={SENDER: pl.String, **{name: declared[name].dtype for name in columns}}
    )


SEVERITY_RANK = {str(Severity.INFO): 0, str(Severity.WARNING): 1, str(Severity.ERROR): 2}


def judge_file(worst: int, accepted: int) -> Verdict:
    """``worst`` is the weight of the file's worst finding: 2 for an error, 1 for a warning."""
    if worst == SEVERITY_RANK[Severity.ERROR] and not accepted:
        return Verdict.REJECTED
    return Verdict.ACCEPTED_WITH_FINDINGS if worst else Verdict.ACCEPTED


def judge_drop(files: pl.DataFrame) -> Verdict:
    """The verdict of the drop (or of everything checked) that ``files`` of ``FILES_SCHEMA`` make.

    A drop is rejected if the file without which it means nothing is, or if every file is.
    """
    verdicts = files["verdict"].to_list()
    if Verdict.HELD in verdicts:
        return Verdict.HELD
    required = {feed.name for feed in FEEDS if feed.required}
    rejected = files.filter(pl.col("verdict") == Verdict.REJECTED)
    if len(rejected) == len(verdicts) or rejected["feed"].is_in(required).any():
        return Verdict.REJECTED
    if set(verdicts) == {Verdict.ACCEPTED}:
        return Verdict.ACCEPTED
    return Verdict.ACCEPTED_WITH_FINDINGS
