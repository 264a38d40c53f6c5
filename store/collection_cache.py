"""Caches opened collections for a moment, so that frequent queries do not each ask the store for theirs."""

import math
import time
from collections.abc import Callable
from threading import Lock

from embeddings.models.identity import ModelIdentity
from store.base import Collection, Store

MAX_AGE_SECONDS = 1.0  # for so long a query may miss that its name was switched to another collection


class CollectionCache:
    """Opens a store's collections for one model; threads may share it."""

    def __init__(self, store: Store, model: ModelIdentity, clock: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._model = model
        self._clock = clock
        self._lock = Lock()
        self._opened: dict[str, tuple[Collection, float]] = {}  # with the time

    def open(self, name: str) -> Collection:
        """Open a collection, and cache it. Raises NotFound or ModelMismatch."""
        collection = self._store.open(name, self._model)
        with self._lock:
            self._opened[name] = collection, self._clock()
        return collection

    def get(self, name: str) -> Collection | None:
        """Return the collection if it was opened within the last second, else None; does not block."""
        with self._lock:
            collection, opened_at = self._opened.get(name, (None, -math.inf))
        return collection if self._clock() - opened_at < MAX_AGE_SECONDS else None
