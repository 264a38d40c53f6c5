"""Rows and vectors that are made up, and recall@10 against exact search."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from embeddings.tagging.tag import Tag
from indexer.pipeline.lister import chunks
from store.base import Collection
from store.projection import normalised
from store.records import Row

LIMIT = 10
TAGS = tuple(Tag(name, 0.9 / place) for place, name in enumerate(("tabby", "cat", "pet", "animal"), 1))
TIE = 1e-5
PAIRS = 4000


def row(number: int, vector: np.ndarray, **fields: Any) -> Row:
    """Return a row like that of a photo in a folder."""
    values: dict[str, Any] = {
        "id": f"{number:032x}",
        "source": "/srv/photos/holidays",
        "path": f"2024/album {number % 50}/IMG_{number:09}.jpg",
        "content_hash": f"{number:064x}",
        "phash": number * 2_654_435_761 % 2**64,
        "tags": TAGS,
        "width": 4032,
        "height": 3024,
        "bytes": 3_000_000 + number,
        "taken_at": datetime(2024, 8, 1),
        "modified_at": 1_700_000_000_000_000_000 + number,
        "indexed_at": datetime(2026, 11, 1, tzinfo=UTC),
        "meta": {},
    }
    return Row(vector=vector, **values | fields)


def fill(collection: Collection, vectors: Sequence[np.ndarray], make: Callable[[int, np.ndarray], Row] = row) -> None:
    """Write one row for each vector."""
    for some in chunks(enumerate(vectors), 1000):
        collection.upsert([make(number, vector) for number, vector in some])
    collection.flush()


def all_rows(collection: Collection) -> list[Row]:
    """Return every row with its vector."""
    ids = [known.id for known in collection.known()]
    return [row for chunk in chunks(ids, 500) for row in collection.fetch(chunk, with_vectors=True)]


def vectors_of(rows: Sequence[Row]) -> np.ndarray:
    """Return the vectors of rows, float32 [n, dimension]."""
    return np.stack([row.vector for row in rows if row.vector is not None])


def class_of(row: Row) -> str:
    """Return the folder a photo lies in."""
    return str(PurePosixPath(row.path).parent)


def more_vectors(rows: Sequence[Row], count: int, seed: int = 0) -> np.ndarray:
    """Return vectors near those of rows, that differ from them as rows of one class (folder) differ.

    Each is the vector of a row and a part (0 to 1, at random) of the difference between two rows of one class.
    """
    random = np.random.default_rng(seed)
    vectors = vectors_of(rows)
    of_class = defaultdict(list)
    for place, row in enumerate(rows):
        of_class[class_of(row)].append(place)
    several = [places for places in of_class.values() if len(places) > 1]
    pairs = np.array([random.choice(several[random.integers(len(several))], 2, replace=False) for _ in range(PAIRS)])
    differences = (vectors[pairs[:, 0]] - vectors[pairs[:, 1]])[random.integers(0, len(pairs), count)]
    parts = random.random((count, 1), np.float32)
    return normalised(vectors[random.integers(0, len(vectors), count)] + parts * differences)


class ExactNearest:
    """The exact ten nearest of some vectors to queries; all are of length one."""

    def __init__(self, vectors: np.ndarray, queries: np.ndarray) -> None:
        self._vectors, self._queries = vectors, queries
        self._tenth = np.sort(queries @ vectors.T, axis=1)[:, -LIMIT]

    def recall(self, found: Sequence[Sequence[int]]) -> float:
        """Return recall@10 of the places of the vectors found for each query; those as near as the tenth are right."""
        good = sum(
            float(query @ self._vectors[place]) >= least - TIE
            for query, least, places in zip(self._queries, self._tenth, found, strict=True)
            for place in places
        )
        return round(good / (len(self._queries) * LIMIT), 4)

    def recall_of(self, collection: Collection) -> float:
        """Return recall@10 of a collection that `fill` has filled with the vectors."""
        found = collection.search(self._queries, LIMIT)
        return self.recall([[int(hit.row.id, 16) for hit in hits] for hits in found])
