"""One collection in a Milvus: writes rows, returns rows and neighbours."""

import math
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from embeddings.models.identity import ModelIdentity
from store.milvus.backend import Backend
from store.milvus.filters import RowFilter, as_written, literals, tag_name
from store.milvus.ranking import check_depth, nearest
from store.milvus.schema import (
    KNOWN,
    SCALARS,
    TAG_KEYS,
    batches,
    check_record,
    from_record,
    latest,
    normalise,
    seconds_of,
    to_known,
    to_record,
)
from store.milvus.vector_space import VectorSpace
from store.projection import Projection
from store.records import Hit, IndexedFile, Row, TimeRange

_QUERIES_PER_CALL = 128
_IDS_PER_CALL = 1000
_HASHES_PER_CALL = 500
_MAX_TO_SCORE = 5000


@dataclass(frozen=True)
class EngineCollection:
    """A collection in the engine: its name there, and the space of its vectors."""

    real_name: str
    space: VectorSpace


@dataclass(frozen=True)
class _Resolved:
    """The collection that a name stood for at a `time` of the monotonic clock, in seconds."""

    collection: EngineCollection
    time: float


class MilvusCollection:
    """The engine's `collection` under the name that a user gave it.

    `successor` takes a real name, and returns the collection that the name stands for, None if that is still this one.

    Reads stay with the collection that was opened. Writes follow the name: rows that are written while the name is
    switched to another collection go to both, because nobody can tell whether the builders of the other one have seen
    them. The name is resolved after a write, unless that was last done less than `alias_ttl` before; a switch waits
    that long, and then looks for rows that came in between.
    """

    def __init__(
        self,
        backend: Backend,
        name: str,
        collection: EngineCollection,
        successor: Callable[[str], EngineCollection | None],
    ) -> None:
        self.name = name
        self._backend = backend
        self._resolved = _Resolved(collection, -math.inf)
        self._successor = successor

    @property
    def real_name(self) -> str:
        """The name in the engine."""
        return self._current.real_name

    @property
    def _current(self) -> EngineCollection:
        return self._resolved.collection

    @property
    def model(self) -> ModelIdentity:
        return self._current.space.model

    @property
    def projection(self) -> Projection | None:
        return self._current.space.projection

    def upsert(self, rows: Sequence[Row]) -> None:
        rows = latest(rows)
        self._write(lambda collection: self._upsert(collection, rows))

    def delete(self, ids: Sequence[str]) -> None:
        self._write(lambda collection: self._delete(collection, ids))

    def search(
        self,
        vectors: np.ndarray,
        limit: int,
        offset: int = 0,
        tags: Sequence[str] = (),
        exclude: str | None = None,
        taken: TimeRange | None = None,
    ) -> list[list[Hit]]:
        check_depth(offset, limit)
        where = RowFilter(tags=tuple(tags), not_id=exclude, taken=_span(taken))
        collection = self._current  # the same for all calls: a write meanwhile may follow the name elsewhere
        queries = collection.space.queries(vectors)
        hits: list[list[Hit]] = []
        for start in range(0, len(queries), _QUERIES_PER_CALL):
            hits += self._search(collection, queries[start : start + _QUERIES_PER_CALL], limit, offset, where)
        return hits

    def fetch(self, ids: Sequence[str], with_vectors: bool = False) -> list[Row]:
        return self._fetch(self._current, ids, with_vectors)

    def browse(
        self, tag: str | None = None, offset: int = 0, limit: int = 100, taken: TimeRange | None = None
    ) -> list[Row]:
        where = RowFilter(tags=_tags(tag), taken=_span(taken))
        ids = self._backend.page(self.real_name, where, offset, limit)
        return self.fetch([as_written(id_) for id_ in ids])

    def scan(self, with_vectors: bool = False) -> Iterator[Row]:
        fields = [*SCALARS, "vector"] if with_vectors else list(SCALARS)
        return map(from_record, self._backend.scan(self.real_name, fields))

    def known(self, source: str | None = None) -> Iterator[IndexedFile]:
        where = RowFilter(source=source)
        return map(to_known, self._backend.select(self.real_name, list(KNOWN), where, strong=True))

    def lookup(self, ids: Sequence[str], strong: bool = True) -> dict[str, IndexedFile]:
        files: dict[str, IndexedFile] = {}
        for start in range(0, len(ids), self._backend.max_ids):
            where = RowFilter(ids=tuple(ids[start : start + self._backend.max_ids]))
            records = self._backend.select(self.real_name, list(KNOWN), where, strong=strong)
            files |= {file.id: file for file in map(to_known, records)}
        return files

    def find_content(self, hashes: Sequence[str]) -> dict[str, Row]:
        ids: dict[str, str] = {}
        for start in range(0, len(hashes), _HASHES_PER_CALL):
            where = RowFilter(hashes=tuple(hashes[start : start + _HASHES_PER_CALL]))
            records = self._backend.select(self.real_name, ["id", "content_hash"], where)
            ids |= {record["content_hash"]: as_written(record["id"]) for record in records}
        return {row.content_hash: row for row in self.fetch(list(ids.values()), with_vectors=True)}

    def count(self, tag: str | None = None, taken: TimeRange | None = None) -> int:
        return self._backend.count(self.real_name, RowFilter(tags=_tags(tag), taken=_span(taken)))

    def facets(self, tags: Sequence[str] = (), taken: TimeRange | None = None) -> dict[str, int]:
        counts: Counter[str] = Counter()
        where = RowFilter(tags=tuple(tags), taken=_span(taken))
        for record in self._backend.select(self.real_name, [TAG_KEYS], where):
            counts.update(record[TAG_KEYS])
        return {tag_name(key): count for key, count in counts.items()}

    def flush(self) -> None:
        self._backend.run("flush", collection_name=self.real_name, timeout_factor=4)

    def _write(self, write: Callable[[EngineCollection], None]) -> None:
        """Write, and repeat the write for as long as the name stands for another collection afterwards."""
        resolved = self._resolved
        write(resolved.collection)
        while (current := self._resolve(resolved)).collection.real_name != resolved.collection.real_name:
            resolved = current
            write(resolved.collection)

    def _resolve(self, resolved: _Resolved) -> _Resolved:
        """Return what the name stands for, asking the engine unless `resolved` is younger than `alias_ttl`."""
        now = time.monotonic()
        if now - resolved.time < self._backend.alias_ttl:
            return resolved
        resolved = self._resolved  # another thread may have asked meanwhile
        if now - resolved.time >= self._backend.alias_ttl:
            collection = resolved.collection
            successor = self._successor(collection.real_name)
            if successor is not None:
                collection.space.check_successor(self.name, successor.space)
            resolved = self._resolved = _Resolved(successor or collection, now)
        return resolved

    def _upsert(self, collection: EngineCollection, rows: Sequence[Row]) -> None:
        records = [to_record(row) for row in rows]
        collection.space.project_rows(records)
        for row, record in zip(rows, records, strict=True):
            check_record(row, record, collection.space.model.dimension)
        for batch in batches(records):
            normalise(batch)
            for record in batch:
                record[TAG_KEYS] = self._backend.pack_tags(record[TAG_KEYS])
            self._backend.run("upsert", collection_name=collection.real_name, data=batch)
            self._backend.written(collection.real_name, len(batch))

    def _delete(self, collection: EngineCollection, ids: Sequence[str]) -> None:
        for start in range(0, len(ids), _IDS_PER_CALL):
            batch = tuple(ids[start : start + _IDS_PER_CALL])
            self._backend.run("delete", collection_name=collection.real_name, filter=f"id in {literals(batch)}")
            self._backend.written(collection.real_name, len(batch))

    def _fetch(self, collection: EngineCollection, ids: Sequence[str], with_vectors: bool) -> list[Row]:
        fields = [*SCALARS, "vector"] if with_vectors else list(SCALARS)
        rows: dict[str, Row] = {}
        for start in range(0, len(ids), _IDS_PER_CALL):
            records = self._backend.run(
                "query",
                collection_name=collection.real_name,
                filter=f"id in {literals(tuple(ids[start : start + _IDS_PER_CALL]))}",
                output_fields=fields,
            )
            rows |= {row.id: row for row in map(from_record, records)}
        return [rows[id_] for id_ in ids if id_ in rows]

    def _search(
        self, collection: EngineCollection, queries: np.ndarray, limit: int, offset: int, where: RowFilter
    ) -> list[list[Hit]]:
        pages = self._backend.search(collection.real_name, queries, limit, offset, where)
        if where.narrow and min(map(len, pages)) < limit:
            pages = self._complete(collection, queries, pages, limit, offset, where)
        return [sorted(page, key=lambda hit: (-hit.score, hit.row.id)) for page in pages]

    def _complete(
        self,
        collection: EngineCollection,
        queries: np.ndarray,
        pages: list[list[Hit]],
        limit: int,
        offset: int,
        where: RowFilter,
    ) -> list[list[Hit]]:
        """Score all rows that meet the conditions if the search missed some, as approximate indexes do."""
        count = self._backend.count(collection.real_name, where)
        if min(map(len, pages)) >= min(limit, count - offset) or count > _MAX_TO_SCORE:
            return pages
        ids = self._backend.page(collection.real_name, where, 0, count)
        rows = self._fetch(collection, [as_written(id_) for id_ in ids], with_vectors=True)
        return [
            nearest(query, rows, limit, offset) if len(page) < min(limit, len(rows) - offset) else page
            for query, page in zip(queries, pages, strict=True)
        ]


def _tags(tag: str | None) -> tuple[str, ...]:
    return () if tag is None else (tag,)


def _span(taken: TimeRange | None) -> tuple[int, int] | None:
    return None if taken is None else seconds_of(taken)
