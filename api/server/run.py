"""Runs the service until it is told to stop."""

import gc
import resource
import signal
import socket
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from ipaddress import ip_address
from types import FrameType

import uvicorn
from fastapi import FastAPI

from api.api_keys import KeyFile, KeyRing, parse_entry
from api.app import create_app
from api.middleware.browser_security import LOOPBACK
from api.server.connection import MAX_CONNECTIONS, ConnectionCounter, HttpConnection
from api.server.listener import LINGERING, AdmissionListener
from api.server.logging import log_config
from embeddings.embedder import Embedder
from embeddings.errors import UsageError
from embeddings.settings import Settings
from embeddings.web.fetcher import WebFetcher
from indexer.open_jobs import open_jobs
from store import open_store
from store.base import Store

BACKLOG = 2048
ACCEPTED_AT_ONCE = 16  # connections; asyncio takes as many as the backlog before it looks at anything else
OPEN_FILES = 4 * (MAX_CONNECTIONS + LINGERING)  # a request has files of its own
GRACE = 10  # seconds that answers under way may take after a Ctrl-C


def serve(
    settings: Settings,
    host: str = "127.0.0.1",
    port: int = 8000,
    on_started: Callable[[str], None] | None = None,
    allow_anyone: bool = False,
) -> None:
    """Open model and store, and serve until Ctrl-C or SIGTERM; then finish what is under way and return.

    `on_started` is called with the service's address once it answers. Raises UsageError, ModelError or
    StoreUnavailable before it serves.
    """
    with listening(host, port) as listener:
        ring = key_ring(settings, listener, allow_anyone)
        with (
            open_store(settings.milvus_uri, settings.milvus_token, settings.data, settings.milvus_timeout) as store,
            Embedder(settings) as embedder,
        ):
            serve_opened(settings, listener, embedder, store, on_started, ring)


def serve_opened(
    settings: Settings,
    listener: socket.socket,
    embedder: Embedder,
    store: Store,
    on_started: Callable[[str], None] | None = None,
    ring: KeyRing | None = None,
    fetcher: WebFetcher | None = None,
) -> None:
    """Do as `serve` with a socket of `listening`, a model and a store that are open, and stay so.

    `ring` has the API keys of `key_ring`, None: asked for here, and strangers are not let in without. `fetcher` gets
    pictures by their URLs, None: the usual one.
    """
    ring = ring or key_ring(settings, listener)
    settings.data.mkdir(parents=True, exist_ok=True)
    embedder.warm_up()
    with _taking(_address(listener)):
        listener.listen(BACKLOG)  # fails where another process, as quick with its bind, listens by now
    with open_jobs(settings, store, embedder) as jobs:
        app = create_app(settings, embedder, store, jobs, _hosts(listener, settings.hosts), fetcher, ring)
        with app.state.service.metrics.shown_at(settings.metrics_host, settings.metrics_port):
            _run(app, listener, settings.trusted_proxies, on_started or (lambda address: None))


@contextmanager
def listening(host: str, port: int) -> Iterator[socket.socket]:
    """Hold an address, so that it is known to be free before anything slow is done; nobody is answered yet.

    Raises UsageError that says what to do if it cannot be had.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except (socket.gaierror, UnicodeError, OverflowError) as error:
        raise UsageError(f"{host}:{port} is not an address of this machine: {error}", field="host") from error
    with socket.socket(family, kind, protocol) as listener:
        with _taking(f"{host}:{port}"):
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
        yield listener


@contextmanager
def _taking(address: str) -> Iterator[None]:
    """Say what to do where an address cannot be had."""
    try:
        yield
    except OSError as error:
        reason = error.strerror.lower() if error.strerror else str(error)
        raise UsageError(
            f"cannot serve at {address}: {reason}; stop what uses it or choose another with --port", field="port"
        ) from error


def key_ring(settings: Settings, listener: socket.socket, allow_anyone: bool = False) -> KeyRing:
    """Return the API keys of the settings and of the data directory.

    Raises UsageError where others can reach the service, it has no keys, and `allow_anyone` does not say that this is
    meant; KeysUnreadable.
    """
    anyone = allow_anyone or _is_loopback(listener)
    ring = KeyRing(KeyFile(settings.data), list(map(parse_entry, settings.api_keys)), anyone)
    if not ring.keys() and ring.needed:
        host = listener.getsockname()[0]
        raise UsageError(
            f"whoever can reach {host} could search, add and remove pictures: make an API key first "
            "(lookalike keys create NAME --scope admin), or say --allow-anyone",
            field="host",
        )
    return ring


def _is_loopback(listener: socket.socket) -> bool:
    return ip_address(listener.getsockname()[0]).is_loopback


def _hosts(listener: socket.socket, named: Collection[str]) -> frozenset[str] | None:
    """Return the host names that the service answers to: only a loopback address is known by so few."""
    return LOOPBACK | set(named) if named or _is_loopback(listener) else None


class _Server(uvicorn.Server):
    """A uvicorn server that says when it answers, and when it is about to stop."""

    def __init__(self, config: uvicorn.Config, on_started: Callable[[], None], on_stopping: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_started = on_started
        self._on_stopping = on_stopping

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to listen."""
        await super().startup(sockets)
        for listener in sockets or []:
            listener.listen(BACKLOG)
        if self.started:
            self._on_started()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Wait for the answers under way."""
        self._on_stopping()
        await super().shutdown(sockets)


def _run(app: FastAPI, listener: socket.socket, proxies: Sequence[str], on_started: Callable[[str], None]) -> None:
    peers = ConnectionCounter(proxies)
    config = uvicorn.Config(
        app,
        loop="asyncio",  # which asks the door for every connection; uvloop does not
        backlog=ACCEPTED_AT_ONCE,
        http=partial(HttpConnection, peers=peers),  # type: ignore[arg-type]
        log_config=log_config(),
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=GRACE,
        forwarded_allow_ips=list(proxies),
    )
    _allow_many_connections()
    address = _address(listener)

    def started() -> None:
        # the collector looks through all of model, libraries and app for a third of a second, while nobody is answered
        gc.collect()
        gc.freeze()
        on_started(address)

    server = _Server(config, started, app.state.stopping.set)
    before = signal.signal(signal.SIGTERM, _stop)
    try:
        server.run([AdmissionListener(listener, peers)])
    except KeyboardInterrupt:
        pass  # uvicorn has stopped cleanly by now and raises the signal again for its caller
    finally:
        gc.unfreeze()
        signal.signal(signal.SIGTERM, before)


def _allow_many_connections() -> None:
    """Raise what most systems allow a process (1,024 open files), as far as it may be raised."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, OPEN_FILES)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def _stop(number: int, frame: FrameType | None) -> None:
    """End like Ctrl-C does."""
    raise KeyboardInterrupt


def _address(listener: socket.socket) -> str:
    """Return the address to open in a browser."""
    host, port = listener.getsockname()[:2]
    shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)  # noqa: S104
    return f"http://{shown}:{port}"
