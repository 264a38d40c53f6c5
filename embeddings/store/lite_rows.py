"""The rows of a Milvus Lite collection as they were at one time: filtered, counted, read and searched exactly.

Milvus Lite has no index here, so a search looks at every row either way; its own makes Python objects of every number
of every vector it finds, which takes most of the time of a query.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from embeddings.store.filters import Where, storable, tag_key
from embeddings.store.rows import SCALARS, TAG_KEYS

_BLOCK = 16_384  # rows that are scored in one go: for 128 queries that takes 8 MB


@dataclass(frozen=True)
class LiteRows:
    """Every row of a collection with all its fields, and which of them are `alive` (bool [rows]).

    `segments` are its parts that are in files: while they are the same, and nothing is written, so is all of it.
    """

    segments: Sequence[pa.Table]
    table: pa.Table
    ids: Sequence[str]
    alive: np.ndarray

    def of(self, segments: Sequence[Any]) -> bool:
        """Return whether these are still the segments of the collection."""
        return len(segments) == len(self.segments) and all(
            segment.table is table for segment, table in zip(segments, self.segments, strict=True)
        )

    def matching(self, fields: list[str], where: Where) -> pa.Table:
        """Return some fields of the rows that meet the conditions."""
        return self.table.select(fields).filter(pa.array(self._meeting(where)))

    def parts(self, fields: list[str], size: int) -> Iterator[pa.Table]:
        """Yield some fields of all rows, `size` rows at a time, of which only one part is copied."""
        table = self.table.select(fields)
        for start in range(0, len(self.alive), size):
            yield table.slice(start, size).filter(pa.array(self.alive[start : start + size]))

    def nearest(
        self, queries: np.ndarray, limit: int, offset: int, where: Where
    ) -> list[list[tuple[float, Mapping[str, Any]]]]:
        """Return, for each query (float32 [queries, dimension]), a page of the rows that meet the conditions.

        Those with the largest inner product come first, equal ones in the order of their ids. Vectors are left out.
        """
        pages = [self._page(*best, limit, offset) for best in self._best(queries, offset + limit, where)]
        records = self._records(sorted({row for page in pages for row, _ in page}))
        return [[(score, records[row]) for row, score in page] for page in pages]

    def _best(self, queries: np.ndarray, depth: int, where: Where) -> list[tuple[np.ndarray, np.ndarray]]:
        """Return rows and scores of at least the best `depth` for each query, and of all that score as the last one."""
        meeting = self._meeting(where)
        best = [(np.empty(0, np.int64), np.empty(0, np.float32)) for _ in queries]
        for start, vectors in self._blocks:
            wanted = np.flatnonzero(meeting[start : start + len(vectors)])
            if not len(wanted):
                continue
            scores = queries @ (vectors if len(wanted) == len(vectors) else vectors[wanted]).T
            best = [
                _top(np.concatenate([rows, wanted + start]), np.concatenate([before, now]), depth)
                for (rows, before), now in zip(best, scores, strict=True)
            ]
        return best

    @cached_property
    def _blocks(self) -> list[tuple[int, np.ndarray]]:
        """The vectors, as float32 [rows, dimension] with the number of the first row, without a copy."""
        blocks, start = [], 0
        for chunk in self.table["vector"].chunks:
            vectors = chunk.flatten().to_numpy().reshape(-1, chunk.type.list_size)
            blocks += [(start + first, vectors[first : first + _BLOCK]) for first in range(0, len(chunk), _BLOCK)]
            start += len(chunk)
        return blocks

    def _page(self, rows: np.ndarray, scores: np.ndarray, limit: int, offset: int) -> list[tuple[int, float]]:
        ranked = sorted(zip(rows.tolist(), scores.tolist(), strict=True), key=lambda hit: (-hit[1], self.ids[hit[0]]))
        return ranked[offset : offset + limit]

    def _records(self, rows: list[int]) -> dict[int, Mapping[str, Any]]:
        """Return what is to be shown of rows; taken from each batch by itself, which copies nothing else."""
        wanted, records, start = np.array(rows, np.int64), dict[int, Mapping[str, Any]](), 0
        for batch in self._shown:
            here = wanted[(wanted >= start) & (wanted < start + batch.num_rows)]
            if len(here):
                records |= zip(here.tolist(), batch.take(pa.array(here - start)).to_pylist(), strict=True)
            start += batch.num_rows
        return records

    @cached_property
    def _shown(self) -> list[pa.RecordBatch]:
        return list(self.table.select(SCALARS).to_batches())

    def _meeting(self, where: Where) -> np.ndarray:
        """Return which rows are alive and meet the conditions."""
        meeting = self.alive
        for condition in _conditions(self.table, where):
            meeting = meeting & condition.to_numpy(zero_copy_only=False)
        return meeting


def _top(rows: np.ndarray, scores: np.ndarray, depth: int) -> tuple[np.ndarray, np.ndarray]:
    """Keep the best `depth`, and all that score as the last of them."""
    if len(scores) <= depth:
        return rows, scores
    least = np.partition(scores, len(scores) - depth)[len(scores) - depth]
    kept = scores >= least
    return rows[kept], scores[kept]


def _conditions(rows: pa.Table, where: Where) -> Iterator[pa.ChunkedArray]:
    for name in where.tags:
        yield pc.match_substring(rows[TAG_KEYS], f" {tag_key(name)} ")
    if where.source is not None:
        yield pc.equal(rows["source"], storable(where.source))
    if where.hashes:
        yield pc.is_in(rows["content_hash"], pa.array(map(storable, where.hashes), pa.string()))
    if where.ids:
        yield pc.is_in(rows["id"], pa.array(map(storable, where.ids), pa.string()))
    if where.not_id is not None:
        yield pc.not_equal(rows["id"], storable(where.not_id))
    if where.taken is not None:
        first, after = where.taken
        yield pc.and_(pc.greater_equal(rows["taken_at"], first), pc.less(rows["taken_at"], after))
