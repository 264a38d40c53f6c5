"""A job: a source that is to be indexed into a collection, how far it is, and what can be done with it."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from embeddings.errors import NotFound, UsageError
from indexer.reports import Failure, Progress
from indexer.sources import Folder

LIBRARY = re.compile(r"[A-Za-z0-9._-]{1,64}")


class State(StrEnum):
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
        return self not in (State.QUEUED, State.RUNNING)


@dataclass(frozen=True)
class Job:
    """A job as it is now. `reason` says in one sentence why it failed as a whole; `seconds` is the time it ran."""

    id: str
    state: State
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
        if self.state is not State.RUNNING or not self.images_per_second:
            return None
        return round((self.found - self.finished) / self.images_per_second, 1)

    def after(self, progress: Progress, seconds: float) -> "Job":
        """Return the job with the counts of a run."""
        return replace(self, **progress.counts, seconds=round(seconds, 3))


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

    def retry(self, job_id: str) -> Job:
        """Take the difference again. Raises NotFound, or UsageError while the job is not ended."""


class Libraries:
    """The folders that jobs may read, by name: a caller never names a path."""

    def __init__(self, folders: Mapping[str, Path]) -> None:
        """Take the folders. Raises UsageError for a name that would not do in an address."""
        for name in folders:
            if not LIBRARY.fullmatch(name):
                raise UsageError(f"LOOKALIKE_LIBRARIES: {name!r} is no name: use letters, digits, '.', '_' and '-'")
        self._folders = dict(folders)

    def __iter__(self) -> Iterator[str]:
        return iter(self._folders)

    def check(self, name: str) -> None:
        """Raise NotFound if there is no library of that name."""
        if name not in self._folders:
            known = f"there are {', '.join(sorted(self._folders))}" if self._folders else "set LOOKALIKE_LIBRARIES"
            raise NotFound(f"there is no library {name!r}: {known}", field="source")

    def open(self, name: str) -> Folder:
        """Return a library's folder. Raises NotFound, or UsageError if the folder cannot be read now."""
        self.check(name)
        return Folder(self._folders[name])
