"""The service behind the routes: joins decode pool, engine and collections without blocking the event loop."""

import asyncio
import contextvars
import logging
import time
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import ParamSpec, Protocol, TypeVar

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

Timings = dict[str, float]  # seconds by step (fetch, decode, network, search), waiting included


class Thumbnailer(Protocol):
    """Makes thumbnails, and decodes, in a process that can be killed."""

    def thumbnail(self, picture: Picture, side: int) -> Future[bytes]: ...
    def decode(self, picture: Picture, spec: InputSpec) -> Future[DecodedImage]: ...


class ImageEmbedder(Protocol):
    """The part of embeddings.embedder.Embedder that the service uses."""

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
class QueryResult:
    """The nearest rows to a query; `embedding` is None if the vector of an indexed row was the query."""

    embedding: Embedding | None
    hits: list[Hit]
    timings: Timings


class Service:
    """Everything the routes use."""

    def __init__(self, settings: Settings, embedder: ImageEmbedder, store: Store, fetcher: WebFetcher) -> None:
        self.settings = settings
        self.embedder = embedder
        self.metrics = Metrics()
        self.request_limit = ConcurrencyLimit(settings.queue)
        self.image_files = ImageFiles(settings.data, settings.max_bytes)
        self.collections = CollectionService(store, embedder.identity, lambda: embedder.vocabulary, self.image_files)
        # bounds the decoded images that wait for the engine; the files of all others wait on disk
        self._embed_semaphore = asyncio.Semaphore(3 * BATCH)
        self._decode_semaphore = FairSemaphore(2 * (settings.decode_processes or processors()))
        deferred = DeferredCalls()
        self._bridge = LoopBridge(deferred)
        self._engine: DynamicBatcher[DecodedImage, Embedding] = DynamicBatcher(
            "engine", self._embed_batch, BATCH, deferred
        )
        self._searches: DynamicBatcher[Query, list[Hit]] = DynamicBatcher("search", self._search_batch, BATCH, deferred)
        self._fetching = Fetching(fetcher, settings.max_bytes)
        self._write_lock = asyncio.Lock()
        self._threads = ThreadPoolExecutor(THREADS, "store")

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Answer requests while the block lasts; work under way at its end is still done."""
        with self._bridge.running(), self._threads, self._fetching.running():
            async with self._engine.running(), self._searches.running():
                yield

    async def run_in_thread(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Return the result of a blocking call, made in one of the service's own threads."""
        call = partial(contextvars.copy_context().run, function, *args, **kwargs)
        return await asyncio.get_running_loop().run_in_executor(self._threads, call)

    async def run_exclusive(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Do as `run_in_thread`, one call at a time, so that writers neither mix nor take all the threads."""
        async with self._write_lock:
            return await self.run_in_thread(function, *args, **kwargs)

    async def open_for_search(self, name: str, tags: Sequence[str]) -> Collection:
        """Open a collection for a query. Raises NotFound for an unknown collection or tag, ModelMismatch."""
        recent = None if tags else self.collections.opened_recently(name)
        return await self.run_in_thread(self.collections.open_for_search, name, tags) if recent is None else recent

    @asynccontextmanager
    async def fetched(self, url: str) -> AsyncIterator[Fetched]:
        """Yield the image at a URL.

        Raises Busy, DiskFull, ImageTooLarge, UrlBlocked or UrlUnreachable.
        """
        async with self._fetching.fetched(url) as fetched:
            self.metrics.stage("fetch", fetched.seconds)
            yield fetched

    async def embed(
        self, read: Callable[[], bytes], box: Box | None = None, timings: Timings | None = None
    ) -> Embedding:
        """Decode and embed the image whose bytes `read` returns; note the seconds of each step in `timings`.

        Raises ImageError, and the errors of `read`.
        """
        return await self._bridge.wait_for(await self._submit(read, box, {} if timings is None else timings))

    async def search(self, query: Query) -> QueryResult:
        """Return the nearest rows to a vector."""
        timings: Timings = {}
        hits = await self._bridge.wait_for(self._searches.put(query, partial(self._note, timings, "search")))
        return QueryResult(None, hits, timings)

    async def embed_and_search(
        self, read: Callable[[], bytes], box: Box | None, query: Callable[[np.ndarray], Query]
    ) -> QueryResult:
        """Do as `embed`, then as `search` with `query(vector)`."""
        timings: Timings = {}
        embedding = await self._submit(read, box, timings)
        note = partial(self._note, timings, "search")
        hits = await self._bridge.wait_for(self._searches.after(embedding, lambda it: query(it.vector), note))
        return QueryResult(embedding.result(), hits, timings)

    async def preview(self, read: Callable[[], bytes]) -> bytes:
        """Return a JPEG of the image whose bytes `read` returns. Raises ImageError, and the errors of `read`."""
        async with self._decode_semaphore.holding():
            return await self._bridge.wait_for(self.embedder.pool.thumbnail(read, PREVIEW_SIDE))

    async def thumbnail(self, collection: str, row: Row) -> bytes:
        """Return the JPEG thumbnail of a row's image; make it if there is none. Raises NotFound or ImageError."""
        stored = await self.run_in_thread(self.image_files.thumbnail, row.content_hash)
        if stored is not None:
            return stored
        async with self._decode_semaphore.holding():
            read = partial(self.image_files.read, collection, row)
            thumbnail = await self._bridge.wait_for(self.embedder.pool.thumbnail(read, THUMBNAIL_SIDE))
        try:
            await self.run_in_thread(self.image_files.keep_thumbnail, row.content_hash, thumbnail)
        except StoreUnavailable as error:  # it can be shown all the same, and made again
            log.warning("%s", error)
        return thumbnail

    async def _submit(self, read: Callable[[], bytes], box: Box | None, timings: Timings) -> Future[Embedding]:
        """Return the future embedding of an image, once there is room for it."""
        started = time.perf_counter()

        def decoded(image: DecodedImage) -> DecodedImage:
            self._note(timings, "decode", time.perf_counter() - started)
            return image

        with ExitStack() as entered:
            await self._embed_semaphore.acquire()
            entered.callback(self._embed_semaphore.release)
            leave_decoding = await self._decode_semaphore.enter()
            entered.callback(leave_decoding)
            decoding = self.embedder.submit(read, box)
            entered.pop_all()  # from here on, each is left when its work is done
        embedding = self._engine.after(decoding, decoded, partial(self._note, timings, "network"))
        decoding.add_done_callback(lambda _: self._bridge.call_soon(leave_decoding))
        embedding.add_done_callback(lambda _: self._bridge.call_soon(self._embed_semaphore.release))
        return embedding

    def _note(self, timings: Timings, step: str, seconds: float) -> None:
        timings[step] = seconds
        self.metrics.stage(step, seconds)

    def _embed_batch(self, decoded: list[DecodedImage]) -> Sequence[Embedding]:
        self.metrics.batch("network", len(decoded))
        return self.embedder.finish(decoded)

    def _search_batch(self, queries: list[Query]) -> list[list[Hit] | Exception]:
        self.metrics.batch("search", len(queries))
        return self.collections.search(queries)
