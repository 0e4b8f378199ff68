"""Errors as words with meaning: may it go away by itself, or must somebody act.

Belongs here: the two kinds, and the guard that keeps pupils' values out of whatever is raised.
Libraries put values into their messages (a parser quotes the cell that it could not read), and an
orchestrator stores messages for ever: so what is not one of ours is raised again without its words.
"""

from __future__ import annotations

import errno
import functools
import shutil
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import ParamSpec, Protocol, TypeVar, runtime_checkable

from polars.exceptions import PanicException

P = ParamSpec("P")
R = TypeVar("R")


class PipelineError(Exception):
    """An error of ours; its message holds no value of a received file."""


class TransientError(PipelineError):
    """It may go away by itself: skip, and try again."""


class UnreachableError(TransientError):
    """A server that the warehouse lies on cannot be reached, or went away."""


class PermanentError(PipelineError):
    """It stays until somebody acts: stop, and be loud."""


class UnexpectedError(PermanentError):
    """Something that nobody foresaw, told by its kind and place alone."""


class NoRoomError(PermanentError):
    """A disk is full, or a limit on it is reached: nothing is half written, somebody makes room."""


class StorageRefusedError(PermanentError):
    """The object storage of the warehouse's tables refuses: keys, name, rights."""


class CatalogDamagedError(PermanentError):
    """The warehouse's catalog cannot be read, or is gone: restore it from a backup."""


UNFORESEEN = (Exception, PanicException)
"""What a library may raise at us; polars' panics are no ordinary exceptions."""


def value_free(step: Callable[P, R]) -> Callable[P, R]:
    """Has ``step`` raise errors of ours only; others lose their words (UnexpectedError).

    A full disk, a damaged catalog and a server that is gone are told as what they are.
    """

    @functools.wraps(step)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return step(*args, **kwargs)
        except PipelineError:
            raise
        except UNFORESEEN as error:
            raise as_ours(error, places_of(*args)) from None

    return guarded


@runtime_checkable
class HasPlaces(Protocol):
    """What says where it writes."""

    @property
    def places(self) -> Sequence[Path]:
        """Folders, maybe on several disks."""


def places_of(*arguments: object) -> Sequence[Path]:
    """Where those write that are given to a step."""
    return next((given.places for given in arguments if isinstance(given, HasPlaces)), ())


def as_ours(error: BaseException, places: Sequence[Path] = ()) -> PipelineError:
    """``error`` as one of ours; ``places`` are the folders that were written to."""
    for cause in _chain(error):
        if isinstance(cause, PipelineError):
            return cause
        if _says(cause, _NO_ROOM) or (isinstance(cause, OSError) and cause.errno in _NO_ROOM_CODES):
            return NoRoomError(
                f"there is no room: a disk is full or fails, or a limit is reached{_free(places)}. "
                "Nothing is half written: make room, then run again"
            )
        if _says(cause, _DAMAGED):
            return catalog_damaged("cannot be read")
        if _says(cause, _WENT_AWAY):
            return UnreachableError(
                "the server of the warehouse's catalog or tables went away or cannot be reached. "
                "Nothing is half written: run again when it is up"
            )
        if _says(cause, _REFUSED):
            return StorageRefusedError(
                "the object storage of the warehouse's tables refuses: look at CCGI_TABLES, "
                "CCGI_S3_KEY_ID and CCGI_S3_SECRET"
            )
    return UnexpectedError(kind_and_place(error))


def catalog_damaged(how: str, what: str = "the whole warehouse folder") -> CatalogDamagedError:
    """The error about a catalog that ``cannot be read``, or ``is gone``; ``what`` to restore."""
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
"""What SQLite and DuckDB say, in words only: they have no codes that reach us."""
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
"""The same of PostgreSQL and of object storage."""
_SPEAKERS = ("duckdb", "_duckdb", "sqlite3", "sqlcipher3", "sqlalchemy", "polars", "psycopg2")
"""Whose words are looked at. Others' may quote a value, and mean nothing of the kind."""


def _says(error: BaseException, words: Sequence[str]) -> bool:
    speaks = type(error).__module__.partition(".")[0] in _SPEAKERS
    return speaks and any(word in str(error) for word in words)


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error, and what led to it."""
    seen: BaseException | None = error
    while seen is not None:
        yield seen
        seen = seen.__cause__ or seen.__context__


GIB = 1 << 30


def free_gib(place: Path) -> float:
    """Free room where ``place`` is, or will be, in GiB."""
    there = next(folder for folder in (place, *place.absolute().parents) if folder.exists())
    return shutil.disk_usage(there).free / GIB


def _free(places: Sequence[Path]) -> str:
    told = [f"{free_gib(place):.1f} GiB at {place}" for place in places]
    return f" (free: {', '.join(told)})" if told else ""


def kind_and_place(error: BaseException) -> str:
    """The error's type and the lines of code that led to it."""
    frames = traceback.extract_tb(error.__traceback__)
    places = [f"{frame.filename}:{frame.lineno} in {frame.name}" for frame in frames]
    return "\n  ".join([type(error).__name__, *places])
