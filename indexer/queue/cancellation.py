"""When work on a job must stop before it is done, and how it waits meanwhile for what does not answer."""

import math
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import ParamSpec, TypeVar

from tenacity import Retrying, retry_if_exception_type, wait_random_exponential

from embeddings.errors import ImageError, LookalikeError, QueueUnavailable, StoreUnavailable
from indexer.pipeline.ledger import WritableCollection
from indexer.queue.job_store import JobStore
from store.records import IndexedFile, Row

P = ParamSpec("P")
T = TypeVar("T")

LOOK_SECONDS = 1.0
MAX_WAIT = 10.0


class Superseded(RuntimeError):
    """The job was cancelled, or what is being done belongs to an earlier round of it."""


class Requeued(RuntimeError):
    """The worker leaves, or has been at this for as long as it may: the rest is for another."""


class NotReached(ImageError):
    """The image was not begun before it was time to stop."""

    code = "not_reached"


class StopCondition:
    """Tells whoever works on a round of a job when to stop; safe to use from several threads."""

    def __init__(
        self, leaving: threading.Event, is_current: Callable[[], bool], waits: Callable[[str], object], seconds: float
    ) -> None:
        """Stop when `leaving` is set, `is_current` is False, or after `seconds`; `waits` is told what is waited for."""
        self._leaving = leaving
        self._is_current = is_current
        self._waits = waits
        self._end = time.monotonic() + seconds
        self._looked = time.monotonic()

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
        """Whether nothing more is to be begun."""
        return self._leaving.is_set() or time.monotonic() > self._end

    def look(self) -> None:
        """Raise Dropped if nobody wants this any more, as was found out within the last second."""
        now = time.monotonic()
        if now - self._looked > LOOK_SECONDS:
            self._looked = now
            self.check_current()

    def check_current(self) -> None:
        """Raise Dropped if nobody wants this any more."""
        if self._quietly(self._is_current) is False:
            raise Superseded

    def sleep(self, seconds: float) -> None:
        """Wait. Raises Requeued when it is over, and Dropped."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            self._leaving.wait(min(left, LOOK_SECONDS))
            if self.over:
                raise Requeued
            self.look()

    def retrying(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call a function until store and queue answer; raises as `sleep`, and what else it raises."""
        for attempt in Retrying(
            retry=retry_if_exception_type((StoreUnavailable, QueueUnavailable)),
            wait=wait_random_exponential(multiplier=0.5, max=MAX_WAIT),
            sleep=self.sleep,
            before_sleep=lambda state: self._tell(state.outcome.exception() if state.outcome else None),
        ):
            with attempt:
                return function(*args, **kwargs)
        raise AssertionError("it is tried for ever")

    def _tell(self, error: BaseException | None) -> None:
        if isinstance(error, StoreUnavailable):
            self._quietly(lambda: self._waits(error.message))

    def _quietly(self, function: Callable[[], T]) -> T | None:
        """Call what needs the queue; None where that does not answer, which stops nothing."""
        try:
            return function()
        except QueueUnavailable:
            return None


class RetryingCollection:
    """A collection that waits where the store does not answer, instead of failing; see WritableCollection."""

    def __init__(self, collection: WritableCollection, stop: StopCondition) -> None:
        """Wait until `stop`."""
        self._collection = collection
        self._stop = stop

    def upsert(self, rows: Sequence[Row]) -> None:
        self._stop.check_current()  # nothing is written for a job that was cancelled
        self._stop.retrying(self._collection.upsert, rows)

    def delete(self, ids: Sequence[str]) -> None:
        self._stop.retrying(self._collection.delete, ids)

    def known(self, source: str | None = None) -> Iterator[IndexedFile]:
        return self._collection.known(source)  # who iterates must begin anew where it breaks off

    def lookup(self, ids: Sequence[str], strong: bool = True) -> dict[str, IndexedFile]:
        return self._stop.retrying(self._collection.lookup, ids, strong)

    def find_content(self, hashes: Sequence[str]) -> dict[str, Row]:
        return self._stop.retrying(self._collection.find_content, hashes)

    def flush(self) -> None:
        self._stop.retrying(self._collection.flush)


def reason(error: LookalikeError) -> str:
    """Return why a job failed as a whole, with the code that programs know it by."""
    return f"{error.code}: {error.message}"
