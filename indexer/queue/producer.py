"""Sends messages to workers."""

from celery import Celery

from indexer.queue.celery_app import EMBED, PLAN
from indexer.queue.chunks import Chunk
from indexer.queue.redis_connection import translated_errors


class Producer:
    """Sends plans and chunks; safe to use from several threads. Methods raise QueueUnavailable."""

    def __init__(self, app: Celery, url: str) -> None:
        """Send through `app`, whose Redis is at `url`."""
        self._app = app
        self._url = url

    def plan(self, job_id: str, after: int) -> None:
        """Ask a worker to plan a job's next round, if the job is still in the round `after`."""
        with translated_errors(self._url), self._app.producer_or_acquire() as producer:
            self._app.send_task(PLAN, (job_id, after), producer=producer)

    def chunks(self, chunks: list[Chunk]) -> None:
        """Ask workers to index chunks."""
        with translated_errors(self._url), self._app.producer_or_acquire() as producer:
            for chunk in chunks:
                self._app.send_task(EMBED, (chunk.to_message(),), producer=producer)

    def close(self) -> None:
        """Release the connections."""
        self._app.close()
