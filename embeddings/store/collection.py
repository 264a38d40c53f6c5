"""One collection in a Milvus: rows in, rows and neighbours out."""

from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np

from embeddings.records import Hit, Known, ModelIdentity, Row, Span
from embeddings.store.backend import Backend
from embeddings.store.filters import Where, as_written, literals, tag_name
from embeddings.store.ranking import check_depth, nearest
from embeddings.store.rows import (
    KNOWN,
    SCALARS,
    TAG_KEYS,
    batches,
    check_record,
    from_record,
    latest,
    normalise,
    normalised,
    seconds_of,
    to_known,
    to_record,
)

_QUERIES_A_CALL = 128
_IDS_A_CALL = 1000
_HASHES_A_CALL = 500
_MOST_TO_SCORE = 5000


class MilvusCollection:
    """A collection; `real` is its name in the engine."""

    def __init__(self, backend: Backend, real: str, name: str, model: ModelIdentity) -> None:
        self.name = name
        self.model = model
        self._backend = backend
        self._real = real

    def upsert(self, rows: Sequence[Row]) -> None:
        rows = latest(rows)
        records = [to_record(row) for row in rows]
        for row, record in zip(rows, records, strict=True):
            check_record(row, record, self.model.dimension)
        for batch in batches(records):
            normalise(batch)
            for record in batch:
                record[TAG_KEYS] = self._backend.pack_tags(record[TAG_KEYS])
            self._backend.run("upsert", collection_name=self._real, data=batch)
            self._backend.written(self._real, len(batch))

    def search(
        self,
        vectors: np.ndarray,
        limit: int,
        offset: int = 0,
        tags: Sequence[str] = (),
        exclude: str | None = None,
        taken: Span | None = None,
    ) -> list[list[Hit]]:
        check_depth(offset, limit)
        where = Where(tags=tuple(tags), not_id=exclude, taken=_span(taken))
        queries = normalised(vectors)
        hits: list[list[Hit]] = []
        for start in range(0, len(queries), _QUERIES_A_CALL):
            hits += self._search(queries[start : start + _QUERIES_A_CALL], limit, offset, where)
        return hits

    def fetch(self, ids: Sequence[str], with_vectors: bool = False) -> list[Row]:
        fields = [*SCALARS, "vector"] if with_vectors else list(SCALARS)
        found: dict[str, Row] = {}
        for start in range(0, len(ids), _IDS_A_CALL):
            records = self._backend.run(
                "query",
                collection_name=self._real,
                filter=f"id in {literals(tuple(ids[start : start + _IDS_A_CALL]))}",
                output_fields=fields,
            )
            found |= {row.id: row for row in map(from_record, records)}
        return [found[id_] for id_ in ids if id_ in found]

    def browse(self, tag: str | None = None, offset: int = 0, limit: int = 100, taken: Span | None = None) -> list[Row]:
        ids = self._backend.page(self._real, Where(tags=_one(tag), taken=_span(taken)), offset, limit)
        return self.fetch([as_written(id_) for id_ in ids])

    def scan(self, with_vectors: bool = False) -> Iterator[Row]:
        fields = [*SCALARS, "vector"] if with_vectors else list(SCALARS)
        return map(from_record, self._backend.scan(self._real, fields))

    def known(self, source: str | None = None) -> Iterator[Known]:
        return map(to_known, self._backend.select(self._real, list(KNOWN), Where(source=source), strong=True))

    def known_among(self, ids: Sequence[str]) -> dict[str, Known]:
        found: dict[str, Known] = {}
        for start in range(0, len(ids), self._backend.most_ids):
            where = Where(ids=tuple(ids[start : start + self._backend.most_ids]))
            records = self._backend.select(self._real, list(KNOWN), where, strong=True)
            found |= {known.id: known for known in map(to_known, records)}
        return found

    def find_content(self, hashes: Sequence[str]) -> dict[str, Row]:
        ids: dict[str, str] = {}
        for start in range(0, len(hashes), _HASHES_A_CALL):
            where = Where(hashes=tuple(hashes[start : start + _HASHES_A_CALL]))
            records = self._backend.select(self._real, ["id", "content_hash"], where)
            ids |= {record["content_hash"]: as_written(record["id"]) for record in records}
        return {row.content_hash: row for row in self.fetch(list(ids.values()), with_vectors=True)}

    def delete(self, ids: Sequence[str]) -> None:
        for start in range(0, len(ids), _IDS_A_CALL):
            some = tuple(ids[start : start + _IDS_A_CALL])
            self._backend.run("delete", collection_name=self._real, filter=f"id in {literals(some)}")
            self._backend.written(self._real, len(some))

    def count(self, tag: str | None = None, taken: Span | None = None) -> int:
        return self._backend.count(self._real, Where(tags=_one(tag), taken=_span(taken)))

    def facets(self, tags: Sequence[str] = (), taken: Span | None = None) -> dict[str, int]:
        counts: Counter[str] = Counter()
        for record in self._backend.select(self._real, [TAG_KEYS], Where(tags=tuple(tags), taken=_span(taken))):
            counts.update(record[TAG_KEYS])
        return {tag_name(key): count for key, count in counts.items()}

    def flush(self) -> None:
        self._backend.run("flush", collection_name=self._real, patience=4)

    def _search(self, queries: np.ndarray, limit: int, offset: int, where: Where) -> list[list[Hit]]:
        found = self._backend.run(
            "search",
            collection_name=self._real,
            data=[query.tobytes() for query in queries],  # an array would be taken apart number by number
            anns_field="vector",
            limit=limit,
            offset=offset,
            filter=self._backend.filter(where),
            output_fields=list(SCALARS),
            search_params=self._backend.search_params(offset + limit),
        )
        hits = [[Hit(from_record(hit["entity"]), float(hit["distance"])) for hit in some] for some in found]
        if where.narrow and min(map(len, hits)) < limit:
            hits = self._complete(queries, hits, limit, offset, where)
        return [sorted(some, key=lambda hit: (-hit.score, hit.row.id)) for some in hits]

    def _complete(
        self, queries: np.ndarray, hits: list[list[Hit]], limit: int, offset: int, where: Where
    ) -> list[list[Hit]]:
        """Score all rows that meet the conditions if a search missed some, as approximate indexes do for rare ones."""
        there = self._backend.count(self._real, where)
        if min(map(len, hits)) >= min(limit, there - offset) or there > _MOST_TO_SCORE:
            return hits
        ids = self._backend.page(self._real, where, 0, there)
        rows = self.fetch([as_written(id_) for id_ in ids], with_vectors=True)
        return [
            nearest(query, rows, limit, offset) if len(some) < min(limit, len(rows) - offset) else some
            for query, some in zip(queries, hits, strict=True)
        ]


def _one(tag: str | None) -> tuple[str, ...]:
    return () if tag is None else (tag,)


def _span(taken: Span | None) -> tuple[int, int] | None:
    return None if taken is None else seconds_of(taken)
