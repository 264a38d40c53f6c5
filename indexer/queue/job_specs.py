"""Job specs, and the files that keep them on the machine that started the job, because Redis may lose its copy."""

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

    `source` is the name of a library, or, if `library` is False, a folder, list or address given by an operator;
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
        """Return the spec as JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def from_text(cls, text: str) -> "JobSpec":
        """Read JSON. Raises ValueError or TypeError if it is not a spec."""
        document = json.loads(text)
        if not isinstance(document, dict):
            raise ValueError("it is not a JSON object")
        return cls(**document)


class JobSpecStore:
    """The specs of unfinished jobs that were started on this machine, in files that only their owner can read."""

    def __init__(self, folder: Path) -> None:
        """Keep the files in `folder`."""
        self._folder = folder

    def keep(self, spec: JobSpec) -> None:
        """Write a spec to its file. Raises DiskFull or StoreUnavailable."""
        write_atomically(self._file(spec.id), spec.to_text().encode())

    def forget(self, job_id: str) -> None:
        """Remove the spec of an ended job."""
        self._file(job_id).unlink(missing_ok=True)

    def get(self, job_id: str) -> JobSpec | None:
        """Return the spec with that id, None if there is no file of it."""
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
            log.warning("%s is not a job spec: %s", file, error)
            return None
