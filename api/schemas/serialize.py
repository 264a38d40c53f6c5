"""Rows, hits and labels as the documents that are sent; needs no web framework."""

from datetime import UTC, datetime
from urllib.parse import quote

from api.schemas.responses import ImageOut, Result, Tag
from store.locations import display_path, readable
from store.records import Hit, Row

_NANOSECONDS = 1_000_000_000


def result(hit: Hit, collection: str) -> Result:
    """Return a search result."""
    row = hit.row
    return Result(
        id=row.id,
        score=score(hit),
        path=display_path(row),
        tags=[Tag(tag.name, tag.confidence) for tag in row.tags],
        width=row.width,
        height=row.height,
        taken_at=row.taken_at,
        meta=row.meta,
        thumbnail=thumbnail_address(row.id, collection),
    )


def score(hit: Hit) -> float:
    """Return the score as it is shown and compared; sums of float32 may slightly exceed 1."""
    return round(min(hit.score, 1.0), 6)


def image(row: Row, collection: str) -> ImageOut:
    """Return an image document."""
    return ImageOut(
        id=row.id,
        source=readable(row.source),
        path=display_path(row),
        tags=[Tag(tag.name, tag.confidence) for tag in row.tags],
        width=row.width,
        height=row.height,
        bytes=row.bytes,
        content_hash=row.content_hash,
        phash=f"{row.phash:016x}",
        taken_at=row.taken_at,
        modified_at=datetime.fromtimestamp(row.modified_at / _NANOSECONDS, UTC),
        indexed_at=row.indexed_at,
        meta=row.meta,
        thumbnail=thumbnail_address(row.id, collection),
    )


def milliseconds(seconds: float) -> float:
    """Return a time in milliseconds, rounded as it is shown."""
    return round(seconds * 1000, 3)


def image_address(row_id: str, collection: str) -> str:
    """Return the path of an image document."""
    return f"/v1/images/{quote(row_id, safe='')}?collection={quote(collection)}"


def thumbnail_address(row_id: str, collection: str) -> str:
    """Return the path of a thumbnail."""
    return f"/v1/images/{quote(row_id, safe='')}/thumbnail?collection={quote(collection)}"
