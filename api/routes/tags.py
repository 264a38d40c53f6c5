"""Labels of pictures that are not kept, and the tags of a collection with their counts."""

import asyncio
import time
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request

from api.documents import label_list, milliseconds
from api.errors import public_text
from api.forms import Limits, Upload, read_body
from api.openapi import body, multipart, problems
from api.requests import TagsQuery
from api.routes.common import CollectionDep, Offset, ServiceDep, admitted
from api.schemas import FacetsPage, ItemError, TagCount, Tagged, TagsAnswer, TagTimes, Untagged
from api.service import Seen, Service
from api.tracing import current_request_id
from embeddings.errors import ImageError, UsageError

router = APIRouter(prefix="/v1", dependencies=[Depends(admitted)], tags=["tags"])

MOST_FILES = 32
MOST_FACTOR = 4  # a request with several pictures may have so many times the bytes of one
NO_LABELS = "the model has no classes, so it gives no labels"


@router.post(
    "/tags",
    responses=problems(403, 413, 415, 422, 503),
    openapi_extra=body(multipart(TagsQuery, several=True)),
    response_model_exclude_none=True,
)
async def tag(request: Request, service: ServiceDep) -> TagsAnswer:
    """Say what pictures show: up to 32, each sent as `file`; one that fails does not keep the others from an answer."""
    most = service.settings.max_bytes
    async with read_body(request, Limits(MOST_FACTOR * most, MOST_FILES)) as given:
        query = given.parse(TagsQuery)
        if not given.uploads:
            raise UsageError("give one picture or several as multipart fields 'file'", field="file")
        started = time.perf_counter()
        seen = await asyncio.gather(*[_look(service, upload) for upload in given.uploads])
        total = time.perf_counter() - started
    if len(seen) == 1 and isinstance(seen[0], ImageError):
        raise seen[0]
    times = [one for one in seen if isinstance(one, Seen)]
    return TagsAnswer(
        request_id=current_request_id(),
        model=service.embedder.identity.name,
        took_ms=TagTimes(
            decode=milliseconds(sum(one.decode for one in times)),
            network=milliseconds(sum(one.network for one in times)),
            total=milliseconds(total),
        ),
        images=[_item(upload.name, one, query) for upload, one in zip(given.uploads, seen, strict=True)],
        note=NO_LABELS if service.embedder.headless else None,
    )


async def _look(service: Service, upload: Upload) -> Seen | ImageError:
    """Return what the network sees in one picture, or why it cannot be used."""
    try:
        upload.check(service.settings.max_bytes)
        return await service.see(upload.read)
    except ImageError as error:
        return error


def _item(name: str, seen: Seen | ImageError, query: TagsQuery) -> Tagged | Untagged:
    if isinstance(seen, ImageError):
        return Untagged(path=name, error=ItemError(code=seen.code, message=public_text(seen)))
    return Tagged(path=name, labels=label_list(seen.embedding, query.limit, query.min_confidence))


@router.get("/tags", responses=problems(404, 422, 503))
async def facets(
    service: ServiceDep,
    collection: CollectionDep,
    offset: Offset = 0,
    limit: Annotated[int, Query(ge=1, le=10_000, description="Tags at most.")] = 1000,
) -> FacetsPage:
    """List the tags of a collection with the number of pictures that have each, the most frequent first."""
    counts = await service.run(service.library.facets, collection)
    return FacetsPage(
        request_id=current_request_id(),
        offset=offset,
        limit=limit,
        total=len(counts),
        tags=[TagCount(name=name, count=count) for name, count in counts[offset : offset + limit]],
    )
