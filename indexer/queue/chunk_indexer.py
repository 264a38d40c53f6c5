"""Indexes a chunk: what of it is still missing is read, embedded and written, and what became of it is recorded."""

import logging
import threading
from collections.abc import Iterator

from embeddings.errors import LookalikeError, QueueUnavailable, UsageError
from indexer.jobs.base import State
from indexer.pipeline.difference import difference
from indexer.pipeline.ledger import Ledger
from indexer.pipeline.pipeline import Embeds, Indexing
from indexer.pipeline.progress import Failure, Progress
from indexer.queue.cancellation import Dropped, HandedBack, NotReached, Patient, Stop, reason
from indexer.queue.chunks import Chunk, Failed, Outcome
from indexer.queue.job_resources import Opened, Openings
from indexer.queue.job_specs import Order
from indexer.queue.job_store import Records, Verdict
from indexer.queue.metrics import Figures, WatchedEmbedder, WatchedLedger, WatchedSource
from indexer.queue.producer import Sender
from indexer.sources.base import Reference, Source

log = logging.getLogger(__name__)


class ChunkIndexer:
    """Indexes chunks; safe to use from several threads, so that one reads while another's images are embedded."""

    def __init__(
        self,
        records: Records,
        sender: Sender,
        openings: Openings,
        embedder: Embeds,
        figures: Figures,
        leaving: threading.Event,
        max_bytes: int,
        seconds: float,
    ) -> None:
        """Be at one chunk for `seconds` at most; what is left of it then is sent anew."""
        self._records = records
        self._sender = sender
        self._openings = openings
        self._embedder = WatchedEmbedder(embedder, figures)
        self._figures = figures
        self._leaving = leaving
        self._max_bytes = max_bytes
        self._seconds = seconds

    def index(self, chunk: Chunk) -> None:
        """Index a chunk, unless it is done, or its job has ended or is in a later round."""
        stop = Stop.of_round(self._records, chunk.job_id, chunk.round, self._leaving, self._seconds)
        try:
            if self._records.is_current(chunk.job_id, chunk.round) and not self._records.is_done(chunk):
                self._index(chunk, stop)
        except Dropped:
            return
        except HandedBack:
            self._hand_back(chunk)
        except QueueUnavailable as error:  # the message comes again, or the job's difference is taken again
            log.warning("%s", error.message)
        except LookalikeError as error:
            log.warning("job %s failed: %s", chunk.job_id, error.message)
            self._records.end(chunk.job_id, chunk.round, State.FAILED, reason=reason(error))

    def _hand_back(self, chunk: Chunk) -> None:
        try:
            self._sender.chunks([chunk])
        except QueueUnavailable as error:
            log.warning("%s", error.message)

    def _index(self, chunk: Chunk, stop: Stop) -> None:
        order = self._records.order(chunk.job_id)
        if order is None:
            raise Dropped
        opened = stop.patiently(self._openings.open, order)
        _check_place(chunk, opened.source, order)
        outcome, rest = self._write(chunk, Opened(opened.source, Patient(opened.collection, stop)), order, stop)
        if len(rest) == len(chunk.references):
            raise HandedBack
        self._figures.chunk(outcome)
        further = [chunk.rest(rest)] if rest else []
        verdict = stop.patiently(self._records.record, chunk, outcome, len(further))
        if verdict is not Verdict.STALE:
            stop.patiently(self._sender.chunks, further)
        if verdict is Verdict.COMPLETE:
            stop.patiently(self._sender.plan, chunk.job_id, chunk.round)

    def _write(self, chunk: Chunk, opened: Opened, order: Order, stop: Stop) -> tuple[Outcome, list[Reference]]:
        """Return what became of the references, and those that were not begun before it was time to stop."""
        progress, source = Progress(), opened.source
        collection = WatchedLedger(opened.collection, self._figures)
        watched = WatchedSource(source, lambda: _check(stop), self._figures)
        indexing = Indexing(watched, collection, self._embedder, self._max_bytes, progress, lambda _: stop.look())
        indexing.add(_missing(source, chunk.references, collection))
        removed = 0
        if order.prune and indexing.moved:
            collection.delete(indexing.moved)
            removed = len(indexing.moved)
        left = {failure.path for failure in progress.failures if failure.code == NotReached.code}
        rest = [reference for reference in chunk.references if reference.path in left]
        failures = tuple(_shown(source, failure) for failure in progress.failures if failure.path not in left)
        done = len(chunk.references) - len(rest) - len(failures)
        copied = min(progress.copied, done)
        return Outcome(done - copied, copied, removed, failures), rest


def _check(stop: Stop) -> None:
    """Raise Dropped, or NotReached where no image is to be begun any more."""
    stop.look()
    if stop.over:
        raise NotReached


def _missing(source: Source, references: tuple[Reference, ...], collection: Ledger) -> Iterator[Reference]:
    """Yield what the collection does not have: it may have been indexed by a worker that vanished before it said so.

    That was longer ago than a quick look can miss; what it misses all the same is done again, and changes nothing.
    """
    for block in difference(source.name, references, collection, sure=False):
        yield from block.new


def _shown(source: Source, failure: Failure) -> Failed:
    """Take a failure by the path that the source has, as `WatchedSource` gives it."""
    return Failed(failure.path, Failure(source.shown(failure.path), failure.code, failure.message))


def _check_place(chunk: Chunk, source: Source, order: Order) -> None:
    """Raise UsageError if this worker finds the source elsewhere: its rows would be other rows."""
    if source.name != chunk.source:
        raise UsageError(
            f"{order.source!r} is at {source.name} for one worker and at {chunk.source} for another: "
            "mount it at the same place on every machine"
        )
