"""The parts of the queue as a worker has them, for jobs on made-up lists whose images nobody opens."""

import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.rows import row
from embeddings.models.identity import ModelIdentity
from embeddings.settings import Settings
from indexer.jobs.base import Libraries, new_id
from indexer.pipeline.difference import reference_id
from indexer.queue.celery_app import make_app
from indexer.queue.job_resources import JobResources
from indexer.queue.job_specs import JobSpec
from indexer.queue.job_store import JobStore
from indexer.queue.planner import Planner
from indexer.queue.producer import Producer
from indexer.sources.base import Reference
from store.base import Store
from store.records import Row

MODEL = ModelIdentity("queue", "0" * 12, 4)
VECTOR = np.array([1, 0, 0, 0], np.float32)
NAME = "benchmark"


@dataclass(frozen=True)
class QueueParts:
    """What a worker plans and does jobs with."""

    jobs: JobStore
    app: Any
    producer: Producer
    resources: JobResources
    planner: Planner
    leaving: threading.Event
    chunk: int

    def start(self, file: Path | str, collection: str) -> tuple[str, int]:
        """Start a job for a list; return its id and round, which are still to be planned."""
        spec = JobSpec(new_id(), str(file), False, collection, False, MODEL.name, MODEL.fingerprint, time.time())
        round_ = self.jobs.start(spec)
        assert round_ is not None
        return spec.id, round_


@contextmanager
def queue_parts(settings: Settings, store: Store) -> Iterator[QueueParts]:
    """Connect to Redis, which must have no workers."""
    app = make_app(settings.redis_url, settings.visibility_timeout)
    with closing(JobStore(settings.redis_url)) as jobs, closing(Producer(app, settings.redis_url)) as producer:
        resources, leaving = JobResources(store, MODEL, Libraries({})), threading.Event()
        planner = Planner(jobs, producer, resources, leaving, NAME, settings.chunk)
        yield QueueParts(jobs, app, producer, resources, planner, leaving, settings.chunk)


def made_up_list(file: Path, lines: int) -> Path:
    """Write a list of addresses."""
    with file.open("w", encoding="utf-8") as out:
        out.write("uri,bytes,modified_at\n")
        for i in range(lines):
            out.write(f"s3://bucket/photos/{i % 1000:04}/IMG_{i:09}.jpg,{1_000_000 + i},1780228800000000000\n")
    return file


def listed_row(source: str, reference: Reference) -> Row:
    """Return the row that an address would have, with a made-up vector and no tags."""
    facts = {"id": reference_id(source, reference), "source": source, "path": reference.path}
    known = {"bytes": reference.bytes or 0, "modified_at": reference.modified_at or 0, "tags": ()}
    return row(0, VECTOR, **facts, **known)
