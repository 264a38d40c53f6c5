"""Reads a request body (multipart, JSON or an image) within limits of size and time."""

import asyncio
import errno
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from email.message import Message
from tempfile import SpooledTemporaryFile
from typing import IO, Any, BinaryIO, TypeVar, cast

from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError
from pydantic_core import from_json
from python_multipart.multipart import parse_options_header
from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from api.schemas.requests import Upload
from embeddings.errors import DiskFull, ImageTooLarge, RequestTooSlow, UnsupportedMediaType, UsageError

MARGIN = 1 << 20  # bytes of a body beyond its images: other fields and multipart headers
MAX_JSON = 1 << 20
IN_MEMORY = 1 << 20  # bytes of an image; larger images go to a temporary file
MAX_FIELDS = 64  # no route uses more than 40, and each part takes time to parse
MAX_ITEMS = 1000  # of a list in JSON; no route takes more, and each wrong one takes time to tell
MAX_FIELD = 128 << 10

# A client must begin within GRACE seconds and then send MIN_BYTES_PER_SECOND on average.
GRACE = 30.0
MIN_BYTES_PER_SECOND = 10_000

CHARSETS = ("utf-8", "utf8", "us-ascii", "ascii")

Model = TypeVar("Model", bound=BaseModel)


@dataclass(frozen=True)
class Limits:
    """The limits of one route: bytes and number of all uploads, bytes of JSON, and the fields that may be repeated."""

    upload_bytes: int
    uploads: int = 1
    json_bytes: int = MAX_JSON
    repeatable: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Body:
    """A parsed body: values by field name, and files."""

    values: dict[str, Any] = field(default_factory=dict)
    uploads: list[Upload] = field(default_factory=list)

    def parse(self, model: type[Model]) -> Model:
        """Return the values as `model`. Raises RequestValidationError."""
        try:
            return model.model_validate(self.values)
        except ValidationError as error:
            raise RequestValidationError(error.errors(include_url=False)) from error


@asynccontextmanager
async def read_body(request: Request, limits: Limits) -> AsyncIterator[Body]:
    """Yield the body of a request, with its query parameters; its temporary files are deleted when the block ends.

    Raises ImageTooLarge, RequestTooSlow, UnsupportedMediaType or UsageError.
    """
    kind = _media_type(request)
    given = _merged(request.query_params.multi_items(), limits.repeatable)
    if kind == "multipart/form-data":
        form = await _read_form(request, limits)
        try:
            yield _body(given, form, limits)
        finally:
            await form.close()
    elif kind == "application/json":
        yield Body(_together(given, await _read_json(request, limits.json_bytes)))
    elif kind == "":
        yield Body(given)
    elif limits.uploads and (kind.startswith("image/") or kind == "application/octet-stream"):
        with SpooledTemporaryFile(IN_MEMORY) as file:
            size = await _read_image(request, limits.upload_bytes, file)
            yield Body(given, [Upload("", size, cast(BinaryIO, file))])
    else:
        raise UnsupportedMediaType(f"the body is {kind}; send multipart/form-data or application/json")


def _media_type(request: Request) -> str:
    header = request.headers.get("content-type", "")
    message = Message()
    message["content-type"] = header
    return message.get_content_type() if header else ""


async def _read_form(request: Request, limits: Limits) -> FormData:
    _, options = parse_options_header(request.headers["content-type"])  # as the parser below reads it
    charset = options.get(b"charset", b"utf-8").decode("latin-1")
    if charset.lower() not in CHARSETS:  # others can take long to decode, or fail
        raise UnsupportedMediaType(f"the charset of the form is {charset[:40]}; send utf-8")
    text = f"the request is larger than the {limits.upload_bytes:,} bytes allowed"
    stream = _counted(request, limits.upload_bytes + MARGIN, text)
    parser = MultiPartParser(
        request.headers, stream, max_files=limits.uploads, max_fields=MAX_FIELDS, max_part_size=MAX_FIELD
    )
    try:
        return await parser.parse()
    except MultiPartException as error:
        raise UsageError(f"the multipart body cannot be read: {error.message}", field="file") from error
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise DiskFull("the disk of the folder for temporary files is full") from error
        raise


async def _read_image(request: Request, max_bytes: int, file: IO[bytes]) -> int:
    """Read a body that is an image and nothing else; return its size."""
    size = 0
    try:
        async for part in _counted(request, max_bytes, f"the image is larger than the {max_bytes:,} bytes allowed"):
            file.write(part)
            size += len(part)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise DiskFull("the disk of the folder for temporary files is full") from error
        raise
    if not size:
        raise UsageError("the body is empty; send the bytes of the image", field="file")
    return size


async def _read_json(request: Request, max_bytes: int) -> dict[str, Any]:
    too_large = f"the JSON body is larger than the {max_bytes:,} bytes allowed"
    text = b"".join([part async for part in _counted(request, max_bytes, too_large)])
    try:
        values = from_json(text, allow_inf_nan=False)
    except ValueError as error:
        raise UsageError(f"the body is not JSON: {error}", field="body") from error
    if not isinstance(values, dict):
        raise UsageError("the body must be a JSON object", field="body")
    if len(values) > MAX_FIELDS:
        raise UsageError(f"the body has {len(values):,} fields; no request needs more than {MAX_FIELDS}", field="body")
    for name, value in values.items():
        if isinstance(value, list) and len(value) > MAX_ITEMS:
            raise UsageError(f"{name} has {len(value):,} items; at most {MAX_ITEMS:,} are allowed", field=name)
    return values


async def _counted(request: Request, max_bytes: int, text: str) -> AsyncGenerator[bytes, None]:
    """Yield the chunks of the body. Raises ImageTooLarge beyond `max_bytes`, and RequestTooSlow."""
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > max_bytes:
        raise ImageTooLarge(text)
    clock = asyncio.get_running_loop().time
    started, count = clock(), 0
    async with aclosing(request.stream()) as parts:  # otherwise the event loop closes it in a task of its own
        while True:
            try:
                async with asyncio.timeout_at(started + GRACE + count / MIN_BYTES_PER_SECOND):
                    part = await anext(parts, b"")
            except TimeoutError as error:
                raise RequestTooSlow from error
            if not part:
                return
            count += len(part)
            if count > max_bytes:
                raise ImageTooLarge(text)
            yield part


def _body(given: Mapping[str, Any], form: FormData, limits: Limits) -> Body:
    texts = [(name, value) for name, value in form.multi_items() if isinstance(value, str)]
    uploads = []
    for name, value in form.multi_items():
        if not isinstance(value, UploadFile) or not (value.size or value.filename):
            continue  # an empty file field of a web form
        if name not in ("file", "files"):
            raise UsageError(f"{name} is not a file field; send the image as 'file'", field=name)
        uploads.append(Upload(value.filename or "", value.size or 0, value.file))
    return Body(_together(given, _merged(texts, limits.repeatable)), uploads)


def _merged(items: list[tuple[str, str]], repeatable: frozenset[str]) -> dict[str, Any]:
    """Return the values by name, without empty ones: a web form also sends its empty fields."""
    values: dict[str, Any] = {}
    for name, value in items:
        if value == "":
            continue
        if name in repeatable:
            values.setdefault(name, []).append(value)
        elif name in values:
            raise UsageError(f"{name} is given more than once", field=name)
        else:
            values[name] = value
    return values


def _together(query: Mapping[str, Any], body: Mapping[str, Any]) -> dict[str, Any]:
    """Return query parameters and body fields in one dict. Raises UsageError for a field that is in both."""
    if twice := sorted(query.keys() & body.keys()):
        raise UsageError(f"{twice[0]} is given both in the query string and in the body", field=twice[0])
    return {**query, **body}
