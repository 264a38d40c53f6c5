"""Finds the rows whose images are gone from a source, by the ids that its listing had."""

from collections.abc import Iterable, Iterator

from indexer.pipeline.writable_collection import WritableCollection


class SeenIds:
    """Remembers the ids of a listing, a few dozen bytes each, and the paths that could not be listed."""

    def __init__(self) -> None:
        self._ids: set[int] = set()  # their hashes
        self._unreadable: set[str] = set()

    def add(self, ids: Iterable[str]) -> None:
        """Remember images that exist."""
        self._ids.update(map(hash, ids))

    def mark_unreadable(self, path: str) -> None:
        """Remember a path that could not be listed: images below it may exist."""
        self._unreadable.add(path)

    def gone(self, source: str, collection: WritableCollection) -> Iterator[str]:
        """Yield the ids of the rows of this source whose images it no longer has."""
        for file in collection.known(source):
            if hash(file.id) not in self._ids and not self._is_unreadable(file.path):
                yield file.id

    def _is_unreadable(self, path: str) -> bool:
        parents = (path[:end] for end, character in enumerate(path) if character == "/")
        return any(place in self._unreadable for place in (".", path, *parents))
