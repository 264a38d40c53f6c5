"""Indexes a chunk: what of it is still missing is read, embedded and written, and what became of it is recorded."""

import logging
import threading
from collections.abc import Iterator

from embeddings.errors import LookalikeError, QueueUnavailable, UsageError
from indexer.jobs.base import JobStatus
from indexer.pipeline.difference import difference
from indexer.pipeline.ledger import WritableCollection
from indexer.pipeline.pipeline import Embeds, IndexPipeline
from indexer.pipeline.progress import Failure, IndexProgress
from indexer.queue.cancellation import NotReached, Requeued, RetryingCollection, StopCondition, Superseded, reason
from indexer.queue.chunks import Chunk, ChunkResult, FailedImage
from indexer.queue.job_resources import JobResources, OpenedJob
from indexer.queue.job_specs import JobSpec
from indexer.queue.job_store import JobStore, ReportResult
from indexer.queue.metrics import MeteredCollection, MeteredEmbedder, MeteredSource, WorkerMetrics
from indexer.queue.producer import Producer
from indexer.sources.base import Reference, Source

log = logging.getLogger(__name__)


class ChunkIndexer:
    """Indexes chunks; safe to use from several threads, so that one reads while another's images are embedded."""

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
        """Be at one chunk for `seconds` at most; what is left of it then is sent anew."""
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
        except QueueUnavailable as error:  # the message comes again, or the job's difference is taken again
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
        _check_place(chunk, opened.source, spec)
        outcome, rest = self._write(
            chunk, OpenedJob(opened.source, RetryingCollection(opened.collection, stop)), spec, stop
        )
        if len(rest) == len(chunk.references):
            raise Requeued
        self._metrics.chunk(outcome)
        further = [chunk.rest(rest)] if rest else []
        verdict = stop.retrying(self._job_store.record, chunk, outcome, len(further))
        if verdict is not ReportResult.STALE:
            stop.retrying(self._producer.chunks, further)
        if verdict is ReportResult.COMPLETE:
            stop.retrying(self._producer.plan, chunk.job_id, chunk.round)

    def _write(
        self, chunk: Chunk, opened: OpenedJob, spec: JobSpec, stop: StopCondition
    ) -> tuple[ChunkResult, list[Reference]]:
        """Return what became of the references, and those that were not begun before it was time to stop."""
        progress, source = IndexProgress(), opened.source
        collection = MeteredCollection(opened.collection, self._metrics)
        watched = MeteredSource(source, lambda: _check(stop), self._metrics)
        indexing = IndexPipeline(watched, collection, self._embedder, self._max_bytes, progress, lambda _: stop.look())
        indexing.add(_missing(source, chunk.references, collection))
        removed = 0
        if spec.prune and indexing.moved:
            collection.delete(indexing.moved)
            removed = len(indexing.moved)
        left = {failure.path for failure in progress.failures if failure.code == NotReached.code}
        rest = [reference for reference in chunk.references if reference.path in left]
        failures = tuple(_shown(source, failure) for failure in progress.failures if failure.path not in left)
        done = len(chunk.references) - len(rest) - len(failures)
        copied = min(progress.copied, done)
        return ChunkResult(done - copied, copied, removed, failures), rest


def _check(stop: StopCondition) -> None:
    """Raise Dropped, or NotReached where no image is to be begun any more."""
    stop.look()
    if stop.over:
        raise NotReached


def _missing(source: Source, references: tuple[Reference, ...], collection: WritableCollection) -> Iterator[Reference]:
    """Yield what the collection does not have: it may have been indexed by a worker that vanished before it said so.

    That was longer ago than a quick look can miss; what it misses all the same is done again, and changes nothing.
    """
    for block in difference(source.name, references, collection, strong=False):
        yield from block.new


def _shown(source: Source, failure: Failure) -> FailedImage:
    """Take a failure by the path that the source has, as `MeteredSource` gives it."""
    return FailedImage(failure.path, Failure(source.shown(failure.path), failure.code, failure.message))


def _check_place(chunk: Chunk, source: Source, spec: JobSpec) -> None:
    """Raise UsageError if this worker finds the source elsewhere: its rows would be other rows."""
    if source.name != chunk.source:
        raise UsageError(
            f"{spec.source!r} is at {source.name} for one worker and at {chunk.source} for another: "
            "mount it at the same place on every machine"
        )
