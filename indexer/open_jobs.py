"""Opens the jobs that the settings ask for: in this process, or through Redis."""

from typing import TYPE_CHECKING

from embeddings.embedder import Embedder
from embeddings.errors import UsageError
from embeddings.settings import Settings
from indexer.jobs.base import Libraries
from indexer.jobs.local import LocalJobs
from store.base import Store

if TYPE_CHECKING:
    from indexer.queue.redis_jobs import RedisJobs


def open_jobs(settings: Settings, store: Store, embedder: Embedder) -> "LocalJobs | RedisJobs":
    """Open the jobs of a service, and resume unfinished jobs. Raises UsageError for a wrong setting."""
    if not settings.redis_url:
        folder = settings.data / "jobs"
        return LocalJobs(store, embedder, Libraries(settings.libraries), folder, settings.max_bytes)
    jobs = open_queue(settings, embedder)
    jobs.keep_resuming()
    return jobs


def open_queue(settings: Settings, embedder: Embedder) -> "RedisJobs":
    """Open the jobs that workers run. Raises UsageError if the settings name no Redis or no Milvus server."""
    from indexer.queue.redis_jobs import RedisJobs  # noqa: PLC0415 - imports Celery

    check_queue(settings)
    libraries, folder = Libraries(settings.libraries), settings.data / "orders"
    return RedisJobs(settings.redis_url, settings.visibility_timeout, lambda: embedder.identity, libraries, folder)


def check_queue(settings: Settings) -> None:
    """Raise UsageError if the settings do not let several processes work together."""
    if not settings.redis_url:
        raise UsageError("set LOOKALIKE_REDIS_URL: without it jobs run in the process of `lookalike serve`")
    if not settings.milvus_uri:
        raise UsageError("set LOOKALIKE_MILVUS_URI: workers share a Milvus server; Milvus Lite is for one process")
