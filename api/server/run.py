"""Runs the service until Ctrl-C or SIGTERM."""

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

from api.api_keys import ApiKeys, KeyFile, OpenTo, parse_entry
from api.app import create_app
from api.middleware.browser_security import LOOPBACK
from api.server.connection import MAX_CONNECTIONS, ConnectionCounter, HttpConnection
from api.server.listener import MAX_LINGERING, AdmissionListener
from api.server.logging import log_config
from embeddings.embedder import Embedder
from embeddings.errors import UsageError
from embeddings.settings import Settings
from embeddings.web.fetcher import WebFetcher
from indexer.open_jobs import open_jobs
from store import open_store
from store.base import Store

BACKLOG = 2048
ACCEPTS_PER_ROUND = 16  # asyncio accepts as many connections as the backlog before it handles anything else
MAX_OPEN_FILES = 4 * (MAX_CONNECTIONS + MAX_LINGERING)  # requests also open files
SHUTDOWN_SECONDS = 10  # for requests in progress after a Ctrl-C


def serve(
    settings: Settings,
    host: str = "127.0.0.1",
    port: int = 8000,
    on_started: Callable[[str], None] | None = None,
    allow_anyone: bool = False,
) -> None:
    """Open model and store, and serve until Ctrl-C or SIGTERM; then finish the requests in progress.

    `on_started` is called with the service's address once it answers. Raises UsageError, ModelError or
    StoreUnavailable before that.
    """
    with listening(host, port) as listener:
        keys = load_keys(settings, listener, allow_anyone)
        with (
            open_store(settings.milvus_uri, settings.milvus_token, settings.data, settings.milvus_timeout) as store,
            Embedder(settings) as embedder,
        ):
            serve_opened(settings, listener, embedder, store, on_started, keys)


def serve_opened(
    settings: Settings,
    listener: socket.socket,
    embedder: Embedder,
    store: Store,
    on_started: Callable[[str], None] | None = None,
    keys: ApiKeys | None = None,
    fetcher: WebFetcher | None = None,
) -> None:
    """Do as `serve` with a socket from `listening`, and a model and a store that are open and stay open.

    `keys` are those of `load_keys`, None: load them here, without `allow_anyone`. `fetcher` fetches images by URL,
    None: the default one.
    """
    keys = keys or load_keys(settings, listener)
    settings.data.mkdir(parents=True, exist_ok=True)
    embedder.warm_up()
    with _binding(_address(listener)):
        listener.listen(BACKLOG)  # fails if another process has bound the same address and listens by now
    with open_jobs(settings, store, embedder) as jobs:
        app = create_app(settings, embedder, store, jobs, _hosts(listener, settings.hosts), fetcher, keys)
        with app.state.service.metrics.served_at(settings.metrics_host, settings.metrics_port):
            _run(app, listener, settings.trusted_proxies, on_started or (lambda address: None))


@contextmanager
def listening(host: str, port: int) -> Iterator[socket.socket]:
    """Bind an address before any slow work, without listening yet. Raises UsageError with advice if it is taken."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except (socket.gaierror, UnicodeError, OverflowError) as error:
        raise UsageError(f"{host}:{port} is not an address of this machine: {error}", field="host") from error
    with socket.socket(family, kind, protocol) as listener:
        with _binding(f"{host}:{port}"):
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
        yield listener


@contextmanager
def _binding(address: str) -> Iterator[None]:
    """Raise UsageError with advice if an address cannot be used."""
    try:
        yield
    except OSError as error:
        reason = error.strerror.lower() if error.strerror else str(error)
        raise UsageError(
            f"cannot serve at {address}: {reason}; stop the program that uses it or choose another port with --port",
            field="port",
        ) from error


def load_keys(settings: Settings, listener: socket.socket, allow_anyone: bool = False) -> ApiKeys:
    """Return the API keys of the settings and of the data directory.

    Raises UsageError if other machines can reach the service, by its address or a name of LOOKALIKE_HOSTS, and it has
    no keys, unless `allow_anyone`; KeysUnreadable.
    """
    public = [name for name in settings.hosts if name not in LOOPBACK]
    host = next(iter(public), listener.getsockname()[0])
    open_to: OpenTo = "nobody" if public or not _is_loopback(listener) else "loopback"
    keys = ApiKeys(
        KeyFile(settings.data),
        list(map(parse_entry, settings.api_keys)),
        "anyone" if allow_anyone else open_to,
    )
    if not keys.keys() and keys.needed:
        raise UsageError(
            f"anyone who can reach {host} could search, add and remove images: create an API key first "
            "(lookalike keys create NAME --scope admin), or pass --allow-anyone",
            field="host",
        )
    return keys


def _is_loopback(listener: socket.socket) -> bool:
    return ip_address(listener.getsockname()[0]).is_loopback


def _hosts(listener: socket.socket, named: Collection[str]) -> frozenset[str] | None:
    """Return the accepted host names, None for any; only those of a loopback address are known."""
    return LOOPBACK | set(named) if named or _is_loopback(listener) else None


class _Server(uvicorn.Server):
    """A uvicorn server with callbacks for its start and its stop."""

    def __init__(self, config: uvicorn.Config, on_started: Callable[[], None], on_stopping: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_started = on_started
        self._on_stopping = on_stopping

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start to listen."""
        await super().startup(sockets)
        for listener in sockets or []:
            listener.listen(BACKLOG)
        if self.started:
            self._on_started()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Wait for the requests in progress."""
        self._on_stopping()
        await super().shutdown(sockets)


def _run(app: FastAPI, listener: socket.socket, proxies: Sequence[str], on_started: Callable[[str], None]) -> None:
    counter = ConnectionCounter(proxies)
    config = uvicorn.Config(
        app,
        loop="asyncio",  # calls the listener's accept() for every connection; uvloop does not
        backlog=ACCEPTS_PER_ROUND,
        http=partial(HttpConnection, counter=counter),  # type: ignore[arg-type]
        log_config=log_config(),
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
        forwarded_allow_ips=list(proxies),
    )
    _allow_many_connections()
    address = _address(listener)

    def started() -> None:
        # a full garbage collection of model, libraries and app takes a third of a second, in which nothing is answered
        gc.collect()
        gc.freeze()
        on_started(address)

    server = _Server(config, started, app.state.stopping.set)
    before = signal.signal(signal.SIGTERM, _stop)
    try:
        server.run([AdmissionListener(listener, counter)])
    except KeyboardInterrupt:
        pass  # uvicorn has stopped cleanly and raises the signal again
    finally:
        gc.unfreeze()
        signal.signal(signal.SIGTERM, before)


def _allow_many_connections() -> None:
    """Raise the limit on open files, which is 1,024 on most systems, as far as allowed."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = MAX_OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, MAX_OPEN_FILES)
    if soft != resource.RLIM_INFINITY and soft < limit:
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))


def _stop(number: int, frame: FrameType | None) -> None:
    """Stop as Ctrl-C does."""
    raise KeyboardInterrupt


def _address(listener: socket.socket) -> str:
    """Return the address to open in a browser."""
    host, port = listener.getsockname()[:2]
    shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)  # noqa: S104
    return f"http://{shown}:{port}"
