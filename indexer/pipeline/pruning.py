"""What a source had when it was listed, so that the rows of what is gone can be told."""

from collections.abc import Iterable, Iterator

from indexer.pipeline.writable_collection import WritableCollection


class SeenIds:
    """Remembers the ids of a listing, a few dozen bytes each, and the places that could not be looked at."""

    def __init__(self) -> None:
        self._present: set[int] = set()  # hashes of the ids
        self._unlistable: set[str] = set()

    def add(self, ids: Iterable[str]) -> None:
        """Take note of images that are there."""
        self._present.update(map(hash, ids))

    def mark_unreadable(self, path: str) -> None:
        """Take note of a place that could not be looked at: whatever lies below may well be there."""
        self._unlistable.add(path)

    def gone(self, source: str, collection: WritableCollection) -> Iterator[str]:
        """Yield the ids of the rows of this source whose images it does not have any more."""
        for known in collection.known(source):
            if hash(known.id) not in self._present and not self._hidden(known.path):
                yield known.id

    def _hidden(self, path: str) -> bool:
        above = (path[:end] for end, character in enumerate(path) if character == "/")
        return any(place in self._unlistable for place in (".", path, *above))
