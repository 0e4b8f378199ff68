"""Recognising: whose kind of file it is, where neither its folder nor its name says so.

Belongs here: looking into a file, or a zip, for the header of a known feed. Does not belong here:
reading it to the end (reader).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ccgi_pipeline.feeds.registry import DISTRICT_FEEDS, FEEDS
from ccgi_pipeline.feeds.spec import FeedSpec
from ccgi_pipeline.intake.inbox import UNKNOWN_FAMILY, is_cd_code
from ccgi_pipeline.intake.reader import recognise
from ccgi_pipeline.intake.zip_files import is_zip, members

_BEGINNING = 1 << 16
"""Bytes in which a header line surely ends."""


def family_of(read: Callable[[int], bytes], file_name: str, sender: str) -> str:
    """The family of a file; of a zip, that of most of its files.

    ``read``: gives the file's first so many bytes, and all of it for -1.

    A district is only ever taken to send what districts send.
    """
    candidates: Sequence[FeedSpec] = DISTRICT_FEEDS if is_cd_code(sender) else FEEDS
    if is_zip(file_name):
        inside = members(file_name, read(-1))
        beginnings = [(member.content[:_BEGINNING], member.name) for member in inside]
    else:
        beginnings = [(read(_BEGINNING), file_name)]
    feeds = [recognise(beginning, name, candidates) for beginning, name in beginnings]
    families = [feed.family for feed in feeds if feed]
    return max(families, key=families.count, default=UNKNOWN_FAMILY)
