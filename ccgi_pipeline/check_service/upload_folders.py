"""Folders for uploads: only their owner can read them, and none outlives its upload.

Belongs here: making and removing them, also those that a killed service has left. Does not belong
here: what lies in them.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ccgi_pipeline.common.errors import PermanentError
from ccgi_pipeline.common.owner_only import OTHERS

_IN_MEMORY = Path("/dev/shm")  # noqa: S108 - a folder of its own is made in it, for the owner alone


class UploadFolderError(PermanentError):
    """The folder for uploads cannot be used."""


def choose_place() -> Path:
    """Returns where folders for uploads are made: in memory, unless TMPDIR names a folder."""
    if not os.environ.get("TMPDIR") and os.access(_IN_MEMORY, os.W_OK | os.X_OK):
        return _IN_MEMORY
    return Path(tempfile.gettempdir())


@contextmanager
def open_upload_root(place: Path) -> Iterator[Path]:
    """Gives a new folder below ``place`` for the uploads of this process, and removes it.

    Removes those of processes that were killed, too: the kernel gives up a dead process's lock.
    """
    shared = place / f"ccgi-check-{os.geteuid()}"
    try:
        with suppress(FileExistsError):
            shared.mkdir(mode=0o700)
        _require_own(shared)
        with _locked(shared):
            _sweep(shared)
            root = Path(tempfile.mkdtemp(dir=shared))
            held = _lock(root)
    except OSError as error:
        msg = f"{shared} cannot be used for uploads: {error.strerror}; name another with --folder"
        raise UploadFolderError(msg) from None
    try:
        yield root
    finally:
        remove_folder(root)
        os.close(held)
        with suppress(OSError):  # another process works there
            shared.rmdir()


def _require_own(folder: Path) -> None:
    """Refuses a folder that somebody else has put there, or may look into."""
    status = folder.lstat()
    own = stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid()
    if not own or status.st_mode & OTHERS:
        msg = f"{folder} is not a folder of this account alone: remove it, or name another place"
        raise UploadFolderError(msg)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(opened, fcntl.LOCK_EX)
        yield
    finally:
        os.close(opened)


def _lock(folder: Path) -> int:
    """Locks a folder for as long as this process lives. Raises BlockingIOError if it is locked."""
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(opened)
        raise
    return opened


def _sweep(shared: Path) -> None:
    """Removes the folders whose process is gone."""
    for folder in shared.iterdir():
        try:
            held = _lock(folder)
        except OSError:  # another service's, at work
            continue
        remove_folder(folder)
        os.close(held)


@contextmanager
def open_upload_folder(root: Path) -> Iterator[Path]:
    """Gives an empty folder for one upload, and removes it with all that is in it."""
    folder = Path(tempfile.mkdtemp(dir=root))
    try:
        yield folder
    finally:
        remove_folder(folder)


def remove_folder(folder: Path) -> None:
    """Removes a folder, if it is there, with all that is in it."""
    with suppress(FileNotFoundError):
        shutil.rmtree(folder)
