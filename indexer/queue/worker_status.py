"""The status of workers, which they announce through Redis."""

import os
import socket
import time
from collections.abc import Mapping

from embeddings.models.identity import ModelIdentity
from indexer.jobs.base import Worker
from indexer.queue.metrics import WorkerMetrics


class WorkerStatus:
    """Gives the fields of this worker."""

    def __init__(self, identity: ModelIdentity, engine: str, concurrency: int, metrics: WorkerMetrics) -> None:
        """Take the fields that never change."""
        self._constant: dict[str, float | str] = {
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "model": identity.name,
            "fingerprint": identity.fingerprint,
            "engine": engine,
            "concurrency": concurrency,
            "started": time.time(),
        }
        self._metrics = metrics
        self._last = (time.monotonic(), 0)

    def __call__(self) -> dict[str, float | str]:
        """Return the fields, with the rate since the last call."""
        (then, before), (now, images) = self._last, (time.monotonic(), self._metrics.images)
        self._last = (now, images)
        rate = (images - before) / (now - then) if now > then else 0.0
        return self._constant | {"images": images, "images_per_second": round(rate, 1)}


def read_worker(name: str, fields: Mapping[str, str]) -> Worker:
    """Return the worker with these fields."""
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
