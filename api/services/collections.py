"""Reads and writes the collections for the service. Methods block unless documented otherwise."""

import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

import numpy as np

from embeddings.errors import LookalikeError, NotFound, UsageError
from embeddings.models.identity import ModelIdentity
from store.base import Collection, CollectionInfo, Store
from store.collection_cache import CollectionCache
from store.image_files import ImageFiles, StagedUpload
from store.locations import UPLOAD
from store.records import Hit, Row, TimeRange

_SUGGESTIONS = 3
_DEEP = 1000  # deeper searches are not batched: together they would fetch far more rows than they show


@dataclass(frozen=True)
class Query:
    """One search of a collection; `exclude` is an id that is left out."""

    collection: Collection
    vector: np.ndarray
    limit: int
    offset: int
    tags: tuple[str, ...]
    exclude: str | None
    taken: TimeRange | None = None

    @property
    def depth(self) -> int:
        """The number of nearest rows that the search ranks."""
        return self.offset + self.limit


class CollectionService:
    """The store's collections and the files behind their rows.

    A row and its file change together: `add` and `remove` are called one at a time.
    """

    def __init__(
        self,
        store: Store,
        model: ModelIdentity,
        vocabulary: Callable[[], frozenset[str]],
        image_files: ImageFiles,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._model = model
        self._vocabulary = vocabulary
        self._image_files = image_files
        self._cache = CollectionCache(store, model, clock)

    def ready(self, name: str) -> None:
        """Return if the store answers and the collection can be searched or does not exist. Raises StoreUnavailable."""
        self._store.ready(name)

    def collections(self) -> list[CollectionInfo]:
        """Return all collections, by name."""
        return self._store.collections()

    def open_for_search(self, name: str, tags: Sequence[str]) -> Collection:
        """Open a collection for a query with this model.

        Raises NotFound for an unknown collection or tag, ModelMismatch.
        """
        collection = self._cache.open(name)
        self._check_tags(collection, tags)
        return collection

    def opened_recently(self, name: str) -> Collection | None:
        """Return a collection that `open_for_search` opened within the last second, else None; does not block."""
        return self._cache.get(name)

    def row(self, name: str, row_id: str, with_vector: bool = False) -> Row:
        """Return one row. Raises NotFound."""
        rows = self._store.open(name, self._model if with_vector else None).fetch([row_id], with_vector)
        if not rows:
            raise NotFound(f"there is no image {row_id!r} in the collection {name}", field="id")
        return rows[0]

    def browse(
        self, name: str, tag: str | None, offset: int, limit: int, taken: TimeRange | None = None
    ) -> tuple[list[Row], int]:
        """Return a page of rows and the total number of rows. Raises NotFound."""
        collection = self._store.open(name)
        if tag is not None:
            self._check_tags(collection, [tag], "tag")
        return collection.browse(tag, offset, limit, taken), collection.count(tag, taken)

    def facets(self, name: str, tags: Sequence[str] = (), taken: TimeRange | None = None) -> list[tuple[str, int]]:
        """Return tags and their counts, most frequent first. Raises NotFound."""
        collection = self._store.open(name)
        self._check_tags(collection, tags, "tag")
        return sorted(collection.facets(tags, taken).items(), key=lambda item: (-item[1], item[0]))

    def search(self, queries: list[Query]) -> list[list[Hit] | Exception]:
        """Answer several queries; those with the same conditions go to the store in one call."""
        groups: dict[tuple[object, ...], list[int]] = defaultdict(list)
        for i, query in enumerate(queries):
            alone = i if query.depth >= _DEEP else 0
            # the name may have been switched, and a compact collection accepts vectors of two lengths
            space = query.collection.name, query.collection.model.fingerprint, len(query.vector)
            groups[*space, query.tags, query.taken, query.depth, alone].append(i)
        answers: list[list[Hit] | Exception] = [[] for _ in queries]
        for indices in groups.values():
            for i, answer in zip(indices, _search_alike([queries[i] for i in indices]), strict=True):
                answers[i] = answer
        return answers

    def known_content(self, name: str, content_hash: str) -> Row | None:
        """Return a row with these contents and its vector of this model, if there is one."""
        try:
            collection = self._store.open(name, self._model)
        except NotFound:  # this image will be the first of the collection
            return None
        return collection.find_content([content_hash]).get(content_hash)

    def add(self, name: str, row: Row, staged: StagedUpload) -> None:
        """Write an uploaded image's row and store its file, replacing an earlier upload with the same id.

        The collection is created if it does not exist.

        Raises UsageError if the id belongs to a file of an indexed folder.
        """
        collection = self._store.create(name, self._model)
        before = collection.fetch([row.id])
        if before and before[0].source != UPLOAD:
            raise UsageError(f"the id {row.id} belongs to an indexed file; choose another", field="id")
        collection.upsert([row])
        self._image_files.keep(staged, name, row.id)
        self._forget(collection, [old for old in before if old.content_hash != row.content_hash])

    def remove(self, name: str, row_id: str) -> None:
        """Remove a row, and its file if it was uploaded. Raises NotFound."""
        row = self.row(name, row_id)
        collection = self._store.open(name)
        collection.delete([row_id])
        self._image_files.remove(name, row)
        self._forget(collection, [row])

    def _forget(self, collection: Collection, rows: Sequence[Row]) -> None:
        """Remove the thumbnails of contents that are no longer in the collection."""
        for row in rows:
            if not collection.find_content([row.content_hash]):
                self._image_files.remove_thumbnail(row.content_hash)

    def _check_tags(self, collection: Collection, tags: Sequence[str], field: str = "tags") -> None:
        """Raise NotFound for a tag that neither the model nor the collection knows."""
        vocabulary = self._vocabulary()
        unknown = [tag for tag in tags if tag not in vocabulary]
        if not unknown:
            return
        facets = collection.facets()
        for tag in unknown:
            if tag not in facets:
                near = get_close_matches(tag.lower(), sorted(vocabulary | facets.keys()), _SUGGESTIONS)
                hint = f"; near to it: {', '.join(near)}" if near else ""
                raise NotFound(f"there is no tag {tag!r}{hint}", field=field)


def _search_alike(queries: list[Query]) -> Sequence[list[Hit] | Exception]:
    """Answer queries of one collection with the same conditions and the same depth."""
    first = queries[0]
    try:
        if len(queries) == 1:
            vectors = first.vector[np.newaxis]
            return first.collection.search(vectors, first.limit, first.offset, first.tags, first.exclude, first.taken)
        # one more row than requested: a query's own image is removed afterwards
        stacked = np.stack([query.vector for query in queries])
        pages = first.collection.search(stacked, first.depth + 1, 0, first.tags, taken=first.taken)
    except LookalikeError as error:
        return [error] * len(queries)
    return [_page(query, hits) for query, hits in zip(queries, pages, strict=True)]


def _page(query: Query, hits: list[Hit]) -> list[Hit]:
    """Return a query's page of the nearest rows."""
    return [hit for hit in hits if hit.row.id != query.exclude][query.offset : query.depth]
