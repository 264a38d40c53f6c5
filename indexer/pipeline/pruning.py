"""Finds the rows whose images are gone from a source, by the ids that its listing had."""

from collections.abc import Iterable

from embeddings.errors import SourceUnavailable
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

    def gone(self, source: str, collection: WritableCollection, even_if_empty: bool = False) -> list[str]:
        """Return the ids of the rows of this source whose images it no longer has.

        Raises SourceUnavailable if it has rows and no image at all, unless `even_if_empty`: a drive that is not mounted
        looks like that.
        """
        gone = [
            file.id
            for file in collection.known(source)
            if hash(file.id) not in self._ids and not self._is_unreadable(file.path)
        ]
        if gone and not self._ids and not even_if_empty:
            raise SourceUnavailable(
                f"{source} has no image any more, but the collection has {len(gone):,} of it, and none was removed: "
                "mount the drive if it is not mounted; if the images are gone for good, prune with --even-if-empty"
            )
        return gone

    def _is_unreadable(self, path: str) -> bool:
        parents = (path[:end] for end, character in enumerate(path) if character == "/")
        return any(place in self._unreadable for place in (".", path, *parents))
