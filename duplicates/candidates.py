"""Neighbours among many vectors without comparing each with each.

A few rows are pivots; every vector lies in the cells of the pivots nearest to it, and is compared with those alone that
share a cell. Vectors that are near each other see the pivots in nearly the same order (E. Chávez, K. Figueroa and
G. Navarro, 'Effective Proximity Retrieval by Ordering Permutations', 2008), so they share one of their first cells: but
for a few, which `python -m benchmarks.duplicates` counts.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from duplicates.evidence import MIN_SCORE, NEAR_DISTANCE, NEAR_SCORE, distances

ALL_WITH_ALL = 4096  # so few are compared each with each: one cell
VECTORS_PER_PIVOT = 16
MAX_PIVOTS = 1024
CELLS_PER_VECTOR = 4
BLOCK = 1024  # vectors compared at a time with as many others
MAX_NEAR, MAX_SIMILAR = 256, 16  # partners that one vector keeps in one cell, the best ones


@dataclass(frozen=True)
class Members:
    """The vectors of a cell: ids int64 [n], perceptual hashes uint64 [n], vectors float32 [n, dimension]."""

    ids: np.ndarray
    hashes: np.ndarray
    vectors: np.ndarray

    def part(self, which: slice) -> "Members":
        """Return some of them."""
        return Members(self.ids[which], self.hashes[which], self.vectors[which])


@dataclass(frozen=True)
class Pair:
    """Two contents (`first` < `second`) that may be alike."""

    first: int
    second: int
    distance: int
    mirrored: bool
    score: float


def pivots_for(count: int) -> int:
    """Return how many pivots a collection of `count` contents is divided by."""
    return 1 if count <= ALL_WITH_ALL else min(MAX_PIVOTS, count // VECTORS_PER_PIVOT)


def assign_cells(vectors: np.ndarray, pivots: np.ndarray) -> np.ndarray:
    """Return the cells of each vector, int [n, at most CELLS_A_VECTOR], from pivots float32 [p, dimension]."""
    if len(pivots) <= CELLS_PER_VECTOR:
        return np.zeros((len(vectors), 1), int)
    near = np.argpartition(-(vectors @ pivots.T), CELLS_PER_VECTOR, axis=1)
    return near[:, :CELLS_PER_VECTOR]


def candidate_pairs(new: Members, others: Members) -> Iterator[Pair]:
    """Yield the pairs of a new content with another that may be near or similar; no content is paired with itself."""
    for start in range(0, len(new.ids), BLOCK):
        some = new.part(slice(start, start + BLOCK))
        scores = some.vectors @ others.vectors.T
        scores[some.ids[:, None] == others.ids[None, :]] = -1.0
        rows, columns = np.nonzero(scores >= MIN_SCORE)
        apart, mirrored = distances(some.hashes[rows], others.hashes[columns])
        found = scores[rows, columns]
        near = (apart <= NEAR_DISTANCE) & (found >= NEAR_SCORE)
        for kind, most in ((near, MAX_NEAR), (~near, MAX_SIMILAR)):
            for i in _best(rows, found, np.flatnonzero(kind), most):
                first, second = sorted((int(some.ids[rows[i]]), int(others.ids[columns[i]])))
                yield Pair(first, second, int(apart[i]), bool(mirrored[i]), min(1.0, float(found[i])))


def _best(rows: np.ndarray, scores: np.ndarray, which: np.ndarray, most: int) -> np.ndarray:
    """Return those of `which` that are among the `most` best of their row."""
    order = which[np.lexsort((-scores[which], rows[which]))]
    ranks = np.arange(len(order)) - np.searchsorted(rows[order], rows[order])
    return order[ranks < most]
