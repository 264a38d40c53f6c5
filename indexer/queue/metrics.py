"""What a worker counts and times, for Prometheus and for those who ask how workers do."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, Counter, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from embeddings.decode_pool.pool import Picture
from embeddings.embedder import Embedding
from embeddings.errors import QueueUnavailable
from embeddings.imaging.decode import Box, DecodedImage
from indexer.pipeline.ledger import WritableCollection
from indexer.pipeline.pipeline import Embeds
from indexer.queue.chunks import ChunkResult
from indexer.sources.base import Reference, Source, Unlistable
from store.records import IndexedFile, Row


class WorkerMetrics:
    """Counters of one worker; safe to use from several threads."""

    def __init__(self, measured: "WorkerGauges") -> None:
        """Count from zero; `measured` gives what is looked up when somebody asks."""
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.registry.register(measured)
        self._images = Counter("lookalike_images", "Images dealt with", ("outcome",), registry=self.registry)
        self._failures = Counter("lookalike_failures", "Images that failed", ("code",), registry=self.registry)
        self._chunks = Counter("lookalike_chunks", "Chunks recorded", registry=self.registry)
        self._bytes = Counter("lookalike_bytes", "Bytes of images read", registry=self.registry)
        self._seconds = Counter(
            "lookalike_busy_seconds",
            "Seconds spent in a stage, summed over threads",
            ("stage",),
            registry=self.registry,
        )
        self.images = 0

    def chunk(self, outcome: ChunkResult) -> None:
        """Count a chunk."""
        numbers = {"indexed": outcome.indexed, "copied": outcome.copied, "failed": len(outcome.failed)}
        for name, number in numbers.items():
            self._images.labels(name).inc(number)
        for failed in outcome.failed:
            self._failures.labels(failed.failure.code).inc()
        self._chunks.inc()
        self.images += sum(numbers.values())

    def read(self, number: int) -> None:
        """Count bytes."""
        self._bytes.inc(number)

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Count the seconds that the block takes."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self._seconds.labels(stage).inc(time.perf_counter() - began)


class WorkerGauges(Collector):
    """What is looked up when somebody asks: the depth of the queues, seconds of decoding, memory of the device."""

    def __init__(
        self, depths: Callable[[], Mapping[str, int]], decoding: Callable[[], float], memory: Callable[[], int]
    ) -> None:
        """Take how each is found out; `depths` gives messages waiting by queue."""
        self._depths = depths
        self._decoding = decoding
        self._memory = memory

    def collect(self) -> Iterator[Metric]:
        """Yield the figures; a queue that does not answer has none."""
        waiting = GaugeMetricFamily("lookalike_queue_messages", "Messages that wait in Redis", labels=["queue"])
        try:
            for queue, number in self._depths().items():
                waiting.add_metric([queue], number)
        except QueueUnavailable:
            pass
        yield waiting
        yield CounterMetricFamily("lookalike_decode_seconds", "Seconds spent decoding", value=self._decoding())
        yield GaugeMetricFamily(
            "lookalike_device_memory_bytes", "Bytes of the device's own memory in use", value=self._memory()
        )


class MeteredSource:
    """A source whose reading is counted and can be stopped; paths are shown as the source itself has them."""

    def __init__(self, source: Source, check: Callable[[], None], metrics: WorkerMetrics) -> None:
        """Call `check` before each image is read; what it raises is raised there."""
        self.name = source.name
        self._source = source
        self._check = check
        self._metrics = metrics

    def references(self) -> Iterator[Reference | Unlistable]:
        """See Source."""
        return self._source.references()

    def fetch(self, path: str, max_bytes: int) -> bytes:
        """See Source."""
        self._check()
        with self._metrics.timed("read"):
            data = self._source.fetch(path, max_bytes)
        self._metrics.read(len(data))
        return data

    def is_gone(self, path: str) -> bool:
        """See Source."""
        return self._source.is_gone(path)

    def shown(self, path: str) -> str:
        """Return the path as it is."""
        return path


class MeteredCollection:
    """A collection whose calls are timed; see WritableCollection."""

    def __init__(self, collection: WritableCollection, metrics: WorkerMetrics) -> None:
        """Time calls to `collection`."""
        self._collection = collection
        self._metrics = metrics

    def upsert(self, rows: Sequence[Row]) -> None:
        with self._metrics.timed("write"):
            self._collection.upsert(rows)

    def delete(self, ids: Sequence[str]) -> None:
        with self._metrics.timed("write"):
            self._collection.delete(ids)

    def known(self, source: str | None = None) -> Iterator[IndexedFile]:
        return self._collection.known(source)

    def lookup(self, ids: Sequence[str], strong: bool = True) -> dict[str, IndexedFile]:
        with self._metrics.timed("compare"):
            return self._collection.lookup(ids, strong)

    def find_content(self, hashes: Sequence[str]) -> dict[str, Row]:
        with self._metrics.timed("compare"):
            return self._collection.find_content(hashes)

    def flush(self) -> None:
        self._collection.flush()


class MeteredEmbedder:
    """An embedder whose network is timed; see Embeds."""

    def __init__(self, embedder: Embeds, metrics: WorkerMetrics) -> None:
        """Time `embedder`."""
        self._embedder = embedder
        self._metrics = metrics

    def submit(self, picture: Picture, box: Box | None = None) -> Future[DecodedImage]:
        return self._embedder.submit(picture, box)

    def finish(self, decoded: Sequence[DecodedImage]) -> Sequence[Embedding]:
        with self._metrics.timed("network"):
            return self._embedder.finish(decoded)
