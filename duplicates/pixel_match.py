"""Compares the pixels of two images that hash and vector take for copies, after aligning them.

Photos taken one after another of the same thing have nearly the same hash and vector, and so has a cropped copy. Pixels
tell them apart: a shifted and scaled copy matches its original exactly; another photo matches under no shift and scale,
because its point of view was different.
"""

import numpy as np

from embeddings.imaging.decode import DecodedImage, InputSpec

SIDE = 64
SPEC = InputSpec(SIDE, SIDE, crop_pct=1.0, crop_mode="squash", interpolation="bilinear")

BLOCK = 8  # pixels; agreement is measured in blocks, so that a caption spoils only a few of them
TEXTURE = 3.0  # standard deviation of grey levels below which a block is plain
QUARTILE = 25
SURE = 0.995  # images that agree this far need no alignment
MIN_OVERLAP = SIDE * SIDE // 4
PYRAMID = ((8, 6), (2, 5), (0, 4))  # number of blurs, number of steps: coarse first, to find large shifts
MAX_STEP, MIN_STEP = 0.05, 5e-4
LUMA = np.array([0.299, 0.587, 0.114], np.float32)

_AXIS = (np.arange(SIDE) + 0.5) / SIDE * 2 - 1  # -1..1
_X, _Y = np.meshgrid(_AXIS, _AXIS)
_IDENTITY = np.array([1.0, 0.0, 1.0, 0.0])  # horizontal scale and shift, vertical scale and shift, in half sides
_SMALLEST, _LARGEST = np.array([0.8, -0.25, 0.8, -0.25]), np.array([1.25, 0.25, 1.25, 0.25])


def grey(image: DecodedImage) -> np.ndarray:
    """Return an image decoded to SPEC as grey levels, uint8 [SIDE, SIDE]."""
    return np.rint(image.pixels @ LUMA).astype(np.uint8)


def agreement(first: np.ndarray, second: np.ndarray, mirrored: bool) -> float:
    """Return how far two grey images (uint8 [SIDE, SIDE]) show the same, at most 1: copies are above 0.985.

    The first is scaled and shifted onto the second, which also undoes a crop. Then blocks of both are correlated, which
    ignores brightness and contrast. The result is the lower quartile of the blocks.
    """
    image, target = first.astype(np.float64), second.astype(np.float64)
    if mirrored:
        target = target[:, ::-1]
    unaligned = _block_agreement(_blurred(image, 1), _blurred(target, 1), np.ones_like(image, dtype=bool))
    if unaligned >= SURE:
        return unaligned
    warped, overlap = _warped(image, _alignment(image, target))
    return max(unaligned, _block_agreement(_blurred(warped, 1), _blurred(target, 1), overlap))


def _alignment(image: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Return the scales and shifts that align `image` with `target`.

    Gauss-Newton on the squared difference, with contrast and brightness as further unknowns: B. Lucas and T. Kanade,
    'An Iterative Image Registration Technique' (1981), in the form of S. Baker and I. Matthews (2004).
    """
    warp = _IDENTITY
    for blurs, steps in PYRAMID:
        coarse_image, coarse_target = _blurred(image, blurs), _blurred(target, blurs)
        for _ in range(steps):
            change = _step(coarse_image, coarse_target, warp)
            warp = np.clip(warp + np.clip(change, -MAX_STEP, MAX_STEP), _SMALLEST, _LARGEST)
            if np.abs(change).max() < MIN_STEP:
                break
    return warp


def _step(image: np.ndarray, target: np.ndarray, warp: np.ndarray) -> np.ndarray:
    warped, overlap = _warped(image, warp)
    down, across = np.gradient(warped)
    across, down = across * (SIDE / 2 / warp[0]), down * (SIDE / 2 / warp[2])
    jacobian = np.stack([across * _X, across, down * _Y, down, -target, -np.ones_like(target)], axis=-1)[overlap]
    normal = jacobian.T @ jacobian + 1e-6 * np.eye(6)
    change: np.ndarray = np.linalg.solve(normal, -(jacobian.T @ warped[overlap]))[:4]
    return change


def _warped(image: np.ndarray, warp: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the image scaled and shifted, and the pixels that lie inside the original, bool [SIDE, SIDE]."""
    columns = ((warp[0] * _AXIS + warp[1]) + 1) * SIDE / 2 - 0.5
    rows = ((warp[2] * _AXIS + warp[3]) + 1) * SIDE / 2 - 0.5
    left, right_share = _taps(columns)
    top, bottom_share = _taps(rows)
    across = image[:, left] * (1 - right_share) + image[:, left + 1] * right_share
    warped = across[top] * (1 - bottom_share)[:, None] + across[top + 1] * bottom_share[:, None]
    return warped, _inside(rows)[:, None] & _inside(columns)[None, :]


def _taps(positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the first of the two pixels around each position, and the share of the second."""
    inner = np.clip(positions, 0, SIDE - 1)
    first = np.minimum(inner.astype(int), SIDE - 2)
    return first, inner - first


def _inside(positions: np.ndarray) -> np.ndarray:
    inside: np.ndarray = (positions >= 0) & (positions <= SIDE - 1)
    return inside


def _blurred(image: np.ndarray, times: int) -> np.ndarray:
    """Return the image after a 1-2-1 filter each way, applied `times` times."""
    for _ in range(times):
        wide = np.pad(image, 1, mode="edge")
        across = (wide[:, :-2] + 2 * wide[:, 1:-1] + wide[:, 2:]) / 4
        image = (across[:-2] + 2 * across[1:-1] + across[2:]) / 4
    return image


def _block_agreement(image: np.ndarray, target: np.ndarray, overlap: np.ndarray) -> float:
    """Return the lower quartile of the correlations of the blocks with texture."""
    if np.count_nonzero(overlap) < MIN_OVERLAP:
        return 0.0
    whole = _blocks(overlap).all(axis=1)
    first, second = _blocks(image)[whole], _blocks(target)[whole]
    difference = abs(float(first.mean() - second.mean()))
    first, second = first - first.mean(axis=1, keepdims=True), second - second.mean(axis=1, keepdims=True)
    deviations = np.sqrt((first**2).mean(axis=1)), np.sqrt((second**2).mean(axis=1))
    textured = np.maximum(*deviations) >= TEXTURE
    if not textured.any():  # two plain areas
        return 1 - difference / 255
    covariances = (first * second).mean(axis=1)[textured]
    return float(np.percentile(covariances / np.maximum((deviations[0] * deviations[1])[textured], 1e-3), QUARTILE))


def _blocks(image: np.ndarray) -> np.ndarray:
    """Return the pixels of each block, [blocks, BLOCK * BLOCK]."""
    number = SIDE // BLOCK
    return image.reshape(number, BLOCK, number, BLOCK).swapaxes(1, 2).reshape(number * number, -1)
