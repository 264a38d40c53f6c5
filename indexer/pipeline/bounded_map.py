"""Calls a function for a bounded number of items ahead of their use, so that the stages of a pipeline overlap."""

import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def bounded_map(
    function: Callable[[T], R],
    items: Iterable[T],
    max_items: int,
    max_bytes: float = math.inf,
    size: Callable[[T], int] = lambda _: 0,
    is_ready: Callable[[R], bool] = lambda _: False,
) -> Iterator[R]:
    """Yield `function(item)` for every item, in the order of the items.

    `function` starts work that goes on elsewhere and returns at once, typically with a Future. At most `max_items`
    results are held, and at most `max_bytes` bytes by the `size` of their items, or one item. A result that
    `is_ready` is yielded before more items are taken.

        >>> for future in bounded_map(lambda url: threads.submit(fetch, url), urls, max_items=8):
        ...     save(future.result())
    """
    results, sizes, held = deque[R](), deque[int](), 0
    for item in items:
        bytes_ = size(item)
        while results and (len(results) >= max_items or held + bytes_ > max_bytes):
            held -= sizes.popleft()
            yield results.popleft()
        results.append(function(item))
        sizes.append(bytes_)
        held += bytes_
        while results and is_ready(results[0]):
            held -= sizes.popleft()
            yield results.popleft()
    while results:
        yield results.popleft()
