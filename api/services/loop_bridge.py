"""Hands results from worker threads back to the event loop, one wake-up per batch."""

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from typing import TypeVar

T = TypeVar("T")

CALLS_PER_ROUND = 4  # with one each, checking for new events takes as long as it saves


class DeferredCalls(threading.local):
    """Calls that a thread makes once at the end of a block, however often they are requested within it.

    Waking another thread gives up the interpreter. The first result of a batch would be handled alone, and every other
    result would cost a wake-up of its own.
    """

    def __init__(self) -> None:
        self._pending: dict[Callable[[], None], None] | None = None

    @contextmanager
    def block(self) -> Iterator[None]:
        """Defer the calls given to `at_end` within the block."""
        self._pending = {}
        try:
            yield
        finally:
            calls, self._pending = self._pending, None
            for call in calls:
                call()

    def at_end(self, call: Callable[[], None]) -> None:
        """Call a function once at the end of this thread's block; at once outside of a block."""
        if self._pending is None:
            call()
        else:
            self._pending[call] = None


class LoopBridge:
    """Calls functions in the event loop on behalf of other threads; calls that come together wake the loop once.

    Each round of the event loop makes only a few of the calls, so that a large batch does not delay other requests.
    """

    def __init__(self, deferred: DeferredCalls) -> None:
        self._deferred = deferred
        self._calls: deque[Callable[[], object]] = deque()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._scheduled = False  # the next round has been requested

    @contextmanager
    def running(self) -> Iterator[None]:
        """Call functions in the running event loop while the block lasts, and none after it."""
        self._loop = asyncio.get_running_loop()
        try:
            yield
        finally:
            self._loop = None

    async def wait_for(self, future: Future[T]) -> T:
        """Return the result of another thread's future; cancel it if the caller is cancelled."""
        done = asyncio.Event()
        future.add_done_callback(lambda _: self.call_soon(done.set))
        try:
            await done.wait()
        except asyncio.CancelledError:
            future.cancel()
            raise
        return future.result()

    def call_soon(self, call: Callable[[], object]) -> None:
        """Call a function in the event loop."""
        self._calls.append(call)
        self._deferred.at_end(self._wake)

    def _wake(self) -> None:
        loop = self._loop
        if self._scheduled or loop is None:
            return
        self._scheduled = True
        with suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(self._round)

    def _round(self) -> None:
        self._scheduled = False  # reset first: a call added after the loop below wakes the event loop again
        for _ in range(min(CALLS_PER_ROUND, len(self._calls))):
            self._calls.popleft()()
        if self._calls and self._loop is not None:
            self._scheduled = True
            self._loop.call_soon(self._round)
