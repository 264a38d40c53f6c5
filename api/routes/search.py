"""The nearest pictures to one that is sent along or is indexed already."""

import time
from functools import partial

import numpy as np
from fastapi import APIRouter, Depends, Request

from api.documents import label_list, milliseconds, result, score
from api.forms import Body, Limits, Upload, read_body
from api.library import Query
from api.openapi import body, json_body, multipart, problems
from api.requests import MAX_DEPTH, SearchQuery
from api.routes.common import ServiceDep, admitted
from api.schemas import SearchAnswer, SearchTimes
from api.service import Seen, Service
from api.tracing import current_request_id
from embeddings.errors import UsageError
from embeddings.images import Box

router = APIRouter(prefix="/v1", dependencies=[Depends(admitted)], tags=["search"])

LABELS = 5
_EXAMPLE = {"id": "3f1c0a9be2d74c55a1f0b6d3c2e89417", "limit": 10, "tags": ["dog"], "min_score": 0.6}


@router.post(
    "/search",
    responses=problems(403, 404, 409, 413, 415, 422, 503),
    openapi_extra=body(multipart(SearchQuery), json_body(SearchQuery, _EXAMPLE)),
)
async def search(request: Request, service: ServiceDep) -> SearchAnswer:
    """Find the pictures that look most like one sent as `file`, or like the indexed one with `id`.

    In a form each value of `tags` is one tag, taken as it is, and `box` is JSON or four numbers with commas.
    """
    limits = Limits(service.settings.max_bytes, repeatable=frozenset({"tags", "box"}))
    async with read_body(request, limits) as given:
        query, upload = _checked(given, service.settings.max_bytes)
        return await _answer(service, query, upload)


def _checked(given: Body, max_bytes: int) -> tuple[SearchQuery, Upload | None]:
    query = given.parse(SearchQuery)
    if len(given.uploads) + (query.id is not None) != 1:
        raise UsageError("give exactly one of a picture, as the multipart field 'file', and 'id'", field="file")
    if query.offset + query.limit > MAX_DEPTH:
        raise UsageError(f"offset + limit may be at most {MAX_DEPTH:,}", field="offset")
    upload = given.uploads[0] if given.uploads else None
    if upload:
        upload.check(max_bytes)
    if query.box:
        Box(*query.box)  # raises UsageError for a part that is not in the picture
    return query, upload


async def _answer(service: Service, query: SearchQuery, upload: Upload | None) -> SearchAnswer:
    started = time.perf_counter()
    name = query.collection or service.settings.collection
    collection = await service.run(service.library.searchable, name, query.tags)
    vector, seen = await _vector(service, query, name, upload)
    between = time.perf_counter()
    tags = tuple(dict.fromkeys(query.tags))
    hits = await service.search(Query(collection, vector, query.limit, query.offset, tags, exclude=query.id))
    done = time.perf_counter()
    return SearchAnswer(
        request_id=current_request_id(),
        model=service.embedder.identity.name,
        took_ms=SearchTimes(
            decode=milliseconds(seen.decode if seen else 0),
            network=milliseconds(seen.network if seen else 0),
            search=milliseconds(done - between),
            total=milliseconds(done - started),
        ),
        labels=label_list(seen.embedding, LABELS) if seen else [],
        results=[result(hit, name) for hit in hits if score(hit) >= query.min_score],
    )


async def _vector(
    service: Service, query: SearchQuery, name: str, upload: Upload | None
) -> tuple[np.ndarray, Seen | None]:
    """Return the vector to search for and, where the network was run for it, what it saw."""
    box = Box(*query.box) if query.box else None
    if upload:
        seen = await service.see(upload.read, box)
        return seen.embedding.vector, seen
    row = await service.run(service.library.row, name, str(query.id), with_vector=True)
    if box is None:
        assert row.vector is not None
        return row.vector, None
    seen = await service.see(partial(service.shelves.read, name, row), box)
    return seen.embedding.vector, seen
