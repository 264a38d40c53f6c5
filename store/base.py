"""The interface of every store and of its collections."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self

import numpy as np

from embeddings.models.identity import ModelIdentity
from store.projection import Projection
from store.records import Hit, IndexedFile, Row, TimeRange


@dataclass(frozen=True)
class CollectionInfo:
    """A collection as users see it: its name, the model of its vectors, its number of images."""

    name: str
    model: ModelIdentity
    count: int


class Collection(Protocol):
    """One collection of rows with the vectors of one model.

    A compact collection stores its vectors through a `projection`. It accepts full vectors everywhere, in rows and in
    searches, and projects them itself; it returns projected vectors only, and accepts those unchanged. `model` is the
    identity of the stored vectors.
    """

    @property
    def name(self) -> str: ...
    @property
    def model(self) -> ModelIdentity: ...
    @property
    def projection(self) -> Projection | None: ...

    def upsert(self, rows: Sequence[Row]) -> None:
        """Write whole rows, replacing those with the same id; of two rows with one id the later one stays.

        If the name was switched to another collection meanwhile, the rows are written to that one as well. Raises
        ModelMismatch if that one has the vectors of another model.
        """

    def search(
        self,
        vectors: np.ndarray,
        limit: int,
        offset: int = 0,
        tags: Sequence[str] = (),
        exclude: str | None = None,
        taken: TimeRange | None = None,
    ) -> list[list[Hit]]:
        """Return, for each vector (float32 [n, dimension]), the nearest rows that have all `tags`, best first.

        `exclude` is an id that is left out. With `taken`, only images taken in that time are returned.

        Raises UsageError if offset + limit is above 16,384.
        """

    def fetch(self, ids: Sequence[str], with_vectors: bool = False) -> list[Row]:
        """Return the rows that exist, in the order of `ids`."""

    def browse(
        self, tag: str | None = None, offset: int = 0, limit: int = 100, taken: TimeRange | None = None
    ) -> list[Row]:
        """Return a page of the rows with this tag and time of taking, in the order of their ids.

        Pages neither overlap nor leave gaps.
        """

    def scan(self, with_vectors: bool = False) -> Iterator[Row]:
        """Yield every row whole, in any order; memory does not grow with the number of rows.

        Rows that are written or removed meanwhile may be missing; every other row comes exactly once.
        """

    def known(self, source: str | None = None) -> Iterator[IndexedFile]:
        """Yield the indexed file of every row (of one source), as of the start of the call."""

    def lookup(self, ids: Sequence[str], strong: bool = True) -> dict[str, IndexedFile]:
        """Return the indexed files of any number of rows, by id.

        The answer is as of the start of the call. Without `strong`, it may lack the writes and removals that other
        processes made in the last seconds.
        """

    def find_content(self, hashes: Sequence[str]) -> dict[str, Row]:
        """Return, for each content hash that is in the collection, one row with its vector."""

    def delete(self, ids: Sequence[str]) -> None:
        """Remove rows; ids that do not exist are ignored."""

    def count(self, tag: str | None = None, taken: TimeRange | None = None) -> int:
        """Return the exact number of rows with this tag and time of taking."""

    def facets(self, tags: Sequence[str] = (), taken: TimeRange | None = None) -> dict[str, int]:
        """Return every tag with its number of rows, counting only rows that have all `tags` and this time of taking."""

    def flush(self) -> None:
        """Make the written rows durable and fast to search; call it once after a bulk load."""


class Store(Protocol):
    """A set of collections; a context manager."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def collections(self) -> list[CollectionInfo]:
        """Return all collections, by name."""

    def create(self, name: str, model: ModelIdentity, projection: Projection | None = None) -> Collection:
        """Return the collection, created if it does not exist; with a `projection`, `model` is its identity.

        Raises ModelMismatch if the collection exists with another model.
        """

    def open(self, name: str, model: ModelIdentity | None = None) -> Collection:
        """Return an existing collection. Raises NotFound, or ModelMismatch if it accepts no vectors of `model`."""

    def create_sibling(self, name: str, identity: ModelIdentity, projection: Projection | None = None) -> Collection:
        """Create an empty collection for vectors of `identity` beside the one in use; `switch` can put it in its place.

        With a `projection` the sibling is compact, and `identity` is the projection's. Siblings left by earlier
        attempts are removed: every compact one, and the one with this `identity`. Siblings with full vectors of other
        models stay until `drop_beside`.

        Raises NotFound, and UsageError if `identity` is the model in use or the one it was projected from.
        """

    def full(self, name: str) -> Collection | None:
        """Return the sibling with the full vectors of the compact collection in use, None if there is none."""

    def switch(self, name: str, collection: Collection) -> None:
        """Give the name to a sibling of the collection in use, which becomes a sibling itself; all or nothing."""

    def drop_beside(self, name: str) -> list[CollectionInfo]:
        """Remove all siblings of the collection in use, and return them. Raises NotFound."""

    def drop_sibling(self, name: str, sibling: Collection) -> None:
        """Remove one sibling of the collection in use; do nothing if it is in use itself, or gone. Raises NotFound."""

    def drop(self, name: str) -> None:
        """Remove a collection, its rows and its siblings. Raises NotFound."""

    def ready(self, name: str | None = None) -> None:
        """Return if the store answers and the collection with this name can be searched or does not exist yet.

        Raises StoreUnavailable at once otherwise; nothing is waited for or loaded.
        """

    def close(self) -> None:
        """Release connections and locks."""
