"""The images of a collection: add, list, read, thumbnails, files, remove."""

import re
import time
from typing import Annotated

from fastapi import Depends, Path, Query, Request, Response

from api.current_request import current_request_id
from api.file_response import CACHE as FILE_CACHE
from api.file_response import original
from api.openapi.document import body, image_body, json_body, multipart, problems
from api.request_body import Body, Limits, read_body
from api.routes.dependencies import CollectionDep, Offset, ServiceDep, TakenDep, admitted
from api.routes.router import Router
from api.schemas.requests import NewImage, Upload
from api.schemas.responses import ImageOut, ImagesPage
from api.schemas.serialize import image, image_address
from api.services.service import Service
from embeddings.embedder import tags_of
from embeddings.errors import UsageError
from store.image_files import StagedUpload
from store.locations import UPLOAD
from store.records import Row
from store.row_builder import FileInfo, copied_row, embedded_row

router = Router(prefix="/v1", dependencies=[Depends(admitted)], tags=["images"])

MAX_NAME = 255
CACHE = "private, max-age=300"
_EXAMPLE = {"url": "https://example.org/dog.jpg", "id": "dog-1", "meta": {"album": "Rome"}}

_ETAG = {"ETag": {"schema": {"type": "string"}, "description": "Changes with the image's contents."}}

ImageId = Annotated[str, Path(max_length=512, description="The id of an indexed image.")]


@router.post(
    "/images",
    status_code=201,
    responses=problems(403, 409, 413, 415, 422, 503, 507),
    openapi_extra=body(multipart(NewImage), json_body(NewImage, _EXAMPLE), image_body(), fields=NewImage),
)
async def add_image(request: Request, response: Response, service: ServiceDep) -> ImageOut:
    """Add an image, uploaded as `file` or fetched from `url`. It replaces an earlier upload with the same id.

    The collection is created if it does not exist.
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
        text = "give one image, either as the multipart field 'file' or by its 'url'"
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
    """Return the new image's row; contents that the collection already has are not embedded again."""
    row_id = new.id or f"upload-{staged.content_hash[:32]}"
    info = FileInfo(UPLOAD, _file_name(upload.name), staged.content_hash, staged.bytes, time.time_ns())
    known = await service.run_in_thread(service.collections.known_content, name, staged.content_hash)
    if known:
        return copied_row(row_id, info, known, new.meta)
    embedding = await service.embed(staged.path.read_bytes)
    (tags,) = tags_of([embedding], service.embedder.tagger)
    return embedded_row(row_id, info, embedding, tags, new.meta)


def _file_name(given: str) -> str:
    """Return the name to show for an upload, without folders and invisible characters; it is never used as a path."""
    last = re.split(r"[/\\]", given)[-1]
    return "".join(c for c in last if c.isprintable())[:MAX_NAME] or UPLOAD


@router.get("/images", responses=problems(404, 422, 503))
async def list_images(
    service: ServiceDep,
    collection: CollectionDep,
    taken: TakenDep,
    tag: Annotated[str | None, Query(min_length=1, max_length=500, description="Only images with this tag.")] = None,
    offset: Offset = 0,
    limit: Annotated[int, Query(ge=1, le=1000, description="Maximum number of images.")] = 50,
) -> ImagesPage:
    """List the images of a collection in the order of their ids. Pages neither overlap nor leave gaps."""
    rows, total = await service.run_in_thread(service.collections.browse, collection, tag, offset, limit, taken)
    images = [image(row, collection) for row in rows]
    return ImagesPage(request_id=current_request_id(), offset=offset, limit=limit, total=total, images=images)


@router.get("/images/{id}", responses=problems(404, 422, 503))
async def get_image(service: ServiceDep, collection: CollectionDep, id: ImageId) -> ImageOut:
    """Return the document of one image."""
    return image(await service.run_in_thread(service.collections.row, collection, id), collection)


@router.get(
    "/images/{id}/thumbnail",
    responses={
        200: {"content": {"image/jpeg": {}}, "headers": _ETAG},
        304: {"description": "The client has the current thumbnail: If-None-Match matches its ETag.", "headers": _ETAG},
        **problems(404, 413, 415, 422, 503),
    },
    response_class=Response,
)
async def get_image_thumbnail(
    request: Request, service: ServiceDep, collection: CollectionDep, id: ImageId
) -> Response:
    """Return a small upright JPEG of an image, at most 320 pixels wide and high."""
    row = await service.run_in_thread(service.collections.row, collection, id)
    headers = {"Cache-Control": CACHE, "ETag": f'"{row.content_hash}"'}
    if _matches(request.headers.getlist("if-none-match"), headers["ETag"]):
        return Response(status_code=304, headers=headers)
    data = await service.thumbnail(collection, row)
    return Response(data, headers=headers, media_type="image/jpeg")


@router.get(
    "/images/{id}/file",
    responses={
        200: {"content": {"image/*": {}, "application/octet-stream": {}}, "headers": _ETAG},
        206: {
            "description": "The part of the file that the Range header requests.",
            "content": {"image/*": {}, "application/octet-stream": {}},
        },
        304: {"description": "The client has the current file: If-None-Match matches its ETag.", "headers": _ETAG},
        **problems(404, 422, 503),
    },
    response_class=Response,
)
async def get_image_file(request: Request, service: ServiceDep, collection: CollectionDep, id: ImageId) -> Response:
    """Return the original file of an image: an upload, or a file in a folder on the service's machine.

    Formats that browsers show (JPEG, PNG, GIF, WebP, AVIF, BMP) are sent inline, all others as a download. A single
    Range is supported. The answer is 404 if the file has changed or no longer exists, or if it is in a bucket or on a
    web server.
    """
    row = await service.run_in_thread(service.collections.row, collection, id)
    opened = await service.run_in_thread(service.image_files.open, collection, row)
    etag = f'"{row.content_hash}"'
    if _matches(request.headers.getlist("if-none-match"), etag):
        opened.close()
        return Response(status_code=304, headers={"ETag": etag, "Cache-Control": FILE_CACHE})
    return await service.run_in_thread(original, request, row, opened, service.run_in_thread)


def _matches(given: list[str], etag: str) -> bool:
    """Return whether If-None-Match matches an ETag (RFC 9110, 13.1.2: weak comparison)."""
    known = {part.strip().removeprefix("W/") for value in given for part in value.split(",")}
    return etag in known or "*" in known


@router.delete("/images/{id}", status_code=204, responses=problems(403, 404, 422, 503))
async def delete_image(service: ServiceDep, collection: CollectionDep, id: ImageId) -> Response:
    """Remove an image from the collection. A file in an indexed folder is not deleted."""
    await service.run_exclusive(service.collections.remove, collection, id)
    return Response(status_code=204)
