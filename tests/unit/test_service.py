"""The service without routes: how many images are processed at once, and which requests wait."""

import asyncio
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from pathlib import Path

import numpy as np
from support.toy import TOY, ToyEmbedder, picture

from api.services.collections import Query
from api.services.service import Service
from embeddings.decode_pool.pool import Picture
from embeddings.embedder import BATCH, Embedding
from embeddings.imaging.decode import Box, DecodedImage
from embeddings.settings import Settings
from embeddings.web.fetcher import WebFetcher
from store.base import Collection
from store.testing import MemoryStore

RED = picture("red")


class Held(ToyEmbedder):
    """Counts what it begins to decode, and runs the network only once it may."""

    def __init__(self) -> None:
        super().__init__()
        self.begun = 0
        self.may = threading.Event()

    def submit(self, picture: Picture, box: Box | None = None) -> Future[DecodedImage]:
        self.begun += 1
        return super().submit(picture, box)

    def finish(self, decoded: Sequence[DecodedImage]) -> list[Embedding]:
        assert self.may.wait(30)
        return super().finish(decoded)


def test_no_more_pictures_are_decoded_than_there_is_room_for(tmp_path: Path) -> None:
    async def scene(service: Service, embedder: Held) -> int:
        async with service.running():
            seeing = [asyncio.create_task(service.embed(lambda: RED)) for _ in range(5 * BATCH)]
            seeing[-1].cancel()
            while embedder.begun < 3 * BATCH:
                await asyncio.sleep(0.01)
            for _ in range(50):
                await asyncio.sleep(0)
            begun = embedder.begun
            embedder.may.set()
            seen = await asyncio.gather(*seeing[:-1])
        assert len(seen) == 5 * BATCH - 1
        return begun

    with Held() as embedder:
        service = Service(Settings(data=tmp_path), embedder, MemoryStore(), WebFetcher())
        assert asyncio.run(scene(service, embedder)) == 3 * BATCH
        assert embedder.begun == 5 * BATCH - 1


def test_a_store_that_is_silent_does_not_keep_pictures_out(tmp_path: Path) -> None:
    may = threading.Event()

    def silent(queries: list[Query]) -> list[object]:
        assert may.wait(30)
        return [[] for _ in queries]

    async def scene(service: Service, collection: Collection) -> None:
        def query(vector: np.ndarray) -> Query:
            return Query(collection, vector, 1, 0, (), None)

        async with service.running():
            searches = [
                asyncio.create_task(service.embed_and_search(lambda: RED, None, query)) for _ in range(4 * BATCH)
            ]
            try:
                await asyncio.wait_for(service.embed(lambda: RED), 20)
            finally:
                may.set()
            assert all(found.hits == [] for found in await asyncio.gather(*searches))

    with ToyEmbedder() as embedder:
        store = MemoryStore()
        service = Service(Settings(data=tmp_path), embedder, store, WebFetcher())
        service.collections.search = silent  # type: ignore[method-assign,assignment]
        asyncio.run(scene(service, store.create("photos", TOY)))
