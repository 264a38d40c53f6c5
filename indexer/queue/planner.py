"""Plans a round of a job: lists the source, compares it with the collection, sends the missing images in chunks.

A round in which nothing is missing ends the job, so the last step of a job is a comparison.
"""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from embeddings.errors import LookalikeError, QueueUnavailable
from indexer.jobs.base import JobStatus
from indexer.pipeline.difference import difference
from indexer.pipeline.lister import PrefetchIterator, chunks
from indexer.pipeline.progress import Failure
from indexer.pipeline.pruning import SeenIds
from indexer.pipeline.writable_collection import CollectionProxy
from indexer.queue.cancellation import Requeued, StopCondition, Superseded, reason
from indexer.queue.chunks import Chunk, FailedImage
from indexer.queue.job_resources import JobResources, OpenedJob
from indexer.queue.job_store import PLANNER_SECONDS, JobState, JobStore, ReportResult
from indexer.queue.producer import Producer
from indexer.sources.base import Reference, Unlistable

log = logging.getLogger(__name__)

FRUITLESS_ROUNDS = 3  # after which images that are still missing have failed
_LOST = "it was sent to workers again and again and is still not indexed: look at their logs, then retry the job"


@dataclass
class _Round:
    """The comparison of one round."""

    found: int = 0
    unchanged: int = 0
    missing: int = 0
    failed: list[FailedImage] = field(default_factory=list)
    seen: SeenIds = field(default_factory=SeenIds)


class Planner:
    """Plans rounds; safe to use from several threads."""

    def __init__(
        self,
        job_store: JobStore,
        producer: Producer,
        resources: JobResources,
        leaving: threading.Event,
        name: str,
        chunk: int,
    ) -> None:
        """Plan as the worker `name`, in chunks of `chunk` references, until `leaving` is set."""
        self._job_store = job_store
        self._producer = producer
        self._resources = resources
        self._leaving = leaving
        self._name = name
        self._chunk = chunk

    def plan(self, job_id: str, after: int) -> None:
        """Begin the round after `after`; does nothing if it has begun already, or the job has ended."""
        round_ = self._job_store.begin(job_id, after)
        job_state = self._job_store.job_state(job_id) if round_ else None
        if job_state is None:
            return
        stop = StopCondition.for_round(self._job_store, job_id, round_, self._leaving)
        with self._held(job_id):
            try:
                self._plan(job_state, stop)
            except Superseded:
                return
            except Requeued:
                self._job_store.release(job_id)
                self._producer.plan(job_id, round_)
            except QueueUnavailable as error:  # the recovery loop finds a job without a planner
                log.warning("%s", error.message)
            except LookalikeError as error:
                log.warning("job %s failed: %s", job_id, error.message)
                self._job_store.end(job_id, round_, JobStatus.FAILED, reason=reason(error))

    def _plan(self, job_state: JobState, stop: StopCondition) -> None:
        job_id, round_ = job_state.spec.id, job_state.round
        resources = stop.retrying(self._resources.open, job_state.spec)
        opened = OpenedJob(resources.source, CollectionProxy(resources.collection, stop.run))
        compared = self._send_missing(job_state, opened, stop)
        if compared.missing == 0:
            self._end(job_state, opened, compared, stop)
            return
        fruitless = 0 <= job_state.missing <= compared.missing
        attempts = job_state.attempts + 1 if fruitless else 0
        self._job_store.note(job_id, round_, missing=compared.missing, attempts=attempts)
        if self._job_store.planned(job_id, round_) is ReportResult.COMPLETE:
            self._producer.plan(job_id, round_)

    def _send_missing(self, job_state: JobState, opened: OpenedJob, stop: StopCondition) -> _Round:
        """Send every image that the collection lacks and that is not known to fail."""
        compared = _Round()
        job_id, round_ = job_state.spec.id, job_state.round
        with PrefetchIterator(opened.source.references()) as listed:
            missing = self._missing(job_state, opened, listed, compared, stop)
            for number, references in enumerate(chunks(missing, self._chunk)):
                chunk = Chunk(job_id, round_, f"{round_}.{number}", opened.source.name, tuple(references))
                if not self._job_store.sending(job_id, round_, 1):
                    raise Superseded
                self._producer.chunks([chunk])
            compared.found = listed.found
        return compared

    def _missing(
        self,
        job_state: JobState,
        opened: OpenedJob,
        listed: PrefetchIterator[Reference | Unlistable],
        compared: _Round,
        stop: StopCondition,
    ) -> Iterator[Reference]:
        known_to_fail = {failed.path: failed for failed in self._job_store.failures(job_state.spec.id)}
        given_up = job_state.attempts >= FRUITLESS_ROUNDS
        for block in difference(opened.source.name, listed, opened.collection):
            if stop.over:
                raise Requeued
            stop.look()
            compared.seen.add(block.ids)
            compared.unchanged += block.unchanged
            for item in block.unlistable:
                compared.seen.mark_unreadable(item.path)
                shown = Failure(opened.source.shown(item.path), item.error.code, item.error.message)
                compared.failed.append(FailedImage(item.path, shown))
            for reference in block.new:
                if reference.path in known_to_fail:
                    compared.failed.append(known_to_fail[reference.path])
                elif given_up:
                    lost = Failure(opened.source.shown(reference.path), "not_indexed", _LOST)
                    compared.failed.append(FailedImage(reference.path, lost))
                else:
                    compared.missing += 1
                    yield reference
            if job_state.missing < 0:  # only the first round counts; later rounds see the same images again
                self._job_store.note(
                    job_state.spec.id,
                    job_state.round,
                    found=listed.found,
                    skipped=compared.unchanged,
                    unlistable=len(compared.failed),
                )

    def _end(self, job_state: JobState, opened: OpenedJob, compared: _Round, stop: StopCondition) -> None:
        """Remove the rows of images that are gone, and end the job with counts that always add up."""
        job_id, source, collection = job_state.spec.id, opened.source, opened.collection
        job = self._job_store.job(job_id)
        if job is None:
            raise Superseded
        removed = job.removed
        if job_state.spec.prune:
            gone = stop.retrying(lambda: compared.seen.gone(source.name, collection))
            collection.delete(gone)
            removed += len(gone)
        collection.flush()
        failed = len(compared.failed)
        skipped = min(job.skipped, compared.found - failed)
        copied = min(job.copied, compared.found - failed - skipped)
        self._job_store.replace_failures(job_id, compared.failed)
        self._job_store.end(
            job_id,
            job_state.round,
            JobStatus.DONE_WITH_FAILURES if failed else JobStatus.DONE,
            found=compared.found,
            skipped=skipped,
            copied=copied,
            indexed=compared.found - failed - skipped - copied,
            removed=removed,
            failed=failed,
        )

    @contextmanager
    def _held(self, job_id: str) -> Iterator[None]:
        """Renew the planner's hold on a job until the block ends."""
        done = threading.Event()

        def hold() -> None:
            while True:
                try:
                    self._job_store.hold(job_id, self._name)
                except QueueUnavailable:
                    log.debug("the hold on job %s could not be renewed", job_id)
                if done.wait(PLANNER_SECONDS / 4):
                    return

        thread = threading.Thread(target=hold, name="hold", daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()
            self._job_store.release(job_id)
