"""Fair shares: what many callers wait for is given to them in turn, and nobody may have too much under way."""

import asyncio
import time
from collections import Counter, OrderedDict, deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Generic, TypeVar

from api.limits.caller import current_caller

T = TypeVar("T")

RECENT_SECONDS = 1.0  # seconds
PACE_SECONDS = 0.005  # seconds; longer than it takes to begin most requests


class RoundRobinQueue(Generic[T]):
    """Items that wait: one of each caller in turn, and those of one caller in their order."""

    def __init__(self) -> None:
        self._waiting: OrderedDict[str, deque[T]] = OrderedDict()
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, item: T, who: str | None = None) -> None:
        """Have an item wait in somebody's turn, None: that of whoever the current request is of."""
        self._waiting.setdefault(current_caller() if who is None else who, deque()).append(item)
        self._count += 1

    def next(self) -> T:
        """Take out the item whose turn it is. Raises KeyError if there is none."""
        who, items = self._waiting.popitem(last=False)
        self._count -= 1
        item = items.popleft()
        if items:
            self._waiting[who] = items  # at the end
        return item

    def next_of(self, may: Callable[[str], bool]) -> tuple[str, T] | None:
        """Take out the item whose turn it is among those of callers who may; return its caller too."""
        for _ in range(len(self._waiting)):
            who = next(iter(self._waiting))
            if may(who):
                return who, self.next()
            self._waiting.move_to_end(who)
        return None


class RecentCallers:
    """Who was there lately."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._seen: OrderedDict[str, float] = OrderedDict()  # the latest at the end

    def __len__(self) -> int:
        return len(self._seen)

    def note(self, who: str) -> None:
        """Take down that somebody is there."""
        now = self._clock()
        self._seen[who] = now
        self._seen.move_to_end(who)
        while next(iter(self._seen.values())) < now - RECENT_SECONDS:
            self._seen.popitem(last=False)


class RequestPacer:
    """Lets those who come through one at a time, by turns of their callers, with a round of the event loop between two.

    Whoever sends a hundred requests at once would otherwise have all of them begun in one round, and everybody else's
    would wait for that at each of their steps. In company, one caller's requests also begin some milliseconds apart.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._recent = RecentCallers(clock)
        self._passed: OrderedDict[str, float] = OrderedDict()  # callers who passed within PACE, the latest at the end
        self._waiting: RoundRobinQueue[asyncio.Future[None]] = RoundRobinQueue()
        self._next: asyncio.Handle | None = None  # what lets the next through
        self._pausing = False  # that is so late because all who wait have passed just now

    async def wait_turn(self) -> None:
        """Return when it is the caller's turn: at once unless somebody has come in this round."""
        who, loop = current_caller(), asyncio.get_running_loop()
        self._recent.note(who)
        mine: asyncio.Future[None] = loop.create_future()
        self._waiting.add(mine, who)
        if self._pausing and self._next:
            self._next.cancel()
            self._next = None
        if self._next is None:
            self._turn(loop)
        await mine

    def _turn(self, loop: asyncio.AbstractEventLoop) -> None:
        self._next, self._pausing = None, False
        now = self._clock()
        while self._passed and next(iter(self._passed.values())) <= now - PACE_SECONDS:
            self._passed.popitem(last=False)
        while following := self._waiting.next_of(self._may):
            who, future = following
            if not future.done():  # otherwise it was given up
                self._passed[who] = now
                self._passed.move_to_end(who)
                future.set_result(None)
                self._next = loop.call_soon(self._turn, loop)
                return
        if len(self._waiting):
            self._pausing = True
            self._next = loop.call_later(PACE_SECONDS, self._turn, loop)

    def _may(self, who: str) -> bool:
        return who not in self._passed or len(self._recent) == 1


class FairSemaphore:
    """Lets `places` in at once, as a semaphore does; those who wait come in by turns of their callers.

    Whoever is alone may have all places. Where others were there lately, nobody gets more than an equal part: what they
    send next would otherwise find the processors taken by what somebody had begun before.
    """

    def __init__(self, places: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._places = places
        self._recent = RecentCallers(clock)
        self._held: Counter[str] = Counter()
        self._waiting: RoundRobinQueue[asyncio.Future[None]] = RoundRobinQueue()

    @asynccontextmanager
    async def holding(self) -> AsyncIterator[None]:
        """Hold a place while the block lasts."""
        leave = await self.enter()
        try:
            yield
        finally:
            leave()

    async def enter(self) -> Callable[[], None]:
        """Wait for a place and return what gives it back."""
        who = current_caller()
        leave = partial(self._leave, who)
        self._recent.note(who)
        mine: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.add(mine)
        self._admit()
        try:
            await mine
        except asyncio.CancelledError:
            if mine.done() and not mine.cancelled():  # it was let in, and will not come
                leave()
            raise
        return leave

    def _leave(self, who: str) -> None:
        self._recent.note(who)
        self._held[who] -= 1
        if not self._held[who]:
            del self._held[who]
        self._admit()

    def _admit(self) -> None:
        while following := self._waiting.next_of(self._has_place):
            caller, future = following
            if not future.done():  # otherwise it was given up
                self._held[caller] += 1
                future.set_result(None)

    def _has_place(self, who: str) -> bool:
        return self._held.total() < self._places and self._held[who] < max(1, self._places // len(self._recent))
