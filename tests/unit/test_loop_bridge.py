"""LoopBridge and DeferredCalls: one wake-up per batch, few calls per round, nothing lost."""

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future

import pytest

from api.services.dynamic_batcher import DynamicBatcher
from api.services.loop_bridge import CALLS_PER_ROUND, DeferredCalls, LoopBridge


def test_a_deferred_call_is_made_once_at_the_end_of_the_block() -> None:
    deferred, done = DeferredCalls(), list[str]()

    def call() -> None:
        done.append("call")

    deferred.at_end(call)
    with deferred.block():
        deferred.at_end(call)
        deferred.at_end(call)
        done.append("block")
    assert done == ["call", "block", "call"]


def test_a_deferred_call_is_made_after_a_failure_too() -> None:
    deferred, done = DeferredCalls(), list[str]()
    with pytest.raises(ValueError, match="odd"), deferred.block():
        deferred.at_end(lambda: done.append("call"))
        raise ValueError("odd")
    deferred.at_end(lambda: done.append("at once"))
    assert done == ["call", "at once"]


def test_a_block_is_of_its_own_thread_alone() -> None:
    deferred, done = DeferredCalls(), list[str]()
    with deferred.block():
        other = threading.Thread(target=deferred.at_end, args=(lambda: done.append("other"),))
        other.start()
        other.join()
        assert done == ["other"]


def test_a_batch_goes_to_the_next_batcher_as_one() -> None:
    started, opened, batches = threading.Event(), threading.Event(), list[list[int]]()

    def first(items: list[int]) -> list[int]:
        started.set()
        assert opened.wait(30)
        return items

    def second(items: list[int]) -> list[int]:
        batches.append(items)
        return items

    def slowly(item: int) -> int:
        time.sleep(0.002)  # the other thread has time to take what is there
        return item

    async def scene() -> list[int]:
        deferred = DeferredCalls()
        one, two = DynamicBatcher("one", first, 20, deferred), DynamicBatcher("two", second, 20, deferred)
        async with one.running(), two.running():
            futures = [two.after(one.put(0), slowly)]
            await asyncio.to_thread(started.wait)
            futures += [two.after(one.put(n), slowly) for n in range(1, 20)]
            opened.set()
            return [await asyncio.wrap_future(future) for future in futures]

    assert asyncio.run(scene()) == list(range(20))
    assert batches == [[0], list(range(1, 20))]


def test_results_of_one_batch_wake_the_loop_once_and_few_have_a_round(monkeypatch: pytest.MonkeyPatch) -> None:
    wakes, rounds = list[Callable[..., object]](), list[int]()

    async def scene() -> list[int]:
        deferred = DeferredCalls()
        arrivals, loop = LoopBridge(deferred), asyncio.get_running_loop()
        really = loop.call_soon_threadsafe
        number = 0

        def counted(call: Callable[..., object]) -> asyncio.Handle:
            wakes.append(call)
            return really(call)

        def next_round() -> None:
            nonlocal number
            number += 1
            if len(rounds) < len(futures):
                loop.call_soon(next_round)

        def hand_over() -> None:
            with deferred.block():
                for future in futures:
                    future.set_result(7)

        async def one(future: Future[int]) -> int:
            result = await arrivals.wait_for(future)
            rounds.append(number)
            return result

        monkeypatch.setattr(loop, "call_soon_threadsafe", counted)
        futures: list[Future[int]] = [Future() for _ in range(2 * CALLS_PER_ROUND + 1)]
        with arrivals.running():
            waiting = [asyncio.create_task(one(future)) for future in futures]
            await asyncio.sleep(0)
            next_round()
            thread = threading.Thread(target=hand_over)
            thread.start()
            results = await asyncio.gather(*waiting)
        thread.join()
        return results

    assert asyncio.run(scene()) == [7] * (2 * CALLS_PER_ROUND + 1)
    assert len(wakes) == 1
    assert max(Counter(rounds).values()) == CALLS_PER_ROUND


def test_nothing_is_lost_where_many_threads_hand_over() -> None:
    async def scene() -> list[int]:
        arrivals = LoopBridge(DeferredCalls())
        futures: list[Future[int]] = [Future() for _ in range(2000)]

        def hand_over(start: int) -> None:
            for number in range(start, len(futures), 4):
                futures[number].set_result(number)

        with arrivals.running():
            threads = [threading.Thread(target=hand_over, args=(start,)) for start in range(4)]
            for thread in threads:
                thread.start()
            results = await asyncio.wait_for(asyncio.gather(*map(arrivals.wait_for, futures)), 30)
        for thread in threads:
            thread.join()
        return results

    assert asyncio.run(scene()) == list(range(2000))


def test_a_failure_is_raised_where_it_is_waited_for() -> None:
    async def scene() -> None:
        arrivals, future = LoopBridge(DeferredCalls()), Future[int]()
        with arrivals.running():
            future.set_exception(ValueError("odd"))
            with pytest.raises(ValueError, match="odd"):
                await arrivals.wait_for(future)

    asyncio.run(scene())


def test_who_gives_up_takes_back_what_has_not_begun() -> None:
    async def scene() -> Future[int]:
        arrivals, future = LoopBridge(DeferredCalls()), Future[int]()
        with arrivals.running():
            waiting = asyncio.create_task(arrivals.wait_for(future))
            await asyncio.sleep(0)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
        return future

    assert asyncio.run(scene()).cancelled()


def test_what_comes_after_the_end_is_let_go() -> None:
    called: list[int] = []

    async def scene() -> None:
        arrivals = LoopBridge(DeferredCalls())
        with arrivals.running():
            pass
        arrivals.call_soon(lambda: called.append(1))
        await asyncio.sleep(0.01)

    asyncio.run(scene())
    assert not called
