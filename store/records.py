"""The values that a collection stores and returns."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import numpy as np

from embeddings.tagging.tag import Tag


@dataclass(frozen=True)
class Row:
    """One indexed image.

    `vector` is float32 [dimension], L2-normalised, or None if it was not requested. `taken_at` is naive local time,
    `modified_at` the file's change time in nanoseconds since 1970, `indexed_at` is in UTC.
    """

    id: str
    source: str
    path: str
    content_hash: str
    phash: int
    vector: np.ndarray | None = field(compare=False)
    tags: tuple[Tag, ...]
    width: int
    height: int
    bytes: int
    taken_at: datetime | None
    modified_at: int
    indexed_at: datetime
    meta: dict[str, Any]


@dataclass(frozen=True)
class Hit:
    """A search result; `score` is cosine similarity, higher is nearer; the row has no vector."""

    row: Row
    score: float


@dataclass(frozen=True)
class IndexedFile:
    """The stored state of one file: enough to tell whether it must be indexed again."""

    id: str
    source: str
    path: str
    bytes: int
    modified_at: int
    content_hash: str


@dataclass(frozen=True)
class TimeRange:
    """Times of taking, by the camera's clock: from `start` on and before `end`; None leaves that side open.

    An image without a time of taking is in no range, not even in one that is open on both sides.
    """

    start: datetime | None = None
    end: datetime | None = None
