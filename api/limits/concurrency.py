"""Limits on concurrent requests: of all callers together, and of each caller."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from embeddings.errors import Busy


class ConcurrencyLimit:
    """A limit on concurrent requests; a request beyond it fails at once instead of waiting."""

    def __init__(self, limit: int) -> None:
        self._free = limit

    @contextmanager
    def take(self) -> Iterator[None]:
        """Count one request while the block lasts. Raises Busy at the limit."""
        if self._free == 0:
            raise Busy
        self._free -= 1
        try:
            yield
        finally:
            self._free += 1


class PerCallerLimit:
    """Counts the concurrent requests of each caller, up to `limit`."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._running: Counter[str] = Counter()

    def full(self, caller: str) -> bool:
        """Return whether a caller is at the limit."""
        return self._running[caller] >= self.limit

    @contextmanager
    def counted(self, caller: str) -> Iterator[None]:
        """Count one request while the block lasts."""
        self._running[caller] += 1
        try:
            yield
        finally:
            self._running[caller] -= 1
            if not self._running[caller]:
                del self._running[caller]
