"""The app with the toy model and the store in memory, and a client that calls it without a network."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from api.api_keys import ApiKeys
from api.app import create_app
from api.services.service import ImageEmbedder, Service
from embeddings.settings import Settings
from embeddings.web.fetcher import WebFetcher
from indexer.jobs.base import Libraries
from indexer.jobs.local import LocalJobs
from store.base import Store
from store.testing import MemoryStore
from support.toy import ToyEmbedder

BASE = "http://localhost"


class ApiClient:
    """Sends requests one at a time with `get`, `post` and `delete`, or several with `run`."""

    def __init__(self, runner: asyncio.Runner, http: httpx.AsyncClient, service: Service) -> None:
        self._runner = runner
        self.http = http
        self.service = service

    def run(self, work: Any) -> Any:
        return self._runner.run(work)

    def get(self, path: str, **options: Any) -> httpx.Response:
        return self.run(self.http.get(path, **options))

    def post(self, path: str, **options: Any) -> httpx.Response:
        return self.run(self.http.post(path, **options))

    def delete(self, path: str, **options: Any) -> httpx.Response:
        return self.run(self.http.delete(path, **options))

    def add(self, data: bytes, **fields: str) -> dict[str, Any]:
        """Add an image and return its document."""
        answer = self.post("/v1/images", files={"file": ("picture.png", data)}, data=fields)
        assert answer.status_code == 201, answer.text
        return answer.json()


@contextmanager
def api_client(
    data: Path,
    embedder: ImageEmbedder | None = None,
    store: Store | None = None,
    fetcher: WebFetcher | None = None,
    keys: ApiKeys | None = None,
    **settings: Any,
) -> Iterator[ApiClient]:
    """Yield a client of a new app that keeps its files under `data`."""
    toy = ToyEmbedder()
    given = Settings(data=data, decode_processes=1, **settings)
    embedder, store = embedder or toy, store or MemoryStore()
    jobs = LocalJobs(store, embedder, Libraries(given.libraries), data / "jobs", given.max_bytes)
    app = create_app(given, embedder, store, jobs, {"localhost"}, fetcher, keys)
    http = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=BASE)
    with toy, jobs, asyncio.Runner() as runner:
        lifespan = app.router.lifespan_context(app)
        runner.run(lifespan.__aenter__())
        try:
            yield ApiClient(runner, http, app.state.service)
        finally:
            runner.run(http.aclose())
            runner.run(lifespan.__aexit__(None, None, None))
