"""Projections: what they make of vectors, how they are fitted, and when they are refused."""

import numpy as np
import pytest

from embeddings.errors import UsageError
from embeddings.models.identity import ModelIdentity
from store.pca import ROWS_PER_DIMENSION, Moments, check_possible
from store.projection import Projection

FLAT = ModelIdentity("toy", "000000000001", 3)


def test_vectors_are_moved_to_the_mean_and_turned():
    # (3, 4, 0) has length one as (0.6, 0.8, 0); less the mean (0.6, 0, 0) it is (0, 0.8, 0): on the second axis alone
    projection = Projection(FLAT, np.array([0.6, 0, 0], np.float32), np.array([[1, 0, 0], [0, 5, 0]], np.float32))
    turned = projection.apply(np.array([[3, 4, 0], [0.6, 0, 0.8]], np.float32))
    np.testing.assert_allclose(turned, [[0, 1], [0, 0]], atol=1e-6)
    assert turned.dtype == np.float32


def test_a_projection_is_known_by_its_model_and_its_numbers():
    mean, axes = np.zeros(3, np.float32), np.eye(3, dtype=np.float32)[:2]
    one = Projection(FLAT, mean, axes).identity
    assert (one.name, one.dimension) == ("toy", 2) and len(one.fingerprint) == 12
    assert Projection(FLAT, mean.copy(), axes.copy()).identity == one
    assert Projection(FLAT, mean + 1e-6, axes).identity.fingerprint != one.fingerprint
    assert Projection(FLAT, mean, axes[::-1]).identity.fingerprint != one.fingerprint
    other = ModelIdentity("toy", "000000000002", 3)
    assert Projection(other, mean, axes).identity.fingerprint != one.fingerprint


def crossed() -> np.ndarray:
    """Vectors of length one, of which each direction has a variance that can be worked out.

    Four times each: x is 0.8 everywhere, y is +0.6 or -0.6 in twelve rows, z in four: variances 0.27 and 0.09.
    """
    return np.array([[0.8, 0.6, 0], [0.8, -0.6, 0]] * 6 + [[0.8, 0, 0.6], [0.8, 0, -0.6]] * 2, np.float32)


@pytest.mark.parametrize(("whitening", "power"), [(0.0, 0.0), (0.5, -0.25), (1.0, -0.5)])
def test_axes_are_the_directions_of_most_variance_divided_by_a_part_of_their_deviation(whitening, power):
    moments = Moments(FLAT)
    moments.add(crossed()[:7])
    moments.add(crossed()[7:])
    fitted = moments.projection(2, whitening)
    np.testing.assert_allclose(fitted.mean, [0.8, 0, 0], atol=1e-6)
    np.testing.assert_allclose(fitted.axes, [[0, 0.27**power, 0], [0, 0, 0.09**power]], rtol=1e-5, atol=1e-6)


def test_what_cannot_be_fitted_is_refused_in_a_sentence():
    moments = Moments(FLAT)
    moments.add(crossed()[:12])  # all in one plane
    with pytest.raises(UsageError, match="span only 1 directions, too few for 2 dimensions"):
        moments.projection(2)
    few = Moments(FLAT)
    few.add(crossed()[:9])
    with pytest.raises(UsageError, match="2 dimensions take at least 10, and there are 9"):
        few.projection(2)
    with pytest.raises(UsageError, match="have 3 dimensions, and 3 are not fewer"):
        check_possible(FLAT, 1000, 3)
    check_possible(FLAT, 2 * ROWS_PER_DIMENSION, 2)
