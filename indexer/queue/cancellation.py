"""Decides when work on a job must stop before it is done, and waits meanwhile for a store that does not answer."""

import math
import threading
import time
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from tenacity import Retrying, retry_if_exception_type, wait_random_exponential

from embeddings.errors import ImageError, LookalikeError, QueueUnavailable, StoreUnavailable
from indexer.pipeline.writable_collection import Stage
from indexer.queue.job_store import JobStore

P = ParamSpec("P")
T = TypeVar("T")

CHECK_SECONDS = 1.0
MAX_WAIT = 10.0


class Superseded(RuntimeError):
    """The job was cancelled, or the work belongs to an earlier round of it."""


class Requeued(RuntimeError):
    """The worker leaves, or has used up its time: the rest is left to another worker."""


class NotReached(ImageError):
    """The image was not begun before it was time to stop."""

    code = "not_reached"


class StopCondition:
    """Tells the threads that work on a round of a job when to stop; safe to use from several threads."""

    def __init__(
        self, leaving: threading.Event, is_current: Callable[[], bool], waits: Callable[[str], object], seconds: float
    ) -> None:
        """Stop when `leaving` is set, `is_current` is False, or after `seconds`.

        `waits` is called with the error message of a store that does not answer.
        """
        self._leaving = leaving
        self._is_current = is_current
        self._waits = waits
        self._end = time.monotonic() + seconds
        self._checked = time.monotonic()

    @classmethod
    def for_round(
        cls, job_store: JobStore, job_id: str, round_: int, leaving: threading.Event, seconds: float = math.inf
    ) -> "StopCondition":
        """Stop when `leaving` is set, when the job is not in that round any more, or after `seconds`."""
        return cls(
            leaving,
            lambda: job_store.is_current(job_id, round_),
            lambda message: job_store.note(job_id, round_, waits=message),
            seconds,
        )

    @property
    def over(self) -> bool:
        """True if nothing more may be begun."""
        return self._leaving.is_set() or time.monotonic() > self._end

    def look(self) -> None:
        """Raise Superseded if the work is not wanted any more; the queue is asked once a second at most."""
        now = time.monotonic()
        if now - self._checked > CHECK_SECONDS:
            self._checked = now
            self.check_current()

    def check_current(self) -> None:
        """Raise Superseded if the work is not wanted any more."""
        try:
            wanted = self._is_current()
        except QueueUnavailable:  # work goes on while the queue does not answer
            return
        if not wanted:
            raise Superseded

    def sleep(self, seconds: float) -> None:
        """Wait. Raises Requeued when the time is over, and Superseded."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            self._leaving.wait(min(left, CHECK_SECONDS))
            if self.over:
                raise Requeued
            self.look()

    def retrying(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call a function until store and queue answer; raises as `sleep`, and the function's other errors."""
        for attempt in Retrying(
            retry=retry_if_exception_type((StoreUnavailable, QueueUnavailable)),
            wait=wait_random_exponential(multiplier=0.5, max=MAX_WAIT),
            sleep=self.sleep,
            before_sleep=lambda state: self._report(state.outcome.exception() if state.outcome else None),
        ):
            with attempt:
                return function(*args, **kwargs)
        raise AssertionError("attempts never end")

    def run(self, stage: Stage, call: Callable[[], T]) -> T:
        """Make a call to a collection, retrying; nothing is written for a job that was cancelled. See RunCall."""
        if stage == "write":
            self.check_current()
        return self.retrying(call)

    def _report(self, error: BaseException | None) -> None:
        if isinstance(error, StoreUnavailable):
            try:
                self._waits(error.message)
            except QueueUnavailable:
                return


def reason(error: LookalikeError) -> str:
    """Return why a job failed as a whole, beginning with the error's code."""
    return f"{error.code}: {error.message}"
