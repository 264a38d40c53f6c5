"""Rows made by hand for tests of duplicates: three dimensions, hashes and contents as they are given."""

from datetime import UTC, datetime
from typing import Any

import numpy as np

from embeddings.models.identity import ModelIdentity
from store.records import Row

MODEL = ModelIdentity("toy", "0123456789ab", 3)


def row(id_: str, content: str | None = None, *, angle: float = 0.0, phash: int = 0, **fields: Any) -> Row:
    """Return a row whose vector lies at `angle` degrees in the first two dimensions."""
    radians = np.deg2rad(angle)
    if isinstance(fields.get("taken_at"), str):
        fields["taken_at"] = datetime.fromisoformat(fields["taken_at"])
    values: dict[str, Any] = {
        "source": "/photos",
        "path": f"{id_}.jpg",
        "content_hash": content or f"content of {id_}",
        "phash": phash,
        "vector": np.array([np.cos(radians), np.sin(radians), 0], np.float32),
        "tags": (),
        "width": 40,
        "height": 30,
        "bytes": 2000,
        "taken_at": None,
        "modified_at": 1_700_000_000_000_000_000,
        "indexed_at": datetime(2026, 3, 4, tzinfo=UTC),
        "meta": {},
    }
    return Row(id=id_, **values | fields)
