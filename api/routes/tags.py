"""Labels of images that are not stored, and the tags of a collection with their counts."""

import asyncio
import time
from typing import Annotated

from fastapi import Depends, Query, Request

from api.current_request import current_request_id
from api.errors import public_text
from api.openapi.document import body, image_body, json_body, multipart, problems
from api.request_body import Limits, read_body
from api.routes.dependencies import CollectionDep, Offset, ServiceDep, TakenDep, admitted
from api.routes.router import Router
from api.schemas.requests import MAX_IMAGES, TagNames, TagsBatch, TagsQuery, Upload
from api.schemas.responses import FacetsPage, ItemError, TagCount, Tagged, TagsAnswer, TagTimes, Untagged
from api.schemas.serialize import milliseconds
from api.services.service import Service, Timings
from embeddings.embedder import Embedding
from embeddings.errors import Busy, ImageError, LookalikeError, UrlBlocked, UrlUnreachable, UsageError
from embeddings.tagging.tagger import Tagger

router = Router(prefix="/v1", dependencies=[Depends(admitted)], tags=["tags"])

MAX_CONCURRENT_FETCHES = 4  # of one request, so that it does not take all the places for fetching images
_EXAMPLE = {"urls": ["https://example.org/dog.jpg", "https://example.org/cat.jpg"], "limit": 3}
MAX_FACTOR = 4  # the images of one request together may have this many times the bytes of one image
NO_LABELS = "the model has no classes, so it gives no labels"


@router.post(
    "/tags",
    responses=problems(403, 413, 415, 422, 503),
    openapi_extra=body(
        multipart(TagsQuery, several=True), json_body(TagsBatch, _EXAMPLE), image_body(), fields=TagsQuery
    ),
    response_model_exclude_none=True,
)
async def label_images(request: Request, service: ServiceDep) -> TagsAnswer:
    """Return the labels of up to 32 images, uploaded as `file` or named by `urls`.

    The failure of one image does not affect the others.
    """
    max_bytes = service.settings.max_bytes
    async with read_body(request, Limits(MAX_FACTOR * max_bytes, MAX_IMAGES)) as given:
        query = given.parse(TagsBatch)
        if bool(given.uploads) == bool(query.urls):
            raise UsageError("give images either as multipart fields 'file' or by their 'urls'", field="file")
        started = time.perf_counter()
        semaphore = asyncio.Semaphore(MAX_CONCURRENT_FETCHES)
        times: list[Timings] = []
        pending = [_embed(service, upload, times) for upload in given.uploads]
        pending += [_fetch_and_embed(service, semaphore, url, times) for url in query.urls]
        embeddings = await asyncio.gather(*pending)
        total = time.perf_counter() - started
    names = [upload.name for upload in given.uploads] or query.urls
    if len(given.uploads) == 1 and isinstance(embeddings[0], LookalikeError):
        raise embeddings[0]
    return TagsAnswer(
        request_id=current_request_id(),
        model=service.embedder.identity.name,
        took_ms=TagTimes(
            decode=milliseconds(sum(steps["decode"] for steps in times)),
            network=milliseconds(sum(steps["network"] for steps in times)),
            total=milliseconds(total),
        ),
        images=[
            _item(name, embedding, service.embedder.tagger, query)
            for name, embedding in zip(names, embeddings, strict=True)
        ],
        note=NO_LABELS if service.embedder.headless else None,
    )


async def _embed(service: Service, upload: Upload, times: list[Timings]) -> Embedding | LookalikeError:
    """Return the embedding of one image, or the reason why it cannot be used."""
    timings: Timings = {}
    try:
        upload.check(service.settings.max_bytes)
        embedding = await service.embed(upload.read, timings=timings)
    except ImageError as error:
        return error
    times.append(timings)
    return embedding


async def _fetch_and_embed(
    service: Service, semaphore: asyncio.Semaphore, url: str, times: list[Timings]
) -> Embedding | LookalikeError:
    """Return the embedding of the image at a URL, or the reason why it cannot be used."""
    try:
        async with semaphore, service.fetched(url) as fetched:
            return await _embed(service, fetched.upload, times)
    except (ImageError, UrlBlocked, UrlUnreachable, Busy) as error:
        return error


def _item(name: str, embedding: Embedding | LookalikeError, tagger: Tagger, query: TagsQuery) -> Tagged | Untagged:
    if isinstance(embedding, LookalikeError):
        return Untagged(path=name, error=ItemError(code=embedding.code, message=public_text(embedding)))
    return Tagged(
        path=name, labels=tagger.labels(embedding.vector, embedding.logits, query.limit, query.min_confidence)
    )


@router.get("/tags", responses=problems(404, 422, 503))
async def list_tags(
    service: ServiceDep,
    collection: CollectionDep,
    taken: TakenDep,
    tag: Annotated[TagNames, Query(description="Count only images that have this tag; may be repeated.")] = [],  # noqa: B006 - FastAPI copies it
    offset: Offset = 0,
    limit: Annotated[int, Query(ge=1, le=10_000, description="Maximum number of tags.")] = 1000,
) -> FacetsPage:
    """List the tags of a collection with the number of images that have each, the most frequent first."""
    counts = await service.run_in_thread(service.collections.facets, collection, tag, taken)
    return FacetsPage(
        request_id=current_request_id(),
        offset=offset,
        limit=limit,
        total=len(counts),
        tags=[TagCount(name=name, count=count) for name, count in counts[offset : offset + limit]],
    )
