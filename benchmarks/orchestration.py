"""What the queue costs: a folder indexed by workers against the same work in one process, side by side in one run.

    LOOKALIKE_MILVUS_URI=... LOOKALIKE_REDIS_URL=... python -m benchmarks.orchestration FOLDER [--rounds 3]

Each round indexes the folder into a new collection of the same Milvus server three times: in this process
(`index_source`, what `lookalike index` runs), as a job with one worker, as a job with two workers that share the cores.
Models are loaded and the collection is
made before the clock starts. The seconds of a job are from the begin of its planning to its end, with the
comparison of source and collection that ends it.
"""

import argparse
import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.common import write_results
from embeddings.embedder import Embedder
from embeddings.records import Store
from embeddings.settings import Settings, read_settings
from embeddings.store import open_store
from indexer.jobs import State
from indexer.opening import open_queue
from indexer.pipeline import index_source
from indexer.queue.redis_jobs import RedisJobs
from indexer.sources import Folder, Reference

START_SECONDS = 120.0
COMMAND = Path(sys.executable).parent / "lookalike"


def main() -> None:
    """Measure and write the ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    source, settings = Folder(arguments.folder), read_settings()
    images = sum(isinstance(item, Reference) for item in source.references())
    seconds: dict[str, list[float]] = {"one_process": [], "one_worker": [], "two_workers": []}
    with (
        open_store(settings.milvus_uri, settings.milvus_token, settings.data, settings.milvus_timeout) as store,
        Embedder(settings) as embedder,
        open_queue(settings, embedder) as jobs,
    ):
        for number in range(arguments.rounds + 1):  # the first warms everything up
            round_ = {
                "one_process": in_process(source, store, embedder, settings),
                "one_worker": by_workers(1, source, store, embedder, jobs),
                "two_workers": by_workers(2, source, store, embedder, jobs),
            }
            if number:
                for name, value in round_.items():
                    seconds[name].append(round(value, 2))
            print(f"round {number}: {round_}", flush=True)
    write_results("orchestration", _results(source, images, settings, seconds))


def _results(source: Folder, images: int, settings: Settings, seconds: dict[str, list[float]]) -> dict[str, Any]:
    median = {name: statistics.median(values) for name, values in seconds.items()}
    return {
        "folder": Path(source.root).name,
        "images": images,
        "chunk": settings.chunk,
        "seconds": seconds,
        "orchestration_share": round(1 - median["one_process"] / median["one_worker"], 4),
        "two_workers_to_one": round(median["one_worker"] / median["two_workers"], 4),
    }


def in_process(source: Folder, store: Store, embedder: Embedder, settings: Settings) -> float:
    """Return the seconds that this process takes."""
    collection = store.create("orchestration", embedder.identity)
    try:
        began = time.perf_counter()
        progress = index_source(source, collection, embedder, settings.max_bytes, False, lambda _: None)
        seconds = time.perf_counter() - began
        assert progress.failed == 0, progress.failures
        return seconds
    finally:
        store.drop("orchestration")


def by_workers(number: int, source: Folder, store: Store, embedder: Embedder, jobs: RedisJobs) -> float:
    """Return the seconds that so many workers take."""
    store.create("orchestration", embedder.identity)
    with workers(number, jobs):
        job = jobs.start_from(source.root, "orchestration", False, {})
        while not job.state.ended:
            time.sleep(0.2)
            job = jobs.get(job.id)
    assert job.state is State.DONE, job
    store.drop("orchestration")
    return job.seconds


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
