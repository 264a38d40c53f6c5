"""Places and batches: who goes together, who is told to come back, and who hears of a failure."""

import asyncio
import threading
from collections.abc import Sequence

import pytest

from api.batching import Batcher, Places
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


def test_a_place_is_free_again_after_the_block() -> None:
    places = Places(1)
    with places.take(), pytest.raises(Busy), places.take():
        pass
    with places.take():
        pass


def test_what_waits_while_a_batch_runs_goes_together() -> None:
    gate = Gate()

    async def scene() -> list[int]:
        batcher = Batcher("test", gate, largest=3)
        async with batcher.running():
            first = await batcher.put(1)
            await asyncio.to_thread(gate.started.wait)
            others = [await batcher.put(n) for n in (2, 3, 4, 5)]
            gate.open.set()
            return [await future for future in (first, *others)]

    assert asyncio.run(scene()) == [2, 4, 6, 8, 10]
    assert gate.batches == [[1], [2, 3, 4], [5]]


def test_one_failing_item_fails_alone() -> None:
    gate = Gate()
    gate.open.set()

    async def scene() -> list[object]:
        batcher = Batcher("test", gate, largest=8)
        async with batcher.running():
            return await asyncio.gather(*[await batcher.put(n) for n in (1, 13, 2)], return_exceptions=True)

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
        batcher = Batcher("test", work, largest=8)
        async with batcher.running():
            futures = [await batcher.put(n) for n in (1, 2)]
            failed = await asyncio.gather(*futures, return_exceptions=True)
            return failed, await (await batcher.put(3))

    failed, later = asyncio.run(scene())
    assert all(isinstance(one, (StoreUnavailable, RuntimeError)) for one in failed)
    assert later == 3


def test_an_item_that_was_given_up_is_not_worked_on() -> None:
    gate = Gate()

    async def scene() -> None:
        batcher = Batcher("test", gate, largest=3)
        async with batcher.running():
            first = await batcher.put(1)
            await asyncio.to_thread(gate.started.wait)
            (await batcher.put(2)).cancel()
            last = await batcher.put(3)
            gate.open.set()
            assert [await first, await last] == [2, 6]

    asyncio.run(scene())
    assert gate.batches == [[1], [3]]


def test_closing_does_what_waits_first() -> None:
    gate = Gate()

    async def scene() -> list[int]:
        batcher = Batcher("test", gate, largest=1)
        async with batcher.running():
            futures = [await batcher.put(n) for n in (1, 2)]
            gate.open.set()
        return [future.result() for future in futures]

    assert asyncio.run(scene()) == [2, 4]


def test_too_many_waiting_hold_back_the_next() -> None:
    gate = Gate()

    async def scene() -> None:
        batcher = Batcher("test", gate, largest=1)
        async with batcher.running():
            await batcher.put(0)
            await asyncio.to_thread(gate.started.wait)
            for n in (1, 2):
                await batcher.put(n)
            held = asyncio.ensure_future(batcher.put(3))
            for _ in range(5):
                await asyncio.sleep(0)
            assert not held.done()
            gate.open.set()
            assert await (await held) == 6

    asyncio.run(scene())
