"""Answers of the service as dataclasses; fields that later versions add are ignored."""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Label:
    """A class that an image shows, with a calibrated probability."""

    name: str
    confidence: float
    categories: list[str]
    class_id: int


@dataclass(frozen=True)
class Tag:
    """A tag that is stored with an image."""

    name: str
    confidence: float


@dataclass(frozen=True)
class Result:
    """A similar image; `score` is the cosine similarity, -1 to 1."""

    id: str
    score: float
    path: str
    tags: list[Tag]
    width: int
    height: int
    taken_at: datetime | None
    meta: dict[str, Any]
    thumbnail: str


@dataclass(frozen=True)
class Found:
    """The answer to a search: the most similar images, best first, and the labels of the query image."""

    labels: list[Label]
    results: list[Result]


@dataclass(frozen=True)
class Labelled:
    """The labels of one image; `path` is its file name or URL."""

    path: str
    labels: list[Label]


@dataclass(frozen=True)
class Image:
    """One indexed image."""

    id: str
    source: str
    path: str
    tags: list[Tag]
    width: int
    height: int
    bytes: int
    content_hash: str
    phash: str
    taken_at: datetime | None
    modified_at: datetime
    indexed_at: datetime
    meta: dict[str, Any]
    thumbnail: str


@dataclass(frozen=True)
class TagCount:
    """A tag and the number of images that have it."""

    name: str
    count: int


@dataclass(frozen=True)
class Collection:
    """A collection and the model it was made with."""

    name: str
    model: str
    fingerprint: str
    dimension: int
    count: int


@dataclass(frozen=True)
class Job:
    """The state and progress of a job."""

    id: str
    state: str
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
    seconds_left: float | None
    reason: str | None

    @property
    def ended(self) -> bool:
        """True if the job has ended."""
        return self.state not in ("queued", "running")


@dataclass(frozen=True)
class Failure:
    """An image that a job could not index."""

    path: str
    code: str
    message: str


@dataclass(frozen=True)
class Session:
    """The caller, as the service identifies it."""

    key_needed: bool
    key: str | None
    scope: str | None


@dataclass(frozen=True)
class Page(Generic[T]):
    """A page of a list, and the length of the whole list."""

    items: list[T]
    offset: int
    limit: int
    total: int

    def __iter__(self) -> Iterator[T]:
        return iter(self.items)

    def __len__(self) -> int:
        return len(self.items)


_DATES = frozenset({"taken_at", "modified_at", "indexed_at"})
_LISTS: dict[str, type] = {"tags": Tag, "labels": Label, "results": Result}


def from_json(kind: type[T], document: dict[str, Any]) -> T:
    """Return a JSON document as an instance of one of these classes."""
    return kind(**{field.name: _value(field.name, document[field.name]) for field in fields(kind)})  # type: ignore[arg-type]


def _value(name: str, value: Any) -> Any:
    if name in _LISTS:
        return [from_json(_LISTS[name], item) for item in value]
    return datetime.fromisoformat(value) if name in _DATES and value is not None else value
