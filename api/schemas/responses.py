"""Schemas of answers, each field with an example where its type gives none."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from api.api_keys import Scope
from embeddings.tagging.tagger import Label
from indexer.jobs.base import JobStatus

RequestId = Annotated[str, Field(examples=["0123456789abcdef0123456789abcdef"])]
ModelName = Annotated[str, Field(examples=["tf_efficientnet_lite0"])]
ImageId = Annotated[str, Field(examples=["cat-1"])]
ImagePath = Annotated[str, Field(examples=["/photos/cat.png"])]
UploadName = Annotated[str, Field(examples=["cat.png"], description="File name or URL of the image.")]


@dataclass(frozen=True)
class Tag:
    """A name for something that an image shows, with its calibrated probability in 0..1."""

    name: str
    confidence: float


CollectionName = Annotated[str, Field(examples=["photos"])]
LibraryName = Annotated[str, Field(examples=["holidays"])]
Tags = Annotated[Sequence[Tag], Field(examples=[[{"name": "tabby", "confidence": 0.83}]])]
Labels = Annotated[
    Sequence[Label],
    Field(examples=[[{"name": "tabby", "confidence": 0.83, "categories": ["cat", "animal"], "class_id": 281}]]),
]
Width = Annotated[int, Field(examples=[451])]
Height = Annotated[int, Field(examples=[300])]
Bytes = Annotated[int, Field(examples=[223_403])]
ContentHash = Annotated[str, Field(examples=["9d" * 32])]
ModifiedAt = Annotated[datetime, Field(examples=["2026-05-31T12:00:00Z"])]
TakenAt = Annotated[datetime | None, Field(examples=["2026-05-31T14:00:00"])]
Meta = Annotated[dict[str, Any], Field(examples=[{"album": "Rome"}])]
ThumbnailPath = Annotated[str, Field(examples=["/v1/images/cat-1/thumbnail?collection=photos"])]
ErrorCode = Annotated[str, Field(examples=["image_undecodable"])]
ErrorMessage = Annotated[str, Field(examples=["the image is truncated"])]
Milliseconds = Annotated[float, Field(examples=[8.3])]
Count = Annotated[int, Field(examples=[1567])]


@dataclass(frozen=True)  # an answer has dozens of these, and creating a BaseModel takes three times as long
class Result:
    """A similar image; `score` is the cosine similarity."""

    id: ImageId
    score: Annotated[float, Field(examples=[0.961])]
    path: ImagePath
    tags: Tags
    width: Width
    height: Height
    taken_at: TakenAt
    meta: Meta
    thumbnail: ThumbnailPath


class SearchTimes(BaseModel):
    """Milliseconds per step, waiting included; 0 for a step that was not needed."""

    fetch: float = Field(default=0.0, description="Fetching the image at `url`.")
    decode: float = Field(examples=[4.2])
    network: float = Field(examples=[5.1])
    search: float = Field(examples=[2.4])
    total: float = Field(examples=[12.6])


class SearchAnswer(BaseModel):
    """The most similar images, best first.

    `labels` are those of the query image. They are empty for a search by id without a box, because the network is not
    run; the tags of an indexed image are in its image document.
    """

    request_id: RequestId
    model: ModelName
    took_ms: SearchTimes
    labels: Labels
    results: list[Result]


class QueryFound(BaseModel):
    """The answer to one query of several."""

    took_ms: SearchTimes
    labels: Labels
    results: list[Result]


class QueryFailure(BaseModel):
    """The reason why one query of several failed."""

    code: str = Field(examples=["not_found"])
    message: str = Field(examples=["there is no collection nosuch"])
    field: str | None = Field(examples=["collection"])


class QueryFailed(BaseModel):
    """A failed query."""

    error: QueryFailure


class SearchBatchAnswer(BaseModel):
    """An answer or an error for each query, in the order of the queries."""

    request_id: RequestId
    model: ModelName
    took_ms: Milliseconds = Field(description="Milliseconds for all queries together; they overlap.")
    answers: list[QueryFound | QueryFailed]


class ItemError(BaseModel):
    """The reason why one image of several failed."""

    code: ErrorCode
    message: ErrorMessage


class Tagged(BaseModel):
    """The labels of one image."""

    path: UploadName
    labels: Labels


class Untagged(BaseModel):
    """An image that could not be labelled."""

    path: UploadName
    error: ItemError


class TagTimes(BaseModel):
    """Milliseconds per step, waiting included; images overlap, so the steps may exceed the total."""

    decode: float = Field(examples=[4.2])
    network: float = Field(examples=[5.1])
    total: float = Field(examples=[9.9])


class TagsAnswer(BaseModel):
    """The labels of each image, in the order of the request."""

    request_id: RequestId
    model: ModelName
    took_ms: TagTimes
    images: list[Tagged | Untagged]
    note: str | None = Field(
        None, examples=[None], description="Set if the model has no classes and therefore gives no labels."
    )


class ImageOut(BaseModel):
    """One indexed image."""

    id: ImageId
    source: str = Field(examples=["/photos"])
    path: ImagePath
    tags: Tags
    width: Width
    height: Height
    bytes: Bytes
    content_hash: ContentHash
    phash: str = Field(pattern=r"^[0-9a-f]{16}$", examples=["e1c3870f1e3c78f0"])
    taken_at: TakenAt
    modified_at: ModifiedAt
    indexed_at: datetime = Field(examples=["2026-06-01T08:00:00Z"])
    meta: Meta
    thumbnail: ThumbnailPath


class Page(BaseModel):
    """A page of a list."""

    request_id: RequestId
    offset: int = Field(examples=[0])
    limit: int = Field(examples=[20])
    total: int = Field(examples=[1])


class ImagesPage(Page):
    """Images in the order of their ids."""

    images: list[ImageOut]


class TagCount(BaseModel):
    """A tag and the number of images that have it."""

    name: str = Field(examples=["tabby"])
    count: Count


class FacetsPage(Page):
    """Tags, the most frequent first."""

    tags: list[TagCount]


class CollectionOut(BaseModel):
    """A collection and the model it was made with."""

    name: CollectionName
    model: ModelName
    fingerprint: str = Field(examples=["a1b2c3d4e5f6"])
    dimension: int = Field(examples=[1280])
    count: Count


class CollectionsPage(Page):
    """Collections by name."""

    default: CollectionName = Field(description="The collection used if a request names none; it may not exist yet.")
    collections: list[CollectionOut]


class FieldFault(BaseModel):
    """An error in one field."""

    field: str
    message: str


class Problem(BaseModel):
    """An error (RFC 9457); `code` is stable, the texts may change."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    field: str | None = None
    errors: list[FieldFault] | None = None
    request_id: RequestId


class Health(BaseModel):
    """The process is running."""

    status: Literal["ok"] = "ok"


class Readiness(BaseModel):
    """Readiness of the service, and the result of each check."""

    ready: bool
    checks: dict[str, dict[str, Any]] = Field(
        examples=[{"model": {"ok": True}, "store": {"ok": True}, "jobs": {"ok": True}, "disk": {"ok": True}}]
    )


class JobOut(BaseModel):
    """A job. When it is done, `found` is the sum of `indexed`, `copied`, `skipped` and `failed`."""

    id: str = Field(examples=["20260601-080000-1f2e3d"])
    state: JobStatus = Field(examples=["done_with_failures"])
    source: LibraryName
    collection: CollectionName
    prune: bool = Field(examples=[False])
    found: Count
    indexed: int = Field(examples=[1566])
    copied: int = Field(examples=[0])
    skipped: int = Field(examples=[0])
    removed: int = Field(examples=[0])
    failed: int = Field(examples=[1])
    seconds: float = Field(examples=[7.3])
    images_per_second: float = Field(examples=[214.0])
    seconds_left: float | None = Field(description="Estimate for the images found so far.", examples=[0.0])
    reason: str | None = Field(description="Why the whole job failed.", examples=[None])


class JobsPage(Page):
    """Jobs, the newest first."""

    jobs: list[JobOut]


class JobFailure(BaseModel):
    """An image that could not be indexed."""

    path: str = Field(examples=["cats/torn.jpg"])
    code: ErrorCode
    message: ErrorMessage


class FailuresPage(Page):
    """The images that failed in a job's last run."""

    failures: list[JobFailure]


class LibraryOut(BaseModel):
    """A folder that the operator has configured for jobs."""

    name: LibraryName


class LibrariesPage(Page):
    """Libraries by name."""

    libraries: list[LibraryOut]


class SessionOut(BaseModel):
    """The caller, as the service identifies it."""

    request_id: RequestId
    key_needed: bool = Field(description="Whether requests need an API key.")
    key: str | None = Field(description="Name of the caller's API key.", examples=["shop"])
    scope: Scope | None = Field(description="Scope of that key; each scope includes those before it.")
