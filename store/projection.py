"""The projection of a compact collection: a linear map from a model's vectors to fewer dimensions."""

import hashlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from embeddings.models.identity import ModelIdentity


@dataclass(frozen=True, eq=False)
class Projection:
    """A linear map from a model's vectors to fewer dimensions.

    `base` is the model, `mean` float32 [base.dimension], `axes` float32 [dimension, base.dimension]; a vector x of
    length one becomes axes @ (x - mean), scaled to length one.
    """

    base: ModelIdentity
    mean: np.ndarray
    axes: np.ndarray

    @cached_property
    def identity(self) -> ModelIdentity:
        """The space of the projected vectors; its fingerprint covers the model and every number of the map."""
        numbers = [np.ascontiguousarray(part, np.float32).tobytes() for part in (self.mean, self.axes)]
        digest = hashlib.sha256(b"".join([self.base.fingerprint.encode(), *numbers]))
        return ModelIdentity(self.base.name, digest.hexdigest()[:12], len(self.axes))

    def apply(self, vectors: np.ndarray) -> np.ndarray:
        """Return the projections of the model's vectors (float32 [n, base.dimension]), of length one."""
        return normalised((normalised(vectors) - self.mean) @ self.axes.T)


def normalised(vectors: np.ndarray) -> np.ndarray:
    """Return float32 vectors scaled to length one, so that inner products are cosines; zero vectors stay zero."""
    vectors = np.asarray(vectors, dtype=np.float32)
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > 0)
