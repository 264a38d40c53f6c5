"""Which vectors a collection takes: those of its own space and, where it is compact, those of its model."""

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

    A projection has fewer dimensions than its model, so the length of a vector tells which of the two spaces it is of:
    only the model that the collection was opened with and the collection itself give vectors to it.
    """

    model: ModelIdentity
    projection: Projection | None = None

    @property
    def base(self) -> ModelIdentity:
        """The model that vectors came from."""
        return self.model if self.projection is None else self.projection.base

    def queries(self, vectors: np.ndarray) -> np.ndarray:
        """Return vectors to search with ([n, dimension]) in this space, of length one. Raises ModelMismatch."""
        vectors = np.asarray(vectors, np.float32)
        if self.projection is not None and vectors.shape[1] == self.base.dimension:
            return self.projection.apply(vectors)
        if vectors.shape[1] != self.model.dimension:
            raise ModelMismatch(
                f"a vector of {vectors.shape[1]:,} dimensions cannot be searched for among those of "
                f"{self.model.dimension:,}: the collection was made compact, or full again, meanwhile; try again"
            )
        return normalised(vectors)

    def project_rows(self, records: Sequence[dict[str, Any]]) -> None:
        """Make the model's vectors in `records` those of this space; others stay as they are."""
        if self.projection is None:
            return
        full = (self.base.dimension,)
        ours = [one for one in records if one["vector"] is not None and one["vector"].shape == full]
        if ours:
            for record, vector in zip(ours, self.projection.apply(np.stack([r["vector"] for r in ours])), strict=True):
                record["vector"] = vector
