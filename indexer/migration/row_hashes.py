"""What a collection has, in two dozen bytes a row: enough to tell which rows another one lacks."""

import json
from array import array
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np

from store.records import Row

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MARK = np.dtype([("id", np.int64), ("content", np.int64), ("indexed_at", np.int64)])


@dataclass(frozen=True)
class RowHash:
    """One row: a hash of all its fields but the vector, and when it was indexed, in microseconds since 1970."""

    content: int
    indexed_at: int


class RowHashes:
    """The rows of a collection; `ids` are the hashes of their ids (int64 [rows], in ascending order).

    Hashes have 64 bits, those of this process: two of a million rows are taken for one in 1 of 37 million collections.
    """

    def __init__(self, rows: Iterable[Row]) -> None:
        """Take note of every row."""
        marks = ((hash(row.id), made.content, made.indexed_at) for row in rows for made in [row_hash(row)])
        self._marks = np.fromiter(marks, _MARK)
        self._marks.sort(order="id")
        self.ids = self._marks["id"].copy()

    def __len__(self) -> int:
        return len(self.ids)

    def find(self, row_id: str) -> RowHash | None:
        """Return what is known of the row with this id."""
        hashed = hash(row_id)
        place = int(self.ids.searchsorted(hashed))
        if place == len(self.ids) or self.ids[place] != hashed:
            return None
        found = self._marks[place]
        return RowHash(int(found["content"]), int(found["indexed_at"]))


class Ids:
    """The ids of rows, as they are met."""

    def __init__(self, ids: Iterable[str] = ()) -> None:
        """Take note of all."""
        self._hashes = array("q", map(hash, ids))

    def add(self, row_id: str) -> None:
        """Take note of one more."""
        self._hashes.append(hash(row_id))

    @property
    def hashes(self) -> np.ndarray:
        """Return their hashes, int64, in the order they came."""
        return np.array(self._hashes, np.int64)


def row_hash(row: Row) -> RowHash:
    """Return the mark of a row."""
    fields = (row.source, row.path, row.content_hash, row.phash, row.tags, row.width, row.height, row.bytes)
    times = (row.taken_at, row.modified_at, row.indexed_at)
    content = hash((*fields, *times, json.dumps(row.meta, sort_keys=True)))
    return RowHash(content, (row.indexed_at - _EPOCH) // timedelta(microseconds=1))


def lacking(wanted: np.ndarray, there: np.ndarray) -> int:
    """Return how many of the hashes `wanted` are not `there`."""
    return int(np.isin(wanted, there, invert=True).sum())
