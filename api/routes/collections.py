"""The collections and the models they were made with."""

from typing import Annotated

from fastapi import Depends, Query

from api.current_request import current_request_id
from api.openapi.document import problems
from api.routes.dependencies import Offset, ServiceDep, admitted
from api.routes.router import Router
from api.schemas.responses import CollectionOut, CollectionsPage
from store.base import CollectionInfo

router = Router(prefix="/v1", dependencies=[Depends(admitted)], tags=["collections"])


@router.get("/collections", responses=problems(422, 503))
async def list_collections(
    service: ServiceDep,
    offset: Offset = 0,
    limit: Annotated[int, Query(ge=1, le=1000, description="Maximum number of collections.")] = 100,
) -> CollectionsPage:
    """List the collections by name."""
    infos = await service.run_in_thread(service.collections.collections)
    page = [_out(info) for info in infos[offset : offset + limit]]
    return CollectionsPage(
        request_id=current_request_id(),
        offset=offset,
        limit=limit,
        total=len(infos),
        default=service.settings.collection,
        collections=page,
    )


def _out(info: CollectionInfo) -> CollectionOut:
    model = info.model
    return CollectionOut(
        name=info.name, model=model.name, fingerprint=model.fingerprint, dimension=model.dimension, count=info.count
    )
