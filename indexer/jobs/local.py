"""Runs jobs in this process, one after another in a thread, for one machine without a broker."""

import json
import logging
import threading
import time
from dataclasses import asdict, replace
from pathlib import Path
from queue import Empty, SimpleQueue

from embeddings.embedder import Embedder
from embeddings.errors import LookalikeError, NotFound, UsageError
from embeddings.utils import Closing, write_atomically
from indexer.jobs.base import Job, JobStatus, Libraries, new_id
from indexer.pipeline.index_source import index_source
from indexer.pipeline.progress import Failure, IndexProgress, Listener
from store.base import Store

log = logging.getLogger(__name__)

SAVE_SECONDS = 2.0  # between two saves of a running job
WAIT_SECONDS = 0.2
MAX_JOBS = 1000  # beyond this number the oldest ended jobs are deleted


class _Stopped(Exception):
    """The job was cancelled, or the process is ending."""


class LocalJobs(Closing):
    """Saves each job in a file of `folder`; a context manager.

    Jobs that are queued or running when the process ends, even if it is killed, are queued again by the next process.
    """

    def __init__(self, store: Store, embedder: Embedder, libraries: Libraries, folder: Path, max_bytes: int) -> None:
        """Load the jobs of `folder`, and start to work."""
        self._store = store
        self._embedder = embedder
        self.libraries = libraries
        self._folder = folder
        self._max_bytes = max_bytes
        self._lock = threading.RLock()
        self._jobs: dict[str, Job] = {}  # oldest first
        self._failures: dict[str, list[Failure]] = {}
        self._cancelled: set[str] = set()
        self._queue: SimpleQueue[str] = SimpleQueue()
        self._closing = threading.Event()
        self._load()
        self._thread = threading.Thread(target=self._work, name="jobs", daemon=True)
        self._thread.start()

    def start(self, source: str, collection: str, prune: bool = False) -> Job:
        self.libraries.check(source)
        job = Job(new_id(), JobStatus.QUEUED, source, collection, prune)
        return self._enqueue(job)

    def get(self, job_id: str) -> Job:
        with self._lock:
            if job_id not in self._jobs:
                raise NotFound(f"there is no job {job_id!r}", field="id")
            return self._jobs[job_id]

    def all(self) -> list[Job]:
        with self._lock:
            return list(reversed(self._jobs.values()))

    def failures(self, job_id: str) -> list[Failure]:
        with self._lock:
            self.get(job_id)
            return list(self._failures.get(job_id, ()))

    def cancel(self, job_id: str) -> Job:
        with self._lock:
            job = self.get(job_id)
            if job.state is JobStatus.QUEUED:
                return self._save(replace(job, state=JobStatus.CANCELLED))
            if job.state is JobStatus.RUNNING:
                self._cancelled.add(job_id)
            return job

    def retry(self, job_id: str) -> Job:
        with self._lock:
            job = self.get(job_id)
            if not job.state.ended:
                raise UsageError(f"the job {job_id} is {job.state}: cancel it first", field="id")
            self._cancelled.discard(job_id)
            return self._enqueue(Job(job.id, JobStatus.QUEUED, job.source, job.collection, job.prune))

    def ready(self) -> None:
        """Return: jobs can be started as long as this process lives."""

    def close(self) -> None:
        """Stop the running job, which the next process runs again, and the thread."""
        self._closing.set()
        self._thread.join()

    def _enqueue(self, job: Job) -> Job:
        with self._lock:
            self._failures.pop(job.id, None)
            self._save(job)
            self._queue.put(job.id)
        return job

    def _work(self) -> None:
        while not self._closing.is_set():
            try:
                job = self.get(self._queue.get(timeout=WAIT_SECONDS))
            except (Empty, NotFound):
                continue
            if job.state is JobStatus.QUEUED:  # and not cancelled since
                self._run(job)

    def _run(self, job: Job) -> None:
        started = saved = time.monotonic()
        self._save(replace(job, state=JobStatus.RUNNING))
        latest = IndexProgress()

        def listen(progress: IndexProgress) -> None:
            nonlocal latest, saved
            latest = progress
            if self._closing.is_set() or job.id in self._cancelled:
                raise _Stopped
            now = time.monotonic()
            running = replace(job, state=JobStatus.RUNNING).after(progress, now - started)
            with self._lock:
                self._jobs[job.id] = running
            if now - saved > SAVE_SECONDS:
                saved = now
                self._save(running)

        state, reason = JobStatus.DONE, None
        try:
            self._index(job, listen)
        except _Stopped:
            state = JobStatus.QUEUED if self._closing.is_set() else JobStatus.CANCELLED
        except LookalikeError as error:
            state, reason = JobStatus.FAILED, error.message
            log.warning("job %s failed: %s", job.id, error.message)
        if state is JobStatus.DONE and latest.failures:
            state = JobStatus.DONE_WITH_FAILURES
        with self._lock:
            self._failures[job.id] = list(latest.failures)
            self._save(replace(job, state=state, reason=reason).after(latest, time.monotonic() - started))

    def _index(self, job: Job, listen: Listener) -> None:
        source = self.libraries.open(job.source)
        collection = self._store.create(job.collection, self._embedder.identity)
        index_source(source, collection, self._embedder, self._max_bytes, job.prune, listen)

    def _save(self, job: Job) -> Job:
        """Remember a job, and write it to its file. The file is for the next process, so a full disk stops nothing."""
        with self._lock:
            self._jobs[job.id] = job
            failures = [asdict(failure) for failure in self._failures.get(job.id, ())]
            try:
                write_atomically(self._file(job.id), json.dumps({"job": asdict(job), "failures": failures}).encode())
                self._delete_old()
            except LookalikeError as error:
                log.warning("job %s is not saved: %s", job.id, error.message)
        return job

    def _delete_old(self) -> None:
        ended = [job.id for job in self._jobs.values() if job.state.ended]
        for job_id in ended[: max(0, len(self._jobs) - MAX_JOBS)]:
            del self._jobs[job_id]
            self._failures.pop(job_id, None)
            self._file(job_id).unlink(missing_ok=True)

    def _load(self) -> None:
        for file in sorted(self._folder.glob("*.json")):
            try:
                document = json.loads(file.read_text(encoding="utf-8"))
                job = Job(**document["job"] | {"state": JobStatus(document["job"]["state"])})
                failures = [Failure(**failure) for failure in document["failures"]]
            except (OSError, ValueError, KeyError, TypeError) as error:
                log.warning("%s is not a saved job: %s", file, error)
                continue
            self._jobs[job.id], self._failures[job.id] = job, failures
            if not job.state.ended:
                self._enqueue(replace(job, state=JobStatus.QUEUED))

    def _file(self, job_id: str) -> Path:
        return self._folder / f"{job_id}.json"
