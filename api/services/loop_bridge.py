"""How what threads have done goes on: all of a batch at once, to the next thread and to the event loop."""

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from typing import TypeVar

T = TypeVar("T")

CALLS_PER_ROUND = 4  # with one each, looking for what else has come takes as long as is saved


class DeferredCalls(threading.local):
    """What a thread has to do once at the end of a block, however often that is asked for within the block.

    To wake another thread gives up the interpreter: of the results of a batch the first would be taken alone, and
    every one after it would cost a wake of its own.
    """

    def __init__(self) -> None:
        self._put_off: dict[Callable[[], None], None] | None = None

    @contextmanager
    def block(self) -> Iterator[None]:
        """Put off what `at_end` is given in the block."""
        self._put_off = {}
        try:
            yield
        finally:
            calls, self._put_off = self._put_off, None
            for call in calls:
                call()

    def at_end(self, call: Callable[[], None]) -> None:
        """Call a function once at the end of this thread's block; at once outside of one."""
        if self._put_off is None:
            call()
        else:
            self._put_off[call] = None


class LoopBridge:
    """Has functions called in the event loop for other threads; those that come together wake it once.

    A round of the event loop has few of them, so that the answers of a batch do not keep others waiting.
    """

    def __init__(self, deferred: DeferredCalls) -> None:
        self._deferred = deferred
        self._calls: deque[Callable[[], object]] = deque()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._awake = False  # the next round has been asked for

    @contextmanager
    def running(self) -> Iterator[None]:
        """Call functions in the running event loop while the block lasts, and none after it."""
        self._loop = asyncio.get_running_loop()
        try:
            yield
        finally:
            self._loop = None

    async def wait_for(self, future: Future[T]) -> T:
        """Return the result of another thread's future; it is cancelled if the caller gives up."""
        arrived = asyncio.Event()
        future.add_done_callback(lambda _: self.call_soon(arrived.set))
        try:
            await arrived.wait()
        except asyncio.CancelledError:
            future.cancel()
            raise
        return future.result()

    def call_soon(self, call: Callable[[], object]) -> None:
        """Have a function called in the event loop."""
        self._calls.append(call)
        self._deferred.at_end(self._wake)

    def _wake(self) -> None:
        loop = self._loop
        if self._awake or loop is None:
            return
        self._awake = True
        with suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(self._round)

    def _round(self) -> None:
        self._awake = False  # before the look: whatever comes after it wakes the loop again
        for _ in range(min(CALLS_PER_ROUND, len(self._calls))):
            self._calls.popleft()()
        if self._calls and self._loop is not None:
            self._awake = True
            self._loop.call_soon(self._round)
