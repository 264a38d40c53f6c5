"""What it takes to plan a job: a long list of images is listed and compared with a collection.

    python -m benchmarks.planning [--lines 1000000] [--full] [--queue]

The list is a CSV of addresses with size and change time. It is compared with an empty collection and, with --full,
with one that has a row for every line: in a Milvus server by LOOKALIKE_MILVUS_URI, else in Milvus Lite. With --queue it
is also planned as a worker does it, with all chunks sent to the Redis of LOOKALIKE_REDIS_URL, which must have no
workers. Memory is the most that the process ever held, less what it held before that step.
"""

import argparse
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from resource import RUSAGE_SELF, getrusage
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from benchmarks.common import write_results
from embeddings.models.identity import ModelIdentity
from embeddings.settings import Settings, read_settings
from indexer.jobs.base import Libraries, new_id
from indexer.pipeline.difference import difference, reference_id
from indexer.pipeline.lister import PrefetchIterator, chunks
from indexer.queue.celery_app import CHUNKS, make_app, waiting_key
from indexer.queue.job_resources import JobResources
from indexer.queue.job_specs import JobSpec
from indexer.queue.job_store import JobStore
from indexer.queue.planner import Planner
from indexer.queue.producer import Producer
from indexer.sources.base import Reference
from indexer.sources.manifest import Manifest
from store import open_store
from store.base import Collection, Store
from store.records import Row

MODEL = ModelIdentity("planning", "0" * 12, 4)
COLLECTION = "planning_benchmark"
ROWS = 10_000


def main() -> None:
    """Measure and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lines", type=int, default=1_000_000)
    parser.add_argument("--full", action="store_true", help="also against a collection that has every line")
    parser.add_argument("--queue", action="store_true", help="also send all chunks to Redis")
    arguments = parser.parse_args()
    settings = read_settings()
    with TemporaryDirectory() as folder:
        source = Manifest(made_up(Path(folder) / "list.csv", arguments.lines))
        results: dict[str, Any] = {"lines": arguments.lines, "listing": timed(source.references())}
        with open_store(settings.milvus_uri, settings.milvus_token, Path(folder), settings.milvus_timeout) as store:
            results["store"] = "server" if settings.milvus_uri else "lite"
            collection = store.create(COLLECTION, MODEL)
            try:
                if arguments.queue:
                    results["queued"] = queued(source, store, settings)
                results["empty"] = timed(planned(source, collection))
                if arguments.full:
                    fill(source, collection)
                    results["full"] = timed(planned(source, collection))
            finally:
                store.drop(COLLECTION)
    write_results("planning", results)


def made_up(file: Path, lines: int) -> Path:
    """Write a list of addresses."""
    with file.open("w", encoding="utf-8") as out:
        out.write("uri,bytes,modified_at\n")
        for i in range(lines):
            out.write(f"s3://bucket/photos/{i % 1000:04}/IMG_{i:09}.jpg,{1_000_000 + i},1780228800000000000\n")
    return file


def planned(source: Manifest, collection: Collection) -> Iterator[Reference]:
    """Yield what a job would have to do, keeping what the pipeline keeps of the rest."""
    present: set[int] = set()
    with PrefetchIterator(source.references()) as listed:
        for block in difference(source.name, listed, collection):
            present.update(map(hash, block.ids))
            yield from block.new


def queued(source: Manifest, store: Store, settings: Settings) -> dict[str, Any]:
    """Plan a job, its chunks sent to Redis; return references, seconds and memory."""
    records, app = JobStore(settings.redis_url), make_app(settings.redis_url, settings.visibility_timeout)
    sender = Producer(app, settings.redis_url)
    file = str(source.file)
    order = JobSpec(new_id(), file, False, COLLECTION, False, MODEL.name, MODEL.fingerprint, time.time())
    openings = JobResources(store, MODEL, Libraries({}))
    planner = Planner(records, sender, openings, threading.Event(), "benchmark", settings.chunk)
    round_ = records.start(order)
    assert round_ is not None

    def plan() -> Iterator[object]:
        planner.plan(order.id, round_)
        yield from ()

    result = timed(plan())
    chunks_waiting = records.waiting(waiting_key(CHUNKS))
    records.cancel(order.id)
    app.control.purge()
    records.close()
    sender.close()
    return {**result, "yielded": (chunks_waiting - 1) * settings.chunk, "chunks": chunks_waiting}


def timed(work: Iterator[object]) -> dict[str, Any]:
    """Run through something and return its number, seconds and memory."""
    before = getrusage(RUSAGE_SELF).ru_maxrss
    began = time.perf_counter()
    number = sum(1 for _ in work)
    seconds = time.perf_counter() - began
    megabytes = (getrusage(RUSAGE_SELF).ru_maxrss - before) / 1024
    return {"yielded": number, "seconds": round(seconds, 2), "peak_growth_mb": round(megabytes)}


def fill(source: Manifest, collection: Collection) -> None:
    """Write a row for every line."""
    vector = np.array([1, 0, 0, 0], np.float32)
    references = (item for item in source.references() if isinstance(item, Reference))
    for part in chunks(references, ROWS):
        collection.upsert([row_of(source.name, reference, vector) for reference in part])
    collection.flush()


def row_of(source: str, reference: Reference, vector: np.ndarray) -> Row:
    """Return the row that a reference would have, with a made-up vector."""
    return Row(
        id=reference_id(source, reference),
        source=source,
        path=reference.path,
        content_hash="0" * 64,
        phash=0,
        vector=vector,
        tags=(),
        width=1,
        height=1,
        bytes=reference.bytes or 0,
        taken_at=None,
        modified_at=reference.modified_at or 0,
        indexed_at=datetime.now(UTC),
        meta={},
    )


if __name__ == "__main__":
    main()
