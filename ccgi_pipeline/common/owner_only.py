"""Files that only their owner can read: mode 0600, folders 0700, whatever the umask was.

Belongs here: the umask of the pipeline's processes, and mending what older versions or other umasks
left. DuckDB and SQLite make their files themselves, so the umask is what reaches all of them.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path

OTHERS = 0o077
"""The rights of everybody but the owner."""


def restrict_umask() -> None:
    """Makes all files that this process and its children make their owner's alone."""
    os.umask(OTHERS)


def mend_folder(folder: Path) -> None:
    """Takes the rights of others from a folder of the pipeline and from all that is in it.

    A folder that only its owner may enter is mended already: this costs one look. Links are not
    followed. A folder that belongs to somebody else, or that all accounts share (such as ``/tmp``),
    stays as it is.
    """
    try:
        status = folder.lstat()
    except FileNotFoundError:
        return
    shared = status.st_mode & (stat.S_ISVTX | stat.S_IWOTH)
    if not stat.S_ISDIR(status.st_mode) or shared or not status.st_mode & OTHERS:
        return
    if status.st_uid != os.geteuid() or folder.absolute() in {Path.home(), Path("/")}:
        return
    # The folder itself comes last: a walk that was killed is done again.
    folders = [folder]
    for place in folders:
        with os.scandir(place) as entries:
            for entry in entries:
                if entry.is_symlink():
                    continue
                if entry.is_dir(follow_symlinks=False):
                    folders.append(Path(entry.path))
                else:
                    _restrict(Path(entry.path), entry.stat(follow_symlinks=False).st_mode)
    for place in reversed(folders):
        _restrict(place, place.lstat().st_mode)


def _restrict(path: Path, mode: int) -> None:
    if mode & OTHERS:
        # A file may be gone since it was listed, or be another account's.
        with suppress(FileNotFoundError, PermissionError):
            path.chmod(stat.S_IMODE(mode) & ~OTHERS)
