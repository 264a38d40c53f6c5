"""DynamicBatcher and ConcurrencyLimit: batching, refusals, failures."""

import asyncio
import threading
from collections.abc import Iterable, Sequence
from concurrent.futures import Future

import pytest

from api.limits.concurrency import ConcurrencyLimit
from api.services.dynamic_batcher import DynamicBatcher
from embeddings.errors import Busy, StoreUnavailable


class Gate:
    """Work that doubles numbers, notes its batches, and waits in its first batch until `open` is set."""

    def __init__(self) -> None:
        self.started = threading.Event()
        self.open = threading.Event()
        self.batches: list[list[int]] = []

    def __call__(self, items: list[int]) -> Sequence[int | Exception]:
        self.batches.append(items)
        self.started.set()
        assert self.open.wait(30)
        return [ValueError("odd one") if item == 13 else 2 * item for item in items]


async def results(futures: Iterable[Future[int]]) -> list[object]:
    return list(await asyncio.gather(*map(asyncio.wrap_future, futures), return_exceptions=True))


def test_a_place_is_free_again_after_the_block() -> None:
    places = ConcurrencyLimit(1)
    with places.take(), pytest.raises(Busy), places.take():
        pass
    with places.take():
        pass


def test_what_waits_while_a_batch_runs_goes_together() -> None:
    gate = Gate()

    async def scene() -> list[int]:
        batcher = DynamicBatcher("test", gate, max_batch=3)
        async with batcher.running():
            first = batcher.put(1)
            await asyncio.to_thread(gate.started.wait)
            others = [batcher.put(n) for n in (2, 3, 4, 5)]
            gate.open.set()
            return [await asyncio.wrap_future(future) for future in (first, *others)]

    assert asyncio.run(scene()) == [2, 4, 6, 8, 10]
    assert gate.batches == [[1], [2, 3, 4], [5]]


def test_one_failing_item_fails_alone() -> None:
    gate = Gate()
    gate.open.set()

    async def scene() -> list[object]:
        batcher = DynamicBatcher("test", gate, max_batch=8)
        async with batcher.running():
            return await results(batcher.put(n) for n in (1, 13, 2))

    one, odd, two = asyncio.run(scene())
    assert (one, two) == (2, 4)
    assert isinstance(odd, ValueError)


@pytest.mark.parametrize("answer", [StoreUnavailable("gone"), [1]])
def test_a_failing_batch_fails_all_of_it_and_the_next_one_works(answer: Exception | list[int]) -> None:
    answers = [answer]

    def work(items: list[int]) -> list[int]:
        if not answers:
            return items
        last = answers.pop()
        if isinstance(last, Exception):
            raise last
        return last

    async def scene() -> tuple[list[object], int]:
        batcher = DynamicBatcher("test", work, max_batch=8)
        async with batcher.running():
            failed = await results([batcher.put(n) for n in (1, 2)])
            return failed, await asyncio.wrap_future(batcher.put(3))

    failed, later = asyncio.run(scene())
    assert all(isinstance(one, (StoreUnavailable, RuntimeError)) for one in failed)
    assert later == 3


def test_an_item_that_was_given_up_is_not_worked_on() -> None:
    gate = Gate()

    async def scene() -> None:
        batcher = DynamicBatcher("test", gate, max_batch=3)
        async with batcher.running():
            first = batcher.put(1)
            await asyncio.to_thread(gate.started.wait)
            batcher.put(2).cancel()
            last = batcher.put(3)
            gate.open.set()
            assert await results([first, last]) == [2, 6]

    asyncio.run(scene())
    assert gate.batches == [[1], [3]]


def test_closing_does_what_waits_first() -> None:
    gate = Gate()

    async def scene() -> list[int]:
        batcher = DynamicBatcher("test", gate, max_batch=1)
        async with batcher.running():
            futures = [batcher.put(n) for n in (1, 2)]
            gate.open.set()
        return [future.result(0) for future in futures]

    assert asyncio.run(scene()) == [2, 4]


def test_an_item_that_is_made_later_goes_behind_those_that_wait() -> None:
    gate = Gate()

    async def scene() -> list[object]:
        batcher = DynamicBatcher("test", gate, max_batch=2)
        first: Future[int] = Future()
        async with batcher.running():
            started = batcher.put(0)
            await asyncio.to_thread(gate.started.wait)
            later = batcher.after(first, lambda n: 10 * n)
            many = [batcher.put(n) for n in (1, 2, 3)]
            await asyncio.to_thread(first.set_result, 4)
            gate.open.set()
            return await results([started, *many, later])

    assert asyncio.run(scene()) == [0, 2, 4, 6, 80]
    assert gate.batches == [[0], [1, 2], [3, 40]]


def test_a_failed_first_call_fails_the_calls_that_follow_it() -> None:
    gate = Gate()

    async def scene() -> list[object]:
        batcher = DynamicBatcher("test", gate, max_batch=2)
        first: Future[int] = Future()
        async with batcher.running():
            given_up, later = batcher.after(first, abs), batcher.after(first, abs)
            given_up.cancel()
            first.set_exception(StoreUnavailable("gone"))
            return await results([later])

    (failed,) = asyncio.run(scene())
    assert isinstance(failed, StoreUnavailable)
    assert gate.batches == []
