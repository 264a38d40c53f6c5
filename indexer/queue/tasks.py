"""The Celery tasks: thin wrappers around Planner and ChunkIndexer."""

from typing import Any

from celery import Celery

from indexer.queue.acknowledge import StrictAckRequest
from indexer.queue.celery_app import EMBED, PLAN
from indexer.queue.chunk_indexer import ChunkIndexer
from indexer.queue.chunks import Chunk
from indexer.queue.planner import Planner


def register(app: Celery, planner: Planner, indexer: ChunkIndexer) -> None:
    """Register the tasks with the app."""

    @app.task(name=PLAN, Request=StrictAckRequest)
    def plan(job_id: str, after: int) -> None:
        planner.plan(job_id, after)

    @app.task(name=EMBED, Request=StrictAckRequest)
    def embed(message: dict[str, Any]) -> None:
        indexer.index(Chunk.from_message(message))
