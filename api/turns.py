"""Fair shares: what many callers wait for is given to them in turn, and nobody may have too much under way."""

import asyncio
from collections import Counter, OrderedDict, deque
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from typing import Generic, TypeVar

T = TypeVar("T")

_caller: ContextVar[str] = ContextVar("caller", default="-")


@contextmanager
def on_behalf_of(who: str) -> Iterator[None]:
    """Have what is done in this block wait in this caller's turn."""
    token = _caller.set(who)
    try:
        yield
    finally:
        _caller.reset(token)


def current_caller() -> str:
    """Return on whose behalf things are done here."""
    return _caller.get()


class Shares:
    """How many requests each caller has under way, of at most `most`."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._under_way: Counter[str] = Counter()

    def full(self, who: str) -> bool:
        """Return whether a caller has as many as may be."""
        return self._under_way[who] >= self.most

    @contextmanager
    def taken(self, who: str) -> Iterator[None]:
        """Count one more while the block lasts."""
        self._under_way[who] += 1
        try:
            yield
        finally:
            self._under_way[who] -= 1
            if not self._under_way[who]:
                del self._under_way[who]


class Turns(Generic[T]):
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


class Turnstile:
    """Lets those who come through one at a time, by turns of their callers, with a round of the event loop between two.

    Whoever sends a hundred requests at once would otherwise have all of them begun in one round, and everybody else's
    would wait for that at each of their steps.
    """

    def __init__(self) -> None:
        self._turning = False  # somebody went through in this round
        self._waiting: Turns[asyncio.Future[None]] = Turns()

    async def passed(self) -> None:
        """Return when it is the caller's turn: at once unless others have come in this round."""
        loop = asyncio.get_running_loop()
        if self._turning:
            mine: asyncio.Future[None] = loop.create_future()
            self._waiting.add(mine)
            await mine
        else:
            self._turning = True
            loop.call_soon(self._turn, loop)

    def _turn(self, loop: asyncio.AbstractEventLoop) -> None:
        while len(self._waiting):
            following = self._waiting.next()
            if not following.done():  # otherwise it was given up
                following.set_result(None)
                loop.call_soon(self._turn, loop)
                return
        self._turning = False


class FairGate:
    """Lets `places` in at once, as a semaphore does; those who wait come in by turns of their callers."""

    def __init__(self, places: int) -> None:
        self._free = places
        self._waiting: Turns[asyncio.Future[None]] = Turns()

    @asynccontextmanager
    async def entered(self) -> AsyncIterator[None]:
        """Hold a place while the block lasts."""
        await self.enter()
        try:
            yield
        finally:
            self.leave()

    async def enter(self) -> None:
        """Wait for a place; `leave` gives it back."""
        if self._free:
            self._free -= 1
            return
        mine: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.add(mine)
        try:
            await mine
        except asyncio.CancelledError:
            if mine.done() and not mine.cancelled():  # it was let in, and will not come
                self.leave()
            raise

    def leave(self) -> None:
        """Give a place to whose turn it is."""
        while len(self._waiting):
            following = self._waiting.next()
            if not following.done():
                following.set_result(None)
                return
        self._free += 1
