"""Lists a source ahead in a thread, so that work starts at once and the total is known early."""

import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import TypeVar

T = TypeVar("T")

BATCH_SIZE = 250
BATCHES_AHEAD = 400  # 100,000 references, some 20 MB
CHECK_SECONDS = 0.2


def chunks(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Yield the items in lists of `size`; the last may be shorter."""
    rest = iter(items)
    while chunk := list(islice(rest, size)):
        yield chunk


def groups(items: Iterable[T], max_items: int, max_bytes: int, size: Callable[[T], int]) -> Iterator[list[T]]:
    """Yield the items in lists of `max_items` and `max_bytes` bytes at maximum; a larger item comes by itself."""
    group: list[T] = []
    held = 0
    for item in items:
        bytes_ = size(item)
        if group and (len(group) == max_items or held + bytes_ > max_bytes):
            yield group
            group, held = [], 0
        group.append(item)
        held += bytes_
    if group:
        yield group


class PrefetchIterator(Iterator[T]):
    """Iterates over items that another thread takes from `items`; a context manager, so that the thread ends.

    `found` is the number of items taken so far. An exception of `items` is raised here, in its place.
    """

    def __init__(self, items: Iterable[T]) -> None:
        """Start taking items."""
        self.found = 0
        self._parts: queue.Queue[list[T] | BaseException | None] = queue.Queue(BATCHES_AHEAD)
        self._stopped = threading.Event()
        self._part: Iterator[T] = iter(())
        self._thread = threading.Thread(target=self._take, args=(items,), name="list", daemon=True)
        self._thread.start()

    def __enter__(self) -> "PrefetchIterator[T]":
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join()

    def __next__(self) -> T:
        while True:
            for item in self._part:
                return item
            part = self._parts.get()
            if part is None:
                self._parts.put(None)  # for the next call
                raise StopIteration
            if isinstance(part, BaseException):
                raise part
            self._part = iter(part)

    def _take(self, items: Iterable[T]) -> None:
        try:
            for part in chunks(items, BATCH_SIZE):
                self.found += len(part)
                if not self._hand_over(part):
                    return
            self._hand_over(None)
        except BaseException as error:  # raised in the thread that iterates
            self._hand_over(error)

    def _hand_over(self, part: list[T] | BaseException | None) -> bool:
        """Return False if the iteration has been left."""
        while not self._stopped.is_set():
            try:
                self._parts.put(part, timeout=CHECK_SECONDS)
            except queue.Full:
                continue
            return True
        return False
