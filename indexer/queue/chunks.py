"""A chunk: the references that a worker takes at a time, and what became of them."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from indexer.pipeline.progress import Failure
from indexer.sources.base import Reference


@dataclass(frozen=True)
class Chunk:
    """References of a job's source, which is `source` to the worker that planned it; sent as JSON."""

    job_id: str
    round: int
    name: str
    source: str
    references: tuple[Reference, ...]

    def to_message(self) -> dict[str, Any]:
        """Return it as Celery sends it."""
        return {
            "job": self.job_id,
            "round": self.round,
            "name": self.name,
            "source": self.source,
            "references": [[r.path, r.bytes, r.modified_at, r.id, r.meta] for r in self.references],
        }

    @classmethod
    def from_message(cls, message: dict[str, Any]) -> "Chunk":
        """Read what Celery gives."""
        references = tuple(Reference(*fields) for fields in message["references"])
        return cls(message["job"], message["round"], message["name"], message["source"], references)

    def rest(self, references: Sequence[Reference]) -> "Chunk":
        """Return the chunk of what is left of this one."""
        return replace(self, name=f"{self.name}+", references=tuple(references))


@dataclass(frozen=True)
class FailedImage:
    """A path of the source, as the source has it, and the failure as people are shown it."""

    path: str
    failure: Failure


@dataclass(frozen=True)
class ChunkResult:
    """What became of a chunk's references."""

    indexed: int = 0
    copied: int = 0
    removed: int = 0
    failed: tuple[FailedImage, ...] = ()

    @property
    def counts(self) -> str:
        """The numbers as a record has them, short: a job of millions has tens of thousands of records."""
        return f"{self.indexed},{self.copied},{self.removed},{len(self.failed)}"


def to_text(failed: Sequence[FailedImage]) -> str:
    """Return failures as a record has them, '' for none."""
    return json.dumps([[f.path, f.failure.path, f.failure.code, f.failure.message] for f in failed]) if failed else ""


def from_text(text: str) -> list[FailedImage]:
    """Read a record's failures."""
    return [FailedImage(path, Failure(shown, code, message)) for path, shown, code, message in json.loads(text)]
