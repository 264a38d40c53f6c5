"""Opens the source and the collection of a job, once in a worker for all its chunks."""

import threading
from collections import OrderedDict
from dataclasses import dataclass

from embeddings.errors import ModelMismatch
from embeddings.models.identity import ModelIdentity
from indexer.jobs.base import Libraries
from indexer.pipeline.writable_collection import WritableCollection
from indexer.queue.job_specs import JobSpec
from indexer.sources.base import Source
from store.base import Store

MAX_OPENED = 8


@dataclass(frozen=True)
class OpenedJob:
    """The source that a job reads and the collection that it writes to."""

    source: Source
    collection: WritableCollection


class JobResources:
    """Opens sources and collections by the specs of jobs; safe to use from several threads."""

    def __init__(self, store: Store, identity: ModelIdentity, libraries: Libraries) -> None:
        """Open collections of `store` for vectors of the model `identity`."""
        self._store = store
        self._identity = identity
        self._libraries = libraries
        self._lock = threading.Lock()
        self._opened: OrderedDict[JobSpec, OpenedJob] = OrderedDict()

    def open(self, spec: JobSpec) -> OpenedJob:
        """Return the opened source and collection of a job.

        Raises ModelMismatch, NotFound, UsageError, SourceUnavailable or StoreUnavailable.
        """
        with self._lock:
            if spec not in self._opened:
                self._opened[spec] = self._open(spec)
                while len(self._opened) > MAX_OPENED:
                    self._opened.popitem(last=False)
            self._opened.move_to_end(spec)
            return self._opened[spec]

    def _open(self, spec: JobSpec) -> OpenedJob:
        own = self._identity
        if spec.fingerprint != own.fingerprint:
            raise ModelMismatch(
                f"the job was started for the model {spec.model} ({spec.fingerprint}), and this worker has "
                f"{own.name} ({own.fingerprint}): set the same LOOKALIKE_MODEL everywhere"
            )
        return OpenedJob(spec.open(self._libraries), self._store.create(spec.collection, own))
