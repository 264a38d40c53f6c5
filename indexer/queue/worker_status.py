"""What workers say of themselves, by way of Redis."""

import os
import socket
import time
from collections.abc import Mapping

from embeddings.models.identity import ModelIdentity
from indexer.jobs.base import Worker
from indexer.queue.metrics import WorkerMetrics


class WorkerStatus:
    """Tells of this worker."""

    def __init__(self, identity: ModelIdentity, engine: str, concurrency: int, metrics: WorkerMetrics) -> None:
        """Take what stays the same."""
        self._always: dict[str, float | str] = {
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "model": identity.name,
            "fingerprint": identity.fingerprint,
            "engine": engine,
            "concurrency": concurrency,
            "started": time.time(),
        }
        self._metrics = metrics
        self._before = (time.monotonic(), 0)

    def __call__(self) -> dict[str, float | str]:
        """Return the fields of a worker, with its rate since the last call."""
        (then, done), (now, images) = self._before, (time.monotonic(), self._metrics.images)
        self._before = (now, images)
        rate = (images - done) / (now - then) if now > then else 0.0
        return self._always | {"images": images, "images_per_second": round(rate, 1)}


def told(name: str, fields: Mapping[str, str]) -> Worker:
    """Return the worker that says this of itself."""
    return Worker(
        name=name,
        host=fields["host"],
        pid=int(fields["pid"]),
        model=fields["model"],
        fingerprint=fields["fingerprint"],
        engine=fields["engine"],
        concurrency=int(fields["concurrency"]),
        started=float(fields["started"]),
        images=int(fields["images"]),
        images_per_second=float(fields["images_per_second"]),
    )
