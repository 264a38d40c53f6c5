"""What the service asks of the collections; all of it blocks and runs in threads, but what says that it does not."""

import math
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

import numpy as np

from embeddings.errors import LookalikeError, NotFound, UsageError
from embeddings.models.identity import ModelIdentity
from store.base import Collection, CollectionInfo, Store
from store.image_files import ImageFiles, StagedUpload
from store.locations import UPLOAD
from store.records import Hit, Row, TimeRange

_SUGGESTIONS = 3
_REOPEN_SECONDS = 1.0  # seconds for which a query takes a collection as it was opened for another one
_DEEP = 1000  # a search that looks at more rows goes alone: together they would fetch far more than they show


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
        """How many of the nearest rows are looked at."""
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
        self._clock = clock
        self._opened: dict[str, tuple[Collection, float]] = {}  # for queries, and when

    def ready(self, name: str) -> None:
        """Return if the store answers and the collection, if there is one, can be searched. Raises StoreUnavailable."""
        self._store.ready(name)

    def collections(self) -> list[CollectionInfo]:
        """Return all collections, by name."""
        return self._store.collections()

    def open_for_search(self, name: str, tags: Sequence[str]) -> Collection:
        """Open a collection for a query with this model.

        Raises NotFound for an unknown collection or tag, ModelMismatch.
        """
        collection = self._store.open(name, self._model)
        self._check_tags(collection, tags)
        self._opened[name] = collection, self._clock()
        return collection

    def opened_recently(self, name: str) -> Collection | None:
        """Return a collection that `open_for_search` opened a moment ago, else None; does not block."""
        collection, opened = self._opened.get(name, (None, -math.inf))
        return collection if self._clock() - opened < _REOPEN_SECONDS else None

    def row(self, name: str, row_id: str, with_vector: bool = False) -> Row:
        """Return one row. Raises NotFound."""
        rows = self._store.open(name, self._model if with_vector else None).fetch([row_id], with_vector)
        if not rows:
            raise NotFound(f"there is no picture {row_id!r} in the collection {name}", field="id")
        return rows[0]

    def browse(
        self, name: str, tag: str | None, offset: int, limit: int, taken: TimeRange | None = None
    ) -> tuple[list[Row], int]:
        """Return a page of rows and how many there are in all. Raises NotFound."""
        collection = self._store.open(name)
        if tag is not None:
            self._check_tags(collection, [tag], "tag")
        return collection.browse(tag, offset, limit, taken), collection.count(tag, taken)

    def facets(self, name: str, tags: Sequence[str] = (), taken: TimeRange | None = None) -> list[tuple[str, int]]:
        """Return tags and their counts, the most frequent first. Raises NotFound."""
        collection = self._store.open(name)
        self._check_tags(collection, tags, "tag")
        return sorted(collection.facets(tags, taken).items(), key=lambda item: (-item[1], item[0]))

    def search(self, queries: list[Query]) -> list[list[Hit] | Exception]:
        """Answer several queries; those that ask the same of a collection go to the store in one call."""
        groups: dict[tuple[object, ...], list[int]] = defaultdict(list)
        for i, query in enumerate(queries):
            alone = i if query.depth >= _DEEP else 0
            # a name may stand for another collection by now, and a compact one takes vectors of two lengths
            space = query.collection.name, query.collection.model.fingerprint, len(query.vector)
            groups[*space, query.tags, query.taken, query.depth, alone].append(i)
        answers: list[list[Hit] | Exception] = [[] for _ in queries]
        for places in groups.values():
            for i, answer in zip(places, _search_alike([queries[i] for i in places]), strict=True):
                answers[i] = answer
        return answers

    def known_content(self, name: str, content_hash: str) -> Row | None:
        """Return a row of this model, vector included, that has these contents already."""
        try:
            collection = self._store.open(name, self._model)
        except NotFound:  # the collection begins with this picture
            return None
        return collection.find_content([content_hash]).get(content_hash)

    def add(self, name: str, row: Row, staged: StagedUpload) -> None:
        """Write an uploaded picture's row and keep its file, replacing an earlier upload of the same id.

        A collection that does not exist yet is made.

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
        """Remove the thumbnails of contents that the collection no longer has."""
        for row in rows:
            if not collection.find_content([row.content_hash]):
                self._image_files.remove_thumbnail(row.content_hash)

    def _check_tags(self, collection: Collection, tags: Sequence[str], field: str = "tags") -> None:
        """Raise NotFound for a tag that neither the model nor the collection has."""
        vocabulary = self._vocabulary()
        strange = [tag for tag in tags if tag not in vocabulary]
        if not strange:
            return
        facets = collection.facets()
        for tag in strange:
            if tag not in facets:
                near = get_close_matches(tag.lower(), sorted(vocabulary | facets.keys()), _SUGGESTIONS)
                hint = f"; near to it: {', '.join(near)}" if near else ""
                raise NotFound(f"there is no tag {tag!r}{hint}", field=field)


def _search_alike(queries: list[Query]) -> Sequence[list[Hit] | Exception]:
    """Answer queries of one collection, with the same conditions and the same depth."""
    first = queries[0]
    try:
        if len(queries) == 1:
            vectors = first.vector[np.newaxis]
            return first.collection.search(vectors, first.limit, first.offset, first.tags, first.exclude, first.taken)
        # one more than is asked for, since a query's own picture is taken out afterwards
        stacked = np.stack([query.vector for query in queries])
        found = first.collection.search(stacked, first.depth + 1, 0, first.tags, taken=first.taken)
    except LookalikeError as error:
        return [error] * len(queries)
    return [_page(query, hits) for query, hits in zip(queries, found, strict=True)]


def _page(query: Query, hits: list[Hit]) -> list[Hit]:
    """Return a query's own part of the nearest rows."""
    return [hit for hit in hits if hit.row.id != query.exclude][query.offset : query.depth]
