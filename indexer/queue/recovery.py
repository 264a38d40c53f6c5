"""Announces its worker and finds stuck jobs: a job whose messages were lost is planned again."""

import logging
import threading
from collections.abc import Callable

from embeddings.errors import QueueUnavailable
from embeddings.utils import Closing
from indexer.jobs.base import JobStatus
from indexer.queue.celery_app import CHUNKS, PLANS, waiting_key
from indexer.queue.job_store import PLANNER_SECONDS, JobState, JobStore
from indexer.queue.producer import Producer

log = logging.getLogger(__name__)

CHECK_SECONDS = 3.0
ALIVE_SECONDS = 15
CLAIMED_SECONDS = 10
SLACK_SECONDS = 2  # the broker restores unacknowledged messages a little late


class RecoveryLoop(Closing):
    """A thread of every worker; of several workers one repairs a job."""

    def __init__(
        self,
        job_store: JobStore,
        producer: Producer,
        name: str,
        visibility_timeout: int,
        status: Callable[[], dict[str, float | str]],
    ) -> None:
        """Start; `status` returns the fields of the worker `name`."""
        self._job_store = job_store
        self._producer = producer
        self._name = name
        self._idle_seconds = visibility_timeout + SLACK_SECONDS
        self._status = status
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._work, name="recovery", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop, and record that the worker has left."""
        self._closing.set()
        self._thread.join()
        try:
            self._job_store.withdraw(self._name)
        except QueueUnavailable as error:
            log.debug("%s", error)

    def _work(self) -> None:
        while True:
            try:
                self._job_store.announce(self._name, self._status(), ALIVE_SECONDS)
                self._repair()
            except QueueUnavailable as error:
                log.warning("%s", error.message)
            if self._closing.wait(CHECK_SECONDS):
                return

    def _repair(self) -> None:
        active = self._job_store.active()
        if not active:
            return
        waiting = any(self._job_store.waiting(waiting_key(queue)) for queue in (PLANS, CHUNKS))
        for job_id in active:
            job_state = self._job_store.job_state(job_id)
            if job_state is None or not self._stuck(job_state, waiting):
                continue
            if self._job_store.claim(f"{job_id}:{job_state.round}", CLAIMED_SECONDS):
                log.info("job %s: nothing has happened for %.0f s, it is planned again", job_id, job_state.idle)
                self._producer.plan(job_id, job_state.round)

    def _stuck(self, job_state: JobState, waiting: bool) -> bool:
        """Return whether the job's round lacks a planner, or its messages are lost."""
        if self._job_store.held(job_state.spec.id):
            return False
        if job_state.state is JobStatus.RUNNING and not job_state.planned and job_state.idle > PLANNER_SECONDS:
            return True
        return job_state.idle > self._idle_seconds and not waiting
