"""Detects a file's family and feed from its content, if neither its folder nor its name says so.

Belongs here: searching a file, or a zip, for the header of a known feed. Does not belong here:
reading it to the end (reader).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ccgi_pipeline.feeds.registry import DISTRICT_FEEDS, FAMILIES, FEEDS, feed_by_name
from ccgi_pipeline.feeds.spec import FeedSpec
from ccgi_pipeline.intake.contents import Content
from ccgi_pipeline.intake.inbox import UNKNOWN_FAMILY, is_cd_code
from ccgi_pipeline.intake.reader import detect_feed
from ccgi_pipeline.intake.zip_files import read_members

_BEGINNING = 1 << 16
"""Bytes that hold any header line."""


def detect_family(content: Content, file_name: str, sender: str) -> str:
    """Returns the family of a file, or the most frequent family of a zip's members.

    For a district, only the feeds that districts send are considered.
    """
    candidates: Sequence[FeedSpec] = DISTRICT_FEEDS if is_cd_code(sender) else FEEDS
    inside = read_members(file_name, content, most=0)
    feeds = [
        detect_feed(member.content.read_start(_BEGINNING), member.name, candidates)
        for member in inside
    ]
    families = [feed.family for feed in feeds if feed]
    return max(families, key=families.count, default=UNKNOWN_FAMILY)


def detect_feed_of(
    content_of: Callable[[], Content], file_name: str, family: str
) -> FeedSpec | None:
    """Returns the feed of ``family`` that a loose file's name, or else its header, says.

    ``content_of`` is called only if the header must say it.
    """
    if family not in FAMILIES:
        return None
    feeds = FAMILIES[family].feeds
    named = feed_by_name(file_name, feeds)
    if named is not None:
        return named
    return detect_feed(content_of().read_start(_BEGINNING), file_name, feeds)
