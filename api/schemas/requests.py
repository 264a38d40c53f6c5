"""Schemas of requests: fields, their bounds and defaults."""

import re
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Annotated, Any, BinaryIO

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, StringConstraints
from pydantic_core import from_json

from embeddings.errors import ImageTooLarge, UsageError
from embeddings.web.url import MAX_URL
from store.records import TimeRange

MAX_DEPTH = 16_384  # maximum of offset + limit in a search, set by Milvus
MAX_META = 60_000  # bytes of JSON; the maximum of Milvus is 65,536

CollectionName = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_]{0,99}$"),
    Field(description="The collection; the default is the service's default collection.", examples=["photos"]),
]


def _image_id(value: str) -> str:
    if value in (".", ".."):
        raise ValueError("an id must not be '.' or '..'")
    return value


NewImageId = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z0-9._:-]{1,128}$"), AfterValidator(_image_id), Field(examples=["cat-1"])
]


ImageUrl = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_URL),
    Field(
        description="URL of the image: http or https, on a public host that answers within 10 seconds.",
        examples=["https://example.org/cat.jpg"],
    ),
]


def _numbers(value: Any) -> Any:
    """Accept a box from a form: four fields, or one with '[0, 0, 0.5, 1]' or '0,0,0.5,1'."""
    if isinstance(value, list) and len(value) == 1 and isinstance(value[0], str):
        return value[0].strip().removeprefix("[").removesuffix("]").split(",")
    return value


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


Finite = Annotated[float, Field(allow_inf_nan=False)]
BoxNumbers = Annotated[
    tuple[Finite, Finite, Finite, Finite],
    BeforeValidator(_numbers),
    Field(
        description="The part of the image to search for: x, y, width, height as fractions of the upright image.",
        examples=[[0.25, 0.25, 0.5, 0.5]],
    ),
]
TagNames = Annotated[
    list[Annotated[str, StringConstraints(min_length=1, max_length=500)]],
    BeforeValidator(_listed),
    Field(max_length=20),
]


def _day(value: Any) -> Any:
    """Accept only YYYY-MM-DD: pydantic would also accept seconds since 1970."""
    if not isinstance(value, str) or not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", value):
        raise ValueError("a date must have the form YYYY-MM-DD")
    return value


_CLOCK = "by the camera's clock; images without a date are left out"
TakenFrom = Annotated[
    date, BeforeValidator(_day), Field(description=f"Only images taken on this day or later, {_CLOCK}.")
]
TakenTo = Annotated[
    date, BeforeValidator(_day), Field(description=f"Only images taken on this day or earlier, {_CLOCK}.")
]


def taken_span(taken_from: date | None, taken_to: date | None) -> TimeRange | None:
    """Return the time range of both days and those between, None if neither is given. Raises UsageError."""
    if taken_from is None and taken_to is None:
        return None
    if taken_from and taken_to and taken_to < taken_from:
        raise UsageError(f"taken_to, {taken_to}, is before taken_from, {taken_from}", field="taken_to")
    start = datetime.combine(taken_from, time()) if taken_from else None
    # date.max has no next day
    end = datetime.combine(taken_to + timedelta(1), time()) if taken_to and taken_to < date.max else None
    return TimeRange(start, end)


@dataclass(frozen=True)
class Upload:
    """An image file that a client sent or that was fetched from a URL, in memory or in a temporary file."""

    name: str
    size: int
    file: BinaryIO

    def check(self, max_bytes: int) -> None:
        """Raise ImageTooLarge if the file has more than `max_bytes` bytes."""
        if self.size > max_bytes:
            raise ImageTooLarge(f"the file has {self.size:,} bytes, {max_bytes:,} are allowed", field="file")

    def read(self) -> bytes:
        """Return the bytes."""
        self.file.seek(0)
        return self.file.read()


class Request(BaseModel):
    """Base of all request bodies: an unknown field is an error."""

    model_config = ConfigDict(extra="forbid")

    collection: CollectionName | None = None


class SearchQuery(Request):
    """A search by an uploaded image, by a URL or by the id of an indexed image."""

    url: ImageUrl | None = None
    id: Annotated[str, StringConstraints(min_length=1, max_length=512)] | None = Field(
        None, description="Id of an indexed image to search by; it is left out of the results."
    )
    limit: int = Field(20, ge=1, le=1000, description="Maximum number of results.")
    offset: int = Field(
        0, ge=0, le=MAX_DEPTH - 1, description="Number of results to skip; offset + limit may be at most 16,384."
    )
    min_score: float = Field(-1.0, ge=-1, le=1, description="Minimum cosine similarity of a result.")
    tags: TagNames = Field([], description="Only images that have all of these tags.", examples=[["cat"]])
    taken_from: TakenFrom | None = None
    taken_to: TakenTo | None = None
    box: BoxNumbers | None = None


class PreviewQuery(Request):
    """The image to preview, unless it is uploaded."""

    url: ImageUrl | None = None
    id: Annotated[str, StringConstraints(min_length=1, max_length=512)] | None = Field(
        None, description="Id of an indexed image."
    )


MAX_QUERIES = 32


class SearchItems(BaseModel):
    """Several searches, validated one by one."""

    model_config = ConfigDict(extra="forbid")

    queries: Annotated[list[Any], Field(min_length=1, max_length=MAX_QUERIES)]


class SearchBatch(BaseModel):
    """Several searches, as the OpenAPI document describes them."""

    model_config = ConfigDict(extra="forbid")

    queries: Annotated[list[SearchQuery], Field(min_length=1, max_length=MAX_QUERIES)]


class TagsQuery(BaseModel):
    """The labels to return for each image."""

    model_config = ConfigDict(extra="forbid")

    limit: int = Field(5, ge=1, le=100, description="Maximum number of labels per image.")
    min_confidence: float = Field(0.0, ge=0, le=1, description="Minimum probability of a label.")


MAX_IMAGES = 32


class TagsBatch(TagsQuery):
    """The labels to return, and the URLs of the images."""

    urls: Annotated[list[ImageUrl], BeforeValidator(_listed), Field(max_length=MAX_IMAGES)] = []


def _meta(value: Any) -> Any:
    """Parse the JSON text of a form field."""
    if not isinstance(value, str):
        return value
    if len(value.encode()) > MAX_META:
        raise ValueError(f"meta may have at most {MAX_META:,} bytes")
    try:
        return from_json(value, allow_inf_nan=False)
    except ValueError as error:
        raise ValueError(f"meta must be a JSON object: {error}") from error


class NewImage(Request):
    """The fields of an image to add."""

    url: ImageUrl | None = None
    id: NewImageId | None = Field(None, description="Your own id; the default is derived from the file's bytes.")
    meta: Annotated[dict[str, Any], BeforeValidator(_meta)] = Field(
        {}, description="Any JSON object, stored with the image.", examples=[{"album": "Rome"}]
    )


class JobRequest(Request):
    """A job to start."""

    source: Annotated[str, StringConstraints(min_length=1, max_length=64)] = Field(
        description="Name of a library, as listed by GET /v1/libraries.", examples=["holidays"]
    )
    prune: bool = Field(False, description="Also remove entries whose files no longer exist.")


class SignIn(BaseModel):
    """An API key to keep in a cookie."""

    model_config = ConfigDict(extra="forbid")

    key: Annotated[SecretStr, Field(min_length=1, max_length=200)]
