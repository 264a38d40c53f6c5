"""When two pictures are the same one or look alike: the evidence, and the limits it is held against.

The limits were set by what `python -m benchmarks.duplicates` shows of one half of its photos (`fit`), after a look at
pairs of all of them; benchmarks/results has what comes of them there and on the other half.
"""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

# What the picture mirrored left to right has in its perceptual hash: every odd horizontal frequency changes its sign,
# and a bit says whether a frequency is above the median, which is near zero.
MIRROR = np.uint64(0x5555555555555555)

NEAR_DISTANCE = 20  # bits of the perceptual hash that may differ
NEAR_SCORE = 0.88  # cosine similarity
NEAR_PIXELS = 0.985  # agreement of the pixels, see pixels.py
# where the pixels cannot be read, hash and vector have to be surer
BLIND_DISTANCE = 6
BLIND_SCORE = 0.93
SIMILAR_SCORE = 0.92
MIN_SCORE = min(NEAR_SCORE, SIMILAR_SCORE)


class Kind(StrEnum):
    """What the pictures of a group have in common."""

    EXACT = "exact"  # the bytes
    NEAR = "near"  # the picture: encoded again, resized, cropped a little, mirrored, lightly edited
    SIMILAR = "similar"  # the look: the vectors are near each other, and nothing more is claimed


@dataclass(frozen=True)
class Evidence:
    """What speaks for two contents being alike.

    `distance` counts the bits (0..64) in which the perceptual hashes differ, one of them mirrored if `mirrored` says
    so; `score` is cosine similarity; `pixels` is how far the pixels agree (at most 1), None where they were not read.
    """

    distance: int
    mirrored: bool
    score: float
    pixels: float | None

    @property
    def kind(self) -> Kind | None:
        """NEAR, SIMILAR or neither."""
        if may_be_near(self.distance, self.score) and self._confirmed:
            return Kind.NEAR
        return Kind.SIMILAR if self.score >= SIMILAR_SCORE else None

    @property
    def _confirmed(self) -> bool:
        if self.pixels is not None:
            return self.pixels >= NEAR_PIXELS
        return self.distance <= BLIND_DISTANCE and self.score >= BLIND_SCORE


def may_be_near(distance: int, score: float) -> bool:
    """Return whether hash and vector agree so far that a look at the pixels is worth it."""
    return distance <= NEAR_DISTANCE and score >= NEAR_SCORE


def distances(some: np.ndarray, others: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return, for pairs of hashes (uint64 [n] each), in how many bits they differ, and whether mirrored is nearer."""
    upright = np.bitwise_count(some ^ others)
    mirrored = np.bitwise_count(some ^ others ^ MIRROR)
    return np.minimum(upright, mirrored), mirrored < upright
