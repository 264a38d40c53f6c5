"""The nearest pictures to one that is sent along or is indexed already."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from fastapi import APIRouter, Depends, Request

from api.openapi.document import body, json_body, multipart, picture_body, problems
from api.request_body import Limits, Upload, read_body
from api.request_id import current_request_id
from api.routes.dependencies import ServiceDep, admitted
from api.schemas.requests import MAX_DEPTH, SearchQuery, taken_span
from api.schemas.responses import SearchAnswer, SearchTimes
from api.schemas.serialize import milliseconds, result, score
from api.services.collections import Query
from api.services.service import EmbeddedImage, SearchHits, Service
from embeddings.errors import UsageError
from embeddings.imaging.decode import Box

router = APIRouter(prefix="/v1", dependencies=[Depends(admitted)], tags=["search"])

LABELS = 5
_EXAMPLE = {"url": "https://example.org/dog.jpg", "limit": 10, "tags": ["dog"], "min_score": 0.6}


@dataclass(frozen=True)
class _Answer:
    """What the network saw, where it was run for it, what was found, and the seconds that fetching took."""

    seen: EmbeddedImage | None
    found: SearchHits
    fetch: float = 0.0


@router.post(
    "/search",
    responses=problems(403, 404, 409, 413, 415, 422, 503),
    openapi_extra=body(multipart(SearchQuery), json_body(SearchQuery, _EXAMPLE), picture_body(), fields=SearchQuery),
)
async def search(request: Request, service: ServiceDep) -> SearchAnswer:
    """Find the pictures that look most like one sent as `file`, the one at `url`, or the indexed one with `id`.

    A body that is the picture itself leaves the other fields to the address. In a form each value of `tags` is one
    tag, taken as it is, and `box` is JSON or four numbers with commas.
    """
    limits = Limits(service.settings.max_bytes, repeatable=frozenset({"tags", "box"}))
    async with read_body(request, limits) as given:
        query = given.parse(SearchQuery)
        upload = given.uploads[0] if given.uploads else None
        check(query, upload)
        if upload:
            upload.check(service.settings.max_bytes)
        return await find(service, query, upload)


def check(query: SearchQuery, upload: Upload | None = None) -> None:
    """Raise UsageError for what no single field tells: exactly one picture, not too deep, a box within it."""
    if (upload is not None) + (query.url is not None) + (query.id is not None) != 1:
        text = "give exactly one of 'file' (a picture, as a multipart field), 'url' and 'id'"
        raise UsageError(text, field="file" if query.url is None else "url")
    if query.offset + query.limit > MAX_DEPTH:
        raise UsageError(f"offset + limit may be at most {MAX_DEPTH:,}", field="offset")
    taken_span(query.taken_from, query.taken_to)  # raises UsageError for days in the wrong order
    if query.box:
        Box(*query.box)  # raises UsageError for a part that is not in the picture


async def find(service: Service, query: SearchQuery, upload: Upload | None = None) -> SearchAnswer:
    """Answer a query that was checked; `upload` is its picture where it has neither `url` nor `id`."""
    started = time.perf_counter()
    name = query.collection or service.settings.collection
    collection = await service.open_for_search(name, query.tags)
    asked = partial(
        Query,
        collection,
        limit=query.limit,
        offset=query.offset,
        tags=tuple(dict.fromkeys(query.tags)),
        exclude=query.id,
        taken=taken_span(query.taken_from, query.taken_to),
    )
    answer = await _answered(service, query, name, upload, asked)
    seen = answer.seen
    return SearchAnswer(
        request_id=current_request_id(),
        model=service.embedder.identity.name,
        took_ms=SearchTimes(
            fetch=milliseconds(answer.fetch),
            decode=milliseconds(seen.decode if seen else 0),
            network=milliseconds(seen.network if seen else 0),
            search=milliseconds(answer.found.seconds),
            total=milliseconds(time.perf_counter() - started),
        ),
        labels=service.embedder.tagger.labels(seen.embedding.logits, LABELS) if seen else [],
        results=[result(hit, name) for hit in answer.found.hits if score(hit) >= query.min_score],
    )


async def _answered(
    service: Service, query: SearchQuery, name: str, upload: Upload | None, asked: Callable[[np.ndarray], Query]
) -> _Answer:
    box = Box(*query.box) if query.box else None
    if upload:
        return _Answer(*await service.embed_and_search(upload.read, box, asked))
    if query.url:
        async with service.fetched(query.url) as fetched:
            return _Answer(*await service.embed_and_search(fetched.upload.read, box, asked), fetched.seconds)
    row = await service.run_in_thread(service.collections.row, name, str(query.id), with_vector=True)
    if box is None:
        assert row.vector is not None
        return _Answer(None, await service.search(asked(row.vector)))
    return _Answer(*await service.embed_and_search(partial(service.image_files.read, name, row), box, asked))
