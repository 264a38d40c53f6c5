"""Puts the service together: routes, errors, guards, and what lives as long as the app."""

from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from importlib.metadata import version
from pathlib import Path

from fastapi import FastAPI
from starlette.responses import FileResponse
from starlette.staticfiles import StaticFiles

from api import errors
from api.draining import Draining
from api.guard import BrowserRules, Guard
from api.openapi import name_problems
from api.routes import collections, health, images, search, tags
from api.service import Embedder, Service
from api.tracing import Tracing
from embeddings.records import Store
from embeddings.settings import Settings

STATIC = Path(__file__).parent / "static"
_ABOUT = "Finds images that look alike and says what is in them."


def create_app(settings: Settings, embedder: Embedder, store: Store, hosts: Collection[str] | None = None) -> FastAPI:
    """Return the ASGI app; whoever opened `embedder` and `store` closes them after its lifespan.

    `hosts` are the host names it answers to, None: any.
    """
    service = Service(settings, embedder, store)
    app = FastAPI(
        title="lookalike",
        version=version("lookalike"),
        description=_ABOUT,
        lifespan=_lifespan,
        docs_url=None,  # these pages load their scripts from another host
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.service = service
    errors.install(app)
    app.add_middleware(Guard, hosts=hosts, refuse=errors.problem_of)
    app.add_middleware(Tracing, observe=service.metrics.request, on_failure=errors.internal_problem)
    app.add_middleware(BrowserRules)
    app.add_middleware(Draining)  # the one added last is the outermost
    for part in (search, tags, images, collections, health):
        app.include_router(part.router)
    app.add_api_route("/", _page, include_in_schema=False)
    app.mount("/static", StaticFiles(directory=STATIC, check_dir=False))
    name_problems(app)
    return app


async def _page() -> FileResponse:
    """Return the web page."""
    return FileResponse(STATIC / "index.html")


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    service: Service = app.state.service
    async with service.running():
        yield
