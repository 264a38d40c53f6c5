"""One collection in a Milvus: rows in, rows and neighbours out."""

import math
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from embeddings.errors import ModelMismatch
from embeddings.models.identity import ModelIdentity
from store.milvus.backend import Backend
from store.milvus.filters import Where, as_written, literals, tag_name
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
    """A collection in the engine, by its name there, and the space of its vectors."""

    real: str
    space: VectorSpace


@dataclass(frozen=True)
class _Resolved:
    """Where the name led when it was `asked` for, in seconds of the monotonic clock."""

    place: EngineCollection
    asked: float


class MilvusCollection:
    """A collection that is at `place`; `moved` tells where the one called `name` is if that is elsewhere by now.

    Reading stays with the collection that was opened. Writing follows the name: what is written while the name is given
    to another collection goes to both, for nobody can tell whether those who build the other one have seen it. What the
    name stands for is asked when a write is done, unless that was last done less than `alias_ttl` before: whoever
    gives the name to another collection waits as long, and then looks for what came in between.
    """

    def __init__(
        self, backend: Backend, name: str, place: EngineCollection, moved: Callable[[str], EngineCollection | None]
    ) -> None:
        self.name = name
        self._backend = backend
        self._led = _Resolved(place, -math.inf)
        self._moved = moved

    @property
    def real(self) -> str:
        """Its name in the engine."""
        return self._place.real

    @property
    def _place(self) -> EngineCollection:
        return self._led.place

    @property
    def model(self) -> ModelIdentity:
        return self._place.space.model

    @property
    def projection(self) -> Projection | None:
        return self._place.space.projection

    def upsert(self, rows: Sequence[Row]) -> None:
        rows = latest(rows)
        self._follow(lambda place: self._upsert(place, rows))

    def delete(self, ids: Sequence[str]) -> None:
        self._follow(lambda place: self._delete(place, ids))

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
        where = Where(tags=tuple(tags), not_id=exclude, taken=_span(taken))
        place = self._place  # one for all: what is written meanwhile may move it
        queries = place.space.queries(vectors)
        hits: list[list[Hit]] = []
        for start in range(0, len(queries), _QUERIES_PER_CALL):
            hits += self._search(place, queries[start : start + _QUERIES_PER_CALL], limit, offset, where)
        return hits

    def fetch(self, ids: Sequence[str], with_vectors: bool = False) -> list[Row]:
        return self._fetch(self._place, ids, with_vectors)

    def browse(
        self, tag: str | None = None, offset: int = 0, limit: int = 100, taken: TimeRange | None = None
    ) -> list[Row]:
        ids = self._backend.page(self.real, Where(tags=_one(tag), taken=_span(taken)), offset, limit)
        return self.fetch([as_written(id_) for id_ in ids])

    def scan(self, with_vectors: bool = False) -> Iterator[Row]:
        fields = [*SCALARS, "vector"] if with_vectors else list(SCALARS)
        return map(from_record, self._backend.scan(self.real, fields))

    def known(self, source: str | None = None) -> Iterator[IndexedFile]:
        return map(to_known, self._backend.select(self.real, list(KNOWN), Where(source=source), strong=True))

    def lookup(self, ids: Sequence[str], strong: bool = True) -> dict[str, IndexedFile]:
        found: dict[str, IndexedFile] = {}
        for start in range(0, len(ids), self._backend.most_ids):
            where = Where(ids=tuple(ids[start : start + self._backend.most_ids]))
            records = self._backend.select(self.real, list(KNOWN), where, strong=strong)
            found |= {known.id: known for known in map(to_known, records)}
        return found

    def find_content(self, hashes: Sequence[str]) -> dict[str, Row]:
        ids: dict[str, str] = {}
        for start in range(0, len(hashes), _HASHES_PER_CALL):
            where = Where(hashes=tuple(hashes[start : start + _HASHES_PER_CALL]))
            records = self._backend.select(self.real, ["id", "content_hash"], where)
            ids |= {record["content_hash"]: as_written(record["id"]) for record in records}
        return {row.content_hash: row for row in self.fetch(list(ids.values()), with_vectors=True)}

    def count(self, tag: str | None = None, taken: TimeRange | None = None) -> int:
        return self._backend.count(self.real, Where(tags=_one(tag), taken=_span(taken)))

    def facets(self, tags: Sequence[str] = (), taken: TimeRange | None = None) -> dict[str, int]:
        counts: Counter[str] = Counter()
        for record in self._backend.select(self.real, [TAG_KEYS], Where(tags=tuple(tags), taken=_span(taken))):
            counts.update(record[TAG_KEYS])
        return {tag_name(key): count for key, count in counts.items()}

    def flush(self) -> None:
        self._backend.run("flush", collection_name=self.real, timeout_factor=4)

    def _follow(self, write: Callable[[EngineCollection], None]) -> None:
        """Write, and again for as long as the name stands for another collection when it is done."""
        led = self._led
        write(led.place)
        while (now := self._leads_now(led)).place.real != led.place.real:
            led = now
            write(led.place)

    def _leads_now(self, led: _Resolved) -> _Resolved:
        """Return where the name leads, asking unless `led` was asked for less than `alias_ttl` ago."""
        asked = time.monotonic()
        if asked - led.asked < self._backend.alias_ttl:
            return led
        led = self._led  # another thread may have asked meanwhile
        if asked - led.asked >= self._backend.alias_ttl:
            led = self._led = _Resolved(self._followed(led.place), asked)
        return led

    def _followed(self, place: EngineCollection) -> EngineCollection:
        now = self._moved(place.real)
        if now is None:
            return place
        if now.space.base.fingerprint != place.space.base.fingerprint:
            raise ModelMismatch(
                f"the collection {self.name!r} was made anew with another model meanwhile: run the same again",
                field="collection",
            )
        return now

    def _upsert(self, place: EngineCollection, rows: Sequence[Row]) -> None:
        records = [to_record(row) for row in rows]
        place.space.project_rows(records)
        for row, record in zip(rows, records, strict=True):
            check_record(row, record, place.space.model.dimension)
        for batch in batches(records):
            normalise(batch)
            for record in batch:
                record[TAG_KEYS] = self._backend.pack_tags(record[TAG_KEYS])
            self._backend.run("upsert", collection_name=place.real, data=batch)
            self._backend.written(place.real, len(batch))

    def _delete(self, place: EngineCollection, ids: Sequence[str]) -> None:
        for start in range(0, len(ids), _IDS_PER_CALL):
            some = tuple(ids[start : start + _IDS_PER_CALL])
            self._backend.run("delete", collection_name=place.real, filter=f"id in {literals(some)}")
            self._backend.written(place.real, len(some))

    def _fetch(self, place: EngineCollection, ids: Sequence[str], with_vectors: bool) -> list[Row]:
        fields = [*SCALARS, "vector"] if with_vectors else list(SCALARS)
        found: dict[str, Row] = {}
        for start in range(0, len(ids), _IDS_PER_CALL):
            records = self._backend.run(
                "query",
                collection_name=place.real,
                filter=f"id in {literals(tuple(ids[start : start + _IDS_PER_CALL]))}",
                output_fields=fields,
            )
            found |= {row.id: row for row in map(from_record, records)}
        return [found[id_] for id_ in ids if id_ in found]

    def _search(
        self, place: EngineCollection, queries: np.ndarray, limit: int, offset: int, where: Where
    ) -> list[list[Hit]]:
        hits = self._backend.search(place.real, queries, limit, offset, where)
        if where.narrow and min(map(len, hits)) < limit:
            hits = self._complete(place, queries, hits, limit, offset, where)
        return [sorted(some, key=lambda hit: (-hit.score, hit.row.id)) for some in hits]

    def _complete(
        self, place: EngineCollection, queries: np.ndarray, hits: list[list[Hit]], limit: int, offset: int, where: Where
    ) -> list[list[Hit]]:
        """Score all rows that meet the conditions if a search missed some, as approximate indexes do for rare ones."""
        there = self._backend.count(place.real, where)
        if min(map(len, hits)) >= min(limit, there - offset) or there > _MAX_TO_SCORE:
            return hits
        ids = self._backend.page(place.real, where, 0, there)
        rows = self._fetch(place, [as_written(id_) for id_ in ids], with_vectors=True)
        return [
            nearest(query, rows, limit, offset) if len(some) < min(limit, len(rows) - offset) else some
            for query, some in zip(queries, hits, strict=True)
        ]


def _one(tag: str | None) -> tuple[str, ...]:
    return () if tag is None else (tag,)


def _span(taken: TimeRange | None) -> tuple[int, int] | None:
    return None if taken is None else seconds_of(taken)
