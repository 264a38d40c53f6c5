"""What the queue costs by itself: a whole job by way of Redis and Celery whose images need no work.

    LOOKALIKE_REDIS_URL=... python -m benchmarks.queue.alone [--lines 100000] [--rounds 3]

A worker in this process plans a list of addresses, takes its chunks, writes rows that cost nothing into a collection in
memory, records what became of each chunk, and compares list and collection at the end, as workers do; nothing is
fetched, decoded, embedded or stored. What remains is what a job has more to do than `lookalike index`: messages, chunk
records, progress, and the comparisons, one of which `lookalike index` makes too. `share` is its processor time for an
image, with Redis', against that of a whole job in the newest results of orchestration. Redis must have no workers.
"""

import statistics
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import redis
from celery.worker import WorkController, state

from benchmarks.queue.parts import MODEL, NAME, QueueParts, listed_row, made_up_list, queue_parts
from benchmarks.reporting import arguments, newest, write_results
from cli.worker import CHUNKS_AT_ONCE
from embeddings.settings import Settings, read_settings
from indexer.jobs.base import JobStatus
from indexer.pipeline.difference import difference
from indexer.queue.cancellation import StopCondition
from indexer.queue.chunk_indexer import ChunkIndexer
from indexer.queue.chunks import Chunk, ChunkResult
from indexer.queue.job_resources import OpenedJob
from indexer.queue.job_specs import JobSpec
from indexer.queue.metrics import WorkerGauges, WorkerMetrics
from indexer.queue.recovery import RecoveryLoop
from indexer.queue.tasks import register
from indexer.queue.worker_status import WorkerStatus
from indexer.sources.base import Reference
from store.testing import MemoryStore

CHUNK_SECONDS = 60.0


def main() -> None:
    """Measure and write the results."""
    asked = arguments(__doc__, lines=100_000, rounds=3)
    settings, store = read_settings(), MemoryStore()
    with (
        TemporaryDirectory() as folder,
        queue_parts(settings, store) as parts,
        working(settings, parts),
        redis.Redis.from_url(settings.redis_url) as server,
    ):
        file = made_up_list(Path(folder) / "list.csv", asked.lines)
        one = partial(job, parts, store, file, asked.lines, partial(processor_seconds, server))
        rounds = [one() for _ in range(asked.rounds + 1)][1:]
    measured = newest("orchestration")
    whole = statistics.median(measured["processor_seconds"]["one_worker"]) / measured["images"] * 1e6
    alone = statistics.median(one["processor_us_an_image"] for one in rounds)
    write_results(
        "queue_alone",
        {
            "lines": asked.lines,
            "chunk": settings.chunk,
            "rounds": rounds,
            "processor_us_an_image": alone,
            "processor_us_an_image_of_a_whole_job": round(whole, 1),
            "share": round(alone / whole, 4),
        },
    )


class Writes(ChunkIndexer):
    """Indexes chunks without looking at an image."""

    def _write(
        self, chunk: Chunk, opened: OpenedJob, order: JobSpec, stop: StopCondition
    ) -> tuple[ChunkResult, list[Reference]]:
        """Write rows for what the collection has not, as a quick look tells."""
        blocks = difference(chunk.source, chunk.references, opened.collection, strong=False)
        opened.collection.upsert([listed_row(chunk.source, reference) for block in blocks for reference in block.new])
        stop.look()
        return ChunkResult(len(chunk.references)), []


@contextmanager
def working(settings: Settings, parts: QueueParts) -> Iterator[None]:
    """Run a worker in a thread, made as `lookalike worker` makes it."""
    metrics = WorkerMetrics(WorkerGauges(dict, lambda: 0.0, lambda: 0))
    jobs, producer = parts.jobs, parts.producer
    nothing: Any = None  # no image is embedded
    limits = settings.max_bytes, CHUNK_SECONDS
    indexer = Writes(jobs, producer, parts.resources, nothing, metrics, parts.leaving, *limits)
    register(parts.app, parts.planner, indexer)
    status = WorkerStatus(MODEL, "none", CHUNKS_AT_ONCE, metrics)
    options = {"without_mingle": True, "without_gossip": True, "without_heartbeat": True}
    pool = {"pool_cls": "threads", "concurrency": CHUNKS_AT_ONCE}
    worker = WorkController(app=parts.app, hostname=NAME, **pool, **options)

    def work() -> None:
        with suppress(SystemExit):
            worker.start()

    thread = threading.Thread(target=work)
    with RecoveryLoop(jobs, producer, NAME, settings.visibility_timeout, status):
        thread.start()
        try:
            yield
        finally:
            state.should_stop = 0
            thread.join()


def job(parts: QueueParts, store: MemoryStore, file: Path, lines: int, busy: Callable[[], float]) -> dict[str, Any]:
    """Do a job and return what it took."""
    name = f"job{time.time_ns()}"
    started, before = parts.start(file, name), busy()
    parts.producer.plan(*started)
    while (done := parts.jobs.job(started[0])) is not None and not done.state.ended:
        time.sleep(0.2)
    processor = busy() - before
    assert done is not None
    assert (done.state, done.found, done.indexed) == (JobStatus.DONE, lines, lines), done
    store.drop(name)
    print(f"{done.seconds:.1f} s, {processor:.1f} s of processors", file=sys.stderr, flush=True)
    return {"seconds": round(done.seconds, 2), "processor_us_an_image": round(processor / lines * 1e6, 1)}


def processor_seconds(server: redis.Redis) -> float:
    """Return the processor seconds of this process and of Redis."""
    used = server.info("cpu")
    return time.process_time() + float(used["used_cpu_user"]) + float(used["used_cpu_sys"])


if __name__ == "__main__":
    main()
