"""Counts and times the work of a worker, for Prometheus and for the list of workers."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, Counter, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from embeddings.embedder import Embedding
from embeddings.errors import ImageError, QueueUnavailable
from embeddings.imaging.decode import DecodedImage
from embeddings.tagging.base import TagSource
from indexer.pipeline.pipeline import Embeds
from indexer.queue.chunks import ChunkResult
from indexer.sources.base import Reference, Source, Unlistable


class WorkerMetrics:
    """Counters of one worker; safe to use from several threads."""

    def __init__(self, gauges: "WorkerGauges") -> None:
        """Count from zero; `gauges` are read when Prometheus asks."""
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.registry.register(gauges)
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

    def count_chunk(self, result: ChunkResult) -> None:
        """Count a chunk and its images."""
        numbers = {"indexed": result.indexed, "copied": result.copied, "failed": len(result.failed)}
        for outcome, number in numbers.items():
            self._images.labels(outcome).inc(number)
        for failed in result.failed:
            self._failures.labels(failed.failure.code).inc()
        self._chunks.inc()
        self.images += sum(numbers.values())

    def count_bytes(self, number: int) -> None:
        """Count bytes that were read."""
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
    """Figures that are read when Prometheus asks: the depth of the queues, seconds of decoding, device memory."""

    def __init__(
        self, depths: Callable[[], Mapping[str, int]], decoding: Callable[[], float], memory: Callable[[], int]
    ) -> None:
        """Take a function for each figure; `depths` returns the number of waiting messages by queue."""
        self._depths = depths
        self._decoding = decoding
        self._memory = memory

    def collect(self) -> Iterator[Metric]:
        """Yield the figures; a queue that does not answer is left out."""
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
    """A source whose reads are counted and can be stopped; `shown` returns paths unchanged."""

    def __init__(self, source: Source, check: Callable[[], None], metrics: WorkerMetrics) -> None:
        """Call `check` before each image is read; its exceptions are raised by `fetch`."""
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
        self._metrics.count_bytes(len(data))
        return data

    def is_gone(self, path: str) -> bool:
        """See Source."""
        return self._source.is_gone(path)

    def shown(self, path: str) -> str:
        """Return the path unchanged."""
        return path


class MeteredEmbedder:
    """An embedder that times its network; see Embeds."""

    def __init__(self, embedder: Embeds, metrics: WorkerMetrics) -> None:
        """Time the network of `embedder`."""
        self._embedder = embedder
        self._metrics = metrics

    @property
    def tagger(self) -> TagSource:
        return self._embedder.tagger

    @property
    def batch(self) -> int:
        return self._embedder.batch

    def submit_group(self, files: Sequence[bytes]) -> Future[list[DecodedImage | ImageError]]:
        return self._embedder.submit_group(files)

    def finish(self, decoded: Sequence[DecodedImage]) -> Sequence[Embedding]:
        with self._metrics.timed("network"):
            return self._embedder.finish(decoded)
