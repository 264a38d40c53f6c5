"""What the queue costs by itself: a whole job by way of Redis and Celery whose images need no work.

    LOOKALIKE_REDIS_URL=... python -m benchmarks.queue_alone [--lines 100000] [--rounds 3]

A worker in this process plans a list of addresses, takes its chunks, writes rows that cost nothing into a collection in
memory, records what became of each chunk, and compares list and collection at the end, as workers do; nothing is
fetched, decoded, embedded or stored. What remains is what a job has more to do than `lookalike index`: messages, chunk
records, progress, and the comparisons, one of which `lookalike index` makes too. `share` is its processor time for an
image, with Redis', against that of a whole job in the newest results of benchmarks.orchestration. Redis must have no
workers.
"""

import argparse
import json
import statistics
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import redis
from celery.worker import WorkController, state

from benchmarks.common import RESULTS, write_results
from benchmarks.planning import made_up, row_of
from cli.worker import CHUNKS_AT_ONCE
from embeddings.models.identity import ModelIdentity
from embeddings.settings import Settings, read_settings
from indexer.jobs.base import Job, JobStatus, Libraries, new_id
from indexer.pipeline.difference import difference
from indexer.queue.cancellation import StopCondition
from indexer.queue.celery_app import make_app
from indexer.queue.chunk_indexer import ChunkIndexer
from indexer.queue.chunks import Chunk, ChunkResult
from indexer.queue.job_resources import JobResources, OpenedJob
from indexer.queue.job_specs import JobSpec
from indexer.queue.job_store import JobStore
from indexer.queue.metrics import WorkerGauges, WorkerMetrics
from indexer.queue.planner import Planner
from indexer.queue.producer import Producer
from indexer.queue.recovery import RecoveryLoop
from indexer.queue.tasks import register
from indexer.queue.worker_status import WorkerStatus
from indexer.sources.base import Reference
from store.testing import MemoryStore

MODEL = ModelIdentity("queue", "0" * 12, 4)
VECTOR = np.array([1, 0, 0, 0], np.float32)
NAME = "benchmark"
CHUNK_SECONDS = 60.0


def main() -> None:
    """Measure and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lines", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    settings = read_settings()
    with TemporaryDirectory() as folder, Worker(settings) as worker:
        file = made_up(Path(folder) / "list.csv", arguments.lines)
        rounds = [worker.job(str(file), arguments.lines) for _ in range(arguments.rounds + 1)][1:]
    whole, images = processor_seconds_of_a_job()
    alone = statistics.median(one["processor_us_an_image"] for one in rounds)
    write_results(
        "queue_alone",
        {
            "lines": arguments.lines,
            "chunk": settings.chunk,
            "rounds": rounds,
            "processor_us_an_image": alone,
            "processor_us_an_image_of_a_whole_job": round(whole / images * 1e6, 1),
            "share": round(alone / (whole / images * 1e6), 4),
        },
    )


def processor_seconds_of_a_job() -> tuple[float, int]:
    """Return what one worker took for a job, and how many images that had, as was measured last."""
    newest = max(RESULTS.glob("orchestration-*.json"))
    measured = json.loads(newest.read_text(encoding="utf-8"))
    return statistics.median(measured["processor_seconds"]["one_worker"]), measured["images"]


class Writes(ChunkIndexer):
    """Indexes chunks without looking at an image."""

    def _write(
        self, chunk: Chunk, opened: OpenedJob, order: JobSpec, stop: StopCondition
    ) -> tuple[ChunkResult, list[Reference]]:
        """Write rows for what the collection has not, as a quick look tells."""
        blocks = difference(chunk.source, chunk.references, opened.collection, strong=False)
        new = [reference for block in blocks for reference in block.new]
        opened.collection.upsert([row_of(chunk.source, reference, VECTOR) for reference in new])
        stop.look()
        return ChunkResult(len(chunk.references)), []


class Worker:
    """A worker as `lookalike worker` makes it, on a store in memory; a context manager."""

    def __init__(self, settings: Settings) -> None:
        url = settings.redis_url
        self._server = redis.Redis.from_url(url)
        self._records, app = JobStore(url), make_app(url, settings.visibility_timeout)
        self._sender = Producer(app, url)
        self._store = MemoryStore()
        openings, leaving = JobResources(self._store, MODEL, Libraries({})), threading.Event()
        figures = WorkerMetrics(WorkerGauges(dict, lambda: 0.0, lambda: 0))
        planner = Planner(self._records, self._sender, openings, leaving, NAME, settings.chunk)
        nothing: Any = None  # no image is embedded
        indexer = Writes(
            self._records, self._sender, openings, nothing, figures, leaving, settings.max_bytes, CHUNK_SECONDS
        )
        register(app, planner, indexer)
        about = WorkerStatus(MODEL, "none", CHUNKS_AT_ONCE, figures)
        self._keeper = RecoveryLoop(self._records, self._sender, NAME, settings.visibility_timeout, about)
        options = {"without_mingle": True, "without_gossip": True, "without_heartbeat": True}
        self._worker = WorkController(app=app, pool_cls="threads", concurrency=CHUNKS_AT_ONCE, hostname=NAME, **options)
        self._thread = threading.Thread(target=self._work)

    def __enter__(self) -> "Worker":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        state.should_stop = 0
        self._thread.join()
        self._keeper.close()
        self._sender.close()
        self._records.close()
        self._server.close()

    def job(self, file: str, lines: int) -> dict[str, Any]:
        """Do a job and return what it took."""
        name = f"job{time.time_ns()}"
        order = JobSpec(new_id(), file, False, name, False, MODEL.name, MODEL.fingerprint, time.time())
        round_ = self._records.start(order)
        assert round_ is not None
        busy = self._busy()
        self._sender.plan(order.id, round_)
        while not (job := self._job(order.id)).state.ended:
            time.sleep(0.2)
        processor = self._busy() - busy
        assert (job.state, job.found, job.indexed) == (JobStatus.DONE, lines, lines), job
        self._store.drop(name)
        print(f"{job.seconds:.1f} s, {processor:.1f} s of processors", file=sys.stderr, flush=True)
        return {"seconds": round(job.seconds, 2), "processor_us_an_image": round(processor / lines * 1e6, 1)}

    def _job(self, job_id: str) -> Job:
        job = self._records.job(job_id)
        assert job is not None
        return job

    def _busy(self) -> float:
        used = self._server.info("cpu")
        return time.process_time() + float(used["used_cpu_user"]) + float(used["used_cpu_sys"])

    def _work(self) -> None:
        with suppress(SystemExit):
            self._worker.start()


if __name__ == "__main__":
    main()
