"""Builds another version of a collection beside the one in use, catches up with it, verifies it, and switches to it.

Rows may be written and removed meanwhile. Only the changes of the collection in use are carried over, never the
difference between the two: rows that were written to the new version itself, or removed from it, stay as they are.
Memory grows by some two dozen bytes a row.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

import numpy as np

from embeddings.errors import LookalikeError, StoreUnavailable
from indexer.migration.row_hashes import Ids, RowHashes, lacking, row_hash
from indexer.pipeline.lister import chunks
from indexer.pipeline.writer import Writer
from store.base import Collection, Store
from store.records import Row

T = TypeVar("T")

BLOCK = 1000  # rows that are built at a time
ROWS_PER_CALL = 256  # changed rows that are carried over at a time
TELL_ROWS = 100

Listener = Callable[[str, int, int], None]  # the stage, the rows done in it, the rows in all


class Rebuild:
    """Fills the `new` version of a collection, which users see after `switch`, from the `current` one.

    `convert` turns rows of the collection in use, with their vectors, into rows of the new version. Rows that it leaves
    out are not in the new version; `left_behind` has them by their ids. `listener` is called again and again with the
    progress. An empty new version is filled by `build`; one that has rows already goes on from `resume`:

        >>> sibling = store.create_sibling(collection.name, identity, projection)
        >>> rebuild = Rebuild(store, collection, sibling, list, listener)
        >>> rebuild.build()
        >>> rebuild.catch_up()
        >>> rebuild.verify()
        >>> rebuild.switch()
    """

    def __init__(
        self,
        store: Store,
        current: Collection,
        new: Collection,
        convert: Callable[[list[Row]], list[Row]],
        listener: Listener,
    ) -> None:
        self.left_behind: dict[str, Row] = {}
        self._store = store
        self._current = current
        self._new = new
        self._convert = convert
        self._listener = listener
        self._carried = RowHashes(())  # the rows of the collection in use that the new version is up to date with

    def build(self, watch: Callable[[list[Row]], object] = lambda _: None) -> None:
        """Write every row to the new version; `watch` is called with the rows before they are converted, in blocks."""
        with Writer(self._new) as writer:

            def written() -> Iterator[Row]:
                rows = self._current.scan(with_vectors=True)
                for block in chunks(staged(self._listener, "build", self._current.count(), rows), BLOCK):
                    watch(block)
                    writer.add(self._converted(block))
                    yield from block

            self._carried = RowHashes(written())
        self._new.flush()

    def resume(self) -> None:
        """Take the rows that the new version has for rows of the collection in use; `catch_up` brings the others."""
        self._carried = RowHashes(self._new.scan())

    def catch_up(self) -> int:
        """Carry over the changes since the last time, and return the number of changed rows."""
        changed: list[str] = []

        def compared() -> Iterator[Row]:
            for row in staged(self._listener, "check", self._current.count(), self._current.scan()):
                carried = self._carried.find(row.id)
                if carried is None or carried.content != row_hash(row).content:
                    changed.append(row.id)
                yield row

        now = RowHashes(compared())
        gone = self._gone(now)
        for ids in chunks(changed, ROWS_PER_CALL):
            self._carry_over(ids)
        for ids in chunks(gone, ROWS_PER_CALL):
            self._remove(ids)
        self._carried = now
        return len(changed) + len(gone)

    def verify(self) -> None:
        """Raise StoreUnavailable unless the new version has every row that was not left behind."""
        there = np.concatenate([Ids(known.id for known in self._new.known()).hashes, Ids(self.left_behind).hashes])
        if missing := lacking(self._carried.ids, there):
            raise StoreUnavailable(
                f"{missing:,} rows did not arrive in the new version of {self._new.name!r}: run the same again"
            )

    def switch(self) -> None:
        """Let the collection's name stand for the new version, with everything that was written before."""
        self.catch_up()
        self._store.switch(self._current.name, self._new)
        try:
            self.catch_up()  # with rows written in between; later writers see the switch
        except LookalikeError as error:
            raise StoreUnavailable(
                f"{self._current.name!r} has its new vectors now, but rows that were written in the seconds before may "
                f"be missing, because this failed: {error.message}. Index again what was added then"
            ) from error
        self._new.flush()

    def _converted(self, rows: list[Row]) -> list[Row]:
        converted = self._convert(rows)
        ids = {row.id for row in converted}
        self.left_behind |= {row.id: row for row in rows if row.id not in ids}
        return converted

    def _gone(self, now: RowHashes) -> list[str]:
        if not lacking(self._carried.ids, now.ids):
            return []
        ids = [known.id for known in self._new.known()]
        return [id_ for id_ in ids if now.find(id_) is None and self._carried.find(id_) is not None]

    def _carry_over(self, ids: Sequence[str]) -> None:
        """Bring rows to the new version, unless it has them in a later one."""
        there = {row.id: row for row in self._new.fetch(ids)}
        rows = [
            row
            for row in self._current.fetch(ids, with_vectors=True)
            if row.id not in there or there[row.id].indexed_at <= row.indexed_at
        ]
        converted = self._converted(rows)
        self._new.upsert(converted)
        left_out = {row.id for row in rows} - {row.id for row in converted}
        self._new.delete(sorted(left_out & there.keys()))

    def _remove(self, ids: Sequence[str]) -> None:
        """Remove rows that are gone from the collection in use, unless the new version has them in another version."""
        same = [row.id for row in self._new.fetch(ids) if row_hash(row) == self._carried.find(row.id)]
        self._new.delete(same)


def staged(listener: Listener, stage: str, total: int, items: Iterable[T]) -> Iterator[T]:
    """Yield the items and tell the listener how many have been yielded."""
    done = 0
    for item in items:
        if done % TELL_ROWS == 0:
            listener(stage, done, total)
        yield item
        done += 1
    listener(stage, done, total)
