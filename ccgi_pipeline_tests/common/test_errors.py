"""Errors carry no value, and a drop over which our own code stumbles stands alone."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from ccgi_pipeline.common.errors import PermanentError, UnexpectedError, value_free
from ccgi_pipeline.intake.contents import Content
from ccgi_pipeline.intake.inbox import Drop, InboxFile
from ccgi_pipeline.nightly.batches import bisect_failures
from ccgi_pipeline.verification.drop_files import files_to_verify
from ccgi_pipeline.verification.gates import refuse_drops, verify
from ccgi_pipeline.verification.outcomes import Verification
from ccgi_pipeline_tests.files import ON

CANARY = "Canaryname 1234567890"


@value_free
def stumbling(cell: str) -> None:
    raise ValueError(cell)


@value_free
def failing(_: str) -> None:
    msg = "a word of ours"
    raise PermanentError(msg)


def test_an_unforeseen_error_loses_its_words_and_keeps_its_place() -> None:
    with pytest.raises(UnexpectedError) as raised:
        stumbling(CANARY)
    assert CANARY not in str(raised.value)
    assert "ValueError" in str(raised.value)
    assert "in stumbling" in str(raised.value)
    assert raised.value.__cause__ is None
    assert raised.value.__suppress_context__


def test_an_error_of_ours_keeps_its_words() -> None:
    with pytest.raises(PermanentError, match="a word of ours"):
        failing("x")


def _drop(number: int) -> Drop:
    file = InboxFile(f"336717{number}/transcript/StudentTemplate.csv", f"336717{number}", "x", "")
    return Drop(f"drop-{number}", file.sender, "transcript", ((file, "hash"),))


def test_a_drop_at_which_our_code_fails_costs_no_other_drop_its_verification() -> None:
    at_fault = "drop-5"

    def verified(batch: Sequence[Drop]) -> Verification:
        if any(drop.id == at_fault for drop in batch):
            raise ValueError(CANARY)
        return verify(files_to_verify(batch, lambda *_: Content.of_bytes(b"not a header\n")), ON)

    parts = list(bisect_failures([_drop(number) for number in range(8)], verified))
    assert [drop.id for part, _ in parts for drop in part] == [f"drop-{n}" for n in range(8)]
    faults = {
        drop.id
        for part, verification in parts
        for drop in part
        if "FILE-FAULT" in verification.findings["rule"].to_list()
    }
    assert faults == {at_fault}


def test_a_refused_drop_is_answered_file_by_file() -> None:
    verification = refuse_drops([_drop(1)])
    assert verification.files["verdict"].to_list() == ["rejected"]
    assert verification.findings["rule"].to_list() == ["FILE-FAULT"]
