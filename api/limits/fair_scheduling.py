"""Fair scheduling: callers take turns, so that none crowds out the others."""

import asyncio
import time
from collections import Counter, OrderedDict, deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Generic, TypeVar

from api.current_request import current_caller

T = TypeVar("T")

RECENT_SECONDS = 1.0
PACE_SECONDS = 0.005  # longer than it takes to begin most requests


class RoundRobinQueue(Generic[T]):
    """A queue that serves callers in turn, and the items of one caller in their order."""

    def __init__(self) -> None:
        self._waiting: OrderedDict[str, deque[T]] = OrderedDict()
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, item: T, caller: str | None = None) -> None:
        """Add an item of a caller, None: the caller of the current request."""
        self._waiting.setdefault(current_caller() if caller is None else caller, deque()).append(item)
        self._count += 1

    def next(self) -> T:
        """Remove and return the next item. Raises KeyError if there is none."""
        caller, items = self._waiting.popitem(last=False)
        self._count -= 1
        item = items.popleft()
        if items:
            self._waiting[caller] = items  # at the end
        return item

    def next_of(self, is_eligible: Callable[[str], bool]) -> tuple[str, T] | None:
        """Remove the next item of an eligible caller; return the caller and the item."""
        for _ in range(len(self._waiting)):
            caller = next(iter(self._waiting))
            if is_eligible(caller):
                return caller, self.next()
            self._waiting.move_to_end(caller)
        return None


class RecentCallers:
    """The callers of the last RECENT_SECONDS."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._seen: OrderedDict[str, float] = OrderedDict()  # the latest at the end

    def __len__(self) -> int:
        return len(self._seen)

    def note(self, caller: str) -> None:
        """Record that a caller is active."""
        now = self._clock()
        self._seen[caller] = now
        self._seen.move_to_end(caller)
        while next(iter(self._seen.values())) < now - RECENT_SECONDS:
            self._seen.popitem(last=False)


class RequestPacer:
    """Starts one request per round of the event loop, callers in turn.

    A hundred requests of one caller would otherwise all start in one round, and delay each step of all other requests.
    If there are several callers, the requests of each also start some milliseconds apart.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._recent = RecentCallers(clock)
        self._passed: OrderedDict[str, float] = OrderedDict()  # callers of the last PACE_SECONDS, the latest at the end
        self._waiting: RoundRobinQueue[asyncio.Future[None]] = RoundRobinQueue()
        self._next: asyncio.Handle | None = None  # starts the next request
        self._pausing = False  # `_next` is delayed, because all waiting callers have just had a turn

    async def wait_turn(self) -> None:
        """Return when it is the caller's turn: at once unless another request has started in this round."""
        caller, loop = current_caller(), asyncio.get_running_loop()
        self._recent.note(caller)
        turn: asyncio.Future[None] = loop.create_future()
        self._waiting.add(turn, caller)
        if self._pausing and self._next:
            self._next.cancel()
            self._next = None
        if self._next is None:
            self._start_next(loop)
        await turn

    def _start_next(self, loop: asyncio.AbstractEventLoop) -> None:
        self._next, self._pausing = None, False
        now = self._clock()
        while self._passed and next(iter(self._passed.values())) <= now - PACE_SECONDS:
            self._passed.popitem(last=False)
        while following := self._waiting.next_of(self._is_eligible):
            caller, future = following
            if not future.done():  # otherwise it was cancelled
                self._passed[caller] = now
                self._passed.move_to_end(caller)
                future.set_result(None)
                self._next = loop.call_soon(self._start_next, loop)
                return
        if len(self._waiting):
            self._pausing = True
            self._next = loop.call_later(PACE_SECONDS, self._start_next, loop)

    def _is_eligible(self, caller: str) -> bool:
        return caller not in self._passed or len(self._recent) == 1


class FairSemaphore:
    """A semaphore of `size` that serves callers in turn.

    A single caller may hold all of it. If several callers were active recently, each may hold at most an equal share:
    otherwise the next request of one would find the processors busy with earlier work of another.
    """

    def __init__(self, size: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._size = size
        self._recent = RecentCallers(clock)
        self._held: Counter[str] = Counter()
        self._waiting: RoundRobinQueue[asyncio.Future[None]] = RoundRobinQueue()

    @asynccontextmanager
    async def holding(self) -> AsyncIterator[None]:
        """Hold one unit while the block lasts."""
        leave = await self.enter()
        try:
            yield
        finally:
            leave()

    async def enter(self) -> Callable[[], None]:
        """Wait for one unit; return the function that releases it."""
        caller = current_caller()
        leave = partial(self._leave, caller)
        self._recent.note(caller)
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.add(turn)
        self._admit()
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():  # it was admitted in the same round
                leave()
            raise
        return leave

    def _leave(self, caller: str) -> None:
        self._recent.note(caller)
        self._held[caller] -= 1
        if not self._held[caller]:
            del self._held[caller]
        self._admit()

    def _admit(self) -> None:
        while following := self._waiting.next_of(self._has_room):
            caller, future = following
            if not future.done():  # otherwise it was cancelled
                self._held[caller] += 1
                future.set_result(None)

    def _has_room(self, caller: str) -> bool:
        return self._held.total() < self._size and self._held[caller] < max(1, self._size // len(self._recent))
