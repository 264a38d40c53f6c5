"""Ranking: the limits of a page of neighbours, and their exact order."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from embeddings.errors import UsageError
from store.records import Hit, Row

MAX_DEPTH = 16_384  # the maximum of offset + limit in a Milvus server


def check_depth(offset: int, limit: int) -> None:
    """Raise UsageError for a page that is out of reach of the engines."""
    if offset < 0 or limit < 1 or offset + limit > MAX_DEPTH:
        raise UsageError(f"limit must be at least 1, and offset + limit at most {MAX_DEPTH:,}", field="limit")


def nearest(query: np.ndarray, rows: Sequence[Row], limit: int, offset: int) -> list[Hit]:
    """Score rows with vectors against a query, all of length one, and return a page of the best."""
    hits = [Hit(replace(row, vector=None), float(query @ row.vector)) for row in rows if row.vector is not None]
    return sorted(hits, key=lambda hit: (-hit.score, hit.row.id))[offset : offset + limit]
