"""Answers as they are on the wire."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, Field

from api.api_keys import Scope
from embeddings.tagging.tagger import Label
from indexer.jobs.base import JobStatus


@dataclass(frozen=True)
class Tag:
    """A name for what a picture shows, with its calibrated probability in 0..1."""

    name: str
    confidence: float


@dataclass(frozen=True)  # an answer has them by the dozen, and a BaseModel takes three times as long to make
class Result:
    """A picture that was found; `score` is cosine similarity, higher is nearer."""

    id: str
    score: float
    path: str
    tags: Sequence[Tag]
    width: int
    height: int
    taken_at: datetime | None
    meta: dict[str, Any]
    thumbnail: str


class SearchTimes(BaseModel):
    """Milliseconds spent, waiting included; 0 for a step that was not needed."""

    fetch: float = Field(default=0.0, description="Getting the picture at `url`.")
    decode: float
    network: float
    search: float
    total: float


class SearchAnswer(BaseModel):
    """The nearest pictures, best first.

    `labels` are those of the query picture where the network saw it: empty for a search by id without a box, whose
    tags are in its image document.
    """

    request_id: str
    model: str
    took_ms: SearchTimes
    labels: Sequence[Label]
    results: list[Result]


class QueryFound(BaseModel):
    """What one query of several found."""

    took_ms: SearchTimes
    labels: Sequence[Label]
    results: list[Result]


class QueryFailure(BaseModel):
    """Why one query of several failed."""

    code: str
    message: str
    field: str | None


class QueryFailed(BaseModel):
    """A query without an answer."""

    error: QueryFailure


class SearchBatchAnswer(BaseModel):
    """An answer for each query, in the order of the queries."""

    request_id: str
    model: str
    took_ms: float = Field(description="Milliseconds for all of them; they overlap.")
    answers: list[QueryFound | QueryFailed]


class ItemError(BaseModel):
    """Why one picture of several failed."""

    code: str
    message: str


class Tagged(BaseModel):
    """The labels of one picture."""

    path: str
    labels: Sequence[Label]


class Untagged(BaseModel):
    """A picture that could not be tagged."""

    path: str
    error: ItemError


class TagTimes(BaseModel):
    """Milliseconds spent, waiting included; pictures overlap, so that the parts may exceed the total."""

    decode: float
    network: float
    total: float


class TagsAnswer(BaseModel):
    """The labels of each picture, in the order they were sent."""

    request_id: str
    model: str
    took_ms: TagTimes
    images: list[Tagged | Untagged]
    note: str | None = Field(None, description="Said where the model has no classes, and so no labels.")


class ImageOut(BaseModel):
    """One indexed picture."""

    id: str
    source: str
    path: str
    tags: Sequence[Tag]
    width: int
    height: int
    bytes: int
    content_hash: str
    phash: str = Field(pattern=r"^[0-9a-f]{16}$")
    taken_at: datetime | None
    modified_at: datetime
    indexed_at: datetime
    meta: dict[str, Any]
    thumbnail: str


class Page(BaseModel):
    """What every list has: which part of it this is."""

    request_id: str
    offset: int
    limit: int
    total: int


class ImagesPage(Page):
    """Pictures in the order of their ids."""

    images: list[ImageOut]


class TagCount(BaseModel):
    """A tag and the number of pictures that have it."""

    name: str
    count: int


class FacetsPage(Page):
    """Tags, the most frequent first."""

    tags: list[TagCount]


class CollectionOut(BaseModel):
    """A collection and the model it was made with."""

    name: str
    model: str
    fingerprint: str
    dimension: int
    count: int


class CollectionsPage(Page):
    """Collections by name."""

    default: str = Field(description="The collection that is used where none is named; it may not exist yet.")
    collections: list[CollectionOut]


class FieldFault(BaseModel):
    """What is wrong with one field."""

    field: str
    message: str


class Problem(BaseModel):
    """An error (RFC 9457); `code` is stable, the texts are for people."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    field: str | None = None
    errors: list[FieldFault] | None = None
    request_id: str


class Health(BaseModel):
    """The process runs."""

    status: Literal["ok"] = "ok"


class Readiness(BaseModel):
    """Whether the service can do its work now, and what keeps it from it."""

    ready: bool
    checks: dict[str, dict[str, Any]]


class JobOut(BaseModel):
    """A job. `found` is the sum of `indexed`, `copied`, `skipped` and `failed` when it is done."""

    id: str
    state: JobStatus
    source: str
    collection: str
    prune: bool
    found: int
    indexed: int
    copied: int
    skipped: int
    removed: int
    failed: int
    seconds: float
    images_per_second: float
    seconds_left: float | None = Field(description="At the rate so far, for what was found so far.")
    reason: str | None = Field(description="Why the job failed as a whole.")


class JobsPage(Page):
    """Jobs, the newest first."""

    jobs: list[JobOut]


class JobFailure(BaseModel):
    """An image that could not be indexed."""

    path: str
    code: str
    message: str


class FailuresPage(Page):
    """The images that failed in a job's last run."""

    failures: list[JobFailure]


class LibraryOut(BaseModel):
    """A folder of the operator's that jobs may read."""

    name: str


class LibrariesPage(Page):
    """Libraries by name."""

    libraries: list[LibraryOut]


class SessionOut(BaseModel):
    """Who the service takes the caller for."""

    request_id: str
    key_needed: bool = Field(description="False: the service is open, and takes no keys.")
    key: str | None = Field(description="The name of the caller's key.")
    scope: Scope | None = Field(description="What that key allows; each scope covers those before it.")
