"""Zips: what is taken out of a good one, and what is refused of one that tries something.

Belongs here: members of a zip and the rule that refuses each. That a good zip is judged as its
loose files are is tested with verification.
"""

from __future__ import annotations

import errno
import io
import math
import stat
import tracemalloc
import zipfile
from collections.abc import Mapping
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ccgi_pipeline.feeds import file_rules
from ccgi_pipeline.intake.contents import Content
from ccgi_pipeline.intake.zip_files import MEMBER_LIMIT, Member, is_zip, read_members
from ccgi_pipeline_tests.intake.changes import PROFILE

NAME = "package.zip"
GOOD = {"StudentTemplate.csv": b"StateID\n1\n", "Manifest.csv": b"FileName\nx\n"}


def _zip(
    files: Mapping[str | zipfile.ZipInfo, bytes], compression: int = zipfile.ZIP_DEFLATED
) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", compression) as package:
        for name, content in files.items():
            package.writestr(name, content)
    return packed.getvalue()


def _entry(name: str, mode: int) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo("x")
    entry.filename = name
    entry.external_attr = mode << 16
    return entry


def _members(content: bytes) -> list[Member]:
    return read_members(NAME, Content.of_bytes(content))


def _refusals(content: bytes) -> list[tuple[str, str | None]]:
    return [
        (member.name, member.refused.id if member.refused else None) for member in _members(content)
    ]


def test_a_plain_file_is_itself():
    content = Content.of_bytes(b"abc")
    assert read_members("StudentTemplate.csv", content) == [Member("StudentTemplate.csv", content)]


@pytest.mark.parametrize("name", ["package.zip", "PACKAGE.ZIP", "a/b.Zip"])
def test_a_zip_is_known_by_its_name(name: str):
    assert is_zip(name)


@pytest.mark.parametrize(
    "compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]
)
def test_a_good_zip_gives_its_files_in_its_order(compression: int):
    members = _members(_zip(GOOD, compression))
    assert [(member.name, member.content.read()) for member in members] == [*GOOD.items()]


@pytest.mark.parametrize(
    "compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]
)
def test_members_that_are_not_held_in_memory_are_those_that_are(compression: int):
    large = {"Large.csv": b"".join(b"%010d,%d\n" % (n, n * n) for n in range(100_000))}
    content = Content.of_bytes(_zip({**GOOD, **large}, compression))
    held = read_members(NAME, content)
    unpacked_again = read_members(NAME, content, most=1000)
    for one, other in zip(held, unpacked_again, strict=True):
        assert (one.name, one.content.size) == (other.name, other.content.size)
        assert b"".join(other.content.read_pieces()) == one.content.read()
        assert other.content.read() == one.content.read()
        assert other.content.read_start(7) == one.content.read()[:7]


@pytest.mark.parametrize("after", [0, 50, 500])
def test_a_fault_of_the_disk_is_not_told_to_the_sender(after: int):
    packed = _zip({"Large.csv": bytes(range(256)) * 40}, zipfile.ZIP_STORED)

    class Failing(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            if self.tell() <= after:
                raise OSError(errno.EIO, "the disk does not answer")
            return super().read(size)

    content = replace(Content.of_bytes(packed), open=lambda: Failing(packed))
    with pytest.raises(OSError, match="does not answer"):
        read_members(NAME, content)


@pytest.mark.parametrize("most", [0.0, math.inf])
def test_a_zip_is_refused_in_the_same_way_whether_it_is_held_in_memory_or_not(most: float):
    content = bytearray(_zip({"StudentTemplate.csv": bytes(range(256)) * 40}))
    content[60:80] = bytes([0xFF]) * 20
    inner = _zip({"Inside.csv": _zip(GOOD)})
    (damaged,) = read_members(NAME, Content.of_bytes(bytes(content)), most)
    (nested,) = read_members(NAME, Content.of_bytes(inner), most)
    assert damaged.refused is file_rules.ZIP_BROKEN
    assert nested.refused is file_rules.ZIP_NESTED


def test_no_member_lies_in_memory_of_a_zip_that_unpacks_to_more_than_is_allowed():
    lines = b"".join(b"%010d,%d\n" % (n, n * n) for n in range(600_000))
    content = Content.of_bytes(_zip({f"{name}.csv": lines for name in "ab"}))
    tracemalloc.start()
    try:
        members = read_members(NAME, content, most=1 << 20)
        sizes = [sum(map(len, member.content.read_pieces())) for member in members]
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert sizes == [len(lines), len(lines)]
    assert peak < 8 << 20


def test_folders_in_a_zip_are_passed_through():
    content = _zip({"drop/": b"", "drop/inner/StudentTemplate.csv": b"x"})
    (member,) = _members(content)
    assert (member.name, member.content.read()) == ("StudentTemplate.csv", b"x")
    assert member.in_folder


@pytest.mark.parametrize(
    "litter",
    [
        "__MACOSX/._StudentTemplate.csv",
        "drop/__MACOSX/x",
        ".DS_Store",
        "a/Thumbs.db",
        "desktop.ini",
    ],
)
def test_what_operating_systems_put_into_a_zip_is_passed_over(litter: str):
    assert _refusals(_zip({**GOOD, litter: b"junk"})) == [(name, None) for name in GOOD]


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("../evil.csv", "evil.csv"),
        ("a/../../evil.csv", "evil.csv"),
        ("/etc/evil.csv", "evil.csv"),
        ("..\\evil.csv", "evil.csv"),
        ("a\\..\\..\\evil.csv", "evil.csv"),
        ("\\\\server\\share\\evil.csv", "evil.csv"),
        ("C:\\Windows\\evil.csv", "evil.csv"),
        ("..", ".."),
    ],
)
def test_a_name_that_leads_out_of_the_zip_is_refused(name: str, shown: str):
    content = _zip({**GOOD, _entry(name, stat.S_IFREG | 0o644): b"x"})
    assert _refusals(content) == [*((good, None) for good in GOOD), (shown, "FILE-ZIP-NAME")]


def test_a_link_in_a_zip_is_refused():
    link = _entry("StudentTemplate.csv", stat.S_IFLNK | 0o777)
    assert _refusals(_zip({link: b"/etc/passwd"})) == [("StudentTemplate.csv", "FILE-ZIP-NAME")]


@pytest.mark.parametrize("name", ["inner.zip", "INNER.ZIP", "StudentTemplate.csv"])
def test_a_zip_in_a_zip_is_refused_under_any_name(name: str):
    assert _refusals(_zip({name: _zip(GOOD)})) == [(name, "FILE-ZIP-NESTED")]


def test_a_locked_member_is_refused_and_the_others_are_read():
    content = bytearray(_zip({"Open.csv": b"x", "Locked.csv": b"y"}))
    content[content.rindex(b"PK\x01\x02") + 8] |= 1
    content[content.rindex(b"PK\x03\x04") + 6] |= 1
    assert _refusals(bytes(content)) == [("Open.csv", None), ("Locked.csv", "FILE-ZIP-ENCRYPTED")]


def test_a_member_that_unpacks_to_a_multiple_of_any_real_file_is_refused():
    content = _zip({"Bomb.csv": bytes(20 << 20), **GOOD})
    assert _refusals(content) == [("Bomb.csv", "FILE-ZIP-TOO-LARGE"), *((n, None) for n in GOOD)]


def test_a_member_that_claims_to_be_small_is_counted_as_it_comes_out():
    content = bytearray(_zip({"Bomb.csv": bytes(20 << 20)}))
    directory = content.rindex(b"PK\x01\x02")
    content[directory + 24 : directory + 28] = (100).to_bytes(4, "little")
    assert [rule for _, rule in _refusals(bytes(content))] != [None]


def test_members_that_together_unpack_to_a_multiple_of_any_real_zip_are_refused():
    claimed = _zip({f"{number}.csv": bytes(15 << 20) for number in range(5)})
    assert _refusals(claimed) == [(NAME, "FILE-ZIP-TOO-LARGE")]


def test_members_that_together_claim_to_be_small_are_counted_as_they_come_out():
    honest = _zip({f"{number}.csv": bytes(15 << 20) for number in range(3)})
    lying = honest.replace((15 << 20).to_bytes(4, "little"), (1000).to_bytes(4, "little"))
    refused = [refusal for _, refusal in _refusals(lying)]
    assert set(refused) <= {None, "FILE-ZIP-TOO-LARGE", "FILE-ZIP-BROKEN"}
    assert sum(member.content.size for member in _members(lying)) <= 16 << 20


@pytest.mark.parametrize("shift", [0, 1, 10])
def test_members_that_share_their_packed_bytes_are_refused(shift: int):
    entries = dict.fromkeys(("a.csv", "b.csv", "c.csv"), b"StateID\n1\n" * 100)
    content = bytearray(_zip(entries, zipfile.ZIP_STORED))
    listed = content.index(b"PK\x01\x02")
    second = content.index(b"PK\x01\x02", listed + 1)
    first_at = content.index(b"PK\x03\x04", 1) - shift  # the second entry's header, or before it
    third = content.index(b"PK\x01\x02", second + 1)
    content[third + 42 : third + 46] = first_at.to_bytes(4, "little")
    assert _refusals(bytes(content)) == [(NAME, "FILE-ZIP-BROKEN")]


def test_a_member_that_packs_well_and_is_small_is_read():
    assert _refusals(_zip({"Flat.csv": b"a,b\n" * (1 << 20)})) == [("Flat.csv", None)]


def test_a_zip_of_more_files_than_any_package_has_is_refused_as_a_whole():
    content = _zip({f"{number}.csv": b"x" for number in range(MEMBER_LIMIT + 1)})
    assert _refusals(content) == [(NAME, "FILE-ZIP-TOO-LARGE")]


def test_a_zip_of_as_many_files_as_are_allowed_is_read():
    content = _zip({f"{number}.csv": b"x" for number in range(MEMBER_LIMIT)})
    assert len(_members(content)) == MEMBER_LIMIT


@pytest.mark.parametrize(
    "content",
    [b"", b"PK", b"StateID\n1\n", _zip(GOOD)[:-10], _zip(GOOD)[20:]],
    ids=["empty", "two letters", "a text", "cut at the end", "cut at the beginning"],
)
def test_a_broken_zip_is_refused_as_a_whole(content: bytes):
    assert _refusals(content) == [(NAME, "FILE-ZIP-BROKEN")]


@pytest.mark.parametrize(
    "compression",
    [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA],
    ids=["stored", "deflated", "bzip2", "lzma"],
)
def test_a_zip_whose_content_is_damaged_is_refused_and_nothing_fails(compression: int):
    content = bytearray(_zip({"StudentTemplate.csv": bytes(range(256)) * 40}, compression))
    middle = content.index(b"StudentTemplate.csv") + len("StudentTemplate.csv")
    content[middle : middle + 20] = bytes([0xFF]) * 20
    assert "FILE-ZIP-BROKEN" in [rule for _, rule in _refusals(bytes(content))]


def test_a_member_without_a_name_is_refused_and_nothing_fails():
    content = _zip(GOOD).replace(b"StudentTemplate.csv", b"\x00tudentTemplate.csv")
    assert any(member.refused for member in _members(content))


def test_a_zip_without_files_is_answered():
    refused = _members(_zip({}))
    assert [member.name for member in refused] == [NAME]
    assert refused[0].refused is not None


@settings(PROFILE, max_examples=150)
@given(
    places=st.lists(st.tuples(st.integers(0, 5000), st.integers(0, 255)), min_size=1, max_size=6),
    compression=st.sampled_from(
        [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]
    ),
)
def test_no_change_of_a_good_zip_makes_opening_it_fail(
    places: list[tuple[int, int]], compression: int
):
    large = {"Large.csv": b"".join(b"%010d,%d\n" % (n, n * n) for n in range(300))}
    content = bytearray(_zip({**GOOD, **large}, compression))
    for place, octet in places:
        content[place % len(content)] = octet
    for member in _members(bytes(content)):
        assert member.refused is not None or isinstance(member.content.read(), bytes)
