"""Assembles the service: routes, error handlers, middleware and resources."""

import asyncio
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import Any

from fastapi import Depends, FastAPI
from fastapi.routing import APIRoute
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.gzip import DEFAULT_EXCLUDED_CONTENT_TYPES, GZipMiddleware

from api import errors
from api.api_keys import ApiKeys, KeyFile
from api.limits.concurrency import PerCallerLimit
from api.limits.rate_limiter import RateLimiter
from api.middleware.access import Authentication, authorised
from api.middleware.audit import Audit
from api.middleware.body_drain import DrainRequestBody
from api.middleware.browser_security import SecurityHeaders, TrustedHostAndOrigin
from api.middleware.idempotency import Idempotency
from api.middleware.request_context import RequestContext
from api.openapi.document import complete
from api.routes import collections, duplicates, health, images, pages, preview, search, search_batch, session, tags
from api.routes import jobs as jobs_routes
from api.services.service import ImageEmbedder, Service
from duplicates.background_scan import Scans
from embeddings.settings import Settings
from embeddings.web.fetcher import WebFetcher
from indexer.jobs.base import Jobs
from store.base import Store

FULL_LOAD_CALLERS = 4  # one caller gets at most this part of the service's request limit
GZIP_MIN_BYTES = 1024
GZIP_LEVEL = 5
UNCOMPRESSED = (*DEFAULT_EXCLUDED_CONTENT_TYPES, "image/*", "application/octet-stream")  # images and parts of them
_CORS: dict[str, Any] = {
    "allow_methods": ("GET", "HEAD", "POST", "DELETE"),
    "allow_headers": ("Authorization", "Idempotency-Key", "If-None-Match", "X-Request-ID"),
    "expose_headers": ("ETag", "Location", "Retry-After", "X-Request-ID"),
}
_DESCRIPTION = "Finds images that look alike and says what is in them."


def create_app(
    settings: Settings,
    embedder: ImageEmbedder,
    store: Store,
    jobs: Jobs,
    hosts: Collection[str] | None = None,
    fetcher: WebFetcher | None = None,
    keys: ApiKeys | None = None,
) -> FastAPI:
    """Return the ASGI app; the caller opens `embedder`, `store` and `jobs`, and closes them after the app's lifespan.

    `hosts` are the accepted host names, None: any. `fetcher` fetches images by URL, None: the default one. `keys` are
    the API keys, None: those of the data directory, and none is required while it has none. Endless responses end once
    `app.state.stopping` is set.
    """
    service = Service(settings, embedder, store, fetcher or WebFetcher())
    app = FastAPI(
        title="lookalike",
        version=version("lookalike"),
        description=_DESCRIPTION,
        lifespan=_lifespan,
        dependencies=[Depends(authorised)],
        docs_url=None,  # FastAPI's own pages load their scripts from another host: see api.routes.pages
        redoc_url=None,
        redirect_slashes=False,
        generate_unique_id_function=_operation_id,
    )
    app.state.service = service
    app.state.jobs = jobs
    app.state.keys = keys or ApiKeys(KeyFile(settings.data), open_to="anyone")
    app.state.scans = Scans(settings.data, store, service.image_files, embedder.pool)
    app.state.stopping = asyncio.Event()
    errors.install(app)
    _add_middleware(app, settings, hosts)
    _add_routes(app, with_metrics=not settings.metrics_port)
    complete(app)
    return app


def _operation_id(route: APIRoute) -> str:
    """Return the name of a route's function as the operation id in the OpenAPI document."""
    return route.name


def _add_middleware(app: FastAPI, settings: Settings, hosts: Collection[str] | None) -> None:
    """Add the middleware, from the innermost to the outermost."""
    refuse, metrics = errors.problem_of, app.state.service.metrics
    rates = RateLimiter(settings.rate_limit)
    caller_limit = PerCallerLimit(max(1, settings.queue // FULL_LOAD_CALLERS))
    app.add_middleware(Idempotency, data=settings.data, refuse=refuse)
    app.add_middleware(
        GZipMiddleware, minimum_size=GZIP_MIN_BYTES, compresslevel=GZIP_LEVEL, exclude_content_types=UNCOMPRESSED
    )
    app.add_middleware(Authentication, keys=app.state.keys, rates=rates, caller_limit=caller_limit, refuse=refuse)
    app.add_middleware(Audit)
    app.add_middleware(TrustedHostAndOrigin, hosts=hosts, refuse=refuse, origins=settings.cors_origins)
    app.add_middleware(RequestContext, observe=metrics.request, on_failure=errors.internal_problem)
    if settings.cors_origins:
        app.add_middleware(CORSMiddleware, allow_origins=settings.cors_origins, **_CORS)
    app.add_middleware(SecurityHeaders)
    app.add_middleware(DrainRequestBody)


def _add_routes(app: FastAPI, with_metrics: bool) -> None:
    """Add all routes, in the order of the documentation."""
    for module in (search, tags, images, collections, jobs_routes, health, search_batch, preview, session):
        app.include_router(module.router)
    if with_metrics:
        app.include_router(health.metrics_router)
    app.include_router(jobs_routes.streams)
    app.include_router(duplicates.router)
    app.include_router(pages.router)
    for path, static in pages.static_files.items():
        app.mount(path, static)


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    service: Service = app.state.service
    with app.state.scans:
        async with service.running():
            yield
