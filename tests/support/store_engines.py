"""The three stores that the contract tests run on, and rows whose neighbours can be worked out by eye."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from embeddings.models.identity import ModelIdentity
from embeddings.tagging.tag import Tag
from store import open_store
from store.base import Collection, Store
from store.records import Row
from store.testing import MemoryStore

SERVER = pytest.param("server", marks=pytest.mark.server)
ENGINES = ["memory", "lite", SERVER]
MODEL = ModelIdentity("toy", "0123456789ab", 3)
OTHER = ModelIdentity("resnet50", "ba9876543210", 3)
RED, GREEN, BLUE, ORANGE = [1, 0, 0], [0, 1, 0], [0, 0, 1], [0.8, 0.6, 0]
INDEXED_AT = datetime(2026, 3, 4, 5, 6, 7, 891011, tzinfo=UTC)


def open_engine(request: pytest.FixtureRequest, data: Path) -> Store:
    """Open the store that a fixture with `params=ENGINES` was asked for."""
    match request.param:
        case "memory":
            return MemoryStore()
        case "lite":
            return open_lite(data)
        case _:
            return open_store(request.getfixturevalue("milvus_uri"), "", data, timeout=30.0)


def open_lite(data: Path) -> Store:
    """Open Milvus Lite in a directory."""
    return open_store("", "", data, timeout=30.0)


def row(id_: str, vector: list[float] = RED, tags: tuple[str, ...] = (), **fields: Any) -> Row:
    """Return a row; its fields follow from its id unless they are given."""
    values: dict[str, Any] = {
        "source": "/photos",
        "path": f"{id_}.jpg",
        "content_hash": f"hash of {id_}",
        "phash": 1,
        "width": 40,
        "height": 30,
        "bytes": 2000,
        "taken_at": None,
        "modified_at": 1_700_000_000_123_456_789,
        "indexed_at": INDEXED_AT,
        "meta": {},
    }
    tagged = tuple(Tag(name, 0.5) for name in tags)
    return Row(id=id_, vector=np.array(vector, np.float32), tags=tagged, **{**values, **fields})


def ids(rows: list[Row]) -> list[str]:
    """Return the ids of rows, in order."""
    return [row.id for row in rows]


def found(collection: Collection, vector: list[float], limit: int = 10, **options: Any) -> list[str]:
    """Search with one vector and return the ids of the hits, best first."""
    (hits,) = collection.search(np.array([vector], np.float32), limit, **options)
    return [hit.row.id for hit in hits]
