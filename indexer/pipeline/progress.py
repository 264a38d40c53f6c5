"""The progress of an index run: counts that always add up, and every failure by name."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from embeddings.errors import LookalikeError


@dataclass(frozen=True)
class Failure:
    """A file that could not be indexed, with a code for programs and a sentence for people."""

    path: str
    code: str
    message: str


@dataclass
class IndexProgress:
    """The running count of one run; `found` is set once the source is listed."""

    found: int = 0
    indexed: int = 0
    copied: int = 0
    skipped: int = 0
    removed: int = 0
    failures: list[Failure] = field(default_factory=list)

    @property
    def failed(self) -> int:
        """The number of failures."""
        return len(self.failures)

    @property
    def finished(self) -> int:
        """The number of files that are accounted for."""
        return self.indexed + self.copied + self.skipped + self.failed

    @property
    def counts(self) -> dict[str, Any]:
        """The counts by the names that reports and jobs use."""
        return {
            "found": self.found,
            "indexed": self.indexed,
            "copied": self.copied,
            "skipped": self.skipped,
            "removed": self.removed,
            "failed": self.failed,
        }

    def fail(self, path: str, error: LookalikeError) -> None:
        """Record why a file is not in the collection."""
        self.failures.append(Failure(path, error.code, error.message))


Listener = Callable[[IndexProgress], None]
