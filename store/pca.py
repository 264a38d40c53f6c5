"""Fitting a projection to a collection's own vectors: PCA, half-whitened.

Half-whitening divides each principal component by the square root of its standard deviation: it lies between keeping
all distances (0) and giving every direction the same weight (1). Jegou and Chum, "Negative evidences and co-occurences
in image retrieval: the benefit of PCA and whitening" (ECCV 2012), have the effect of the whole.
"""

import numpy as np

from embeddings.errors import UsageError
from embeddings.models.identity import ModelIdentity
from store.projection import Projection, normalised

ROWS_PER_DIMENSION = 5  # fewer do not tell a direction from chance
HALF = 0.5
_FLAT = 1e-9  # a variance this small beside the largest is rounding


class Moments:
    """Mean and covariance of vectors that come in blocks: memory does not grow with their number."""

    def __init__(self, model: ModelIdentity) -> None:
        """Begin with none of the vectors of `model`."""
        self.count = 0
        self._model = model
        self._sum = np.zeros(model.dimension)
        self._products = np.zeros((model.dimension, model.dimension))

    def add(self, vectors: np.ndarray) -> None:
        """Take vectors (float32 [n, dimension]) into account."""
        block = normalised(vectors)
        self.count += len(block)
        self._sum += block.sum(axis=0, dtype=np.float64)
        self._products += block.T @ block

    def projection(self, dimension: int, whitening: float = HALF) -> Projection:
        """Return the projection to the `dimension` directions in which the vectors differ most.

        `whitening` is in 0..1. Raises UsageError if there are too few vectors, or if they differ in fewer directions.
        """
        check_possible(self._model, self.count, dimension)
        mean = self._sum / self.count
        covariance = self._products / self.count - np.outer(mean, mean)
        variances, directions = np.linalg.eigh(covariance)
        variances, directions = variances[::-1], directions[:, ::-1]
        spanned = int((variances > _FLAT * max(variances[0], _FLAT)).sum())
        if spanned < dimension:
            raise UsageError(
                f"the collection's vectors differ in {spanned:,} directions only, which cannot give {dimension} "
                "dimensions: leave it as it is",
                field="dim",
            )
        chosen = directions[:, :dimension] * _signs(directions[:, :dimension])
        axes = (chosen * variances[:dimension] ** (-whitening / 2)).T
        return Projection(self._model, mean.astype(np.float32), np.ascontiguousarray(axes, np.float32))


def check_possible(model: ModelIdentity, count: int, dimension: int) -> None:
    """Raise UsageError unless `count` vectors of `model` are enough to find `dimension` directions among theirs."""
    if dimension >= model.dimension:
        raise UsageError(
            f"the collection's vectors have {model.dimension:,} dimensions, and {dimension} are not fewer", field="dim"
        )
    least = ROWS_PER_DIMENSION * dimension
    if count < least:
        raise UsageError(
            f"the collection has too few rows to see which directions matter: {dimension} dimensions take at least "
            f"{least:,}, and there are {count:,}",
            field="dim",
        )


def _signs(directions: np.ndarray) -> np.ndarray:
    """Return the signs that make the largest number of each column positive: libraries differ, and fingerprints must
    not."""
    largest = np.abs(directions).argmax(axis=0)
    return np.sign(directions[largest, np.arange(directions.shape[1])])
