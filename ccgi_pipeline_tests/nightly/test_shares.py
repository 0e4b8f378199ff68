"""A night in shares comes to what the same night in one piece comes to.

Belongs here: the cut, and nights whose shares one process takes, one after the other and in any
order. Does not belong here: several processes (defs.test_workers).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import pytest

from ccgi_pipeline.feeds.registry import FAMILIES
from ccgi_pipeline.intake.archive import Archive
from ccgi_pipeline.intake.inbox import Drop, InboxFile
from ccgi_pipeline.intake.shares import WHOLE, Share, drops_of
from ccgi_pipeline.nightly.batches import list_shares
from ccgi_pipeline.nightly.load import finish_loading, load_share, prepare_loading
from ccgi_pipeline.nightly.paths import PipelinePaths
from ccgi_pipeline.nightly.receive import receive_drops
from ccgi_pipeline.nightly.verify import verify_family
from ccgi_pipeline.synthetic import generate
from ccgi_pipeline.warehouse.load.roster_guard import NEW_IDS
from ccgi_pipeline_tests.nightly.inboxes import (
    HAYWARD,
    HAYWARD_HIGH,
    PALM_SPRINGS,
    PALM_SPRINGS_HIGH,
    numbered,
    put_roster,
    students,
)
from ccgi_pipeline_tests.nightly.nights import (
    ON,
    bytes_below,
    folders_in,
    lake_rows,
    load_and_answer,
    report_and_answer,
    run_night,
    writing,
)

pytestmark = pytest.mark.slow

SECOND = ON + timedelta(days=1)


def run_in_shares(
    folders: PipelinePaths, count: int, on: date = ON, *, reports: bool = True
) -> list[Share]:
    """A night whose shares are taken in an order of no meaning; returns those of transcripts."""
    found = []
    with writing(folders) as connection:
        receive_drops(connection, folders, on)
        for family in FAMILIES:
            shares = list_shares(folders, family, count)
            for share in reversed(shares):
                verify_family(connection, folders, family, on, share)
            prepare_loading(connection, folders, family)
            for share in shares[1:] + shares[:1]:
                load_share(connection, folders, family, on, share)
            finish_loading(connection, family)
            found += shares if family == "transcript" else []
        if reports:
            report_and_answer(connection, folders, on)
    return found


# --- the cut --------------------------------------------------------------------------------------


def _drops(archive: Archive, root: Path, sizes: dict[str, list[int]]) -> list[Drop]:
    """Drops of senders, so many bytes each, one sender's second one after everybody's first."""
    found = []
    for turn in range(max(map(len, sizes.values()))):
        for sender, theirs in sizes.items():
            if turn < len(theirs):
                source = root / f"{sender}_{turn}"
                source.write_bytes(f"{sender} {turn} ".encode().ljust(theirs[turn], b"x"))
                file = InboxFile(f"{sender}/transcript/{turn}.csv", sender, "transcript", "stamp")
                sha256 = archive.store(source)
                found.append(Drop(f"{sender}{turn}", sender, "transcript", ((file, sha256),)))
    return found


def test_every_drop_is_in_one_share_and_all_of_a_sender_in_the_same(tmp_path: Path):
    archive = Archive.of(tmp_path / "warehouse")
    sizes = {f"{number:07d}": [100 * number, 50] for number in range(1, 12)}
    drops = _drops(archive, tmp_path, sizes)
    cut = [drops_of(Share(number, 4), drops, archive) for number in range(1, 5)]
    assert sorted(d.id for share in cut for d in share) == sorted(d.id for d in drops)
    senders = [{drop.sender for drop in share} for share in cut]
    assert sum(map(len, senders)) == len(sizes)
    assert all(share == [drop for drop in drops if drop in share] for share in cut)


def test_shares_have_about_the_same_bytes(tmp_path: Path):
    archive = Archive.of(tmp_path / "warehouse")
    sizes = {f"{number:07d}": [1000 + 37 * number] for number in range(40)} | {"9999999": [20_000]}
    drops = _drops(archive, tmp_path, sizes)
    held = [
        sum(archive.size(sha) for drop in theirs for _, sha in drop.files)
        for theirs in (drops_of(Share(n, 4), drops, archive) for n in range(1, 5))
    ]
    assert max(held) - min(held) <= 3000
    assert drops_of(WHOLE, drops, archive) == drops


def test_a_share_is_known_by_its_name():
    assert Share.named("share_2_of_4") == Share(2, 4)
    with pytest.raises(ValueError, match="no share"):
        Share.named("share_2")


def test_there_are_no_more_shares_than_senders(tmp_path: Path):
    folders = folders_in(tmp_path)
    for cd, school in ((HAYWARD, HAYWARD_HIGH), (PALM_SPRINGS, PALM_SPRINGS_HIGH)):
        put_roster(folders.inbox, cd, students(["1000000001"], school))
    assert len(run_in_shares(folders, 5, reports=False)) == 2


# --- nights ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Two:
    """The same two nights, in one piece and in shares."""

    whole: PipelinePaths
    shared: PipelinePaths
    shares: list[Share]


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Two:
    """Two days of a state, the second with many more defects: all families, changes, leavers."""
    root = tmp_path_factory.mktemp("shares")
    whole = folders_in(root / "whole", root / "inbox")
    shared = folders_in(root / "shared", root / "inbox")
    generate(whole.inbox, districts=5, students=100, seed=3, on=ON, defects=0.02)
    run_night(whole)
    shares = run_in_shares(shared, 3)
    generate(whole.inbox, districts=5, students=100, seed=3, on=SECOND, defects=0.2)
    run_night(whole, SECOND)
    run_in_shares(shared, 3, SECOND)
    return Two(whole, shared, shares)


def test_the_night_was_in_three_shares(two: Two):
    assert two.shares == [Share(1, 3), Share(2, 3), Share(3, 3)]


def test_the_outbox_has_the_same_bytes(two: Two):
    assert bytes_below(two.shared.outbox) == bytes_below(two.whole.outbox)


def test_the_warehouse_has_the_same_rows(two: Two):
    whole, shared = lake_rows(two.whole.warehouse), lake_rows(two.shared.warehouse)
    assert {row[3] for row in whole["ledger"]} >= {"inserted", "updated", "rejected"}
    # The order of loading is another; that of one sender's drops is not.
    for rows in (whole, shared):
        rows["drops"] = [row[:5] + row[6:] for row in rows["drops"]]
    assert shared == whole


@pytest.mark.parametrize("shares", [1, 2])
def test_why_a_drop_is_held_hangs_on_no_other_share(tmp_path: Path, shares: int):
    folders = folders_in(tmp_path)
    put_roster(folders.inbox, HAYWARD, students(numbered(1000, 30), HAYWARD_HIGH))
    load_and_answer(folders)
    # Tonight two districts send the same new ids; the one that had others is held.
    for cd, school in ((PALM_SPRINGS, PALM_SPRINGS_HIGH), (HAYWARD, HAYWARD_HIGH)):
        put_roster(folders.inbox, cd, students(numbered(2000, 30), school), "20261123")
    run_in_shares(folders, shares, SECOND, reports=False)
    (cause,) = {row[5] for row in lake_rows(folders.warehouse)["held_for"]}
    assert cause == NEW_IDS
