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
from store.milvus.filters import Where, as_written, expression, literal
from store.milvus.ranking import DEEPEST
from store.milvus.schema import SCALARS, TAG_KEYS, from_record
from store.records import Hit

_PAGE = 5000
_WHOLE_ROWS = 500  # the longest still fit into one answer
_BOUND_SECONDS = 10.0  # a bounded read shows for certain what is older: servers have 5 s unless configured otherwise
_LOOK_SECONDS = 0.1  # between looks whether a collection is loaded by now
_MIN_EF, _MAX_EF = 64, 32_768
_VECTOR_INDEX = {
    "field_name": "vector",
    "index_type": "HNSW",
    "metric_type": "IP",
    "params": {"M": 16, "efConstruction": 200},
}
# from 2.5 on arrays can be indexed; before, looking through them is quick enough
_SCALAR_INDEXES_SINCE = (2, 5)
_SCALAR_INDEXES = [{"field_name": field, "index_type": "INVERTED"} for field in (TAG_KEYS, "content_hash")]


class ServerBackend:
    """A Milvus server by URL."""

    most_ids = 4000  # every strong read waits for the server's clock; more than a page would take two
    alias_ttl = 2.0

    def __init__(self, uri: str, token: str, timeout: float) -> None:
        """Connect when it is first used, so that a service starts without it. Raises UsageError for what is no URI."""
        self._place = f"the Milvus server at {address(uri)}"
        self._connect = partial(Client, uri, token, timeout, self._place)
        self._loading_seconds = min(timeout, CONNECT_SECONDS)
        self._glance = min(1.0, READY_SECONDS / timeout)  # of the timeout: how long a question after its state may take
        self._connecting = threading.Lock()
        self._connected: Client | None = None
        self._refused = -math.inf  # time of the last attempt that failed
        self._upserted: dict[str, float] = {}  # collection -> time of the last upsert
        self._deleted: dict[str, float] = {}  # collection -> time of the last delete
        self._seen: dict[str, float] = {}  # collection -> time whose state a strong read has shown

    def run(self, method: str, *, timeout_factor: float = 1.0, **arguments: Any) -> Any:
        if method in ("query", "search"):
            return self._read(method, timeout_factor, arguments)
        done = self._client().run(method, timeout_factor=timeout_factor, **arguments)
        if method in ("upsert", "delete"):
            times = self._upserted if method == "upsert" else self._deleted
            times[arguments["collection_name"]] = time.monotonic()
        return done

    def ready(self, name: str | None = None) -> None:
        client = self._client()
        if name is None:
            client.version()
            return
        state = client.run("get_load_state", timeout_factor=self._glance, collection_name=name)["state"]
        if state == LoadState.Loaded:
            # a server that was just started may have its log to read yet, which searches wait for
            self._query(name, self.filter(Where(ids=("",))), ["id"], timeout_factor=self._glance)
        elif state != LoadState.NotLoad:  # the first search loads what is not
            with suppress(NotFound):
                # a server that was just started calls everything missing, until it can be asked for a description
                client.run("describe_collection", timeout_factor=self._glance, collection_name=name)
                raise self._still_loading()

    def create(self, collection: str, dimension: int, written: str) -> None:
        self._client().create_collection(collection, dimension, written, tag_keys_array=True)

    def prepare(self, collection: str) -> None:
        if self._load_state(collection) != LoadState.Loaded:
            client = self._client()
            client.prepare(collection, indexes(client.version()))

    def filter(self, where: Where) -> str:
        return expression(where)

    def pack_tags(self, keys: list[str]) -> list[str]:
        return keys

    def search(self, collection: str, queries: np.ndarray, limit: int, offset: int, where: Where) -> list[list[Hit]]:
        found = self.run(
            "search",
            collection_name=collection,
            data=[query.tobytes() for query in queries],  # an array would be taken apart number by number
            anns_field="vector",
            limit=limit,
            offset=offset,
            filter=self.filter(where),
            output_fields=list(SCALARS),
            search_params=self.search_params(offset + limit),
        )
        return [[Hit(from_record(hit["entity"]), float(hit["distance"])) for hit in some] for some in found]

    def search_params(self, depth: int) -> dict[str, Any]:
        """Return the parameters of a search for the best `depth` rows."""
        return {"metric_type": "IP", "params": {"ef": min(max(_MIN_EF, 2 * depth), _MAX_EF)}}

    def select(
        self, collection: str, fields: list[str], where: Where, strong: bool = False
    ) -> Iterator[dict[str, Any]]:
        conditions = self.filter(where)
        options = {"limit": _PAGE, **({"consistency_level": STRONG} if strong else {})}
        rows = self._query(collection, conditions, fields, **options)
        while rows:
            yield from rows
            after = f"id > {literal(as_written(rows[-1]['id']))}"  # a server gives rows in the order of their ids
            rest = f"({conditions}) and {after}" if conditions else after
            rows = self._query(collection, rest, fields, **options) if len(rows) == _PAGE else []

    def scan(self, collection: str, fields: list[str]) -> Iterator[dict[str, Any]]:
        ids = (row["id"] for row in self.select(collection, ["id"], Where(), strong=True))
        while some := tuple(islice(ids, _WHOLE_ROWS)):
            # rows are found by their ids in the same time however many there are; pages of whole rows are not
            yield from self._query(collection, self.filter(Where(ids=tuple(map(as_written, some)))), fields)

    def count(self, collection: str, where: Where) -> int:
        return int(self._query(collection, self.filter(where), ["count(*)"])[0]["count(*)"])

    def page(self, collection: str, where: Where, offset: int, limit: int) -> list[str]:
        if offset + limit > DEEPEST:
            rows = list(islice(self.select(collection, ["id"], where), offset, offset + limit))
        else:
            rows = self._query(collection, self.filter(where), ["id"], offset=offset, limit=limit)
        return [row["id"] for row in rows]

    def written(self, collection: str, rows: int) -> None:
        """Nothing to do: a server writes and indexes in the background."""

    def close(self) -> None:
        if self._connected is not None:
            self._connected.close()

    def _client(self) -> Client:
        """Return the connection. Raises StoreUnavailable when nobody answers, at once for those who waited with us."""
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
        """Return whether a collection is loaded or not.

        Raises StoreUnavailable where the server is at it for longer than a request may wait, as after a restart.
        """
        until = time.monotonic() + self._loading_seconds
        while (state := self.run("get_load_state", collection_name=collection)["state"]) == LoadState.Loading:
            if time.monotonic() > until:
                raise self._still_loading()
            time.sleep(_LOOK_SECONDS)
        return state

    def _still_loading(self) -> StoreUnavailable:
        return StoreUnavailable(f"{self._place} is still loading the collection: try again in a minute")

    def _query(self, collection: str, conditions: str, fields: list[str], **options: Any) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = self.run(
            "query", collection_name=collection, filter=conditions, output_fields=fields, **options
        )
        return rows

    def _read(self, method: str, timeout_factor: float, arguments: dict[str, Any]) -> Any:
        """Read so that our own writes are seen, and what others wrote unless it was just now.

        A session waits for its last upsert, which is quick, and for nothing if that was long ago: a server that was
        started again, and has loaded the collection but not yet read its log, would give it few rows or none. A
        bounded read waits there. A delete has no time one could wait for: the reads after one are strong, which takes
        up to 0.2 s, until one such read is through.
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
    """Return the indexes for a server that calls its version so."""
    found = re.search(r"(\d+)\.(\d+)", version)
    current = found is None or (int(found[1]), int(found[2])) >= _SCALAR_INDEXES_SINCE
    return [_VECTOR_INDEX, *(_SCALAR_INDEXES if current else [])]
