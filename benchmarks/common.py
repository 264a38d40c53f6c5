"""A store and an embedder over a data directory that goes away, and folders of photos to index into it."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from embeddings.embedder import Embedder
from embeddings.settings import Settings, read_settings
from indexer.pipeline.index_source import index_source
from indexer.pipeline.pipeline import Embeds
from indexer.pipeline.progress import IndexProgress
from indexer.sources.base import Reference
from indexer.sources.folder import Folder
from store import open_store
from store.base import Collection, Store


@dataclass(frozen=True)
class Bench:
    """Settings and what they open."""

    settings: Settings
    store: Store
    embedder: Embedder

    def facts(self, folder: Path) -> dict[str, str]:
        """Return what results say of the folder and of what embeds."""
        return {"folder": folder.name, "model": self.embedder.identity.name, "engine": self.embedder.engine.name}

    def index(self, source: Folder, name: str, embeds: Embeds | None = None) -> tuple[Collection, IndexProgress]:
        """Index a folder into a new collection, by another embedder if one is given."""
        collection = self.store.create(name, self.embedder.identity)
        return collection, self.fill(collection, source, embeds)

    def fill(self, collection: Collection, source: Folder, embeds: Embeds | None = None) -> IndexProgress:
        """Index a folder into an empty collection, by another embedder if one is given."""
        embedder, max_bytes = embeds or self.embedder, self.settings.max_bytes
        return index_source(source, collection, embedder, max_bytes, False, lambda _: None)

    def timed_index(self, source: Folder, name: str = "benchmark_timed", embeds: Embeds | None = None) -> float:
        """Index a folder into a new collection, which is then dropped; return the seconds. No image may fail.

        The seconds include the making of the collection, which takes longer than many images on a server.
        """
        began = time.perf_counter()
        _, progress = self.index(source, name, embeds)
        seconds = time.perf_counter() - began
        assert progress.failed == 0, progress.failures
        self.store.drop(name)
        return seconds


@contextmanager
def opened(settings: Settings) -> Iterator[Bench]:
    """Open store and embedder while the context lasts."""
    store = open_store(settings.milvus_uri, settings.milvus_token, settings.data, settings.milvus_timeout)
    with store, Embedder(settings) as embedder:
        yield Bench(settings, store, embedder)


@contextmanager
def fresh() -> Iterator[Bench]:
    """Open store and embedder over a data directory that is removed at the end."""
    with TemporaryDirectory() as folder, opened(read_settings().model_copy(update={"data": Path(folder)})) as bench:
        yield bench


def photos(folder: Path) -> list[Path]:
    """Return the files of a folder that may be photos."""
    source = Folder(folder)
    return [Path(source.shown(item.path)) for item in source.references() if isinstance(item, Reference)]


def copies(originals: Sequence[Path], folder: Path, count: int) -> None:
    """Fill a folder with `count` photos, all of different bytes: decoders stop where the photo ends."""
    contents = [path.read_bytes() for path in originals]
    for number in range(count):
        place = number % len(originals)
        path = folder / f"{number % 100:02}" / f"{number:06}{originals[place].suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(contents[place] + number.to_bytes(8, "big"))
