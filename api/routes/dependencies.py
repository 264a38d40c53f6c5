"""Dependencies that the routes share: the service, admission, the default collection, common parameters."""

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import Depends, Query, Request

from api.schemas.requests import CollectionName, TakenFrom, TakenTo, taken_span
from api.services.service import Service
from store.records import TimeRange


async def _service(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


ServiceDep = Annotated[Service, Depends(_service)]


async def admitted(service: ServiceDep) -> AsyncIterator[None]:
    """Count a request against the service's limit while it is answered. Raises Busy."""
    with service.request_limit.take(), service.metrics.in_flight.track_inprogress():
        yield


async def _collection(service: ServiceDep, collection: Annotated[CollectionName | None, Query()] = None) -> str:
    return collection or service.settings.collection


async def _taken(
    taken_from: Annotated[TakenFrom | None, Query()] = None, taken_to: Annotated[TakenTo | None, Query()] = None
) -> TimeRange | None:
    return taken_span(taken_from, taken_to)


TakenDep = Annotated[TimeRange | None, Depends(_taken)]
CollectionDep = Annotated[str, Depends(_collection)]
Offset = Annotated[int, Query(ge=0, le=1_000_000_000, description="Number of items to skip.")]
