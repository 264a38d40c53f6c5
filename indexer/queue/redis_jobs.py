"""Jobs that Celery workers run, on any machine."""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from embeddings.errors import LookalikeError, NotFound, QueueUnavailable, UsageError
from embeddings.models.identity import ModelIdentity
from embeddings.utils import Closing
from indexer.jobs.base import Job, JobStatus, Libraries, Worker, new_id
from indexer.pipeline.progress import Failure
from indexer.queue.celery_app import make_app
from indexer.queue.job_specs import JobSpec, JobSpecStore
from indexer.queue.job_store import JobStore
from indexer.queue.producer import Producer
from indexer.queue.worker_status import read_worker
from indexer.sources.folder import Folder
from indexer.sources.open_source import open_source

log = logging.getLogger(__name__)

RESUME_SECONDS = 30.0
LOST = "Redis has lost its record of this job: retry it, indexed images are not indexed again"


class RedisJobs(Closing):
    """Starts, shows and stops jobs; a context manager. Methods raise QueueUnavailable if Redis does not answer.

    The specs of unfinished jobs are kept in files too, so that no job is lost when Redis is emptied.
    """

    def __init__(
        self,
        url: str,
        visibility_timeout: int,
        identity: Callable[[], ModelIdentity],
        libraries: Libraries,
        folder: Path,
    ) -> None:
        """Connect at the first call; keep specs in `folder`. Raises UsageError if `url` is not a Redis address."""
        self.libraries = libraries
        self._identity = identity
        self._job_store = JobStore(url)
        self._producer = Producer(make_app(url, visibility_timeout), url)
        self._specs = JobSpecStore(folder)
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self, source: str, collection: str, prune: bool = False) -> Job:
        """Queue a job for a library."""
        self.libraries.check(source)
        return self._start(source, True, collection, prune, {})

    def start_from(self, source: str, collection: str, prune: bool, headers: Mapping[str, str]) -> Job:
        """Queue a job for a folder, list or address given by an operator, which workers must find under the same name.

        Raises UsageError if it cannot be a source.
        """
        opened = open_source(source, headers)
        named = opened.root if isinstance(opened, Folder) else source
        if not named.partition("://")[1]:
            named = str(Path(named).absolute())
        return self._start(named, False, collection, prune, headers)

    def get(self, job_id: str) -> Job:
        job = self._job_store.job(job_id)
        if job is not None:
            return self._forget_ended(job)
        spec = self._specs.get(job_id)
        if spec is None:
            raise NotFound(f"there is no job {job_id!r}", field="id")
        return _lost(spec)

    def all(self) -> list[Job]:
        jobs = self._job_store.jobs()
        ids = {job.id for job in jobs}
        lost = [_lost(spec) for spec in self._specs if spec.id not in ids]
        return sorted([*map(self._forget_ended, jobs), *lost], key=lambda job: job.id, reverse=True)

    def failures(self, job_id: str) -> list[Failure]:
        self.get(job_id)
        return [failed.failure for failed in self._job_store.failures(job_id)]

    def cancel(self, job_id: str) -> Job:
        job = self.get(job_id)
        self._job_store.cancel(job_id)
        self._specs.forget(job_id)
        return job if job.state.ended else self._job_store.job(job_id) or replace(job, state=JobStatus.CANCELLED)

    def retry(self, job_id: str) -> Job:
        spec = self._job_store.spec(job_id) or self._specs.get(job_id)
        if spec is None:
            raise NotFound(f"there is no job {job_id!r}", field="id")
        return self._queue(replace(spec, model=self._identity().name, fingerprint=self._identity().fingerprint))

    def resume(self) -> None:
        """Queue again the jobs that Redis has lost."""
        for spec in self._specs:
            job = self._job_store.job(spec.id)
            if job is None:
                log.info("job %s: Redis has lost it, it is queued again", spec.id)
                self._queue(spec)
            else:
                self._forget_ended(job)

    def keep_resuming(self) -> None:
        """Call `resume` repeatedly in a thread, for a service that runs for long."""
        self._thread = threading.Thread(target=self._resume_again, name="resume", daemon=True)
        self._thread.start()

    def workers(self) -> list[Worker]:
        """Return the running workers, by name."""
        return [read_worker(name, fields) for name, fields in self._job_store.workers().items()]

    def ready(self) -> None:
        """Return if Redis answers."""
        self._job_store.ready()

    def close(self) -> None:
        """Release the connections; jobs continue."""
        self._closing.set()
        if self._thread is not None:
            self._thread.join()
        self._producer.close()
        self._job_store.close()

    def _resume_again(self) -> None:
        while True:
            try:
                self.resume()
            except QueueUnavailable as error:
                log.warning("%s", error.message)
            if self._closing.wait(RESUME_SECONDS):
                return

    def _start(self, source: str, library: bool, collection: str, prune: bool, headers: Mapping[str, str]) -> Job:
        model = self._identity()
        spec = JobSpec(
            new_id(), source, library, collection, prune, model.name, model.fingerprint, time.time(), dict(headers)
        )
        return self._queue(spec)

    def _queue(self, spec: JobSpec) -> Job:
        self._keep(spec)
        round_ = self._job_store.start(spec)
        if round_ is None:
            state = self.get(spec.id).state
            raise UsageError(f"the job {spec.id} is {state}: cancel it first", field="id")
        self._producer.plan(spec.id, round_)
        return self.get(spec.id)

    def _keep(self, spec: JobSpec) -> None:
        """Write the spec to a file; a full disk stops nothing, because Redis has it too."""
        try:
            self._specs.keep(spec)
        except LookalikeError as error:
            log.warning("job %s is kept by Redis alone: %s", spec.id, error.message)

    def _forget_ended(self, job: Job) -> Job:
        if job.state.ended:
            self._specs.forget(job.id)
        return job


def _lost(spec: JobSpec) -> Job:
    return Job(spec.id, JobStatus.FAILED, spec.source, spec.collection, spec.prune, reason=LOST)
