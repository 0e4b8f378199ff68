"""Staging: what one step of the night hands to the next comes out as it went in.

Belongs here: the round trip through files, and that nothing of a stopped night is left over.
"""

from __future__ import annotations

import secrets
from dataclasses import replace
from pathlib import Path

import pytest
from polars.testing import assert_frame_equal

from ccgi_pipeline.common.packed_frames import PackedFrame, unpacked
from ccgi_pipeline.encryption.sealed_files import SealBrokenError
from ccgi_pipeline.intake.contents import Content
from ccgi_pipeline.intake.inbox import Drop, InboxFile, group_drops
from ccgi_pipeline.verification.drop_files import files_to_verify
from ccgi_pipeline.verification.gates import verify
from ccgi_pipeline.verification.offline_check import shipped_knowledge
from ccgi_pipeline.verification.outcomes import Verification
from ccgi_pipeline.warehouse.storage.staging import Staging
from ccgi_pipeline_tests.files import DISTRICT, ON, good_set


def _received(family: str, sender: str) -> tuple[list[Drop], Verification]:
    sent = good_set(family)
    files = [(InboxFile(f"{sender}/{family}/{n}", sender, family, "stamp"), n) for n in sent]
    drops = group_drops(files)
    return drops, verify(
        files_to_verify(drops, lambda _, name: Content.of_bytes(sent[name])), ON, shipped_knowledge
    )


def _assert_same(one: Verification, other: Verification) -> None:
    assert_frame_equal(one.files, other.files)
    assert_frame_equal(one.findings, other.findings)
    assert sorted(one.accepted) == sorted(other.accepted)
    assert sorted(one.kept_keys) == sorted(other.kept_keys)
    for feed, frame in one.accepted.items():
        assert_frame_equal(unpacked(frame), unpacked(other.accepted[feed]))
    for feed, frame in one.kept_keys.items():
        assert_frame_equal(frame, other.kept_keys[feed])


def test_drops_come_out_in_their_order_family_by_family(tmp_path: Path):
    staging = Staging(tmp_path / "staging")
    transcript, _ = _received("transcript", DISTRICT)
    platform, _ = _received("platform", "platform")
    staging.save_drops([*transcript, *platform])
    assert staging.read_drops(["transcript"]) == transcript
    assert staging.read_drops(["platform", "transcript"]) == [*transcript, *platform]


def test_where_nothing_was_staged_there_is_nothing(tmp_path: Path):
    staging = Staging(tmp_path / "staging")
    assert staging.read_drops(["transcript"]) == []
    assert staging.list_batches("transcript") == []


def test_a_batch_comes_out_as_it_went_in(tmp_path: Path):
    staging = Staging(tmp_path / "staging")
    drops, verification = _received("transcript", DISTRICT)
    staging.save_batch("transcript", drops, verification)
    (folder,) = staging.list_batches("transcript")
    staged_drops, staged = staging.read_batch(folder)
    assert staged_drops == drops
    _assert_same(staged, verification)


@pytest.mark.parametrize("key", [None, secrets.token_bytes(32)], ids=["plain", "sealed"])
def test_packed_lines_come_out_packed(tmp_path: Path, key: bytes | None):
    staging = Staging(tmp_path / "staging", key)
    drops, verification = _received("transcript", DISTRICT)
    packed = {
        feed: PackedFrame.pack(frame[at : at + 2] for at in range(0, max(1, frame.height), 2))
        for feed, rows in verification.accepted.items()
        for frame in [unpacked(rows)]
    }
    staging.save_batch("transcript", drops, replace(verification, accepted=packed))
    (folder,) = staging.list_batches("transcript")
    _, staged = staging.read_batch(folder)
    assert staged.accepted == packed
    _assert_same(staged, verification)


def test_batches_keep_their_order_and_stay_with_their_family(tmp_path: Path):
    staging = Staging(tmp_path / "staging")
    senders = [f"{number:07d}" for number in range(12)]
    for sender in senders:
        staging.save_batch("transcript", *_received("transcript", sender))
    staging.save_batch("platform", *_received("platform", "platform"))
    folders = staging.list_batches("transcript")
    assert [staging.read_batch(folder)[0][0].sender for folder in folders] == senders
    staging.clear_batches("transcript")
    assert staging.list_batches("transcript") == []
    assert len(staging.list_batches("platform")) == 1


def test_new_drops_take_the_place_of_everything_that_a_stopped_night_left(tmp_path: Path):
    staging = Staging(tmp_path / "staging")
    drops, verification = _received("transcript", DISTRICT)
    staging.save_drops(drops)
    staging.save_batch("transcript", drops, verification)
    staging.save_drops([])
    assert staging.read_drops(["transcript"]) == []
    assert staging.list_batches("transcript") == []


@pytest.mark.parametrize("family", ["transcript", "oneroster"])
def test_a_sealed_batch_comes_out_as_it_went_in_and_shows_no_cell(tmp_path: Path, family: str):
    staging = Staging(tmp_path / "staging", secrets.token_bytes(32))
    drops, verified = _received(family, DISTRICT)
    staging.save_drops(drops)
    staging.save_batch(family, drops, verified)
    (folder,) = staging.list_batches(family)
    found, same = staging.read_batch(folder)
    assert found == drops == staging.read_drops([family])
    _assert_same(same, verified)
    files = [path.read_bytes() for path in staging.root.rglob("*") if path.is_file()]
    assert len(files) > 4
    assert not any(word in content for content in files for word in (b"PAR1", DISTRICT.encode()))


def test_a_sealed_file_that_was_changed_is_not_loaded(tmp_path: Path):
    staging = Staging(tmp_path / "staging", secrets.token_bytes(32))
    drops, verified = _received("transcript", DISTRICT)
    staging.save_batch("transcript", drops, verified)
    (folder,) = staging.list_batches("transcript")
    damaged = folder / "files.parquet"
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"x")
    with pytest.raises(SealBrokenError):
        staging.read_batch(folder)
