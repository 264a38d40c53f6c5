"""Measures a compact collection: recall@10 against exact search with full vectors, and search times."""

import statistics
import time
from collections.abc import Sequence

import numpy as np

from store.base import Collection
from store.records import Row

NEAREST = 10
TIMED = 30
_TIE = 1e-5


class ExactRecall:
    """The exact nearest neighbours of some rows, found while the vectors of the whole collection pass in blocks.

    `rows` have their full vectors, of length one.
    """

    def __init__(self, rows: Sequence[Row]) -> None:
        """Begin without any neighbours."""
        self.rows = rows
        self.vectors = np.stack([row.vector for row in rows if row.vector is not None])
        self._places = {row.id: place for place, row in enumerate(rows)}
        self._best = np.full((len(rows), NEAREST), -np.inf, np.float32)

    def add(self, rows: Sequence[Row]) -> None:
        """Compare a block of rows with vectors; a row is not its own neighbour."""
        scores = self.vectors @ np.stack([row.vector for row in rows if row.vector is not None]).T
        for column, row in enumerate(rows):
            if row.id in self._places:
                scores[self._places[row.id], column] = -np.inf
        together = np.concatenate([self._best, scores], axis=1)
        self._best = -np.partition(-together, NEAREST - 1, axis=1)[:, :NEAREST]

    def recall_at_10(self, full: Collection, compact: Collection) -> float:
        """Return recall@10: the share of the nearest in `compact` that score at least as high as the exact tenth.

        Rows at the same distance count alike (as in ann-benchmarks).
        """
        found = [
            [hit.row.id for hit in hits if hit.row.id != row.id][:NEAREST]
            for row, hits in zip(self.rows, compact.search(self.vectors, NEAREST + 1), strict=True)
        ]
        ids = list(dict.fromkeys(id_ for some in found for id_ in some))
        vectors = {row.id: row.vector for row in full.fetch(ids, with_vectors=True)}
        tenth = self._best.min(axis=1)
        good = 0
        for vector, least, some in zip(self.vectors, tenth, found, strict=True):
            scores = [float(vector @ there) for id_ in some if (there := vectors.get(id_)) is not None]
            good += sum(score >= least - _TIE for score in scores)
        return good / int(np.isfinite(self._best).sum())


def milliseconds_a_query(vectors: np.ndarray, *collections: Collection) -> list[float]:
    """Return the median time of one search in each collection; they take turns."""
    taken: list[list[float]] = [[] for _ in collections]
    for vector in vectors[:TIMED]:
        for collection, times in zip(collections, taken, strict=True):
            began = time.perf_counter()
            collection.search(vector[np.newaxis], NEAREST)
            times.append(1000 * (time.perf_counter() - began))
    return [statistics.median(times) for times in taken]
