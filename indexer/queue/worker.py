"""Runs a worker until a signal stops it: one process with one model, several chunks at a time in threads."""

import logging
import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from types import FrameType

from celery.worker import WorkController, state
from prometheus_client import start_http_server

from embeddings.embedder import Embedder
from embeddings.errors import QueueUnavailable, StoreUnavailable, UsageError
from embeddings.settings import Settings
from indexer.jobs.base import Libraries
from indexer.queue.cancellation import Requeued, StopCondition
from indexer.queue.celery_app import CHUNKS, PLANS, make_app, waiting_key
from indexer.queue.chunk_indexer import ChunkIndexer
from indexer.queue.job_resources import JobResources
from indexer.queue.job_store import JobStore
from indexer.queue.metrics import WorkerGauges, WorkerMetrics
from indexer.queue.planner import Planner
from indexer.queue.producer import Producer
from indexer.queue.recovery import RecoveryLoop
from indexer.queue.tasks import register
from indexer.queue.worker_status import WorkerStatus
from store.base import Store

log = logging.getLogger(__name__)

LEAVING_SECONDS = 30  # after which unfinished chunks are left to another worker


def run_worker(settings: Settings, store: Store, embedder: Embedder, concurrency: int) -> None:
    """Process messages until SIGTERM or Ctrl-C; then hand unfinished chunks back, and return.

    Waits for Redis and Milvus if they do not answer yet. Raises UsageError, ModelError, and LookalikeError if no image
    can be decoded.
    """
    name = f"{socket.gethostname()}-{os.getpid()}"
    with ExitStack() as stack:
        job_store = JobStore(settings.redis_url)
        stack.callback(job_store.close)
        leaving = stack.enter_context(_leaving())
        log.info("loading %s", embedder.identity.name)
        embedder.warm_up()
        engine = embedder.engine
        if not _await(job_store, store, leaving):
            return
        gauges = WorkerGauges(
            lambda: {queue: job_store.waiting(waiting_key(queue)) for queue in (PLANS, CHUNKS)},
            lambda: embedder.pool.seconds,
            lambda: engine.device_memory,
        )
        metrics = WorkerMetrics(gauges)
        app = make_app(settings.redis_url, settings.visibility_timeout)
        producer = Producer(app, settings.redis_url)
        resources = JobResources(store, embedder.identity, Libraries(settings.libraries))
        planner = Planner(job_store, producer, resources, leaving, name, settings.chunk)
        seconds = settings.visibility_timeout / 2
        register(
            app,
            planner,
            ChunkIndexer(job_store, producer, resources, embedder, metrics, leaving, settings.max_bytes, seconds),
        )
        if settings.metrics_port:
            stack.enter_context(_exported(metrics, settings))
        status = WorkerStatus(embedder.identity, engine.name, concurrency, metrics)
        stack.enter_context(RecoveryLoop(job_store, producer, name, settings.visibility_timeout, status))
        log.info("worker %s: %s, %s, %d chunks at a time", name, embedder.identity.name, engine.name, concurrency)
        options = {
            "without_mingle": True,
            "without_gossip": True,
            "without_heartbeat": True,
        }  # workers need not talk to each other
        WorkController(app=app, pool_cls="threads", concurrency=concurrency, hostname=name, **options).start()
    log.info("worker %s has left", name)


def _await(job_store: JobStore, store: Store, leaving: threading.Event) -> bool:
    """Wait until Redis and the store answer; return False if the worker must leave before."""

    def ask() -> None:
        try:
            job_store.ready()
            store.ready()
        except (QueueUnavailable, StoreUnavailable) as error:
            log.warning("waiting: %s", error.message)
            raise

    try:
        StopCondition(leaving, lambda: True, lambda message: None, float("inf")).retrying(ask)
    except Requeued:
        return False
    return True


@contextmanager
def _leaving() -> Iterator[threading.Event]:
    """Yield an event that SIGTERM and Ctrl-C set; they stop the worker as well, and a second signal ends it at once."""
    leaving = threading.Event()

    def leave(number: int, frame: FrameType | None) -> None:
        if leaving.is_set():
            os._exit(1)
        leaving.set()
        state.should_stop = 0
        timer = threading.Timer(LEAVING_SECONDS, os._exit, (1,))
        timer.daemon = True
        timer.start()

    before = {number: signal.signal(number, leave) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield leaving
    finally:
        state.should_stop = None
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _exported(metrics: WorkerMetrics, settings: Settings) -> Iterator[None]:
    """Serve the metrics to Prometheus."""
    try:
        server, thread = start_http_server(settings.metrics_port, settings.metrics_host, metrics.registry)
    except OSError as error:
        raise UsageError(
            f"cannot serve metrics at {settings.metrics_host}:{settings.metrics_port}: {error.strerror}; "
            "choose another LOOKALIKE_METRICS_PORT",
            field="metrics_port",
        ) from error
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
