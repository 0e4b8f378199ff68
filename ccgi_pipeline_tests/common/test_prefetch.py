"""Work in threads: the results in their order, few ahead, errors where they belong."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from ccgi_pipeline.common.prefetch import prefetch


@pytest.mark.parametrize("at_once", [1, 2, 5])
@pytest.mark.parametrize("count", [0, 1, 2, 7])
def test_results_come_in_the_order_of_the_items(count: int, at_once: int) -> None:
    def slow_first(item: int) -> int:
        time.sleep(0.01 if item == 0 else 0)
        return item * 2

    assert [*prefetch(slow_first, range(count), at_once)] == [2 * n for n in range(count)]


@pytest.mark.parametrize("at_once", [1, 2])
def test_no_more_items_are_taken_ahead_than_are_worked_on_and_one(at_once: int) -> None:
    taken: list[int] = []

    def items() -> Iterator[int]:
        for item in range(10):
            taken.append(item)
            yield item

    results = prefetch(abs, items(), at_once)
    for asked in range(5):
        next(results)
        assert len(taken) == asked + 1 + at_once
    results.close()
    assert len(taken) == 5 + at_once


def test_the_next_item_is_fetched_while_the_last_is_worked_on() -> None:
    fetched = threading.Event()

    def items() -> Iterator[int]:
        yield 1
        fetched.set()
        yield 2

    def work(item: int) -> int:
        assert item == 2 or fetched.wait(10)
        return item

    assert [*prefetch(work, items())] == [1, 2]


def test_an_error_is_raised_in_the_place_of_its_result_and_ends_the_work() -> None:
    begun: list[int] = []

    def work(item: int) -> int:
        begun.append(item)
        if item == 2:
            raise BufferError
        return item

    results = prefetch(work, range(100))
    assert [next(results), next(results)] == [0, 1]
    with pytest.raises(BufferError):
        next(results)
    assert len(begun) <= 5


def test_an_error_of_who_gives_the_items_is_raised_and_the_threads_end() -> None:
    before = threading.active_count()

    def items() -> Iterator[int]:
        yield 1
        raise LookupError

    with pytest.raises(LookupError):
        [*prefetch(abs, items(), 2)]
    assert threading.active_count() == before
