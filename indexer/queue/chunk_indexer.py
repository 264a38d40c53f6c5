"""Indexes a chunk of a job: reads, embeds and writes the images that the collection lacks, and records the result."""

import logging
import threading
from collections.abc import Callable, Iterator
from typing import TypeVar

from embeddings.errors import LookalikeError, QueueUnavailable, UsageError
from indexer.jobs.base import JobStatus
from indexer.pipeline.difference import difference
from indexer.pipeline.pipeline import Embeds, IndexPipeline
from indexer.pipeline.progress import Failure, IndexProgress
from indexer.pipeline.writable_collection import CollectionProxy, Stage, WritableCollection
from indexer.queue.cancellation import NotReached, Requeued, StopCondition, Superseded, reason
from indexer.queue.chunks import Chunk, ChunkResult, FailedImage
from indexer.queue.job_resources import JobResources, OpenedJob
from indexer.queue.job_specs import JobSpec
from indexer.queue.job_store import JobStore, ReportResult
from indexer.queue.metrics import MeteredEmbedder, MeteredSource, WorkerMetrics
from indexer.queue.producer import Producer
from indexer.sources.base import Reference, Source

T = TypeVar("T")

log = logging.getLogger(__name__)


class ChunkIndexer:
    """Indexes chunks; safe to use from several threads, so that one chunk is read while another is embedded."""

    def __init__(
        self,
        job_store: JobStore,
        producer: Producer,
        resources: JobResources,
        embedder: Embeds,
        metrics: WorkerMetrics,
        leaving: threading.Event,
        max_bytes: int,
        seconds: float,
    ) -> None:
        """Work on one chunk for `seconds` at most; the rest of it is sent anew."""
        self._job_store = job_store
        self._producer = producer
        self._resources = resources
        self._embedder = MeteredEmbedder(embedder, metrics)
        self._metrics = metrics
        self._leaving = leaving
        self._max_bytes = max_bytes
        self._seconds = seconds

    def index(self, chunk: Chunk) -> None:
        """Index a chunk, unless it is done, or its job has ended or is in a later round."""
        stop = StopCondition.for_round(self._job_store, chunk.job_id, chunk.round, self._leaving, self._seconds)
        try:
            if self._job_store.is_current(chunk.job_id, chunk.round) and not self._job_store.is_done(chunk):
                self._index(chunk, stop)
        except Superseded:
            return
        except Requeued:
            self._hand_back(chunk)
        except QueueUnavailable as error:  # the message comes again, or the job is planned again
            log.warning("%s", error.message)
        except LookalikeError as error:
            log.warning("job %s failed: %s", chunk.job_id, error.message)
            self._job_store.end(chunk.job_id, chunk.round, JobStatus.FAILED, reason=reason(error))

    def _hand_back(self, chunk: Chunk) -> None:
        try:
            self._producer.chunks([chunk])
        except QueueUnavailable as error:
            log.warning("%s", error.message)

    def _index(self, chunk: Chunk, stop: StopCondition) -> None:
        spec = self._job_store.spec(chunk.job_id)
        if spec is None:
            raise Superseded
        opened = stop.retrying(self._resources.open, spec)
        _check_name(chunk, opened.source, spec)

        def run(stage: Stage, call: Callable[[], T]) -> T:
            with self._metrics.timed(stage):
                return stop.run(stage, call)

        collection = CollectionProxy(opened.collection, run)
        result, rest = self._write(chunk, OpenedJob(opened.source, collection), spec, stop)
        if len(rest) == len(chunk.references):
            raise Requeued
        self._metrics.count_chunk(result)
        further = [chunk.rest(rest)] if rest else []
        report = stop.retrying(self._job_store.record, chunk, result, len(further))
        if report is not ReportResult.STALE:
            stop.retrying(self._producer.chunks, further)
        if report is ReportResult.COMPLETE:
            stop.retrying(self._producer.plan, chunk.job_id, chunk.round)

    def _write(
        self, chunk: Chunk, opened: OpenedJob, spec: JobSpec, stop: StopCondition
    ) -> tuple[ChunkResult, list[Reference]]:
        """Index the references; return the result, and those that were not begun before it was time to stop."""
        progress, source, collection = IndexProgress(), opened.source, opened.collection
        metered = MeteredSource(source, lambda: _check(stop), self._metrics)
        pipeline = IndexPipeline(metered, collection, self._embedder, self._max_bytes, progress, lambda _: stop.look())
        pipeline.add(_missing(source, chunk.references, collection))
        removed = 0
        if spec.prune and pipeline.moved:
            collection.delete(pipeline.moved)
            removed = len(pipeline.moved)
        left = {failure.path for failure in progress.failures if failure.code == NotReached.code}
        rest = [reference for reference in chunk.references if reference.path in left]
        failures = tuple(_shown(source, failure) for failure in progress.failures if failure.path not in left)
        done = len(chunk.references) - len(rest) - len(failures)
        copied = min(progress.copied, done)
        return ChunkResult(done - copied, copied, removed, failures), rest


def _check(stop: StopCondition) -> None:
    """Raise Superseded, or NotReached when no further image may be begun."""
    stop.look()
    if stop.over:
        raise NotReached


def _missing(source: Source, references: tuple[Reference, ...], collection: WritableCollection) -> Iterator[Reference]:
    """Yield the images that the collection lacks; a worker that vanished before its report may have indexed some.

    That was longer ago than a lookup without `strong` can miss. An image that it misses all the same is indexed
    again, which changes nothing.
    """
    for block in difference(source.name, references, collection, strong=False):
        yield from block.new


def _shown(source: Source, failure: Failure) -> FailedImage:
    """Return a failure of a MeteredSource, whose path is the source's own, with the path that people are shown."""
    return FailedImage(failure.path, Failure(source.shown(failure.path), failure.code, failure.message))


def _check_name(chunk: Chunk, source: Source, spec: JobSpec) -> None:
    """Raise UsageError if the planner found the source elsewhere than this worker: row ids would differ."""
    if source.name != chunk.source:
        raise UsageError(
            f"{spec.source!r} is at {source.name} for one worker and at {chunk.source} for another: "
            "mount it at the same place on every machine"
        )
