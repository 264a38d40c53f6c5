"""A second look at two pictures that hash and vector take for one: do their pixels agree, laid over each other?

Photos taken one after another of the same thing have nearly the same hash and vector, and so does a cropped copy. They
differ in what fits onto what: a copy lies on its original exactly, once it is moved and scaled; another photo does not,
whatever is done to it, because its point of view was another.
"""

import numpy as np

from embeddings.imaging.decode import DecodedImage, InputSpec

SIDE = 64
SPEC = InputSpec(SIDE, SIDE, crop_pct=1.0, crop_mode="squash", interpolation="bilinear")

BLOCK = 8  # pixels; agreement is judged in blocks, so that a caption spoils a few of them and not the whole
TEXTURE = 3.0  # standard deviation of grey levels below which a block shows nothing
QUARTILE = 25
SURE = 0.995  # pictures that agree so far as they lie need not be moved
MIN_SEEN = SIDE * SIDE // 4
PYRAMID = ((8, 6), (2, 5), (0, 4))  # times blurred, steps: coarse first, so that far shifts are found
STEP, LEAST_STEP = 0.05, 5e-4
LUMA = np.array([0.299, 0.587, 0.114], np.float32)

_AXIS = (np.arange(SIDE) + 0.5) / SIDE * 2 - 1  # -1..1
_X, _Y = np.meshgrid(_AXIS, _AXIS)
_UNMOVED = np.array([1.0, 0.0, 1.0, 0.0])  # horizontal scale and shift, vertical scale and shift; half a side is 1
_SMALLEST, _LARGEST = np.array([0.8, -0.25, 0.8, -0.25]), np.array([1.25, 0.25, 1.25, 0.25])


def grey(image: DecodedImage) -> np.ndarray:
    """Return a picture decoded to SPEC as grey levels, uint8 [SIDE, SIDE]."""
    return np.rint(image.pixels @ LUMA).astype(np.uint8)


def agreement(some: np.ndarray, other: np.ndarray, mirrored: bool) -> float:
    """Return how far two grey pictures (uint8 [SIDE, SIDE]) show the same, at most 1: a copy is above 0.985.

    The one is scaled and moved until it lies on the other, which also undoes a crop; then blocks of both are
    correlated, which does not mind brightness and contrast. The answer is the lower quartile of the blocks.
    """
    one, two = some.astype(np.float64), other.astype(np.float64)
    if mirrored:
        two = two[:, ::-1]
    everything = np.ones_like(one, dtype=bool)
    as_they_lie = _blockwise(_blurred(one, 1), _blurred(two, 1), everything)
    if as_they_lie >= SURE:
        return as_they_lie
    moved, seen = _moved(one, _alignment(one, two))
    return max(as_they_lie, _blockwise(_blurred(moved, 1), _blurred(two, 1), seen))


def _alignment(one: np.ndarray, two: np.ndarray) -> np.ndarray:
    """Return scales and shifts that lay `one` on `two`.

    Gauss-Newton on the squared difference, contrast and brightness solved for as well: B. Lucas and T. Kanade, 'An
    Iterative Image Registration Technique' (1981), in the form of S. Baker and I. Matthews (2004).
    """
    placing = _UNMOVED
    for blurs, steps in PYRAMID:
        coarse_one, coarse_two = _blurred(one, blurs), _blurred(two, blurs)
        for _ in range(steps):
            change = _step(coarse_one, coarse_two, placing)
            placing = np.clip(placing + np.clip(change, -STEP, STEP), _SMALLEST, _LARGEST)
            if np.abs(change).max() < LEAST_STEP:
                break
    return placing


def _step(one: np.ndarray, two: np.ndarray, placing: np.ndarray) -> np.ndarray:
    moved, seen = _moved(one, placing)
    down, across = np.gradient(moved)
    across, down = across * (SIDE / 2 / placing[0]), down * (SIDE / 2 / placing[2])
    slopes = np.stack([across * _X, across, down * _Y, down, -two, -np.ones_like(two)], axis=-1)[seen]
    normal = slopes.T @ slopes + 1e-6 * np.eye(6)
    change: np.ndarray = np.linalg.solve(normal, -(slopes.T @ moved[seen]))[:4]
    return change


def _moved(image: np.ndarray, placing: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the picture scaled and shifted, and where it is known, bool [SIDE, SIDE]."""
    columns = ((placing[0] * _AXIS + placing[1]) + 1) * SIDE / 2 - 0.5
    rows = ((placing[2] * _AXIS + placing[3]) + 1) * SIDE / 2 - 0.5
    left, right_share = _taps(columns)
    top, bottom_share = _taps(rows)
    across = image[:, left] * (1 - right_share) + image[:, left + 1] * right_share
    moved = across[top] * (1 - bottom_share)[:, None] + across[top + 1] * bottom_share[:, None]
    return moved, _inside(rows)[:, None] & _inside(columns)[None, :]


def _taps(assign_cells: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    inner = np.clip(assign_cells, 0, SIDE - 1)
    first = np.minimum(inner.astype(int), SIDE - 2)
    return first, inner - first


def _inside(assign_cells: np.ndarray) -> np.ndarray:
    inside: np.ndarray = (assign_cells >= 0) & (assign_cells <= SIDE - 1)
    return inside


def _blurred(image: np.ndarray, times: int) -> np.ndarray:
    """Return the picture after so many passes of a 1-2-1 filter each way."""
    for _ in range(times):
        wide = np.pad(image, 1, mode="edge")
        across = (wide[:, :-2] + 2 * wide[:, 1:-1] + wide[:, 2:]) / 4
        image = (across[:-2] + 2 * across[1:-1] + across[2:]) / 4
    return image


def _blockwise(one: np.ndarray, two: np.ndarray, seen: np.ndarray) -> float:
    """Return the lower quartile of the correlations of blocks that show something."""
    if np.count_nonzero(seen) < MIN_SEEN:
        return 0.0
    whole = _blocks(seen).all(axis=1)
    first, second = _blocks(one)[whole], _blocks(two)[whole]
    apart = abs(float(first.mean() - second.mean()))
    first, second = first - first.mean(axis=1, keepdims=True), second - second.mean(axis=1, keepdims=True)
    spreads = np.sqrt((first**2).mean(axis=1)), np.sqrt((second**2).mean(axis=1))
    shown = np.maximum(*spreads) >= TEXTURE
    if not shown.any():  # two plain areas
        return 1 - apart / 255
    together = (first * second).mean(axis=1)[shown]
    return float(np.percentile(together / np.maximum((spreads[0] * spreads[1])[shown], 1e-3), QUARTILE))


def _blocks(image: np.ndarray) -> np.ndarray:
    """Return [blocks, pixels of a block]."""
    number = SIDE // BLOCK
    return image.reshape(number, BLOCK, number, BLOCK).swapaxes(1, 2).reshape(number * number, -1)
