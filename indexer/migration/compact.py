"""Makes a collection compact: fits a projection to its vectors, builds the projected rows beside it, and switches.

No image is read. Until the switch the collection stays as it was, even if the process is killed; the next build removes
the leftovers of a stopped one.
"""

import random
from dataclasses import dataclass

import numpy as np

from embeddings.errors import StoreUnavailable, UsageError
from indexer.migration.rebuild import BLOCK, Listener, Rebuild, staged
from indexer.migration.recall import ExactRecall, milliseconds_a_query
from indexer.pipeline.lister import chunks
from store.base import Collection, Store
from store.pca import HALF, Moments, check_possible
from store.projection import Projection
from store.records import Row

FITTED = 50_000  # rows that the projection is fitted to
QUERIES = 200  # rows whose nearest neighbours are compared
_TOLERANCE = 1e-4  # stores normalise every vector, and products differ in their last digits


@dataclass(frozen=True)
class Measured:
    """A compact collection compared with the full one.

    `kept` is recall@10 of `queries` rows against exact search with full vectors; times are those of one search, in
    milliseconds.
    """

    rows: int
    dimension_before: int
    dimension: int
    kept: float
    queries: int
    ms_before: float
    ms_after: float


class Compaction:
    """Builds the compact version of a collection, which `switch` puts into its place.

    `listener` is called again and again with the progress.
    """

    def __init__(self, store: Store, name: str, dimension: int, listener: Listener, whitening: float = HALF) -> None:
        """Raises NotFound, and UsageError where the collection is compact already or cannot be."""
        self._store = store
        self._full = store.open(name)
        if self._full.projection is not None:
            raise UsageError(
                f"the collection {name!r} is compact already, with {self._full.model.dimension} dimensions: go back to "
                "its full vectors first, with --back",
                field="collection",
            )
        check_possible(self._full.model, self._full.count(), dimension)
        self._dimension = dimension
        self._whitening = whitening
        self._listener = listener
        self._compact: Collection | None = None
        self._random = random.Random(0)  # noqa: S311 - the choice of rows need not be secret

    def build(self) -> Measured:
        """Fit, project, verify and measure, unseen by users. Raises StoreUnavailable if rows did not arrive."""
        projection, queries = self._fit()
        self._compact = compact = self._store.create_sibling(self._full.name, projection.identity, projection)
        self._rebuild = Rebuild(self._store, self._full, compact, list, self._listener)
        exact = ExactRecall(queries)
        self._rebuild.build(watch=exact.add)
        self._rebuild.catch_up()
        self._rebuild.verify()
        self._verify_vectors(compact, projection, queries)
        before, after = milliseconds_a_query(exact.vectors, self._full, compact)
        return Measured(
            rows=compact.count(),
            dimension_before=self._full.model.dimension,
            dimension=self._dimension,
            kept=exact.recall_at_10(self._full, compact),
            queries=len(queries),
            ms_before=before,
            ms_after=after,
        )

    def switch(self) -> None:
        """Let the collection's name stand for the compact one, with everything that was written to the full one."""
        self._rebuild.switch()

    def abandon(self) -> None:
        """Remove the compact version that was built here, unless it is in use; other siblings stay."""
        if self._compact is not None:
            self._store.drop_sibling(self._full.name, self._compact)

    def _fit(self) -> tuple[Projection, list[Row]]:
        """Return the projection and a sample of rows in which every row is as likely as any other."""
        moments, sample = Moments(self._full.model), list[Row]()
        total, seen = self._full.count(), 0
        for rows in chunks(staged(self._listener, "fit", total, self._full.scan(with_vectors=True)), BLOCK):
            for row in rows:
                seen += 1
                if len(sample) < QUERIES:
                    sample.append(row)
                elif (place := self._random.randrange(seen)) < QUERIES:
                    sample[place] = row
            chosen = [row.vector for row in rows if row.vector is not None and self._random.random() * total < FITTED]
            if chosen:
                moments.add(np.stack(chosen))
        return moments.projection(self._dimension, self._whitening), sample

    def _verify_vectors(self, new: Collection, projection: Projection, sample: list[Row]) -> None:
        """Raise StoreUnavailable unless the sampled rows have the right vectors."""
        compact = {row.id: row.vector for row in new.fetch([row.id for row in sample], with_vectors=True)}
        full = [row for row in self._full.fetch([row.id for row in sample], with_vectors=True) if row.id in compact]
        projected = projection.apply(np.stack([row.vector for row in full if row.vector is not None]))
        for row, expected in zip(full, projected, strict=True):
            vector = compact[row.id]
            if vector is None or not np.allclose(expected, vector, rtol=0, atol=_TOLERANCE):
                raise StoreUnavailable(
                    f"the row {row.id!r} has a wrong vector in the compact collection: run the same again"
                )
