"""What the queue costs: a folder indexed by workers against the same work in one process, side by side in one run.

    LOOKALIKE_MILVUS_URI=... LOOKALIKE_REDIS_URL=... python -m benchmarks.orchestration FOLDER [--rounds 6]

Each round indexes the folder into a new collection of the same Milvus server three times, in turning order: in one
process (`index_source`, what `lookalike index` runs), as a job with one worker, as a job with two workers that share
the cores. All of them are started anew for it, since one process can be some percent faster than the next for as long
as both live, and have indexed a small folder before the clock starts. The seconds of a job are from the begin of its
planning to its end, with the comparison of source and collection that ends it. Processor seconds are those of the
process or the workers, with their decode processes, and of Redis. Shares and ratios are medians of those of the rounds.
"""

import argparse
import os
import signal
import statistics
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import redis

from benchmarks.common import copies, write_results
from benchmarks.trees import tree_processor_seconds
from embeddings.embedder import Embedder
from embeddings.settings import Settings, read_settings
from indexer.jobs.base import Job, JobStatus
from indexer.open_jobs import open_queue
from indexer.pipeline.index_source import index_source
from indexer.queue.redis_jobs import RedisJobs
from indexer.sources.base import Reference
from indexer.sources.folder import Folder
from store import open_store
from store.base import Store

START_SECONDS = 120.0
WARM_IMAGES = 512
COMMAND = Path(sys.executable).parent / "lookalike"


@dataclass(frozen=True)
class Taken:
    """What an index took: seconds by the clock, and of the processors without those of Milvus."""

    seconds: float
    processor: float


def main() -> None:
    """Measure and write the ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rounds", type=int, default=6)
    arguments = parser.parse_args()
    source, settings = Folder(arguments.folder), read_settings()
    paths = [Path(source.shown(item.path)) for item in source.references() if isinstance(item, Reference)]
    with (
        TemporaryDirectory() as folder,
        open_store(settings.milvus_uri, settings.milvus_token, settings.data, settings.milvus_timeout) as store,
        Embedder(settings) as embedder,
        open_queue(settings, embedder) as jobs,
        redis.Redis.from_url(settings.redis_url) as server,
    ):
        small = Folder(Path(folder))
        copies(paths, Path(folder), WARM_IMAGES)
        ways: dict[str, Callable[[], Taken]] = {
            "one_process": lambda: in_process(source, small),
            "one_worker": lambda: by_workers(1, source, small, store, embedder, jobs, server),
            "two_workers": lambda: by_workers(2, source, small, store, embedder, jobs, server),
        }
        taken: dict[str, list[Taken]] = {name: [] for name in ways}
        names = deque(ways)
        for number in range(arguments.rounds + 1):  # the first warms everything up
            round_ = {name: ways[name]() for name in names}
            names.rotate(1)
            print(f"round {number}: {round_}", file=sys.stderr, flush=True)
            for name, value in round_.items() if number else ():
                taken[name].append(value)
    write_results("orchestration", _results(source, len(paths), settings, taken))


def _results(source: Folder, images: int, settings: Settings, taken: dict[str, list[Taken]]) -> dict[str, Any]:
    seconds = {name: [round(one.seconds, 2) for one in values] for name, values in taken.items()}
    processor = {name: [round(one.processor, 2) for one in values] for name, values in taken.items()}
    return {
        "folder": Path(source.root).name,
        "images": images,
        "chunk": settings.chunk,
        "seconds": seconds,
        "processor_seconds": processor,
        "orchestration_share": round(1 - median_ratio(seconds["one_process"], seconds["one_worker"]), 4),
        "orchestration_share_of_processors": round(
            1 - median_ratio(processor["one_process"], processor["one_worker"]), 4
        ),
        "two_workers_to_one": round(median_ratio(seconds["one_worker"], seconds["two_workers"]), 4),
    }


def median_ratio(ours: list[float], others: list[float]) -> float:
    """Return the median of the ratios round by round."""
    return statistics.median(one / other for one, other in zip(ours, others, strict=True))


def in_process(source: Folder, small: Folder) -> Taken:
    """Return what a process takes for `source` after it has done `small`."""
    with ProcessPoolExecutor(1, get_context("spawn")) as process:
        return process.submit(_index_both, small, source).result()


def _index_both(small: Folder, source: Folder) -> Taken:
    settings = read_settings()
    with (
        open_store(settings.milvus_uri, settings.milvus_token, settings.data, settings.milvus_timeout) as store,
        Embedder(settings) as embedder,
    ):
        _index(small, store, embedder, settings)
        return _index(source, store, embedder, settings)


def _index(source: Folder, store: Store, embedder: Embedder, settings: Settings) -> Taken:
    collection = store.create("orchestration", embedder.identity)
    try:
        began, busy = time.perf_counter(), tree_processor_seconds(os.getpid())
        progress = index_source(source, collection, embedder, settings.max_bytes, False, lambda _: None)
        taken = Taken(time.perf_counter() - began, tree_processor_seconds(os.getpid()) - busy)
        assert progress.failed == 0, progress.failures
        return taken
    finally:
        store.drop("orchestration")


def by_workers(
    number: int,
    source: Folder,
    small: Folder,
    store: Store,
    embedder: Embedder,
    jobs: RedisJobs,
    server: redis.Redis,
) -> Taken:
    """Return what so many workers, and Redis, take for `source` after they have done `small`."""
    with workers(number, jobs) as processes:

        def busy() -> float:
            used = server.info("cpu")
            own = used["used_cpu_user"] + used["used_cpu_sys"]
            return own + sum(tree_processor_seconds(process.pid) for process in processes)

        by_job(small, store, embedder, jobs)
        before = busy()
        job = by_job(source, store, embedder, jobs)
        return Taken(job.seconds, busy() - before)


def by_job(source: Folder, store: Store, embedder: Embedder, jobs: RedisJobs) -> Job:
    """Return the job that the workers have done for a source."""
    store.create("orchestration", embedder.identity)
    try:
        job = jobs.start_from(source.root, "orchestration", False, {})
        while not job.state.ended:
            time.sleep(1)
            job = jobs.get(job.id)
        assert job.state is JobStatus.DONE, job
        return job
    finally:
        store.drop("orchestration")


@contextmanager
def workers(number: int, jobs: RedisJobs, **settings: str) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Run workers, ready to work, while the context lasts; `settings` are variables that they have otherwise."""
    before = {worker.name for worker in jobs.workers()}
    assert not before, f"other workers are alive: {before}"
    environment = os.environ | settings
    processes = [
        subprocess.Popen([COMMAND, "worker"], env=environment, stderr=subprocess.DEVNULL) for _ in range(number)
    ]
    try:
        deadline = time.monotonic() + START_SECONDS
        while len(jobs.workers()) < number:
            assert time.monotonic() < deadline, "the workers did not start"
            time.sleep(0.1)
        time.sleep(1)
        yield processes
    finally:
        for process in processes:
            os.kill(process.pid, signal.SIGTERM)
        for process in processes:
            process.wait()


if __name__ == "__main__":
    main()
