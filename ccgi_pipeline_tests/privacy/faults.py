"""Two days of an inbox: every student a canary, every feed, and everything that can go wrong.

Belongs here: which files lie where. Does not belong here: what a night makes of them (nights).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from ccgi_pipeline.feeds.oneroster import USERS
from ccgi_pipeline.feeds.registry import DISTRICT_FAMILIES, FAMILIES, STATEWIDE_SENDERS
from ccgi_pipeline.feeds.spec import FeedSpec
from ccgi_pipeline.feeds.transcript import STUDENT
from ccgi_pipeline.intake.archive import Archive
from ccgi_pipeline_tests.files import DISTRICT, as_bytes, usual_name, zipped
from ccgi_pipeline_tests.nightly.inboxes import put
from ccgi_pipeline_tests.privacy.canaries import good, odd, turned, word
from ccgi_pipeline_tests.privacy.damages import damaged

GOOD = DISTRICT
"""The district whose first day is good."""
LATER = "later"
"""The folder of a set that ends most of what it sent before."""


def name_of_a_file(number: int = 0) -> str:
    """A canary that stands in names of files and nowhere in them."""
    return word("filename", number)


def good_day(inbox: Path) -> None:
    """A good drop of every family, a line of each student in each file; and sets to be held.

    Those would end most of what the good ones bring.
    """
    for family in DISTRICT_FAMILIES:
        _put_all(inbox, f"{GOOD}/{family}", _files(family))
    for sender, family in STATEWIDE_SENDERS.items():
        _put_all(inbox, sender, _files(family))
    few = {
        usual_name(feed): as_bytes(feed, good(feed, count=4))
        for feed in FAMILIES["oneroster"].feeds
    }
    _put_all(inbox, f"{GOOD}/oneroster/{LATER}", few)


def _files(family: str) -> dict[str, bytes]:
    return {usual_name(feed): as_bytes(feed, good(feed)) for feed in FAMILIES[family].feeds}


def _put_all(inbox: Path, folder: str, files: Mapping[str, bytes]) -> None:
    for name, content in files.items():
        put(inbox, f"{folder}/{name}", content)


def bad_day(inbox: Path) -> None:
    """Every kind of failure at once, each of a district of its own."""
    _damaged_files(inbox)
    _wrong_lines(inbox)
    _names(inbox)
    _zips(inbox)


def _damaged_files(inbox: Path) -> None:
    for number, (family, spec) in enumerate(FAMILIES.items()):
        sender = {sent: sender for sender, sent in STATEWIDE_SENDERS.items()}.get(family)
        folder = f"{sender}/damaged" if sender else f"190000{number}/{family}"
        for feed in spec.feeds:
            for of_feed, content in enumerate(_damages(feed)):
                put(inbox, f"{folder}/n{of_feed}_{usual_name(feed)}", content)


def _damages(feed: FeedSpec) -> list[bytes]:
    return [*damaged(feed, as_bytes(feed, odd(feed, 3)), b"Qzx")]


def _wrong_lines(inbox: Path) -> None:
    """Values in wrong columns, keys twice, corrections."""
    for family, spec in DISTRICT_FAMILIES.items():
        for feed in spec.feeds:
            lines, name = good(feed, count=6), usual_name(feed)
            put(inbox, f"2000001/{family}/{name}", as_bytes(feed, turned(feed, lines)))
            put(inbox, f"2000002/{family}/{name}", as_bytes(feed, [*lines, *lines[::-1]]))
            put(inbox, f"{GOOD}/{family}/corrections/{name}", as_bytes(feed, odd(feed, 2)))


def _names(inbox: Path) -> None:
    """Names of pupils in names of files and folders, of known kinds and of none, and in headers."""
    content = as_bytes(STUDENT, good(STUDENT, count=3))
    known = f"{name_of_a_file(1)}_StudentTemplate_20261120.csv"
    put(inbox, f"2000003/transcript/{known}", content)
    put(inbox, f"2000003/{name_of_a_file(2)}.docx", b"Qz")
    put(inbox, f"2000004/{name_of_a_file(3)}/transcript/StudentTemplate.csv", content[:-30])
    put(inbox, f"{name_of_a_file(4)}/{name_of_a_file(5)}.csv", content)
    put(inbox, f"2000005/transcript/{name_of_a_file(6)}.zip", zipped({known: content[:-9]}))
    header = [word("lastname", number) for number in range(9)]
    put(inbox, "2000006/transcript/StudentTemplate.csv", as_bytes(STUDENT, [], header=header))
    wider = [*STUDENT.columns, word("firstname", 3)]
    put(inbox, "2000007/transcript/StudentTemplate.csv", as_bytes(STUDENT, [], header=wider))


def _zips(inbox: Path) -> None:
    """Zips that are cut, are none, have a name twice over, or a zip in a zip."""
    content = as_bytes(STUDENT, good(STUDENT, count=3))
    package = zipped({"StudentTemplate.csv": content, f"{name_of_a_file(7)}.txt": content})
    put(inbox, "2000008/transcript/package.zip", package[: len(package) * 2 // 3])
    put(inbox, "2000009/transcript/package.zip", content)
    put(inbox, "2000010/transcript/package.zip", zipped({"inner.zip": package}))
    put(inbox, "2000011/transcript/package.zip", package[:-60] + bytes(20) + package[-40:])
    put(inbox, "2000012/transcript/package.zip", zipped({f"../{name_of_a_file(8)}": content}))


def damage_a_held_file(archive: Archive) -> None:
    """What the disk did to the archived copy of a file of the good district's held set."""
    content = as_bytes(USERS, good(USERS, count=4))
    path = archive.path(hashlib.sha256(content).hexdigest())
    path.chmod(0o644)
    path.write_bytes(content[: len(content) // 2])
