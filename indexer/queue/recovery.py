"""Looks after jobs and says that its worker lives: what was lost on the way is planned anew."""

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

LOOK_SECONDS = 3.0
ALIVE_SECONDS = 15
CLAIMED_SECONDS = 10
SLACK_SECONDS = 2  # the broker itself brings back what a worker did not acknowledge, a little later than it may


class RecoveryLoop(Closing):
    """A thread of every worker; of several, one does what is to do."""

    def __init__(
        self,
        job_store: JobStore,
        producer: Producer,
        name: str,
        visibility_timeout: int,
        about: Callable[[], dict[str, float | str]],
    ) -> None:
        """Start; `about` tells of the worker `name`."""
        self._job_store = job_store
        self._producer = producer
        self._name = name
        self._idle_seconds = visibility_timeout + SLACK_SECONDS
        self._about = about
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._work, name="keeper", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop, and say that the worker has left."""
        self._closing.set()
        self._thread.join()
        try:
            self._job_store.withdraw(self._name)
        except QueueUnavailable as error:
            log.debug("%s", error)

    def _work(self) -> None:
        while True:
            try:
                self._job_store.announce(self._name, self._about(), ALIVE_SECONDS)
                self._repair()
            except QueueUnavailable as error:
                log.warning("%s", error.message)
            if self._closing.wait(LOOK_SECONDS):
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
                log.info(
                    "job %s: nothing has happened for %.0f s, its difference is taken anew", job_id, job_state.idle
                )
                self._producer.plan(job_id, job_state.round)

    def _stuck(self, job_state: JobState, waiting: bool) -> bool:
        """Whether nobody plans the job's round who should, or its messages are lost."""
        if self._job_store.held(job_state.spec.id):
            return False
        if job_state.state is JobStatus.RUNNING and not job_state.planned and job_state.idle > PLANNER_SECONDS:
            return True
        return job_state.idle > self._idle_seconds and not waiting
