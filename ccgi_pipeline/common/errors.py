"""The pipeline's errors: transient ones may go away by themselves, permanent ones need a person.

Belongs here: the two base classes, the errors of the machine (disk, catalog, storage), and the
guard that keeps students' values out of messages. Libraries put values into their messages (a
parser quotes the cell that it could not read) and the orchestrator stores messages for ever. So
every error that is not a PipelineError is raised again without its message.
"""

from __future__ import annotations

import errno
import functools
import shutil
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import ParamSpec, Protocol, TypeVar, runtime_checkable

P = ParamSpec("P")
R = TypeVar("R")


class PipelineError(Exception):
    """Base of the pipeline's own errors; a message holds no value of a received file."""


class TransientError(PipelineError):
    """An error that may go away by itself: the caller skips the work and tries again later."""


class UnreachableError(TransientError):
    """The server of the warehouse's catalog or tables cannot be reached, or went away."""


class DatabaseInUseError(TransientError):
    """Another program keeps a SQLite file of the warehouse to itself."""


class PermanentError(PipelineError):
    """An error that stays until somebody acts: the work stops and the error is shown."""


class UnexpectedError(PermanentError):
    """An error that the pipeline did not expect; its message has only a type and a traceback."""


class NoRoomError(PermanentError):
    """A disk is full or its quota is reached. Nothing is half written."""


class StorageRefusedError(PermanentError):
    """The object storage of the warehouse's tables refuses the keys, the name or the access."""


class CatalogDamagedError(PermanentError):
    """The warehouse's catalog cannot be read or is gone, and needs a backup."""


class TablesDamagedError(PermanentError):
    """A file of the warehouse's tables is missing or not as it was written, and needs a backup."""


def library_errors() -> tuple[type[BaseException], ...]:
    """Returns what any library may raise; a panic of polars does not derive from Exception.

    polars is not imported for it: where it was not imported, it cannot panic.
    """
    polars = sys.modules.get("polars.exceptions")
    return (Exception, polars.PanicException) if polars else (Exception,)


def value_free(step: Callable[P, R]) -> Callable[P, R]:
    """Decorates ``step`` so that it raises only pipeline errors, whose messages hold no values.

    A full disk, a damaged catalog and a missing server become the errors of those names; every
    other error becomes an UnexpectedError without its message.
    """

    @functools.wraps(step)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return step(*args, **kwargs)
        except PipelineError:
            raise
        except library_errors() as error:
            raise to_pipeline_error(error, _write_folders(*args)) from None

    return guarded


@runtime_checkable
class HasFolders(Protocol):
    """An argument of a step that knows which folders the step writes to."""

    @property
    def write_folders(self) -> Sequence[Path]:
        """The folders, maybe on several disks."""


def _write_folders(*arguments: object) -> Sequence[Path]:
    """Returns the folders that a step with these arguments writes to, if one of them knows."""
    return next((given.write_folders for given in arguments if isinstance(given, HasFolders)), ())


def to_pipeline_error(error: BaseException, folders: Sequence[Path] = ()) -> PipelineError:
    """Returns the pipeline error that says what ``error`` is.

    ``folders`` were written to: a message about a full disk says how much room each has.
    """
    for cause in _causes(error):
        if isinstance(cause, PipelineError):
            return cause
        if _message_has(cause, _NO_ROOM) or (
            isinstance(cause, OSError) and cause.errno in _NO_ROOM_CODES
        ):
            return NoRoomError(
                "there is no room: a disk is full or fails, or a limit is reached"
                f"{_describe_free_room(folders)}. "
                "Nothing is half written: make room, then run again"
            )
        if _message_has(cause, _DAMAGED):
            return catalog_damaged_error("cannot be read")
        for phrases, kind, words in _KNOWN_FAULTS:
            if _message_has(cause, phrases):
                return kind(words)
    return UnexpectedError(describe_without_values(error))


def catalog_damaged_error(
    how: str, what: str = "the whole warehouse folder"
) -> CatalogDamagedError:
    """Returns the error about a catalog that "cannot be read" or "is gone".

    ``what`` is to be restored from the backup.
    """
    return CatalogDamagedError(
        f"the warehouse's catalog {how}: restore {what} from a backup. Keep "
        "the damaged one until that is done"
    )


_NO_ROOM_CODES = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_NO_ROOM = (
    *("No space left on device", "Disk quota exceeded", "File too large"),
    *("database or disk is full", "disk I/O error"),
)
_DAMAGED = ("file is not a database", "disk image is malformed", "malformed database schema")
"""What SQLite and DuckDB say. Their error codes do not get as far as here, only the messages."""
_IN_USE = ("database is locked", "database table is locked", "database schema is locked")
_WENT_AWAY = (
    *("Unable to connect to Postgres", "server closed the connection", "terminating connection"),
    *("the database system is", "no connection to the server", "Connection refused"),
    *("SSL connection has been closed", "Could not establish connection", "Could not connect to"),
    *("Connection reset by peer", "HTTP code 503"),
)
_REFUSED = (
    "HTTP code 403",
    "HTTP code 401",
    "NoSuchBucket",
    "InvalidAccessKeyId",
    "SignatureDoesNotMatch",
)
"""What PostgreSQL and object storage say."""
_TABLES_UNREADABLE = (
    *('.parquet": No such file', "No magic bytes found", "too small to be a Parquet file"),
    *("TProtocolException", "Decompression failure", "decompression failure", "Parquet footer"),
    *("Computed AES tag differs", "Invalid string encoding found in Parquet"),
    *("Failed to read file", "Out of buffer"),
)
"""What DuckDB says of a file of a table that is gone, cut or changed."""
_KNOWN_FAULTS: tuple[tuple[Sequence[str], type[PipelineError], str], ...] = (
    (
        _TABLES_UNREADABLE,
        TablesDamagedError,
        (
            "a file of the warehouse's tables is gone or damaged: `ccgi warehouse verify` names it "
            "and says what to do"
        ),
    ),
    (
        _IN_USE,
        DatabaseInUseError,
        (
            "another program has the warehouse's catalog, or another database in its folder, open "
            "for too long (a SQLite tool or a backup program, say): close it, and run again. "
            "Nothing is half written"
        ),
    ),
    (
        _WENT_AWAY,
        UnreachableError,
        (
            "the server of the warehouse's catalog or tables went away or cannot be reached. "
            "Nothing is half written: run again when it is up"
        ),
    ),
    (
        _REFUSED,
        StorageRefusedError,
        (
            "the object storage of the warehouse's tables refuses access: check CCGI_TABLES, "
            "CCGI_S3_KEY_ID and CCGI_S3_SECRET"
        ),
    ),
)
"""What a library's message means, whatever else it says."""
_LIBRARIES = ("duckdb", "_duckdb", "sqlite3", "sqlcipher3", "sqlalchemy", "polars", "psycopg2")
"""The libraries whose messages are searched: another one's may quote a value that looks alike."""


def _message_has(error: BaseException, phrases: Sequence[str]) -> bool:
    known = type(error).__module__.partition(".")[0] in _LIBRARIES
    return known and any(phrase in str(error) for phrase in phrases)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yields the error and then each error that led to it."""
    seen: BaseException | None = error
    while seen is not None:
        yield seen
        seen = seen.__cause__ or seen.__context__


GIB = 1 << 30


def free_gib(place: Path) -> float:
    """Returns the free room in GiB of the disk that ``place`` is on or will be on."""
    there = next(folder for folder in (place, *place.absolute().parents) if folder.exists())
    return shutil.disk_usage(there).free / GIB


def _describe_free_room(folders: Sequence[Path]) -> str:
    rooms = [f"{free_gib(folder):.1f} GiB at {folder}" for folder in folders]
    return f" (free: {', '.join(rooms)})" if rooms else ""


def describe_without_values(error: BaseException) -> str:
    """Returns the error's type and the lines of code that led to it, without its message."""
    frames = traceback.extract_tb(error.__traceback__)
    places = [f"{frame.filename}:{frame.lineno} in {frame.name}" for frame in frames]
    return "\n  ".join([type(error).__name__, *places])
