"""The pictures of a collection: add, read, browse, show small, remove."""

import re
import time
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request, Response

from api.file_response import CACHE as FILE_CACHE
from api.file_response import original
from api.openapi.document import body, json_body, multipart, picture_body, problems
from api.request_body import Body, Limits, Upload, read_body
from api.request_id import current_request_id
from api.routes.dependencies import CollectionDep, Offset, ServiceDep, TakenDep, admitted
from api.schemas.requests import NewImage
from api.schemas.responses import ImageOut, ImagesPage
from api.schemas.serialize import image, image_address
from api.services.service import Service
from embeddings.embedder import tags_of
from embeddings.errors import UsageError
from store.image_files import StagedUpload
from store.locations import UPLOAD
from store.records import Row
from store.row_builder import FileInfo, copied_row, embedded_row

router = APIRouter(prefix="/v1", dependencies=[Depends(admitted)], tags=["images"])

MAX_NAME = 255
CACHE = "private, max-age=300"
_EXAMPLE = {"url": "https://example.org/dog.jpg", "id": "dog-1", "meta": {"album": "Rome"}}

_ETAG = {"ETag": {"schema": {"type": "string"}, "description": "Changes with the picture's contents."}}

ImageId = Annotated[str, Path(max_length=512, description="The id of an indexed picture.")]


@router.post(
    "/images",
    status_code=201,
    responses=problems(403, 409, 413, 415, 422, 503, 507),
    openapi_extra=body(multipart(NewImage), json_body(NewImage, _EXAMPLE), picture_body(), fields=NewImage),
)
async def add(request: Request, response: Response, service: ServiceDep) -> ImageOut:
    """Add a picture, sent as `file` or fetched from `url`; one with the same id that was added before is replaced.

    The collection is made if it does not exist.
    """
    async with read_body(request, Limits(service.settings.max_bytes)) as given:
        new, upload = _checked(given, service.settings.max_bytes)
        name = new.collection or service.settings.collection
        if upload:
            row = await _added(service, new, upload, name)
        else:
            async with service.fetched(str(new.url)) as fetched:
                row = await _added(service, new, fetched.upload, name)
    response.headers["Location"] = image_address(row.id, name)
    return image(row, name)


def _checked(given: Body, max_bytes: int) -> tuple[NewImage, Upload | None]:
    new = given.parse(NewImage)
    if len(given.uploads) + (new.url is not None) != 1:
        text = "give one picture, either as the multipart field 'file' or by its 'url'"
        raise UsageError(text, field="file" if new.url is None else "url")
    upload = given.uploads[0] if given.uploads else None
    if upload:
        upload.check(max_bytes)
    return new, upload


async def _added(service: Service, new: NewImage, upload: Upload, name: str) -> Row:
    staged = await service.run_in_thread(service.image_files.stage, upload.file, name)
    try:
        row = await _row(service, new, upload, name, staged)
        await service.run_exclusive(service.collections.add, name, row, staged)
    finally:
        await service.run_in_thread(service.image_files.discard, staged)
    return row


async def _row(service: Service, new: NewImage, upload: Upload, name: str, staged: StagedUpload) -> Row:
    """Return the new picture's row; contents that the collection has already are not computed again."""
    row_id = new.id or f"upload-{staged.content_hash[:32]}"
    info = FileInfo(UPLOAD, _file_name(upload.name), staged.content_hash, staged.bytes, time.time_ns())
    known = await service.run_in_thread(service.collections.known_content, name, staged.content_hash)
    if known:
        return copied_row(row_id, info, known, new.meta)
    seen = await service.embed(staged.path.read_bytes)
    (tags,) = tags_of([seen.embedding], service.embedder.tagger)
    return embedded_row(row_id, info, seen.embedding, tags, new.meta)


def _file_name(given: str) -> str:
    """Return the name to show for an upload: no folders, nothing that cannot be seen; it never becomes a path."""
    last = re.split(r"[/\\]", given)[-1]
    return "".join(c for c in last if c.isprintable())[:MAX_NAME] or UPLOAD


@router.get("/images", responses=problems(404, 422, 503))
async def browse(
    service: ServiceDep,
    collection: CollectionDep,
    taken: TakenDep,
    tag: Annotated[str | None, Query(min_length=1, max_length=500, description="Only pictures with this tag.")] = None,
    offset: Offset = 0,
    limit: Annotated[int, Query(ge=1, le=1000, description="Pictures at most.")] = 50,
) -> ImagesPage:
    """List the pictures of a collection in the order of their ids; pages neither overlap nor leave gaps."""
    rows, total = await service.run_in_thread(service.collections.browse, collection, tag, offset, limit, taken)
    images = [image(row, collection) for row in rows]
    return ImagesPage(request_id=current_request_id(), offset=offset, limit=limit, total=total, images=images)


@router.get("/images/{id}", responses=problems(404, 422, 503))
async def read(service: ServiceDep, collection: CollectionDep, id: ImageId) -> ImageOut:
    """Return what is known of one picture."""
    return image(await service.run_in_thread(service.collections.row, collection, id), collection)


@router.get(
    "/images/{id}/thumbnail",
    responses={
        200: {"content": {"image/jpeg": {}}, "headers": _ETAG},
        304: {"description": "If-None-Match names the thumbnail that would be sent.", "headers": _ETAG},
        **problems(404, 413, 415, 422, 503),
    },
    response_class=Response,
)
async def thumbnail(request: Request, service: ServiceDep, collection: CollectionDep, id: ImageId) -> Response:
    """Return a small JPEG of a picture, upright, its longest side at most 320 pixels."""
    row = await service.run_in_thread(service.collections.row, collection, id)
    headers = {"Cache-Control": CACHE, "ETag": f'"{row.content_hash}"'}
    if _has_already(request.headers.getlist("if-none-match"), headers["ETag"]):
        return Response(status_code=304, headers=headers)
    data = await service.thumbnail(collection, row)
    return Response(data, headers=headers, media_type="image/jpeg")


@router.get(
    "/images/{id}/file",
    responses={
        200: {"content": {"image/*": {}, "application/octet-stream": {}}, "headers": _ETAG},
        206: {"description": "The part that Range names.", "content": {"image/*": {}, "application/octet-stream": {}}},
        304: {"description": "If-None-Match names the file that would be sent.", "headers": _ETAG},
        **problems(404, 422, 503),
    },
    response_class=Response,
)
async def file(request: Request, service: ServiceDep, collection: CollectionDep, id: ImageId) -> Response:
    """Return a picture's own file, as it was indexed: an upload, or a file in a folder on the service's machine.

    What browsers show (JPEG, PNG, GIF, WebP, AVIF, BMP) comes as that, everything else as a download. One Range is
    answered with that part. A file that has changed since, is gone, or lies elsewhere (a bucket, a web server) is 404.
    """
    row = await service.run_in_thread(service.collections.row, collection, id)
    opened = await service.run_in_thread(service.image_files.open, collection, row)
    etag = f'"{row.content_hash}"'
    if _has_already(request.headers.getlist("if-none-match"), etag):
        opened.close()
        return Response(status_code=304, headers={"ETag": etag, "Cache-Control": FILE_CACHE})
    return await service.run_in_thread(original, request, row, opened, service.run_in_thread)


def _has_already(given: list[str], etag: str) -> bool:
    """Return whether If-None-Match names what would be sent (RFC 9110, 13.1.2: weak comparison)."""
    known = {part.strip().removeprefix("W/") for value in given for part in value.split(",")}
    return etag in known or "*" in known


@router.delete("/images/{id}", status_code=204, responses=problems(403, 404, 422, 503))
async def remove(service: ServiceDep, collection: CollectionDep, id: ImageId) -> Response:
    """Remove a picture from the collection; a file in an indexed folder stays where it is."""
    await service.run_exclusive(service.collections.remove, collection, id)
    return Response(status_code=204)
