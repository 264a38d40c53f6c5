"""Puts the service together: routes, errors, guards, and what lives as long as the app."""

import asyncio
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

from fastapi import Depends, FastAPI
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.gzip import DEFAULT_EXCLUDED_CONTENT_TYPES, GZipMiddleware
from starlette.responses import FileResponse
from starlette.staticfiles import StaticFiles

from api import errors
from api.api_keys import KeyFile, KeyRing
from api.limits.concurrency import PerCallerLimit
from api.limits.rate_limiter import RateLimiter
from api.middleware.access import Authentication, authorised
from api.middleware.audit import Audit
from api.middleware.body_drain import DrainRequestBody
from api.middleware.browser_security import HostAndOriginCheck, SecurityHeaders
from api.middleware.head_requests import HeadFromGet
from api.middleware.idempotency import Idempotency
from api.middleware.request_context import RequestContext
from api.openapi.document import complete
from api.routes import collections, duplicates, health, images, preview, search, search_batch, session, tags
from api.routes import jobs as jobs_routes
from api.services.service import ImageEmbedder, Service
from duplicates.background_scan import Scans
from embeddings.settings import Settings
from embeddings.web.fetcher import WebFetcher
from indexer.jobs.base import Jobs
from store.base import Store

STATIC = Path(__file__).parent / "static"
CALLERS = 4  # so many it takes to have the service full: one caller gets no more than this part of its places
GZIP_FROM = 1024  # bytes
GZIP_LEVEL = 5
AS_IT_IS = (*DEFAULT_EXCLUDED_CONTENT_TYPES, "image/*", "application/octet-stream")  # pictures, and parts of them
_FOR_OTHER_SITES: dict[str, Any] = {
    "allow_methods": ("GET", "HEAD", "POST", "DELETE"),
    "allow_headers": ("Authorization", "Idempotency-Key", "If-None-Match", "X-Request-ID"),
    "expose_headers": ("ETag", "Location", "Retry-After", "X-Request-ID"),
}
_ABOUT = "Finds images that look alike and says what is in them."


def create_app(
    settings: Settings,
    embedder: ImageEmbedder,
    store: Store,
    jobs: Jobs,
    hosts: Collection[str] | None = None,
    fetcher: WebFetcher | None = None,
    ring: KeyRing | None = None,
) -> FastAPI:
    """Return the ASGI app; whoever opened `embedder`, `store` and `jobs` closes them after its lifespan.

    `hosts` are the host names it answers to, None: any. `fetcher` gets pictures by their URLs, None: the usual one.
    `ring` has the API keys, None: those of the data directory, and nobody needs one while it has none.
    Once `app.state.stopping` is set, endless answers end.
    """
    service = Service(settings, embedder, store, fetcher or WebFetcher())
    app = FastAPI(
        title="lookalike",
        version=version("lookalike"),
        description=_ABOUT,
        lifespan=_lifespan,
        dependencies=[Depends(authorised)],
        docs_url=None,  # these pages load their scripts from another host
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.service = service
    app.state.jobs = jobs
    app.state.ring = ring or KeyRing(KeyFile(settings.data), anyone=True)
    app.state.scans = Scans(settings.data, store, service.image_files, embedder.pool)
    app.state.stopping = asyncio.Event()
    errors.install(app)
    _add_layers(app, settings, hosts)
    _add_routes(app, with_metrics=not settings.metrics_port)
    complete(app)
    return app


def _add_layers(app: FastAPI, settings: Settings, hosts: Collection[str] | None) -> None:
    """Put what every request passes around the routes, from the innermost to the outermost."""
    refuse, metrics = errors.problem_of, app.state.service.metrics
    rates, shares = RateLimiter(settings.rate_limit), PerCallerLimit(max(1, settings.queue // CALLERS))
    app.add_middleware(Idempotency, data=settings.data, refuse=refuse)
    app.add_middleware(GZipMiddleware, minimum_size=GZIP_FROM, compresslevel=GZIP_LEVEL, exclude_content_types=AS_IT_IS)
    app.add_middleware(HeadFromGet)
    app.add_middleware(Authentication, ring=app.state.ring, rates=rates, shares=shares, refuse=refuse)
    app.add_middleware(Audit)
    app.add_middleware(HostAndOriginCheck, hosts=hosts, refuse=refuse, origins=settings.cors_origins)
    app.add_middleware(RequestContext, observe=metrics.request, on_failure=errors.internal_problem)
    if settings.cors_origins:
        app.add_middleware(CORSMiddleware, allow_origins=settings.cors_origins, **_FOR_OTHER_SITES)
    app.add_middleware(SecurityHeaders)
    app.add_middleware(DrainRequestBody)


def _add_routes(app: FastAPI, with_metrics: bool) -> None:
    """Add all routes, in the order of the documentation; with the metrics or without."""
    for routes in (search, tags, images, collections, jobs_routes, health, search_batch, preview, session):
        app.include_router(routes.router)
    if with_metrics:
        app.include_router(health.metrics_router)
    app.include_router(jobs_routes.streams)
    app.include_router(duplicates.router)
    app.add_api_route("/", _page, include_in_schema=False)
    app.mount("/static", StaticFiles(directory=STATIC, check_dir=False))


async def _page() -> FileResponse:
    """Return the web page."""
    return FileResponse(STATIC / "index.html")


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    service: Service = app.state.service
    with app.state.scans:
        async with service.running():
            yield
