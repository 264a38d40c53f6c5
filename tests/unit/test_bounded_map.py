"""Calls begun ahead of their use: in order, within bounds, and never more than asked for."""

from collections.abc import Iterator

from indexer.pipeline.bounded_map import bounded_map


class Begun:
    """Doubles numbers and counts those that were begun."""

    def __init__(self) -> None:
        self.numbers: list[int] = []

    def __call__(self, number: int) -> int:
        self.numbers.append(number)
        return 2 * number


def test_results_come_in_order_and_none_is_left_out():
    assert list(bounded_map(lambda n: 2 * n, range(100), max_items=7)) == list(range(0, 200, 2))
    assert list(bounded_map(lambda n: 2 * n, [], max_items=7)) == []


def test_no_more_than_so_many_items_are_begun_ahead():
    begun = Begun()
    results = bounded_map(begun, range(100), max_items=7)
    for yielded in range(1, 94):
        next(results)
        assert len(begun.numbers) == yielded + 6


def test_no_more_than_so_many_bytes_are_begun_ahead_but_always_one_item():
    begun = Begun()
    results = bounded_map(begun, [4, 4, 3, 20, 1], max_items=7, max_bytes=10, size=lambda number: number)
    ahead = [(next(results) // 2, list(begun.numbers)) for _ in range(5)]
    assert ahead == [(4, [4, 4]), (4, [4, 4, 3]), (3, [4, 4, 3]), (20, [4, 4, 3, 20]), (1, [4, 4, 3, 20, 1])]


def test_a_ready_result_does_not_wait_for_further_items():
    def items() -> Iterator[int]:
        yield 1
        raise AssertionError("more was taken than was asked for")

    assert next(bounded_map(lambda n: n, items(), max_items=7, is_ready=lambda _: True)) == 1
