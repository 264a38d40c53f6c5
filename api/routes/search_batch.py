"""Several searches in one request; the failure of one does not affect the others."""

import asyncio
import time

from fastapi import Depends, Request
from pydantic import ValidationError

from api.current_request import current_request_id
from api.errors import Fault, faults_of, public_text
from api.openapi.document import body, json_body, problems
from api.request_body import Limits, read_body
from api.routes.dependencies import ServiceDep, admitted
from api.routes.router import Router
from api.schemas.requests import MAX_QUERIES, SearchBatch, SearchItems, SearchQuery
from api.schemas.responses import QueryFailed, QueryFailure, QueryFound, SearchBatchAnswer
from api.schemas.serialize import milliseconds
from api.services.search import answer_query, check_query
from api.services.service import Service
from embeddings.errors import LookalikeError, UsageError

router = Router(prefix="/v1", dependencies=[Depends(admitted)], tags=["search"])

MAX_CONCURRENT = 8  # of one request, so that it does not take all the places for fetching images
_EXAMPLE = {"queries": [{"id": "cat-1", "limit": 5}, {"url": "https://example.org/dog.jpg", "tags": ["dog"]}]}


@router.post(
    "/search/batch",
    responses=problems(403, 413, 415, 422, 503),
    openapi_extra=body(json_body(SearchBatch, _EXAMPLE)),
)
async def search_batch(request: Request, service: ServiceDep) -> SearchBatchAnswer:
    """Answer up to 32 queries by `url` or `id`, in their order. Each answer is that of `/v1/search`, or an error."""
    async with read_body(request, Limits(0, uploads=0)) as given:
        items = given.parse(SearchItems).queries
    started = time.perf_counter()
    semaphore = asyncio.Semaphore(MAX_CONCURRENT)
    answers = await asyncio.gather(*[_answer(service, semaphore, item) for item in items[:MAX_QUERIES]])
    return SearchBatchAnswer(
        request_id=current_request_id(),
        model=service.embedder.identity.name,
        took_ms=milliseconds(time.perf_counter() - started),
        answers=list(answers),
    )


async def _answer(service: Service, semaphore: asyncio.Semaphore, item: object) -> QueryFound | QueryFailed:
    try:
        query = SearchQuery.model_validate(item)
        check_query(query, has_file=False)
        async with semaphore:
            answer = await answer_query(service, query)
    except ValidationError as error:
        return _failed(UsageError.code, faults_of(error.errors()))
    except LookalikeError as error:
        return _failed(error.code, [Fault(error.field or "", public_text(error))])
    return QueryFound(took_ms=answer.took_ms, labels=answer.labels, results=answer.results)


def _failed(code: str, faults: list[Fault]) -> QueryFailed:
    message = "; ".join(f"{fault.field}: {fault.message}" if len(faults) > 1 else fault.message for fault in faults)
    return QueryFailed(error=QueryFailure(code=code, message=message, field=faults[0].field or None))
