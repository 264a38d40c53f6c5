"""Looks after jobs and says that its worker lives: what was lost on the way is planned anew."""

import logging
import threading
from collections.abc import Callable

from embeddings.errors import QueueUnavailable
from embeddings.utils import Closing
from indexer.jobs.base import State
from indexer.queue.celery_app import CHUNKS, PLANS, waiting_key
from indexer.queue.job_store import PLANNER_SECONDS, Records, Standing
from indexer.queue.producer import Sender

log = logging.getLogger(__name__)

LOOK_SECONDS = 3.0
ALIVE_SECONDS = 15
CLAIMED_SECONDS = 10
SLACK_SECONDS = 2  # the broker itself brings back what a worker did not acknowledge, a little later than it may


class Keeper(Closing):
    """A thread of every worker; of several, one does what is to do."""

    def __init__(
        self,
        records: Records,
        sender: Sender,
        name: str,
        visibility_timeout: int,
        about: Callable[[], dict[str, float | str]],
    ) -> None:
        """Start; `about` tells of the worker `name`."""
        self._records = records
        self._sender = sender
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
            self._records.withdraw(self._name)
        except QueueUnavailable as error:
            log.debug("%s", error)

    def _work(self) -> None:
        while True:
            try:
                self._records.announce(self._name, self._about(), ALIVE_SECONDS)
                self._repair()
            except QueueUnavailable as error:
                log.warning("%s", error.message)
            if self._closing.wait(LOOK_SECONDS):
                return

    def _repair(self) -> None:
        active = self._records.active()
        if not active:
            return
        waiting = any(self._records.waiting(waiting_key(queue)) for queue in (PLANS, CHUNKS))
        for job_id in active:
            standing = self._records.standing(job_id)
            if standing is None or not self._stuck(standing, waiting):
                continue
            if self._records.claim(f"{job_id}:{standing.round}", CLAIMED_SECONDS):
                log.info("job %s: nothing has happened for %.0f s, its difference is taken anew", job_id, standing.idle)
                self._sender.plan(job_id, standing.round)

    def _stuck(self, standing: Standing, waiting: bool) -> bool:
        """Whether nobody plans the job's round who should, or its messages are lost."""
        if self._records.held(standing.order.id):
            return False
        if standing.state is State.RUNNING and not standing.planned and standing.idle > PLANNER_SECONDS:
            return True
        return standing.idle > self._idle_seconds and not waiting
