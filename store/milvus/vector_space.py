"""The vectors that a collection accepts: those of its own space and, if it is compact, those of its model."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from embeddings.errors import ModelMismatch
from embeddings.models.identity import ModelIdentity
from store.projection import Projection, normalised


@dataclass(frozen=True)
class VectorSpace:
    """The space of a collection's vectors; a compact one has the projection that leads to it.

    A projection has fewer dimensions than its model, so the length of a vector tells which of the two spaces it belongs
    to: vectors come only from the model that the collection was opened with and from the collection itself.
    """

    model: ModelIdentity
    projection: Projection | None = None

    @property
    def base(self) -> ModelIdentity:
        """The model that the vectors came from."""
        return self.model if self.projection is None else self.projection.base

    def queries(self, vectors: np.ndarray) -> np.ndarray:
        """Return query vectors ([n, dimension]) in this space, of length one. Raises ModelMismatch."""
        vectors = np.asarray(vectors, np.float32)
        if self.projection is not None and vectors.shape[1] == self.base.dimension:
            return self.projection.apply(vectors)
        if vectors.shape[1] != self.model.dimension:
            raise ModelMismatch(
                f"a vector of {vectors.shape[1]:,} dimensions cannot be compared with vectors of "
                f"{self.model.dimension:,}: the collection was made compact, or full again, meanwhile; try again"
            )
        return normalised(vectors)

    def project_rows(self, records: Sequence[dict[str, Any]]) -> None:
        """Project the model's vectors in `records` into this space; other vectors stay unchanged."""
        if self.projection is None:
            return
        shape = (self.base.dimension,)
        full = [record for record in records if record["vector"] is not None and record["vector"].shape == shape]
        if full:
            vectors = self.projection.apply(np.stack([record["vector"] for record in full]))
            for record, vector in zip(full, vectors, strict=True):
                record["vector"] = vector

    def check_successor(self, name: str, successor: "VectorSpace") -> None:
        """Raise ModelMismatch unless rows for this space fit into the one that the collection `name` has now."""
        if successor.base.fingerprint != self.base.fingerprint:
            raise ModelMismatch(
                f"the collection {name!r} was switched to another model meanwhile: run the same again",
                field="collection",
            )
