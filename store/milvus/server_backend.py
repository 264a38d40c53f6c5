"""A Milvus server: standalone, cluster or Zilliz Cloud, from 2.3.5 on."""

import math
import re
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from itertools import islice
from typing import Any

import numpy as np

from embeddings.errors import NotFound, StoreUnavailable
from store.milvus.client import BOUNDED, CONNECT_SECONDS, READY_SECONDS, SESSION, STRONG, Client, LoadState, address
from store.milvus.filters import RowFilter, as_written, expression, literal
from store.milvus.ranking import MAX_DEPTH
from store.milvus.schema import SCALARS, TAG_KEYS, CollectionSchema, TagKeyType, from_record
from store.records import Hit

_PAGE = 5000
_WHOLE_ROWS = 500  # even the longest fit into one answer
_BOUND_SECONDS = 10.0  # a bounded read certainly shows older writes; the default of servers is 5 s
_POLL_SECONDS = 0.1  # between checks whether a collection is loaded
_MIN_EF, _MAX_EF = 64, 32_768
_VECTOR_INDEX = {
    "field_name": "vector",
    "index_type": "HNSW",
    "metric_type": "IP",
    "params": {"M": 16, "efConstruction": 200},
}
# arrays can be indexed from 2.5 on; before that, a scan of them is quick enough
_SCALAR_INDEXES_SINCE = (2, 5)
_SCALAR_INDEXES = [{"field_name": field, "index_type": "INVERTED"} for field in (TAG_KEYS, "content_hash")]


class ServerBackend:
    """A Milvus server by URL."""

    max_ids = 4000  # fewer than a page: a strong read waits for the server's clock, and more ids would take two
    alias_ttl = 2.0

    def __init__(self, uri: str, token: str, timeout: float) -> None:
        """Connect only on first use, so that a service starts without Milvus. Raises UsageError for an invalid URI."""
        self._place = f"the Milvus server at {address(uri)}"
        self._connect = partial(Client, uri, token, timeout, self._place)
        self._loading_seconds = min(timeout, CONNECT_SECONDS)
        self._ready_factor = min(1.0, READY_SECONDS / timeout)  # of the timeout, for questions about the state
        self._connecting = threading.Lock()
        self._connected: Client | None = None
        self._refused = -math.inf  # time of the last failed attempt
        self._upserted: dict[str, float] = {}  # collection -> time of the last upsert
        self._deleted: dict[str, float] = {}  # collection -> time of the last delete
        self._seen: dict[str, float] = {}  # collection -> start of its last strong read

    def run(self, method: str, *, timeout_factor: float = 1.0, **arguments: Any) -> Any:
        if method in ("query", "search"):
            return self._read(method, timeout_factor, arguments)
        answer = self._client().run(method, timeout_factor=timeout_factor, **arguments)
        if method in ("upsert", "delete"):
            times = self._upserted if method == "upsert" else self._deleted
            times[arguments["collection_name"]] = time.monotonic()
        return answer

    def ready(self, name: str | None = None) -> None:
        client = self._client()
        if name is None:
            client.version()
            return
        state = client.run("get_load_state", timeout_factor=self._ready_factor, collection_name=name)["state"]
        if state == LoadState.Loaded:
            # a server that has just started may still have to read its log, and searches wait for that
            self._query(name, self.filter(RowFilter(ids=("",))), ["id"], timeout_factor=self._ready_factor)
        elif state != LoadState.NotLoad:  # the first search loads a collection that is not loaded
            with suppress(NotFound):
                # a server that has just started calls every collection missing until it can describe them
                client.run("describe_collection", timeout_factor=self._ready_factor, collection_name=name)
                raise self._still_loading()

    def create(self, collection: str, dimension: int, description: str) -> None:
        self._client().create_collection(collection, CollectionSchema(dimension, TagKeyType.ARRAY), description)

    def prepare(self, collection: str) -> None:
        if self._load_state(collection) != LoadState.Loaded:
            client = self._client()
            client.prepare(collection, indexes(client.version()))

    def filter(self, where: RowFilter) -> str:
        return expression(where)

    def pack_tags(self, keys: list[str]) -> list[str]:
        return keys

    def search(
        self, collection: str, queries: np.ndarray, limit: int, offset: int, where: RowFilter
    ) -> list[list[Hit]]:
        pages = self.run(
            "search",
            collection_name=collection,
            data=[query.tobytes() for query in queries],  # an array would be converted number by number
            anns_field="vector",
            limit=limit,
            offset=offset,
            filter=self.filter(where),
            output_fields=list(SCALARS),
            search_params=self.search_params(offset + limit),
        )
        return [[Hit(from_record(hit["entity"]), float(hit["distance"])) for hit in page] for page in pages]

    def search_params(self, depth: int) -> dict[str, Any]:
        """Return the parameters of a search for the best `depth` rows."""
        return {"metric_type": "IP", "params": {"ef": min(max(_MIN_EF, 2 * depth), _MAX_EF)}}

    def select(
        self, collection: str, fields: list[str], where: RowFilter, strong: bool = False
    ) -> Iterator[dict[str, Any]]:
        conditions = self.filter(where)
        options = {"limit": _PAGE, **({"consistency_level": STRONG} if strong else {})}
        rows = self._query(collection, conditions, fields, **options)
        while rows:
            yield from rows
            after = f"id > {literal(as_written(rows[-1]['id']))}"  # a server returns rows in the order of their ids
            rest = f"({conditions}) and {after}" if conditions else after
            rows = self._query(collection, rest, fields, **options) if len(rows) == _PAGE else []

    def scan(self, collection: str, fields: list[str]) -> Iterator[dict[str, Any]]:
        ids = (row["id"] for row in self.select(collection, ["id"], RowFilter(), strong=True))
        while batch := tuple(islice(ids, _WHOLE_ROWS)):
            # the time to find rows by their ids does not grow with their number; the time of pages of whole rows does
            yield from self._query(collection, self.filter(RowFilter(ids=tuple(map(as_written, batch)))), fields)

    def count(self, collection: str, where: RowFilter) -> int:
        return int(self._query(collection, self.filter(where), ["count(*)"])[0]["count(*)"])

    def page(self, collection: str, where: RowFilter, offset: int, limit: int) -> list[str]:
        if offset + limit > MAX_DEPTH:
            rows = list(islice(self.select(collection, ["id"], where), offset, offset + limit))
        else:
            rows = self._query(collection, self.filter(where), ["id"], offset=offset, limit=limit)
        return [row["id"] for row in rows]

    def written(self, collection: str, rows: int) -> None:
        """Do nothing: a server writes and indexes in the background."""

    def close(self) -> None:
        if self._connected is not None:
            self._connected.close()

    def _client(self) -> Client:
        """Return the connection. Raises StoreUnavailable, at once if another thread's attempt failed meanwhile."""
        asked = time.monotonic()
        with self._connecting:
            if self._connected is None:
                if self._refused > asked:
                    raise StoreUnavailable(f"{self._place} does not answer: start it, or check LOOKALIKE_MILVUS_URI")
                try:
                    self._connected = self._connect()
                except StoreUnavailable:
                    self._refused = time.monotonic()
                    raise
            return self._connected

    def _load_state(self, collection: str) -> LoadState:
        """Return whether a collection is loaded.

        Raises StoreUnavailable if loading takes longer than a request may wait, as after a restart of the server.
        """
        until = time.monotonic() + self._loading_seconds
        while (state := self.run("get_load_state", collection_name=collection)["state"]) == LoadState.Loading:
            if time.monotonic() > until:
                raise self._still_loading()
            time.sleep(_POLL_SECONDS)
        return state

    def _still_loading(self) -> StoreUnavailable:
        return StoreUnavailable(f"{self._place} is still loading the collection: try again in a minute")

    def _query(self, collection: str, conditions: str, fields: list[str], **options: Any) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = self.run(
            "query", collection_name=collection, filter=conditions, output_fields=fields, **options
        )
        return rows

    def _read(self, method: str, timeout_factor: float, arguments: dict[str, Any]) -> Any:
        """Read so that this process's writes are seen, and those of others unless they are seconds old.

        A session read waits for the session's last upsert, which is quick. It waits for nothing if that was long ago: a
        restarted server that has loaded the collection but not yet read its log would return few rows or none. A
        bounded read waits there. A delete has no time to wait for, so the reads after it are strong, which takes up to
        0.2 s, until one of them has succeeded.
        """
        collection, start = arguments["collection_name"], time.monotonic()
        unsure = self._deleted.get(collection, 0.0) > self._seen.get(collection, 0.0)
        recent = start - self._upserted.get(collection, -math.inf) < _BOUND_SECONDS
        level = arguments.setdefault("consistency_level", STRONG if unsure else SESSION if recent else BOUNDED)
        rows = self._client().run(method, timeout_factor=timeout_factor, **arguments)
        if level == STRONG:
            self._seen[collection] = max(self._seen.get(collection, 0.0), start)
        return rows


def indexes(version: str) -> list[dict[str, Any]]:
    """Return the indexes for a server of this version."""
    match = re.search(r"(\d+)\.(\d+)", version)
    current = match is None or (int(match[1]), int(match[2])) >= _SCALAR_INDEXES_SINCE
    return [_VECTOR_INDEX, *(_SCALAR_INDEXES if current else [])]
