"""Files of identities and applications that an operator loads, matches or analyses by hand.

Belongs here: reading such large files in pieces, and what the commands do with them. Does not
belong here: the nightly exchange (nightly.ssid_exchange), the look-up itself (ssid_lookup).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import date
from math import ceil, inf
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb
import polars as pl

from ccgi_pipeline.common.errors import value_free
from ccgi_pipeline.common.packed_frames import unpacked
from ccgi_pipeline.encryption.duckdb_spill import encrypt_spill
from ccgi_pipeline.feeds.calpads_identity import FEED as IDENTITIES
from ccgi_pipeline.feeds.cccapply import APPLICATIONS
from ccgi_pipeline.feeds.spec import FeedSpec
from ccgi_pipeline.intake.contents import Content
from ccgi_pipeline.nightly.ssid_exchange import collect_answers
from ccgi_pipeline.ssid_lookup.backlog import Backlog
from ccgi_pipeline.ssid_lookup.batch import LookupPace, look_up_all
from ccgi_pipeline.ssid_lookup.client_registry import ClientScope
from ccgi_pipeline.ssid_lookup.enrollment_batch import SendOutcome, send_enrollments
from ccgi_pipeline.ssid_lookup.enrollment_files import read_enrollments, write_refused
from ccgi_pipeline.ssid_lookup.research.uniqueness import KEYS, count_uniqueness
from ccgi_pipeline.ssid_lookup.settings import (
    ADDRESS,
    CLIENT,
    SECRET,
    ExchangeError,
    open_lookup_client,
    read_hourly_limit,
)
from ccgi_pipeline.ssid_lookup.store import IDENTITY_SCHEMA, LoadSummary, load_identities
from ccgi_pipeline.verification.drop_files import FileToVerify
from ccgi_pipeline.verification.gates import verify
from ccgi_pipeline.warehouse.queries import applications

_APPLICATION_SCHEMA = {name: column.dtype for name, column in APPLICATIONS.columns.items()}

_PIECE = 64 << 20
"""Bytes of a file that are verified together; a file of the whole state has over a gigabyte."""


@dataclass
class RefusedLines:
    """How many lines of a file were not accepted, and how many findings each rule has."""

    lines: int = 0
    rules: Counter[str] = field(default_factory=Counter)


def read_accepted_lines(
    paths: Sequence[Path], feed: FeedSpec, on: date, refused: RefusedLines
) -> Iterator[pl.DataFrame]:
    """Yields the accepted lines of large files of ``feed``; ``refused`` counts the other lines.

    A cell with a line break at the end of a piece counts as a broken line.
    """
    for path in paths:
        for piece in _pieces(path):
            content = Content.of_bytes(piece)
            file = FileToVerify(0, "", "", feed.family, f"{feed.stems[0]}.csv", content)
            verified = verify([file], on)
            refused.lines += int(verified.files["rejected"].sum())
            refused.rules.update(verified.findings["rule"].to_list())
            if feed.name in verified.accepted:
                yield unpacked(verified.accepted[feed.name]).select([*feed.columns])


def _pieces(path: Path) -> Iterator[bytes]:
    """Yields a file in pieces of whole lines, each with the header."""
    with path.open("rb") as file:
        header = file.readline()
        while piece := file.read(_PIECE):
            yield header + piece + file.readline()


@value_free
def load_identity_files(
    folder: Path, paths: Sequence[Path], on: date
) -> tuple[LoadSummary, RefusedLines]:
    """Loads files of identities into the look-up in ``folder``; they replace the former ones."""
    refused = RefusedLines()
    columns = [*IDENTITY_SCHEMA]
    frames = (
        lines.select(columns) for lines in read_accepted_lines(paths, IDENTITIES, on, refused)
    )
    return load_identities(folder, frames), refused


@dataclass(frozen=True, slots=True)
class MatchResult:
    """The answers to the applications of a file, their counts, and how many still wait."""

    answers: pl.DataFrame
    counts: Mapping[str, int]
    waiting: int
    eta_minutes: int
    refused: RefusedLines


@value_free
def match_file(file: Path, folder: Path, on: date, *, wait: bool) -> MatchResult:
    """Looks up the SSIDs of the applications in ``file``; answers are saved in ``folder``."""
    lookup = open_lookup_client()
    if lookup is None:
        msg = f"no service is named: set {ADDRESS}, {CLIENT} and {SECRET}"
        raise ExchangeError(msg)
    refused = RefusedLines()
    lines = pl.concat(
        [
            pl.DataFrame(schema=_APPLICATION_SCHEMA),
            *read_accepted_lines([file], APPLICATIONS, on, refused),
        ]
    )
    asked = lines.filter(pl.col("ssid").is_null()).select(applications.LOOKUP_COLUMNS)
    folder.mkdir(parents=True, exist_ok=True)
    pace = LookupPace(hourly_limit=read_hourly_limit(), patience=inf if wait else 0)
    with closing(lookup), closing(Backlog(folder)) as backlog:
        outcome = look_up_all(asked, lookup, backlog, pace)
        answers = collect_answers(backlog, asked)
    counts = dict(answers.group_by("answer").len().iter_rows())
    return MatchResult(answers, counts, outcome.waiting, ceil(outcome.seconds_left / 60), refused)


@value_free
def send_enrollment_file(
    file: Path, folder: Path, refused: Path, *, wait: bool, again: bool
) -> SendOutcome:
    """Sends the enrollments in ``file``; what was sent is noted in ``folder``.

    The lines that were refused are written to ``refused``; a former such file is replaced, or
    deleted if there are none.
    """
    read = read_enrollments(file)
    client = open_lookup_client(scope=ClientScope.VERIFY)
    if client is None:
        msg = f"no service is named: set {ADDRESS}, {CLIENT} and {SECRET}"
        raise ExchangeError(msg)
    folder.mkdir(parents=True, exist_ok=True)
    pace = LookupPace(hourly_limit=read_hourly_limit(), patience=inf if wait else 0)
    # Faults of the file are reported even if the service refuses this client.
    write_refused(refused, read.refused)
    with closing(client):
        outcome = send_enrollments(read, client, folder, pace, again=again)
    write_refused(refused, outcome.refused)
    return outcome


@value_free
def measure_uniqueness(
    paths: Sequence[Path], keys: Sequence[str], on: date
) -> dict[str, pl.DataFrame]:
    """Returns CDE's uniqueness table of the identities in ``paths`` for each of ``keys``."""
    with duckdb.connect() as connection, TemporaryDirectory() as scratch:
        connection.execute(f"SET temp_directory = '{scratch}'")
        encrypt_spill(connection)
        columns = [*IDENTITIES.columns]
        made = False
        for lines in read_accepted_lines(paths, IDENTITIES, on, RefusedLines()):
            connection.register("piece", lines.select(columns).to_arrow())
            verb = "INSERT INTO received" if made else "CREATE TABLE received AS"
            connection.execute(f"{verb} FROM piece")
            connection.unregister("piece")
            made = True
        if not made:
            return {}
        identities = connection.table("received")
        return {key: count_uniqueness(identities, KEYS[key]) for key in keys}


def compare_matching_rules(
    identities: int, count: int, seed: int, *, probabilistic: bool = False
) -> pl.DataFrame:
    """Returns what each candidate rule of matching finds and misses on synthetic mistakes."""
    # These modules are slow to import, and only this command needs them.
    from ccgi_pipeline.ssid_lookup.research import matching_rules as rules  # noqa: PLC0415
    from ccgi_pipeline.synthetic.identities import applications as made_up  # noqa: PLC0415
    from ccgi_pipeline.synthetic.identities import identities as students  # noqa: PLC0415

    known = pl.concat(students(identities, seed))
    asked = made_up(known, count, seed)
    answered = [rules.answer_by_rules(known, asked)]
    if probabilistic:
        answered.append(rules.answer_by_probability(known, asked))
    return rules.summarize_rules(pl.concat(answered))
