"""One search, from a query to its answer: shared by the HTTP routes and `lookalike search`."""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from api.current_request import current_request_id
from api.schemas.requests import MAX_DEPTH, SearchQuery, taken_span
from api.schemas.responses import SearchAnswer, SearchTimes
from api.schemas.serialize import milliseconds, result, score
from api.services.collections import Query
from api.services.service import QueryResult, Service
from embeddings.errors import UsageError
from embeddings.imaging.decode import Box
from embeddings.tagging.tagger import Label

LABELS = 5

Read = Callable[[], bytes]


async def answer_query(service: Service, query: SearchQuery, read: Read | None = None) -> SearchAnswer:
    """Return the answer to a query that `check_query` accepts; `read` returns the bytes of its image file, if any.

    Raises NotFound, ModelMismatch, ImageError and the errors of fetching a URL.
    """
    started = time.perf_counter()
    name = query.collection or service.settings.collection
    collection = await service.open_for_search(name, query.tags)
    with_vector = partial(
        Query,
        collection,
        limit=query.limit,
        offset=query.offset,
        tags=tuple(dict.fromkeys(query.tags)),
        exclude=query.id,
        taken=taken_span(query.taken_from, query.taken_to),
    )
    found = await _found(service, query, name, read, with_vector)
    steps = {step: milliseconds(seconds) for step, seconds in ({"decode": 0, "network": 0} | found.timings).items()}
    return SearchAnswer(
        request_id=current_request_id(),
        model=service.embedder.identity.name,
        took_ms=SearchTimes(**steps, total=milliseconds(time.perf_counter() - started)),
        labels=_labels(service, found),
        results=[result(hit, name) for hit in found.hits if score(hit) >= query.min_score],
    )


def _labels(service: Service, found: QueryResult) -> Sequence[Label]:
    embedding = found.embedding
    return service.embedder.tagger.labels(embedding.vector, embedding.logits, LABELS) if embedding else []


def check_query(query: SearchQuery, has_file: bool) -> None:
    """Raise UsageError unless there is exactly one image and the fields fit each other."""
    if has_file + (query.url is not None) + (query.id is not None) != 1:
        text = "give exactly one of 'file' (an image, as a multipart field), 'url' and 'id'"
        raise UsageError(text, field="file" if query.url is None else "url")
    if query.offset + query.limit > MAX_DEPTH:
        raise UsageError(f"offset + limit may be at most {MAX_DEPTH:,}", field="offset")
    taken_span(query.taken_from, query.taken_to)  # raises UsageError for days in the wrong order
    if query.box:
        Box(*query.box)  # raises UsageError for a box that exceeds the image


async def _found(
    service: Service, query: SearchQuery, name: str, read: Read | None, with_vector: Callable[[np.ndarray], Query]
) -> QueryResult:
    box = Box(*query.box) if query.box else None
    if query.url:
        async with service.fetched(query.url) as fetched:
            found = await service.embed_and_search(fetched.upload.read, box, with_vector)
        return replace(found, timings=found.timings | {"fetch": fetched.seconds})
    if read is None:
        row = await service.run_in_thread(service.collections.row, name, str(query.id), with_vector=True)
        if box is None:
            assert row.vector is not None
            return await service.search(with_vector(row.vector))
        read = partial(service.image_files.read, name, row)
    return await service.embed_and_search(read, box, with_vector)
