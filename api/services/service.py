"""The service behind the routes: decode pool, engine and collections, joined without blocking the event loop."""

import asyncio
import contextvars
import logging
import time
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Generic, ParamSpec, Protocol, TypeVar

import numpy as np

from api.limits.concurrency import ConcurrencyLimit
from api.limits.fair_scheduling import FairSemaphore
from api.services.collections import CollectionService, Query
from api.services.dynamic_batcher import DynamicBatcher
from api.services.loop_bridge import DeferredCalls, LoopBridge
from api.services.metrics import Metrics
from api.services.url_images import Fetched, Fetching
from embeddings.decode_pool.pool import Picture
from embeddings.embedder import BATCH, Embedding
from embeddings.errors import StoreUnavailable
from embeddings.imaging.decode import Box, DecodedImage, InputSpec
from embeddings.models.identity import ModelIdentity
from embeddings.settings import Settings
from embeddings.tagging.tagger import Tagger
from embeddings.utils import processors
from embeddings.web.fetcher import WebFetcher
from store.base import Collection, Store
from store.image_files import ImageFiles
from store.records import Hit, Row

log = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")

THREADS = 8
THUMBNAIL_SIDE = 320
PREVIEW_SIDE = 960


class Thumbnailer(Protocol):
    """What makes thumbnails, and decodes, in a process that may be killed."""

    def thumbnail(self, picture: Picture, side: int) -> Future[bytes]: ...
    def decode(self, picture: Picture, spec: InputSpec) -> Future[DecodedImage]: ...


class ImageEmbedder(Protocol):
    """What the service needs of embeddings.embedder.Embedder."""

    @property
    def identity(self) -> ModelIdentity: ...
    @property
    def tagger(self) -> Tagger: ...
    @property
    def vocabulary(self) -> frozenset[str]: ...
    @property
    def headless(self) -> bool: ...
    @property
    def pool(self) -> Thumbnailer: ...
    def submit(self, picture: Picture, box: Box | None = None) -> Future[DecodedImage]: ...
    def finish(self, decoded: Sequence[DecodedImage]) -> Sequence[Embedding]: ...


@dataclass(frozen=True)
class EmbeddedImage:
    """A picture's embedding and the seconds it took, waiting included."""

    embedding: Embedding
    decode: float
    network: float


@dataclass(frozen=True)
class SearchHits:
    """The nearest rows and the seconds it took to find them, waiting included."""

    hits: list[Hit]
    seconds: float


@dataclass(frozen=True)
class _Timed(Generic[T]):
    """What waits, and since when."""

    item: T
    since: float
    decode: float = 0.0  # seconds


class Service:
    """Everything the routes use."""

    def __init__(self, settings: Settings, embedder: ImageEmbedder, store: Store, fetcher: WebFetcher) -> None:
        self.settings = settings
        self.embedder = embedder
        self.metrics = Metrics()
        self.limit = ConcurrencyLimit(settings.queue)
        self.image_files = ImageFiles(settings.data, settings.max_bytes)
        self.collections = CollectionService(store, embedder.identity, lambda: embedder.vocabulary, self.image_files)
        # decoded pictures wait for the engine; the others' files wait on disk, in the turns of their callers
        self._engine_room = FairSemaphore(3 * BATCH)
        self._decode_slots = FairSemaphore(2 * (settings.decode_processes or processors()))
        deferred = DeferredCalls()
        self._bridge = LoopBridge(deferred)
        self._engine: DynamicBatcher[_Timed[DecodedImage], EmbeddedImage] = DynamicBatcher(
            "engine", self._finish, BATCH, deferred
        )
        self._searches: DynamicBatcher[_Timed[Query], SearchHits] = DynamicBatcher(
            "search", self._search, BATCH, deferred
        )
        self._fetching = Fetching(fetcher, settings.max_bytes)
        self._write_lock = asyncio.Lock()
        self._thread_slots = FairSemaphore(THREADS)
        self._threads = ThreadPoolExecutor(THREADS, "store")

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Answer requests while the block lasts; what is under way at its end is still done."""
        with self._bridge.running(), self._threads, self._fetching.running():
            async with self._engine.running(), self._searches.running():
                yield

    async def run_in_thread(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Return the result of a blocking call, made in one of the service's own threads."""
        call = partial(contextvars.copy_context().run, function, *args, **kwargs)
        async with self._thread_slots.holding():
            return await asyncio.get_running_loop().run_in_executor(self._threads, call)

    async def run_exclusive(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Do as `run_in_thread`, one call at a time, so that writers neither mix nor take all the threads."""
        async with self._write_lock:
            return await self.run_in_thread(function, *args, **kwargs)

    async def open_for_search(self, name: str, tags: Sequence[str]) -> Collection:
        """Open a collection for a query. Raises NotFound for an unknown collection or tag, ModelMismatch."""
        lately = None if tags else self.collections.opened_recently(name)
        return await self.run_in_thread(self.collections.open_for_search, name, tags) if lately is None else lately

    @asynccontextmanager
    async def fetched(self, url: str) -> AsyncIterator[Fetched]:
        """Give the picture at a URL while the block lasts.

        Raises Busy, DiskFull, ImageTooLarge, UrlBlocked or UrlUnreachable.
        """
        async with self._fetching.fetched(url) as fetched:
            self.metrics.stage("fetch", fetched.seconds)
            yield fetched

    async def embed(self, read: Callable[[], bytes], box: Box | None = None) -> EmbeddedImage:
        """Decode and embed the picture whose bytes `read` returns. Raises ImageError, or what `read` raises."""
        return await self._bridge.wait_for(await self._submit(read, box))

    async def search(self, query: Query) -> SearchHits:
        """Return the nearest rows."""
        return await self._bridge.wait_for(self._searches.put(_Timed(query, time.perf_counter())))

    async def embed_and_search(
        self, read: Callable[[], bytes], box: Box | None, query: Callable[[np.ndarray], Query]
    ) -> tuple[EmbeddedImage, SearchHits]:
        """Do as `embed`, then as `search` for what `query` makes of the vector."""
        seen = await self._submit(read, box)
        asked = self._searches.after(seen, lambda it: _Timed(query(it.embedding.vector), time.perf_counter()))
        found = await self._bridge.wait_for(asked)
        return seen.result(), found

    async def preview(self, read: Callable[[], bytes]) -> bytes:
        """Return a JPEG of the picture whose bytes `read` returns. Raises ImageError, or what `read` raises."""
        async with self._decode_slots.holding():
            return await self._bridge.wait_for(self.embedder.pool.thumbnail(read, PREVIEW_SIDE))

    async def thumbnail(self, collection: str, row: Row) -> bytes:
        """Return the JPEG thumbnail of a row's picture, made now if there is none. Raises NotFound or ImageError."""
        kept = await self.run_in_thread(self.image_files.thumbnail, row.content_hash)
        if kept is not None:
            return kept
        async with self._decode_slots.holding():
            read = partial(self.image_files.read, collection, row)
            made = await self._bridge.wait_for(self.embedder.pool.thumbnail(read, THUMBNAIL_SIDE))
        try:
            await self.run_in_thread(self.image_files.keep_thumbnail, row.content_hash, made)
        except StoreUnavailable as error:  # it can be shown all the same, and made again
            log.warning("%s", error)
        return made

    async def _submit(self, read: Callable[[], bytes], box: Box | None) -> Future[EmbeddedImage]:
        """Return the future of what the network sees in a picture, once there is room for it."""
        started = time.perf_counter()

        def decoded(image: DecodedImage) -> _Timed[DecodedImage]:
            now = time.perf_counter()
            return _Timed(image, now, now - started)

        with ExitStack() as entered:
            leave_seeing = await self._engine_room.enter()
            entered.callback(leave_seeing)
            leave_decoding = await self._decode_slots.enter()
            entered.callback(leave_decoding)
            decoding = self.embedder.submit(read, box)
            entered.pop_all()  # from here on each is left when its work is done
        seen = self._engine.after(decoding, decoded)
        decoding.add_done_callback(lambda _: self._bridge.call_soon(leave_decoding))
        seen.add_done_callback(lambda _: self._bridge.call_soon(leave_seeing))
        return seen

    def _finish(self, decoded: list[_Timed[DecodedImage]]) -> list[EmbeddedImage]:
        self.metrics.batch("network", len(decoded))
        embeddings = self.embedder.finish([one.item for one in decoded])
        now = time.perf_counter()
        seen = [EmbeddedImage(it, one.decode, now - one.since) for it, one in zip(embeddings, decoded, strict=True)]
        for one in seen:
            self.metrics.stage("decode", one.decode)
            self.metrics.stage("network", one.network)
        return seen

    def _search(self, queries: list[_Timed[Query]]) -> list[SearchHits | Exception]:
        self.metrics.batch("search", len(queries))
        answers = self.collections.search([one.item for one in queries])
        now = time.perf_counter()
        for one in queries:
            self.metrics.stage("search", now - one.since)
        return [
            answer if isinstance(answer, Exception) else SearchHits(answer, now - one.since)
            for answer, one in zip(answers, queries, strict=True)
        ]
