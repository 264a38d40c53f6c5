"""Makes a collection compact: fits a projection to its vectors, builds the projected rows beside it, and switches.

No image is read. Until the switch the collection is what it was, whatever happens to the process; what a stopped build
left is removed by the next. Rows may be written and removed meanwhile. Memory grows by some two dozen bytes a row.
"""

import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from embeddings.errors import LookalikeError, StoreUnavailable, UsageError
from indexer.migration.recall import ExactRecall, milliseconds_a_query
from indexer.migration.row_hashes import RowHashes
from indexer.migration.sync import ChangeSync
from indexer.pipeline.lister import chunks
from indexer.pipeline.writer import Writer
from store.base import Store
from store.pca import HALF, Moments, check_possible
from store.projection import Projection
from store.records import Row

T = TypeVar("T")

FITTED = 50_000  # rows that the projection is fitted to
QUERIES = 200  # rows that look for their neighbours
BLOCK = 1000
TELL_ROWS = 100
_TOLERANCE = 1e-4  # stores make every vector's length one, and products differ in their last digits

Listener = Callable[[str, int, int], None]  # the stage, rows that are done in it, rows in all


@dataclass(frozen=True)
class Measured:
    """What a compact collection is beside the full one: `kept` is recall@10 of `queries` rows against exact search with
    full vectors, times are those of one search, in milliseconds."""

    rows: int
    dimension_before: int
    dimension: int
    kept: float
    queries: int
    ms_before: float
    ms_after: float


class Compaction:
    """Builds the compact version of a collection, which `switch` puts into its place.

    `listener` is called again and again with how far it is.
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
        self._random = random.Random(0)  # noqa: S311 - which rows are looked at need not be secret

    def build(self) -> Measured:
        """Fit, project, check and measure; nobody notices yet. Raises StoreUnavailable if rows did not arrive."""
        projection, queries = self._fit()
        self._compact = self._store.create_sibling(self._full.name, projection)
        exact = ExactRecall(queries)
        self._follower = ChangeSync(self._full, self._compact, self._project(exact), list)
        self._compact.flush()
        self._catch_up()
        self._verify(projection, queries)
        before, after = milliseconds_a_query(exact.vectors, self._full, self._compact)
        return Measured(
            rows=self._compact.count(),
            dimension_before=self._full.model.dimension,
            dimension=self._dimension,
            kept=exact.recall_at_10(self._full, self._compact),
            queries=len(queries),
            ms_before=before,
            ms_after=after,
        )

    def switch(self) -> None:
        """Let the collection's name stand for the compact one, with all that was written to the full one before."""
        self._catch_up()
        self._store.switch(self._full.name, self._compact)
        try:
            self._catch_up()  # what came in between; those who write later see the switch
        except LookalikeError as error:
            raise StoreUnavailable(
                f"{self._full.name!r} is compact now, but rows that were written in the seconds before may be missing, "
                f"since this failed: {error.message}. Index what was added then again"
            ) from error
        self._compact.flush()

    def abandon(self) -> None:
        """Remove what was built, unless it is in use."""
        if self._store.open(self._full.name).projection is None:
            self._store.drop_beside(self._full.name)

    def _fit(self) -> tuple[Projection, list[Row]]:
        """Return the projection and a sample of rows in which every row is as likely as any other."""
        moments, sample = Moments(self._full.model), list[Row]()
        total, seen = self._full.count(), 0
        for rows in chunks(self._stage("fit", total, self._full.scan(with_vectors=True)), BLOCK):
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

    def _project(self, exact: ExactRecall) -> RowHashes:
        """Write every row and return what was written."""
        with Writer(self._compact) as writer:

            def written() -> Iterator[Row]:
                rows = self._full.scan(with_vectors=True)
                for block in chunks(self._stage("project", self._full.count(), rows), BLOCK):
                    exact.add(block)
                    writer.add(block)
                    yield from block

            return RowHashes(written())

    def _catch_up(self) -> None:
        self._follower.catch_up(lambda rows: self._stage("check", self._full.count(), rows))

    def _verify(self, projection: Projection, sample: list[Row]) -> None:
        """Raise StoreUnavailable unless every row is there and the sampled ones have the right vectors."""
        if missing := self._follower.missing():
            raise StoreUnavailable(f"{missing:,} rows did not arrive in the compact collection: run the same again")
        there = {row.id: row.vector for row in self._compact.fetch([row.id for row in sample], with_vectors=True)}
        now = [row for row in self._full.fetch([row.id for row in sample], with_vectors=True) if row.id in there]
        wanted = projection.apply(np.stack([row.vector for row in now if row.vector is not None]))
        for row, vector in zip(now, wanted, strict=True):
            found = there[row.id]
            if found is None or not np.allclose(vector, found, rtol=0, atol=_TOLERANCE):
                raise StoreUnavailable(
                    f"the row {row.id!r} is not in the compact collection as it should be: run the same again"
                )

    def _stage(self, name: str, total: int, items: Iterable[T]) -> Iterator[T]:
        """Yield the items and tell of them."""
        done = 0
        for item in items:
            if done % TELL_ROWS == 0:
                self._listener(name, done, total)
            yield item
            done += 1
        self._listener(name, done, total)
