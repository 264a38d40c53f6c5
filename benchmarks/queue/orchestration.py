"""What the queue costs: a folder indexed by workers against the same work in one process, side by side in one run.

    LOOKALIKE_MILVUS_URI=... LOOKALIKE_REDIS_URL=... python -m benchmarks.queue.orchestration FOLDER [--rounds 6]

Each round indexes the folder into a new collection of the same Milvus server three times, in turning order: in one
process (`index_source`, what `lookalike index` runs), as a job with one worker, as a job with two workers that share
the cores. All of them are started anew for it, since one process can be some percent faster than the next for as long
as both live, and have indexed a small folder before the clock starts. The seconds of a job are from the begin of its
planning to its end, with the comparison of source and collection that ends it. Processor seconds are those of the
process or the workers, with their decode processes, and of Redis. Shares and ratios are medians of those of the rounds.
"""

import os
import statistics
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory

import redis

from benchmarks.common import Bench, copies, opened, photos
from benchmarks.processes import tree_processor_seconds
from benchmarks.queue.workers import COLLECTION, indexed, workers
from benchmarks.reporting import arguments, in_turns, ratios, rounded, write_results
from embeddings.settings import read_settings
from indexer.open_jobs import open_queue
from indexer.queue.redis_jobs import RedisJobs
from indexer.sources.folder import Folder

WARM_IMAGES = 512
Taken = tuple[float, float]  # seconds by the clock, and of the processors without those of Milvus


def main() -> None:
    """Measure and write the ratios."""
    asked = arguments(__doc__, folder=Path, rounds=6)
    settings = read_settings()
    files = photos(asked.folder)
    with (
        TemporaryDirectory() as place,
        opened(settings) as bench,
        open_queue(settings, bench.embedder) as jobs,
        redis.Redis.from_url(settings.redis_url) as server,
    ):
        copies(files, Path(place), WARM_IMAGES)
        sources = Folder(Path(place)), Folder(asked.folder)
        ways = {
            "one_process": partial(in_process, *sources),
            "one_worker": partial(by_workers, 1, *sources, bench, jobs, server),
            "two_workers": partial(by_workers, 2, *sources, bench, jobs, server),
        }
        taken = in_turns(ways, asked.rounds, warm_up=True)
    seconds = rounded({name: [clock for clock, _ in values] for name, values in taken.items()})
    processor = rounded({name: [busy for _, busy in values] for name, values in taken.items()})
    write_results(
        "orchestration",
        {
            "folder": asked.folder.name,
            "images": len(files),
            "chunk": settings.chunk,
            "seconds": seconds,
            "processor_seconds": processor,
            "orchestration_share": share(seconds),
            "orchestration_share_of_processors": share(processor),
            "two_workers_to_one": round(statistics.median(ratios(seconds["one_worker"], seconds["two_workers"])), 4),
        },
    )


def share(taken: dict[str, list[float]]) -> float:
    """Return what part of a job by a worker the queue is, as the median of the rounds."""
    return round(1 - statistics.median(ratios(taken["one_process"], taken["one_worker"])), 4)


def in_process(small: Folder, source: Folder) -> Taken:
    """Return what a process takes for `source` after it has done `small`."""
    with ProcessPoolExecutor(1, get_context("spawn")) as process:
        return process.submit(_index_both, small, source).result()


def _index_both(small: Folder, source: Folder) -> Taken:
    with opened(read_settings()) as bench:
        _index(small, bench)
        return _index(source, bench)


def _index(source: Folder, bench: Bench) -> Taken:
    """Return what indexing takes once the collection is there, as it is for jobs."""
    collection = bench.store.create(COLLECTION, bench.embedder.identity)
    try:
        began, before = time.perf_counter(), tree_processor_seconds(os.getpid())
        progress = bench.fill(collection, source)
        taken = time.perf_counter() - began, tree_processor_seconds(os.getpid()) - before
        assert progress.failed == 0, progress.failures
        return taken
    finally:
        bench.store.drop(COLLECTION)


def by_workers(number: int, small: Folder, source: Folder, bench: Bench, jobs: RedisJobs, server: redis.Redis) -> Taken:
    """Return what so many workers, and Redis, take for `source` after they have done `small`."""
    with workers(number, jobs) as processes:

        def busy() -> float:
            used = server.info("cpu")
            own = used["used_cpu_user"] + used["used_cpu_sys"]
            return own + sum(tree_processor_seconds(process.pid) for process in processes)

        indexed(small, bench, jobs)
        before = busy()
        job = indexed(source, bench, jobs)
        return job.seconds, busy() - before


if __name__ == "__main__":
    main()
