"""Many random rows for tests of failures, made alike in every process that asks for the same numbers."""

from datetime import UTC, datetime

import numpy as np

from embeddings.models.identity import ModelIdentity
from embeddings.tagging.tag import Tag
from store.milvus.schema import normalised
from store.records import Row

DIMENSION = 64
MODEL = ModelIdentity("toy", "0123456789ab", DIMENSION)
INDEXED_AT = datetime(2026, 1, 1, tzinfo=UTC)


def make_rows(numbers: range, dimension: int = DIMENSION) -> list[Row]:
    """Return one row for each number, the number being its id."""
    vectors = normalised(np.random.default_rng(numbers.start).normal(size=(len(numbers), dimension)))
    return [
        Row(f"{n:06}", "/s", f"{n}", f"h{n}", n, vector, (Tag("t", 0.5),), 1, 1, 1, None, n, INDEXED_AT, {})
        for n, vector in zip(numbers, vectors, strict=True)
    ]
