"""Finds neighbours among many vectors without comparing every pair.

Some rows are pivots. Every vector belongs to the buckets of its nearest pivots, and is compared only with vectors that
share a bucket. Vectors near each other rank the pivots in nearly the same order (E. Chávez, K. Figueroa and G. Navarro,
'Effective Proximity Retrieval by Ordering Permutations', 2008), so nearly all such pairs share a bucket;
`python -m benchmarks.duplicates.edits` counts the exceptions.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from duplicates.evidence import MIN_SCORE, NEAR_DISTANCE, NEAR_SCORE, distances

MAX_ONE_BUCKET = 4096  # contents that are all in one bucket
VECTORS_PER_PIVOT = 16
MAX_PIVOTS = 1024
BUCKETS_PER_VECTOR = 4
BLOCK = 1024  # vectors compared at a time with as many others
MAX_NEAR, MAX_SIMILAR = 256, 16  # partners of one vector in one bucket


@dataclass(frozen=True)
class Members:
    """Contents of a bucket: ids int64 [n], perceptual hashes uint64 [n], vectors float32 [n, dimension]."""

    ids: np.ndarray
    hashes: np.ndarray
    vectors: np.ndarray

    def part(self, which: slice) -> "Members":
        """Return a part of the contents."""
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
    """Return the number of pivots for a collection of `count` contents."""
    return 1 if count <= MAX_ONE_BUCKET else min(MAX_PIVOTS, count // VECTORS_PER_PIVOT)


def assign_buckets(vectors: np.ndarray, pivots: np.ndarray) -> np.ndarray:
    """Return the buckets of each vector, int [n, at most BUCKETS_PER_VECTOR], by pivots float32 [p, dimension]."""
    if len(pivots) <= BUCKETS_PER_VECTOR:
        return np.zeros((len(vectors), 1), int)
    nearest = np.argpartition(-(vectors @ pivots.T), BUCKETS_PER_VECTOR, axis=1)
    return nearest[:, :BUCKETS_PER_VECTOR]


def candidate_pairs(new: Members, others: Members) -> Iterator[Pair]:
    """Yield the pairs of a new content with another one that may be near or similar."""
    for start in range(0, len(new.ids), BLOCK):
        block = new.part(slice(start, start + BLOCK))
        scores = block.vectors @ others.vectors.T
        scores[block.ids[:, None] == others.ids[None, :]] = -1.0  # no content is paired with itself
        rows, columns = np.nonzero(scores >= MIN_SCORE)
        bits, mirrored = distances(block.hashes[rows], others.hashes[columns])
        cosines = scores[rows, columns]
        near = (bits <= NEAR_DISTANCE) & (cosines >= NEAR_SCORE)
        for mask, limit in ((near, MAX_NEAR), (~near, MAX_SIMILAR)):
            for i in _best(rows, cosines, np.flatnonzero(mask), limit):
                first, second = sorted((int(block.ids[rows[i]]), int(others.ids[columns[i]])))
                yield Pair(first, second, int(bits[i]), bool(mirrored[i]), min(1.0, float(cosines[i])))


def _best(rows: np.ndarray, scores: np.ndarray, indices: np.ndarray, limit: int) -> np.ndarray:
    """Return those of the `indices` that are among the `limit` best of their row."""
    order = indices[np.lexsort((-scores[indices], rows[indices]))]
    ranks = np.arange(len(order)) - np.searchsorted(rows[order], rows[order])
    return order[ranks < limit]
