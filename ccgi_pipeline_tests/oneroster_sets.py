"""OneRoster sets of either version, changed in one place, and what verification makes of them.

Belongs here: putting a set together from good lines, a profile for its district, and findings in a
form that tests can compare. Does not belong here: what a good line says (oneroster).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from pathlib import PurePosixPath

import polars as pl

from ccgi_pipeline.feeds.registry import FEEDS_BY_NAME
from ccgi_pipeline.feeds.spec import FILE, FeedSpec
from ccgi_pipeline.profiles import DistrictProfile, OneRosterProfile, Profiles
from ccgi_pipeline.verification.outcomes import KnownRecords, Verification, nothing_known
from ccgi_pipeline_tests.files import DISTRICT, LINES, as_bytes, verified
from ccgi_pipeline_tests.oneroster import Line, manifest_lines, oneroster_lines

Sent = dict[str, bytes]
Told = tuple[str, str, str, int | None, str | None]
"""File name, rule, severity, line, column."""

FILES_OF: Mapping[str, tuple[str, ...]] = {
    "1.1": (
        "academicSessions", "classes", "courses", "demographics", "enrollments", "orgs", "users",
    ),
    "1.2": (
        "academicSessions", "classes", "courses", "demographics", "enrollments", "orgs", "roles",
        "userProfiles", "users",
    ),
}  # fmt: skip
MODIFIED = "2026-11-19T08:30:00Z"
OF_CHANGES = {"status": "active", "dateLastModified": MODIFIED}
"""What every line of a delta file has."""


def feed_of(name: str) -> FeedSpec:
    """The feed of the file ``name`` (without ending)."""
    return FEEDS_BY_NAME[f"oneroster_{name}"]


def header_of(name: str, version: str = "1.1") -> list[str]:
    """The columns of a file in one version."""
    return [c.name for c in feed_of(name).columns.values() if c.expected_in(version)]


def lines_of(name: str, count: int = LINES) -> list[Line]:
    """Good lines of a file."""
    return oneroster_lines(feed_of(name), count)


def with_cells(name: str, by_line: Mapping[int, Line], count: int = LINES) -> list[Line]:
    """Good lines of a file with cells put into some physical lines (the header is line 1)."""
    lines = lines_of(name, count)
    for number, cells in by_line.items():
        lines[number - 2] = {**lines[number - 2], **cells}
    return lines


def changes(name: str, by_line: Mapping[int, Line] | None = None, count: int = LINES) -> list[Line]:
    """Good lines of a delta file."""
    more = by_line or {}
    numbers = range(2, len(lines_of(name, count)) + 2)
    return with_cells(name, {n: {**OF_CHANGES, **more.get(n, {})} for n in numbers}, count)


def file_of(
    name: str, lines: Sequence[Line], version: str = "1.1", header: Sequence[str] | None = None
) -> bytes:
    """A file of ``lines`` with the columns of ``version``, or those of ``header``."""
    feed = feed_of(name)
    names = header_of(name, version) if header is None else list(header)
    return as_bytes(feed, [dict.fromkeys(feed.columns, "") | line for line in lines], header=names)


def manifest(
    modes: Mapping[str, str] | None = None, version: str = "1.1", present: Iterable[str] = ()
) -> bytes:
    """A manifest of all files of ``version`` (or those ``present``)."""
    lines = manifest_lines(modes, version, present=present or FILES_OF[version])
    return as_bytes(feed_of("manifest"), lines)


def roster(
    version: str = "1.1",
    modes: Mapping[str, str] | None = None,
    without: Iterable[str] = (),
    **changed: Sequence[Line] | bytes,
) -> Sent:
    """A set by file name, in which some files (``changed``) are others, some not there."""
    there = [name for name in FILES_OF[version] if name not in without]
    sent = {"manifest.csv": manifest(modes, version, there)}
    for name in there:
        lines = changed.get(name)
        if isinstance(lines, bytes):
            sent[f"{name}.csv"] = lines
        else:
            sent[f"{name}.csv"] = file_of(name, lines_of(name) if lines is None else lines, version)
    if "manifest" in without:
        del sent["manifest.csv"]
    return sent


def beside(name: str, *more: str) -> set[str]:
    """The files of a set that ``name`` does without: nothing in it, or in ``more``, leads there."""
    needed = {name, *more}
    while (
        further := {
            relation.target.removeprefix("oneroster_")
            for other in needed
            for relation in feed_of(other).relations
        }
        - needed
    ):
        needed |= further
    return set(FILES_OF["1.2"]) - needed


def profile(severities: Mapping[str, str] | None = None, **settings: object) -> Profiles:
    """Settings of the district that sends the sets."""
    own = DistrictProfile(oneroster=OneRosterProfile(**settings), severities=severities or {})
    return Profiles(districts={DISTRICT: own})


STRICT = profile(strict=True)


def judged(
    sent: Sent, profiles: Profiles | None = None, known: KnownRecords = nothing_known
) -> Verification:
    """What verification makes of a set."""
    return verified(sent, "oneroster", profiles=profiles, known=known)


def told(verification: Verification) -> list[Told]:
    """Everything that is told, by file, line and rule."""
    found = verification.findings.join(verification.files.select(FILE, "path"), on=FILE)
    columns = found.select("path", "rule", "severity", "line", "column")
    return sorted(
        ((PurePosixPath(path).name, *place) for path, *place in columns.iter_rows()), key=str
    )


def cells_of(verification: Verification, name: str) -> dict[int, Line]:
    """The accepted lines of a file by physical line, their cells as text."""
    accepted = verification.accepted[feed_of(name).name]
    columns = list(feed_of(name).columns)
    return {
        number: {column: _as_text(cell) for column, cell in zip(columns, cells, strict=True)}
        for number, *cells in accepted.select("_line", *columns).iter_rows()
    }


def sent_cells(name: str, lines: Sequence[Line], header: Sequence[str]) -> dict[int, Line]:
    """The same of lines that were sent with the columns of ``header``."""
    blank = dict.fromkeys(feed_of(name).columns, "")
    return {
        number: blank | {column: line[column] for column in header if column in blank}
        for number, line in enumerate(lines, start=2)
    }


def _as_text(cell: object) -> str:
    if cell is None:
        return ""
    if isinstance(cell, bool):
        return str(cell).lower()
    if isinstance(cell, datetime):
        return f"{cell.isoformat()}Z"
    return cell.isoformat() if isinstance(cell, date) else str(cell)


def accounted_for(verification: Verification) -> bool:
    """Whether the fates of every file are as many as its lines."""
    files = verification.files
    fates = files["accepted"] + files["rejected"] + files["removed"] + files["left_alone"]
    return fates.to_list() == files["lines"].to_list()


def knowing(**names: Sequence[Mapping[str, str]]) -> KnownRecords:
    """A warehouse that holds records of some files from the district."""

    def known(feed: str, columns: tuple[str, ...], senders: Sequence[str] | None) -> pl.DataFrame:
        nothing = nothing_known(feed, columns)
        records = names.get(feed.removeprefix("oneroster_"), ())
        if senders is not None and DISTRICT not in senders:
            return nothing
        rows = [{"_sender": DISTRICT, **{c: r.get(c) for c in columns}} for r in records]
        texts = pl.DataFrame(rows, schema=dict.fromkeys(nothing.columns, pl.String))
        return texts.select(
            pl.col(name).replace("", None).str.to_date()
            if dtype == pl.Date
            else pl.col(name).replace("", None).cast(dtype)
            for name, dtype in nothing.schema.items()
        ).unique()

    return known
