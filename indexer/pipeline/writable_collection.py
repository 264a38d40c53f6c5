"""The part of a collection that indexing uses, and a proxy that runs each of its calls through a function."""

from collections.abc import Callable, Iterator, Sequence
from typing import Literal, Protocol, TypeVar

from store.records import IndexedFile, Row

T = TypeVar("T")
Stage = Literal["compare", "write", "flush"]


class WritableCollection(Protocol):
    """A part of store.base.Collection."""

    def upsert(self, rows: Sequence[Row]) -> None:
        """Write whole rows, replacing those with the same id."""

    def delete(self, ids: Sequence[str]) -> None:
        """Remove rows; ids that do not exist are skipped."""

    def known(self, source: str | None = None) -> Iterator[IndexedFile]:
        """Yield the indexed file of every row (of one source), as of the call's start."""

    def lookup(self, ids: Sequence[str], strong: bool = True) -> dict[str, IndexedFile]:
        """Return the indexed files of the rows with these ids, by id; unless `strong`, they may be seconds old."""

    def find_content(self, hashes: Sequence[str]) -> dict[str, Row]:
        """Return, for each content hash that is in the collection, one row with its vector."""

    def flush(self) -> None:
        """Make written rows durable and fast to search."""


class RunCall(Protocol):
    """Runs a call to a collection, which belongs to a stage of indexing, and returns its result."""

    def __call__(self, stage: Stage, call: Callable[[], T], /) -> T: ...


class CollectionProxy:
    """A WritableCollection whose calls go through `run`, which may time, repeat or refuse them."""

    def __init__(self, collection: WritableCollection, run: RunCall) -> None:
        self._collection = collection
        self._run = run

    def upsert(self, rows: Sequence[Row]) -> None:
        self._run("write", lambda: self._collection.upsert(rows))

    def delete(self, ids: Sequence[str]) -> None:
        self._run("write", lambda: self._collection.delete(ids))

    def known(self, source: str | None = None) -> Iterator[IndexedFile]:
        """Iterate directly: an iteration that fails must be started again by its user."""
        return self._collection.known(source)

    def lookup(self, ids: Sequence[str], strong: bool = True) -> dict[str, IndexedFile]:
        return self._run("compare", lambda: self._collection.lookup(ids, strong))

    def find_content(self, hashes: Sequence[str]) -> dict[str, Row]:
        return self._run("compare", lambda: self._collection.find_content(hashes))

    def flush(self) -> None:
        self._run("flush", self._collection.flush)
