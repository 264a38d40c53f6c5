"""What a job is to do, kept in a file by whoever gave the order: Redis may lose it, and then it can be retried."""

import json
import logging
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from embeddings.errors import LookalikeError
from embeddings.utils import write_atomically
from indexer.jobs.base import JOB_ID, Libraries
from indexer.sources.base import Source
from indexer.sources.open_source import open_source

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class JobSpec:
    """A source to index into a collection with a model of this name and fingerprint.

    `source` is the name of a library, or with `library` False a folder, a list or an address that an operator named;
    `headers` are for the web servers of a list.
    """

    id: str
    source: str
    library: bool
    collection: str
    prune: bool
    model: str
    fingerprint: str
    created: float  # seconds since 1970
    headers: Mapping[str, str] = field(default_factory=dict, repr=False, hash=False)

    def open(self, libraries: Libraries) -> Source:
        """Return the source. Raises NotFound, UsageError or SourceUnavailable."""
        return libraries.open(self.source) if self.library else open_source(self.source, self.headers)

    def to_text(self) -> str:
        """Return it as JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def from_text(cls, text: str) -> "JobSpec":
        """Read JSON. Raises ValueError or TypeError for what is no order."""
        document = json.loads(text)
        if not isinstance(document, dict):
            raise ValueError("it is no JSON object")
        return cls(**document)


class JobSpecStore:
    """The orders that were given from this machine and have not ended; files that only their owner can read."""

    def __init__(self, folder: Path) -> None:
        """Keep them in `folder`."""
        self._folder = folder

    def keep(self, spec: JobSpec) -> None:
        """Write an order down. Raises DiskFull or StoreUnavailable."""
        write_atomically(self._file(spec.id), spec.to_text().encode())

    def forget(self, job_id: str) -> None:
        """Remove an order that has ended."""
        self._file(job_id).unlink(missing_ok=True)

    def get(self, job_id: str) -> JobSpec | None:
        """Return the order of that id, None if it is not one of ours."""
        return self._read(self._file(job_id)) if JOB_ID.fullmatch(job_id) else None

    def __iter__(self) -> Iterator[JobSpec]:
        for file in sorted(self._folder.glob("*.json")):
            if spec := self._read(file):
                yield spec

    def _file(self, job_id: str) -> Path:
        return self._folder / f"{job_id}.json"

    def _read(self, file: Path) -> JobSpec | None:
        try:
            return JobSpec.from_text(file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError, LookalikeError) as error:
            log.warning("%s is not an order: %s", file, error)
            return None
