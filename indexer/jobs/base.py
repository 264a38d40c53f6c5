"""A job: a source that is to be indexed into a collection, how far it is, and what can be done with it."""

import re
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Protocol

from embeddings.errors import NotFound, UsageError
from indexer.pipeline.progress import Failure, IndexProgress
from indexer.sources.base import Source
from indexer.sources.open_source import open_source

LIBRARY = re.compile(r"[A-Za-z0-9._-]{1,64}")
JOB_ID = re.compile(r"[0-9a-f-]{1,64}")


def new_id() -> str:
    """Return an id that no other job has; those of later jobs sort behind."""
    return f"{time.time_ns():016x}-{uuid.uuid4().hex[:8]}"


class JobStatus(StrEnum):
    """Where a job is. The last four are ends; `retry` begins anew from each of them."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    DONE_WITH_FAILURES = "done_with_failures"
    CANCELLED = "cancelled"
    FAILED = "failed"

    @property
    def ended(self) -> bool:
        """Whether nothing more happens by itself."""
        return self not in (JobStatus.QUEUED, JobStatus.RUNNING)


@dataclass(frozen=True)
class Job:
    """A job as it is now. `reason` says in one sentence why it failed as a whole; `seconds` is the time it ran."""

    id: str
    state: JobStatus
    source: str
    collection: str
    prune: bool = False
    found: int = 0
    indexed: int = 0
    copied: int = 0
    skipped: int = 0
    removed: int = 0
    failed: int = 0
    seconds: float = 0.0
    reason: str | None = None

    @property
    def finished(self) -> int:
        """The images that are accounted for."""
        return self.indexed + self.copied + self.skipped + self.failed

    @property
    def images_per_second(self) -> float:
        """The rate so far, of images that were not simply skipped."""
        return round((self.finished - self.skipped) / self.seconds, 1) if self.seconds else 0.0

    @property
    def seconds_left(self) -> float | None:
        """How long the images found so far will take at this rate; None where that cannot be told."""
        if self.state is not JobStatus.RUNNING or not self.images_per_second:
            return None
        return round((self.found - self.finished) / self.images_per_second, 1)

    def after(self, progress: IndexProgress, seconds: float) -> "Job":
        """Return the job with the counts of a run."""
        return replace(self, **progress.counts, seconds=round(seconds, 3))


@dataclass(frozen=True)
class Worker:
    """A process that works on jobs; `started` is in seconds since 1970, `images` is the number it has dealt with."""

    name: str
    host: str
    pid: int
    model: str
    fingerprint: str
    engine: str
    concurrency: int
    started: float
    images: int
    images_per_second: float


class Jobs(Protocol):
    """Takes jobs and tells of them; safe to use from several threads."""

    libraries: "Libraries"

    def start(self, source: str, collection: str, prune: bool = False) -> Job:
        """Queue a job. Raises NotFound for an unknown library, UsageError for a source that cannot be one."""

    def get(self, job_id: str) -> Job:
        """Return a job. Raises NotFound."""

    def all(self) -> list[Job]:
        """Return all jobs, the newest first."""

    def failures(self, job_id: str) -> list[Failure]:
        """Return the images that failed in the job's last run. Raises NotFound."""

    def cancel(self, job_id: str) -> Job:
        """Stop a job as soon as can be; what it has written stays. Raises NotFound."""

    def ready(self) -> None:
        """Return if jobs can be taken; raises QueueUnavailable if not."""

    def retry(self, job_id: str) -> Job:
        """Take the difference again. Raises NotFound, or UsageError while the job is not ended."""


class Libraries:
    """The sources that jobs may read, by name: a caller never names a path."""

    def __init__(self, sources: Mapping[str, str]) -> None:
        """Take folders, lists or buckets. Raises UsageError for a name that would not do in an address."""
        for name in sources:
            if not LIBRARY.fullmatch(name):
                raise UsageError(f"LOOKALIKE_LIBRARIES: {name!r} is no name: use letters, digits, '.', '_' and '-'")
        self._sources = dict(sources)

    def __iter__(self) -> Iterator[str]:
        return iter(self._sources)

    def __contains__(self, name: str) -> bool:
        return name in self._sources

    def check(self, name: str) -> None:
        """Raise NotFound if there is no library of that name."""
        if name not in self._sources:
            known = f"there are {', '.join(sorted(self._sources))}" if self._sources else "set LOOKALIKE_LIBRARIES"
            raise NotFound(f"there is no library {name!r}: {known}", field="source")

    def open(self, name: str) -> Source:
        """Return a library's source. Raises NotFound, or UsageError if it cannot be read now."""
        self.check(name)
        return open_source(self._sources[name])
