"""Jobs: each indexes a source into a collection, and can be watched, cancelled and retried."""

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
    """Return an id that no other job has; ids of later jobs sort behind."""
    return f"{time.time_ns():016x}-{uuid.uuid4().hex[:8]}"


class JobStatus(StrEnum):
    """The state of a job. The last four are final; a job in one of them can be retried."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    DONE_WITH_FAILURES = "done_with_failures"
    CANCELLED = "cancelled"
    FAILED = "failed"

    @property
    def ended(self) -> bool:
        """True if the job has ended."""
        return self not in (JobStatus.QUEUED, JobStatus.RUNNING)


@dataclass(frozen=True)
class Job:
    """A job as it is now. `reason` is one sentence on why the whole job failed; `seconds` is its running time."""

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
        """The number of images that are accounted for."""
        return self.indexed + self.copied + self.skipped + self.failed

    @property
    def images_per_second(self) -> float:
        """The rate so far, without skipped images."""
        return round((self.finished - self.skipped) / self.seconds, 1) if self.seconds else 0.0

    @property
    def seconds_left(self) -> float | None:
        """The time that the images found so far will take at this rate; None if unknown."""
        if self.state is not JobStatus.RUNNING or not self.images_per_second:
            return None
        return round((self.found - self.finished) / self.images_per_second, 1)

    def after(self, progress: IndexProgress, seconds: float) -> "Job":
        """Return the job with the counts and the running time of a run."""
        return replace(self, **progress.counts, seconds=round(seconds, 3))


@dataclass(frozen=True)
class Worker:
    """A process that works on jobs; `started` is in seconds since 1970, `images` the number it has processed."""

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
    """Starts, shows and stops jobs; safe to use from several threads."""

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
        """Stop a job as soon as possible; its written rows stay. Raises NotFound."""

    def ready(self) -> None:
        """Return if jobs can be started; raises QueueUnavailable if not."""

    def retry(self, job_id: str) -> Job:
        """Run an ended job again. Raises NotFound, or UsageError if the job has not ended."""


class Libraries:
    """The sources that jobs may read, by name, so that callers never name a path."""

    def __init__(self, sources: Mapping[str, str]) -> None:
        """Take folders, lists or buckets. Raises UsageError for a name that does not fit into a URL."""
        for name in sources:
            if not LIBRARY.fullmatch(name):
                raise UsageError(
                    f"LOOKALIKE_LIBRARIES: {name!r} is not a valid name: use letters, digits, '.', '_' and '-'"
                )
        self._sources = dict(sources)

    def __iter__(self) -> Iterator[str]:
        return iter(self._sources)

    def __contains__(self, name: str) -> bool:
        return name in self._sources

    def check(self, name: str) -> None:
        """Raise NotFound if no library has that name."""
        if name not in self._sources:
            hint = f"there are {', '.join(sorted(self._sources))}" if self._sources else "set LOOKALIKE_LIBRARIES"
            raise NotFound(f"there is no library {name!r}: {hint}", field="source")

    def open(self, name: str) -> Source:
        """Return a library's source. Raises NotFound, or UsageError if it cannot be read now."""
        self.check(name)
        return open_source(self._sources[name])
