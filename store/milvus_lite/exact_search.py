"""Filters, counts, reads and searches a snapshot of the rows of a Milvus Lite collection, exactly.

Milvus Lite has no index here, so every search scans all rows. Its own search turns every number of every vector that it
returns into a Python object, which takes most of the time of a query.
"""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from embeddings.utils import processors
from store.milvus.filters import RowFilter, storable, tag_key
from store.milvus.schema import SCALARS, TAG_KEYS, from_record
from store.records import Hit, Row

_BLOCK = 4096  # rows scored at a time: a copy of those that meet the conditions takes 20 MB
_MAX_CACHED = 4096  # rows, about 2 kB each
_Best = tuple[np.ndarray, np.ndarray]  # int64 rows and their float32 scores
_NONE: _Best = np.empty(0, np.int64), np.empty(0, np.float32)


@dataclass(frozen=True)
class LiteTable:
    """Every row of a collection with all its fields; bool [rows] `alive` tells which of them exist.

    `segments` are the parts that are in files: while they are the same and nothing is written, the table is current.
    """

    segments: Sequence[pa.Table]
    table: pa.Table
    alive: np.ndarray
    _cached: dict[int, Row] = field(default_factory=dict, repr=False)  # searches return some rows again and again

    def is_of(self, segments: Sequence[Any]) -> bool:
        """Return whether the table has these segments."""
        return len(segments) == len(self.segments) and all(
            segment.table is table for segment, table in zip(segments, self.segments, strict=True)
        )

    def matching(self, fields: list[str], where: RowFilter) -> pa.Table:
        """Return some fields of the rows that meet the conditions."""
        return self.table.select(fields).filter(pa.array(self._meeting(where)))

    def parts(self, fields: list[str], size: int) -> Iterator[pa.Table]:
        """Yield some fields of all rows, `size` rows at a time, copying one part at a time."""
        table = self.table.select(fields)
        for start in range(0, len(self.alive), size):
            yield table.slice(start, size).filter(pa.array(self.alive[start : start + size]))

    def nearest(self, queries: np.ndarray, limit: int, offset: int, where: RowFilter) -> list[list[Hit]]:
        """Return, for each query (float32 [queries, dimension]), a page of the rows that meet the conditions.

        The largest inner products come first, equal ones in the order of their ids. Rows have no vectors.
        """
        pages = [self._page(*best, limit, offset) for best in self._best(queries, offset + limit, where)]
        rows = self._rows({number for page in pages for number, _ in page})
        return [[Hit(rows[number], score) for number, score in page] for page in pages]

    def _best(self, queries: np.ndarray, depth: int, where: RowFilter) -> list[_Best]:
        """Return the best `depth` rows for each query, and all with the same score as the last one."""
        meeting = self._meeting(where)

        def best_of(block: tuple[int, np.ndarray]) -> list[_Best]:
            start, vectors = block
            wanted = np.flatnonzero(meeting[start : start + len(vectors)])
            return _best_of(vectors, wanted, start, queries, depth)

        if len(self.alive) <= _BLOCK:
            blocks = [best_of(block) for block in self._blocks]
        else:
            with ThreadPoolExecutor(processors(), "rows") as threads:
                blocks = list(threads.map(best_of, self._blocks))
        return [_merged(parts, depth) for parts in zip([_NONE] * len(queries), *blocks, strict=True)]

    @cached_property
    def _blocks(self) -> list[tuple[int, np.ndarray]]:
        """The vectors as float32 [rows, dimension], each block with the number of its first row; nothing is copied."""
        blocks, start = [], 0
        for chunk in self.table["vector"].chunks:
            vectors = chunk.flatten().to_numpy().reshape(-1, chunk.type.list_size)
            blocks += [(start + first, vectors[first : first + _BLOCK]) for first in range(0, len(chunk), _BLOCK)]
            start += len(chunk)
        return blocks

    @cached_property
    def _ids(self) -> list[str]:
        ids: list[str] = self.table["id"].to_pylist()
        return ids

    def _page(self, rows: np.ndarray, scores: np.ndarray, limit: int, offset: int) -> list[tuple[int, float]]:
        ranked = sorted(zip(rows.tolist(), scores.tolist(), strict=True), key=lambda hit: (-hit[1], self._ids[hit[0]]))
        return ranked[offset : offset + limit]

    def _rows(self, numbers: set[int]) -> dict[int, Row]:
        """Return rows by their numbers."""
        rows = {number: row for number in numbers if (row := self._cached.get(number))}
        new = dict(self._read(sorted(numbers - rows.keys())))
        if len(self._cached) < _MAX_CACHED:
            self._cached.update(new)
        return rows | new

    def _read(self, numbers: list[int]) -> Iterator[tuple[int, Row]]:
        """Yield rows, batch by batch, so that no other rows are copied."""
        wanted, start = np.array(numbers, np.int64), 0
        for batch in self._batches:
            here = wanted[(wanted >= start) & (wanted < start + batch.num_rows)]
            if len(here):
                records = batch.take(pa.array(here - start)).to_pylist()
                yield from zip(here.tolist(), map(from_record, records), strict=True)
            start += batch.num_rows

    @cached_property
    def _batches(self) -> list[pa.RecordBatch]:
        return list(self.table.select(SCALARS).to_batches())

    def _meeting(self, where: RowFilter) -> np.ndarray:
        """Return which rows are alive and meet the conditions (bool [rows])."""
        meeting = self.alive
        for condition in _conditions(self.table, where):
            meeting = meeting & condition.to_numpy(zero_copy_only=False)
        return meeting


def alive_rows(ids: pa.ChunkedArray, numbers: np.ndarray, removed: Mapping[str, int]) -> np.ndarray:
    """Return which rows are the newest of their id and were not removed since (bool [rows]).

    `numbers` (uint64 [rows]) are the sequence numbers of the writes; `removed` has that of an id's last removal.
    """
    removals = pa.array(list(removed), pa.string())
    coded = pa.concat_arrays([ids.combine_chunks(), removals]).dictionary_encode()
    codes = coded.indices.to_numpy()
    last = np.zeros(len(coded.dictionary), np.uint64)
    np.maximum.at(last, codes, np.concatenate([numbers, np.array(list(removed.values()), np.uint64)]))
    return numbers == last[codes[: len(numbers)]]


def _best_of(vectors: np.ndarray, wanted: np.ndarray, start: int, queries: np.ndarray, depth: int) -> list[_Best]:
    """Return the best rows for each query among the `wanted` vectors of a block that begins with the row `start`."""
    if not len(wanted):
        return [_NONE] * len(queries)
    scores = queries @ (vectors if len(wanted) == len(vectors) else vectors[wanted]).T
    return [_top(wanted + start, query_scores, depth) for query_scores in scores]


def _merged(parts: Sequence[_Best], depth: int) -> _Best:
    rows, scores = map(np.concatenate, zip(*parts, strict=True))
    return _top(rows, scores, depth)


def _top(rows: np.ndarray, scores: np.ndarray, depth: int) -> _Best:
    """Return the best `depth` rows, and all with the same score as the last of them."""
    if len(scores) <= depth:
        return rows, scores
    least = np.partition(scores, len(scores) - depth)[len(scores) - depth]
    kept = scores >= least
    return rows[kept], scores[kept]


def _conditions(rows: pa.Table, where: RowFilter) -> Iterator[pa.ChunkedArray]:
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
