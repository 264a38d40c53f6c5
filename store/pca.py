"""Fits a projection to a collection's own vectors: PCA, half-whitened.

Half-whitening divides each principal component by the square root of its standard deviation: it lies between keeping
all distances (0) and giving every direction the same weight (1). Jegou and Chum, "Negative evidences and co-occurences
in image retrieval: the benefit of PCA and whitening" (ECCV 2012), measure the effect of whole whitening.
"""

import numpy as np

from embeddings.errors import UsageError
from embeddings.models.identity import ModelIdentity
from store.projection import Projection, normalised

ROWS_PER_DIMENSION = 5  # fewer do not distinguish a direction from chance
HALF = 0.5
_FLAT = 1e-9  # of the largest variance; a smaller one is rounding


class Moments:
    """Mean and covariance of vectors added in blocks: memory does not grow with their number."""

    def __init__(self, model: ModelIdentity) -> None:
        """Begin without vectors; they will be those of `model`."""
        self.count = 0
        self._model = model
        self._sum = np.zeros(model.dimension)
        self._products = np.zeros((model.dimension, model.dimension))

    def add(self, vectors: np.ndarray) -> None:
        """Add vectors (float32 [n, dimension])."""
        block = normalised(vectors)
        self.count += len(block)
        self._sum += block.sum(axis=0, dtype=np.float64)
        self._products += block.T @ block

    def projection(self, dimension: int, whitening: float = HALF) -> Projection:
        """Return the projection to the `dimension` directions of the largest variance.

        `whitening` is in 0..1. Raises UsageError if there are too few vectors, or if they span fewer directions.
        """
        check_possible(self._model, self.count, dimension)
        mean = self._sum / self.count
        covariance = self._products / self.count - np.outer(mean, mean)
        variances, directions = np.linalg.eigh(covariance)
        variances, directions = variances[::-1], directions[:, ::-1]
        spanned = int((variances > _FLAT * max(variances[0], _FLAT)).sum())
        if spanned < dimension:
            raise UsageError(
                f"the collection's vectors span only {spanned:,} directions, too few for {dimension} dimensions: "
                "use fewer dimensions, or leave the collection as it is",
                field="dim",
            )
        chosen = directions[:, :dimension] * _signs(directions[:, :dimension])
        axes = (chosen * variances[:dimension] ** (-whitening / 2)).T
        return Projection(self._model, mean.astype(np.float32), np.ascontiguousarray(axes, np.float32))


def check_possible(model: ModelIdentity, count: int, dimension: int) -> None:
    """Raise UsageError unless `count` vectors of `model` are enough to fit `dimension` directions."""
    if dimension >= model.dimension:
        raise UsageError(
            f"the collection's vectors have {model.dimension:,} dimensions, and {dimension} are not fewer", field="dim"
        )
    minimum = ROWS_PER_DIMENSION * dimension
    if count < minimum:
        raise UsageError(
            f"the collection has too few rows to fit a projection: {dimension} dimensions take at least "
            f"{minimum:,}, and there are {count:,}",
            field="dim",
        )


def _signs(directions: np.ndarray) -> np.ndarray:
    """Return the signs that make the largest number of each column positive.

    Linear algebra libraries differ in signs, and fingerprints must not.
    """
    largest = np.abs(directions).argmax(axis=0)
    return np.sign(directions[largest, np.arange(directions.shape[1])])
