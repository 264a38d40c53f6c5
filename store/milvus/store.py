"""The store in a Milvus: its collections, by the names that users gave them."""

import time
from contextlib import suppress
from dataclasses import dataclass

from embeddings.errors import NotFound, StoreUnavailable, UsageError
from embeddings.models.identity import ModelIdentity
from embeddings.utils import Closing
from store.base import Collection, CollectionInfo
from store.milvus.backend import Backend
from store.milvus.collection import EngineCollection, MilvusCollection
from store.milvus.filters import RowFilter
from store.milvus.naming import (
    DESCRIPTION,
    CollectionDescription,
    axes_description,
    axes_name,
    axes_prefix,
    check_model,
    check_name,
    check_sibling,
    is_real_name,
    read_description,
    real_name,
    write_description,
)
from store.milvus.projection_rows import read_projection, write_projection
from store.milvus.vector_space import VectorSpace
from store.projection import Projection


@dataclass(frozen=True)
class _Entry:
    """A collection as the engine lists it: its real name and its description."""

    real_name: str
    description: CollectionDescription


class MilvusStore(Closing):
    """Collections in one Milvus; the name that a user gave is an alias of a real name.

    Siblings of the collection in use have real names without an alias: the full vectors of a compact collection, a
    collection that is being built, one that was in use before.
    """

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._projections: dict[str, Projection] = {}  # by their fingerprints; they never change

    def collections(self) -> list[CollectionInfo]:
        infos = []
        for name in self._backend.run("list_collections"):
            real, description = self._describe(name)
            if description is None:
                continue
            if aliases := self._aliases(real):
                count = self._count(real)
                infos += [CollectionInfo(alias, description.model, count) for alias in aliases]
        return sorted(infos, key=lambda info: info.name)

    def create(self, name: str, model: ModelIdentity, projection: Projection | None = None) -> MilvusCollection:
        check_name(name)
        if self._find(name) is None:
            self._create_named(name, model, projection)
        return self.open(name, model)

    def open(self, name: str, model: ModelIdentity | None = None) -> MilvusCollection:
        entry = self._in_use(name)
        if model is not None:
            check_model(name, entry.description, model)
        collection = self._prepared(name, entry)
        return MilvusCollection(self._backend, name, collection, lambda real: self._successor(name, real))

    def create_sibling(
        self, name: str, identity: ModelIdentity, projection: Projection | None = None
    ) -> MilvusCollection:
        in_use = self._in_use(name)
        check_sibling(name, in_use.description, identity)
        for sibling in self._siblings(name, in_use):
            if sibling.description.compact or sibling.description.model.fingerprint == identity.fingerprint:
                self._backend.run("drop_collection", collection_name=sibling.real_name)
        self._drop_lone_axes(name)
        real = real_name(name, identity)
        self._create_empty(name, real, identity, projection)
        base = identity if projection is None else projection.base
        return self._open_sibling(name, _Entry(real, CollectionDescription(identity, base)))

    def full(self, name: str) -> MilvusCollection | None:
        in_use = self._in_use(name)
        if in_use.description.compact:
            for sibling in self._siblings(name, in_use):
                if sibling.description.model.fingerprint == in_use.description.base.fingerprint:
                    return self._open_sibling(name, sibling)
        return None

    def switch(self, name: str, collection: Collection) -> None:
        check_name(name)
        assert isinstance(collection, MilvusCollection)
        self._backend.run("alter_alias", collection_name=collection.real_name, alias=name)
        time.sleep(self._backend.alias_ttl)  # until then other processes may write to the previous collection

    def drop_beside(self, name: str) -> list[CollectionInfo]:
        in_use = self._in_use(name)
        siblings = self._siblings(name, in_use)
        infos = [
            CollectionInfo(name, sibling.description.model, self._count(sibling.real_name)) for sibling in siblings
        ]
        self._drop_siblings(name, siblings)
        return infos

    def drop_sibling(self, name: str, sibling: Collection) -> None:
        assert isinstance(sibling, MilvusCollection)
        siblings = self._siblings(name, self._in_use(name))
        self._drop_siblings(name, [entry for entry in siblings if entry.real_name == sibling.real_name])

    def drop(self, name: str) -> None:
        in_use = self._in_use(name)
        self._backend.run("drop_alias", alias=name)
        self._backend.run("drop_collection", collection_name=in_use.real_name)
        self._drop_siblings(name, self._siblings(name, in_use))

    def ready(self, name: str | None = None) -> None:
        self._backend.ready(name)

    def close(self) -> None:
        self._backend.close()

    def _create_named(self, name: str, model: ModelIdentity, projection: Projection | None) -> None:
        """Create a collection and its alias; finish what a crash left undone, and keep another process's work."""
        real = real_name(name, model)
        if self._backend.run("has_collection", collection_name=real):
            self._finish_drop(real)
        if not self._backend.run("has_collection", collection_name=real):
            self._create_empty(name, real, model, projection)
        try:
            self._backend.run("create_alias", collection_name=real, alias=name)
        except StoreUnavailable:
            if self._find(name) is None:  # otherwise another process was quicker
                raise

    def _create_empty(self, name: str, real: str, model: ModelIdentity, projection: Projection | None) -> None:
        """Create a collection without an alias; a compact one has its projection from the beginning."""
        if projection is not None:
            write_projection(self._backend, axes_name(name, model), projection)
            text = write_description(model, projection.base)
        else:
            text = write_description(model)
        self._backend.create(real, model.dimension, text)

    def _finish_drop(self, real: str) -> None:
        """Remove a collection that has rows and no alias: its drop was cut short, and dropped rows must not return."""
        if self._count(real) and not self._aliases(real):
            self._backend.run("drop_collection", collection_name=real)

    def _drop_siblings(self, name: str, siblings: list[_Entry]) -> None:
        for sibling in siblings:
            self._backend.run("drop_collection", collection_name=sibling.real_name)
        self._drop_lone_axes(name)

    def _drop_lone_axes(self, name: str) -> None:
        """Remove the projections whose compact collection does not exist."""
        reals = set(self._backend.run("list_collections"))
        prefix = axes_prefix(name)
        for axes in reals:
            compact = f"{name}_{axes.removeprefix(prefix)}"
            if axes.startswith(prefix) and compact not in reals and self._text(axes)[1] == axes_description():
                self._backend.run("drop_collection", collection_name=axes)

    def _siblings(self, name: str, in_use: _Entry) -> list[_Entry]:
        siblings = []
        for real in self._backend.run("list_collections"):
            if real != in_use.real_name and is_real_name(real, name):
                description = self._describe(real)[1]
                if description is not None and not self._aliases(real):
                    siblings.append(_Entry(real, description))
        return siblings

    def _open_sibling(self, name: str, entry: _Entry) -> MilvusCollection:
        """Return a sibling; its builder writes to it alone, wherever the name leads."""
        return MilvusCollection(self._backend, name, self._prepared(name, entry), lambda _: None)

    def _prepared(self, name: str, entry: _Entry) -> EngineCollection:
        """Return a collection made ready for use."""
        self._backend.prepare(entry.real_name)
        projection = self._projection(name, entry.description) if entry.description.compact else None
        return EngineCollection(entry.real_name, VectorSpace(entry.description.model, projection))

    def _successor(self, name: str, real: str) -> EngineCollection | None:
        """Return the collection that the name stands for, None if that is still the one called `real`.

        Every write asks this, so it makes the quickest of calls: behind a write of 256 rows, which keeps a server busy,
        that call takes a tenth of the time of the write.
        """
        with suppress(NotFound, StoreUnavailable):  # engines have different errors for a missing alias
            if self._backend.run("describe_alias", alias=name)["collection_name"] == real:
                return None
        entry = self._in_use(name)
        return None if entry.real_name == real else self._prepared(name, entry)

    def _projection(self, name: str, description: CollectionDescription) -> Projection:
        fingerprint = description.model.fingerprint
        if fingerprint not in self._projections:
            axes = axes_name(name, description.model)
            self._projections[fingerprint] = read_projection(self._backend, axes, description)
        return self._projections[fingerprint]

    def _in_use(self, name: str) -> _Entry:
        check_name(name)
        entry = self._find(name)
        if entry is None:
            raise NotFound(f"there is no collection {name!r}", field="collection")
        return entry

    def _find(self, name: str) -> _Entry | None:
        try:
            real, description = self._describe(name)
        except NotFound:
            return None
        if description is None:
            raise UsageError(
                f"{name!r} is a collection that lookalike did not create: use another name", field="collection"
            )
        return _Entry(real, description)

    def _describe(self, name: str) -> tuple[str, CollectionDescription | None]:
        real, text = self._text(name)
        return real, read_description(text)

    def _text(self, name: str) -> tuple[str, str]:
        """Return a collection's real name and the text of its description."""
        answer = self._backend.run("describe_collection", collection_name=name)
        return answer["collection_name"], answer["properties"].get(DESCRIPTION) or answer["description"]

    def _count(self, real: str) -> int:
        self._backend.prepare(real)
        return self._backend.count(real, RowFilter())

    def _aliases(self, real: str) -> list[str]:
        return list(self._backend.run("list_aliases", collection_name=real)["aliases"])
