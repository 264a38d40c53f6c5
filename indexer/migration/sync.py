"""Keeps one collection up with another while both are written to, change by change.

Only the changes of the source are brought over, never the difference of the two: what is written to the target itself,
or removed from it, stays as it is.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np

from indexer.migration.row_hashes import RowHashes, lacking, row_hash
from indexer.pipeline.lister import chunks
from store.base import Collection
from store.records import Row

ROWS_PER_CALL = 256
Watch = Callable[[Iterable[Row]], Iterator[Row]]


class ChangeSync:
    """Brings the changes of `source` into `target`; `before` is the source as the target has it.

    `fill` turns rows of the source into those that the target takes; those that it leaves out are not in the target
    afterwards, in no version.
    """

    def __init__(
        self, source: Collection, target: Collection, before: RowHashes, fill: Callable[[list[Row]], list[Row]]
    ) -> None:
        self._source = source
        self._target = target
        self._before = before
        self._fill = fill

    def catch_up(self, watch: Watch = iter) -> int:
        """Bring over what changed, and return how many rows those were; `watch` sees every row of the source go by."""
        changed: list[str] = []

        def noted() -> Iterator[Row]:
            for row in watch(self._source.scan()):
                found = self._before.find(row.id)
                if found is None or found.content != row_hash(row).content:
                    changed.append(row.id)
                yield row

        now = RowHashes(noted())
        gone = self._gone(now)
        for some in chunks(changed, ROWS_PER_CALL):
            self._bring(some)
        for some in chunks(gone, ROWS_PER_CALL):
            self._remove(some)
        self._before = now
        return len(changed) + len(gone)

    def missing(self) -> int:
        """Return how many rows of the source, as it was last looked at, the target has not."""
        there = np.fromiter((hash(known.id) for known in self._target.known()), np.int64)
        return lacking(self._before.ids, there)

    def _gone(self, now: RowHashes) -> list[str]:
        if not lacking(self._before.ids, now.ids):
            return []
        ids = [known.id for known in self._target.known()]
        return [id_ for id_ in ids if now.find(id_) is None and self._before.find(id_) is not None]

    def _bring(self, ids: Sequence[str]) -> None:
        there = {row.id: row for row in self._target.fetch(ids)}
        rows = [
            row
            for row in self._source.fetch(ids, with_vectors=True)
            if row.id not in there or there[row.id].indexed_at <= row.indexed_at
        ]
        filled = self._fill(rows)
        self._target.upsert(filled)
        left_out = {row.id for row in rows} - {row.id for row in filled}
        self._target.delete(sorted(left_out & there.keys()))

    def _remove(self, ids: Sequence[str]) -> None:
        """Remove rows that the source has no more, unless the target has them in another version."""
        same = [row.id for row in self._target.fetch(ids) if row_hash(row) == self._before.find(row.id)]
        self._target.delete(same)
