"""Milvus Lite: the store in a directory, open in one process at a time."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from embeddings.errors import NotFound, StoreUnavailable
from store.milvus.client import Client
from store.milvus.filters import RowFilter
from store.milvus.naming import DESCRIPTION
from store.milvus.schema import TAG_KEYS, CollectionSchema, TagKeyType
from store.milvus_lite.allocator import trim
from store.milvus_lite.exact_search import LiteTable
from store.milvus_lite.server import LiteEngine
from store.records import Hit

_ALIASES = ("create_alias", "alter_alias", "drop_alias")
_WRITES = frozenset(["create_collection", "drop_collection", *_ALIASES, "upsert", "delete", "flush"])
_DESCRIPTIONS = frozenset(["describe_alias", "describe_collection"])
_WRITE_SECONDS = 600.0  # a write that times out goes on in the engine, beside the next one
_SCANNED_ROWS = 1000
_FLUSH_ROWS = 1000  # unflushed rows are Python objects, and closing waits for the last flush


class LiteBackend:
    """The one user of a LiteEngine. Calls are serialised: the engine loses sight of rows while it flushes."""

    alias_ttl = 0.0  # resolving a name costs nothing within a process
    max_ids = 1_000_000  # they become a set, and every row is checked once

    def __init__(self, directory: Path, timeout: float) -> None:
        """Open the directory. Raises DataDirectoryLocked, DiskFull or StoreUnavailable."""
        self._directory = directory
        self._timeout = timeout
        self._lock = threading.RLock()
        self._engine: LiteEngine | None = None
        self._client: Client | None = None
        self._unflushed: dict[str, int] = {}
        self._tables: dict[str, LiteTable] = {}  # until the next write
        self._descriptions: dict[tuple[object, ...], Any] = {}  # likewise: no other process can change them
        with self._opened():
            pass

    def run(self, method: str, *, timeout_factor: float = 1.0, **arguments: Any) -> Any:
        with self._opened() as (_, client):
            if method in _DESCRIPTIONS:
                return self._description(client, method, arguments)
            if method not in _WRITES:
                return client.run(method, timeout_factor=timeout_factor, **arguments)
            self._clear_caches()
            with self._abandon_on_failure():
                answer = client.run(
                    method, timeout_factor=max(timeout_factor, _WRITE_SECONDS / self._timeout), **arguments
                )
            if method == "flush":
                self._unflushed.pop(arguments["collection_name"], None)
                trim()
            return answer

    def ready(self, name: str | None = None) -> None:
        with self._opened() as (_, client):
            client.version()

    def create(self, collection: str, dimension: int, description: str) -> None:
        schema = CollectionSchema(dimension, TagKeyType.TEXT)
        with self._opened() as (_, client), self._abandon_on_failure():
            self._clear_caches()
            # Milvus Lite does not store the descriptions of collections
            client.create_collection(collection, schema, description, properties={DESCRIPTION: description})

    def prepare(self, collection: str) -> None:
        """Do nothing: a collection without an index can be read at once, and exactly."""

    def pack_tags(self, keys: list[str]) -> str:
        return f" {' '.join(keys)} "

    def search(
        self, collection: str, queries: np.ndarray, limit: int, offset: int, where: RowFilter
    ) -> list[list[Hit]]:
        return self._table(collection).nearest(queries, limit, offset, where)

    def select(
        self, collection: str, fields: list[str], where: RowFilter, strong: bool = False
    ) -> Iterator[dict[str, Any]]:
        for row in self._table(collection).matching(fields, where).to_pylist():
            if TAG_KEYS in row:
                row[TAG_KEYS] = row[TAG_KEYS].split()
            yield row

    def scan(self, collection: str, fields: list[str]) -> Iterator[dict[str, Any]]:
        for part in self._table(collection).parts(fields, _SCANNED_ROWS):
            columns = {name: _values(part[name]) for name in fields}
            for values in zip(*columns.values(), strict=True):
                yield dict(zip(fields, values, strict=True))

    def count(self, collection: str, where: RowFilter) -> int:
        return self._table(collection).matching(["id"], where).num_rows

    def page(self, collection: str, where: RowFilter, offset: int, limit: int) -> list[str]:
        ids = sorted(self._table(collection).matching(["id"], where)["id"].to_pylist())
        return ids[offset : offset + limit]

    def written(self, collection: str, rows: int) -> None:
        with self._lock:
            self._unflushed[collection] = self._unflushed.get(collection, 0) + rows
            if self._unflushed[collection] >= _FLUSH_ROWS:
                self.run("flush", collection_name=collection)

    def close(self) -> None:
        with self._lock:
            if self._client is not None:
                self._client.close()
            if self._engine is not None:
                self._engine.close()
            self._engine = self._client = None

    @contextmanager
    def _opened(self) -> Iterator[tuple[LiteEngine, Client]]:
        if not self._lock.acquire(timeout=self._timeout):
            raise StoreUnavailable(f"the data directory {self._directory} was busy for {self._timeout:g} seconds")
        try:
            if self._engine is None or self._client is None:
                self._engine = LiteEngine(self._directory)
                self._client = Client(self._engine.uri, "", self._timeout, f"the data directory {self._directory}")
            yield self._engine, self._client
        finally:
            self._lock.release()

    @contextmanager
    def _abandon_on_failure(self) -> Iterator[None]:
        """Abandon the engine if a write fails: half of it may be in log or memory, and only a new engine is sound."""
        try:
            yield
        except NotFound:  # the write did not begin
            raise
        except BaseException:
            if self._client is not None:
                self._client.close()
            if self._engine is not None:
                self._engine.abandon()
            self._engine = self._client = None
            raise

    def _clear_caches(self) -> None:
        self._tables.clear()
        self._descriptions.clear()

    def _description(self, client: Client, method: str, arguments: dict[str, Any]) -> Any:
        """Return a description from the cache: every query asks for one, which would take longer than its search."""
        key = (method, *sorted(arguments.items()))
        if key not in self._descriptions:
            self._descriptions[key] = client.run(method, **arguments)
        return self._descriptions[key]

    def _table(self, collection: str) -> LiteTable:
        with self._opened() as (engine, _):
            table = self._tables[collection] = engine.read_table(collection, self._tables.get(collection))
            return table


def _values(column: pa.ChunkedArray) -> Sequence[Any]:
    """Return a column's values; vectors are rows of one array, in a hundredth of the time of lists."""
    if not pa.types.is_fixed_size_list(column.type):
        values: list[Any] = column.to_pylist()
        return values
    numbers = column.combine_chunks().flatten().to_numpy()
    return numbers.reshape(-1, column.type.list_size)
