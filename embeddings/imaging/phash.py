"""The perceptual hash: 64 bits that stay (almost) the same when an image is saved again or resized."""

import math

import numpy as np
from PIL import Image

from embeddings.imaging.geometry import Orientation

SIDE = 32
LOW = 8


def _cosines() -> np.ndarray:
    """Return the first LOW rows of the orthonormal DCT-II matrix for SIDE samples."""
    frequency, sample = np.arange(LOW)[:, None], np.arange(SIDE)[None, :]
    rows = np.cos(math.pi * (2 * sample + 1) * frequency / (2 * SIDE)) * math.sqrt(2 / SIDE)
    rows[0] /= math.sqrt(2)
    return rows


COSINES = _cosines()


def phash(image: Image.Image, orientation: Orientation) -> int:
    """Return the hash of a grey or RGB image, turned upright.

    The DCT hash of C. Zauner, 'Implementation and Benchmarking of Perceptual Image Hash Functions' (2010), section
    3.2.1: 32 x 32 grey pixels, the 8 x 8 lowest frequencies of their cosine transform, a bit each for 'above the
    median'. As in the ImageHash library, the block starts at frequency 0, so that horizontal and vertical gradients
    count. The highest bit is the mean, then frequencies rise from left to right, row by row.
    """
    grey = image.convert("L").resize((SIDE, SIDE), Image.Resampling.BILINEAR, reducing_gap=2.0)
    block = COSINES @ orientation.upright(np.asarray(grey, np.float64)) @ COSINES.T
    # rounded: some frequencies of a flat or symmetrical image are zero but for the order of additions
    frequencies = np.round(block, 3).ravel()
    bits = frequencies > np.median(frequencies)
    return int.from_bytes(np.packbits(bits).tobytes(), "big")
