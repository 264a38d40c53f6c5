"""Rows, hits and labels as the documents that are sent; needs no web framework."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from urllib.parse import quote

from api.schemas import ImageOut, Label, Result, TagOut
from embeddings.embedder import Embedding
from embeddings.locations import display_path, readable
from embeddings.records import Hit, Row, Tag

_NANOSECONDS = 1_000_000_000


def label_list(embedding: Embedding, limit: int, minimum: float = 0.0) -> list[Label]:
    """Return the most probable labels of a picture."""
    return [Label.model_validate(asdict(label)) for label in embedding.labels(limit, minimum)]


def result(hit: Hit, collection: str) -> Result:
    """Return a search result."""
    row = hit.row
    return Result(
        id=row.id,
        score=score(hit),
        path=display_path(row),
        tags=_tags(row.tags),
        width=row.width,
        height=row.height,
        taken_at=row.taken_at,
        meta=row.meta,
        thumbnail=thumbnail_address(row.id, collection),
    )


def score(hit: Hit) -> float:
    """Return the score as it is shown and compared: float32 sums may be a hair above 1."""
    return round(min(hit.score, 1.0), 6)


def image(row: Row, collection: str) -> ImageOut:
    """Return an image document."""
    return ImageOut(
        id=row.id,
        source=readable(row.source),
        path=display_path(row),
        tags=_tags(row.tags),
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
    """Return a time as it is shown."""
    return round(seconds * 1000, 3)


def image_address(row_id: str, collection: str) -> str:
    """Return the address of an image document."""
    return f"/v1/images/{quote(row_id, safe='')}?collection={quote(collection)}"


def thumbnail_address(row_id: str, collection: str) -> str:
    """Return the address of a thumbnail."""
    return f"/v1/images/{quote(row_id, safe='')}/thumbnail?collection={quote(collection)}"


def _tags(tags: Sequence[Tag]) -> list[TagOut]:
    return [TagOut(name=tag.name, confidence=tag.confidence) for tag in tags]
