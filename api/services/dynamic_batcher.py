"""Dynamic batching: items that arrive while a call runs go into the next call together."""

import asyncio
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Generic, TypeVar

from api.services.loop_bridge import DeferredCalls

S = TypeVar("S")
T = TypeVar("T")
R = TypeVar("R")

Observer = Callable[[float], None]  # gets the seconds from an item's arrival to its result


def _ignore(seconds: float) -> None:
    pass


@dataclass(frozen=True)
class _Item(Generic[T, R]):
    """An item that waits, its future result, and the time it came."""

    value: T
    result: Future[R]
    observe: Observer
    arrived: float


class DynamicBatcher(Generic[T, R]):
    """Gives single items to `work`, which takes several at a time.

    An item that arrives when nothing runs starts at once. Items that arrive while a batch runs wait and go together, up
    to `max_batch` of them. `work` runs in a thread of its own, one call at a time. If it
    raises, the whole batch fails; an exception among its results is raised for that item alone.

    Items go from one batcher to the next without the event loop. Under load, a query would otherwise wait longer for
    the loop at each step than its work takes.
    """

    def __init__(
        self,
        name: str,
        work: Callable[[list[T]], Sequence[R | Exception]],
        max_batch: int,
        deferred: DeferredCalls | None = None,
    ) -> None:
        self._name = name
        self._work = work
        self._max_batch = max_batch
        self._deferred = deferred or DeferredCalls()
        self._waiting: deque[_Item[T, R]] = deque()
        self._changed = threading.Condition()  # an item waits, or the end has come
        self._ending = False

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Work while the block lasts; items put before its end are still done."""
        with ThreadPoolExecutor(1, self._name) as thread:
            worker = asyncio.get_running_loop().run_in_executor(thread, self._run)
            try:
                yield
            finally:
                with self._changed:
                    self._ending = True
                    self._changed.notify()
                await worker

    def put(self, item: T, observe: Observer = _ignore) -> Future[R]:
        """Add an item; return its future result. `observe` is called just before it is set."""
        result: Future[R] = Future()
        self._add(_Item(item, result, observe, time.perf_counter()))
        return result

    def after(self, first: Future[S], item: Callable[[S], T], observe: Observer = _ignore) -> Future[R]:
        """Add `item(result)` once `first` has its result; a failure of `first` is passed on."""
        result: Future[R] = Future()

        def go_on(done: Future[S]) -> None:
            if error := done.exception():
                if result.set_running_or_notify_cancel():
                    result.set_exception(error)
            else:
                self._add(_Item(item(done.result()), result, observe, time.perf_counter()))

        first.add_done_callback(go_on)
        return result

    def _add(self, item: _Item[T, R]) -> None:
        with self._changed:
            self._waiting.append(item)
        self._deferred.at_end(self._notify)

    def _notify(self) -> None:
        with self._changed:
            self._changed.notify()

    def _run(self) -> None:
        while batch := self._next_batch():
            wanted = [item for item in batch if item.result.set_running_or_notify_cancel()]
            if not wanted:
                continue  # all were cancelled
            outcomes = self._call([item.value for item in wanted])
            done = time.perf_counter()
            for item in wanted:
                item.observe(done - item.arrived)
            with self._deferred.block():
                for item, outcome in zip(wanted, outcomes, strict=True):
                    if isinstance(outcome, Exception):
                        item.result.set_exception(outcome)
                    else:
                        item.result.set_result(outcome)

    def _next_batch(self) -> list[_Item[T, R]]:
        """Wait for items and return the next batch of them, an empty one when the end has come."""
        with self._changed:
            self._changed.wait_for(lambda: self._ending or len(self._waiting))
            return [self._waiting.popleft() for _ in range(min(self._max_batch, len(self._waiting)))]

    def _call(self, values: list[T]) -> Sequence[R | Exception]:
        """Return a result or an exception for each value."""
        try:
            results = self._work(values)
            if len(results) != len(values):
                raise RuntimeError(f"{self._name}: {len(results)} results for {len(values)} items")
        except Exception as error:  # not swallowed: it is raised again for each waiting caller
            return [error] * len(values)
        return results
