"""Labels of pictures that are not kept, and the tags of a collection with their counts."""

import asyncio
import time
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request

from api.errors import public_text
from api.openapi.document import body, json_body, multipart, picture_body, problems
from api.request_body import Limits, Upload, read_body
from api.request_id import current_request_id
from api.routes.dependencies import CollectionDep, Offset, ServiceDep, TakenDep, admitted
from api.schemas.requests import MAX_PICTURES, TagNames, TagsBatch, TagsQuery
from api.schemas.responses import FacetsPage, ItemError, TagCount, Tagged, TagsAnswer, TagTimes, Untagged
from api.schemas.serialize import milliseconds
from api.services.service import EmbeddedImage, Service
from embeddings.errors import Busy, ImageError, LookalikeError, UrlBlocked, UrlUnreachable, UsageError
from embeddings.tagging.tagger import Tagger

router = APIRouter(prefix="/v1", dependencies=[Depends(admitted)], tags=["tags"])

FETCHED_AT_ONCE = 4  # of one request, so that it does not take all places where pictures are fetched
_EXAMPLE = {"urls": ["https://example.org/dog.jpg", "https://example.org/cat.jpg"], "limit": 3}
MAX_FACTOR = 4  # a request with several pictures may have so many times the bytes of one
NO_LABELS = "the model has no classes, so it gives no labels"


@router.post(
    "/tags",
    responses=problems(403, 413, 415, 422, 503),
    openapi_extra=body(
        multipart(TagsQuery, several=True), json_body(TagsBatch, _EXAMPLE), picture_body(), fields=TagsQuery
    ),
    response_model_exclude_none=True,
)
async def tag(request: Request, service: ServiceDep) -> TagsAnswer:
    """Say what pictures show: up to 32, sent as `file` or named by `urls`.

    One that fails does not keep the others from an answer.
    """
    most = service.settings.max_bytes
    async with read_body(request, Limits(MAX_FACTOR * most, MAX_PICTURES)) as given:
        query = given.parse(TagsBatch)
        if bool(given.uploads) == bool(query.urls):
            raise UsageError("give pictures either as multipart fields 'file' or by their 'urls'", field="file")
        started = time.perf_counter()
        gate = asyncio.Semaphore(FETCHED_AT_ONCE)
        looks = [_look(service, upload) for upload in given.uploads] or [_fetch(service, gate, u) for u in query.urls]
        seen = await asyncio.gather(*looks)
        total = time.perf_counter() - started
    names = [upload.name for upload in given.uploads] or query.urls
    if len(given.uploads) == 1 and isinstance(seen[0], LookalikeError):
        raise seen[0]
    times = [one for one in seen if isinstance(one, EmbeddedImage)]
    return TagsAnswer(
        request_id=current_request_id(),
        model=service.embedder.identity.name,
        took_ms=TagTimes(
            decode=milliseconds(sum(one.decode for one in times)),
            network=milliseconds(sum(one.network for one in times)),
            total=milliseconds(total),
        ),
        images=[_item(name, one, service.embedder.tagger, query) for name, one in zip(names, seen, strict=True)],
        note=NO_LABELS if service.embedder.headless else None,
    )


async def _look(service: Service, upload: Upload) -> EmbeddedImage | LookalikeError:
    """Return what the network sees in one picture, or why it cannot be used."""
    try:
        upload.check(service.settings.max_bytes)
        return await service.embed(upload.read)
    except ImageError as error:
        return error


async def _fetch(service: Service, gate: asyncio.Semaphore, url: str) -> EmbeddedImage | LookalikeError:
    """Return what the network sees in the picture at a URL, or why there is nothing to see."""
    try:
        async with gate, service.fetched(url) as fetched:
            return await service.embed(fetched.upload.read)
    except (ImageError, UrlBlocked, UrlUnreachable, Busy) as error:
        return error


def _item(name: str, seen: EmbeddedImage | LookalikeError, tagger: Tagger, query: TagsQuery) -> Tagged | Untagged:
    if isinstance(seen, LookalikeError):
        return Untagged(path=name, error=ItemError(code=seen.code, message=public_text(seen)))
    return Tagged(path=name, labels=tagger.labels(seen.embedding.logits, query.limit, query.min_confidence))


@router.get("/tags", responses=problems(404, 422, 503))
async def facets(
    service: ServiceDep,
    collection: CollectionDep,
    taken: TakenDep,
    tag: Annotated[TagNames, Query(description="Count only pictures with this tag; may be given several times.")] = [],  # noqa: B006 - FastAPI copies it
    offset: Offset = 0,
    limit: Annotated[int, Query(ge=1, le=10_000, description="Tags at most.")] = 1000,
) -> FacetsPage:
    """List the tags of a collection with the number of pictures that have each, the most frequent first."""
    counts = await service.run_in_thread(service.collections.facets, collection, tag, taken)
    return FacetsPage(
        request_id=current_request_id(),
        offset=offset,
        limit=limit,
        total=len(counts),
        tags=[TagCount(name=name, count=count) for name, count in counts[offset : offset + limit]],
    )
