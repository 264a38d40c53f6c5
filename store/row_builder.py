"""Builds a row from an embedded file, or from the row of another file with the same bytes."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from embeddings.embedder import Embedding
from embeddings.tagging.tag import Tag
from store.records import Row


@dataclass(frozen=True)
class FileInfo:
    """One file: its location as stored text, the SHA-256 and number of its bytes, its change time."""

    source: str
    path: str
    content_hash: str
    bytes: int
    modified_at: int


def row_id(source: str, path: str) -> str:
    """Return the primary key of a file: 32 hexadecimal digits, the same in every run."""
    return hashlib.sha256(f"{source}\0{path}".encode()).hexdigest()[:32]


def embedded_row(
    identity: str, info: FileInfo, embedding: Embedding, tags: tuple[Tag, ...], meta: Mapping[str, Any] | None = None
) -> Row:
    """Return the row of a newly embedded file."""
    return Row(
        id=identity,
        source=info.source,
        path=info.path,
        content_hash=info.content_hash,
        phash=embedding.phash,
        vector=embedding.vector,
        tags=tags,
        width=embedding.width,
        height=embedding.height,
        bytes=info.bytes,
        taken_at=embedding.taken_at,
        modified_at=info.modified_at,
        indexed_at=datetime.now(UTC),
        meta=dict(meta or {}),
    )


def copied_row(identity: str, info: FileInfo, original: Row, meta: Mapping[str, Any] | None = None) -> Row:
    """Return the row of a file with the same bytes as `original`; only location and times differ."""
    return replace(
        original,
        id=identity,
        source=info.source,
        path=info.path,
        bytes=info.bytes,
        modified_at=info.modified_at,
        indexed_at=datetime.now(UTC),
        meta=dict(meta or {}),
    )
