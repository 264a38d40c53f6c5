"""Writes rows behind the network in one thread, in large batches."""

import queue
import threading
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from embeddings.errors import LookalikeError
from indexer.pipeline.writable_collection import WritableCollection
from store.records import Row

ROWS_PER_CALL = 256
WAITING_CALLS = 2


class Writer:
    """Collects rows and writes them; a context manager that writes the remaining rows, unless a write failed."""

    def __init__(self, collection: WritableCollection) -> None:
        """Write to `collection`; the thread starts at once."""
        self._collection = collection
        self._rows: list[Row] = []
        self._calls: queue.Queue[list[Row] | None] = queue.Queue(WAITING_CALLS)
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._work, name="write", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._send()
        self._calls.put(None)
        self._thread.join()
        if error is None:
            self._check()

    def add(self, rows: Sequence[Row]) -> None:
        """Take rows to write; waits while the store is behind. Raises the error of an earlier write."""
        self._check()
        self._rows.extend(rows)
        if len(self._rows) >= ROWS_PER_CALL:
            self._send()

    def drain(self) -> None:
        """Return when all rows taken so far are written. Raises the error of a write."""
        self._send()
        self._calls.join()
        self._check()

    def _send(self) -> None:
        if self._rows:
            self._calls.put(self._rows)
            self._rows = []

    def _check(self) -> None:
        if self._error is not None:
            raise self._error

    def _work(self) -> None:
        while (rows := self._calls.get()) is not None:
            try:
                if self._error is None:
                    self._collection.upsert(rows)
            except (LookalikeError, RuntimeError, OSError, ValueError, TypeError) as error:
                self._error = error  # raised in the thread that adds
            finally:
                self._calls.task_done()
