"""Requests as they are on the wire: fields, their bounds, their defaults."""

import re
from datetime import date, datetime, time, timedelta
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, StringConstraints
from pydantic_core import from_json

from embeddings.errors import UsageError
from embeddings.web.url import MAX_URL
from store.records import TimeRange

MAX_DEPTH = 16_384  # offset + limit of a search: Milvus gives no more
MAX_META = 60_000  # bytes of JSON; Milvus takes 65,536

CollectionName = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_]{0,99}$"),
    Field(description="The collection; the service's default one if none is named.", examples=["photos"]),
]


def _image_id(value: str) -> str:
    if value in (".", ".."):
        raise ValueError("an id must not be '.' or '..'")
    return value


NewImageId = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z0-9._:-]{1,128}$"), AfterValidator(_image_id), Field(examples=["cat-1"])
]


PictureUrl = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_URL),
    Field(
        description="Where the picture is: an http or https URL of a public host, which must answer within 10 seconds.",
        examples=["https://example.org/cat.jpg"],
    ),
]


def _numbers(value: Any) -> Any:
    """Take a box as it comes from a form: four fields, or one with '[0, 0, 0.5, 1]' or '0,0,0.5,1'."""
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
        description="The part of the picture to search for: x, y, width, height as fractions of the upright picture.",
        examples=[[0.25, 0.25, 0.5, 0.5]],
    ),
]
TagNames = Annotated[
    list[Annotated[str, StringConstraints(min_length=1, max_length=500)]],
    BeforeValidator(_listed),
    Field(max_length=20),
]


def _day(value: Any) -> Any:
    """Take YYYY-MM-DD alone: pydantic would also take seconds since 1970."""
    if not isinstance(value, str) or not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", value):
        raise ValueError("a date is written YYYY-MM-DD")
    return value


_CLOCK = "by the camera's clock; pictures without a date are left out"
TakenFrom = Annotated[
    date, BeforeValidator(_day), Field(description=f"Only pictures taken on this day or later, {_CLOCK}.")
]
TakenTo = Annotated[
    date, BeforeValidator(_day), Field(description=f"Only pictures taken on this day or earlier, {_CLOCK}.")
]


def taken_span(taken_from: date | None, taken_to: date | None) -> TimeRange | None:
    """Return the time of both days and those between, None where none is named. Raises UsageError."""
    if taken_from is None and taken_to is None:
        return None
    if taken_from and taken_to and taken_to < taken_from:
        raise UsageError(f"taken_to, {taken_to}, is before taken_from, {taken_from}", field="taken_to")
    start = datetime.combine(taken_from, time()) if taken_from else None
    # the last day there is has none after it
    end = datetime.combine(taken_to + timedelta(1), time()) if taken_to and taken_to < date.max else None
    return TimeRange(start, end)


class Request(BaseModel):
    """What every request body has in common: a misspelt field is refused, not passed over."""

    model_config = ConfigDict(extra="forbid")

    collection: CollectionName | None = None


class SearchQuery(Request):
    """A search, by a picture sent along, by a URL or by the id of an indexed one."""

    url: PictureUrl | None = None
    id: Annotated[str, StringConstraints(min_length=1, max_length=512)] | None = Field(
        None, description="Search by this indexed picture, which is itself left out of the results."
    )
    limit: int = Field(20, ge=1, le=1000, description="Results at most.")
    offset: int = Field(0, ge=0, le=MAX_DEPTH - 1, description="Results to skip; offset + limit is at most 16,384.")
    min_score: float = Field(-1.0, ge=-1, le=1, description="Leave out results with a lower cosine similarity.")
    tags: TagNames = Field([], description="Only pictures that have all of these tags.", examples=[["cat"]])
    taken_from: TakenFrom | None = None
    taken_to: TakenTo | None = None
    box: BoxNumbers | None = None


class PreviewQuery(Request):
    """The picture to be shown small, where it is not sent along."""

    url: PictureUrl | None = None
    id: Annotated[str, StringConstraints(min_length=1, max_length=512)] | None = Field(
        None, description="An indexed picture."
    )


MAX_QUERIES = 32


class SearchItems(BaseModel):
    """Several searches, which are checked one by one."""

    model_config = ConfigDict(extra="forbid")

    queries: Annotated[list[Any], Field(min_length=1, max_length=MAX_QUERIES)]


class SearchBatch(BaseModel):
    """Several searches, as they are described."""

    model_config = ConfigDict(extra="forbid")

    queries: Annotated[list[SearchQuery], Field(min_length=1, max_length=MAX_QUERIES)]


class TagsQuery(BaseModel):
    """What to say about each picture."""

    model_config = ConfigDict(extra="forbid")

    limit: int = Field(5, ge=1, le=100, description="Labels of a picture at most.")
    min_confidence: float = Field(0.0, ge=0, le=1, description="Leave out labels with a lower probability.")


MAX_PICTURES = 32


class TagsBatch(TagsQuery):
    """The same, of pictures by their URLs."""

    urls: Annotated[list[PictureUrl], BeforeValidator(_listed), Field(max_length=MAX_PICTURES)] = []


def _meta(value: Any) -> Any:
    """Take the JSON text of a form field."""
    if not isinstance(value, str):
        return value
    if len(value.encode()) > MAX_META:
        raise ValueError(f"meta may have {MAX_META:,} bytes")
    try:
        return from_json(value, allow_inf_nan=False)
    except ValueError as error:
        raise ValueError(f"meta must be a JSON object: {error}") from error


class NewImage(Request):
    """What comes with a picture that is added, or says where it is."""

    url: PictureUrl | None = None
    id: NewImageId | None = Field(None, description="Your own id; made from the file's bytes if it is left out.")
    meta: Annotated[dict[str, Any], BeforeValidator(_meta)] = Field(
        {}, description="Anything of yours, kept with the picture: a JSON object.", examples=[{"album": "Rome"}]
    )


class JobRequest(Request):
    """What is to be indexed."""

    source: Annotated[str, StringConstraints(min_length=1, max_length=64)] = Field(
        description="The name of a library, as GET /v1/libraries lists them.", examples=["holidays"]
    )
    prune: bool = Field(False, description="Also remove the rows of files that are gone.")


class SignIn(BaseModel):
    """A key, to be kept in a cookie."""

    model_config = ConfigDict(extra="forbid")

    key: Annotated[SecretStr, Field(min_length=1, max_length=200)]
