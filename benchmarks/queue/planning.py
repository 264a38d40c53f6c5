"""What it takes to plan a job: a long list of images is listed and compared with a collection.

    python -m benchmarks.queue.planning [--lines 1000000] [--full] [--queue]

The list is a CSV of addresses with size and change time. It is compared with an empty collection and, with --full,
with one that has a row for every line: in a Milvus server by LOOKALIKE_MILVUS_URI, else in Milvus Lite. With --queue it
is also planned as a worker does it, with all chunks sent to the Redis of LOOKALIKE_REDIS_URL, which must have no
workers. Memory is the most that the process held during a step, less what it held before.
"""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.processes import cost
from benchmarks.queue.parts import MODEL, QueueParts, listed_row, made_up_list, queue_parts
from benchmarks.reporting import arguments, write_results
from embeddings.settings import read_settings
from indexer.pipeline.difference import difference
from indexer.pipeline.lister import PrefetchIterator, chunks
from indexer.queue.celery_app import CHUNKS, waiting_key
from indexer.sources.base import Reference
from indexer.sources.manifest import Manifest
from store import open_store
from store.base import Collection

COLLECTION = "planning_benchmark"
ROWS = 10_000


def main() -> None:
    """Measure and write the results."""
    asked = arguments(__doc__, lines=1_000_000, full=False, queue=False)
    settings = read_settings()
    with (
        TemporaryDirectory() as folder,
        open_store(settings.milvus_uri, settings.milvus_token, Path(folder), settings.milvus_timeout) as store,
    ):
        source = Manifest(made_up_list(Path(folder) / "list.csv", asked.lines))
        results: dict[str, Any] = {"lines": asked.lines, "listing": counted(source.references())}
        results["store"] = "server" if settings.milvus_uri else "lite"
        collection = store.create(COLLECTION, MODEL)
        try:
            if asked.queue:
                with queue_parts(settings, store) as parts:
                    results["queued"] = queued(source, parts)
            results["empty"] = counted(planned(source, collection))
            if asked.full:
                fill(source, collection)
                results["full"] = counted(planned(source, collection))
        finally:
            store.drop(COLLECTION)
    write_results("planning", results)


def counted(work: Iterator[object]) -> dict[str, Any]:
    """Run through something and return its number, seconds and memory."""
    number, taken = cost(lambda: sum(1 for _ in work))
    return {"yielded": number, **taken}


def planned(source: Manifest, collection: Collection) -> Iterator[Reference]:
    """Yield what a job would have to do, keeping what the pipeline keeps of the rest."""
    present: set[int] = set()
    with PrefetchIterator(source.references()) as listed:
        for block in difference(source.name, listed, collection):
            present.update(map(hash, block.ids))
            yield from block.new


def queued(source: Manifest, parts: QueueParts) -> dict[str, Any]:
    """Plan a job, its chunks sent to Redis; return references, seconds and memory."""
    job = parts.start(source.file, COLLECTION)
    _, taken = cost(lambda: parts.planner.plan(*job))
    waiting = parts.jobs.waiting(waiting_key(CHUNKS))
    parts.jobs.cancel(job[0])
    parts.app.control.purge()
    return {"yielded": (waiting - 1) * parts.chunk, **taken, "chunks": waiting}


def fill(source: Manifest, collection: Collection) -> None:
    """Write a row for every line."""
    references = (item for item in source.references() if isinstance(item, Reference))
    for part in chunks(references, ROWS):
        collection.upsert([listed_row(source.name, reference) for reference in part])
    collection.flush()


if __name__ == "__main__":
    main()
