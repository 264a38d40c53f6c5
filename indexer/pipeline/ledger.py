"""What the write path needs of a collection: it is the ledger of what is indexed."""

from collections.abc import Iterator, Sequence
from typing import Protocol

from store.records import IndexedFile, Row


class WritableCollection(Protocol):
    """A part of store.base.Collection."""

    def upsert(self, rows: Sequence[Row]) -> None:
        """Write whole rows, replacing those with the same id."""

    def delete(self, ids: Sequence[str]) -> None:
        """Remove rows; ids that do not exist are passed over."""

    def known(self, source: str | None = None) -> Iterator[IndexedFile]:
        """Yield what is known of every row (of one source), as of the call's start."""

    def lookup(self, ids: Sequence[str], strong: bool = True) -> dict[str, IndexedFile]:
        """Return what is known of the rows with these ids, by id; unless `strong`, others' may be as seconds ago."""

    def find_content(self, hashes: Sequence[str]) -> dict[str, Row]:
        """Return, for each content hash that is in the collection, one row with its vector."""

    def flush(self) -> None:
        """Make what was written durable and fast to search."""
