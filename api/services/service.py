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

from api.limits.concurrency import Places
from api.limits.fair_scheduling import FairGate
from api.services.collections import Library, Query
from api.services.dynamic_batcher import Batcher
from api.services.loop_bridge import Arrivals, Together
from api.services.metrics import Metrics
from api.services.url_images import Fetched, Fetching
from embeddings.decode_pool.pool import Picture
from embeddings.embedder import BATCH, Embedding
from embeddings.errors import StoreUnavailable
from embeddings.imaging.decode import Box, DecodedImage, InputSpec
from embeddings.models.identity import ModelIdentity
from embeddings.settings import Settings
from embeddings.utils import processors
from embeddings.web.fetcher import WebFetcher
from store.base import Collection, Store
from store.image_files import Shelves
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


class Embedder(Protocol):
    """What the service needs of embeddings.embedder.Embedder."""

    @property
    def identity(self) -> ModelIdentity: ...
    @property
    def vocabulary(self) -> frozenset[str]: ...
    @property
    def headless(self) -> bool: ...
    @property
    def pool(self) -> Thumbnailer: ...
    def submit(self, picture: Picture, box: Box | None = None) -> Future[DecodedImage]: ...
    def finish(self, decoded: Sequence[DecodedImage]) -> Sequence[Embedding]: ...


@dataclass(frozen=True)
class Seen:
    """A picture's embedding and the seconds it took, waiting included."""

    embedding: Embedding
    decode: float
    network: float


@dataclass(frozen=True)
class Found:
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

    def __init__(self, settings: Settings, embedder: Embedder, store: Store, fetcher: WebFetcher) -> None:
        self.settings = settings
        self.embedder = embedder
        self.metrics = Metrics()
        self.places = Places(settings.queue)
        self.shelves = Shelves(settings.data, settings.max_bytes)
        self.library = Library(store, embedder.identity, lambda: embedder.vocabulary, self.shelves)
        # decoded pictures wait for the engine; the others' files wait on disk, in the turns of their callers
        self._seeing = FairGate(3 * BATCH)
        self._decoding = FairGate(2 * (settings.decode_processes or processors()))
        together = Together()
        self._arrivals = Arrivals(together)
        self._engine: Batcher[_Timed[DecodedImage], Seen] = Batcher("engine", self._finish, BATCH, together)
        self._searches: Batcher[_Timed[Query], Found] = Batcher("search", self._search, BATCH, together)
        self._fetching = Fetching(fetcher, settings.max_bytes)
        self._writing = asyncio.Lock()
        self._calling = FairGate(THREADS)
        self._threads = ThreadPoolExecutor(THREADS, "store")

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Answer requests while the block lasts; what is under way at its end is still done."""
        with self._arrivals.running(), self._threads, self._fetching.running():
            async with self._engine.running(), self._searches.running():
                yield

    async def run(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Return the result of a blocking call, made in one of the service's own threads."""
        call = partial(contextvars.copy_context().run, function, *args, **kwargs)
        async with self._calling.entered():
            return await asyncio.get_running_loop().run_in_executor(self._threads, call)

    async def write(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Do as `run`, one call at a time, so that writers neither mix nor take all the threads."""
        async with self._writing:
            return await self.run(function, *args, **kwargs)

    async def searchable(self, name: str, tags: Sequence[str]) -> Collection:
        """Open a collection for a query. Raises NotFound for an unknown collection or tag, ModelMismatch."""
        lately = None if tags else self.library.opened_lately(name)
        return await self.run(self.library.searchable, name, tags) if lately is None else lately

    @asynccontextmanager
    async def fetched(self, url: str) -> AsyncIterator[Fetched]:
        """Give the picture at a URL while the block lasts.

        Raises Busy, DiskFull, ImageTooLarge, UrlBlocked or UrlUnreachable.
        """
        async with self._fetching.fetched(url) as fetched:
            self.metrics.stage("fetch", fetched.seconds)
            yield fetched

    async def see(self, read: Callable[[], bytes], box: Box | None = None) -> Seen:
        """Decode and embed the picture whose bytes `read` returns. Raises ImageError, or what `read` raises."""
        return await self._arrivals.of(await self._look(read, box))

    async def search(self, query: Query) -> Found:
        """Return the nearest rows."""
        return await self._arrivals.of(self._searches.put(_Timed(query, time.perf_counter())))

    async def see_and_search(
        self, read: Callable[[], bytes], box: Box | None, query: Callable[[np.ndarray], Query]
    ) -> tuple[Seen, Found]:
        """Do as `see`, then as `search` for what `query` makes of the vector."""
        seen = await self._look(read, box)
        asked = self._searches.after(seen, lambda it: _Timed(query(it.embedding.vector), time.perf_counter()))
        found = await self._arrivals.of(asked)
        return seen.result(), found

    async def preview(self, read: Callable[[], bytes]) -> bytes:
        """Return a JPEG of the picture whose bytes `read` returns. Raises ImageError, or what `read` raises."""
        async with self._decoding.entered():
            return await self._arrivals.of(self.embedder.pool.thumbnail(read, PREVIEW_SIDE))

    async def thumbnail(self, collection: str, row: Row) -> bytes:
        """Return the JPEG thumbnail of a row's picture, made now if there is none. Raises NotFound or ImageError."""
        kept = await self.run(self.shelves.thumbnail, row.content_hash)
        if kept is not None:
            return kept
        async with self._decoding.entered():
            read = partial(self.shelves.read, collection, row)
            made = await self._arrivals.of(self.embedder.pool.thumbnail(read, THUMBNAIL_SIDE))
        try:
            await self.run(self.shelves.keep_thumbnail, row.content_hash, made)
        except StoreUnavailable as error:  # it can be shown all the same, and made again
            log.warning("%s", error)
        return made

    async def _look(self, read: Callable[[], bytes], box: Box | None) -> Future[Seen]:
        """Return the future of what the network sees in a picture, once there is room for it."""
        started = time.perf_counter()

        def decoded(image: DecodedImage) -> _Timed[DecodedImage]:
            now = time.perf_counter()
            return _Timed(image, now, now - started)

        with ExitStack() as entered:
            leave_seeing = await self._seeing.enter()
            entered.callback(leave_seeing)
            leave_decoding = await self._decoding.enter()
            entered.callback(leave_decoding)
            decoding = self.embedder.submit(read, box)
            entered.pop_all()  # from here on each is left when its work is done
        seen = self._engine.after(decoding, decoded)
        decoding.add_done_callback(lambda _: self._arrivals.soon(leave_decoding))
        seen.add_done_callback(lambda _: self._arrivals.soon(leave_seeing))
        return seen

    def _finish(self, decoded: list[_Timed[DecodedImage]]) -> list[Seen]:
        self.metrics.batch("network", len(decoded))
        embeddings = self.embedder.finish([one.item for one in decoded])
        now = time.perf_counter()
        seen = [Seen(it, one.decode, now - one.since) for it, one in zip(embeddings, decoded, strict=True)]
        for one in seen:
            self.metrics.stage("decode", one.decode)
            self.metrics.stage("network", one.network)
        return seen

    def _search(self, queries: list[_Timed[Query]]) -> list[Found | Exception]:
        self.metrics.batch("search", len(queries))
        answers = self.library.search([one.item for one in queries])
        now = time.perf_counter()
        for one in queries:
            self.metrics.stage("search", now - one.since)
        return [
            answer if isinstance(answer, Exception) else Found(answer, now - one.since)
            for answer, one in zip(answers, queries, strict=True)
        ]
