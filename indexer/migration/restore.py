"""Goes back from a compact collection to the full one it was made from, with everything that was written since.

A row that was added later takes its full vector from a row with the same bytes, or from its image, embedded again. Rows
whose images cannot be read are reported; they stay in the compact collection alone.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from embeddings.errors import UsageError
from indexer.migration.rebuild import Listener, Rebuild
from store.base import Store
from store.records import Row

Embed = Callable[[Sequence[Row]], Sequence[np.ndarray | None]]


class Restore:
    """Brings the full collection up to date; `switch` puts it into the place of the compact one.

    `embed` returns the full vectors of rows, None where an image cannot be read. `left_behind` has such rows by their
    ids; `embedded` and `copied` count the rows that got a vector.
    """

    def __init__(self, store: Store, name: str, embed: Embed, listener: Listener) -> None:
        """Raises NotFound, and UsageError where the collection is not compact or its full vectors are gone."""
        self.embedded = self.copied = 0
        self._embed = embed
        compact = store.open(name)
        if compact.projection is None:
            raise UsageError(f"the collection {name!r} is not compact: there is nothing to go back to")
        full = store.full(name)
        if full is None:
            raise UsageError(
                f"the full vectors of {name!r} are not kept here any more: index its images into a new collection"
            )
        self._full = full
        self._rebuild = Rebuild(store, compact, full, self._with_full_vectors, listener)
        self._rebuild.resume()

    @property
    def left_behind(self) -> dict[str, Row]:
        """The rows whose images cannot be read, by their ids."""
        return self._rebuild.left_behind

    def prepare(self) -> int:
        """Bring all changes into the full collection, which is not in use yet; return the number of changed rows.

        Raises StoreUnavailable if rows did not arrive.
        """
        changed = self._rebuild.catch_up()
        self._rebuild.verify()
        return changed

    def switch(self) -> None:
        """Let the collection's name stand for the full one, with everything that was written to the compact one."""
        self._rebuild.switch()

    def _with_full_vectors(self, rows: list[Row]) -> list[Row]:
        """Return the rows with full vectors; rows without one are left out."""
        originals = self._full.find_content(sorted({row.content_hash for row in rows}))
        copied = [
            replace(row, vector=originals[row.content_hash].vector) for row in rows if row.content_hash in originals
        ]
        rest = [row for row in rows if row.content_hash not in originals]
        vectors = self._embed(rest) if rest else []
        embedded = [replace(row, vector=v) for row, v in zip(rest, vectors, strict=True) if v is not None]
        self.copied += len(copied)
        self.embedded += len(embedded)
        return [*copied, *embedded]
