"""Tells by a file's name whether it is a delivery: whole, and no marker or litter.

Belongs here: the names that clients, servers and operating systems give to files that no sender
means to deliver. Does not belong here: which feed a name speaks of (feeds.registry).
"""

from __future__ import annotations

import re

from ccgi_pipeline.feeds.registry import feed_by_name

_TEMPORARY = (
    "part|filepart|partial|tmp|temp|crdownload|download|opdownload|writing|inprogress|in_progress|"
    "in-progress|progress|uploading|upload|uploaded|incomplete|unfinished|pending|transferring|"
    "xfer|working|wip|lock|lck|swp|bak|old|orig|save|cyberducksegment|duckpart|ocpart"
)
_DATA = "csv|txt|tsv|tab|dat|zip"
_SEALED = "pgp|gpg|asc|sig|gz|bz2|xz|zst|zip|7z|csv|txt|tsv|xlsx|xls"
_PARTIAL = re.compile(
    rf"""(?ix)
    ^\. | ~$ | ^~\$                        # hidden, an editor's copy
    | \.(?:{_TEMPORARY})(?:[.-]?[0-9a-f]*)$ # name.csv.part, name.filepart, name.part.1
    | ^(?:uploading|inprogress|partial)[_-] # uploading_name.csv
    | \.(?:{_DATA})[.~_$@!#-](?!(?:.*\.)?(?:{_SEALED}|sha256(?:sums?)?)$).+$  # name.csv.1f3a
    """
)
_PARTIAL_FOLDER = re.compile(r"(?i)(\.part|\.filepart|\.partial|\.tmp|\.crdownload|~)$|^\.")
"""Names under which clients write files that are not whole yet, or keep old copies: WinSCP, lftp,
rclone, Spring, Cyberduck, curl, Globalscape, browsers, servers and editors. What follows the ending
of a data file is no name that a feed may have."""
_MARKS = "done|ok|ready|trg|trigger|complete|completed|success|finished|eof|sem|flag|go"
_MARKER = re.compile(rf"(?i)\.(?:{_MARKS})$")
_MARKER_WITHOUT_ENDING = re.compile(rf"(?i)(?:^|[_-])(?:{_MARKS})$")
"""Names of files that only say that others are there."""
_LITTER = re.compile(
    r"(?i)^(?:thumbs\.db|ehthumbs(?:_vista)?\.db|desktop\.ini|\.ds_store|icon\r|__macosx|"
    r"\$recycle\.bin|system volume information|@eadir|\._.*)$"
)
"""Files and folders of operating systems and file servers."""
_OPENPGP = re.compile(r"(?i)(?<=.)\.(?:pgp|gpg|asc|pgp\.txt)$")
"""What programs add to the name of a file that they encrypt."""
_CHECKSUMS = re.compile(r"(?i)\.sha256(sums?)?$|^sha256sums?(\.txt)?$")


def is_unfinished(name: str) -> bool:
    """Returns whether a file of this name is hidden, still being written, or an old copy."""
    return _PARTIAL.search(name) is not None


def is_unfinished_folder(name: str) -> bool:
    """Returns whether a folder of this name is hidden or still being written."""
    return _PARTIAL_FOLDER.search(name) is not None


def is_marker(name: str) -> bool:
    """Returns whether a file of this name says by its name alone that others are complete."""
    if _MARKER.search(name):
        return True
    return _MARKER_WITHOUT_ENDING.search(name) is not None and feed_by_name(name) is None


def is_litter(name: str) -> bool:
    """Returns whether an operating system puts a file or folder of this name into folders."""
    return _LITTER.search(name) is not None


def is_checksums(name: str) -> bool:
    """Returns whether a file of this name is a list of checksums, as ``sha256sum`` writes it."""
    return _CHECKSUMS.search(name) is not None


def strip_openpgp_ending(name: str) -> str:
    """Returns the name that a file had before it was encrypted: without one ending of OpenPGP."""
    return _OPENPGP.sub("", name, count=1)
