"""Vector spaces: what makes vectors comparable, and the projection that a compact collection sees them through."""

import hashlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from embeddings.models.identity import ModelIdentity


@dataclass(frozen=True, eq=False)
class Projection:
    """A linear map from a model's vectors to fewer dimensions.

    `base` is the model, `mean` float32 [base.dimension], `axes` float32 [dimension, base.dimension]; a vector x of
    length one becomes axes @ (x - mean), made length one.
    """

    base: ModelIdentity
    mean: np.ndarray
    axes: np.ndarray

    @cached_property
    def identity(self) -> ModelIdentity:
        """The space of the projected vectors: its fingerprint covers the model and every number of the map."""
        numbers = [np.ascontiguousarray(part, np.float32).tobytes() for part in (self.mean, self.axes)]
        digest = hashlib.sha256(b"".join([self.base.fingerprint.encode(), *numbers]))
        return ModelIdentity(self.base.name, digest.hexdigest()[:12], len(self.axes))

    def apply(self, vectors: np.ndarray) -> np.ndarray:
        """Return vectors of the model (float32 [n, base.dimension]) as they are in the compact space, of length one."""
        return normalised((normalised(vectors) - self.mean) @ self.axes.T)


def normalised(vectors: np.ndarray) -> np.ndarray:
    """Return float32 vectors of length one, whose inner product is the cosine; a zero vector stays as it is."""
    vectors = np.asarray(vectors, dtype=np.float32)
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > 0)
