"""A store in memory, for tests: it behaves like the real stores and keeps nothing."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from embeddings.errors import NotFound, StoreUnavailable
from embeddings.models.identity import ModelIdentity
from embeddings.utils import Closing
from store.base import Collection, CollectionInfo
from store.milvus.filters import storable
from store.milvus.naming import CollectionDescription, check_model, check_name, check_sibling
from store.milvus.ranking import check_depth, nearest
from store.milvus.schema import check_row
from store.milvus.vector_space import VectorSpace
from store.projection import Projection, normalised
from store.records import Hit, IndexedFile, Row, TimeRange


class MemoryCollection:
    """One collection, in a dictionary."""

    def __init__(
        self, store: "MemoryStore", name: str, model: ModelIdentity, projection: Projection | None = None
    ) -> None:
        self.name = name
        self.space = VectorSpace(model, projection)
        self._store = store
        self._kept: dict[str, Row] = {}

    @property
    def model(self) -> ModelIdentity:
        return self.space.model

    @property
    def projection(self) -> Projection | None:
        return self.space.projection

    @property
    def description(self) -> CollectionDescription:
        """The description that a real store would keep."""
        return CollectionDescription(self.model, self.space.base)

    @property
    def _rows(self) -> dict[str, Row]:
        """The rows, if the store answers and the collection exists."""
        if self._store.open(self.name) is not self and self not in self._store.siblings(self.name):
            raise NotFound(f"the collection {self.name!r} no longer exists", field="collection")
        return self._kept

    def upsert(self, rows: Sequence[Row]) -> None:
        self._upsert(rows)
        for successor in self._successors():
            successor._upsert(rows)

    def _upsert(self, rows: Sequence[Row]) -> None:
        records = [{"vector": row.vector} for row in rows]
        self.space.project_rows(records)
        projected = [replace(row, vector=record["vector"]) for row, record in zip(rows, records, strict=True)]
        for row in projected:
            check_row(row, self.model.dimension)
        self._rows.update({row.id: _stored(row) for row in projected})

    def _successors(self) -> list["MemoryCollection"]:
        """Return the collection that the name was switched to since this one was opened."""
        if self not in self._store.replaced:
            return []
        successor = self._store.open(self.name)
        self.space.check_successor(self.name, successor.space)
        return [successor]

    def search(
        self,
        vectors: np.ndarray,
        limit: int,
        offset: int = 0,
        tags: Sequence[str] = (),
        exclude: str | None = None,
        taken: TimeRange | None = None,
    ) -> list[list[Hit]]:
        check_depth(offset, limit)
        rows = [row for row in self._having(tags, taken) if row.id != exclude]
        return [nearest(query, rows, limit, offset) for query in self.space.queries(vectors)]

    def fetch(self, ids: Sequence[str], with_vectors: bool = False) -> list[Row]:
        kept = self._rows
        rows = [kept[id_] for id_ in ids if id_ in kept]
        return rows if with_vectors else [replace(row, vector=None) for row in rows]

    def browse(
        self, tag: str | None = None, offset: int = 0, limit: int = 100, taken: TimeRange | None = None
    ) -> list[Row]:
        ids = [row.id for row in self._having(_tags(tag), taken)]
        return self.fetch(sorted(ids, key=storable)[offset : offset + limit])

    def scan(self, with_vectors: bool = False) -> Iterator[Row]:
        return iter(self.fetch(list(self._rows), with_vectors))

    def known(self, source: str | None = None) -> Iterator[IndexedFile]:
        rows = [row for row in self._rows.values() if source is None or row.source == source]
        return map(_known, rows)

    def lookup(self, ids: Sequence[str], strong: bool = True) -> dict[str, IndexedFile]:
        kept = self._rows
        return {id_: _known(kept[id_]) for id_ in ids if id_ in kept}

    def find_content(self, hashes: Sequence[str]) -> dict[str, Row]:
        wanted = set(hashes)
        return {row.content_hash: row for row in self._rows.values() if row.content_hash in wanted}

    def delete(self, ids: Sequence[str]) -> None:
        self._delete(ids)
        for successor in self._successors():
            successor._delete(ids)

    def _delete(self, ids: Sequence[str]) -> None:
        rows = self._rows
        for id_ in ids:
            rows.pop(id_, None)

    def count(self, tag: str | None = None, taken: TimeRange | None = None) -> int:
        return len(self._having(_tags(tag), taken))

    def facets(self, tags: Sequence[str] = (), taken: TimeRange | None = None) -> dict[str, int]:
        return dict(Counter(name for row in self._having(tags, taken) for name in _names(row)))

    def flush(self) -> None:
        """Do nothing."""

    def _having(self, tags: Sequence[str], taken: TimeRange | None) -> list[Row]:
        return [row for row in self._rows.values() if set(tags) <= _names(row) and _within(row, taken)]


class MemoryStore(Closing):
    """Collections in a dictionary. `available = False` makes it answer as a store that is down.

    Collections with names in `loading` answer as those of a store that has just restarted.
    """

    def __init__(self) -> None:
        self.available = True
        self.loading: set[str] = set()
        self.replaced: list[MemoryCollection] = []  # those whose name was switched to another one
        self._collections: dict[str, MemoryCollection] = {}
        self._siblings: dict[str, list[MemoryCollection]] = {}

    def collections(self) -> list[CollectionInfo]:
        self.ready()
        return [CollectionInfo(name, kept.model, kept.count()) for name, kept in sorted(self._collections.items())]

    def create(self, name: str, model: ModelIdentity, projection: Projection | None = None) -> MemoryCollection:
        self.ready()
        check_name(name)
        self._collections.setdefault(name, MemoryCollection(self, name, model, projection))
        return self.open(name, model)

    def open(self, name: str, model: ModelIdentity | None = None) -> MemoryCollection:
        check_name(name)
        self.ready(name)
        if name not in self._collections:
            raise NotFound(f"there is no collection {name!r}", field="collection")
        collection = self._collections[name]
        if model is not None:
            check_model(name, collection.description, model)
        return collection

    def create_sibling(
        self, name: str, identity: ModelIdentity, projection: Projection | None = None
    ) -> MemoryCollection:
        check_sibling(name, self.open(name).description, identity)
        new = MemoryCollection(self, name, identity, projection)
        kept = [
            sibling
            for sibling in self.siblings(name)
            if sibling.projection is None and sibling.model.fingerprint != identity.fingerprint
        ]
        self._siblings[name] = [*kept, new]
        return new

    def full(self, name: str) -> MemoryCollection | None:
        base = self.open(name).space.base.fingerprint
        return next((sibling for sibling in self.siblings(name) if sibling.model.fingerprint == base), None)

    def siblings(self, name: str) -> list[MemoryCollection]:
        """Return the collections beside the one in use."""
        return self._siblings.get(name, [])

    def switch(self, name: str, collection: Collection) -> None:
        assert isinstance(collection, MemoryCollection) and collection in self.siblings(name)
        before = self.open(name)
        self._collections[name] = collection
        self._siblings[name] = [sibling for sibling in self.siblings(name) if sibling is not collection] + [before]
        self.replaced = [other for other in self.replaced if other is not collection] + [before]

    def drop_beside(self, name: str) -> list[CollectionInfo]:
        self.open(name)
        infos = [CollectionInfo(name, sibling.model, sibling.count()) for sibling in self.siblings(name)]
        self._siblings.pop(name, None)
        return infos

    def drop_sibling(self, name: str, sibling: Collection) -> None:
        self.open(name)
        self._siblings[name] = [other for other in self.siblings(name) if other is not sibling]

    def drop(self, name: str) -> None:
        self.open(name)
        del self._collections[name]
        self._siblings.pop(name, None)

    def ready(self, name: str | None = None) -> None:
        if not self.available:
            raise StoreUnavailable
        if name in self.loading:
            raise StoreUnavailable("the store is still loading the collection: try again in a minute")

    def close(self) -> None:
        """Do nothing: the rows stay, as they do in a real store."""


def _known(row: Row) -> IndexedFile:
    return IndexedFile(row.id, row.source, row.path, row.bytes, row.modified_at, row.content_hash)


def _stored(row: Row) -> Row:
    """Return a row as a real store returns it."""
    assert row.vector is not None
    return replace(
        row,
        vector=normalised(row.vector),
        tags=tuple(replace(tag, confidence=round(tag.confidence, 4)) for tag in row.tags),
        taken_at=None if row.taken_at is None else row.taken_at.replace(microsecond=0),
        meta=json.loads(json.dumps(row.meta)),
    )


def _tags(tag: str | None) -> tuple[str, ...]:
    return () if tag is None else (tag,)


def _within(row: Row, taken: TimeRange | None) -> bool:
    """Return whether an image was taken in a time range; None is no condition."""
    if taken is None or row.taken_at is None:
        return taken is None
    return (taken.start is None or row.taken_at >= taken.start) and (taken.end is None or row.taken_at < taken.end)


def _names(row: Row) -> set[str]:
    return {tag.name for tag in row.tags}
