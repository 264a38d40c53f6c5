"""Goes back from a compact collection to the full one it was made from, with all that was written since.

A row that came later takes its full vector from a row with the same bytes, or from its image, embedded again. Rows
whose images cannot be had are told of: they stay in the compact collection alone.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

import numpy as np

from embeddings.errors import UsageError
from indexer.migration.compact import TELL_ROWS, Listener
from indexer.migration.row_hashes import RowHashes
from indexer.migration.sync import ChangeSync
from store.base import Store
from store.records import Row

Embed = Callable[[Sequence[Row]], Sequence[np.ndarray | None]]


class Restoring:
    """Brings the full collection up to date; `switch` puts it into the place of the compact one.

    `embed` returns the full vectors of rows, None where an image cannot be had. `left_behind` are such rows, by id;
    `embedded` and `copied` count those that got a vector.
    """

    def __init__(self, store: Store, name: str, embed: Embed, listener: Listener) -> None:
        """Raises NotFound, and UsageError where the collection is not compact or its full vectors are gone."""
        self.left_behind: dict[str, Row] = {}
        self.embedded = self.copied = 0
        self._store = store
        self._embed = embed
        self._listener = listener
        self._compact = store.open(name)
        if self._compact.projection is None:
            raise UsageError(f"the collection {name!r} is not compact: there is nothing to go back to")
        full = store.full(name)
        if full is None:
            raise UsageError(
                f"the full vectors of {name!r} are not kept here any more: index its images into a new collection"
            )
        self._full = full
        self._follower = ChangeSync(self._compact, full, RowHashes(full.scan()), self._fill)

    def prepare(self) -> int:
        """Bring all that changed into the full collection, which nobody sees yet; return how many rows that were."""
        return self._follower.catch_up(self._watched)

    def switch(self) -> None:
        """Let the collection's name stand for the full one, with all that was written to the compact one before."""
        self.prepare()
        self._store.switch(self._compact.name, self._full)
        self.prepare()  # what came in between; those who write later see the switch
        self._full.flush()

    def _fill(self, rows: list[Row]) -> list[Row]:
        """Return the rows with full vectors, those left out that have none."""
        alike = self._full.find_content(sorted({row.content_hash for row in rows}))
        filled = [replace(row, vector=alike[row.content_hash].vector) for row in rows if row.content_hash in alike]
        self.copied += len(filled)
        rest = [row for row in rows if row.content_hash not in alike]
        vectors = self._embed(rest) if rest else []
        embedded = [replace(row, vector=v) for row, v in zip(rest, vectors, strict=True) if v is not None]
        self.embedded += len(embedded)
        self.left_behind |= {row.id: row for row, vector in zip(rest, vectors, strict=True) if vector is None}
        return [*filled, *embedded]

    def _watched(self, rows: Iterable[Row]) -> Iterator[Row]:
        total = self._compact.count()
        for done, row in enumerate(rows):
            if done % TELL_ROWS == 0:
                self._listener("compare", done, total)
            yield row
