"""The store in a Milvus: its collections, by the names that people gave them."""

import time
from contextlib import suppress

from embeddings.errors import NotFound, StoreUnavailable, UsageError
from embeddings.models.identity import ModelIdentity
from embeddings.utils import Closing
from store.base import Collection, CollectionInfo
from store.milvus.backend import Backend
from store.milvus.collection import EngineCollection, MilvusCollection
from store.milvus.filters import Where
from store.milvus.naming import (
    DESCRIPTION,
    CollectionDescription,
    axes_description,
    axes_name,
    axes_prefix,
    check_model,
    check_name,
    description,
    is_real_name,
    read_description,
    real_name,
)
from store.milvus.projection_rows import read_projection, write_projection
from store.milvus.vector_space import VectorSpace
from store.projection import Projection


class MilvusStore(Closing):
    """Collections in one Milvus; the name a user gave is an alias of the real one.

    Others can be beside it that no name stands for: one with the full vectors of a compact one, or a compact one that
    is being built or was left again.
    """

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._projections: dict[str, Projection] = {}  # by their fingerprints: they never change

    def collections(self) -> list[CollectionInfo]:
        infos = []
        for real in self._backend.run("list_collections"):
            made = self._describe(real)[1]
            if made is None:
                continue
            if aliases := self._aliases(real):
                count = self._count(real)
                infos += [CollectionInfo(alias, made.model, count) for alias in aliases]
        return sorted(infos, key=lambda info: info.name)

    def create(self, name: str, model: ModelIdentity, projection: Projection | None = None) -> MilvusCollection:
        check_name(name)
        if self._find(name) is None:
            self._make(name, model, projection)
        return self.open(name, model)

    def open(self, name: str, model: ModelIdentity | None = None) -> MilvusCollection:
        check_name(name)
        real, made = self._found(name)
        if model is not None:
            check_model(name, made, model)
        return MilvusCollection(
            self._backend, name, self._place(name, real, made), lambda real: self._moved(name, real)
        )

    def create_sibling(self, name: str, projection: Projection) -> MilvusCollection:
        check_name(name)
        real, made = self._found(name)
        for other, its in self._others(name, real, made):
            if its.compact:
                self._backend.run("drop_collection", collection_name=other)
        self._drop_lone_axes(name)
        model, new = projection.identity, real_name(name, projection.identity)
        self._new(name, new, model, projection)
        return MilvusCollection(
            self._backend, name, self._place(name, new, CollectionDescription(model, projection.base)), _stays
        )

    def full(self, name: str) -> MilvusCollection | None:
        check_name(name)
        real, made = self._found(name)
        for other, its in self._others(name, real, made):
            if made.compact and not its.compact:
                return MilvusCollection(self._backend, name, self._place(name, other, its), _stays)
        return None

    def switch(self, name: str, collection: Collection) -> None:
        check_name(name)
        assert isinstance(collection, MilvusCollection)
        self._backend.run("alter_alias", collection_name=collection.real, alias=name)
        time.sleep(self._backend.alias_ttl)  # until then others may write where the name led before

    def drop_beside(self, name: str) -> list[CollectionInfo]:
        check_name(name)
        real, made = self._found(name)
        infos = [CollectionInfo(name, its.model, self._count(other)) for other, its in self._others(name, real, made)]
        self._drop_others(name, real, made)
        return infos

    def drop(self, name: str) -> None:
        check_name(name)
        real, made = self._found(name)
        self._backend.run("drop_alias", alias=name)
        self._backend.run("drop_collection", collection_name=real)
        self._drop_others(name, real, made)

    def ready(self, name: str | None = None) -> None:
        self._backend.ready(name)

    def close(self) -> None:
        self._backend.close()

    def _make(self, name: str, model: ModelIdentity, projection: Projection | None) -> None:
        """Create a collection and give it its name; what a crash left half done is finished, another's work kept."""
        real = real_name(name, model)
        if self._backend.run("has_collection", collection_name=real):
            self._finish_drop(real)
        if not self._backend.run("has_collection", collection_name=real):
            self._new(name, real, model, projection)
        try:
            self._backend.run("create_alias", collection_name=real, alias=name)
        except StoreUnavailable:
            if self._find(name) is None:  # otherwise another process was quicker
                raise

    def _new(self, name: str, real: str, model: ModelIdentity, projection: Projection | None) -> None:
        """Create an empty collection; a compact one has its projection from the beginning."""
        if projection is not None:
            write_projection(self._backend, axes_name(name, model), projection)
            written = description(model, projection.base)
        else:
            written = description(model)
        self._backend.create(real, model.dimension, written)

    def _finish_drop(self, real: str) -> None:
        """Remove a collection that has rows and no name: a drop was cut short, and dropped rows must not come back."""
        if self._count(real) and not self._aliases(real):
            self._backend.run("drop_collection", collection_name=real)

    def _drop_others(self, name: str, real: str, made: CollectionDescription) -> None:
        for other, _ in self._others(name, real, made):
            self._backend.run("drop_collection", collection_name=other)
        self._drop_lone_axes(name)

    def _drop_lone_axes(self, name: str) -> None:
        """Remove the projections whose compact collection is not there."""
        reals = set(self._backend.run("list_collections"))
        prefix = axes_prefix(name)
        for axes in reals:
            its = f"{name}_{axes.removeprefix(prefix)}"
            if axes.startswith(prefix) and its not in reals and self._text(axes)[1] == axes_description():
                self._backend.run("drop_collection", collection_name=axes)

    def _others(self, name: str, real: str, made: CollectionDescription) -> list[tuple[str, CollectionDescription]]:
        """Return the collections beside the `real` one that the name stands for."""
        found = []
        for other in self._backend.run("list_collections"):
            if other != real and is_real_name(other, name):
                its = self._describe(other)[1]
                if its is not None and its.base.fingerprint == made.base.fingerprint and not self._aliases(other):
                    found.append((other, its))
        return found

    def _place(self, name: str, real: str, made: CollectionDescription) -> EngineCollection:
        """Return a collection made ready for use."""
        self._backend.prepare(real)
        return EngineCollection(real, VectorSpace(made.model, self._projection(name, made) if made.compact else None))

    def _moved(self, name: str, real: str) -> EngineCollection | None:
        """Return where the collection is now if that is not at `real` any more.

        Writes ask again and again, so it is the quickest of calls that is made; behind one of 256 rows, which keeps a
        server busy, it takes a tenth as long as that.
        """
        with suppress(NotFound, StoreUnavailable):  # engines have different errors for a name that is gone
            if self._backend.run("describe_alias", alias=name)["collection_name"] == real:
                return None
        now, made = self._found(name)
        return None if now == real else self._place(name, now, made)

    def _projection(self, name: str, made: CollectionDescription) -> Projection:
        fingerprint = made.model.fingerprint
        if fingerprint not in self._projections:
            self._projections[fingerprint] = read_projection(self._backend, axes_name(name, made.model), made)
        return self._projections[fingerprint]

    def _found(self, name: str) -> tuple[str, CollectionDescription]:
        found = self._find(name)
        if found is None:
            raise NotFound(f"there is no collection {name!r}", field="collection")
        return found

    def _find(self, name: str) -> tuple[str, CollectionDescription] | None:
        try:
            real, made = self._describe(name)
        except NotFound:
            return None
        if made is None:
            raise UsageError(
                f"{name!r} is a collection that lookalike did not make: use another name", field="collection"
            )
        return real, made

    def _describe(self, name: str) -> tuple[str, CollectionDescription | None]:
        real, text = self._text(name)
        return real, read_description(text)

    def _text(self, name: str) -> tuple[str, str]:
        """Return the real name of a collection and what was written of it."""
        described = self._backend.run("describe_collection", collection_name=name)
        return described["collection_name"], described["properties"].get(DESCRIPTION) or described["description"]

    def _count(self, real: str) -> int:
        self._backend.prepare(real)
        return self._backend.count(real, Where())

    def _aliases(self, real: str) -> list[str]:
        return list(self._backend.run("list_aliases", collection_name=real)["aliases"])


def _stays(_: str) -> None:
    """A collection beside the one in use is written to by those who build it, wherever the name leads."""
