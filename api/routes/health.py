"""Liveness, readiness and metrics."""

import asyncio
import shutil
from collections.abc import Callable
from functools import partial
from typing import Any

from fastapi import Request, Response
from prometheus_client import CONTENT_TYPE_LATEST

from api.errors import public_text
from api.routes.dependencies import ServiceDep
from api.routes.router import Router
from api.schemas.responses import Health, Readiness
from api.services.service import Service
from embeddings.errors import LookalikeError, QueueUnavailable, StoreUnavailable

router = Router(tags=["health"])
metrics_router = Router(tags=["health"])  # not included if the metrics have a port of their own

CHECK_SECONDS = 5.0  # time limit of each check
MIN_FREE = 100_000_000  # bytes


@router.get("/health")
async def check_health() -> Health:
    """Return 200 while the process runs and answers."""
    return Health()


@router.get("/ready", responses={503: {"model": Readiness, "description": "A dependency is not ready."}})
async def check_readiness(request: Request, service: ServiceDep, response: Response) -> Readiness:
    """Check model, store, job queue and disk; 503 if one of them is not ready.

    The store is not ready while the default collection cannot be searched, for example after a restart of Milvus.
    """
    store, jobs = await asyncio.gather(
        _check(service, partial(service.collections.ready, service.settings.collection), StoreUnavailable),
        _check(service, request.app.state.jobs.ready, QueueUnavailable),
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
        "ok": True,  # the network runs once before the first request is accepted
        "name": identity.name,
        "fingerprint": identity.fingerprint,
        "dimension": identity.dimension,
    }


async def _check(service: Service, ready: Callable[[], None], error_type: type[LookalikeError]) -> dict[str, Any]:
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            await service.run_in_thread(ready)
    except TimeoutError:
        return {"ok": False, "message": f"no answer in {CHECK_SECONDS:g} seconds", "code": error_type.code}
    except LookalikeError as error:
        return {"ok": False, "message": public_text(error), "code": error.code}
    return {"ok": True}


def _disk(service: Service) -> dict[str, Any]:
    free = shutil.disk_usage(service.settings.data).free
    return {"ok": free >= MIN_FREE, "free_bytes": free}


@metrics_router.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
async def get_metrics(service: ServiceDep) -> Response:
    """Return metrics in the text format of Prometheus."""
    return Response(service.metrics.text(), headers={"Content-Type": CONTENT_TYPE_LATEST})
