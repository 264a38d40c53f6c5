"""Metrics for Prometheus; each app has its own registry."""

from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
    start_http_server,
)

from embeddings.errors import UsageError

_METHODS = frozenset({"GET", "HEAD", "POST", "DELETE", "PUT", "PATCH", "OPTIONS"})
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class Metrics:
    """The metrics of one service."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self._requests = Counter(
            "lookalike_requests", "Requests answered", ("method", "route", "status"), registry=self._registry
        )
        self._seconds = Histogram(
            "lookalike_request_seconds", "Seconds to an answer", ("route",), buckets=_SECONDS, registry=self._registry
        )
        self._stages = Histogram(
            "lookalike_stage_seconds",
            "Seconds in a step of a request, waiting included",
            ("stage",),
            buckets=_SECONDS,
            registry=self._registry,
        )
        self._batches = Histogram(
            "lookalike_batch_size",
            "Items done by one call",
            ("stage",),
            buckets=(1, 2, 4, 8, 16, 32),
            registry=self._registry,
        )
        self.in_flight = Gauge(
            "lookalike_requests_in_flight", "Requests to /v1 being answered", registry=self._registry
        )

    def request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one request and its duration."""
        self._requests.labels(method if method in _METHODS else "other", route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def stage(self, name: str, seconds: float) -> None:
        """Record the duration of a step."""
        self._stages.labels(name).observe(seconds)

    def batch(self, stage: str, size: int) -> None:
        """Record the size of a batch."""
        self._batches.labels(stage).observe(size)

    def text(self) -> bytes:
        """Return all metrics in the text format of Prometheus."""
        return generate_latest(self._registry)

    @contextmanager
    def served_at(self, host: str, port: int) -> Iterator[None]:
        """Serve the metrics at a port of their own while the block lasts; port 0: do not. Raises UsageError."""
        if not port:
            yield
            return
        try:
            server, thread = start_http_server(port, host, self._registry)
        except OSError as error:
            text = f"cannot serve metrics at {host}:{port}: {error.strerror}; choose another LOOKALIKE_METRICS_PORT"
            raise UsageError(text, field="metrics_port") from error
        try:
            yield
        finally:
            server.shutdown()
            server.server_close()
            thread.join()
