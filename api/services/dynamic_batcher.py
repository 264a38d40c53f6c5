"""Concurrent work into batches: whatever waits when the worker is free is done by one call."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Generic, TypeVar

from api.limits.caller import current_caller
from api.limits.fair_scheduling import RoundRobinQueue
from api.services.loop_bridge import DeferredCalls

S = TypeVar("S")
T = TypeVar("T")
R = TypeVar("R")


class DynamicBatcher(Generic[T, R]):
    """Gives single items to `work`, which takes several at a time.

    An item that comes when nothing runs starts at once; those that come while a batch runs wait and go together, at
    most `largest`, one of each caller in turn. `work` runs in a thread of its own, one call at a time; it returns, or
    raises for all, and an exception among its results is raised for that item alone.

    Items go from one batcher to the next without the event loop: where much is asked at once, a query would
    wait longer for its turn there, at each step, than its work takes.
    """

    def __init__(
        self,
        name: str,
        work: Callable[[list[T]], Sequence[R | Exception]],
        largest: int,
        deferred: DeferredCalls | None = None,
    ) -> None:
        self._name = name
        self._work = work
        self._largest = largest
        self._deferred = deferred or DeferredCalls()
        self._waiting: RoundRobinQueue[tuple[T, Future[R]]] = RoundRobinQueue()
        self._something = threading.Condition()  # waits, or the end has come
        self._ending = False

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Work while the block lasts; what was put before its end is still done."""
        with ThreadPoolExecutor(1, self._name) as thread:
            worker = asyncio.get_running_loop().run_in_executor(thread, self._run)
            try:
                yield
            finally:
                with self._something:
                    self._ending = True
                    self._something.notify()
                await worker

    def put(self, item: T) -> Future[R]:
        """Hand over an item of the current caller and return the future of its result."""
        result: Future[R] = Future()
        self._add(item, result, current_caller())
        return result

    def after(self, first: Future[S], item: Callable[[S], T]) -> Future[R]:
        """Hand over what `item` makes of the result of `first` when there is one; a failure is passed on."""
        result: Future[R] = Future()
        caller = current_caller()

        def go_on(done: Future[S]) -> None:
            if error := done.exception():
                if result.set_running_or_notify_cancel():
                    result.set_exception(error)
            else:
                self._add(item(done.result()), result, caller)

        first.add_done_callback(go_on)
        return result

    def _add(self, item: T, result: Future[R], caller: str) -> None:
        with self._something:
            self._waiting.add((item, result), caller)
        self._deferred.at_end(self._tell)

    def _tell(self) -> None:
        with self._something:
            self._something.notify()

    def _run(self) -> None:
        while batch := self._next():
            wanted = [(item, result) for item, result in batch if result.set_running_or_notify_cancel()]
            if not wanted:
                continue  # all were given up
            outcomes = self._done([item for item, _ in wanted])
            with self._deferred.block():
                for (_, result), outcome in zip(wanted, outcomes, strict=True):
                    if isinstance(outcome, Exception):
                        result.set_exception(outcome)
                    else:
                        result.set_result(outcome)

    def _next(self) -> list[tuple[T, Future[R]]]:
        """Wait for items and return the next batch of them, none when the end has come."""
        with self._something:
            self._something.wait_for(lambda: self._ending or len(self._waiting))
            return [self._waiting.next() for _ in range(min(self._largest, len(self._waiting)))]

    def _done(self, items: list[T]) -> Sequence[R | Exception]:
        """Return a result or an exception for each item."""
        try:
            results = self._work(items)
            if len(results) != len(items):
                raise RuntimeError(f"{self._name}: {len(results)} results for {len(items)} items")
        except Exception as error:  # not swallowed: raised again for each one who waits
            return [error] * len(items)
        return results
