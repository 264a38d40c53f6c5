"""Search by an uploaded image, by a URL or by an indexed image."""

from fastapi import Depends, Request

from api.openapi.document import body, image_body, json_body, multipart, problems
from api.request_body import Limits, read_body
from api.routes.dependencies import ServiceDep, admitted
from api.routes.router import Router
from api.schemas.requests import SearchQuery
from api.schemas.responses import SearchAnswer
from api.services.search import answer_query, check_query

router = Router(prefix="/v1", dependencies=[Depends(admitted)], tags=["search"])

_EXAMPLE = {"url": "https://example.org/dog.jpg", "limit": 10, "tags": ["dog"], "min_score": 0.6}


@router.post(
    "/search",
    responses=problems(403, 404, 409, 413, 415, 422, 503),
    openapi_extra=body(multipart(SearchQuery), json_body(SearchQuery, _EXAMPLE), image_body(), fields=SearchQuery),
)
async def search_images(request: Request, service: ServiceDep) -> SearchAnswer:
    """Find the images that look most like an uploaded `file`, the image at `url`, or the indexed image `id`.

    If the whole body is the image, all other fields go into the query string. In a form each value of `tags` is one
    literal tag, and `box` is JSON or four numbers separated by commas.
    """
    limits = Limits(service.settings.max_bytes, repeatable=frozenset({"tags", "box"}))
    async with read_body(request, limits) as given:
        query = given.parse(SearchQuery)
        check_query(query, bool(given.uploads))
        upload = given.uploads[0] if given.uploads else None
        if upload:
            upload.check(service.settings.max_bytes)
        return await answer_query(service, query, upload.read if upload else None)
