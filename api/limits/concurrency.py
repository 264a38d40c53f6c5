"""Limits on requests under way at once: of all callers together, and of each."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from embeddings.errors import Busy


class ConcurrencyLimit:
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


class PerCallerLimit:
    """How many requests each caller has under way, of at most `most`."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._under_way: Counter[str] = Counter()

    def full(self, who: str) -> bool:
        """Return whether a caller has as many as may be."""
        return self._under_way[who] >= self.most

    @contextmanager
    def counted(self, who: str) -> Iterator[None]:
        """Count one more while the block lasts."""
        self._under_way[who] += 1
        try:
            yield
        finally:
            self._under_way[who] -= 1
            if not self._under_way[who]:
                del self._under_way[who]
