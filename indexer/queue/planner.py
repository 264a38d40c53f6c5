"""Plans a round of a job: lists the source, takes the difference with the collection, sends what is missing in chunks.

A round in which nothing is missing ends the job; so the last thing that a job does is to compare.
"""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from embeddings.errors import LookalikeError, QueueUnavailable
from indexer.jobs.base import State
from indexer.pipeline.difference import difference
from indexer.pipeline.lister import Ahead, chunks
from indexer.pipeline.progress import Failure
from indexer.pipeline.pruning import Presence
from indexer.queue.cancellation import Dropped, HandedBack, Patient, Stop, reason
from indexer.queue.chunks import Chunk, Failed
from indexer.queue.job_resources import Opened, Openings
from indexer.queue.job_store import PLANNER_SECONDS, Records, Standing, Verdict
from indexer.queue.producer import Sender
from indexer.sources.base import Reference, Unlistable

log = logging.getLogger(__name__)

FRUITLESS_ROUNDS = 3  # after which what still is missing has failed
_LOST = "it was sent to workers again and again and is still not indexed: look at their logs, then retry the job"


@dataclass
class _Round:
    """What was found in a round."""

    found: int = 0
    unchanged: int = 0
    missing: int = 0
    failed: list[Failed] = field(default_factory=list)
    presence: Presence = field(default_factory=Presence)


class Planner:
    """Plans rounds; safe to use from several threads."""

    def __init__(
        self,
        records: Records,
        sender: Sender,
        openings: Openings,
        leaving: threading.Event,
        name: str,
        chunk: int,
    ) -> None:
        """Plan as the worker `name`, in chunks of `chunk` references, until `leaving` is set."""
        self._records = records
        self._sender = sender
        self._openings = openings
        self._leaving = leaving
        self._name = name
        self._chunk = chunk

    def plan(self, job_id: str, after: int) -> None:
        """Begin the round after `after`; does nothing if it has begun already, or the job has ended."""
        round_ = self._records.begin(job_id, after)
        if not round_:
            return
        standing = self._records.standing(job_id)
        if standing is None:
            return
        stop = Stop.of_round(self._records, job_id, round_, self._leaving)
        with self._held(job_id):
            try:
                self._plan(standing, stop)
            except Dropped:
                return
            except HandedBack:
                self._records.release(job_id)
                self._sender.plan(job_id, round_)
            except QueueUnavailable as error:  # whoever looks after jobs finds that nobody plans this one
                log.warning("%s", error.message)
            except LookalikeError as error:
                log.warning("job %s failed: %s", job_id, error.message)
                self._records.end(job_id, round_, State.FAILED, reason=reason(error))

    def _plan(self, standing: Standing, stop: Stop) -> None:
        opened = stop.patiently(self._openings.open, standing.order)
        collection = Patient(opened.collection, stop)
        found = self._send_missing(standing, Opened(opened.source, collection), stop)
        if found.missing == 0:
            self._end(standing, opened.source.name, collection, found, stop)
            return
        fruitless = 0 <= standing.missing <= found.missing
        attempts = standing.attempts + 1 if fruitless else 0
        self._records.note(standing.order.id, standing.round, missing=found.missing, attempts=attempts)
        if self._records.planned(standing.order.id, standing.round) is Verdict.COMPLETE:
            self._sender.plan(standing.order.id, standing.round)

    def _send_missing(self, standing: Standing, opened: Opened, stop: Stop) -> _Round:
        """Send everything that is neither in the collection as it is in the source nor known to fail."""
        round_ = _Round()
        source = opened.source
        with Ahead(source.references()) as listed:
            missing = self._missing(standing, opened, listed, round_, stop)
            for number, references in enumerate(chunks(missing, self._chunk)):
                chunk = Chunk(
                    standing.order.id, standing.round, f"{standing.round}.{number}", source.name, tuple(references)
                )
                if not self._records.sending(standing.order.id, standing.round, 1):
                    raise Dropped
                self._sender.chunks([chunk])
            round_.found = listed.found
        return round_

    def _missing(
        self,
        standing: Standing,
        opened: Opened,
        listed: Ahead[Reference | Unlistable],
        round_: _Round,
        stop: Stop,
    ) -> Iterator[Reference]:
        known_to_fail = {failed.path: failed for failed in self._records.failures(standing.order.id)}
        given_up = standing.attempts >= FRUITLESS_ROUNDS
        for block in difference(opened.source.name, listed, opened.collection):
            if stop.over:
                raise HandedBack
            stop.look()
            round_.presence.add(block.ids)
            round_.unchanged += block.unchanged
            for item in block.unlistable:
                round_.presence.hide(item.path)
                shown = Failure(opened.source.shown(item.path), item.error.code, item.error.message)
                round_.failed.append(Failed(item.path, shown))
            for reference in block.new:
                if reference.path in known_to_fail:
                    round_.failed.append(known_to_fail[reference.path])
                elif given_up:
                    lost = Failure(opened.source.shown(reference.path), "not_indexed", _LOST)
                    round_.failed.append(Failed(reference.path, lost))
                else:
                    round_.missing += 1
                    yield reference
            if standing.missing < 0:  # the first round: later ones count nothing anew
                self._records.note(
                    standing.order.id,
                    standing.round,
                    found=listed.found,
                    skipped=round_.unchanged,
                    unlistable=len(round_.failed),
                )

    def _end(self, standing: Standing, source: str, collection: Patient, round_: _Round, stop: Stop) -> None:
        """Remove what is gone, and end the job with counts that add up whatever happened meanwhile."""
        job_id = standing.order.id
        job = self._records.job(job_id)
        if job is None:
            raise Dropped
        removed = job.removed
        if standing.order.prune:
            gone = stop.patiently(lambda: list(round_.presence.gone(source, collection)))
            stop.check_current()
            collection.delete(gone)
            removed += len(gone)
        collection.flush()
        failed = len(round_.failed)
        skipped = min(job.skipped, round_.found - failed)
        copied = min(job.copied, round_.found - failed - skipped)
        self._records.replace_failures(job_id, round_.failed)
        self._records.end(
            job_id,
            standing.round,
            State.DONE_WITH_FAILURES if failed else State.DONE,
            found=round_.found,
            skipped=skipped,
            copied=copied,
            indexed=round_.found - failed - skipped - copied,
            removed=removed,
            failed=failed,
        )

    @contextmanager
    def _held(self, job_id: str) -> Iterator[None]:
        """Say again and again that somebody is planning this job."""
        done = threading.Event()

        def hold() -> None:
            while True:
                try:
                    self._records.hold(job_id, self._name)
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
            self._records.release(job_id)
