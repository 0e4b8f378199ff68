"""The SSID exchange, step by step: load identities, ask for applications' SSIDs, serve colleges.

Belongs here: the order of the rooms for applications and look-ups, as ``night`` has it for
districts. Each step can be run again at any time. Does not belong here: how a step is done.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import date
from functools import partial
from math import ceil, inf
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb
import polars as pl

from ccgi_pipeline.common.errors import PermanentError, value_free
from ccgi_pipeline.delivery.ledger import FileKind
from ccgi_pipeline.encryption.duckdb_spill import encrypt_spill
from ccgi_pipeline.feeds.calpads_identity import FEED as IDENTITIES
from ccgi_pipeline.feeds.cccapply import APPLICATIONS
from ccgi_pipeline.feeds.spec import FeedSpec
from ccgi_pipeline.nightly.made_files import record_made_files
from ccgi_pipeline.nightly.paths import PipelinePaths
from ccgi_pipeline.reports.college_download import (
    COLUMNS,
    download_file,
    download_path,
    restricted_columns,
)
from ccgi_pipeline.reports.outbox import OutboxFile, sha256_of
from ccgi_pipeline.ssid_lookup.backlog import Backlog
from ccgi_pipeline.ssid_lookup.batch import BatchOutcome, Pace, look_up_all
from ccgi_pipeline.ssid_lookup.client import LookupClient
from ccgi_pipeline.ssid_lookup.research.uniqueness import KEYS, uniqueness
from ccgi_pipeline.ssid_lookup.store import IDENTITY_SCHEMA, LoadSummary, load_identities
from ccgi_pipeline.verification.drop_files import FileToVerify
from ccgi_pipeline.verification.gates import verify
from ccgi_pipeline.warehouse.load import application_ssids
from ccgi_pipeline.warehouse.queries import applications

ADDRESS, CLIENT = "CCGI_LOOKUP_ADDRESS", "CCGI_LOOKUP_CLIENT"
SECRET, CERTIFICATE = "CCGI_LOOKUP_SECRET", "CCGI_LOOKUP_CERTIFICATE"
LIMIT = "CCGI_LOOKUP_HOURLY_LIMIT"
"""Environment variables that say which service is asked, as whom, and how often."""

USUAL_LIMIT = 5000
"""Requests an hour, by the agreement (Scope of Data Sharing: SSID Data Lookup)."""

_PIECE = 64 << 20
"""Bytes of a large file that are verified together: a file of the whole state has over a gigabyte.
"""


class ExchangeError(PermanentError):
    """The exchange is set up wrongly; the message says what to set."""


# --- files in pieces ------------------------------------------------------------------------------


@dataclass
class Refused:
    """What of a file was not taken: lines, and findings by rule."""

    lines: int = 0
    rules: Counter[str] = field(default_factory=Counter)


def accepted_lines(
    paths: Sequence[Path], feed: FeedSpec, on: date, refused: Refused
) -> Iterator[pl.DataFrame]:
    """The accepted lines of large files of ``feed``, piece by piece; ``refused`` counts the rest.

    A cell with a line break in it at the end of a piece is taken for a broken line.
    """
    for path in paths:
        for piece in _pieces(path):
            file = FileToVerify(
                0, "", "", feed.family, f"{feed.stems[0]}.csv", partial(bytes, piece)
            )
            verified = verify([file], on)
            refused.lines += int(verified.files["rejected"].sum())
            refused.rules.update(verified.findings["rule"].to_list())
            if feed.name in verified.accepted:
                yield verified.accepted[feed.name].select([*feed.columns])


def _pieces(path: Path) -> Iterator[bytes]:
    """A file in pieces of whole lines, each with the header."""
    with path.open("rb") as file:
        header = file.readline()
        while piece := file.read(_PIECE):
            yield header + piece + file.readline()


@value_free
def load_identity_files(
    folder: Path, paths: Sequence[Path], on: date
) -> tuple[LoadSummary, Refused]:
    """Loads files of identities into the look-up in ``folder``, in place of those before."""
    refused = Refused()
    columns = [*IDENTITY_SCHEMA]
    frames = (lines.select(columns) for lines in accepted_lines(paths, IDENTITIES, on, refused))
    return load_identities(folder, frames), refused


# --- asking ---------------------------------------------------------------------------------------


def lookup_of(environment: Mapping[str, str] = os.environ) -> LookupClient | None:
    """The service that the environment names, or None. Raises ExchangeError for half a name."""
    names = (ADDRESS, CLIENT, SECRET)
    missing = [name for name in names if not environment.get(name)]
    if len(missing) == len(names):
        return None
    if missing:
        msg = f"set {', '.join(missing)} too: address, client and secret of the look-up"
        raise ExchangeError(msg)
    certificate = environment.get(CERTIFICATE)
    return LookupClient(
        environment[ADDRESS],
        environment[CLIENT],
        environment[SECRET],
        certificate=Path(certificate) if certificate else None,
    )


def hourly_limit(environment: Mapping[str, str] = os.environ) -> int:
    """How many requests an hour the service grants us."""
    written = environment.get(LIMIT, str(USUAL_LIMIT))
    if not written.isdigit() or not int(written):
        msg = f"{LIMIT} must be a whole number of requests an hour"
        raise ExchangeError(msg)
    return int(written)


@value_free
def ask_for_ssids(
    connection: duckdb.DuckDBPyConnection, folders: PipelinePaths, on: date
) -> tuple[BatchOutcome | None, dict[str, int], int]:
    """Asks for the SSIDs of applications that have none, within the hour's budget, and notes them.

    Returns how those applications stand (None where no service is named), how many have each
    answer, and how many wait: what the budget does not allow is left to the next run.
    """
    lookup = lookup_of()
    waiting = applications.read_applications_without_ssid(connection)
    backlog = Backlog(folders.warehouse / "lookups")
    with closing(backlog):
        outcome = None
        if lookup is not None:
            pace = Pace(hourly_limit=hourly_limit(), patience=0)
            with closing(lookup):
                outcome = look_up_all(waiting, lookup, backlog, pace)
        counts = application_ssids.record_answers(connection, _answers(backlog, waiting), on)
    return outcome, counts, waiting.height - sum(counts.values())


def _answers(backlog: Backlog, asked: pl.DataFrame) -> pl.DataFrame:
    """The answers there are to applications, one line of text a cell."""
    return backlog.answers(asked).with_columns(pl.col("fields").list.join(" "))


@value_free
def write_download(
    connection: duckdb.DuckDBPyConnection, folders: PipelinePaths, on: date
) -> tuple[int, list[str]]:
    """Writes the colleges' download file; returns its rows, and restricted columns in it: none."""
    rows = applications.read_applications_for_colleges(connection, COLUMNS)
    if rows.is_empty():
        return 0, []
    content = download_file(rows)
    restricted = restricted_columns(content)
    if not restricted:
        path = download_path(on)
        folders.outgoing.write(path, content)
        file = OutboxFile(f"{path}", APPLICATIONS.family, sha256_of(content))
        record_made_files(connection, folders, on, [(FileKind.DOWNLOAD, "", "", file)])
    return rows.height, restricted


@dataclass(frozen=True, slots=True)
class Matched:
    """What became of a file of applications: ``answers`` are those of all of them."""

    answers: pl.DataFrame
    counts: Mapping[str, int]
    waiting: int
    eta_minutes: int
    refused: Refused


@value_free
def match_file(file: Path, folder: Path, on: date, *, wait: bool) -> Matched:
    """Asks for the SSIDs of the applications in ``file``; answers are kept in ``folder``."""
    lookup = lookup_of()
    if lookup is None:
        msg = f"no service is named: set {ADDRESS}, {CLIENT} and {SECRET}"
        raise ExchangeError(msg)
    refused = Refused()
    lines = pl.concat(
        [
            pl.DataFrame(schema=_APPLICATION_SCHEMA),
            *accepted_lines([file], APPLICATIONS, on, refused),
        ]
    )
    asked = lines.filter(pl.col("ssid").is_null()).select(applications.LOOKUP_COLUMNS)
    folder.mkdir(parents=True, exist_ok=True)
    pace = Pace(hourly_limit=hourly_limit(), patience=inf if wait else 0)
    with closing(lookup), closing(Backlog(folder)) as backlog:
        outcome = look_up_all(asked, lookup, backlog, pace)
        answers = _answers(backlog, asked)
    counts = dict(answers.group_by("answer").len().iter_rows())
    return Matched(answers, counts, outcome.waiting, ceil(outcome.seconds_left / 60), refused)


_APPLICATION_SCHEMA = {name: column.dtype for name, column in APPLICATIONS.columns.items()}


# --- analysis -------------------------------------------------------------------------------------


@value_free
def uniqueness_of_files(
    paths: Sequence[Path], keys: Sequence[str], on: date
) -> dict[str, pl.DataFrame]:
    """CDE's table of the identities in ``paths`` for each of the named ``keys``."""
    with duckdb.connect() as connection, TemporaryDirectory() as scratch:
        connection.execute(f"SET temp_directory = '{scratch}'")
        encrypt_spill(connection)
        columns = [*IDENTITIES.columns]
        made = False
        for lines in accepted_lines(paths, IDENTITIES, on, Refused()):
            connection.register("piece", lines.select(columns).to_arrow())
            verb = "INSERT INTO received" if made else "CREATE TABLE received AS"
            connection.execute(f"{verb} FROM piece")
            connection.unregister("piece")
            made = True
        if not made:
            return {}
        identities = connection.table("received")
        return {key: uniqueness(identities, KEYS[key]) for key in keys}


def rules_compared(
    identities: int, count: int, seed: int, *, probabilistic: bool = False
) -> pl.DataFrame:
    """What each candidate rule of matching gains, and how often it errs, on synthetic mistakes."""
    # Both take long to import, and only this command needs them.
    from ccgi_pipeline.ssid_lookup.research import matching_rules as rules  # noqa: PLC0415
    from ccgi_pipeline.synthetic.identities import applications as made_up  # noqa: PLC0415
    from ccgi_pipeline.synthetic.identities import identities as students  # noqa: PLC0415

    known = pl.concat(students(identities, seed))
    asked = made_up(known, count, seed)
    answered = [rules.answers(known, asked)]
    if probabilistic:
        answered.append(rules.probable_answers(known, asked))
    return rules.judged(pl.concat(answered))
