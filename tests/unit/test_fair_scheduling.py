"""Turns: one caller's many requests do not keep another's few from being next."""

import asyncio
from collections.abc import Callable

from api.current_request import on_behalf_of
from api.limits.concurrency import PerCallerLimit
from api.limits.fair_scheduling import PACE_SECONDS, FairSemaphore, RequestPacer, RoundRobinQueue


def test_callers_take_turns_and_keep_their_own_order() -> None:
    turns: RoundRobinQueue[str] = RoundRobinQueue()
    for who, item in [("ann", "a1"), ("ann", "a2"), ("ann", "a3"), ("bob", "b1"), ("cem", "c1"), ("bob", "b2")]:
        with on_behalf_of(who):
            turns.add(item)
    assert len(turns) == 6
    assert [turns.next() for _ in range(6)] == ["a1", "b1", "c1", "a2", "b2", "a3"]
    assert len(turns) == 0


def test_a_gate_lets_the_next_caller_in_before_the_rest_of_the_first() -> None:
    entered: list[str] = []

    async def visit(gate: FairSemaphore, who: str) -> None:
        with on_behalf_of(who):
            async with gate.holding():
                entered.append(who)
                await asyncio.sleep(0)

    async def scene() -> None:
        gate = FairSemaphore(1)
        await asyncio.gather(*[visit(gate, who) for who in ("ann", "ann", "ann", "ann", "bob")])

    asyncio.run(scene())
    assert entered == ["ann", "ann", "bob", "ann", "ann"]


def test_who_gives_up_waiting_takes_no_place() -> None:
    async def scene() -> None:
        gate = FairSemaphore(1)
        leave = await gate.enter()
        waiting, let_in = asyncio.ensure_future(gate.enter()), asyncio.ensure_future(gate.enter())
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.sleep(0)
        leave()  # passes over the one who gave up, and lets the other in, who gives up at that very moment
        let_in.cancel()
        await asyncio.gather(waiting, let_in, return_exceptions=True)
        async with asyncio.timeout(5), gate.holding():
            pass

    asyncio.run(scene())


def test_whoever_is_alone_has_all_places_and_in_company_an_equal_part() -> None:
    now = 0.0

    async def scene() -> None:
        nonlocal now
        gate = FairSemaphore(6, lambda: now)
        inside: dict[str, list[Callable[[], None]]] = {"ann": [], "eve": []}
        visits: list[asyncio.Task[None]] = []

        async def visit(who: str) -> None:
            with on_behalf_of(who):
                inside[who].append(await gate.enter())

        async def then(eve: int, ann: int) -> None:
            for _ in range(4):
                await asyncio.sleep(0)
            assert {who: len(leaves) for who, leaves in inside.items()} == {"eve": eve, "ann": ann}

        def come(who: str, number: int) -> None:
            visits.extend(asyncio.create_task(visit(who)) for _ in range(number))

        def leave(who: str, number: int) -> None:
            for _ in range(number):
                inside[who].pop()()

        come("eve", 20)
        await then(eve=6, ann=0)
        come("ann", 1)
        await then(eve=6, ann=0)  # no place is taken away
        leave("eve", 3)
        await then(eve=3, ann=1)  # two places are left to ann
        come("ann", 1)
        await then(eve=3, ann=2)
        leave("ann", 2)
        await then(eve=3, ann=0)  # she may come again
        now += 2
        leave("eve", 1)
        await then(eve=6, ann=0)  # she has not
        for one in visits:
            one.cancel()
        await asyncio.gather(*visits, return_exceptions=True)

    asyncio.run(scene())


def test_shares_are_free_again() -> None:
    shares = PerCallerLimit(2)
    with shares.counted("ann"), shares.counted("ann"):
        assert shares.full("ann")
        assert not shares.full("bob")
    assert not shares.full("ann")


def test_a_pacer_lets_one_in_a_round_and_callers_in_turn() -> None:
    async def scene() -> list[tuple[int, str]]:
        pacer, passed, rounds = RequestPacer(), [], 0

        async def come(who: str) -> None:
            with on_behalf_of(who):
                await pacer.wait_turn()
            passed.append((rounds, who))

        coming = [asyncio.create_task(come(who)) for who in ("eve", "eve", "eve", "eve", "ann")]
        coming[2].cancel()  # before it came
        await asyncio.sleep(0)
        coming[1].cancel()  # while it waits
        while not all(task.done() for task in coming):
            rounds += 1
            await asyncio.sleep(0)
        await come("bob")
        return passed

    passed = asyncio.run(scene())
    assert [who for _, who in passed] == ["eve", "ann", "eve", "bob"]  # who gave up had its turn
    at = [number for number, _ in passed]
    assert at[0] < at[1] < at[2]


def test_in_company_requests_of_one_caller_begin_apart_and_others_do_not_wait_for_that() -> None:
    now = 0.0

    async def scene() -> None:
        nonlocal now
        pacer, passed = RequestPacer(lambda: now), []

        async def come(who: str) -> None:
            with on_behalf_of(who):
                await pacer.wait_turn()
            passed.append(who)

        await come("ann")
        coming = [asyncio.create_task(come("eve")) for _ in range(3)]
        await asyncio.sleep(4 * PACE_SECONDS)  # the clock stands still
        assert passed == ["ann", "eve"]
        await asyncio.wait_for(come("bob"), 10)
        assert passed == ["ann", "eve", "bob"]
        for number in (2, 3):
            now += PACE_SECONDS
            await asyncio.wait_for(asyncio.wait(coming, return_when=asyncio.FIRST_COMPLETED), 10)
            coming = [task for task in coming if not task.done()]
            await asyncio.sleep(4 * PACE_SECONDS)
            assert passed.count("eve") == number

    asyncio.run(scene())


def test_whoever_is_alone_need_not_wait_between_two_requests() -> None:
    async def scene() -> None:
        pacer = RequestPacer(lambda: 0.0)
        async with asyncio.timeout(10):
            for _ in range(3):
                await pacer.wait_turn()

    asyncio.run(scene())
