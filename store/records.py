"""The values that a collection keeps and gives back, and what every store can do."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import numpy as np

from embeddings.tagging.tag import Tag


@dataclass(frozen=True)
class Row:
    """One indexed picture.

    `vector` is float32 [dimension], L2-normalised, or None where it was not asked for. `taken_at` is naive local time,
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
    """A search result; `score` is cosine similarity, higher is nearer; its row comes without the vector."""

    row: Row
    score: float


@dataclass(frozen=True)
class IndexedFile:
    """What the collection knows of one file: enough to tell whether it must be read again."""

    id: str
    source: str
    path: str
    bytes: int
    modified_at: int
    content_hash: str


@dataclass(frozen=True)
class TimeRange:
    """Times of taking, by the camera's clock: from `start` on and before `end`; None: open on that side.

    A picture that does not say when it was taken is in no span, not even in one that is open on both sides.
    """

    start: datetime | None = None
    end: datetime | None = None
