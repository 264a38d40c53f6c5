"""A chunk: the references that a worker takes at a time, and their result."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from indexer.pipeline.progress import Failure
from indexer.sources.base import Reference


@dataclass(frozen=True)
class Chunk:
    """References of a job's source, whose name for the planning worker is `source`; sent as JSON."""

    job_id: str
    round: int
    name: str
    source: str
    references: tuple[Reference, ...]

    def to_message(self) -> dict[str, Any]:
        """Return the message that Celery sends."""
        return {
            "job": self.job_id,
            "round": self.round,
            "name": self.name,
            "source": self.source,
            "references": [[r.path, r.bytes, r.modified_at, r.id, r.meta] for r in self.references],
        }

    @classmethod
    def from_message(cls, message: dict[str, Any]) -> "Chunk":
        """Read a message from Celery."""
        references = tuple(Reference(*fields) for fields in message["references"])
        return cls(message["job"], message["round"], message["name"], message["source"], references)

    def rest(self, references: Sequence[Reference]) -> "Chunk":
        """Return a chunk of the references that are left of this one."""
        return replace(self, name=f"{self.name}+", references=tuple(references))


@dataclass(frozen=True)
class FailedImage:
    """A failed image: its path within the source, and the failure with the path that people are shown."""

    path: str
    failure: Failure


@dataclass(frozen=True)
class ChunkResult:
    """The result of a chunk: counts, and the failed images."""

    indexed: int = 0
    copied: int = 0
    removed: int = 0
    failed: tuple[FailedImage, ...] = ()

    @property
    def counts(self) -> str:
        """The counts as text; short, because a job of millions of images has tens of thousands of them."""
        return f"{self.indexed},{self.copied},{self.removed},{len(self.failed)}"


def to_text(failed: Sequence[FailedImage]) -> str:
    """Return failures as the text of a record, '' for none."""
    return json.dumps([[f.path, f.failure.path, f.failure.code, f.failure.message] for f in failed]) if failed else ""


def from_text(text: str) -> list[FailedImage]:
    """Read the failures of a record."""
    return [FailedImage(path, Failure(shown, code, message)) for path, shown, code, message in json.loads(text)]
