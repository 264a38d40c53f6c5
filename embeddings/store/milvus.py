"""The store in a Milvus: its collections, by the names that people gave them."""

from embeddings.closing import Closing
from embeddings.errors import NotFound, StoreUnavailable, UsageError
from embeddings.records import CollectionInfo, ModelIdentity
from embeddings.store.backend import Backend
from embeddings.store.collection import MilvusCollection
from embeddings.store.filters import Where
from embeddings.store.names import DESCRIPTION, check_model, check_name, read_description, real_name


class MilvusStore(Closing):
    """Collections in one Milvus; the name a user gave is an alias of the real one."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    def collections(self) -> list[CollectionInfo]:
        infos = []
        for real in self._backend.run("list_collections"):
            model = self._describe(real)[1]
            if model is None:
                continue
            self._backend.prepare(real)
            count = self._backend.count(real, Where())
            infos += [CollectionInfo(alias, model, count) for alias in self._aliases(real)]
        return sorted(infos, key=lambda info: info.name)

    def create(self, name: str, model: ModelIdentity) -> MilvusCollection:
        check_name(name)
        if self._find(name) is None:
            self._make(name, model)
        return self.open(name, model)

    def open(self, name: str, model: ModelIdentity | None = None) -> MilvusCollection:
        check_name(name)
        found = self._find(name)
        if found is None:
            raise NotFound(f"there is no collection {name!r}", field="collection")
        real, made_with = found
        if model is not None:
            check_model(name, made_with, model)
        self._backend.prepare(real)
        return MilvusCollection(self._backend, real, name, made_with)

    def drop(self, name: str) -> None:
        check_name(name)
        found = self._find(name)
        if found is None:
            raise NotFound(f"there is no collection {name!r}", field="collection")
        self._backend.run("drop_alias", alias=name)
        self._backend.run("drop_collection", collection_name=found[0])

    def ready(self) -> None:
        self._backend.ready()

    def close(self) -> None:
        self._backend.close()

    def _make(self, name: str, model: ModelIdentity) -> None:
        """Create a collection and give it its name; what a crash left half done is finished, another's work kept."""
        real = real_name(name, model)
        if self._backend.run("has_collection", collection_name=real):
            self._finish_drop(real)
        if not self._backend.run("has_collection", collection_name=real):
            self._backend.create(real, model)
        try:
            self._backend.run("create_alias", collection_name=real, alias=name)
        except StoreUnavailable:
            if self._find(name) is None:  # otherwise another process was quicker
                raise

    def _finish_drop(self, real: str) -> None:
        """Remove a collection that has rows and no name: a drop was cut short, and dropped rows must not come back."""
        self._backend.prepare(real)
        if self._backend.count(real, Where()) and not self._aliases(real):
            self._backend.run("drop_collection", collection_name=real)

    def _find(self, name: str) -> tuple[str, ModelIdentity] | None:
        try:
            real, model = self._describe(name)
        except NotFound:
            return None
        if model is None:
            raise UsageError(
                f"{name!r} is a collection that lookalike did not make: use another name", field="collection"
            )
        return real, model

    def _describe(self, name: str) -> tuple[str, ModelIdentity | None]:
        described = self._backend.run("describe_collection", collection_name=name)
        text = described["properties"].get(DESCRIPTION) or described["description"]
        return described["collection_name"], read_description(text)

    def _aliases(self, real: str) -> list[str]:
        return list(self._backend.run("list_aliases", collection_name=real)["aliases"])
