"""Stores a projection as rows of its own collection beside the compact one, where every process finds it.

Properties and descriptions of collections are too small for it: 128 axes of 1,280 numbers take 655,360 bytes.
"""

from datetime import UTC, datetime

import numpy as np

from embeddings.errors import StoreUnavailable
from store.milvus.backend import Backend
from store.milvus.naming import CollectionDescription, axes_description
from store.milvus.schema import TAG_KEYS, batches, to_record
from store.projection import Projection
from store.records import Row

_MEAN = "mean"
_AXIS = "axis "


def write_projection(backend: Backend, collection: str, projection: Projection) -> None:
    """Store a projection in `collection`, which is created if needed; a second time changes nothing."""
    if not backend.run("has_collection", collection_name=collection):
        backend.create(collection, projection.base.dimension, axes_description())
    backend.prepare(collection)
    vectors = {_MEAN: projection.mean} | {f"{_AXIS}{number:05}": axis for number, axis in enumerate(projection.axes)}
    records = [to_record(_row(id_, vector)) for id_, vector in vectors.items()]
    for batch in batches(records):
        for record in batch:
            record[TAG_KEYS] = backend.pack_tags(record[TAG_KEYS])
        backend.run("upsert", collection_name=collection, data=batch)
        backend.written(collection, len(batch))
    backend.run("flush", collection_name=collection, timeout_factor=4)


def read_projection(backend: Backend, collection: str, compact: CollectionDescription) -> Projection:
    """Return the projection of a compact collection. Raises StoreUnavailable if it is damaged."""
    backend.prepare(collection)
    vectors = {row["id"]: np.asarray(row["vector"], np.float32) for row in backend.scan(collection, ["id", "vector"])}
    axes = [vectors[id_] for id_ in sorted(vectors) if id_.startswith(_AXIS)]
    if _MEAN in vectors and axes:
        projection = Projection(compact.base, vectors[_MEAN], np.stack(axes))
        if projection.identity == compact.model:
            return projection
    raise StoreUnavailable(
        f"the projection in {collection} is damaged, and its compact collection cannot be searched without it: "
        "restore the store from a backup"
    )


def _row(id_: str, vector: np.ndarray) -> Row:
    return Row(
        id=id_,
        source="",
        path="",
        content_hash="",
        phash=0,
        vector=np.ascontiguousarray(vector, np.float32),
        tags=(),
        width=0,
        height=0,
        bytes=0,
        taken_at=None,
        modified_at=0,
        indexed_at=datetime(1970, 1, 1, tzinfo=UTC),
        meta={},
    )
