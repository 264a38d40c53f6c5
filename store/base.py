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
    """A collection as users see it: the name they gave, the model it was made with, its number of pictures."""

    name: str
    model: ModelIdentity
    count: int


class Collection(Protocol):
    """One collection of rows made with one model.

    A compact collection has its vectors through a `projection`. It takes those of the projection's model everywhere,
    to search with and in rows, and gives only its own back, which it takes as they are: nobody need know. `model` is
    the identity of the vectors that it keeps.
    """

    @property
    def name(self) -> str: ...
    @property
    def model(self) -> ModelIdentity: ...
    @property
    def projection(self) -> Projection | None: ...

    def upsert(self, rows: Sequence[Row]) -> None:
        """Write whole rows, replacing those with the same id; of two with one id in `rows` the later one stays.

        If the name stands for another collection meanwhile, the rows are written to that one as well.
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
        """Return, for each of the vectors (float32 [n, dimension]), the nearest rows that have all `tags`, best first.

        `exclude` is an id that is left out; with `taken`, only pictures of that time are found.

        Raises UsageError where offset + limit is above 16,384.
        """

    def fetch(self, ids: Sequence[str], with_vectors: bool = False) -> list[Row]:
        """Return the rows that exist, in the order of `ids`."""

    def browse(
        self, tag: str | None = None, offset: int = 0, limit: int = 100, taken: TimeRange | None = None
    ) -> list[Row]:
        """Return a page of rows (that have a tag, that were taken then) in the order of their ids.

        Pages neither overlap nor leave gaps.
        """

    def scan(self, with_vectors: bool = False) -> Iterator[Row]:
        """Yield every row whole, in no order one may rely on; memory does not grow with their number.

        Rows that are written or removed meanwhile may be among them or not, all others are, once each.
        """

    def known(self, source: str | None = None) -> Iterator[IndexedFile]:
        """Yield what is known of every row (of one source), as of the call's start."""

    def lookup(self, ids: Sequence[str], strong: bool = True) -> dict[str, IndexedFile]:
        """Return what is known of the rows with these ids, by id; any number of them, in one call if possible.

        As of the call's start; what others wrote or removed in the last seconds may not show unless `strong`.
        """

    def find_content(self, hashes: Sequence[str]) -> dict[str, Row]:
        """Return, for each content hash that is in the collection, one row with its vector."""

    def delete(self, ids: Sequence[str]) -> None:
        """Remove rows; ids that do not exist are passed over."""

    def count(self, tag: str | None = None, taken: TimeRange | None = None) -> int:
        """Return the exact number of rows (that have a tag, that were taken then)."""

    def facets(self, tags: Sequence[str] = (), taken: TimeRange | None = None) -> dict[str, int]:
        """Return every tag with the number of rows that have it (beside all of `tags`, that were taken then)."""

    def flush(self) -> None:
        """Make what was written durable and fast to search; call it once after a bulk load."""


class Store(Protocol):
    """Where collections live; a context manager."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def collections(self) -> list[CollectionInfo]:
        """Return all collections, by name."""

    def create(self, name: str, model: ModelIdentity, projection: Projection | None = None) -> Collection:
        """Return the collection, made if it is not there, compact if there is a `projection` (`model` is its identity).

        Raises ModelMismatch if another model made it.
        """

    def open(self, name: str, model: ModelIdentity | None = None) -> Collection:
        """Return an existing collection. Raises NotFound, or ModelMismatch if it takes no vectors of `model`."""

    def create_sibling(self, name: str, projection: Projection) -> Collection:
        """Make an empty compact collection beside the one in use, which `switch` can put in its place.

        Those that were beside it before are removed, but for the one with full vectors. Raises NotFound.
        """

    def full(self, name: str) -> Collection | None:
        """Return the collection with full vectors that the compact one in use was made from, None if it is not kept."""

    def switch(self, name: str, collection: Collection) -> None:
        """Let the name stand for a collection beside the one in use, which is then beside it; all or nothing."""

    def drop_beside(self, name: str) -> list[CollectionInfo]:
        """Remove the collections beside the one in use, and tell which they were. Raises NotFound."""

    def drop(self, name: str) -> None:
        """Remove a collection and its rows, and those beside it. Raises NotFound."""

    def ready(self, name: str | None = None) -> None:
        """Return if the store answers and the collection of this name can be searched, or is not there yet.

        Raises StoreUnavailable at once where that is not so; nothing is waited for or loaded.
        """

    def close(self) -> None:
        """Release connections and locks."""
