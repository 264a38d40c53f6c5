"""How a row comes to be: from an embedded file, or from the row of another file with the same bytes."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from embeddings.embedder import Embedding
from store.records import Row


@dataclass(frozen=True)
class FileFacts:
    """One file: where it is (as text that a collection keeps), the SHA-256 and number of its bytes, its change time."""

    source: str
    path: str
    content_hash: str
    bytes: int
    modified_at: int


def row_id(source: str, path: str) -> str:
    """Return the primary key of a file: 32 hexadecimal digits, the same in every run."""
    return hashlib.sha256(f"{source}\0{path}".encode()).hexdigest()[:32]


def embedded_row(identity: str, facts: FileFacts, embedding: Embedding, meta: Mapping[str, Any] | None = None) -> Row:
    """Return the row of a file that was embedded now."""
    return Row(
        id=identity,
        source=facts.source,
        path=facts.path,
        content_hash=facts.content_hash,
        phash=embedding.phash,
        vector=embedding.vector,
        tags=embedding.tags,
        width=embedding.width,
        height=embedding.height,
        bytes=facts.bytes,
        taken_at=embedding.taken_at,
        modified_at=facts.modified_at,
        indexed_at=datetime.now(UTC),
        meta=dict(meta or {}),
    )


def copied_row(identity: str, facts: FileFacts, original: Row, meta: Mapping[str, Any] | None = None) -> Row:
    """Return the row of a file whose bytes another row, `original`, has: everything but place and time is the same."""
    return replace(
        original,
        id=identity,
        source=facts.source,
        path=facts.path,
        bytes=facts.bytes,
        modified_at=facts.modified_at,
        indexed_at=datetime.now(UTC),
        meta=dict(meta or {}),
    )
