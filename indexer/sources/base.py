"""The interface of every source of images: references, listed lazily, and the bytes behind each."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from embeddings.errors import FileUnreadable

INT64 = -(2**63), 2**63 - 1


@dataclass(frozen=True)
class Reference:
    """One image of a source.

    `path` names it within the source, as text that a collection can keep; nothing else is needed to fetch it. `bytes`
    and `modified_at` (nanoseconds since 1970, or any number that changes with the content) tell whether it changed;
    they are None if the source does not give them, and a number that no column can keep becomes the nearest one. `id`
    and `meta` are the caller's own, None if there are none.
    """

    path: str
    bytes: int | None
    modified_at: int | None
    id: str | None = None
    meta: Mapping[str, Any] | None = field(default=None, hash=False)

    def __post_init__(self) -> None:
        """Bring numbers into the range of a column: file systems and lists have times of the years 1601 and 2400."""
        for name in ("bytes", "modified_at"):
            value = getattr(self, name)
            if value is not None and not INT64[0] <= value <= INT64[1]:
                object.__setattr__(self, name, min(max(value, INT64[0]), INT64[1]))


@dataclass(frozen=True)
class Unlistable:
    """A part of the source (a folder, a line) that cannot be listed."""

    path: str
    error: FileUnreadable


class Source(Protocol):
    """A source of images, from which several threads may fetch."""

    name: str  # the `source` of its rows; together with a path it makes the primary key

    def references(self) -> Iterator[Reference | Unlistable]:
        """Yield every image, in the same order each time, in constant memory. Raises SourceUnavailable."""

    def fetch(self, path: str, max_bytes: int) -> bytes:
        """Return the bytes of an image, at most `max_bytes` + 1 of them.

        Raises FileUnreadable if this image cannot be read, SourceUnavailable if the whole source cannot.
        """

    def is_gone(self, path: str) -> bool:
        """Return whether an image surely exists no more; an image that cannot be looked at counts as there."""

    def shown(self, path: str) -> str:
        """Return the path or address as people are shown it."""
