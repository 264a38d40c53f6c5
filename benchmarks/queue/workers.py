"""Workers that are started for a benchmark, and jobs that they do."""

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from support.waiting import until

from benchmarks.common import Bench
from benchmarks.processes import COMMAND
from indexer.jobs.base import Job, JobStatus
from indexer.queue.redis_jobs import RedisJobs
from indexer.sources.folder import Folder

START_SECONDS = 120.0
COLLECTION = "queue_benchmark"


@contextmanager
def workers(number: int, jobs: RedisJobs, **settings: str) -> Iterator[list["subprocess.Popen[bytes]"]]:
    """Run workers, ready to work, while the context lasts; `settings` are variables that they have otherwise."""
    before = {worker.name for worker in jobs.workers()}
    assert not before, f"other workers are alive: {before}"
    environment = os.environ | settings
    processes = [
        subprocess.Popen([COMMAND, "worker"], env=environment, stderr=subprocess.DEVNULL) for _ in range(number)
    ]
    try:
        until(lambda: len(jobs.workers()) == number, START_SECONDS, lambda: "the workers did not start")
        time.sleep(1)
        yield processes
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait()


def indexed(
    folder: Folder, bench: Bench, jobs: RedisJobs, meanwhile: Callable[[], object] = lambda: None, every: float = 1.0
) -> Job:
    """Return the job that the workers have done for a folder; look after it and call `meanwhile` every some seconds."""
    bench.store.create(COLLECTION, bench.embedder.identity)
    try:
        job = jobs.start_from(folder.root, COLLECTION, False, {})
        while not job.state.ended:
            time.sleep(every)
            meanwhile()
            job = jobs.get(job.id)
        assert job.state is JobStatus.DONE, job
        return job
    finally:
        bench.store.drop(COLLECTION)
