"""Concurrent work into batches: whatever waits when the worker is free is done by one call."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from typing import Generic, TypeVar

from api.turns import FairGate, Turns
from embeddings.errors import Busy

T = TypeVar("T")
R = TypeVar("R")


class Places:
    """How many requests may be in the service at once; the next one is told so at once instead of waiting."""

    def __init__(self, limit: int) -> None:
        self._free = limit

    @contextmanager
    def take(self) -> Iterator[None]:
        """Hold a place. Raises Busy when there is none."""
        if self._free == 0:
            raise Busy
        self._free -= 1
        try:
            yield
        finally:
            self._free += 1


class Batcher(Generic[T, R]):
    """Gives single items to `work`, which takes several at a time.

    An item that comes when nothing runs starts at once; those that come while a batch runs wait and go together, at
    most `largest`, one of each caller in turn. `work` runs in a thread of its own, one call at a time; it returns, or
    raises for all, and an exception among its results is raised for that item alone.
    """

    def __init__(self, name: str, work: Callable[[list[T]], Sequence[R | Exception]], largest: int) -> None:
        self._name = name
        self._work = work
        self._largest = largest
        self._room = FairGate(2 * largest)
        self._waiting: Turns[tuple[T, asyncio.Future[R]]] = Turns()
        self._something = asyncio.Event()  # waits, or the end has come
        self._ending = False

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Work while the block lasts; what was put before its end is still done."""
        with ThreadPoolExecutor(1, self._name) as thread:
            worker = asyncio.create_task(self._run(thread), name=self._name)
            try:
                yield
            finally:
                self._ending = True
                self._something.set()
                await worker

    async def put(self, item: T) -> asyncio.Future[R]:
        """Hand over an item, waiting while too many do, and return the future of its result."""
        future: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        await self._room.enter()
        self._waiting.add((item, future))
        self._something.set()
        return future

    async def _run(self, thread: ThreadPoolExecutor) -> None:
        while True:
            await self._something.wait()
            batch = [self._waiting.next() for _ in range(min(self._largest, len(self._waiting)))]
            if not batch:
                if self._ending:
                    return
                self._something.clear()
            for _ in batch:
                self._room.leave()
            await self._serve(batch, thread)

    async def _serve(self, batch: list[tuple[T, asyncio.Future[R]]], thread: ThreadPoolExecutor) -> None:
        batch = [(item, future) for item, future in batch if not future.done()]  # the others were given up
        if not batch:
            return
        results = await asyncio.get_running_loop().run_in_executor(thread, self._done, [item for item, _ in batch])
        for (_, future), result in zip(batch, results, strict=True):
            if future.done():
                continue
            if isinstance(result, Exception):
                future.set_exception(result)
            else:
                future.set_result(result)

    def _done(self, items: list[T]) -> Sequence[R | Exception]:
        """Return a result or an exception for each item."""
        try:
            results = self._work(items)
            if len(results) != len(items):
                raise RuntimeError(f"{self._name}: {len(results)} results for {len(items)} items")
        except Exception as error:  # not swallowed: raised again for each one who waits
            return [error] * len(items)
        return results
