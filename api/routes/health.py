"""Whether the process lives, whether it can work, and what it has counted."""

import asyncio
import shutil
from collections.abc import Callable
from functools import partial
from typing import Any

from fastapi import APIRouter, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST

from api.errors import public_text
from api.routes.dependencies import ServiceDep
from api.schemas.responses import Health, Readiness
from api.services.service import Service
from embeddings.errors import LookalikeError, QueueUnavailable, StoreUnavailable

router = APIRouter(tags=["health"])
metrics_router = APIRouter(tags=["health"])  # left out where they have a port of their own

ANSWER_SECONDS = 5.0  # seconds that each may take to say that it is there
MIN_FREE = 100_000_000  # bytes


@router.get("/health")
async def health() -> Health:
    """Say that the process runs and answers."""
    return Health()


@router.get("/ready", responses={503: {"model": Readiness, "description": "Something is missing."}})
async def ready(request: Request, service: ServiceDep, response: Response) -> Readiness:
    """Say whether model, store, queue of jobs and disk are there; 503 if one is not.

    The store is not while the default collection cannot be searched, as after a restart of a Milvus server.
    """
    store, jobs = await asyncio.gather(
        _answers(service, partial(service.collections.ready, service.settings.collection), StoreUnavailable),
        _answers(service, request.app.state.jobs.ready, QueueUnavailable),
    )
    checks = {
        "model": _model(service),
        "store": store,
        "jobs": jobs,
        "disk": await service.run_in_thread(_disk, service),
    }
    good = all(check["ok"] for check in checks.values())
    response.status_code = 200 if good else 503
    return Readiness(ready=good, checks=checks)


def _model(service: Service) -> dict[str, Any]:
    identity = service.embedder.identity
    return {
        "ok": True,  # the network was run once before the first request was taken
        "name": identity.name,
        "fingerprint": identity.fingerprint,
        "dimension": identity.dimension,
    }


async def _answers(service: Service, ready: Callable[[], None], kind: type[LookalikeError]) -> dict[str, Any]:
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            await service.run_in_thread(ready)
    except TimeoutError:
        return {"ok": False, "message": f"no answer in {ANSWER_SECONDS:g} seconds", "code": kind.code}
    except LookalikeError as error:
        return {"ok": False, "message": public_text(error), "code": error.code}
    return {"ok": True}


def _disk(service: Service) -> dict[str, Any]:
    free = shutil.disk_usage(service.settings.data).free
    return {"ok": free >= MIN_FREE, "free_bytes": free}


@metrics_router.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
async def metrics(service: ServiceDep) -> Response:
    """Return counters for Prometheus."""
    return Response(service.metrics.text(), headers={"Content-Type": CONTENT_TYPE_LATEST})
