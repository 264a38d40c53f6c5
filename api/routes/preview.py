"""A JPEG preview of an uploaded image, of one at a URL, or of an indexed one."""

from functools import partial

from fastapi import Depends, Request, Response

from api.openapi.document import body, image_body, json_body, multipart, problems
from api.request_body import Limits, read_body
from api.routes.dependencies import ServiceDep, admitted
from api.routes.router import Router
from api.schemas.requests import PreviewQuery, Upload
from api.services.service import Service
from embeddings.errors import UsageError

router = Router(prefix="/v1", dependencies=[Depends(admitted)], tags=["search"])

_EXAMPLE = {"url": "https://example.org/dog.heic"}


@router.post(
    "/preview",
    responses={200: {"content": {"image/jpeg": {}}}, **problems(403, 404, 413, 415, 422, 503)},
    openapi_extra=body(multipart(PreviewQuery), json_body(PreviewQuery, _EXAMPLE), image_body(), fields=PreviewQuery),
    response_class=Response,
)
async def preview_image(request: Request, service: ServiceDep) -> Response:
    """Return an upright JPEG of an image in any supported format, at most 960 pixels wide and high.

    Nothing is stored.
    """
    async with read_body(request, Limits(service.settings.max_bytes)) as given:
        query = given.parse(PreviewQuery)
        upload = given.uploads[0] if given.uploads else None
        if (upload is not None) + (query.url is not None) + (query.id is not None) != 1:
            raise UsageError(
                "give exactly one of 'file' (an image, as a multipart field), 'url' and 'id'", field="file"
            )
        data = await _preview(service, query, upload)
    return Response(data, media_type="image/jpeg", headers={"Cache-Control": "no-store"})


async def _preview(service: Service, query: PreviewQuery, upload: Upload | None) -> bytes:
    if upload:
        upload.check(service.settings.max_bytes)
        return await service.preview(upload.read)
    if query.url:
        async with service.fetched(query.url) as fetched:
            return await service.preview(fetched.upload.read)
    name = query.collection or service.settings.collection
    row = await service.run_in_thread(service.collections.row, name, str(query.id))
    return await service.preview(partial(service.image_files.read, name, row))
